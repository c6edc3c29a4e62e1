//! Validation as a user meets it: the suites that come with the program, against the demo's shops, whole and broken.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::cli::cutover;
use crate::rollouts::Site;
use crate::support::origin::Do;

/// `cutover demo --validate` of one suite, with its report.
fn validated(suite: &str, broken: &[&str]) -> (Output, Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec!["demo", "--validate", "--suite", suite, "--report", "reports"];
    broken.iter().for_each(|fault| args.extend(["--broken", fault]));
    let output = cutover(dir.path(), &args);
    let read = |ending: &str| {
        let path = dir.path().join(format!("reports/{suite}.{ending}"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}: {output:?}", path.display()))
    };
    (output.clone(), serde_json::from_str(&read("json")).unwrap(), read("html"))
}

fn failed(report: &Value) -> Vec<String> {
    let parts = report["parts"].as_array().unwrap().iter().filter(|part| part["outcome"] == "failed");
    parts
        .map(|part| format!("{} {}", part["name"].as_str().unwrap(), part["environment"].as_str().unwrap_or("both")))
        .collect()
}

#[test]
fn every_suite_that_comes_with_the_program_passes_against_the_demo() {
    let dir = tempfile::tempdir().unwrap();
    let output = cutover(dir.path(), &["demo", "--validate", "--report", "reports"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    for suite in ["consolidated-functions", "performance", "load", "feature-parity", "data-consistency"] {
        for ending in ["html", "xml", "json"] {
            assert!(dir.path().join(format!("reports/{suite}.{ending}")).is_file(), "{suite}.{ending}: {stdout}");
        }
        let text = std::fs::read_to_string(dir.path().join(format!("reports/{suite}.json"))).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        for part in report["parts"].as_array().unwrap() {
            // Other tests run beside this one: a load may find that the machine was too slow for it, and says so.
            let busy = part["why"].as_str().is_some_and(|why| why.contains("this machine was busy"));
            assert!(part["outcome"] == "passed" || busy, "{suite}: {part:#}\n{stdout}");
            assert!(part["kind"] != "load" || part["failed"] == 0, "{part:#}");
        }
    }
}

#[test]
fn a_missing_field_is_found_by_parity_and_by_the_functions() {
    let (output, report, page) = validated("feature-parity", &["missing-field"]);
    assert_eq!(output.status.code(), Some(1));
    let differences = report["parts"][0]["differences"].as_array().unwrap();
    let places: Vec<&str> = differences
        .iter()
        .flat_map(|difference| difference["findings"].as_array().unwrap())
        .map(|finding| finding["what"].as_str().unwrap())
        .collect();
    assert!(places.contains(&"json $.items[0].currency"), "{places:?}");
    assert!(!places.iter().any(|place| place.contains("generated_at")), "noise: {places:?}");
    assert!(page.contains("currency"), "the page shows it");

    let (_, report, page) = validated("consolidated-functions", &["missing-field"]);
    assert_eq!(failed(&report), ["the catalog has everything that a page needs green"]);
    assert!(page.contains("currency"), "the page shows it");
}

#[test]
fn a_slow_function_is_found_by_performance() {
    let (output, report, page) = validated("performance", &["slow-function"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(failed(&report).contains(&"search green".to_owned()), "{report:#}");
    let median = |side: &str| {
        let parts = report["parts"].as_array().unwrap();
        let search = parts.iter().find(|part| part["name"] == "search" && part["environment"] == side).unwrap();
        search["service_time"]["p50"].as_f64().unwrap()
    };
    assert!(median("green") >= 400.0 && median("green") > median("blue") + 200.0, "{report:#}");
    assert!(page.contains("p50") && page.contains("<svg"), "the page shows it");
}

#[test]
fn a_lost_row_is_found_by_the_data_checks() {
    let (output, report, page) = validated("data-consistency", &["lost-row"]);
    assert_eq!(output.status.code(), Some(1));
    let parts = report["parts"].as_array().unwrap();
    let rows: Vec<_> = parts[0]["rows"].as_array().unwrap().iter().map(|row| (&row["key"], &row["how"])).collect();
    assert_eq!(rows, [(&Value::from("id = 1234"), &Value::from("missing_in_green"))]);
    assert_eq!(failed(&report), ["every order is on both sides both", "the same turnover both"]);
    assert!(page.contains("id = 1234"), "the page shows it");
}

#[test]
fn a_load_is_compared_with_active_under_the_same_load() {
    let site = Site::new("bake = \"1h\"");
    site.blue.always(Do::Slow(Duration::from_millis(40)));
    site.green.always(Do::Slow(Duration::from_millis(200)));
    let load = "version = 1\n[[load]]\nname = \"home\"\nrate = 30\nfor = \"2s\"\npath = \"/\"\n";
    site.suite("compared", &format!("{load}limits = {{ p95 = \"2 x active\" }}\n"));
    let (code, said) = site.cutover(&["validate", "run-suite", "compared", "green"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("which is 2 times active's"), "{said}");
    // Sixty requests that count, and a second of warm-up, on each of them.
    assert!(site.blue.requests() >= 60 && site.green.requests() >= 60, "{}", site.blue.requests());
    let before = site.green.requests();
    assert_eq!(site.cutover(&["validate", "run-suite", "compared", "blue"]).0, Some(0), "blue is active");
    assert_eq!(site.green.requests(), before);
    site.green.always(Do::Slow(Duration::from_millis(40)));
    let (code, said) = site.cutover(&["validate", "run-suite", "compared", "green"]);
    assert!(code == Some(0) || said.contains("this machine was busy"), "{said}");
}

#[test]
fn the_resources_of_an_origin_are_measured_by_its_port_and_fail_their_limits() {
    let site = Site::new("bake = \"1h\"");
    let load = "version = 1\n[[load]]\nname = \"home\"\nrate = 30\nfor = \"1s\"\npath = \"/\"\nresources = \"port\"\n";
    site.suite("measured", &format!("{load}limits = {{ cpu = 64, memory = \"1KiB\" }}\n"));
    let (code, said) = site.cutover(&["validate", "run-suite", "measured", "green"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the origin's memory is ") && said.contains("over the limit of 1 KiB"), "{said}");
    assert!(said.contains("origin memory") && said.contains("MiB"), "{said}");
    assert!(!said.contains("the origin's CPU"), "{said}");
}
