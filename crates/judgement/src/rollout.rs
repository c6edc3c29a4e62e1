//! Who may move the weight, and what has been moved: the state of every service and the one function that changes it.
//!
//! [`State::apply`] is pure: an [`Event`] and the time go in, [`Effect`]s come out, in the order in which they must be
//! carried out. The sidecar is the thread that does so.

mod active_baseline;
mod active_before;
mod advance;
mod caution;
mod durable_state;
mod figure_history;
mod file_locks;
pub mod forecast;
pub mod freeze_window;
mod gate_history;
pub mod gate_hook;
mod gated;
pub mod gates;
mod guard_changes;
mod handed_watch;
mod health_events;
mod held_rollback;
mod insight;
mod journal_entries;
mod judged_scope;
mod judging;
pub mod ledger;
mod loading;
mod metric_request;
mod operator;
mod operator_actions;
mod outside_figures;
mod page_versions;
pub mod plan;
mod premises;
pub mod release;
mod replaced_side;
mod safe_place;
mod service_state;
mod service_update;
mod service_watch;
pub mod shadow;
mod shadow_gate;
mod split_honesty;
mod state;
mod suite_gate;
mod suite_run;
mod told_news;
pub mod view;
mod waiting_news;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::guard::evidence::tape::EvidenceTape;
use crate::guard::outside_metric::{FigureRecord, MeasuredFigures};
use crate::guard::sample_ratio::SplitArrivals;
use crate::guard::window::JudgedTotals;
use crate::guard::{GuardPolicy, Judgement, Observation};
use crate::rollout::freeze_window::FreezeWindow;
use crate::rollout::gates::{GateAnswer, GateRequest, RolloutGate};
use crate::rollout::ledger::RolloutLedger;
use crate::rollout::plan::{RolloutPlan, WarmUp};
use crate::rollout::shadow::ShadowNews;
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

pub use crate::rollout::durable_state::{
    DeployFreeze, DeployedOrigin, DurableState, QuarantinedVersion, RequestedSplit, RollbackLatch, RuntimeOverlay,
    RuntimeOverrides,
};
pub use crate::rollout::handed_watch::HandedWatch;
pub use crate::rollout::insight::GuardInsight;
pub use crate::rollout::journal_entries::Component;
pub use crate::rollout::metric_request::MetricRequest;
pub use crate::rollout::operator::{DeployRequest, OperatorAction, OperatorCommand, Requester, RolloutError};
pub use crate::rollout::outside_figures::FigureView;
pub use crate::rollout::premises::{FilePlace, FilePremises, ForbiddenChange, LoadedRule, share_a_url};
pub use crate::rollout::replaced_side::{OpenPages, ReplacedSide};
pub use crate::rollout::service_state::WaitReason;
pub use crate::rollout::service_watch::GuardReading;
pub use crate::rollout::state::State;
pub use crate::rollout::suite_run::{SuiteRun, SuiteRunError};

/// What a routing file asks for a service's split. What it leaves out, it does not ask for: half a file is not a
/// command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitRequest {
    pub active: Option<Environment>,
    pub weight: Option<Weight>,
}

impl SplitRequest {
    /// The request with the gaps filled in from `before`.
    fn after(self, before: RequestedSplit) -> RequestedSplit {
        RequestedSplit { active: self.active.unwrap_or(before.active), weight: self.weight.unwrap_or(before.weight) }
    }
}

/// A service of an accepted routing file.
#[derive(Clone, Debug)]
pub struct LoadedService {
    pub service: String,
    /// In the order of their ids, `default` first.
    pub routes: Vec<String>,
    pub ask: SplitRequest,
    pub policy: GuardPolicy,
    pub plan: RolloutPlan,
    pub premises: FilePremises,
    /// When deploys and steps are frozen, again and again.
    pub freezes: Vec<FreezeWindow>,
    /// The other systems that a rollout asks or tells.
    pub gates: Vec<RolloutGate>,
    /// What counts as a failure, as a number that differs if that does: only compared. Counts from before such a change
    /// say nothing about those after it.
    pub failure_rules: u64,
    /// Copies of clients' requests go to the candidate at weight 0, whether a rollout asks for them or not.
    pub mirrors: bool,
    /// If active did not answer when Cutover started without the state of before: it decides who is active.
    pub silent: Option<SilentActive>,
}

impl LoadedService {
    /// A service with no route of its own, and what holds where a file says nothing.
    pub fn standard(service: &str) -> LoadedService {
        LoadedService {
            service: service.to_owned(),
            routes: vec![crate::traffic::route::DEFAULT_ROUTE.to_owned()],
            ask: SplitRequest { active: None, weight: None },
            policy: GuardPolicy::standard(),
            plan: RolloutPlan::standard(),
            premises: FilePremises::default(),
            freezes: Vec::new(),
            gates: Vec::new(),
            failure_rules: 0,
            mirrors: false,
            silent: None,
        }
    }
}

/// An active side that did not answer when Cutover started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentActive {
    pub side: Environment,
    /// As a predicate.
    pub why: String,
    /// What the other side answered.
    pub other: Result<String, String>,
}

/// What can happen to the state.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time has passed: what ends by its age is looked at.
    Aged,
    /// A routing file was accepted as a whole.
    Loaded(Vec<LoadedService>),
    /// The judged totals of a live service: for each route that was ever requested, a pair by [`Environment::index`].
    /// `on_grid`: this is a tick of the clock, not a wake-up by a failure. Blocks of evidence end only at ticks,
    /// because a boundary that depends on outcomes would bias them.
    Counted { service: String, routes: Vec<Option<[JudgedTotals; 2]>>, on_grid: bool },
    /// An operator's command.
    Command(OperatorCommand),
    /// What the split of a live service has sent so far; `None` while it divides nobody.
    Arrived { service: String, arrivals: Option<SplitArrivals> },
    /// A remark for the journal that changes nothing.
    Remarked(AuditRemark),
    /// The result of a preflight: a summary, or why it failed.
    Preflighted { service: String, rollout: u32, result: Result<String, String> },
    /// The result of a step's suites: a summary such as `12 cases`, or why they did not pass.
    Validated { order: SuiteRun, result: Result<String, SuiteRunError> },
    /// What the copies of clients' requests have shown so far.
    Shadowed(ShadowNews),
    /// The active side of a service did not answer when Cutover started.
    Silent { service: String, silent: SilentActive },
    /// The answer of a side that a rollback would go to: a summary, or why it cannot take the clients.
    Probed { service: String, number: u32, result: Result<String, String> },
    /// The answer of another system: figures, or why there are none.
    Measured { order: MetricRequest, answer: Result<MeasuredFigures, String> },
    /// The answer of a gate.
    Gated { order: GateRequest, answer: GateAnswer },
    /// What health checks found about an environment. `rollback`: roll a new side back if it is down. `quiet`: tell
    /// nobody.
    Health { service: String, environment: Environment, up: bool, why: String, rollback: bool, quiet: bool },
}

/// Something that happened without changing the state: the audit's part of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRemark {
    pub kind: ChangeKind,
    /// Empty if it concerns all of Cutover.
    pub service: String,
    pub who: String,
    pub from: Option<String>,
    pub why: String,
    /// As what it is announced; `None`: only the journal has it.
    pub announced: Option<AnnouncementLevel>,
}

/// What to do about an event, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The splits changed: publish a new generation.
    Publish,
    Journal(Box<JournalChange>),
    Announce(Announcement),
    /// Try the candidate, and report the result as [`Event::Preflighted`].
    Preflight(PreflightRequest),
    /// Ask a side whether it answers, and report the result as [`Event::Probed`].
    Probe(ProbeRequest),
    /// Ask another system, and report the answer as [`Event::Measured`].
    Measure(MetricRequest),
    /// Ask or tell a gate, and report the answer as [`Event::Gated`].
    AskGate(GateRequest),
    /// Run the suites of a step, and report the result as [`Event::Validated`].
    Validate(SuiteRun),
    /// Store how far a service is, without an entry, so that a restart continues from there.
    Keep(String),
}

/// What must be tried before the candidate gets its first client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreflightRequest {
    pub service: String,
    pub rollout: u32,
    pub environment: Environment,
    pub warm_up: WarmUp,
    /// How long to wait for an environment that is still starting.
    pub ready_within: Millis,
    /// Suites to run after the warm-up; if one does not pass, the preflight fails.
    pub suites: Vec<String>,
    /// Nobody judges it before it has everybody: it must not answer worse than active.
    pub at_once: bool,
}

/// A side that must show that it can take the clients, before a rollback sends them there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    pub service: String,
    pub environment: Environment,
    /// What it is asked for: the path of the warm-up requests.
    pub path: String,
    pub number: u32,
}

/// The kind of change that a journal entry records.
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
    /// Both sides fail, and no longer do.
    SharedFate,
    SharedFateOver,
    /// Active is broken, by evidence that the candidate is better, and no longer is.
    ActiveBroken,
    ActiveBrokenOver,
    /// The two sides do not get the shares that the weight promises, and get them again.
    SampleRatio,
    SampleRatioOver,
    /// A rollback waits for its target, and is no longer called for.
    RollbackHeld,
    RollbackDropped,
    /// A step waits for something other than its bake time; a rollout is past its deadline.
    Waiting,
    Deadline,
    /// Caution begins, and ends.
    Caution,
    CautionOver,
    /// A rollout's last request has ended: its final cost.
    Ledger,
    Stop,
    Clear,
    /// A version starts, and the result of its preflight.
    Deploy,
    Preflight,
    /// A step of the plan, and that its suites, or one of its gates, have passed.
    Step,
    Validated,
    Gate,
    Resume,
    Approve,
    Promote,
    /// A promoted version has passed its watch.
    Watched,
    Abort,
    Freeze,
    Unfreeze,
    /// New requests wait, and go on.
    Hold,
    Release,
    /// The guard, or the notices, were switched on or off.
    Monitoring,
    Alerting,
    /// A routing file that changes what is in force was loaded.
    Reload,
    /// Rules, triggers or checks were changed at run time.
    Overlay,
    /// The active side did not answer when Cutover started.
    Silent,
    /// Health checks report an environment as down, or up again.
    Health,
    /// A check goes down and up again and again: its turns are no longer told, and are again.
    Flapping,
    FlappingOver,
    /// A CA has issued a certificate, or again and again has not.
    Certificate,
    CertificateFailed,
    /// A person has started or ended a run of a suite.
    Validation,
    /// A suite that runs by itself has begun to fail, and passes again.
    ValidationFailed,
    ValidationPassed,
    /// The admin API refused a request.
    Refused,
    /// A token was used for the first time since startup.
    Token,
    /// Another process took this one's place, or did not come up.
    Upgrade,
}

impl ChangeKind {
    pub const ALL: &'static [ChangeKind] = <ChangeKind as VariantArray>::VARIANTS;

    /// The names of all kinds, for filters.
    pub const NAMES: &'static [&'static str] = <ChangeKind as VariantNames>::VARIANTS;

    /// The name in the journal.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }
}

/// A journal entry without its hash and time of day, which the sidecar adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalChange {
    pub id: u64,
    pub generation: u64,
    /// On the monotonic clock, since the process started.
    pub uptime: Millis,
    pub service: String,
    pub kind: ChangeKind,
    /// The actor: `file`, `guard`, `plan`, or the name of a token.
    pub who: String,
    /// The address that the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The caller's Idempotency-Key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<DurableState>,
    /// `None` if the state has not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DurableState>,
    /// What the judge saw, if it judged: enough to judge again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<JudgementRecord>,
    /// The figure from elsewhere that it is founded on: enough to judge again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<FigureRecord>,
    /// The gate whose answer it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// What the rollout has cost so far, or in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<RolloutLedger>,
}

impl JournalChange {
    /// The candidate's weight before and after; `None` if the change is about something else, or made the candidate active.
    pub fn weights(&self) -> Option<[Weight; 2]> {
        let (before, after) = (self.before.as_ref()?, self.after.as_ref()?);
        let moved = before.active == after.active && (before.weight != after.weight || self.kind == ChangeKind::Shift);
        moved.then_some([before.weight, after.weight])
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgementRecord {
    pub policy: GuardPolicy,
    pub sight: Observation,
    pub judgement: Judgement,
    /// For the leading meter: what it has seen since its evidence began to rise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<EvidenceTape>,
}

/// An announcement for people: a log line, an event, perhaps a notice.
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
    /// Whether a part of Cutover made it by itself.
    pub fn is_by(&self, component: Component) -> bool {
        self.who == component.name()
    }

    /// The level of its announcement. It depends only on the entry, so that a replayed announcement is the same as the
    /// original.
    pub fn level(&self) -> AnnouncementLevel {
        let held = self.after.as_ref().is_some_and(DurableState::is_held);
        match self.kind {
            ChangeKind::Rollback
            | ChangeKind::RollbackHeld
            | ChangeKind::Stop
            | ChangeKind::Silent
            | ChangeKind::SharedFate
            | ChangeKind::ActiveBroken
            | ChangeKind::Deadline => AnnouncementLevel::Critical,
            ChangeKind::Pause if self.is_by(Component::Guard) || held || self.gate.is_some() => {
                AnnouncementLevel::Critical
            }
            ChangeKind::Warning
            | ChangeKind::Waiting
            | ChangeKind::SampleRatio
            | ChangeKind::Caution
            | ChangeKind::Abort
            | ChangeKind::Monitoring
            | ChangeKind::Flapping
            | ChangeKind::CertificateFailed
            | ChangeKind::ValidationFailed => AnnouncementLevel::Warning,
            _ => AnnouncementLevel::Info,
        }
    }
}

#[cfg(test)]
mod tests;
