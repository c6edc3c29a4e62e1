//! Who may move the weight, and what has been moved: the state of every service and the one function that changes it.
//!
//! [`State::apply`] is pure: an [`Event`] and the time go in, [`Effect`]s come out, in the order in which they are to be
//! carried out. The sidecar is the thread that does so.

mod act;
mod advance;
mod caution;
mod command;
mod durable;
mod entries;
mod gate;
mod health;
pub mod ledger;
pub mod plan;
pub mod release;
mod scope;
mod sights;
mod state;
pub mod view;
mod watch;

use serde::{Deserialize, Serialize};

use crate::guard::evidence::tape::Tape;
use crate::guard::window::Totals;
use crate::guard::{Judgement, Policy, Sight};
use crate::rollout::ledger::Ledger;
use crate::rollout::plan::{Plan, WarmUp};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

pub use crate::rollout::act::{Act, Command, Deploy, Refused};
pub use crate::rollout::durable::{Asked, Durable, Freeze, Latch, Over, Overlay, Permalink, Quarantined};
pub use crate::rollout::gate::{Order, Unproved};
pub use crate::rollout::sights::Insight;
pub use crate::rollout::state::State;
pub use crate::rollout::watch::Shown;

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
    pub plan: Plan,
    /// Where the file sends the environments, by [`Environment::index`].
    pub urls: [String; 2],
    /// An active that is down gives way to the candidate.
    pub failover_both: bool,
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
    /// Something happened that changes nothing, and is to be written down.
    Remarked(Remark),
    /// What a preflight came to: in words, or why not.
    Preflighted { service: String, rollout: u32, result: Result<String, String> },
    /// What the suites of a step came to: in words such as `12 cases`, or why they have not passed.
    Validated { order: Order, result: Result<String, Unproved> },
    /// What health checks find of an environment. `rollback`: one that is down takes a new side back.
    Health { service: String, environment: Environment, up: bool, why: String, rollback: bool },
}

/// What happened, where no state changes: the audit's part of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    pub kind: Kind,
    /// Empty where it is about the whole house.
    pub service: String,
    pub who: String,
    pub from: Option<String>,
    pub why: String,
}

/// What is to be done about it, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The splits changed: a new generation.
    Publish,
    Journal(Box<Change>),
    Announce(Announcement),
    /// Try the candidate; what comes of it is an [`Event::Preflighted`].
    Preflight(Preflight),
    /// Run the suites of a step; what comes of it is an [`Event::Validated`].
    Validate(Order),
    /// Write down how far a service is, without an entry: a restart goes on from there.
    Keep(String),
}

/// What is to be tried before the candidate gets its first client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    pub service: String,
    pub rollout: u32,
    pub environment: Environment,
    pub warm_up: WarmUp,
    /// To be run after the warm-up; one that does not pass is a preflight that fails.
    pub suites: Vec<String>,
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
    /// A version sets out, and what its preflight came to.
    Deploy,
    Preflight,
    /// A step of the plan, and that its suites have passed.
    Step,
    Validated,
    Resume,
    Approve,
    Promote,
    /// A promoted version has stood its watch.
    Watched,
    Abort,
    Freeze,
    Unfreeze,
    /// The guard's eyes, or the notices, were switched.
    Monitoring,
    Alerting,
    /// Rules, triggers or checks were changed at run time.
    Overlay,
    /// Health checks find an environment down, or up again.
    Health,
    /// A person has begun or ended a run of a suite.
    Validation,
    /// Somebody was turned away at the admin's door.
    Refused,
    /// A token was used for the first time since the start.
    Token,
}

impl Kind {
    /// All of them, for who filters by one.
    pub const ALL: [Kind; 30] = [
        Kind::Added,
        Kind::Shift,
        Kind::Swap,
        Kind::Rollback,
        Kind::Warning,
        Kind::Pause,
        Kind::SharedFate,
        Kind::Caution,
        Kind::CautionOver,
        Kind::Ledger,
        Kind::Stop,
        Kind::Clear,
        Kind::Deploy,
        Kind::Preflight,
        Kind::Step,
        Kind::Validated,
        Kind::Resume,
        Kind::Approve,
        Kind::Promote,
        Kind::Watched,
        Kind::Abort,
        Kind::Freeze,
        Kind::Unfreeze,
        Kind::Monitoring,
        Kind::Alerting,
        Kind::Overlay,
        Kind::Health,
        Kind::Validation,
        Kind::Refused,
        Kind::Token,
    ];

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
            Kind::Deploy => "deploy",
            Kind::Preflight => "preflight",
            Kind::Step => "step",
            Kind::Validated => "validated",
            Kind::Resume => "resume",
            Kind::Approve => "approve",
            Kind::Promote => "promote",
            Kind::Watched => "watched",
            Kind::Abort => "abort",
            Kind::Freeze => "freeze",
            Kind::Unfreeze => "unfreeze",
            Kind::Monitoring => "monitoring",
            Kind::Alerting => "alerting",
            Kind::Overlay => "overlay",
            Kind::Health => "health",
            Kind::Validation => "validation",
            Kind::Refused => "refused",
            Kind::Token => "token",
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
    /// `file`, `guard`, `plan`, or the name of a person or token.
    pub who: String,
    /// The address that it was asked for from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The caller's Idempotency-Key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Durable>,
    /// `None`: nothing of the state has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Durable>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Info,
    Warning,
    Critical,
}

impl Change {
    /// How loud its news is. By the entry alone, so that what is told again is told as it was.
    pub fn level(&self) -> Level {
        let held = self.after.as_ref().is_some_and(Durable::is_held);
        match self.kind {
            Kind::Rollback | Kind::Stop | Kind::SharedFate => Level::Critical,
            Kind::Pause if self.who == "guard" || held => Level::Critical,
            Kind::Warning | Kind::Caution | Kind::Abort | Kind::Monitoring => Level::Warning,
            _ => Level::Info,
        }
    }
}

#[cfg(test)]
mod tests;
