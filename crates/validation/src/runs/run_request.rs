//! A request to run a suite, why it is refused, and the verdict of a run.

use std::path::PathBuf;

use crate::runs::suites::SuiteSettings;
use config::read::did_you_mean;
use config::suite::Suite;
use wire::{ExecutionState, Outcome, Part, RunTarget};

/// A request to run a suite.
#[derive(Clone, Debug)]
pub struct RunRequest {
    pub suite: String,
    /// `None`: the suite's own service, or the only one.
    pub service: Option<String>,
    pub target: RunTarget,
    pub who: String,
    /// The address of the client.
    pub from: Option<String>,
    pub cause: RunCause,
}

/// Why a suite is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunCause {
    /// Somebody has asked for it.
    Request,
    /// It is due, or there was a rollback: nobody watches it.
    Automation,
    /// A rollout waits for it, and it waits for no other run.
    Gate,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunRefusal {
    #[error("there is no suite `{name}` in {}: {}", folder.display(), known(name, names))]
    NoSuchSuite { name: String, folder: PathBuf, names: Vec<String> },
    #[error("suite {name} is invalid:\n{why}")]
    Broken { name: String, why: String },
    #[error("suite {0} is disabled")]
    Off(String),
    #[error("suite {0} compares blue with green: run it against both")]
    NeedsBoth(String),
    #[error("suite {0} has no [[data]] checks")]
    NoData(String),
    #[error("{0}")]
    NoService(String),
    #[error("Cutover is shutting down: it starts no more runs")]
    Ending,
    #[error("{0} runs of the service are already waiting")]
    Busy(usize),
    #[error("there is no run `{0}`")]
    NoSuchRun(String),
    #[error("run {id} has already ended: {}", state.name())]
    Over { id: String, state: ExecutionState },
    #[error("run {0} is still running: cancel it first")]
    UnderWay(String),
    #[error("cannot read or write the run: {0}")]
    Unreadable(String),
}

fn known(name: &str, names: &[String]) -> String {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    if known.is_empty() { "it has none".to_owned() } else { did_you_mean(name, &known) }
}

/// Whether a suite can be run as requested.
///
/// # Errors
/// It is disabled, or has nothing for one side.
pub fn fits(suite: &Suite, request: &RunRequest, settings: &SuiteSettings) -> Result<(), RunRefusal> {
    if !settings.of(&suite.name).enabled {
        return Err(RunRefusal::Off(suite.name.clone()));
    }
    let one_sided = suite.cases.is_empty() && suite.loads.is_empty();
    if request.target != RunTarget::Both && one_sided {
        return Err(RunRefusal::NeedsBoth(suite.name.clone()));
    }
    Ok(())
}

/// The verdict of a run that has ended, in one sentence.
pub fn verdict(parts: &[Part]) -> (ExecutionState, String) {
    let count = |outcome: Outcome| parts.iter().filter(|part| part.outcome() == outcome).count();
    let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
    if failed == 0 && passed == 0 {
        return (ExecutionState::Failed, "nothing was run".to_owned());
    }
    if failed == 0 {
        let all = if passed == 1 { "1 part passed".to_owned() } else { format!("all {passed} parts passed") };
        return (ExecutionState::Passed, all);
    }
    let first = parts.iter().find(|part| part.outcome() == Outcome::Failed);
    let why = first.map(|part| {
        let side = part.environment().map_or(String::new(), |side| format!(" on {}", RunTarget::from(side).name()));
        format!("{}{side}: {}", part.name(), part.why().unwrap_or("failed"))
    });
    let all = passed + failed;
    let parts = if all == 1 { "the only part".to_owned() } else { format!("{failed} of {all} parts") };
    (ExecutionState::Failed, format!("{parts} failed: {}", why.unwrap_or_default()))
}
