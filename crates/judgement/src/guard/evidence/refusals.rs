//! Refusals by who was refused: one client that asks for what is not there, again and again, must not convict the side
//! that it happens to be on.

use crate::guard::evidence::cells::{Cells, rates};
use crate::guard::window::{CLIENTS, JudgedTotals};
use crate::time::Millis;

/// A side whose clients fall into fewer groups has few clients, or stands behind something that hides them.
const MANY: u32 = 8;
/// In a period of this length …
const PERIOD: Millis = Millis::seconds(10);
/// … a group counts with this many times the mean of the others at the most, and one.
const TIMES: f64 = 2.0;

/// One side's responses and refusals when they were last looked at.
#[derive(Clone, Debug)]
pub struct NotedRefusals {
    pub answers: u64,
    refusals: [u32; CLIENTS],
    began: Millis,
    /// When the period began.
    before: [u32; CLIENTS],
    /// Of the period's refusals, those that have counted.
    counted: [u32; CLIENTS],
}

impl NotedRefusals {
    pub fn of(now: Millis, totals: &JudgedTotals) -> NotedRefusals {
        let (answers, refusals) = (totals.counts.answers, totals.refusals);
        NotedRefusals { answers, refusals, began: now, before: refusals, counted: [0; CLIENTS] }
    }

    /// Responses since the last look, and those of them that count as refusals. What is too much of one group is left out of
    /// both.
    pub fn take(&mut self, now: Millis, totals: &JudgedTotals) -> Cells {
        if now.since(self.began) >= PERIOD {
            (self.began, self.before, self.counted) = (now, self.refusals, [0; CLIENTS]);
        }
        let answers = totals.counts.answers.saturating_sub(self.answers);
        let (new, period) = (since(&totals.refusals, &self.refusals), since(&totals.refusals, &self.before));
        (self.answers, self.refusals) = (totals.counts.answers, totals.refusals);
        let (all, groups) = (sum(&new), totals.clients.count_ones());
        if groups < MANY {
            return rates(answers, all.min(answers));
        }
        let of_period = sum(&period);
        let mut counts = 0;
        for ((new, own), counted) in new.iter().zip(period).zip(&mut self.counted) {
            let more = (*new).min(most(own, of_period, groups).saturating_sub(*counted));
            *counted += more;
            counts += u64::from(more);
        }
        let answers = answers.saturating_sub(all - counts);
        rates(answers, counts.min(answers))
    }
}

/// How much one of so many groups counts at the most beside the others.
fn most(own: u32, all: u64, groups: u32) -> u32 {
    let others = all.saturating_sub(u64::from(own)) as f64 / f64::from(groups.saturating_sub(1).max(1));
    (1.0 + TIMES * others) as u32
}

/// Wraps.
fn since(now: &[u32; CLIENTS], before: &[u32; CLIENTS]) -> [u32; CLIENTS] {
    let mut new = *now;
    new.iter_mut().zip(before).for_each(|(now, before)| *now = now.wrapping_sub(*before));
    new
}

fn sum(groups: &[u32; CLIENTS]) -> u64 {
    groups.iter().map(|n| u64::from(*n)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::window::AnswerCounts;

    fn totals(answers: u64, refusals: impl Fn(usize) -> u32, clients: u64) -> JudgedTotals {
        let counts = AnswerCounts { answers, ..AnswerCounts::default() };
        JudgedTotals { counts, refusals: std::array::from_fn(refusals), clients, ..JudgedTotals::default() }
    }

    fn taken(answers: u64, refusals: impl Fn(usize) -> u32, clients: u64) -> (u32, u32) {
        let mut noted = NotedRefusals::of(Millis::ZERO, &JudgedTotals::default());
        let [good, bad, ..] = noted.take(Millis(500), &totals(answers, refusals, clients));
        (good, bad)
    }

    #[test]
    fn a_single_client_counts_little_among_many_and_in_full_where_nobody_can_tell() {
        let crawler = |at: usize| if at == 3 { 100 } else { 0 };
        assert_eq!(taken(1000, crawler, u64::MAX), (900, 1));
        assert_eq!(taken(1000, crawler, 0b1000), (900, 100));
        let (good, bad) = taken(640, |at| 8 + (at % 3) as u32, u64::MAX);
        assert_eq!(good + bad, 640, "everybody is refused as much");
        assert_eq!(taken(200, |at| if at < 10 { 20 } else { 0 }, 0b11_1111_1111), (0, 200), "ten clients, all refused");
    }

    #[test]
    fn a_client_counts_once_in_a_period_however_often_one_looks() {
        let mut noted = NotedRefusals::of(Millis::ZERO, &JudgedTotals::default());
        let mut counts = 0;
        for look in 1..=60_u32 {
            let crawler = |at: usize| if at == 3 { 5 * look } else { 0 };
            let [_, bad, ..] =
                noted.take(Millis(500 * u64::from(look)), &totals(20 * u64::from(look), crawler, u64::MAX));
            counts += bad;
        }
        assert_eq!(counts, 4, "of 300, in half a minute");
    }
}
