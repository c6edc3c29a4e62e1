//! Reading a journal, beside a running proxy or after it: pages of entries, and the hash chain.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params, params_from_iter};

use crate::journal::{ChainAnchor, Error, JournalEntry, NamedSnapshot, chained, integrity, schema, snapshots, store};
use judgement::rollout::ChangeKind;
use judgement::rollout::ledger::RolloutLedger;

/// The most entries in one page; each may be some ten kilobytes.
pub const MAX_PAGE: usize = 1000;

#[derive(Debug)]
pub struct JournalReader {
    db: Connection,
}

/// The result of [`JournalReader::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainCheck {
    /// This many entries, each chained to the one before.
    Whole(u64),
    /// The first entry that does not follow from the one before: it, or one before it, was altered or removed.
    Broken { at: u64 },
    /// This entry was written and is not there any more: the newest entries were removed.
    Cut { newest: u64 },
    /// What is stored of a service is not what its last entry says.
    Unexplained { service: String, entry: u64 },
}

/// Which entries to return; a field that is `None` does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalQuery {
    pub service: Option<String>,
    pub kind: Option<ChangeKind>,
    pub who: Option<String>,
    /// The Idempotency-Key of the request.
    pub key: Option<String>,
    /// Milliseconds since 1970, inclusive at both ends.
    pub since: Option<u64>,
    pub until: Option<u64>,
    /// Only entries older than this one: the `next` of the previous page.
    pub before: Option<u64>,
    /// Only entries newer than this one.
    pub after: Option<u64>,
    /// At most [`MAX_PAGE`].
    pub limit: usize,
}

/// Entries, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalPage {
    pub entries: Vec<JournalEntry>,
    /// If there are more entries, the `before` of the next query.
    pub next: Option<u64>,
}

impl JournalReader {
    /// Opens an existing journal.
    ///
    /// # Errors
    /// The file does not exist, or has another format.
    pub fn open(path: &Path) -> Result<JournalReader, Error> {
        if !path.exists() {
            return Err(Error::Missing(path.to_owned()));
        }
        // Opened for writing because a reader of a WAL must be able to create its index; nothing else is written.
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .or_else(|_| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        db.busy_timeout(std::time::Duration::from_secs(2))?;
        match schema::readable(&db)? {
            0 => Err(Error::Missing(path.to_owned())),
            _ => Ok(JournalReader { db }),
        }
    }

    /// The latest entries, newest first, of one service or of all.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn latest(&self, service: Option<&str>, limit: usize) -> Result<Vec<JournalEntry>, Error> {
        let query = JournalQuery { service: service.map(str::to_owned), limit, ..JournalQuery::default() };
        self.page(&query).map(|page| page.entries)
    }

    /// A page of entries.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn page(&self, query: &JournalQuery) -> Result<JournalPage, Error> {
        let limit = query.limit.min(MAX_PAGE);
        let (conditions, values) = self.conditions(query)?;
        let text = format!("SELECT body FROM journal WHERE {conditions} ORDER BY id DESC LIMIT {}", limit + 1);
        let mut rows = self.db.prepare_cached(&text)?;
        let mut rows = rows.query(params_from_iter(values))?;
        let mut entries: Vec<JournalEntry> = Vec::new();
        while let Some(row) = rows.next()? {
            if entries.len() == limit {
                let next = entries.last().map(|entry| entry.change.id);
                return Ok(JournalPage { entries, next });
            }
            entries.push(serde_json::from_str(&row.get::<_, String>(0)?)?);
        }
        Ok(JournalPage { entries, next: None })
    }

    fn conditions(&self, query: &JournalQuery) -> Result<(String, Vec<Value>), Error> {
        let mut conditions = vec!["1".to_owned()];
        let mut values = Vec::new();
        let mut add = |condition: &str, value: Value| {
            values.push(value);
            conditions.push(format!("{condition} ?{}", values.len()));
        };
        let texts = [
            ("json_extract(body, '$.service') =", query.service.clone()),
            ("json_extract(body, '$.kind') =", query.kind.map(|kind| kind.name().to_owned())),
            ("json_extract(body, '$.who') =", query.who.clone()),
            ("json_extract(body, '$.key') =", query.key.clone()),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                add(condition, Value::Text(text));
            }
        }
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if let Some(before) = query.before {
            add("id <", Value::Integer(number(before)));
        }
        if let Some(after) = query.after {
            add("id >", Value::Integer(number(after)));
        }
        // The index of times first narrows the range of ids. The clock may have been set back, so the entries within
        // that range are compared again. Each `+` makes SQLite use the intended index: times here, ids there.
        if query.since.is_some() || query.until.is_some() {
            let (since, until) = (number(query.since.unwrap_or(0)), number(query.until.unwrap_or(u64::MAX)));
            let edges = "SELECT min(+id), max(+id) FROM journal
                         WHERE json_extract(body, '$.at') >= ?1 AND json_extract(body, '$.at') <= ?2";
            let (first, last): (Option<i64>, Option<i64>) =
                self.db.query_row(edges, [since, until], |row| Ok((row.get(0)?, row.get(1)?)))?;
            add("id >=", Value::Integer(first.unwrap_or(0)));
            add("id <=", Value::Integer(last.unwrap_or(-1)));
            add("+json_extract(body, '$.at') >=", Value::Integer(since));
            add("+json_extract(body, '$.at') <=", Value::Integer(until));
        }
        Ok((conditions.join(" AND "), values))
    }

    /// One entry.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn entry(&self, id: u64) -> Result<Option<JournalEntry>, Error> {
        let query = "SELECT body FROM journal WHERE id = ?1";
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        let body = self.db.query_row(query, [id], |row| row.get::<_, String>(0)).optional()?;
        Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
    }

    /// The final ledger of a rollout, once its last request has ended.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn final_ledger(&self, service: &str, rollout: u32) -> Result<Option<RolloutLedger>, Error> {
        let query = "SELECT body FROM journal WHERE json_extract(body, '$.kind') = 'ledger'
                     AND json_extract(body, '$.service') = ?1 AND json_extract(body, '$.ledger.rollout') = ?2
                     ORDER BY id DESC LIMIT 1";
        let body = self.db.query_row(query, params![service, rollout], |row| row.get::<_, String>(0)).optional()?;
        let entry: Option<JournalEntry> = body.map(|body| serde_json::from_str(&body)).transpose()?;
        Ok(entry.and_then(|entry| entry.change.ledger))
    }

    /// Where the chain begins: entries up to its id have been removed.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn anchor(&self) -> Result<ChainAnchor, Error> {
        store::anchor(&self.db)
    }

    /// The named snapshots of a service, or of all, latest first.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn snapshots(&self, service: Option<&str>) -> Result<Vec<NamedSnapshot>, Error> {
        snapshots::list(&self.db, service)
    }

    /// One named snapshot.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn snapshot(&self, id: &str) -> Result<Option<NamedSnapshot>, Error> {
        snapshots::get(&self.db, id)
    }

    /// The first entry up to `id` that breaks the chain.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn broken_up_to(&self, id: u64) -> Result<Option<u64>, Error> {
        let view = self.db.unchecked_transaction()?;
        Ok(chain(&view, id)?.err())
    }

    /// Verifies the hash chain from its anchor to the last entry, that this is the last one that was written, and that the
    /// state is what the entries say.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn verify(&self) -> Result<ChainCheck, Error> {
        // One consistent view of the file: the writer may be adding entries, and removing old ones.
        let view = self.db.unchecked_transaction()?;
        match chain(&view, i64::MAX as u64)? {
            Ok(entries) => beyond_the_chain(&view, entries),
            Err(at) => Ok(ChainCheck::Broken { at }),
        }
    }

    /// The entry that has this hash.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn entry_of(&self, hash: &[u8]) -> Result<Option<u64>, Error> {
        integrity::holds(&self.db, hash)
    }

    /// The newest entry with its hash, or else the last one that was removed.
    ///
    /// # Errors
    /// The file is corrupt.
    pub fn newest(&self) -> Result<ChainAnchor, Error> {
        store::newest(&self.db)
    }
}

/// What is wrong although the chain is whole, if anything is. `entries`: how many it has.
fn beyond_the_chain(view: &Connection, entries: u64) -> Result<ChainCheck, Error> {
    if let Some(newest) = integrity::missing(view, &store::anchor(view)?)? {
        return Ok(ChainCheck::Cut { newest });
    }
    for (service, stored) in integrity::states(view)? {
        if let Some((entry, _)) = integrity::unexplained(view, &service, &stored)? {
            return Ok(ChainCheck::Unexplained { service, entry });
        }
    }
    Ok(ChainCheck::Whole(entries))
}

/// Verifies the chain up to an entry: how many entries it has, or the first that does not follow from the one before.
fn chain(view: &Connection, last: u64) -> Result<Result<u64, u64>, Error> {
    let ChainAnchor { id, hash: mut before } = store::anchor(view)?;
    let (mut count, mut next) = (0, id + 1);
    let mut rows = view.prepare("SELECT id, body, hash FROM journal WHERE id <= ?1 ORDER BY id")?;
    let mut rows = rows.query([i64::try_from(last).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let (id, body, hash): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if id as u64 != next || chained(&before, &body).as_slice() != hash.as_slice() {
            return Ok(Err(id as u64));
        }
        before = hash;
        count += 1;
        next += 1;
    }
    Ok(Ok(count))
}
