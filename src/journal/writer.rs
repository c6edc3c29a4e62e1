//! The journal's own thread: a slow or full disk delays the record, never the next judgement.
//!
//! The sidecar hands entries over through a bounded queue and goes on. What the disk does not take is kept in order, in
//! a bounded ring, and tried again; what falls out of the ring is counted, and the log has said what it was.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::counters::{Counters, count, set};
use crate::journal::{Entry, Error, Restored, Store};

/// Entries between the sidecar and the writer. Weights change by the second, not by the request; a thousand is minutes.
const QUEUE: usize = 1024;
/// Entries that wait for a disk to come back: at two kilobytes each, some twenty megabytes.
const KEPT: usize = 10_000;
const RETRY: Duration = Duration::from_secs(1);

enum Note {
    Entry(Box<Entry>),
    /// Told whether everything before is on the disk, as soon as that is known.
    Sync(Told),
}

/// Who wants to know whether the disk has it.
pub type Told = Box<dyn FnOnce(bool) + Send>;

/// Where the sidecar hands its entries to.
#[derive(Debug)]
pub struct Journal {
    queue: Option<SyncSender<Note>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
    /// Held for as long as entries may come.
    _lock: Option<File>,
}

/// The thread's side.
#[derive(Debug)]
struct Writer {
    path: PathBuf,
    store: Option<Store>,
    kept: VecDeque<Entry>,
    /// The last number that was known when the process began to count.
    base: u64,
    /// What is added to the entries' numbers: not zero where the store was out of reach then, and held more.
    ahead: u64,
    counters: Arc<Counters>,
    failing: bool,
}

impl Journal {
    /// Opens the store and starts its writer.
    ///
    /// A store that is not there yet and cannot be made is no reason not to serve: it is tried again. One that is there
    /// and cannot be read is: a rollback in it would be undone.
    ///
    /// # Errors
    /// Another process has the state, or it is there and cannot be read.
    pub fn start(path: &Path, counters: Arc<Counters>) -> Result<(Journal, Restored), Error> {
        let lock = lock(path)?;
        let (store, restored) = open_or_set_aside(path, &counters)?;
        let base = restored.last_entry;
        let (queue, notes) = sync_channel(QUEUE);
        let writer = Writer {
            path: path.to_owned(),
            store,
            kept: VecDeque::new(),
            base,
            ahead: 0,
            counters: counters.clone(),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&notes)).ok();
        if thread.is_none() {
            count(&counters.process.journal_errors);
            tracing::error!("cannot start the journal's thread: changes will not be recorded");
        }
        Ok((Journal { queue: Some(queue), thread, counters, _lock: lock }, restored))
    }

    /// Hands an entry over without waiting.
    pub fn append(&self, entry: Entry) {
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(Note::Entry(Box::new(entry)))
        {
            count(&self.counters.process.journal_dropped);
            tracing::error!("the journal's queue is full: an entry is lost");
        }
    }

    /// Tells whether everything handed over so far is on the disk, from the writer's thread; nobody waits here.
    pub fn when_written(&self, told: Told) {
        if let Some(queue) = &self.queue
            && let Err(TrySendError::Full(note) | TrySendError::Disconnected(note)) = queue.try_send(Note::Sync(told))
            && let Note::Sync(told) = note
        {
            told(false);
        }
    }

    /// Waits until everything handed over so far is on the disk, at most for `patience`; says whether it is.
    pub fn sync(&self, patience: Duration) -> bool {
        let (done, is_done) = sync_channel(1);
        self.when_written(Box::new(move |written| {
            let _ = done.try_send(written);
        }));
        is_done.recv_timeout(patience).unwrap_or(false)
    }
}

impl Drop for Journal {
    /// Waits for the writer: what was handed over is written before the process ends.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes the lock beside the state: two processes would number their entries alike. `None`: there can be no such file.
fn lock(path: &Path) -> Result<Option<File>, Error> {
    let Ok(file) = File::create(beside(path, ".lock")) else { return Ok(None) };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::InUse),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn open_or_set_aside(path: &Path, counters: &Counters) -> Result<(Option<Store>, Restored), Error> {
    let was_there = path.exists();
    let error = match open_and_restore(path) {
        Ok((store, restored)) => return Ok((Some(store), restored)),
        Err(error) => error,
    };
    count(&counters.process.journal_errors);
    if is_corrupt(&error) {
        let aside = path.with_extension(format!("corrupt-{}", crate::clock::wall_millis()));
        tracing::error!(%error, state = %path.display(), aside = %aside.display(), "the state is corrupt: set aside, every candidate begins at weight 0");
        let _ = std::fs::rename(path, &aside);
        let _ = std::fs::remove_file(beside(path, "-wal"));
        let _ = std::fs::remove_file(beside(path, "-shm"));
        return Ok((Store::open(path).ok(), Restored { lost: true, ..Restored::default() }));
    }
    if !was_there {
        tracing::error!(%error, state = %path.display(), "cannot make the state: going on without, and trying again");
        return Ok((None, Restored::default()));
    }
    // A full disk takes nothing, but it still gives.
    let restored = Store::peek(path).map_err(|_| error)?;
    tracing::error!(state = %path.display(), "cannot write the state: going on by what it says, and trying again");
    Ok((None, restored))
}

fn open_and_restore(path: &Path) -> Result<(Store, Restored), Error> {
    let store = Store::open(path)?;
    let restored = store.restore()?;
    Ok((store, restored))
}

fn is_corrupt(error: &Error) -> bool {
    match error {
        Error::Json(_) => true,
        Error::Sqlite(error) => matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
        ),
        Error::Format(_) | Error::Missing(_) | Error::InUse => false,
    }
}

impl Writer {
    fn run(mut self, notes: &Receiver<Note>) {
        let mut open = true;
        while open || (!self.kept.is_empty() && !self.failing) {
            let patience = if self.kept.is_empty() { Duration::from_secs(3600) } else { RETRY };
            let mut syncs = Vec::new();
            let mut first = match notes.recv_timeout(patience) {
                Ok(note) => Some(note),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    open = false;
                    None
                }
            };
            // One transaction for whatever has come together.
            while let Some(note) = first.take().or_else(|| notes.try_recv().ok()) {
                match note {
                    Note::Entry(entry) => self.keep(*entry),
                    Note::Sync(told) => syncs.push(told),
                }
            }
            self.write();
            for told in syncs {
                told(self.kept.is_empty());
            }
        }
        if !self.kept.is_empty() {
            tracing::error!(entries = self.kept.len(), "ending with entries that the disk did not take");
        }
    }

    fn keep(&mut self, mut entry: Entry) {
        entry.change.id += self.ahead;
        self.kept.push_back(entry);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
            count(&self.counters.process.journal_dropped);
        }
    }

    fn write(&mut self) {
        if self.kept.is_empty() {
            return;
        }
        match self.try_write() {
            Ok(()) => {
                if self.failing {
                    tracing::info!(entries = self.kept.len(), "the disk takes the journal again");
                }
                self.failing = false;
                self.kept.clear();
            }
            Err(error) => {
                count(&self.counters.process.journal_errors);
                if !self.failing {
                    tracing::error!(%error, state = %self.path.display(), "the disk does not take the journal: entries are kept");
                }
                self.failing = true;
            }
        }
        set(&self.counters.process.journal_waiting, self.kept.len() as u64);
    }

    fn try_write(&mut self) -> Result<(), Error> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => {
                let store = Store::open(&self.path)?;
                // It may hold more than was known when the numbers began.
                self.ahead = store.restore()?.last_entry.saturating_sub(self.base);
                let ahead = self.ahead;
                self.kept.iter_mut().for_each(|entry| entry.change.id += ahead);
                store
            }
        };
        let written = store.append(self.kept.make_contiguous());
        self.store = Some(store);
        written
    }
}
