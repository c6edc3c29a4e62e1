//! A side that answers nobody for a moment, and then everybody at once.
//!
//! A garbage collection, a throttled CPU or a flush of the disk holds up all who ask meanwhile. That is one event, however
//! many wait for it, and not slowness, which comes back. So while the candidate stands still, and until it has caught up,
//! its latencies are not weighed, and what is open may stay open for longer before it counts as hung. What is made of a
//! tick rests on the ticks before it, so the odds stay fair.

use crate::time::Millis;

/// What stands still for longer than this hangs.
pub const LONGEST: Millis = Millis(2500);
/// An answer this long ago is not a moment ago …
const QUIET: Millis = Millis(60);
/// … and so many should have come since.
const MISSING: f64 = 8.0;
/// So many requests wait: fewer may be slow on their own.
const WAITING: u32 = 5;
/// A side that stands still is spared for so long …
const SPARED: Millis = Millis(350);
/// … and then tried for so long, and until it has got a request: or else whoever asks seldom would never try it.
const TRIED: Millis = Millis(50);

/// Of every so many seconds …
const PERIOD: f64 = 30.0;
/// … the candidate may stand still for these …
const STANDING: f64 = 2.0;
/// … but for the standstill not to be recognised, no more requests than these can have met it.
const UNRECOGNISED: f64 = 5.0;

/// The share of the candidate's responses that may be late because they met a standstill which was not recognised.
/// `pace`: its responses a second.
pub fn forgiven(pace: f64) -> f64 {
    (pace * STANDING).min(UNRECOGNISED) / (pace * PERIOD).max(1e-9)
}

/// How the candidate has been answering.
#[derive(Clone, Debug)]
pub struct Standstill {
    /// The candidate's answers so far, and when they last became more.
    answers: u64,
    answered: Millis,
    /// When it last had nothing to answer.
    idle: Millis,
    stands: Option<Standing>,
    /// When it will have caught up.
    caught_up: Millis,
    is_on: bool,
}

/// It answers nobody.
#[derive(Clone, Copy, Debug)]
struct Standing {
    since: Millis,
    /// New requests are kept from it, or else it is tried since then; and what it had been sent by then.
    spared: bool,
    turned: Millis,
    sent: u32,
}

/// What a side has done so far.
#[derive(Clone, Copy, Debug)]
pub struct SideProgress {
    pub answers: u64,
    /// Wraps.
    pub sent: u32,
    /// Requests that are being answered.
    pub open: u32,
    /// Responses a second, until a moment ago.
    pub pace: f64,
}

impl Standstill {
    pub const fn new(now: Millis, answers: u64) -> Standstill {
        Standstill { answers, answered: now, idle: now, stands: None, caught_up: now, is_on: false }
    }

    /// Takes in one tick of the grid.
    pub fn look(&mut self, now: Millis, side: SideProgress) {
        let since = self.answered.max(self.idle);
        if side.answers != self.answers {
            (self.answers, self.answered) = (side.answers, now);
            let stood = self.stands.take().map_or(Millis::ZERO, |standing| now.since(standing.since));
            // Who has stood for longer has been judged for it, and is not forgiven.
            if stood <= LONGEST {
                self.caught_up = self.caught_up.max(now.plus(Millis(stood.0 / 2)));
            }
        } else if let Some(standing) = &mut self.stands {
            standing.look(now, side.sent);
        } else {
            let quiet = now.since(since);
            let missing = side.pace * quiet.0 as f64 / 1000.0;
            if quiet >= QUIET && missing >= MISSING && side.open >= WAITING {
                self.stands = Some(Standing { since, spared: true, turned: now, sent: side.sent });
            }
        }
        if side.open == 0 {
            self.idle = now;
        }
        self.is_on = self.stands.is_some() || now < self.caught_up;
    }

    /// Whether new requests are kept from it: while it answers nobody, but now and then, to learn whether it hangs.
    pub fn spares(&self) -> bool {
        self.stands.is_some_and(|standing| standing.spared)
    }

    /// It stands still, or has not caught up yet.
    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    /// When it last answered.
    pub const fn answered(&self) -> Millis {
        self.answered
    }
}

impl Standing {
    fn look(&mut self, now: Millis, sent: u32) {
        let passed = now.since(self.turned);
        let is_over = if self.spared { passed >= SPARED } else { passed >= TRIED && sent != self.sent };
        if is_over {
            (self.spared, self.turned, self.sent) = (!self.spared, now, sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A candidate of 100 responses a second that is looked at every 20 ms.
    struct Candidate {
        standstill: Standstill,
        now: u64,
        answers: u64,
        sent: u32,
    }

    impl Candidate {
        fn new() -> Candidate {
            Candidate { standstill: Standstill::new(Millis::ZERO, 0), now: 0, answers: 0, sent: 0 }
        }

        /// For so many milliseconds, with so many answers in each tick, and so many requests open at its end.
        fn goes(&mut self, long: u64, answers: u64, open: u32) {
            for _ in 0..long / 20 {
                self.now += 20;
                self.answers += answers;
                let side = SideProgress { answers: self.answers, sent: self.sent, open, pace: 100.0 };
                self.standstill.look(Millis(self.now), side);
            }
        }

        fn spares(&self) -> bool {
            self.standstill.spares()
        }
    }

    #[test]
    fn silence_is_a_standstill_until_it_has_been_caught_up_with() {
        let mut candidate = Candidate::new();
        candidate.goes(1000, 2, 0);
        candidate.goes(60, 0, 6);
        assert!(!candidate.standstill.is_on(), "six are missing");
        candidate.goes(40, 0, 10);
        assert!(candidate.standstill.is_on() && candidate.spares());
        candidate.goes(900, 0, 20);
        candidate.goes(20, 20, 0);
        assert!(candidate.standstill.is_on() && !candidate.spares(), "it catches up");
        candidate.goes(480, 2, 0);
        assert!(candidate.standstill.is_on(), "for half as long as it stood");
        candidate.goes(60, 2, 0);
        assert!(!candidate.standstill.is_on());
    }

    #[test]
    fn who_stands_still_is_tried_now_and_then() {
        let mut candidate = Candidate::new();
        candidate.goes(1000, 2, 0);
        candidate.goes(100, 0, 10);
        let mut spared = 0;
        for _ in 0..100 {
            candidate.sent += 1;
            candidate.goes(20, 0, 10);
            spared += u32::from(candidate.spares());
        }
        assert!((80..=90).contains(&spared), "{spared} of 100 ticks");
        // Nobody comes: it is tried until somebody does.
        candidate.goes(400, 0, 10);
        candidate.goes(10_000, 0, 10);
        assert!(!candidate.spares());
        candidate.sent += 1;
        candidate.goes(20, 0, 10);
        assert!(candidate.spares());
    }

    #[test]
    fn what_hangs_for_longer_than_anything_passes_is_not_forgiven() {
        let mut candidate = Candidate::new();
        candidate.goes(1000, 2, 0);
        candidate.goes(3000, 0, 50);
        assert!(candidate.standstill.is_on());
        candidate.goes(20, 1, 50);
        assert!(!candidate.standstill.is_on(), "its answers count at once");
    }

    #[test]
    fn neither_a_pause_of_the_traffic_nor_one_slow_request_is_a_standstill() {
        let mut candidate = Candidate::new();
        candidate.goes(1000, 2, 0);
        candidate.goes(2000, 0, 0);
        candidate.goes(40, 0, 50);
        assert!(!candidate.standstill.is_on(), "nobody asked");
        let mut candidate = Candidate::new();
        candidate.goes(1000, 2, 0);
        candidate.goes(2000, 0, 4);
        assert!(!candidate.standstill.is_on(), "four that wait may be slow on their own");
        let mut candidate = Candidate::new();
        candidate.goes(3000, 2, 200);
        assert!(!candidate.standstill.is_on(), "slow, and answering");
    }

    #[test]
    fn the_fewer_answers_the_larger_a_share_may_have_met_a_standstill() {
        assert!((forgiven(1.0) - 2.0 / 30.0).abs() < 1e-12, "two seconds of thirty");
        assert!((forgiven(10.0) - 5.0 / 300.0).abs() < 1e-12, "more than five are recognised");
        assert!(forgiven(0.0).is_finite() && forgiven(1e6) < 1e-6);
    }
}
