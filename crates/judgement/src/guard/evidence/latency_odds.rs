//! The odds of slowness: the candidate's responses arrive later than tolerated.
//!
//! Active's latencies divide its responses into seven cells, of which the last ones are small: the tail. The
//! candidate's responses fall into the same cells after the tolerance is subtracted. The null hypothesis is that they
//! are then stochastically no larger than active's, up to a forgiven share of cold starts. The e-variable is the
//! two-sample one of Turner, Ly and Grünwald (2021), over cells. The alternatives are Lehmann's, `S_g = S_b^(1/k)`
//! (Lehmann, "The power of rank tests", 1953), and tails, `S_g = (1 − ε) S_b + ε`. Both make slower cells likelier step
//! by step, so dominance is all that is needed.

use serde::{Deserialize, Serialize};

use crate::guard::evidence::bet::ALTERNATIVES;
use crate::guard::evidence::cells::{CELLS, Cells};

/// The stake on each alternative: four of Lehmann's, three tails.
pub const PRIOR: [f64; ALTERNATIVES] = [0.15, 0.15, 0.15, 0.15, 0.13, 0.13, 0.14];
const LEHMANN: [f64; 4] = [1.5, 2.5, 5.0, 15.0];
const TAIL: [f64; 3] = [0.02, 0.10, 0.40];

/// A forgiven share below this counts as none.
const COLD_ENOUGH: f64 = 0.002;

/// How active's responses fall into the cells, and how the candidate's would if it were worse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; CELLS]", into = "[f64; CELLS]")]
pub struct LatencyReference {
    /// Active's cells: all above zero, and 1 in total.
    q: [f64; CELLS],
    alternatives: [[f64; CELLS]; ALTERNATIVES],
    /// The logarithms of both. They are needed for every block, but change only once a second.
    ln_q: [f64; CELLS],
    ln_alternatives: [[f64; CELLS]; ALTERNATIVES],
}

impl From<[f64; CELLS]> for LatencyReference {
    /// From cells as [`LatencyReference::new`] has left them.
    fn from(q: [f64; CELLS]) -> LatencyReference {
        let mut beyond = [0.0; CELLS - 1];
        let mut below = 0.0;
        for (beyond, q) in beyond.iter_mut().zip(q) {
            below += q;
            *beyond = (1.0 - below).clamp(1e-6, 1.0 - 1e-6);
        }
        let lehmann = LEHMANN.map(|k| cells_of(beyond.map(|s: f64| s.powf(1.0 / k))));
        let tail = TAIL.map(|e| cells_of(beyond.map(|s| (1.0 - e) * s + e)));
        let ([a, b, c, d], [e, f, g]) = (lehmann, tail);
        let alternatives = [a, b, c, d, e, f, g];
        let ln = |cells: [f64; CELLS]| cells.map(f64::ln);
        LatencyReference { q, alternatives, ln_q: ln(q), ln_alternatives: alternatives.map(ln) }
    }
}

impl From<LatencyReference> for [f64; CELLS] {
    fn from(reference: LatencyReference) -> [f64; CELLS] {
        reference.q
    }
}

impl LatencyReference {
    /// From active's shares of the cells, the fastest first.
    pub fn new(q: [f64; CELLS]) -> LatencyReference {
        LatencyReference::from(normal(q, 1e-5))
    }

    /// The logarithms of one block's odds, by alternative. `cold`: the share of the candidate's responses that may be
    /// arbitrarily slow. Without any responses of active, its cells are taken to be these, or faster.
    pub fn gains(&self, candidate: &Cells, active: &Cells, cold: f64) -> [f64; ALTERNATIVES] {
        let (candidate, active) = (candidate.map(f64::from), active.map(f64::from));
        let total = |cells: &[f64; CELLS]| cells.iter().sum::<f64>();
        let of_active = total(&active);
        let share = if of_active > 0.0 { total(&candidate) / (total(&candidate) + of_active) } else { 0.0 };
        let mut gains = [0.0; ALTERNATIVES];
        for ((gain, a), ln_a) in gains.iter_mut().zip(&self.alternatives).zip(&self.ln_alternatives) {
            if cold < COLD_ENOUGH {
                let counts = candidate.iter().zip(&active);
                let cells = a.iter().zip(&self.q).zip(ln_a.iter().zip(&self.ln_q));
                for ((n_g, n_b), ((a, q), (ln_a, ln_q))) in counts.zip(cells).filter(|((g, b), _)| **g + **b > 0.0) {
                    // Each side's odds are taken against the mixture of the two.
                    let mixture = (share * a + (1.0 - share) * q).ln();
                    *gain += n_g * ln_a + n_b * ln_q - (n_g + n_b) * mixture;
                }
            } else {
                let (odds_g, odds_b) = forgiving(a, &self.q, share, cold);
                for (n, odds) in
                    candidate.iter().zip(&odds_g).chain(active.iter().zip(&odds_b)).filter(|(n, _)| **n > 0.0)
                {
                    *gain += n * odds.ln();
                }
            }
        }
        gains
    }
}

/// The odds if a share `c` of the candidate's responses may be arbitrarily slow: the tolerated pairs are `((1−c)p +
/// c·slowest, p)` and everything that is faster on the candidate's side.
///
/// The closest of them to the alternative has `p_i = (s·a_i + (1−s)·q_i)/λ` below the slowest cells. For those together
/// a quadratic equation remains, and they share its root in the proportions of `q`. As few cells count as slowest as
/// are needed to make the odds non-decreasing, so that dominance is enough.
fn forgiving(a: &[f64; CELLS], q: &[f64; CELLS], s: f64, c: f64) -> ([f64; CELLS], [f64; CELLS]) {
    for slowest in (1..CELLS).rev() {
        let (candidate, active) = pooled(a, q, s, c, slowest);
        if let (Some(below), Some(first)) = (candidate.get(slowest - 1), candidate.get(slowest))
            && below <= first
        {
            return (candidate, active);
        }
    }
    ([1.0; CELLS], [1.0; CELLS])
}

/// The odds if the cells from `slowest` on are told apart for active only.
fn pooled(a: &[f64; CELLS], q: &[f64; CELLS], s: f64, c: f64, slowest: usize) -> ([f64; CELLS], [f64; CELLS]) {
    let from = |cells: &[f64; CELLS]| cells.iter().skip(slowest).sum::<f64>();
    let (a_slow, q_slow, warm) = (from(a), from(q), 1.0 - c);
    let mut p = pair(a, q, |a, q| s * a + (1.0 - s) * q);
    let below: f64 = p.iter().take(slowest).sum();
    let active_slow = (1.0 - s) * q_slow;
    let linear = warm * (s * a_slow + active_slow) - c * (active_slow + below);
    let root = (linear * linear + 4.0 * warm * active_slow * c).sqrt();
    // Of the two ways to write the root, this one does not subtract.
    let together = if linear > 0.0 { (linear + root) / (2.0 * warm) } else { 2.0 * active_slow * c / (root - linear) };
    p.iter_mut().take(slowest).for_each(|p| *p *= (1.0 - together) / below);
    let mut candidate = pair(a, &p, |a, p| a / (warm * p));
    let mut active = pair(q, &p, |q, p| q / p);
    candidate.iter_mut().skip(slowest).for_each(|odds| *odds = a_slow / (warm * together + c));
    active.iter_mut().skip(slowest).for_each(|odds| *odds = q_slow / together);
    (candidate, active)
}

fn pair(left: &[f64; CELLS], right: &[f64; CELLS], with: impl Fn(f64, f64) -> f64) -> [f64; CELLS] {
    let mut out = *left;
    out.iter_mut().zip(right).for_each(|(out, right)| *out = with(*out, *right));
    out
}

/// The cells between the survival probabilities at the cuts.
fn cells_of(beyond: [f64; CELLS - 1]) -> [f64; CELLS] {
    let mut cells = [0.0; CELLS];
    let mut before = 1.0;
    for (cell, beyond) in cells.iter_mut().zip(beyond.into_iter().chain([0.0])) {
        *cell = before - beyond;
        before = beyond;
    }
    normal(cells, 1e-7)
}

fn normal(cells: [f64; CELLS], least: f64) -> [f64; CELLS] {
    let cells = cells.map(|cell| cell.max(least));
    let sum: f64 = cells.iter().sum();
    cells.map(|cell| cell / sum)
}
