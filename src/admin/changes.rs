//! Changes that need a new routing table: rules and triggers set at run time, and deploys that name an origin.
//!
//! A single task makes them, the one that also reloads the file, so a change and a reload never overlap. The change is
//! merged with the file on disk and checked together with it; only then does the sidecar take both, or neither.

use tokio::sync::{mpsc, oneshot};

use judgement::rollout::{DeployRequest, Requester, RolloutError};
use judgement::traffic::Environment;
use sidecar::CommandReceipt;

/// Changes that may wait in line; more are refused.
pub const QUEUE: usize = 16;

/// A change to what is set at run time.
#[derive(Clone, Debug)]
pub enum Change {
    /// A fragment of the routing file, in TOML.
    PutRule {
        name: String,
        rule: String,
    },
    DeleteRule {
        name: String,
    },
    PutTrigger {
        name: String,
        trigger: String,
    },
    DeleteTrigger {
        name: String,
    },
    PutHealth {
        check: String,
        on: bool,
    },
    ClearOverlay,
    /// A version with an origin of its own, or with the file's in the place of an earlier one's.
    Deploy {
        deploy: DeployRequest,
        origin: Option<String>,
        /// It must answer before anything changes.
        checked: bool,
    },
}

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("{0}")]
    Refused(#[from] RolloutError),
    #[error("the routing file on disk is invalid")]
    BadFile { problems: String },
    #[error("{what} `{name}` is not valid here: {why}")]
    DoesNotFit { what: &'static str, name: String, why: String },
    #[error("{what} `{name}` is defined in the routing file; change it there")]
    InTheFile { what: &'static str, name: String },
    #[error("no {what} named `{name}`")]
    NotThere { what: &'static str, name: String },
    #[error("a deploy of {service} may not use the origin `{url}`: {why}")]
    OriginNotAllowed { service: String, url: String, why: String },
    #[error("{version} is not brought back: {side} {why}")]
    DoesNotAnswer { version: String, side: Environment, why: String },
    #[error("too many changes are waiting")]
    Busy,
    #[error("Cutover is shutting down")]
    Closing,
}

/// A request to the task that makes changes.
#[derive(Debug)]
pub struct ChangeRequest {
    pub service: String,
    pub by: Requester,
    pub change: Change,
    pub answer: oneshot::Sender<Result<CommandReceipt, ChangeError>>,
}

/// A handle to the task that makes changes.
#[derive(Clone, Debug)]
pub struct Changes(mpsc::Sender<ChangeRequest>);

impl Changes {
    pub fn new() -> (Changes, mpsc::Receiver<ChangeRequest>) {
        let (asks, asked) = mpsc::channel(QUEUE);
        (Changes(asks), asked)
    }

    /// Makes a change. When this returns, it is in force and its entry is on disk.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing has changed.
    pub async fn apply(&self, service: String, by: Requester, change: Change) -> Result<CommandReceipt, ChangeError> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(ChangeRequest { service, by, change, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ChangeError::Busy,
            mpsc::error::TrySendError::Closed(_) => ChangeError::Closing,
        })?;
        answered.await.map_err(|_| ChangeError::Closing)?
    }
}
