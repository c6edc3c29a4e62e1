//! What operators do by hand while a plan runs, and after it.

use super::*;

#[test]
fn a_person_swaps_back_long_after_the_promotion() {
    let mut bench = under_way();
    bench.run(200);
    assert!(!bench.durable().is_watching());
    bench.order(OperatorAction::Rollback).unwrap();
    assert_eq!((bench.at(), bench.durable().active), ((RolloutPhase::RolledBack, 0.0), Environment::Blue));
    assert!(matches!(bench.order(OperatorAction::Rollback), Err(RolloutError::NothingToRollBack { .. })));
}

#[test]
fn a_freeze_holds_deploys_and_steps_until_its_hour_and_never_a_rollback() {
    let mut bench = under_way();
    let until = bench.state.wall(Millis(bench.now)) + 60_000;
    bench.order(OperatorAction::Freeze { until: Some(until) }).unwrap();
    bench.run(50);
    assert_eq!((bench.at().1, bench.waiting().as_str()), (10.0, "frozen"));
    assert!(matches!(bench.order(shift(50.0, false)), Err(RolloutError::Frozen { .. })));
    assert!(matches!(bench.order(OperatorAction::Promote), Err(RolloutError::Frozen { .. })));
    bench.order(shift(5.0, false)).unwrap();
    bench.order(OperatorAction::Resume).unwrap();
    bench.run(11);
    assert_eq!(bench.durable().frozen(bench.state.wall(Millis(bench.now))), None, "over by itself");
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    bench.order(OperatorAction::Rollback).unwrap();
    assert!(matches!(bench.order(deploy("2.0.1")), Err(RolloutError::Frozen { .. })));
    bench.order(OperatorAction::Unfreeze).unwrap();
    bench.order(deploy("2.0.1")).unwrap();
}

#[test]
fn a_shift_by_hand_holds_the_plan_and_resume_goes_on_from_there() {
    let mut bench = under_way();
    bench.order(shift(60.0, false)).unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Paused, 60.0));
    bench.run(100);
    assert_eq!(bench.at(), (RolloutPhase::Paused, 60.0));
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!((bench.at(), bench.durable().release.as_ref().unwrap().step), ((RolloutPhase::Shifting, 60.0), 1));
    bench.run(31);
    assert_eq!(bench.at(), (RolloutPhase::Baking, 100.0));
}

#[test]
fn a_gradual_shift_follows_the_steps_up_to_its_mark_and_stays_there() {
    let mut bench = Bench::new(plan());
    bench.order(shift(60.0, true)).unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    bench.run(31);
    assert_eq!(bench.at().1, 50.0);
    bench.run(31);
    assert_eq!(bench.at().1, 60.0);
    bench.run(100);
    assert_eq!(bench.at(), (RolloutPhase::Paused, 60.0));
    assert!(matches!(bench.order(OperatorAction::Resume), Err(RolloutError::Reached { .. })));
    bench.order(shift(100.0, true)).unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Baking, 100.0), "further, by the same plan");
    bench.order(OperatorAction::Promote).unwrap();
    assert_eq!(bench.durable().active, Environment::Green);
}

#[test]
fn what_is_active_already_is_deployed_again_only_by_force() {
    let mut bench = under_way();
    bench.run(100);
    assert_eq!(bench.phase(), RolloutPhase::Promoted);
    let refused = bench.order(deploy("2.0.0")).unwrap_err();
    assert_eq!(refused.to_string(), "shop: green, active, is 2.0.0 already");
    let again = DeployRequest { version: "2.0.0".into(), force: true, ..DeployRequest::default() };
    bench.order(OperatorAction::Deploy(again)).unwrap();
    assert_eq!(bench.phase(), RolloutPhase::Preflight);
    // What the file says of a side that nobody has deployed to counts as well.
    let mut bench = Bench::new(plan());
    bench.premises.versions = [Some("1.0".into()), None];
    bench.load().unwrap();
    assert!(bench.order(deploy("1.0")).is_err());
    bench.order(deploy("1.1")).unwrap();
}
