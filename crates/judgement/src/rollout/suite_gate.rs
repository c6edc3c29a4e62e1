//! The gate: a step's suites run while it bakes, and the step is left only when they have passed.
//!
//! They are ordered whenever a step is entered, and again if nobody is running them any more, after a pause or a
//! restart. Each run has a number, so that the answer of a run that nobody is waiting for is ignored.

use crate::rollout::journal_entries::{ChangeNote, Component};
use crate::rollout::plan::OnFailure;
use crate::rollout::release::{Release, SuiteGate};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::suite_run::{SuiteRun, SuiteRunError, suites};
use crate::rollout::{ChangeKind, Effect};

/// The most characters of an answer to keep: it is in every later entry, and the report has the rest.
const LONGEST_WORDS: usize = 1000;

impl ServiceUpdate<'_> {
    /// Orders the suites that a step needs and nobody is running; a run that nobody is waiting for is forgotten.
    pub(super) fn order_suites(&mut self) -> Option<Effect> {
        let service = &mut *self.state;
        let durable = &service.durable;
        let Some(release) = durable.release.as_ref().filter(|release| !release.suites_owed().is_empty()) else {
            service.ordered = None;
            return None;
        };
        let order = SuiteRun {
            service: self.name.to_owned(),
            rollout: durable.rollout,
            step: release.step,
            // Whatever orders a run creates a new generation.
            run: self.sequence.generation,
            environment: release.environment,
            suites: release.suites_owed().to_vec(),
        };
        let before = service.ordered.as_ref();
        if before.is_some_and(|before| (before.rollout, before.step) == (order.rollout, order.step)) {
            return None;
        }
        service.ordered = Some(order.clone());
        Some(Effect::Validate(order))
    }

    /// The result of suites. It is ignored unless it answers the last order while its step is waiting for it.
    pub(super) fn validated(&mut self, order: &SuiteRun, result: Result<String, SuiteRunError>) -> Vec<Effect> {
        if self.state.ordered.as_ref() != Some(order) {
            return Vec::new();
        }
        let waits = |release: &&Release| !release.suites_owed().is_empty();
        let Some(release) = self.state.durable.release.as_ref().filter(waits) else { return Vec::new() };
        let (title, which) = (release.title().to_owned(), suites(&order.suites));
        let on_fail = release.current().map_or(OnFailure::Hold, |step| step.on_fail);
        match result {
            Ok(said) => {
                let said = if said.is_empty() { said } else { format!(": {}", short(&said)) };
                let why = format!("{title}: {which} passed on {}{said}", order.environment);
                self.alter(ChangeNote::by(Component::Plan, ChangeKind::Validated, why), |durable| {
                    if let Some(release) = &mut durable.release {
                        release.gate = Some(SuiteGate::Passed);
                    }
                })
            }
            Err(SuiteRunError::Failed(why)) if on_fail == OnFailure::Rollback && self.state.durable.unwatched => {
                self.hold(format!("{title}: {}; it stays at its step because the guard is off", short(&why)))
            }
            Err(SuiteRunError::Failed(why)) if on_fail == OnFailure::Rollback => {
                let note = ChangeNote::by(Component::Plan, ChangeKind::Rollback, format!("{title}: {}", short(&why)));
                self.roll_back(note)
            }
            Err(SuiteRunError::Failed(why)) => self.hold(format!("{title}: {}", short(&why))),
            Err(SuiteRunError::NotRun(why)) => {
                self.hold(format!("{title}: {which} did not run on {}: {}", order.environment, short(&why)))
            }
        }
    }

    /// Pauses until a person has the suites run again, or copies compared again, or decides otherwise.
    pub(super) fn hold(&mut self, why: String) -> Vec<Effect> {
        let note = ChangeNote::by(Component::Plan, ChangeKind::Pause, why.clone());
        let who = note.by.who.clone();
        self.alter(note, |durable| {
            durable.pause(who, why);
            if let Some(release) = &mut durable.release {
                release.gate = Some(SuiteGate::Held);
            }
        })
    }
}

fn short(words: &str) -> String {
    words.chars().take(LONGEST_WORDS).collect()
}
