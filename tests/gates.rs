//! Suites as gates of a rollout, and runs that the process does not outlive: the real program, its command line.

use std::time::Duration;

use serde_json::Value;

use crate::rollouts::{LONG, QUICK, Site};
use crate::support::house::Load;
use crate::support::origin::{Do, Request};
use crate::support::{SOON, wait_until};

const SMOKE: &str = "version = 1\n[[case]]\nname = \"it is up\"\npath = \"/up\"\n";

/// The runs that are kept, latest first.
pub fn runs(site: &Site) -> Vec<Value> {
    let said = site.must(&["validate", "history", "--output", "json"]);
    let mut runs: Value = serde_json::from_str(&said).unwrap();
    runs["executions"].as_array_mut().unwrap().drain(..).collect()
}

/// Green is well to whoever asks for a page, and not to a suite.
fn broken_for_suites(site: &Site) {
    site.green.does(|request| Do::Status(if request.line().contains("/up") { 500 } else { 200 }));
}

#[test]
fn a_step_is_left_only_when_its_suites_have_passed() {
    let site =
        Site::new(&format!("steps = [{{ weight = 10, suites = [\"smoke\"] }}, 100]\nsuites = [\"smoke\"]\n{QUICK}"));
    site.suite("smoke", SMOKE);
    let load = Load::start(site.process.address, 8, std::time::Duration::from_millis(1));
    let said = site.must(&["deploy", "2.0.0", "--wait"]);
    assert!(said.contains("2.0.0 is promoted"), "{said}");
    load.stop();
    let runs = runs(&site);
    assert_eq!(runs.len(), 2, "before the first client, and at 10 %: {runs:#?}");
    assert!(runs.iter().all(|run| run["state"] == "passed" && run["target"] == "green"), "{runs:#?}");
}

#[test]
fn a_suite_that_fails_at_a_step_takes_the_version_back() {
    let site = Site::new(&format!("steps = [{{ weight = 10, suites = [\"smoke\"] }}, 100]\n{QUICK}"));
    site.suite("smoke", SMOKE);
    broken_for_suites(&site);
    let load = Load::start(site.process.address, 8, std::time::Duration::from_millis(1));
    let (code, said) = site.cutover(&["deploy", "2.0.0", "--wait"]);
    load.stop();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("smoke") && said.contains("it is up"), "{said}");
    let (code, said) = site.cutover(&["deploy", "2.0.0"]);
    assert!(code == Some(1) && said.contains("force"), "quarantined: {said}");
}

#[test]
fn a_suite_that_fails_with_hold_waits_for_a_person_and_runs_again() {
    let step = "steps = [{ weight = 10, suites = [\"smoke\"], on_fail = \"hold\" }, 100]\n";
    let site = Site::new(&format!("{step}{QUICK}"));
    site.suite("smoke", SMOKE);
    broken_for_suites(&site);
    let load = Load::start(site.process.address, 8, std::time::Duration::from_millis(1));
    site.must(&["deploy", "2.0.0"]);
    site.wait_for_phase("paused");
    assert_eq!(site.status()["weight"].as_f64(), Some(10.0));
    site.green.always(Do::Status(200));
    site.must(&["resume"]);
    site.wait_for_phase("promoted");
    load.stop();
}

#[test]
fn a_suite_that_fails_before_the_first_client_aborts_the_deploy() {
    let site = Site::new(&format!("suites = [\"smoke\"]\n{QUICK}"));
    site.suite("smoke", SMOKE);
    broken_for_suites(&site);
    let (code, said) = site.cutover(&["deploy", "2.0.0", "--wait"]);
    assert!(code == Some(1) && said.contains("smoke"), "{code:?} {said}");
    assert_eq!(site.status()["weight"].as_f64(), Some(0.0));
}

#[test]
fn a_deploy_whose_plan_names_a_suite_that_is_not_there_is_refused() {
    let site = Site::new(&format!("steps = [{{ weight = 10, suites = [\"smoek\"] }}, 100]\n{QUICK}"));
    site.suite("smoke", SMOKE);
    let (code, said) = site.cutover(&["deploy", "2.0.0"]);
    assert!(code == Some(1) && said.contains("did you mean `smoke`?"), "{code:?} {said}");
}

#[test]
fn a_run_that_a_crash_cuts_short_is_interrupted() {
    let mut site = Site::new("");
    site.suite("endless", "version = 1\ntimeout = \"10m\"\n[[case]]\npath = \"/hangs\"\n");
    site.green.does(|request| if request.line().contains("/hangs") { Do::Hang } else { Do::Status(200) });
    site.must(&["validate", "run-suite", "endless", "green", "--detach"]);
    wait_until("it hangs", SOON, || site.green.all().iter().any(|request| request.line().contains("/hangs")));
    assert_eq!(runs(&site)[0]["state"], "running");
    site = site.crash();
    assert_eq!(runs(&site)[0]["state"], "interrupted");
    let (code, said) = site.cutover(&["validate", "show"]);
    assert!(code == Some(6) && said.contains("interrupted"), "{code:?} {said}");
}

#[test]
fn a_suite_runs_by_itself() {
    let site = Site::new("");
    site.suite("clock", &format!("every = \"10s\"\n{SMOKE}"));
    wait_until("it has run", LONG, || runs(&site).first().is_some_and(|run| run["state"] == "passed"));
    assert_eq!(runs(&site)[0]["who"], "schedule");
}

#[test]
fn suites_are_switched_off_and_on_and_scheduled_from_the_command_line() {
    let site = Site::new("");
    site.suite("smoke", SMOKE);
    let said = site.must(&["validate", "disable", "smoke"]);
    assert!(said.contains("suite smoke is disabled"), "{said}");
    let (code, said) = site.cutover(&["validate", "run-suite", "smoke", "green"]);
    assert!(code == Some(1) && said.contains("cutover validate enable"), "{code:?} {said}");
    assert!(site.must(&["validate", "list"]).contains("disabled"));
    let said = site.must(&["validate", "enable", "smoke"]);
    assert!(said.contains("suite smoke is enabled"), "{said}");
    site.must(&["validate", "run-suite", "smoke", "green"]);

    let said = site.must(&["validate", "schedule", "smoke", "1h"]);
    assert!(said.contains("suite smoke runs every 1h"), "{said}");
    let said = site.must(&["validate", "schedule", "smoke", "file", "--output", "json"]);
    let set: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(set["suite"]["every_ms"], Value::Null);
    let said = site.must(&["validate", "schedule", "smoke", "off"]);
    assert!(said.contains("does not run on a schedule"), "{said}");
    let (code, said) = site.cutover(&["validate", "schedule", "smoke", "1s"]);
    assert!(code == Some(1) && said.contains("every 10s at most"), "{code:?} {said}");
    let said = site.must(&["validate", "after-rollback", "smoke", "on"]);
    assert!(said.contains("suite smoke runs after every rollback"), "{said}");
    assert!(site.must(&["validate", "list"]).contains("after rollbacks"));
    let said = site.must(&["validate", "after-rollback", "smoke", "file"]);
    assert!(said.contains("suite smoke does not run after rollbacks"), "{said}");
    let (code, said) = site.cutover(&["validate", "disable", "smoek"]);
    assert!(code == Some(1) && said.contains("did you mean `smoke`?"), "{code:?} {said}");
}

#[test]
fn a_run_that_the_disk_does_not_take_says_so() {
    let site = Site::new("");
    site.suite("smoke", SMOKE);
    site.no_records();
    let said = site.must(&["validate", "run-suite", "smoke", "green"]);
    assert!(said.contains("could not be saved") && said.contains("cutover.db.runs"), "{said}");
    let said = site.must(&["validate", "history"]);
    assert!(said.contains("could not be saved"), "{said}");
    let id = runs(&site)[0]["id"].as_str().unwrap().to_owned();
    let shown: Value = serde_json::from_str(&site.must(&["validate", "show", &id, "--output", "json"])).unwrap();
    assert!(shown["not_kept"].as_str().is_some_and(|why| why.contains("cutover.db.runs")), "{shown:#}");
}

fn json(body: &str) -> Do {
    let length = body.len();
    Do::Raw(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"))
}

#[test]
fn a_path_that_is_late_on_one_side_is_looked_at_again() {
    let site = Site::new("");
    let data = |settle: &str| format!("version = 1\n[[data]]\npath = \"/total\"\nsettle = \"{settle}\"\n");
    site.suite("late", &data("1s"));
    site.suite("once", &data("0s"));
    site.blue.does(|_| json("{\"total\": 18446744073709551617}"));
    let behind = || {
        let first = std::sync::Mutex::new(true);
        move |_: &Request| {
            let is_first = std::mem::take(&mut *first.lock().unwrap());
            json(if is_first { "{\"total\": 18446744073709551616}" } else { "{\"total\": 18446744073709551617.0}" })
        }
    };
    site.green.does(behind());
    let (code, said) = site.cutover(&["validate", "run-suite", "late", "both"]);
    assert_eq!(code, Some(0), "{said}");
    site.green.does(behind());
    let (code, said) = site.cutover(&["validate", "run-suite", "once", "both"]);
    assert!(
        code == Some(1) && said.contains("blue has 18446744073709551617, green has 18446744073709551616"),
        "{said}"
    );
}

#[test]
fn what_is_captured_is_sent_as_it_was() {
    let site = Site::new("");
    site.suite(
        "orders",
        "version = 1\n[[case]]\nname = \"an order\"\n[[case.step]]\npath = \"/order\"\n\
         capture = { id = \"$.id\", code = \"$.code\", kind = \"$.kind\", price = \"$.price\" }\n[[case.step]]\n\
         path = \"/order/${id}\"\njson = { id = \"${id}\", code = \"${code}\", kind = \"${kind}\", price = \"${price}\" }\n",
    );
    let body = r#"{"id":18446744073709551617,"code":"007","kind":"1e5","price":12345678901234567.890}"#;
    site.green.does(move |_| json(body));
    site.must(&["validate", "run-suite", "orders", "green"]);
    let all = site.green.all();
    let sent = all.iter().find(|request| request.line().starts_with("POST")).unwrap();
    assert!(sent.line().contains("/order/18446744073709551617 "), "{}", sent.line());
    let expected = r#"{"code":"007","id":18446744073709551617,"kind":"1e5","price":12345678901234567.890}"#;
    assert_eq!(String::from_utf8_lossy(&sent.body), expected);
}

#[test]
fn a_snapshot_of_data_that_take_long_is_waited_for() {
    let site = Site::new("");
    site.suite("data", "version = 1\n[[data]]\npath = \"/orders\"\ntimeout = \"5m\"\n");
    // Longer than the command waits for any other answer.
    let slow = |request: &Request| match request.line().contains("/orders") {
        true => Do::Slow(Duration::from_secs(32)),
        false => Do::Status(200),
    };
    site.blue.does(slow);
    let said = site.must(&["snapshot", "create", "slow", "--suite", "data"]);
    assert!(said.contains("(slow) is kept"), "{said}");
}
