//! The cells of the tables of faults: which candidate fails how, at which load, and since when.

use judgement::guard::EvidenceBudget;
use judgement::guard::evidence::MeterKind;

use crate::bound;
use crate::runs::RunSpec;
use crate::worlds::{ColdStarts, FaultKind, FaultModel, LatencyModel, Unwanted, UnwantedModel, World};

/// What a cell's cost is counted in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultUnit {
    Failures,
    SlowAnswers,
}

pub struct FaultCell {
    pub group: &'static str,
    pub name: String,
    pub world: World,
    pub spec: RunSpec,
    pub runs: usize,
    pub unit: FaultUnit,
}

/// A fault in mid-rollout begins after so many milliseconds.
const MID: u64 = 60_000;

pub const REFERENCE: &str = "Failing candidates at the reference load: 1,000 requests/s, 10 %";
pub const RATES: &str = "Other rates, 10 %";
pub const WEIGHTS: &str = "Other weights, 1,000 requests/s";
pub const ROUTES: &str = "One route of ten fails, 1,000 requests/s, 10 %";
pub const LATENCY: &str = "Slow candidates, 1,000 requests/s, 10 %";
pub const OTHER_LATENCY: &str = "Slow candidates at other loads";
pub const REFUSALS: &str = "Candidates that refuse their clients, 1,000 requests/s, 10 %: refusals, not failures";
pub const ODD: &str =
    "Candidates whose responses have an unusual shape, 1,000 requests/s, 10 %: neither failures nor refusals";
pub const ALONE: &str = "Promoted, 1,000 requests/s: the candidate has all of the traffic, after 60 s at 50 %";
pub const UNCOVERED: &str = "Not covered: faults that creep";

impl FaultCell {
    fn new(group: &'static str, name: String, world: World, runs: usize) -> FaultCell {
        let unit = if world.latency.is_some() { FaultUnit::SlowAnswers } else { FaultUnit::Failures };
        let slow = unit == FaultUnit::SlowAnswers;
        let spec = RunSpec {
            budget: EvidenceBudget::STANDARD,
            patience: if slow { 300_000 } else { 600_000 },
            plain: (if slow { 10 } else { 20 }, 240_000),
            peers: (if slow { 20 } else { runs }, if slow { 420_000 } else { 900_000 }),
        };
        FaultCell { group, name, world, spec, runs, unit }
    }

    /// The mean number of failures that no judge can go below; `None` where the bound is not known.
    pub fn bound(&self) -> Option<f64> {
        let Some(FaultModel { kind: FaultKind::Fails(candidate), at, .. }) = self.world.fault else { return None };
        if self.group == ALONE {
            return None;
        }
        let (share, active, alpha) = (self.world.weight(0), self.world.errors.base, self.spec.budget.alpha);
        if at == 0 {
            return bound::failures(share, candidate, active, alpha);
        }
        let requests = self.answers_a_second() * self.spec.budget.planned.0 as f64 / 1000.0;
        bound::failures_at_any_time(share, candidate, active, alpha, requests)
    }

    /// The candidate's, where its fault is.
    fn answers_a_second(&self) -> f64 {
        let broken = self.world.fault.map_or(1, |fault| fault.route.map_or(1, |_| self.world.routes));
        self.world.rate * self.world.weight(0) / broken as f64
    }

    /// Whether one-sided evidence comes faster than the judge lets it: 4 nats at once, 50 a second.
    pub fn is_limited(&self) -> bool {
        let Some(FaultKind::Fails(candidate)) = self.world.fault.map(|fault| fault.kind) else { return false };
        let told = bound::information(self.world.weight(0), candidate, self.world.errors.base);
        told > 4.0 || told * self.answers_a_second() > 50.0
    }

    /// The meter that is made for its fault.
    pub fn meter(&self) -> Option<MeterKind> {
        Some(match self.world.fault?.kind {
            FaultKind::Fails(_) | FaultKind::Creeps(_) => MeterKind::Errors,
            FaultKind::Slower(_) | FaultKind::Late(..) => MeterKind::Latency,
            FaultKind::Hangs(_) => MeterKind::Stalls,
            FaultKind::Unwanted(_) => match self.world.unwanted?.what {
                Unwanted::Refusals => MeterKind::Refusals,
                Unwanted::OddResponses => MeterKind::Shape,
            },
        })
    }

    /// What the policy tolerates is no fault: here nobody should roll back.
    pub fn is_tolerated(&self) -> bool {
        matches!(self.world.fault.map(|fault| fault.kind), Some(FaultKind::Slower(factor)) if factor <= 1.2)
    }
}

/// All cells, in the order of the tables. `runs` of each.
pub fn all(runs: usize) -> Vec<FaultCell> {
    let mut cells = Vec::new();
    for (at, when) in [(0, "at the start"), (MID, "in mid-rollout")] {
        let mut add = |group, name: String, world: World| cells.push(FaultCell::new(group, name, world, runs));
        for share in [1.0, 0.5, 0.1, 0.05, 0.02, 0.01] {
            let name = format!("{} % fail, {when}", share * 100.0);
            add(REFERENCE, name.clone(), World::reference(&name).with_fault(at, FaultKind::Fails(share)));
        }
        for rate in [50.0, 200.0, 500.0, 2000.0, 5000.0] {
            for share in [1.0, 0.1] {
                let name = format!("{rate} requests/s, {} % fail, {when}", share * 100.0);
                let world = World { rate, ..World::reference(&name) };
                add(RATES, name, world.with_fault(at, FaultKind::Fails(share)));
            }
        }
        for percent in [1.0, 5.0, 25.0, 50.0] {
            for share in [1.0, 0.1] {
                let name = format!("weight {percent} %, {} % fail, {when}", share * 100.0);
                let world = World { plan: vec![(0, percent)], ..World::reference(&name) };
                add(WEIGHTS, name, world.with_fault(at, FaultKind::Fails(share)));
            }
        }
        for share in [1.0, 0.1] {
            let name = format!("{} % of one route fail, {when}", share * 100.0);
            let mut world = World { routes: 10, ..World::reference(&name) }.with_fault(at, FaultKind::Fails(share));
            world.fault.iter_mut().for_each(|fault| fault.route = Some(3));
            cells.push(FaultCell::new(ROUTES, name, world, runs.min(40)));
        }
        for (what, kind) in slow_kinds() {
            let name = format!("{what}, {when}");
            let world = World::reference(&name).with_latency(LatencyModel::default()).with_fault(at, kind);
            let mut cell = FaultCell::new(LATENCY, name, world, runs.min(50));
            if cell.is_tolerated() {
                // Nobody is to find it: two minutes show that.
                cell.spec.patience = 120_000;
            }
            cells.push(cell);
        }
        for (rate, percent) in [(500.0, 5.0), (50.0, 10.0)] {
            let name = format!("{rate} requests/s, weight {percent} %, × 2, {when}");
            let world = World { rate, plan: vec![(0, percent)], ..World::reference(&name) };
            let world = world.with_latency(LatencyModel::default()).with_fault(at, FaultKind::Slower(2.0));
            cells.push(FaultCell::new(OTHER_LATENCY, name, world, runs.min(50)));
        }
        cells.extend(unwanted(runs, at, when));
        let name = format!("1 % more fail each minute, from {when}");
        let world = World::reference(&name).with_fault(at, FaultKind::Creeps(0.01));
        cells.push(FaultCell::new(UNCOVERED, name, world, runs));
    }
    // Cold instances, and a fault under them.
    let name = "× 2 from the start, under cold instances".to_owned();
    let latency = LatencyModel { cold: ColdStarts::Instances, ..LatencyModel::default() };
    let world = World::reference(&name).with_latency(latency).with_fault(0, FaultKind::Slower(2.0));
    cells.push(FaultCell::new(OTHER_LATENCY, name, world, runs.min(50)));
    cells.extend(promoted(runs));
    let order = [REFERENCE, RATES, WEIGHTS, ROUTES, LATENCY, OTHER_LATENCY, REFUSALS, ODD, ALONE, UNCOVERED];
    cells.sort_by_key(|cell| order.iter().position(|group| *group == cell.group));
    cells
}

/// What no rule of failures sees.
fn unwanted(runs: usize, at: u64, when: &str) -> Vec<FaultCell> {
    let mut cells = Vec::new();
    let kinds =
        [(REFUSALS, Unwanted::Refusals, 0.05, "refused"), (ODD, Unwanted::OddResponses, 0.005, "of another shape")];
    for (group, kind, base, word) in kinds {
        for (what, routes, share) in
            [("all are", 1, 1.0), ("30 % are", 1, 0.3), ("all of one route of ten are", 10, 1.0)]
        {
            let name = format!("{what} {word}, {when}");
            let usual = UnwantedModel { what: kind, base, ratio: 1.0, drifts: false, crawler: 0.0 };
            let world = World { routes, ..World::reference(&name) }.with_unwanted(usual);
            let mut world = world.with_fault(at, FaultKind::Unwanted(share));
            world.fault.iter_mut().for_each(|fault| fault.route = (routes > 1).then_some(3));
            cells.push(FaultCell::new(group, name, world, runs.min(50)));
        }
    }
    cells
}

/// Faults that begin a minute after the promotion.
fn promoted(runs: usize) -> impl Iterator<Item = FaultCell> {
    let world = |name: String| World { plan: vec![(0, 50.0), (MID, 100.0)], ..World::reference(&name) };
    let failing = [1.0, 0.5, 0.1, 0.05, 0.02].into_iter().flat_map(move |share| {
        let fault = move |world: World| world.with_fault(2 * MID, FaultKind::Fails(share));
        let name = format!("{} % fail", share * 100.0);
        let posts = format!("{name}, and nothing can be rescued");
        [(name.clone(), fault(world(name))), (posts.clone(), fault(World { posts: 1.0, ..world(posts) }))]
    });
    let kinds = [
        ("× 2", FaultKind::Slower(2.0)),
        ("× 10", FaultKind::Slower(10.0)),
        ("5 % of responses 1 s late", FaultKind::Late(0.05, 1.0)),
        ("all hang", FaultKind::Hangs(1.0)),
    ];
    let slow = kinds.into_iter().map(move |(name, kind)| {
        let world = world(name.to_owned()).with_latency(LatencyModel::default());
        (name.to_owned(), world.with_fault(2 * MID, kind))
    });
    failing.chain(slow).map(move |(name, world)| FaultCell::new(ALONE, name, world, runs.min(40)))
}

fn slow_kinds() -> [(&'static str, FaultKind); 8] {
    [
        ("× 1.2 (tolerated)", FaultKind::Slower(1.2)),
        ("× 1.5", FaultKind::Slower(1.5)),
        ("× 2", FaultKind::Slower(2.0)),
        ("× 10", FaultKind::Slower(10.0)),
        ("5 % of responses 1 s late", FaultKind::Late(0.05, 1.0)),
        ("1 % of responses 3 s late", FaultKind::Late(0.01, 3.0)),
        ("5 % hang", FaultKind::Hangs(0.05)),
        ("all hang", FaultKind::Hangs(1.0)),
    ]
}
