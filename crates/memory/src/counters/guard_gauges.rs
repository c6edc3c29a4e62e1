//! The sidecar's latest view of a service: written by the sidecar alone, shown by the metrics.

use std::collections::BTreeMap;

use judgement::guard::Verdict;
use judgement::guard::evidence::{CombinedEvidence, MeterKind};
use judgement::guard::outside_metric::{MeasuredFigures, OutsideMetric};
use judgement::rollout::ledger::RolloutLedger;
use judgement::rollout::release::RolloutPhase;
use judgement::rollout::{GuardReading, MetricRequest};

/// The judge's view of a service, and what its rollout has cost. After a rollback it stays until the next rollout
/// begins.
#[derive(Clone, Debug, Default)]
pub struct GuardGauges {
    pub shown: GuardReading,
    pub ledger: RolloutLedger,
    /// How often caution has begun.
    pub cautions: u64,
    /// The phase of the last version that was deployed.
    pub phase: Option<RolloutPhase>,
    /// What its rollout waits for now, by the names of its reasons.
    pub waiting: Vec<&'static str>,
    /// What other systems say, by metric.
    pub figures: BTreeMap<String, FigureGauge>,
}

/// The last figures of a metric from elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct FigureGauge {
    /// By [`judgement::traffic::Environment::index`]; `None` where the last answer had none.
    pub values: [Option<f64>; 2],
    /// Questions that were not answered with a figure.
    pub missing: u64,
}

impl GuardGauges {
    /// The answer to a question: its figures, if it has any.
    pub fn measured(&mut self, order: &MetricRequest, seen: Option<&MeasuredFigures>) {
        let gauge = self.figures.entry(order.metric.clone()).or_default();
        gauge.values = [None; 2];
        let Some(seen) = seen else { return gauge.missing += 1 };
        *order.candidate.of_mut(&mut gauge.values) = Some(seen.candidate.number());
        *order.candidate.other().of_mut(&mut gauge.values) = seen.active.map(|active| active.number());
    }

    /// Forgets the metrics that the file no longer has.
    pub fn keep_figures(&mut self, named: &[OutsideMetric]) {
        self.figures.retain(|name, _| named.iter().any(|metric| metric.name == *name));
    }

    /// The verdict that ended a rollout, with its evidence if the evidence decided.
    pub fn convict(&mut self, verdict: &Verdict, weighed: Option<&CombinedEvidence>) {
        self.shown.verdict = Some(verdict.clone());
        self.shown.cautious = false;
        if let Some(weighed) = weighed {
            // Start from 0, because the sum of no floats is -0.
            let of = |kind: MeterKind| {
                let parts = weighed.parts.iter().filter(|part| part.meter == kind);
                parts.fold(0.0, |sum, part| sum + part.evidence)
            };
            self.shown.evidence = MeterKind::ALL.map(of);
        }
    }
}
