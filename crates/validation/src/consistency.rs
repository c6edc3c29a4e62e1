//! Whether the data of both environments agree: tables, queries, integrity and JSON, without writing anything.
//!
//! A table is read in the order of its key and never held in memory. There are two ways:
//!
//! - **By checksums** (`checksums`), where both databases write a row as the same text: the same engine, the same kinds of
//!   columns, and a unique index over the key. Each database adds up hashes of its own rows, chunk by chunk; only
//!   chunks that differ are read.
//! - **By rows** (`merge`), everywhere else: both databases sort by the key, byte by byte, and their rows are merged
//!   here. Blue and green may be different engines then: values are compared by what they mean (`values`).
//!
//! Within one engine, too, values are compared by what they mean: rows whose texts differ are read, and compared by
//! their values.
//!
//! Rows that differ are read again after a second and at the end of `settle`, in new transactions: what a replica had
//! not applied yet is no difference. Each pass reads each side in one read-only transaction.

mod checksums;
mod columns;
mod connect;
mod dialect;
mod differences;
pub mod http;
pub mod json;
mod merge;
mod plan;
mod query;
mod rows;
mod session;
mod sqlite;
mod table;
mod table_query;
mod tolerance;
mod values;

use std::time::Duration;

use crate::text::truncated;
use config::suite::{DataCheck, DataCheckKind};
use memory::clock;
use memory::snapshot::health_check::SqlEngine;
use wire::{DataResult, DataSide, Outcome};

pub use http::http;

/// Compares both sides. `progress` gets the chunks that are done, and how many there will be as far as is known.
///
/// HTTP checks are not made here: the caller passes the answers to [`http()`].
pub async fn check(data: &DataCheck, progress: &(dyn Fn(u64, u64) + Send + Sync)) -> DataResult {
    let began = clock::micros();
    let mut result = match &data.check {
        DataCheckKind::Table { databases, table } => table::check(&data.name, databases, table, progress).await,
        DataCheckKind::Query { databases, query, tolerance, settle, timeout } => {
            let asked = (query.as_str(), timeout.as_duration());
            query::same(&data.name, databases, asked, tolerance, settle.as_duration(), progress).await
        }
        DataCheckKind::Integrity { databases, query, timeout } => {
            query::integrity(&data.name, databases, (query, timeout.as_duration()), progress).await
        }
        DataCheckKind::Http { .. } => {
            let mut result = blank(&data.name, "http", ["http", "http"]);
            fail(&mut result, format!("{}: the origins were not asked", data.name));
            result
        }
    };
    result.took_ms = (clock::micros() - began) as f64 / 1000.0;
    result
}

/// The number of rows on each side and their checksum, for snapshots: two digests of one side are equal exactly if the
/// data have not changed in between. `None` if they could not be read.
pub async fn digest(data: &DataCheck) -> [DataSide; 2] {
    match &data.check {
        DataCheckKind::Table { databases, table } => table::digest(databases, table).await,
        DataCheckKind::Query { databases, query, timeout, .. } => {
            query::digest(databases, (query, timeout.as_duration()), false).await
        }
        DataCheckKind::Integrity { databases, query, timeout } => {
            query::digest(databases, (query, timeout.as_duration()), true).await
        }
        DataCheckKind::Http { .. } => ["http", "http"].map(side),
    }
}

/// A check that was not made.
pub fn skipped(data: &DataCheck, why: String) -> DataResult {
    let (check, engines) = match &data.check {
        DataCheckKind::Table { databases, .. } => ("table", engine_names(databases)),
        DataCheckKind::Query { databases, .. } => ("query", engine_names(databases)),
        DataCheckKind::Integrity { databases, .. } => ("integrity", engine_names(databases)),
        DataCheckKind::Http { .. } => ("http", ["http", "http"]),
    };
    DataResult { outcome: Outcome::Skipped, why: Some(why), ..blank(&data.name, check, engines) }
}

/// Most replicas catch up sooner than they are given time to.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The pauses before what differs is looked at again.
pub fn looks(settle: Duration) -> Vec<Duration> {
    let first = settle.min(FIRST_PAUSE);
    [first, settle - first].into_iter().filter(|pause| !pause.is_zero()).collect()
}

fn engine_name(engine: &SqlEngine) -> &'static str {
    match engine {
        SqlEngine::Postgres(_) => "postgres",
        SqlEngine::Mysql(_) => "mysql",
        SqlEngine::Sqlite(_) => "sqlite",
    }
}

fn engine_names(databases: &[SqlEngine; 2]) -> [&'static str; 2] {
    databases.each_ref().map(engine_name)
}

fn side(engine: &str) -> DataSide {
    DataSide { engine: engine.to_owned(), ..DataSide::default() }
}

/// A result without findings.
fn blank(name: &str, check: &str, engines: [&str; 2]) -> DataResult {
    let [blue, green] = engines.map(side);
    DataResult {
        name: name.to_owned(),
        check: check.to_owned(),
        outcome: Outcome::Passed,
        why: None,
        took_ms: 0.0,
        blue,
        green,
        chunks: 0,
        chunks_differing: 0,
        rows_differing: 0,
        rows_settled: 0,
        rows: Vec::new(),
        findings: Vec::new(),
    }
}

fn fail(result: &mut DataResult, why: String) {
    result.outcome = Outcome::Failed;
    result.why = Some(why);
}

/// Both values, or the errors with their side's names.
fn both<A, B>(blue: Result<A, String>, green: Result<B, String>) -> Result<(A, B), String> {
    match (blue, green) {
        (Ok(blue), Ok(green)) => Ok((blue, green)),
        (Err(blue), Err(green)) if blue == green => Err(format!("blue and green: {blue}")),
        (Err(blue), Err(green)) => Err(format!("blue: {blue}; green: {green}")),
        (Err(blue), _) => Err(format!("blue: {blue}")),
        (_, Err(green)) => Err(format!("green: {green}")),
    }
}

/// Characters of a value that are shown.
const LONGEST_SHOWN: usize = 200;

/// A value in a report.
fn shown(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some("") => "\"\"".to_owned(),
        Some(text) => truncated(text, LONGEST_SHOWN),
    }
}

#[cfg(test)]
mod tests;
