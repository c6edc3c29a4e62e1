//! Evidence: how certain it is that the candidate is worse than tolerated, by a test that is valid however often one
//! looks.
//!
//! Five meters bet on it: on failures, on slowness, on requests that hang, on responses that refuse or redirect the
//! client, and on those of an unusual shape. Each has a share of the stake, half of it on the whole service and half on
//! its routes. Their total wealth is the evidence, because a weighted sum of
//! e-values is an e-value. At `1/α : 1` the candidate is rolled back. The book in `docs/` says this in operators'
//! terms; [`bet`], [`rate_odds`] and [`latency_odds`] name the sources of the formulas.

pub mod bet;
pub mod broken_routes;
pub mod cells;
mod clients;
pub mod latency_cuts;
pub mod latency_odds;
pub mod meter;
pub mod meters;
pub mod rate_odds;
pub mod remembered;
mod rescues;
pub mod stalls;
pub mod standstill;
pub mod tape;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::guard::evidence::latency_cuts::WidestGap;
use crate::guard::shape::Oddity;
use crate::time::Millis;

/// The number of meters.
pub const METERS: usize = 5;

/// The evidence that failures must bring for a rollback, in nats: the stake on a fault that is there from the candidate's
/// first request on must grow to `1/α`.
pub fn threshold_of_errors(alpha: f64) -> f64 {
    (1.0 / (alpha * MeterKind::Errors.share() * bet::AT_START)).ln()
}

/// What a meter measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum MeterKind {
    Errors,
    Latency,
    Stalls,
    /// Responses that refuse a client or send it elsewhere: 4xx, and 3xx but for 304.
    Refusals,
    /// Responses that have success and are odd: see [`crate::guard::shape`].
    Shape,
}

impl MeterKind {
    /// The index in every array of all, which lets arrays be mapped.
    pub const ALL: [MeterKind; METERS] =
        [MeterKind::Errors, MeterKind::Latency, MeterKind::Stalls, MeterKind::Refusals, MeterKind::Shape];

    /// Its part of the stake.
    pub const fn share(self) -> f64 {
        match self {
            MeterKind::Errors => 0.45,
            MeterKind::Latency => 0.27,
            MeterKind::Stalls => 0.18,
            MeterKind::Refusals => 0.06,
            MeterKind::Shape => 0.04,
        }
    }

    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// The name under which a rollback by this meter is counted.
    pub const fn reason(self) -> &'static str {
        match self {
            MeterKind::Errors => "evidence of errors",
            MeterKind::Latency => "evidence of slowness",
            MeterKind::Stalls => "evidence of stalls",
            MeterKind::Refusals => "evidence of refusals",
            MeterKind::Shape => "evidence of odd responses",
        }
    }
}

/// A verdict needs this many bad responses from the candidate, whatever the odds.
pub const LEAST_BAD: u64 = 3;

/// Responses of one side, and how many of them were bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideCounts {
    pub all: u64,
    pub bad: u64,
}

/// What one meter contributes, and what it has seen since its evidence began to rise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeterEvidence {
    pub meter: MeterKind,
    /// `None` for the whole service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Odds `x : 1`, with the meter's share of the stake included.
    pub evidence: f64,
    /// Bad responses of the candidate since the evidence was last below 1.
    pub bad: u64,
    pub span: Millis,
    pub candidate: SideCounts,
    pub active: SideCounts,
    /// For slowness: the cut that separates the two sides best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<WidestGap>,
    /// For stalls: how long a request may take before it counts as hung.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Millis>,
    /// For shape: what is odd about most of the candidate's responses that are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oddity: Option<Oddity>,
    /// Active got no traffic to compare with: the share of its responses that was bad at its worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
}

/// What the judge sees of all meters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CombinedEvidence {
    /// The total evidence, `x : 1`.
    pub total: f64,
    /// The meters that contribute most, the largest first.
    pub parts: Vec<MeterEvidence>,
    /// The smallest failure rate that would have been detected by now; `None` if none would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<f64>,
    /// The resolution that is enough here, because active's own failures hide a candidate's, and because the plan asks
    /// for no more requests than it does; `None` in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough: Option<f64>,
    /// How certain it is that the candidate is better than active, `x : 1`.
    #[serde(default)]
    pub better: f64,
    /// Active gets no traffic to compare with, so only the triggers say what is enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// All the routes that are broken, if any is: by odds of [`SERIOUS`] that none is named without being it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// As many requests have come as the plan wants.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_for: bool,
}

/// Without any failures of active, a fault of this rate must have been detectable by now, or the candidate is not called
/// healthy.
pub const RESOLVED: f64 = 0.05;
/// Odds that are no verdict yet, and yet too high for a step to end.
pub const SERIOUS: f64 = 20.0;

impl CombinedEvidence {
    /// The meter that convicts the candidate, if the evidence does.
    pub fn verdict(&self, alpha: f64) -> Option<&MeterEvidence> {
        let leading = self.parts.first()?;
        (self.total >= 1.0 / alpha && leading.bad >= LEAST_BAD).then_some(leading)
    }

    /// The routes that are broken beside the one that is named anyway, in words.
    pub fn also_broken(&self, named: Option<&str>) -> Option<String> {
        let others: Vec<&str> = self.broken.iter().map(String::as_str).filter(|route| Some(*route) != named).collect();
        match (others.as_slice(), named) {
            ([], _) => None,
            (others, None) => Some(format!("; worse on {}", others.join(", "))),
            (others, Some(_)) => Some(format!("; also worse on {}", others.join(", "))),
        }
    }

    /// Whether enough is known of the candidate to call it healthy. `any`: a trigger has seen what it needs.
    pub fn is_enough(&self, any: bool) -> bool {
        if self.alone {
            return any || self.asked_for;
        }
        let resolved = self.resolution.is_some_and(|rate| rate <= self.enough.unwrap_or(RESOLVED));
        resolved || self.is_better()
    }

    /// Whether the candidate is better than active by evidence: it may be what mends it.
    pub fn is_better(&self) -> bool {
        self.better >= SERIOUS
    }
}

impl MeterEvidence {
    /// The sentence for a rollback: what both sides did over the same time, and how certain the verdict is.
    pub fn sentence(&self, total: f64, active: &str, candidate: &str) -> String {
        let place = self.route.as_ref().map_or(String::new(), |route| format!("on route {route}, "));
        let MeterEvidence { span, candidate: c, active: a, .. } = self;
        let (c_bad, c_all, a_bad, a_all) = (grouped(c.bad), grouped(c.all), grouped(a.bad), grouped(a.all));
        let none = format!("and {active} had no requests");
        let other = if a.all == 0 { none.clone() } else { format!("{active} {a_bad} of {a_all}") };
        let what = match (self.meter, self.edge, self.patience) {
            (MeterKind::Latency, Some(gap), _) => format!(
                "{candidate} takes over {} for {} of {c_all}, {active} over {} for {} of {a_all}",
                millis(gap.candidate_micros),
                grouped(gap.candidate),
                millis(gap.active_micros),
                grouped(gap.active)
            ),
            (MeterKind::Stalls, _, Some(patience)) => {
                let other = if a.all == 0 { none } else { format!("{a_bad} of {a_all} to {active}") };
                format!("{c_bad} of {c_all} requests to {candidate} hang for over {patience}, {other}")
            }
            (MeterKind::Refusals, ..) => {
                format!("{candidate} answers {c_bad} of {c_all} with 4xx or a redirect, {other}")
            }
            (MeterKind::Shape, ..) => {
                format!("{candidate} answers {c_bad} of {c_all} with {}, {other}", self.odd(active))
            }
            _ => format!("{candidate} fails {c_bad} of {c_all}, {other}"),
        };
        let mut certain = format!("evidence {} that {candidate} is worse than tolerated", odds(total));
        if self.meter == MeterKind::Shape {
            certain += " (if that is meant, set `compare_shape = false`)";
        }
        match self.before {
            None => format!("{place}{what} over the same {span}: {certain}"),
            Some(_) => format!("{place}{}: {certain}", self.alone(active, candidate)),
        }
    }

    fn odd(&self, active: &str) -> String {
        self.oddity.map_or_else(|| "an unusual response".to_owned(), |oddity| oddity.words(active))
    }

    /// What the candidate did and what active had done before, where active gets no traffic to compare with.
    fn alone(&self, active: &str, candidate: &str) -> String {
        let MeterEvidence { span, candidate: SideCounts { all, bad }, .. } = *self;
        let (all, bad) = (grouped(all), grouped(bad));
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let before = percent(self.before.unwrap_or_default());
        match (self.meter, self.edge, self.patience) {
            (MeterKind::Latency, Some(gap), _) => format!(
                "{candidate} takes over {} for {} of {all} within {span}, {active} took over {} for {} in its worst five minutes",
                millis(gap.candidate_micros),
                grouped(gap.candidate),
                millis(gap.active_micros),
                percent(gap.before.unwrap_or_default())
            ),
            (MeterKind::Stalls, _, Some(patience)) => format!(
                "{bad} of {all} requests to {candidate} hang for over {patience} within {span}, {before} did to {active} in its worst five minutes"
            ),
            (MeterKind::Refusals, ..) => format!(
                "{candidate} answers {bad} of {all} with 4xx or a redirect within {span}, {active} {before} in its worst five minutes"
            ),
            (MeterKind::Shape, ..) => format!(
                "{candidate} answers {bad} of {all} with {} within {span}, {active} {before} in its worst five minutes",
                self.odd(active)
            ),
            _ => format!(
                "{candidate} fails {bad} of {all} within {span}, {active} failed {before} in its worst five minutes"
            ),
        }
    }
}

/// Evidence for human readers, with two significant digits.
pub fn odds(evidence: f64) -> String {
    match evidence {
        e if e > 1e9 => "over 1,000,000,000 : 1".to_owned(),
        e if e >= 10.0 => {
            let unit = 10_f64.powi(e.log10() as i32 - 1);
            format!("{} : 1", grouped(((e / unit).round() * unit) as u64))
        }
        e => format!("{e:.1} : 1"),
    }
}

/// A number with a comma every three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn millis(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{:.1} ms", micros as f64 / 1000.0),
        10_000..10_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests;
