//! Preflights over real sockets: a candidate that is still starting is waited for, and one that is wrong is not.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use health::preflight;
use judgement::rollout::PreflightRequest;
use judgement::rollout::plan::WarmUp;
use judgement::time::Millis;
use judgement::traffic::Environment;

use crate::support::front::{Front, NOBODY, at, routing};
use crate::support::h2::H2Origin;
use crate::support::house::{House, shop};
use crate::support::origin::{Do, Origin, RUNTIME};
use crate::support::tls::{Certificate, serving};
use crate::support::{SOON, wait_until};

const HEALTHZ: &str = "[[service.shop.health]]\nname = \"home\"\nenvironment = \"green\"\ninterval = \"60s\"\n\
                       timeout = \"300ms\"\nretries = 0\nhttp = { path = \"/healthz\" }\n";

/// What says that it is not waited for.
const AT_ONCE: Duration = Duration::from_secs(5);

fn tried(house: &House, requests: u32, ready_within: Millis) -> Result<String, String> {
    let warm_up = WarmUp { requests, path: "/warm".to_owned() };
    let order = PreflightRequest {
        service: "shop".into(),
        rollout: 1,
        environment: Environment::Green,
        warm_up,
        ready_within,
        suites: vec![],
        at_once: false,
    };
    RUNTIME.block_on(preflight::run(house.running.published.clone(), house.running.health.clone(), order))
}

/// What fails so many requests to a path and serves all others.
fn after(requests: u64, path: &'static str, failing: Do) -> impl Fn(&crate::support::origin::Request) -> Do {
    let seen = AtomicU64::new(0);
    move |request| match request.line().contains(path) && seen.fetch_add(1, SeqCst) < requests {
        true => failing.clone(),
        false => Do::Status(200),
    }
}

#[test]
fn a_preflight_warms_up_and_runs_the_checks() {
    let house = House::start("weight = 0", HEALTHZ);
    let said = tried(&house, 3, Millis::ZERO).unwrap();
    assert!(said.starts_with("3 warm-up requests to its address, first "), "{said}");
    assert!(said.ends_with("; check home passed"), "{said}");
    house.green.does(after(u64::MAX, "/healthz", Do::Status(404)));
    let why = format!("check home: green ({}) returned 404 for GET /healthz", house.green.address);
    assert_eq!(tried(&house, 1, Millis::ZERO), Err(why));
}

#[test]
fn a_preflight_that_does_not_wait_forgives_a_cold_start_and_nothing_else() {
    let house = House::start("weight = 0", "");
    let cold = AtomicU64::new(0);
    house.green.does(move |_| match cold.fetch_add(1, SeqCst) {
        0 => Do::Status(502),
        1 => Do::Slow(Duration::from_millis(400)),
        _ => Do::Status(200),
    });
    assert!(tried(&house, 3, Millis::ZERO).is_ok());
    let at = house.green.address;
    house.green.always(Do::Status(503));
    assert_eq!(tried(&house, 2, Millis::ZERO), Err(format!("green ({at}) returned 503 for GET /warm")));
    house.green.always(Do::Close);
    assert!(tried(&house, 1, Millis::ZERO).unwrap_err().starts_with(&format!("green ({at}) ")));
    house.green.always(Do::Hang);
    assert_eq!(tried(&house, 1, Millis::ZERO), Err(format!("green ({at}) did not respond within 15s")));
}

#[test]
fn what_a_candidate_does_while_it_starts_is_not_the_end() {
    for failing in [Do::Status(502), Do::Status(503), Do::Status(504), Do::Close, Do::Reset] {
        let house = House::start("weight = 0", "");
        house.green.does(after(5, "/warm", failing));
        let said = tried(&house, 2, Millis::seconds(30)).unwrap();
        assert!(said.starts_with("2 warm-up requests to its address"), "{said}");
        assert_eq!(house.green.requests(), 7, "what found nothing there was no warm-up");
    }
}

#[test]
fn a_candidate_that_does_not_listen_yet_is_waited_for() {
    let house = House::start("weight = 0", "");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let before = house.running.published.load().generation;
    std::fs::write(house.routing_path(), shop(&house.blue.url(), &format!("http://{free}"), "", HEALTHZ)).unwrap();
    house.running.reload();
    wait_until("it is in force", SOON, || house.running.published.load().generation > before);
    let starts = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(900));
        Origin::start_on("green", free)
    });
    let said = tried(&house, 1, Millis::seconds(30)).unwrap();
    assert!(said.ends_with("; check home passed"), "{said}");
    assert!(starts.join().unwrap().requests() >= 2);
}

#[test]
fn a_check_may_fail_while_the_candidate_starts() {
    let house = House::start("weight = 0", HEALTHZ);
    house.green.does(after(4, "/healthz", Do::Status(500)));
    let said = tried(&house, 1, Millis::seconds(30)).unwrap();
    assert!(said.ends_with("; check home passed"), "{said}");
}

#[test]
fn the_time_to_start_is_limited_and_the_reason_says_so() {
    let house = House::start("weight = 0", HEALTHZ);
    let (at, began) = (house.green.address, Instant::now());
    house.green.always(Do::Status(503));
    let why = tried(&house, 2, Millis::seconds(1)).unwrap_err();
    assert_eq!(why, format!("green ({at}) returned 503 for GET /warm, and was not ready within 1s"));
    house.green.does(after(u64::MAX, "/healthz", Do::Status(500)));
    let why = tried(&house, 2, Millis::seconds(1)).unwrap_err();
    assert_eq!(why, format!("check home: green ({at}) returned 500 for GET /healthz, and was not ready within 1s"));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took < AT_ONCE + Duration::from_secs(2), "{took:?}");
}

#[test]
fn what_is_wrong_is_not_waited_for() {
    let house = House::start("weight = 0", "");
    for (wrong, said) in [
        (Do::Status(500), "returned 500 for GET /warm"),
        (Do::Status(501), "returned 501 for GET /warm"),
        (Do::Raw("SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned()), "sent a response that is not valid HTTP"),
    ] {
        let began = Instant::now();
        house.green.always(wrong);
        let why = tried(&house, 3, Millis::seconds(60)).unwrap_err();
        assert_eq!(why, format!("green ({}) {said}", house.green.address));
        assert!(began.elapsed() < AT_ONCE, "{said}: {:?}", began.elapsed());
    }
}

#[test]
fn a_certificate_that_is_not_its_own_is_not_waited_for() {
    let origin = H2Origin::tls(serving(&Certificate::of(&["127.0.0.1"]), &["http/1.1"], None));
    let front = Front::start(&routing(NOBODY, &at(&origin, ""), ""), &[]);
    let began = Instant::now();
    let why = tried(&front.house, 1, Millis::seconds(60)).unwrap_err();
    assert!(why.contains("invalid peer certificate"), "{why}");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}
