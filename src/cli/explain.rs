//! `cutover explain`: shows what the judge saw and what it cost, and judges it again.

use anyhow::Context;

use crate::cli::history::JournalArg;
use crate::cli::output::say;
use crate::cli::terminal::Terminal;
use crate::cli::{Exit, Output, chart, time_of_day};
use judgement::guard::evidence::tape::{EvidencePoint, EvidenceTape};
use judgement::guard::evidence::{CombinedEvidence, MeterEvidence, grouped, odds};
use judgement::guard::outside_metric::{FigureLevel, FigureRecord};
use judgement::guard::trigger::TriggerLevel;
use judgement::guard::window::WindowSample;
use judgement::guard::{EvidenceBudget, GuardPolicy, Observation, Verdict, judge};
use judgement::rollout::ledger::{RolloutLedger, rescues_in_words};
use judgement::rollout::{ChangeKind, Component, DurableState, JournalChange, JudgementRecord};
use judgement::time::Millis;
use judgement::traffic::Environment;
use sidecar::journal::{JournalQuery, JournalReader};

#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The entry's number, as `cutover history` shows it. Default: the latest rollback.
    #[arg(value_parser = entry_number)]
    id: Option<u64>,
    #[command(flatten)]
    journal: JournalArg,
    /// Print text or JSON.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Prints lines, each wrapped to the terminal.
macro_rules! tell {
    ($($text:tt)*) => {
        for line in format!($($text)*).split('\n') {
            say!("{}", Terminal::stdout().wrap(line, 4));
        }
    };
}

fn entry_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "an entry is a number: `cutover history` lists them".to_owned())
}

fn latest_rollback(journal: &JournalReader) -> anyhow::Result<u64> {
    let query = JournalQuery { kind: Some(ChangeKind::Rollback), limit: 1, ..JournalQuery::default() };
    let page = journal.page(&query)?;
    let latest = page.entries.first().map(|entry| entry.change.id);
    latest.context("nothing was rolled back so far; name an entry: `cutover history` lists them")
}

pub fn run(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let journal = args.journal.open()?;
    let id = match args.id {
        Some(id) => id,
        None => latest_rollback(&journal)?,
    };
    let broken = journal.broken_up_to(id)?;
    let Some(entry) = journal.entry(id)? else {
        let anchor = journal.anchor()?.id;
        if (1..=anchor).contains(&id) {
            anyhow::bail!("entry {id} is gone: entries up to {anchor} were removed ([state] keep and keep_size)");
        }
        anyhow::bail!("there is no entry {id}: `cutover history` lists them");
    };
    if args.output == Output::Json {
        crate::cli::output::json(&entry)?;
        return Ok(if broken.is_none() { Exit::Ok } else { Exit::Failed });
    }
    let change = &entry.change;
    tell!("entry {} of {}, generation {}", change.id, time_of_day(entry.at), change.generation);
    let place = if change.service.is_empty() { String::new() } else { format!(" on {}", change.service) };
    tell!("{}{place} by {}: {}", change.kind.name(), change.who, change.why);
    if let (Some(before), Some(after)) = (&change.before, &change.after) {
        let weight = turn(&before.weight, &after.weight);
        tell!("weight {weight}, active {}", turn(&before.active, &after.active));
    }
    overlay(change)?;
    if let Some(latch) = change.after.as_ref().and_then(|after| after.latch.as_ref())
        && latch.entry != change.id
    {
        let gone = if latch.entry <= journal.anchor()?.id { ", an entry that has been removed" } else { "" };
        tell!("latched by the rollback of entry {}{gone}: {}", latch.entry, latch.reason);
    }
    let replays = match (&change.evidence, &change.figure) {
        (Some(evidence), _) => show(evidence)?,
        (None, Some(figure)) => show_figure(figure, change)?,
        (None, None) if change.who == Component::Plan.name() => {
            tell!("not judged again: the plan decided, by what its reason says");
            true
        }
        (None, None) => {
            tell!("not judged: it follows from what somebody asked for or did, or is a rollout's final cost");
            true
        }
    };
    ledger(&journal, change)?;
    if let Some(at) = broken {
        tell!("\nALTERED: entry {at} does not follow from the one before it, so none of this is proof");
    }
    Ok(if replays && broken.is_none() { Exit::Ok } else { Exit::Failed })
}

/// What was set at run time before and after, where that has changed.
fn overlay(change: &JournalChange) -> anyhow::Result<()> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return Ok(()) };
    for edit in before.overlay.edits_to(&after.overlay) {
        tell!("\n{} {}, set at run time:", edit.what, edit.name);
        let old = edit.before.unwrap_or_default().lines().map(|line| ("-", line));
        let new = edit.after.unwrap_or_default().lines().map(|line| ("+", line));
        for (side, line) in old.chain(new) {
            tell!("  {side} {line}");
        }
    }
    Ok(())
}

/// Judges the figure of another system again; false if it is not bad.
fn show_figure(figure: &FigureRecord, change: &JournalChange) -> anyhow::Result<bool> {
    let FigureRecord { metric, seen } = figure;
    let subject = change.before.as_ref().or(change.after.as_ref()).map(DurableState::subject);
    let side = subject.unwrap_or(Environment::Green);
    tell!("\n{}", metric.sentence(seen, side.other().name(), side.name()));
    let is_bad = matches!(metric.judge(seen), Ok(FigureLevel::Bad(_)));
    let hold = if metric.hold > Millis::ZERO { format!(", for {}", metric.hold) } else { String::new() };
    match is_bad {
        true => tell!("judged again: bad{hold}"),
        false => tell!("NOT bad: the entry was altered, or made by another version"),
    }
    Ok(is_bad)
}

/// Prints what was seen, and judges it again; false if the verdict differs.
fn show(evidence: &JudgementRecord) -> anyhow::Result<bool> {
    let JudgementRecord { policy, sight, judgement, tape } = evidence;
    let mut replays = true;
    if let (Some(budget), Some(weighed)) = (&policy.evidence, &sight.evidence) {
        replays = meters(budget, weighed, tape.as_ref())?;
    }
    triggers(policy, sight)?;
    let again = judge(policy, sight);
    let verdict = match &again.verdict {
        Verdict::Healthy => "healthy".to_owned(),
        Verdict::Unhealthy(reason) => format!("unhealthy: {}", reason.name),
        Verdict::Insufficient { missing } => missing.words().to_owned(),
    };
    tell!("\njudged again: {verdict}");
    match (again == *judgement, replays) {
        (true, true) => tell!("the same verdict as recorded"),
        (true, false) => tell!("NOT the recorded evidence: the entry was altered, or made by another version"),
        (false, _) => tell!("NOT the recorded verdict: the entry was altered, or made by another version"),
    }
    Ok(again == *judgement && replays)
}

/// Prints the meters, and runs the leading one again; returns false if its evidence differs.
fn meters(budget: &EvidenceBudget, weighed: &CombinedEvidence, tape: Option<&EvidenceTape>) -> anyhow::Result<bool> {
    let sure = 1.0 / budget.alpha;
    tell!("\nevidence that the candidate is worse than tolerated: {} ({} decides)", odds(weighed.total), odds(sure));
    for part in &weighed.parts {
        let place = part.route.as_ref().map_or(String::new(), |route| format!(" on {route}"));
        let name = format!("{}{place}", part.meter.name());
        tell!("  {name:<24} {:>16}   {}", odds(part.evidence), counts(part));
    }
    if let Some(rate) = weighed.resolution {
        tell!("  a failure rate of {:.1} % or more would have shown by then", rate * 100.0);
    }
    let (Some(tape), Some(leading)) = (tape, weighed.parts.first()) else { return Ok(true) };
    let (points, meter) = tape.replay();
    let place = leading.route.as_ref().map_or(String::new(), |route| format!(" on {route}"));
    tell!("\nevidence of {}{place} since it began to rise:", leading.meter.name());
    let risen: Vec<EvidencePoint> = std::iter::once(EvidencePoint { at: tape.from, evidence: tape.start.evidence() })
        .chain(points.iter().copied())
        .collect();
    for line in chart::lines(&risen, sure) {
        say!("  {line}");
    }
    let same = (meter.evidence() / leading.evidence - 1.0).abs() < 1e-6;
    let how = if same { "as recorded" } else { "NOT as recorded" };
    tell!("recomputed over its {} ticks: {}, {how}", points.len(), odds(meter.evidence()));
    Ok(same)
}

/// What both sides have done since a meter's evidence began to rise.
fn counts(MeterEvidence { span, candidate: c, active: a, edge, before, .. }: &MeterEvidence) -> String {
    if c.all + a.all == 0 {
        return "has not risen".to_owned();
    }
    let (bad_c, bad_a, over) = match edge {
        Some(edge) => (edge.candidate, edge.active, [edge.candidate_micros, edge.active_micros].map(over)),
        None => (c.bad, a.bad, [" bad", ""].map(str::to_owned)),
    };
    let [over_c, over_a] = over;
    let of = |bad: u64, all: u64| format!("{} of {}", grouped(bad), grouped(all));
    if let Some(before) = before {
        let share = 100.0 * edge.and_then(|edge| edge.before).unwrap_or(*before);
        return format!("candidate {}{over_c}, in {span}; active {share:.2} %{over_a} at its worst", of(bad_c, c.all));
    }
    format!("candidate {}{over_c}, active {}{over_a}, in {span}", of(bad_c, c.all), of(bad_a, a.all))
}

fn over(micros: u64) -> String {
    format!(" over {:.1} ms", micros as f64 / 1000.0)
}

/// The values before and after, or one of them if they are equal.
fn turn<T: PartialEq + std::fmt::Display>(before: &T, after: &T) -> String {
    if before == after { after.to_string() } else { format!("{before} -> {after}") }
}

fn triggers(policy: &GuardPolicy, sight: &Observation) -> anyhow::Result<()> {
    if sight.readings.is_empty() {
        return Ok(());
    }
    tell!("\ntriggers{}:", sight.route.as_ref().map_or(String::new(), |route| format!(" on route {route}")));
    for (trigger, reading) in policy.triggers.iter().zip(&sight.readings) {
        let beyond = if trigger.metric.is_bad_below() { "below" } else { "above" };
        let (level, value) = match trigger.level(reading) {
            TriggerLevel::TooFew => ("too few responses", None),
            TriggerLevel::Within => ("within the limit", None),
            TriggerLevel::Beyond(value) => ("past the limit, not yet for long enough", Some(value)),
            TriggerLevel::Shared(value) => ("past the limit on both sides", Some(value)),
            TriggerLevel::Fired(value) => ("FIRED", Some(value)),
        };
        let value = value.map_or(String::new(), |value| format!(" at {}", trigger.metric.show(value)));
        tell!(
            "  {:<26} {} {beyond} {} for {}: {level}{value}",
            trigger.name,
            trigger.metric.name(),
            trigger.metric.show(trigger.limit),
            trigger.hold
        );
        if matches!(trigger.level(reading), TriggerLevel::Fired(_) | TriggerLevel::Shared(_) | TriggerLevel::Beyond(_))
        {
            tell!("  {:<26}   candidate {}, active {}", "", sample(&reading.candidate), sample(&reading.active));
        }
    }
    Ok(())
}

fn sample(sample: &WindowSample) -> String {
    if sample.answers == 0 {
        return format!("no requests in {}", sample.span);
    }
    let p95 = sample.p95_us.map_or(String::new(), |micros| format!(", p95 {:.1} ms", micros as f64 / 1000.0));
    format!("{} of {} failed in {}{p95}", sample.failed, sample.answers, sample.span)
}

/// What the rollout has cost: its final cost if that is known, otherwise the cost until then.
fn ledger(journal: &JournalReader, change: &JournalChange) -> anyhow::Result<()> {
    let Some(known) = &change.ledger else { return Ok(()) };
    let last = journal.final_ledger(&change.service, known.rollout)?;
    let ledger = last.as_ref().unwrap_or(known);
    let RolloutLedger { rollout, requests, keys, failed, rescued, hurt, turned_away, cautions, .. } = ledger;
    tell!("\ncost of rollout {rollout}{}:", if ledger.closed { "" } else { " so far" });
    let keys = if *keys > 0 { format!(", from about {} sticky keys", grouped(*keys)) } else { String::new() };
    tell!("  requests to the candidate   {}{keys}", grouped(*requests));
    if ledger.left + ledger.waiting > 0 {
        tell!("  left by their clients       {}, still waiting {}", grouped(ledger.left), grouped(ledger.waiting));
    }
    tell!(
        "  of these failed             {}, {}, {} seen by clients",
        grouped(*failed),
        rescues_in_words(ledger.served_again(), *rescued),
        grouped(*hurt)
    );
    let times = match cautions {
        0 => String::new(),
        1 => "; caution began once".to_owned(),
        n => format!("; caution began {n} times"),
    };
    tell!("  turned away by caution      {}{times}", grouped(*turned_away));
    let to = ledger.verdict.unwrap_or(change.uptime);
    let from_there = |at: Millis| match at > to {
        true => format!("{} after", at.since(to)),
        false => format!("{} before", to.since(at)),
    };
    let what = if ledger.verdict.is_some() { "the verdict" } else { "this entry" };
    if let Some(first) = ledger.first_failure {
        tell!("  first failure               {} {what}", from_there(first));
    }
    if let Some(last) = ledger.last_request {
        tell!("  last request                {} {what}", from_there(last));
    }
    Ok(())
}
