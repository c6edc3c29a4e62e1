//! What the tables come to: the targets, and every cell in which somebody else's rule is better.

use crate::cells::{FaultUnit, LATENCY, REFERENCE, ROUTES};
use crate::peer_rules::RULES;
use crate::statistics::{OutcomeSummary, wilson};
use crate::table::{FaultResult, HealthyResult, number};

/// A promise, whether it is kept, and by what number.
pub struct SimulationTarget {
    pub what: String,
    /// `None`: not in these runs, but they are too few to say that it is not.
    pub kept: Option<bool>,
    pub number: String,
}

impl SimulationTarget {
    pub fn verdict(&self) -> &'static str {
        match self.kept {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "**undecided**",
        }
    }
}

/// What the judge is held to.
pub fn targets(cells: &[FaultResult], worlds: &[HealthyResult]) -> Vec<SimulationTarget> {
    let mut targets = Vec::new();
    for HealthyResult { healthy, judge, .. } in worlds {
        let Some(most) = healthy.target else { continue };
        targets.push(SimulationTarget {
            what: format!("{}: false rollbacks at most {} %", healthy.world.name, most * 100.0),
            kept: match judge.early as f64 <= most * judge.runs as f64 {
                true => Some(true),
                false => (wilson(judge.early, judge.runs).0 > most).then_some(false),
            },
            number: format!("{} of {}", judge.early, judge.runs),
        });
    }
    let mut most =
        |measured: Option<&FaultResult>, what: &str, limit: f64, value: &dyn Fn(&FaultResult) -> Option<f64>| {
            let Some(measured) = measured else { return };
            let value = value(measured);
            targets.push(SimulationTarget {
                what: format!("{}: {what}", measured.cell.name),
                kept: Some(value.is_some_and(|value| value <= limit)),
                number: value.map_or("never".to_owned(), number),
            });
        };
    let find = |group: &str, begins: &str| {
        let named = move |measured: &&FaultResult| measured.cell.name.starts_with(begins);
        cells.iter().filter(move |measured| measured.cell.group == group).find(named)
    };
    let failed = |measured: &FaultResult| Some(measured.judge.failed.mean);
    let delay = |measured: &FaultResult| measured.judge.delay[0];
    let (start, mid) = (find(REFERENCE, "100 % fail, at"), find(REFERENCE, "100 % fail, in"));
    most(start, "at most 30 judged failures on average", 30.0, &failed);
    most(start, "within 0.3 s (median)", 0.3, &delay);
    most(mid, "at most 50 judged failures on average", 50.0, &failed);
    most(mid, "within 0.5 s (median)", 0.5, &delay);
    for measured in [start, mid] {
        let share = |measured: &FaultResult| measured.fewer().map(|times| 1.0 / times);
        most(measured, "at most a fortieth of Flagger's minimum", 1.0 / 40.0, &share);
    }
    for when in ["at", "in"] {
        most(find(REFERENCE, &format!("50 % fail, {when}")), "at most 20 judged failures on average", 20.0, &failed);
        most(find(REFERENCE, &format!("10 % fail, {when}")), "at most 15 judged failures on average", 15.0, &failed);
    }
    let found = |measured: &FaultResult| Some(measured.judge.found as f64);
    for measured in cells.iter().filter(|measured| measured.cell.is_tolerated()) {
        most(Some(measured), "never rolled back", 0.0, &found);
    }
    most(find(LATENCY, "× 2, in"), "at most 120 of the candidate's requests", 120.0, &|m| Some(m.judge.slow.mean));
    // That a fault is on one route of ten is not known to the bound.
    let free = |measured: &&FaultResult| measured.cell.bound().is_some() && !measured.cell.is_limited();
    for measured in cells.iter().filter(free).filter(|measured| measured.cell.group != ROUTES) {
        most(Some(measured), "at most 2.5 times the bound", 2.5, &FaultResult::ratio);
    }
    targets
}

/// The cells in which another rule costs clients less, or is falsely triggered less often, than the judge.
pub fn better(cells: &[FaultResult], worlds: &[HealthyResult]) -> Vec<String> {
    let mut lines = Vec::new();
    for measured in cells.iter().filter(|measured| !measured.cell.is_tolerated()) {
        let rules = RULES.iter().map(|(name, _)| *name).zip(&measured.peers);
        for (name, rule) in rules.chain([("plain triggers", &measured.plain)]) {
            // A rule that never fires costs what it costs; one that fired before the fault has not found it.
            let (theirs, ours) = (measured.cost(rule), measured.cost(&measured.judge));
            if rule.runs == rule.early || rule.found == 0 || theirs.mean >= ours.mean {
                continue;
            }
            let unit = if measured.cell.unit == FaultUnit::Failures { "failures" } else { "slow responses" };
            let share = 100.0 * rule.early as f64 / rule.runs as f64;
            let early = if rule.early > 0 { format!(", and {share:.0} % before the fault") } else { String::new() };
            lines.push(format!(
                "{}: {name} after {} {unit}, the judge after {}{early}",
                measured.cell.name,
                number(theirs.mean),
                number(ours.mean)
            ));
        }
    }
    for HealthyResult { healthy, judge, plain, peers, .. } in worlds {
        let rate = |summary: &OutcomeSummary| summary.early as f64 / summary.runs.max(1) as f64;
        let length = (healthy.spec.patience / 1000) as usize;
        let able = RULES.iter().zip(peers).filter(|((_, rule), _)| rule.soonest() <= length);
        let rules = able.map(|((name, _), summary)| (*name, summary)).chain([("plain triggers", plain)]);
        let fewer = rules.filter(|(_, rule)| rule.runs > 0 && rate(rule) < rate(judge));
        let names: Vec<&str> = fewer.map(|(name, _)| name).collect();
        if !names.is_empty() {
            let rate = 100.0 * rate(judge);
            lines.push(format!(
                "{}: fewer false rollbacks than the judge's {rate:.2} % by {}",
                healthy.world.name,
                names.join(", ")
            ));
        }
    }
    lines
}
