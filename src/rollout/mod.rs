//! Who may move the weight, and what has been moved: the state of every service and the one function that changes it.
//!
//! [`State::apply`] is pure: an [`Event`] and the time go in, [`Effect`]s come out, in the order in which they are to be
//! carried out. The sidecar is the thread that does so.

mod caution;
mod entries;
pub mod ledger;
mod scope;
mod state;
mod watch;

use serde::{Deserialize, Serialize};

use crate::guard::evidence::tape::Tape;
use crate::guard::window::Totals;
use crate::guard::{Judgement, Policy, Sight};
use crate::rollout::ledger::Ledger;
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

pub use crate::rollout::state::State;
pub use crate::rollout::watch::Shown;

/// What of a service outlives the process: kept in the state store, written with the change that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durable {
    pub active: Environment,
    pub weight: Weight,
    pub epoch: u32,
    /// Set by a rollback: nothing but a person raises the weight again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latch: Option<Latch>,
    /// The emergency stop.
    #[serde(default)]
    pub stopped: bool,
    /// The number of the rollout: goes up whenever the weight leaves 0.
    #[serde(default)]
    pub rollout: u32,
    /// What the routing file asked for when it was last read: only a change of it is a command.
    pub asked: Asked,
}

impl Durable {
    /// A weight that leaves 0 begins a rollout.
    fn set_weight(&mut self, weight: Weight) {
        if self.weight.is_zero() && !weight.is_zero() {
            self.rollout += 1;
        }
        self.weight = weight;
    }
}

/// Why a service is latched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latch {
    pub reason: String,
    /// The journal entry of the rollback.
    pub entry: u64,
}

/// What the routing files have asked for a service's split, last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub active: Environment,
    pub weight: Weight,
}

/// What a routing file asks for a service's split. What it leaves out it does not ask for: half a file is no command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    pub active: Option<Environment>,
    pub weight: Option<Weight>,
}

impl Ask {
    /// What is asked for in the end, after `before`.
    fn after(self, before: Asked) -> Asked {
        Asked { active: self.active.unwrap_or(before.active), weight: self.weight.unwrap_or(before.weight) }
    }
}

/// A service of a routing file that was taken.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub service: String,
    /// In the order of their ids, `default` first.
    pub routes: Vec<String>,
    pub ask: Ask,
    pub policy: Policy,
}

/// What happens to the state.
#[derive(Clone, Debug)]
pub enum Event {
    /// A routing file was taken whole.
    Loaded(Vec<Loaded>),
    /// The judged totals of a live service: for each route that was ever asked for, a pair by [`Environment::index`].
    /// `on_grid`: a tick of the clock, not a wake-up by a failure; blocks of evidence end only there, because a boundary
    /// that knows the outcomes would bias them.
    Counted { service: String, routes: Vec<Option<[Totals; 2]>>, on_grid: bool },
    /// Somebody wants something.
    Command(Command),
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub service: String,
    pub who: String,
    pub why: String,
    pub act: Act,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Shift(Weight),
    Rollback,
    Stop,
    Clear,
}

/// What is to be done about it, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The splits changed: a new generation.
    Publish,
    Journal(Box<Change>),
    Announce(Announcement),
}

/// Why an event cannot be applied. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("there is no service `{0}`")]
    NoSuchService(String),
    #[error("{service} is stopped: clear the emergency first")]
    Stopped { service: String },
    #[error("{service} has nothing to roll back: the candidate has no share")]
    NothingToRollBack { service: String },
    #[error("{service} is not stopped")]
    NotStopped { service: String },
}

/// What kind of change an entry of the journal records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The service was seen for the first time.
    Added,
    Shift,
    /// The roles swapped.
    Swap,
    Rollback,
    Warning,
    Pause,
    SharedFate,
    /// Caution begins, and ends.
    Caution,
    CautionOver,
    /// A rollout's last request has ended: what it came to.
    Ledger,
    Stop,
    Clear,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Added => "added",
            Kind::Shift => "shift",
            Kind::Swap => "swap",
            Kind::Rollback => "rollback",
            Kind::Warning => "warning",
            Kind::Pause => "pause",
            Kind::SharedFate => "shared_fate",
            Kind::Caution => "caution",
            Kind::CautionOver => "caution_over",
            Kind::Ledger => "ledger",
            Kind::Stop => "stop",
            Kind::Clear => "clear",
        }
    }
}

/// An entry of the journal, but for its hash and the time of day, which the sidecar adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub id: u64,
    pub generation: u64,
    /// On the monotonic clock, since the process started.
    pub uptime: Millis,
    pub service: String,
    pub kind: Kind,
    /// `file`, `guard`, or the name of a person or token.
    pub who: String,
    pub why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Durable>,
    pub after: Durable,
    /// What the judge saw, where it judged: enough to judge again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What the rollout has cost so far, or in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub policy: Policy,
    pub sight: Sight,
    pub judgement: Judgement,
    /// Of the meter that leads: what it has seen since its evidence began to rise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<Tape>,
}

/// News for people: a log line, an event, later a notice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Announcement {
    pub level: Level,
    pub service: String,
    pub kind: Kind,
    pub text: String,
    /// The journal entry.
    pub entry: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Info,
    Warning,
    Critical,
}

#[cfg(test)]
mod tests;
