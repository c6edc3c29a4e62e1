//! Prometheus: the counters that the guard judges by, rendered as text at a scrape.
//!
//! The request path touches no labelled vector. Labels come only from the configuration, never from traffic.

mod family;
mod forward_auth;
mod guard;
mod health;
mod mirror;
mod notices;
mod own_answers;
mod suites;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prometheus::proto::MetricFamily;
use prometheus::{Encoder, TextEncoder};

use judgement::traffic::Environment;
use memory::clock;
use memory::counters::{AttemptFailure, Counters, ProcessCounters, ResponseClass, RouteCounters, RouteTotals, read};
use memory::snapshot::RoutingSnapshot;

pub use family::Family;

/// The metrics in Prometheus' text format.
pub fn render(counters: &Counters, snapshot: &RoutingSnapshot) -> String {
    // Prometheus' encoder refuses a family without metrics.
    let own = collect(counters, snapshot).into_iter().map(Family::into_proto);
    let families: Vec<_> = own.chain(process()).filter(|family| !family.get_metric().is_empty()).collect();
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
        tracing::error!(%error, "cannot encode the metrics");
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The metrics that Prometheus' own libraries have of a process: CPU, memory, descriptors, threads, its start.
#[cfg(target_os = "linux")]
fn process() -> Vec<MetricFamily> {
    use prometheus::core::Collector;
    use prometheus::process_collector::ProcessCollector;

    static PROCESS: std::sync::LazyLock<ProcessCollector> = std::sync::LazyLock::new(ProcessCollector::for_self);
    PROCESS.collect()
}

/// They are read from /proc.
#[cfg(not(target_os = "linux"))]
fn process() -> Vec<MetricFamily> {
    Vec::new()
}

/// Every metric of Cutover's own that exists, including those without a value so far, because the documentation lists them all.
pub fn collect(counters: &Counters, snapshot: &RoutingSnapshot) -> Vec<Family> {
    let mut families = of_routes(counters, snapshot);
    families.push(of_pages(snapshot));
    families.push(own_answers::of_own_answers(snapshot));
    families.extend(forward_auth::of_forward_auth(snapshot));
    families.extend(of_services(counters, snapshot));
    families.extend(guard::of_guard(counters));
    families.extend(guard::of_gates(counters));
    families.extend(notices::of_notices(counters));
    families.extend(health::of_health(counters));
    families.extend(suites::of_suites(counters));
    families.extend(of_acme(counters));
    families.extend(mirror::of_mirror(counters));
    families.extend(of_process(&counters.process, snapshot));
    // What left the file ends: a dashboard would show its last values for ever. If it comes back it goes on counting.
    let known: HashSet<&str> = snapshot.services.iter().map(|serving| serving.name.as_str()).collect();
    for family in &mut families {
        family.retain("service", |service| service.is_empty() || known.contains(service));
    }
    families
}

const ROUTE: [&str; 3] = ["service", "route", "environment"];

fn of_routes(counters: &Counters, snapshot: &RoutingSnapshot) -> Vec<Family> {
    let mut requests = Family::counter(
        "requests_total",
        "Requests sent to an environment, by class of response; a rescued request counts on both sides.",
        &["service", "route", "environment", "class"],
    );
    let mut failures = Family::counter(
        "failures_total",
        "Requests that failed at an environment, by cause.",
        &["service", "route", "environment", "cause"],
    );
    let mut rescued =
        Family::counter("rescued_total", "Failed candidate requests that active was asked to serve instead.", &ROUTE);
    let mut upstream = Family::histogram(
        "upstream_duration_seconds",
        "Time from sending the request to receiving the response head, for responses that did not fail.",
        &ROUTE,
    );
    let mut request = Family::histogram(
        "request_duration_seconds",
        "Time from a request's head to the end of its response, by the environment that answered.",
        &ROUTE,
    );
    let mut hurt = Family::counter(
        "hurt_total",
        "Requests whose client saw a failure, by the environment that was tried first.",
        &ROUTE,
    );
    let mut turned_away = Family::counter(
        "turned_away_total",
        "Requests that went to active because they could not have been rescued while in doubt, or the candidate stood still.",
        &["service", "route"],
    );
    let mut tunnels =
        Family::gauge("tunnels", "WebSockets that are open, by the environment that serves them.", &ROUTE);
    let served: HashSet<*const RouteCounters> =
        snapshot.services.iter().flat_map(|serving| serving.routes.iter().map(Arc::as_ptr)).collect();
    for ((service, route), counters) in counters.routes() {
        if !served.contains(&Arc::as_ptr(&counters)) {
            continue;
        }
        let mut away = None;
        for side in Environment::BOTH {
            let Some(seen) = counters.seen(side) else { continue };
            let labels = [service.as_str(), &route, side.name()];
            let with = |last| [service.as_str(), &route, side.name(), last];
            let RouteTotals { classes, failures: causes, rescued: saved, hurt: harmed, turned_away: kept, .. } = seen;
            let RouteTotals { upstream: head, request: whole, tunnels: open, .. } = seen;
            for (class, value) in ResponseClass::ALL.iter().zip(classes).filter(|(_, value)| *value > 0) {
                requests.count(&with(class.name()), value);
            }
            for (cause, value) in AttemptFailure::ALL.iter().zip(causes).filter(|(_, value)| *value > 0) {
                failures.count(&with(cause.name()), value);
            }
            rescued.count(&labels, saved);
            hurt.count(&labels, harmed);
            tunnels.set(&labels, open as f64);
            *away.get_or_insert(0) += kept;
            upstream.observe(&labels, &head);
            request.observe(&labels, &whole);
        }
        if let Some(away) = away {
            turned_away.count(&[&service, &route], away);
        }
    }
    vec![requests, failures, rescued, hurt, turned_away, tunnels, upstream, request]
}

/// Only of services whose pages are told apart: of others it would say nothing.
fn of_pages(snapshot: &RoutingSnapshot) -> Family {
    let mut skewed = Family::counter(
        "skewed_total",
        "Requests sent to an environment because their page came from there, and not for another reason.",
        &ROUTE,
    );
    for (id, rules, _) in snapshot.table.services().filter(|(_, rules, _)| rules.skew.is_some()) {
        let routes = snapshot.serving(id).into_iter().flat_map(|serving| serving.routes.iter());
        for (route, counters) in rules.route_names().zip(routes) {
            for side in Environment::BOTH {
                skewed.count(&[&rules.name, route, side.name()], counters.skewed(side));
            }
        }
    }
    skewed
}

fn of_services(counters: &Counters, snapshot: &RoutingSnapshot) -> Vec<Family> {
    let sides = &["service", "environment"];
    let mut weight = Family::gauge("weight_ratio", "The configured share of the traffic, 0 to 1.", sides);
    let mut active = Family::gauge("active", "1 for the environment that serves by default.", sides);
    let mut held = Family::gauge("held_requests", "Requests that wait because the service is held.", &["service"]);
    let mut endpoints = Family::gauge("endpoints", "Addresses that the environment's origin resolves to.", sides);
    let mut rollbacks = Family::counter(
        "rollbacks_total",
        "Rollbacks, by the meter or the trigger that caused them.",
        &["service", "reason"],
    );
    for (id, rules, split) in snapshot.table.services() {
        let waiting = snapshot.serving(id).map_or(0, |serving| serving.held.number());
        held.set(&[&rules.name], waiting as f64);
        let candidate = if split.stopped { 0.0 } else { split.weight.ratio() };
        for side in Environment::BOTH {
            let labels = [rules.name.as_str(), side.name()];
            let is_active = side == split.active;
            weight.set(&labels, if is_active { 1.0 - candidate } else { candidate });
            active.set(&labels, f64::from(u8::from(is_active)));
            endpoints.set(&labels, snapshot.endpoints(id, side).len() as f64);
        }
    }
    let mut certificates = Family::gauge(
        "certificate_end_seconds",
        "When the certificate expires, in seconds since 1970.",
        &["cert_file"],
    );
    for (file, end) in counters.certificates() {
        certificates.set(&[&file.display().to_string()], end as f64);
    }
    // Rare, and with names from the file: the only map with labels.
    let counts: HashMap<(String, String), u64> = counters.rollbacks().into_iter().collect();
    for ((service, reason), count) in counts {
        rollbacks.count(&[&service, &reason], count);
    }
    vec![weight, active, held, endpoints, rollbacks, certificates]
}

fn of_acme(counters: &Counters) -> [Family; 2] {
    let mut orders = Family::counter("acme_orders_total", "Orders for certificates, by result.", &["result"]);
    for (result, value) in [("issued", &counters.process.acme_issued), ("failed", &counters.process.acme_failed)] {
        orders.count(&[result], read(value));
    }
    let mut names = Family::gauge(
        "acme_names",
        "Names that certificates are ordered for: those with a valid one, those without, and those whose last order failed.",
        &["state"],
    );
    let standings = counters.certificate_standings();
    let now = (clock::wall_millis() / 1000) as i64;
    let valid = standings.values().filter(|standing| standing.end.is_some_and(|end| end > now)).count();
    let failing = standings.values().filter(|standing| standing.failures > 0).count();
    for (state, value) in [("valid", valid), ("missing", standings.len() - valid), ("failing", failing)] {
        names.set(&[state], value as f64);
    }
    [orders, names]
}

fn of_process(process: &ProcessCounters, snapshot: &RoutingSnapshot) -> Vec<Family> {
    let total = |name, help, value| Family::counter(name, help, &[]).with(|family| family.count(&[], value));
    let number = |name, help, value| Family::gauge(name, help, &[]).with(|family| family.set(&[], value));
    let mut refused =
        Family::counter("refused_total", "Requests answered without asking an origin, by reason.", &["reason"]);
    for (reason, value) in process.refusals() {
        refused.count(&[reason], value);
    }
    let mut reloads = Family::counter("config_reload_total", "Routing files accepted and refused.", &["result"]);
    for (result, value) in [("taken", &process.reloads_taken), ("refused", &process.reloads_refused)] {
        reloads.count(&[result], read(value));
    }
    let opened = read(&process.connections_opened);
    let open = opened.saturating_sub(read(&process.connections_closed));
    let mut build = Family::gauge("build_info", "The running version.", &["version"]);
    build.set(&[env!("CARGO_PKG_VERSION")], 1.0);
    vec![
        refused,
        reloads,
        number("config_generation", "The number of the routing state in force.", snapshot.generation as f64),
        number("connections", "Open client connections.", open as f64),
        number(
            "requests_in_flight",
            "Requests that have come and are not answered yet.",
            read(&process.requests_in_flight) as f64,
        ),
        total("connections_total", "Client connections accepted.", opened),
        total("sidecar_rounds_total", "Rounds of the sidecar.", read(&process.sidecar_ticks)),
        total(
            "sidecar_panics_total",
            "Panics of the sidecar. After a panic, weights are frozen.",
            read(&process.sidecar_panics),
        ),
        number(
            "sidecar_tick_seconds",
            "How long the sidecar's last round took.",
            read(&process.sidecar_tick_micros) as f64 / 1e6,
        ),
        number(
            "sidecar_age_seconds",
            "Time since the sidecar's last round.",
            clock::now().0.saturating_sub(read(&process.sidecar_seen)) as f64 / 1e3,
        ),
        total("journal_errors_total", "Failed attempts to write the journal.", read(&process.journal_errors)),
        total("journal_dropped_total", "Journal entries that were lost.", read(&process.journal_dropped)),
        number("journal_waiting", "Journal entries waiting to be written.", read(&process.journal_waiting) as f64),
        total("access_log_dropped_total", "Access log lines that were dropped.", read(&process.access_log_dropped)),
        total("access_log_errors_total", "Failed attempts to write the access log.", read(&process.access_log_errors)),
        total("admin_refused_total", "Connections to the admin API that found no place.", read(&process.admin_refused)),
        total(
            "admin_ended_total",
            "Connections to the admin API without a valid token that gave way to another.",
            read(&process.admin_ended),
        ),
        total("resolve_errors_total", "Host names that did not resolve.", read(&process.resolve_errors)),
        build,
    ]
}
