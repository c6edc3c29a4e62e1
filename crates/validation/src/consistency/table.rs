//! A table on both sides: how many rows it has, which of them differ, and in which columns.

use crate::consistency::columns::{self, TableLayout};
use crate::consistency::differences::{self, RowTotal, TableComparison};
use crate::consistency::plan::TablePlan;
use crate::consistency::session::ReadSession;
use crate::consistency::table_query::TableQuery;
use crate::consistency::{blank, both, checksums, engine_names, fail, looks, merge, side};
use crate::text::truncated;
use config::suite::TableCheck;
use judgement::guard::evidence::grouped;
use memory::snapshot::health_check::SqlEngine;
use wire::{DataResult, DataSide, RowDifference, RowHow};

/// Rows that the sentence names; the others are listed below it.
const IN_WORDS: usize = 3;
/// Of the columns that differ in a row, those that the sentence names.
const COLUMNS_IN_WORDS: usize = 3;

pub async fn check(
    name: &str,
    databases: &[SqlEngine; 2],
    table: &TableCheck,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> DataResult {
    let kind = if table.rows_only { "rows" } else { "table" };
    let mut result = blank(name, kind, engine_names(databases));
    let compared = if table.rows_only {
        count(&mut result, databases, table, progress).await
    } else {
        compare(&mut result, databases, table, progress).await
    };
    if let Err(why) = compared {
        fail(&mut result, format!("{}: {why}", table.name));
    }
    result
}

async fn open(databases: &[SqlEngine; 2], table: &TableCheck) -> Result<(ReadSession, ReadSession), String> {
    let [blue, green] = databases;
    let patience = table.timeout.as_duration();
    let (blue, green) = tokio::join!(ReadSession::open(blue, patience), ReadSession::open(green, patience));
    both(blue, green)
}

async fn layouts(
    blue: &mut ReadSession,
    green: &mut ReadSession,
    table: &TableCheck,
) -> Result<(TableLayout, TableLayout), String> {
    let (left, right) = tokio::join!(columns::read(blue, &table.name), columns::read(green, &table.name));
    match both(left, right)? {
        (Some(blue), Some(green)) => Ok((blue, green)),
        (None, None) => Err("the table does not exist on either side".to_owned()),
        (None, _) => Err("the table does not exist in blue".to_owned()),
        (_, None) => Err("the table does not exist in green".to_owned()),
    }
}

async fn compare(
    result: &mut DataResult,
    databases: &[SqlEngine; 2],
    table: &TableCheck,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<(), String> {
    let (mut blue, mut green) = open(databases, table).await?;
    let (left, right) = layouts(&mut blue, &mut green, table).await?;
    let mut plan = TablePlan::new(table, [blue.dialect(), green.dialect()], &left, &right)?;
    let chunk = table.chunk.max(1);
    let all = estimate(&mut blue, &plan.blue, &table.name).await.div_ceil(chunk);
    progress(0, all.max(1));
    let mut comparison = walk(&plan, chunk, all, &mut blue, &mut green, progress).await?;
    // So many rows may only be written differently, and they were not kept.
    if comparison.more > 0 && plan.blue.hashes && plan.needs_values() {
        plan = plan.by_values();
        comparison = walk(&plan, chunk, all, &mut blue, &mut green, progress).await?;
    }
    let settle = table.settle.as_duration();
    // Or a replica has not got them yet, unless they are everywhere.
    if comparison.more > 0 && comparison.chunks_differing * 2 <= comparison.chunks && !settle.is_zero() {
        let before = comparison.rows_differing();
        let (left, right) = tokio::join!(blue.renew(settle), green.renew(settle));
        both(left, right)?;
        comparison = walk(&plan, chunk, all, &mut blue, &mut green, progress).await?;
        comparison.settled = before.saturating_sub(comparison.rows_differing());
    }
    differences::look_again(&mut comparison, &plan, &mut blue, &mut green, settle).await?;
    let differing = comparison.rows_differing();
    result.rows = differences::name(&comparison.found, table.most_rows, &plan, &mut blue, &mut green).await?;
    result.chunks = comparison.chunks;
    // If rows were only late, no chunk differs.
    result.chunks_differing = if differing == 0 { 0 } else { comparison.chunks_differing };
    result.rows_differing = differing;
    result.rows_settled = comparison.settled;
    put(&mut result.blue, comparison.blue);
    put(&mut result.green, comparison.green);
    if differing > 0 {
        let why = in_words(table, &comparison, &result.rows);
        fail(result, why);
    }
    Ok(())
}

async fn walk(
    plan: &TablePlan,
    chunk: u64,
    all: u64,
    blue: &mut ReadSession,
    green: &mut ReadSession,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<TableComparison, String> {
    if plan.by_checksums {
        checksums::walk(plan, chunk, all, blue, green, progress).await
    } else {
        merge::walk(plan, chunk, all, blue, green, progress).await
    }
}

fn put(side: &mut DataSide, total: RowTotal) {
    side.rows = Some(total.rows);
    side.checksum = Some(format!("{:016x}", total.sum));
}

/// The approximate number of rows, for progress; 0: unknown.
async fn estimate(session: &mut ReadSession, table_query: &TableQuery, table: &str) -> u64 {
    let (sql, bound) = table_query.estimate(table);
    // Only for progress: a table without an estimate is compared all the same.
    let asked = session.fetch(&sql, &bound).await.unwrap_or_default();
    let number = asked.into_iter().flatten().flatten().next().and_then(|text| text.parse().ok());
    number.unwrap_or(0)
}

/// `orders: 2 of 1,000 rows differ: id = 5 differs in total, id = 77 is missing in green`.
fn in_words(table: &TableCheck, comparison: &TableComparison, named: &[RowDifference]) -> String {
    let differing = comparison.rows_differing();
    let at_least = if comparison.more > 0 { "at least " } else { "" };
    let all = grouped(comparison.blue.rows.max(comparison.green.rows));
    let verb = if differing == 1 { "differs" } else { "differ" };
    let each = named.iter().take(IN_WORDS).map(|row| match row.how {
        RowHow::MissingInGreen => format!("{} is missing in green", row.key),
        RowHow::MissingInBlue => format!("{} is missing in blue", row.key),
        RowHow::Differs => {
            let names: Vec<&str> = row.columns.iter().map(|column| column.what.as_str()).collect();
            let shown = names.iter().take(COLUMNS_IN_WORDS).copied().collect::<Vec<_>>().join(" and ");
            let more = if names.len() > COLUMNS_IN_WORDS { " and more" } else { "" };
            let within = if names.is_empty() { "" } else { " in " };
            format!("{} differs{within}{shown}{more}", row.key)
        }
    });
    let mut each: Vec<String> = each.map(|words| truncated(&words, 300)).collect();
    let more = differing.saturating_sub(each.len() as u64);
    if more > 0 && !each.is_empty() {
        each.push(format!("and {} more", grouped(more)));
    }
    let colon = if each.is_empty() { "" } else { ": " };
    format!("{}: {at_least}{} of {all} rows {verb}{colon}{}", table.name, grouped(differing), each.join(", "))
}

async fn count(
    result: &mut DataResult,
    databases: &[SqlEngine; 2],
    table: &TableCheck,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<(), String> {
    let (mut blue, mut green) = open(databases, table).await?;
    layouts(&mut blue, &mut green, table).await?;
    let mut counted = both_counts(&mut blue, &mut green, table).await?;
    let apart = counted.0.abs_diff(counted.1);
    for pause in looks(table.settle.as_duration()) {
        if counted.0 == counted.1 {
            break;
        }
        let (left, right) = tokio::join!(blue.renew(pause), green.renew(pause));
        both(left, right)?;
        counted = both_counts(&mut blue, &mut green, table).await?;
    }
    result.rows_settled = apart.saturating_sub(counted.0.abs_diff(counted.1));
    progress(1, 1);
    let (left, right) = counted;
    (result.blue.rows, result.green.rows) = (Some(left), Some(right));
    if left != right {
        result.rows_differing = left.abs_diff(right);
        return Err(format!("blue has {} rows, green has {}", grouped(left), grouped(right)));
    }
    Ok(())
}

async fn both_counts(
    blue: &mut ReadSession,
    green: &mut ReadSession,
    table: &TableCheck,
) -> Result<(u64, u64), String> {
    let (left, right) = tokio::join!(rows(blue, table), rows(green, table));
    both(left, right)
}

async fn rows(session: &mut ReadSession, table: &TableCheck) -> Result<u64, String> {
    let dialect = session.dialect();
    let table_query = TableQuery {
        dialect,
        table: dialect.table(&table.name),
        filter: table.filter.clone(),
        ..TableQuery::default()
    };
    let number = session.fetch(&table_query.count(), &[]).await?.into_iter().flatten().flatten().next();
    number.and_then(|text| text.parse().ok()).ok_or_else(|| "the database returned no row count".to_owned())
}

/// The row count and checksum of each side.
pub async fn digest(databases: &[SqlEngine; 2], table: &TableCheck) -> [DataSide; 2] {
    let [blue, green] = databases;
    let (blue, green) = tokio::join!(one_digest(blue, table), one_digest(green, table));
    [blue, green]
}

async fn one_digest(engine: &SqlEngine, table: &TableCheck) -> DataSide {
    let mut found = side(super::engine_name(engine));
    // A side that cannot be read has no numbers; a digest has no place for the reason.
    if let Ok(total) = one_total(engine, table).await {
        found.rows = Some(total.rows);
        found.checksum = (!table.rows_only).then(|| format!("{:016x}", total.sum));
    }
    found
}

async fn one_total(engine: &SqlEngine, table: &TableCheck) -> Result<RowTotal, String> {
    let mut session = ReadSession::open(engine, table.timeout.as_duration()).await?;
    if table.rows_only {
        return Ok(RowTotal { rows: rows(&mut session, table).await?, sum: 0 });
    }
    let layout = columns::read(&mut session, &table.name).await?.ok_or("the table does not exist")?;
    let dialect = session.dialect();
    let plan = TablePlan::new(table, [dialect, dialect], &layout, &layout)?;
    if plan.by_checksums {
        checksums::total(&mut session, &plan.blue, table.chunk.max(1)).await
    } else {
        merge::total(&mut session, &plan, &plan.blue).await
    }
}
