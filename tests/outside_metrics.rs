//! Figures of other systems: what they hold, and what they take back.

use std::time::Duration;

use judgement::rollout::ChangeKind;

use crate::rollouts::{LONG, Site};
use crate::support::house::{House, Load};
use crate::support::origin::{Do, Origin, Request};
use crate::support::servers;
use crate::support::{SOON, wait_until};

/// Steps of a second, and a watch that outlasts the test.
const FAST: &str = "steps = [10, 50, 100]\nbake = \"1s\"\nrequests = 5\nwatch = \"60s\"\nwarm_up = 1";

/// A metric, asked every second.
fn metric(keys: &str) -> String {
    format!("[[service.shop.guard.metric]]\nname = \"conversion\"\nevery = \"1s\"\ntimeout = \"500ms\"\n{keys}\n")
}

/// A site with a metric, under load, with a version on its way.
fn deployed(keys: &str) -> (Site, Load) {
    let site = Site::new(&format!("{FAST}\n{}", metric(keys)));
    let load = Load::start(site.process.address, 4, Duration::from_millis(5));
    site.must(&["deploy", "2.0.0"]);
    (site, load)
}

fn answer(status: &str, body: &str) -> Do {
    Do::Raw(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nlocation: /elsewhere\r\n\r\n{body}", body.len()))
}

fn says(body: &str) -> Do {
    answer("200 OK", body)
}

/// What the rollout waits for, in words.
fn waiting(site: &Site) -> String {
    site.status()["rollout"]["waiting_for"].to_string()
}

fn asked_for(request: &Request) -> String {
    request.line().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_good_figure_of_what_is_on_trial_lets_every_step_end() {
    let figures = Origin::start("figures");
    figures.always(says("0.1\n"));
    let url = figures.url();
    let (site, load) =
        deployed(&format!("url = \"{url}/f/{{{{service}}}}?of={{{{environment}}}}&v={{{{version}}}}\"\nabove = 0.5"));
    site.wait_for_phase("promoted");
    load.stop();
    let asked = figures.all();
    assert!(asked.len() >= 3, "at each of three steps");
    for request in asked {
        assert_eq!(asked_for(&request), "/f/shop?of=green&v=2.0.0");
        assert!(request.line().starts_with("GET "), "{}", request.line());
    }
    let metric = &site.status()["guard"]["metrics"][0];
    assert_eq!((metric["name"].as_str(), metric["value"].as_f64()), (Some("conversion"), Some(0.1)));
    assert_eq!((metric["verdict"].as_str(), metric["why"].as_str()), (Some("good"), Some("conversion: green is 0.1")));
    let said = site.must(&["status"]);
    assert!(said.contains("shop: metric conversion: green is 0.1 ("), "{said}");
}

#[test]
fn whatever_is_no_figure_holds_the_step_with_its_reason_and_takes_nothing_back() {
    let figures = Origin::start("figures");
    figures.always(says(""));
    let (site, load) = deployed(&format!("url = \"{}\"\nabove = 0.5", figures.url()));
    let long = "1".repeat(70_000);
    for (what, why) in [
        (says(""), "its answer is empty"),
        (says("<html>"), "it answered neither a number nor pass or fail"),
        (says("{\"value\": null}"), "its answer says that there is no value"),
        (says("NaN"), "its value is not a number"),
        (says(&long), "it cannot be asked: its answer is longer than 65536 bytes"),
        (answer("500 Internal Server Error", "0.1"), "it answered 500 Internal Server Error"),
        (answer("302 Found", "0.1"), "it answered 302 Found, and redirects are not followed"),
        (Do::Hang, "it did not answer within 500ms"),
        (Do::Close, "it cannot be asked: "),
    ] {
        figures.always(what);
        wait_until(why, SOON, || waiting(&site).contains(&format!("no figure yet of `conversion`: {why}")));
    }
    let status = site.status();
    assert_eq!((status["weight"].as_f64(), &status["latch"]), (Some(10.0), &serde_json::Value::Null));
    assert_eq!(status["guard"]["metrics"][0]["verdict"], "no_data");
    let said = site.must(&["status"]);
    assert!(said.contains("no figure yet of `conversion`: it cannot be asked"), "{said}");
    assert!(!site.kinds().contains(&ChangeKind::Rollback));
    figures.always(says("0.1"));
    site.wait_for_phase("promoted");
    load.stop();
}

#[test]
fn a_bad_figure_goes_back_at_once_and_is_on_record_with_its_numbers() {
    let figures = Origin::start("figures");
    figures.always(says("{\"value\": 0.9}"));
    let (site, load) = deployed(&format!("url = \"{}\"\nabove = 0.5", figures.url()));
    site.wait_for_phase("rolled_back");
    load.stop();
    let why = "conversion: green is 0.9, above the limit of 0.5";
    let status = site.status();
    assert_eq!((status["weight"].as_f64(), status["latch"]["reason"].as_str()), (Some(0.0), Some(why)));
    let entry = status["latch"]["entry"].to_string();
    let said = site.must(&["explain", &entry]);
    assert!(said.contains("rollback on shop by guard") && said.contains("judged again: bad"), "{said}");
}

#[test]
fn a_compared_figure_is_asked_of_both_and_goes_back_with_both() {
    let figures = Origin::start("figures");
    figures.does(|request| says(if asked_for(request).contains("blue") { "0.5" } else { "0.48" }));
    let (site, load) =
        deployed(&format!("url = \"{}/{{{{environment}}}}\"\ncompare = {{ ratio = 0.9 }}", figures.url()));
    wait_until("it is half", LONG, || site.status()["weight"].as_f64() >= Some(50.0));
    // Both are worse: that is not the candidate's.
    figures.does(|request| says(if asked_for(request).contains("blue") { "0.05" } else { "0.048" }));
    wait_until("both are seen", SOON, || site.status()["guard"]["metrics"][0]["active"].as_f64() == Some(0.05));
    assert!(!site.kinds().contains(&ChangeKind::Rollback));
    figures.does(|request| says(if asked_for(request).contains("blue") { "0.5" } else { "0.2" }));
    wait_until("it is taken back", LONG, || site.kinds().contains(&ChangeKind::Rollback));
    load.stop();
    let history = site.must(&["history"]);
    let why = "conversion: green is 0.2, below 0.45: 0.9 times blue's 0.5";
    assert!(history.contains(why), "{history}");
}

#[test]
fn a_fail_pauses_or_warns_where_the_file_says_so() {
    let figures = Origin::start("figures");
    figures.always(says("{\"pass\": false}"));
    let (site, load) = deployed(&format!("url = \"{}\"\naction = \"pause\"", figures.url()));
    site.wait_for_phase("paused");
    assert_eq!(site.status()["rollout"]["why"], "conversion: green fails");
    figures.always(says("true"));
    wait_until("it passes", SOON, || site.status()["guard"]["metrics"][0]["verdict"] == "good");
    site.must(&["resume"]);
    site.wait_for_phase("promoted");
    load.stop();

    figures.always(says("false"));
    let (site, load) = deployed(&format!("url = \"{}\"\naction = \"warn\"", figures.url()));
    site.wait_for_phase("promoted");
    assert_eq!(site.kinds().iter().filter(|kind| **kind == ChangeKind::Warning).count(), 1);
    load.stop();
}

#[test]
fn prometheus_sees_the_figures_and_what_was_not_answered_and_no_secret_is_shown() {
    let figures = Origin::start("figures");
    figures.does(|request| match request.header("authorization") {
        Some("Bearer t0p-s3cret") if request.header("x-team") == Some("shop") => says("0.1"),
        _ => answer("401 Unauthorized", "t0p-s3cret"),
    });
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "t0p-s3cret\n").unwrap();
    let keys = format!(
        "url = \"{}/?key=hidden-key\"\nabove = 0.5\nheaders = {{ x-team = \"shop\" }}\ntoken_file = \"{}\"",
        figures.url(),
        token.display()
    );
    let house = House::start("weight = 10", &metric(&keys));
    let value = "cutover_guard_metric{service=\"shop\",metric=\"conversion\",environment=\"green\"} 0.1";
    let missing =
        |count: u64| format!("cutover_guard_metric_missing_total{{service=\"shop\",metric=\"conversion\"}} {count}\n");
    wait_until("it is shown", SOON, || house.metrics().contains(value));
    assert!(house.metrics().contains(&missing(0)), "{}", house.metrics());
    figures.always(Do::Close);
    wait_until("it is no longer shown", SOON, || !house.metrics().contains("cutover_guard_metric{"));
    assert!(!house.metrics().contains(&missing(0)));
    figures.always(says("0.7"));
    let entry = house.entry(ChangeKind::Rollback);
    assert_eq!((entry.change.who.as_str(), house.weight()), ("guard", 0));
    assert!(house.metrics().contains("cutover_rollbacks_total{service=\"shop\",reason=\"conversion\"} 1"));
    let shown = format!("{:?}{:?}", house.running.sidecar.status().unwrap(), house.history());
    for secret in ["t0p-s3cret", "hidden-key"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_reload_a_crash_and_an_abort_ask_for_what_is_on_trial_then() {
    let figures = Origin::start("figures");
    figures.always(says(""));
    let (site, load) = deployed(&format!("url = \"{}/old\"\nabove = 0.5", figures.url()));
    wait_until("it waits", SOON, || waiting(&site).contains("its answer is empty"));
    let routing = std::fs::read_to_string(site.routing()).unwrap();
    std::fs::write(site.routing(), routing.replace("/old", "/new")).unwrap();
    wait_until("the new question is asked", SOON, || asked_for(&figures.last()) == "/new");
    load.stop();
    let site = site.crash();
    let before = figures.requests();
    wait_until("it is asked again", SOON, || figures.requests() > before);
    assert_eq!(site.status()["weight"].as_f64(), Some(10.0));
    site.must(&["abort"]);
    wait_until("a question under way is over", SOON, || {
        let before = figures.requests();
        std::thread::sleep(Duration::from_millis(2500));
        figures.requests() == before
    });
}

#[test]
#[ignore = "needs prometheus: .ci/setup installs it"]
fn a_real_prometheus_holds_a_step_without_data_and_takes_a_bad_version_back() {
    let exporter = Origin::start("exporter");
    let export = |green: Option<&str>| {
        let line = |side: &str, value: &str| format!("shop_errors_ratio{{environment=\"{side}\"}} {value}\n");
        let lines = line("blue", "0.01") + &green.map_or(String::new(), |value| line("green", value));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length:";
        exporter.always(Do::Raw(format!("{head} {}\r\n\r\n{lines}", lines.len())));
    };
    export(None);
    let prometheus = servers::prometheus(exporter.address);
    let server = format!("prometheus = \"http://127.0.0.1:{}\"", prometheus.port);
    let query = "query = 'shop_errors_ratio{environment=\"{{environment}}\"}'";
    let (site, load) = deployed(&format!("{server}\n{query}\nabove = 0.05"));
    let none = "[\"no figure yet of `conversion`: Prometheus has no data for it\"]";
    wait_until("it waits for nothing else", LONG, || waiting(&site) == none);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((waiting(&site).as_str(), site.status()["weight"].as_f64()), (none, Some(10.0)));
    export(Some("0.02"));
    wait_until("it goes on", LONG, || site.status()["weight"].as_f64() >= Some(50.0));
    export(Some("0.2"));
    wait_until("it is taken back", LONG, || site.kinds().contains(&ChangeKind::Rollback));
    let history = site.must(&["history"]);
    assert!(history.contains("conversion: green is 0.2, above the limit of 0.05"), "{history}");
    load.stop();

    for (query, why) in [
        ("shop_errors_ratio", "it has 2 results"),
        ("sum(", "Prometheus refused the query: "),
        ("vector(0) / vector(0)", "its value is NaN"),
        ("shop_errors_ratio[1m]", "its result is a range"),
    ] {
        let (site, load) = deployed(&format!("{server}\nquery = '{query}'\nabove = 0.05"));
        wait_until(why, LONG, || waiting(&site).contains(&format!("no figure yet of `conversion`: {why}")));
        load.stop();
    }
    // The two, compared.
    let (site, load) = deployed(&format!(
        "{server}\nquery = 'shop_errors_ratio{{environment=\"{{{{environment}}}}\"}}'\ncompare = {{ ratio = 1.5, difference = 0.001 }}"
    ));
    wait_until("it is taken back", LONG, || site.kinds().contains(&ChangeKind::Rollback));
    let history = site.must(&["history"]);
    assert!(history.contains("conversion: green is 0.2, above 0.016: 1.5 times blue's 0.01 plus 0.001"), "{history}");
    load.stop();
}
