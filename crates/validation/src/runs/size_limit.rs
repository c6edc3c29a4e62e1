//! Limits the size of a run's record. It is read and shown as a whole, so it is bounded as it grows: when there is no
//! more space, a part is shortened, and says so. Its outcome is never left out.

use std::io::{self, Write};

use wire::{CaseResult, DataResult, Finding, LoadResult, Message, ParityResult, Part, StepResult};

/// In bytes of JSON. Up to here parts are kept whole. Beyond it, up to [`SHORT`], without bodies and headers; beyond
/// that only with their outcome. A suite has so few parts, and is itself so short, that those always fit below what is
/// read.
const WHOLE: usize = 32 << 20;
const SHORT: usize = 40 << 20;
/// In bytes, of a text of a part that is shortened.
const LONGEST: usize = 200;
/// Findings of a step or a pair.
const MOST_FINDINGS: usize = 3;

pub const LEFT_OUT: &str = "… omitted: the report is full";

/// The size of the parts of a run so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordBudget {
    taken: usize,
}

impl RecordBudget {
    /// The part, or as much of it as fits.
    pub fn take(&mut self, part: Part) -> Part {
        self.within(part, WHOLE, SHORT)
    }

    fn within(&mut self, mut part: Part, whole: usize, short: usize) -> Part {
        let mut length = length(&part);
        if self.taken + length > whole {
            shorten(&mut part);
            length = self::length(&part);
        }
        if self.taken + length > short {
            strip(&mut part);
            length = self::length(&part);
        }
        self.taken += length;
        part
    }
}

fn length(part: &Part) -> usize {
    let mut counted = ByteCounter(0);
    // Counting does not fail, and what cannot be serialized is not saved anyway.
    let _ = serde_json::to_writer(&mut counted, part);
    counted.0
}

struct ByteCounter(usize);

impl Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Without bodies and headers, and with the beginnings of the findings.
fn shorten(part: &mut Part) {
    match part {
        Part::Case(case) => case.steps.iter_mut().for_each(|step| {
            let StepResult { name, request, response, error, failures, captured, took_ms: _ } = step;
            cut(name);
            error.iter_mut().for_each(cut);
            [Some(request), response.as_mut()].into_iter().flatten().for_each(message);
            findings(failures);
            captured.clear();
        }),
        Part::Parity(parity) => parity.differences.iter_mut().for_each(|difference| {
            let sides = [Some(&mut difference.request), difference.blue.as_mut(), difference.green.as_mut()];
            sides.into_iter().flatten().for_each(message);
            findings(&mut difference.findings);
        }),
        Part::Data(data) => {
            data.rows.iter_mut().for_each(|row| {
                cut(&mut row.key);
                findings(&mut row.columns);
            });
            findings(&mut data.findings);
        }
        // Numbers.
        Part::Load(_) => {}
    }
}

fn message(message: &mut Message) {
    cut(&mut message.line);
    message.headers.clear();
    if !message.body.is_empty() {
        message.body = LEFT_OUT.to_owned();
    }
}

fn findings(findings: &mut Vec<Finding>) {
    let more = findings.len() > MOST_FINDINGS;
    findings.truncate(MOST_FINDINGS);
    for finding in findings.iter_mut() {
        [&mut finding.what, &mut finding.expected, &mut finding.found].into_iter().for_each(cut);
        finding.diff = None;
    }
    if more {
        findings.push(left_out());
    }
}

fn left_out() -> Finding {
    Finding { what: LEFT_OUT.to_owned(), ..Finding::default() }
}

fn cut(text: &mut String) {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
}

/// Only the outcome.
fn strip(part: &mut Part) {
    match part {
        Part::Case(CaseResult { steps, .. }) if !steps.is_empty() => {
            let (name, took_ms) =
                (format!("{} steps {LEFT_OUT}", steps.len()), steps.iter().map(|step| step.took_ms).sum());
            let failures = Vec::new();
            let (request, captured) = (Message::default(), Default::default());
            *steps = vec![StepResult { name, request, response: None, error: None, took_ms, failures, captured }];
        }
        Part::Case(_) => {}
        Part::Parity(ParityResult { noise, differences, .. }) => {
            differences.clear();
            *noise = vec![LEFT_OUT.to_owned()];
        }
        Part::Data(DataResult { rows, findings, .. }) => {
            rows.clear();
            *findings = vec![left_out()];
        }
        Part::Load(LoadResult { seconds, histogram, examples, .. }) => {
            seconds.clear();
            histogram.clear();
            *examples = vec![LEFT_OUT.to_owned()];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Outcome, Side};

    fn case(steps: usize) -> Part {
        let body = "x".repeat(1000);
        let message = Message { line: "GET /".to_owned(), body, ..Message::default() };
        let found = Finding { found: "y".repeat(500), diff: Some("z".repeat(500)), ..Finding::default() };
        let step = StepResult {
            name: "step".to_owned(),
            request: message.clone(),
            response: Some(message),
            error: None,
            took_ms: 1.0,
            failures: vec![found; 5],
            captured: [("id".to_owned(), "7".to_owned())].into(),
        };
        Part::Case(CaseResult {
            name: "case".to_owned(),
            environment: Side::Green,
            tags: Vec::new(),
            outcome: Outcome::Failed,
            why: Some("it failed".to_owned()),
            took_ms: 2.0,
            attempts: 1,
            steps: vec![step; steps],
        })
    }

    #[test]
    fn a_full_record_takes_parts_without_their_bodies_and_then_only_what_they_came_to() {
        let mut budget = RecordBudget::default();
        let mut took = |part| budget.within(part, 20_000, 24_000);
        assert_eq!(took(case(2)), case(2), "there is room");
        let Part::Case(short) = took(case(2)) else { panic!() };
        assert_eq!(short.steps[0].response.as_ref().unwrap().body, LEFT_OUT);
        assert_eq!((short.steps[0].failures.len(), short.steps.len()), (4, 2));
        assert_eq!(short.steps[0].failures[3].what, LEFT_OUT);
        let stripped = std::iter::repeat_with(|| took(case(2))).take(20).last();
        let Some(Part::Case(stripped)) = stripped else { panic!() };
        assert_eq!((stripped.outcome, stripped.why.as_deref()), (Outcome::Failed, Some("it failed")));
        let names: Vec<&str> = stripped.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["2 steps … omitted: the report is full"]);
        assert!(budget.taken < 32_000, "{}", budget.taken);
    }
}
