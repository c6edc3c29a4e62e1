//! Suites that gate a rollout.

use tokio::sync::broadcast::error::RecvError;

use crate::runs::{RunCause, RunRequest, Runs};
use config::suite::Suite;
use judgement::rollout::SuiteRunError;
use wire::{ExecutionState, ExecutionSummary, RunTarget, Side};

impl Runs {
    /// Runs suites against the side that a version is on, one after the other, up to the first that fails. Suites that
    /// compare both sides are run against both. When dropped it cancels the current run.
    ///
    /// # Errors
    /// Why the version may not proceed.
    pub async fn gate(&self, service: &str, side: Side, suites: &[String]) -> Result<String, SuiteRunError> {
        let judged = self.judged(service, side, suites).await;
        if matches!(judged, Err(SuiteRunError::NotRun(_))) && self.is_closed() {
            // A shutdown must not hold a rollout: the next process runs the suites again.
            std::future::pending::<()>().await;
        }
        judged
    }

    async fn judged(&self, service: &str, side: Side, suites: &[String]) -> Result<String, SuiteRunError> {
        let not_run = |name: &str, why: String| SuiteRunError::NotRun(format!("suite {name}: {why}"));
        for name in suites {
            let suite = self.suite(name).map_err(|refusal| not_run(name, refusal.to_string()))?;
            let compares = !suite.parities.is_empty() || !suite.data.is_empty();
            let target = if compares { RunTarget::Both } else { RunTarget::from(side) };
            let service = Some(service.to_owned());
            let (suite, who, cause) = (name.clone(), "plan".to_owned(), RunCause::Gate);
            let request = RunRequest { suite, service, target, who, from: None, cause };
            let begun = self.begin(request).map_err(|refusal| not_run(name, refusal.to_string()))?;
            let under_way = CancelOnDrop { runs: self, id: begun.id };
            let ended = self.ended(&under_way.id).await;
            let ended = ended.ok_or_else(|| not_run(name, format!("run {} was deleted", under_way.id)))?;
            let said = format!("{} (run {})", ended.verdict, ended.id);
            match ended.state {
                ExecutionState::Passed => {}
                ExecutionState::Failed => {
                    return Err(SuiteRunError::Failed(format!("suite {name} failed on {}: {said}", target.name())));
                }
                _ => return Err(not_run(name, said)),
            }
        }
        match suites {
            [one] => Ok(format!("suite {one} passed")),
            several => Ok(format!("suites {} passed", several.join(", "))),
        }
    }

    /// Whether every suite of a plan can be run.
    ///
    /// # Errors
    /// Which suite cannot be run, and why.
    pub fn can_gate<'n>(&self, suites: impl Iterator<Item = &'n String>) -> Result<(), String> {
        for name in suites {
            match self.suite(name) {
                Ok(Suite { .. }) if !self.is_enabled(name) => return Err(format!("suite {name} is disabled")),
                Ok(_) => {}
                Err(refusal) => return Err(format!("the plan names suite {name}: {refusal}")),
            }
        }
        Ok(())
    }

    /// Waits for the end of a run; `None`: it was deleted.
    async fn ended(&self, id: &str) -> Option<ExecutionSummary> {
        let mut news = self.listen();
        loop {
            let now = self.summary(id)?;
            if now.state.is_over() {
                return Some(now);
            }
            // Whether there is news or some was missed, the summary is read again.
            if let Err(RecvError::Closed) = news.recv().await {
                return None;
            }
        }
    }
}

/// Cancels a run when nobody waits for it any more.
struct CancelOnDrop<'r> {
    runs: &'r Runs,
    id: String,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        // A run that has ended stays as it is.
        let _ = self.runs.cancel(&self.id, "the rollout, which moved on");
    }
}
