//! Read-only connections; their errors read like those of the health checks.
//!
//! Every setting is made inside a transaction: behind a connection pooler, the next transaction may be on another
//! session.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions};

pub use health::sql::query_failed;
use health::sql::{GRACE, cannot_connect, of_mysql, postgres_options};
use memory::snapshot::secret_url::SecretUrl;

/// For all the rows of a table in one query, where a database knows no cursors, and for a transaction that waits for
/// the other side.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// What MySQL makes of a query and of values, whatever the server's own mode is: values of both sides are written alike,
/// and `||` joins texts, as elsewhere.
const SQL_MODE: &str = "PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION";
/// How many bytes of a key MySQL sorts by; 1024 by default. No index holds longer keys.
const SORTED_BYTES: u32 = 4096;

/// A transaction that only reads, with one text for every value.
///
/// # Errors
/// A message for people; it may contain the URL.
pub async fn postgres(url: &SecretUrl, patience: Duration) -> Result<PgConnection, String> {
    let mut connection = postgres_options(url)?.connect().await.map_err(|error| cannot_connect(&error))?;
    postgres_begin(&mut connection, patience).await?;
    Ok(connection)
}

/// # Errors
/// As for [`postgres`].
pub async fn postgres_begin(connection: &mut PgConnection, patience: Duration) -> Result<(), String> {
    let (limit, idle) = ((patience + GRACE).as_millis(), LONGEST.as_millis());
    // The last setting ends queries whose client is gone; PostgreSQL 13 and older do not have it.
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {limit}; \
         SET LOCAL idle_in_transaction_session_timeout = {idle}; SET LOCAL TimeZone = 'UTC'; \
         SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL extra_float_digits = 3; \
         SET LOCAL bytea_output = 'hex'; SET LOCAL cursor_tuple_fraction = 1; \
         SELECT set_config(name, '1000', true) FROM pg_settings WHERE name = 'client_connection_check_interval'"
    );
    let begun = sqlx::raw_sql(AssertSqlSafe(begin)).execute(connection).await;
    begun.map(|_| ()).map_err(|error| query_failed(&error))
}

/// # Errors
/// As for [`postgres`].
pub async fn mysql(url: &SecretUrl, patience: Duration) -> Result<MySqlConnection, String> {
    let options: MySqlConnectOptions = url.reveal().parse().map_err(|error| cannot_connect(&error))?;
    let connecting = options.disable_statement_logging();
    let mut connection = connecting.connect().await.map_err(|error| cannot_connect(&error))?;
    let idle = LONGEST.as_secs();
    let settings = format!(
        "SET NAMES utf8mb4; SET SESSION sql_mode = '{SQL_MODE}', SESSION time_zone = '+00:00', SESSION wait_timeout = {idle}, \
         SESSION net_write_timeout = {idle}, SESSION max_sort_length = {SORTED_BYTES}; \
         SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    );
    let set = sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut connection).await;
    set.map_err(|error| query_failed(&error))?;
    mysql_begin(&mut connection, patience).await?;
    Ok(connection)
}

/// # Errors
/// As for [`postgres`].
pub async fn mysql_begin(connection: &mut MySqlConnection, patience: Duration) -> Result<(), String> {
    mysql_limit(connection, patience + GRACE).await?;
    let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
    let begun = sqlx::raw_sql(begin).execute(connection).await;
    begun.map(|_| ()).map_err(|error| query_failed(&error))
}

/// Limits how long MySQL continues a query that nobody is waiting for.
///
/// # Errors
/// As for [`postgres`].
pub async fn mysql_limit(connection: &mut MySqlConnection, limit: Duration) -> Result<(), String> {
    let limits = format!("SET SESSION sql_select_limit = DEFAULT {}", of_mysql(limit));
    let limited = sqlx::raw_sql(AssertSqlSafe(limits)).execute(connection).await;
    limited.map(|_| ()).map_err(|error| query_failed(&error))
}
