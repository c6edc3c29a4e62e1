//! Changes that go with a new routing: what is laid over the file at run time, and deploys that bring an origin along.
//!
//! One task makes them, the one that reloads the file too: so a change and a reload never cross. The change is first laid
//! over the file as it stands on the disk and checked with it; only then the sidecar takes both, or none.

use tokio::sync::{mpsc, oneshot};

use judgement::rollout::{DeployRequest, RolloutError};
use sidecar::CommandReceipt;

/// Changes that wait for their turn; more are refused.
pub const QUEUE: usize = 16;

/// Who wants it, and on what condition.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    pub who: String,
    pub from: Option<String>,
    pub key: Option<String>,
    pub why: String,
    /// Only if the state is still of this generation.
    pub generation: Option<u64>,
}

/// A change of what is laid over a service's file.
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
    /// A version, at an origin of its own.
    Deploy {
        deploy: DeployRequest,
        origin: String,
    },
}

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("{0}")]
    Refused(#[from] RolloutError),
    #[error("the routing file on the disk is refused as it stands now")]
    BadFile { problems: String },
    #[error("{what} `{name}` does not fit: {why}")]
    DoesNotFit { what: &'static str, name: String, why: String },
    #[error("{what} `{name}` stands in the routing file: it is changed there")]
    InTheFile { what: &'static str, name: String },
    #[error("there is no {what} `{name}`")]
    NotThere { what: &'static str, name: String },
    #[error("`{url}` is no origin that a deploy of {service} may name: {why}")]
    OriginNotAllowed { service: String, url: String, why: String },
    #[error("too many changes wait for their turn")]
    Busy,
    #[error("the house is closing")]
    Closing,
}

/// What the task that makes them is asked.
#[derive(Debug)]
pub struct ChangeRequest {
    pub service: String,
    pub caller: Caller,
    pub change: Change,
    pub answer: oneshot::Sender<Result<CommandReceipt, ChangeError>>,
}

/// The way to the task that makes them. Cloned freely.
#[derive(Clone, Debug)]
pub struct Changes(mpsc::Sender<ChangeRequest>);

impl Changes {
    pub fn new() -> (Changes, mpsc::Receiver<ChangeRequest>) {
        let (asks, asked) = mpsc::channel(QUEUE);
        (Changes(asks), asked)
    }

    /// Makes a change: it is in force, and its entry on the disk, when this returns.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing has changed.
    pub async fn apply(&self, service: String, caller: Caller, change: Change) -> Result<CommandReceipt, ChangeError> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(ChangeRequest { service, caller, change, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ChangeError::Busy,
            mpsc::error::TrySendError::Closed(_) => ChangeError::Closing,
        })?;
        answered.await.map_err(|_| ChangeError::Closing)?
    }
}
