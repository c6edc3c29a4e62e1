//! What others try for the sidecar, which waits for nobody: candidates before their first client, and suites.

use crate::rollout::{Event, Preflight, Validate};
use crate::sidecar::Sidecar;
use crate::time::Millis;

impl Sidecar {
    pub(super) fn have_tried(&mut self, order: Preflight, now: Millis) {
        let (service, rollout) = (order.service.clone(), order.rollout);
        let asked = self.preflights.as_ref().is_some_and(|preflights| preflights.try_send(order).is_ok());
        if !asked {
            let result = Err("nobody can try it: too many are being tried, or the house is closing".to_owned());
            self.apply(Event::Preflighted { service, rollout, result }, now);
        }
    }

    /// Suites that nobody can run have not passed.
    pub(super) fn have_validated(&mut self, order: Validate, now: Millis) {
        let (service, place) = (order.service.clone(), order.place);
        let asked = self.validations.as_ref().is_some_and(|validations| validations.try_send(order).is_ok());
        if !asked {
            let result = Err("nobody can run its suites: too many are run, or the house is closing".to_owned());
            self.apply(Event::Validated { service, place, result }, now);
        }
    }
}
