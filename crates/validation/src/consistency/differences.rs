//! The rows that differ: kept up to a limit, read once more, and described.

use std::collections::HashMap;
use std::time::Duration;

use crate::consistency::plan::TablePlan;
use crate::consistency::rows::RowValues;
use crate::consistency::session::ReadSession;
use crate::consistency::table_query::{RowKey, TableQuery};
use crate::consistency::{FIRST_PAUSE, both, shown};
use wire::{Finding, RowDifference, RowHow};

/// Further differing rows are counted but not read again: they say nothing new and take memory.
pub const MOST_FOUND: usize = 10_000;
/// So few rows that differ are read again and again while they may settle.
const MOST_WATCHED: usize = 100;
const WATCHED_EVERY: Duration = Duration::from_millis(250);
/// Rows that one query reads again: enough that a table without an index is not scanned ten thousand times.
const LOOKED_UP: usize = 500;

/// A row with its hash on either side; `None`: the side lacks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingRow {
    pub key: RowKey,
    pub blue: Option<u64>,
    pub green: Option<u64>,
    /// Blue's and green's hashes of earlier looks.
    pub before: Vec<[Option<u64>; 2]>,
}

/// The result of comparing a table.
#[derive(Debug, Default)]
pub struct TableComparison {
    pub blue: RowTotal,
    pub green: RowTotal,
    pub chunks: u64,
    pub chunks_differing: u64,
    pub found: Vec<DifferingRow>,
    /// Differing rows that were not kept: at least this many.
    pub more: u64,
    /// Rows that differed, and agreed when they were read again.
    pub settled: u64,
}

/// The rows of a side, and the sum of their hashes modulo 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowTotal {
    pub rows: u64,
    pub sum: u64,
}

impl RowTotal {
    pub fn add(&mut self, other: RowTotal) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    fn replace(&mut self, old: Option<u64>, new: Option<u64>) {
        self.rows = self.rows + u64::from(new.is_some()) - u64::from(old.is_some()).min(self.rows);
        self.sum = self.sum.wrapping_sub(old.unwrap_or(0)).wrapping_add(new.unwrap_or(0));
    }
}

impl TableComparison {
    pub fn differs(&mut self, key: RowKey, blue: Option<u64>, green: Option<u64>) {
        if self.found.len() < MOST_FOUND {
            self.found.push(DifferingRow { key, blue, green, before: Vec::new() });
        } else {
            self.more += 1;
        }
    }

    /// At least this many.
    pub fn rows_differing(&self) -> u64 {
        self.found.len() as u64 + self.more
    }
}

/// Leaves out the rows that are only written differently, reads the others again as long as the suite lets a replica
/// settle, each time in new transactions, and keeps those that still differ.
///
/// # Errors
/// A message for people.
pub async fn look_again(
    comparison: &mut TableComparison,
    plan: &TablePlan,
    blue: &mut ReadSession,
    green: &mut ReadSession,
    settle: Duration,
) -> Result<(), String> {
    by_value(comparison, plan, blue, green).await?;
    let mut left = settle;
    while !comparison.found.is_empty() && !left.is_zero() {
        let pause = match () {
            () if left == settle => FIRST_PAUSE,
            // A few rows may be written so often that no one look finds them equal.
            () if comparison.found.len() <= MOST_WATCHED => WATCHED_EVERY,
            () => left,
        };
        let pause = pause.min(left);
        left -= pause;
        let before = comparison.found.len();
        let (left, right) = tokio::join!(blue.renew(pause), green.renew(pause));
        both(left, right)?;
        read_again(comparison, plan, blue, green).await?;
        by_value(comparison, plan, blue, green).await?;
        comparison.settled += (before - comparison.found.len()) as u64;
    }
    Ok(())
}

async fn read_again(
    comparison: &mut TableComparison,
    plan: &TablePlan,
    blue: &mut ReadSession,
    green: &mut ReadSession,
) -> Result<(), String> {
    let mut still = Vec::new();
    let found = std::mem::take(&mut comparison.found);
    for some in found.chunks(LOOKED_UP) {
        let keys: Vec<RowKey> = some.iter().map(|difference| difference.key.clone()).collect();
        let (left, right) = tokio::join!(look_up(blue, &plan.blue, &keys), look_up(green, &plan.green, &keys));
        let (left, right) = both(left, right)?;
        for old in some {
            let mut before = old.before.clone();
            before.push([old.blue, old.green]);
            let (key, blue, green) = (old.key.clone(), left.get(&old.key).copied(), right.get(&old.key).copied());
            let new = DifferingRow { key, blue, green, before };
            // A row that is written all the time: one side has now what the other one had before.
            let mut earlier = new.before.iter();
            let agrees = new.blue == new.green || earlier.any(|[blue, green]| new.green == *blue || new.blue == *green);
            comparison.blue.replace(old.blue, new.blue);
            comparison.green.replace(old.green, if agrees { new.blue } else { new.green });
            if !agrees {
                still.push(new);
            }
        }
    }
    comparison.found = still;
    Ok(())
}

/// Leaves out the rows whose values agree, although their hashes do not.
async fn by_value(
    comparison: &mut TableComparison,
    plan: &TablePlan,
    blue: &mut ReadSession,
    green: &mut ReadSession,
) -> Result<(), String> {
    if !plan.needs_values() {
        return Ok(());
    }
    let mut still = Vec::new();
    for some in comparison.found.chunks(LOOKED_UP) {
        let on_both = some.iter().filter(|row| row.blue.is_some() && row.green.is_some());
        let keys: Vec<RowKey> = on_both.map(|row| row.key.clone()).collect();
        let (left, right) = tokio::join!(values(blue, &plan.blue, &keys), values(green, &plan.green, &keys));
        let (left, right) = both(left, right)?;
        for row in some {
            match (left.get(&row.key), right.get(&row.key)) {
                (Some(blue), Some(green)) if plan.agree(blue, green) => comparison.green.replace(row.green, row.blue),
                _ => still.push(row.clone()),
            }
        }
    }
    comparison.found = still;
    Ok(())
}

async fn look_up(
    session: &mut ReadSession,
    table_query: &TableQuery,
    keys: &[RowKey],
) -> Result<HashMap<RowKey, u64>, String> {
    let (sql, bound) = table_query.with_keys(keys);
    let rows = session.fetch(&sql, &bound).await?;
    rows.into_iter().map(|cells| table_query.keyed(cells).map(|row| (row.key, row.hash))).collect()
}

/// The first differing rows, with the columns that differ.
///
/// # Errors
/// A message for people.
pub async fn name(
    found: &[DifferingRow],
    most: usize,
    plan: &TablePlan,
    blue: &mut ReadSession,
    green: &mut ReadSession,
) -> Result<Vec<RowDifference>, String> {
    let mut named = Vec::new();
    for difference in found.iter().take(most) {
        let how = match (difference.blue, difference.green) {
            (_, None) => RowHow::MissingInGreen,
            (None, _) => RowHow::MissingInBlue,
            _ => RowHow::Differs,
        };
        let columns = if how == RowHow::Differs {
            let key = std::slice::from_ref(&difference.key);
            let (left, right) = tokio::join!(values(blue, &plan.blue, key), values(green, &plan.green, key));
            let (mut left, mut right) = both(left, right)?;
            let [left, right] = [&mut left, &mut right].map(|all| all.remove(&difference.key).unwrap_or_default());
            columns(plan, left, right)
        } else {
            Vec::new()
        };
        named.push(RowDifference { key: plan.shown(&difference.key), how, columns });
    }
    Ok(named)
}

async fn values(
    session: &mut ReadSession,
    table_query: &TableQuery,
    keys: &[RowKey],
) -> Result<HashMap<RowKey, RowValues>, String> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let (sql, bound) = table_query.values(keys);
    session.fetch(&sql, &bound).await?.into_iter().map(|cells| table_query.valued(cells)).collect()
}

fn columns(plan: &TablePlan, blue: RowValues, green: RowValues) -> Vec<Finding> {
    let each = plan.columns.iter().zip(&plan.allowed).zip(blue.into_iter().zip(green));
    let differing = each.filter(|((_, allowed), (blue, green))| !allowed.agree(blue.as_deref(), green.as_deref()));
    differing
        .map(|((name, _), (blue, green))| Finding {
            what: name.clone(),
            expected: shown(blue.as_deref()),
            found: shown(green.as_deref()),
            diff: None,
        })
        .collect()
}
