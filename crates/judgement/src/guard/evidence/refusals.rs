//! Refusals by who was refused: one client that asks for what is not there, again and again, must not convict the side
//! that it happens to be on.

use crate::guard::evidence::cells::{Cells, rates};
use crate::guard::window::{CLIENTS, JudgedTotals};

/// A side whose clients fall into fewer groups has few clients, or stands behind something that hides them.
const MANY: u32 = 8;
/// A group counts with this many times the mean of the others at the most, and one.
const TIMES: f64 = 2.0;

/// One side's responses and refusals when they were last looked at.
#[derive(Clone, Debug)]
pub struct NotedRefusals {
    pub answers: u64,
    refusals: [u32; CLIENTS],
}

impl NotedRefusals {
    pub fn of(totals: &JudgedTotals) -> NotedRefusals {
        NotedRefusals { answers: totals.counts.answers, refusals: totals.refusals }
    }

    /// Responses since then, and those of them that count as refusals. What is too much of one group is left out of both.
    pub fn until(&self, totals: &JudgedTotals) -> Cells {
        let answers = totals.counts.answers.saturating_sub(self.answers);
        let mut new = totals.refusals;
        new.iter_mut().zip(self.refusals).for_each(|(now, before)| *now = now.wrapping_sub(before));
        let all: u64 = new.iter().map(|n| u64::from(*n)).sum();
        if totals.clients.count_ones() < MANY {
            return rates(answers, all.min(answers));
        }
        let counted: u64 = new.iter().map(|n| (*n).min(most(*n, all))).map(u64::from).sum();
        let left_out = all - counted;
        let answers = answers.saturating_sub(left_out);
        rates(answers, counted.min(answers))
    }
}

/// How much one group counts at the most beside the others.
fn most(own: u32, all: u64) -> u32 {
    let others = all.saturating_sub(u64::from(own)) as f64 / (CLIENTS - 1) as f64;
    (1.0 + TIMES * others) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::window::AnswerCounts;

    fn totals(answers: u64, refusals: impl Fn(usize) -> u32, clients: u64) -> JudgedTotals {
        let counts = AnswerCounts { answers, ..AnswerCounts::default() };
        JudgedTotals { counts, refusals: std::array::from_fn(refusals), clients, ..JudgedTotals::default() }
    }

    #[test]
    fn a_single_client_counts_little_among_many_and_in_full_where_nobody_can_tell() {
        let before = NotedRefusals::of(&JudgedTotals::default());
        let crawler = |at: usize| if at == 3 { 100 } else { 0 };
        let [good, bad, ..] = before.until(&totals(1000, crawler, u64::MAX));
        assert_eq!((good, bad), (900, 1));
        let [good, bad, ..] = before.until(&totals(1000, crawler, 0b1000));
        assert_eq!((good, bad), (900, 100));
        let [good, bad, ..] = before.until(&totals(640, |at| 8 + (at % 3) as u32, u64::MAX));
        assert_eq!(good + bad, 640, "everybody is refused as much");
    }
}
