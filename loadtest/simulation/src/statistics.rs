//! Sums over runs: means with their errors, quantiles, and intervals of shares.

use serde_json::{Value, json};

use crate::runs::RuleOutcome;

/// What a rule made of all runs of a cell.
#[derive(Clone, Debug, Default)]
pub struct OutcomeSummary {
    pub runs: usize,
    /// Rolled back after the fault had begun.
    pub found: usize,
    /// Rolled back before it, or where there is none.
    pub early: usize,
    pub failed: MeanInterval,
    pub slow: MeanInterval,
    pub hurt: MeanInterval,
    pub turned_away: MeanInterval,
    pub cautions: MeanInterval,
    /// Seconds from the fault to the candidate's last request: median and nine in ten, of those that were found.
    pub delay: [Option<f64>; 2],
    /// Nine in ten cost less.
    pub failed_ninth: f64,
    pub slow_ninth: f64,
    /// Why it rolled back, and how often.
    pub reasons: Vec<(String, usize)>,
}

/// A mean and its standard error.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanInterval {
    pub mean: f64,
    pub error: f64,
}

impl MeanInterval {
    fn of(values: &[f64]) -> MeanInterval {
        let n = values.len() as f64;
        if values.is_empty() {
            return MeanInterval::default();
        }
        let mean = values.iter().sum::<f64>() / n;
        let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        MeanInterval { mean, error: (spread / n).sqrt() }
    }
}

impl OutcomeSummary {
    pub fn of(seen: &[&RuleOutcome], has_fault: bool) -> OutcomeSummary {
        let early = |seen: &&&RuleOutcome| seen.after.is_some_and(|after| !has_fault || after <= 0.0);
        // A run that was rolled back before its fault has no cost of it.
        let counted: Vec<&&RuleOutcome> = seen.iter().filter(|seen| !has_fault || !early(seen)).collect();
        let values = |value: fn(&RuleOutcome) -> f64| counted.iter().map(|seen| value(seen)).collect::<Vec<f64>>();
        let mean = |value: fn(&RuleOutcome) -> f64| MeanInterval::of(&values(value));
        let delays: Vec<f64> = counted.iter().filter_map(|seen| seen.after).collect();
        let mut reasons: Vec<(String, usize)> = Vec::new();
        for seen in seen.iter().filter(|seen| seen.after.is_some() && !seen.reason.is_empty()) {
            match reasons.iter_mut().find(|(reason, _)| *reason == seen.reason) {
                Some((_, n)) => *n += 1,
                None => reasons.push((seen.reason.clone(), 1)),
            }
        }
        reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        OutcomeSummary {
            runs: seen.len(),
            found: if has_fault { delays.len() } else { 0 },
            early: seen.iter().filter(early).count(),
            failed: mean(|seen| seen.failed),
            slow: mean(|seen| seen.slow),
            hurt: mean(|seen| seen.hurt),
            turned_away: mean(|seen| seen.turned_away),
            cautions: mean(|seen| f64::from(seen.cautions)),
            delay: [0.5, 0.9].map(|q| quantile(&delays, q)),
            failed_ninth: quantile(&values(|seen| seen.failed), 0.9).unwrap_or(0.0),
            slow_ninth: quantile(&values(|seen| seen.slow), 0.9).unwrap_or(0.0),
            reasons,
        }
    }

    pub fn json(&self) -> Value {
        let share = |n: usize| {
            let (low, high) = wilson(n, self.runs);
            json!({ "n": n, "share": n as f64 / self.runs.max(1) as f64, "low": low, "high": high })
        };
        let mean = |mean: &MeanInterval| json!({ "mean": mean.mean, "standard_error": mean.error });
        json!({
            "runs": self.runs,
            "found": share(self.found),
            "false_rollbacks": share(self.early),
            "failed": mean(&self.failed),
            "failed_90": self.failed_ninth,
            "slow": mean(&self.slow),
            "slow_90": self.slow_ninth,
            "hurt": mean(&self.hurt),
            "turned_away": mean(&self.turned_away),
            "cautions": mean(&self.cautions),
            "delay_s": { "median": self.delay[0], "90": self.delay[1] },
            "reasons": self.reasons.iter().map(|(reason, n)| json!([reason, n])).collect::<Vec<_>>(),
        })
    }
}

fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let place = q * last as f64;
    let (low, part) = (place as usize, place.fract());
    Some(sorted[low] * (1.0 - part) + sorted[(low + 1).min(last)] * part)
}

/// The interval that a share lies in with 95 % confidence (Wilson, 1927).
pub fn wilson(hits: usize, of: usize) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    let low = if hits == 0 { 0.0 } else { (middle - half) / scale };
    let high = if hits == of { 1.0 } else { (middle + half) / scale };
    (low.max(0.0), high.min(1.0))
}
