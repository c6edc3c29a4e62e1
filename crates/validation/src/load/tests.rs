//! Loads on a real origin: rates, omission, users, limits, and their end.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::*;
use config::suite::{Body, ErrorLimit, Expect, LatencyLimit, LoadLimits, Profile, SuiteRequest};
use judgement::time::Millis;
use memory::snapshot::Endpoint;
use wire::Side;

use origin::Origin;

mod origin;

fn at_once(_: u64) -> (Duration, u16) {
    (Duration::ZERO, 200)
}

pub fn target(port: u16) -> TestTarget {
    TestTarget {
        side: Side::Green,
        url: "http://origin.test".to_owned(),
        endpoints: Arc::new([Endpoint::plain(([127, 0, 0, 1], port).into(), "origin.test")]),
        origin: Arc::new([Endpoint::plain(([127, 0, 0, 1], port).into(), "origin.test")]),
        headers: Vec::new(),
        connector: Arc::default(),
    }
}

pub fn step(path: &str) -> SuiteRequest {
    SuiteRequest {
        query: Vec::new(),
        name: path.to_owned(),
        method: Method::GET,
        path: path.to_owned(),
        headers: Vec::new(),
        body: Body::None,
        timeout: Millis::seconds(10),
        expect: Expect::default(),
        capture: Vec::new(),
    }
}

pub fn steady(rate: f64, length_ms: u64, users: u32) -> LoadTest {
    LoadTest {
        name: "shoppers".to_owned(),
        profile: Profile::Steady,
        rate,
        from: rate / 10.0,
        length: Millis(length_ms),
        warm_up: Millis::ZERO,
        users,
        requests: vec![(1, step("/a"))],
        resources: None,
        limits: LoadLimits::default(),
    }
}

async fn ran(load: &LoadTest, origin: &Origin) -> LoadResult {
    run(load, &target(origin.port), None, &Variables::default(), &ProgressTracker::default()).await
}

/// What holds of every result.
fn consistent(result: &LoadResult) {
    let sum = |count: fn(&wire::LoadSecond) -> u64| result.seconds.iter().map(count).sum::<u64>();
    assert_eq!(sum(|second| second.intended), result.requests);
    assert_eq!(sum(|second| second.failed), result.failed);
    assert_eq!(sum(|second| second.answered) + result.failed, result.requests);
    assert_eq!(result.answers.values().sum::<u64>(), result.requests, "{:?}", result.answers);
    let l = &result.latency;
    assert!(l.min <= l.p50 && l.p50 <= l.p90 && l.p90 <= l.p95 && l.p95 <= l.p99 && l.p99 <= l.p999 && l.p999 <= l.max);
    assert!(result.histogram.len() <= 100 && result.histogram.is_sorted_by(|a, b| a.0 < b.0));
    assert!(result.service_time.p50 <= l.p50);
    serde_json::to_string(result).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_rate_is_kept_and_the_warm_up_does_not_count() {
    let origin = Origin::new(at_once).await;
    let load = LoadTest { warm_up: Millis::seconds(1), ..steady(200.0, 3000, 50) };
    let told = ProgressTracker::default();
    let result = run(&load, &target(origin.port), None, &Variables::default(), &told).await;
    consistent(&result);
    assert_eq!((result.outcome, &result.why), (Outcome::Passed, &None));
    assert_eq!((result.requests, origin.requests()), (600, 800));
    assert_eq!((result.rate_intended, result.error_rate, result.environment), (200.0, 0.0, Side::Green));
    assert!((196.0..=204.0).contains(&result.rate_sent), "{}", result.rate_sent);
    assert!((196.0..=204.0).contains(&result.throughput), "{}", result.throughput);
    assert_eq!(result.seconds.iter().map(|second| second.intended).collect::<Vec<_>>(), [200; 3]);
    assert_eq!(result.answers["200"], 600);
    assert!(result.took_ms >= 4000.0 && result.took_ms < 14_000.0, "{}", result.took_ms);
    assert_eq!((units(&load), told.look().done), (4, 4));
    assert_eq!(origin.seen.connections.load(SeqCst), 50, "every user takes its turn, on one connection");
    assert!(result.process.cpu > 0.0 && result.process.memory_peak_bytes > 0 && result.process.open_files_peak > 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stall_counts_for_everyone_who_was_to_come_meanwhile() {
    // All answers hang for half a second, once: 4 users wait, and a hundred requests that they cannot send.
    let stalled = Arc::new(Mutex::new(None::<u64>));
    let origin = Origin::new(move |n| {
        let mut until = stalled.lock().unwrap();
        if n == 200 {
            *until = Some(clock::micros() + 500_000);
        }
        let left = until.map_or(0, |until| until.saturating_sub(clock::micros()));
        (Duration::from_micros(left.max(1000)), 200)
    });
    let origin = origin.await;
    let result = ran(&steady(200.0, 4000, 4), &origin).await;
    consistent(&result);
    assert_eq!((result.requests, result.failed), (800, 0));
    assert!(result.latency.p99 > 350.0, "of 800 requests about 100 waited up to 500 ms: {:?}", result.latency);
    assert!(result.latency.p90 > 50.0, "{:?}", result.latency);
    assert!((480.0..5000.0).contains(&result.latency.max), "{:?}", result.latency);
    assert!(result.service_time.p99 < 250.0, "only four hung: {:?}", result.service_time);
    assert!((480.0..5000.0).contains(&result.service_time.max), "{:?}", result.service_time);
    assert!(result.late >= 80, "{}", result.late);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_more_requests_at_once_than_users() {
    let origin = Origin::new(|_| (Duration::from_millis(100), 200)).await;
    let result = ran(&steady(100.0, 1000, 3), &origin).await;
    consistent(&result);
    assert_eq!(origin.seen.most_at_once.load(SeqCst), 3);
    assert_eq!(origin.seen.connections.load(SeqCst), 3);
    assert_eq!((result.requests, result.failed), (100, 0), "three at a time, all of them in the end");
    assert!(result.throughput < 50.0, "{}", result.throughput);
    assert!(result.latency.max > 1500.0 && result.service_time.p50 < 1000.0, "{result:?}");
    assert!(result.seconds.iter().all(|second| second.in_flight == 3), "{:?}", result.seconds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_warm_up_could_not_send_takes_nobodys_turn() {
    // 30 a second at the most: of the warm-up 70 are left over, more than all that is answered in the second that
    // counts.
    let origin = Origin::new(|_| (Duration::from_millis(100), 200)).await;
    let result = ran(&LoadTest { warm_up: Millis::seconds(1), ..steady(100.0, 1000, 3) }, &origin).await;
    consistent(&result);
    assert_eq!((result.requests, result.failed), (100, 0));
    assert!((10.0..=36.0).contains(&result.throughput), "{}", result.throughput);
    assert!(origin.requests() <= 140, "{}", origin.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_cut_off_at_the_end_says_nothing_of_the_origins_time() {
    // Each takes 700 ms of the 1,000 that it may: at 1,500 ms the load is over, and two are under way since 1,400.
    let origin = Origin::new(|_| (Duration::from_millis(700), 200)).await;
    let mut load = steady(40.0, 500, 2);
    load.requests[0].1.timeout = Millis(1000);
    let result = ran(&load, &origin).await;
    consistent(&result);
    assert!(result.answers["timeout"] >= 1, "{:?}", result.answers);
    assert!(result.service_time.min >= 695.0, "{:?}", result.service_time);
    assert!(result.latency.max >= 1000.0, "{:?}", result.latency);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_overloaded_load_ends_and_says_what_was_never_sent() {
    let origin = Origin::new(|_| (Duration::from_secs(60), 200)).await;
    let mut load = steady(50.0, 1000, 5);
    load.requests[0].1.timeout = Millis(500);
    let result = ran(&load, &origin).await;
    consistent(&result);
    assert_eq!((result.outcome, result.requests, result.failed), (Outcome::Failed, 50, 50));
    assert_eq!(result.answers["timeout"] + result.answers["unsent"], 50, "{:?}", result.answers);
    assert!((10..=20).contains(&result.answers["timeout"]), "{:?}", result.answers);
    let why = result.why.unwrap();
    assert!(why.starts_with("100 % of the requests failed, and none may; "), "{why}");
    assert!(why.contains(" of 50 requests were never sent because no user was free"), "{why}");
    assert!(
        result.examples.contains(&"/a: gave no complete response within 500ms".to_owned()),
        "{:?}",
        result.examples
    );
    assert!(result.took_ms < 10_000.0, "{}", result.took_ms);
    assert!(result.latency.max >= 500.0, "whoever got no answer has waited: {:?}", result.latency);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_limit_that_does_not_hold_is_named() {
    let origin = Origin::new(|n| (Duration::from_millis(30), if n.is_multiple_of(10) { 503 } else { 200 })).await;
    let mut load = steady(100.0, 1000, 50);
    load.limits = LoadLimits {
        p50: Some(LatencyLimit::Fixed(Millis(5))),
        p95: Some(LatencyLimit::Fixed(Millis(20_000))),
        p99: None,
        error_rate: Some(ErrorLimit::Fixed(5.0)),
        throughput: Some(95.0),
        ..LoadLimits::default()
    };
    let result = ran(&load, &origin).await;
    consistent(&result);
    assert_eq!((result.outcome, result.failed, result.answers["503"]), (Outcome::Failed, 10, 10));
    assert_eq!(result.examples, ["/a: answered 503, not 200 to 399"]);
    let held: Vec<_> = result.limits.iter().map(|limit| (limit.what.as_str(), limit.held)).collect();
    assert_eq!(held, [("error_rate", false), ("p50", false), ("p95", true), ("throughput", false)]);
    let why = result.why.unwrap();
    assert!(why.starts_with("10.0 % of the requests failed, over the limit of 5.00 %; p50 is "), "{why}");
    assert!(why.contains("ms, over the limit of 5.00ms; "), "{why}");
    assert!(why.contains(" requests per second succeeded, fewer than 95.0"), "{why}");

    load.limits = LoadLimits { error_rate: Some(ErrorLimit::Fixed(10.0)), ..LoadLimits::default() };
    let origin = Origin::new(|n| (Duration::ZERO, if n.is_multiple_of(10) { 503 } else { 200 })).await;
    assert_eq!(ran(&load, &origin).await.why, None);
    load.limits = LoadLimits::default();
    load.requests[0].1.expect.status = vec![(200, 200), (503, 503)];
    assert_eq!(ran(&load, &origin).await.why, None, "a status that is wanted is no failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_no_answer_is_counted_by_its_kind() {
    let origin = Origin::new(|_| (Duration::ZERO, 0)).await;
    let result = ran(&steady(20.0, 500, 5), &origin).await;
    consistent(&result);
    assert_eq!((result.failed, result.answers["reset"]), (10, 10), "{:?}", result.answers);
    assert_eq!(result.latency, Latencies::default(), "a broken connection has no latency");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused =
        run(&steady(20.0, 500, 5), &target(closed), None, &Variables::default(), &ProgressTracker::default()).await;
    assert_eq!(refused.answers["connect"], 10, "{:?}", refused.answers);
    assert_eq!(refused.examples, ["/a: refused the connection"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stress_says_where_it_breaks() {
    // Stairs of 100 ms with 100, 200 … 1000 requests a second: the seventh has the requests from the 210th to the
    // 279th.
    let origin = Origin::new(|n| (Duration::from_millis(if n > 230 { 300 } else { 1 }), 200)).await;
    let mut load = LoadTest { profile: Profile::Stress, from: 100.0, ..steady(1000.0, 1000, 1000) };
    load.limits.p50 = Some(LatencyLimit::Fixed(Millis(200)));
    let result = ran(&load, &origin).await;
    consistent(&result);
    assert_eq!((result.requests, result.failed), (550, 0));
    let why = result.why.unwrap();
    assert!(why.starts_with("it breaks at 700 requests per second (step 7 of 10): p50 is "), "{why}");
    assert!(result.limits.iter().any(|limit| limit.what == "p50 at 700/s" && !limit.held), "{:?}", result.limits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_soak_that_wears_out_fails() {
    let origin = Origin::new(|n| (Duration::from_millis(if n < 100 { 20 } else { 1000 }), 200)).await;
    let load = LoadTest { profile: Profile::Soak, ..steady(100.0, 2000, 200) };
    let result = ran(&load, &origin).await;
    let why = result.why.unwrap();
    assert!(why.starts_with("p95 of the second half is ") && why.contains("ms, over the limit of "), "{why}");
    let origin = Origin::new(|_| (Duration::from_millis(20), 200)).await;
    let result = ran(&load, &origin).await;
    let halves = result.limits.iter().find(|limit| limit.what == "p95 of the second half").unwrap();
    assert!(halves.limit >= 25.0 && halves.found >= 20.0, "{halves:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn dropped_it_sends_nothing_more() {
    let origin = Origin::new(|_| (Duration::from_millis(5), 200)).await;
    let load = steady(500.0, 60_000, 20);
    let (target, variables, told) = (target(origin.port), Variables::default(), ProgressTracker::default());
    let running = run(&load, &target, None, &variables, &told);
    let enough = async {
        while origin.requests() < 200 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = running => panic!("it takes a minute"),
        () = enough => {}
    }
    let at_the_drop = origin.requests();
    // What was on its way may still arrive; then it is quiet for as long as 500 requests took before.
    let (mut seen, mut quiet) = (at_the_drop, 0);
    while quiet < 100 {
        sleep(Duration::from_millis(10)).await;
        quiet = if origin.requests() == seen { quiet + 1 } else { 0 };
        seen = origin.requests();
        assert!(seen < at_the_drop + 500, "it goes on");
    }
    assert!(seen <= at_the_drop + 100, "{} requests after the drop", seen - at_the_drop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thousand_users_are_there_at_once() {
    // Until all of them are, nobody gets an answer.
    let origin = Origin::new(|n| (Duration::from_millis(1000 - n.min(1000)), 200)).await;
    let result = ran(&steady(1000.0, 2000, 1000), &origin).await;
    consistent(&result);
    assert_eq!((result.requests, result.failed), (2000, 0), "{:?}", result.examples);
    assert_eq!(origin.seen.connections.load(SeqCst), 1000);
    assert!(origin.seen.most_at_once.load(SeqCst) > 400, "{}", origin.seen.most_at_once.load(SeqCst));
    assert!(result.process.open_files_peak >= 1000, "{:?}", result.process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn requests_come_by_weight_and_unique_is_unique() {
    let origin = Origin::new(at_once).await;
    let mut load = steady(100.0, 600, 1);
    load.requests =
        vec![(3, step("/often")), (0, step("/never")), (1, step("/seldom/${unique}")), (2, step("/as/${id}"))];
    let mut variables = Variables::default();
    variables.set("id", "7");
    let result = run(&load, &target(origin.port), None, &variables, &ProgressTracker::default()).await;
    consistent(&result);
    let paths = origin.seen.paths.lock().unwrap().clone();
    let count = |start: &str| paths.iter().filter(|path| path.starts_with(start)).count();
    assert_eq!((count("/often"), count("/never"), count("/seldom/"), count("/as/7")), (30, 0, 10, 20));
    let turn = paths.iter().take(6).map(|path| path.split('/').nth(1).unwrap()).collect::<Vec<_>>();
    assert_eq!(turn, ["often", "as", "often", "seldom", "as", "often"], "evenly, not in blocks");
    let mut seldom: Vec<&String> = paths.iter().filter(|path| path.starts_with("/seldom/")).collect();
    seldom.sort();
    seldom.dedup();
    assert_eq!(seldom.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_tried_has_failed_and_sends_nothing() {
    let origin = Origin::new(at_once).await;
    let good = steady(10.0, 500, 1);
    let with = |change: &dyn Fn(&mut LoadTest)| {
        let mut load = good.clone();
        change(&mut load);
        load
    };
    for (load, wanted) in [
        (with(&|load| load.requests.clear()), "it has no requests to send"),
        (with(&|load| load.requests[0].1.path = "/${gone}".to_owned()), "/a: `${gone}` has no value here"),
        (with(&|load| load.rate = 0.0), "no request was due"),
    ] {
        let result = ran(&load, &origin).await;
        assert_eq!(result.outcome, Outcome::Failed);
        let why = result.why.unwrap();
        assert!(why.starts_with(wanted), "{why}");
    }
    let nowhere = TestTarget { endpoints: Arc::new([]), ..target(origin.port) };
    let result = run(&good, &nowhere, None, &Variables::default(), &ProgressTracker::default()).await;
    assert_eq!(result.why.unwrap(), "the environment has no address: its name does not resolve");
    assert_eq!(origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_limit_of_active_is_compared_in_the_same_seconds() {
    let slow = Origin::new(|_| (Duration::from_millis(60), 200)).await;
    let slower = Origin::new(|_| (Duration::from_millis(150), 200)).await;
    let mut load = steady(50.0, 2000, 50);
    load.limits = LoadLimits { p95: Some(LatencyLimit::OfActive(1.6)), ..LoadLimits::default() };
    assert!(load.limits.need_active());
    let run_on = async |origin: &Origin, active: Option<&Origin>| {
        let active = active.map(|active| TestTarget { side: Side::Blue, ..target(active.port) });
        run(&load, &target(origin.port), active.as_ref(), &Variables::default(), &ProgressTracker::default()).await
    };
    let same = run_on(&slow, Some(&slow)).await;
    consistent(&same);
    assert_eq!((same.outcome, same.why.as_deref()), (Outcome::Passed, None));
    let active = same.active.unwrap();
    assert_eq!((active.environment, active.requests, active.failed), (Side::Blue, 100, 0));
    assert_eq!((same.requests, slow.requests()), (100, 200));

    let worse = run_on(&slower, Some(&slow)).await;
    assert_eq!(worse.outcome, Outcome::Failed);
    let why = worse.why.unwrap();
    assert!(why.starts_with("p95 is 15") && why.contains("which is 1.6 times active's "), "{why}");
    let relative = worse.limits[1].relative.unwrap();
    assert!(relative.times == 1.6 && relative.active >= 60.0 && relative.active < 94.0, "{relative:?}");
    assert!((worse.limits[1].limit - 1.6 * relative.active).abs() < 1e-9);

    let itself = run_on(&slower, None).await;
    assert_eq!((itself.outcome, itself.limits.len()), (Outcome::Passed, 1), "active is compared with nothing");
    assert_eq!(itself.unjudged, ["p95"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_limit_of_actives_errors_counts_the_same_seconds_and_needs_something_to_compare_with() {
    let failing = async |every: u64| {
        Origin::new(move |number| (Duration::ZERO, if number.is_multiple_of(every) { 500 } else { 200 })).await
    };
    let (tenth, alike) = (failing(10).await, failing(10).await);
    let (half, all) = (failing(2).await, failing(1).await);
    let mut load = steady(100.0, 1000, 10);
    load.limits = LoadLimits { error_rate: Some(ErrorLimit::OfActive(1.5)), ..LoadLimits::default() };
    let run_on = async |origin: &Origin, active: Option<&Origin>| {
        let active = active.map(|active| TestTarget { side: Side::Blue, ..target(active.port) });
        run(&load, &target(origin.port), active.as_ref(), &Variables::default(), &ProgressTracker::default()).await
    };
    let same = run_on(&tenth, Some(&alike)).await;
    assert_eq!((same.outcome, same.why.as_deref()), (Outcome::Passed, None));
    let worse = run_on(&half, Some(&tenth)).await.why.unwrap();
    assert!(
        worse.starts_with(
            "50.0 % of the requests failed, over 28.4 %, the most that 1.5 times active's 10.0 % and chance"
        ),
        "{worse}"
    );
    let nothing = run_on(&tenth, Some(&all)).await.why.unwrap();
    assert!(
        nothing.starts_with("error_rate has nothing to be compared with: active failed all of its requests"),
        "{nothing}"
    );
    let itself = run_on(&half, None).await;
    assert_eq!(
        (itself.outcome, itself.limits.len(), itself.unjudged),
        (Outcome::Passed, 0, vec!["error_rate".to_owned()])
    );
}
