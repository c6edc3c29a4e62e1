//! A query on both sides that must return the same rows in the same order, or no rows at all.

use std::hash::Hasher;
use std::time::Duration;

use futures_util::TryStreamExt;
use siphasher::sip::SipHasher24;
use tokio::time::timeout;

use crate::consistency::rows::{ResultRow, RowStream, RowValues};
use crate::consistency::session::ReadSession;
use crate::consistency::tolerance::AllowedDifference;
use crate::consistency::values::{self, ColumnType, Comparison};
use crate::consistency::{blank, both, engine_name, engine_names, fail, looks, shown, side};
use crate::text::truncated;
use config::suite::DataTolerance;
use judgement::guard::evidence::grouped;
use memory::snapshot::health_check::SqlEngine;
use wire::{DataResult, DataSide, Finding};

/// Longer results should be compared as tables.
const MOST_ROWS: u64 = 100_000;
const MOST_BYTES: u64 = 64 << 20;
/// Further differences of one query say nothing new.
const MOST_FINDINGS: usize = 50;
/// Rows of each side that violate an integrity query and are shown.
const MOST_SHOWN: usize = 10;
/// A whole row in a finding.
const LONGEST_ROW: usize = 300;

/// A query, and how long the complete result of both sides may take.
type TimedQuery<'q> = (&'q str, Duration);

/// Whether both sides return the same rows; where they do not, they are asked again as long as `settle`.
pub async fn same(
    name: &str,
    databases: &[SqlEngine; 2],
    asked: TimedQuery<'_>,
    tolerance: &DataTolerance,
    settle: Duration,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> DataResult {
    let mut result = blank(name, "query", engine_names(databases));
    let looked = async {
        let mut last = compared(databases, asked, tolerance).await?;
        let first = last.differing;
        for pause in looks(settle) {
            if last.differing == 0 {
                break;
            }
            tokio::time::sleep(pause).await;
            last = compared(databases, asked, tolerance).await?;
        }
        last.settled = first.saturating_sub(last.differing);
        Ok::<QueryComparison, String>(last)
    };
    match looked.await {
        Ok(compared) => {
            (result.blue, result.green) = (compared.blue.on(databases, 0), compared.green.on(databases, 1));
            (result.rows_differing, result.rows_settled) = (compared.differing, compared.settled);
            result.findings = compared.findings;
            if let Some(first) = result.findings.first() {
                let (what, blue, green) = (&first.what, &first.expected, &first.found);
                let rows = if compared.differing == 1 { "row differs" } else { "rows differ" };
                let why = format!(
                    "{name}: {} {rows}: {what}: blue has {blue}, green has {green}",
                    grouped(compared.differing)
                );
                fail(&mut result, why);
            }
        }
        Err(why) => fail(&mut result, format!("{name}: {why}")),
    }
    progress(1, 1);
    result
}

/// What was read from one side.
#[derive(Default)]
struct ResultDigest {
    rows: u64,
    bytes: u64,
    hasher: SipHasher24,
}

impl ResultDigest {
    /// # Errors
    /// The result is too large.
    fn take(&mut self, line: Option<&ResultRow>) -> Result<(), String> {
        let Some(line) = line else { return Ok(()) };
        self.rows += 1;
        self.bytes += line.cells.iter().flatten().map(|text| text.len() as u64).sum::<u64>();
        if self.rows > MOST_ROWS || self.bytes > MOST_BYTES {
            let (rows, size) = (grouped(MOST_ROWS), MOST_BYTES >> 20);
            return Err(format!("the result exceeds {rows} rows or {size} MiB: compare the table instead"));
        }
        Ok(())
    }

    fn hash(&mut self, cells: &RowValues) {
        for cell in cells {
            match cell {
                None => self.hasher.write_u8(0),
                Some(text) => {
                    self.hasher.write_u8(1);
                    self.hasher.write_u64(text.len() as u64);
                    self.hasher.write(text.as_bytes());
                }
            }
        }
        self.hasher.write_u8(2);
    }

    fn on(&self, databases: &[SqlEngine; 2], at: usize) -> DataSide {
        DataSide {
            rows: Some(self.rows),
            checksum: Some(format!("{:016x}", self.hasher.finish())),
            ..side(databases.get(at).map_or("", engine_name))
        }
    }
}

#[derive(Default)]
struct QueryComparison {
    blue: ResultDigest,
    green: ResultDigest,
    differing: u64,
    /// Rows that differed, and agreed when they were asked for again.
    settled: u64,
    findings: Vec<Finding>,
}

async fn compared(
    databases: &[SqlEngine; 2],
    (query, patience): TimedQuery<'_>,
    tolerance: &DataTolerance,
) -> Result<QueryComparison, String> {
    in_time(patience, async {
        let [blue, green] = databases;
        let (blue, green) = tokio::join!(ReadSession::open(blue, patience), ReadSession::open(green, patience));
        let (mut blue, mut green) = both(blue, green)?;
        let (blue, green) = tokio::join!(blue.stream(query, patience), green.stream(query, patience));
        let (blue, green) = both(blue, green)?;
        lockstep(blue, green, tolerance).await
    })
    .await
}

async fn in_time<T>(patience: Duration, asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err(format!("no complete response within {patience:?}"));
    timeout(patience, asked).await.unwrap_or_else(late)
}

/// Row by row: neither result is held in memory.
async fn lockstep(
    mut blue: RowStream<'_>,
    mut green: RowStream<'_>,
    tolerance: &DataTolerance,
) -> Result<QueryComparison, String> {
    let mut compared = QueryComparison::default();
    let mut meanings: Option<Vec<ColumnPair>> = None;
    loop {
        let (left, right) = tokio::join!(blue.try_next(), green.try_next());
        let (left, right) = both(left, right)?;
        both(compared.blue.take(left.as_ref()), compared.green.take(right.as_ref()))?;
        let row = compared.blue.rows.max(compared.green.rows);
        match (left, right) {
            (None, None) => return Ok(compared),
            (Some(left), Some(right)) => {
                if meanings.is_none() {
                    meanings = Some(pairs(&left, &right, tolerance)?);
                }
                let pairs = meanings.as_deref().unwrap_or_default();
                compared.row(row, pairs, left.cells, right.cells);
            }
            (left, right) => {
                compared.differing += 1;
                left.iter().for_each(|line| compared.blue.hash(&line.cells));
                right.iter().for_each(|line| compared.green.hash(&line.cells));
                let told = |line: Option<ResultRow>| line.map_or_else(|| "no row".to_owned(), |line| in_words(&line));
                let finding =
                    Finding { what: format!("row {row}"), expected: told(left), found: told(right), diff: None };
                compared.add(finding);
            }
        }
    }
}

/// A column of both results.
struct ColumnPair {
    name: String,
    meaning: Comparison,
    allowed: AllowedDifference,
}

fn pairs(blue: &ResultRow, green: &ResultRow, tolerance: &DataTolerance) -> Result<Vec<ColumnPair>, String> {
    let (left, right) = (&blue.heads, &green.heads);
    if left.names.len() != right.names.len() {
        let (blue, green) = (left.names.join(", "), right.names.join(", "));
        return Err(format!("the columns differ: blue has {blue}, green has {green}"));
    }
    for (name, _) in &tolerance.columns {
        if !left.names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            let names = left.names.join(", ");
            return Err(format!(
                "`tolerance` has a column `{name}`, which the query does not return: it returns {names}"
            ));
        }
    }
    let each = left.names.iter().zip(left.classes.iter().zip(&right.classes));
    let pair = |(name, (blue, green)): (&String, (&ColumnType, &ColumnType))| {
        Ok(ColumnPair {
            name: name.clone(),
            meaning: values::meaning(blue, green, false),
            allowed: AllowedDifference::of(tolerance, name, blue, green)?,
        })
    };
    each.map(pair).collect()
}

impl QueryComparison {
    fn row(&mut self, row: u64, pairs: &[ColumnPair], blue: RowValues, green: RowValues) {
        let (mut left, mut right) = (RowValues::new(), RowValues::new());
        let mut differs = false;
        for (pair, (blue, green)) in pairs.iter().zip(blue.into_iter().zip(green)) {
            let blue = blue.map(|text| values::canonical(pair.meaning, text));
            let green = green.map(|text| values::canonical(pair.meaning, text));
            if !pair.allowed.agree(blue.as_deref(), green.as_deref()) {
                differs = true;
                let (expected, found) = (shown(blue.as_deref()), shown(green.as_deref()));
                self.add(Finding { what: format!("row {row}, {}", pair.name), expected, found, diff: None });
            }
            left.push(blue);
            right.push(green);
        }
        self.differing += u64::from(differs);
        self.blue.hash(&left);
        self.green.hash(&right);
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        }
    }
}

/// `id = 5, total = -1`.
fn in_words(line: &ResultRow) -> String {
    let each = line.heads.names.iter().zip(&line.cells);
    let each = each.map(|(name, cell)| format!("{name} = {}", shown(cell.as_deref())));
    truncated(&each.collect::<Vec<_>>().join(", "), LONGEST_ROW)
}

/// Whether neither side returns a row.
pub async fn integrity(
    name: &str,
    databases: &[SqlEngine; 2],
    asked: TimedQuery<'_>,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> DataResult {
    let mut result = blank(name, "integrity", engine_names(databases));
    let [blue, green] = databases;
    let (blue, green) = tokio::join!(violations(blue, asked, "blue"), violations(green, asked, "green"));
    match both(blue, green) {
        Ok((blue, green)) => {
            (result.blue.violations, result.green.violations) = (Some(blue.rows), Some(green.rows));
            let found = [(&blue, "blue"), (&green, "green")].into_iter().filter(|(found, _)| found.rows > 0);
            let words = |(found, side): (&Violations, &str)| {
                let more = if found.rows > MOST_ROWS { "over " } else { "" };
                let number = found.rows.min(MOST_ROWS);
                let verb = if number == 1 { "row violates" } else { "rows violate" };
                let first = found.shown.first().map_or("", |finding| finding.found.as_str());
                format!("{more}{} {verb} it in {side}: {first}", grouped(number))
            };
            let why: Vec<String> = found.map(words).collect();
            if !why.is_empty() {
                fail(&mut result, format!("{name}: {}", why.join("; ")));
            }
            result.findings = [blue.shown, green.shown].concat();
        }
        Err(why) => fail(&mut result, format!("{name}: {why}")),
    }
    progress(1, 1);
    result
}

#[derive(Default)]
struct Violations {
    /// One more than the limit means that there are more.
    rows: u64,
    shown: Vec<Finding>,
}

async fn violations(engine: &SqlEngine, (query, patience): TimedQuery<'_>, side: &str) -> Result<Violations, String> {
    in_time(patience, async {
        let mut session = ReadSession::open(engine, patience).await?;
        let mut lines = session.stream(query, patience).await?;
        let mut found = Violations::default();
        while let Some(line) = lines.try_next().await? {
            found.rows += 1;
            if found.shown.len() < MOST_SHOWN {
                let what = format!("{side}, row {}", found.rows);
                let (expected, row) = ("no row".to_owned(), in_words(&line));
                found.shown.push(Finding { what, expected, found: row, diff: None });
            }
            if found.rows > MOST_ROWS {
                break;
            }
        }
        Ok(found)
    })
    .await
}

/// The row count and hash of each side. `violations`: the rows are those of an integrity query.
pub async fn digest(databases: &[SqlEngine; 2], asked: TimedQuery<'_>, violations: bool) -> [DataSide; 2] {
    let [blue, green] = databases;
    let (blue, green) = tokio::join!(one_digest(blue, asked, violations), one_digest(green, asked, violations));
    [blue, green]
}

async fn one_digest(engine: &SqlEngine, (query, patience): TimedQuery<'_>, violations: bool) -> DataSide {
    let asked = in_time(patience, async {
        let mut session = ReadSession::open(engine, patience).await?;
        let mut lines = session.stream(query, patience).await?;
        let mut read = ResultDigest::default();
        while let Some(line) = lines.try_next().await? {
            read.take(Some(&line))?;
            read.hash(&line.cells);
        }
        Ok(read)
    });
    let mut found = side(engine_name(engine));
    // A side that cannot be read has no numbers; a digest has no place for the reason.
    if let Ok(read) = asked.await {
        let rows = if violations { &mut found.violations } else { &mut found.rows };
        *rows = Some(read.rows);
        found.checksum = Some(format!("{:016x}", read.hasher.finish()));
    }
    found
}
