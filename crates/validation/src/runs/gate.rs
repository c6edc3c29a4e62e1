//! Suites that a rollout waits for.

use tokio::sync::broadcast::error::RecvError;

use crate::runs::{RunRequest, Runs};
use config::suite::Suite;
use judgement::rollout::SuiteRunError;
use wire::{ExecutionState, ExecutionSummary, RunTarget, Side};

impl Runs {
    /// Runs suites against the side that a version is on, one after the other, up to the first that fails. What compares
    /// both sides is run against both. Dropped, it cancels the run that is under way.
    ///
    /// # Errors
    /// In words, why the version may not go on.
    pub async fn gate(&self, service: &str, side: Side, suites: &[String]) -> Result<String, SuiteRunError> {
        let judged = self.judged(service, side, suites).await;
        if matches!(judged, Err(SuiteRunError::NotRun(_))) && self.is_closed() {
            // No rollout is held because the house closes: whoever comes after it runs the suites again.
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
            let order = RunRequest { suite: name.clone(), service, target, who: "plan".to_owned(), from: None };
            let begun = self.begin(order).map_err(|refusal| not_run(name, refusal.to_string()))?;
            let under_way = CancelOnDrop { runs: self, id: begun.id };
            let ended = self.ended(&under_way.id).await;
            let ended = ended.ok_or_else(|| not_run(name, format!("its run {} was deleted", under_way.id)))?;
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

    /// Whether every suite that a plan names can be run.
    ///
    /// # Errors
    /// In words, which cannot, and why.
    pub fn can_gate<'n>(&self, suites: impl Iterator<Item = &'n String>) -> Result<(), String> {
        for name in suites {
            match self.suite(name) {
                Ok(Suite { .. }) if !self.is_enabled(name) => return Err(format!("suite {name} is switched off")),
                Ok(_) => {}
                Err(refusal) => return Err(format!("the plan names suite {name}: {refusal}")),
            }
        }
        Ok(())
    }

    /// Waits for a run's end; `None`: somebody has deleted it.
    async fn ended(&self, id: &str) -> Option<ExecutionSummary> {
        let mut news = self.listen();
        loop {
            let now = self.summary(id)?;
            if now.state.is_over() {
                return Some(now);
            }
            // Whatever is new, or was missed: it is looked at again.
            if let Err(RecvError::Closed) = news.recv().await {
                return None;
            }
        }
    }
}

/// A run that somebody waits for.
struct CancelOnDrop<'r> {
    runs: &'r Runs,
    id: String,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        // One that is over stays as it is.
        let _ = self.runs.cancel(&self.id, "the rollout, which has gone its way");
    }
}
