//! A restart continues where it was, and a file edited meanwhile waits.

use super::*;

#[test]
fn a_restart_goes_on_where_it_was_in_every_phase() {
    let mut bench = Bench::new(plan());
    bench.order(deploy("2.0.0")).unwrap();
    bench.restart();
    assert_eq!(bench.phase(), RolloutPhase::Preflight);
    assert!(matches!(bench.effects.last(), Some(Effect::Preflight(_))), "tried again: {:?}", bench.effects);
    bench.preflighted(Ok(""));
    bench.run(20);
    bench.restart();
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    assert!(bench.run(7).is_empty(), "20 of 30 seconds were baked");
    assert_eq!(bench.run(6), [ChangeKind::Step]);
    bench.order(OperatorAction::Pause).unwrap();
    bench.restart();
    bench.run(100);
    assert_eq!(bench.at(), (RolloutPhase::Paused, 50.0));
    bench.order(OperatorAction::Resume).unwrap();
    bench.run(31);
    assert_eq!(bench.at(), (RolloutPhase::Baking, 100.0));
    bench.restart();
    bench.run(31);
    assert_eq!((bench.phase(), bench.durable().active), (RolloutPhase::Promoted, Environment::Green));
    bench.run(30);
    bench.restart();
    assert!(bench.durable().is_watching());
    let kinds = bench.run(35);
    assert!(kinds.contains(&ChangeKind::Watched), "{kinds:?}");
    bench.restart();
    assert_eq!((bench.at(), bench.durable().active), ((RolloutPhase::Promoted, 0.0), Environment::Green));
}

#[test]
fn how_far_it_is_is_written_down_as_it_goes() {
    let mut bench = under_way();
    bench.run(31);
    assert_eq!(bench.kept, 5, "every five seconds");
}

#[test]
fn the_file_steers_nothing_while_a_rollout_runs_but_may_take_it_back() {
    let mut bench = under_way();
    bench.load().unwrap();
    bench.asked = 30.0;
    let refused = bench.load().unwrap_err();
    assert!(refused.to_string().contains("only 0 is accepted"), "{refused}");
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    // The file has said 0 from the start, so a change first needs another weight while nothing is running.
    bench.order(OperatorAction::Abort).unwrap();
    bench.load().unwrap();
    assert_eq!(bench.durable().weight, percent(30.0));
    bench.order(shift(0.0, false)).unwrap();
    bench.order(deploy("2.0.1")).unwrap();
    bench.preflighted(Ok(""));
    bench.asked = 0.0;
    bench.load().unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Aborted, 0.0));
}

#[test]
fn a_file_that_was_edited_while_it_was_down_waits_for_the_end_of_the_rollout() {
    let mut bench = under_way();
    bench.asked = 30.0;
    bench.restart();
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    bench.order(OperatorAction::Abort).unwrap();
    bench.load().unwrap();
    assert_eq!(bench.durable().weight, percent(30.0));
    bench.order(shift(0.0, false)).unwrap();
    bench.order(deploy("2.0.1")).unwrap();
    bench.preflighted(Ok(""));
    bench.asked = 0.0;
    bench.restart();
    assert_eq!(bench.at(), (RolloutPhase::Aborted, 0.0), "taking it back is heard at once");
}

#[test]
fn what_a_step_waits_for_is_told_once_over_a_restart_too() {
    let mut quiet = plan();
    quiet.steps.iter_mut().for_each(|step| step.requests = 1_000_000);
    let mut bench = Bench::new(quiet);
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    assert_eq!(bench.run(100), [ChangeKind::Waiting]);
    bench.restart();
    assert_eq!(bench.run(100), []);
}

/// With evidence, and with all of the traffic on green: at the last step, or promoted.
fn alone(phase: RolloutPhase) -> Bench {
    let mut bench = Bench { evidence: true, ..Bench::new(RolloutPlan { watch: Millis::seconds(3600), ..plan() }) };
    bench.load().unwrap();
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    while bench.phase() != phase {
        bench.run(1);
        assert!(bench.now < 300_000, "{:?}", bench.at());
    }
    bench.run(2);
    bench
}

fn verdict(bench: &Bench) -> (Option<&'static str>, String) {
    let guard = bench.state.views(Millis(bench.now)).remove(0).guard;
    (guard.verdict, guard.why.unwrap_or_default())
}

#[test]
fn a_restart_goes_on_judging_by_what_active_did_before() {
    for phase in [RolloutPhase::Baking, RolloutPhase::Promoted] {
        let mut bench = alone(phase);
        let stored = serde_json::to_string(bench.durable()).unwrap();
        bench.restart();
        assert_eq!(serde_json::to_string(bench.durable()).unwrap(), stored);
        bench.run(10);
        assert_eq!(verdict(&bench), (Some("healthy"), String::new()), "{phase:?}");
        // No trigger minds that.
        bench.failing = 4;
        assert!(bench.run(60).contains(&ChangeKind::Rollback), "{phase:?}");
        assert!(bench.durable().before.is_none(), "it is over");
    }
}

#[test]
fn what_is_compared_with_nothing_is_not_called_healthy() {
    let bench = alone(RolloutPhase::Promoted);
    assert_eq!(verdict(&bench).0, Some("healthy"));
    // A state of an older version, or over an hour later.
    let (generation, entry) = (bench.state.generation(), bench.state.last_entry());
    for began in [2_000_000, 5_000_000] {
        let mut durable = bench.durable().clone();
        if began == 2_000_000 {
            durable.before = None;
        }
        let mut again = Bench { failing: 4, ..alone(RolloutPhase::Promoted) };
        again.state = State::restored([("shop".to_owned(), durable)].into(), generation, entry, began);
        (again.now, again.counts) = (0, Default::default());
        again.load().unwrap();
        let kinds = again.run(100);
        assert!(!kinds.contains(&ChangeKind::Rollback), "{kinds:?}");
        let (name, why) = verdict(&again);
        assert_eq!(name, Some("not_compared"));
        let wanted = "not compared: nothing is known of what blue did before; green failed 240 of 6,000 (4 %) in 1m, and only \
                      triggers judge it";
        assert_eq!(why, wanted);
    }
}

/// How long a candidate that has begun to fail is there, with something done every second.
fn seconds_to_conviction(each_second: impl Fn(&mut Bench)) -> Option<u64> {
    let mut bench = under_way();
    bench.evidence = true;
    bench.load().unwrap();
    bench.run(1);
    bench.failing = 25;
    (1..=30).find(|_| {
        let kinds = bench.run(1);
        each_second(&mut bench);
        kinds.contains(&ChangeKind::Rollback)
    })
}

#[test]
fn an_upgrade_is_no_fresh_start_for_a_bad_candidate() {
    let without = seconds_to_conviction(|_| {}).unwrap();
    assert!(without > 2, "{without}");
    assert_eq!(seconds_to_conviction(|bench| bench.hand_over(true)), Some(without));
    let forgetful = seconds_to_conviction(|bench| bench.hand_over(false));
    assert!(forgetful.is_none_or(|seconds| seconds > without), "{forgetful:?}");
}

#[test]
fn the_ledger_goes_on_over_an_upgrade() {
    let mut bench = under_way();
    bench.failing = 5;
    bench.run(10);
    bench.hand_over(true);
    bench.run(10);
    let ledger = bench.state.ledger("shop").unwrap();
    assert_eq!((ledger.requests, ledger.failed), (0, 10), "{ledger:?}");
    bench.hand_over(false);
    bench.run(10);
    assert_eq!(bench.state.ledger("shop").unwrap().failed, 5);
}
