//! What is shown: status, traffic, health, history, the report, snapshots.

use serde_json::{Value, json};
use sidecar::journal::JournalReader;

use super::{DEPLOYMENT, Desk, ROLLBACK, house};
use crate::support::house::House;
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

fn ask(house: &House, requests: usize) {
    let mut client = house.client();
    (0..requests).for_each(|_| drop(client.get("/", &[])));
}

#[test]
fn a_status_is_of_a_generation() {
    let house = house("weight = 10", "");
    let desk = Desk::admin(&house);
    let status = desk.get("/api/admin/deployment?action=status&service=shop");
    status.is_done();
    let tag = status.answer.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", status.json["generation"]));
    let known = format!("If-None-Match: {tag}");
    assert_eq!(desk.ask("GET", DEPLOYMENT, &[&known], "").status(), 304);
    desk.shift(20.0).is_done();
    assert_eq!(desk.ask("GET", DEPLOYMENT, &[&known], "").status(), 200);
    assert_eq!(desk.status()["weight"], 20.0);
    let other = desk.get("/api/admin/deployment?service=shpo");
    other.is_refused(404, "no_such_service");
    assert_eq!(other.hint(), "did you mean `shop`?");
}

#[test]
fn traffic_is_what_was_counted() {
    let house = house("weight = 50", "[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\n");
    let desk = Desk::admin(&house);
    ask(&house, 40);
    let mut client = house.client();
    (0..10).for_each(|_| drop(client.get("/api/x", &[])));
    let traffic = || desk.get("/api/admin/deployment?action=traffic").json["traffic"][0].clone();
    wait_until("all are counted", SOON, || {
        let sides = traffic()["environments"].clone();
        sides[0]["since_start"]["requests"].as_u64().unwrap() + sides[1]["since_start"]["requests"].as_u64().unwrap()
            == 50
    });
    let shown = traffic();
    assert_eq!((&shown["weight"], &shown["routes"][1]["route"]), (&50.0.into(), &"api".into()));
    let green = &shown["environments"][1];
    assert_eq!((&green["environment"], &green["since_start"]["share"]), (&"green".into(), &50.0.into()), "{green}");
    assert_eq!(green["last_minute"]["classes"]["2xx"], 25);
    assert_eq!(green["last_minute"]["error_rate"], 0.0);
    assert!(green["last_minute"]["p95_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(desk.status()["last_minute"][1]["last_minute"]["requests"], 25);
    let health = desk.get("/api/admin/deployment?action=health").json;
    let blue = &health["health"][0]["environments"][0];
    assert_eq!((&blue["environment"], &blue["up"], &blue["endpoints"]), (&"blue".into(), &true.into(), &1.into()));
}

#[test]
fn the_history_is_read_in_pages_and_by_what_is_looked_for() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    for percent in 1..=7 {
        desk.shift(f64::from(percent)).is_done();
    }
    let history = |query: &str| desk.get(&format!("/api/admin/deployment?action=history&{query}")).json;
    let first = history("limit=3&kind=shift");
    let ids = |page: &Value| -> Vec<u64> {
        page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()).collect()
    };
    let second = history(&format!("limit=10&kind=shift&before={}", first["next"]));
    assert_eq!((ids(&first).len(), ids(&second).len(), &second["next"]), (3, 4, &Value::Null));
    let newest = JournalReader::open(&house.settings.state).unwrap().newest().unwrap();
    assert_eq!(second["newest"], json!({ "id": newest.id, "hash": judgement::hex::text(&newest.hash) }));
    let entry = &first["entries"][0];
    assert_eq!((&entry["weight_before"], &entry["weight_after"]), (&6.0.into(), &7.0.into()), "{entry}");
    assert!(entry["at"].as_str().unwrap().ends_with('Z') && entry["at_ms"].is_u64());
    assert_eq!(ids(&history(&format!("who=ann&kind=shift&after={}", ids(&first)[2]))).len(), 2);
    assert!(ids(&history("since=2999-01-01T00:00:00Z")).is_empty());
    for (query, code) in [
        ("limit=0", "bad_parameter"),
        ("limit=201", "bad_parameter"),
        ("kind=shft", "bad_parameter"),
        ("before=x", "bad_parameter"),
        ("since=yesterday", "bad_parameter"),
        ("evidence=1", "bad_parameter"),
    ] {
        desk.get(&format!("/api/admin/deployment?action=history&{query}")).is_refused(400, code);
    }
}

#[test]
fn the_safety_report_says_what_is_wrong_and_what_to_do() {
    let triggers = "[service.shop.guard]\nevidence = false\n[[service.shop.guard.trigger]]\nname = \"errors\"\n\
                    metric = \"error_rate\"\nabove = 5\nfor = \"1h\"\naction = \"rollback\"\n";
    let house = house("weight = 50\nrescue = false", triggers);
    let desk = Desk::admin(&house);
    let report = || desk.get("/api/admin/rollback?action=report").json;
    let fresh = report();
    assert_eq!((&fresh["level"], &fresh["judged"]), (&"unknown".into(), &true.into()), "{fresh}");
    // Not so many that a dead candidate is seen.
    let turn = std::sync::atomic::AtomicU64::new(0);
    house.green.does(move |_| {
        let third = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst).is_multiple_of(3);
        Do::Status(if third { 500 } else { 200 })
    });
    wait_until("the report is critical", SOON, || {
        ask(&house, 20);
        report()["level"] == "critical"
    });
    let bad = report();
    let metric = &bad["places"][0]["metrics"][0];
    assert_eq!(
        (&metric["metric"], &metric["now"], &metric["lasting"]),
        (&"error_rate".into(), &"critical".into(), &"ok".into())
    );
    assert_eq!(
        (&metric["trend"], &metric["critical_at"], &metric["baseline"]),
        (&"worse".into(), &5.0.into(), &0.0.into())
    );
    let first = &bad["recommendations"][0];
    assert!(first["command"].as_str().unwrap().starts_with("cutover rollback --service shop --reason"), "{bad}");
    desk.post(ROLLBACK, &json!({ "action": "manual_rollback", "reason": "seen" })).is_done();
    let after = report();
    assert!(after["recommendations"][0]["command"].as_str().unwrap().starts_with("cutover explain"), "{after}");
    let status = desk.get(ROLLBACK).json;
    let safety = &status["safety"][0];
    assert_eq!((&safety["latch"]["reason"], &safety["can_roll_back"]), (&"seen".into(), &false.into()));
    assert_eq!(safety["last_rollback"]["who"], "ann");
    let history = desk.get("/api/admin/rollback?action=history").json;
    assert_eq!(history["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn snapshots_on_both_sides_of_a_restart_have_no_rates() {
    let house = house("weight = 10", "");
    let make = |house: &House, name: &str| {
        Desk::admin(house).post(ROLLBACK, &json!({ "action": "create_snapshot", "name": name })).is_done()
    };
    make(&house, "before");
    let House { running, settings, dir, blue, green } = house;
    running.stop();
    let running = cutover::serve::start(&settings).unwrap();
    let house = House { running, settings, dir, blue, green };
    // More than were counted before: the difference alone tells nothing.
    ask(&house, 30);
    wait_until("all are counted", SOON, || {
        house.seen(judgement::traffic::Environment::Blue).classes.iter().sum::<u64>() == 27
    });
    make(&house, "after");
    let asked = json!({ "action": "compare_snapshots", "from": "before", "to": "after" });
    let compared = Desk::admin(&house).post(ROLLBACK, &asked);
    compared.is_done();
    assert_eq!(compared.json["rates"], json!([]));
    make(&house, "later");
    let asked = json!({ "action": "compare_snapshots", "from": "after", "to": "later" });
    assert_eq!(Desk::admin(&house).post(ROLLBACK, &asked).json["rates"].as_array().unwrap().len(), 2);
}

#[test]
fn snapshots_are_kept_compared_and_deleted() {
    let house = house("weight = 10", "");
    let desk = Desk::admin(&house);
    let make = |name: &str| desk.post(ROLLBACK, &json!({ "action": "create_snapshot", "name": name }));
    make("").is_refused(400, "bad_field");
    let before = make("before");
    before.is_done();
    assert_eq!((&before.json["snapshot"]["name"], &before.json["snapshot"]["who"]), (&"before".into(), &"ann".into()));
    ask(&house, 30);
    desk.shift(30.0).is_done();
    let text = std::fs::read_to_string(house.routing_path()).unwrap();
    std::fs::write(house.routing_path(), format!("# edited\n{text}")).unwrap();
    wait_until("all are counted", SOON, || {
        house.seen(judgement::traffic::Environment::Blue).classes.iter().sum::<u64>() == 27
    });
    let after = make("after");
    let id = |made: &super::Said| made.json["snapshot"]["id"].as_str().unwrap().to_owned();
    let compare =
        |from: &str, to: &str| desk.post(ROLLBACK, &json!({ "action": "compare_snapshots", "from": from, "to": to }));
    let compared = compare(&id(&before), &id(&after));
    compared.is_done();
    let field = |name: &str| {
        let all = compared.json["differences"].as_array().unwrap();
        all.iter()
            .find(|difference| difference["field"] == name)
            .unwrap_or_else(|| panic!("no {name} in {all:?}"))
            .clone()
    };
    assert_eq!((&field("service.weight")["from"], &field("service.weight")["to"]), (&10.0.into(), &30.0.into()));
    assert!(field("routing_sha256")["to"].as_str().unwrap().len() == 64);
    let rate = &compared.json["rates"][0];
    assert_eq!((&rate["environment"], &rate["requests"], &rate["failed"]), (&"blue".into(), &27.into(), &0.into()));
    compare(&id(&before), "nothing").is_refused(404, "no_such_snapshot");
    compare("before", "after").is_done();
    make("after").is_done();
    compare("before", "after").is_refused(409, "ambiguous_snapshot");
    let listed = desk.get("/api/admin/rollback?action=snapshots").json;
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 3);
    let path = format!("{ROLLBACK}?snapshot={}", id(&before));
    desk.ask("DELETE", &path, &[], "").is_done();
    desk.ask("DELETE", &path, &[], "").is_refused(404, "no_such_snapshot");
}
