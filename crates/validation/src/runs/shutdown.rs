//! The end of the house: no run is begun any more, those that are under way are cancelled, and what they set up is taken
//! down while there is time.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::runs::Runs;
use wire::ExecutionState;

/// In a run's verdict: by whom it was cancelled.
const WHO: &str = "Cutover, which is ending";

/// Runs that are not wholly over: under way, or being taken down.
#[derive(Debug)]
pub struct ActiveRuns(watch::Sender<BTreeSet<String>>);

impl Default for ActiveRuns {
    fn default() -> ActiveRuns {
        ActiveRuns(watch::Sender::new(BTreeSet::new()))
    }
}

/// A run that is not wholly over, until it is dropped.
#[derive(Debug)]
pub struct ActiveRunGuard {
    runs: Runs,
    id: String,
}

impl Drop for ActiveRunGuard {
    fn drop(&mut self) {
        self.runs.0.busy.0.send_if_modified(|busy| busy.remove(&self.id));
    }
}

impl Runs {
    /// Takes no new run from now on, and cancels every one. Whether there is one to wait for.
    pub fn close(&self) -> bool {
        let mut desk = self.desk();
        desk.is_closed = true;
        for run in desk.runs.values().filter(|run| !run.summary.state.is_over()) {
            if let Some(live) = &run.live {
                // One that somebody has cancelled is theirs.
                live.cancel.send_if_modified(|by| by.is_none().then(|| *by = Some(WHO.to_owned())).is_some());
            }
        }
        !self.0.busy.0.borrow().is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.desk().is_closed
    }

    /// Until every run is over, its teardown too.
    pub async fn closed(&self) {
        // Whoever waits holds the sender as well: it is not dropped.
        let _ = self.0.busy.0.subscribe().wait_for(BTreeSet::is_empty).await;
    }

    /// Nobody waits any longer: cancelled runs whose teardown is not over are marked as interrupted, and say why. Of one
    /// that is not over at all, the next start says so.
    pub fn cut_short(&self) {
        let busy = self.0.busy.0.borrow().clone();
        for id in busy {
            let verdict = format!("interrupted: cancelled by {WHO}, and its teardown did not come to its end in time");
            let Ok(mut execution) = self.get(&id) else { continue };
            if execution.summary.state != ExecutionState::Cancelled {
                continue;
            }
            tracing::warn!(
                run = id,
                suite = execution.summary.suite,
                "what it has set up may still be there: {verdict}"
            );
            (execution.summary.state, execution.summary.verdict) = (ExecutionState::Interrupted, verdict);
            execution.summary.not_kept = None;
            execution.summary.not_kept = self.0.store.put(&execution).err();
            self.with(&id, |run| run.summary = execution.summary);
            self.tell(&id);
        }
    }

    /// It is waited for when the house closes.
    pub(super) fn mark(&self, id: &str) -> ActiveRunGuard {
        self.0.busy.0.send_if_modified(|busy| busy.insert(id.to_owned()));
        ActiveRunGuard { runs: self.clone(), id: id.to_owned() }
    }
}
