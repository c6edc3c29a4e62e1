//! Prometheus: the same counters that the guard judges by, put into words at a scrape.
//!
//! No vector with labels is touched on the request path. Labels come from the configuration alone, never from traffic.

mod guard;
mod health;
mod notices;

use std::collections::HashMap;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use judgement::guard::latency::upper_micros;
use judgement::traffic::Environment;
use memory::clock;
use memory::counters::{Class, Counters, Failure, Latencies, Process, Seen, read};
use memory::snapshot::Snapshot;

/// The metrics in Prometheus' text format.
pub fn render(counters: &Counters, snapshot: &Snapshot) -> String {
    let mut families = of_routes(counters);
    families.extend(of_services(counters, snapshot));
    families.extend(guard::of_guard(counters));
    families.extend(notices::of_notices(counters));
    families.extend(health::of_health(counters));
    families.extend(of_process(&counters.process, snapshot));
    let mut text = Vec::new();
    // Writing to memory fails only for a family without metrics, and those are left out.
    families.retain(|family| !family.get_metric().is_empty());
    if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
        tracing::error!(%error, "cannot encode the metrics");
    }
    String::from_utf8(text).unwrap_or_default()
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn family(name: &str, help: &str, kind: MetricType) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("cutover_{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family
}

fn counter(labels: Vec<LabelPair>, value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::default();
    metric.set_label(labels);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::default();
    metric.set_label(labels);
    metric.set_gauge(gauge);
    metric
}

/// Every eighth of our buckets is shown, an octave each from 0.5 ms: enough for a chart, an eighth of the series.
fn histogram(labels: Vec<LabelPair>, seen: &Latencies) -> Metric {
    let mut histogram = Histogram::default();
    let mut count = 0;
    let mut buckets = Vec::new();
    for (at, here) in seen.buckets.iter().enumerate() {
        count += here;
        if at % 8 == 7
            && let Some(upper) = upper_micros(at)
        {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(upper as f64 / 1e6);
            bucket.set_cumulative_count(count);
            buckets.push(bucket);
        }
    }
    histogram.set_bucket(buckets);
    histogram.set_sample_count(count);
    histogram.set_sample_sum(seen.sum_micros as f64 / 1e6);
    let mut metric = Metric::default();
    metric.set_label(labels);
    metric.set_histogram(histogram);
    metric
}

fn of_routes(counters: &Counters) -> Vec<MetricFamily> {
    let mut requests = family(
        "requests_total",
        "Requests sent to an environment, by class of answer; a rescued request counts on both sides.",
        MetricType::COUNTER,
    );
    let mut failures =
        family("failures_total", "Requests that failed at an environment, by cause.", MetricType::COUNTER);
    let mut rescued =
        family("rescued_total", "Failed candidate requests that were served again by active.", MetricType::COUNTER);
    let mut upstream = family(
        "upstream_duration_seconds",
        "From dispatch to the answer's head, of answers that did not fail.",
        MetricType::HISTOGRAM,
    );
    let mut request = family(
        "request_duration_seconds",
        "From a request's head to the end of its answer, by the environment that answered.",
        MetricType::HISTOGRAM,
    );
    let mut hurt = family(
        "hurt_total",
        "Requests that failed as clients saw it, by the environment that they went to first.",
        MetricType::COUNTER,
    );
    let mut turned_away = family(
        "turned_away_total",
        "Requests that went to active because the candidate was in doubt and they could not be rescued.",
        MetricType::COUNTER,
    );
    for ((service, route), counters) in counters.routes() {
        let mut away = None;
        for side in Environment::BOTH {
            let Some(seen) = counters.seen(side) else { continue };
            let labels = || vec![label("service", &service), label("route", &route), label("environment", side.name())];
            let with = |name: &str, value: &str| {
                let mut all = labels();
                all.push(label(name, value));
                all
            };
            let Seen { classes, failures: causes, rescued: saved, hurt: harmed, turned_away: kept, .. } = seen;
            let Seen { upstream: head, request: whole, .. } = seen;
            for ((_, name), value) in Class::ALL.iter().zip(classes).filter(|(_, value)| *value > 0) {
                requests.mut_metric().push(counter(with("class", name), value));
            }
            for ((_, name), value) in Failure::ALL.iter().zip(causes).filter(|(_, value)| *value > 0) {
                failures.mut_metric().push(counter(with("cause", name), value));
            }
            rescued.mut_metric().push(counter(labels(), saved));
            hurt.mut_metric().push(counter(labels(), harmed));
            *away.get_or_insert(0) += kept;
            upstream.mut_metric().push(histogram(labels(), &head));
            request.mut_metric().push(histogram(labels(), &whole));
        }
        if let Some(away) = away {
            turned_away.mut_metric().push(counter(vec![label("service", &service), label("route", &route)], away));
        }
    }
    vec![requests, failures, rescued, hurt, turned_away, upstream, request]
}

fn of_services(counters: &Counters, snapshot: &Snapshot) -> Vec<MetricFamily> {
    let mut weight = family("weight_ratio", "The environment's share as set, 0 to 1.", MetricType::GAUGE);
    let mut active = family("active", "1 for the environment that serves by default.", MetricType::GAUGE);
    let mut endpoints = family("endpoints", "Addresses that the environment's origin resolves to.", MetricType::GAUGE);
    let mut rollbacks = family(
        "rollbacks_total",
        "Rollbacks, by the evidence or the trigger that asked for them.",
        MetricType::COUNTER,
    );
    for (id, rules, split) in snapshot.table.services() {
        let candidate = if split.stopped { 0.0 } else { split.weight.ratio() };
        for side in Environment::BOTH {
            let labels = || vec![label("service", &rules.name), label("environment", side.name())];
            let is_active = side == split.active;
            weight.mut_metric().push(gauge(labels(), if is_active { 1.0 - candidate } else { candidate }));
            active.mut_metric().push(gauge(labels(), f64::from(u8::from(is_active))));
            endpoints.mut_metric().push(gauge(labels(), snapshot.endpoints(id, side).len() as f64));
        }
    }
    let mut certificates =
        family("certificate_end_seconds", "When the certificate ends, in seconds since 1970.", MetricType::GAUGE);
    for (file, end) in counters.certificates() {
        let labels = vec![label("cert_file", &file.display().to_string())];
        certificates.mut_metric().push(gauge(labels, end as f64));
    }
    // Rare, and by names of the file: the one map with labels.
    let counts: HashMap<(String, String), u64> = counters.rollbacks().into_iter().collect();
    for ((service, reason), count) in counts {
        rollbacks.mut_metric().push(counter(vec![label("service", &service), label("reason", &reason)], count));
    }
    vec![weight, active, endpoints, rollbacks, certificates]
}

fn of_process(process: &Process, snapshot: &Snapshot) -> Vec<MetricFamily> {
    let single = |name: &str, help: &str, kind, metric| {
        let mut family = family(name, help, kind);
        family.mut_metric().push(metric);
        family
    };
    let total = |name: &str, help: &str, value: u64| single(name, help, MetricType::COUNTER, counter(vec![], value));
    let number = |name: &str, help: &str, value: f64| single(name, help, MetricType::GAUGE, gauge(vec![], value));
    let mut refused =
        family("refused_total", "Requests answered without asking an origin, by reason.", MetricType::COUNTER);
    for (reason, value) in process.refusals() {
        refused.mut_metric().push(counter(vec![label("reason", reason)], value));
    }
    let mut reloads = family("config_reload_total", "Routing files taken and refused.", MetricType::COUNTER);
    for (result, value) in [("taken", &process.reloads_taken), ("refused", &process.reloads_refused)] {
        reloads.mut_metric().push(counter(vec![label("result", result)], read(value)));
    }
    let opened = read(&process.connections_opened);
    let open = opened.saturating_sub(read(&process.connections_closed));
    let build = vec![label("version", env!("CARGO_PKG_VERSION"))];
    vec![
        refused,
        reloads,
        number("config_generation", "The number of the routing truth in force.", snapshot.generation as f64),
        number("connections", "Client connections that are open.", open as f64),
        total("connections_total", "Client connections ever accepted.", opened),
        total("sidecar_rounds_total", "Rounds of the sidecar.", read(&process.sidecar_ticks)),
        total(
            "sidecar_panics_total",
            "Panics of the sidecar; after one the weights are frozen.",
            read(&process.sidecar_panics),
        ),
        number(
            "sidecar_tick_seconds",
            "How long the sidecar's last round took.",
            read(&process.sidecar_tick_micros) as f64 / 1e6,
        ),
        number(
            "sidecar_age_seconds",
            "Since the sidecar's last round.",
            clock::now().0.saturating_sub(read(&process.sidecar_seen)) as f64 / 1e3,
        ),
        total("journal_errors_total", "Times that the disk did not take the journal.", read(&process.journal_errors)),
        total("journal_dropped_total", "Entries that were lost for good.", read(&process.journal_dropped)),
        number("journal_waiting", "Entries that wait for the disk.", read(&process.journal_waiting) as f64),
        total("access_log_dropped_total", "Lines that the access log lost.", read(&process.access_log_dropped)),
        total("access_log_errors_total", "Times that the access log took nothing.", read(&process.access_log_errors)),
        total("resolve_errors_total", "Names that did not resolve.", read(&process.resolve_errors)),
        single("build_info", "The version that runs.", MetricType::GAUGE, gauge(build, 1.0)),
    ]
}
