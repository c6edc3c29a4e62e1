//! What operators may ask for, and why it may be refused.

use crate::rollout::premises::{FilePlace, ForbiddenChange};
use crate::rollout::{DeployedOrigin, RuntimeOverlay};
use crate::traffic::split::{RequestHold, Weight};

/// What an operator asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorCommand {
    pub service: String,
    pub by: Requester,
    pub act: OperatorAction,
}

/// Who asks for something, why, and on what condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requester {
    pub who: String,
    /// The address that the request came from, if it came over the network.
    pub from: Option<String>,
    /// The request's Idempotency-Key.
    pub key: Option<String>,
    /// Only if the state still has this generation.
    pub generation: Option<u64>,
    /// In the requester's own words; may be empty.
    pub why: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OperatorAction {
    Deploy(DeployRequest),
    /// Set the candidate's weight to this, at once or by the plan's steps. `force`: even if its version was rolled back.
    Shift {
        weight: Weight,
        gradual: bool,
        force: bool,
    },
    Pause,
    Resume,
    Approve,
    Promote,
    Abort,
    #[default]
    Rollback,
    Stop,
    Clear,
    /// Until this time, in milliseconds since 1970.
    Freeze {
        until: Option<u64>,
    },
    Unfreeze,
    /// New requests wait.
    Hold(RequestHold),
    /// What waits goes on.
    Release,
    /// Switches the guard on or off.
    Monitoring(bool),
    /// Switches notices on or off.
    Alerting(bool),
    /// Everything that is laid over the file. The caller has made sure that it is valid.
    Overlay(Box<RuntimeOverlay>),
}

/// A version to deploy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeployRequest {
    pub version: String,
    /// The routes that it is limited to; empty for all.
    pub functions: Vec<String>,
    /// Its URL, if that is not the file's.
    pub origin: Option<DeployedOrigin>,
    /// Deploy even though it was rolled back before, or is active already.
    pub force: bool,
    /// End the rollout that is under way, and deploy this in its place.
    pub replace: bool,
    /// Promote it as soon as it has passed its preflight: active is broken, and this mends it.
    pub rescue: bool,
    /// Deploy although it is frozen. The caller has made sure that the requester may.
    pub pass_freeze: bool,
}

/// Why an event cannot be applied. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolloutError {
    #[error("there is no service `{0}`")]
    NoSuchService(String),
    #[error("generation {asked} is not current; it is now {now}")]
    Stale { asked: u64, now: u64 },
    #[error("{service} is stopped: clear the emergency first")]
    Stopped { service: String },
    #[error("{service} is not stopped")]
    NotStopped { service: String },
    #[error("{service} is frozen by {who}: {why}")]
    Frozen { service: String, who: String, why: String },
    #[error("{service} is not frozen")]
    NotFrozen { service: String },
    #[error("{service} has nothing to roll back: the candidate has no traffic, and nothing was promoted")]
    NothingToRollBack { service: String },
    #[error("{service} has no rollout under way")]
    NoRollout { service: String },
    #[error(
        "route `{route}` is {changed}, but {title}, which is {phase}, is a rollout of routes: keep them until the rollout ends, or abort it"
    )]
    RouteInUse { service: String, route: String, changed: &'static str, title: String, phase: &'static str },
    #[error(
        "{service} is gone from the routing file, but has a rollout under way: {title} is {phase}; keep it until the rollout ends, or abort it"
    )]
    ServiceInUse { service: String, title: String, phase: &'static str },
    #[error("{service} is gone from the routing file, but is {held}: keep it until that is over")]
    ServiceHeld { service: String, held: &'static str },
    #[error("{service} has a rollout under way: {title} is {phase}")]
    UnderWay { service: String, title: String, phase: &'static str },
    #[error("{service}: {candidate} already has {weight} of the traffic, outside any rollout")]
    HasShare { service: String, candidate: &'static str, weight: Weight },
    #[error("{service}: version {version} was rolled back (journal entry {entry})")]
    Quarantined { service: String, version: String, entry: u64 },
    #[error("{service}: {side}, active, is {version} already")]
    AlreadyActive { service: String, version: String, side: &'static str },
    #[error("`{version}` is not a version: 1 to 128 printable characters without spaces")]
    BadVersion { version: String },
    #[error("{service} has no route `{route}`; it has {known}")]
    NoSuchRoute { service: String, route: String, known: String },
    #[error("{service}: the rollout is already paused")]
    Paused { service: String },
    #[error("{service}: the rollout is not paused")]
    NotPaused { service: String },
    #[error("{service}: the rollout has already reached its target weight: {weight}")]
    Reached { service: String, weight: Weight },
    #[error("{service}: the current step does not wait for approval")]
    NothingToApprove { service: String },
    #[error("{service}: the preflight is still running")]
    InPreflight { service: String },
    #[error("{service} is frozen by {who}: {why}; {}", change.what)]
    FileDuringFreeze { service: String, change: Box<ForbiddenChange>, who: String, why: String },
    #[error("{service}: version {version}, which would get clients, was rolled back (journal entry {entry})")]
    FileQuarantined { service: String, version: String, entry: u64 },
    #[error("{service} is stopped; {} before the emergency is cleared", change.what)]
    FileDuringStop { service: String, change: Box<ForbiddenChange> },
    #[error("{service}: {what}")]
    AsAsked { service: String, what: &'static str },
    #[error(
        "the routing file sets the weight of {service} to {asked} while {title} is {phase}: only 0 is accepted, which aborts it"
    )]
    FileDuringRollout { service: String, asked: Weight, title: String, phase: &'static str },
}

impl RolloutError {
    /// Where the routing file says what it may not, and of which service.
    pub fn place(&self) -> Option<(&str, FilePlace)> {
        match self {
            RolloutError::FileDuringFreeze { service, change, .. }
            | RolloutError::FileDuringStop { service, change } => Some((service, change.place.clone())),
            RolloutError::RouteInUse { service, route, .. } => Some((service, FilePlace::Route(route.clone()))),
            RolloutError::FileDuringRollout { service, .. } | RolloutError::FileQuarantined { service, .. } => {
                Some((service, FilePlace::Split))
            }
            _ => None,
        }
    }
}
