//! What the journal keeps, and what it finds out.

use std::sync::Arc;

use super::*;
use crate::counters::Counters;
use crate::rollout::{Asked, Kind};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

fn entry(id: u64, percent: f64) -> Entry {
    let weight = Weight::from_percent(percent).unwrap();
    let after = Durable::new(Asked { active: Environment::Blue, weight });
    let change = Change {
        id,
        generation: id + 100,
        uptime: Millis(5),
        service: "shop".into(),
        kind: Kind::Shift,
        who: "ann".into(),
        from: None,
        key: None,
        why: "because".into(),
        before: None,
        after: Some(after),
        evidence: None,
        ledger: None,
    };
    Entry { at: 1_700_000_000_000 + id, change }
}

#[test]
fn a_restart_begins_with_the_last_entry() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cutover.db");
    let (journal, restored) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    assert_eq!(restored.last_entry, 0);
    (1..=3).for_each(|id| journal.append(entry(id, id as f64)));
    drop(journal);
    let (_journal, restored) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    assert_eq!((restored.last_entry, restored.generation), (3, 103));
    assert_eq!(restored.services["shop"].weight.basis_points(), 300);
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.verify().unwrap(), Chain::Whole(3));
    assert_eq!(reader.entry(2).unwrap(), Some(entry(2, 2.0)), "an entry comes back as it went");
    assert_eq!(reader.latest(Some("shop"), 2).unwrap().len(), 2);
    assert_eq!(reader.latest(Some("other"), 2).unwrap(), vec![]);
}

#[test]
fn an_altered_or_removed_entry_breaks_the_chain() {
    for (statement, at) in [
        ("UPDATE journal SET body = replace(body, 'because', 'whatever') WHERE id = 2", 2),
        ("DELETE FROM journal WHERE id = 2", 3),
        ("DELETE FROM journal WHERE id = 1", 2),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cutover.db");
        Store::open(&path).unwrap().append(&[entry(1, 1.0), entry(2, 2.0), entry(3, 3.0)]).unwrap();
        Connection::open(&path).unwrap().execute(statement, []).unwrap();
        assert_eq!(Reader::open(&path).unwrap().verify().unwrap(), Chain::Broken { at }, "{statement}");
    }
}

#[test]
fn a_corrupt_file_is_set_aside_and_a_new_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cutover.db");
    std::fs::write(&path, "this is not a database, it is a text of some length".repeat(100)).unwrap();
    let counters = Arc::new(Counters::new(1));
    let (journal, restored) = Journal::start(&path, counters.clone()).unwrap();
    assert!(restored.lost);
    journal.append(entry(1, 1.0));
    assert!(journal.sync(std::time::Duration::from_secs(5)));
    assert_eq!(crate::counters::read(&counters.process.journal_errors), 1);
    let kept = std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains("corrupt-"));
    assert_eq!(kept.count(), 1);
}

#[test]
fn a_store_that_cannot_be_opened_stops_nothing_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("not-yet");
    let path = folder.join("cutover.db");
    let counters = Arc::new(Counters::new(1));
    let (journal, restored) = Journal::start(&path, counters.clone()).unwrap();
    assert_eq!(restored.last_entry, 0);
    journal.append(entry(1, 1.0));
    assert!(!journal.sync(std::time::Duration::from_secs(5)));
    std::fs::create_dir(&folder).unwrap();
    let deadline = crate::clock::now().plus(Millis::seconds(20));
    while !journal.sync(std::time::Duration::from_secs(5)) {
        assert!(crate::clock::now() < deadline, "never written");
    }
    assert_eq!(Reader::open(&path).unwrap().latest(None, 9).unwrap().len(), 1);
}

#[test]
fn a_state_that_is_there_and_cannot_be_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cutover.db");
    let start = || Journal::start(&path, Arc::new(Counters::new(1))).err().map(|e| e.to_string());
    let (journal, _) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    journal.append(entry(1, 1.0));
    assert_eq!(start().unwrap(), "another process has this state open");
    drop(journal);
    let backup = Connection::open(&path).unwrap();
    backup.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    assert!(start().unwrap().contains("locked"), "a backup holds it: the latch in it must not be lost");
    drop(backup);
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    assert_eq!(start().unwrap(), "the journal is of format 2; this program reads format 1");
}
