//! The mirror of the blast radius: of candidates that are as good as active or better, how many are through, and in what
//! time. The product's own state takes whole rollouts through the standard plan.

use judgement::guard::GuardPolicy;
use judgement::guard::window::{COHORT, COHORTS, JudgedTotals};
use judgement::rollout::plan::RolloutPlan;
use judgement::rollout::release::RolloutPhase;
use judgement::rollout::{
    DeployRequest, Event, LoadedService, OperatorAction, OperatorCommand, Requester, SplitRequest, State, WaitReason,
};
use judgement::time::Millis;
use judgement::traffic::Environment;

use crate::dice::Dice;

/// The state looks so often, in milliseconds: five times a second, for a fifth of the work of the real one.
const TICK: u64 = 200;
/// Traffic before the rollout, in milliseconds: what is usual for active.
const BEFORE: u64 = 120_000;
/// A rollout that takes this many times what its plan takes is not through.
const LATE: f64 = 1.2;

/// Two sides that each fail a share of their requests, steadily.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SteadyWorld {
    pub name: &'static str,
    pub active: f64,
    pub candidate: f64,
}

/// Worlds that must get through: what fails is usual, or what the candidate mends.
pub const WORLDS: [SteadyWorld; 8] = [
    SteadyWorld { name: "nothing fails", active: 0.0, candidate: 0.0 },
    SteadyWorld { name: "0.1 % of both fail", active: 0.001, candidate: 0.001 },
    SteadyWorld { name: "1 % of both fail", active: 0.01, candidate: 0.01 },
    SteadyWorld { name: "4 % of both fail", active: 0.04, candidate: 0.04 },
    SteadyWorld { name: "10 % of both fail", active: 0.10, candidate: 0.10 },
    SteadyWorld { name: "10 % of active fail, 2 % of the candidate", active: 0.10, candidate: 0.02 },
    SteadyWorld { name: "half of active fails, none of the candidate", active: 0.50, candidate: 0.0 },
    SteadyWorld { name: "all of active fails, none of the candidate", active: 1.0, candidate: 0.0 },
];

/// Requests a second. At the lowest, the plan's 20 requests come in two minutes at 10 %, more or less.
pub const RATES: [f64; 4] = [2.0, 10.0, 100.0, 1000.0];

/// What became of one rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeRollout {
    /// Promoted.
    pub promoted: bool,
    /// How long it took, over how long its plan alone would have taken: the bake times, and the time until the
    /// requests had come that the plan wants.
    pub stretch: f64,
    /// Why it did not go on, where it was late or ended.
    pub held_by: String,
}

impl WholeRollout {
    pub fn is_through(&self) -> bool {
        self.promoted && self.stretch <= LATE
    }
}

struct Traffic {
    world: SteadyWorld,
    rate: f64,
    dice: Dice,
    totals: [JudgedTotals; 2],
}

impl Traffic {
    /// A tick of it, at this share of the candidate.
    fn flow(&mut self, now: u64, share: f64) {
        for (side, part, fails) in [(0, 1.0 - share, self.world.active), (1, share, self.world.candidate)] {
            let n = self.dice.poisson(self.rate * part * TICK as f64 / 1000.0);
            let failed = (0..n).filter(|_| self.dice.chance(fails)).count() as u64;
            let totals = &mut self.totals[side];
            totals.counts.answers += u64::from(n);
            totals.counts.failed += failed;
            let slot = (now / COHORT.0) as usize % COHORTS;
            for ring in [&mut totals.cohorts.sent, &mut totals.cohorts.ended] {
                ring[slot] = ring[slot].wrapping_add(n);
            }
        }
    }

    fn counted(&self) -> Event {
        Event::Counted { service: "shop".into(), routes: vec![Some(self.totals.clone())], on_grid: true }
    }
}

fn apply(state: &mut State, event: Event, now: u64) {
    state.apply(event, Millis(now)).expect("a simulated rollout");
}

fn started(policy: GuardPolicy) -> State {
    let mut state = State::default();
    let loaded = LoadedService {
        ask: SplitRequest { active: Some(Environment::Blue), weight: None },
        policy,
        ..LoadedService::standard("shop")
    };
    apply(&mut state, Event::Loaded(vec![loaded]), 0);
    state
}

/// One rollout from its deploy to its promotion, or to the time at which nobody would wait any longer.
pub fn run(world: SteadyWorld, rate: f64, dice: Dice) -> WholeRollout {
    let mut state = started(GuardPolicy::standard());
    let mut traffic = Traffic { world, rate, dice, totals: Default::default() };
    let mut now = 0;
    while now < BEFORE {
        now += TICK;
        traffic.flow(now, 0.0);
    }
    let act = OperatorAction::Deploy(DeployRequest { version: "2".into(), ..DeployRequest::default() });
    apply(&mut state, Event::Command(OperatorCommand { service: "shop".into(), by: Requester::default(), act }), now);
    apply(&mut state, Event::Preflighted { service: "shop".into(), rollout: 1, result: Ok(String::new()) }, now);
    let (began, mut planned, mut held_by) = (now, 0, String::new());
    let patience = 4 * RolloutPlan::standard().steps.iter().map(|step| step.bake.0).sum::<u64>();
    while now - began < patience.max(2 * planned) {
        now += TICK;
        let share = state.split("shop").expect("a service").weight.ratio();
        traffic.flow(now, share);
        apply(&mut state, traffic.counted(), now);
        let view = state.views(Millis(now)).remove(0);
        let rollout = view.rollout.expect("a rollout");
        match rollout.phase {
            RolloutPhase::Promoted => {
                let stretch = (now - began) as f64 / planned.max(1) as f64;
                return WholeRollout { promoted: true, stretch, held_by };
            }
            phase if !phase.is_under_way() => {
                let (stretch, held_by) = (f64::INFINITY, rollout.why.unwrap_or_default());
                return WholeRollout { promoted: false, stretch, held_by };
            }
            _ => {}
        }
        let own = |reason: &WaitReason| matches!(reason, WaitReason::Bake { .. } | WaitReason::Requests { .. });
        if rollout.waiting.iter().any(own) {
            planned += TICK;
        } else if let Some(reason) = rollout.waiting.first() {
            held_by = reason.to_string();
        } else {
            planned += TICK;
        }
    }
    WholeRollout { promoted: false, stretch: f64::INFINITY, held_by }
}

/// The share of rollouts that are through, of so many, and what held the others most often.
#[derive(Clone, Debug)]
pub struct ThroughResult {
    pub world: SteadyWorld,
    pub rate: f64,
    pub runs: usize,
    pub through: usize,
    /// How much longer than its plan a rollout takes: median, and 99 in 100.
    pub stretch: [f64; 2],
    pub held_by: String,
}

impl ThroughResult {
    pub fn of(world: SteadyWorld, rate: f64, runs: &[WholeRollout]) -> ThroughResult {
        let mut stretches: Vec<f64> = runs.iter().map(|run| run.stretch).collect();
        stretches.sort_by(f64::total_cmp);
        let at = |part: f64| stretches[((stretches.len() - 1) as f64 * part).round() as usize];
        let late = runs.iter().find(|run| !run.is_through());
        ThroughResult {
            world,
            rate,
            runs: runs.len(),
            through: runs.iter().filter(|run| run.is_through()).count(),
            stretch: [at(0.5), at(0.99)],
            held_by: late.map_or(String::new(), |run| run.held_by.clone()),
        }
    }
}

/// A table of worlds, with a column for each rate.
pub fn table(results: &[ThroughResult]) -> String {
    let mut out = String::from(
        "### Of candidates that are as good or better, how many are through\n\n\
         Whole rollouts over the standard plan, 10 to 100 % in five steps of two minutes and 20 requests. Through: promoted within 1.2\n\
         times what the plan takes, which is the bake times, and longer where its requests come more slowly. In brackets how much longer\n\
         than that a rollout takes: median, 99 in 100.\n\n| world |",
    );
    RATES.iter().for_each(|rate| out += &format!(" {rate}/s |"));
    out += "\n|---|";
    RATES.iter().for_each(|_| out += "---|");
    for world in WORLDS {
        let cells = results.iter().filter(|result| result.world == world);
        out += &format!("\n| {} |", world.name);
        for ThroughResult { runs, through, stretch: [median, most], held_by, .. } in cells {
            let share = 100.0 * *through as f64 / *runs as f64;
            out += &format!(" {share:.1} % ({median:.2}, {most:.2})");
            if !held_by.is_empty() {
                out += &format!(" {held_by}");
            }
            out += " |";
        }
    }
    out
}
