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
