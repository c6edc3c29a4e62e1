//! Bad responses by who got them: one client that asks for what is not there, again and again, must not convict the side
//! that it happens to be on.

use crate::guard::evidence::cells::{Cells, rates};
use crate::guard::window::CLIENTS;
use crate::time::Millis;

/// A side whose clients fall into fewer groups has few clients, or stands behind something that hides them.
const MANY: u32 = 8;
/// In a period of this length …
const PERIOD: Millis = Millis::seconds(10);
/// … a group counts with this many times the mean of the others at the most, and one.
const TIMES: f64 = 2.0;

/// One side's responses, and those that are bad by group of clients. Only grow.
#[derive(Clone, Copy, Debug)]
pub struct ClientCounts<'t> {
    pub all: u64,
    /// Wrap.
    pub bad: &'t [u32; CLIENTS],
    /// The groups that have ever been answered, a bit for each.
    pub clients: u64,
}

/// One side's responses when they were last looked at.
#[derive(Clone, Debug)]
pub struct NotedClients {
    pub all: u64,
    bad: [u32; CLIENTS],
    began: Millis,
    /// When the period began.
    before: [u32; CLIENTS],
    /// Of the period's bad responses, those that have counted.
    counted: [u32; CLIENTS],
}

impl NotedClients {
    pub const fn of(now: Millis, side: &ClientCounts<'_>) -> NotedClients {
        let bad = *side.bad;
        NotedClients { all: side.all, bad, began: now, before: bad, counted: [0; CLIENTS] }
    }

    /// Responses since the last look, and those of them that count as bad. What is too much of one group is left out of both.
    pub fn take(&mut self, now: Millis, side: &ClientCounts<'_>) -> Cells {
        if now.since(self.began) >= PERIOD {
            (self.began, self.before, self.counted) = (now, self.bad, [0; CLIENTS]);
        }
        let responses = side.all.saturating_sub(self.all);
        let (new, period) = (since(side.bad, &self.bad), since(side.bad, &self.before));
        (self.all, self.bad) = (side.all, *side.bad);
        let (all, groups) = (sum(&new), side.clients.count_ones());
        if groups < MANY {
            return rates(responses, all.min(responses));
        }
        let of_period = sum(&period);
        let mut counts = 0;
        for ((new, own), counted) in new.iter().zip(period).zip(&mut self.counted) {
            let more = (*new).min(most(own, of_period, groups).saturating_sub(*counted));
            *counted += more;
            counts += u64::from(more);
        }
        let responses = responses.saturating_sub(all - counts);
        rates(responses, counts.min(responses))
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

    const NOTHING: ClientCounts<'_> = ClientCounts { all: 0, bad: &[0; CLIENTS], clients: 0 };

    fn taken(all: u64, bad: impl Fn(usize) -> u32, clients: u64) -> (u32, u32) {
        let mut noted = NotedClients::of(Millis::ZERO, &NOTHING);
        let side = ClientCounts { all, bad: &std::array::from_fn(bad), clients };
        let [good, bad, ..] = noted.take(Millis(500), &side);
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
        let mut noted = NotedClients::of(Millis::ZERO, &NOTHING);
        let mut counts = 0;
        for look in 1..=60_u32 {
            let crawler = std::array::from_fn(|at| if at == 3 { 5 * look } else { 0 });
            let side = ClientCounts { all: 20 * u64::from(look), bad: &crawler, clients: u64::MAX };
            let [_, bad, ..] = noted.take(Millis(500 * u64::from(look)), &side);
            counts += bad;
        }
        assert_eq!(counts, 4, "of 300, in half a minute");
    }
}
