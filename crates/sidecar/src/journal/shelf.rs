//! Named snapshots of a service: what a person wants to compare with later. Kept beside the journal, no part of its chain.

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::journal::writer::Note;
use crate::journal::{Error, Reader, Store};

/// Of one service: made by hand, and compared by hand.
pub const MOST_SNAPSHOTS: u64 = 100;
/// A service with a few hundred routes takes a tenth of it.
const MOST_BYTES: usize = 1 << 20;
/// The writer answers in milliseconds; a disk that hangs is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A snapshot with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: String,
    pub service: String,
    /// Milliseconds since 1970.
    pub at: u64,
    pub name: String,
    /// JSON, as whoever made it wrote it.
    pub body: String,
}

/// Why nothing was put there or taken away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unshelved {
    #[error("{service} has {MOST_SNAPSHOTS} snapshots already: delete one first")]
    Full { service: String },
    #[error("there is a snapshot `{0}` already")]
    Taken(String),
    #[error("there is no snapshot `{0}`")]
    Missing(String),
    #[error("a snapshot has at most {} KiB", MOST_BYTES >> 10)]
    TooLarge,
    #[error("the disk does not take it: {0}")]
    Disk(String),
    #[error("nobody writes it: the writer is busy, or has ended")]
    Busy,
}

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Put(Box<Snapshot>),
    Delete(String),
}

/// The way to the snapshots. Cloned freely; reads go past the writer.
#[derive(Clone, Debug)]
pub struct Shelf {
    path: PathBuf,
    queue: SyncSender<Note>,
}

impl Shelf {
    pub(super) fn new(path: PathBuf, queue: SyncSender<Note>) -> Shelf {
        Shelf { path, queue }
    }

    /// Puts a snapshot there, and waits until it is on the disk: not on a thread that serves others.
    ///
    /// # Errors
    /// [`Unshelved`].
    pub fn put(&self, snapshot: Snapshot) -> Result<(), Unshelved> {
        if snapshot.body.len() + snapshot.name.len() + snapshot.id.len() > MOST_BYTES {
            return Err(Unshelved::TooLarge);
        }
        self.order(Order::Put(Box::new(snapshot)))
    }

    /// Takes one away, and waits until that is on the disk.
    ///
    /// # Errors
    /// [`Unshelved`].
    pub fn delete(&self, id: &str) -> Result<(), Unshelved> {
        self.order(Order::Delete(id.to_owned()))
    }

    /// The journal and the snapshots, to be read.
    ///
    /// # Errors
    /// There is no file yet, or it cannot be read.
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::open(&self.path)
    }

    fn order(&self, order: Order) -> Result<(), Unshelved> {
        let (answer, answered) = sync_channel(1);
        match self.queue.try_send(Note::Order(order, answer)) {
            Ok(()) => answered.recv_timeout(PATIENCE).unwrap_or(Err(Unshelved::Busy)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Unshelved::Busy),
        }
    }
}

impl Store {
    pub(super) fn carry_out(&mut self, order: Order) -> Result<(), Unshelved> {
        let done = match order {
            Order::Put(snapshot) => self.put(&snapshot),
            Order::Delete(id) => self.delete(&id),
        };
        done.map_err(|error| match error {
            Error::Unshelved(why) => why,
            other => Unshelved::Disk(other.to_string()),
        })
    }

    fn put(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let Snapshot { id, service, at, name, body } = snapshot;
        let transaction = self.db.transaction()?;
        let count = "SELECT count(*) FROM snapshot WHERE service = ?1";
        if transaction.query_row(count, [service], |row| row.get::<_, i64>(0))? as u64 >= MOST_SNAPSHOTS {
            return Err(Unshelved::Full { service: service.clone() }.into());
        }
        let insert = "INSERT OR IGNORE INTO snapshot (id, service, at, name, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        if transaction.execute(insert, params![id, service, *at as i64, name, body])? == 0 {
            return Err(Unshelved::Taken(id.clone()).into());
        }
        Ok(transaction.commit()?)
    }

    fn delete(&mut self, id: &str) -> Result<(), Error> {
        match self.db.execute("DELETE FROM snapshot WHERE id = ?1", [id])? {
            0 => Err(Unshelved::Missing(id.to_owned()).into()),
            _ => Ok(()),
        }
    }
}

/// Latest first. A file of format 1 has none.
pub(super) fn list(db: &Connection, service: Option<&str>) -> Result<Vec<Snapshot>, Error> {
    if super::schema::readable(db)? < 2 {
        return Ok(Vec::new());
    }
    let query =
        "SELECT id, service, at, name, body FROM snapshot WHERE ?1 IS NULL OR service = ?1 ORDER BY at DESC, id";
    let mut rows = db.prepare(query)?;
    let rows = rows.query_map([service], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn get(db: &Connection, id: &str) -> Result<Option<Snapshot>, Error> {
    if super::schema::readable(db)? < 2 {
        return Ok(None);
    }
    let query = "SELECT id, service, at, name, body FROM snapshot WHERE id = ?1";
    Ok(db.query_row(query, [id], read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Snapshot> {
    let at: i64 = row.get(2)?;
    Ok(Snapshot { id: row.get(0)?, service: row.get(1)?, at: at as u64, name: row.get(3)?, body: row.get(4)? })
}
