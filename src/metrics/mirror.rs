//! Copies of clients' requests to candidates without clients.

use memory::counters::Counters;

use crate::metrics::Family;

pub(super) fn of_mirror(counters: &Counters) -> [Family; 2] {
    let mut copies = Family::counter(
        "mirror_copies_total",
        "Copies of requests before the candidate's first client: alike, differing, unanswered by active, or dropped because there were enough at the time.",
        &["service", "result"],
    );
    let mut differences = Family::gauge(
        "mirror_differences",
        "Kinds of differences that count, in the comparison that is under way or was the last.",
        &["service"],
    );
    for (service, seen) in counters.all_mirrored() {
        let dropped = seen.dropped();
        // A service that never copied anything has no series.
        if seen.copied() + dropped == 0 {
            continue;
        }
        let differing = seen.differing();
        let results = [
            ("alike", seen.compared().saturating_sub(differing)),
            ("differing", differing),
            ("unanswered", seen.unanswered()),
            ("dropped", dropped),
        ];
        for (result, value) in results {
            copies.count(&[&service, result], value);
        }
        differences.set(&[&service], seen.differences() as f64);
    }
    [copies, differences]
}
