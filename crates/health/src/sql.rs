//! Sends a query to a database over its own connection, so that connecting is tested too.
//!
//! There is no pool, and nothing is kept. The database is told the timeout, so that it abandons a query that nobody is
//! waiting for: a check that repeats must not pile up queries on a database that is already slow.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use rusqlite::OpenFlags;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Error};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::no_response;
use memory::snapshot::health_check::{SqlEngine, SqlProbe};
use memory::snapshot::secret_url::SecretUrl;

/// SQLite files open at once in the whole process: one on a hanging disk blocks its thread, and threads are few.
const FILES_AT_ONCE: usize = 16;
/// How much longer than the check's timeout a database gets to abandon a query, so that the check times out first.
pub const GRACE: Duration = Duration::from_secs(1);

/// Whether the database answers the query in time, or why not, in words. A result without rows passes too.
///
/// # Errors
/// Words for a person, without the URL and its password.
pub async fn probe(database: &SqlProbe, patience: Duration) -> Result<(), String> {
    let SqlProbe { engine, query } = database;
    match engine {
        SqlEngine::Postgres(url) => match timeout(patience, postgres(url, query, patience)).await {
            Ok(result) => result.map_err(|why| url.scrub(&why)),
            Err(_) => Err(no_response(patience)),
        },
        SqlEngine::Mysql(url) => match timeout(patience, mysql(url, query, patience)).await {
            Ok(result) => result.map_err(|why| url.scrub(&why)),
            Err(_) => Err(no_response(patience)),
        },
        SqlEngine::Sqlite(path) => sqlite(path.clone(), query.clone(), patience).await,
    }
}

/// How PostgreSQL is connected to, also behind a connection pooler: PgBouncer refuses clients that set what it does not
/// know when they connect, such as `extra_float_digits`.
///
/// # Errors
/// Words for a person; they may contain the URL.
pub fn postgres_options(url: &SecretUrl) -> Result<PgConnectOptions, String> {
    let options: PgConnectOptions = url.reveal().parse().map_err(|error| cannot_connect(&error))?;
    Ok(options.extra_float_digits(None).disable_statement_logging())
}

async fn postgres(url: &SecretUrl, query: &str, patience: Duration) -> Result<(), String> {
    let connecting = postgres_options(url)?;
    let mut connection = connecting.connect().await.map_err(|error| cannot_connect(&error))?;
    // LOCAL, because behind a pooler the session belongs to someone else a moment later.
    let asked = format!("SET LOCAL statement_timeout = {}; {query}", (patience + GRACE).as_millis());
    // Only the first row; other ways of asking for one row read them all.
    let first = sqlx::raw_sql(AssertSqlSafe(asked)).fetch(&mut connection).try_next().await;
    first.map_err(|error| query_failed(&error))?;
    // The answer is known, and how the connection ends does not change it.
    let _ = connection.close().await;
    Ok(())
}

async fn mysql(url: &SecretUrl, query: &str, patience: Duration) -> Result<(), String> {
    let options: MySqlConnectOptions = url.reveal().parse().map_err(|error| cannot_connect(&error))?;
    let connecting = options.disable_statement_logging();
    let mut connection = connecting.connect().await.map_err(|error| cannot_connect(&error))?;
    let limit = patience + GRACE;
    let limits = format!("SET SESSION wait_timeout = {} {}", limit.as_secs(), of_mysql(limit));
    let limited = sqlx::raw_sql(AssertSqlSafe(limits)).execute(&mut connection).await;
    limited.map_err(|error| query_failed(&error))?;
    let first = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch(&mut connection).try_next().await;
    first.map_err(|error| query_failed(&error))?;
    let _ = connection.close().await;
    Ok(())
}

/// The rest of a `SET SESSION …` that makes MySQL abandon a query after this long. MySQL knows one variable and MariaDB
/// the other, and each takes the other's for a comment.
pub fn of_mysql(limit: Duration) -> String {
    let (millis, seconds) = (limit.as_millis(), limit.as_secs_f64());
    format!(
        "/*!50708 , SESSION max_execution_time = {millis} */ /*M!100101 , SESSION max_statement_time = {seconds} */"
    )
}

/// Why the connection failed, without the URL.
pub fn cannot_connect(error: &Error) -> String {
    match error {
        // The database says it best itself: password authentication failed for user "shop".
        Error::Database(refused) => format!("cannot connect: {}", refused.message()),
        Error::Configuration(why) => format!("invalid database URL: {why}"),
        Error::Tls(why) => format!("cannot connect: TLS handshake failed: {why}"),
        Error::Io(error) => format!("cannot connect: {}", in_words(error)),
        error => format!("cannot connect: {error}"),
    }
}

/// Why there is no answer.
pub fn query_failed(error: &Error) -> String {
    match error {
        Error::Database(refused) => format!("query failed: {}", refused.message()),
        Error::Io(error) => format!("connection lost during the query: {}", in_words(error)),
        error => format!("query failed: {error}"),
    }
}

/// What the system says about a connection, without its error number.
pub(super) fn in_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            "the server closed the connection".to_owned()
        }
        ErrorKind::NotFound => "no such socket".to_owned(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no route to host".to_owned(),
        _ => error.to_string(),
    }
}

/// Queries a file, opened read-only.
async fn sqlite(path: PathBuf, query: String, patience: Duration) -> Result<(), String> {
    static FILES: std::sync::LazyLock<Arc<Semaphore>> =
        std::sync::LazyLock::new(|| Arc::new(Semaphore::new(FILES_AT_ONCE)));
    let (handle_to, handle) = tokio::sync::oneshot::channel();
    let asked = async {
        let permit = FILES.clone().acquire_owned().await;
        let work = move || {
            let _permit = permit;
            ask_file(&path, &query, patience, handle_to)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
    };
    match timeout(patience, asked).await {
        Ok(result) => result,
        Err(_) => {
            let mut handle: tokio::sync::oneshot::Receiver<rusqlite::InterruptHandle> = handle;
            if let Ok(handle) = handle.try_recv() {
                handle.interrupt();
            }
            Err(no_response(patience))
        }
    }
}

/// Opens an SQLite file for reading. A lock is waited for a little less long than the timeout, because it is worth
/// reporting that the file is locked.
///
/// # Errors
/// Words for a person, without the path.
pub fn open_file(path: &Path, patience: Duration) -> Result<rusqlite::Connection, String> {
    // Opening a pipe would wait for its other end.
    let kind = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "cannot open the file: no such file".to_owned(),
        _ => format!("cannot open the file: {error}"),
    })?;
    if !kind.is_file() {
        return Err("cannot open the file: not a regular file".to_owned());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = rusqlite::Connection::open_with_flags(path, flags);
    // SQLite names the path in this error; the errors above do not.
    let connection = opened.map_err(|_| "cannot open the file: it is not readable".to_owned())?;
    // A query can read this file and no other.
    connection.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(file_failed)?;
    connection.busy_timeout(patience / 4 * 3).map_err(file_failed)?;
    Ok(connection)
}

/// Why SQLite gave no answer.
pub fn file_failed(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(why)) => format!("query failed: {why}"),
        error => format!("query failed: {error}"),
    }
}

fn ask_file(
    path: &Path,
    query: &str,
    patience: Duration,
    handle: tokio::sync::oneshot::Sender<rusqlite::InterruptHandle>,
) -> Result<(), String> {
    let connection = open_file(path, patience)?;
    let _ = handle.send(connection.get_interrupt_handle());
    let mut statement = connection.prepare(query).map_err(file_failed)?;
    let mut rows = statement.query([]).map_err(file_failed)?;
    rows.next().map_err(file_failed)?;
    Ok(())
}
