//! How many requests of one client, or of one key, a route takes.

use std::time::Instant;

use judgement::traffic::Environment;

use crate::support::h2_client::H2Client;
use crate::support::house::House;
use crate::support::{SOON, wait_until};

fn limited(limit: &str) -> String {
    format!("[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\nrate_limit = {limit}\n")
}

/// A house behind a trusted proxy, so that clients have addresses.
fn house(limit: &str) -> House {
    House::with("", &limited(limit), |settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
}

fn from(address: &str) -> String {
    format!("X-Forwarded-For: {address}")
}

#[test]
fn a_client_has_its_burst_and_is_told_when_to_come_again() {
    let house = house("{ requests = 60, per = \"1h\", burst = 3 }");
    let (mut first, second) = (house.client(), H2Client::to(house.address()));
    let line = from("192.0.2.1");
    assert_eq!(first.get("/api/a", &[&line]).status, 200);
    assert_eq!(second.get("/api/b", &[&line]).status, 200);
    assert_eq!(first.get("/api/c", &[&line]).status, 200);
    let refused = first.get("/api/d", &[&line]);
    assert_eq!((refused.status, refused.body.as_str()), (429, "429 too many requests\n"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((55..=60).contains(&wait), "a minute is what one request uses up: {wait}");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"api\";q=60;w=3600"));
    assert_eq!(refused.header("ratelimit"), Some(format!("\"api\";r=0;t={wait}").as_str()));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let refused = second.get("/api/d", &[&line]);
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (429, true));
    assert_eq!(first.get("/other", &[&line]).status, 200, "another route, on the same connection");
    assert_eq!(second.get("/api/d", &[&from("192.0.2.2")]).status, 200, "another client");
    assert_eq!(house.blue.requests(), 5);
    assert_eq!(house.refused("rate_limited"), 2);
    let metrics = house.metrics();
    let counted = "cutover_own_answers_total{service=\"shop\",route=\"api\",answer=\"rate_limited\"} 2";
    assert!(metrics.contains(counted), "{metrics}");
    let judged = || house.running.counters.route("shop", "api").totals(Environment::Blue).counts.answers;
    wait_until("what was taken is judged, and nothing else", SOON, || judged() == 4);
}

#[test]
fn the_network_of_an_ipv6_client_counts_as_one() {
    let house = house("{ requests = 2, per = \"1h\" }");
    let mut client = house.client();
    let mut ask = |address: &str| client.get("/api/", &[&from(address)]).status;
    assert_eq!([ask("2001:db8:1:2::1"), ask("2001:db8:1:2::2"), ask("2001:db8:1:2:ffff::3")], [200, 200, 429]);
    assert_eq!(ask("2001:db8:1:3::1"), 200, "the next network");
    assert_eq!([ask("192.0.2.1"), ask("::ffff:192.0.2.1"), ask("192.0.2.1")], [200, 200, 429], "one IPv4 address");
}

#[test]
fn requests_are_counted_by_a_header_or_a_cookie_and_without_one_by_address() {
    for (by, name) in
        [("{ header = \"x-api-key\" }", "X-Api-Key: "), ("{ cookie = \"session\" }", "Cookie: a=b; session=")]
    {
        let house = house(&format!("{{ requests = 2, per = \"1h\", by = {by} }}"));
        let mut client = house.client();
        let mut ask = |key: &str, address: &str| client.get("/api/", &[&format!("{name}{key}"), &from(address)]).status;
        assert_eq!(
            [ask("one", "192.0.2.1"), ask("one", "192.0.2.2"), ask("one", "192.0.2.3")],
            [200, 200, 429],
            "{by}"
        );
        assert_eq!(ask("two", "192.0.2.1"), 200, "another key");
        assert_eq!(
            [ask("", "192.0.2.9"), ask("", "192.0.2.9"), ask("", "192.0.2.9")],
            [200, 200, 429],
            "without a key"
        );
        assert_eq!(ask("", "192.0.2.8"), 200);
    }
}

#[test]
fn all_workers_keep_one_limit_and_a_reload_forgets_nothing() {
    let house = house("{ requests = 50, per = \"1h\" }");
    let line = from("192.0.2.1");
    // Each connection is given to a worker by the kernel: of forty, both have some.
    let statuses: Vec<u16> = (0..40)
        .flat_map(|_| {
            let mut client = house.client();
            [client.get("/api/", &[&line]).status, client.get("/api/", &[&line]).status]
        })
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 50);
    let before = house.running.published.load().generation;
    house.write(
        "",
        &format!(
            "{}\n[[service.shop.route]]\nname = \"new\"\npath = \"/new\"\n",
            limited("{ requests = 50, per = \"1h\" }")
        ),
    );
    wait_until("the file is in force", SOON, || house.running.published.load().generation > before);
    assert_eq!(house.client().get("/api/", &[&line]).status, 429, "a reload is no way around it");
    house.write("", &limited("{ requests = 36000, per = \"1h\", burst = 5 }"));
    let began = Instant::now();
    wait_until("the wider limit is in force", SOON, || house.client().get("/api/", &[&line]).status == 200);
    assert!(began.elapsed() < SOON);
}
