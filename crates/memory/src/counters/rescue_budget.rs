//! How many failed requests of a service may be served again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use judgement::time::Millis;

/// How many more rescues a service may make: a fifth of what active answers, at least ten per second, over ten seconds.
///
/// Used only when a request has failed, so it may sum over shards and share one cache line.
#[derive(Debug, Default)]
pub struct RescueBudget {
    opened: AtomicU64,
    answers_at_opening: AtomicU64,
    last_window: AtomicU64,
    spent: AtomicU64,
}

impl RescueBudget {
    const WINDOW: Millis = Millis::seconds(10);
    const AT_LEAST: u64 = 100;

    /// Takes one rescue from the budget, if any is left. `answers`: active's responses so far.
    pub fn take(&self, now: Millis, answers: impl Fn() -> u64) -> bool {
        let opened = self.opened.load(Relaxed);
        if now.since(Millis(opened)) >= RescueBudget::WINDOW
            && self.opened.compare_exchange(opened, now.0, Relaxed, Relaxed).is_ok()
        {
            let answers = answers();
            let before = self.answers_at_opening.swap(answers, Relaxed);
            // A longer period is scaled down to one window.
            let elapsed = now.since(Millis(opened)).0.max(1);
            let rate =
                u128::from(answers.saturating_sub(before)) * u128::from(RescueBudget::WINDOW.0) / u128::from(elapsed);
            self.last_window.store(rate as u64, Relaxed);
            self.spent.store(0, Relaxed);
        }
        let spent = self.spent.fetch_add(1, Relaxed);
        if spent < RescueBudget::AT_LEAST {
            return true;
        }
        let in_this = answers().saturating_sub(self.answers_at_opening.load(Relaxed));
        spent < in_this.max(self.last_window.load(Relaxed)) / 5
    }
}
