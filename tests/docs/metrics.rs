//! The page of the metrics: made from the families that `/metrics` shows.

use std::fmt::Write;

use super::is_up_to_date;
use crate::support::house::House;

const HEAD: &str = r#"<!-- Generated from src/metrics: UPDATE_DOCS=1 cargo test --test all docs::metrics -->

# Metrics

Prometheus scrapes `/metrics` on the admin listener. Labels come only from the configuration, never from traffic. Requests are counted
where they were sent: a rescued one counts at both environments. The metrics of the guard and of the rollout are per service, and keep
their values until the next rollout begins. The process itself is measured by the names that Prometheus' libraries use: `process_cpu_seconds_total`,
`process_resident_memory_bytes`, `process_open_fds` and so on (Linux).

## What to alert on

`config/prometheus/alerts.yml` has these and more as rules: name
it under `rule_files`. Every reason for a rollback is counted from 0 on, so `increase` sees the first one too. At once:

```text
increase(cutover_rollbacks_total[5m]) > 0
cutover_sidecar_age_seconds > 5
cutover_journal_waiting > 0
increase(cutover_notices_total{result!="sent"}[1h]) > 0
```

Worth a look: `cutover_guard_caution == 1` for minutes, a rising `cutover_rollout_hurt`, and a candidate that gets too few requests to be
judged for longer than you want to wait:

```text
cutover_guard_verdict{verdict="insufficient"} == 1 and on (service) min by (service) (cutover_weight_ratio) > 0
```

## All metrics

| metric | type | labels | meaning |
|---|---|---|---|
"#;

#[test]
fn the_page_of_the_metrics_is_up_to_date() {
    let house = House::start("weight = 10", "");
    let mut families = cutover::metrics::collect(&house.running.counters, &house.running.published.load());
    families.sort_by_key(|family| family.name);
    assert!(families.len() > 30, "the metrics are listed");
    let mut page = HEAD.to_owned();
    for family in families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (family.name, family.kind(), family.help.replace('|', "\\|"));
        writeln!(page, "| `cutover_{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
    }
    is_up_to_date("docs/src/metrics.md", &page);
}
