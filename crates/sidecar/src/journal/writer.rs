//! The journal's own thread: a slow or full disk delays the record, never the next judgement.
//!
//! The sidecar sends entries through a bounded queue and continues. Entries that cannot be written are kept in order,
//! up to a limit, and retried; beyond the limit the oldest are dropped and counted. The same thread removes old
//! entries, a few at a time and only when nothing is waiting to be written.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::journal::message::{WriterMessage, WrittenCallback};
use crate::journal::snapshot_queue::NamedSnapshots;
use crate::journal::snapshots::{SnapshotChange, SnapshotError};
use crate::journal::{ChainAnchor, Error, JournalEntry, JournalStore, RestoredState};
use config::JournalRetention;
use judgement::hex;
use judgement::rollout::DurableState;
use judgement::time::Millis;
use memory::counters::{Counters, count, set};

/// Messages that wait for the writer. Weights change by the second, not by the request, so a thousand is minutes.
const QUEUE: usize = 1024;
/// Entries kept in memory while the disk fails: at two kilobytes each, some twenty megabytes.
const MAX_KEPT: usize = 10_000;
const RETRY: Duration = Duration::from_secs(1);
/// How often old entries are looked for.
const TRIM_EVERY: Millis = Millis::seconds(60);
/// How often the newest entry's hash is said where the journal's file does not reach.
const SAY_EVERY: Millis = Millis::seconds(3600);
/// The pause between two batches of removals, for others that need the disk.
const TRIM_PAUSE: Duration = Duration::from_millis(20);

/// The sidecar's side of the journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    queue: SyncSender<WriterMessage>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
    newest: NewestWritten,
    /// Keeps other processes from opening the same state.
    lock: Option<File>,
}

/// The newest entry on the disk, which the writer tells the sidecar. It is locked for a copy, never during a write.
type NewestWritten = Arc<Mutex<Option<ChainAnchor>>>;

/// The writer's thread.
#[derive(Debug)]
struct Writer {
    path: PathBuf,
    store: Option<JournalStore>,
    /// Another process has the file.
    released: bool,
    kept: VecDeque<JournalEntry>,
    /// States that no entry explains, the latest of each service.
    states: BTreeMap<String, DurableState>,
    keep: JournalRetention,
    next_trim: Millis,
    next_said: Millis,
    /// The newest entry that was said.
    said: u64,
    /// The last entry's number when the process started to count, or that was written since.
    written: u64,
    /// Added to the numbers of entries. Not zero if the file could not be read at the start and turned out to hold
    /// more, or if another process has written to it in between.
    ahead: u64,
    counters: Arc<Counters>,
    newest: NewestWritten,
    failing: bool,
}

impl Journal {
    /// Opens the store and starts its writer.
    ///
    /// If the file does not exist yet and cannot be created, Cutover serves all the same and retries. A file that
    /// exists and cannot be read is an error: a rollback recorded in it would be undone.
    ///
    /// # Errors
    /// Another process is using the state, or the file exists and cannot be read.
    pub fn start(path: &Path, counters: Arc<Counters>) -> Result<(Journal, RestoredState), Error> {
        Journal::start_with_retention(path, JournalRetention::default(), counters)
    }

    /// The same, with how long entries are kept.
    ///
    /// # Errors
    /// As [`Journal::start`].
    pub fn start_with_retention(
        path: &Path,
        keep: JournalRetention,
        counters: Arc<Counters>,
    ) -> Result<(Journal, RestoredState), Error> {
        let lock = lock(path)?;
        let (store, restored) = open_or_set_aside(path, &counters)?;
        let written = restored.last_entry;
        let (queue, notes) = sync_channel(QUEUE);
        let newest = Arc::new(Mutex::new(store.as_ref().and_then(newest_of)));
        let writer = Writer {
            path: path.to_owned(),
            store,
            released: false,
            kept: VecDeque::new(),
            states: BTreeMap::new(),
            keep,
            next_trim: memory::clock::now(),
            next_said: memory::clock::now(),
            said: 0,
            written,
            ahead: 0,
            counters: counters.clone(),
            newest: newest.clone(),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&notes)).ok();
        if thread.is_none() {
            count(&counters.process.journal_errors);
            tracing::error!("cannot start the journal writer; changes will not be recorded");
        }
        Ok((Journal { path: path.to_owned(), queue, thread, counters, newest, lock }, restored))
    }

    /// The named snapshots beside the journal.
    pub fn snapshots(&self) -> NamedSnapshots {
        NamedSnapshots::new(self.path.clone(), self.queue.clone())
    }

    /// The newest entry on the disk with its hash: what is being written is not it yet.
    pub fn newest(&self) -> Option<ChainAnchor> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends an entry to the writer, without blocking.
    pub fn append(&self, entry: JournalEntry) {
        let note = WriterMessage::Entry(Box::new(entry));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(note) {
            count(&self.counters.process.journal_dropped);
            tracing::error!("journal queue full; entry dropped");
        }
    }

    /// Sends a service's progress, which no entry explains, without blocking. If one is lost, a restart resumes from
    /// the one before.
    pub fn save_state(&self, service: String, durable: DurableState) {
        let _ = self.queue.try_send(WriterMessage::State(service, Box::new(durable)));
    }

    /// Calls `told` from the writer's thread with whether everything sent so far is on disk. Does not block.
    pub fn when_written(&self, told: WrittenCallback) {
        if let Err(TrySendError::Full(note) | TrySendError::Disconnected(note)) =
            self.queue.try_send(WriterMessage::Sync(told))
            && let WriterMessage::Sync(told) = note
        {
            told(false);
        }
    }

    /// Blocks until everything sent so far is on disk, at most for `timeout`; returns whether it is.
    pub fn sync(&self, timeout: Duration) -> bool {
        let (done, is_done) = sync_channel(1);
        self.when_written(Box::new(move |written| {
            let _ = done.try_send(written);
        }));
        is_done.recv_timeout(timeout).unwrap_or(false)
    }

    /// Writes everything and lets another process open the state, which must not be written to until it is reclaimed.
    /// Returns false if something cannot be written: then nothing has changed.
    pub fn release(&mut self, timeout: Duration) -> bool {
        let (done, is_done) = sync_channel(1);
        let sent = self.queue.send(WriterMessage::Release(done)).is_ok();
        let is_released = sent && is_done.recv_timeout(timeout).unwrap_or(false);
        match is_released {
            true => drop(self.lock.take()),
            // It may have come too late.
            false => drop(self.queue.send(WriterMessage::Reclaim)),
        }
        is_released
    }

    /// Takes the state back that was released.
    ///
    /// # Errors
    /// Another process is using it.
    pub fn reclaim(&mut self) -> Result<(), Error> {
        self.lock = lock(&self.path)?;
        let _ = self.queue.send(WriterMessage::Reclaim);
        Ok(())
    }
}

impl Drop for Journal {
    /// Waits for the writer, so that everything sent is written before the process ends.
    fn drop(&mut self) {
        // Dropping the queue would not end the writer: a `NamedSnapshots` may still hold a sender.
        let _ = self.queue.send(WriterMessage::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Locks the file beside the state, because two processes would number their entries alike. `None` if that file cannot
/// be created.
fn lock(path: &Path) -> Result<Option<File>, Error> {
    let path = beside(path, ".lock");
    // Whoever may write to the folder must not make the start empty a file that it points to.
    if path.is_symlink() {
        return Err(Error::Linked(path));
    }
    let Ok(file) = own(File::options().read(true).write(true).create(true).truncate(false)).open(path) else {
        return Ok(None);
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::InUse),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
    }
}

/// A file that is created is its owner's alone.
#[cfg(unix)]
fn own(options: &mut OpenOptions) -> &OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn own(options: &mut OpenOptions) -> &OpenOptions {
    options
}

/// Makes sure that the state is its owner's alone; SQLite gives the files beside it the same mode.
#[cfg(unix)]
fn close_to_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    // SQLite would create it for everybody to read.
    let _ = own(File::options().write(true).create(true).truncate(false)).open(path);
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = beside(path, suffix);
        let Ok(found) = std::fs::symlink_metadata(&file) else { continue };
        if found.is_file() && found.permissions().mode() & 0o077 != 0 {
            tracing::warn!(file = %file.display(), "others could read it: it is for its owner alone now");
            let _ = std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600));
        }
    }
}

#[cfg(not(unix))]
fn close_to_others(_: &Path) {}

/// Says what does not fit together in the file.
fn tell_of_changes(path: &Path, restored: &RestoredState) {
    let state = path.display();
    if let Some(newest) = restored.cut {
        tracing::error!(%state, newest, "the newest entries of the journal were removed by another program; `cutover history --verify` goes on showing the gap");
    }
    for (service, entry) in &restored.unexplained {
        tracing::error!(%state, service, entry, "the stored state was changed by another program; what the service's last entry says is in force");
    }
}

/// The path of a file or folder beside the state: `cutover.db` has `cutover.db.token`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn open_or_set_aside(path: &Path, counters: &Counters) -> Result<(Option<JournalStore>, RestoredState), Error> {
    let was_there = path.exists();
    let missing = !was_there && [".token", ".runs", ".routing"].iter().any(|suffix| beside(path, suffix).exists());
    if missing {
        tracing::warn!(state = %path.display(), "the state file is gone, but what lies beside it is there: starting without the roles, weights and rollbacks of before");
    }
    close_to_others(path);
    let error = match open_and_restore(path) {
        Ok((store, restored)) => return Ok((Some(store), RestoredState { missing, ..restored })),
        Err(error) => error,
    };
    count(&counters.process.journal_errors);
    if is_corrupt(&error) {
        let aside = path.with_extension(format!("corrupt-{}", memory::clock::wall_millis()));
        tracing::error!(%error, state = %path.display(), moved_to = %aside.display(), "state file is corrupt; moved aside, and every candidate restarts at weight 0");
        let _ = std::fs::rename(path, &aside);
        let _ = std::fs::remove_file(beside(path, "-wal"));
        let _ = std::fs::remove_file(beside(path, "-shm"));
        return Ok((JournalStore::open(path).ok(), RestoredState { lost: true, ..RestoredState::default() }));
    }
    if !was_there {
        tracing::error!(%error, state = %path.display(), "cannot create the state file; continuing without it and retrying");
        return Ok((None, RestoredState::default()));
    }
    // A full disk can still be read.
    let restored = JournalStore::peek(path).map_err(|_| error)?;
    tracing::error!(state = %path.display(), "cannot write the state file; continuing with the state it holds and retrying");
    Ok((None, restored))
}

/// The newest entry; `None` if there is none yet.
fn newest_of(store: &JournalStore) -> Option<ChainAnchor> {
    Some(store.newest().clone()).filter(|newest| newest.id > 0)
}

fn open_and_restore(path: &Path) -> Result<(JournalStore, RestoredState), Error> {
    let store = JournalStore::open(path)?;
    let restored = store.restore()?;
    tell_of_changes(path, &restored);
    Ok((store, restored))
}

fn is_corrupt(error: &Error) -> bool {
    match error {
        Error::Json(_) => true,
        Error::Sqlite(error) => matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
        ),
        Error::Format(_) | Error::Missing(_) | Error::InUse | Error::Linked(_) | Error::Snapshot(_) => false,
    }
}

impl Writer {
    fn run(mut self, notes: &Receiver<WriterMessage>) {
        let mut open = true;
        while open || (self.has_unwritten() && !self.failing) {
            let (mut syncs, mut changes, mut release) = (Vec::new(), Vec::new(), None);
            let mut first = match notes.recv_timeout(self.next_wait()) {
                Ok(note) => Some(note),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    open = false;
                    None
                }
            };
            // Whatever has queued up is written in one transaction.
            while let Some(note) = first.take().or_else(|| notes.try_recv().ok()) {
                match note {
                    WriterMessage::Entry(entry) => self.keep(*entry),
                    WriterMessage::State(service, durable) => {
                        self.states.insert(service, *durable);
                    }
                    WriterMessage::Sync(told) => syncs.push(told),
                    WriterMessage::ChangeSnapshot(change, answer) => changes.push((change, answer)),
                    WriterMessage::Release(answer) => release = Some(answer),
                    WriterMessage::Reclaim => self.released = false,
                    WriterMessage::End => open = false,
                }
            }
            self.write();
            for told in syncs {
                told(self.kept.is_empty());
            }
            for (change, answer) in changes {
                let _ = answer.try_send(self.change_snapshot(change));
            }
            if let Some(answer) = release {
                self.release(&answer);
            }
            if open {
                self.trim();
                self.say_newest();
            }
        }
        if !self.kept.is_empty() {
            tracing::error!(entries = self.kept.len(), "stopped with journal entries still unwritten");
        }
    }

    /// Closes the file, if nothing is left to be written.
    fn release(&mut self, answer: &SyncSender<bool>) {
        self.released = !self.has_unwritten();
        if self.released {
            self.store = None;
        }
        if answer.try_send(self.released).is_err() {
            // Nobody waits for it any more.
            self.released = false;
        }
    }

    fn has_unwritten(&self) -> bool {
        !self.kept.is_empty() || !self.states.is_empty()
    }

    fn next_wait(&self) -> Duration {
        if self.has_unwritten() {
            return RETRY;
        }
        self.next_trim.since(memory::clock::now()).as_duration().max(TRIM_PAUSE)
    }

    fn change_snapshot(&mut self, change: SnapshotChange) -> Result<(), SnapshotError> {
        match &mut self.store {
            Some(store) => store.change_snapshot(change),
            None => Err(SnapshotError::Disk("the state file is not open".to_owned())),
        }
    }

    /// Removes a batch of old entries, when it is time to.
    fn trim(&mut self) {
        let now = memory::clock::now();
        if now < self.next_trim {
            return;
        }
        self.next_trim = now.plus(TRIM_EVERY);
        let Some(store) = self.store.as_mut().filter(|_| !self.failing) else { return };
        let more = match store.trim(self.keep, memory::clock::wall_millis()) {
            Ok(trimmed) => trimmed.more,
            Err(error) => {
                tracing::warn!(%error, "cannot remove old journal entries; will retry");
                false
            }
        };
        if more {
            self.next_trim = now;
        }
    }

    /// Says the newest entry's hash in the log, once an hour, if there is a new one.
    fn say_newest(&mut self) {
        let now = memory::clock::now();
        let Some(store) = self.store.as_ref().filter(|_| now >= self.next_said) else { return };
        self.next_said = now.plus(SAY_EVERY);
        let ChainAnchor { id, hash } = store.newest();
        if *id > self.said {
            self.said = *id;
            tracing::info!(entry = id, hash = hex::text(hash), "the newest entry of the journal");
        }
    }

    fn keep(&mut self, mut entry: JournalEntry) {
        entry.change.id += self.ahead;
        if entry.change.after.is_some() {
            self.states.remove(&entry.change.service);
        }
        self.kept.push_back(entry);
        if self.kept.len() > MAX_KEPT {
            self.kept.pop_front();
            count(&self.counters.process.journal_dropped);
        }
    }

    fn write(&mut self) {
        if !self.has_unwritten() || self.released {
            return;
        }
        match self.try_write() {
            Ok(()) => {
                if self.failing {
                    tracing::info!(entries = self.kept.len(), "journal writes resumed");
                }
                self.failing = false;
                self.kept.clear();
                self.states.clear();
            }
            Err(error) => {
                count(&self.counters.process.journal_errors);
                if !self.failing {
                    tracing::error!(%error, state = %self.path.display(), "cannot write the journal; entries are kept in memory until it works");
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
                let store = JournalStore::open(&self.path)?;
                // The file may hold more than is known here.
                let more = store.restore()?.last_entry.saturating_sub(self.written);
                self.written += more;
                self.ahead += more;
                self.kept.iter_mut().for_each(|entry| entry.change.id += more);
                store
            }
        };
        let written = store.write(self.kept.make_contiguous(), &self.states);
        self.store = Some(store);
        written?;
        self.written = self.kept.back().map_or(self.written, |last| last.change.id);
        if !self.kept.is_empty() {
            let newest = self.store.as_ref().and_then(newest_of);
            *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        }
        Ok(())
    }
}
