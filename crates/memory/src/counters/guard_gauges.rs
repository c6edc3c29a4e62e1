//! The sidecar's latest view of a service: written by the sidecar alone, shown by the metrics.

use judgement::guard::Verdict;
use judgement::guard::evidence::{CombinedEvidence, MeterKind};
use judgement::rollout::GuardReading;
use judgement::rollout::ledger::RolloutLedger;
use judgement::rollout::release::RolloutPhase;

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
}

impl GuardGauges {
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
