//! What a rollout is about: a file that changes it is refused, or ends it.

use super::*;

fn replacing(version: &str) -> OperatorAction {
    OperatorAction::Deploy(DeployRequest { version: version.into(), replace: true, ..DeployRequest::default() })
}

#[test]
fn another_origin_does_not_inherit_the_share_of_what_was_tried() {
    let mut bench = under_way();
    bench.run(40);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 50.0));
    bench.premises.urls[1] = "http://green:81 http://green:82".into();
    bench.load().unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 50.0), "an address more or less is the same version");
    bench.premises.urls[1] = "http://other:80".into();
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
fn a_file_that_begins_to_say_zero_ends_the_rollout() {
    let mut bench = under_way();
    bench.apply(loaded(&bench, None, None)).unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    bench.apply(loaded(&bench, None, Some(0.0))).unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Aborted, 0.0));
}

#[test]
fn a_route_with_another_path_or_a_host_with_another_name_is_another_rollout() {
    let mut bench = Bench::new(plan());
    bench.premises.paths = [("api".to_owned(), "/api/*".to_owned())].into();
    bench.load().unwrap();
    let functions = vec!["api".to_owned()];
    let deploy = DeployRequest { version: "2".into(), functions, ..DeployRequest::default() };
    bench.order(OperatorAction::Deploy(deploy)).unwrap();
    bench.preflighted(Ok(""));
    bench.premises.paths.insert("api".into(), "/other/*".into());
    let refused = bench.load().unwrap_err();
    assert_eq!(refused.place(), Some(("shop", FilePlace::Route("api".into()))));
    bench.premises.paths.insert("api".into(), "/api/*".into());
    bench.premises.hosts[1] = "green.example".into();
    bench.load().unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Aborted, 0.0));
    assert!(bench.entry().why.contains("Host that green is sent is green.example now"), "{}", bench.entry().why);
}

#[test]
fn a_promoted_side_that_is_somewhere_else_is_watched_from_the_start() {
    let mut bench = Bench::new(RolloutPlan { watch: Millis::seconds(60), ..plan() });
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.order(OperatorAction::Promote).unwrap();
    bench.run(40);
    bench.premises.urls[1] = "http://green:81 http://green:82".into();
    bench.load().unwrap();
    assert_eq!(bench.run(1), [], "an address more or less is the same version");
    bench.premises.urls[1] = "http://other:80".into();
    bench.load().unwrap();
    assert!(bench.entry().why.contains("watched for another 1m"), "{}", bench.entry().why);
    bench.run(40);
    assert!(bench.durable().is_watching());
    bench.run(40);
    assert!(!bench.durable().is_watching());
}

#[test]
fn the_rollout_of_a_service_that_is_gone_at_a_start_is_over_and_that_is_said() {
    let bench = under_way();
    let durable = bench.durable().clone();
    let services = [("shop".to_owned(), durable.clone()), ("other".to_owned(), durable)].into();
    let mut bench = Bench { state: State::restored(services, 5, 5, 1_000_000), ..bench };
    bench.load().unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    let entry = bench.entry();
    assert_eq!((entry.service.as_str(), entry.kind), ("other", ChangeKind::Abort));
    assert!(entry.why.contains("gone from the routing file"), "{}", entry.why);
}

#[test]
fn a_deploy_without_an_origin_goes_where_the_file_says() {
    let mut bench = Bench::new(plan());
    let origin = DeployedOrigin { url: "http://deploy:80".into(), instead_of: bench.premises.urls[1].clone() };
    let first = DeployRequest { version: "1".into(), origin: Some(origin), ..DeployRequest::default() };
    bench.order(OperatorAction::Deploy(first)).unwrap();
    bench.order(OperatorAction::Abort).unwrap();
    assert!(bench.durable().origins[1].is_some());
    bench.order(deploy("2")).unwrap();
    assert_eq!(bench.durable().origins[1], None);
}

#[test]
fn a_rollout_that_a_person_resumes_after_its_deadline_has_that_long_again() {
    let plan = RolloutPlan { deadline: Some(Millis::seconds(20)), on_deadline: OnFailure::Hold, ..plan() };
    let mut bench = Bench::new(plan);
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    for _ in 0..2 {
        assert!(bench.run(25).contains(&ChangeKind::Deadline));
        assert_eq!(bench.phase(), RolloutPhase::Paused);
        bench.order(OperatorAction::Resume).unwrap();
    }
}
