//! Every run of a suite: begun, looked at, cancelled, kept and deleted. Its lock is held for moments, and no request of a
//! client takes it.

mod desk;
mod gate;
mod order;
mod play;
mod schedule;
mod snapshot;
mod store;
mod suites;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, watch};

use crate::clock;
use crate::config::Validation;
use crate::config::suite::Suite;
use crate::rollout::{Kind, Remark};
use crate::sidecar;
use crate::time::Millis;
use crate::validate::reach::Reach;
use crate::validate::told::Told;
use crate::wire::{Execution, ExecutionState, ExecutionSummary, Part, Progress, RunTarget, SuiteSummary};

pub use order::{Order, Refusal};
pub use schedule::keep;
pub use suites::{Setting, Settings, suite_files};

use desk::{Desk, Live, Run, count};
use play::{Play, Standing};
use store::Store;
use suites::Missing;

/// Runs that wait: more in one moment are a mistake.
const MOST_WAITING: usize = 100;
/// A run under way is written down so often at the most.
const BETWEEN_WRITES: Millis = Millis::seconds(1);
/// Who listens and is slower than this loses the oldest: the next one says as much.
const NEWS: usize = 64;

/// All runs. Cloned freely.
#[derive(Clone)]
pub struct Runs(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    keep: Validation,
    reach: Reach,
    store: Store,
    permits: Arc<Semaphore>,
    /// Where runs run: not where the admin answers.
    runtime: Handle,
    sidecar: sidecar::Handle,
    news: broadcast::Sender<ExecutionSummary>,
    desk: Mutex<Desk>,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runs")
    }
}

/// What `serve` hands over.
#[derive(Debug)]
pub struct Parts {
    /// Of the suites.
    pub folder: PathBuf,
    /// Of the runs.
    pub records: PathBuf,
    pub keep: Validation,
    pub reach: Reach,
    pub runtime: Handle,
    pub sidecar: sidecar::Handle,
}

impl Runs {
    /// Reads what there is of earlier runs; those that had no end are interrupted.
    pub fn open(parts: Parts) -> Runs {
        let Parts { folder, records, keep, reach, runtime, sidecar } = parts;
        let store = Store::open(records);
        let runs = store.load().into_iter().map(|execution| {
            let summary = execution.summary;
            (summary.id.clone(), Run { summary, live: None })
        });
        let desk = Desk { runs: runs.collect(), settings: store.settings() };
        let (news, _) = broadcast::channel(NEWS);
        let permits = Arc::new(Semaphore::new(keep.at_once));
        let desk = Mutex::new(desk);
        Runs(Arc::new(Inner { folder, keep, reach, store, permits, runtime, sidecar, news, desk }))
    }

    /// Every suite of the folder, with its latest run.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn suites(&self) -> Result<Vec<SuiteSummary>, String> {
        let read = suites::all(&self.0.folder)?;
        let desk = self.desk();
        let last = |name: &str| desk.runs.values().rev().find(|run| run.summary.suite == name).map(Run::summary);
        let summary = |read: suites::Read| {
            let last = last(&read.name);
            desk::shown(read, &desk.settings, &self.0.reach, last)
        };
        Ok(read.into_iter().map(summary).collect())
    }

    /// A suite by its name, for who wants to know what is in it.
    ///
    /// # Errors
    /// [`Refusal::NoSuchSuite`] or [`Refusal::Broken`].
    pub fn suite(&self, name: &str) -> Result<Suite, Refusal> {
        suites::one(&self.0.folder, name).map_err(|missing| match missing {
            Missing::NoSuch { folder, names } => Refusal::NoSuchSuite { name: name.to_owned(), folder, names },
            Missing::Broken(why) => Refusal::Broken { name: name.to_owned(), why },
        })
    }

    /// Begins a run; it waits for its turn where others run.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was begun.
    pub fn begin(&self, order: Order) -> Result<ExecutionSummary, Refusal> {
        let suite = self.suite(&order.suite)?;
        order::fits(&suite, &order, &self.desk().settings)?;
        let service = self.0.reach.service(order.service.as_deref().or(suite.service.as_deref()));
        let service = service.map_err(Refusal::NoService)?;
        let summary = desk::queued(&suite, service.clone(), order.target, order.who.clone());
        let (cancel, cancelled) = watch::channel(None);
        {
            let mut desk = self.desk();
            if desk.runs.values().filter(|run| run.summary.state == ExecutionState::Queued).count() >= MOST_WAITING {
                return Err(Refusal::Busy(MOST_WAITING));
            }
            let live = Live::new(cancel);
            desk.runs.insert(summary.id.clone(), Run { summary: summary.clone(), live: Some(live) });
        }
        self.write_down(&summary.id);
        self.remark(&summary, order.from, format!("suite {} against {} is begun", suite.name, order.target.name()));
        let (runs, id) = (self.clone(), summary.id.clone());
        self.0.runtime.spawn(async move { runs.run(id, suite, service, cancelled).await });
        Ok(summary)
    }

    /// From the queue to the end.
    async fn run(self, id: String, suite: Suite, service: String, mut cancelled: watch::Receiver<Option<String>>) {
        let standing = Standing::default();
        let played = tokio::select! {
            // A cancelled one does not begin.
            biased;
            _ = cancelled.wait_for(Option::is_some) => None,
            () = self.played(&id, Arc::new(suite), &service, &standing) => Some(()),
        };
        if played.is_some() {
            return self.finish(&id, None);
        }
        let by = cancelled.borrow().clone();
        self.finish(&id, by);
        // What was set up is taken down, however the run ended; nobody waits for it.
        play::take_down(&standing).await;
    }

    async fn played(&self, id: &str, suite: Arc<Suite>, service: &str, standing: &Standing) {
        let _permit = self.0.permits.acquire().await;
        let Some((target, told)) = self.set_out(id) else { return };
        let (found, mut parts) = tokio::sync::mpsc::unbounded_channel();
        let of = suite.clone();
        let play = Play::new((&self.0.reach, suite), service, target, id, told, found);
        *standing.lock().unwrap_or_else(PoisonError::into_inner) = play.standing();
        self.with(id, |run| {
            if let Some(live) = &mut run.live {
                live.origins = play.origins();
            }
        });
        self.write_down(id);
        let mut playing = std::pin::pin!(play.run());
        let mut written = clock::now();
        loop {
            tokio::select! {
                biased;
                Some(part) = parts.recv() => self.take(id, part),
                () = &mut playing => break,
            }
            // What is known so far outlives a crash.
            if clock::now().since(written) >= BETWEEN_WRITES {
                self.write_down(id);
                written = clock::now();
            }
        }
        while let Ok(part) = parts.try_recv() {
            self.take(id, part);
        }
        self.with(id, |run| {
            run.summary.counts.requests += play.sent();
            if let Some(live) = &mut run.live {
                play::sort(&mut live.parts, &of);
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
    fn set_out(&self, id: &str) -> Option<(RunTarget, Told)> {
        let set_out = self.with(id, |run| {
            run.summary.state = ExecutionState::Running;
            run.summary.verdict = "under way".to_owned();
            Some((run.summary.target, run.live.as_ref()?.told.clone()))
        });
        self.tell(id);
        set_out.flatten()
    }

    /// The end: `by` has cancelled it, or it came to its own end.
    fn finish(&self, id: &str, by: Option<String>) {
        let ended = self.with(id, |run| {
            let live = run.live.as_mut()?;
            let summary = &mut run.summary;
            summary.took_ms = (clock::micros() - live.began) / 1000;
            summary.progress = Progress { doing: String::new(), ..live.told.look() };
            (summary.state, summary.verdict) = match by {
                Some(by) => (ExecutionState::Cancelled, format!("cancelled by {by}")),
                None => order::verdict(&live.parts),
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

    /// Cancels a run. It is over at once; what it set up is taken down behind it.
    ///
    /// # Errors
    /// There is none, or it is over.
    pub fn cancel(&self, id: &str, who: &str) -> Result<ExecutionSummary, Refusal> {
        let cancelled = self.with(id, |run| match &run.live {
            Some(live) if !run.summary.state.is_over() => {
                live.cancel.send_replace(Some(who.to_owned()));
                Ok(())
            }
            _ => Err(Refusal::Over { id: id.to_owned(), state: run.summary.state }),
        });
        cancelled.unwrap_or_else(|| Err(Refusal::NoSuchRun(id.to_owned())))?;
        self.summary(id).ok_or_else(|| Refusal::NoSuchRun(id.to_owned()))
    }

    /// Every run, latest first.
    pub fn list(&self) -> Vec<ExecutionSummary> {
        self.desk().runs.values().rev().map(Run::summary).collect()
    }

    pub fn summary(&self, id: &str) -> Option<ExecutionSummary> {
        self.desk().runs.get(id).map(Run::summary)
    }

    /// A run with what it has found so far, or in all.
    ///
    /// # Errors
    /// There is none, or its file cannot be read.
    pub fn get(&self, id: &str) -> Result<Execution, Refusal> {
        let missing = || Refusal::NoSuchRun(id.to_owned());
        let live = self.with(id, |run| run.whole()).ok_or_else(missing)?;
        match live {
            Some(execution) => Ok(execution),
            None => self.0.store.get(id).map_err(Refusal::Unreadable),
        }
    }

    /// Deletes a run that is over.
    ///
    /// # Errors
    /// There is none, or it is not over.
    pub fn delete(&self, id: &str) -> Result<ExecutionSummary, Refusal> {
        let mut desk = self.desk();
        let run = desk.runs.get(id).ok_or_else(|| Refusal::NoSuchRun(id.to_owned()))?;
        if !run.summary.state.is_over() {
            return Err(Refusal::UnderWay(id.to_owned()));
        }
        let summary = run.summary();
        desk.runs.remove(id);
        drop(desk);
        self.0.store.delete(id);
        Ok(summary)
    }

    /// Changes what people may switch of a suite, and keeps it.
    ///
    /// # Errors
    /// There is no such suite, or the disk does not take it.
    pub fn set(&self, suite: &str, change: impl FnOnce(&mut Setting)) -> Result<Setting, Refusal> {
        // A broken one may be switched off too.
        match self.suite(suite) {
            Ok(_) | Err(Refusal::Broken { .. }) => {}
            Err(refusal) => return Err(refusal),
        }
        let settings = {
            let mut desk = self.desk();
            let mut setting = desk.settings.of(suite);
            change(&mut setting);
            desk.settings.0.insert(suite.to_owned(), setting);
            desk.settings.clone()
        };
        self.0.store.keep_settings(&settings).map_err(Refusal::Unreadable)?;
        Ok(settings.of(suite))
    }

    /// What becomes of runs from now on: their beginning, every part, and their end.
    pub fn listen(&self) -> broadcast::Receiver<ExecutionSummary> {
        self.0.news.subscribe()
    }

    pub fn keeping(&self) -> Validation {
        self.0.keep
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        &self.0.folder
    }

    /// How often a suite runs by itself, in milliseconds.
    pub(super) fn every_ms(&self, suite: &Suite) -> Option<u64> {
        self.desk().settings.every_ms(suite)
    }

    pub(super) fn runs_after_rollback(&self, suite: &Suite) -> bool {
        self.desk().settings.after_rollback(suite)
    }

    pub(super) fn is_enabled(&self, suite: &str) -> bool {
        self.desk().settings.of(suite).enabled
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Run) -> T) -> Option<T> {
        self.desk().runs.get_mut(id).map(act)
    }

    fn tell(&self, id: &str) {
        if let Some(summary) = self.summary(id) {
            // Nobody may listen.
            let _ = self.0.news.send(summary);
        }
    }

    /// Whether it is on the disk now.
    fn write_down(&self, id: &str) -> bool {
        let execution = self.with(id, |run| run.whole()).flatten();
        execution.is_some_and(|execution| self.0.store.put(&execution))
    }

    /// An entry of the journal.
    fn remark(&self, summary: &ExecutionSummary, from: Option<String>, why: String) {
        let why = format!("{why} (run {})", summary.id);
        let remark =
            Remark { kind: Kind::Validation, service: summary.service.clone(), who: summary.who.clone(), from, why };
        self.0.sidecar.remark(remark);
    }

    /// What is too old, or too much.
    fn clear_out(&self) {
        let mut desk = self.desk();
        let over = desk.runs.iter().filter(|(_, run)| run.summary.state.is_over());
        let over: Vec<(String, u64)> = over.map(|(id, run)| (id.clone(), run.summary.began_at_ms)).collect();
        let outworn = store::outworn(&over, self.0.keep, clock::wall_millis());
        outworn.iter().for_each(|id| drop(desk.runs.remove(id)));
        drop(desk);
        outworn.iter().for_each(|id| self.0.store.delete(id));
    }
}
