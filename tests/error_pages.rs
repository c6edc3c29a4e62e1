//! Pages in the place of our own short texts, and services that are down for maintenance.

use judgement::traffic::Environment;

use crate::support::h2_client::H2Client;
use crate::support::house::{House, shop};
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

const PAGES: &str = "error_pages = { 502 = \"bad.html\", \"5xx\" = \"any.html\", 413 = \"large.json\" }\nmax_body = 4";

/// A house with these keys of its service, and the pages beside its file.
fn house(keys: &str) -> House {
    let house = House::start("", "");
    for (name, text) in [
        ("bad.html", "<h1>bad</h1>"),
        ("any.html", "<h1>any</h1>"),
        ("large.json", "{\"error\":\"large\"}"),
        ("soon.html", "<h1>soon</h1>"),
    ] {
        std::fs::write(house.dir.path().join(name), text).unwrap();
    }
    if !keys.is_empty() {
        house.set(keys);
    }
    house
}

#[test]
fn a_page_stands_in_the_place_of_our_own_text() {
    let house = house(PAGES);
    house.blue.always(Do::Close);
    let second = H2Client::to(house.address());
    let answer = house.client().get("/", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (502, "<h1>bad</h1>"));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let answer = second.get("/", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (502, "<h1>bad</h1>"));
    assert_eq!(answer.header("content-length"), Some("12"));
    let answer = house.client().request("HEAD", "/", &[], "");
    assert_eq!((answer.status, answer.header("content-length"), answer.body.as_str()), (502, Some("12"), ""));
    let large = house.client().request("POST", "/", &[], "too large");
    assert_eq!((large.status, large.body.as_str()), (413, "{\"error\":\"large\"}"));
    assert_eq!(large.header("content-type"), Some("application/json"));
    let other = house.client().get("/", &["Host: shop.test", "X_A: b"]);
    assert_eq!(
        (other.status, other.header("content-type")),
        (400, Some("text/plain; charset=utf-8")),
        "no service is known"
    );
}

#[test]
fn what_an_origin_says_passes_as_it_is() {
    let house = house(PAGES);
    house.blue.always(Do::Status(503));
    let answer = house.client().get("/", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (503, "blue"));
}

#[test]
fn a_page_is_read_with_the_file() {
    let house = house(PAGES);
    house.blue.always(Do::Close);
    std::fs::write(house.dir.path().join("bad.html"), "new").unwrap();
    house.set("expose = true");
    assert_eq!(house.client().get("/", &[]).body, "new");
    std::fs::remove_file(house.dir.path().join("bad.html")).unwrap();
    let refused = || memory::counters::read(&house.running.counters.process.reloads_refused);
    let before = refused();
    let text = std::fs::read_to_string(house.routing_path()).unwrap();
    std::fs::write(house.routing_path(), text.replace("expose = true", "expose = false")).unwrap();
    wait_until("the file is refused", SOON, || refused() > before);
    assert_eq!(house.client().get("/", &[]).body, "new", "and the last good one stays in force");
}

#[test]
fn a_service_under_maintenance_answers_for_itself_and_comes_back() {
    let house = house("maintenance = { page = \"soon.html\", retry_after = \"10m\" }");
    let second = H2Client::to(house.address());
    let mut first = house.client();
    for _ in 0..2 {
        let answer = first.get("/a", &[]);
        assert_eq!((answer.status, answer.body.as_str()), (503, "<h1>soon</h1>"));
        assert_eq!(answer.header("retry-after"), Some("600"));
    }
    let answer = second.get("/b", &[]);
    assert_eq!(
        (answer.status, answer.body.as_str(), answer.header("retry-after")),
        (503, "<h1>soon</h1>", Some("600"))
    );
    assert_eq!(house.blue.requests() + house.green.requests(), 0);
    assert_eq!(house.refused("maintenance"), 3);
    let metrics = house.metrics();
    let counted = "cutover_own_answers_total{service=\"shop\",route=\"default\",answer=\"maintenance\"} 3";
    assert!(metrics.contains(counted), "{metrics}");
    let before = house.running.published.load().generation;
    std::fs::write(house.routing_path(), shop(&house.blue.url(), &house.green.url(), "", "")).unwrap();
    wait_until("it is over", SOON, || house.running.published.load().generation > before);
    assert_eq!((first.get("/", &[]).status, second.get("/", &[]).status), (200, 200));
    let judged = || house.running.counters.route("shop", "default").totals(Environment::Blue).counts;
    wait_until("only what came after it is judged", SOON, || judged().answers == 2);
    assert_eq!(judged().failed, 0);
}
