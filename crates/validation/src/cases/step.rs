//! One step: its request, the answer, and what the report says of both.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cases::RunContext;
use crate::expect::{capture, judge};
use crate::message;
use crate::redact::{HIDDEN, Redactor, is_hidden};
use crate::request::prepare;
use crate::request_numbers::RequestNumbers;
use crate::target::TestTarget;
use config::suite::{Capture, SuiteRequest};
use relay::origin::exchange::OriginResponse;
use wire::{Finding, Message, StepResult};

/// In bytes; a captured value is shown by its beginning.
const LONGEST_VALUE: usize = 300;
/// In bytes; one sentence.
const LONGEST_WHY: usize = 500;

/// Who asks for a case.
#[derive(Debug)]
pub struct StepRunner<'c> {
    pub target: &'c TestTarget,
    pub numbers: &'c RequestNumbers,
    /// Captured variables that nobody is shown.
    pub secrets: &'c [String],
    /// Of several addresses, which.
    pub turn: usize,
}

impl StepRunner<'_> {
    /// Asks, judges, and takes what the steps after it need into `known`.
    pub async fn ask(&self, step: &SuiteRequest, known: &mut RunContext) -> StepResult {
        known.variables.set("unique", self.numbers.unique().to_string());
        let request = match prepare(step, self.target, &known.variables) {
            Ok(request) => request,
            Err(why) => return unsent(step, known, &why),
        };
        self.numbers.send();
        let (asked, took) = self.target.timed(&request, step.timeout.as_duration(), self.turn).await;
        let (failures, captured) = match &asked {
            Ok(answer) => self.look(step, answer, took, known),
            Err(_) => (Vec::new(), BTreeMap::new()),
        };
        let scrub = &known.scrub;
        let error = asked.as_ref().err().map(|unanswered| format!("{} {}", self.target.side.name(), unanswered.why));
        StepResult {
            name: step.name.clone(),
            request: message::request(scrub, self.target, &request),
            response: asked.as_ref().ok().map(|answer| message::answer(scrub, answer)),
            error: error.map(|error| scrub.text(&error)),
            took_ms: took.as_secs_f64() * 1000.0,
            failures: failures.into_iter().map(|finding| scrub.finding(finding)).collect(),
            captured: captured.into_iter().map(|(name, value)| (name, scrub.cut(&value, LONGEST_VALUE))).collect(),
        }
    }

    /// Captured before anything is shown: what is captured may be secret.
    fn look(
        &self,
        step: &SuiteRequest,
        answer: &OriginResponse,
        took: Duration,
        known: &mut RunContext,
    ) -> (Vec<Finding>, BTreeMap<String, String>) {
        let mut failures = judge(&step.expect, answer, took, &known.variables);
        let (values, missing) = capture::all(&step.capture, answer);
        failures.extend(missing);
        let mut shown = BTreeMap::new();
        for (name, value) in values {
            let capture = step.capture.iter().find(|(of, _)| *of == name).map(|(_, capture)| capture);
            let is_secret = self.secrets.contains(&name) || capture.is_some_and(is_private);
            shown.insert(name.clone(), if is_secret { HIDDEN.to_owned() } else { value.clone() });
            known.learn(is_secret, &name, value);
        }
        (failures, shown)
    }
}

/// From a header that nobody is shown.
fn is_private(capture: &Capture) -> bool {
    match capture {
        Capture::Cookie(_) => true,
        Capture::Header(name) => is_hidden(name),
        Capture::Json(_) | Capture::Regex(_) => false,
    }
}

/// Nothing was asked: a variable has no value, or makes no request.
fn unsent(step: &SuiteRequest, known: &RunContext, why: &str) -> StepResult {
    let line = known.scrub.text(&format!("{} {}", step.method, step.path));
    StepResult {
        name: step.name.clone(),
        request: Message { line, ..Message::default() },
        response: None,
        error: Some(known.scrub.text(why)),
        took_ms: 0.0,
        failures: Vec::new(),
        captured: BTreeMap::new(),
    }
}

/// Why a step of a part failed, in one sentence; `None`: it did not.
pub fn why(part: &str, step: &StepResult) -> Option<String> {
    let first = step.failures.first().map(|Finding { what, expected, found, .. }| match step.failures.len() {
        1 => format!("{what}: expected {expected}, found {found}"),
        more => format!("{what}: expected {expected}, found {found}; and {} more", more - 1),
    });
    let words = step.error.clone().or(first)?;
    // The only step of a case has its name, which is not said again.
    let words = if step.name == part { words } else { format!("{}: {words}", step.name) };
    Some(Redactor::default().cut(&words, LONGEST_WHY))
}
