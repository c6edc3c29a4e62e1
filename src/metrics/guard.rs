//! The judge's view of every service, and what its rollout has cost.

use crate::metrics::Family;
use judgement::guard::comparison::{Band, QUANTILES};
use judgement::guard::evidence::MeterKind;
use judgement::rollout::{GuardReading, WaitReason};
use judgement::traffic::Environment;
use memory::counters::{Counters, GuardGauges};

pub fn of_guard(counters: &Counters) -> Vec<Family> {
    let mut verdicts = Family::gauge(
        "guard_verdict",
        "1 for the last verdict on the candidate; not_compared: it has all of the traffic, and nothing is known of what active did.",
        &["service", "verdict"],
    );
    let mut evidence = Family::gauge(
        "guard_evidence",
        "The odds that the candidate is worse than tolerated, x : 1, by meter; a sum of 1000 causes a rollback.",
        &["service", "meter"],
    );
    let mut resolution = Family::gauge(
        "guard_resolution_ratio",
        "The smallest failure rate of the candidate that would have been detected by now, 0 to 1; 1 if none would.",
        &["service"],
    );
    let mut caution = Family::gauge(
        "guard_caution",
        "1 while only requests that could be rescued go to the candidate.",
        &["service"],
    );
    let mut cautions = Family::counter("cautions_total", "How often caution has begun.", &["service"]);
    let mut waiting = Family::gauge(
        "rollout_waiting",
        "1 for what the rollout waits for now: its bake time, requests, a verdict, a person …",
        &["service", "reason"],
    );
    let mut figures = Family::gauge(
        "guard_metric",
        "The last figure of another system that the guard judges; 1 and 0 for pass and fail.",
        &["service", "metric", "environment"],
    );
    let mut missing = Family::counter(
        "guard_metric_missing_total",
        "Questions to other systems that were not answered with a figure.",
        &["service", "metric"],
    );
    let mut families: Vec<Family> =
        LEDGER.iter().map(|(name, help, _)| Family::gauge(name, help, &["service"])).collect();
    for (service, mut judged) in counters.judged() {
        judged.ledger.keys = counters.keys(&service).estimate(judged.ledger.rollout);
        for name in GuardReading::NAMES {
            verdicts.set(&[&service, name], f64::from(u8::from(judged.shown.name() == Some(name))));
        }
        for (kind, value) in MeterKind::ALL.iter().zip(judged.shown.evidence) {
            evidence.set(&[&service, kind.name()], value);
        }
        resolution.set(&[&service], judged.shown.resolution.unwrap_or(1.0));
        caution.set(&[&service], f64::from(u8::from(judged.shown.cautious)));
        cautions.count(&[&service], judged.cautions);
        for (metric, gauge) in &judged.figures {
            missing.count(&[&service, metric], gauge.missing);
            for (side, value) in Environment::BOTH.iter().zip(gauge.values) {
                value.into_iter().for_each(|value| figures.set(&[&service, metric, side.name()], value));
            }
        }
        for name in WaitReason::NAMES {
            waiting.set(&[&service, name], f64::from(u8::from(judged.waiting.contains(&name))));
        }
        for (family, (_, _, value)) in families.iter_mut().zip(LEDGER) {
            family.set(&[&service], value(&judged) as f64);
        }
    }
    families.extend([verdicts, evidence, resolution, caution, cautions, waiting, figures, missing]);
    families.extend(of_comparison(counters));
    families.extend(of_split(counters));
    families
}

/// How the two sides differ at the present weight.
fn of_comparison(counters: &Counters) -> [Family; 2] {
    let mut more_failures = Family::gauge(
        "guard_more_failures_ratio",
        "How much more the candidate fails than active at this weight, -1 to 1: the ends of a 95 % band that holds however often one looks.",
        &["service", "bound"],
    );
    let mut latency = Family::gauge(
        "guard_latency_seconds",
        "Latency at this weight: the ends of a 95 % band that holds however often one looks.",
        &["service", "role", "quantile", "bound"],
    );
    for (service, judged) in counters.judged() {
        let compared = &judged.shown.compared;
        for (bound, value) in ends(compared.more_failures) {
            more_failures.set(&[&service, bound], value);
        }
        for (role, bands) in [("active", &compared.active), ("candidate", &compared.candidate)] {
            for (share, band) in QUANTILES.iter().zip(bands.latency) {
                let quantile = share.to_string();
                for (bound, micros) in ends(band) {
                    latency.set(&[&service, role, &quantile, bound], micros / 1e6);
                }
            }
        }
    }
    [more_failures, latency]
}

/// Whether the two sides get the shares that the weight promises.
fn of_split(counters: &Counters) -> [Family; 3] {
    let mut evidence = Family::gauge(
        "guard_split_evidence",
        "The odds that the split does not follow the weight, x : 1; from 1000 on it is told.",
        &["service"],
    );
    let mut promised = Family::gauge(
        "guard_split_promised_ratio",
        "The share that the weights of the rollout promised the candidate, 0 to 1: of independent decisions, and of requests.",
        &["service", "of"],
    );
    let mut got =
        Family::gauge("guard_split_got_ratio", "The share that the candidate got of them, 0 to 1.", &["service", "of"]);
    for (service, judged) in counters.judged() {
        let Some(split) = &judged.split else { continue };
        evidence.set(&[&service], split.evidence);
        for (of, share) in [("decisions", split.decisions), ("requests", split.requests)] {
            promised.set(&[&service, of], share.promised);
            got.set(&[&service, of], share.got);
        }
    }
    [evidence, promised, got]
}

fn ends(band: Band) -> impl Iterator<Item = (&'static str, f64)> {
    [("low", band.low), ("high", band.high)].into_iter().filter_map(|(bound, value)| Some((bound, value?)))
}

/// What gates of rollouts have answered.
pub fn of_gates(counters: &Counters) -> Vec<Family> {
    let mut asked = Family::counter(
        "rollout_gate_asked_total",
        "Answers of gates, and questions that got none, retries not counted.",
        &["service", "gate", "hook"],
    );
    let mut failed = Family::counter(
        "rollout_gate_failed_total",
        "Those that did not pass: other statuses than 200 to 299, and no answer.",
        &["service", "gate", "hook"],
    );
    for (service, judged) in counters.judged() {
        for ((gate, hook), gauge) in &judged.gates {
            asked.count(&[&service, gate, hook], gauge.asked);
            failed.count(&[&service, gate, hook], gauge.failed);
        }
    }
    vec![asked, failed]
}

type Value = fn(&GuardGauges) -> u64;

/// The blast radius of the current rollout, or of the last one.
const LEDGER: [(&str, &str, Value); 10] = [
    ("rollout_number", "The number of the rollout; it goes up whenever the weight rises from 0.", |judged| {
        u64::from(judged.ledger.rollout)
    }),
    ("rollout_requests", "Requests of the rollout that were sent to the candidate.", |judged| judged.ledger.requests),
    ("rollout_left", "Of these, those whose client left before it was answered.", |judged| judged.ledger.left),
    ("rollout_in_flight", "Requests to the candidate that have neither been answered nor given up.", |judged| {
        judged.ledger.waiting
    }),
    ("rollout_keys", "Distinct sticky keys among these requests, estimated.", |judged| judged.ledger.keys),
    ("rollout_failed", "Requests of the rollout that the candidate failed.", |judged| judged.ledger.failed),
    ("rollout_rescued", "Failed requests of the rollout that active served instead.", |judged| {
        judged.ledger.served_again()
    }),
    ("rollout_rescues_tried", "Failed requests of the rollout that active was asked to serve instead.", |judged| {
        judged.ledger.rescued
    }),
    ("rollout_hurt", "Requests of the rollout whose client saw a failure.", |judged| judged.ledger.hurt),
    ("rollout_turned_away", "Requests of the rollout that caution or a standstill sent to active.", |judged| {
        judged.ledger.turned_away
    }),
];
