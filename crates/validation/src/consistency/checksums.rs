//! A table by checksums: both databases add up the hashes of the rows between the same two keys, and only where the sums
//! differ are the rows looked at.

use std::collections::BTreeMap;

use crate::consistency::both;
use crate::consistency::differences::{MOST_FOUND, RowTotal, TableComparison};
use crate::consistency::plan::TablePlan;
use crate::consistency::session::ReadSession;
use crate::consistency::table_query::{HashedRow, RowKey, TableQuery, folded};
use crate::consistency::values::KeyOrder;

/// A range with more rows than so many chunks on one side is cut.
const MOST_CHUNKS: u64 = 2;

/// Walks through both sides in the order of the key, `chunk` rows at a time.
///
/// # Errors
/// Words for a person.
pub async fn walk(
    plan: &TablePlan,
    chunk: u64,
    all: u64,
    blue: &mut ReadSession,
    green: &mut ReadSession,
    told: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<TableComparison, String> {
    let mut walked = TableComparison::default();
    let mut after: Option<RowKey> = None;
    let mut next = boundary(blue, &plan.blue, None, chunk).await.map_err(|why| format!("blue: {why}"))?;
    loop {
        // Behind blue's last whole chunk green sets the pace: it may have any number of rows there.
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
            return Err(format!("{next} comes behind {last}: its order of the key is none we know"));
        }
        let (left, right, following) = ranged;
        walked.blue.add(left);
        walked.green.add(right);
        walked.chunks += 1;
        if left != right {
            walked.chunks_differing += 1;
            if walked.found.len() < MOST_FOUND {
                open(&mut walked, plan, blue, green, after.as_ref(), to.as_ref()).await?;
            } else {
                walked.more += left.rows.abs_diff(right.rows).max(1);
            }
        }
        let done = walked.chunks;
        if to.is_none() {
            told(done, done);
            return Ok(walked);
        }
        told(done, all.max(done + 1));
        (after, next) = (to, following);
    }
}

fn in_green(why: String) -> String {
    format!("green: {why}")
}

/// The sums of a range on both sides, and where blue's next chunk ends: that is asked while green still adds up.
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

/// The sums of one side alone.
///
/// # Errors
/// Words for a person.
pub async fn total(session: &mut ReadSession, half: &TableQuery, chunk: u64) -> Result<RowTotal, String> {
    let (mut total, mut after) = (RowTotal::default(), None);
    loop {
        let to = boundary(session, half, after.as_ref(), chunk).await?;
        total.add(sum(session, half, after.as_ref(), to.as_ref()).await?);
        if to.is_none() {
            return Ok(total);
        }
        after = to;
    }
}

async fn boundary(
    session: &mut ReadSession,
    half: &TableQuery,
    after: Option<&RowKey>,
    chunk: u64,
) -> Result<Option<RowKey>, String> {
    let (sql, bound) = half.boundary(after, chunk);
    let row = session.fetch(&sql, &bound).await?.pop();
    row.map(|cells| half.key_of(&mut cells.into_iter())).transpose()
}

async fn sum(
    session: &mut ReadSession,
    half: &TableQuery,
    after: Option<&RowKey>,
    to: Option<&RowKey>,
) -> Result<RowTotal, String> {
    let (sql, bound) = half.checksum(after, to);
    let mut cells = session.fetch(&sql, &bound).await?.pop().unwrap_or_default().into_iter().flatten();
    let rows = cells.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let sum = folded(&cells.next().unwrap_or_default(), rows)?;
    Ok(RowTotal { rows, sum })
}

/// Names the rows of a range that differ.
async fn open(
    walked: &mut TableComparison,
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
        walked.differs(key, blue, green);
    }
    Ok(())
}

async fn rows(
    session: &mut ReadSession,
    half: &TableQuery,
    after: Option<&RowKey>,
    to: Option<&RowKey>,
) -> Result<Vec<HashedRow>, String> {
    let (sql, bound) = half.rows(after, to);
    session.fetch(&sql, &bound).await?.into_iter().map(|cells| half.keyed(cells)).collect()
}
