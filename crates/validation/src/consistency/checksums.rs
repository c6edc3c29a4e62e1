//! A table compared by checksums: both databases add up the hashes of the rows between the same two keys, and rows are
//! read only where the sums differ.

use std::collections::BTreeMap;

use crate::consistency::both;
use crate::consistency::differences::{MOST_FOUND, RowTotal, TableComparison};
use crate::consistency::plan::TablePlan;
use crate::consistency::session::ReadSession;
use crate::consistency::table_query::{HashedRow, RowKey, TableQuery, folded};
use crate::consistency::values::KeyOrder;

/// A range with more rows than this many chunks on one side is split.
const MOST_CHUNKS: u64 = 2;

/// Reads both sides in the order of the key, `chunk` rows at a time.
///
/// # Errors
/// A message for people.
pub async fn walk(
    plan: &TablePlan,
    chunk: u64,
    all: u64,
    blue: &mut ReadSession,
    green: &mut ReadSession,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<TableComparison, String> {
    let mut comparison = TableComparison::default();
    let mut after: Option<RowKey> = None;
    let mut next = boundary(blue, &plan.blue, None, chunk).await.map_err(|why| format!("blue: {why}"))?;
    loop {
        // After blue's last full chunk green sets the pace: it may have any number of rows there.
        let mut to = match next.take() {
            Some(key) => Some(key),
            None => boundary(green, &plan.green, after.as_ref(), chunk).await.map_err(in_green)?,
        };
        let mut ranged = both_sums(plan, blue, green, after.as_ref(), to.as_ref(), chunk).await?;
        if ranged.1.rows > chunk.saturating_mul(MOST_CHUNKS) {
            to = boundary(green, &plan.green, after.as_ref(), chunk).await.map_err(in_green)?;
            ranged = both_sums(plan, blue, green, after.as_ref(), to.as_ref(), chunk).await?;
        }
        if let (Some(last), Some(next)) = (&after, &to)
            && plan.orders.iter().all(|order| *order == KeyOrder::Number)
            && plan.compare(last, next).is_ge()
        {
            let (last, next) = (plan.shown(last), plan.shown(next));
            return Err(format!("{next} sorts after {last}: the sort order of the key is not supported"));
        }
        let (left, right, following) = ranged;
        comparison.blue.add(left);
        comparison.green.add(right);
        comparison.chunks += 1;
        if left != right {
            comparison.chunks_differing += 1;
            if comparison.found.len() < MOST_FOUND {
                open(&mut comparison, plan, blue, green, after.as_ref(), to.as_ref()).await?;
            } else {
                comparison.more += left.rows.abs_diff(right.rows).max(1);
            }
        }
        let done = comparison.chunks;
        if to.is_none() {
            progress(done, done);
            return Ok(comparison);
        }
        progress(done, all.max(done + 1));
        (after, next) = (to, following);
    }
}

fn in_green(why: String) -> String {
    format!("green: {why}")
}

/// The sums of a range on both sides, and where blue's next chunk ends, which is asked while green is still adding up.
async fn both_sums(
    plan: &TablePlan,
    blue: &mut ReadSession,
    green: &mut ReadSession,
    after: Option<&RowKey>,
    to: Option<&RowKey>,
    chunk: u64,
) -> Result<(RowTotal, RowTotal, Option<RowKey>), String> {
    let left = async {
        let total = sum(blue, &plan.blue, after, to).await?;
        let next = match to {
            Some(_) => boundary(blue, &plan.blue, to, chunk).await?,
            None => None,
        };
        Ok((total, next))
    };
    let (left, right) = tokio::join!(left, sum(green, &plan.green, after, to));
    let ((left, next), right) = both(left, right)?;
    Ok((left, right, next))
}

/// The sums of one side.
///
/// # Errors
/// A message for people.
pub async fn total(session: &mut ReadSession, table_query: &TableQuery, chunk: u64) -> Result<RowTotal, String> {
    let (mut total, mut after) = (RowTotal::default(), None);
    loop {
        let to = boundary(session, table_query, after.as_ref(), chunk).await?;
        total.add(sum(session, table_query, after.as_ref(), to.as_ref()).await?);
        if to.is_none() {
            return Ok(total);
        }
        after = to;
    }
}

async fn boundary(
    session: &mut ReadSession,
    table_query: &TableQuery,
    after: Option<&RowKey>,
    chunk: u64,
) -> Result<Option<RowKey>, String> {
    let (sql, bound) = table_query.boundary(after, chunk);
    let row = session.fetch(&sql, &bound).await?.pop();
    row.map(|cells| table_query.key_of(&mut cells.into_iter())).transpose()
}

async fn sum(
    session: &mut ReadSession,
    table_query: &TableQuery,
    after: Option<&RowKey>,
    to: Option<&RowKey>,
) -> Result<RowTotal, String> {
    let (sql, bound) = table_query.checksum(after, to);
    let mut cells = session.fetch(&sql, &bound).await?.pop().unwrap_or_default().into_iter().flatten();
    let rows = cells.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let sum = folded(&cells.next().unwrap_or_default(), rows)?;
    Ok(RowTotal { rows, sum })
}

/// Finds the rows of a range that differ.
async fn open(
    comparison: &mut TableComparison,
    plan: &TablePlan,
    blue: &mut ReadSession,
    green: &mut ReadSession,
    after: Option<&RowKey>,
    to: Option<&RowKey>,
) -> Result<(), String> {
    let (left, right) = tokio::join!(rows(blue, &plan.blue, after, to), rows(green, &plan.green, after, to));
    let (left, right) = both(left, right)?;
    let mut all: BTreeMap<RowKey, (Option<u64>, Option<u64>)> = BTreeMap::new();
    for row in left {
        all.entry(row.key).or_default().0 = Some(row.hash);
    }
    for row in right {
        all.entry(row.key).or_default().1 = Some(row.hash);
    }
    let mut differing: Vec<_> = all.into_iter().filter(|(_, (blue, green))| blue != green).collect();
    differing.sort_by(|(left, _), (right, _)| plan.compare(left, right));
    for (key, (blue, green)) in differing {
        comparison.differs(key, blue, green);
    }
    Ok(())
}

async fn rows(
    session: &mut ReadSession,
    table_query: &TableQuery,
    after: Option<&RowKey>,
    to: Option<&RowKey>,
) -> Result<Vec<HashedRow>, String> {
    let (sql, bound) = table_query.rows(after, to);
    session.fetch(&sql, &bound).await?.into_iter().map(|cells| table_query.keyed(cells)).collect()
}
