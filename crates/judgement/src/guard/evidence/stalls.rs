//! Requests that hang: they complete too late for a latency, so they are counted by when they were sent.
//!
//! A cohort is the requests sent within a tenth of a second. Those still open after the patience are bad, and the meter
//! of rates judges them. The patience is four times active's p99, within bounds.

use crate::guard::evidence::cells::{CELLS, Cells, rates};
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

    /// The cohorts that are due at `now`, all together, as rates: the candidate's and active's.
    pub fn look(&mut self, now: Millis, sides: [&Cohorts; 2], patience: Millis) -> (Cells, Cells) {
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
        while self.due < self.newest && now.0 >= (self.due + 1) * COHORT.0 + patience.0 {
            let slot = (self.due % COHORTS as u64) as usize;
            let opened = self.opened.get(slot).copied().unwrap_or_default();
            for ((sum, side), (sent, ended)) in sums.iter_mut().zip(sides).zip(opened) {
                let since = |ring: &[u32; COHORTS], before: u32| {
                    ring.get(slot).map_or(0, |now| u64::from(now.wrapping_sub(before)))
                };
                let (sent, ended) = (since(&side.sent, sent), since(&side.ended, ended));
                sum.0 += sent;
                sum.1 += sent.saturating_sub(ended);
            }
            self.due += 1;
        }
        let [candidate, active] = sums.map(|(all, bad)| rates(all, bad));
        (candidate, active)
    }
}
