//! The journal's own thread: a slow or full disk delays the record, never the next judgement.
//!
//! The sidecar hands entries over through a bounded queue and goes on. What the disk does not take is kept in order, in
//! a bounded ring, and tried again; what falls out of the ring is counted, and the log has said what it was.

use std::collections::VecDeque;
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
}

/// The thread's side.
#[derive(Debug)]
struct Writer {
    path: PathBuf,
    store: Option<Store>,
    kept: VecDeque<Entry>,
    /// What is added to the entries' numbers: not zero where the store was out of reach when the process began to count.
    ahead: u64,
    counters: Arc<Counters>,
    failing: bool,
}

impl Journal {
    /// Opens the store and starts its writer. A store that cannot be opened is no reason not to serve: a corrupt file is
    /// set aside, an unreachable one is tried again, and what was restored is the empty state.
    pub fn start(path: &Path, counters: Arc<Counters>) -> (Journal, Restored) {
        let (store, restored) = open_or_set_aside(path, &counters);
        let (queue, notes) = sync_channel(QUEUE);
        let writer = Writer {
            path: path.to_owned(),
            store,
            kept: VecDeque::new(),
            ahead: 0,
            counters: counters.clone(),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&notes)).ok();
        if thread.is_none() {
            count(&counters.process.journal_errors);
            tracing::error!("cannot start the journal's thread: changes will not be recorded");
        }
        (Journal { queue: Some(queue), thread, counters }, restored)
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

fn open_or_set_aside(path: &Path, counters: &Counters) -> (Option<Store>, Restored) {
    match open_and_restore(path) {
        Ok((store, restored)) => return (Some(store), restored),
        Err(error) if is_corrupt(&error) => {
            let aside = path.with_extension(format!("corrupt-{}", crate::clock::wall_millis()));
            count(&counters.process.journal_errors);
            tracing::error!(%error, state = %path.display(), aside = %aside.display(), "the state is corrupt: set aside");
            if std::fs::rename(path, &aside).is_ok() {
                for suffix in ["-wal", "-shm"] {
                    let mut beside = path.as_os_str().to_owned();
                    beside.push(suffix);
                    let _ = std::fs::remove_file(beside);
                }
                if let Ok((store, restored)) = open_and_restore(path) {
                    return (Some(store), restored);
                }
            }
        }
        Err(error) => {
            count(&counters.process.journal_errors);
            tracing::error!(%error, state = %path.display(), "cannot open the state: going on without, and trying again");
        }
    }
    (None, Restored::default())
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
        Error::Format(_) | Error::Missing(_) => false,
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
                // Nobody could see this store when the numbers began at 1: go on from its own.
                self.ahead = store.restore()?.last_entry;
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
