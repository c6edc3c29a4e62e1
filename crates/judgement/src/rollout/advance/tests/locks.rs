//! What holds for everybody, the file included: a freeze, a stop and a quarantine.

use super::*;
use crate::traffic::rule::{RoutingRule, RuleCondition, RuleTarget, ValueTest};

#[test]
fn a_freeze_and_a_stop_hold_for_the_file() {
    let mut bench = Bench::new(plan());
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    bench.asked = 50.0;
    let refused = bench.load().unwrap_err();
    assert!(matches!(&refused, RolloutError::FileDuringFreeze { who, .. } if who == "ann"), "{refused}");
    assert_eq!(refused.place(), Some(("shop", FilePlace::Split)));
    bench.order(OperatorAction::Unfreeze).unwrap();
    bench.order(OperatorAction::Stop).unwrap();
    assert!(matches!(bench.load().unwrap_err(), RolloutError::FileDuringStop { .. }));
    bench.order(OperatorAction::Clear).unwrap();
    bench.load().unwrap();
    assert_eq!(bench.durable().weight, percent(50.0));
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    for less in [20.0, 0.0] {
        bench.asked = less;
        bench.load().unwrap();
        assert_eq!(bench.durable().weight, percent(less), "nothing keeps a person from taking a share back");
    }
}

#[test]
fn a_window_freezes_by_the_clock_on_the_wall_and_one_who_may_passes_it_on_record() {
    let mut bench = Bench::new(plan());
    bench.freezes = vec![FreezeWindow::parse("Fri 16:00–Mon 08:00 UTC").unwrap()];
    bench.load().unwrap();
    let friday = crate::time::parse_rfc3339("2026-11-27T15:59:00Z").unwrap();
    bench.state.tell_time(friday, Millis(bench.now));
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    assert_eq!(bench.run(40), [ChangeKind::Step]);
    // Past four o'clock nothing moves, and that is said.
    assert_eq!(bench.run(120), [ChangeKind::Waiting]);
    assert_eq!((bench.at(), bench.waiting().as_str()), ((RolloutPhase::Shifting, 50.0), "frozen"));
    bench.asked = 60.0;
    bench.order(OperatorAction::Abort).unwrap();
    assert!(matches!(bench.load().unwrap_err(), RolloutError::FileDuringFreeze { who, .. } if who == "file"));
    assert!(matches!(bench.order(deploy("2.0.1")).unwrap_err(), RolloutError::Frozen { .. }));
    let passing = DeployRequest { version: "2.0.1".into(), pass_freeze: true, ..DeployRequest::default() };
    bench.order(OperatorAction::Deploy(passing)).unwrap();
    assert_eq!(bench.entry().why, "deploying 2.0.1 to green, past the freeze by file (Fri 16:00–Mon 08:00 UTC)");
    bench.preflighted(Ok(""));
    assert_eq!(bench.run(40), [ChangeKind::Step], "it goes on in the window");
    // The host slept through the weekend.
    let monday = crate::time::parse_rfc3339("2026-11-30T08:00:00Z").unwrap();
    bench.state.tell_time(monday, Millis(bench.now));
    assert!(bench.state.views(Millis(bench.now))[0].freeze.is_none());
}

#[test]
fn a_file_swaps_the_roles_neither_during_a_rollout_nor_in_a_stop_not_even_at_a_start() {
    let green = Some(Environment::Green);
    for stopped in [false, true] {
        let mut bench = under_way();
        if stopped {
            bench.order(OperatorAction::Stop).unwrap();
        }
        let swap = loaded(&bench, green, Some(0.0));
        bench.apply(swap.clone()).unwrap_err();
        let durable = bench.durable().clone();
        bench.state = State::restored([("shop".to_owned(), durable)].into(), 5, 5, 1_000_000);
        bench.apply(swap).unwrap();
        assert_eq!(bench.durable().active, Environment::Blue, "stopped: {stopped}");
        let entry = bench.entry();
        assert_eq!(entry.kind, ChangeKind::Waiting);
        assert!(entry.why.contains("is not followed") && entry.why.contains("save it again"), "{}", entry.why);
    }
}

#[test]
fn a_service_does_not_leave_a_freeze_or_a_stop_by_leaving_the_file() {
    for act in [OperatorAction::Freeze { until: None }, OperatorAction::Stop] {
        let mut bench = Bench::new(plan());
        bench.order(act).unwrap();
        let refused = bench.apply(Event::Loaded(vec![])).unwrap_err();
        assert!(matches!(refused, RolloutError::ServiceHeld { .. }), "{refused}");
    }
}

fn rule(name: &str, to: RuleTarget, overrides: bool) -> LoadedRule {
    let conditions = vec![RuleCondition::Cookie { name: name.into(), test: ValueTest::Present }];
    LoadedRule::of(&RoutingRule { name: name.into(), conditions, answer: to, overrides, strip: false, share: 0 })
}

/// What a file is refused for in a freeze.
fn refused_in_a_freeze(bench: &mut Bench) -> (FilePlace, String) {
    match bench.load().unwrap_err() {
        RolloutError::FileDuringFreeze { change, .. } => (change.place, change.what),
        other => panic!("{other}"),
    }
}

#[test]
fn in_a_freeze_a_file_sends_nobody_elsewhere_by_a_url_or_a_rule() {
    let mut bench = Bench::new(plan());
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    let before = bench.premises.clone();
    bench.premises.urls[0] = "http://blue:80 http://blue:81".into();
    bench.load().unwrap();
    bench.premises.urls[0] = "http://new:80".into();
    let (place, what) = refused_in_a_freeze(&mut bench);
    assert_eq!(place, FilePlace::Origin(Environment::Blue));
    assert_eq!(what, "the routing file may not send the clients of blue to http://new:80");
    bench.premises = before.clone();
    bench.premises.urls[1] = "http://new:80".into();
    bench.load().unwrap();
    for (to, overrides, is_refused) in [
        (RuleTarget::Candidate, true, true),
        (RuleTarget::Environment(Environment::Green), true, true),
        (RuleTarget::Environment(Environment::Blue), true, false),
        (RuleTarget::Active, true, false),
        // Without a share of the candidate's it does nothing.
        (RuleTarget::Candidate, false, false),
    ] {
        bench.premises.rules = vec![rule("beta", to, overrides)];
        if is_refused {
            assert_eq!(refused_in_a_freeze(&mut bench).0, FilePlace::Rule("beta".into()));
        } else {
            bench.load().unwrap();
        }
    }
    bench.order(OperatorAction::Unfreeze).unwrap();
    bench.premises.rules = vec![rule("beta", RuleTarget::Candidate, true)];
    bench.load().unwrap();
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    bench.premises.rules.insert(0, rule("other", RuleTarget::Active, true));
    bench.load().unwrap();
}

#[test]
fn a_window_that_is_open_outlasts_its_line_in_the_file() {
    let mut bench = Bench::new(plan());
    bench.freezes = vec![FreezeWindow::parse("Fri 16:00–Mon 08:00 UTC").unwrap()];
    bench.load().unwrap();
    let friday = crate::time::parse_rfc3339("2026-11-27T16:00:00Z").unwrap();
    bench.state.tell_time(friday, Millis(bench.now));
    bench.freezes.clear();
    bench.load().unwrap();
    let entry = bench.entry();
    assert_eq!((entry.kind, entry.who.as_str()), (ChangeKind::Freeze, "file"));
    bench.asked = 10.0;
    bench.load().unwrap_err();
    let monday = crate::time::parse_rfc3339("2026-11-30T08:00:00Z").unwrap();
    bench.state.tell_time(monday, Millis(bench.now));
    bench.load().unwrap();
    // One who may lift a freeze lifts this one too.
    bench.state.tell_time(friday, Millis(bench.now));
    bench.asked = 20.0;
    bench.load().unwrap_err();
    bench.order(OperatorAction::Unfreeze).unwrap();
    bench.load().unwrap();
}

#[test]
fn a_version_that_was_rolled_back_gets_clients_only_by_force_or_from_another_place() {
    let mut bench = under_way();
    bench.order(OperatorAction::Rollback).unwrap();
    bench.asked = 10.0;
    let refused = bench.load().unwrap_err();
    assert!(matches!(&refused, RolloutError::FileQuarantined { version, .. } if version == "2.0.0"), "{refused}");
    let swap = loaded(&bench, Some(Environment::Green), Some(0.0));
    assert!(matches!(bench.apply(swap).unwrap_err(), RolloutError::FileQuarantined { .. }));
    for gradual in [false, true] {
        assert!(matches!(bench.order(shift(10.0, gradual)).unwrap_err(), RolloutError::Quarantined { .. }));
    }
    let durable = bench.durable().clone();
    bench.order(OperatorAction::Shift { weight: percent(10.0), gradual: false, force: true }).unwrap();
    assert!(bench.durable().quarantine.is_empty());
    // What is somewhere else is not what was rolled back.
    bench.state = State::restored([("shop".to_owned(), durable)].into(), 5, 5, 1_000_000);
    bench.asked = 0.0;
    bench.load().unwrap();
    (bench.asked, bench.premises.urls[1]) = (10.0, "http://mended:80".into());
    bench.load().unwrap();
    assert_eq!(bench.durable().weight, percent(10.0));
}
