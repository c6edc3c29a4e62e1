//! The results of validation suites.

use memory::counters::Counters;

use crate::metrics::Family;

pub(super) fn of_suites(counters: &Counters) -> [Family; 2] {
    let mut runs = Family::counter(
        "validation_runs_total",
        "Runs of validation suites that have ended, by result: passed, failed, or unfinished.",
        &["suite", "service", "result"],
    );
    let mut failing = Family::gauge(
        "validation_failing",
        "1 while a suite that runs on a schedule or after rollbacks fails.",
        &["suite", "service"],
    );
    for ((suite, service), gauges) in counters.suites() {
        let results = [("passed", gauges.passed), ("failed", gauges.failed), ("unfinished", gauges.unfinished)];
        for (result, value) in results.into_iter().filter(|(_, value)| *value > 0) {
            runs.count(&[&suite, &service, result], value);
        }
        if let Some(is_failing) = gauges.failing {
            failing.set(&[&suite, &service], f64::from(u8::from(is_failing)));
        }
    }
    [runs, failing]
}
