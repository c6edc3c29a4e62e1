//! A SQLite file opened for reading. Queries run on a blocking thread, and are interrupted when nobody waits for them
//! any more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, InterruptHandle, Row, params_from_iter};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking};

use crate::consistency::rows::{ResultColumns, ResultRow, RowStream, RowValues, hex_literal, text_or_hex};
use crate::consistency::values::ColumnType;
use health::sql::{file_failed, open_file};

/// Rows that are sent at once, and about how many bytes.
const MOST_ROWS: usize = 256;
const MOST_BYTES: usize = 256 << 10;
/// Batches that are sent and not yet read.
const WAITING: usize = 2;
const GONE: &str = "the query of the file was abandoned";

/// A file with a read-only transaction.
pub struct SqliteFile {
    /// `None` while a thread has it.
    connection: Option<Connection>,
}

/// Stops work that nobody is waiting for, before it begins or in the middle of a statement.
struct InterruptOnDrop(AbortHandle, InterruptHandle);

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        self.0.abort();
        self.1.interrupt();
    }
}

impl SqliteFile {
    /// # Errors
    /// A message for people.
    pub async fn open(path: PathBuf, patience: Duration) -> Result<SqliteFile, String> {
        // Opening does not wait for locks, so it need not be interruptible.
        let opened = spawn_blocking(move || open(&path, patience)).await;
        Ok(SqliteFile { connection: Some(opened.map_err(|error| error.to_string())??) })
    }

    /// # Errors
    /// A message for people.
    pub async fn execute(&mut self, sql: &'static str) -> Result<(), String> {
        self.work(|connection| connection.execute_batch(sql).map_err(failed)).await
    }

    /// # Errors
    /// A message for people.
    pub async fn fetch(&mut self, sql: String, bound: Vec<String>) -> Result<Vec<RowValues>, String> {
        self.work(move |connection| {
            let mut statement = connection.prepare(&sql).map_err(failed)?;
            let width = statement.column_count();
            let mut rows = statement.query(params_from_iter(bound)).map_err(failed)?;
            let mut all = Vec::new();
            while let Some(row) = rows.next().map_err(failed)? {
                all.push(cells(row, width)?);
            }
            Ok(all)
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let connection = self.connection.take().ok_or(GONE)?;
        let interrupt = connection.get_interrupt_handle();
        let task = spawn_blocking(move || {
            let result = work(&connection);
            (result, connection)
        });
        let _stop = InterruptOnDrop(task.abort_handle(), interrupt);
        let (result, connection) = task.await.map_err(|error| error.to_string())?;
        self.connection = Some(connection);
        result
    }

    /// # Errors
    /// A message for people.
    pub fn stream(&mut self, sql: String) -> Result<RowStream<'_>, String> {
        let connection = self.connection.take().ok_or(GONE)?;
        let interrupt = connection.get_interrupt_handle();
        let (hand, taken) = mpsc::channel(WAITING);
        let task = spawn_blocking(move || {
            let result = send_all(&connection, &sql, &hand);
            (result, connection)
        });
        struct RowReader<'f> {
            file: &'f mut SqliteFile,
            taken: mpsc::Receiver<Vec<ResultRow>>,
            ready: std::vec::IntoIter<ResultRow>,
            _stop: InterruptOnDrop,
            task: JoinHandle<(Result<(), String>, Connection)>,
        }
        let _stop = InterruptOnDrop(task.abort_handle(), interrupt);
        let reading = RowReader { file: self, taken, ready: Vec::new().into_iter(), _stop, task };
        let lines = stream::try_unfold(reading, |mut reading| async move {
            loop {
                if let Some(line) = reading.ready.next() {
                    return Ok(Some((line, reading)));
                }
                match reading.taken.recv().await {
                    Some(batch) => reading.ready = batch.into_iter(),
                    None => {
                        let (result, connection) = (&mut reading.task).await.map_err(|error| error.to_string())?;
                        reading.file.connection = Some(connection);
                        return result.map(|()| None);
                    }
                }
            }
        });
        Ok(lines.boxed())
    }
}

fn open(path: &Path, patience: Duration) -> Result<Connection, String> {
    let connection = open_file(path, patience)?;
    connection.execute_batch("BEGIN").map_err(failed)?;
    Ok(connection)
}

fn send_all(connection: &Connection, sql: &str, hand: &mpsc::Sender<Vec<ResultRow>>) -> Result<(), String> {
    let mut statement = connection.prepare(sql).map_err(failed)?;
    // SQLite would allow a copy into another file, which is no write to this one.
    if !statement.readonly() {
        return Err("query failed: it is not read-only".to_owned());
    }
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = names.len();
    let heads = Arc::new(ResultColumns { classes: vec![ColumnType::Any; width], names });
    let mut rows = statement.query([]).map_err(failed)?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(failed)? {
        let cells = cells(row, width)?;
        bytes += cells.iter().flatten().map(String::len).sum::<usize>();
        batch.push(ResultRow { heads: Arc::clone(&heads), cells });
        if batch.len() >= MOST_ROWS || bytes >= MOST_BYTES {
            bytes = 0;
            if hand.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Err(GONE.to_owned());
            }
        }
    }
    hand.blocking_send(batch).map_err(|_| GONE.to_owned())
}

fn cells(row: &Row<'_>, width: usize) -> Result<RowValues, String> {
    let cell = |at| {
        Ok(match row.get_ref(at).map_err(failed)? {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Real(number) => Some(format!("{number:?}")),
            ValueRef::Text(text) => Some(text_or_hex(text.to_vec())),
            ValueRef::Blob(bytes) => Some(hex_literal(bytes)),
        })
    };
    (0..width).map(cell).collect()
}

fn failed(error: rusqlite::Error) -> String {
    match error {
        // The statement is ours, and long: it would not help the reader.
        rusqlite::Error::SqlInputError { msg, .. } => format!("query failed: {msg}"),
        rusqlite::Error::MultipleStatement => "query failed: it contains more than one statement".to_owned(),
        error => file_failed(error),
    }
}
