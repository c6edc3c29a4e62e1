//! All runs of suites: started, shown, cancelled, kept and deleted. The lock is held only briefly, and no request of a
//! client takes it.

mod automation;
mod digest;
mod executor;
mod gate;
mod lifecycle;
mod registry;
mod run_request;
mod schedule;
mod shutdown;
mod size_limit;
mod store;
mod suites;

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::broadcast;

use crate::target_resolver::TargetResolver;
use config::ValidationSettings;
use config::suite::Suite;
use judgement::rollout::{AuditRemark, ChangeKind};
use memory::clock;
use memory::counters::Counters;
use memory::shares::Shares;
use sidecar;
use wire::{Execution, ExecutionSummary, SuiteSummary};

pub use run_request::{RunCause, RunRefusal, RunRequest};
pub use schedule::run_scheduled;
pub use suites::{SuiteSetting, SuiteSettings, all as all_suites};

use automation::AutomationRecord;
use registry::{RunEntry, RunRegistry};
use shutdown::ActiveRuns;
use store::RunStore;
use suites::SuiteError;

/// A listener that falls further behind loses the oldest; the next one supersedes it.
const NEWS: usize = 64;

/// So many services can use all of their share at once.
const SERVICES_AT_ONCE: usize = 16;

/// All runs. Cheap to clone.
#[derive(Clone)]
pub struct Runs(Arc<RunsInner>);

struct RunsInner {
    folder: Mutex<PathBuf>,
    keep: ValidationSettings,
    targets: TargetResolver,
    store: RunStore,
    /// A share for each service. Gates need none.
    permits: Shares,
    counters: Arc<Counters>,
    automation: Mutex<AutomationRecord>,
    /// The runtime of the runs, which is not that of the admin API.
    runtime: Handle,
    sidecar: sidecar::SidecarHandle,
    news: broadcast::Sender<ExecutionSummary>,
    registry: Mutex<RunRegistry>,
    active: ActiveRuns,
    /// Held while a suite's settings are changed.
    switching: Mutex<()>,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runs")
    }
}

/// What `serve` passes in.
#[derive(Debug)]
pub struct RunsParts {
    /// The folder of suites.
    pub folder: PathBuf,
    /// The folder of runs.
    pub records: PathBuf,
    pub keep: ValidationSettings,
    pub targets: TargetResolver,
    pub runtime: Handle,
    pub counters: Arc<Counters>,
    pub sidecar: sidecar::SidecarHandle,
}

impl Runs {
    /// Reads earlier runs; those that had not ended are marked as interrupted.
    pub fn open(parts: RunsParts) -> Runs {
        let RunsParts { folder, records, keep, targets, runtime, counters, sidecar } = parts;
        let store = RunStore::open(records);
        let runs = store.load().into_iter().map(|execution| {
            let summary = execution.summary;
            (summary.id.clone(), RunEntry { summary, live: None })
        });
        let registry = RunRegistry { runs: runs.collect(), settings: store.settings(), is_closed: false };
        let (news, _) = broadcast::channel(NEWS);
        let permits = Shares::new(keep.at_once, keep.at_once * SERVICES_AT_ONCE);
        let automation = store.automation();
        for (suite, service) in automation.failing() {
            counters.suite(suite, service, |gauges| gauges.failing = Some(true));
        }
        let (registry, active) = (Mutex::new(registry), ActiveRuns::default());
        Runs(Arc::new(RunsInner {
            folder: Mutex::new(folder),
            keep,
            targets,
            store,
            permits,
            counters,
            automation: Mutex::new(automation),
            runtime,
            sidecar,
            news,
            registry,
            active,
            switching: Mutex::default(),
        }))
    }

    /// Every suite of the folder, with its latest run.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn suites(&self) -> Result<Vec<SuiteSummary>, String> {
        let read = suites::all(&self.folder())?;
        let registry = self.registry();
        let last =
            |name: &str| registry.runs.values().rev().find(|run| run.summary.suite == name).map(RunEntry::summary);
        let summary = |read: suites::LoadedSuite| {
            let last = last(&read.name);
            registry::shown(read, &registry.settings, &self.0.targets, last)
        };
        Ok(read.into_iter().map(summary).collect())
    }

    /// A suite by its name.
    ///
    /// # Errors
    /// [`RunRefusal::NoSuchSuite`] or [`RunRefusal::Broken`].
    pub fn suite(&self, name: &str) -> Result<Suite, RunRefusal> {
        suites::one(&self.folder(), name).map_err(|missing| match missing {
            SuiteError::NoSuch { folder, names } => RunRefusal::NoSuchSuite { name: name.to_owned(), folder, names },
            SuiteError::Broken(why) => RunRefusal::Broken { name: name.to_owned(), why },
        })
    }

    /// Cancels a run. It ends at once; its teardown runs afterwards.
    ///
    /// # Errors
    /// There is none, or it has ended.
    pub fn cancel(&self, id: &str, who: &str) -> Result<ExecutionSummary, RunRefusal> {
        let cancelled = self.with(id, |run| match &run.live {
            Some(live) if !run.summary.state.is_over() => {
                live.cancel.send_replace(Some(who.to_owned()));
                Ok(())
            }
            _ => Err(RunRefusal::Over { id: id.to_owned(), state: run.summary.state }),
        });
        cancelled.unwrap_or_else(|| Err(RunRefusal::NoSuchRun(id.to_owned())))?;
        self.summary(id).ok_or_else(|| RunRefusal::NoSuchRun(id.to_owned()))
    }

    /// Every run, latest first.
    pub fn list(&self) -> Vec<ExecutionSummary> {
        self.registry().runs.values().rev().map(RunEntry::summary).collect()
    }

    pub fn summary(&self, id: &str) -> Option<ExecutionSummary> {
        self.registry().runs.get(id).map(RunEntry::summary)
    }

    /// A run with everything it has found so far.
    ///
    /// # Errors
    /// There is none, or its file cannot be read.
    pub fn get(&self, id: &str) -> Result<Execution, RunRefusal> {
        let missing = || RunRefusal::NoSuchRun(id.to_owned());
        let live = self.with(id, |run| run.whole()).ok_or_else(missing)?;
        match live {
            Some(execution) => Ok(execution),
            None => self.0.store.get(id).map_err(RunRefusal::Unreadable),
        }
    }

    /// Deletes a run that has ended.
    ///
    /// # Errors
    /// There is none, or it has not ended.
    pub fn delete(&self, id: &str) -> Result<ExecutionSummary, RunRefusal> {
        let mut registry = self.registry();
        let run = registry.runs.get(id).ok_or_else(|| RunRefusal::NoSuchRun(id.to_owned()))?;
        if !run.summary.state.is_over() {
            return Err(RunRefusal::UnderWay(id.to_owned()));
        }
        let summary = run.summary();
        registry.runs.remove(id);
        drop(registry);
        self.0.store.delete(id);
        Ok(summary)
    }

    /// Changes the settings of a suite, and saves them.
    ///
    /// # Errors
    /// There is no such suite, or the settings cannot be saved.
    pub fn set(&self, suite: &str, change: impl FnOnce(&mut SuiteSetting)) -> Result<SuiteSetting, RunRefusal> {
        // A broken suite can be disabled too.
        match self.suite(suite) {
            Ok(_) | Err(RunRefusal::Broken { .. }) => {}
            Err(refusal) => return Err(refusal),
        }
        // One change at a time until it is on disk, or the older of two might be what is left there. The registry is
        // free meanwhile.
        let _switching = self.0.switching.lock();
        let mut settings = self.registry().settings.clone();
        let mut setting = settings.of(suite);
        change(&mut setting);
        settings.0.insert(suite.to_owned(), setting.clone());
        // Saved first: what is refused has not been done.
        self.0.store.keep_settings(&settings).map_err(RunRefusal::Unreadable)?;
        self.registry().settings = settings;
        Ok(setting)
    }

    /// The changes of runs from now on: their start, every part, and their end.
    pub fn listen(&self) -> broadcast::Receiver<ExecutionSummary> {
        self.0.news.subscribe()
    }

    pub fn keeping(&self) -> ValidationSettings {
        self.0.keep
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.0.folder.lock().clone()
    }

    /// Takes suites from another folder from now on.
    pub fn move_to(&self, folder: PathBuf) {
        *self.0.folder.lock() = folder;
    }

    /// The schedule of a suite, in milliseconds.
    pub(super) fn every_ms(&self, suite: &Suite) -> Option<u64> {
        self.registry().settings.every_ms(suite)
    }

    pub(super) fn runs_after_rollback(&self, suite: &Suite) -> bool {
        self.registry().settings.after_rollback(suite)
    }

    pub(super) fn is_enabled(&self, suite: &str) -> bool {
        self.registry().settings.of(suite).enabled
    }

    fn registry(&self) -> MutexGuard<'_, RunRegistry> {
        self.0.registry.lock()
    }

    fn with<T>(&self, id: &str, act: impl FnOnce(&mut RunEntry) -> T) -> Option<T> {
        self.registry().runs.get_mut(id).map(act)
    }

    fn tell(&self, id: &str) {
        if let Some(summary) = self.summary(id) {
            // Nobody may listen.
            let _ = self.0.news.send(summary);
        }
    }

    /// Whether it is on disk now. If not, its summary says why.
    fn write_down(&self, id: &str) -> bool {
        let Some(mut execution) = self.with(id, |run| run.whole()).flatten() else { return false };
        execution.summary.not_kept = None;
        let not_kept = self.0.store.put(&execution).err();
        let is_kept = not_kept.is_none();
        self.with(id, |run| run.summary.not_kept = not_kept);
        is_kept
    }

    /// Writes an entry to the journal.
    fn remark(&self, summary: &ExecutionSummary, from: Option<String>, why: String) {
        let why = format!("{why} (run {})", summary.id);
        let remark = AuditRemark {
            kind: ChangeKind::Validation,
            service: summary.service.clone(),
            who: summary.who.clone(),
            from,
            why,
            announced: None,
        };
        self.0.sidecar.remark(remark);
    }

    /// Deletes runs that are too old or too many.
    fn clear_out(&self) {
        let mut registry = self.registry();
        let over = registry.runs.iter().filter(|(_, run)| run.summary.state.is_over());
        let ended = |run: &RunEntry| run.summary.began_at_ms + run.summary.took_ms;
        let mut over: Vec<(String, u64)> = over.map(|(id, run)| (id.clone(), ended(run))).collect();
        over.sort_by_key(|(_, ended)| *ended);
        let outworn = store::outworn(&over, self.0.keep, clock::wall_millis());
        outworn.iter().for_each(|id| drop(registry.runs.remove(id)));
        drop(registry);
        outworn.iter().for_each(|id| self.0.store.delete(id));
    }
}
