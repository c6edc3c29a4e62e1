//! Named snapshots for the rest of the program: changes go through the journal's writer, reads go past it.

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use crate::journal::message::WriterMessage;
use crate::journal::snapshots::{MAX_BYTES, SnapshotChange};
use crate::journal::{Error, JournalReader, NamedSnapshot, SnapshotError};

/// The writer answers within milliseconds; a disk that hangs must not hold up whoever asked.
const WRITER_TIMEOUT: Duration = Duration::from_secs(5);

/// The named snapshots. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NamedSnapshots {
    path: PathBuf,
    queue: SyncSender<WriterMessage>,
}

impl NamedSnapshots {
    pub(super) fn new(path: PathBuf, queue: SyncSender<WriterMessage>) -> NamedSnapshots {
        NamedSnapshots { path, queue }
    }

    /// Stores a snapshot and blocks until it is on disk, so it must not run on a thread that serves others.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn put(&self, snapshot: NamedSnapshot) -> Result<(), SnapshotError> {
        if snapshot.body.len() + snapshot.name.len() + snapshot.id.len() > MAX_BYTES {
            return Err(SnapshotError::TooLarge);
        }
        self.change(SnapshotChange::Put(Box::new(snapshot)))
    }

    /// Deletes a snapshot and blocks until that is on disk.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn delete(&self, id: &str) -> Result<(), SnapshotError> {
        self.change(SnapshotChange::Delete(id.to_owned()))
    }

    /// A reader of the journal and its snapshots.
    ///
    /// # Errors
    /// The file does not exist yet or cannot be read.
    pub fn reader(&self) -> Result<JournalReader, Error> {
        JournalReader::open(&self.path)
    }

    fn change(&self, change: SnapshotChange) -> Result<(), SnapshotError> {
        let (answer, answered) = sync_channel(1);
        match self.queue.try_send(WriterMessage::ChangeSnapshot(change, answer)) {
            Ok(()) => answered.recv_timeout(WRITER_TIMEOUT).unwrap_or(Err(SnapshotError::Busy)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(SnapshotError::Busy),
        }
    }
}
