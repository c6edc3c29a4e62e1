//! What ties the file together beyond the chain of entries: which entry is the newest, and whether the state beside them
//! is the one that they explain.
//!
//! Whoever can write the file can make all of it fit again. What was said elsewhere before, in the log, cannot be changed
//! there: `history --verify --holds HASH` asks for it.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::journal::{ChainAnchor, Error, JournalEntry};
use judgement::rollout::DurableState;

/// Versions that do not know it read and write the file all the same, so it is no new format.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS newest (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL, hash BLOB NOT NULL)";

pub(super) fn create(db: &Connection) -> Result<(), Error> {
    Ok(db.execute_batch(TABLE)?)
}

/// Notes the entry that is the newest, in the transaction that writes it.
pub(super) fn note_newest(db: &Connection, id: u64, hash: &[u8]) -> Result<(), Error> {
    let text = "INSERT OR REPLACE INTO newest (one, id, hash) VALUES (1, ?1, ?2)";
    db.prepare_cached(text)?.execute(params![id as i64, hash])?;
    Ok(())
}

/// The newest entry, as it was noted; `None` in a file that never noted one.
fn newest(db: &Connection) -> Result<Option<ChainAnchor>, Error> {
    let there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'newest'";
    if db.query_row(there, [], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let query = "SELECT id, hash FROM newest WHERE one = 1";
    let found = db.query_row(query, [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?;
    Ok(found.map(|(id, hash)| ChainAnchor { id: id as u64, hash }))
}

/// If the entry that was noted as the newest is not there any more: its number. One that was removed by age is not missed.
pub(super) fn missing(db: &Connection, anchor: &ChainAnchor) -> Result<Option<u64>, Error> {
    let Some(ChainAnchor { id, hash }) = newest(db)?.filter(|newest| newest.id > anchor.id) else { return Ok(None) };
    let query = "SELECT hash FROM journal WHERE id = ?1";
    let there: Option<Vec<u8>> = db.query_row(query, [id as i64], |row| row.get(0)).optional()?;
    Ok((there.as_ref() != Some(&hash)).then_some(id))
}

/// Whether an entry has this hash.
pub(super) fn holds(db: &Connection, hash: &[u8]) -> Result<Option<u64>, Error> {
    let query = "SELECT id FROM journal WHERE hash = ?1";
    let found: Option<i64> = db.query_row(query, [hash], |row| row.get(0)).optional()?;
    Ok(found.map(|id| id as u64))
}

/// The state of every service.
pub(super) fn states(db: &Connection) -> Result<BTreeMap<String, DurableState>, Error> {
    let mut states = BTreeMap::new();
    let mut rows = db.prepare("SELECT service, body FROM state")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (service, body): (String, String) = (row.get(0)?, row.get(1)?);
        states.insert(service, serde_json::from_str(&body)?);
    }
    Ok(states)
}

/// The last entry that says what became of a service, and the state after it; `None` if none is left that does.
fn last_said(db: &Connection, service: &str) -> Result<Option<(u64, DurableState)>, Error> {
    let query = "SELECT body FROM journal WHERE json_extract(body, '$.service') = ?1
                 AND json_extract(body, '$.after') IS NOT NULL ORDER BY id DESC LIMIT 1";
    let body: Option<String> = db.query_row(query, [service], |row| row.get(0)).optional()?;
    let Some(body) = body else { return Ok(None) };
    let JournalEntry { change, .. } = serde_json::from_str(&body)?;
    Ok(change.after.map(|after| (change.id, after)))
}

/// If what is stored of a service is not what its last entry says: that entry, and the state by it.
pub(super) fn unexplained(
    db: &Connection,
    service: &str,
    stored: &DurableState,
) -> Result<Option<(u64, DurableState)>, Error> {
    Ok(last_said(db, service)?.filter(|(_, said)| !stored.is_as_decided(said)))
}
