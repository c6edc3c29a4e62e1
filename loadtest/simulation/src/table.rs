//! The tables, in Markdown and as JSON.

use judgement::guard::evidence::MeterKind;
use serde_json::{Value, json};

use crate::cells::{FaultCell, FaultUnit};
use crate::healthy::HealthyWorld;
use crate::peer_rules::RULES;
use crate::runs::SimulatedRun;
use crate::statistics::{MeanInterval, OutcomeSummary, wilson};

/// A cell with what every rule made of it.
pub struct FaultResult {
    pub cell: FaultCell,
    pub judge: OutcomeSummary,
    pub plain: OutcomeSummary,
    /// In the order of [`RULES`].
    pub peers: Vec<OutcomeSummary>,
    pub seconds: f64,
}

/// A healthy world with what every rule made of it.
pub struct HealthyResult {
    pub healthy: HealthyWorld,
    pub judge: OutcomeSummary,
    pub plain: OutcomeSummary,
    pub peers: Vec<OutcomeSummary>,
    pub seconds: f64,
}

/// Sums up runs: the judge's, the plain triggers', and those of others.
pub fn sum_up(runs: &[SimulatedRun], has_fault: bool) -> (OutcomeSummary, OutcomeSummary, Vec<OutcomeSummary>) {
    let of = |seen: Vec<_>| OutcomeSummary::of(&seen, has_fault);
    let peers = (0..RULES.len()).map(|at| of(runs.iter().filter_map(|run| run.peers.get(at)).collect()));
    let plain = of(runs.iter().filter_map(|run| run.plain.as_ref()).collect());
    (of(runs.iter().map(|run| &run.judge).collect()), plain, peers.collect())
}

impl FaultResult {
    /// What a rule's cost is counted in, in this cell.
    pub fn cost<'a>(&self, summary: &'a OutcomeSummary) -> &'a MeanInterval {
        if self.cell.unit == FaultUnit::Failures { &summary.failed } else { &summary.slow }
    }

    pub fn ratio(&self) -> Option<f64> {
        self.cell.bound().map(|bound| self.judge.failed.mean / bound)
    }

    /// How many times fewer failures than by Flagger's fastest settings.
    pub fn fewer(&self) -> Option<f64> {
        let [fastest, ..] = self.peers.as_slice() else { return None };
        Some(self.cost(fastest).mean / self.cost(&self.judge).mean)
    }

    pub fn json(&self) -> Value {
        json!({
            "group": self.cell.group,
            "cell": self.cell.name,
            "requests_per_second": self.cell.world.rate,
            "weight_percent": self.cell.world.weight(0) * 100.0,
            "unit": if self.cell.unit == FaultUnit::Failures { "failed" } else { "slow" },
            "judge": self.judge.json(),
            "bound": self.cell.bound(),
            "ratio_to_bound": self.ratio(),
            "limiter_binds": self.cell.is_limited(),
            "times_fewer_than_flagger": self.fewer(),
            "plain_triggers": self.plain.json(),
            "peers": peers_json(&self.peers),
            "seconds": self.seconds,
        })
    }
}

impl HealthyResult {
    pub fn json(&self) -> Value {
        json!({
            "world": self.healthy.world.name,
            "target": self.healthy.target,
            "judge": self.judge.json(),
            "plain_triggers": self.plain.json(),
            "peers": peers_json(&self.peers),
            "seconds": self.seconds,
        })
    }
}

fn peers_json(peers: &[OutcomeSummary]) -> Value {
    RULES.iter().zip(peers).map(|((name, _), summary)| ((*name).to_owned(), summary.json())).collect()
}

/// A number as a table has it: three digits, more only where they are before the point.
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => judgement::guard::evidence::grouped(value.round() as u64),
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent >= 10.0 { format!("{percent:.0}") } else { format!("{percent:.2}") }
}

fn head(columns: &[&str]) -> String {
    format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

fn row(columns: &[String]) -> String {
    format!("| {} |\n", columns.join(" | "))
}

/// The cost of another rule: the mean, the median delay, and what is not as it should be.
fn other(measured: &FaultResult, summary: &OutcomeSummary) -> String {
    if summary.runs == 0 {
        return "—".to_owned();
    }
    let cost = number(measured.cost(summary).mean);
    let mut text = match summary.delay[0] {
        None => "never".to_owned(),
        Some(delay) => format!("{cost} ({} s)", number(delay)),
    };
    let counted = summary.runs - summary.early;
    if measured.cell.is_tolerated() {
        return format!("{} % false", percent((summary.found + summary.early) as f64 / summary.runs as f64));
    }
    if summary.found > 0 && summary.found < counted {
        text += &format!(", {} % found", percent(summary.found as f64 / counted as f64));
    }
    if summary.early > 0 {
        text += &format!(", {} % false", percent(summary.early as f64 / summary.runs as f64));
    }
    text
}

/// The judge's cost, with its error.
fn own(measured: &FaultResult) -> [String; 3] {
    let judge = &measured.judge;
    let MeanInterval { mean, error } = measured.cost(judge);
    let ninth = if measured.cell.unit == FaultUnit::Failures { judge.failed_ninth } else { judge.slow_ninth };
    let delay = match judge.delay {
        [Some(median), Some(ninth)] => format!("{median:.2} s, {ninth:.2} s"),
        _ if measured.cell.is_tolerated() => "never, as intended".to_owned(),
        _ => "never".to_owned(),
    };
    let mut found = String::new();
    let counted = judge.runs - judge.early;
    if judge.found < counted && !measured.cell.is_tolerated() {
        found += &format!("; {} % found", percent(judge.found as f64 / counted as f64));
    }
    if judge.early > 0 {
        found += &format!("; {} false", judge.early);
    }
    [format!("**{}** ± {}, {}", number(*mean), number(*error), number(ninth)), delay + &found, number(judge.hurt.mean)]
}

/// The table of a group of cells.
pub fn faults(group: &str, cells: &[FaultResult]) -> String {
    let cells: Vec<&FaultResult> = cells.iter().filter(|measured| measured.cell.group == group).collect();
    let Some(first) = cells.first() else { return String::new() };
    let failures = first.cell.unit == FaultUnit::Failures;
    let mut columns = vec!["candidate"];
    columns.extend(if failures {
        &[
            "judged failures: mean ± error, 90 %",
            "delay: median, 90 %",
            "seen by clients",
            "bound",
            "ratio",
            "Flagger's minimum is",
        ][..]
    } else {
        &["slow responses: mean ± error, 90 %", "delay: median, 90 %"][..]
    });
    columns.push("plain triggers");
    columns.extend(RULES.iter().map(|(name, _)| *name));
    let mut text = format!("### {group}\n\n{}", head(&columns));
    for measured in cells {
        let [cost, delay, hurt] = own(measured);
        let mut cells = vec![measured.cell.name.clone(), cost, delay];
        if failures {
            let limited = if measured.cell.is_limited() { " (limiter)" } else { "" };
            let dash = || "—".to_owned();
            cells.push(hurt);
            cells.push(measured.cell.bound().map_or_else(dash, number));
            cells.push(measured.ratio().map_or_else(dash, |ratio| format!("{ratio:.2}{limited}")));
            cells.push(measured.fewer().map_or_else(dash, |times| format!("× {times:.1}")));
        }
        cells.push(other(measured, &measured.plain));
        cells.extend(measured.peers.iter().map(|summary| other(measured, summary)));
        text += &row(&cells);
    }
    text
}

/// Of the faults that each meter is made for, how many every rule finds in nine of ten runs.
pub fn found(cells: &[FaultResult]) -> String {
    let mut columns = vec!["faults of", "candidates", "judge", "plain triggers"];
    columns.extend(RULES.iter().map(|(name, _)| *name));
    let mut text = format!("### What is found at all, by the meter that is made for it\n\n{}", head(&columns));
    for kind in MeterKind::ALL {
        let of_kind = |measured: &&FaultResult| measured.cell.meter() == Some(kind) && !measured.cell.is_tolerated();
        let faults: Vec<&FaultResult> = cells.iter().filter(of_kind).collect();
        if faults.is_empty() {
            continue;
        }
        let finds = |summary: &OutcomeSummary| 10 * summary.found >= 9 * (summary.runs - summary.early);
        let count = |of: &dyn Fn(&FaultResult) -> Option<&OutcomeSummary>| {
            let tried = faults.iter().filter_map(|measured| of(measured)).filter(|summary| summary.runs > 0);
            let (tried, found) = tried.fold((0, 0), |(tried, found), s| (tried + 1, found + usize::from(finds(s))));
            if tried == 0 { "—".to_owned() } else { format!("{found} of {tried}") }
        };
        let mut row_cells = vec![kind.name().to_owned(), faults.len().to_string()];
        row_cells.push(format!("**{}**", count(&|measured| Some(&measured.judge))));
        row_cells.push(count(&|measured| Some(&measured.plain)));
        row_cells.extend((0..RULES.len()).map(|at| count(&|measured| measured.peers.get(at))));
        text += &row(&row_cells);
    }
    text
}

/// A share with its interval, as percentages.
fn share(summary: &OutcomeSummary) -> String {
    if summary.runs == 0 {
        return "—".to_owned();
    }
    let (low, high) = wilson(summary.early, summary.runs);
    let p = summary.early as f64 / summary.runs as f64;
    format!("{} % ({} to {})", percent(p), percent(low), percent(high))
}

/// The table of the rules of others in healthy worlds.
pub fn long(worlds: &[HealthyResult]) -> String {
    let mut columns = vec!["world, over half an hour", "plain triggers"];
    columns.extend(RULES.iter().map(|(name, _)| *name));
    let mut text = format!("### False rollbacks by others in healthy rollouts of half an hour\n\n{}", head(&columns));
    for HealthyResult { healthy, plain, peers, .. } in worlds {
        let mut cells = vec![healthy.world.name.clone(), share(plain)];
        cells.extend(peers.iter().map(share));
        text += &row(&cells);
    }
    text
}

/// The table of healthy worlds.
pub fn healthy(worlds: &[HealthyResult]) -> String {
    let mut columns = vec!["world", "judge", "interval, 95 %", "cautions", "turned away", "plain triggers"];
    columns.extend(RULES.iter().map(|(name, _)| *name));
    let mut text = format!("### False rollbacks in healthy worlds: 500 requests/s\n\n{}", head(&columns));
    for HealthyResult { healthy, judge, plain, peers, .. } in worlds {
        let (low, high) = wilson(judge.early, judge.runs);
        let reasons: Vec<String> = judge.reasons.iter().map(|(reason, n)| format!("{n} by {reason}")).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!("; {}", reasons.join(", ")) };
        let mut cells = vec![
            healthy.world.name.clone(),
            format!("**{}** of {}{reasons}", judge.early, judge.runs),
            format!("{} % to {} %", percent(low), percent(high)),
            format!("{:.3} per rollout", judge.cautions.mean),
            format!("{} per rollout", number(judge.turned_away.mean)),
            share(plain),
        ];
        let length = (healthy.spec.patience / 1000) as usize;
        cells.extend(RULES.iter().zip(peers).map(|((_, rule), summary)| {
            if rule.soonest() > length { "too short for it".to_owned() } else { share(summary) }
        }));
        text += &row(&cells);
    }
    text
}
