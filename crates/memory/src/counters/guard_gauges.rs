//! The sidecar's latest view of a service: written by the sidecar alone, shown by the metrics.

use std::collections::BTreeMap;

use judgement::guard::Verdict;
use judgement::guard::evidence::{CombinedEvidence, MeterKind};
use judgement::guard::outside_metric::{MeasuredFigures, OutsideMetric};
use judgement::guard::sample_ratio::SplitReading;
use judgement::rollout::gates::{GateRequest, RolloutGate};
use judgement::rollout::ledger::RolloutLedger;
use judgement::rollout::release::RolloutPhase;
use judgement::rollout::{GuardReading, MetricRequest};

/// The judge's view of a service, and what its rollout has cost. After a rollback it stays until the next rollout
/// begins.
#[derive(Clone, Debug, Default)]
pub struct GuardGauges {
    pub shown: GuardReading,
    pub ledger: RolloutLedger,
    /// Whether the split holds, while that is judged.
    pub split: Option<SplitReading>,
    /// How often caution has begun.
    pub cautions: u64,
    /// The phase of the last version that was deployed.
    pub phase: Option<RolloutPhase>,
    /// What its rollout waits for now, by the names of its reasons.
    pub waiting: Vec<&'static str>,
    /// What other systems say, by metric.
    pub figures: BTreeMap<String, FigureGauge>,
    /// What was asked of gates, by gate and the name of its hook.
    pub gates: BTreeMap<(String, &'static str), GateGauge>,
}

/// The last figures of a metric from elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct FigureGauge {
    /// By [`judgement::traffic::Environment::index`]; `None` where the last answer had none.
    pub values: [Option<f64>; 2],
    /// Questions that were not answered with a figure.
    pub missing: u64,
}

/// How often a gate was asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct GateGauge {
    pub asked: u64,
    /// Those that it did not pass.
    pub failed: u64,
}

impl GuardGauges {
    /// The answer of a gate: whether it passes.
    pub fn gated(&mut self, order: &GateRequest, passes: bool) {
        let gauge = self.gates.entry((order.gate.clone(), order.hook.name())).or_default();
        gauge.asked += 1;
        gauge.failed += u64::from(!passes);
    }

    /// Has a number for each gate of the file, and forgets those that it no longer has.
    pub fn keep_gates(&mut self, named: &[RolloutGate]) {
        let is_named = |(name, hook): &(String, &'static str)| {
            named.iter().any(|gate| gate.name == *name && gate.hook.name() == *hook)
        };
        self.gates.retain(|key, _| is_named(key));
        for gate in named {
            self.gates.entry((gate.name.clone(), gate.hook.name())).or_default();
        }
    }

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
