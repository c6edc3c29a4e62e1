//! Whether a check flaps: it goes down and up again so often that telling every turn would only hide the news.
//!
//! The result stays what routing follows: only what people and programs are told is damped. A check begins to flap with
//! its fifth turn within ten minutes and stops once it has been steady for five. The two differ, as in Nagios, so that
//! flapping itself does not flap.

use std::collections::VecDeque;

use judgement::time::Millis;

/// Falls and rises, together. An odd number, so that flapping begins with a fall.
const TURNS: usize = 5;
const WINDOW: Millis = Millis::seconds(600);
const STEADY: Millis = Millis::seconds(300);
/// A check that runs rarely has longer times: so many of its rounds.
const WINDOW_ROUNDS: u64 = 60;
const STEADY_ROUNDS: u64 = 30;

/// The latest turns of a check.
#[derive(Clone, Debug, Default)]
pub struct TurnHistory {
    turns: VecDeque<Millis>,
    pub is_flapping: bool,
}

impl TurnHistory {
    /// After each round. `turned`: the check has just gone down or up.
    pub fn note(&mut self, turned: bool, interval: Millis, now: Millis) {
        let window = WINDOW.max(Millis(interval.0.saturating_mul(WINDOW_ROUNDS)));
        let steady = STEADY.max(Millis(interval.0.saturating_mul(STEADY_ROUNDS)));
        if turned {
            self.turns.push_back(now);
        }
        while self.turns.len() > TURNS || self.turns.front().is_some_and(|turn| now.since(*turn) > window) {
            self.turns.pop_front();
        }
        let last = self.turns.back().map(|turn| now.since(*turn));
        self.is_flapping = match self.is_flapping {
            true => last.is_some_and(|ago| ago < steady),
            false => self.turns.len() >= TURNS && last.is_some_and(|ago| ago < steady),
        };
    }

    /// The number of the turns that are remembered, and how long ago the first of them was.
    pub fn seen(&self, now: Millis) -> (usize, Millis) {
        (self.turns.len(), self.turns.front().map_or(Millis::ZERO, |turn| now.since(*turn)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Millis = Millis::seconds(1);

    #[test]
    fn it_begins_with_the_fifth_turn_and_ends_when_it_is_steady() {
        let mut history = TurnHistory::default();
        let mut seen = Vec::new();
        for at in 1..=20 {
            history.note(at % 4 == 0, SECOND, Millis::seconds(at));
            seen.push(history.is_flapping);
        }
        assert_eq!(seen.iter().filter(|flaps| **flaps).count(), 1, "{seen:?}");
        assert_eq!(history.seen(Millis::seconds(20)), (5, Millis::seconds(16)));
        history.note(false, SECOND, Millis::seconds(319));
        assert!(history.is_flapping, "not steady for long enough");
        history.note(true, SECOND, Millis::seconds(319));
        history.note(false, SECOND, Millis::seconds(618));
        assert!(history.is_flapping, "the turn began the time anew");
        history.note(false, SECOND, Millis::seconds(619));
        assert!(!history.is_flapping);
    }

    #[test]
    fn a_check_that_falls_now_and_then_does_not_flap() {
        let mut history = TurnHistory::default();
        for at in 0..50 {
            history.note(true, SECOND, Millis::seconds(at * 200));
            assert!(!history.is_flapping, "turn {at}");
        }
    }

    #[test]
    fn a_check_that_runs_rarely_flaps_too() {
        let (minute, mut history) = (Millis::seconds(60), TurnHistory::default());
        for at in 0..5 {
            history.note(true, minute, Millis::seconds(at * 180));
        }
        assert!(history.is_flapping);
        history.note(false, minute, Millis::seconds(4 * 180 + 1799));
        assert!(history.is_flapping);
        history.note(false, minute, Millis::seconds(4 * 180 + 1800));
        assert!(!history.is_flapping);
    }
}
