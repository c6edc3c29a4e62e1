//! The cases of a suite on one side: what must be there first, the cases, and what is put away afterwards.

mod step;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use crate::cases::step::{StepRunner, why};
use crate::progress::ProgressTracker;
use crate::redact::Redactor;
use crate::request_numbers::RequestNumbers;
use crate::target::TestTarget;
use crate::variables::Variables;
use config::suite::{Case, Suite, SuiteRequest};
use memory::clock;
use wire::{CaseResult, Outcome, Part, Side, StepResult};

/// Before the first retry; doubled before each further one. An origin that starts cold is there after a moment.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A run must end.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a step knows, and what of it nobody is shown.
#[derive(Clone, Debug, Default)]
pub struct RunContext {
    pub variables: Variables,
    pub scrub: Redactor,
}

impl RunContext {
    /// What a suite's first step knows on a side: `run`, `environment`, `unique` and the suite's own variables; and why one
    /// of those has no value, if so. `scrub`: what is secret beside the suite's own secrets, which are added.
    pub fn of(suite: &Suite, side: Side, run: &str, numbers: &RequestNumbers) -> (RunContext, Option<String>) {
        let mut scrub = Redactor::default();
        suite.secrets.iter().for_each(|secret| scrub.hide(secret));
        let mut known = RunContext { variables: Variables::default(), scrub };
        known.variables.set("run", run);
        known.variables.set("environment", side.name());
        known.variables.set("unique", numbers.unique().to_string());
        let mut stuck = None;
        for (variable, text) in &suite.variables {
            match known.variables.expand(text) {
                Ok(value) => known.learn(suite.secret_names.contains(variable), variable, value),
                Err(why) => stuck = stuck.or(Some(format!("the variable `{variable}`: {why}"))),
            }
        }
        (known, stuck)
    }
}

/// A suite on one side. What `setup` has captured stays here when the future that ran it is dropped, so that
/// [`SideRunner::teardown`] can put away what a cancelled run has made.
#[derive(Debug)]
pub struct SideRunner {
    suite: Arc<Suite>,
    target: TestTarget,
    told: ProgressTracker,
    numbers: RequestNumbers,
    /// As many as there are cases, `setup` and `teardown`.
    found: UnboundedSender<Part>,
    state: Mutex<SideState>,
}

#[derive(Debug)]
struct SideState {
    known: RunContext,
    /// Something of the suite was asked here: there may be something to put away.
    begun: bool,
    torn_down: bool,
    /// Why no case can be tried.
    stuck: Option<String>,
}

impl SideRunner {
    /// `scrub`: what is secret beside the suite's own secrets. Every result goes into `found` as soon as it is there; the
    /// cases' own in the order in which they end.
    pub fn new(
        suite: Arc<Suite>,
        target: TestTarget,
        run: &str,
        told: ProgressTracker,
        numbers: RequestNumbers,
        found: UnboundedSender<Part>,
    ) -> SideRunner {
        let (known, stuck) = RunContext::of(&suite, target.side, run, &numbers);
        let state = Mutex::new(SideState { known, begun: false, torn_down: false, stuck });
        SideRunner { suite, target, told, numbers, found, state }
    }

    /// Where it is.
    pub fn target(&self) -> &TestTarget {
        &self.target
    }

    /// Why nothing can be tried here, once setup has failed.
    pub fn stuck(&self) -> Option<String> {
        self.look(|state| state.stuck.clone())
    }

    /// Setup, every case, and teardown.
    pub async fn run(&self) {
        // Why it failed is in its own result, and in that of every case.
        let _ = self.setup().await;
        self.cases().await;
        self.teardown().await;
    }

    /// What every case needs. Its result is a case named `setup`, if there are steps.
    ///
    /// # Errors
    /// In words why nothing that comes after it can be tried.
    pub async fn setup(&self) -> Result<(), String> {
        if self.suite.setup.is_empty() || self.look(|state| state.stuck.is_some()) {
            return self.look(|state| state.stuck.clone()).map_or(Ok(()), Err);
        }
        self.told.doing(format!("setup, on {}", self.target.side.name()));
        let began = clock::micros();
        let mut known = self.look(|state| {
            state.begun = true;
            state.known.clone()
        });
        let (steps, why) = self.steps("setup", &self.suite.setup, &mut known, true).await;
        let why_not = why.as_ref().map(|why| format!("setup failed: {why}"));
        self.look(|state| state.stuck = why_not.clone());
        self.give("setup", &[], steps, why, began, 1);
        why_not.map_or(Ok(()), Err)
    }

    /// Something is asked here that is no case: there may be something to put away.
    pub fn begin(&self) {
        self.look(|state| state.begun = true);
    }

    /// Every case of the suite, so many at once as it says. None is tried where setup failed: they are skipped.
    pub async fn cases(&self) {
        if let Some(why) = self.look(|state| state.stuck.clone()) {
            self.suite.cases.iter().for_each(|case| self.skip(case, &why));
            return;
        }
        let mut running = FuturesUnordered::new();
        for case in &self.suite.cases {
            if running.len() >= self.suite.concurrency {
                running.next().await;
            }
            running.push(self.case(case));
        }
        while running.next().await.is_some() {}
    }

    /// Puts away what was made, every step whatever became of the one before. Its result is a case named `teardown`, if
    /// there are steps. Does nothing where nothing was begun, or where it has run already.
    pub async fn teardown(&self) {
        if self.suite.teardown.is_empty() || self.look(|state| !state.begun || state.torn_down) {
            return;
        }
        self.told.doing(format!("teardown, on {}", self.target.side.name()));
        let began = clock::micros();
        let mut known = self.known();
        let (mut steps, mut first_why) = (Vec::new(), None);
        for step in &self.suite.teardown {
            let (done, why) = self.steps("teardown", std::slice::from_ref(step), &mut known, false).await;
            steps.extend(done);
            first_why = first_why.or(why);
        }
        self.look(|state| state.torn_down = true);
        self.give("teardown", &[], steps, first_why, began, 1);
    }

    /// What the rest of a run knows on this side: the suite's variables, and what setup has captured.
    pub fn known(&self) -> RunContext {
        self.look(|state| state.known.clone())
    }

    async fn case(&self, case: &Case) {
        self.told.doing(format!("{}, on {}", case.name, self.target.side.name()));
        let began = clock::micros();
        // Whatever an attempt has learned to hide stays hidden in the next one.
        let mut scrub = self.look(|state| {
            state.begun = true;
            state.known.scrub.clone()
        });
        let mut pause = FIRST_PAUSE;
        let mut attempts = 1;
        loop {
            let mut known = RunContext { scrub, ..self.known() };
            let (steps, why) = self.steps(&case.name, &case.steps, &mut known, false).await;
            if why.is_none() || attempts > case.retries {
                self.told.done(1);
                return self.give(&case.name, &case.tags, steps, why, began, attempts);
            }
            scrub = known.scrub;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempts += 1;
        }
    }

    /// Step after step of a part up to the first that fails, and why it did. `shared`: what they capture is everybody's.
    async fn steps(
        &self,
        part: &str,
        steps: &[SuiteRequest],
        known: &mut RunContext,
        shared: bool,
    ) -> (Vec<StepResult>, Option<String>) {
        // All of them go to one address, of several: what the first one made may be known there only.
        let turn = usize::try_from(self.numbers.unique()).unwrap_or(0);
        let caller =
            StepRunner { target: &self.target, numbers: &self.numbers, secrets: &self.suite.secret_names, turn };
        let (mut done, mut failed) = (Vec::with_capacity(steps.len()), None);
        for step in steps {
            let result = caller.ask(step, known).await;
            if shared {
                self.look(|state| state.known = known.clone());
            }
            failed = why(part, &result);
            done.push(result);
            if failed.is_some() {
                break;
            }
        }
        // What one case learns to hide the others hide from then on.
        known.scrub = self.look(|state| {
            state.known.scrub = state.known.scrub.and(&known.scrub);
            state.known.scrub.clone()
        });
        done.iter_mut().for_each(|step| known.scrub.step(step));
        (done, failed.map(|why| known.scrub.text(&why)))
    }

    fn skip(&self, case: &Case, why: &str) {
        self.told.done(1);
        self.send(CaseResult {
            name: case.name.clone(),
            environment: self.target.side,
            tags: case.tags.clone(),
            outcome: Outcome::Skipped,
            why: Some(why.to_owned()),
            took_ms: 0.0,
            attempts: 0,
            steps: Vec::new(),
        });
    }

    fn give(
        &self,
        name: &str,
        tags: &[String],
        steps: Vec<StepResult>,
        why: Option<String>,
        began: u64,
        attempts: u32,
    ) {
        self.send(CaseResult {
            name: name.to_owned(),
            environment: self.target.side,
            tags: tags.to_vec(),
            outcome: if why.is_none() { Outcome::Passed } else { Outcome::Failed },
            why,
            took_ms: clock::micros().saturating_sub(began) as f64 / 1000.0,
            attempts,
            steps,
        });
    }

    fn send(&self, result: CaseResult) {
        // Whoever does not listen any more does not want it.
        let _ = self.found.send(Part::Case(result));
    }

    fn look<T>(&self, act: impl FnOnce(&mut SideState) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RunContext {
    /// A variable; a secret one is shown to nobody from now on.
    pub fn learn(&mut self, is_secret: bool, name: &str, value: String) {
        if is_secret {
            self.scrub.hide(&value);
            // A body is shown with other spaces than it was captured with.
            if let Ok(parts @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(&value) {
                hide_all(&mut self.scrub, &parts);
            }
        }
        self.variables.set(name, value);
    }
}

fn hide_all(scrub: &mut Redactor, value: &Value) {
    match value {
        Value::String(text) => scrub.hide(text),
        Value::Array(items) => items.iter().for_each(|item| hide_all(scrub, item)),
        Value::Object(fields) => fields.values().for_each(|value| hide_all(scrub, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
