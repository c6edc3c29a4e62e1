//! A rollback goes to a side that is there, gradually if the plan says so; and what waits or comes and goes is told once.

use super::*;
use crate::rollout::plan::OnFailure;

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

#[test]
fn nobody_is_sent_to_a_side_that_is_off_and_that_is_said_once() {
    let mut bench = promoted();
    bench.answers = dead();
    bench.failing = 100;
    assert_eq!(bench.run(50), [ChangeKind::RollbackHeld], "however often it is tried again");
    assert_eq!((bench.phase(), bench.durable().active), (RolloutPhase::Promoted, Environment::Green));
    bench.failing = 0;
    assert_eq!(bench.run(10), [ChangeKind::RollbackDropped], "its database is back");
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
    }
}
