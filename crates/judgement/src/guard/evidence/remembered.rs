//! What active did while it still had traffic: what the candidate is judged against once it has all of it.
//!
//! Nothing is compared at the same moment then, so more is tolerated: active's worst five minutes stand for it, a margin
//! for the time of day is added, and trouble must last. See "After the last step" in the book.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::guard::evidence::cells::Cells;
use crate::guard::evidence::latency_cuts::RecentLatencies;
use crate::guard::evidence::rate_odds;
use crate::guard::evidence::{METERS, MeterKind, SideCounts};
use crate::guard::latency::BUCKETS;
use crate::guard::window::{CLIENTS, JudgedTotals};
use crate::time::Millis;

/// Active's past is divided into slices of this length …
const SLICE: Millis = Millis::seconds(300);
/// … or of so many responses, whichever takes longer. With fewer in all, nothing is remembered.
const LEAST: u64 = 200;
/// The slices that are kept: an hour.
const SLICES: usize = 12;

/// After so long nobody knows how active would do now.
pub const STANDS: Millis = Millis::seconds(3600);

/// The candidate may be slower than active's worst five minutes by this factor, beside what is always tolerated.
pub const SLOWER: f64 = 1.25;

/// How much more of the candidate's responses may be bad, beside what is always tolerated.
pub const fn drift(kind: MeterKind) -> f64 {
    match kind {
        MeterKind::Errors | MeterKind::Latency => 0.005,
        MeterKind::Stalls => 0.02,
        MeterKind::Refusals | MeterKind::Shape => 0.05,
    }
}

/// Responses of active in a part of its past.
#[derive(Clone, Debug)]
struct Slice {
    /// By [`MeterKind`]; that of slowness stays empty.
    rates: [SideCounts; METERS],
    latencies: Box<[u64; BUCKETS]>,
}

impl Slice {
    fn empty() -> Slice {
        Slice { rates: [SideCounts::default(); METERS], latencies: Box::new([0; BUCKETS]) }
    }

    fn rate(&self, kind: MeterKind) -> SideCounts {
        self.rates.get(kind as usize).copied().unwrap_or_default()
    }

    fn answers(&self) -> u64 {
        self.rate(MeterKind::Errors).all
    }

    fn add(&mut self, other: &Slice) {
        for (sum, part) in self.rates.iter_mut().zip(other.rates) {
            (sum.all, sum.bad) = (sum.all + part.all, sum.bad + part.bad);
        }
        self.latencies.iter_mut().zip(other.latencies.iter()).for_each(|(sum, part)| *sum += part);
    }

    /// The share of the latencies beyond each bucket.
    fn beyond(&self) -> [f64; BUCKETS] {
        let mut left: u64 = self.latencies.iter().sum();
        let all = left.max(1) as f64;
        self.latencies.map(|n| {
            left -= n;
            left as f64 / all
        })
    }
}

/// Active's past, gathered while it has traffic.
#[derive(Clone, Debug)]
pub struct ActivePast {
    slices: VecDeque<Slice>,
    /// The slice that is being gathered, and since when.
    open: Slice,
    since: Millis,
    /// What went before the slices: before the rollout, and over an hour ago.
    older: Slice,
}

impl ActivePast {
    /// `before`: active's totals when the rollout began.
    pub fn new(now: Millis, before: &JudgedTotals) -> ActivePast {
        let mut older = Slice::empty();
        let sum = |groups: &[u32; CLIENTS]| groups.iter().map(|n| u64::from(*n)).sum();
        let all = before.counts.answers;
        older.rates = MeterKind::ALL.map(|kind| match kind {
            MeterKind::Errors => SideCounts { all, bad: before.counts.failed },
            MeterKind::Refusals => SideCounts { all, bad: sum(&before.refusals) },
            MeterKind::Shape => SideCounts { all: before.tally.requests, bad: sum(&before.odd) },
            MeterKind::Latency | MeterKind::Stalls => SideCounts::default(),
        });
        *older.latencies = before.latency;
        ActivePast { slices: VecDeque::new(), open: Slice::empty(), since: now, older }
    }

    /// Adds what a meter of rates has just seen of active.
    pub fn add(&mut self, kind: MeterKind, active: &Cells) {
        let [good, bad, ..] = active.map(u64::from);
        if let Some(sum) = self.open.rates.get_mut(kind as usize) {
            (sum.all, sum.bad) = (sum.all + good + bad, sum.bad + bad);
        }
    }

    /// Adds responses of one latency.
    pub fn add_latency(&mut self, bucket: usize, n: u64) {
        if let Some(sum) = self.open.latencies.get_mut(bucket) {
            *sum += n;
        }
    }

    /// Begins another slice when it is time.
    pub fn turn(&mut self, now: Millis) {
        if now.since(self.since) < SLICE || self.open.answers() < LEAST {
            return;
        }
        self.since = now;
        self.slices.push_back(std::mem::replace(&mut self.open, Slice::empty()));
        if self.slices.len() > SLICES
            && let Some(oldest) = self.slices.pop_front()
        {
            self.older.add(&oldest);
        }
    }

    /// What active did at its worst; `None` if too little is known of it.
    pub fn worst(&self) -> Option<RememberedActive> {
        let mut whole = self.older.clone();
        self.slices.iter().chain([&self.open]).for_each(|slice| whole.add(slice));
        if whole.answers() < LEAST {
            return None;
        }
        let telling = || self.slices.iter().chain([&self.open, &whole]).filter(|slice| slice.answers() >= LEAST);
        let rates = MeterKind::ALL.map(|kind| {
            let rate = |slice: &Slice| {
                let SideCounts { all, bad } = slice.rate(kind);
                rate_odds::reference(all as f64, bad as f64)
            };
            telling().map(rate).fold(0.0, f64::max)
        });
        let mut beyond = [0.0_f64; BUCKETS];
        for slice in telling() {
            beyond.iter_mut().zip(slice.beyond()).for_each(|(most, share)| *most = most.max(share));
        }
        Some(RememberedActive { rates, latencies: RecentLatencies::of_shares(&beyond) })
    }
}

/// What active did at its worst, in any five minutes that are remembered.
#[derive(Clone, Debug)]
pub struct RememberedActive {
    /// By [`MeterKind`].
    rates: [f64; METERS],
    /// No response was slower, by any share of them.
    pub latencies: RecentLatencies,
}

impl RememberedActive {
    /// The share of its responses that was bad.
    pub fn rate(&self, kind: MeterKind) -> f64 {
        self.rates.get(kind as usize).copied().unwrap_or_default()
    }
}

/// The same, to be stored: shares in millionths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedRecord {
    /// By [`MeterKind`].
    rates: [u32; METERS],
    /// The first bucket of latency beyond which not all responses were …
    first: u32,
    /// … and the share of them beyond it and each of the next, up to the last that is not zero.
    beyond: Vec<u32>,
}

const MILLION: f64 = 1e6;

fn millionths(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * MILLION).round() as u32
}

impl RememberedActive {
    pub fn record(&self) -> RememberedRecord {
        let beyond = self.latencies.beyond().map(millionths);
        let first = beyond.iter().take_while(|share| **share >= millionths(1.0)).count();
        let beyond = beyond.into_iter().skip(first).take_while(|share| *share > 0).collect();
        RememberedRecord { rates: self.rates.map(millionths), first: first as u32, beyond }
    }

    pub fn of_record(record: &RememberedRecord) -> RememberedActive {
        let share = |millionths: u32| (f64::from(millionths) / MILLION).min(1.0);
        let mut beyond = [0.0; BUCKETS];
        let (all, rest) = beyond.split_at_mut((record.first as usize).min(BUCKETS));
        all.fill(1.0);
        rest.iter_mut().zip(&record.beyond).for_each(|(to, from)| *to = share(*from));
        RememberedActive { rates: record.rates.map(share), latencies: RecentLatencies::of_shares(&beyond) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::evidence::cells::rates;
    use crate::guard::latency::bucket_of;
    use crate::guard::window::AnswerCounts;

    fn past(minutes: impl Iterator<Item = (u64, u64)>) -> ActivePast {
        let mut past = ActivePast::new(Millis::ZERO, &JudgedTotals::default());
        for (minute, (all, bad)) in minutes.enumerate() {
            past.add(MeterKind::Errors, &rates(all, bad));
            past.add_latency(bucket_of(1000 * (1 + bad)), all);
            past.turn(Millis::seconds(60 * (minute as u64 + 1)));
        }
        past
    }

    #[test]
    fn the_worst_five_minutes_stand_for_the_hour() {
        let minutes = || (0..60).map(|minute| (1000, if (20..25).contains(&minute) { 30 } else { 1 }));
        let worst = past(minutes()).worst().unwrap();
        let rate = worst.rate(MeterKind::Errors);
        assert!((0.028..0.030).contains(&rate), "3 % of 5,000: {rate}");
        assert_eq!(worst.latencies.p99(), past((0..60).map(|_| (1000, 30))).worst().unwrap().latencies.p99());
        assert!(worst.latencies.p99() > past((0..60).map(|_| (1000, 1))).worst().unwrap().latencies.p99());
    }

    #[test]
    fn what_was_over_an_hour_ago_counts_with_all_the_rest() {
        let minutes = (0..120).map(|minute| (1000, if minute < 5 { 30 } else { 0 }));
        let rate = past(minutes).worst().unwrap().rate(MeterKind::Errors);
        assert!((0.001..0.002).contains(&rate), "150 of 120,000: {rate}");
    }

    #[test]
    fn what_is_stored_of_it_is_small_and_judges_the_same() {
        let worst = past((0..60).map(|minute| (1000, minute % 30))).worst().unwrap();
        let text = serde_json::to_string(&worst.record()).unwrap();
        assert!(text.len() < 1000, "{} bytes: {text}", text.len());
        let again = RememberedActive::of_record(&serde_json::from_str(&text).unwrap());
        for kind in MeterKind::ALL {
            assert!((again.rate(kind) - worst.rate(kind)).abs() < 1e-6, "{kind:?}");
        }
        assert_eq!(again.latencies.cut(1.0).unwrap().0, worst.latencies.cut(1.0).unwrap().0);
        assert_eq!(again.latencies.p99(), worst.latencies.p99());
        assert_eq!(again.record(), worst.record());
        let broken = RememberedRecord { rates: [u32::MAX; METERS], first: u32::MAX, beyond: vec![u32::MAX; 400] };
        assert!(RememberedActive::of_record(&broken).rate(MeterKind::Errors) <= 1.0, "whatever is on the disk");
    }

    #[test]
    fn a_few_responses_say_nothing() {
        assert!(past((0..60).map(|_| (3, 1))).worst().is_none(), "180 in an hour");
        let counts = AnswerCounts { answers: 1000, failed: 10, ..AnswerCounts::default() };
        let before = JudgedTotals { counts, ..JudgedTotals::default() };
        let rate = ActivePast::new(Millis::ZERO, &before).worst().unwrap().rate(MeterKind::Errors);
        assert!((0.008..0.009).contains(&rate), "from before the rollout: {rate}");
    }
}
