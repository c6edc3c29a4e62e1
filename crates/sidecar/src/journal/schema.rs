//! The tables, and the upgrade from older formats.
//!
//! The indexes are on expressions over an entry's text rather than on columns beside it, so that queries read what the
//! chain protects. They also work on a file of format 1, which has no indexes and is only slower.

use rusqlite::Connection;

use crate::journal::Error;

pub const FORMAT: i64 = 2;

/// The tables of every format.
const FIRST: &str = "
CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY, body TEXT NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS state (service TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
";

/// What format 2 adds: indexes, the anchor of the chain, and named snapshots.
const SECOND: &str = "
CREATE INDEX journal_service ON journal (json_extract(body, '$.service'));
CREATE INDEX journal_service_kind ON journal (json_extract(body, '$.service'), json_extract(body, '$.kind'));
CREATE INDEX journal_kind ON journal (json_extract(body, '$.kind'));
CREATE INDEX journal_who ON journal (json_extract(body, '$.who'));
CREATE INDEX journal_key ON journal (json_extract(body, '$.key')) WHERE json_extract(body, '$.key') IS NOT NULL;
CREATE INDEX journal_at ON journal (json_extract(body, '$.at'));
CREATE TABLE anchor (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE snapshot (id TEXT PRIMARY KEY, service TEXT NOT NULL, at INTEGER NOT NULL, name TEXT NOT NULL,
                       body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX snapshot_service ON snapshot (service, at);
PRAGMA user_version = 2;
";

/// Creates or upgrades the tables, all or none. Entries stay as they are.
///
/// # Errors
/// The file has an unknown format, or cannot be written.
pub fn upgrade(db: &mut Connection) -> Result<(), Error> {
    let transaction = db.transaction()?;
    match format_of(&transaction)? {
        0 => transaction.execute_batch(FIRST).and_then(|()| transaction.execute_batch(SECOND))?,
        1 => transaction.execute_batch(SECOND)?,
        FORMAT => {}
        other => return Err(Error::Format(other)),
    }
    Ok(transaction.commit()?)
}

/// The format of a file, if this version can read it.
///
/// # Errors
/// The format is unknown.
pub fn readable(db: &Connection) -> Result<i64, Error> {
    match format_of(db)? {
        format @ 0..=FORMAT => Ok(format),
        other => Err(Error::Format(other)),
    }
}

fn format_of(db: &Connection) -> Result<i64, Error> {
    Ok(db.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}
