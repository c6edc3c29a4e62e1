//! Services whose new requests wait.

use std::time::{Duration, Instant};

use judgement::rollout::ChangeKind;
use judgement::traffic::Environment;
use serde_json::{Value, json};

use super::{DEPLOYMENT, Desk, house};
use crate::support::client::{Answer, Client};
use crate::support::h2_client::H2Client;
use crate::support::house::House;
use crate::support::origin::RUNTIME;
use crate::support::{SOON, wait_until};

fn hold(desk: &Desk, length: &str, max: Option<u32>) {
    let mut body = json!({ "action": "hold", "for": length, "reason": "the database moves" });
    body["max"] = max.map_or(Value::Null, Value::from);
    if max.is_none() {
        body.as_object_mut().unwrap().remove("max");
    }
    desk.post(DEPLOYMENT, &body).is_done();
}

fn waiting(house: &House) -> usize {
    house.running.counters.held("shop").number()
}

/// A client that has asked, and reads no answer yet.
fn asking(house: &House) -> Client {
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    client
}

#[test]
fn new_requests_wait_and_go_on_at_once_when_they_are_released() {
    let house = house("", "");
    let desk = Desk::of(&house, config::admin::Role::Operator);
    hold(&desk, "1m", None);
    let status = desk.status();
    assert_eq!(status["hold"]["max"], 1000);
    assert!(status["hold"]["until"].as_str().is_some_and(|until| until.ends_with('Z')), "{status}");
    let mut first = asking(&house);
    let second = RUNTIME.spawn(H2Client::to(house.address()).ask("POST", "/", &[], "a body"));
    wait_until("both wait", SOON, || waiting(&house) == 2);
    assert!(house.metrics().contains("cutover_held_requests{service=\"shop\"} 2\n"));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(house.blue.requests(), 0);
    let began = Instant::now();
    desk.act("release").is_done();
    assert_eq!(first.answer().status, 200);
    assert_eq!(RUNTIME.block_on(second).unwrap().unwrap().status, 200);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    wait_until("nobody waits", SOON, || waiting(&house) == 0);
    let route = house.running.counters.route("shop", "default");
    wait_until("they are judged", SOON, || route.totals(Environment::Blue).counts.answers == 2);
    let request = route.seen(Environment::Blue).unwrap().request;
    assert!(request.sum_micros < 1_000_000, "waiting is no latency: {request:?}");
    let held = house.entry(ChangeKind::Hold);
    assert!(held.change.why.contains("the database moves") && held.change.why.contains("up to 1000"), "{held:?}");
    assert_eq!(house.entry(ChangeKind::Release).change.who, "otto");
    desk.act("release").is_refused(409, "as_asked");
    assert_eq!(desk.status()["hold"], Value::Null);
}

#[test]
fn there_are_so_many_places_and_whoever_leaves_frees_his() {
    let house = house("", "");
    let desk = Desk::of(&house, config::admin::Role::Operator);
    hold(&desk, "1m", Some(2));
    let (first, second) = (asking(&house), asking(&house));
    wait_until("both wait", SOON, || waiting(&house) == 2);
    let refused: Answer = house.client().get("/", &[]);
    assert_eq!((refused.status, refused.body.as_str()), (503, "503 the service is held, try again later\n"));
    let rest: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((40..=60).contains(&rest), "{rest}");
    assert_eq!(H2Client::to(house.address()).get("/", &[]).status, 503);
    assert_eq!(house.refused("held"), 2);
    drop(first);
    wait_until("one has left", SOON, || waiting(&house) == 1);
    let mut third = asking(&house);
    wait_until("another one waits in his place", SOON, || waiting(&house) == 2);
    desk.act("release").is_done();
    assert_eq!(third.answer().status, 200);
    drop(second);
    let metrics = house.metrics();
    assert!(
        metrics.contains("cutover_own_answers_total{service=\"shop\",route=\"default\",answer=\"held\"} 2"),
        "{metrics}"
    );
}

#[test]
fn a_hold_ends_by_itself() {
    let house = house("", "");
    let desk = Desk::of(&house, config::admin::Role::Operator);
    hold(&desk, "2s", None);
    let began = Instant::now();
    assert_eq!(house.client().get("/", &[]).status, 200);
    let took = began.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(10)).contains(&took), "{took:?}");
    assert_eq!(desk.status()["hold"], Value::Null);
    assert_eq!(house.client().get("/", &[]).status, 200);
}

#[test]
#[ignore = "waits for half a minute"]
fn a_request_waits_for_half_a_minute() {
    let house = house("", "");
    hold(&Desk::of(&house, config::admin::Role::Operator), "10m", None);
    let began = Instant::now();
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    // Its own patience is less.
    wait_until("it is told", Duration::from_secs(40), || waiting(&house) == 0 && house.refused("held") == 1);
    assert_eq!(client.answer().status, 503);
    assert!((29..40).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[test]
fn a_hold_has_an_end_and_a_number() {
    let house = house("", "");
    let desk = Desk::of(&house, config::admin::Role::Operator);
    let ask = |body: Value| desk.post(DEPLOYMENT, &body);
    ask(json!({ "action": "hold" })).is_refused(400, "field_missing");
    for length in ["0s", "11m", "forever", "500ms"] {
        ask(json!({ "action": "hold", "for": length })).is_refused(422, "bad_for");
    }
    ask(json!({ "action": "hold", "for": "30s", "max": 0 })).is_refused(422, "bad_max");
    assert_eq!(house.client().get("/", &[]).status, 200);
}
