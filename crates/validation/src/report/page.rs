//! The HTML page: the verdict, the facts, the summary table, then failures, loads, and what passed.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::exchange::{NAME, SENTENCE};
use super::failure_card::{FailureCard, card};
use super::load_card::{self, LoadCard};
use super::part_list::{self, PartLine};
use super::summary::{self, SummaryGroup};
use super::visible::PageBudget;
use super::words;
use super::{numbers, visible};
use wire::{Execution, ExecutionState, Outcome, RunTarget, Side};

/// Failures that are shown in full.
const MOST_CARDS: usize = 40;
/// Further failures that are only named.
const MOST_NAMED: usize = 500;
/// Limits for content whose length a suite or an origin chooses, with its markup, in bytes: tables and lists of what
/// failed, what passed, the charts and figures of loads, and failures in full. They do not crowd each other out, and
/// together they stay below 3 MB.
const LISTS: usize = 600 << 10;
const PASSED: usize = 400 << 10;
const LOADS: usize = 600 << 10;
const FAILURES: usize = 1_000 << 10;

const STYLE: &str = include_str!("page.css");

#[derive(Template)]
#[template(path = "page.html", config = "src/report/askama.toml")]
struct ReportPage {
    policy: String,
    style: &'static str,
    /// `passed`, `failed`, `stopped` or `running`.
    class: &'static str,
    word: &'static str,
    why: String,
    counts: String,
    title: String,
    progress: Option<(u64, u64, String)>,
    facts: Vec<(&'static str, Vec<String>)>,
    sides: Vec<&'static str>,
    groups: Vec<SummaryGroup>,
    rows_left_out: String,
    failed: u64,
    cards: Vec<FailureCard>,
    named: Vec<PartLine>,
    named_more: String,
    skipped: Vec<PartLine>,
    skipped_more: String,
    skipped_count: u64,
    loads: Vec<LoadCard>,
    passed: Vec<PartLine>,
    passed_more: String,
    passed_count: u64,
    cutover: String,
    id: String,
}

/// The whole report as one page. It loads nothing and runs no script, so it can be mailed or archived.
pub fn html(execution: &Execution) -> String {
    // Rendering fails only where writing to a string does.
    page(execution).render().unwrap_or_default()
}

fn page(execution: &Execution) -> ReportPage {
    let budget = &mut PageBudget::of(LISTS);
    let in_full = &mut PageBudget::of(FAILURES);
    let summary = &execution.summary;
    let parts = &execution.parts;
    let sides: Vec<Side> = shown_sides(execution);
    let failing: Vec<usize> =
        (0..parts.len()).filter(|at| parts.get(*at).is_some_and(|part| part.outcome() == Outcome::Failed)).collect();
    let (why, title) = (budget.take(&words::verdict(execution), SENTENCE).text, budget.take(&summary.title, NAME).text);
    let facts = facts(execution, budget);
    let (loads, load_links) = load_card::cards(parts, &mut PageBudget::of(LOADS));
    let load_of = |at: usize| load_links.iter().find(|(other, _)| *other == at).map(|(_, id)| id.clone());
    let cards: Vec<FailureCard> = failing
        .iter()
        .take(MOST_CARDS)
        .filter_map(|at| Some(card(parts.get(*at)?, format!("part-{}", at + 1), load_of(*at), in_full)))
        .collect();
    let link = |at: usize| match failing.iter().position(|other| *other == at) {
        Some(place) if place < MOST_CARDS => format!("part-{}", at + 1),
        Some(_) => "further".to_owned(),
        None => load_of(at).unwrap_or_default(),
    };
    let (groups, left_out) = summary::groups(parts, &sides, link, budget);
    let named = failing.iter().skip(MOST_CARDS).take(MOST_NAMED);
    let named: Vec<PartLine> = named.map_while(|at| part_list::line(parts.get(*at)?, budget)).collect();
    let (skipped, skipped_more, skipped_count) = part_list::lines(parts, Outcome::Skipped, budget);
    let (passed, passed_more, passed_count) = part_list::lines(parts, Outcome::Passed, &mut PageBudget::of(PASSED));
    ReportPage {
        policy: policy(),
        style: STYLE,
        class: class(summary.state),
        word: words::state(summary.state),
        why,
        counts: words::counts(execution),
        title,
        progress: progress(execution, budget),
        facts,
        sides: sides.into_iter().map(Side::name).collect(),
        groups,
        rows_left_out: if left_out == 0 { String::new() } else { numbers::of(left_out, "more row", "more rows") },
        failed: failing.len() as u64,
        named_more: super::exchange::more(failing.len() as u64, (cards.len() + named.len()) as u64),
        cards,
        named,
        skipped,
        skipped_more,
        skipped_count,
        loads,
        passed,
        passed_more,
        passed_count,
        cutover: budget.take(&execution.cutover, NAME).text,
        id: budget.take(&summary.id, NAME).text,
    }
}

/// No resources, no script, and only the page's own style.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

const fn class(state: ExecutionState) -> &'static str {
    match state {
        ExecutionState::Passed => "passed",
        ExecutionState::Failed => "failed",
        ExecutionState::Cancelled | ExecutionState::Interrupted => "stopped",
        ExecutionState::Queued | ExecutionState::Running => "running",
    }
}

fn progress(execution: &Execution, budget: &mut PageBudget) -> Option<(u64, u64, String)> {
    let summary = &execution.summary;
    let progress = &summary.progress;
    let is_of_use = !matches!(summary.state, ExecutionState::Passed | ExecutionState::Failed) && progress.all > 0;
    is_of_use.then(|| (progress.done.min(progress.all), progress.all, budget.take(&progress.doing, NAME).text))
}

/// The sides of the run, and any other that a part is about.
fn shown_sides(execution: &Execution) -> Vec<Side> {
    let of_run = execution.summary.target.sides();
    let is_shown =
        |side: &Side| of_run.contains(side) || execution.parts.iter().any(|part| part.environment() == Some(*side));
    [Side::Blue, Side::Green].into_iter().filter(is_shown).collect()
}

fn facts(execution: &Execution, budget: &mut PageBudget) -> Vec<(&'static str, Vec<String>)> {
    let summary = &execution.summary;
    let against = match summary.target {
        RunTarget::Both => "blue and green".to_owned(),
        one => one.name().to_owned(),
    };
    let length = numbers::length(summary.took_ms);
    let took = if summary.state.is_over() { length } else { format!("{length} so far") };
    let mut suite = vec![summary.title.clone()];
    suite.extend(Some(format!("{}.toml", summary.suite)).filter(|_| summary.suite != summary.title));
    let mut facts = vec![
        ("Suite", suite),
        ("Service", vec![summary.service.clone()]),
        ("Against", vec![against]),
        ("Started by", vec![summary.who.clone()]),
        ("Started", vec![numbers::date(summary.began_at_ms)]),
        ("Duration", vec![took]),
        ("Requests", vec![numbers::count(summary.counts.requests)]),
    ];
    if !execution.origins.is_empty() {
        facts.push(("Origins", execution.origins.iter().map(|(side, url)| format!("{side} {url}")).collect()));
    }
    facts.extend(summary.not_kept.clone().map(|why| ("Not saved", vec![why])));
    let mut kept = |text: &String| budget.take(visible::start(text, SENTENCE), SENTENCE).text;
    facts.into_iter().map(|(what, lines)| (what, lines.iter().map(&mut kept).collect())).collect()
}
