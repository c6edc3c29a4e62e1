//! A run from its beginning to its end.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};

use futures_util::FutureExt;
use tokio::sync::watch;

use crate::progress::ProgressTracker;
use crate::runs::Runs;
use crate::runs::executor::{self, PendingTeardowns, SuiteExecutor};
use crate::runs::registry::{self, LiveRun, RunEntry, count};
use crate::runs::run_request::{self, RunRefusal, RunRequest};
use crate::runs::size_limit::RecordBudget;
use config::suite::Suite;
use judgement::time::Millis;
use memory::clock;
use wire::{ExecutionState, ExecutionSummary, Part, Progress, RunTarget};

/// Runs that wait: more in one moment are a mistake.
const MOST_WAITING: usize = 100;
/// A run under way is written down so often at the most.
const BETWEEN_WRITES: Millis = Millis::seconds(1);

/// How a run comes to its end.
enum RunEnd {
    Own,
    /// By whom.
    Cancelled(String),
    /// It panicked.
    Broken,
}

impl Runs {
    /// Begins a run; it waits for its turn where others run.
    ///
    /// # Errors
    /// [`RunRefusal`]: nothing was begun.
    pub fn begin(&self, order: RunRequest) -> Result<ExecutionSummary, RunRefusal> {
        let suite = self.suite(&order.suite)?;
        run_request::fits(&suite, &order, &self.desk().settings)?;
        let service = self.0.targets.service(order.service.as_deref().or(suite.service.as_deref()));
        let service = service.map_err(RunRefusal::NoService)?;
        let mut summary = registry::queued(&suite, service.clone(), order.target, order.who.clone());
        let (cancel, cancelled) = watch::channel(None);
        let mark = {
            let mut desk = self.desk();
            if desk.is_closed {
                return Err(RunRefusal::Ending);
            }
            if desk.runs.values().filter(|run| run.summary.state == ExecutionState::Queued).count() >= MOST_WAITING {
                return Err(RunRefusal::Busy(MOST_WAITING));
            }
            // Two of one millisecond may have drawn the same.
            while desk.runs.contains_key(&summary.id) {
                summary.id = registry::new_id(summary.began_at_ms);
            }
            let live = LiveRun::new(cancel);
            desk.runs.insert(summary.id.clone(), RunEntry { summary: summary.clone(), live: Some(live) });
            self.mark(&summary.id)
        };
        self.write_down(&summary.id);
        self.remark(&summary, order.from, format!("suite {} against {} is begun", suite.name, order.target.name()));
        let (runs, id) = (self.clone(), summary.id.clone());
        self.0.runtime.spawn(async move {
            let _mark = mark;
            let run = AssertUnwindSafe(runs.run(&id, suite, &service, cancelled));
            if run.catch_unwind().await.is_err() {
                runs.finish(&id, RunEnd::Broken);
            }
        });
        Ok(summary)
    }

    /// From the queue to the end.
    async fn run(&self, id: &str, suite: Suite, service: &str, mut cancelled: watch::Receiver<Option<String>>) {
        let standing = PendingTeardowns::default();
        let played = tokio::select! {
            // A cancelled one does not begin.
            biased;
            Ok(_) = cancelled.wait_for(Option::is_some) => None,
            () = self.played(id, Arc::new(suite), service, &standing) => Some(()),
        };
        if played.is_some() {
            return self.finish(id, RunEnd::Own);
        }
        let by = cancelled.borrow().clone().unwrap_or_default();
        self.finish(id, RunEnd::Cancelled(by));
        // What was set up is taken down, however the run ended; nobody waits for it.
        executor::take_down(&standing).await;
    }

    async fn played(&self, id: &str, suite: Arc<Suite>, service: &str, standing: &PendingTeardowns) {
        let _permit = self.0.permits.acquire().await;
        let Some((target, told)) = self.set_out(id) else { return };
        let (found, mut parts) = tokio::sync::mpsc::unbounded_channel();
        let of = suite.clone();
        let play = SuiteExecutor::new((&self.0.targets, suite), service, target, id, told, found);
        *standing.lock().unwrap_or_else(PoisonError::into_inner) = play.standing();
        self.with(id, |run| {
            if let Some(live) = &mut run.live {
                live.origins = play.origins();
            }
        });
        self.write_down(id);
        let mut playing = std::pin::pin!(play.run());
        let (mut room, mut written) = (RecordBudget::default(), clock::now());
        loop {
            tokio::select! {
                biased;
                Some(part) = parts.recv() => self.take(id, room.take(part)),
                () = &mut playing => break,
            }
            // What is known so far outlives a crash.
            if clock::now().since(written) >= BETWEEN_WRITES {
                self.write_down(id);
                written = clock::now();
            }
        }
        while let Ok(part) = parts.try_recv() {
            self.take(id, room.take(part));
        }
        self.with(id, |run| {
            run.summary.counts.requests += play.sent();
            if let Some(live) = &mut run.live {
                executor::sort(&mut live.parts, &of);
            }
        });
    }

    /// A part is known.
    fn take(&self, id: &str, part: Part) {
        self.with(id, |run| {
            count(&mut run.summary.counts, &part);
            if let Some(live) = &mut run.live {
                live.parts.push(part);
            }
        });
        self.tell(id);
    }

    /// It is its turn.
    fn set_out(&self, id: &str) -> Option<(RunTarget, ProgressTracker)> {
        let set_out = self.with(id, |run| {
            run.summary.state = ExecutionState::Running;
            run.summary.verdict = "under way".to_owned();
            Some((run.summary.target, run.live.as_ref()?.told.clone()))
        });
        self.tell(id);
        set_out.flatten()
    }

    fn finish(&self, id: &str, end: RunEnd) {
        let ended = self.with(id, |run| {
            let live = run.live.as_mut()?;
            let summary = &mut run.summary;
            summary.took_ms = (clock::micros() - live.began) / 1000;
            summary.progress = Progress { doing: String::new(), ..live.told.look() };
            (summary.state, summary.verdict) = match end {
                RunEnd::Own => run_request::verdict(&live.parts),
                RunEnd::Cancelled(by) => (ExecutionState::Cancelled, format!("cancelled by {by}")),
                RunEnd::Broken => (ExecutionState::Interrupted, "it broke down: Cutover's log says where".to_owned()),
            };
            Some(summary.clone())
        });
        let Some(summary) = ended.flatten() else { return };
        if self.write_down(id) {
            self.with(id, |run| run.live = None);
        }
        let said = format!("suite {} against {}: {}", summary.suite, summary.target.name(), summary.verdict);
        self.remark(&summary, None, said);
        self.tell(id);
        self.clear_out();
    }
}
