//! A candidate whose responses have success, and are not what clients usually get.

use std::time::Duration;

use judgement::guard::shape::UsualShape;
use judgement::rollout::ChangeKind;
use judgement::traffic::Environment;

use crate::rollouts::Site;
use crate::support::front::{Front, at, block_on, routing};
use crate::support::h2::H2Origin;
use crate::support::house::{House, Load};
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

/// Longer than it takes to take a candidate back for its responses' shape.
const WATCHED: Duration = Duration::from_secs(6);
/// JSON of a length that is usual here.
const USUAL: usize = 1000;

fn says(media: &str, length: usize) -> String {
    let body = "x".repeat(length);
    format!("HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn usual() -> Do {
    Do::Raw(says("application/json", USUAL))
}

fn redirect(to: &str) -> Do {
    Do::Raw(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))
}

/// A house whose both sides answer alike, once what is usual is known.
fn house(split: &str, rest: &str, clients: usize) -> (House, Load) {
    let house = House::start(split, rest);
    for side in [&house.blue, &house.green] {
        side.does(|request| if request.line().contains("/old") { redirect("/new") } else { usual() });
    }
    let load = Load::asking(house.address(), clients, Duration::from_millis(4), |client, turn| {
        client.try_request("GET", if turn % 2 == 0 { "/old?a=b" } else { "/" }, &[], "")
    });
    let route = || house.running.counters.route("shop", "default").usual();
    wait_until("what is usual is known", SOON, || route() != UsualShape::UNKNOWN);
    (house, load)
}

#[test]
fn a_candidate_with_another_shape_is_taken_back_and_the_reason_names_it() {
    type Script = fn(&str) -> Do;
    let cases: [(Script, &str); 6] = [
        (|_| Do::Raw(says("text/html", USUAL)), "a media type that is unusual for blue"),
        (|_| Do::Raw(says("application/json", 0)), "an empty body where blue's is not"),
        (|_| Do::Raw(says("application/json", 20)), "a body ten times shorter than blue's shortest"),
        (|_| Do::Raw(says("application/json", 30_000)), "a body ten times longer than blue's longest"),
        (
            |_| Do::Dribble(says("application/json", USUAL), 500, Duration::from_millis(700)),
            "a body that takes much longer than blue's",
        ),
        (|line| if line.contains("/old") { redirect("/old?a=b") } else { usual() }, "a redirect to the same address"),
    ];
    for (green, says) in cases {
        let (house, load) = house("weight = 30", "", 8);
        house.green.does(move |request| green(request.line()));
        wait_until(says, 2 * SOON, || house.find(ChangeKind::Rollback).is_some());
        let entry = house.entry(ChangeKind::Rollback);
        let why = entry.change.why;
        assert!(why.contains(says), "{why}");
        assert!(house.metrics().contains("reason=\"evidence of odd responses\"} 1"), "{says}");
        load.stop();
    }
}

#[test]
fn a_promoted_version_is_odd_by_what_its_predecessor_was() {
    let site = Site::new("steps = [50, 100]\nbake = \"1s\"\nrequests = 5\nwatch = \"10m\"\nwarm_up = 1");
    for side in [&site.blue, &site.green] {
        side.does(|_| usual());
    }
    let load = Load::start(site.process.address, 8, Duration::from_millis(4));
    wait_until("blue is known", SOON, || site.blue.requests() > 500);
    site.must(&["deploy", "2.0.0"]);
    site.wait_for_phase("promoted");
    site.green.always(Do::Raw("HTTP/1.1 204 No Content\r\n\r\n".to_owned()));
    wait_until("it is taken back", Duration::from_secs(200), || site.kinds().contains(&ChangeKind::Rollback));
    load.stop();
    let history = site.must(&["history"]);
    assert!(history.contains("with an empty body where blue's is not"), "{history}");
    assert!(history.contains("set `compare_shape = false`"), "the way out is there: {history}");
}

#[test]
fn what_a_release_changes_on_purpose_or_a_little_takes_nothing_back() {
    let doubled = || Do::Raw(says("application/json; charset=utf-8", 4 * USUAL));
    let (house, load) = house("weight = 50", "", 4);
    house.green.does(move |_| doubled());
    std::thread::sleep(WATCHED);
    assert_eq!(house.weight(), 5000, "{:?}", house.find(ChangeKind::Rollback).map(|entry| entry.change.why));
    load.stop();
}

#[test]
fn what_is_not_to_be_compared_is_not() {
    let route = "[[service.shop.route]]\nname = \"export\"\npath = \"/export\"\ncompare_shape = false";
    let (house, load) = house("weight = 50", route, 2);
    let exports = Load::asking(house.address(), 4, Duration::from_millis(4), |client, _| {
        client.try_request("GET", "/export", &[], "")
    });
    house.green.does(|request| if request.line().contains("/export") { Do::Raw(says("text/csv", 1)) } else { usual() });
    std::thread::sleep(WATCHED);
    assert_eq!(house.weight(), 5000, "{:?}", house.find(ChangeKind::Rollback).map(|entry| entry.change.why));
    let odd = house.running.counters.route("shop", "export").totals(Environment::Green).odd;
    assert_eq!(odd.iter().sum::<u32>(), 0);
    exports.stop();
    load.stop();
}

#[test]
fn a_client_that_reads_slowly_is_not_an_origin_that_sends_slowly() {
    let house = House::start("weight = 100", "");
    let long = 8 << 20;
    house.green.always(Do::Raw(says("application/json", long)));
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(client.answer().body.len(), long);
    let shapes = || house.running.counters.route("shop", "default").totals(Environment::Green).shapes;
    wait_until("it is counted", SOON, || shapes().lengths.iter().sum::<u32>() == 1);
    let slow: u32 = shapes().times.iter().skip(10).sum();
    assert_eq!(slow, 0, "{:?}", shapes().times);
}

#[test]
fn an_empty_body_over_http2_is_odd_too() {
    let (blue, green) = (H2Origin::clear(), H2Origin::clear());
    blue.does(|mut exchange| async move { exchange.say(200, vec![b'x'; USUAL]) });
    green.does(|mut exchange| async move { exchange.say(200, vec![b'x'; USUAL]) });
    let only = "h2 = \"only\"";
    let file = routing(&at(&blue, only), &at(&green, only), "split = { weight = 50 }");
    let front = Front::start(&file, &[]);
    let route = front.house.running.counters.route("shop", "default");
    block_on(async {
        let mut client = front.client().await;
        let mut asked = 0_u64;
        let mut is_empty = false;
        let ended = tokio::time::timeout(Duration::from_secs(60), async {
            while front.house.find(ChangeKind::Rollback).is_none() {
                client.get("https://shop.test/").await.unwrap();
                asked += 1;
                if !is_empty && route.usual() != UsualShape::UNKNOWN {
                    is_empty = true;
                    green.does(|mut exchange| async move { exchange.say(200, "") });
                }
            }
        });
        ended.await.unwrap_or_else(|_| panic!("not taken back after {asked} requests"));
    });
    let why = front.house.find(ChangeKind::Rollback).unwrap().change.why;
    assert!(why.contains("an empty body where blue's is not"), "{why}");
}
