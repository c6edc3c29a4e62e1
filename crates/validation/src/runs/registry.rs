//! The runs in memory: everything about those that are running, and the summaries of the others.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::progress::ProgressTracker;
use crate::runs::RunCause;
use crate::runs::suites::{LoadedSuite, SuiteSettings};
use crate::target_resolver::TargetResolver;
use config::suite::Suite;
use judgement::time::{rfc3339, utc};
use memory::clock;
use wire::{Counts, Execution, ExecutionState, ExecutionSummary, Outcome, Part, Progress, RunTarget, SuiteSummary};

/// The version of the execution document.
const FORMAT: u32 = 1;

#[derive(Default)]
pub struct RunRegistry {
    /// By id, which is by time.
    pub runs: BTreeMap<String, RunEntry>,
    pub settings: SuiteSettings,
    /// Cutover shuts down: no run starts.
    pub is_closed: bool,
}

/// A run in memory; the parts of one that has ended are on disk.
pub struct RunEntry {
    pub summary: ExecutionSummary,
    pub live: Option<LiveRun>,
}

pub struct LiveRun {
    pub began: u64,
    pub progress: ProgressTracker,
    pub origins: BTreeMap<String, String>,
    pub parts: Vec<Part>,
    pub cancel: watch::Sender<Option<String>>,
    pub cause: RunCause,
}

impl RunEntry {
    /// Its current summary.
    pub fn summary(&self) -> ExecutionSummary {
        let mut summary = self.summary.clone();
        if let Some(live) = self.live.as_ref().filter(|_| !summary.state.is_over()) {
            summary.progress = live.progress.look();
            summary.took_ms = (clock::micros() - live.began) / 1000;
        }
        summary
    }

    /// `None`: it has ended and is on disk. A run that could not be saved stays in memory.
    pub fn whole(&self) -> Option<Execution> {
        let live = self.live.as_ref()?;
        Some(Execution {
            format: FORMAT,
            cutover: env!("CARGO_PKG_VERSION").to_owned(),
            summary: self.summary(),
            origins: live.origins.clone(),
            parts: live.parts.clone(),
        })
    }
}

/// A valid suite, as a list shows it.
pub fn summary_of(
    suite: &Suite,
    settings: &SuiteSettings,
    targets: &TargetResolver,
    last: Option<ExecutionSummary>,
) -> SuiteSummary {
    SuiteSummary {
        name: suite.name.clone(),
        title: suite.title.clone(),
        service: targets.service(suite.service.as_deref()).ok(),
        tags: suite.tags.clone(),
        cases: suite.cases.len(),
        loads: suite.loads.len(),
        parities: suite.parities.len(),
        data: suite.data.len(),
        every_ms: settings.every_ms(suite),
        after_rollback: settings.after_rollback(suite),
        enabled: settings.of(&suite.name).enabled,
        broken: None,
        last,
    }
}

/// A suite's file, valid or not, as a list shows it.
pub fn shown(
    read: LoadedSuite,
    settings: &SuiteSettings,
    targets: &TargetResolver,
    last: Option<ExecutionSummary>,
) -> SuiteSummary {
    match read.suite {
        Ok(suite) => summary_of(&suite, settings, targets, last),
        Err(refused) => SuiteSummary {
            title: read.name.clone(),
            service: None,
            tags: Vec::new(),
            cases: 0,
            loads: 0,
            parities: 0,
            data: 0,
            every_ms: None,
            after_rollback: false,
            enabled: settings.of(&read.name).enabled,
            broken: Some(refused.to_string()),
            name: read.name,
            last,
        },
    }
}

/// A run that waits for its turn.
pub fn queued(suite: &Suite, service: String, target: RunTarget, who: String) -> ExecutionSummary {
    let at = clock::wall_millis();
    ExecutionSummary {
        id: new_id(at),
        suite: suite.name.clone(),
        title: suite.title.clone(),
        service,
        target,
        state: ExecutionState::Queued,
        who,
        began_at_ms: at,
        began_at: rfc3339(at),
        took_ms: 0,
        progress: Progress::default(),
        counts: Counts::default(),
        verdict: "waiting for its turn".to_owned(),
        not_kept: None,
    }
}

impl LiveRun {
    /// `cancel` tells the run that it is cancelled.
    pub fn new(cancel: watch::Sender<Option<String>>, cause: RunCause) -> LiveRun {
        let (progress, origins) = (ProgressTracker::default(), BTreeMap::new());
        LiveRun { began: clock::micros(), progress, origins, parts: Vec::new(), cancel, cause }
    }
}

/// Counts a part.
pub fn count(counts: &mut Counts, part: &Part) {
    match part.outcome() {
        Outcome::Passed => counts.passed += 1,
        Outcome::Failed => counts.failed += 1,
        Outcome::Skipped => counts.skipped += 1,
    }
    if let Part::Load(load) = part {
        counts.requests += load.requests;
    }
}

/// By time, and readable: `20261122-140359-1237c` is of the 123rd millisecond.
pub fn new_id(at_ms: u64) -> String {
    let at = utc(at_ms);
    let ((year, month, day), (hour, minute, second)) = (at.to_calendar_date(), at.as_hms());
    let month = u8::from(month);
    let mut dice = [0];
    // Without randomness, the microseconds tell two of one millisecond apart.
    if getrandom::fill(&mut dice).is_err() {
        dice = [clock::wall_micros() as u8];
    }
    let ([dice], millis) = (dice, at_ms % 1000);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{millis:03}{dice:02x}")
}
