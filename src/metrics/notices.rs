//! The notices, by receiver.

use memory::counters::{Counters, read};

use crate::metrics::Family;

pub(super) fn of_notices(counters: &Counters) -> [Family; 2] {
    let mut total = Family::counter(
        "notices_total",
        "Notices by result: sent, failed after every attempt, or dropped without an attempt.",
        &["sink", "result"],
    );
    let mut waiting = Family::gauge("notices_waiting", "Notices waiting to be sent.", &["sink"]);
    for (sink, notices) in counters.sinks() {
        for (result, value) in [("sent", &notices.sent), ("failed", &notices.failed), ("dropped", &notices.dropped)] {
            total.count(&[&sink, result], read(value));
        }
        waiting.set(&[&sink], read(&notices.waiting) as f64);
    }
    [total, waiting]
}
