//! What becomes of validation runs when Cutover ends: the real program, real signals.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::gates::runs;
use crate::rollouts::{LONG, QUICK, Site};
use crate::support::house::Load;
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

/// A run that hangs in its case, on green.
const SUITE: &str = "timeout = \"10m\"\n\
    [[setup]]\npath = \"/made\"\n[[case]]\npath = \"/hangs\"\n[[teardown]]\nmethod = \"DELETE\"\npath = \"/made\"\n";

fn asked(site: &Site, what: &str) -> bool {
    site.green.all().iter().any(|request| request.line().starts_with(what))
}

/// A site with a run that is under way; its teardown hangs too, if that is wanted.
fn under_way(site: Site, suite: &str, teardown_hangs: bool) -> Site {
    site.suite("endless", &format!("version = 1\n{suite}"));
    site.green.does(move |request| {
        let line = request.line();
        let hangs = line.contains("/hangs") || (teardown_hangs && line.starts_with("DELETE"));
        if hangs { Do::Hang } else { Do::Status(200) }
    });
    site.must(&["validate", "run-suite", "endless", "green", "--detach"]);
    wait_until("it hangs", SOON, || asked(&site, "GET /hangs"));
    site
}

fn latest(site: &Site) -> (String, String) {
    let run: Value = runs(site).remove(0);
    (run["state"].as_str().unwrap().to_owned(), run["verdict"].as_str().unwrap().to_owned())
}

#[test]
fn a_signal_cancels_a_run_and_what_it_has_set_up_is_taken_down() {
    for signal in ["TERM", "INT"] {
        let mut site = under_way(Site::new(""), SUITE, false);
        assert!(!asked(&site, "DELETE"));
        site = site.restart(signal);
        assert!(asked(&site, "DELETE /made"), "{signal}");
        let (state, verdict) = latest(&site);
        assert_eq!((state.as_str(), verdict.as_str()), ("cancelled", "cancelled by Cutover's shutdown"), "{signal}");
    }
}

#[test]
fn a_teardown_that_goes_through_the_proxy_finds_its_doors_open() {
    let rule = "[[service.shop.rule]]\nheader = { name = \"x-look\", equals = \"1\" }\nto = \"green\"\noverride = true";
    for signal in ["TERM", "INT"] {
        let mut site = under_way(Site::new(rule), &format!("via = \"proxy\"\n{SUITE}"), false);
        site = site.restart(signal);
        assert!(asked(&site, "DELETE /made"), "{signal}");
        assert_eq!(latest(&site).0, "cancelled", "{signal}");
    }
}

#[test]
fn a_teardown_that_hangs_is_given_up_with_the_drain_and_the_run_says_so() {
    let mut site = under_way(Site::new(""), SUITE, true);
    let began = Instant::now();
    site.process.signal("TERM");
    wait_until("its teardown is under way", SOON, || asked(&site, "DELETE"));
    let (code, said) = site.cutover(&["validate", "run-suite", "endless", "green", "--detach"]);
    assert!(code == Some(1) && said.contains("Cutover is shutting down"), "no new run is taken: {code:?} {said}");
    site = site.after_its_end();
    let took = began.elapsed().as_millis();
    assert!((2_900..60_000).contains(&took), "the drain is 3 seconds: {took} ms");
    let (state, verdict) = latest(&site);
    assert!(state == "interrupted" && verdict.contains("its teardown did not"), "{state} {verdict}");
}

#[test]
fn a_second_signal_does_not_wait_for_a_teardown() {
    for signal in ["TERM", "INT"] {
        let site = under_way(Site::new("").patient(), SUITE, true);
        site.process.signal(signal);
        wait_until("its teardown is under way", SOON, || asked(&site, "DELETE"));
        let began = Instant::now();
        let site = site.restart("TERM");
        // After SIGINT there are only five seconds to save, which a slow machine may take to start anew.
        assert!(began.elapsed() < Duration::from_secs(60) || signal == "INT", "the drain is ten minutes");
        assert_eq!(latest(&site).0, "interrupted", "{signal}");
    }
}

#[test]
fn a_rollout_whose_suite_the_end_cuts_short_goes_on_with_the_next_process() {
    let site = Site::new(&format!("steps = [{{ weight = 10, suites = [\"smoke\"] }}, 100]\n{QUICK}"));
    site.suite("smoke", "version = 1\ntimeout = \"10m\"\n[[case]]\npath = \"/up\"\n");
    site.green.does(|request| if request.line().contains("/up") { Do::Hang } else { Do::Status(200) });
    let load = Load::start(site.process.address, 8, Duration::from_millis(1));
    site.must(&["deploy", "2.0.0"]);
    wait_until("its suite is under way", LONG, || asked(&site, "GET /up"));
    load.stop();
    // What hangs goes on hanging; who asks from now on is answered.
    site.green.always(Do::Status(200));
    let site = site.restart("TERM");
    let load = Load::start(site.process.address, 8, Duration::from_millis(1));
    site.wait_for_phase("promoted");
    load.stop();
}
