//! JUnit XML, as Jenkins, GitLab and GitHub reporters read it: a test suite for each kind of part on each side, a test
//! case for each part.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::numbers;
use super::visible::{PageBudget, start, visible};
use super::words::{self, PartFailure};
use wire::{Execution, ExecutionState, Outcome, Part, Side};

/// Findings of one part; CI systems show few and store all.
const MOST_FINDINGS: usize = 30;
/// Of a value or a diff.
const VALUE: usize = 4_000;
/// A message is shown on one line.
const MESSAGE: usize = 500;
/// Of the description of one part, and of all together: GitLab reads no report beyond 30 MB.
const DESCRIPTION: usize = 64 << 10;
const DESCRIPTIONS: usize = 8 << 20;
/// Attempts that are listed.
const MOST_RERUNS: u32 = 20;
/// A year: anything longer is not a duration.
const LONGEST_MS: f64 = 31_536_000_000.0;

/// The report as JUnit XML.
///
/// # Errors
/// It cannot be written as XML.
pub fn junit(execution: &Execution) -> Result<String, String> {
    let summary = &execution.summary;
    let mut report = Report::new(plain(&summary.title));
    report.timestamp = summary.began_at.parse().ok();
    report.set_time(Duration::from_millis(summary.took_ms));
    let mut budget = PageBudget::of(DESCRIPTIONS);
    for (kind, side) in kinds() {
        let parts = || execution.parts.iter().filter(|part| words::kind(part) == kind && part.environment() == side);
        if parts().next().is_some() {
            report.add_test_suite(suite(execution, kind, side, parts(), &mut budget));
        }
    }
    if let Some(run) = unfinished(execution) {
        let mut suite = TestSuite::new(plain(&format!("{}: the run", summary.title)));
        suite.timestamp = report.timestamp;
        suite.add_test_case(run);
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| format!("the report cannot be written as XML: {error}"))
}

/// In the order of the page: parts of one side, blue first, then parts about both.
fn kinds() -> impl Iterator<Item = (&'static str, Option<Side>)> {
    let sided = ["case", "load"].into_iter().flat_map(|kind| [Side::Blue, Side::Green].map(|side| (kind, Some(side))));
    sided.chain([("parity", None), ("data", None)])
}

fn suite<'e>(
    execution: &'e Execution,
    kind: &str,
    side: Option<Side>,
    parts: impl Iterator<Item = &'e Part>,
    budget: &mut PageBudget,
) -> TestSuite {
    let summary = &execution.summary;
    let whose = side.map_or("blue and green", Side::name);
    let mut suite = TestSuite::new(plain(&format!("{}: {kind}, {whose}", summary.title)));
    suite.timestamp = summary.began_at.parse().ok();
    suite.add_property(("execution", plain(&summary.id).as_str()));
    suite.add_property(("service", plain(&summary.service).as_str()));
    suite.add_property(("environment", whose));
    if let Some(origin) = side.and_then(|side| execution.origins.get(side.name())) {
        suite.add_property(("origin", plain(origin).as_str()));
    }
    let class = plain(&format!("{}.{}.{kind}", summary.suite, side.map_or("both", Side::name)));
    let mut took = 0.0;
    for part in parts {
        took += part.took_ms();
        let mut case = case(part, budget);
        case.set_classname(class.as_str());
        suite.add_test_case(case);
    }
    suite.set_time(length(took));
    suite
}

fn case(part: &Part, budget: &mut PageBudget) -> TestCase {
    let mut status = match part.outcome() {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Skipped => TestCaseStatus::skipped(),
    };
    if part.outcome() == Outcome::Failed {
        let (failures, all) = words::failures(part, MOST_FINDINGS);
        let first = failures.first().map(|failure| in_a_line(failure, words::values(part)));
        let why = part.why().map(str::to_owned).or(first).unwrap_or_else(|| "failed".to_owned());
        status.set_message(plain(start(&why, MESSAGE)));
        status.set_type(words::kind(part));
        status.set_description(plain(&budget.take(&description(part, &failures, all), DESCRIPTION).text));
    } else if let Some(why) = part.why() {
        status.set_message(plain(start(why, MESSAGE)));
    }
    if let Part::Case(case) = part
        && part.outcome() != Outcome::Skipped
    {
        for _ in 1..case.attempts.min(MOST_RERUNS) {
            let mut rerun = TestRerun::new(NonSuccessKind::Failure);
            rerun.set_message("an attempt failed and was retried").set_type("attempt");
            status.add_rerun(rerun);
        }
    }
    let mut case = TestCase::new(plain(part.name()), status);
    case.set_time(length(part.took_ms()));
    if let Part::Load(_) | Part::Parity(_) | Part::Data(_) = part {
        case.set_system_out(plain(&words::figures(part)));
    }
    case
}

fn description(part: &Part, failures: &[PartFailure], all: usize) -> String {
    let [one, other] = words::values(part);
    let mut text = String::new();
    let mut place = "";
    for failure in failures {
        if failure.place != place {
            place = &failure.place;
            text.push_str(&format!("{place}\n"));
        }
        let finding = &failure.finding;
        if !finding.what.is_empty() {
            let [left, right] = [&finding.expected, &finding.found].map(|value| start(value, VALUE));
            text.push_str(&format!("  {}\n    {one}: {left}\n    {other}: {right}\n", finding.what));
        }
        if let Some(diff) = &finding.diff {
            text.extend(start(diff, VALUE).lines().map(|line| format!("    {line}\n")));
        }
    }
    if let Part::Load(load) = part {
        text.extend(load.examples.iter().take(MOST_FINDINGS).map(|example| format!("{}\n", start(example, VALUE))));
    }
    if all > failures.len() {
        let left = numbers::count((all - failures.len()) as u64);
        text.push_str(&format!("… and {left} more, in the JSON report\n"));
    }
    text
}

fn in_a_line(failure: &PartFailure, values: [&str; 2]) -> String {
    let finding = &failure.finding;
    let what = if finding.what.is_empty() { &failure.place } else { &finding.what };
    let [left, right] = [&finding.expected, &finding.found].map(|value| start(value, MESSAGE));
    match (finding.what.is_empty(), values) {
        (true, _) => what.clone(),
        (false, ["blue", "green"]) => format!("{what}: blue has {left}, green has {right}"),
        (false, [one, other]) => format!("{what}: {one} {left}, {other} {right}"),
    }
}

/// A run that did not finish is not green, whatever its parts say; nor is one that failed although no part did.
fn unfinished(execution: &Execution) -> Option<TestCase> {
    let summary = &execution.summary;
    let has_failure = execution.parts.iter().any(|part| part.outcome() == Outcome::Failed);
    let is_told = match summary.state {
        ExecutionState::Passed => true,
        ExecutionState::Failed => has_failure,
        _ => false,
    };
    if is_told {
        return None;
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(plain(start(&words::verdict(execution), MESSAGE)));
    status.set_type(summary.state.name());
    let mut case = TestCase::new(format!("the run is {}", summary.state.name()), status);
    case.set_classname(plain(&format!("{}.run", summary.suite)));
    Some(case)
}

fn length(ms: f64) -> Duration {
    let ms = if ms.is_finite() { ms.clamp(0.0, LONGEST_MS) } else { 0.0 };
    Duration::from_secs_f64(ms / 1000.0)
}

/// Without characters that XML may not contain: they are made visible.
fn plain(text: &str) -> String {
    visible(text).into_owned()
}
