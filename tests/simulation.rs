//! The state over virtual time: rollouts in worlds drawn from seeds, on the engine of `cargo run --example blast`.
//!
//! What is promised of the judge, at a size that a test run bears: means over some runs, and every run within bounds that
//! are wide. The example says the same of a hundred times as many. A failing seed is printed.

mod forecast;
mod invariants;
mod rules;

use ::simulation::bound;
use ::simulation::dice::Dice;
use ::simulation::engine::Engine;
use ::simulation::judge::{self, Watcher};
use ::simulation::runs::{self, RunSpec, SimulatedRun, budget, on_threads};
use ::simulation::through;
use ::simulation::worlds::{
    ColdStarts, ErrorModel, ErrorShape, FaultKind, LatencyModel, SideConditions, TICK, TickConditions, World,
};

const MINUTE: u64 = 60_000;

/// A run of at most this length whose only judge is this policy, which looks every so many milliseconds.
fn engine(world: &World, seed: u64, length: u64, policy: judgement::guard::GuardPolicy, every: u64) -> Engine<'_> {
    let watchers = vec![Watcher { policy, every, until: u64::MAX }];
    Engine::new(world, length, Dice::of(seed, 0, 0), watchers, false)
}

/// So many runs with a standard budget, with the rules of others beside them for so many milliseconds.
fn runs(world: &World, n: usize, patience: u64, peers: u64) -> Vec<SimulatedRun> {
    let others = if peers > 0 { n } else { 0 };
    let spec =
        RunSpec { budget: judgement::guard::EvidenceBudget::STANDARD, patience, plain: (0, 0), peers: (others, peers) };
    on_threads(2, n, |seed| runs::run(world, &spec, seed, Dice::of(1, 2, seed as u64)))
}

fn mean(runs: &[SimulatedRun], value: impl Fn(&SimulatedRun) -> f64) -> f64 {
    runs.iter().map(value).sum::<f64>() / runs.len() as f64
}

/// Every run finds the fault, after its beginning and within so many seconds.
fn all_find_it(runs: &[SimulatedRun], within: f64) {
    for (seed, run) in runs.iter().enumerate() {
        let after = run.judge.after.unwrap_or_else(|| panic!("seed {seed}: never"));
        assert!(after > 0.0 && after <= within, "seed {seed}: {after} s");
    }
}

/// No run of a healthy world of this length is rolled back.
fn none_is_rolled_back(world: &World, n: usize, length: u64) {
    let spec = RunSpec { budget: budget(length), patience: length, plain: (0, 0), peers: (0, 0) };
    let runs = on_threads(2, n, |seed| runs::run(world, &spec, seed, Dice::of(3, 4, seed as u64)));
    for (seed, SimulatedRun { judge, .. }) in runs.iter().enumerate() {
        assert_eq!(judge.after, None, "{}, seed {seed}: {}", world.name, judge.reason);
    }
}

#[test]
fn candidates_that_are_as_good_or_better_are_through_in_their_plans_time() {
    for world in through::WORLDS {
        for rate in [2.0, 10.0] {
            let runs = on_threads(2, 16, |seed| through::run(world, rate, Dice::of(5, rate as u64, seed as u64)));
            for (seed, run) in runs.iter().enumerate() {
                assert!(run.is_through(), "{} at {rate}/s, seed {seed}: {run:?}", world.name);
            }
        }
    }
}

fn reference(at: u64, kind: FaultKind) -> World {
    World::reference("reference load").with_fault(at, kind)
}

#[test]
fn a_dead_candidate_is_gone_within_half_a_second_of_the_start_of_the_fault() {
    for (at, failures) in [(0, 30.0), (10_000, 50.0)] {
        let runs = runs(&reference(at, FaultKind::Fails(1.0)), 40, MINUTE, 60_000);
        // The mean is 0.2 s and 0.35 s.
        all_find_it(&runs, 1.0);
        let failed = mean(&runs, |run| run.judge.failed);
        assert!(failed <= failures, "from {at} ms on: {failed} judged failures");
        assert!(mean(&runs, |run| run.judge.after.unwrap()) <= 0.5);
        let floor = mean(&runs, |run| run.peers[0].failed);
        assert!(floor >= 40.0 * failed, "from {at} ms on: {failed} against {floor} by Flagger's floor");
    }
}

#[test]
fn half_and_a_tenth_of_failures_cost_a_handful_of_requests() {
    for (share, most) in [(0.5, 20.0), (0.1, 15.0)] {
        let runs = runs(&reference(0, FaultKind::Fails(share)), 40, 2 * MINUTE, 0);
        all_find_it(&runs, 20.0);
        let failed = mean(&runs, |run| run.judge.failed);
        assert!(failed <= most, "{share} fail: {failed}");
    }
}

#[test]
fn where_the_limiter_does_not_bind_the_judge_is_near_the_bound() {
    for share in [1.0, 0.1] {
        let world = World { rate: 50.0, ..reference(0, FaultKind::Fails(share)) };
        let runs = runs(&world, 40, 4 * MINUTE, 0);
        let bound = bound::failures(0.1, share, 0.001, 1e-3).unwrap();
        let failed = mean(&runs, |run| run.judge.failed);
        assert!(failed <= 2.5 * bound, "{share} fail: {failed}, bound {bound}");
        assert!(failed >= bound, "{share} fail: {failed} is under the bound of {bound}: one of the two is wrong");
    }
}

#[test]
fn one_dead_route_of_ten_is_found_in_a_healthy_site() {
    let mut world = World { routes: 10, ..reference(0, FaultKind::Fails(1.0)) };
    world.fault.iter_mut().for_each(|fault| fault.route = Some(3));
    let runs = runs(&world, 6, MINUTE, 0);
    all_find_it(&runs, 10.0);
    assert!(mean(&runs, |run| run.judge.failed) <= 40.0);
}

#[test]
fn clients_see_few_of_the_failures_because_caution_turns_away_what_cannot_be_rescued() {
    let runs = runs(&reference(5_000, FaultKind::Fails(1.0)), 30, MINUTE, 0);
    let (failed, hurt) = (mean(&runs, |run| run.judge.failed), mean(&runs, |run| run.judge.hurt));
    assert!(hurt < failed / 4.0, "{hurt} of {failed}: without caution it would be three in ten");
    assert!(mean(&runs, |run| run.judge.turned_away) > 0.0);
}

#[test]
fn a_candidate_that_takes_twice_as_long_is_found_within_120_of_its_requests() {
    let world = reference(MINUTE, FaultKind::Slower(2.0)).with_latency(LatencyModel::default());
    let runs = runs(&world, 12, MINUTE, 0);
    all_find_it(&runs, 10.0);
    let slow = mean(&runs, |run| run.judge.slow);
    assert!(slow <= 120.0, "{slow} requests");
    assert!(runs.iter().all(|run| run.judge.reason == "evidence of slowness"), "{:?}", runs[0].judge);
}

#[test]
fn a_candidate_that_hangs_is_found_before_any_of_its_requests_has_ended() {
    for at in [0, 10_000] {
        let world = reference(at, FaultKind::Hangs(1.0)).with_latency(LatencyModel::default());
        let runs = runs(&world, 12, MINUTE, 0);
        // They hang for ten seconds.
        all_find_it(&runs, 6.0);
        assert!(runs.iter().all(|run| run.judge.reason == "evidence of stalls"), "{:?}", runs[0].judge);
    }
}

#[test]
fn healthy_candidates_are_left_alone() {
    let errors = |name: &str, rate, shape| World::healthy(name, MINUTE).with_errors(rate, shape);
    let latency = |name: &str, latency| World::healthy(name, MINUTE).with_latency(latency);
    let worse = |name: &str, base, ratio| World {
        errors: ErrorModel { base, ratio, shape: ErrorShape::Steady },
        ..World::healthy(name, MINUTE)
    };
    for world in [
        errors("steady, 0.1 %", 0.001, ErrorShape::Steady),
        errors("steady, 1 %", 0.01, ErrorShape::Steady),
        errors("drifting", 0.001, ErrorShape::Drifting),
        errors("clustered", 0.001, ErrorShape::Clustered(3.0)),
        errors("bursts", 0.001, ErrorShape::Bursts { every: 10.0, apart: 0.0 }),
        errors("bursts, 100 ms apart", 0.001, ErrorShape::Bursts { every: 10.0, apart: 100.0 }),
        worse("errors × 1.3", 0.001, 1.3),
        worse("errors at the edge of what is tolerated", 0.01, 1.6),
        latency("cold instances", LatencyModel { cold: ColdStarts::Instances, ..LatencyModel::default() }),
        latency("cold start", LatencyModel { cold: ColdStarts::Whole, ..LatencyModel::default() }),
        latency("spikes", LatencyModel { spikes: true, ..LatencyModel::default() }),
        latency("latency × 1.2", LatencyModel { slower: 0.2, ..LatencyModel::default() }),
    ] {
        none_is_rolled_back(&world, 20, MINUTE);
    }
}

#[test]
fn a_shared_outage_rolls_nothing_back() {
    let world = World { plan: vec![(0, 25.0)], ..World::reference("shared outage") };
    for seed in 0..6 {
        let mut engine = engine(&world, seed, 100_000, judgement::guard::GuardPolicy::standard(), TICK);
        while engine.now < 100_000 {
            let fails = if (20_000..80_000).contains(&engine.now) { 0.9 } else { 0.001 };
            let air = SideConditions { fails, ..SideConditions::CLEAR };
            engine.tick_under(
                TICK,
                &TickConditions { sides: [air; 2], broken: None, cluster: 1.0, client: None, crawler: None },
            );
        }
        assert_eq!(engine.judges[0].end, None, "seed {seed}");
    }
}

#[test]
fn the_plain_triggers_find_a_dead_candidate_within_half_a_second_at_any_seed() {
    for seed in 0..100 {
        let world = reference(20_000, FaultKind::Fails(1.0));
        let mut engine = engine(&world, seed, 40_000, runs::plain(), 100);
        engine.run(40_000);
        let end = engine.judges[0].end.as_ref().unwrap_or_else(|| panic!("seed {seed}: never"));
        assert!(end.at > 20_000 && end.at <= 20_500 + judge::LAG, "seed {seed}: {end:?}");
    }
}

#[test]
fn a_dead_candidate_is_gone_at_low_rates_too_once_a_handful_has_failed() {
    for policy in [runs::plain(), judgement::guard::GuardPolicy::standard()] {
        for seed in 0..30 {
            let world = World { rate: 50.0, ..reference(0, FaultKind::Fails(1.0)) };
            let mut engine = engine(&world, seed, MINUTE, policy.clone(), 100);
            engine.run(MINUTE);
            let end = engine.judges[0].end.as_ref();
            assert!(end.is_some_and(|end| end.at <= 10_000), "seed {seed}: {end:?}");
        }
    }
}

#[test]
fn the_plain_triggers_leave_healthy_candidates_alone_for_hours() {
    for seed in 0..10 {
        let world = World { rate: 500.0, ..World::reference("healthy").with_errors(0.01, ErrorShape::Steady) };
        let hour = 60 * MINUTE;
        let mut engine = engine(&world, seed, hour, runs::plain(), 100);
        engine.run(hour);
        assert_eq!(engine.judges[0].end, None, "seed {seed}: a healthy candidate at 1 % of errors");
    }
}

#[test]
fn the_plain_triggers_find_eight_percent_of_errors_after_two_minutes_and_not_before() {
    for seed in 0..20 {
        let plan = vec![(0, 25.0)];
        let world = World { rate: 2000.0, plan, ..reference(0, FaultKind::Fails(0.08)) };
        let mut engine = engine(&world, seed, 10 * MINUTE, runs::plain(), 100);
        engine.run(10 * MINUTE);
        let end = engine.judges[0].end.as_ref().unwrap_or_else(|| panic!("seed {seed}: never"));
        assert!((2 * MINUTE..3 * MINUTE).contains(&end.at), "seed {seed}: {end:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_on_any_number_of_threads() {
    let world = reference(2_000, FaultKind::Fails(0.5)).with_latency(LatencyModel::default());
    let spec = RunSpec { budget: budget(MINUTE), patience: MINUTE, plain: (2, MINUTE), peers: (2, MINUTE) };
    let all = |threads| {
        on_threads(threads, 6, |seed| format!("{:?}", runs::run(&world, &spec, seed, Dice::of(5, 6, seed as u64))))
    };
    assert_eq!(all(1), all(3));
}
