//! What the guard sees of one service, read on request from the counters that it judges by.

use crate::Sidecar;
use crate::readings::checked;
use judgement::rollout::GuardInsight;
use judgement::time::Millis;

impl Sidecar {
    /// `None` for an unknown service.
    pub(super) fn insight(&self, service: &str, now: Millis) -> Option<GuardInsight> {
        let serving = self.placed.serving(service)?;
        let totals = serving.routes.iter().map(|route| route.judged()).collect();
        let totals = checked(totals, self.counters.health_failures(service));
        self.state.insight(service, &totals, now)
    }
}
