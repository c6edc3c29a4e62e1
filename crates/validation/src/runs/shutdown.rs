//! Shutdown: no new runs start, running ones are cancelled, and their teardown runs
//! while there is time.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::runs::Runs;
use wire::ExecutionState;

/// Who cancelled a run, in its verdict.
const WHO: &str = "Cutover's shutdown";

/// Runs that are running or being torn down.
#[derive(Debug)]
pub struct ActiveRuns(watch::Sender<BTreeSet<String>>);

impl Default for ActiveRuns {
    fn default() -> ActiveRuns {
        ActiveRuns(watch::Sender::new(BTreeSet::new()))
    }
}

/// Marks a run as active until it is dropped.
#[derive(Debug)]
pub struct ActiveRunGuard {
    runs: Runs,
    id: String,
}

impl Drop for ActiveRunGuard {
    fn drop(&mut self) {
        self.runs.0.active.0.send_if_modified(|active| active.remove(&self.id));
    }
}

impl Runs {
    /// Starts no new runs from now on, and cancels all. Returns whether there is one to wait for.
    pub fn close(&self) -> bool {
        let mut registry = self.registry();
        registry.is_closed = true;
        for run in registry.runs.values().filter(|run| !run.summary.state.is_over()) {
            if let Some(live) = &run.live {
                // A run that someone has already cancelled stays theirs.
                live.cancel.send_if_modified(|by| by.is_none().then(|| *by = Some(WHO.to_owned())).is_some());
            }
        }
        !self.0.active.0.borrow().is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.registry().is_closed
    }

    /// Waits until every run has ended, including its teardown.
    pub async fn closed(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.active.0.subscribe().wait_for(BTreeSet::is_empty).await;
    }

    /// The time is up: cancelled runs whose teardown has not finished are marked as interrupted. A run
    /// that has not ended at all is marked at the next start.
    pub fn cut_short(&self) {
        let active = self.0.active.0.borrow().clone();
        for id in active {
            let verdict = format!("interrupted: cancelled by {WHO}, and its teardown did not finish in time");
            let Ok(mut execution) = self.get(&id) else { continue };
            if execution.summary.state != ExecutionState::Cancelled {
                continue;
            }
            tracing::warn!(
                run = id,
                suite = execution.summary.suite,
                "teardown did not finish in time: test data may remain"
            );
            (execution.summary.state, execution.summary.verdict) = (ExecutionState::Interrupted, verdict);
            execution.summary.not_kept = None;
            execution.summary.not_kept = self.0.store.put(&execution).err();
            self.with(&id, |run| run.summary = execution.summary);
            self.tell(&id);
        }
    }

    /// The shutdown waits for it.
    pub(super) fn mark(&self, id: &str) -> ActiveRunGuard {
        self.0.active.0.send_if_modified(|active| active.insert(id.to_owned()));
        ActiveRunGuard { runs: self.clone(), id: id.to_owned() }
    }
}
