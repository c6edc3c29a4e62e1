//! Whatever the rows of a journal hold, reading them ends with entries or an error, and what was read is written back the same.
//!
//! The input's first line is a service's state, each further line an entry. They are put into the file behind the program's
//! back, with hashes that fit; then a byte of one entry is changed, which must break the chain.

#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use sidecar::journal::{ChainCheck, JournalEntry, JournalQuery, JournalReader, JournalStore};

/// An empty journal, made once.
fn file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("journal-rows-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("cutover.db");
        drop(JournalStore::open(&path).unwrap());
        path
    })
}

/// Fills the file; an error if SQLite itself refuses a row.
fn fill(db: &Connection, state: &str, bodies: &[&str]) -> Result<(), rusqlite::Error> {
    db.execute_batch("PRAGMA synchronous = OFF; BEGIN; DELETE FROM journal; DELETE FROM state; DELETE FROM newest;")?;
    let mut hash = vec![0; 32];
    for (at, body) in bodies.iter().enumerate() {
        hash = Sha256::new().chain_update(&hash).chain_update(body.as_bytes()).finalize().to_vec();
        db.execute("INSERT INTO journal (id, body, hash) VALUES (?1, ?2, ?3)", params![at as i64 + 1, body, hash])?;
    }
    if !state.is_empty() {
        db.execute("INSERT INTO state (service, body) VALUES ('shop', ?1)", [state])?;
    }
    db.execute_batch("COMMIT")
}

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let state = lines.next().unwrap_or_default();
    let bodies: Vec<&str> = lines.take(8).collect();
    let db = Connection::open(file()).unwrap();
    if fill(&db, state, &bodies).is_err() {
        return;
    }
    let reader = JournalReader::open(file()).unwrap();
    let checked = reader.verify();
    if state.is_empty() {
        assert_eq!(checked.unwrap(), ChainCheck::Whole(bodies.len() as u64));
    }
    for (at, body) in bodies.iter().enumerate() {
        let read: Result<JournalEntry, _> = serde_json::from_str(body);
        assert_eq!(reader.entry(at as u64 + 1).ok().flatten(), read.as_ref().ok().cloned(), "{body}");
        if let Ok(entry) = read {
            let again: JournalEntry = serde_json::from_str(&serde_json::to_string(&entry).unwrap()).unwrap();
            assert_eq!(again, entry);
        }
    }
    for query in [
        JournalQuery { limit: 5, ..JournalQuery::default() },
        JournalQuery { limit: 5, service: Some("shop".to_owned()), since: Some(1), ..JournalQuery::default() },
    ] {
        let _ = reader.page(&query);
    }
    let _ = reader.final_ledger("shop", 1);
    drop(reader);
    if let Ok(store) = JournalStore::open(file()) {
        let _ = store.restore();
    }
    tampered(&db, &bodies);
});

/// With one more space in the first entry, which changes nothing of what it says, the chain does not hold any more.
fn tampered(db: &Connection, bodies: &[&str]) {
    let Some(first) = bodies.first() else { return };
    if db.execute("UPDATE journal SET body = ?1 WHERE id = 1", [format!("{first} ")]).is_ok() {
        let checked = JournalReader::open(file()).unwrap().verify();
        assert_eq!(checked.unwrap(), ChainCheck::Broken { at: 1 });
    }
}
