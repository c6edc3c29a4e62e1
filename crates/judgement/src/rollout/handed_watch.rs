//! What is known of a candidate beside its durable state, for another process that goes on judging it: an upgrade is no fresh
//! start for a bad one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rollout::ledger::RolloutLedger;
use crate::rollout::service_state::ServiceState;
use crate::rollout::service_watch::HandedScopes;
use crate::rollout::state::State;

/// A service's watch and ledger. Moments in it are on a clock that goes on in the other process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandedWatch {
    rollout: u32,
    /// What it is about: with other routes or rules of what a failure is, the watch begins anew.
    routes: Vec<String>,
    failure_rules: u64,
    scopes: Option<HandedScopes>,
    ledger: Option<RolloutLedger>,
}

impl State {
    /// What is known of the candidate of each service that is judged.
    pub fn hand_over(&self) -> BTreeMap<String, HandedWatch> {
        let handed = self.services.iter().filter_map(|(name, service)| {
            let ServiceState { durable, routes, failure_rules, watch, book, .. } = service;
            let scopes = watch.as_ref().map(|watch| watch.hand_over());
            let ledger = book.as_ref().map(|book| book.ledger()).filter(|ledger| ledger.rollout == durable.rollout);
            let is_known = scopes.is_some() || ledger.is_some();
            let (rollout, routes, failure_rules) = (durable.rollout, routes.clone(), *failure_rules);
            is_known.then(|| (name.clone(), HandedWatch { rollout, routes, failure_rules, scopes, ledger }))
        });
        handed.collect()
    }

    /// Goes on from what another process knew, once the services are loaded.
    #[must_use]
    pub fn going_on_from(self, handed: BTreeMap<String, HandedWatch>) -> State {
        State { handed, ..self }
    }
}

impl HandedWatch {
    /// What is still about the same rollout, routes and rules.
    pub(super) fn fitting(self, service: &ServiceState) -> (Option<HandedScopes>, Option<RolloutLedger>) {
        if self.rollout != service.durable.rollout {
            return (None, None);
        }
        let same = self.routes == service.routes && self.failure_rules == service.failure_rules;
        (self.scopes.filter(|_| same), self.ledger)
    }
}
