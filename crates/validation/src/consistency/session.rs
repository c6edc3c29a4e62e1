//! A read-only transaction on one side's database: queries and their rows as texts, the same for every engine.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::mysql::{MySqlConnection, MySqlRow, MySqlTypeInfo};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};
use tokio::time::timeout;

use crate::consistency::connect;
use crate::consistency::dialect::Dialect;
use crate::consistency::rows::{ResultColumns, ResultRow, RowStream, RowValues, text_or_hex};
use crate::consistency::sqlite::SqliteFile;
use crate::consistency::values::ColumnType;
use judgement::time::Millis;
use memory::snapshot::health_check::SqlEngine;
use memory::snapshot::secret_url::SecretUrl;

/// The most rows that one FETCH returns, and about how many bytes.
const MOST_FETCHED: u64 = 1000;
const BYTES_FETCHED: u64 = 256 << 10;
/// The first FETCH, when the size of rows is not known yet.
const FIRST_FETCHED: u64 = 16;

/// How a query to MySQL must begin.
const READING: [&str; 5] = ["SELECT", "WITH", "VALUES", "TABLE", "SHOW"];

/// Dropping it stops its query in the database: in PostgreSQL within a second, in MySQL at the next row or the time
/// limit.
pub struct ReadSession {
    at: EngineConnection,
    patience: Duration,
}

enum EngineConnection {
    Postgres(Box<PgConnection>, SecretUrl),
    Mysql(Box<MySqlConnection>, SecretUrl),
    Sqlite(SqliteFile),
}

impl ReadSession {
    /// Connects, and begins a read-only transaction. `patience` is the time limit of each query.
    ///
    /// # Errors
    /// A message for people, without the URL and its password.
    pub async fn open(engine: &SqlEngine, patience: Duration) -> Result<ReadSession, String> {
        let opening = async {
            Ok(match engine {
                SqlEngine::Postgres(url) => {
                    let connection = connect::postgres(url, patience).await.map_err(|why| url.scrub(&why))?;
                    EngineConnection::Postgres(Box::new(connection), url.clone())
                }
                SqlEngine::Mysql(url) => {
                    let connection = connect::mysql(url, patience).await.map_err(|why| url.scrub(&why))?;
                    EngineConnection::Mysql(Box::new(connection), url.clone())
                }
                SqlEngine::Sqlite(path) => EngineConnection::Sqlite(SqliteFile::open(path.clone(), patience).await?),
            })
        };
        let at = in_time(patience, opening).await?;
        Ok(ReadSession { at, patience })
    }

    pub fn dialect(&self) -> Dialect {
        match self.at {
            EngineConnection::Postgres(..) => Dialect::Postgres,
            EngineConnection::Mysql(..) => Dialect::Mysql,
            EngineConnection::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Ends the transaction, so that nothing waits for it, and begins another one after a pause, which sees what was
    /// written meanwhile.
    ///
    /// # Errors
    /// A message for people.
    pub async fn renew(&mut self, pause: Duration) -> Result<(), String> {
        in_time(self.patience, self.end()).await?;
        tokio::time::sleep(pause).await;
        in_time(self.patience, self.begin()).await
    }

    async fn end(&mut self) -> Result<(), String> {
        let (ended, url) = match &mut self.at {
            EngineConnection::Postgres(connection, url) => {
                (sqlx::raw_sql("COMMIT").execute(&mut **connection).await.err(), url)
            }
            EngineConnection::Mysql(connection, url) => {
                (sqlx::raw_sql("COMMIT").execute(&mut **connection).await.err(), url)
            }
            EngineConnection::Sqlite(file) => return file.execute("COMMIT").await,
        };
        ended.map_or(Ok(()), |error| Err(url.scrub(&connect::query_failed(&error))))
    }

    async fn begin(&mut self) -> Result<(), String> {
        let patience = self.patience;
        match &mut self.at {
            EngineConnection::Postgres(connection, url) => {
                connect::postgres_begin(connection, patience).await.map_err(|why| url.scrub(&why))
            }
            EngineConnection::Mysql(connection, url) => {
                connect::mysql_begin(connection, patience).await.map_err(|why| url.scrub(&why))
            }
            EngineConnection::Sqlite(file) => file.execute("BEGIN").await,
        }
    }

    /// All rows of a query that returns few. Columns and parameters are texts.
    ///
    /// # Errors
    /// A message for people.
    pub async fn fetch(&mut self, sql: &str, bound: &[String]) -> Result<Vec<RowValues>, String> {
        let patience = self.patience;
        let asked = async {
            match &mut self.at {
                EngineConnection::Postgres(connection, url) => {
                    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false);
                    for text in bound {
                        query = query.bind(text);
                    }
                    let rows = query.fetch(&mut **connection).map_err(|error| connect::query_failed(&error));
                    let rows = rows.and_then(|row| async move { postgres_cells(&row) });
                    rows.try_collect().await.map_err(|why: String| url.scrub(&why))
                }
                EngineConnection::Mysql(connection, url) => {
                    // Kept: closing it is a packet without an answer, for which the next one waits 40 ms, by Nagle.
                    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(true);
                    for text in bound {
                        query = query.bind(text);
                    }
                    let rows = query.fetch(&mut **connection).map_err(|error| connect::query_failed(&error));
                    let rows = rows.and_then(|row| async move { mysql_cells(&row) });
                    rows.try_collect().await.map_err(|why: String| url.scrub(&why))
                }
                EngineConnection::Sqlite(file) => file.fetch(sql.to_owned(), bound.to_vec()).await,
            }
        };
        in_time(patience, asked).await
    }

    /// Streams the rows of one read-only statement: neither the database nor Cutover holds all of them.
    /// More than one statement is refused by the database. `most` is the time limit for all rows where a database has
    /// no cursors.
    ///
    /// # Errors
    /// A message for people, also in the middle of the rows.
    pub async fn stream(&mut self, sql: &str, most: Duration) -> Result<RowStream<'_>, String> {
        let patience = self.patience;
        let opening = async {
            Ok(match &mut self.at {
                EngineConnection::Postgres(connection, url) => postgres_lines(connection, url, sql).await?,
                EngineConnection::Mysql(connection, url) => {
                    mysql_lines(connection, url, sql.to_owned(), most).await.map_err(|why| url.scrub(&why))?
                }
                EngineConnection::Sqlite(file) => file.stream(sql.to_owned())?,
            })
        };
        let lines = in_time(patience, opening).await?;
        Ok(stream::try_unfold(lines, move |mut lines| async move {
            let next = in_time(patience, lines.try_next()).await?;
            Ok(next.map(|line| (line, lines)))
        })
        .boxed())
    }
}

async fn in_time<T>(patience: Duration, asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match timeout(patience, asked).await {
        Ok(result) => result,
        Err(_) => {
            let patience = Millis(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
            Err(format!("no response within {patience}"))
        }
    }
}

/// Uses a cursor: it takes only one statement, and none that writes, and each batch has its own time limit.
async fn postgres_lines<'s>(
    connection: &'s mut PgConnection,
    url: &'s SecretUrl,
    sql: &str,
) -> Result<RowStream<'s>, String> {
    let failed = |error: &sqlx::Error| url.scrub(&connect::query_failed(error));
    let declare = format!("DECLARE cutover NO SCROLL CURSOR FOR {}", one_statement(sql));
    let close = sqlx::raw_sql("CLOSE ALL").execute(&mut *connection).await;
    close.map_err(|error| failed(&error))?;
    let declared = sqlx::query(AssertSqlSafe(declare)).persistent(false).execute(&mut *connection).await;
    declared.map_err(|error| failed(&error))?;
    struct Cursor<'s> {
        connection: &'s mut PgConnection,
        heads: Option<Arc<ResultColumns>>,
        ready: std::vec::IntoIter<RowValues>,
        next: u64,
        ended: bool,
    }
    let cursor = Cursor { connection, heads: None, ready: Vec::new().into_iter(), next: FIRST_FETCHED, ended: false };
    let lines = stream::try_unfold(cursor, |mut cursor| async move {
        loop {
            if let Some(cells) = cursor.ready.next() {
                let heads = cursor.heads.clone().unwrap_or_default();
                return Ok(Some((ResultRow { heads, cells }, cursor)));
            }
            if cursor.ended {
                return Ok(None);
            }
            let fetch = AssertSqlSafe(format!("FETCH {} FROM cutover", cursor.next));
            let mut rows = sqlx::raw_sql(fetch).fetch(&mut *cursor.connection);
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.try_next().await.map_err(|error| connect::query_failed(&error))? {
                cursor.heads.get_or_insert_with(|| Arc::new(postgres_heads(&row)));
                let cells = postgres_cells(&row)?;
                bytes += cells.iter().flatten().map(|text| text.len() as u64 + 1).sum::<u64>();
                batch.push(cells);
            }
            drop(rows);
            let fetched = batch.len() as u64;
            cursor.ended = fetched < cursor.next;
            cursor.next = (BYTES_FETCHED * fetched / bytes.max(1)).clamp(1, MOST_FETCHED);
            cursor.ready = batch.into_iter();
        }
    });
    Ok(lines.map_err(|why: String| url.scrub(&why)).boxed())
}

/// MySQL has no cursors in SQL: rows are sent as they are read, and the connection holds them back.
async fn mysql_lines<'s>(
    connection: &'s mut MySqlConnection,
    url: &'s SecretUrl,
    sql: String,
    most: Duration,
) -> Result<RowStream<'s>, String> {
    let sql = one_statement(&sql).to_owned();
    // A text query may hold several statements, a prepared one may not.
    let prepared = (&mut *connection).prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await;
    let prepared = prepared.map_err(|error| connect::query_failed(&error))?;
    // In MariaDB DDL ends a read-only transaction, and OPTIMIZE TABLE even returns rows.
    if prepared.columns().is_empty() || !READING.contains(&first_word(&sql).to_ascii_uppercase().as_str()) {
        return Err(format!("query failed: it is not read-only: it must begin with one of {}", READING.join(", ")));
    }
    connect::mysql_limit(connection, most).await?;
    let mut heads: Option<Arc<ResultColumns>> = None;
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
    let lines = rows.map(move |row| {
        let row = row.map_err(|error| url.scrub(&connect::query_failed(&error)))?;
        let heads = Arc::clone(heads.get_or_insert_with(|| Arc::new(mysql_heads(&row))));
        Ok(ResultRow { heads, cells: mysql_cells(&row)? })
    });
    Ok(lines.boxed())
}

/// After comments and parentheses; a comment that MySQL executes is not skipped.
fn first_word(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        let behind = if rest.starts_with("--") || rest.starts_with('#') {
            rest.split_once('\n').map(|(_, behind)| behind)
        } else if rest.starts_with("/*") && !rest.starts_with("/*!") && !rest.starts_with("/*M!") {
            rest.split_once("*/").map(|(_, behind)| behind)
        } else {
            return rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        };
        rest = behind.unwrap_or_default();
    }
}

/// Without the semicolons that people end a statement with.
fn one_statement(sql: &str) -> &str {
    sql.trim().trim_end_matches(';').trim_end()
}

fn postgres_heads(row: &PgRow) -> ResultColumns {
    let class = |name: &str| match name {
        "CHAR" | "\"CHAR\"" => ColumnType::Text,
        name => ColumnType::of_postgres(&name.to_ascii_lowercase(), -1),
    };
    let columns = row.columns();
    ResultColumns {
        names: columns.iter().map(|column| column.name().to_owned()).collect(),
        classes: columns.iter().map(|column| class(column.type_info().name())).collect(),
    }
}

fn postgres_cells(row: &PgRow) -> Result<RowValues, String> {
    let cell = |at| {
        let value = row.try_get_raw(at).map_err(|error| connect::query_failed(&error))?;
        if value.is_null() {
            return Ok(None);
        }
        let text = value.as_str().map_err(|_| "a value is not valid UTF-8: the database does not know its encoding");
        Ok(Some(text?.to_owned()))
    };
    (0..row.len()).map(cell).collect()
}

fn mysql_heads(row: &MySqlRow) -> ResultColumns {
    let class = |kind: &MySqlTypeInfo| {
        let name = kind.name().to_ascii_lowercase();
        match name.split(' ').next().unwrap_or_default() {
            _ if is_set(kind) => ColumnType::Set,
            // A text column with a binary collation has these names too.
            "binary" | "varbinary" | "blob" | "tinyblob" | "mediumblob" | "longblob" => ColumnType::Any,
            word => ColumnType::of_mysql(word, None),
        }
    };
    let columns = row.columns();
    ResultColumns {
        names: columns.iter().map(|column| column.name().to_owned()).collect(),
        classes: columns.iter().map(|column| class(column.type_info())).collect(),
    }
}

/// Whether a column is a `SET`, whose values have the type of any text. The database flags it; the driver has no call for
/// the flags of a column, and tells them only where it is printed.
fn is_set(kind: &MySqlTypeInfo) -> bool {
    format!("{kind:?}").split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "SET")
}

fn mysql_cells(row: &MySqlRow) -> Result<RowValues, String> {
    let cell = |at| {
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).map_err(|error| connect::query_failed(&error))?;
        Ok(bytes.map(text_or_hex))
    };
    (0..row.len()).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_known_by_its_first_word() {
        for (sql, word) in [
            ("select 1", "select"),
            (" -- why\n# that\n/* is */ ((with x as (select 1) select 1))", "with"),
            ("/*!50000 drop table t */ select 1", ""),
            ("/*M!100101 drop table t */", ""),
            ("/* never ends", ""),
            ("-- select", ""),
            ("drop/**/table t", "drop"),
            ("", ""),
        ] {
            assert_eq!(first_word(sql), word, "{sql}");
        }
    }

    #[test]
    fn one_statement_may_end_as_people_end_it() {
        assert_eq!(one_statement(" select 1;; \n"), "select 1");
        assert_eq!(one_statement("select 1; select 2"), "select 1; select 2");
    }
}
