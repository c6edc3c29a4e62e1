//! The open file: entries are appended, and the state beside them is replaced.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::journal::{ChainAnchor, Error, JournalEntry, RestoredState, chained, integrity, schema};
use judgement::rollout::DurableState;

/// An open journal file.
#[derive(Debug)]
pub struct JournalStore {
    pub(super) db: Connection,
    /// The newest entry, or else the last one that was removed.
    newest: ChainAnchor,
}

impl JournalStore {
    /// Opens or creates the file; an older format is upgraded.
    ///
    /// # Errors
    /// The file cannot be opened, is not a database, or has an unknown format.
    pub fn open(path: &Path) -> Result<JournalStore, Error> {
        let mut db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(2))?;
        // Checked before anything is written: a file of an unknown format is not touched.
        schema::readable(&db)?;
        // FULL keeps a weight that was shown even through a power cut. With WAL that is one sync for each transaction.
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        schema::upgrade(&mut db)?;
        integrity::create(&db)?;
        let newest = newest(&db)?;
        Ok(JournalStore { db, newest })
    }

    /// The state of an existing file that cannot be written, for example on a full disk.
    ///
    /// # Errors
    /// The file cannot be read either.
    pub(super) fn peek(path: &Path) -> Result<RestoredState, Error> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // In exclusive mode SQLite keeps the index of the WAL in memory, and needs no room on the disk.
        db.execute_batch("PRAGMA locking_mode = EXCLUSIVE;")?;
        match schema::readable(&db)? {
            0 => Err(Error::Format(0)),
            _ => JournalStore { db, newest: ChainAnchor::first() }.restore(),
        }
    }

    /// The state after the last entry.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn restore(&self) -> Result<RestoredState, Error> {
        let cut = integrity::missing(&self.db, &anchor(&self.db)?)?;
        let mut restored = RestoredState { cut, ..RestoredState::default() };
        for (service, stored) in integrity::states(&self.db)? {
            // Of a journal that was cut, the state may know more than its last entry.
            let unexplained = match restored.cut {
                Some(_) => None,
                None => integrity::unexplained(&self.db, &service, &stored)?,
            };
            let state = match unexplained {
                Some((entry, said)) => {
                    restored.unexplained.push((service.clone(), entry));
                    said
                }
                None => stored,
            };
            restored.services.insert(service, state);
        }
        let last = "SELECT body FROM journal ORDER BY id DESC LIMIT 1";
        if let Some(body) = self.db.query_row(last, [], |row| row.get::<_, String>(0)).optional()? {
            let entry: JournalEntry = serde_json::from_str(&body)?;
            restored.generation = entry.change.generation;
            restored.last_entry = entry.change.id;
        }
        // The numbers of entries that are gone are not given again, so that the gap stays.
        restored.last_entry = restored.last_entry.max(restored.cut.unwrap_or_default());
        Ok(restored)
    }

    /// The newest entry with its hash, or else the last one that was removed; entry 0 before the first.
    pub const fn newest(&self) -> &ChainAnchor {
        &self.newest
    }

    /// Appends entries and the states that follow from them, all or none.
    ///
    /// # Errors
    /// The disk is full, read-only or broken; nothing was written.
    pub fn append(&mut self, entries: &[JournalEntry]) -> Result<(), Error> {
        self.write(entries, &BTreeMap::new())
    }

    /// The same, with states that no entry explains: the progress of services.
    ///
    /// # Errors
    /// As [`JournalStore::append`].
    pub fn write(&mut self, entries: &[JournalEntry], states: &BTreeMap<String, DurableState>) -> Result<(), Error> {
        let transaction = self.db.transaction()?;
        let mut newest = self.newest.clone();
        {
            let mut insert = transaction.prepare_cached("INSERT INTO journal (id, body, hash) VALUES (?1, ?2, ?3)")?;
            let mut state =
                transaction.prepare_cached("INSERT OR REPLACE INTO state (service, body) VALUES (?1, ?2)")?;
            for entry in entries {
                let body = serde_json::to_string(entry)?;
                newest = ChainAnchor { id: entry.change.id, hash: chained(&newest.hash, &body).to_vec() };
                insert.execute(params![newest.id as i64, body, newest.hash])?;
                if let Some(after) = &entry.change.after {
                    state.execute(params![entry.change.service, serde_json::to_string(after)?])?;
                }
            }
            for (service, durable) in states {
                state.execute(params![service, serde_json::to_string(durable)?])?;
            }
            if !entries.is_empty() {
                integrity::note_newest(&transaction, newest.id, &newest.hash)?;
            }
        }
        transaction.commit()?;
        self.newest = newest;
        Ok(())
    }
}

/// Where the chain of a file begins. From a file of format 1 nothing has been removed.
///
/// # Errors
/// The file is corrupt.
pub(super) fn anchor(db: &Connection) -> Result<ChainAnchor, Error> {
    if schema::readable(db)? < 2 {
        return Ok(ChainAnchor::first());
    }
    let query = "SELECT id, hash FROM anchor WHERE one = 1";
    let found = db.query_row(query, [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?;
    Ok(found.map_or_else(ChainAnchor::first, |(id, hash)| ChainAnchor { id: id as u64, hash }))
}

/// The newest entry with its hash, or else the last one that was removed.
///
/// # Errors
/// The file is corrupt.
pub(super) fn newest(db: &Connection) -> Result<ChainAnchor, Error> {
    let query = "SELECT id, hash FROM journal ORDER BY id DESC LIMIT 1";
    let last = db.query_row(query, [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?;
    last.map_or_else(|| anchor(db), |(id, hash)| Ok(ChainAnchor { id: id as u64, hash }))
}
