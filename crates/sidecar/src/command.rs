//! How the rest of the house talks to the sidecar.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::broadcast;

use crate::ResolvedRouting;
use crate::journal::JournalEntry;
use judgement::rollout::view::ServiceView;
use judgement::rollout::{
    Announcement, AuditRemark, GuardInsight, OperatorCommand, RolloutError, RuntimeOverrides, SuiteRun, SuiteRunError,
};
use judgement::traffic::Environment;
use memory::snapshot::{Endpoints, OriginSettings};

/// What a command comes to, or why it was refused.
pub type CommandResult = Result<CommandReceipt, RolloutError>;

/// A command that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandReceipt {
    /// Its journal entry.
    pub entry: Option<u64>,
    pub generation: u64,
    /// The entry is on the disk.
    pub written: bool,
}

/// What the sidecar announces, with the journal's entry of it: the evidence, the ledger, the state before and after.
#[derive(Clone, Debug)]
pub struct RecordedAnnouncement {
    pub announcement: Announcement,
    /// `None`: no entry goes with it.
    pub entry: Option<Arc<JournalEntry>>,
}

/// Every service, as it stands.
#[derive(Clone, Debug)]
pub struct SidecarStatus {
    pub generation: u64,
    /// The journal's last entry, on the disk or on its way there.
    pub last_entry: u64,
    pub services: Vec<ServiceView>,
    /// What is laid over the services of the file.
    pub overs: BTreeMap<String, RuntimeOverrides>,
}

/// What the sidecar takes from its channel.
#[derive(Debug)]
pub enum SidecarInput {
    /// A routing file that passed its check; answered when it is published, or refused.
    Load(Box<ResolvedRouting>, SyncSender<Result<(), RolloutError>>),
    /// The addresses of an origin have changed.
    Resolved {
        origin: Arc<OriginSettings>,
        endpoints: Endpoints,
    },
    Command {
        command: Box<OperatorCommand>,
        /// The routing that goes with it.
        load: Option<Box<ResolvedRouting>>,
        answer: SyncSender<CommandResult>,
    },
    /// What a preflight came to.
    Preflighted {
        service: String,
        rollout: u32,
        result: Result<String, String>,
    },
    /// What the suites of a step came to.
    Validated {
        order: SuiteRun,
        result: Result<String, SuiteRunError>,
    },
    /// What health checks find of an environment.
    Health {
        service: String,
        environment: Environment,
        up: bool,
        why: String,
        rollback: bool,
    },
    Show(SyncSender<SidecarStatus>),
    /// Something for the journal that changes nothing.
    Remark(AuditRemark),
    Insight(String, SyncSender<Option<GuardInsight>>),
    /// A request failed.
    Wake,
    End,
}

/// Why the sidecar gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the sidecar has stopped")]
pub struct SidecarStopped;

/// The way in. Cloned freely.
#[derive(Clone, Debug)]
pub struct SidecarHandle {
    inputs: SyncSender<SidecarInput>,
    news: broadcast::Sender<RecordedAnnouncement>,
}

impl SidecarHandle {
    pub(super) fn new(
        inputs: SyncSender<SidecarInput>,
        news: broadcast::Sender<RecordedAnnouncement>,
    ) -> SidecarHandle {
        SidecarHandle { inputs, news }
    }

    /// Wakes the sidecar. Never waits: a full channel means that it is about to look anyway.
    pub fn wake(&self) {
        let _ = self.inputs.try_send(SidecarInput::Wake);
    }

    /// Loads a routing that passed its check, and waits until it is in force.
    ///
    /// # Errors
    /// [`SidecarStopped`]; within, why the state does not take it.
    pub fn load(&self, load: ResolvedRouting) -> Result<Result<(), RolloutError>, SidecarStopped> {
        self.ask(|answer| SidecarInput::Load(Box::new(load), answer))
    }

    /// Gives a command, and waits until it is in force and its entry on the disk.
    ///
    /// # Errors
    /// [`SidecarStopped`].
    pub fn command(&self, command: OperatorCommand) -> Result<CommandResult, SidecarStopped> {
        self.ask(|answer| SidecarInput::Command { command: Box::new(command), load: None, answer })
    }

    /// Gives several at once, and waits for all: none waits for the disk of the one before.
    ///
    /// # Errors
    /// [`SidecarStopped`].
    pub fn commands(&self, commands: Vec<OperatorCommand>) -> Result<Vec<CommandResult>, SidecarStopped> {
        let mut waiting = Vec::new();
        for command in commands {
            let (answer, answered) = sync_channel(1);
            let input = SidecarInput::Command { command: Box::new(command), load: None, answer };
            self.inputs.send(input).map_err(|_| SidecarStopped)?;
            waiting.push(answered);
        }
        waiting.into_iter().map(|answered| answered.recv().map_err(|_| SidecarStopped)).collect()
    }

    /// The same, with the routing that goes with it: both or none.
    ///
    /// # Errors
    /// [`SidecarStopped`].
    pub fn command_with(
        &self,
        command: OperatorCommand,
        load: ResolvedRouting,
    ) -> Result<CommandResult, SidecarStopped> {
        self.ask(|answer| SidecarInput::Command { command: Box::new(command), load: Some(Box::new(load)), answer })
    }

    /// Every service, as it stands.
    ///
    /// # Errors
    /// [`SidecarStopped`].
    pub fn show(&self) -> Result<SidecarStatus, SidecarStopped> {
        self.ask(SidecarInput::Show)
    }

    /// Has something written into the journal that changes nothing. Never waits; says whether there was room for it.
    pub fn remark(&self, remark: AuditRemark) -> bool {
        self.inputs.try_send(SidecarInput::Remark(remark)).is_ok()
    }

    /// A service as its judge sees it; `None`: there is none of that name.
    ///
    /// # Errors
    /// [`SidecarStopped`].
    pub fn insight(&self, service: String) -> Result<Option<GuardInsight>, SidecarStopped> {
        self.ask(|answer| SidecarInput::Insight(service, answer))
    }

    /// Tells what a preflight came to.
    pub fn preflighted(&self, service: String, rollout: u32, result: Result<String, String>) {
        let _ = self.inputs.send(SidecarInput::Preflighted { service, rollout, result });
    }

    /// Tells what the suites of a step came to: in words such as `12 cases`, or why they have not passed.
    pub fn validated(&self, order: SuiteRun, result: Result<String, SuiteRunError>) {
        let _ = self.inputs.send(SidecarInput::Validated { order, result });
    }

    /// Tells what health checks find. `rollback`: a new side that is down is to be taken back.
    pub fn health(&self, service: String, environment: Environment, up: bool, why: String, rollback: bool) {
        let _ = self.inputs.send(SidecarInput::Health { service, environment, up, why, rollback });
    }

    /// Waits for an answer: not on a thread that serves others.
    fn ask<T>(&self, input: impl FnOnce(SyncSender<T>) -> SidecarInput) -> Result<T, SidecarStopped> {
        let (answer, answered) = sync_channel(1);
        self.inputs.send(input(answer)).map_err(|_| SidecarStopped)?;
        answered.recv().map_err(|_| SidecarStopped)
    }

    /// Tells that an origin's addresses have changed.
    pub fn resolved(&self, origin: Arc<OriginSettings>, endpoints: Endpoints) {
        let _ = self.inputs.send(SidecarInput::Resolved { origin, endpoints });
    }

    /// Hears what the sidecar announces from now on.
    pub fn listen(&self) -> broadcast::Receiver<RecordedAnnouncement> {
        self.news.subscribe()
    }

    /// Ends the sidecar after what it has already been given.
    pub fn end(&self) {
        let _ = self.inputs.send(SidecarInput::End);
    }
}
