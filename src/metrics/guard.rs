//! What the judge makes of every service, and what its rollout has cost.

use prometheus::proto::{MetricFamily, MetricType};

use crate::metrics::{counter, family, gauge, label};
use judgement::guard::Verdict;
use judgement::guard::evidence::Kind;
use memory::counters::{Counters, Judged};

pub fn of_guard(counters: &Counters) -> Vec<MetricFamily> {
    let mut verdicts = family("guard_verdict", "1 for the judge's last verdict on the candidate.", MetricType::GAUGE);
    let mut evidence = family(
        "guard_evidence",
        "How sure it is that the candidate is worse than tolerated, x : 1, by meter; 1000 together take it back.",
        MetricType::GAUGE,
    );
    let mut resolution = family(
        "guard_resolution_ratio",
        "The smallest failure rate of the candidate that would by now have shown; 1: none would.",
        MetricType::GAUGE,
    );
    let mut caution =
        family("guard_caution", "1 while only requests that could be rescued go to the candidate.", MetricType::GAUGE);
    let mut cautions = family("cautions_total", "How often caution has begun.", MetricType::COUNTER);
    let mut families: Vec<MetricFamily> =
        LEDGER.iter().map(|(name, help, _)| family(name, help, MetricType::GAUGE)).collect();
    for (service, mut judged) in counters.judged() {
        judged.ledger.keys = counters.keys(&service).estimate(judged.ledger.rollout);
        let labels = || vec![label("service", &service)];
        let with = |name: &str, value: &str| vec![label("service", &service), label(name, value)];
        for name in ["healthy", "unhealthy", "insufficient"] {
            let is = judged.shown.verdict.as_ref().is_some_and(|verdict| name_of(verdict) == name);
            verdicts.mut_metric().push(gauge(with("verdict", name), f64::from(u8::from(is))));
        }
        for (kind, value) in Kind::ALL.iter().zip(judged.shown.evidence) {
            evidence.mut_metric().push(gauge(with("meter", kind.name()), value));
        }
        resolution.mut_metric().push(gauge(labels(), judged.shown.resolution.unwrap_or(1.0)));
        caution.mut_metric().push(gauge(labels(), f64::from(u8::from(judged.shown.cautious))));
        cautions.mut_metric().push(counter(labels(), judged.cautions));
        for (family, (_, _, value)) in families.iter_mut().zip(LEDGER) {
            family.mut_metric().push(gauge(labels(), value(&judged) as f64));
        }
    }
    families.extend([verdicts, evidence, resolution, caution, cautions]);
    families
}

const fn name_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Unhealthy(_) => "unhealthy",
        Verdict::Insufficient { .. } => "insufficient",
    }
}

type Value = fn(&Judged) -> u64;

/// The blast radius, of the rollout under way or of the last one.
const LEDGER: [(&str, &str, Value); 7] = [
    ("rollout_number", "The number of the rollout, of those of its service.", |judged| {
        u64::from(judged.ledger.rollout)
    }),
    ("rollout_requests", "Requests of the rollout that were tried at the candidate.", |judged| judged.ledger.requests),
    ("rollout_keys", "Distinct sticky keys among them, estimated.", |judged| judged.ledger.keys),
    ("rollout_failed", "Of these requests, those that the candidate failed.", |judged| judged.ledger.failed),
    ("rollout_rescued", "Of these, those that active served again.", |judged| judged.ledger.rescued),
    ("rollout_hurt", "Requests of the rollout whose client saw a failure.", |judged| judged.ledger.hurt),
    ("rollout_turned_away", "Requests that caution sent to active.", |judged| judged.ledger.turned_away),
];
