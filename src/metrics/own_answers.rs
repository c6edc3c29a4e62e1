//! What routes have answered themselves.

use memory::counters::OwnAnswer;
use memory::snapshot::{RouteTerms, RoutingSnapshot};

use crate::metrics::Family;

/// Only of routes that may answer so, or have: of others it would say nothing.
pub(super) fn of_own_answers(snapshot: &RoutingSnapshot) -> Family {
    let mut family = Family::counter(
        "own_answers_total",
        "Requests that a route answered itself, before an environment was chosen: they count for neither.",
        &["service", "route", "answer"],
    );
    for (id, rules, _) in snapshot.table.services() {
        let Some(serving) = snapshot.serving(id) else { continue };
        for (place, (route, counted)) in rules.route_names().zip(&serving.own_answers).enumerate() {
            let terms = serving.terms.routes.get(place);
            let of_route = |answer: OwnAnswer| terms.is_some_and(|terms: &RouteTerms| terms.may_answer(answer));
            let of_service = |answer| answer == OwnAnswer::Maintenance && serving.terms.maintenance.is_some();
            for answer in OwnAnswer::ALL.iter().copied() {
                let number = counted.counted(answer);
                if number > 0 || of_route(answer) || of_service(answer) {
                    family.count(&[&serving.name, route, answer.name()], number);
                }
            }
        }
    }
    family
}
