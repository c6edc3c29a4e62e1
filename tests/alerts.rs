//! The alerts that come with Cutover, tried by Prometheus' own tool on what a real rollback leaves in the metrics.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use judgement::rollout::ChangeKind;

use crate::support::house::{House, Load};
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

fn alerts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus/alerts.yml")
}

/// The series of a metric and their values.
fn series(metrics: &str, name: &str) -> BTreeMap<String, String> {
    let of_name = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    of_name
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, value)| (series.to_owned(), value.to_owned()))
        .collect()
}

/// A reason by which nothing could have been taken back so far is in the metrics all the same.
#[test]
fn every_reason_for_a_rollback_is_counted_from_zero_on() {
    let rest = "[service.shop.guard]\n[[service.shop.guard.trigger]]\nmetric = \"error_rate\"\nname = \"mine\"\nabove = 0.5\naction = \"rollback\"";
    let house = House::start("weight = 20", rest);
    let before = series(&house.metrics(), "cutover_rollbacks_total");
    for reason in ["asked for", "evidence of errors", "evidence of odd responses", "mirror", "suites", "mine"] {
        let of_reason = before.iter().find(|(series, _)| series.contains(&format!("reason=\"{reason}\"")));
        assert_eq!(of_reason.map(|(_, value)| value.as_str()), Some("0"), "{reason}: {before:?}");
    }
    let load = Load::start(house.address(), 4, std::time::Duration::from_millis(5));
    house.green.always(Do::Status(500));
    wait_until("a rollback", SOON, || house.find(ChangeKind::Rollback).is_some());
    load.stop();
    let after = series(&house.metrics(), "cutover_rollbacks_total");
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "no series is new");
    assert_eq!(after.values().filter(|value| *value != "0").collect::<Vec<_>>(), ["1"], "{after:?}");
}

#[test]
fn the_process_is_measured_by_the_names_that_prometheus_libraries_use() {
    let metrics = House::start("weight = 20", "").metrics();
    for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds"] {
        assert!(metrics.lines().any(|line| line.starts_with(&format!("process_{name} "))), "{name}: {metrics}");
    }
}

#[test]
fn every_metric_of_an_alert_exists() {
    let house = House::start("weight = 20", "");
    let families = cutover::metrics::collect(&house.running.counters, &house.running.published.load());
    let names: Vec<&str> = families.iter().map(|family| family.name).collect();
    let text = std::fs::read_to_string(alerts()).unwrap();
    let mut found = 0;
    for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let Some(name) = word.strip_prefix("cutover_") else { continue };
        assert!(names.contains(&name), "no metric is called {word}");
        found += 1;
    }
    assert!(found > 10);
}

fn promtool(arguments: &[&str], dir: &Path) {
    let ran = Command::new("promtool").args(arguments).current_dir(dir).output().unwrap();
    let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).unwrap()).join("\n");
    assert!(ran.status.success(), "{said}");
}

#[test]
#[ignore = "needs prometheus: .ci/setup installs it"]
fn the_first_rollback_is_an_alert_and_so_is_whatever_else_the_file_names() {
    let house = House::start("weight = 20", "");
    let before = series(&house.metrics(), "cutover_rollbacks_total");
    let load = Load::start(house.address(), 4, std::time::Duration::from_millis(5));
    house.green.always(Do::Status(500));
    wait_until("a rollback", SOON, || house.find(ChangeKind::Rollback).is_some());
    load.stop();
    let after = series(&house.metrics(), "cutover_rollbacks_total");
    let mut input = String::new();
    for (series, then) in &before {
        let now = &after[series];
        input += &format!("      - series: '{series}'\n        values: '{then} {then} {now} {now}'\n");
    }
    let others = [
        ("CutoverIsGone", "up{job=\"cutover\"}", "0 0 0 0"),
        ("CutoverJudgesNothing", "cutover_sidecar_age_seconds", "7 7 7 7"),
        ("CutoverJournalFails", "cutover_journal_waiting", "3 3 3 3"),
        ("CutoverReloadRefused", "cutover_config_reload_total{result=\"refused\"}", "0 0 1 1"),
        ("CutoverNoticesFail", "cutover_notices_total{sink=\"chat\",result=\"failed\"}", "0 0 1 1"),
        ("CutoverOriginIsDown", "cutover_health_up{service=\"shop\",environment=\"blue\",check=\"root\"}", "0 0 0 0"),
        ("CutoverCertificateEnds", "cutover_certificate_end_seconds{cert_file=\"a.pem\"}", "1000 1000 1000 1000"),
        ("CutoverIsCautious", "cutover_guard_caution{service=\"shop\"}", "1x9"),
        ("CutoverSplitDoesNotHold", "cutover_guard_split_evidence{service=\"shop\"}", "2000 2000 2000 2000"),
    ];
    let mut tests = String::new();
    for (alert, series, values) in others {
        let at = if alert == "CutoverIsCautious" { "6m" } else { "3m" };
        tests += &format!(
            "  - interval: 1m\n    input_series:\n      - series: '{series}'\n        values: '{values}'\n    \
             promql_expr_test:\n      - expr: count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})\n        \
             eval_time: {at}\n        exp_samples: [{{ labels: '{{}}', value: 1 }}]\n"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(alerts(), dir.path().join("alerts.yml")).unwrap();
    let reason = "evidence of errors";
    let rolled_back = format!(
        "rule_files: [alerts.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{input}    \
         alert_rule_test:\n      - eval_time: 3m\n        alertname: CutoverRolledBack\n        exp_alerts:\n          \
         - exp_labels: {{ severity: critical, service: shop, reason: {reason} }}\n            \
         exp_annotations:\n              summary: 'shop was rolled back: {reason}'\n              \
         description: '`cutover explain` says why. The version is quarantined until it is deployed with --force.'\n{tests}"
    );
    std::fs::write(dir.path().join("test.yml"), rolled_back).unwrap();
    promtool(&["check", "rules", "alerts.yml"], dir.path());
    promtool(&["test", "rules", "test.yml"], dir.path());
}
