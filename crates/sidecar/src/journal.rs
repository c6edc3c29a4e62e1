//! The journal: the durable, hash-chained record of every change, and the state that a restart begins from.
//!
//! It is one SQLite file. An entry and the state that follows from it are written in one transaction, so that even
//! after `kill -9` the state is one that an entry explains. Altering an entry breaks the chain from there on, which
//! `history --verify` detects. The oldest entries are removed by age and size; the hash of the last one removed is
//! kept, and the chain is verified from there.
//!
//! - `writer`: the thread that writes, and [`Journal`], which feeds it; `message`: what passes between them.
//! - `store`: the open file; `schema`: its tables; `retention`: which entries are removed.
//! - `read`: pages of entries, and the chain; `integrity`: what ties the state and the newest entry to it.
//! - `snapshots` and `snapshot_queue`: named snapshots, kept beside the entries.

mod integrity;
mod message;
mod read;
mod retention;
mod schema;
mod snapshot_queue;
mod snapshots;
mod store;
mod writer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use judgement::rollout::{DurableState, JournalChange};

pub use message::WrittenCallback;
pub use read::{ChainCheck, JournalPage, JournalQuery, JournalReader, MAX_PAGE};
pub use retention::TrimResult;
pub use schema::FORMAT;
pub use snapshot_queue::NamedSnapshots;
pub use snapshots::{MAX_SNAPSHOTS, NamedSnapshot, SnapshotError};
pub use store::JournalStore;
pub use writer::{Journal, beside};

/// A change and when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Milliseconds since 1970.
    pub at: u64,
    #[serde(flatten)]
    pub change: JournalChange,
}

/// What the file holds when the process starts.
#[derive(Debug, Default)]
pub struct RestoredState {
    pub services: BTreeMap<String, DurableState>,
    pub generation: u64,
    pub last_entry: u64,
    /// There was a state and it was corrupt, so what it held is lost.
    pub lost: bool,
    /// There must have been a state, and its file is gone.
    pub missing: bool,
    /// The number of the newest entry that was written, if it is not there any more.
    pub cut: Option<u64>,
    /// Services whose state was not what their last entry says, and that entry: it is what counts.
    pub unexplained: Vec<(String, u64)>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("the journal has format {0}; this version of Cutover reads formats up to {FORMAT}")]
    Format(i64),
    #[error("another process is using this state file")]
    InUse,
    #[error("{0} is a symbolic link, and is not followed: remove it")]
    Linked(std::path::PathBuf),
    #[error("{0} does not exist or is not a Cutover journal")]
    Missing(std::path::PathBuf),
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
}

/// Where the chain begins: the last entry that was removed, with its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainAnchor {
    pub id: u64,
    pub hash: Vec<u8>,
}

impl ChainAnchor {
    /// The beginning of a chain from which nothing was removed.
    fn first() -> ChainAnchor {
        ChainAnchor { id: 0, hash: vec![0; 32] }
    }
}

/// SHA-256 of the previous hash and the entry's text.
fn chained(before: &[u8], body: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(body.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
