//! Copies of clients' requests before the candidate's first client: what they find, what they take for noise, and that no
//! client is touched by them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use judgement::rollout::ChangeKind;
use judgement::traffic::Environment;
use serde_json::Value;

use crate::rollouts::Site;
use crate::support::client::{Answer, Client, get};
use crate::support::front::{Front, at, block_on, routing};
use crate::support::h2::H2Origin;
use crate::support::house::{House, Load};
use crate::support::origin::{Do, Origin, Request};
use crate::support::tls::{Certificate, serving};
use crate::support::{SOON, wait_until};

/// All safe requests, as long as nothing else limits them.
const ALL: &str = "[service.shop.mirror]\nshare = 100";
/// Marks a copy.
const MARK: &str = "cutover-mirror";

impl House {
    /// What is known of the copies, as the API shows it. It may be asked more often than that.
    fn copies(&self) -> Value {
        let report = self.running.mirror.report(&self.running.published.load(), "shop");
        serde_json::to_value(report.unwrap()).unwrap()
    }

    #[track_caller]
    fn wait_for_compared(&self, least: u64) -> Value {
        wait_until(&format!("{least} are compared"), SOON, || self.copies()["compared"].as_u64() >= Some(least));
        self.copies()
    }
}

/// The differences that count, in words without their numbers.
fn counting(report: &Value) -> Vec<String> {
    let groups = report["groups"].as_array().unwrap();
    let counting = groups.iter().filter(|group| group["counts"] == true);
    let mut words: Vec<String> = counting
        .map(|group| format!("{} {}", group["path"].as_str().unwrap(), group["what"].as_str().unwrap()))
        .collect();
    words.sort();
    words
}

fn json(text: &str) -> Do {
    let length = text.len();
    Do::Raw(format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{text}"))
}

fn path(request: &Request) -> &str {
    request.line().split(' ').nth(1).unwrap_or_default()
}

fn is_copy(request: &Request) -> bool {
    request.header(MARK) == Some("1")
}

/// Clients that ask for these in turn.
fn clients(house: &House, paths: &'static [&'static str]) -> Load {
    Load::asking(house.address(), 2, Duration::from_millis(5), move |client, turn| {
        client.try_request("GET", paths[turn % paths.len()], &["Host: shop.test"], "")
    })
}

#[test]
fn a_missing_field_a_changed_status_and_a_slower_route_are_found_before_any_client() {
    let house = House::start("weight = 0", ALL);
    let served = Arc::new(AtomicU64::new(0));
    let count = served.clone();
    house.blue.does(move |request| match path(request) {
        // Each answer has another time.
        "/api/cart/17" => json(&format!(r#"{{"items":[{{"id":1}}],"total":12,"at":{}}}"#, count.fetch_add(1, SeqCst))),
        _ => Do::Status(200),
    });
    let count = served.clone();
    house.green.does(move |request| match path(request) {
        "/api/cart/17" => json(&format!(r#"{{"items":[{{"id":"1"}}],"at":{}}}"#, count.fetch_add(1, SeqCst))),
        "/api/orders" => Do::Status(404),
        "/api/search" => Do::Slow(Duration::from_millis(40)),
        _ => Do::Status(200),
    });
    let load = clients(&house, &["/api/cart/17", "/api/orders", "/api/search", "/fine"]);
    let mut found = Vec::new();
    wait_until("all four are found", 3 * SOON, || {
        found = counting(&house.copies());
        found.len() >= 4
    });
    let (asked, failed) = load.stop();
    assert_eq!(failed, 0, "of {asked}");
    assert_eq!(found[0], "/api/cart/{id} has `items[*].id` as a text instead of a number");
    assert_eq!(found[1], "/api/cart/{id} lacks `total`");
    assert_eq!(found[2], "/api/orders answers 404 Not Found instead of 200 OK");
    assert!(found[3].starts_with("/api/search is slower: "), "{found:?}");
    assert_eq!(found.len(), 4);
    assert!(house.green.all().iter().all(is_copy), "no client was sent there");
    assert_eq!(house.seen(Environment::Green).classes, [0; 7], "and no judge knows of them");
    // Active's clients are counted, and its copies are not.
    let counted: u64 = house.seen(Environment::Blue).classes.iter().sum();
    assert_eq!(counted, asked);
    let token = format!("Authorization: Bearer {}", house.token());
    let host = format!("Host: {}", house.running.admin);
    let answer = get(house.running.admin, "/api/admin/deployment?action=mirror", &[&host, &token]);
    assert_eq!(counting(&serde_json::from_str(&answer.body).unwrap()), found, "the API has it too");
    wait_until("the metrics have it", SOON, || {
        house.metrics().contains("cutover_mirror_differences{service=\"shop\"} 4")
    });
    let metrics = house.metrics();
    assert!(metrics.contains("cutover_mirror_copies_total{service=\"shop\",result=\"differing\"}"), "{metrics}");
}

#[test]
fn what_active_shows_against_itself_is_noise_and_what_the_file_ignores_is_not_compared() {
    let rest = "[service.shop.mirror]\nshare = 100\nignore = [\"$.build\"]";
    let house = House::start("weight = 0", rest);
    let served = Arc::new(AtomicU64::new(0));
    for (origin, build) in [(&house.blue, 1), (&house.green, 2)] {
        let count = served.clone();
        origin.does(move |_| {
            let turn = count.fetch_add(1, SeqCst);
            // A time that always differs, a field that comes and goes, and a list of another length each time.
            let extra = if turn.is_multiple_of(3) { ",\"promo\":true" } else { "" };
            let list = vec!["0"; (turn % 4) as usize].join(",");
            json(&format!(r#"{{"build":{build},"at":{turn},"list":[{list}]{extra}}}"#))
        });
    }
    let load = clients(&house, &["/"]);
    let report = house.wait_for_compared(60);
    load.stop();
    assert_eq!((counting(&report), report["differences"].as_u64()), (Vec::new(), Some(0)), "{report}");
}

#[test]
fn a_client_waits_for_nothing_and_fails_by_nothing_where_the_candidate_hangs() {
    let house = House::start("weight = 0", ALL);
    house.green.always(Do::Hang);
    let load = clients(&house, &["/"]);
    wait_until("copies are dropped", SOON, || house.copies()["dropped"].as_u64() > Some(50));
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let began = Instant::now();
        assert_eq!(house.client().get("/", &[]).status, 200);
        slowest = slowest.max(began.elapsed());
    }
    let (asked, failed) = load.stop();
    assert_eq!(failed, 0, "of {asked}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}: a copy is given up after ten");
    assert!(house.green.requests() <= 4, "{} at once", house.green.requests());
}

#[test]
fn only_requests_that_change_nothing_are_copied_and_copies_never_are() {
    let house = House::start("weight = 0", ALL);
    let mut client = house.client();
    for (method, lines, body) in [
        ("POST", &[][..], "a=1"),
        ("PUT", &[], "a=1"),
        ("DELETE", &[], ""),
        ("OPTIONS", &[], ""),
        ("GET", &[], "a body"),
        ("GET", &["Cutover-Mirror: 1"], ""),
        ("GET", &["cutover-mirror: anything"], ""),
        ("GET", &["Authorization: Negotiate YII="], ""),
    ] {
        assert_eq!(client.request(method, "/no", lines, body).status, 200, "{method} {lines:?}");
        client = house.client();
    }
    assert_eq!(client.request("HEAD", "/yes", &[], "").status, 200);
    assert_eq!(
        client.get("/yes?a=b", &["Range: bytes=0-1", "If-None-Match: \"1\"", "Accept-Encoding: gzip"]).status,
        200
    );
    let report = house.wait_for_compared(2);
    assert_eq!((report["copied"].as_u64(), report["compared"].as_u64()), (Some(2), Some(2)));
    let copies = house.green.all();
    let lines: Vec<&str> = copies.iter().map(Request::line).collect();
    assert!(lines.contains(&"HEAD /yes HTTP/1.1") && lines.contains(&"GET /yes?a=b HTTP/1.1"), "{lines:?}");
    for copy in &copies {
        assert!(is_copy(copy), "{}", copy.head);
        // A part, or only what is new, or what is compressed, could not be compared.
        for gone in ["range", "if-none-match"] {
            assert_eq!(copy.header(gone), None, "{}", copy.head);
        }
        assert_eq!(copy.header("accept-encoding"), Some("identity"));
        assert!(copy.header("x-forwarded-for").is_some() && copy.header("x-request-id").is_some(), "{}", copy.head);
    }
    let asked = house.blue.all().iter().filter(|request| is_copy(request)).count();
    assert_eq!(asked, 2 * 2 + 1, "active twice for each, and one that a client has marked itself");
}

#[test]
fn two_proxies_that_mirror_to_each_other_copy_each_request_once() {
    let first = House::start("weight = 0", ALL);
    let second = House::start("weight = 0", ALL);
    let address = |house: &House| format!("http://{}", house.address());
    let route = |house: &House, blue: &str, green: &str| {
        let before = house.running.published.load().generation;
        let text = crate::support::house::shop(blue, green, "weight = 0", ALL);
        std::fs::write(house.routing_path(), text).unwrap();
        wait_until("it is in force", SOON, || house.running.published.load().generation > before);
    };
    // The first one's candidate is the second, whose active is the first again.
    route(&first, &first.blue.url(), &address(&second));
    route(&second, &address(&first), &second.green.url());
    for turn in 1..=3 {
        assert_eq!(first.client().get("/", &[]).status, 200);
        first.wait_for_compared(turn);
    }
    // The client's own, twice as a copy, and once by way of both proxies.
    assert_eq!(first.blue.requests(), 3 * 4);
    assert_eq!((second.green.requests(), second.copies()["copied"].as_u64()), (0, Some(0)));
}

#[test]
fn a_copy_has_the_host_and_the_path_that_the_clients_own_request_would_have() {
    let house = House::start("weight = 0", ALL);
    let text = std::fs::read_to_string(house.routing_path()).unwrap();
    let [blue, green] = [house.blue.url(), house.green.url()];
    let text = text.replace(&blue, &format!("{blue}/old")).replace(&green, &format!("{green}/new"));
    let before = house.running.published.load().generation;
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("it is in force", SOON, || house.running.published.load().generation > before);
    house.client().get("/a%2Fb?c=d", &["Host: shop.example.com:8080", "Cookie: a=1", "Cookie: b=2"]);
    house.wait_for_compared(1);
    let copy = house.green.last();
    assert_eq!(copy.line(), "GET /new/a%2Fb?c=d HTTP/1.1");
    assert_eq!((copy.header("host"), copy.header("cookie")), (Some("shop.example.com:8080"), Some("a=1; b=2")));
    let lines: Vec<String> = house.blue.all().iter().map(|request| request.line().to_owned()).collect();
    assert_eq!(lines, vec!["GET /old/a%2Fb?c=d HTTP/1.1"; 3]);
}

#[test]
fn http_2_clients_and_origins_behind_tls_are_mirrored_alike() {
    let [blue, green] = [Certificate::of(&["127.0.0.1"]), Certificate::of(&["127.0.0.1"])];
    let [old, new] = [&blue, &green].map(|certificate| H2Origin::tls(serving(certificate, &["h2"], None)));
    new.does(|mut exchange| async move { exchange.say(500, "HTTP/2") });
    let text = routing(
        &at(&old, "ca_file = \"blue.pem\""),
        &at(&new, "ca_file = \"green.pem\""),
        "[service.shop.mirror]\nshare = 100",
    );
    let front = Front::start(&text, &[("blue.pem", &blue.pem), ("green.pem", &green.pem)]);
    for turn in 1..=3 {
        block_on(async {
            let mut client = front.client().await;
            assert_eq!(client.get("https://shop.test/api/v1?x=y").await.unwrap().status, 200);
        });
        front.house.wait_for_compared(turn);
    }
    let report = front.house.copies();
    assert_eq!(counting(&report), ["/api/v1 answers 500 Internal Server Error instead of 200 OK"]);
    let copy = new.last();
    assert!(copy.uri.ends_with("/api/v1?x=y") && copy.headers.get(MARK).is_some(), "{copy:?}");
    assert_eq!(copy.headers.get("x-forwarded-host").unwrap(), "shop.test");
    assert_eq!((new.requests(), old.requests()), (3, 9));
}

#[test]
fn what_a_client_has_identified_itself_by_is_in_no_report() {
    let house = House::start("weight = 0", ALL);
    house.blue.always(json(r#"{"user":"-","token":"old-secret-one","n":1}"#));
    house.green.does(|request| {
        let cookie = request.header("cookie").unwrap_or_default().replace("session=", "");
        json(&format!(r#"{{"user":"{cookie}","token":"new-secret-two","n":2}}"#))
    });
    for turn in 1..=3 {
        let lines = ["Cookie: session=h4nd-over-nothing", "Authorization: Bearer abcdefgh12345"];
        house.client().get("/me?key=k3y-of-mine", &lines);
        house.wait_for_compared(turn);
    }
    let report = house.copies();
    assert_eq!(counting(&report), ["/me has another `n`", "/me has another `token`", "/me has another `user`"]);
    let text = report.to_string();
    for secret in ["h4nd-over-nothing", "abcdefgh12345", "k3y-of-mine", "secret-one", "secret-two"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.contains("GET /me?key=***"), "{text}");
}

#[test]
fn a_body_that_is_too_long_is_not_compared_and_its_head_is() {
    let house = House::start("weight = 0", ALL);
    let long = |status: u16, letter: &str| {
        let body = letter.repeat(300 << 10);
        Do::Raw(format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    };
    house.blue.always(long(200, "a"));
    house.green.always(long(200, "b"));
    for turn in 1..=3 {
        assert_eq!(house.client().get("/", &[]).body.len(), 300 << 10);
        wait_until("its head is compared", SOON, || house.copies()["unread"] == turn);
    }
    assert_eq!(house.copies()["groups"], Value::Array(Vec::new()));
    house.green.always(long(201, "b"));
    // Of many within a second some are not copied.
    wait_until("some are compared", SOON, || {
        house.client().get("/", &[]);
        house.copies()["compared"].as_u64() >= Some(9)
    });
    assert_eq!(counting(&house.copies()), ["/ answers 201 Created instead of 200 OK"]);
}

#[test]
fn copies_end_where_clients_come_and_begin_anew_with_another_candidate() {
    let house = House::start("weight = 0", ALL);
    house.green.always(Do::Status(404));
    for turn in 1..=3 {
        house.client().get("/", &[]);
        house.wait_for_compared(turn);
    }
    assert_eq!(house.copies()["differences"], 1);
    // Another version of it.
    let other = Origin::start("green");
    let before = house.running.published.load().generation;
    let text = crate::support::house::shop(&house.blue.url(), &other.url(), "weight = 0", ALL);
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("it is in force", SOON, || house.running.published.load().generation > before);
    let report = house.copies();
    assert_eq!((report["compared"].as_u64(), report["differences"].as_u64()), (Some(0), Some(0)));
    house.client().get("/", &[]);
    house.wait_for_compared(1);
    assert_eq!(house.copies()["differences"], 0);
    // A client may be sent there now.
    let text = crate::support::house::shop(&house.blue.url(), &other.url(), "weight = 1", ALL);
    std::fs::write(house.routing_path(), text).unwrap();
    house.wait_for_weight(100);
    let copied = house.copies()["copied"].as_u64();
    (0..20).for_each(|_| drop(house.client().get("/", &[])));
    let report = house.copies();
    assert_eq!((report["sending"].as_bool(), report["copied"].as_u64()), (Some(false), copied));
}

#[test]
fn copies_that_active_does_not_answer_say_why() {
    let house = House::start("weight = 0", ALL);
    house.blue.always(Do::Close);
    assert_eq!(house.client().get("/", &[]).status, 502, "Cutover's own");
    wait_until("it is known", SOON, || house.copies()["unanswered"] == 1);
    let report = house.copies();
    assert_eq!(
        (report["compared"].as_u64(), report["unanswered_why"].as_str()),
        (Some(0), Some("closed the connection without a response"))
    );
}

/// A plan whose first step compares copies for so long.
fn comparing(mirror: &str) -> String {
    format!("steps = [{{ {mirror} }}, 100]\nbake = \"300ms\"\nrequests = 10\nwatch = \"2s\"\nwarm_up = 1\n{ALL}")
}

fn ask(client: &mut Client, _: usize) -> Result<Answer, String> {
    client.try_request("GET", "/api/cart", &[], "")
}

#[test]
fn a_rollout_has_its_first_client_after_copies_were_answered_alike() {
    let site = Site::new(&comparing("mirror = \"2s\", differences = 0"));
    site.must(&["plan"]);
    site.must(&["deploy", "2.0.0"]);
    wait_until("copies wait", SOON, || site.must(&["status"]).contains("0 of 10 copied requests compared"));
    let said = site.must(&["status"]);
    assert!(said.contains("none was copied yet, and only GET and HEAD requests are"), "{said}");
    let clients = |site: &Site| site.green.all().iter().any(|request| !is_copy(request) && path(request) != "/");
    assert!(!clients(&site));
    let load = Load::asking(site.process.address, 2, Duration::from_millis(5), ask);
    wait_until("copies are compared", SOON, || site.must(&["mirror"]).contains(" compared in "));
    site.wait_for_phase("promoted");
    assert_eq!(load.stop().1, 0);
    let told = site.must(&["mirror"]);
    let last = "the last comparison was of rollout 1, with green";
    assert!(told.contains("no copies of requests are sent") && told.contains("the last rollout replaced"), "{told}");
    assert!(told.contains(last) && told.contains("no differences"), "it is not lost: {told}");
    let history = site.must(&["history", "--kind", "step"]);
    assert!(history.contains("copied requests compared in") && history.contains("no differences"), "{history}");
}

#[test]
fn a_candidate_that_lacks_a_field_is_taken_back_before_its_first_client() {
    let site = Site::new(&comparing("mirror = \"2s\""));
    site.blue.always(json(r#"{"items":[],"total":0}"#));
    site.green.always(json(r#"{"items":[]}"#));
    let load = Load::asking(site.process.address, 2, Duration::from_millis(5), ask);
    site.must(&["deploy", "2.0.0"]);
    wait_until("it is seen", SOON, || site.must(&["status"]).contains("/api/cart lacks `total` in "));
    let told = site.must(&["mirror"]);
    assert!(told.contains("1 difference") && told.contains("active 0, candidate nothing"), "{told}");
    site.wait_for_phase("rolled_back");
    let told = site.must(&["mirror"]);
    assert!(told.contains("no copies of requests are sent: the last rollout was rolled back"), "{told}");
    assert!(told.contains("of rollout 1, with green") && told.contains("lacks `total`"), "{told}");
    let (asked, failed) = load.stop();
    assert_eq!(failed, 0, "of {asked}");
    let is_clients = |request: &Request| path(request) == "/api/cart" && !is_copy(request);
    assert!(!site.green.all().iter().any(is_clients), "no client was there");
    assert!(site.kinds().contains(&ChangeKind::Rollback));
    let history = site.must(&["history", "--kind", "rollback", "--output", "json"]);
    let entries: Value = serde_json::from_str(&history).unwrap();
    let number = entries[0]["id"].to_string();
    let explained = site.must(&["explain", &number]);
    assert!(explained.contains("1 difference: /api/cart lacks `total` in "), "{explained}");
    let metrics = get(site.process.admin, "/metrics", &[&format!("Host: {}", site.process.admin)]).body;
    assert!(metrics.contains("cutover_rollbacks_total{service=\"shop\",reason=\"mirror\"} 1"), "{metrics}");
}

#[test]
fn after_a_crash_the_comparison_begins_again_and_holds_the_first_client_until_then() {
    let site = Site::new(&comparing("mirror = \"3s\""));
    let load = Load::asking(site.process.address, 1, Duration::from_millis(5), ask);
    site.must(&["deploy", "2.0.0"]);
    wait_until("copies are compared", SOON, || site.status()["mirror"]["compared"].as_u64() > Some(10));
    load.stop();
    let site = site.crash();
    let status = site.status();
    assert_eq!((status["rollout"]["phase"].as_str(), status["weight"].as_f64()), (Some("shifting"), Some(0.0)));
    assert_eq!(status["mirror"]["compared"], 0);
    let waiting = status["rollout"]["waiting_for"].to_string();
    assert!(waiting.contains("3s to bake") && waiting.contains("0 of 10 copied requests compared"), "{waiting}");
    let load = Load::asking(site.process.address, 2, Duration::from_millis(5), ask);
    site.wait_for_phase("promoted");
    load.stop();
}
