//! Runs that start automatically: on a schedule, and after a rollback.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::runs::{RunCause, RunRefusal, RunRequest, Runs, suites};
use config::suite::Suite;
use config::watch::FileStamps;
use judgement::rollout::ChangeKind;
use sidecar::RecordedAnnouncement;
use wire::{ExecutionState, RunTarget};

/// How often the schedule is checked: a fifth of the shortest interval between two runs.
const LOOK: Duration = Duration::from_secs(2);

/// Starts the runs that are due, until shutdown.
pub async fn run_scheduled(runs: Runs, mut news: tokio::sync::broadcast::Receiver<RecordedAnnouncement>) {
    // What was due while Cutover was not running begins once it serves.
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    looks.tick().await;
    let mut folder = WatchedSuites::default();
    loop {
        tokio::select! {
            _ = looks.tick() => on_time(&runs, &mut folder),
            heard = news.recv() => match heard {
                Ok(news) if news.announcement.kind == ChangeKind::Rollback => after(&runs, folder.suites(&runs), &news),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

fn on_time(runs: &Runs, folder: &mut WatchedSuites) {
    folder.suites(runs);
    let WatchedSuites { suites, broken, .. } = &*folder;
    let mut automatic: BTreeSet<&str> = BTreeSet::new();
    for suite in suites.iter().filter(|suite| runs.is_enabled(&suite.name)) {
        if runs.runs_after_rollback(suite) {
            automatic.insert(&suite.name);
        }
        let Some(every) = runs.every_ms(suite) else { continue };
        automatic.insert(&suite.name);
        if !runs.is_due(&suite.name, every) {
            continue;
        }
        // A suite that takes longer than its interval does not overlap itself.
        let under_way = |state: ExecutionState| !state.is_over();
        if runs.list().iter().any(|run| run.suite == suite.name && run.who == "schedule" && under_way(run.state)) {
            tracing::warn!(suite = suite.name, "skipping a scheduled run: the previous one is still running");
            continue;
        }
        begin(runs, suite, "schedule", None);
    }
    for name in broken.iter().filter(|name| runs.is_enabled(name) && runs.has_run_by_itself(name)) {
        automatic.insert(name);
        runs.fails(name, "", "its file is invalid: see `cutover validate check`");
    }
    let is_there = |name: &str| suites.iter().any(|suite| suite.name == name) || broken.contains(name);
    runs.forget_others(&automatic, is_there);
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
    let known = service.clone().or_else(|| suite.service.clone());
    let (name, target, cause) = (suite.name.clone(), RunTarget::Both, RunCause::Automation);
    let request = RunRequest { suite: name, service, target, who: who.to_owned(), from: None, cause };
    match runs.begin(request) {
        Ok(_) | Err(RunRefusal::Ending) => {}
        Err(refusal) => {
            tracing::warn!(suite = suite.name, why = %refusal, "cannot start a scheduled suite");
            runs.fails(&suite.name, known.as_deref().unwrap_or(""), &format!("it cannot be started: {refusal}"));
        }
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
        let now = Some(FileStamps::at(&runs.folder()));
        if self.seen != now {
            let read = suites::all(&runs.folder()).unwrap_or_default();
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
