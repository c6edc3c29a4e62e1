//! The judge at work, through real sockets: what clients saw is counted by the clients.

use std::time::Duration;

use judgement::guard::judge;
use judgement::rollout::{ChangeKind, OperatorAction, OperatorCommand, Requester};
use judgement::traffic::Environment;
use memory::counters::{AttemptFailure, ResponseClass};

use crate::support::house::{House, Load};
use crate::support::origin::{Do, Origin};
use crate::support::{SOON, wait_until};

fn failures(house: &House, cause: AttemptFailure) -> u64 {
    house.seen(Environment::Green).failures[cause as usize]
}

#[test]
fn a_green_that_fails_everything_is_taken_back_and_no_client_notices() {
    let house = House::start("weight = 10", "");
    // 50 clients, one request each in 50 ms or so: 1,000 a second.
    let load = Load::start(house.address(), 50, Duration::from_millis(48));
    wait_until("green has answered", SOON, || house.green.requests() > 50);
    house.green.always(Do::Status(500));
    let took = house.wait_for_weight(0);
    let at_rollback = house.green.requests();
    wait_until("traffic goes on", SOON, || load.requests() > 2000);
    let (requests, failed) = load.stop();
    assert!(took < Duration::from_secs(5), "rolled back after {took:?}");
    assert_eq!(failed, 0, "of {requests}");
    assert!(house.green.requests() <= at_rollback + 20, "only what was in flight came after");
    assert!(house.seen(Environment::Green).rescued > 0);

    let entry = house.entry(ChangeKind::Rollback);
    let evidence = entry.change.evidence.unwrap();
    assert_eq!(judge(&evidence.policy, &evidence.sight), evidence.judgement, "the entry replays");
    assert_eq!((entry.change.who.as_str(), entry.change.after.unwrap().weight.basis_points()), ("guard", 0));

    house.write("weight = 10", "");
    house.running.reload();
    let taken = |house: &House| house.metrics().contains("cutover_config_reload_total{result=\"taken\"} 2");
    wait_until("the file is read again", SOON, || taken(&house));
    assert_eq!(house.weight(), 0, "saving the file again does not raise the weight");
    house.write("weight = 11", "");
    house.wait_for_weight(1100);
    wait_until("the journal says that it lifts the latch", SOON, || {
        house.history().iter().any(|entry| entry.change.why.contains("lifts the latch"))
    });
}

#[test]
fn every_way_of_dying_is_found_and_rescued() {
    let ways = [
        (Do::Status(503), AttemptFailure::Unavailable),
        (Do::Close, AttemptFailure::Reset),
        (Do::Reset, AttemptFailure::Reset),
        (Do::Raw("this is no HTTP at all\r\n\r\n".to_owned()), AttemptFailure::Reset),
        (Do::Hang, AttemptFailure::Timeout),
    ];
    for (way, cause) in ways {
        let house = House::start("weight = 20", "[service.shop.timeouts]\nfirst_byte = \"200ms\"\n");
        house.green.always(way.clone());
        let load = Load::start(house.address(), 20, Duration::from_millis(10));
        house.wait_for_weight(0);
        let (requests, failed) = load.stop();
        assert_eq!(failed, 0, "{way:?}: of {requests}");
        assert!(failures(&house, cause) >= 10, "{way:?}: {:?}", house.seen(Environment::Green).failures);
    }
}

#[test]
fn a_green_that_is_gone_is_found_and_even_posts_are_rescued() {
    let mut house = House::start("weight = 50", "");
    let green = std::mem::replace(&mut house.green, Origin::start("elsewhere"));
    let _gone = green.end();
    // Caution turns posts away, as nobody can know that they will never be sent; every three seconds some are let through
    // to see, and it takes three to seven such looks.
    wait_until("it is rolled back", Duration::from_secs(200), || {
        // A connection has so many requests, and thousands are sent until then.
        assert_eq!(house.client().request("POST", "/", &[], "body").body, "blue", "never sent, so safe to send");
        house.weight() == 0
    });
    assert!(failures(&house, AttemptFailure::Connect) >= 3);
    assert_eq!(house.blue.last().body, b"body");
}

#[test]
fn a_post_is_not_repeated_unless_it_says_that_it_may_be() {
    // Overrides are not judged: green stays, however often it fails.
    let rule =
        "[[service.shop.rule]]\nheader = { name = \"x-green\", present = true }\nto = \"green\"\noverride = true\n";
    let house = House::start("weight = 0", rule);
    house.green.always(Do::Status(503));
    let mut client = house.client();
    let plain = client.request("POST", "/", &["X-Green: 1"], "body");
    assert_eq!((plain.status, plain.body.as_str()), (503, "green"), "passed on as it is");
    let keyed = client.request("POST", "/", &["X-Green: 1", "Idempotency-Key: k1"], "body");
    assert_eq!((keyed.status, keyed.body.as_str()), (200, "blue"));
    assert_eq!(house.blue.last().body, b"body");
    let long = client.request("POST", "/", &["X-Green: 1", "Idempotency-Key: k2"], &"x".repeat(70_000));
    assert_eq!(long.status, 503, "the body is longer than what is kept");
    for (method, rescued) in [("GET", true), ("HEAD", true), ("OPTIONS", true), ("PUT", false), ("DELETE", false)] {
        let answer = client.request(method, "/", &["X-Green: 1"], "");
        assert_eq!(answer.status == 200, rescued, "{method}");
    }
    assert_eq!(house.client().get("/", &["X-Green: 1"]).header("x-origin"), Some("blue"), "no trace of it");
    house.green.always(Do::Raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_owned()));
    let continued = client.request("POST", "/", &["X-Green: 1", "Idempotency-Key: k3", "Expect: 100-continue"], "body");
    assert_eq!((continued.status, continued.body.as_str()), (200, "blue"), "a 100 is no answer yet");
    house.green.always(Do::Status(404));
    assert_eq!(client.get("/", &["X-Green: 1"]).status, 404, "a 404 is an answer");
    house.green.always(Do::Status(501));
    assert_eq!(client.get("/", &["X-Green: 1"]).status, 501, "so is a 501");
}

#[test]
fn without_rescue_failures_pass_and_the_rollback_comes_all_the_same() {
    let house = House::start("weight = 50\nrescue = false", "");
    house.green.always(Do::Status(500));
    let mut client = house.client();
    let mut failed = 0;
    wait_until("it is rolled back", SOON, || {
        failed += u64::from(client.get("/", &[]).status == 500);
        house.weight() == 0
    });
    assert!(failed >= 10);
    assert_eq!(house.seen(Environment::Green).rescued, 0);
}

#[test]
fn death_in_mid_body_is_a_failure_although_the_status_was_200() {
    let house = House::start("weight = 50", "");
    house.green.always(Do::RawAndClose("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf".to_owned()));
    let mut truncated = 0;
    wait_until("it is rolled back", SOON, || {
        let answer = house.client().get("/", &[]);
        truncated += u64::from(answer.truncated);
        assert_eq!(answer.truncated, answer.body == "half", "a body that breaks off is never made whole");
        house.weight() == 0
    });
    assert!(truncated >= 10 && failures(&house, AttemptFailure::Truncated) >= 10);
    let chunked = House::start("weight = 50", "");
    chunked
        .green
        .always(Do::RawAndClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_owned()));
    wait_until("it is rolled back", SOON, || {
        let answer = chunked.client().get("/", &[]);
        assert_eq!(answer.truncated, answer.body == "hello");
        chunked.weight() == 0
    });
}

#[test]
fn both_sides_ill_is_a_hold() {
    let house = House::start("weight = 50", "");
    [&house.blue, &house.green].iter().for_each(|origin| origin.always(Do::Status(500)));
    let mut client = house.client();
    wait_until("shared fate is in the journal", SOON, || {
        (0..20).for_each(|_| drop(client.get("/", &[])));
        house.history().iter().any(|entry| entry.change.kind == ChangeKind::SharedFate)
    });
    assert_eq!(house.weight(), 5000);
}

#[test]
fn a_client_that_hangs_up_counts_for_nobody() {
    let house = House::start("weight = 100", "");
    let big = format!("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n{}", "x".repeat(20_000_000));
    house.green.always(Do::Raw(big));
    for _ in 0..12 {
        let mut client = house.client();
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        wait_until("the request is with green", SOON, || house.green.requests() > 0);
        drop(client);
    }
    wait_until("every connection is closed", SOON, || house.metrics().contains("cutover_connections 0"));
    let seen = house.seen(Environment::Green);
    assert_eq!(seen.failures.iter().sum::<u64>(), 0, "{seen:?}");
    assert!(seen.classes[ResponseClass::Aborted as usize] > 0);
    assert_eq!(house.weight(), 10_000);
}

#[test]
fn operators_shift_stop_and_clear_and_each_is_on_record() {
    let house = House::start("weight = 0", "");
    let act = |act| {
        let command = OperatorCommand {
            service: "shop".into(),
            by: Requester { who: "ann".into(), why: "to see".into(), ..Requester::default() },
            act,
        };
        house.running.sidecar.command(command).unwrap()
    };
    let half = judgement::traffic::split::Weight::from_percent(50.0).unwrap();
    assert_eq!(
        act(OperatorAction::Shift { weight: half, gradual: false, force: false }).map(|done| done.written),
        Ok(true),
        "in force and on the disk"
    );
    assert_eq!(house.weight(), 5000);
    assert!(act(OperatorAction::Stop).unwrap().written);
    let mut client = house.client();
    assert!((0..20).all(|_| client.get("/", &[]).body == "blue"));
    assert!(
        act(OperatorAction::Shift { weight: half, gradual: false, force: false }).is_err(),
        "not while it is stopped"
    );
    assert!(act(OperatorAction::Clear).unwrap().written);
    assert!(act(OperatorAction::Rollback).is_err(), "nothing to roll back");
    let kinds: Vec<_> = house.history().iter().map(|entry| entry.change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Clear, ChangeKind::Stop, ChangeKind::Shift, ChangeKind::Added]);
    assert!(house.history()[..3].iter().all(|entry| entry.change.who == "ann"));
}

#[test]
fn a_tunnel_is_an_answer_and_its_end_is_no_failure() {
    let house = House::start("weight = 100", "");
    house.set("websocket = true");
    house.green.always(Do::RawAndClose(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello".to_owned(),
    ));
    for _ in 0..15 {
        let mut client = house.client();
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        client.wait_for("hello");
    }
    wait_until("every tunnel is counted", SOON, || {
        house.seen(Environment::Green).classes[ResponseClass::Informational as usize] == 15
    });
    assert_eq!(house.seen(Environment::Green).failures.iter().sum::<u64>(), 0);
    assert_eq!(house.weight(), 10_000);
}

#[test]
fn nobody_is_rescued_who_has_gone() {
    let house = House::start("weight = 100", "[service.shop.timeouts]\nfirst_byte = \"400ms\"\n");
    house.green.always(Do::Hang);
    for n in 1..=12 {
        let mut client = house.client();
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        wait_until("the request is with green", SOON, || house.green.requests() == n);
        drop(client);
    }
    wait_until("all are counted", SOON, || {
        house.seen(Environment::Green).classes[ResponseClass::Aborted as usize] == 12
    });
    let seen = house.seen(Environment::Green);
    assert_eq!((seen.failures.iter().sum::<u64>(), seen.rescued, house.blue.requests()), (0, 0, 0));
}

#[test]
fn failures_wake_the_sidecar_between_its_ticks() {
    let house = House::with("weight = 50", "", |settings| settings.tick = judgement::time::Millis::seconds(60));
    house.green.always(Do::Status(500));
    let load = Load::start(house.address(), 4, Duration::from_millis(5));
    wait_until("it is cautious", SOON, || house.split().cautious);
    let (requests, failed) = load.stop();
    assert_eq!(failed, 0, "of {requests}");
    assert_eq!(house.weight(), 5000, "the verdict waits for the grid");
}
