//! The cells of the tables of faults: which candidate fails how, at which load, and since when.

use judgement::guard::EvidenceBudget;

use super::bound;
use super::runs::Spec;
use super::worlds::{Cold, Fault, Kind, Latency, World};

/// What a cell's cost is counted in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    Failures,
    SlowAnswers,
}

pub struct Cell {
    pub group: &'static str,
    pub name: String,
    pub world: World,
    pub spec: Spec,
    pub runs: usize,
    pub unit: Unit,
}

/// A fault in mid-rollout begins after so many milliseconds.
const MID: u64 = 60_000;

pub const REFERENCE: &str = "Failing candidates at the reference load: 1,000 requests/s, 10 %";
pub const RATES: &str = "Other rates, 10 %";
pub const WEIGHTS: &str = "Other weights, 1,000 requests/s";
pub const ROUTES: &str = "One route of ten fails, 1,000 requests/s, 10 %";
pub const LATENCY: &str = "Slow candidates, 1,000 requests/s, 10 %";
pub const OTHER_LATENCY: &str = "Slow candidates at other loads";
pub const UNCOVERED: &str = "Not covered: faults that creep";

impl Cell {
    fn new(group: &'static str, name: String, world: World, runs: usize) -> Cell {
        let unit = if world.latency.is_some() { Unit::SlowAnswers } else { Unit::Failures };
        let slow = unit == Unit::SlowAnswers;
        let spec = Spec {
            budget: EvidenceBudget::STANDARD,
            patience: if slow { 300_000 } else { 600_000 },
            plain: (if slow { 10 } else { 20 }, 240_000),
            peers: (if slow { 20 } else { runs }, if slow { 420_000 } else { 900_000 }),
        };
        Cell { group, name, world, spec, runs, unit }
    }

    /// The mean number of failures that no judge can go below; `None` where the bound is not known.
    pub fn bound(&self) -> Option<f64> {
        let Some(Fault { kind: Kind::Fails(candidate), at, .. }) = self.world.fault else { return None };
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
        let Some(Kind::Fails(candidate)) = self.world.fault.map(|fault| fault.kind) else { return false };
        let told = bound::information(self.world.weight(0), candidate, self.world.errors.base);
        told > 4.0 || told * self.answers_a_second() > 50.0
    }

    /// What the policy tolerates is no fault: here nobody should roll back.
    pub fn is_tolerated(&self) -> bool {
        matches!(self.world.fault.map(|fault| fault.kind), Some(Kind::Slower(factor)) if factor <= 1.2)
    }
}

/// All cells, in the order of the tables. `runs` of each.
pub fn all(runs: usize) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (at, when) in [(0, "at the start"), (MID, "in mid-rollout")] {
        let mut add = |group, name: String, world: World| cells.push(Cell::new(group, name, world, runs));
        for share in [1.0, 0.5, 0.1, 0.05, 0.02, 0.01] {
            let name = format!("{} % fail, {when}", share * 100.0);
            add(REFERENCE, name.clone(), World::reference(&name).with_fault(at, Kind::Fails(share)));
        }
        for rate in [50.0, 200.0, 500.0, 2000.0, 5000.0] {
            for share in [1.0, 0.1] {
                let name = format!("{rate} requests/s, {} % fail, {when}", share * 100.0);
                let world = World { rate, ..World::reference(&name) };
                add(RATES, name, world.with_fault(at, Kind::Fails(share)));
            }
        }
        for percent in [1.0, 5.0, 25.0, 50.0] {
            for share in [1.0, 0.1] {
                let name = format!("weight {percent} %, {} % fail, {when}", share * 100.0);
                let world = World { plan: vec![(0, percent)], ..World::reference(&name) };
                add(WEIGHTS, name, world.with_fault(at, Kind::Fails(share)));
            }
        }
        for share in [1.0, 0.1] {
            let name = format!("{} % of one route fail, {when}", share * 100.0);
            let mut world = World { routes: 10, ..World::reference(&name) }.with_fault(at, Kind::Fails(share));
            world.fault.iter_mut().for_each(|fault| fault.route = Some(3));
            cells.push(Cell::new(ROUTES, name, world, runs.min(40)));
        }
        for (what, kind) in slow_kinds() {
            let name = format!("{what}, {when}");
            let world = World::reference(&name).with_latency(Latency::default()).with_fault(at, kind);
            let mut cell = Cell::new(LATENCY, name, world, runs.min(50));
            if cell.is_tolerated() {
                // Nobody is to find it: two minutes show that.
                cell.spec.patience = 120_000;
            }
            cells.push(cell);
        }
        for (rate, percent) in [(500.0, 5.0), (50.0, 10.0)] {
            let name = format!("{rate} requests/s, weight {percent} %, × 2, {when}");
            let world = World { rate, plan: vec![(0, percent)], ..World::reference(&name) };
            let world = world.with_latency(Latency::default()).with_fault(at, Kind::Slower(2.0));
            cells.push(Cell::new(OTHER_LATENCY, name, world, runs.min(50)));
        }
        let name = format!("1 % more fail each minute, from {when}");
        let world = World::reference(&name).with_fault(at, Kind::Creeps(0.01));
        cells.push(Cell::new(UNCOVERED, name, world, runs));
    }
    // Cold instances, and a fault under them.
    let name = "× 2 from the start, under cold instances".to_owned();
    let latency = Latency { cold: Cold::Instances, ..Latency::default() };
    let world = World::reference(&name).with_latency(latency).with_fault(0, Kind::Slower(2.0));
    cells.push(Cell::new(OTHER_LATENCY, name, world, runs.min(50)));
    let order = [REFERENCE, RATES, WEIGHTS, ROUTES, LATENCY, OTHER_LATENCY, UNCOVERED];
    cells.sort_by_key(|cell| order.iter().position(|group| *group == cell.group));
    cells
}

fn slow_kinds() -> [(&'static str, Kind); 8] {
    [
        ("× 1.2 (tolerated)", Kind::Slower(1.2)),
        ("× 1.5", Kind::Slower(1.5)),
        ("× 2", Kind::Slower(2.0)),
        ("× 10", Kind::Slower(10.0)),
        ("5 % of answers 1 s late", Kind::Late(0.05, 1.0)),
        ("1 % of answers 3 s late", Kind::Late(0.01, 3.0)),
        ("5 % hang", Kind::Hangs(0.05)),
        ("all hang", Kind::Hangs(1.0)),
    ]
}
