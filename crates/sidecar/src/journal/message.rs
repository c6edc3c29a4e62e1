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
    /// Everything is to be written and the file closed, for another process; answered with whether it is.
    Release(SyncSender<bool>),
    /// The file is this process's again.
    Reclaim,
    /// The sidecar has nothing more to send.
    End,
}

impl std::fmt::Debug for WriterMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterMessage")
    }
}
