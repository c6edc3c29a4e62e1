//! Conditions and repeats: `If-Match` and `Idempotency-Key`.

use serde_json::json;

use super::{DEPLOYMENT, Desk, ROLLBACK, house};
use crate::support::house::House;

fn shift(percentage: u32) -> String {
    json!({ "action": "traffic_shift", "to_environment": "green", "percentage": percentage }).to_string()
}

#[test]
fn a_stale_generation_changes_nothing() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    let tag = desk.get(DEPLOYMENT).answer.header("etag").unwrap().to_owned();
    let matching = format!("If-Match: {tag}");
    let first = desk.ask("POST", DEPLOYMENT, &[&matching], &shift(10));
    first.is_done();
    let second = desk.ask("POST", DEPLOYMENT, &[&matching], &shift(20));
    second.is_refused(412, "stale");
    assert!(second.hint().contains(&format!("\"{}\"", first.json["generation"])), "{second:?}");
    assert_eq!(house.weight(), 1000);
    let next = format!("If-Match: {}", first.answer.header("etag").unwrap());
    desk.ask("POST", DEPLOYMENT, &[&next], &shift(20)).is_done();
    for odd in ["17", "\"abc\"", "W/\"17\"", "\"1\", \"2\""] {
        desk.ask("POST", DEPLOYMENT, &[&format!("If-Match: {odd}")], &shift(30)).is_refused(412, "stale");
    }
    desk.ask("POST", DEPLOYMENT, &["If-Match: *"], &shift(30)).is_done();
    desk.ask("PUT", ROLLBACK, &[&matching], r#"{"action":"alerting","enabled":false}"#).is_refused(412, "stale");
    let every = r#"{"action":"emergency_stop","service":"*"}"#;
    desk.ask("POST", DEPLOYMENT, &[&matching], every).is_refused(412, "stale");
    assert_eq!(house.weight(), 3000);
}

#[test]
fn a_repeat_gets_the_first_answer_and_moves_nothing() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    let key = ["Idempotency-Key: once"];
    let first = desk.ask("POST", DEPLOYMENT, &key, &shift(10));
    first.is_done();
    assert_eq!(first.answer.header("idempotency-replayed"), None);
    desk.shift(20.0).is_done();
    let again = desk.ask("POST", DEPLOYMENT, &key, &shift(10));
    again.is_done();
    assert_eq!((&again.json, again.answer.header("idempotency-replayed")), (&first.json, Some("true")));
    assert_eq!(house.weight(), 2000);
    desk.ask("POST", DEPLOYMENT, &key, &shift(30)).is_refused(422, "idempotency_key_reused");
    desk.ask("POST", ROLLBACK, &key, r#"{"action":"manual_rollback"}"#).is_refused(422, "idempotency_key_reused");
    let operator = Desk::of(&house, config::admin::Role::Operator);
    operator.ask("POST", DEPLOYMENT, &key, &shift(30)).is_done();
    for odd in [String::new(), "a b".to_owned(), "x".repeat(129)] {
        let said = desk.ask("POST", DEPLOYMENT, &[&format!("Idempotency-Key: {odd}")], &shift(40));
        said.is_refused(400, "bad_idempotency_key");
    }
}

#[test]
fn a_refusal_is_not_kept_because_it_changed_nothing() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    desk.post(DEPLOYMENT, &json!({ "action": "freeze", "reason": "wait" })).is_done();
    let key = ["Idempotency-Key: later"];
    desk.ask("POST", DEPLOYMENT, &key, &shift(10)).is_refused(409, "frozen");
    desk.act("unfreeze").is_done();
    desk.ask("POST", DEPLOYMENT, &key, &shift(10)).is_done();
    assert_eq!(house.weight(), 1000);
}

#[test]
fn many_at_once_under_one_key_are_one() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    let ask = move || desk.ask("POST", DEPLOYMENT, &["Idempotency-Key: many"], &shift(10));
    let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(ask)).collect();
    let said: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(said.iter().all(|said| said.status() == 200 || said.code() == "under_way_already"), "{said:?}");
    let shifts = house.history().into_iter().filter(|entry| entry.change.kind.name() == "shift");
    assert_eq!(shifts.count(), 1);
}

#[test]
fn after_a_restart_the_journal_remembers_the_key() {
    let house = house("weight = 0", "");
    let key = ["Idempotency-Key: release-17"];
    let first = Desk::admin(&house).ask("POST", DEPLOYMENT, &key, &shift(10));
    first.is_done();
    let every = r#"{"action":"emergency_stop","service":"*"}"#;
    Desk::admin(&house).ask("POST", DEPLOYMENT, &["Idempotency-Key: stop"], every).is_done();
    Desk::admin(&house).act("emergency_clear").is_done();
    let House { running, settings, dir, blue, green } = house;
    running.stop();
    let running = cutover::serve::start(&settings).unwrap();
    let house = House { running, settings, dir, blue, green };
    let desk = Desk::admin(&house);
    let again = desk.ask("POST", DEPLOYMENT, &key, &shift(10));
    again.is_done();
    assert_eq!((&again.json, again.answer.header("idempotency-replayed")), (&first.json, Some("true")));
    let stopped = desk.ask("POST", DEPLOYMENT, &["Idempotency-Key: stop"], every);
    stopped.is_done();
    assert_eq!(stopped.json["results"][0]["done"]["action"], "emergency_stop");
    assert_eq!(desk.status()["stopped"], false, "it was not stopped again");
    desk.ask("POST", ROLLBACK, &["Idempotency-Key: release-17"], r#"{"action":"manual_rollback"}"#)
        .is_refused(422, "idempotency_key_reused");
}
