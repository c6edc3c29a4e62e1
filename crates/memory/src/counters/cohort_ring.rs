//! Requests on a ring, by the tenth of a second in which they were sent: how the guard finds the ones that hang.

use judgement::guard::window::{COHORT, COHORTS, Cohorts};

use crate::counters::worker_count::WorkerCount;

/// For each cohort, how many were sent and, from bit 32 up, how many of them have ended.
///
/// Both share one word, so that no reader finds more ended than sent. After four billion requests in one slot the lower
/// half overflows, and one request too many counts as ended, once.
#[derive(Debug)]
pub(super) struct CohortRing([WorkerCount; COHORTS]);

const SENT: u64 = 1;
const ENDED: u64 = 1 << 32;
const COHORT_MICROS: u64 = COHORT.0 * 1000;
/// Whatever the moment within its cohort, after this time its slot may belong to a later lap.
const LAP_MICROS: u64 = (COHORTS as u64 - 1) * COHORT_MICROS;

impl CohortRing {
    pub fn new() -> CohortRing {
        CohortRing([const { WorkerCount::zero() }; COHORTS])
    }

    /// A request is sent. `at`: microseconds on the monotonic clock.
    #[inline]
    pub fn send(&self, at: u64) {
        self.add(at, SENT);
    }

    /// A request that was sent at `sent_at` is answered or given up at `at`. One that took a whole lap is left out: it
    /// was judged as stalled long ago, and its slot belongs to another cohort.
    #[inline]
    pub fn end(&self, sent_at: u64, at: u64) {
        if at.saturating_sub(sent_at) <= LAP_MICROS {
            self.add(sent_at, ENDED);
        }
    }

    #[inline]
    fn add(&self, sent_at: u64, one: u64) {
        if let Some(cohort) = self.0.get((sent_at / COHORT_MICROS % COHORTS as u64) as usize) {
            cohort.add(one);
        }
    }

    pub fn add_to(&self, cohorts: &mut Cohorts) {
        for ((here, sent), ended) in self.0.iter().zip(&mut cohorts.sent).zip(&mut cohorts.ended) {
            let both = here.read();
            *sent = sent.wrapping_add(both as u32);
            *ended = ended.wrapping_add((both >> 32) as u32);
        }
    }

    /// A number that differs after every change.
    pub fn activity(&self) -> u64 {
        self.0.iter().fold(0, |sum, cohort| sum.wrapping_add(cohort.read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ring: &CohortRing) -> Cohorts {
        let mut cohorts = Cohorts::default();
        ring.add_to(&mut cohorts);
        cohorts
    }

    #[test]
    fn a_request_ends_in_the_cohort_that_it_was_sent_in() {
        let ring = CohortRing::new();
        ring.send(250_000);
        ring.send(299_999);
        ring.send(300_000);
        ring.end(250_000, 900_000);
        let cohorts = read(&ring);
        assert_eq!((cohorts.sent[2], cohorts.sent[3], cohorts.ended[2], cohorts.ended[3]), (2, 1, 1, 0));
        assert_eq!(cohorts.sent.iter().chain(&cohorts.ended).sum::<u32>(), 4, "and in no other");
    }

    #[test]
    fn a_request_that_took_a_lap_ends_in_no_cohort() {
        let ring = CohortRing::new();
        // The last moment of a cohort: its slot belongs to the next lap 6.3 s later.
        ring.send(99_999);
        ring.end(99_999, 99_999 + 6_300_001);
        assert_eq!(read(&ring).ended, [0; COHORTS]);
        ring.end(99_999, 99_999 + 6_300_000);
        assert_eq!(read(&ring).ended[0], 1);
        ring.send(6_400_000);
        assert_eq!(read(&ring).sent[0], 2, "the same place, a lap later");
    }

    #[test]
    fn each_number_wraps_by_itself_but_for_one_carry() {
        let ring = CohortRing([const { WorkerCount::starting_at(u32::MAX as u64) }; COHORTS]);
        ring.end(0, 0);
        assert_eq!((read(&ring).sent[0], read(&ring).ended[0]), (u32::MAX, 1));
        ring.send(0);
        assert_eq!((read(&ring).sent[0], read(&ring).ended[0]), (0, 2), "the carry");
        let mut twice = read(&ring);
        ring.add_to(&mut twice);
        assert_eq!(twice.sent[1], u32::MAX - 1, "sums over shards wrap too");
    }
}
