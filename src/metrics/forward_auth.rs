//! What auth services have said of requests.

use memory::counters::ForwardAuthOutcome;
use memory::snapshot::RoutingSnapshot;

use crate::metrics::Family;

/// Only of services that ask one: of others it would say nothing.
pub(super) fn of_forward_auth(snapshot: &RoutingSnapshot) -> [Family; 2] {
    let mut asked = Family::counter(
        "forward_auth_total",
        "Questions to auth services, by outcome; after unreachable, timeout and invalid the client gets 503.",
        &["service", "outcome"],
    );
    let mut took = Family::histogram(
        "forward_auth_duration_seconds",
        "Time that auth services took to answer; it is no part of an environment's.",
        &["service"],
    );
    for serving in snapshot.services.iter().filter(|serving| serving.terms.auth_origins().next().is_some()) {
        for outcome in ForwardAuthOutcome::ALL.iter().copied() {
            asked.count(&[&serving.name, outcome.name()], serving.auth_answers.counted(outcome));
        }
        took.observe(&[&serving.name], &serving.auth_answers.latency());
    }
    [asked, took]
}
