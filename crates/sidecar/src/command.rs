//! How the rest of the program talks to the sidecar.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::broadcast;

use crate::ResolvedRouting;
use crate::journal::{ChainAnchor, JournalEntry};
use judgement::guard::outside_metric::MeasuredFigures;
use judgement::rollout::gates::{GateAnswer, GateRequest};
use judgement::rollout::shadow::ShadowNews;
use judgement::rollout::view::ServiceView;
use judgement::rollout::{
    Announcement, AuditRemark, Event, GuardInsight, HandedWatch, MetricRequest, OperatorCommand, RolloutError,
    RuntimeOverrides, SilentActive, SuiteRun, SuiteRunError,
};
use judgement::traffic::split::Weight;
use memory::snapshot::{Endpoints, OriginSettings};

/// The result of a command, or why it was refused.
pub type CommandResult = Result<CommandReceipt, RolloutError>;

/// A command that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandReceipt {
    /// Its journal entry.
    pub entry: Option<u64>,
    pub generation: u64,
    /// The entry is on the disk.
    pub written: bool,
    /// The candidate's weight before and after, if the command moved it.
    pub weights: Option<[Weight; 2]>,
}

/// An announcement with its journal entry: the evidence, the ledger, the state before and after.
#[derive(Clone, Debug)]
pub struct RecordedAnnouncement {
    pub announcement: Announcement,
    /// `None` if the announcement has no entry.
    pub entry: Option<Arc<JournalEntry>>,
    /// The newest entry that was on the disk, with its hash: whoever keeps it can prove later that it was there.
    pub newest: Option<ChainAnchor>,
}

/// The current status of every service.
#[derive(Clone, Debug)]
pub struct SidecarStatus {
    pub generation: u64,
    /// The last journal entry, on disk or on its way there.
    pub last_entry: u64,
    pub services: Vec<ServiceView>,
    /// The runtime overrides of each service.
    pub overs: BTreeMap<String, RuntimeOverrides>,
}

/// What the sidecar receives through its channel.
#[derive(Debug)]
pub enum SidecarInput {
    /// A valid routing file; answered once it is published or refused.
    Load(Box<ResolvedRouting>, SyncSender<Result<(), RolloutError>>),
    /// The addresses of an origin have changed.
    Resolved {
        origin: Arc<OriginSettings>,
        endpoints: Endpoints,
    },
    Command {
        command: Box<OperatorCommand>,
        /// The routing that belongs to the command.
        load: Option<Box<ResolvedRouting>>,
        answer: SyncSender<CommandResult>,
    },
    /// An event for the state: the result of a preflight, of suites or of health checks, or a remark for the journal.
    Event(Event),
    Status(SyncSender<SidecarStatus>),
    Insight(String, SyncSender<Option<GuardInsight>>),
    /// A request failed.
    Wake,
    /// Another process is to open the state: answered once it may, or with `None` if it may not.
    Suspend(SyncSender<Option<Suspension>>),
    End,
}

/// The sidecar stands still and the state is nobody's: nothing is decided, and whoever asks waits. Requests go on as they
/// were last published. Dropping it lets the sidecar go on.
#[derive(Debug)]
pub struct Suspension {
    after: SyncSender<AfterSuspension>,
    /// What is known of each candidate beside the state.
    pub watches: BTreeMap<String, HandedWatch>,
}

/// What comes after a suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterSuspension {
    GoOn,
    /// Another process decides from now on.
    End,
}

impl Suspension {
    pub(super) fn new(after: SyncSender<AfterSuspension>, watches: BTreeMap<String, HandedWatch>) -> Suspension {
        Suspension { after, watches }
    }

    /// Another process has taken the state: this sidecar has ended.
    pub fn hand_over(self) {
        let _ = self.after.try_send(AfterSuspension::End);
    }
}

impl Drop for Suspension {
    fn drop(&mut self) {
        let _ = self.after.try_send(AfterSuspension::GoOn);
    }
}

/// The sidecar gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the sidecar has stopped")]
pub struct SidecarStopped;

/// The way to send inputs to the sidecar. Cheap to clone.
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

    /// Wakes the sidecar. Never blocks: a full channel means that it is about to look anyway.
    pub fn wake(&self) {
        let _ = self.inputs.try_send(SidecarInput::Wake);
    }

    /// Loads a valid routing file and waits until it is in force.
    ///
    /// # Errors
    /// [`SidecarStopped`]; the inner error says why the state refused it.
    pub fn load(&self, load: ResolvedRouting) -> Result<Result<(), RolloutError>, SidecarStopped> {
        self.ask(|answer| SidecarInput::Load(Box::new(load), answer))
    }

    /// Gives a command and waits until it is in force and its entry is on disk.
    ///
    /// # Errors
    /// [`SidecarStopped`].
    pub fn command(&self, command: OperatorCommand) -> Result<CommandResult, SidecarStopped> {
        self.ask(|answer| SidecarInput::Command { command: Box::new(command), load: None, answer })
    }

    /// Gives several commands and then waits for all of them, so that they share their disk writes.
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

    /// Gives a command together with the routing that belongs to it: both or neither take effect.
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

    /// The current status of every service.
    ///
    /// # Errors
    /// [`SidecarStopped`].
    pub fn status(&self) -> Result<SidecarStatus, SidecarStopped> {
        self.ask(SidecarInput::Status)
    }

    /// Records a remark that changes nothing. Never blocks; returns whether there was room for it.
    pub fn remark(&self, remark: AuditRemark) -> bool {
        self.inputs.try_send(SidecarInput::Event(Event::Remarked(remark))).is_ok()
    }

    /// What the guard sees of a service; `None` for an unknown one.
    ///
    /// # Errors
    /// [`SidecarStopped`].
    pub fn insight(&self, service: String) -> Result<Option<GuardInsight>, SidecarStopped> {
        self.ask(|answer| SidecarInput::Insight(service, answer))
    }

    /// Reports the result of a preflight.
    pub fn preflighted(&self, service: String, rollout: u32, result: Result<String, String>) {
        let _ = self.inputs.send(SidecarInput::Event(Event::Preflighted { service, rollout, result }));
    }

    /// Reports an active side that did not answer when Cutover started.
    pub fn silent(&self, service: String, silent: SilentActive) {
        let _ = self.inputs.send(SidecarInput::Event(Event::Silent { service, silent }));
    }

    /// Reports whether a side answers that a rollback would go to.
    pub fn probed(&self, service: String, number: u32, result: Result<String, String>) {
        let _ = self.inputs.send(SidecarInput::Event(Event::Probed { service, number, result }));
    }

    /// Reports what another system has answered: figures, or why there are none.
    pub fn measured(&self, order: MetricRequest, answer: Result<MeasuredFigures, String>) {
        let _ = self.inputs.send(SidecarInput::Event(Event::Measured { order, answer }));
    }

    /// Reports what a gate has answered.
    pub fn gated(&self, order: GateRequest, answer: GateAnswer) {
        let _ = self.inputs.send(SidecarInput::Event(Event::Gated { order, answer }));
    }

    /// Reports the result of a step's suites: a summary such as `12 cases`, or why they did not pass.
    pub fn validated(&self, order: SuiteRun, result: Result<String, SuiteRunError>) {
        let _ = self.inputs.send(SidecarInput::Event(Event::Validated { order, result }));
    }

    /// Reports what copies of requests have shown so far. Never blocks: the next report has it all.
    pub fn shadowed(&self, news: ShadowNews) {
        let _ = self.inputs.try_send(SidecarInput::Event(Event::Shadowed(news)));
    }

    /// Reports what health checks found: an [`Event::Health`].
    pub fn health(&self, found: Event) {
        let _ = self.inputs.send(SidecarInput::Event(found));
    }

    /// Blocks until the answer comes, so it must not run on a thread that serves others.
    fn ask<T>(&self, input: impl FnOnce(SyncSender<T>) -> SidecarInput) -> Result<T, SidecarStopped> {
        let (answer, answered) = sync_channel(1);
        self.inputs.send(input(answer)).map_err(|_| SidecarStopped)?;
        answered.recv().map_err(|_| SidecarStopped)
    }

    /// Reports an origin's new addresses.
    pub fn resolved(&self, origin: Arc<OriginSettings>, endpoints: Endpoints) {
        let _ = self.inputs.send(SidecarInput::Resolved { origin, endpoints });
    }

    /// Subscribes to everything that is announced from now on.
    pub fn listen(&self) -> broadcast::Receiver<RecordedAnnouncement> {
        self.news.subscribe()
    }

    /// Stops the sidecar for a while, so that another process can open the state; `None` if something cannot be written to
    /// the journal.
    ///
    /// # Errors
    /// [`SidecarStopped`].
    pub fn suspend(&self) -> Result<Option<Suspension>, SidecarStopped> {
        self.ask(SidecarInput::Suspend)
    }

    /// Ends the sidecar after the inputs that it has already been sent.
    pub fn end(&self) {
        let _ = self.inputs.send(SidecarInput::End);
    }
}
