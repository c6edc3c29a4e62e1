//! What no judge can beat: the fewest failures, in the mean, that a rule with this rate of false rollbacks must see.
//!
//! Wald's inequality: a test that rolls back a tolerable candidate with a probability of at most α needs on average
//! `ln(1/α) / I` of the candidate's requests before it rolls back a faulty one, where `I` is what one of them tells, in
//! nats, against the tolerated pair of rates that looks most like the truth. Found here by search, not by the judge's
//! own formula, so that the two check each other.

/// The tolerance that the judge is held to.
const RATIO: f64 = 1.5;
const EXCESS: f64 = 0.001;
const CAP: f64 = 0.05;

fn tolerated(active: f64) -> f64 {
    (RATIO * active + EXCESS).min(active + CAP)
}

fn divergence(p: f64, q: f64) -> f64 {
    let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    term(p, q) + term(1.0 - p, 1.0 - q)
}

/// What one request of the candidate tells, in nats, with the `(1 − share) / share` of active's that come with it.
pub fn information(share: f64, candidate: f64, active: f64) -> f64 {
    if candidate <= tolerated(active) {
        return 0.0;
    }
    let told = |b: f64| divergence(candidate, tolerated(b)) + (1.0 - share) / share * divergence(active, b);
    // Along the edge of the tolerated region, up to where it allows the candidate's own rate, this is convex.
    let allows = ((candidate - EXCESS) / RATIO).max(candidate - CAP);
    let (mut low, mut high) = (active.ln(), allows.ln());
    for _ in 0..200 {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if told(left.exp()) < told(right.exp()) { high = right } else { low = left }
    }
    told(f64::midpoint(low, high).exp())
}

/// The mean number of failures that must be judged where the fault may begin at any time within so many of the candidate's
/// requests (Lai, "Information bounds and quick detection of parameter changes in stochastic systems", 1998): whoever finds it within `n` of
/// them on average has `requests / 2n` chances of a false rollback, and they share α.
pub fn failures_at_any_time(share: f64, candidate: f64, active: f64, alpha: f64, requests: f64) -> Option<f64> {
    let information = information(share, candidate, active);
    let mut needed = (1.0 / alpha).ln() / information;
    for _ in 0..50 {
        needed = ((1.0 / alpha).ln() + (requests / (2.0 * needed)).max(1.0).ln()) / information;
    }
    (information > 0.0).then(|| (candidate * needed).max(1.0))
}

/// The mean number of failures that must be judged where the fault is there from the first request on.
pub fn failures(share: f64, candidate: f64, active: f64, alpha: f64) -> Option<f64> {
    let information = information(share, candidate, active);
    // A verdict takes one failure at least.
    (information > 0.0).then(|| (candidate * (1.0 / alpha).ln() / information).max(1.0))
}
