//! One step: its request, its response, and what the report says about both.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cases::context::RunContext;
use crate::expect::{capture, judge};
use crate::message;
use crate::redact::{HIDDEN, Redactor, is_hidden};
use crate::request::prepare;
use crate::request_numbers::RequestNumbers;
use crate::target::TestTarget;
use config::suite::{Capture, SuiteRequest};
use relay::origin::exchange::OriginResponse;
use wire::{Finding, Message, StepResult};

/// In bytes; only the beginning of a captured value is shown.
const LONGEST_VALUE: usize = 300;
/// In bytes; one sentence.
const LONGEST_WHY: usize = 500;

/// Sends the requests of a case.
#[derive(Debug)]
pub struct StepRunner<'c> {
    pub target: &'c TestTarget,
    pub numbers: &'c RequestNumbers,
    /// Captured variables that no report shows.
    pub secrets: &'c [String],
    /// Selects one of several addresses.
    pub turn: usize,
}

impl StepRunner<'_> {
    /// Sends the request, judges the answer, and captures what later steps need into `context`.
    pub async fn ask(&self, step: &SuiteRequest, context: &mut RunContext) -> StepResult {
        context.variables.set("unique", self.numbers.unique().to_string());
        let request = match prepare(step, self.target, &context.variables) {
            Ok(request) => request,
            Err(why) => return unsent(step, context, &why),
        };
        self.numbers.send();
        let (asked, took) = self.target.timed(&request, step.timeout.as_duration(), self.turn).await;
        let (failures, captured) = match &asked {
            Ok(answer) => self.look(step, answer, took, context),
            Err(_) => (Vec::new(), BTreeMap::new()),
        };
        let redactor = &context.redactor;
        let error = asked.as_ref().err().map(|unanswered| format!("{} {}", self.target.side.name(), unanswered.why));
        StepResult {
            name: step.name.clone(),
            request: message::request(redactor, self.target, &request),
            response: asked.as_ref().ok().map(|answer| message::answer(redactor, answer)),
            error: error.map(|error| redactor.text(&error)),
            took_ms: took.as_secs_f64() * 1000.0,
            failures: failures.into_iter().map(|finding| redactor.finding(finding)).collect(),
            captured: captured.into_iter().map(|(name, value)| (name, redactor.cut(&value, LONGEST_VALUE))).collect(),
        }
    }

    /// Captures before anything is shown: what is captured may be secret.
    fn look(
        &self,
        step: &SuiteRequest,
        answer: &OriginResponse,
        took: Duration,
        context: &mut RunContext,
    ) -> (Vec<Finding>, BTreeMap<String, String>) {
        let mut failures = judge(&step.expect, answer, took, &context.variables);
        let (values, missing) = capture::all(&step.capture, answer);
        failures.extend(missing);
        let mut shown = BTreeMap::new();
        for (name, value) in values {
            let capture = step.capture.iter().find(|(of, _)| *of == name).map(|(_, capture)| capture);
            let is_secret = self.secrets.contains(&name) || capture.is_some_and(is_private);
            shown.insert(name.clone(), if is_secret { HIDDEN.to_owned() } else { value.text.clone() });
            context.learn(is_secret, &name, value);
        }
        (failures, shown)
    }
}

/// Whether it captures from a header that is never shown.
fn is_private(capture: &Capture) -> bool {
    match capture {
        Capture::Cookie(_) => true,
        Capture::Header(name) => is_hidden(name),
        Capture::Json(_) | Capture::Regex(_) => false,
    }
}

/// No request was sent: a variable has no value, or makes the request invalid.
fn unsent(step: &SuiteRequest, context: &RunContext, why: &str) -> StepResult {
    let line = context.redactor.text(&format!("{} {}", step.method, step.path));
    StepResult {
        name: step.name.clone(),
        request: Message { line, ..Message::default() },
        response: None,
        error: Some(context.redactor.text(why)),
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
    // The only step of a case has the name of the case, which is not repeated.
    let words = if step.name == part { words } else { format!("{}: {words}", step.name) };
    Some(Redactor::default().cut(&words, LONGEST_WHY))
}
