//! What a plan is said to see is seen: faults of the forecast size are found by the end of the step, in the product's own
//! state over simulated traffic.

use judgement::guard::{EvidenceBudget, GuardPolicy};
use judgement::rollout::forecast::{ForecastTraffic, StepSight, forecast};
use judgement::rollout::plan::{PlanStep, RolloutPlan};
use judgement::time::Millis;
use judgement::traffic::split::Weight;

use super::{engine, on_threads};
use ::simulation::worlds::{ErrorShape, FaultKind, World};

/// The evidence alone: what a trigger finds in addition is not promised.
fn policy() -> GuardPolicy {
    GuardPolicy { evidence: Some(EvidenceBudget::STANDARD), ..GuardPolicy::default() }
}

/// A plan of these weights, each for so many seconds.
fn plan(weights: &[f64], seconds: u64) -> RolloutPlan {
    let step = |percent: &f64| PlanStep::new(Weight::from_percent(*percent).unwrap(), Millis::seconds(seconds), 0);
    RolloutPlan { steps: weights.iter().map(step).collect(), ..RolloutPlan::standard() }
}

/// By step: the smallest fault that is to show, and the share of runs in which the guard finds it by the step's end.
fn found(rate: f64, active_fails: f64, weights: &[f64], seconds: u64, runs: usize) -> Vec<(StepSight, f64)> {
    let traffic = ForecastTraffic { rate, active_fails, routes: false };
    let steps = forecast(&plan(weights, seconds), &policy(), traffic).steps;
    let mut starts = vec![0];
    steps.iter().for_each(|step| starts.push(starts.last().unwrap() + step.least.unwrap().0));
    let share = |(at, sight): (usize, StepSight)| {
        let StepSight::Shows(fails) = sight else { return (sight, 1.0) };
        let mut world = World::reference("forecast").with_fault(0, FaultKind::Fails(fails));
        world = world.with_errors(active_fails, ErrorShape::Steady);
        world.rate = rate;
        world.plan = starts.iter().zip(weights).map(|(start, percent)| (*start, *percent)).collect();
        let end = starts[at + 1];
        let hits = on_threads(2, runs, |seed| {
            let mut engine = engine(&world, seed as u64, end, policy(), 20);
            engine.run(end);
            engine.judges[0].end.is_some()
        });
        (sight, hits.iter().filter(|hit| **hit).count() as f64 / runs as f64)
    };
    steps.iter().map(|step| step.sight).enumerate().map(share).collect()
}

#[test]
fn a_fault_that_is_said_to_show_by_the_end_of_a_step_is_found_by_then() {
    for (rate, active_fails, weights, seconds) in [
        (1000.0, 0.001, &[10.0][..], 20),
        (100.0, 0.05, &[10.0, 50.0], 60),
        (10.0, 0.01, &[10.0, 75.0], 120),
        (2.0, 0.0, &[10.0, 50.0], 300),
        (0.5, 0.0, &[25.0], 600),
    ] {
        for (sight, share) in found(rate, active_fails, weights, seconds, 100) {
            assert!(matches!(sight, StepSight::Shows(_)), "{rate}/s, {weights:?}: {sight:?}");
            assert!(share >= 0.9, "{rate}/s, {active_fails} of active's fail, {weights:?}: {sight:?} in {share}");
        }
    }
}
