//! The words that every report uses for the results of parts.

use super::numbers;
use wire::{
    DataResult, Execution, ExecutionState, Finding, LimitResult, LoadResult, OriginResources, Outcome, Part,
    RelativeLimit, RowHow,
};

pub const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}

pub const fn kind(part: &Part) -> &'static str {
    match part {
        Part::Case(_) => "case",
        Part::Load(_) => "load",
        Part::Parity(_) => "parity",
        Part::Data(_) => "data",
    }
}

/// A state with a capital letter.
pub const fn state(state: ExecutionState) -> &'static str {
    match state {
        ExecutionState::Queued => "Queued",
        ExecutionState::Running => "Running",
        ExecutionState::Passed => "Passed",
        ExecutionState::Failed => "Failed",
        ExecutionState::Cancelled => "Cancelled",
        ExecutionState::Interrupted => "Interrupted",
    }
}

/// The sentence below the verdict: the run's own, or what its state means.
pub fn verdict(execution: &Execution) -> String {
    let summary = &execution.summary;
    if !summary.verdict.is_empty() {
        return summary.verdict.clone();
    }
    match summary.state {
        ExecutionState::Queued => "Waiting for other runs.".to_owned(),
        ExecutionState::Running => "Still running.".to_owned(),
        ExecutionState::Passed => "Everything passed.".to_owned(),
        ExecutionState::Failed => format!("{} failed.", numbers::of(summary.counts.failed, "part", "parts")),
        ExecutionState::Cancelled => "Cancelled before it finished.".to_owned(),
        ExecutionState::Interrupted => "Cutover stopped while it was running.".to_owned(),
    }
}

/// `11 passed, 3 failed, 1 not tried`.
pub fn counts(execution: &Execution) -> String {
    let counts = &execution.summary.counts;
    let mut all = vec![format!("{} passed", numbers::count(counts.passed))];
    if counts.failed > 0 {
        all.push(format!("{} failed", numbers::count(counts.failed)));
    }
    if counts.skipped > 0 {
        all.push(format!("{} skipped", numbers::count(counts.skipped)));
    }
    all.join(", ")
}

/// The figures of a part beside its outcome: `p95 182ms`, `1,204 compared, 3 differ`.
pub fn figures(part: &Part) -> String {
    match part {
        _ if part.outcome() == Outcome::Skipped => String::new(),
        Part::Case(case) if case.attempts > 1 => {
            format!("{}, {}", numbers::ms(case.took_ms), numbers::of(case.attempts.into(), "attempt", "attempts"))
        }
        Part::Case(case) => numbers::ms(case.took_ms),
        Part::Load(load) => {
            let unjudged = if load.unjudged.is_empty() { String::new() } else { format!("; {}", unjudged(load)) };
            let (p95, failed) = (numbers::ms(load.latency.p95), numbers::percent(load.error_rate));
            let resources: String = resources(load).iter().map(|said| format!(", {said}")).collect();
            format!("p95 {p95}, {failed} failed{resources}{unjudged}")
        }
        Part::Parity(parity) => {
            let differing = numbers::of(parity.differing, "differs", "differ");
            format!("{} compared, {differing}", numbers::count(parity.compared))
        }
        Part::Data(data) => of_data(data),
    }
}

/// `p95 not judged: blue is active itself`.
pub fn unjudged(load: &LoadResult) -> String {
    let what: Vec<String> = load.unjudged.iter().map(|what| what.replace('_', " ")).collect();
    let side = load.environment.name();
    format!("{} not judged: {side} is active itself", what.join(", "))
}

/// What the origins used: `origin 1.2 cores and 143 MiB`, `active 0.9 cores and 120 MiB`; or why that is not known.
pub fn resources(load: &LoadResult) -> Vec<String> {
    let of_active = load.active.as_ref().and_then(|active| active.resources.as_ref());
    let all = [("origin", load.resources.as_deref()), ("active", of_active)];
    all.into_iter().filter_map(|(name, resources)| Some(format!("{name} {}", of_origin(resources?)))).collect()
}

fn of_origin(resources: &OriginResources) -> String {
    match (&resources.used, &resources.why) {
        (Some(used), _) => format!("{} and {}", numbers::cores(used.cores), numbers::bytes(used.memory_peak_bytes)),
        (None, why) => format!("not measured: {}", why.as_deref().unwrap_or("for an unknown reason")),
    }
}

fn of_data(data: &DataResult) -> String {
    let rows = [data.blue.rows, data.green.rows].into_iter().flatten().max();
    let violations = data.blue.violations.unwrap_or(0) + data.green.violations.unwrap_or(0);
    // Nothing was compared: the databases could not be queried.
    if data.outcome == Outcome::Failed && data.findings.is_empty() && data.rows_differing == 0 {
        return "could not be compared".to_owned();
    }
    match (rows, data.check.as_str()) {
        (_, "integrity") => numbers::of(violations, "violation", "violations"),
        (Some(rows), _) => {
            let mut all = vec![numbers::of(rows, "row", "rows")];
            let more = [
                (data.rows_differing, numbers::of(data.rows_differing, "differs", "differ")),
                (data.rows_settled, format!("{} agreed later", numbers::count(data.rows_settled))),
            ];
            all.extend(more.into_iter().filter(|(count, _)| *count > 0).map(|(_, words)| words));
            all.join(", ")
        }
        (None, _) if data.findings.is_empty() => "the same".to_owned(),
        (None, _) => numbers::of(data.findings.len() as u64, "difference", "differences"),
    }
}

/// A limit as what was expected and what was found, with units.
pub fn limit(limit: &LimitResult) -> Finding {
    let in_units = |number: f64| match limit.what.as_str() {
        "error_rate" => numbers::percent(number),
        "throughput" => numbers::rate(number),
        // How much the memory of this process grew in a soak.
        "memory" => numbers::percent(number),
        "origin_cpu" => numbers::cores(number),
        "origin_memory" => numbers::bytes(number as u64),
        _ => numbers::ms(number),
    };
    let is_of_origin = limit.what.starts_with("origin_");
    let sign = if limit.what == "throughput" { "at least" } else { "at most" };
    Finding {
        what: limit.what.replace('_', " "),
        expected: match limit.relative {
            Some(RelativeLimit { times, active: 0.0 }) if is_of_origin => format!("{sign} {times} × active's"),
            Some(RelativeLimit { times, active }) => {
                format!("{sign} {} ({times} × active's {})", in_units(limit.limit), in_units(active))
            }
            None => format!("{sign} {}", in_units(limit.limit)),
        },
        found: if is_of_origin && limit.found == 0.0 && !limit.held {
            "unknown".to_owned()
        } else {
            in_units(limit.found)
        },
        diff: None,
    }
}

pub const fn row(how: RowHow) -> &'static str {
    match how {
        RowHow::MissingInGreen => "is missing in green",
        RowHow::MissingInBlue => "is missing in blue",
        RowHow::Differs => "differs",
    }
}

/// A failure of a part: its place, what was expected, and what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct PartFailure {
    /// `read attempts: GET https://…`, `GET https://…`; empty: the part itself.
    pub place: String,
    pub finding: Finding,
}

/// Whether the two values of a finding are those of blue and green.
pub const fn is_of_both(part: &Part) -> bool {
    matches!(part, Part::Parity(_) | Part::Data(_))
}

/// The headings of a part's two values.
pub fn values(part: &Part) -> [&'static str; 2] {
    // A violation of an integrity query is on one side, which is named with the row.
    let violated = matches!(part, Part::Data(data) if data.check == "integrity");
    if is_of_both(part) && !violated { ["blue", "green"] } else { ["expected", "found"] }
}

/// The failures of a part, at most `most`; and how many there are in total.
pub fn failures(part: &Part, most: usize) -> (Vec<PartFailure>, usize) {
    let at = |place: &str, finding: &Finding| PartFailure { place: place.to_owned(), finding: finding.clone() };
    let all: Vec<PartFailure> = match part {
        Part::Case(case) => {
            let steps = case.steps.iter().flat_map(|step| {
                // The only step of a case has its name.
                let name = if step.name == case.name { String::new() } else { format!("{}: ", step.name) };
                let place = format!("{name}{}", step.request.line);
                let error = step.error.as_ref().map(|error| Finding {
                    what: "answer".to_owned(),
                    expected: "a complete response".to_owned(),
                    found: error.clone(),
                    diff: None,
                });
                let findings = error.into_iter().chain(step.failures.iter().cloned());
                findings.map(move |finding| PartFailure { place: place.clone(), finding })
            });
            steps.collect()
        }
        Part::Load(load) => {
            load.limits.iter().filter(|limit| !limit.held).map(|broken| at("", &limit(broken))).collect()
        }
        Part::Parity(parity) => {
            let places = parity.differences.iter();
            places
                .flat_map(|place| place.findings.iter().map(move |finding| at(&place.request.line, finding)))
                .collect()
        }
        Part::Data(data) => {
            let rows = data.rows.iter().flat_map(|differing| {
                let place = format!("{} {}", differing.key, row(differing.how));
                let whole = differing.columns.is_empty().then(Finding::default);
                let columns = differing.columns.iter().cloned().chain(whole);
                columns.map(move |finding| PartFailure { place: place.clone(), finding })
            });
            rows.chain(data.findings.iter().map(|finding| at("", finding))).collect()
        }
    };
    let count = all.len();
    (all.into_iter().take(most).collect(), count)
}
