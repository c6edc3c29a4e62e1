//! How the rest of the house talks to the sidecar.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::broadcast;

use crate::rollout::{Announcement, Command, Refused};
use crate::sidecar::Load;
use crate::snapshot::{Endpoints, Origin};

/// What a command comes to: whether its entry is on the disk, or why it was refused.
pub type Answer = Result<bool, Refused>;

/// What the sidecar takes from its channel.
#[derive(Debug)]
pub enum Input {
    /// A routing file that passed its check; answered when it is published.
    Load(Box<Load>, SyncSender<()>),
    /// The addresses of an origin have changed.
    Resolved {
        origin: Arc<Origin>,
        endpoints: Endpoints,
    },
    Command(Command, SyncSender<Answer>),
    /// A request failed.
    Wake,
    End,
}

/// Why the sidecar gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the sidecar has ended")]
pub struct Gone;

/// The way in. Cloned freely.
#[derive(Clone, Debug)]
pub struct Handle {
    inputs: SyncSender<Input>,
    news: broadcast::Sender<Announcement>,
}

impl Handle {
    pub(super) fn new(inputs: SyncSender<Input>, news: broadcast::Sender<Announcement>) -> Handle {
        Handle { inputs, news }
    }

    /// Wakes the sidecar. Never waits: a full channel means that it is about to look anyway.
    pub fn wake(&self) {
        let _ = self.inputs.try_send(Input::Wake);
    }

    /// Loads a routing that passed its check, and waits until it is in force.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn load(&self, load: Load) -> Result<(), Gone> {
        let (answer, answered) = sync_channel(1);
        self.inputs.send(Input::Load(Box::new(load), answer)).map_err(|_| Gone)?;
        answered.recv().map_err(|_| Gone)
    }

    /// Gives a command, and waits until it is in force and its entry on the disk.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn command(&self, command: Command) -> Result<Answer, Gone> {
        let (answer, answered) = sync_channel(1);
        self.inputs.send(Input::Command(command, answer)).map_err(|_| Gone)?;
        answered.recv().map_err(|_| Gone)
    }

    /// Tells that an origin's addresses have changed.
    pub fn resolved(&self, origin: Arc<Origin>, endpoints: Endpoints) {
        let _ = self.inputs.send(Input::Resolved { origin, endpoints });
    }

    /// Hears what the sidecar announces from now on.
    pub fn listen(&self) -> broadcast::Receiver<Announcement> {
        self.news.subscribe()
    }

    /// Ends the sidecar after what it has already been given.
    pub fn end(&self) {
        let _ = self.inputs.send(Input::End);
    }
}
