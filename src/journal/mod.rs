//! The journal: the durable, hash-chained record of every change, and the state that a restart begins from.
//!
//! One SQLite file. An entry and the state that it leaves are written in one transaction, so after `kill -9` the state is
//! one that an entry explains. Whoever alters an entry breaks the chain from there on: `history --verify` finds it.

mod writer;

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rollout::ledger::Ledger;
use crate::rollout::{Change, Durable};

pub use writer::{Journal, Told};

/// A change with the time of day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at: u64,
    #[serde(flatten)]
    pub change: Change,
}

/// What the store has when the process starts.
#[derive(Debug, Default)]
pub struct Restored {
    pub services: BTreeMap<String, Durable>,
    pub generation: u64,
    pub last_entry: u64,
    /// There was a state, and it was corrupt: what it held is not known any more.
    pub lost: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("the journal is of format {0}; this program reads format {FORMAT}")]
    Format(i64),
    #[error("another process has this state open")]
    InUse,
    #[error("{0} is not there, or holds no journal")]
    Missing(std::path::PathBuf),
}

const FORMAT: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY, body TEXT NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS state (service TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
";

/// What the first entry's hash is chained to.
const ANCHOR: [u8; 32] = [0; 32];

/// SHA-256 of the hash before and the entry's text.
fn chained(before: &[u8], body: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(body.as_bytes());
    hash.finalize().into()
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    last_hash: Vec<u8>,
}

impl Store {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be opened, is no database, or is of another format.
    pub fn open(path: &Path) -> Result<Store, Error> {
        let db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(2))?;
        // FULL: a weight that was shown is on the disk, even after a power cut. In WAL that is one sync an entry.
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        let format = format_of(&db)?;
        if format != 0 && format != FORMAT {
            return Err(Error::Format(format));
        }
        if format == 0 {
            db.execute_batch(SCHEMA)?;
        }
        let last_hash = last_hash(&db)?;
        Ok(Store { db, last_hash })
    }

    /// The state of an existing file that cannot be opened for writing: on a full disk, say.
    ///
    /// # Errors
    /// It cannot be read either.
    fn peek(path: &Path) -> Result<Restored, Error> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // Alone with the file, SQLite keeps the index of the WAL in memory: it needs no room on the disk.
        db.execute_batch("PRAGMA locking_mode = EXCLUSIVE;")?;
        match format_of(&db)? {
            FORMAT => Store { db, last_hash: Vec::new() }.restore(),
            other => Err(Error::Format(other)),
        }
    }

    /// The state of the last entry.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn restore(&self) -> Result<Restored, Error> {
        let mut restored = Restored::default();
        let mut rows = self.db.prepare("SELECT service, body FROM state")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let (service, body): (String, String) = (row.get(0)?, row.get(1)?);
            restored.services.insert(service, serde_json::from_str(&body)?);
        }
        let last = "SELECT body FROM journal ORDER BY id DESC LIMIT 1";
        if let Some(body) = self.db.query_row(last, [], |row| row.get::<_, String>(0)).optional()? {
            let entry: Entry = serde_json::from_str(&body)?;
            restored.generation = entry.change.generation;
            restored.last_entry = entry.change.id;
        }
        Ok(restored)
    }

    /// Appends entries and the states that they leave, all or none.
    ///
    /// # Errors
    /// The disk is full, read-only or broken: nothing was written.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let transaction = self.db.transaction()?;
        let mut hash = self.last_hash.clone();
        {
            let mut insert = transaction.prepare_cached("INSERT INTO journal (id, body, hash) VALUES (?1, ?2, ?3)")?;
            let mut state =
                transaction.prepare_cached("INSERT OR REPLACE INTO state (service, body) VALUES (?1, ?2)")?;
            for entry in entries {
                let body = serde_json::to_string(entry)?;
                hash = chained(&hash, &body).to_vec();
                insert.execute(params![entry.change.id as i64, body, hash])?;
                if let Some(after) = &entry.change.after {
                    state.execute(params![entry.change.service, serde_json::to_string(after)?])?;
                }
            }
        }
        transaction.commit()?;
        self.last_hash = hash;
        Ok(())
    }
}

fn format_of(db: &Connection) -> Result<i64, Error> {
    Ok(db.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn last_hash(db: &Connection) -> Result<Vec<u8>, Error> {
    let last = "SELECT hash FROM journal ORDER BY id DESC LIMIT 1";
    Ok(db.query_row(last, [], |row| row.get(0)).optional()?.unwrap_or_else(|| ANCHOR.to_vec()))
}

/// A journal that is only read: beside a running proxy, or after it.
#[derive(Debug)]
pub struct Reader {
    db: Connection,
}

/// What `verify` finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chain {
    /// So many entries, each chained to the one before.
    Whole(u64),
    /// The first entry that does not follow from the one before: it, or one before it, was altered or removed.
    Broken { at: u64 },
}

impl Reader {
    /// Opens an existing journal.
    ///
    /// # Errors
    /// There is none, or it is of another format.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        if !path.exists() {
            return Err(Error::Missing(path.to_owned()));
        }
        // Read and write, because a reader of a WAL must be able to make its index; nothing is written.
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .or_else(|_| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        db.busy_timeout(std::time::Duration::from_secs(2))?;
        match format_of(&db)? {
            FORMAT => Ok(Reader { db }),
            0 => Err(Error::Missing(path.to_owned())),
            other => Err(Error::Format(other)),
        }
    }

    /// The latest entries, newest first, of one service or of all.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn latest(&self, service: Option<&str>, limit: usize) -> Result<Vec<Entry>, Error> {
        let query = "SELECT body FROM journal WHERE ?1 IS NULL OR json_extract(body, '$.service') = ?1
                     ORDER BY id DESC LIMIT ?2";
        let mut rows = self.db.prepare(query)?;
        let mut rows = rows.query(params![service, limit as i64])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(serde_json::from_str(&row.get::<_, String>(0)?)?);
        }
        Ok(entries)
    }

    /// One entry.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn entry(&self, id: u64) -> Result<Option<Entry>, Error> {
        let query = "SELECT body FROM journal WHERE id = ?1";
        let body = self.db.query_row(query, [id as i64], |row| row.get::<_, String>(0)).optional()?;
        Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
    }

    /// What a service's rollout came to in the end, once its last request has ended.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn final_ledger(&self, service: &str, rollout: u32) -> Result<Option<Ledger>, Error> {
        let query = "SELECT body FROM journal WHERE json_extract(body, '$.kind') = 'ledger'
                     AND json_extract(body, '$.service') = ?1 AND json_extract(body, '$.ledger.rollout') = ?2
                     ORDER BY id DESC LIMIT 1";
        let body = self.db.query_row(query, params![service, rollout], |row| row.get::<_, String>(0)).optional()?;
        let entry: Option<Entry> = body.map(|body| serde_json::from_str(&body)).transpose()?;
        Ok(entry.and_then(|entry| entry.change.ledger))
    }

    /// The first entry that does not follow from the one before it, of those up to `id`.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn broken_up_to(&self, id: u64) -> Result<Option<u64>, Error> {
        Ok(match self.chain(id)? {
            Chain::Whole(_) => None,
            Chain::Broken { at } => Some(at),
        })
    }

    /// Follows the hash chain from the first entry to the last.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn verify(&self) -> Result<Chain, Error> {
        self.chain(i64::MAX as u64)
    }

    fn chain(&self, last: u64) -> Result<Chain, Error> {
        let mut rows = self.db.prepare("SELECT id, body, hash FROM journal WHERE id <= ?1 ORDER BY id")?;
        let mut rows = rows.query([i64::try_from(last).unwrap_or(i64::MAX)])?;
        let (mut before, mut count, mut next) = (ANCHOR.to_vec(), 0, 1);
        while let Some(row) = rows.next()? {
            let (id, body, hash): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if id as u64 != next || chained(&before, &body).as_slice() != hash.as_slice() {
                return Ok(Chain::Broken { at: id as u64 });
            }
            before = hash;
            count += 1;
            next += 1;
        }
        Ok(Chain::Whole(count))
    }
}

#[cfg(test)]
mod tests;
