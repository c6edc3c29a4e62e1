//! The notices, by the sinks of the configuration.

use prometheus::proto::{MetricFamily, MetricType};

use super::{counter, family, gauge, label};
use memory::counters::{Counters, read};

pub(super) fn of_notices(counters: &Counters) -> [MetricFamily; 2] {
    let mut total = family(
        "notices_total",
        "Notices that a sink took, that it did not take in all tries, and that were dropped untried.",
        MetricType::COUNTER,
    );
    let mut waiting = family("notices_waiting", "Notices that wait for a sink.", MetricType::GAUGE);
    for (sink, notices) in counters.sinks() {
        for (result, value) in [("sent", &notices.sent), ("failed", &notices.failed), ("dropped", &notices.dropped)] {
            total.mut_metric().push(counter(vec![label("sink", &sink), label("result", result)], read(value)));
        }
        waiting.mut_metric().push(gauge(vec![label("sink", &sink)], read(&notices.waiting) as f64));
    }
    [total, waiting]
}
