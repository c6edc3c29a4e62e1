//! What is known of a candidate beside its durable state, for another process that goes on judging it: an upgrade is no fresh
//! start for a bad one.

use serde::{Deserialize, Serialize};

use crate::rollout::ledger::RolloutLedger;
use crate::rollout::service_watch::HandedScopes;

/// A service's watch and ledger. Moments in it are on a clock that goes on in the other process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandedWatch {
    pub(super) rollout: u32,
    /// What it is about: with other routes or rules of what a failure is, the watch begins anew.
    pub(super) routes: Vec<String>,
    pub(super) failure_rules: u64,
    pub(super) scopes: Option<HandedScopes>,
    pub(super) ledger: Option<RolloutLedger>,
}

impl HandedWatch {
    /// What is still about the same rollout, routes and rules.
    pub(super) fn fitting(
        self,
        rollout: u32,
        routes: &[String],
        failure_rules: u64,
    ) -> (Option<HandedScopes>, Option<RolloutLedger>) {
        if self.rollout != rollout {
            return (None, None);
        }
        let same = self.routes == routes && self.failure_rules == failure_rules;
        (self.scopes.filter(|_| same), self.ledger)
    }
}
