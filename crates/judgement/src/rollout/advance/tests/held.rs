//! A rollback goes to a side that is there, gradually if the plan says so; and what waits or comes and goes is told once.

use super::*;
use crate::rollout::plan::OnFailure;
use crate::traffic::host::HostPattern;

fn promoted() -> Bench {
    let mut bench = Bench::new(RolloutPlan { watch: Millis::seconds(120), ..plan() });
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.run(100);
    assert_eq!((bench.phase(), bench.durable().active), (RolloutPhase::Promoted, Environment::Green));
    bench
}

fn dead() -> Result<String, String> {
    Err("does not answer: 127.0.0.1:81 refused the connection".into())
}

/// Green's check fails. `rollback`: it asks for one.
fn check_fails(rollback: bool) -> Event {
    let (service, environment) = ("shop".to_owned(), Environment::Green);
    Event::Health { service, environment, up: true, why: "check db".into(), rollback, quiet: false }
}

#[test]
fn nobody_is_sent_to_a_side_that_is_off_and_that_is_said_once() {
    let mut bench = promoted();
    bench.answers = dead();
    bench.failing = 100;
    assert_eq!(bench.run(50), [ChangeKind::RollbackHeld], "however often it is tried again");
    assert_eq!((bench.phase(), bench.durable().active), (RolloutPhase::Promoted, Environment::Green));
    bench.failing = 0;
    assert_eq!(bench.run(20), [ChangeKind::RollbackDropped], "its database is back");
    assert_eq!(bench.durable().active, Environment::Green);
    bench.failing = 100;
    assert_eq!(bench.run(20), [ChangeKind::RollbackHeld]);
    bench.answers = Ok("127.0.0.1:81 returned 200 for GET /".into());
    assert_eq!(bench.run(20)[..1], [ChangeKind::Rollback], "the old side was started");
    assert_eq!(bench.durable().active, Environment::Blue);
}

#[test]
fn a_watch_does_not_pass_while_a_rollback_is_held() {
    let mut bench = promoted();
    (bench.answers, bench.failing) = (dead(), 100);
    bench.run(500);
    assert!(bench.durable().is_watching());
    assert_eq!(bench.phase(), RolloutPhase::Promoted);
    bench.answers = Ok(String::new());
    assert!(bench.run(20).contains(&ChangeKind::Rollback), "it is still wanted");
}

#[test]
fn a_rollout_goes_no_further_while_a_rollback_is_held() {
    // Without a watch, the promotion would end the guard, and the rollback with it.
    for watch in [0, 60] {
        let mut bench = Bench::new(RolloutPlan { watch: Millis::seconds(watch), ..plan() });
        bench.order(deploy("2.0.0")).unwrap();
        bench.preflighted(Ok(""));
        bench.run(75);
        assert_eq!(bench.at(), (RolloutPhase::Baking, 100.0));
        bench.answers = dead();
        bench.apply(check_fails(true)).unwrap();
        assert_eq!(bench.run(100), [], "its clients are served well, and its check fails");
        assert_eq!(bench.at(), (RolloutPhase::Baking, 100.0));
        assert_eq!(bench.waiting(), "a rollback is held: blue does not answer: 127.0.0.1:81 refused the connection");
        bench.apply(check_fails(false)).unwrap();
        assert_eq!(bench.run(20), [ChangeKind::RollbackDropped, ChangeKind::Promote], "watched for {watch} s");
    }
}

#[test]
fn what_serves_clients_need_not_be_asked() {
    let mut bench = under_way();
    bench.run(5);
    (bench.answers, bench.failing) = (dead(), 100);
    assert!(bench.run(10).contains(&ChangeKind::Rollback), "blue has served nine in ten all along");
}

#[test]
fn a_gradual_return_moves_the_clients_bit_by_bit() {
    let mut bench = Bench::new(RolloutPlan { return_over: Millis::seconds(30), ..plan() });
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.run(100);
    bench.failing = 100;
    while !bench.run(1).contains(&ChangeKind::Rollback) {
        assert!(bench.now < 400_000);
    }
    bench.failing = 0;
    assert_eq!((bench.durable().active, bench.durable().weight), (Environment::Blue, Weight::ZERO));
    let share = |bench: &Bench| bench.state.split("shop").unwrap().weight.percent();
    assert!(share(&bench) > 95.0, "{}", share(&bench));
    bench.run(15);
    assert!((40.0..55.0).contains(&share(&bench)), "{}", share(&bench));
    bench.run(16);
    assert_eq!(share(&bench), 0.0);
}

#[test]
fn a_step_that_waits_for_a_person_is_told_at_once_and_one_without_traffic_after_a_while() {
    let mut bench = Bench::new(plan());
    bench.plan.steps[0].approve = true;
    bench.load().unwrap();
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    assert_eq!(bench.run(29), []);
    assert_eq!(bench.run(2), [ChangeKind::Waiting]);
    assert_eq!(bench.run(300), [], "once");
}

#[test]
fn a_step_without_traffic_says_what_keeps_it_away() {
    let hosts = |names: &[&str]| names.iter().map(|name| HostPattern::parse(name).unwrap()).collect();
    let mut bench = Bench::new(plan());
    bench.premises.served = hosts(&["shop.test", "www.shop.test"]);
    bench.load().unwrap();
    let functions = vec!["api".to_owned()];
    let limited = DeployRequest { version: "2.0.0".into(), functions, ..DeployRequest::default() };
    bench.order(OperatorAction::Deploy(limited)).unwrap();
    bench.preflighted(Ok(""));
    bench.idle(31);
    assert_eq!(bench.waiting().split(", ").next(), Some("0 of 20 requests (none yet; only those of api)"));
    bench.premises.served = hosts(&["shop.test"]);
    bench.load().unwrap();
    bench.restart();
    bench.idle(31);
    let wanted = "0 of 20 requests (none yet; only those of api; www.shop.test left `hosts` since it began)";
    assert_eq!(bench.waiting().split(", ").next(), Some(wanted), "also after a restart");
}

#[test]
fn a_rollout_past_its_deadline_ends_as_its_plan_says() {
    for (on_deadline, expected) in [
        (OnFailure::Rollback, [ChangeKind::Waiting, ChangeKind::Rollback]),
        (OnFailure::Hold, [ChangeKind::Waiting, ChangeKind::Deadline]),
    ] {
        let mut bench = Bench::new(RolloutPlan { deadline: Some(Millis::seconds(600)), on_deadline, ..plan() });
        bench.plan.steps[0].requests = 1_000_000;
        bench.load().unwrap();
        bench.order(deploy("2.0.0")).unwrap();
        bench.preflighted(Ok(""));
        let mut kinds = bench.run(1000);
        kinds.retain(|kind| *kind != ChangeKind::Ledger);
        assert_eq!(kinds, expected);
        // So has the next one.
        let next = DeployRequest { version: "2.0.1".into(), replace: true, ..DeployRequest::default() };
        bench.order(OperatorAction::Deploy(next)).unwrap();
        bench.preflighted(Ok(""));
        assert!(bench.run(1000).contains(&expected[1]));
    }
}

#[test]
fn one_answer_does_not_outvote_the_checks_of_a_side() {
    let mut bench = promoted();
    let why = "check db: returned 500".to_owned();
    let (service, environment) = ("shop".to_owned(), Environment::Blue);
    let down = Event::Health { service, environment, up: false, why, rollback: false, quiet: false };
    bench.apply(down).unwrap();
    bench.failing = 100;
    assert_eq!(bench.run(20), [ChangeKind::RollbackHeld]);
    let view = bench.state.views(Millis(bench.now)).remove(0);
    assert_eq!(view.guard.why.as_deref(), Some("a rollback is held: blue is down by its health checks"));
}

#[test]
fn a_rollback_because_of_checks_is_held_until_they_pass() {
    let mut bench = promoted();
    bench.answers = dead();
    bench.apply(check_fails(true)).unwrap();
    assert_eq!(bench.run(20), [], "said with the report");
    assert_eq!(bench.durable().active, Environment::Green);
    bench.answers = Ok(String::new());
    assert_eq!(bench.run(20)[..1], [ChangeKind::Rollback], "the check still fails");
    let mut bench = promoted();
    bench.answers = dead();
    bench.apply(check_fails(true)).unwrap();
    bench.apply(check_fails(false)).unwrap();
    assert_eq!(bench.run(20), [ChangeKind::RollbackDropped]);
}

#[test]
fn a_person_may_have_the_rest_of_a_return_at_once() {
    let mut bench = Bench::new(RolloutPlan { return_over: Millis::seconds(30), ..plan() });
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.run(40);
    bench.order(OperatorAction::Rollback).unwrap();
    let share = |bench: &Bench| bench.state.views(Millis(bench.now)).remove(0).weight;
    assert_eq!(share(&bench), 50.0, "as clients see it");
    bench.order(OperatorAction::Rollback).unwrap();
    assert_eq!((share(&bench), bench.entry().why.as_str()), (0.0, "the rest at once"));
    assert!(bench.order(OperatorAction::Rollback).is_err());
}

#[test]
fn a_version_that_mended_a_broken_active_is_watched_as_any_other() {
    for rescue in [true, false] {
        let mut bench = Bench::new(plan());
        bench.blue_failing = 100;
        bench.order(shift(10.0, false)).unwrap();
        bench.run(3);
        bench.order(shift(0.0, false)).unwrap();
        let mending = DeployRequest { version: "2.0.0".into(), rescue, ..DeployRequest::default() };
        bench.order(OperatorAction::Deploy(mending)).unwrap();
        bench.preflighted(Ok(""));
        if !rescue {
            bench.run(2);
            bench.order(OperatorAction::Promote).unwrap();
        }
        bench.blue_failing = 0;
        bench.run(5);
        bench.failing = 100;
        let kinds = bench.run(20);
        assert!(kinds.contains(&ChangeKind::Rollback), "{rescue} {kinds:?}");
    }
}

#[test]
fn a_return_turns_back_while_its_target_is_down() {
    let mut bench = Bench::new(RolloutPlan { return_over: Millis::seconds(30), ..plan() });
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.run(40);
    bench.order(OperatorAction::Rollback).unwrap();
    let share = |bench: &Bench| bench.state.split("shop").unwrap().weight;
    let checked = |up: bool| {
        let (service, environment, why) = ("shop".to_owned(), Environment::Blue, String::new());
        Event::Health { service, environment, up, why, rollback: false, quiet: true }
    };
    bench.run(15);
    assert!(share(&bench) < percent(30.0));
    bench.apply(checked(false)).unwrap();
    assert_eq!(bench.run(40), [ChangeKind::RollbackHeld]);
    assert_eq!(share(&bench), percent(50.0));
    bench.apply(checked(true)).unwrap();
    bench.run(15);
    assert!((percent(20.0)..percent(30.0)).contains(&share(&bench)), "{}", share(&bench));
    bench.run(20);
    assert_eq!(share(&bench), Weight::ZERO);
}

#[test]
fn what_is_staged_on_the_old_side_in_the_watch_is_no_safe_place() {
    let mut bench = promoted();
    let warm = |bench: &Bench| bench.state.split("shop").unwrap().warm;
    assert!(warm(&bench), "what green fails, blue serves");
    bench.premises.urls[0] = "http://next:80".into();
    bench.load().unwrap();
    assert!(!warm(&bench), "but not another version");
    bench.failing = 100;
    assert_eq!(bench.run(20), [ChangeKind::RollbackHeld]);
    let why = &bench.entries.last().unwrap().why;
    assert!(why.contains("blue is http://next:80 now, and not http://blue:80, which 2.0.0 replaced"), "{why}");
    bench.order(OperatorAction::Rollback).unwrap();
    assert_eq!(bench.durable().active, Environment::Blue, "on a person's word");
}

#[test]
fn the_time_of_a_freeze_is_not_that_of_a_deadline_and_a_preflight_has_one_too() {
    let quick = RolloutPlan { deadline: Some(Millis::seconds(20)), ..plan() };
    let mut bench = Bench::new(quick.clone());
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.run(5);
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    assert!(!bench.run(100).contains(&ChangeKind::Rollback));
    bench.order(OperatorAction::Unfreeze).unwrap();
    assert!(!bench.run(10).contains(&ChangeKind::Rollback));
    assert!(bench.run(10).contains(&ChangeKind::Rollback));
    let mut bench = Bench::new(quick);
    bench.order(deploy("2.0.0")).unwrap();
    bench.idle(19);
    assert_eq!(bench.phase(), RolloutPhase::Preflight);
    bench.idle(2);
    assert_eq!(bench.phase(), RolloutPhase::Aborted);
}

#[test]
fn a_rollout_is_charged_with_what_its_own_side_did() {
    let mut bench = Bench::new(RolloutPlan { watch: Millis::seconds(60), ..plan() });
    bench.blue_failing = 100;
    bench.idle(1);
    bench.run(3);
    (bench.blue_failing, bench.failing) = (0, 1);
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.run(5);
    bench.order(OperatorAction::Promote).unwrap();
    bench.run(5);
    bench.order(deploy("3.0.0")).unwrap();
    bench.run(5);
    let ledger = bench.entries.iter().filter(|entry| entry.kind == ChangeKind::Ledger).find_map(|entry| entry.ledger);
    let ledger = ledger.unwrap();
    assert!(ledger.rollout == 1 && ledger.failed < 10, "blue has failed 300: {ledger:?}");
}
