//! What the request path counts for the judge and its ledger: what is out, who was hurt, and which clients met green.

use std::net::TcpStream;
use std::time::Duration;

use config::{EarlyHints, MainConfig};
use judgement::guard::window::{ClientImpact, JudgedTotals};
use judgement::traffic::Environment::{self, Blue, Green};
use memory::counters::{AttemptFailure, ResponseClass};

use crate::support::client::Client;
use crate::support::house::{House, shop};
use crate::support::origin::{Do, Origin};
use crate::support::{SOON, wait_until};

const OVERRIDE: &str =
    "[[service.shop.rule]]\nheader = { name = \"x-green\", present = true }\nto = \"green\"\noverride = true\n";

fn totals(house: &House, side: Environment) -> JudgedTotals {
    house.running.counters.route("shop", "default").totals(side)
}

fn tally(house: &House, side: Environment) -> ClientImpact {
    totals(house, side).tally
}

/// Requests that were sent, and of these, those that have ended.
fn cohorts(house: &House, side: Environment) -> (u32, u32) {
    let cohorts = totals(house, side).cohorts;
    assert!(cohorts.sent.iter().zip(&cohorts.ended).all(|(sent, ended)| ended <= sent));
    (cohorts.sent.iter().sum(), cohorts.ended.iter().sum())
}

#[track_caller]
fn wait_for_requests(house: &House, side: Environment, count: u64) {
    wait_until(&format!("{count} are counted"), SOON, || tally(house, side).requests == count);
}

fn hung(house: &House, path: &str) -> Client {
    let mut client = house.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
    client
}

#[test]
fn a_request_is_out_until_its_answers_head_is_here() {
    let house = House::start("weight = 100", "");
    let (release, released) = tokio::sync::watch::channel(false);
    house.green.always(Do::When(released));
    let mut clients: Vec<Client> = Vec::new();
    for count in 1..=5 {
        clients.push(hung(&house, "/"));
        wait_until("it is out", SOON, || cohorts(&house, Green) == (count, 0));
    }
    assert_eq!(cohorts(&house, Blue), (0, 0));
    assert!(totals(&house, Green).cohorts.sent.iter().filter(|sent| **sent > 0).count() <= 5);
    release.send(true).unwrap();
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
    assert_eq!(cohorts(&house, Green), (5, 5));
}

#[test]
fn an_answer_of_which_only_the_head_came_is_out_no_more() {
    let house = House::start("weight = 100", "");
    house.green.always(Do::Raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf".to_owned()));
    let mut client = hung(&house, "/");
    client.wait_for("half");
    assert_eq!((cohorts(&house, Green), tally(&house, Green).requests), ((1, 1), 0), "answered, and still on its way");
}

#[test]
fn hints_are_no_answer_and_a_tunnel_is_one() {
    let rest = "[service.shop.timeouts]\nfirst_byte = \"500ms\"\n";
    let house = House::with("weight = 100", rest, |settings| settings.early_hints = EarlyHints::All);
    house.set("websocket = true");
    house.green.always(Do::Raw("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n".to_owned()));
    let mut waiting = hung(&house, "/");
    waiting.wait_for("103 Early Hints");
    assert_eq!(cohorts(&house, Green), (1, 0));
    drop(waiting);
    wait_for_requests(&house, Green, 1);
    assert_eq!(cohorts(&house, Green), (1, 1), "given up");
    assert_eq!(tally(&house, Green).hurt, 0, "by its client, which counts for nobody");

    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello";
    house.green.always(Do::Raw(switch.to_owned()));
    let mut tunnel = house.client();
    tunnel.send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    tunnel.wait_for("hello");
    assert_eq!(cohorts(&house, Green), (2, 2));
}

#[test]
fn a_connect_that_hangs_is_out_and_is_rescued_in_the_end() {
    let house = House::start("weight = 0", "");
    // A queue of one that nobody accepts from: once it is full, Linux drops whoever else knocks.
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    deaf.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    deaf.listen(0).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let knock = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let _queue: Vec<TcpStream> = std::iter::from_fn(|| knock().ok()).take(100).collect();
    let text = shop(
        &house.blue.url(),
        &format!("http://{address}"),
        "weight = 100",
        "[service.shop.timeouts]\nconnect = \"1s\"\n",
    );
    std::fs::write(house.routing_path(), text).unwrap();
    house.wait_for_weight(10_000);
    let mut client = hung(&house, "/");
    wait_until("it is out", SOON, || cohorts(&house, Green) == (1, 0));
    assert_eq!(client.answer().body, "blue");
    assert_eq!((cohorts(&house, Green), cohorts(&house, Blue)), ((1, 1), (0, 0)), "the second try is in no cohort");
}

#[test]
fn a_request_without_an_address_is_out_no_more() {
    let house = House::start("weight = 0", "");
    let nowhere = shop("http://nowhere.invalid:1", &house.green.url(), "weight = 0", "");
    std::fs::write(house.routing_path(), nowhere).unwrap();
    wait_until("blue is nowhere", SOON, || house.client().get("/", &[]).status == 502);
    wait_until("it is counted", SOON, || tally(&house, Blue).hurt > 0);
    let (sent, ended) = cohorts(&house, Blue);
    assert_eq!(sent, ended);
}

#[test]
fn whoever_is_rescued_is_not_hurt_and_whoever_is_not_is() {
    let house = House::start("weight = 100\nrescue = true", "");
    let mut client = house.client();
    let expect = |requests, [rescued, saved]: [u64; 2], hurt| {
        wait_for_requests(&house, Green, requests);
        wait_until("all is told", SOON, || {
            tally(&house, Green) == ClientImpact { requests, left: 0, rescued, saved, hurt, turned_away: 0 }
        });
        assert_eq!(cohorts(&house, Green), (requests as u32, requests as u32));
    };
    house.green.always(Do::Status(200));
    assert_eq!(client.get("/", &[]).body, "green");
    expect(1, [0, 0], 0);
    house.green.always(Do::Status(500));
    assert_eq!(client.get("/", &[]).status, 200);
    expect(2, [1, 1], 0);
    assert_eq!(client.request("POST", "/", &[], "body").status, 500);
    expect(3, [1, 1], 1);
    house.blue.always(Do::Status(503));
    assert_eq!(client.get("/", &[]).status, 503);
    expect(4, [2, 1], 2);
    house.green.always(Do::RawAndClose("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf".to_owned()));
    assert!(house.client().get("/", &[]).truncated);
    expect(5, [2, 1], 3);
    house.green.always(Do::Status(404));
    assert_eq!(client.get("/", &[]).status, 404, "is an answer");
    expect(6, [2, 1], 3);
    let blue = tally(&house, Blue);
    assert_eq!(blue, ClientImpact::default(), "green was tried first, whoever answered");
    let metrics = house.metrics();
    for line in [
        "cutover_hurt_total{service=\"shop\",route=\"default\",environment=\"green\"} 3\n",
        "cutover_turned_away_total{service=\"shop\",route=\"default\"} 0\n",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
}

#[test]
fn a_client_that_left_is_not_hurt() {
    // Otherwise its request ends when it leaves.
    let change = |settings: &mut MainConfig| (settings.threads, settings.limits.half_close) = (1, true);
    let mut house = House::with("weight = 100", "[service.shop.timeouts]\nfirst_byte = \"500ms\"\n", change);
    house.green.always(Do::Hang);
    drop(hung(&house, "/"));
    wait_for_requests(&house, Green, 1);
    assert_eq!(house.seen(Green).classes[ResponseClass::Aborted as usize], 1, "nobody waited for the time-out");
    assert_eq!(tally(&house, Green), ClientImpact { requests: 1, left: 1, ..ClientImpact::default() });

    house.green.does(|request| if request.line().contains("/hang") { Do::Hang } else { Do::Status(200) });
    let client = hung(&house, "/hang");
    wait_until("it is out", SOON, || house.green.requests() == 2);
    drop(client);
    // The one worker answers this after it has heard that the client left.
    assert_eq!(house.client().get("/", &[]).status, 200);
    house.green = Origin::start("elsewhere");
    wait_for_requests(&house, Green, 3);
    assert_eq!(house.seen(Green).failures[AttemptFailure::Reset as usize], 1, "green is to blame");
    assert_eq!(tally(&house, Green).hurt, 0, "and nobody was there");
}

#[test]
fn an_override_is_in_no_cohort_and_hurts_only_in_the_metrics() {
    let house = House::start("weight = 0", OVERRIDE);
    house.green.always(Do::Status(503));
    assert_eq!(house.client().request("POST", "/", &["X-Green: 1"], "body").status, 503);
    wait_until("it is counted", SOON, || house.seen(Green).hurt == 1);
    assert_eq!(totals(&house, Green), JudgedTotals::default());
}

#[test]
fn the_clients_that_met_green_are_counted_once_each() {
    let house = House::start("weight = 50\nsticky = { cookie = \"side\" }", OVERRIDE);
    let keys = house.running.counters.keys("shop");
    let mut client = house.client();
    let mut met = Vec::new();
    for _ in 0..200 {
        let answer = client.get("/", &[]);
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        if answer.body == "green" {
            met.push(format!("Cookie: {cookie}"));
        }
    }
    let near = |estimate: u64| estimate.abs_diff(met.len() as u64) * 10 <= met.len() as u64;
    let fresh = keys.estimate(1);
    assert!(near(fresh), "{fresh} of {}", met.len());
    for cookie in &met {
        assert_eq!(client.get("/", &[cookie]).body, "green");
    }
    assert_eq!(keys.estimate(1), fresh, "who comes again is known");
    (0..100).for_each(|n| drop(client.get("/", &["X-Green: 1", &format!("Cookie: side=tester{n}")])));
    assert_eq!(keys.estimate(1), fresh, "an override is no part of the rollout");
    assert_eq!(keys.estimate(2), 0, "another rollout has met nobody");
}
