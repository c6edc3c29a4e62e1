//! What the judge sees of one service, handed to who asks: read from the same counters, at that moment.

use crate::Sidecar;
use crate::readings::checked;
use judgement::rollout::GuardInsight;
use judgement::time::Millis;

impl Sidecar {
    /// `None`: there is no such service.
    pub(super) fn insight(&self, service: &str, now: Millis) -> Option<GuardInsight> {
        let serving = self.placed.serving(service)?;
        let totals = serving.routes.iter().map(|route| route.judged()).collect();
        let totals = checked(totals, self.counters.health_failures(service));
        self.state.insight(service, &totals, now)
    }
}
