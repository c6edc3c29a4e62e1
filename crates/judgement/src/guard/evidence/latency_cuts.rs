//! Active's latencies of the last minute, and the cuts that divide them.

use serde::{Deserialize, Serialize};

use crate::guard::evidence::cells::{CELLS, Cells, SURVIVAL, fading};
use crate::guard::latency::{BUCKETS, bucket_of, upper_micros};
use crate::time::Millis;

/// The candidate may be slower by this factor …
const RATIO: f64 = 1.2;
/// … or by this much, whichever is more: a millisecond is no reason for a rollback.
const EXCESS_MICROS: f64 = 5000.0;
/// A candidate that has just started may be slower still, by a factor of `1 + WARMING · 2^(−age / WARMING_HALVES)`:
/// caches, pools and compilers need to warm up.
const WARMING: f64 = 5.0;
const WARMING_HALVES: Millis = Millis::seconds(4);
/// This share of its responses may at first be arbitrarily slow, because every new instance has a first request.
const COLD: f64 = 0.9;
const COLD_HALVES: Millis = Millis::seconds(3);

/// With fewer responses from active than this, no cuts are made.
const ENOUGH: f64 = 100.0;
/// Responses from before the rollout count as at most this many.
const BEFORE: f64 = 3000.0;

/// Active's recent latencies, by bucket, fading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<f64>", from = "Vec<f64>")]
pub struct RecentLatencies {
    buckets: Box<[f64; BUCKETS]>,
    total: f64,
}

/// Where the cells begin, in buckets. The cell of a latency is the number of cuts that it exceeds.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyCuts {
    active: [usize; CELLS - 1],
    /// The same cuts with the tolerance added.
    candidate: [usize; CELLS - 1],
}

/// A cut in time units, for people: the candidate's responses beyond `candidate` are compared with active's beyond
/// `active`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WidestGap {
    // Older journals name the roles by the colours that they usually had.
    #[serde(alias = "green_micros")]
    pub candidate_micros: u64,
    #[serde(alias = "blue_micros")]
    pub active_micros: u64,
    /// Responses beyond the cut, of all that were counted since the evidence began to rise.
    #[serde(alias = "green")]
    pub candidate: u64,
    #[serde(alias = "blue")]
    pub active: u64,
    /// Active got no traffic to compare with: the share of its responses that was beyond the cut at its worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
}

impl From<RecentLatencies> for Vec<f64> {
    fn from(latencies: RecentLatencies) -> Vec<f64> {
        latencies.buckets.to_vec()
    }
}

impl From<Vec<f64>> for RecentLatencies {
    fn from(found: Vec<f64>) -> RecentLatencies {
        let mut buckets = Box::new([0.0; BUCKETS]);
        buckets.iter_mut().zip(found).for_each(|(bucket, n)| *bucket = n);
        let total = buckets.iter().sum();
        RecentLatencies { buckets, total }
    }
}

impl RecentLatencies {
    /// Starts from everything that active has ever answered, scaled down, until the last minute is known.
    pub fn new(answers: &[u64; BUCKETS]) -> RecentLatencies {
        let total: u64 = answers.iter().sum();
        let scale = (BEFORE / (total as f64).max(1.0)).min(1.0);
        RecentLatencies { buckets: Box::new(answers.map(|n| n as f64 * scale)), total: total as f64 * scale }
    }

    /// From the share of the responses beyond each bucket.
    pub fn of_shares(beyond: &[f64; BUCKETS]) -> RecentLatencies {
        let mut before = 1.0;
        let buckets = beyond.map(|share| BEFORE * (std::mem::replace(&mut before, share) - share));
        RecentLatencies { buckets: Box::new(buckets), total: BEFORE }
    }

    /// The share of the responses beyond each bucket; 0 if there are none.
    pub fn beyond(&self) -> [f64; BUCKETS] {
        let mut left = self.total;
        let mut beyond = [0.0; BUCKETS];
        for (share, n) in beyond.iter_mut().zip(self.buckets.iter()) {
            left -= n;
            *share = if self.total > 0.0 { (left / self.total).max(0.0) } else { 0.0 };
        }
        beyond
    }

    /// Lets time pass and adds responses.
    pub fn add(&mut self, passed: Millis, answers: &[u64; BUCKETS]) {
        let kept = fading(passed);
        self.total = 0.0;
        for (sum, n) in self.buckets.iter_mut().zip(answers) {
            *sum = *sum * kept + *n as f64;
            self.total += *sum;
        }
    }

    /// The first bucket at or below which at least this share of the responses lies.
    fn bucket_at(&self, share: f64) -> usize {
        let mut sum = 0.0;
        let found = self.buckets.iter().position(|n| {
            sum += n;
            sum >= share * self.total
        });
        found.unwrap_or(BUCKETS - 1)
    }

    /// The latency that 99 % of the responses stay under, in milliseconds; `None` if there are too few.
    pub fn p99(&self) -> Option<Millis> {
        let micros = upper_micros(self.bucket_at(0.99)).unwrap_or(u64::MAX);
        (self.total >= ENOUGH).then(|| Millis(micros.div_ceil(1000)))
    }

    /// Cuts active's responses, and returns how they fall into the cells; `None` if there are too few. `warming`: the
    /// current [`warming`] factor.
    pub fn cut(&self, warming: f64) -> Option<(LatencyCuts, [f64; CELLS])> {
        if self.total < ENOUGH {
            return None;
        }
        let active = SURVIVAL.map(|survival| self.bucket_at(1.0 - survival));
        let candidate = active.map(|bucket| {
            let edge = upper_micros(bucket).map_or(f64::INFINITY, |micros| micros as f64);
            // A bucket counts as beyond only if all of it is: what the buckets cannot distinguish is tolerated.
            bucket_of((edge * RATIO * warming).max(edge + EXCESS_MICROS) as u64 - 1)
        });
        let cut = LatencyCuts { active, candidate };
        let mut q = [0.0; CELLS];
        for (bucket, n) in self.buckets.iter().enumerate() {
            if let Some(cell) = q.get_mut(cell(&cut.active, bucket)) {
                *cell += n / self.total;
            }
        }
        Some((cut, q))
    }
}

impl LatencyCuts {
    /// The cell of a latency, by bucket, for the candidate and for active.
    pub fn cell(&self, candidate: bool, bucket: usize) -> usize {
        cell(if candidate { &self.candidate } else { &self.active }, bucket)
    }

    /// The cut at which the two sides differ most, for these cells. `alone`: active is what it was before.
    pub fn widest(&self, candidate: &Cells, active: &Cells, alone: bool) -> Option<WidestGap> {
        let total = |cells: &Cells| cells.iter().map(|n| u64::from(*n)).sum::<u64>();
        let beyond = |cells: &Cells, cut: usize| cells.iter().skip(cut + 1).map(|n| u64::from(*n)).sum::<u64>();
        let (all_g, all_b) = (total(candidate).max(1) as f64, total(active).max(1) as f64);
        let edges = self.candidate.iter().zip(&self.active).zip(SURVIVAL).enumerate();
        let edges = edges.map(|(at, ((g, b), survival))| WidestGap {
            candidate_micros: upper_micros(*g).unwrap_or(u64::MAX),
            active_micros: upper_micros(*b).unwrap_or(u64::MAX),
            candidate: beyond(candidate, at),
            active: beyond(active, at),
            before: alone.then_some(survival),
        });
        let gap = |edge: &WidestGap| edge.candidate as f64 / all_g - edge.before.unwrap_or(edge.active as f64 / all_b);
        edges.max_by(|a, b| gap(a).total_cmp(&gap(b)))
    }
}

fn cell(cuts: &[usize; CELLS - 1], bucket: usize) -> usize {
    cuts.iter().filter(|cut| bucket > **cut).count()
}

/// How much slower than tolerated a candidate of this age may be.
pub fn warming(age: Millis) -> f64 {
    1.0 + WARMING * halved(age, WARMING_HALVES)
}

/// The share of the candidate's responses that may be arbitrarily slow, `age` after a raise of which this share was
/// `new`.
pub fn cold(age: Millis, new: f64) -> f64 {
    COLD * new * halved(age, COLD_HALVES)
}

fn halved(age: Millis, half: Millis) -> f64 {
    (-(age.0 as f64) / half.0 as f64).exp2()
}
