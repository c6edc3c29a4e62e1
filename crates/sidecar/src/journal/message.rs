//! What the journal's writer is sent through its queue.

use std::sync::mpsc::SyncSender;

use crate::journal::JournalEntry;
use crate::journal::snapshots::{SnapshotChange, SnapshotError};
use judgement::rollout::DurableState;

/// Called with whether everything sent before it is on the disk.
pub type WrittenCallback = Box<dyn FnOnce(bool) + Send>;

/// One message to the writer.
pub(super) enum WriterMessage {
    Entry(Box<JournalEntry>),
    /// A service's state that no entry explains.
    State(String, Box<DurableState>),
    /// Called once it is known whether everything sent before is on the disk.
    Sync(WrittenCallback),
    ChangeSnapshot(SnapshotChange, SyncSender<Result<(), SnapshotError>>),
    /// The sidecar has nothing more to send.
    End,
}

impl std::fmt::Debug for WriterMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterMessage")
    }
}
