//! What holds for everybody, the file included: a freeze, a stop and a quarantine.

use super::*;
use crate::traffic::host::HostPattern;
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
fn in_a_freeze_a_file_sends_nobody_elsewhere_whatever_it_changes() {
    let mut bench = Bench::new(plan());
    bench.premises.rules = vec![rule("inner", RuleTarget::Active, true), rule("beta", RuleTarget::Candidate, false)];
    bench.load().unwrap();
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    let before = bench.premises.clone();
    type Edit = fn(&mut FilePremises);
    let edits: [(&str, FilePlace, Edit); 8] = [
        ("clients of blue to http://new:80", FilePlace::Origin(Environment::Blue), |all| {
            all.urls[0] = "http://new:80".into()
        }),
        ("clients of blue to", FilePlace::Origin(Environment::Blue), |all| all.urls[0] += " http://green:80"),
        ("Host that blue", FilePlace::Origin(Environment::Blue), |all| all.hosts[0] = "other".into()),
        ("rule `inner` may not", FilePlace::Rule("inner".into()), |all| drop(all.rules.remove(0))),
        ("rule `more` may not", FilePlace::Rule("more".into()), |all| {
            all.rules.push(rule("more", RuleTarget::Candidate, true))
        }),
        ("order of its rules", FilePlace::Split, |all| all.rules.reverse()),
        ("its hosts", FilePlace::Split, |all| all.served = vec![HostPattern::Exact("a.test".into())]),
        ("if a side is down", FilePlace::Split, |all| all.choice = "both".into()),
    ];
    for (what, place, edit) in edits {
        edit(&mut bench.premises);
        let refused = refused_in_a_freeze(&mut bench);
        assert!(refused.0 == place && refused.1.contains(what), "{what}: {refused:?}");
        bench.premises = before.clone();
    }
    // Nobody is sent there.
    bench.premises.urls[1] = "http://new:80".into();
    bench.load().unwrap();
    bench.order(OperatorAction::Stop).unwrap();
    bench.premises.urls[0] = "http://new:80".into();
    let refused = bench.load().unwrap_err();
    assert!(matches!(refused, RolloutError::FileDuringStop { .. }), "{refused}");
}

#[test]
fn no_other_service_takes_the_clients_of_one_that_is_frozen() {
    let mut bench = Bench::new(plan());
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    let with = |bench: &Bench, served: HostPattern| {
        let Event::Loaded(mut services) = loaded(bench, None, None) else { unreachable!() };
        let mut other = services[0].clone();
        other.service = "other".into();
        other.premises.served = vec![served];
        services.push(other);
        Event::Loaded(services)
    };
    for host in [HostPattern::Exact("a.test".into()), HostPattern::Under("test".into())] {
        let file = with(&bench, host);
        let refused = bench.apply(file).unwrap_err();
        assert!(refused.to_string().contains("service other may not take clients of it"), "{refused}");
    }
    bench.order(OperatorAction::Unfreeze).unwrap();
    let file = with(&bench, HostPattern::Exact("a.test".into()));
    bench.apply(file).unwrap();
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
    assert!(bench.entry().why.contains("although 2.0.0 was rolled back"), "{}", bench.entry().why);
    // What is somewhere else is not what was rolled back, and what comes back there is.
    bench.state = State::restored([("shop".to_owned(), durable)].into(), 5, 5, 1_000_000);
    bench.asked = 0.0;
    bench.load().unwrap();
    let before = bench.premises.clone();
    bench.premises.urls[1] = "http://mended:80".into();
    bench.load().unwrap();
    let mended = bench.premises.clone();
    (bench.asked, bench.premises) = (10.0, before.clone());
    assert!(matches!(bench.load().unwrap_err(), RolloutError::FileQuarantined { .. }));
    (bench.asked, bench.premises) = (0.0, mended.clone());
    bench.premises.urls[0].clone_from(&before.urls[1]);
    assert!(matches!(bench.load().unwrap_err(), RolloutError::FileQuarantined { .. }));
    (bench.asked, bench.premises) = (10.0, mended);
    bench.load().unwrap();
    assert_eq!(bench.durable().weight, percent(10.0));
}
