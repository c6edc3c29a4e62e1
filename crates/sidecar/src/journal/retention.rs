//! Removal of the oldest entries, by age and by size, a few at a time.
//!
//! Entries are removed only from the old end, so that the rest remains one chain, and never the newest ones, because a
//! restart continues their numbers. The state is not affected: a latch stays however old the entry of its rollback is.

use rusqlite::{OptionalExtension, params};

use crate::journal::{Error, JournalStore};
use config::JournalRetention;

/// Entries removed in one transaction: some milliseconds, during which new entries wait.
pub(super) const BATCH: u64 = 500;
/// Entries that are always kept, however old they are: what a person looks at first.
pub(super) const LEAST: u64 = 100;

/// The result of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrimResult {
    pub removed: u64,
    /// There is more to remove.
    pub more: bool,
}

impl JournalStore {
    /// Removes a batch of the oldest entries that need not be kept. `wall`: now, in milliseconds since 1970.
    ///
    /// # Errors
    /// The file cannot be written; nothing was removed.
    pub fn trim(&mut self, keep: JournalRetention, wall: u64) -> Result<TrimResult, Error> {
        let transaction = self.db.transaction()?;
        let nothing = TrimResult { removed: 0, more: false };
        let ends = "SELECT min(id), max(id) FROM journal";
        let (Some(first), Some(last)) = transaction
            .query_row(ends, [], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?
        else {
            return Ok(nothing);
        };
        let most = last.saturating_sub(LEAST as i64).min(first.saturating_add(BATCH as i64 - 1));
        if most < first {
            return Ok(nothing);
        }
        let used = "SELECT (page_count - freelist_count) * page_size
                    FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
        let used: i64 = transaction.query_row(used, [], |row| row.get(0))?;
        let upto = if used as u64 > keep.bytes {
            let bodies = "SELECT id, length(body) FROM journal WHERE id <= ?1 ORDER BY id";
            let mut rows = transaction.prepare_cached(bodies)?;
            let mut rows = rows.query([most])?;
            let (mut over, mut upto) = ((used as u64 - keep.bytes) as i64, first);
            while let Some(row) = rows.next()?.filter(|_| over > 0) {
                upto = row.get(0)?;
                over -= row.get::<_, i64>(1)?;
            }
            Some(upto)
        } else {
            // The first entry that is young enough stays, with all that follow, so that a clock set back leaves no gap.
            let young =
                "SELECT id FROM journal WHERE id <= ?1 AND json_extract(body, '$.at') >= ?2 ORDER BY id LIMIT 1";
            let since = i64::try_from(wall.saturating_sub(keep.age.0)).unwrap_or(i64::MAX);
            let young = transaction.query_row(young, params![most, since], |row| row.get::<_, i64>(0)).optional()?;
            Some(young.map_or(most, |young| young - 1)).filter(|upto| *upto >= first)
        };
        let Some(upto) = upto else { return Ok(nothing) };
        let anchor = "INSERT OR REPLACE INTO anchor (one, id, hash) SELECT 1, id, hash FROM journal WHERE id = ?1";
        transaction.execute(anchor, [upto])?;
        let removed = transaction.execute("DELETE FROM journal WHERE id <= ?1", [upto])? as u64;
        transaction.commit()?;
        Ok(TrimResult { removed, more: upto == most && upto < last.saturating_sub(LEAST as i64) })
    }
}
