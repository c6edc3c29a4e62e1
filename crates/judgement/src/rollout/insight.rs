//! What the judge currently sees of a service, on request: the same readings that it judges by, without judging.

use crate::guard::window::JudgedTotals;
use crate::guard::{GuardPolicy, Observation};
use crate::rollout::State;
use crate::rollout::judged_scope::WatchedService;
use crate::rollout::plan::RolloutPlan;
use crate::time::Millis;
use crate::traffic::Environment;

/// A service as its judge sees it.
#[derive(Clone, Debug)]
pub struct GuardInsight {
    pub policy: GuardPolicy,
    /// The plan of the next version.
    pub plan: RolloutPlan,
    pub active: Environment,
    /// The environment that is judged: the candidate, or a promoted one that is still being watched.
    pub subject: Environment,
    /// Whether there is anything to judge now.
    pub judged: bool,
    /// The whole service first, then its routes; none before the first response.
    pub sights: Vec<Observation>,
}

impl State {
    /// What the judge sees at `now` in these totals of the service's routes.
    pub fn insight(&self, name: &str, totals: &[Option<[JudgedTotals; 2]>], now: Millis) -> Option<GuardInsight> {
        let service = self.services.get(name)?;
        let durable = &service.durable;
        let subject = durable.subject();
        let weight = if durable.is_watching() { durable.weight.rest() } else { durable.weight };
        let (policy, routes, active, wanted) =
            (&service.policy, &service.routes, subject.other(), durable.wanted_requests());
        let seen = WatchedService { policy, routes, active, weight, wanted };
        let sights = service.watch.as_ref().map(|watch| watch.sights(now, &seen, totals)).unwrap_or_default();
        Some(GuardInsight {
            policy: service.policy.clone(),
            plan: service.plan.clone(),
            active: durable.active,
            subject,
            judged: durable.is_judged(),
            sights,
        })
    }
}
