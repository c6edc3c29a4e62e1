//! What the journal keeps, and what it finds out.

use std::sync::Arc;

use rusqlite::Connection;

use super::*;
use config::JournalRetention;
use judgement::rollout::{ChangeKind, RequestedSplit};
use judgement::time::Millis;
use judgement::traffic::Environment;
use judgement::traffic::split::Weight;
use memory::counters::Counters;

fn entry(id: u64, percent: f64) -> JournalEntry {
    let weight = Weight::from_percent(percent).unwrap();
    let after = DurableState::new(RequestedSplit { active: Environment::Blue, weight });
    let change = JournalChange {
        id,
        generation: id + 100,
        uptime: Millis(5),
        service: "shop".into(),
        kind: ChangeKind::Shift,
        who: "ann".into(),
        from: None,
        key: None,
        why: "because".into(),
        before: None,
        after: Some(after),
        evidence: None,
        figure: None,
        gate: None,
        ledger: None,
    };
    JournalEntry { at: 1_700_000_000_000 + id, change }
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
    let reader = JournalReader::open(&path).unwrap();
    assert_eq!(reader.verify().unwrap(), ChainCheck::Whole(3));
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
        JournalStore::open(&path).unwrap().append(&[entry(1, 1.0), entry(2, 2.0), entry(3, 3.0)]).unwrap();
        Connection::open(&path).unwrap().execute(statement, []).unwrap();
        assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap(), ChainCheck::Broken { at }, "{statement}");
    }
}

/// A file with three entries that another program has changed since.
fn changed(statement: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let (dir, path) = in_a_folder();
    JournalStore::open(&path).unwrap().append(&[entry(1, 1.0), entry(2, 2.0), entry(3, 0.0)]).unwrap();
    Connection::open(&path).unwrap().execute_batch(statement).unwrap();
    (dir, path)
}

#[test]
fn a_journal_whose_newest_entries_are_gone_is_found_out_and_stays_so() {
    let (_dir, path) = changed("DELETE FROM journal WHERE id > 1");
    let verify = || JournalReader::open(&path).unwrap().verify().unwrap();
    assert_eq!(verify(), ChainCheck::Cut { newest: 3 });
    let (journal, restored) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    assert_eq!((restored.cut, restored.last_entry, restored.services["shop"].weight.basis_points()), (Some(3), 3, 0));
    journal.append(entry(4, 5.0));
    drop(journal);
    assert_eq!(verify(), ChainCheck::Broken { at: 4 }, "its number follows those that are gone");
}

#[test]
fn a_state_that_no_entry_explains_is_not_what_a_restart_begins_with() {
    let (_dir, path) = changed("UPDATE state SET body = json_set(body, '$.weight', 9000)");
    let verify = || JournalReader::open(&path).unwrap().verify().unwrap();
    assert_eq!(verify(), ChainCheck::Unexplained { service: "shop".into(), entry: 3 });
    let (journal, restored) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    assert_eq!(restored.unexplained, [("shop".to_owned(), 3)]);
    assert_eq!(restored.services["shop"].weight.basis_points(), 0, "what the last entry says");
    journal.append(entry(4, 5.0));
    drop(journal);
    assert_eq!(verify(), ChainCheck::Whole(4));
}

#[test]
fn an_older_version_may_have_written_on() {
    let (_dir, path) = changed("UPDATE newest SET id = 2, hash = (SELECT hash FROM journal WHERE id = 2)");
    assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap(), ChainCheck::Whole(3));
    let (_dir, path) = changed("DROP TABLE newest");
    assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap(), ChainCheck::Whole(3));
}

#[test]
fn a_hash_that_was_said_is_found_as_long_as_its_entry_is_there() {
    let (_dir, path) = changed("");
    let reader = JournalReader::open(&path).unwrap();
    let said = reader.newest().unwrap();
    assert_eq!((said.id, reader.entry_of(&said.hash).unwrap()), (3, Some(3)));
    // Whoever knows how can make all of it fit.
    let fits =
        "DELETE FROM journal WHERE id = 3; UPDATE newest SET id = 2, hash = (SELECT hash FROM journal WHERE id = 2);
                UPDATE state SET body = (SELECT json_extract(body, '$.after') FROM journal WHERE id = 2)";
    Connection::open(&path).unwrap().execute_batch(fits).unwrap();
    let reader = JournalReader::open(&path).unwrap();
    assert_eq!(reader.verify().unwrap(), ChainCheck::Whole(2));
    assert_eq!(reader.entry_of(&said.hash).unwrap(), None, "but what was said elsewhere");
}

#[cfg(unix)]
#[test]
fn the_files_are_their_owners_alone_and_a_linked_lock_is_not_followed() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = in_a_folder();
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (journal, _) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    journal.append(entry(1, 1.0));
    assert!(journal.sync(std::time::Duration::from_secs(20)));
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mode = std::fs::metadata(beside(&path, suffix)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{suffix}");
    }
    drop(journal);
    let precious = dir.path().join("precious");
    std::fs::write(&precious, "kept").unwrap();
    std::fs::remove_file(beside(&path, ".lock")).unwrap();
    std::os::unix::fs::symlink(&precious, beside(&path, ".lock")).unwrap();
    let refused = Journal::start(&path, Arc::new(Counters::new(1))).unwrap_err();
    assert!(matches!(refused, Error::Linked(_)), "{refused}");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "kept");
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
    assert_eq!(memory::counters::read(&counters.process.journal_errors), 1);
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
    let deadline = memory::clock::now().plus(Millis::seconds(20));
    while !journal.sync(std::time::Duration::from_secs(5)) {
        assert!(memory::clock::now() < deadline, "never written");
    }
    assert_eq!(JournalReader::open(&path).unwrap().latest(None, 9).unwrap().len(), 1);
}

#[test]
fn a_state_that_is_there_and_cannot_be_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cutover.db");
    let start = || Journal::start(&path, Arc::new(Counters::new(1))).err().map(|e| e.to_string());
    let (journal, _) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    journal.append(entry(1, 1.0));
    assert_eq!(start().unwrap(), "another process is using this state file");
    drop(journal);
    let backup = Connection::open(&path).unwrap();
    backup.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    assert!(start().unwrap().contains("locked"), "a backup holds it: the latch in it must not be lost");
    drop(backup);
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 3").unwrap();
    assert_eq!(start().unwrap(), "the journal has format 3; this version of Cutover reads formats up to 2");
}

/// A store with this many entries, a minute apart.
fn filled(path: &std::path::Path, count: u64) -> JournalStore {
    let mut store = JournalStore::open(path).unwrap();
    let minute = 60_000;
    let entries: Vec<JournalEntry> = (1..=count)
        .map(|id| {
            let mut entry = entry(id, 1.0);
            entry.at = 1_700_000_000_000 + id * minute;
            entry.change.service = if id.is_multiple_of(1000) { "rare".into() } else { "shop".into() };
            entry.change.kind = if id.is_multiple_of(500) { ChangeKind::Rollback } else { ChangeKind::Shift };
            entry.change.who = if id.is_multiple_of(7) { "ann".into() } else { "file".into() };
            entry
        })
        .collect();
    entries.chunks(10_000).for_each(|some| store.append(some).unwrap());
    store
}

fn in_a_folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cutover.db");
    (dir, path)
}

#[test]
fn old_entries_go_by_age_and_the_rest_still_verifies() {
    let (_dir, path) = in_a_folder();
    let mut store = filled(&path, 2000);
    let last = 1_700_000_000_000 + 2000 * 60_000;
    // The last thousand minutes stay.
    let keep = JournalRetention { age: Millis(1000 * 60_000), bytes: u64::MAX };
    let mut rounds = Vec::new();
    loop {
        let trimmed = store.trim(keep, last).unwrap();
        rounds.push(trimmed.removed);
        if !trimmed.more {
            break;
        }
    }
    assert_eq!(rounds, [500, 499], "in batches");
    let reader = JournalReader::open(&path).unwrap();
    assert_eq!(reader.verify().unwrap(), ChainCheck::Whole(1001));
    assert_eq!((reader.anchor().unwrap().id, reader.entry(999).unwrap()), (999, None));
    assert_eq!(store.trim(keep, last).unwrap(), TrimResult { removed: 0, more: false });
    // If the clock is far off, the entries that people look at first stay, and the numbering continues.
    while store.trim(keep, u64::MAX).unwrap().removed > 0 {}
    store.append(&[entry(2001, 1.0)]).unwrap();
    assert_eq!(reader.verify().unwrap(), ChainCheck::Whole(retention::LEAST + 1));
    let mut again = JournalStore::open(&path).unwrap();
    again.append(&[entry(2002, 1.0)]).unwrap();
    assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap(), ChainCheck::Whole(retention::LEAST + 2));
}

#[test]
fn old_entries_go_by_size() {
    let (_dir, path) = in_a_folder();
    let mut store = filled(&path, 5000);
    let keep = JournalRetention { age: Millis(u64::MAX), bytes: 1 << 20 };
    let mut rounds = 0;
    while store.trim(keep, 0).unwrap().removed > 0 {
        rounds += 1;
        assert!(rounds < 50, "it comes to an end");
    }
    let reader = JournalReader::open(&path).unwrap();
    let ChainCheck::Whole(left) = reader.verify().unwrap() else { panic!("broken") };
    assert!((500..3000).contains(&left), "{left} entries in a MiB");
    assert_eq!(reader.latest(None, 1).unwrap()[0].change.id, 5000);
}

#[test]
fn who_alters_the_anchor_or_the_first_kept_entry_is_found_out() {
    for (statement, at) in [
        ("UPDATE anchor SET hash = zeroblob(32)", 501),
        ("UPDATE anchor SET id = 400", 501),
        ("DELETE FROM anchor", 501),
        ("DELETE FROM journal WHERE id = 501", 502),
        ("UPDATE journal SET body = replace(body, 'because', 'whatever') WHERE id = 501", 501),
    ] {
        let (_dir, path) = in_a_folder();
        let mut store = filled(&path, 700);
        store.trim(JournalRetention { age: Millis::ZERO, bytes: u64::MAX }, u64::MAX).unwrap();
        Connection::open(&path).unwrap().execute(statement, []).unwrap();
        assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap(), ChainCheck::Broken { at }, "{statement}");
    }
}

#[test]
fn a_file_of_format_1_is_read_as_it_is_and_brought_up_with_every_entry() {
    const FORMAT_1: &str = "
CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY, body TEXT NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS state (service TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
";
    // As the first version wrote it.
    const BODY: &str = r#"{"at":1700000000001,"id":1,"generation":101,"uptime":5,"service":"shop","kind":"shift","who":"ann","why":"because","after":{"active":"blue","weight":100,"epoch":0,"stopped":false,"rollout":1,"asked":{"active":"blue","weight":100}}}"#;
    let (_dir, path) = in_a_folder();
    let db = Connection::open(&path).unwrap();
    db.execute_batch(FORMAT_1).unwrap();
    let mut hash = vec![0; 32];
    for id in 1..=50 {
        let body = BODY.replace("\"id\":1,", &format!("\"id\":{id},"));
        hash = chained(&hash, &body).to_vec();
        db.execute("INSERT INTO journal VALUES (?1, ?2, ?3)", rusqlite::params![id, body, hash]).unwrap();
    }
    let after = serde_json::from_str::<serde_json::Value>(BODY).unwrap()["after"].to_string();
    db.execute("INSERT INTO state VALUES ('shop', ?1)", [after]).unwrap();
    drop(db);

    let query = JournalQuery { service: Some("shop".into()), since: Some(5), limit: 10, ..JournalQuery::default() };
    let before = JournalReader::open(&path).unwrap();
    assert_eq!((before.verify().unwrap(), before.snapshots(None).unwrap()), (ChainCheck::Whole(50), vec![]));
    let page = before.page(&query).unwrap();
    assert_eq!((page.entries.len(), page.next), (10, Some(41)));
    let peeked = JournalStore::peek(&path);
    drop(before);
    assert!(peeked.is_ok_and(|restored| restored.last_entry == 50), "on a full disk the old format is read too");

    let (journal, restored) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    assert_eq!((restored.last_entry, restored.services["shop"].weight.basis_points()), (50, 100));
    journal.append(entry(51, 3.0));
    drop(journal);
    let reader = JournalReader::open(&path).unwrap();
    assert_eq!(reader.verify().unwrap(), ChainCheck::Whole(51));
    assert_eq!(reader.page(&query).unwrap().entries[1..], page.entries[..9], "every entry as it was");
    let format = Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    assert_eq!(format, Ok(2));
}

#[test]
fn pages_join_without_a_gap_and_filters_say_the_same_as_a_scan() {
    let (_dir, path) = in_a_folder();
    drop(filled(&path, 3000));
    let reader = JournalReader::open(&path).unwrap();
    let all = reader.page(&JournalQuery { limit: 5000, ..JournalQuery::default() }).unwrap();
    assert_eq!((all.entries.len(), all.next), (MAX_PAGE, Some(2001)), "a page has its limit");
    let everything: Vec<JournalEntry> = (1..=3000).rev().map(|id| reader.entry(id).unwrap().unwrap()).collect();
    let at = |id: u64| 1_700_000_000_000 + id * 60_000;
    let none = JournalQuery { limit: 37, ..JournalQuery::default() };
    for query in [
        none.clone(),
        JournalQuery { service: Some("rare".into()), ..none.clone() },
        JournalQuery { service: Some("shop".into()), kind: Some(ChangeKind::Rollback), ..none.clone() },
        JournalQuery { who: Some("ann".into()), since: Some(at(1000)), until: Some(at(1234)), ..none.clone() },
        JournalQuery { kind: Some(ChangeKind::Rollback), after: Some(1500), ..none.clone() },
        JournalQuery { since: Some(at(2990)), ..none.clone() },
        JournalQuery { until: Some(at(40)), ..none.clone() },
        JournalQuery { since: Some(at(9999)), ..none.clone() },
        JournalQuery { service: Some("nobody' OR 1=1 --".into()), ..none.clone() },
    ] {
        let fits = |entry: &&JournalEntry| {
            let change = &entry.change;
            query.service.as_ref().is_none_or(|service| *service == change.service)
                && query.kind.is_none_or(|kind| kind == change.kind)
                && query.who.as_ref().is_none_or(|who| *who == change.who)
                && query.since.is_none_or(|since| entry.at >= since)
                && query.until.is_none_or(|until| entry.at <= until)
                && query.after.is_none_or(|after| change.id > after)
        };
        let wanted: Vec<&JournalEntry> = everything.iter().filter(fits).collect();
        let (mut got, mut before) = (Vec::new(), None);
        loop {
            let page = reader.page(&JournalQuery { before, ..query.clone() }).unwrap();
            assert!(page.entries.len() <= 37);
            got.extend(page.entries);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(got.iter().collect::<Vec<_>>(), wanted, "{query:?}");
    }
}

#[test]
fn a_page_of_100_000_entries_is_found_by_index() {
    let (_dir, path) = in_a_folder();
    drop(filled(&path, 100_000));
    let reader = JournalReader::open(&path).unwrap();
    let timed = |reader: &JournalReader, query: &JournalQuery| {
        let began = memory::clock::micros();
        let page = reader.page(query).unwrap();
        (memory::clock::micros() - began, page)
    };
    let at = |id: u64| 1_700_000_000_000 + id * 60_000;
    let none = JournalQuery { limit: 50, ..JournalQuery::default() };
    let queries = [
        JournalQuery { service: Some("rare".into()), ..none.clone() },
        JournalQuery {
            service: Some("shop".into()),
            kind: Some(ChangeKind::Rollback),
            before: Some(20_000),
            ..none.clone()
        },
        JournalQuery { kind: Some(ChangeKind::Warning), ..none.clone() },
        JournalQuery { who: Some("ann".into()), until: Some(at(900)), ..none.clone() },
        JournalQuery { since: Some(at(500)), until: Some(at(900)), ..none.clone() },
    ];
    let indexed: Vec<_> = queries.iter().map(|query| timed(&reader, query)).collect();
    let db = Connection::open(&path).unwrap();
    for index in ["service", "service_kind", "kind", "who", "at"] {
        db.execute_batch(&format!("DROP INDEX journal_{index}")).unwrap();
    }
    let reader = JournalReader::open(&path).unwrap();
    for (query, (micros, page)) in queries.iter().zip(indexed) {
        let (scan, same) = timed(&reader, query);
        println!("{micros} us by index, {scan} us by scan, {} entries: {query:?}", page.entries.len());
        assert_eq!(page, same, "{query:?}");
        assert!(micros * 5 < scan, "{micros} us by index, {scan} us by scan: {query:?}");
    }
}

#[test]
fn a_checkpoint_is_kept_without_an_entry_and_gives_way_to_one() {
    let (_dir, path) = in_a_folder();
    let (journal, _) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    // What is no decision: a checkpoint may say it alone.
    let durable = |percent| {
        let weight = Weight::from_percent(percent).unwrap();
        let asked = RequestedSplit { active: Environment::Blue, weight };
        DurableState { asked, ..entry(1, 1.0).change.after.unwrap() }
    };
    let asked = |restored: &RestoredState, service: &str| restored.services[service].asked.weight.basis_points();
    journal.append(entry(1, 1.0));
    (2..=9).for_each(|percent| journal.save_state("shop".into(), durable(f64::from(percent))));
    journal.save_state("other".into(), durable(50.0));
    drop(journal);
    let (journal, restored) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    assert_eq!(asked(&restored, "shop"), 900, "the latest wins");
    assert_eq!((asked(&restored, "other"), restored.last_entry), (5000, 1));
    journal.save_state("shop".into(), durable(20.0));
    journal.append(entry(2, 30.0));
    drop(journal);
    let (_journal, restored) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    assert_eq!(restored.services["shop"].weight.basis_points(), 3000, "an entry after it says more");
    assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap(), ChainCheck::Whole(2));
}

#[test]
fn snapshots_are_put_there_bounded_and_taken_away() {
    let (_dir, path) = in_a_folder();
    let (journal, _) = Journal::start(&path, Arc::new(Counters::new(1))).unwrap();
    let snapshots = journal.snapshots();
    let snapshot = |id: u64, service: &str| NamedSnapshot {
        id: format!("{service}-{id}"),
        service: service.into(),
        at: id,
        name: format!("before release {id}"),
        body: "{}".into(),
    };
    (0..MAX_SNAPSHOTS).for_each(|id| snapshots.put(snapshot(id, "shop")).unwrap());
    assert_eq!(
        snapshots.put(snapshot(999, "shop")).unwrap_err().to_string(),
        "shop already has 100 snapshots; delete one first"
    );
    snapshots.put(snapshot(1, "blog")).unwrap();
    assert_eq!(snapshots.put(snapshot(1, "blog")), Err(SnapshotError::Taken("blog-1".into())));
    let large = NamedSnapshot { body: "x".repeat(2 << 20), ..snapshot(2, "blog") };
    assert_eq!(snapshots.put(large), Err(SnapshotError::TooLarge));
    let reader = snapshots.reader().unwrap();
    assert_eq!(reader.snapshot("shop-7").unwrap(), Some(snapshot(7, "shop")));
    let listed = reader.snapshots(Some("shop")).unwrap();
    assert_eq!((listed.len(), listed[0].at, reader.snapshots(None).unwrap().len()), (100, 99, 101));
    snapshots.delete("shop-7").unwrap();
    assert_eq!(snapshots.delete("shop-7"), Err(SnapshotError::Missing("shop-7".into())));
    snapshots.put(snapshot(999, "shop")).unwrap();
    // The snapshots are still held, and the journal ends all the same.
    drop(journal);
    assert_eq!(snapshots.put(snapshot(2, "blog")), Err(SnapshotError::Busy));
    assert_eq!(JournalReader::open(&path).unwrap().snapshots(None).unwrap().len(), 101);
}

#[test]
fn the_writer_removes_what_is_old_by_itself() {
    let (_dir, path) = in_a_folder();
    drop(filled(&path, 2000));
    // Of 2023, all of them.
    let keep = JournalRetention { age: Millis::seconds(86_400), bytes: u64::MAX };
    let (journal, restored) = Journal::start_with_retention(&path, keep, Arc::new(Counters::new(1))).unwrap();
    assert_eq!(restored.last_entry, 2000);
    let reader = JournalReader::open(&path).unwrap();
    let deadline = memory::clock::now().plus(Millis::seconds(20));
    while reader.verify().unwrap() != ChainCheck::Whole(retention::LEAST) {
        assert!(memory::clock::now() < deadline, "they stay");
    }
    journal.append(entry(2001, 1.0));
    assert!(journal.sync(std::time::Duration::from_secs(5)));
    assert_eq!(reader.verify().unwrap(), ChainCheck::Whole(retention::LEAST + 1));
}
