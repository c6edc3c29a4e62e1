//! What is asked for, why it is refused, and what a run came to.

use std::path::PathBuf;

use crate::runs::suites::SuiteSettings;
use config::read::did_you_mean;
use config::suite::Suite;
use wire::{ExecutionState, Outcome, Part, RunTarget};

/// A run that somebody wants.
#[derive(Clone, Debug)]
pub struct RunRequest {
    pub suite: String,
    /// `None`: the suite's own, or the only one.
    pub service: Option<String>,
    pub target: RunTarget,
    pub who: String,
    /// The address that it was asked for from.
    pub from: Option<String>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunRefusal {
    #[error("there is no suite `{name}` in {}: {}", folder.display(), known(name, names))]
    NoSuchSuite { name: String, folder: PathBuf, names: Vec<String> },
    #[error("suite {name} cannot be run:\n{why}")]
    Broken { name: String, why: String },
    #[error("suite {0} is switched off")]
    Off(String),
    #[error("suite {0} compares blue with green: run it against both")]
    NeedsBoth(String),
    #[error("suite {0} has no [[data]] to keep")]
    NoData(String),
    #[error("{0}")]
    NoService(String),
    #[error("Cutover is ending: it begins no run any more")]
    Ending,
    #[error("{0} runs wait already")]
    Busy(usize),
    #[error("there is no run `{0}`")]
    NoSuchRun(String),
    #[error("run {id} is over: {}", state.name())]
    Over { id: String, state: ExecutionState },
    #[error("run {0} is under way: cancel it first")]
    UnderWay(String),
    #[error("the record cannot be read or written: {0}")]
    Unreadable(String),
}

fn known(name: &str, names: &[String]) -> String {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    if known.is_empty() { "it has none".to_owned() } else { did_you_mean(name, &known) }
}

/// Whether a suite may be run so.
///
/// # Errors
/// It is switched off, or has nothing for one side.
pub fn fits(suite: &Suite, order: &RunRequest, settings: &SuiteSettings) -> Result<(), RunRefusal> {
    if !settings.of(&suite.name).enabled {
        return Err(RunRefusal::Off(suite.name.clone()));
    }
    let one_sided = suite.cases.is_empty() && suite.loads.is_empty();
    if order.target != RunTarget::Both && one_sided {
        return Err(RunRefusal::NeedsBoth(suite.name.clone()));
    }
    Ok(())
}

/// How the parts of a run that came to its end judge it, in one sentence.
pub fn verdict(parts: &[Part]) -> (ExecutionState, String) {
    let count = |outcome: Outcome| parts.iter().filter(|part| part.outcome() == outcome).count();
    let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
    if failed == 0 && passed == 0 {
        return (ExecutionState::Failed, "nothing was tried".to_owned());
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
