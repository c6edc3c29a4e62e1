//! A table row by row: both sides sort by the key, and their rows are merged here, two at a time.

use std::cmp::Ordering;

use futures_util::TryStreamExt;

use crate::consistency::both;
use crate::consistency::connect::LONGEST;
use crate::consistency::differences::{RowTotal, TableComparison};
use crate::consistency::plan::TablePlan;
use crate::consistency::rows::RowStream;
use crate::consistency::session::ReadSession;
use crate::consistency::table_query::{HashedRow, TableQuery};

/// One side's rows, which come sorted, or are refused.
struct SortedRows<'s> {
    lines: RowStream<'s>,
    half: &'s TableQuery,
    plan: &'s TablePlan,
    ahead: Option<HashedRow>,
    total: RowTotal,
}

impl<'s> SortedRows<'s> {
    fn new(lines: RowStream<'s>, half: &'s TableQuery, plan: &'s TablePlan) -> SortedRows<'s> {
        SortedRows { lines, half, plan, ahead: None, total: RowTotal::default() }
    }

    /// Reads the next row; the last one is what it must come behind.
    async fn advance(&mut self) -> Result<(), String> {
        let next = self.lines.try_next().await?;
        let next = next.map(|line| self.half.keyed(line.cells)).transpose()?;
        if let (Some(last), Some(next)) = (&self.ahead, &next) {
            match self.plan.compare(&last.key, &next.key) {
                Ordering::Less => {}
                Ordering::Equal => {
                    let key = self.plan.shown(&next.key);
                    return Err(format!("the key is not unique: {key} is there more than once"));
                }
                Ordering::Greater => {
                    let (last, next) = (self.plan.shown(&last.key), self.plan.shown(&next.key));
                    return Err(format!("{next} comes behind {last}: its order of the key is none we know"));
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

/// Walks through both sides in the order of the key; a chunk is `chunk` keys here.
///
/// # Errors
/// Words for a person: also where a key is there twice.
pub async fn walk(
    plan: &TablePlan,
    chunk: u64,
    all: u64,
    blue: &mut ReadSession,
    green: &mut ReadSession,
    told: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<TableComparison, String> {
    let (left, right) = (plan.blue.sorted(), plan.green.sorted());
    let (left, right) = tokio::join!(blue.stream(&left, LONGEST), green.stream(&right, LONGEST));
    let (left, right) = both(left, right)?;
    let mut blue = SortedRows::new(left, &plan.blue, plan);
    let mut green = SortedRows::new(right, &plan.green, plan);
    let mut walked = TableComparison::default();
    let (first, second) = tokio::join!(blue.advance(), green.advance());
    both(first, second)?;
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
        if old != new {
            differs = true;
            let key = left.or(right).map(|row| row.key.clone()).unwrap_or_default();
            walked.differs(key, old, new);
        }
        keys += 1;
        if keys.is_multiple_of(chunk.max(1)) {
            walked.chunks += 1;
            walked.chunks_differing += u64::from(std::mem::take(&mut differs));
            told(walked.chunks, all.max(walked.chunks + 1));
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
    walked.chunks += 1;
    walked.chunks_differing += u64::from(differs);
    told(walked.chunks, walked.chunks);
    (walked.blue, walked.green) = (blue.total, green.total);
    Ok(walked)
}

/// The sums of one side alone.
///
/// # Errors
/// Words for a person.
pub async fn total(session: &mut ReadSession, plan: &TablePlan, half: &TableQuery) -> Result<RowTotal, String> {
    let sorted = half.sorted();
    let lines = session.stream(&sorted, LONGEST).await?;
    let mut rows = SortedRows::new(lines, half, plan);
    rows.advance().await?;
    while rows.ahead.is_some() {
        rows.advance().await?;
    }
    Ok(rows.total)
}
