//! The cases of a suite on one side: setup, cases and teardown.

pub mod context;
mod step;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use crate::cases::context::RunContext;
use crate::cases::step::{StepRunner, why};
use crate::progress::ProgressTracker;
use crate::request_numbers::RequestNumbers;
use crate::target::TestTarget;
use config::suite::{Case, Suite, SuiteRequest};
use memory::clock;
use wire::{CaseResult, Outcome, Part, StepResult};

/// Before the first retry; doubled before each further one. An origin that starts cold is ready after a moment.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A run must end.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Runs a suite on one side. What `setup` has captured stays here when the future that ran it is dropped, so that
/// [`SideRunner::teardown`] can remove what a cancelled run has made.
#[derive(Debug)]
pub struct SideRunner {
    suite: Arc<Suite>,
    target: TestTarget,
    progress: ProgressTracker,
    numbers: RequestNumbers,
    /// Gets one result per case, `setup` and `teardown`.
    found: UnboundedSender<Part>,
    state: Mutex<SideState>,
}

#[derive(Debug)]
struct SideState {
    context: RunContext,
    /// A request was sent to this side, so there may be something to tear down.
    begun: bool,
    torn_down: bool,
    /// Why no case can run.
    stuck: Option<String>,
}

impl SideRunner {
    /// Every result is sent to `found` as soon as it is known; the
    /// results of cases in the order in which they end.
    pub fn new(
        suite: Arc<Suite>,
        target: TestTarget,
        run: &str,
        progress: ProgressTracker,
        numbers: RequestNumbers,
        found: UnboundedSender<Part>,
    ) -> SideRunner {
        let (context, stuck) = RunContext::of(&suite, target.side, run, &numbers);
        let state = Mutex::new(SideState { context, begun: false, torn_down: false, stuck });
        SideRunner { suite, target, progress, numbers, found, state }
    }

    /// Where it is.
    pub fn target(&self) -> &TestTarget {
        &self.target
    }

    /// Why nothing can run here, once setup has failed.
    pub fn stuck(&self) -> Option<String> {
        self.look(|state| state.stuck.clone())
    }

    /// Setup, every case, and teardown.
    pub async fn run(&self) {
        // Its own result and that of every case say why it failed.
        let _ = self.setup().await;
        self.cases().await;
        self.teardown().await;
    }

    /// Runs the steps that every case needs. Their result is a case named `setup`, if there are steps.
    ///
    /// # Errors
    /// Why nothing that depends on it can run.
    pub async fn setup(&self) -> Result<(), String> {
        if self.suite.setup.is_empty() || self.look(|state| state.stuck.is_some()) {
            return self.look(|state| state.stuck.clone()).map_or(Ok(()), Err);
        }
        self.progress.doing(format!("setup on {}", self.target.side.name()));
        let began = clock::micros();
        let mut context = self.look(|state| {
            state.begun = true;
            state.context.clone()
        });
        let (steps, why) = self.steps("setup", &self.suite.setup, &mut context, true).await;
        let why_not = why.as_ref().map(|why| format!("setup failed: {why}"));
        self.look(|state| state.stuck = why_not.clone());
        self.give("setup", &[], steps, why, began, 1);
        why_not.map_or(Ok(()), Err)
    }

    /// Something other than a case sends requests here: there may be something to tear down.
    pub fn begin(&self) {
        self.look(|state| state.begun = true);
    }

    /// Runs every case, as many at once as the suite says. If setup failed they are skipped.
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

    /// Runs every teardown step, even if the one before it failed. Their result is a case named `teardown`, if
    /// there are steps. Does nothing if nothing was begun, or if it has run already.
    pub async fn teardown(&self) {
        if self.suite.teardown.is_empty() || self.look(|state| !state.begun || state.torn_down) {
            return;
        }
        self.progress.doing(format!("teardown on {}", self.target.side.name()));
        let began = clock::micros();
        let mut context = self.context();
        let (mut steps, mut first_why) = (Vec::new(), None);
        for step in &self.suite.teardown {
            let (done, why) = self.steps("teardown", std::slice::from_ref(step), &mut context, false).await;
            steps.extend(done);
            first_why = first_why.or(why);
        }
        self.look(|state| state.torn_down = true);
        self.give("teardown", &[], steps, first_why, began, 1);
    }

    /// The context for the rest of a run on this side: the suite's variables, and what setup has captured.
    pub fn context(&self) -> RunContext {
        self.look(|state| state.context.clone())
    }

    async fn case(&self, case: &Case) {
        self.progress.doing(format!("{} on {}", case.name, self.target.side.name()));
        let began = clock::micros();
        // What one attempt learns to hide stays hidden in the next one.
        let mut redactor = self.look(|state| {
            state.begun = true;
            state.context.redactor.clone()
        });
        let mut pause = FIRST_PAUSE;
        let mut attempts = 1;
        loop {
            let mut context = RunContext { redactor, ..self.context() };
            let (steps, why) = self.steps(&case.name, &case.steps, &mut context, false).await;
            if why.is_none() || attempts > case.retries {
                self.progress.done(1);
                return self.give(&case.name, &case.tags, steps, why, began, attempts);
            }
            redactor = context.redactor;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempts += 1;
        }
    }

    /// Runs the steps of a part up to the first that fails, and says why it did. `shared`: all parts see what they
    /// capture.
    async fn steps(
        &self,
        part: &str,
        steps: &[SuiteRequest],
        context: &mut RunContext,
        shared: bool,
    ) -> (Vec<StepResult>, Option<String>) {
        // All steps go to the same address of several: what the first one made may exist only there.
        let turn = usize::try_from(self.numbers.unique()).unwrap_or(0);
        let caller =
            StepRunner { target: &self.target, numbers: &self.numbers, secrets: &self.suite.secret_names, turn };
        let (mut done, mut failed) = (Vec::with_capacity(steps.len()), None);
        for step in steps {
            let result = caller.ask(step, context).await;
            if shared {
                self.look(|state| state.context = context.clone());
            }
            failed = why(part, &result);
            done.push(result);
            if failed.is_some() {
                break;
            }
        }
        // Secrets that one case captures are hidden by all others from then on.
        context.redactor = self.look(|state| {
            state.context.redactor = state.context.redactor.and(&context.redactor);
            state.context.redactor.clone()
        });
        done.iter_mut().for_each(|step| context.redactor.step(step));
        (done, failed.map(|why| context.redactor.text(&why)))
    }

    fn skip(&self, case: &Case, why: &str) {
        self.progress.done(1);
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
        // The run is over if nobody receives it.
        let _ = self.found.send(Part::Case(result));
    }

    fn look<T>(&self, act: impl FnOnce(&mut SideState) -> T) -> T {
        act(&mut self.state.lock())
    }
}

#[cfg(test)]
mod tests;
