//! Requests that hang: they complete too late for a latency, so they are counted by when they were sent.
//!
//! A cohort is the requests sent within a tenth of a second. Those still open after the patience are bad, and the meter
//! of rates judges them. The patience is four times active's p99, within bounds.

use crate::guard::evidence::cells::{CELLS, Cells, rates};
use crate::guard::evidence::standstill::LONGEST;
use crate::guard::window::{COHORT, COHORTS, Cohorts};
use crate::time::Millis;

const TIMES_P99: u64 = 4;
const SOONEST: Millis = Millis(500);
const LATEST: Millis = Millis::seconds(5);

/// How long a request may stay open before it counts as hung.
pub fn patience(p99: Option<Millis>) -> Millis {
    p99.map_or(LATEST, |p99| Millis(p99.0.saturating_mul(TIMES_P99)).clamp(SOONEST, LATEST))
}

/// The cohorts of both sides that are not judged yet.
#[derive(Clone, Debug)]
pub struct StallDetector {
    /// The ring at the last look. A slot is not written to between two of its laps, so this is the value with which it
    /// began its lap.
    last: [Cohorts; 2],
    /// The value with which each slot began its lap: the candidate's and active's sent and ended requests.
    opened: Box<[[(u32, u32); 2]; COHORTS]>,
    /// The newest cohort that has opened, and the next one to be judged, counted from the clock's beginning.
    newest: u64,
    due: u64,
}

fn cohort_of(now: Millis) -> u64 {
    now.0 / COHORT.0
}

impl StallDetector {
    /// Requests sent from now on are watched. The candidate's side comes first.
    pub fn new(now: Millis, sides: [&Cohorts; 2]) -> StallDetector {
        let newest = cohort_of(now);
        let mut stalls = StallDetector {
            last: sides.map(|side| *side),
            opened: Box::new([[(0, 0); 2]; COHORTS]),
            newest,
            due: newest,
        };
        stalls.open(newest);
        stalls
    }

    fn open(&mut self, cohort: u64) {
        let slot = (cohort % COHORTS as u64) as usize;
        let begins = [&self.last[0], &self.last[1]].map(|side| {
            let at = |ring: &[u32; COHORTS]| ring.get(slot).copied().unwrap_or(0);
            (at(&side.sent), at(&side.ended))
        });
        if let Some(opened) = self.opened.get_mut(slot) {
            *opened = begins;
        }
    }

    /// The cohorts that are due at `now`, all together, as rates: the candidate's and active's. What was sent after
    /// `answered`, the candidate's last answer, may stand still with it for a while.
    pub fn look(&mut self, now: Millis, sides: [&Cohorts; 2], patience: Millis, answered: Millis) -> (Cells, Cells) {
        let current = cohort_of(now);
        if current - self.newest.min(current) >= COHORTS as u64 - 1 {
            // Nobody has looked for a whole lap.
            *self = StallDetector::new(now, sides);
            return ([0; CELLS], [0; CELLS]);
        }
        for cohort in self.newest + 1..=current {
            self.open(cohort);
        }
        self.newest = self.newest.max(current);
        self.last = sides.map(|side| *side);
        let mut sums = [(0_u64, 0_u64); 2];
        let is_due = |cohort: u64| {
            let sent = Millis((cohort + 1) * COHORT.0);
            now >= sent.plus(if answered < sent { patience.max(LONGEST) } else { patience })
        };
        while self.due < self.newest && is_due(self.due) {
            for (place, (sum, side)) in sums.iter_mut().zip(sides).enumerate() {
                let (sent, open) = self.counts(self.due, place, side);
                // If the candidate has answered nobody since, whoever is gone from it has given up.
                let open = if place == 0 && answered.0 < self.due * COHORT.0 { sent } else { open };
                sum.0 += u64::from(sent);
                sum.1 += u64::from(open);
            }
            self.due += 1;
        }
        let [candidate, active] = sums.map(|(all, bad)| rates(all, bad));
        (candidate, active)
    }

    /// What a side was sent in a cohort, and what of it is still open.
    fn counts(&self, cohort: u64, place: usize, side: &Cohorts) -> (u32, u32) {
        let slot = (cohort % COHORTS as u64) as usize;
        let opened = self.opened.get(slot).and_then(|sides| sides.get(place)).copied();
        let (sent, ended) = opened.unwrap_or_default();
        let since = |ring: &[u32; COHORTS], before: u32| ring.get(slot).map_or(0, |now| now.wrapping_sub(before));
        let (sent, ended) = (since(&side.sent, sent), since(&side.ended, ended));
        (sent, sent.saturating_sub(ended))
    }

    /// The candidate's requests that are open, but for those of over a lap ago.
    pub fn waiting(&self, candidate: &Cohorts) -> u32 {
        let oldest = (self.newest + 1).saturating_sub(COHORTS as u64);
        (oldest..=self.newest).map(|cohort| self.counts(cohort, 0, candidate).1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Millis = Millis(500);

    /// Ten requests of each side are sent in the cohort of 1.0 s; so many of the candidate's are over when it is looked at.
    fn at(look: u64, answered: u64, over: u32) -> (u32, u32) {
        let nothing = Cohorts::default();
        let mut stalls = StallDetector::new(Millis(900), [&nothing; 2]);
        let looked = |stalls: &mut StallDetector, now: u64, sides: [&Cohorts; 2]| {
            stalls.look(Millis(now), sides, PATIENCE, Millis(answered))
        };
        looked(&mut stalls, 1000, [&nothing; 2]);
        let mut sides = [nothing, nothing];
        sides.iter_mut().for_each(|side| side.sent[10] = 10);
        (sides[0].ended[10], sides[1].ended[10]) = (over, 10);
        looked(&mut stalls, 1100, [&sides[0], &sides[1]]);
        let ([good, bad, ..], _) = looked(&mut stalls, look, [&sides[0], &sides[1]]);
        (good, bad)
    }

    #[test]
    fn what_others_were_answered_after_hangs_soon_and_what_nobody_was_later() {
        assert_eq!(at(1600, 1550, 3), (3, 7), "others are answered");
        assert_eq!(at(1600, 1050, 3), (0, 0), "nobody is: not yet");
        assert_eq!(at(3600, 1050, 3), (3, 7));
    }

    #[test]
    fn clients_that_gave_up_on_a_side_that_answers_nobody_have_hung() {
        assert_eq!(at(3600, 950, 10), (0, 10));
        assert_eq!(at(3600, 1050, 10), (10, 0), "some of them may have been answered");
    }
}
