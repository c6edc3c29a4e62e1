//! How the two sides differ, as bands that hold however often one looks: a page may be reloaded until it shows what one
//! hopes for, and 19 times in 20 no band that it ever showed was wrong.
//!
//! Of failure rates: confidence sequences for the mean of the chances that the requests had, whatever these did meanwhile
//! (Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021, theorem 4
//! with their polynomial stitched boundary). Of latencies: confidence sequences for quantiles (Howard, Ramdas, "Sequential
//! estimation of quantiles with applications to A/B testing and best-arm identification", 2022, theorem 1).
//!
//! They begin anew with each weight: at one weight both sides share the same hours in the same proportion, so that what
//! happens to both does not look like a difference.

use serde::{Deserialize, Serialize};

use crate::guard::evidence::rate_odds;
use crate::guard::latency::{BUCKETS, upper_micros};
use crate::guard::window::{AnswerCounts, JudgedTotals};
use crate::time::Millis;
use crate::traffic::split::Weight;

/// The chance that a band is ever wrong.
const ALPHA: f64 = 0.05;
/// With fewer answers of one side, the two are not compared.
const LEAST: u64 = 20;
/// The quantiles that are shown.
pub const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// A value lies between these; `None`: nothing is known of that end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Band {
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// One side at the present weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SideBands {
    pub answers: u64,
    pub failed: u64,
    /// The share of requests that fail, 0..1.
    pub failures: Band,
    /// Latencies in microseconds, by [`QUANTILES`], of responses that did not fail.
    pub latency: [Band; QUANTILES.len()],
}

/// Both sides at the present weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SidesCompared {
    pub span: Millis,
    pub active: SideBands,
    pub candidate: SideBands,
    /// How much more the candidate fails than active: a share of the requests, -1..1.
    pub more_failures: Band,
}

/// Watches both sides at one weight.
#[derive(Clone, Debug)]
pub struct SidesComparison {
    weight: Weight,
    since: Millis,
    now: Millis,
    /// Active and the candidate.
    sides: [SideSums; 2],
}

#[derive(Clone, Debug)]
struct SideSums {
    start: AnswerCounts,
    last: AnswerCounts,
    start_latency: Box<[u64; BUCKETS]>,
    latency: Box<[u64; BUCKETS]>,
    /// The squares of what the outcomes were off their predictions, summed.
    spread: f64,
}

impl SideSums {
    fn new(totals: &JudgedTotals) -> SideSums {
        let latency = Box::new(totals.latency);
        SideSums { start: totals.counts, last: totals.counts, start_latency: latency.clone(), latency, spread: 0.0 }
    }

    fn take(&mut self, totals: &JudgedTotals) {
        let seen = self.last.minus(self.start);
        // Known before the outcomes are, as the method requires.
        let predicted = rate_odds::reference(seen.answers as f64, seen.failed as f64);
        let new = totals.counts.minus(self.last);
        let (bad, good) = (new.failed as f64, new.answers.saturating_sub(new.failed) as f64);
        self.spread += bad * (1.0 - predicted).powi(2) + good * predicted.powi(2);
        self.last = totals.counts;
        *self.latency = totals.latency;
    }

    fn bands(&self) -> SideBands {
        let AnswerCounts { answers, failed, .. } = self.last.minus(self.start);
        let margin = boundary(self.spread, ALPHA / 4.0) / (answers as f64).max(1.0);
        let rate = failed as f64 / (answers as f64).max(1.0);
        let failures = match answers {
            0 => Band::default(),
            _ => Band { low: Some((rate - margin).max(0.0)), high: Some((rate + margin).min(1.0)) },
        };
        SideBands { answers, failed, failures, latency: QUANTILES.map(|share| self.quantile(share)) }
    }

    fn quantile(&self, share: f64) -> Band {
        let counts =
            || self.latency.iter().zip(self.start_latency.iter()).map(|(now, start)| now.saturating_sub(*start));
        let n = counts().sum::<u64>() as f64;
        if n < 1.0 {
            return Band::default();
        }
        let length = (1.4 * (2.1 * n).ln().max(1.0).ln() + (10.0 / ALPHA).ln()) / n;
        let margin = 1.5 * (share * (1.0 - share) * length).sqrt() + 0.8 * length;
        let bucket_at = |share: f64| {
            let mut sum = 0;
            counts().position(|new| {
                sum += new;
                sum as f64 >= share * n
            })
        };
        // A bucket's lower end for the lower bound, and its upper end for the upper one.
        let low = bucket_at(share - margin).filter(|_| share > margin);
        let low = low.map(|bucket| bucket.checked_sub(1).and_then(upper_micros).unwrap_or(0) as f64);
        let high = bucket_at(share + margin).filter(|_| share + margin < 1.0).and_then(upper_micros);
        Band { low, high: high.map(|micros| micros as f64) }
    }
}

/// The polynomial stitched boundary for sums whose parts lie within a range of 1: the chance that the sum ever leaves it, at
/// whatever spread, is at most `alpha`. The constants are the paper's: η = 2, s = 1.4, m = 1, ζ(1.4) = 3.106.
fn boundary(spread: f64, alpha: f64) -> f64 {
    let spread = spread.max(1.0);
    let length = 1.4 * (1.0 + spread.log2()).ln() + 3.106_f64.ln() - alpha.ln();
    let (k1_squared, k2) =
        ((2.0_f64.powf(0.25) + 2.0_f64.powf(-0.25)).powi(2) / 2.0, f64::midpoint(2.0_f64.sqrt(), 1.0));
    (k1_squared * spread * length + (k2 * length).powi(2)).sqrt() + k2 * length
}

impl SidesComparison {
    /// Active's and the candidate's totals when this weight began.
    pub fn new(now: Millis, weight: Weight, sides: [&JudgedTotals; 2]) -> SidesComparison {
        SidesComparison { weight, since: now, now, sides: sides.map(SideSums::new) }
    }

    /// Takes in active's and the candidate's totals, at every tick of the grid.
    pub fn take(&mut self, now: Millis, weight: Weight, sides: [&JudgedTotals; 2]) {
        if weight != self.weight {
            *self = SidesComparison::new(now, weight, sides);
        }
        self.now = now;
        self.sides.iter_mut().zip(sides).for_each(|(sums, totals)| sums.take(totals));
    }

    /// What is known of both sides now.
    pub fn bands(&self) -> SidesCompared {
        let [active, candidate] = self.sides.each_ref().map(SideSums::bands);
        let less = |one: Option<f64>, other: Option<f64>| Some(one? - other?);
        // A handful of answers that come late after a change of weight are no comparison.
        let more_failures = match active.answers.min(candidate.answers) {
            0..LEAST => Band::default(),
            _ => Band {
                low: less(candidate.failures.low, active.failures.high),
                high: less(candidate.failures.high, active.failures.low),
            },
        };
        SidesCompared { span: self.now.since(self.since), active, candidate, more_failures }
    }
}

impl SidesCompared {
    /// The difference in failures in words; `None` while one side has answered nobody.
    pub fn sentence(&self, active: &str, candidate: &str) -> Option<String> {
        let Band { low: Some(low), high: Some(high) } = self.more_failures else { return None };
        let points = |share: f64| format!("{:.1}", 100.0 * share.abs());
        let said = match (points(low), points(high)) {
            (low, high) if low == high && low == "0.0" => format!("fails as much as {active}"),
            (least, most) if low >= 0.0 => format!("fails {least} to {most} points more than {active}"),
            (most, least) if high <= 0.0 => format!("fails {least} to {most} points less than {active}"),
            (less, more) => format!("fails at most {more} points more than {active}, or {less} less"),
        };
        Some(format!("{candidate} {said}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::latency::bucket_of;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    /// Both sides' totals after so many ticks, drawn: each tick 20 requests of a side, failing at its rate.
    struct Sides([JudgedTotals; 2]);

    impl Sides {
        fn tick(&mut self, rates: [f64; 2], micros: [u64; 2], mut unit: impl FnMut() -> f64) {
            for ((side, rate), micros) in self.0.iter_mut().zip(rates).zip(micros) {
                for _ in 0..20 {
                    let failed = unit() < rate;
                    side.counts.answers += 1;
                    side.counts.failed += u64::from(failed);
                    let slower = 1.0 + unit();
                    side.latency[bucket_of((micros as f64 * slower) as u64)] += u64::from(!failed);
                }
            }
        }
    }

    fn watched(rates: [f64; 2], ticks: u64, seed: u64, mut each: impl FnMut(u64, &SidesCompared)) {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut unit = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut sides = Sides([JudgedTotals::default(), JudgedTotals::default()]);
        let mut seen = SidesComparison::new(Millis::ZERO, Weight::FULL, [&sides.0[0], &sides.0[1]]);
        for tick in 1..=ticks {
            sides.tick(rates, [10_000, 20_000], &mut unit);
            seen.take(Millis(20 * tick), Weight::FULL, [&sides.0[0], &sides.0[1]]);
            each(tick, &seen.bands());
        }
    }

    #[test]
    fn no_band_that_was_ever_shown_is_wrong_but_for_one_run_in_twenty() {
        let mut wrong = [0; 3];
        for seed in 0..200 {
            let mut off = [false; 3];
            watched([0.01, 0.03], 500, seed, |_, seen| {
                let without = |band: Band, value: f64| {
                    band.low.is_some_and(|low| value < low) || band.high.is_some_and(|high| value > high)
                };
                off[0] |= without(seen.more_failures, 0.02);
                // Evenly between 10 and 20 ms, and between 20 and 40 ms.
                off[1] |= without(seen.active.latency[0], 15_000.0);
                off[2] |= without(seen.candidate.latency[1], 39_000.0);
            });
            wrong.iter_mut().zip(off).for_each(|(wrong, off)| *wrong += u32::from(off));
        }
        assert!(wrong.iter().all(|wrong| *wrong <= 10), "{wrong:?} of 200");
    }

    #[test]
    fn bands_become_narrow_and_the_sentence_says_who_is_worse() {
        let mut last = SidesCompared::default();
        watched([0.01, 0.03], 5000, 7, |_, seen| last = *seen);
        let Band { low: Some(low), high: Some(high) } = last.more_failures else { panic!("{last:?}") };
        assert!(low > 0.015 && high < 0.025, "{low} to {high}");
        let Band { low: Some(low), high: Some(high) } = last.candidate.latency[2] else { panic!("{last:?}") };
        assert!(low > 35_000.0 && high < 44_000.0, "{low} to {high}");
        let said = last.sentence("blue", "green").unwrap();
        assert!(said.starts_with("green fails 1.") && said.ends_with(" points more than blue"), "{said}");
        let same = SidesCompared { more_failures: Band { low: Some(-0.002), high: Some(0.004) }, ..last };
        assert_eq!(
            same.sentence("blue", "green").unwrap(),
            "green fails at most 0.4 points more than blue, or 0.2 less"
        );
    }

    #[test]
    fn another_weight_begins_anew() {
        let mut totals = JudgedTotals::default();
        totals.counts.answers = 1000;
        totals.counts.failed = 500;
        let nothing = JudgedTotals::default();
        let mut seen = SidesComparison::new(Millis::ZERO, Weight::ZERO, [&nothing, &nothing]);
        seen.take(Millis(20), Weight::ZERO, [&totals, &totals]);
        assert_eq!(seen.bands().active.failed, 500);
        seen.take(Millis(40), Weight::FULL, [&totals, &totals]);
        assert_eq!(seen.bands(), SidesCompared::default());
        assert_eq!(seen.bands().sentence("blue", "green"), None);
    }

    #[test]
    fn whatever_is_counted_the_bands_are_ordered() {
        let counts = (0_u64..5000, 0_u64..5000, 0_u64..60_000_000);
        let run = TestRunner::default().run(&proptest::collection::vec((counts.clone(), counts), 1..20), |ticks| {
            let mut sides = [JudgedTotals::default(), JudgedTotals::default()];
            let mut seen = SidesComparison::new(Millis::ZERO, Weight::FULL, [&sides[0], &sides[1]]);
            for (at, pair) in ticks.into_iter().enumerate() {
                for (side, (good, bad, micros)) in sides.iter_mut().zip([pair.0, pair.1]) {
                    side.counts.answers += good + bad;
                    side.counts.failed += bad;
                    side.latency[bucket_of(micros)] += good;
                }
                seen.take(Millis(20 * at as u64 + 20), Weight::FULL, [&sides[0], &sides[1]]);
                let SidesCompared { active, candidate, more_failures, .. } = seen.bands();
                let bands =
                    [active, candidate].into_iter().flat_map(|side| side.latency.into_iter().chain([side.failures]));
                for Band { low, high } in bands.chain([more_failures]) {
                    if let (Some(low), Some(high)) = (low, high) {
                        prop_assert!(low <= high && low.is_finite() && high.is_finite(), "{} to {}", low, high);
                    }
                }
            }
            Ok(())
        });
        run.unwrap();
    }
}
