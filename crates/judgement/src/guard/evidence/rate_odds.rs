//! The odds of a rate: the candidate fails a larger share of its requests than tolerated.
//!
//! E-variables for 2×2 tables (Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample tests that
//! allow for optional stopping", 2021): the likelihood of an alternative against that of the closest null point, in
//! Kullback-Leibler divergence weighted by the two sides' shares of the block. Its mean is at most 1 under every
//! tolerated pair of rates, whatever they are.

use serde::{Deserialize, Serialize};

use crate::guard::evidence::RESOLVED;
use crate::guard::evidence::bet::ALTERNATIVES;
use crate::guard::evidence::cells::Cells;

/// The candidate's rate may be up to `min(ratio · b + excess, b + cap)` if active's is `b`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateTolerance {
    #[default]
    Failures,
    /// Of responses that are nobody's failure, some clients cause far more than others: a crawler, an old bookmark.
    Answers,
}

impl RateTolerance {
    const fn ratio(self) -> f64 {
        match self {
            RateTolerance::Failures => 1.5,
            RateTolerance::Answers => 2.0,
        }
    }

    const fn excess(self) -> f64 {
        match self {
            RateTolerance::Failures => 0.001,
            RateTolerance::Answers => 0.05,
        }
    }

    const fn cap(self) -> f64 {
        match self {
            RateTolerance::Failures => 0.05,
            RateTolerance::Answers => 0.25,
        }
    }

    /// Where the two lines meet.
    const fn vertex(self) -> f64 {
        (self.cap() - self.excess()) / (self.ratio() - 1.0)
    }

    /// The largest tolerated rate of the candidate. It is concave, so the tolerated region is convex, as the method
    /// requires.
    pub const fn edge(self, active: f64) -> f64 {
        (self.ratio() * active + self.excess()).min(active + self.cap())
    }
}

/// Where the alternatives lie, on the logit line from the tolerated edge to [`TOP`].
const PLACES: [f64; ALTERNATIVES] = [0.08, 0.16, 0.28, 0.44, 0.62, 0.80, 1.0];
/// The stake on each.
pub const PRIOR: [f64; ALTERNATIVES] = [0.10, 0.10, 0.10, 0.10, 0.15, 0.15, 0.30];
const TOP: f64 = 0.98;

/// Active's rate is assumed to lie within these bounds.
const LOWEST: f64 = 2e-4;
const HIGHEST: f64 = 0.5;

/// The largest tolerated failure rate of the candidate.
pub const fn tolerated(active: f64) -> f64 {
    RateTolerance::Failures.edge(active)
}

/// The smallest rate that must be seen where active fails at `pb`: as far above the tolerated rate as it is without
/// failures of active.
pub fn must_show(pb: f64) -> f64 {
    tolerated(pb) + RESOLVED - tolerated(0.0)
}

/// Whether a candidate that failed `bad` of `all` is so by more than chance: `e^-NATS` is how rarely one that fails as
/// much as is tolerated beside active's rate `pb` does (Chernoff's bound).
pub fn is_beyond_chance(all: f64, bad: f64, pb: f64) -> bool {
    let (rate, least) = (bad / all, tolerated(pb));
    let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    all > 0.0 && rate > least && all * (part(rate, least) + part(1.0 - rate, 1.0 - least)) >= BEYOND_CHANCE
}

/// Active's rate, from its recent `bad` of `all`. A little is added, so that no outcome is ever impossible.
pub fn reference(all: f64, bad: f64) -> f64 {
    ((bad + 0.2) / (all + 200.0)).clamp(LOWEST, HIGHEST)
}

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

/// One in a million, in nats: somebody looks many times a second.
const BEYOND_CHANCE: f64 = 13.8;

/// If more than this is forgiven, there is nothing left to bet on.
const FORGIVEN: f64 = 0.5;

/// The logarithms of one block's odds, by alternative. `tb`: active's [`reference()`] rate. `cold`: how much more is
/// tolerated because it may be cold starts; `None` if that is too much. Without any responses of active, its rate is taken
/// to be `tb` or less.
pub fn gains(
    tolerance: RateTolerance,
    tb: f64,
    [candidate, active]: [&Cells; 2],
    cold: f64,
) -> Option<[f64; ALTERNATIVES]> {
    if cold > FORGIVEN || tolerance.edge(tb) + cold > 0.9 {
        return None;
    }
    let [[good_g, bad_g, ..], [good_b, bad_b, ..]] = [candidate, active].map(|cells| cells.map(f64::from));
    let of_active = good_b + bad_b;
    // Of a rate that is known, a block has endless responses.
    let share = if of_active > 0.0 { (good_g + bad_g) / (good_g + bad_g + of_active) } else { 0.0 };
    // In most blocks one side has no failures, and terms multiplied by zero are not computed.
    let times = |n: f64, ratio: f64| if n > 0.0 { n * ratio.ln() } else { 0.0 };
    Some(alternatives(tolerance, tb, share, cold).map(|Alternative { tg, g, b }| {
        times(bad_g, tg / g)
            + times(good_g, (1.0 - tg) / (1.0 - g))
            + times(bad_b, tb / b)
            + times(good_b, (1.0 - tb) / (1.0 - b))
    }))
}

/// A rate of the candidate to bet on, and the tolerated pair of rates that is closest to it: the candidate's and active's.
#[derive(Clone, Copy, Debug)]
struct Alternative {
    tg: f64,
    g: f64,
    b: f64,
}

fn alternatives(tolerance: RateTolerance, tb: f64, share: f64, cold: f64) -> [Alternative; ALTERNATIVES] {
    let edge = logit(tolerance.edge(tb) + cold);
    let top = logit(TOP).max(edge + 0.7);
    PLACES.map(|place| {
        let tg = 1.0 / (1.0 + (-(edge + (top - edge) * place)).exp());
        let (g, b) = closest(tolerance, share, tg, tb, cold);
        Alternative { tg, g, b }
    })
}

/// The point of the tolerated region that is closest to `(tg, tb)`: the candidate's rate and active's.
fn closest(tolerance: RateTolerance, share: f64, tg: f64, tb: f64, cold: f64) -> (f64, f64) {
    let (excess, cap) = (tolerance.excess() + cold, tolerance.cap() + cold);
    let (ratio, vertex) = (tolerance.ratio(), tolerance.vertex());
    let b = on_line(share, tg, tb, ratio, excess);
    if b <= vertex {
        return (ratio * b + excess, b);
    }
    let b = on_line(share, tg, tb, 1.0, cap);
    if b >= vertex { (b + cap, b) } else { (vertex + cap, vertex) }
}

/// The closest point on the line `g = ratio · b + excess`, given by its `b`: the root of `s · ratio · (tg − g) · b(1−b)
/// + (1−s) · (tb − b) · g(1−g)` between `tb` and `(tg − excess) / ratio`.
///
/// Newton's method, starting from the mixture of the two ends (the exact root if `ratio` is 1 and `excess` 0) and kept
/// within a bracket that every step narrows. If it leaves the bracket, the geometric middle is used, because the rates
/// span decades.
fn on_line(share: f64, tg: f64, tb: f64, ratio: f64, excess: f64) -> f64 {
    let (mut low, mut high) = (tb, (tg - excess) / ratio);
    let (weight_g, weight_b) = (share * ratio, 1.0 - share);
    let mut b = share * high + (1.0 - share) * low;
    for _ in 0..60 {
        let g = ratio * b + excess;
        let (spread_b, spread_g) = (b * (1.0 - b), g * (1.0 - g));
        let value = weight_g * (tg - g) * spread_b + weight_b * (tb - b) * spread_g;
        if value > 0.0 {
            low = b
        } else {
            high = b
        }
        let slope = weight_g * ((tg - g) * (1.0 - 2.0 * b) - ratio * spread_b)
            + weight_b * ((tb - b) * ratio * (1.0 - 2.0 * g) - spread_g);
        let step = value / slope;
        let next = b - step;
        // It converges quadratically, so after a step this small it has arrived.
        if step.abs() <= 1e-7 * b {
            return next;
        }
        b = if next > low && next < high { next } else { (low * high).sqrt() };
    }
    b
}

/// What one request of the candidate tells on average, in nats, if it fails at `tg`, active fails at `pb`, and the
/// candidate gets a `share` of the requests: the divergence from the tolerated region. 0 if that is tolerated.
pub fn information(share: f64, tg: f64, pb: f64) -> f64 {
    let (tg, pb) = (tg.min(1.0 - 1e-9), pb.clamp(1e-9, HIGHEST));
    if tg <= tolerated(pb) {
        return 0.0;
    }
    let divergence = |p: f64, q: f64| p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln();
    let (g, b) = closest(RateTolerance::Failures, share, tg, pb, 0.0);
    divergence(tg, g) + (1.0 - share) / share * divergence(pb, b)
}

/// What one request of the candidate brings to an alternative, in nats, with those of active that come with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestGain {
    pub mean: f64,
    /// The mean of the squares: what a random number of requests (Poisson, of mean `n`) brings has `n` times this as its
    /// variance.
    pub square: f64,
}

/// The gains to expect by alternative, of a candidate that fails at `pg` and has this share of what is compared, beside
/// an active that fails at `pb` while its [`reference()`] is `tb`.
pub fn expected_gains(tb: f64, share: f64, pg: f64, pb: f64) -> [RequestGain; ALTERNATIVES] {
    let each = (1.0 - share) / share;
    alternatives(RateTolerance::Failures, tb, share, 0.0).map(|Alternative { tg, g, b }| {
        let (bad, good) = ((tg / g).ln(), ((1.0 - tg) / (1.0 - g)).ln());
        let (bad_b, good_b) = ((tb / b).ln(), ((1.0 - tb) / (1.0 - b)).ln());
        RequestGain {
            mean: pg * bad + (1.0 - pg) * good + each * (pb * bad_b + (1.0 - pb) * good_b),
            square: pg * bad * bad
                + (1.0 - pg) * good * good
                + each * (pb * bad_b * bad_b + (1.0 - pb) * good_b * good_b),
        }
    })
}

/// The smallest rate that `requests` of the candidate would have revealed by now, at this threshold in nats; `None` if
/// not even a candidate that fails everything would be detected.
pub fn resolution(requests: u64, share: f64, pb: f64, threshold: f64) -> Option<f64> {
    smallest(pb, |p| requests as f64 * information(share, p, pb) >= threshold)
}

/// The smallest rate of the candidate that `shows`, beside active's rate `pb`; `None` if not even one of 1 does.
pub fn smallest(pb: f64, shows: impl Fn(f64) -> bool) -> Option<f64> {
    if !shows(1.0) {
        return None;
    }
    let (mut low, mut high) = (tolerated(pb), 1.0);
    for _ in 0..30 {
        let middle = f64::midpoint(low, high);
        if shows(middle) { high = middle } else { low = middle }
    }
    Some(high)
}
