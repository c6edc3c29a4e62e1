//! Who may move the weight, and what has been moved: the state of every service and the one function that changes it.
//!
//! [`State::apply`] is pure: an [`Event`] and the time go in, [`Effect`]s come out, in the order in which they are to be
//! carried out. The sidecar is the thread that does so.

mod advance;
mod caution;
mod durable_state;
mod guard_changes;
mod health_events;
mod insight;
mod journal_entries;
mod judged_scope;
pub mod ledger;
mod operator;
mod operator_actions;
pub mod plan;
pub mod release;
mod service_state;
mod service_watch;
mod state;
mod suite_gate;
mod suite_run;
pub mod view;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::guard::evidence::tape::EvidenceTape;
use crate::guard::window::JudgedTotals;
use crate::guard::{GuardPolicy, Judgement, Observation};
use crate::rollout::ledger::RolloutLedger;
use crate::rollout::plan::{RolloutPlan, WarmUp};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

pub use crate::rollout::durable_state::{
    DeployFreeze, DeployedOrigin, DurableState, QuarantinedVersion, RequestedSplit, RollbackLatch, RuntimeOverlay,
    RuntimeOverrides,
};
pub use crate::rollout::insight::GuardInsight;
pub use crate::rollout::operator::{DeployRequest, OperatorAction, OperatorCommand, Requester, RolloutError};
pub use crate::rollout::service_state::WaitReason;
pub use crate::rollout::service_watch::GuardReading;
pub use crate::rollout::state::State;
pub use crate::rollout::suite_run::{SuiteRun, SuiteRunError};

/// What a routing file asks for a service's split. What it leaves out it does not ask for: half a file is no command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitRequest {
    pub active: Option<Environment>,
    pub weight: Option<Weight>,
}

impl SplitRequest {
    /// What is asked for in the end, after `before`.
    fn after(self, before: RequestedSplit) -> RequestedSplit {
        RequestedSplit { active: self.active.unwrap_or(before.active), weight: self.weight.unwrap_or(before.weight) }
    }
}

/// A service of a routing file that was taken.
#[derive(Clone, Debug)]
pub struct LoadedService {
    pub service: String,
    /// In the order of their ids, `default` first.
    pub routes: Vec<String>,
    pub ask: SplitRequest,
    pub policy: GuardPolicy,
    pub plan: RolloutPlan,
    /// Where the file sends the environments, by [`Environment::index`].
    pub urls: [String; 2],
}

/// What happens to the state.
#[derive(Clone, Debug)]
pub enum Event {
    /// A routing file was taken whole.
    Loaded(Vec<LoadedService>),
    /// The judged totals of a live service: for each route that was ever asked for, a pair by [`Environment::index`].
    /// `on_grid`: a tick of the clock, not a wake-up by a failure; blocks of evidence end only there, because a boundary
    /// that knows the outcomes would bias them.
    Counted { service: String, routes: Vec<Option<[JudgedTotals; 2]>>, on_grid: bool },
    /// Somebody wants something.
    Command(OperatorCommand),
    /// Something happened that changes nothing, and is to be written down.
    Remarked(AuditRemark),
    /// What a preflight came to: in words, or why not.
    Preflighted { service: String, rollout: u32, result: Result<String, String> },
    /// What the suites of a step came to: in words such as `12 cases`, or why they have not passed.
    Validated { order: SuiteRun, result: Result<String, SuiteRunError> },
    /// What health checks find of an environment. `rollback`: one that is down takes a new side back.
    Health { service: String, environment: Environment, up: bool, why: String, rollback: bool },
}

/// What happened, where no state changes: the audit's part of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRemark {
    pub kind: ChangeKind,
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
    Journal(Box<JournalChange>),
    Announce(Announcement),
    /// Try the candidate; what comes of it is an [`Event::Preflighted`].
    Preflight(PreflightRequest),
    /// Run the suites of a step; what comes of it is an [`Event::Validated`].
    Validate(SuiteRun),
    /// Write down how far a service is, without an entry: a restart goes on from there.
    Keep(String),
}

/// What is to be tried before the candidate gets its first client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreflightRequest {
    pub service: String,
    pub rollout: u32,
    pub environment: Environment,
    pub warm_up: WarmUp,
    /// To be run after the warm-up; one that does not pass is a preflight that fails.
    pub suites: Vec<String>,
}

/// What kind of change an entry of the journal records.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ChangeKind {
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

impl ChangeKind {
    pub const ALL: &'static [ChangeKind] = <ChangeKind as VariantArray>::VARIANTS;

    /// The names of all kinds, for those who filter by one.
    pub const NAMES: &'static [&'static str] = <ChangeKind as VariantNames>::VARIANTS;

    /// As the journal has it.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }
}

/// An entry of the journal, but for its hash and the time of day, which the sidecar adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalChange {
    pub id: u64,
    pub generation: u64,
    /// On the monotonic clock, since the process started.
    pub uptime: Millis,
    pub service: String,
    pub kind: ChangeKind,
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
    pub before: Option<DurableState>,
    /// `None`: nothing of the state has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DurableState>,
    /// What the judge saw, where it judged: enough to judge again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<JudgementRecord>,
    /// What the rollout has cost so far, or in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<RolloutLedger>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgementRecord {
    pub policy: GuardPolicy,
    pub sight: Observation,
    pub judgement: Judgement,
    /// Of the meter that leads: what it has seen since its evidence began to rise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<EvidenceTape>,
}

/// News for people: a log line, an event, later a notice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Announcement {
    pub level: AnnouncementLevel,
    pub service: String,
    pub kind: ChangeKind,
    pub text: String,
    /// The journal entry.
    pub entry: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnnouncementLevel {
    Info,
    Warning,
    Critical,
}

impl JournalChange {
    /// How loud its news is. By the entry alone, so that what is told again is told as it was.
    pub fn level(&self) -> AnnouncementLevel {
        let held = self.after.as_ref().is_some_and(DurableState::is_held);
        match self.kind {
            ChangeKind::Rollback | ChangeKind::Stop | ChangeKind::SharedFate => AnnouncementLevel::Critical,
            ChangeKind::Pause if self.who == "guard" || held => AnnouncementLevel::Critical,
            ChangeKind::Warning | ChangeKind::Caution | ChangeKind::Abort | ChangeKind::Monitoring => {
                AnnouncementLevel::Warning
            }
            _ => AnnouncementLevel::Info,
        }
    }
}

#[cfg(test)]
mod tests;
