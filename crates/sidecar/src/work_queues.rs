//! Work that the sidecar has others do: candidates to be tried, and suites to be run. It never waits for them.

use tokio::sync::mpsc;

use crate::Sidecar;
use judgement::rollout::{Event, PreflightRequest, SuiteRun, SuiteRunError};
use judgement::time::Millis;

/// Who does it; nobody where none is there.
#[derive(Debug, Default)]
pub(super) struct WorkQueues {
    preflights: Option<mpsc::Sender<PreflightRequest>>,
    validations: Option<mpsc::Sender<SuiteRun>>,
}

impl Sidecar {
    /// Has candidates tried by whoever is at the other end.
    pub fn with_preflights(mut self, preflights: mpsc::Sender<PreflightRequest>) -> Sidecar {
        self.orders.preflights = Some(preflights);
        self
    }

    /// Has the suites of steps run by whoever is at the other end.
    pub fn with_validations(mut self, validations: mpsc::Sender<SuiteRun>) -> Sidecar {
        self.orders.validations = Some(validations);
        self
    }

    pub(super) fn have_tried(&mut self, order: PreflightRequest, now: Millis) {
        let (service, rollout) = (order.service.clone(), order.rollout);
        if !taken(self.orders.preflights.as_ref(), order) {
            let result =
                Err("the preflight could not start: too many are running, or Cutover is shutting down".to_owned());
            self.apply(Event::Preflighted { service, rollout, result }, now);
        }
    }

    pub(super) fn have_run(&mut self, order: SuiteRun, now: Millis) {
        if !taken(self.orders.validations.as_ref(), order.clone()) {
            let why = "too many runs are waiting, or Cutover is shutting down".to_owned();
            self.apply(Event::Validated { order, result: Err(SuiteRunError::NotRun(why)) }, now);
        }
    }
}

/// Whether somebody takes the order now.
fn taken<T>(takers: Option<&mpsc::Sender<T>>, order: T) -> bool {
    takers.is_some_and(|takers| takers.try_send(order).is_ok())
}
