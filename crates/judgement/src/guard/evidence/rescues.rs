//! What becomes of the candidate's failures when active serves them again: while the candidate has all of the traffic, this
//! is all that is heard of active. Where active fails them as well, both share the same trouble.

use crate::guard::window::JudgedTotals;
use crate::time::Millis;

/// How far back is remembered: for how it usually is, and for what it is now. Both memories are exponential.
const LONG: f64 = 60_000.0;
const SHORT: f64 = 5_000.0;
/// What it usually is counts as so many rescues now.
const USUAL: f64 = 4.0;

/// The candidate's failures, those of them that were served again, and those that active failed as well; fading.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    failed: f64,
    rescued: f64,
    shared: f64,
}

impl Outcomes {
    fn add(&mut self, kept: f64, new: Outcomes) {
        self.failed = self.failed * kept + new.failed;
        self.rescued = self.rescued * kept + new.rescued;
        // A rescue that is still under way counts as failed until it is not.
        self.shared = (self.shared * kept + new.shared).max(0.0);
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct RescueOutcomes {
    long: Outcomes,
    short: Outcomes,
}

impl RescueOutcomes {
    /// Takes in what has come since the last look.
    pub fn look(&mut self, passed: Millis, now: &JudgedTotals, before: &JudgedTotals) {
        let since = |now: u64, before: u64| now.saturating_sub(before) as f64;
        let rescued = since(now.tally.rescued, before.tally.rescued);
        let new = Outcomes {
            failed: since(now.counts.failed, before.counts.failed),
            rescued,
            shared: rescued - since(now.tally.saved, before.tally.saved),
        };
        self.long.add((-(passed.0 as f64) / LONG).exp(), new);
        self.short.add((-(passed.0 as f64) / SHORT).exp(), new);
    }

    /// The rate at which active fails now, as its rescues show it; `None` if most failures could not be served again.
    pub fn rate(&self) -> Option<f64> {
        let Outcomes { failed, rescued, .. } = self.short;
        if failed <= 0.0 || 2.0 * rescued < failed {
            return None;
        }
        let usual = (self.long.shared + 0.5) / (self.long.rescued + 1.0);
        Some(usual.max((self.short.shared + USUAL * usual) / (rescued + USUAL)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::window::{AnswerCounts, ClientImpact};

    fn totals(failed: u64, rescued: u64, saved: u64) -> JudgedTotals {
        let counts = AnswerCounts { failed, ..AnswerCounts::default() };
        JudgedTotals { counts, tally: ClientImpact { rescued, saved, ..ClientImpact::default() }, ..Default::default() }
    }

    fn after(ticks: &[(u64, u64, u64)]) -> Option<f64> {
        let (mut outcomes, mut before) = (RescueOutcomes::default(), totals(0, 0, 0));
        for (failed, rescued, saved) in ticks {
            let now = totals(*failed, *rescued, *saved);
            outcomes.look(Millis(20), &now, &before);
            before = now;
        }
        outcomes.rate()
    }

    #[test]
    fn active_is_known_by_what_it_serves_again() {
        assert!(after(&[(40, 30, 0), (40, 30, 30)]).is_some_and(|rate| rate < 0.03), "all of them");
        assert!(after(&[(40, 30, 0), (40, 30, 15)]).is_some_and(|rate| (0.45..0.55).contains(&rate)), "half");
        assert!(after(&[(40, 30, 0)]).is_some_and(|rate| rate > 0.9), "none yet");
    }

    #[test]
    fn what_cannot_be_served_again_says_nothing_of_active() {
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[(40, 3, 3)]), None);
    }
}
