//! Redirects of routes, and paths that origins are sent otherwise than they came.

use judgement::traffic::Environment;

use crate::support::h2_client::H2Client;
use crate::support::house::House;
use crate::support::origin::Do;

const MOVED: &str = r#"
[[service.shop.route]]
name = "moved"
path = "/old/*"
strip_prefix = "/old"
add_prefix = "/new"
redirect = { to = "https://{host}:8443{path}", status = 308 }
[[service.shop.route]]
name = "form"
path = "/form"
redirect = { to = "/thanks?done=1" }
"#;

/// Requests that an environment was sent.
fn asked(house: &House) -> u64 {
    house.blue.requests() + house.green.requests()
}

#[test]
fn a_redirect_is_answered_before_any_environment_is_chosen() {
    let house = House::start("weight = 50", MOVED);
    let (mut first, second) = (house.client(), H2Client::to(house.address()));
    for _ in 0..3 {
        let answer = first.get("/old/a%2Fb?c=d", &[]);
        assert_eq!((answer.status, answer.body.as_str()), (308, ""));
        assert_eq!(answer.header("location"), Some("https://shop.test:8443/new/a%2Fb?c=d"));
        let answer = second.get("/old/a%2Fb?c=d", &[]);
        assert_eq!(answer.status, 308);
        assert_eq!(answer.header("location"), Some("https://shop.test:8443/new/a%2Fb?c=d"));
    }
    assert_eq!(first.get("/form?x=y", &[]).header("location"), Some("/thanks?done=1"), "its own query");
    assert_eq!(first.request("POST", "/form", &[], "a=b").status, 302);
    assert_eq!(second.request("POST", "/form", &[], "a=b").status, 302);
    assert_eq!(asked(&house), 0);
    for side in Environment::BOTH {
        let route = house.running.counters.route("shop", "moved");
        assert_eq!(route.totals(side).counts.answers, 0, "it counts for neither");
    }
    let metrics = house.metrics();
    let counted = "cutover_own_answers_total{service=\"shop\",route=\"moved\",answer=\"redirect\"} 6";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(!metrics.contains("cutover_own_answers_total{service=\"shop\",route=\"default\""), "it cannot");
    // The split stays exact: what was answered here has drawn nothing.
    let mut third = house.client();
    (0..10).for_each(|_| assert_eq!(third.get("/", &[]).status, 200));
    assert_eq!((house.blue.requests(), house.green.requests()), (5, 5));
}

const PREFIXES: &str = r#"
[[service.shop.route]]
name = "api"
path = "/api/*"
strip_prefix = "/api"
[[service.shop.route]]
name = "bare"
path = "/api"
strip_prefix = "/api"
[[service.shop.route]]
name = "v1"
path = "/v1*"
strip_prefix = "/v1"
add_prefix = "/v2/x"
[[service.shop.route]]
name = "plain"
path = "/plain"
add_prefix = "/deep"
"#;

#[test]
fn origins_are_sent_the_path_without_its_prefix_and_with_another_one() {
    let house = House::start("", PREFIXES);
    let (mut first, second) = (house.client(), H2Client::to(house.address()));
    for (path, sent, prefix) in [
        ("/api/a%2Fb?c=%20", "/a%2Fb?c=%20", Some("/api")),
        ("/api?x", "/?x", Some("/api")),
        ("/api/", "/", Some("/api")),
        ("/%61pi/x", "/x", Some("/api")),
        ("/v1/x", "/v2/x/x", Some("/v1")),
        ("/v1", "/v2/x", Some("/v1")),
        ("/v10", "/v2/x/v10", None),
        ("/plain", "/deep/plain", None),
        ("/other", "/other", None),
    ] {
        let forged = ["x-forwarded-prefix: /forged"];
        first.get(path, &forged);
        let request = house.blue.last();
        assert_eq!((request.line(), request.header("x-forwarded-prefix")), (&*format!("GET {sent} HTTP/1.1"), prefix));
        second.get(path, &forged);
        let request = house.blue.last();
        assert_eq!((request.line(), request.header("x-forwarded-prefix")), (&*format!("GET {sent} HTTP/1.1"), prefix));
    }
}

#[test]
fn a_rescued_request_has_the_same_path_on_both_sides() {
    let house = House::start("weight = 100", PREFIXES);
    house.green.always(Do::Status(503));
    assert_eq!(house.client().get("/api/x?y", &[]).status, 200);
    for origin in [&house.green, &house.blue] {
        assert_eq!(origin.last().line(), "GET /x?y HTTP/1.1");
        assert_eq!(origin.last().header("x-forwarded-prefix"), Some("/api"));
    }
    assert_eq!(house.running.counters.route("shop", "api").seen(Environment::Green).unwrap().rescued, 1);
}

#[test]
fn a_webdav_destination_is_rewritten_as_the_path_is() {
    let house = House::start("", PREFIXES);
    house.client().request("MOVE", "/api/a", &["Destination: http://shop.test/api/b"], "");
    let request = house.blue.last();
    let destination = format!("http://{}/b", house.blue.address);
    let preserved = "http://shop.test/b".to_owned();
    let told = request.header("destination").unwrap();
    assert!(told == destination || told == preserved, "{told}");
}

#[test]
fn a_redirect_of_a_client_that_names_no_host_is_refused_where_it_needs_one() {
    let house = House::start("", MOVED);
    let mut client = house.client();
    client.send("GET /old/x HTTP/1.0\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(house.refused("bad_host"), 1);
}
