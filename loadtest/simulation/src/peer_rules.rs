//! The rules of others, written from their documentation, on the counts of every second.
//!
//! Each sees its numbers at once and exactly, which is better than it has them: no scrape interval, no delay, no
//! extrapolated rate. Where the documentation leaves a time open the one is taken that finds a fault sooner.
//!
//! - **Flagger** (<https://docs.flagger.app/usage/how-it-works>, "Canary analysis", and
//!   <https://docs.flagger.app/usage/metrics>, "Builtin metrics"; order of steps: `pkg/controller/scheduler.go`):
//!   every `interval`, 10 s at least, it checks that 99 % of the answers are no 5xx and that the 99th percentile of the
//!   latency is at most 500 ms, both over `metrics.interval`; the check that finds `threshold` failed ones before it
//!   rolls back. No answers are a failed check. The example of the documentation has 1 min, 5 checks and 1 min.
//! - **Argo Rollouts** (<https://argo-rollouts.readthedocs.io/en/stable/features/analysis/>): every `interval` a success
//!   rate under 95 % is a failed measurement; more than `failureLimit` of them abort. The example of "Background
//!   analysis" has 5 min and 3; the same page's sample of repeated measurements has 60 s and no limit, which means 0.
//! - **Kayenta** (<https://spinnaker.io/docs/guides/user/canary/judge/>; `NetflixACAJudge`, `MannWhitneyClassifier`,
//!   `MannWhitney`): points of both sides are compared by a Mann-Whitney test at 98 %; a metric is High when the lower
//!   limit of the shift is over a quarter of the estimated shift. Metrics: failed share and 95th percentile of each
//!   point. Its filter of outliers removes nothing of under a hundred points.

use judgement::guard::latency::{BUCKETS, quantile};

use crate::mann_whitney;

type Histogram = [u32; BUCKETS];

/// What each second brought, of both sides, as if the candidate had stayed.
#[derive(Clone, Debug, Default)]
pub struct SecondCounts {
    pub all: [Vec<u32>; 2],
    pub bad: [Vec<u32>; 2],
    /// Of answers that did not fail; empty in a world without latencies.
    latency: [Vec<Histogram>; 2],
}

impl SecondCounts {
    pub fn new(seconds: usize, latency: bool) -> SecondCounts {
        let histograms = if latency { seconds } else { 0 };
        SecondCounts {
            all: [vec![0; seconds], vec![0; seconds]],
            bad: [vec![0; seconds], vec![0; seconds]],
            latency: [vec![[0; BUCKETS]; histograms], vec![[0; BUCKETS]; histograms]],
        }
    }

    /// Answers that came from this millisecond on.
    pub fn count(&mut self, at: u64, side: usize, all: u32, bad: u32) {
        let second = (at / 1000) as usize;
        if let (Some(alls), Some(bads)) = (self.all[side].get_mut(second), self.bad[side].get_mut(second)) {
            *alls += all;
            *bads += bad;
        }
    }

    pub fn receive(&mut self, at: u64, side: usize, bucket: u8, failed: bool) {
        self.count(at, side, 1, u32::from(failed));
        if let (Some(histogram), false) = (self.latency[side].get_mut((at / 1000) as usize), failed) {
            histogram[usize::from(bucket)] += 1;
        }
    }

    fn len(&self) -> usize {
        self.all[0].len()
    }

    pub fn is_kept(&self) -> bool {
        self.len() > 0
    }

    fn has_latency(&self) -> bool {
        !self.latency[0].is_empty()
    }

    /// Answers and failures of a side in `[from, to)`.
    fn window(&self, side: usize, from: usize, to: usize) -> (u64, u64) {
        let sum = |part: &[u32]| part.iter().map(|n| u64::from(*n)).sum();
        (sum(&self.all[side][from..to]), sum(&self.bad[side][from..to]))
    }

    /// A quantile of a side's latency in `[from, to)`, in milliseconds; `None` of nothing.
    fn quantile(&self, side: usize, from: usize, to: usize, q: f64) -> Option<f64> {
        let mut sum = [0_u64; BUCKETS];
        for second in self.latency[side].get(from..to)? {
            sum.iter_mut().zip(second).for_each(|(sum, n)| *sum += u64::from(*n));
        }
        quantile(&sum, q).map(|micros| micros as f64 / 1000.0)
    }
}

/// A rule, with times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PeerRule {
    Flagger {
        interval: usize,
        threshold: u32,
    },
    Argo {
        interval: usize,
        limit: u32,
    },
    /// Points of so many seconds, judged so often, over so long; `None`: since the start.
    Kayenta {
        point: usize,
        every: usize,
        lookback: Option<usize>,
    },
}

/// All that are compared, with the names that the tables have.
pub const RULES: [(&str, PeerRule); 6] = [
    ("Flagger 10 s × 1", PeerRule::Flagger { interval: 10, threshold: 1 }),
    ("Flagger 60 s × 5", PeerRule::Flagger { interval: 60, threshold: 5 }),
    ("Argo 60 s × 0", PeerRule::Argo { interval: 60, limit: 0 }),
    ("Argo 5 min × 3", PeerRule::Argo { interval: 300, limit: 3 }),
    ("Kayenta 10 s / 1 min", PeerRule::Kayenta { point: 10, every: 60, lookback: Some(60) }),
    ("Kayenta 60 s / 5 min", PeerRule::Kayenta { point: 60, every: 300, lookback: None }),
];

impl PeerRule {
    fn period(self) -> usize {
        match self {
            PeerRule::Flagger { interval, .. } | PeerRule::Argo { interval, .. } => interval,
            PeerRule::Kayenta { every, .. } => every,
        }
    }

    /// In how many seconds at the soonest it can roll back a rollout that is bad from the start.
    pub fn soonest(self) -> usize {
        match self {
            PeerRule::Flagger { interval, threshold } => interval * (threshold as usize + 1),
            PeerRule::Argo { interval, limit } => interval * limit as usize,
            PeerRule::Kayenta { every, .. } => every,
        }
    }

    /// The second in which it rolls back. `phase`: where in its period the run begins, 0..1.
    pub fn decide(self, seconds: &SecondCounts, phase: f64) -> Option<usize> {
        let first = (phase * self.period() as f64) as usize;
        match self {
            PeerRule::Flagger { interval, threshold } => flagger(seconds, interval, threshold, first),
            PeerRule::Argo { interval, limit } => argo(seconds, interval, limit, first),
            PeerRule::Kayenta { point, every, lookback } => kayenta(seconds, point, every, lookback, first),
        }
    }
}

fn flagger(seconds: &SecondCounts, interval: usize, threshold: u32, first: usize) -> Option<usize> {
    let mut failed = 0;
    for at in (first..=seconds.len()).step_by(interval).skip_while(|at| *at < interval) {
        if failed >= threshold {
            return Some(at);
        }
        let from = at.saturating_sub(interval);
        let (all, bad) = seconds.window(1, from, at);
        let slow = seconds.has_latency() && seconds.quantile(1, from, at, 0.99).is_some_and(|p99| p99 > 500.0);
        failed += u32::from(all == 0 || bad * 100 > all || slow);
    }
    None
}

fn argo(seconds: &SecondCounts, interval: usize, limit: u32, first: usize) -> Option<usize> {
    let mut failed = 0;
    for at in (first..=seconds.len()).step_by(interval) {
        let (all, bad) = seconds.window(1, at.saturating_sub(interval), at);
        failed += u32::from(bad * 20 > all);
        if failed > limit {
            return Some(at);
        }
    }
    None
}

fn kayenta(seconds: &SecondCounts, point: usize, every: usize, lookback: Option<usize>, first: usize) -> Option<usize> {
    let errors = |side: usize, from: usize| {
        let (all, bad) = seconds.window(side, from, from + point);
        (all > 0).then(|| bad as f64 / all as f64)
    };
    let slowness = |side: usize, from: usize| seconds.quantile(side, from, from + point, 0.95);
    for at in (first..=seconds.len()).step_by(every).skip_while(|at| *at < every) {
        // Points end with the judgement.
        let from = at - lookback.unwrap_or(at).min(at) / point * point;
        let points = |value: &dyn Fn(usize, usize) -> Option<f64>, side| -> Vec<f64> {
            (from..at).step_by(point).filter_map(|from| value(side, from)).collect()
        };
        let high = is_high(&points(&errors, 1), &points(&errors, 0));
        if high || seconds.has_latency() && is_high(&points(&slowness, 1), &points(&slowness, 0)) {
            return Some(at);
        }
    }
    None
}

/// Kayenta's classification of a metric whose increase is bad.
fn is_high(candidate: &[f64], active: &[f64]) -> bool {
    let Some(any) = candidate.first() else { return false };
    if active.is_empty() || candidate.iter().chain(active).all(|value| value == any) {
        return false;
    }
    let (lower, estimate) = mann_whitney::shift(candidate, active);
    lower > 0.25 * estimate.abs()
}
