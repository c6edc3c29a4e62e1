//! What counts as a failure: by status, by what the origin says itself, for a service and for its routes.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use judgement::guard::window::JudgedTotals;
use judgement::rollout::ChangeKind;
use judgement::traffic::Environment::Green;
use memory::counters::AttemptFailure;

use crate::support::front::{Front, at, block_on, routing};
use crate::support::h2::{Exchange, H2Origin};
use crate::support::house::{House, Load};
use crate::support::origin::{Do, Origin};
use crate::support::tls::H2Answer;
use crate::support::{SOON, wait_until};

const HEADER: &str = "failure_header = \"x-release-failure\"";
/// Nobody moves the weight.
const UNJUDGED: &str = "[service.shop.guard]\nevidence = false\ndead_candidate = false";
/// Longer than it takes to take a candidate back for what is counted against it.
const WATCHED: Duration = Duration::from_secs(4);

/// A house whose service has these keys.
fn house(keys: &str, split: &str, rest: &str) -> House {
    House::with(split, rest, |settings| add(&settings.routing, keys))
}

/// Adds keys to the service in a file.
fn add(file: &Path, keys: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, text.replacen("[service.shop]\n", &format!("[service.shop]\n{keys}\n"), 1)).unwrap();
}

/// Clients that ask for the root, one after the other.
fn load(house: &House) -> Load {
    Load::asking(house.address(), 4, Duration::from_millis(5), |client, _| client.try_request("GET", "/", &[], ""))
}

#[track_caller]
fn is_taken_back(house: &House, says: &str) {
    wait_until("a rollback", SOON, || house.find(ChangeKind::Rollback).is_some());
    let why = house.entry(ChangeKind::Rollback).change.why;
    assert!(why.contains(says), "{why}");
    assert_eq!(house.weight(), 0);
}

/// What is judged of green on a route, once it has answered so often.
#[track_caller]
fn judged(house: &House, route: &str, answers: u64) -> JudgedTotals {
    let totals = || house.running.counters.route("shop", route).totals(Green);
    wait_until("it is counted", SOON, || totals().counts.answers == answers);
    totals()
}

fn refusals(totals: &JudgedTotals) -> u32 {
    totals.refusals.iter().sum()
}

/// A response with this header behind it.
fn said(status: u16, value: &str) -> Do {
    Do::Raw(format!("HTTP/1.1 {status} Said\r\nContent-Length: 5\r\nX-Release-Failure: {value}\r\n\r\ngreen"))
}

#[test]
fn a_429_that_counts_as_a_failure_takes_the_candidate_back_and_is_not_sent_again() {
    let house = house("failures = [\"5xx\", \"429\"]", "weight = 20", "");
    let load = load(&house);
    std::thread::sleep(Duration::from_secs(1));
    house.green.always(Do::Status(429));
    is_taken_back(&house, "green fails");
    load.stop();
    let seen = house.seen(Green);
    let (errors, all) = (seen.failures[AttemptFailure::Error as usize], seen.failures.iter().sum::<u64>());
    assert!(errors >= 3 && errors == all && seen.rescued == 0 && seen.hurt == errors, "{seen:?}");
    let metrics = house.metrics();
    let cause = "cutover_failures_total{service=\"shop\",route=\"default\",environment=\"green\",cause=\"error\"}";
    assert!(metrics.lines().any(|line| line == format!("{cause} {errors}")), "{metrics}");
}

#[test]
fn a_404_that_is_ignored_takes_nobody_back_and_one_that_is_not_does() {
    let house = house("ignore = [404, \"300-303\"]", "weight = 20", "");
    house.green.does(|request| Do::Status(if request.line().contains("/moved") { 302 } else { 404 }));
    let load = Load::asking(house.address(), 4, Duration::from_millis(5), |client, turn| {
        client.try_request("GET", if turn % 2 == 0 { "/" } else { "/moved" }, &[], "")
    });
    std::thread::sleep(WATCHED);
    let totals = house.running.counters.route("shop", "default").totals(Green);
    assert!(totals.counts.answers > 50 && totals.counts.failed == 0 && refusals(&totals) == 0, "{totals:?}");
    assert_eq!(house.weight(), 2000);
    house.write("weight = 20", "");
    is_taken_back(&house, "with 4xx or a redirect");
    load.stop();
}

/// An origin of HTTP/2 that answers so.
fn answering(status: u16, header: Option<&'static str>) -> H2Origin {
    let origin = H2Origin::clear();
    origin.does(move |mut exchange: Exchange| async move {
        let mut head = Response::builder().status(status);
        if let Some(value) = header {
            head = head.header("x-release-failure", value);
        }
        let Ok(mut stream) = exchange.answer.send_response(head.body(()).unwrap(), false) else { return };
        let _ = stream.send_data(Bytes::from_static(b"green"), true);
    });
    origin
}

/// Asks until the candidate has been taken back, over HTTP/1.1 or HTTP/2: how often the candidate answered. Its header is in
/// no head.
fn ask_until_taken_back(front: &Front, over_http2: bool, statuses: [u16; 2]) -> u64 {
    let mut answered = 0;
    block_on(async {
        let mut second = front.client().await;
        let mut first = front.house.client();
        while front.house.weight() > 0 {
            let (status, body, head) = if over_http2 {
                let H2Answer { status, headers, body, .. } = second.get("https://shop.test/").await.unwrap();
                (status, body, format!("{headers:?}"))
            } else {
                let answer = first.get("/", &[]);
                (answer.status, answer.body.into_bytes(), answer.head)
            };
            let is_green = body == b"green";
            assert_eq!(status, statuses[usize::from(is_green)]);
            assert!(!head.to_ascii_lowercase().contains("release"), "{head}");
            answered += u64::from(is_green);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    is_taken_back(&front.house, "green fails");
    answered
}

#[test]
fn what_counts_or_is_called_a_failure_takes_the_candidate_back_in_every_protocol() {
    let blue = Origin::start("blue");
    let blue = format!("url = \"{}\"", blue.url());
    for (keys, status, header, kind) in [
        (HEADER, 200, Some("declined"), AttemptFailure::Reported),
        ("failures = [\"5xx\", \"429\"]", 429, None, AttemptFailure::Error),
    ] {
        let (plain, second) = (Origin::start("green"), answering(status, header));
        plain.always(header.map_or(Do::Status(status), |value| said(status, value)));
        let green = [format!("url = \"{}\"", plain.url()), at(&second, "h2 = \"only\"")];
        for (origin_http2, client_http2) in [(false, false), (false, true), (true, false), (true, true)] {
            let rest = format!("{keys}\nsplit = {{ weight = 50 }}");
            let front = Front::start(&routing(&blue, &green[usize::from(origin_http2)], &rest), &[]);
            let answered = ask_until_taken_back(&front, client_http2, [200, status]);
            let seen = front.house.seen(Green);
            let what = format!("{keys}, HTTP/2 origin: {origin_http2}, HTTP/2 client: {client_http2}: {seen:?}");
            assert!(answered >= 3 && seen.failures[kind as usize] == answered, "{answered}: {what}");
            assert_eq!((seen.rescued, seen.hurt), (0, answered), "{what}");
        }
    }
}

#[test]
fn the_header_is_taken_out_whatever_it_says_wherever_it_stands() {
    let house = House::with("weight = 100", UNJUDGED, |settings| {
        add(&settings.routing, HEADER);
        settings.early_hints = config::EarlyHints::All;
    });
    let mut client = house.client();
    for (at, value) in ["0", "false", "False", ""].into_iter().enumerate() {
        house.green.always(said(200, value));
        assert!(!client.get("/", &[]).head.to_ascii_lowercase().contains("release"), "{value:?}");
        let totals = judged(&house, "default", at as u64 + 1);
        assert_eq!((totals.counts.failed, refusals(&totals)), (0, 0), "{value:?}");
    }
    // Active's too, in an interim response, in trailers, and in what announces them.
    house.write("weight = 0", UNJUDGED);
    add(&house.routing_path(), HEADER);
    house.wait_for_weight(0);
    let trailers = "Transfer-Encoding: chunked\r\nTrailer: X-Sum, X-Release-Failure\r\n\r\n4\r\nblue\r\n0\r\nX-Sum: 1\r\n\
                    X-Release-Failure: late\r\n\r\n";
    house.blue.always(Do::Raw(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Release-Failure: 1\r\n\r\nHTTP/1.1 200 OK\r\n{trailers}"
    )));
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n");
    let (whole, _) = client.rest();
    assert!(
        whole.contains("</a>") && whole.contains("Trailer: X-Sum\r\n") && whole.ends_with("X-Sum: 1\r\n\r\n"),
        "{whole}"
    );
    assert!(!whole.to_ascii_lowercase().contains("release"), "{whole}");
    let blue = || house.seen(judgement::traffic::Environment::Blue);
    wait_until("what is behind the body counts", SOON, || blue().failures[AttemptFailure::Reported as usize] == 1);
}

#[test]
fn trailers_of_http2_are_judged_and_less_the_header() {
    let origin = H2Origin::clear();
    origin.does(|mut exchange: Exchange| async move {
        let only = exchange.request.uri().path() == "/only";
        let head = Response::builder().header("trailer", "x-release-failure").body(()).unwrap();
        let mut stream = exchange.answer.send_response(head, false).unwrap();
        stream.send_data(Bytes::from_static(b"body"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.append("x-release-failure", "0".parse().unwrap());
        trailers.append("x-release-failure", "late".parse().unwrap());
        if !only {
            trailers.insert("x-sum", "1".parse().unwrap());
        }
        stream.send_trailers(trailers).unwrap();
    });
    let rest = format!("{HEADER}\nsplit = {{ weight = 100 }}\nguard = {{ evidence = false, dead_candidate = false }}");
    let front = Front::start(&routing("url = \"http://127.0.0.1:1\"", &at(&origin, "h2 = \"only\""), &rest), &[]);
    block_on(async {
        let mut client = front.client().await;
        let answer = client.get("https://shop.test/").await.unwrap();
        assert!(answer.body == b"body" && !answer.headers.contains_key("trailer"), "{answer:?}");
        let names: Vec<String> = answer.trailers.unwrap().keys().map(ToString::to_string).collect();
        assert_eq!(names, ["x-sum"]);
        let answer = client.get("https://shop.test/only").await.unwrap();
        assert!(answer.body == b"body" && answer.trailers.is_none(), "{answer:?}");
    });
    assert_eq!(judged(&front.house, "default", 2).counts.failed, 2);
}

#[test]
fn a_status_is_a_failure_a_refusal_or_neither_and_the_header_comes_first() {
    let keys = format!("failures = [\"502-599\", 429]\nignore = [404, \"500\"]\n{HEADER}");
    let house = house(&keys, "weight = 100", UNJUDGED);
    let mut client = house.client();
    let (mut failed, mut refused, mut unavailable, mut rescued) = (0, 0, 0, 0);
    for (at, (what, sent, expected)) in [
        ("usual", Do::Status(200), ""),
        ("named", Do::Status(429), "failed"),
        ("ignored", Do::Status(404), ""),
        ("still a refusal", Do::Status(403), "refused"),
        ("ignored, and not served again", Do::Status(500), ""),
        ("in no list, and not served again", Do::Status(501), ""),
        ("served again", Do::Status(503), "failed, unavailable, rescued"),
        ("as the origin's considered response", Do::Status(505), "failed"),
        ("reported", said(200, "declined"), "failed"),
        ("reported, although ignored", said(404, "declined"), "failed"),
        ("reported, and no refusal", said(403, "declined"), "failed"),
        ("reported, and so not served again", said(503, "declined"), "failed"),
        ("not reported, and so served again", said(503, "false"), "failed, unavailable, rescued"),
    ]
    .into_iter()
    .enumerate()
    {
        house.green.always(sent);
        let answer = client.get("/", &[]);
        failed += u64::from(expected.contains("failed"));
        refused += u32::from(expected.contains("refused"));
        unavailable += u64::from(expected.contains("unavailable"));
        rescued += u64::from(expected.contains("rescued"));
        let totals = judged(&house, "default", at as u64 + 1);
        let counts = totals.counts;
        assert_eq!(
            (counts.failed, refusals(&totals), counts.unavailable, totals.tally.rescued),
            (failed, refused, unavailable, rescued),
            "{what}: {answer:?}"
        );
        assert_eq!(answer.body == "blue", expected.contains("rescued"), "{what}: {answer:?}");
    }
}

#[test]
fn what_is_ignored_is_so_over_http2_and_on_the_route_that_says_so() {
    let green = answering(404, None);
    let routes = "[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\nfailures = [\"404\"]\nignore = []\n\
                  [[service.shop.route]]\nname = \"plain\"\npath = \"/plain/*\"\nignore = []\n";
    let keys = "ignore = [404]\nsplit = { weight = 100 }\nguard = { evidence = false, dead_candidate = false }";
    let file = routing("url = \"http://127.0.0.1:1\"", &at(&green, "h2 = \"only\""), keys);
    let front = Front::start(&format!("{file}{routes}"), &[]);
    for (route, path, expected) in [("default", "/", (0, 0)), ("api", "/api/x", (1, 0)), ("plain", "/plain/x", (0, 1))]
    {
        let asked = async { front.client().await.get(&format!("https://shop.test{path}")).await.unwrap().status };
        assert_eq!(block_on(asked), 404);
        let totals = judged(&front.house, route, 1);
        assert_eq!((totals.counts.failed, refusals(&totals)), expected, "{route}");
    }
}

#[test]
fn a_key_of_a_route_replaces_the_services() {
    let keys = format!("failures = [\"5xx\", \"429\"]\nignore = \"404\"\n{HEADER}");
    let routes = "[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\nfailures = [\"5xx\", \"404\"]\nignore = []\n\
                  [[service.shop.route]]\nname = \"pay\"\npath = \"/pay/*\"\nfailure_header = \"x-declined\"\n\
                  [[service.shop.route]]\nname = \"none\"\npath = \"/none/*\"\nfailures = []\n";
    let house = house(&keys, "weight = 100", &format!("{routes}{UNJUDGED}"));
    let mut client = house.client();
    let mut ask = |route: &str, path: &str, sent: &Do, answers: u64| {
        house.green.always(sent.clone());
        let head = client.get(path, &[]).head.to_ascii_lowercase();
        let totals = judged(&house, route, answers);
        (totals.counts.failed, refusals(&totals), head)
    };
    let both =
        Do::Raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Declined: 1\r\nX-Release-Failure: 1\r\n\r\n".to_owned());
    for (route, path, expected) in [
        ("default", "/", [(1, 0), (1, 0), (2, 0)]),
        ("api", "/api/x", [(0, 1), (1, 1), (2, 1)]),
        ("pay", "/pay/x", [(1, 0), (1, 0), (2, 0)]),
        ("none", "/none/x", [(0, 1), (0, 1), (1, 1)]),
    ] {
        for (at, (sent, expected)) in [Do::Status(429), Do::Status(404), both.clone()].iter().zip(expected).enumerate()
        {
            let (failed, refused, head) = ask(route, path, sent, at as u64 + 1);
            assert_eq!((failed, refused), expected, "{route} {sent:?}");
            if at == 2 {
                let sees = (head.contains("x-declined"), head.contains("x-release-failure"));
                assert_eq!(sees, (route != "pay", route == "pay"), "{route}: its own header is withheld, {head}");
            }
        }
    }
}

#[test]
fn a_broken_route_is_found_by_what_counts_there() {
    let routes = "[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\nfailures = [\"5xx\", \"404\"]\n";
    let house = house("ignore = \"410\"", "weight = 20", routes);
    let load = Load::asking(house.address(), 4, Duration::from_millis(5), |client, turn| {
        client.try_request("GET", if turn % 2 == 0 { "/api/x" } else { "/" }, &[], "")
    });
    std::thread::sleep(Duration::from_secs(1));
    house.green.does(|request| Do::Status(if request.line().contains("/api/") { 404 } else { 410 }));
    is_taken_back(&house, "green fails");
    load.stop();
    let failed = |route: &str| house.running.counters.route("shop", route).totals(Green).counts.failed;
    assert!(failed("api") >= 3 && failed("default") == 0, "{} {}", failed("api"), failed("default"));
}

#[test]
fn a_file_that_counts_something_else_is_no_evidence_against_anybody() {
    let house = house("", "weight = 90", "");
    for origin in [&house.blue, &house.green] {
        origin.does(|request| Do::Status(if request.line().contains("/odd") { 404 } else { 200 }));
    }
    let load = Load::asking(house.address(), 4, Duration::from_millis(3), |client, turn| {
        client.try_request("GET", if turn % 8 == 0 { "/odd" } else { "/" }, &[], "")
    });
    std::thread::sleep(WATCHED);
    house.set("failures = [\"5xx\", \"404\"]");
    std::thread::sleep(WATCHED);
    load.stop();
    let failed = house.seen(Green).failures[AttemptFailure::Error as usize];
    assert!(failed > 50, "{failed}");
    assert_eq!(house.weight(), 9000, "{:?}", house.find(ChangeKind::Rollback).map(|entry| entry.change.why));
    assert!(house.find(ChangeKind::Caution).is_none(), "{:?}", house.find(ChangeKind::Caution));
    let reload = house.history().into_iter().find(|entry| entry.change.why.contains("what counts as a failure"));
    assert!(reload.is_some(), "the journal says what has changed");
}
