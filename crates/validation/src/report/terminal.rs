//! What the terminal shows after a run: a table of all parts, each failure, and the verdict as the last line.

use comfy_table::{ContentArrangement, Table, presets};

use super::numbers;
use super::visible::{line, start};
use super::words::{self, PartFailure};
use wire::{Execution, ExecutionState, Outcome, Part, Side};

/// Rows of the table. Of more parts, those that passed are only counted.
const MOST_ROWS: usize = 100;
/// Failures in words; the page has them all.
const MOST_FAILURES: usize = 20;
const MOST_FINDINGS: usize = 8;
/// Of a value.
const VALUE: usize = 300;
/// Lines of a diff.
const MOST_DIFF: usize = 30;
/// Narrower, a table is a column of letters.
const NARROWEST: u16 = 40;

const PASSED: &str = "32";
const FAILED: &str = "31";
const FAINT: &str = "2";
const BOLD: &str = "1";

/// The run as text for a terminal with this many columns; `colour`: with ANSI colours. Control characters from an
/// origin are made visible.
pub fn text(execution: &Execution, colour: bool, width: u16) -> String {
    let paint = Painter(colour);
    let mut out: Vec<String> = Vec::new();
    if !execution.parts.is_empty() {
        out.extend(table(&execution.parts, paint, width.max(NARROWEST)));
        out.push(String::new());
    }
    let mut failed = execution.parts.iter().filter(|part| part.outcome() == Outcome::Failed);
    for part in failed.by_ref().take(MOST_FAILURES) {
        failure(part, paint, &mut out);
        out.push(String::new());
    }
    let left = failed.count() as u64;
    if left > 0 {
        out.push(format!("… and {}, in the report", numbers::of(left, "more failure", "more failures")));
        out.push(String::new());
    }
    if let Some(why) = &execution.summary.not_kept {
        out.push(format!(
            "This record could not be saved, and will be lost when Cutover exits: {}",
            line(start(why, VALUE))
        ));
    }
    out.push(verdict(execution, paint));
    out.join("\n")
}

fn table(parts: &[Part], paint: Painter, width: u16) -> Vec<String> {
    let is_short = parts.len() <= MOST_ROWS;
    let is_shown = |part: &&Part| is_short || part.outcome() != Outcome::Passed;
    let shown: Vec<&Part> = parts.iter().filter(is_shown).take(MOST_ROWS).collect();
    let left_out = parts.len() - shown.len();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.set_header(["", "PART", "KIND", "ENVIRONMENT", "OUTCOME", "TIME", "FIGURES"]);
    for part in &shown {
        table.add_row([
            sign(part.outcome()).to_owned(),
            line(start(part.name(), VALUE)),
            words::kind(part).to_owned(),
            part.environment().map_or("both", Side::name).to_owned(),
            words::outcome(part.outcome()).to_owned(),
            numbers::ms(part.took_ms()),
            // A case has none but its time.
            if let Part::Case(_) = part { String::new() } else { words::figures(part) },
        ]);
    }
    let signed = |line: &str| {
        let trimmed = line.trim_start();
        let of = |outcome| trimmed.starts_with(sign(outcome)).then_some(outcome);
        let outcome = [Outcome::Passed, Outcome::Failed, Outcome::Skipped].into_iter().find_map(of);
        match (outcome, trimmed.split_once(' ')) {
            (Some(outcome), Some((sign, rest))) => format!(" {} {}", paint.outcome(outcome, sign), rest.trim_end()),
            _ => line.trim_end().to_owned(),
        }
    };
    let mut lines: Vec<String> = table.lines().map(|line| signed(&line)).collect();
    if left_out > 0 {
        lines.push(format!("   … and {}", numbers::of(left_out as u64, "more part", "more parts")));
    }
    lines
}

fn failure(part: &Part, paint: Painter, out: &mut Vec<String>) {
    let on = part.environment().map_or(String::new(), |side| format!(" on {}", side.name()));
    let name = format!("{}{on}", line(start(part.name(), VALUE)));
    out.push(format!("{} {}", paint.outcome(Outcome::Failed, sign(Outcome::Failed)), paint.with(BOLD, &name)));
    let (failures, all) = words::failures(part, MOST_FINDINGS);
    // Why a case failed is its first finding, in one sentence.
    let is_told = matches!(part, Part::Case(_)) && !failures.is_empty();
    if let Some(why) = part.why().filter(|_| !is_told) {
        out.push(format!("  {}", line(start(why, VALUE * 2))));
    }
    let [left, right] = words::values(part);
    let mut place = "";
    for PartFailure { place: at, finding } in &failures {
        if at != place {
            place = at;
            out.push(format!("  {}", line(start(at, VALUE))));
        }
        if !finding.what.is_empty() {
            out.push(format!("    {}", paint.with(BOLD, &line(start(&finding.what, VALUE)))));
            out.push(format!("      {} {}", paint.with(FAINT, &format!("{left:8}")), value(&finding.expected)));
            out.push(format!("      {} {}", paint.with(FAINT, &format!("{right:8}")), value(&finding.found)));
        }
        if let Some(diff) = &finding.diff {
            out.extend(diff.lines().take(MOST_DIFF).map(|text| format!("      {}", diff_line(text, paint))));
        }
    }
    if all > failures.len() {
        out.push(format!("    … and {} more", numbers::count((all - failures.len()) as u64)));
    }
    if let Part::Load(load) = part {
        out.extend(load.examples.iter().take(MOST_FINDINGS).map(|text| format!("    {}", line(start(text, VALUE)))));
    }
}

fn value(text: &str) -> String {
    let kept = start(text, VALUE);
    let cut = if kept.len() < text.len() { "…" } else { "" };
    format!("{}{cut}", line(kept))
}

fn diff_line(text: &str, paint: Painter) -> String {
    let shown = line(start(text, VALUE));
    match text.as_bytes().first() {
        Some(b'+') => paint.with(PASSED, &shown),
        Some(b'-') => paint.with(FAILED, &shown),
        _ => shown,
    }
}

fn verdict(execution: &Execution, paint: Painter) -> String {
    let summary = &execution.summary;
    let colour = match summary.state {
        ExecutionState::Passed => PASSED,
        ExecutionState::Failed => FAILED,
        _ => BOLD,
    };
    let sign = match summary.state {
        ExecutionState::Passed => sign(Outcome::Passed),
        ExecutionState::Failed => sign(Outcome::Failed),
        _ => sign(Outcome::Skipped),
    };
    let state = paint.with(colour, &format!("{sign} {}", words::state(summary.state)));
    let why = line(start(&words::verdict(execution), VALUE * 2));
    format!("{state}: {why} ({}, {})", words::counts(execution), numbers::length(summary.took_ms))
}

const fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✓",
        Outcome::Failed => "✗",
        Outcome::Skipped => "–",
    }
}

#[derive(Clone, Copy)]
struct Painter(bool);

impl Painter {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn outcome(self, outcome: Outcome, text: &str) -> String {
        let code = match outcome {
            Outcome::Passed => PASSED,
            Outcome::Failed => FAILED,
            Outcome::Skipped => FAINT,
        };
        self.with(code, text)
    }
}
