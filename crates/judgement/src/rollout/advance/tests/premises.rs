//! What a rollout is about: a file that changes it is refused, or ends it; and freezes hold for everybody.

use super::*;

fn replacing(version: &str) -> OperatorAction {
    OperatorAction::Deploy(DeployRequest { version: version.into(), replace: true, ..DeployRequest::default() })
}

#[test]
fn another_origin_does_not_inherit_the_share_of_what_was_tried() {
    let mut bench = under_way();
    bench.run(40);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 50.0));
    bench.urls[1] = "http://green:81 http://green:82".into();
    bench.load().unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 50.0), "an address more or less is the same version");
    bench.urls[1] = "http://other:80".into();
    bench.load().unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Aborted, 0.0));
    let entry = bench.entry();
    assert_eq!((entry.kind, entry.who.as_str()), (ChangeKind::Abort, "file"));
    assert!(entry.why.contains("green is http://other:80 now, and not http://green:80"), "{}", entry.why);
    bench.order(deploy("2.0.1")).unwrap();
}

#[test]
fn a_route_or_a_service_with_a_rollout_may_not_go() {
    let mut bench = Bench::new(plan());
    let functions = vec!["api".to_owned()];
    bench
        .order(OperatorAction::Deploy(DeployRequest { version: "2".into(), functions, ..DeployRequest::default() }))
        .unwrap();
    bench.preflighted(Ok(""));
    bench.routes[1] = "renamed".into();
    assert!(matches!(bench.load().unwrap_err(), RolloutError::RouteInUse { route, .. } if route == "api"));
    let refused = bench.apply(Event::Loaded(vec![])).unwrap_err();
    assert!(matches!(refused, RolloutError::ServiceInUse { .. }), "{refused}");
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    // Nobody can refuse a file at a start.
    let durable = bench.durable().clone();
    bench.state = State::restored([("shop".to_owned(), durable)].into(), 5, 5, 1_000_000);
    bench.load().unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Aborted, 0.0));
}

#[test]
fn a_newer_version_takes_the_place_of_the_one_under_way_when_it_is_asked_to() {
    let mut bench = under_way();
    bench.run(40);
    assert!(matches!(bench.order(deploy("3.0.0")).unwrap_err(), RolloutError::UnderWay { .. }));
    bench.order(replacing("3.0.0")).unwrap();
    let whys = bench.effects.iter().filter_map(|effect| match effect {
        Effect::Journal(change) => Some((change.kind, change.why.clone())),
        _ => None,
    });
    let expected = [
        (ChangeKind::Abort, "2.0.0 was replaced by 3.0.0 at 50 %".to_owned()),
        (ChangeKind::Deploy, "deploying 3.0.0 to green".to_owned()),
    ];
    assert_eq!(whys.collect::<Vec<_>>(), expected);
    assert_eq!(bench.at(), (RolloutPhase::Preflight, 0.0));
    bench.preflighted(Ok(""));
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
}

#[test]
fn a_rescue_skips_the_plan_but_not_the_preflight() {
    let rescue =
        || OperatorAction::Deploy(DeployRequest { version: "2.0.1".into(), rescue: true, ..DeployRequest::default() });
    let mut bench = Bench::new(plan());
    bench.order(rescue()).unwrap();
    bench.preflighted(Err("green refused the connection"));
    assert_eq!(bench.phase(), RolloutPhase::Aborted);
    bench.order(rescue()).unwrap();
    bench.preflighted(Ok("3 warm-up requests"));
    assert_eq!((bench.phase(), bench.durable().active), (RolloutPhase::Promoted, Environment::Green));
    assert!(bench.durable().is_watching(), "the guard looks on");
}

#[test]
fn a_freeze_and_a_stop_hold_for_the_file() {
    let mut bench = Bench::new(plan());
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    bench.asked = 50.0;
    let refused = bench.load().unwrap_err();
    assert!(matches!(&refused, RolloutError::FileDuringFreeze { who, .. } if who == "ann"), "{refused}");
    assert_eq!(refused.refused_weight(), Some("shop"));
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

fn loaded(bench: &Bench, active: Option<Environment>, weight: Option<f64>) -> Event {
    Event::Loaded(vec![LoadedService {
        service: "shop".into(),
        routes: bench.routes.clone(),
        ask: SplitRequest { active, weight: weight.map(percent) },
        policy: GuardPolicy::standard(),
        plan: plan(),
        urls: bench.urls.clone(),
        freezes: vec![],
        silent: None,
    }])
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
fn a_file_that_begins_to_say_zero_ends_the_rollout() {
    let mut bench = under_way();
    bench.apply(loaded(&bench, None, None)).unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    bench.apply(loaded(&bench, None, Some(0.0))).unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Aborted, 0.0));
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
