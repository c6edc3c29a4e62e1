//! A table compared row by row: both databases sort by the key, and the two streams are merged here.

use std::cmp::Ordering;

use futures_util::TryStreamExt;

use crate::consistency::both;
use crate::consistency::connect::LONGEST;
use crate::consistency::differences::{RowTotal, TableComparison};
use crate::consistency::plan::TablePlan;
use crate::consistency::rows::RowStream;
use crate::consistency::session::ReadSession;
use crate::consistency::table_query::{HashedRow, TableQuery};

/// The rows of one side; they must arrive sorted.
struct SortedRows<'s> {
    lines: RowStream<'s>,
    table_query: &'s TableQuery,
    plan: &'s TablePlan,
    ahead: Option<HashedRow>,
    total: RowTotal,
}

impl<'s> SortedRows<'s> {
    fn new(lines: RowStream<'s>, table_query: &'s TableQuery, plan: &'s TablePlan) -> SortedRows<'s> {
        SortedRows { lines, table_query, plan, ahead: None, total: RowTotal::default() }
    }

    /// Reads the next row, which must sort after the last one.
    async fn advance(&mut self) -> Result<(), String> {
        let next = self.lines.try_next().await?;
        let next = next.map(|line| self.table_query.keyed(line.cells)).transpose()?;
        if let (Some(last), Some(next)) = (&self.ahead, &next) {
            match self.plan.compare(&last.key, &next.key) {
                Ordering::Less => {}
                Ordering::Equal => {
                    let key = self.plan.shown(&next.key);
                    return Err(format!("the key is not unique: {key} occurs more than once"));
                }
                Ordering::Greater => {
                    let (last, next) = (self.plan.shown(&last.key), self.plan.shown(&next.key));
                    return Err(format!("{next} sorts after {last}: the sort order of the key is not supported"));
                }
            }
        }
        if let Some(row) = &next {
            self.total.add(RowTotal { rows: 1, sum: row.hash });
        }
        self.ahead = next;
        Ok(())
    }
}

/// Reads both sides in the order of the key; a chunk is `chunk` keys here.
///
/// # Errors
/// A message for people: also if a key occurs twice.
pub async fn walk(
    plan: &TablePlan,
    chunk: u64,
    all: u64,
    blue: &mut ReadSession,
    green: &mut ReadSession,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<TableComparison, String> {
    let (left, right) = (plan.blue.sorted(), plan.green.sorted());
    let (left, right) = tokio::join!(blue.stream(&left, LONGEST), green.stream(&right, LONGEST));
    let (left, right) = both(left, right)?;
    let mut blue = SortedRows::new(left, &plan.blue, plan);
    let mut green = SortedRows::new(right, &plan.green, plan);
    let mut comparison = TableComparison::default();
    let (first, second) = tokio::join!(blue.advance(), green.advance());
    both(first, second)?;
    // What rows within a tolerance would add to green's checksum if they were equal.
    let mut shift = 0_u64;
    let (mut keys, mut differs) = (0_u64, false);
    loop {
        let order = match (&blue.ahead, &green.ahead) {
            (Some(left), Some(right)) => plan.compare(&left.key, &right.key),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        let left = blue.ahead.as_ref().filter(|_| order.is_le());
        let right = green.ahead.as_ref().filter(|_| order.is_ge());
        let (old, new) = (left.map(|row| row.hash), right.map(|row| row.hash));
        if let (Some(left), Some(right)) = (left, right)
            && left.hash != right.hash
            && plan.blue.keeps_values
            && plan.agree(&left.values, &right.values)
        {
            shift = shift.wrapping_add(left.hash).wrapping_sub(right.hash);
        } else if old != new {
            differs = true;
            let key = left.or(right).map(|row| row.key.clone()).unwrap_or_default();
            comparison.differs(key, old, new);
        }
        keys += 1;
        if keys.is_multiple_of(chunk.max(1)) {
            comparison.chunks += 1;
            comparison.chunks_differing += u64::from(std::mem::take(&mut differs));
            progress(comparison.chunks, all.max(comparison.chunks + 1));
        }
        match order {
            Ordering::Less => both(blue.advance().await, Ok(())).map(|_| ())?,
            Ordering::Greater => both(Ok(()), green.advance().await).map(|_| ())?,
            Ordering::Equal => {
                let (first, second) = tokio::join!(blue.advance(), green.advance());
                both(first, second)?;
            }
        }
    }
    comparison.chunks += 1;
    comparison.chunks_differing += u64::from(differs);
    progress(comparison.chunks, comparison.chunks);
    (comparison.blue, comparison.green) = (blue.total, green.total);
    comparison.green.sum = comparison.green.sum.wrapping_add(shift);
    Ok(comparison)
}

/// The sums of one side.
///
/// # Errors
/// A message for people.
pub async fn total(session: &mut ReadSession, plan: &TablePlan, table_query: &TableQuery) -> Result<RowTotal, String> {
    let sorted = table_query.sorted();
    let lines = session.stream(&sorted, LONGEST).await?;
    let mut rows = SortedRows::new(lines, table_query, plan);
    rows.advance().await?;
    while rows.ahead.is_some() {
        rows.advance().await?;
    }
    Ok(rows.total)
}
