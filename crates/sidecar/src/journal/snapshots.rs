//! Named snapshots of a service, to compare with later. They are kept beside the journal and are not part of its chain.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::journal::{Error, JournalStore};

/// Snapshots of one service. They are made and compared by hand, so nobody needs more.
pub const MAX_SNAPSHOTS: u64 = 100;
/// The longest snapshot, in bytes. A service with a few hundred routes takes a tenth of it.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// A snapshot and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedSnapshot {
    pub id: String,
    pub service: String,
    /// Milliseconds since 1970.
    pub at: u64,
    pub name: String,
    /// JSON as its maker wrote it.
    pub body: String,
}

/// Why a snapshot was not stored or deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    #[error("{service} already has {MAX_SNAPSHOTS} snapshots; delete one first")]
    Full { service: String },
    #[error("snapshot `{0}` already exists")]
    Taken(String),
    #[error("no snapshot `{0}`")]
    Missing(String),
    #[error("a snapshot can be at most {} KiB", MAX_BYTES >> 10)]
    TooLarge,
    #[error("cannot write the snapshot: {0}")]
    Disk(String),
    #[error("the journal writer is busy or has stopped")]
    Busy,
}

/// A change that the writer makes.
#[derive(Debug)]
pub(super) enum SnapshotChange {
    Put(Box<NamedSnapshot>),
    Delete(String),
}

impl JournalStore {
    pub(super) fn change_snapshot(&mut self, change: SnapshotChange) -> Result<(), SnapshotError> {
        let done = match change {
            SnapshotChange::Put(snapshot) => self.put(&snapshot),
            SnapshotChange::Delete(id) => self.delete(&id),
        };
        done.map_err(|error| match error {
            Error::Snapshot(why) => why,
            other => SnapshotError::Disk(other.to_string()),
        })
    }

    fn put(&mut self, snapshot: &NamedSnapshot) -> Result<(), Error> {
        let NamedSnapshot { id, service, at, name, body } = snapshot;
        let transaction = self.db.transaction()?;
        let count = "SELECT count(*) FROM snapshot WHERE service = ?1";
        if transaction.query_row(count, [service], |row| row.get::<_, i64>(0))? as u64 >= MAX_SNAPSHOTS {
            return Err(SnapshotError::Full { service: service.clone() }.into());
        }
        let insert = "INSERT OR IGNORE INTO snapshot (id, service, at, name, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        if transaction.execute(insert, params![id, service, *at as i64, name, body])? == 0 {
            return Err(SnapshotError::Taken(id.clone()).into());
        }
        Ok(transaction.commit()?)
    }

    fn delete(&mut self, id: &str) -> Result<(), Error> {
        match self.db.execute("DELETE FROM snapshot WHERE id = ?1", [id])? {
            0 => Err(SnapshotError::Missing(id.to_owned()).into()),
            _ => Ok(()),
        }
    }
}

/// The snapshots of one service or of all, latest first. A file of format 1 has none.
pub(super) fn list(db: &Connection, service: Option<&str>) -> Result<Vec<NamedSnapshot>, Error> {
    if super::schema::readable(db)? < 2 {
        return Ok(Vec::new());
    }
    let query =
        "SELECT id, service, at, name, body FROM snapshot WHERE ?1 IS NULL OR service = ?1 ORDER BY at DESC, id";
    let mut rows = db.prepare(query)?;
    let rows = rows.query_map([service], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn get(db: &Connection, id: &str) -> Result<Option<NamedSnapshot>, Error> {
    if super::schema::readable(db)? < 2 {
        return Ok(None);
    }
    let query = "SELECT id, service, at, name, body FROM snapshot WHERE id = ?1";
    Ok(db.query_row(query, [id], read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<NamedSnapshot> {
    let at: i64 = row.get(2)?;
    Ok(NamedSnapshot { id: row.get(0)?, service: row.get(1)?, at: at as u64, name: row.get(3)?, body: row.get(4)? })
}
