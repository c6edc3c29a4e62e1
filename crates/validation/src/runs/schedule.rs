//! Runs that start automatically: on a schedule, and after a rollback.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::runs::{RunRequest, Runs, suites};
use config::suite::Suite;
use config::watch::FileStamps;
use judgement::rollout::ChangeKind;
use judgement::time::Millis;
use memory::clock;
use sidecar::RecordedAnnouncement;
use wire::{ExecutionState, RunTarget};

/// How often the schedule is checked: a fifth of the shortest interval between two runs.
const LOOK: Duration = Duration::from_secs(2);

/// Starts the runs that are due, until shutdown.
pub async fn run_scheduled(runs: Runs, mut news: tokio::sync::broadcast::Receiver<RecordedAnnouncement>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // When each suite last ran by schedule; the first time is one interval after the start.
    let mut begun: BTreeMap<String, Millis> = BTreeMap::new();
    let mut folder = WatchedSuites::default();
    loop {
        tokio::select! {
            _ = looks.tick() => on_time(&runs, folder.suites(&runs), &mut begun),
            heard = news.recv() => match heard {
                Ok(news) if news.announcement.kind == ChangeKind::Rollback => after(&runs, folder.suites(&runs), &news),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

fn on_time(runs: &Runs, suites: &[Suite], begun: &mut BTreeMap<String, Millis>) {
    let now = clock::now();
    for suite in suites.iter().filter(|suite| runs.is_enabled(&suite.name)) {
        let Some(every) = runs.every_ms(suite).map(Millis) else { continue };
        let last = *begun.entry(suite.name.clone()).or_insert(now);
        if now.since(last) < every {
            continue;
        }
        begun.insert(suite.name.clone(), now);
        // A suite that takes longer than its interval does not overlap itself.
        let under_way = |state: ExecutionState| !state.is_over();
        if runs.list().iter().any(|run| run.suite == suite.name && run.who == "schedule" && under_way(run.state)) {
            tracing::warn!(suite = suite.name, "skipping a scheduled run: the previous one is still running");
            continue;
        }
        begin(runs, suite, "schedule", None);
    }
}

fn after(runs: &Runs, suites: &[Suite], news: &RecordedAnnouncement) {
    let service = news.announcement.service.as_str();
    for suite in suites.iter().filter(|suite| runs.is_enabled(&suite.name) && runs.runs_after_rollback(suite)) {
        if suite.service.as_deref().is_none_or(|of| of == service) {
            begin(runs, suite, "rollback", Some(service.to_owned()));
        }
    }
}

fn begin(runs: &Runs, suite: &Suite, who: &str, service: Option<String>) {
    let request =
        RunRequest { suite: suite.name.clone(), service, target: RunTarget::Both, who: who.to_owned(), from: None };
    if let Err(refusal) = runs.begin(request) {
        tracing::warn!(suite = suite.name, why = %refusal, "cannot start a scheduled suite");
    }
}

/// The folder of suites, which is read again when it has changed.
#[derive(Default)]
struct WatchedSuites {
    /// `None`: read again, since what a broken suite lacks may be outside its file.
    seen: Option<FileStamps>,
    suites: Vec<Suite>,
    /// Each is logged once.
    broken: BTreeSet<String>,
}

impl WatchedSuites {
    /// The valid suites. `validate check` and the list of suites say what is wrong with the others.
    fn suites(&mut self, runs: &Runs) -> &[Suite] {
        let now = Some(FileStamps::at(runs.folder()));
        if self.seen != now {
            let read = suites::all(runs.folder()).unwrap_or_default();
            self.seen = now.filter(|_| read.iter().all(|read| read.suite.is_ok()));
            self.suites.clear();
            let known = std::mem::take(&mut self.broken);
            for suites::LoadedSuite { name, suite } in read {
                match suite {
                    Ok(suite) => self.suites.push(suite),
                    Err(_) => {
                        if !known.contains(&name) {
                            tracing::warn!(
                                suite = name,
                                "the suite is invalid and does not run on its schedule: see `cutover validate check`"
                            );
                        }
                        self.broken.insert(name);
                    }
                }
            }
        }
        &self.suites
    }
}
