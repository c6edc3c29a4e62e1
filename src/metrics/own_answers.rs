//! What routes have answered themselves.

use memory::counters::OwnAnswer;
use memory::snapshot::RoutingSnapshot;

use crate::metrics::Family;

/// Only of routes that may answer so: of others it would say nothing.
pub(super) fn of_own_answers(snapshot: &RoutingSnapshot) -> Family {
    let mut family = Family::counter(
        "own_answers_total",
        "Requests that a route answered itself, before an environment was chosen: they count for neither.",
        &["service", "route", "answer"],
    );
    for (id, rules, _) in snapshot.table.services() {
        let Some(serving) = snapshot.serving(id) else { continue };
        for ((route, counted), terms) in rules.route_names().zip(&serving.own_answers).zip(&serving.terms.routes) {
            for answer in OwnAnswer::ALL.iter().filter(|answer| terms.may_answer(**answer)) {
                family.count(&[&serving.name, route, answer.name()], counted.counted(*answer));
            }
        }
    }
    family
}
