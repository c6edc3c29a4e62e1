//! The life of a run, from the queue to its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::watch;

use crate::progress::ProgressTracker;
use crate::runs::executor::{self, PendingTeardowns, SuiteExecutor};
use crate::runs::registry::{self, LiveRun, RunEntry, count};
use crate::runs::run_request::{self, RunRefusal, RunRequest};
use crate::runs::size_limit::RecordBudget;
use crate::runs::{RunCause, Runs};
use config::suite::Suite;
use judgement::time::Millis;
use memory::clock;
use wire::{ExecutionState, ExecutionSummary, Part, Progress, RunTarget};

/// Runs of a service that may wait: more are a mistake.
const MOST_WAITING: usize = 100;
/// The shortest time between two saves of a running run.
const BETWEEN_WRITES: Millis = Millis::seconds(1);

/// How a run ends.
enum RunEnd {
    Own,
    /// By whom.
    Cancelled(String),
    /// It panicked.
    Broken,
}

impl Runs {
    /// Starts a run; it waits for its turn if others run.
    ///
    /// # Errors
    /// [`RunRefusal`]: nothing was started.
    pub fn begin(&self, request: RunRequest) -> Result<ExecutionSummary, RunRefusal> {
        let suite = self.suite(&request.suite)?;
        run_request::fits(&suite, &request, &self.registry().settings)?;
        let service = self.0.targets.service(request.service.as_deref().or(suite.service.as_deref()));
        let service = service.map_err(RunRefusal::NoService)?;
        let mut summary = registry::queued(&suite, service.clone(), request.target, request.who.clone());
        let (cancel, cancelled) = watch::channel(None);
        let mark = {
            let mut registry = self.registry();
            if registry.is_closed {
                return Err(RunRefusal::Ending);
            }
            let waits = |run: &&RunEntry| run.summary.state == ExecutionState::Queued && run.summary.service == service;
            let is_full = || registry.runs.values().filter(waits).count() >= MOST_WAITING;
            if request.cause != RunCause::Gate && is_full() {
                return Err(RunRefusal::Busy(MOST_WAITING));
            }
            // Two runs of one millisecond may have the same random byte.
            while registry.runs.contains_key(&summary.id) {
                summary.id = registry::new_id(summary.began_at_ms);
            }
            let live = LiveRun::new(cancel, request.cause);
            registry.runs.insert(summary.id.clone(), RunEntry { summary: summary.clone(), live: Some(live) });
            self.mark(&summary.id)
        };
        self.write_down(&summary.id);
        self.remark(&summary, request.from, format!("suite {} started against {}", suite.name, request.target.name()));
        let (runs, id) = (self.clone(), summary.id.clone());
        self.0.runtime.spawn(async move {
            let _mark = mark;
            let run = AssertUnwindSafe(runs.run(&id, suite, (&service, request.cause), cancelled));
            if run.catch_unwind().await.is_err() {
                runs.finish(&id, RunEnd::Broken);
            }
        });
        Ok(summary)
    }

    /// Runs it from the queue to the end.
    async fn run(
        &self,
        id: &str,
        suite: Suite,
        (service, cause): (&str, RunCause),
        mut cancelled: watch::Receiver<Option<String>>,
    ) {
        let pending_teardowns = PendingTeardowns::default();
        let execute = tokio::select! {
            // A cancelled run does not start.
            biased;
            Ok(_) = cancelled.wait_for(Option::is_some) => None,
            () = self.execute(id, Arc::new(suite), (service, cause), &pending_teardowns) => Some(()),
        };
        if execute.is_some() {
            return self.finish(id, RunEnd::Own);
        }
        let by = cancelled.borrow().clone().unwrap_or_default();
        self.finish(id, RunEnd::Cancelled(by));
        // The teardown runs however the run ended; nobody waits for it.
        executor::take_down(&pending_teardowns).await;
    }

    async fn execute(
        &self,
        id: &str,
        suite: Arc<Suite>,
        (service, cause): (&str, RunCause),
        pending_teardowns: &PendingTeardowns,
    ) {
        // A rollout has one gate at a time, which is never behind somebody's load test.
        let _permit = match cause {
            RunCause::Gate => None,
            RunCause::Request | RunCause::Automation => self.0.permits.acquire(service).await,
        };
        let Some((target, progress)) = self.set_out(id) else { return };
        let (found, mut parts) = tokio::sync::mpsc::unbounded_channel();
        let of = suite.clone();
        let executor = SuiteExecutor::new((&self.0.targets, suite), service, target, id, progress, found);
        *pending_teardowns.lock() = executor.pending_teardowns();
        self.with(id, |run| {
            if let Some(live) = &mut run.live {
                live.origins = executor.origins();
            }
        });
        self.write_down(id);
        let mut executing = std::pin::pin!(executor.run());
        let (mut budget, mut written) = (RecordBudget::default(), clock::now());
        loop {
            tokio::select! {
                biased;
                Some(part) = parts.recv() => self.take(id, budget.take(part)),
                () = &mut executing => break,
            }
            // What is known so far survives a crash.
            if clock::now().since(written) >= BETWEEN_WRITES {
                self.write_down(id);
                written = clock::now();
            }
        }
        while let Ok(part) = parts.try_recv() {
            self.take(id, budget.take(part));
        }
        self.with(id, |run| {
            run.summary.counts.requests += executor.sent();
            if let Some(live) = &mut run.live {
                executor::sort(&mut live.parts, &of);
            }
        });
    }

    /// Adds a part.
    fn take(&self, id: &str, part: Part) {
        self.with(id, |run| {
            count(&mut run.summary.counts, &part);
            if let Some(live) = &mut run.live {
                live.parts.push(part);
            }
        });
        self.tell(id);
    }

    /// Marks it as running.
    fn set_out(&self, id: &str) -> Option<(RunTarget, ProgressTracker)> {
        let set_out = self.with(id, |run| {
            run.summary.state = ExecutionState::Running;
            run.summary.verdict = "running".to_owned();
            Some((run.summary.target, run.live.as_ref()?.progress.clone()))
        });
        self.tell(id);
        set_out.flatten()
    }

    fn finish(&self, id: &str, end: RunEnd) {
        let ended = self.with(id, |run| {
            let live = run.live.as_mut()?;
            let summary = &mut run.summary;
            summary.took_ms = (clock::micros() - live.began) / 1000;
            summary.progress = Progress { doing: String::new(), ..live.progress.look() };
            (summary.state, summary.verdict) = match end {
                RunEnd::Own => run_request::verdict(&live.parts),
                RunEnd::Cancelled(by) => (ExecutionState::Cancelled, format!("cancelled by {by}")),
                RunEnd::Broken => (ExecutionState::Interrupted, "internal error: see Cutover's log".to_owned()),
            };
            Some((summary.clone(), live.cause))
        });
        let Some((summary, cause)) = ended.flatten() else { return };
        if self.write_down(id) {
            self.with(id, |run| run.live = None);
        }
        let said = format!("suite {} against {}: {}", summary.suite, summary.target.name(), summary.verdict);
        self.remark(&summary, None, said);
        self.0.counters.suite(&summary.suite, &summary.service, |gauges| match summary.state {
            ExecutionState::Passed => gauges.passed += 1,
            ExecutionState::Failed => gauges.failed += 1,
            _ => gauges.unfinished += 1,
        });
        if cause == RunCause::Automation {
            self.ended_by_itself(&summary);
        }
        self.tell(id);
        self.clear_out();
    }
}
