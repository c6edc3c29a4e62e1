//! The access log's own thread: takes lines from the bounded queue and writes them in batches of whole lines.
//!
//! The first line after a quiet moment is written at once. After a write the thread lets lines accumulate briefly, so
//! that a busy proxy wakes it a hundred times a second rather than with every request. It notices by itself if the file
//! was moved or deleted, and SIGHUP tells it at once. If the file is truncated in place, writing continues at the new
//! end, because it is opened for appending.
//!
//! A full disk, or a pipe that nobody reads, stops this thread's progress and nothing else: accepted lines are kept,
//! the queue fills, and then workers drop lines.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel, sync_channel};
use std::thread::{JoinHandle, park_timeout};
use std::time::Duration;

use crate::access::{AccessLog, AccessLogger, LogTarget, Note};
use judgement::time::Millis;
use memory::clock;
use memory::counters::{Counters, count};

/// Lines between the workers and the writer: 400,000 per second at the pace below. At the usual half kilobyte they take
/// two megabytes, at the longest length 32.
const QUEUE: usize = 4096;
/// The size of one write, give or take a line.
const BATCH: usize = 64 * 1024;
/// How long lines accumulate after a write.
const GATHER: Duration = Duration::from_millis(10);
/// How often the file is checked under its name.
const LOOK: Duration = Duration::from_millis(500);
/// The pause after an error.
const RETRY: Duration = Duration::from_millis(250);
/// A pipe that has accepted nothing for this long has no reader.
const STUCK: Millis = Millis::seconds(1);
/// How long shutdown waits for a disk or reader that accepts nothing.
const LAST_WORDS: Millis = Millis::seconds(1);
/// How long the process waits for the thread: only a hanging disk takes longer than the last lines.
const PATIENCE: Millis = Millis::seconds(5);

/// The running writer. Dropping it once nobody writes any more makes it finish, and waits for it.
#[derive(Debug)]
pub struct AccessLogWriter {
    /// Nothing is ever sent: its disappearance is the signal. The end of the queue cannot be seen behind lines that are
    /// not accepted.
    ending: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for AccessLogWriter {
    /// Every line passed on is written before the process ends, unless nothing accepts it.
    fn drop(&mut self) {
        drop(self.ending.take());
        let Some(thread) = self.thread.take() else { return };
        let began = clock::now();
        // A wait with a timeout, which `join` does not have: stdout may be a pipe that nobody reads.
        while !thread.is_finished() && clock::now().since(began) < PATIENCE {
            thread.thread().unpark();
            park_timeout(Duration::from_millis(2));
        }
        if !thread.is_finished() {
            tracing::error!("access log writer did not finish in time; unwritten lines are lost");
        }
    }
}

/// Opens the log and starts its writer.
///
/// A pipe that has no reader yet is no reason not to serve: it is retried.
///
/// # Errors
/// The file cannot be written, or the thread cannot be created.
pub fn start(settings: &AccessLog, counters: Arc<Counters>) -> io::Result<(AccessLogger, AccessLogWriter)> {
    let mut scribe = Scribe {
        target: settings.target.clone(),
        file: None,
        pending: Vec::with_capacity(BATCH + super::format::LONGEST),
        written: 0,
        failing: false,
        closed: false,
        stuck: None,
        looked: clock::now(),
        counters: counters.clone(),
    };
    match open(&settings.target) {
        Ok(file) => scribe.file = Some(file),
        Err(error) if is_pipe_without_reader(&settings.target, &error) => scribe.stays_closed(&error),
        Err(error) => return Err(error),
    }
    let (queue, notes) = sync_channel(QUEUE);
    let (ending, is_ending) = channel();
    let thread =
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || scribe.run(&notes, &is_ending))?;
    let log = AccessLogger { queue, format: settings.format, sample: settings.sample, counters };
    Ok((log, AccessLogWriter { ending: Some(ending), thread: Some(thread) }))
}

fn open(target: &LogTarget) -> io::Result<File> {
    match target {
        // A descriptor of its own, with nothing between the batch and the system call.
        LogTarget::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        // O_NONBLOCK has no effect on a file; a full pipe reports it instead of blocking the thread, and the process at
        // shutdown with it. The log contains client addresses, so not everyone may read it.
        LogTarget::File(path) => {
            OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(libc::O_NONBLOCK).open(path)
        }
    }
}

fn is_pipe_without_reader(target: &LogTarget, error: &io::Error) -> bool {
    let LogTarget::File(path) = target else { return false };
    error.raw_os_error() == Some(libc::ENXIO) && std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

/// The thread's side.
struct Scribe {
    target: LogTarget,
    file: Option<File>,
    /// Whole lines that are not in the file yet.
    pending: Vec<u8>,
    /// How much of them is in the file: a full disk accepts part of a line.
    written: usize,
    /// Nothing is accepted: logged once, until it works again.
    failing: bool,
    /// The file cannot be opened: also logged once.
    closed: bool,
    /// Since when a pipe has accepted nothing.
    stuck: Option<Millis>,
    looked: Millis,
    counters: Arc<Counters>,
}

impl Scribe {
    fn run(mut self, notes: &Receiver<Note>, ending: &Receiver<()>) {
        let mut ended: Option<Millis> = None;
        loop {
            if ended.is_none() && ending.try_recv() == Err(TryRecvError::Disconnected) {
                ended = Some(clock::now());
            }
            if self.pending.is_empty() && ended.is_none() {
                match notes.recv_timeout(LOOK) {
                    Ok(note) => self.take(note),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => ended = Some(clock::now()),
                }
            }
            let more = self.gather(notes);
            self.look();
            let had = !self.pending.is_empty();
            self.write();
            let left = !self.pending.is_empty();
            if let Some(since) = ended {
                if !left && !more {
                    return;
                }
                if left && clock::now().since(since) >= LAST_WORDS {
                    return self.give_up(notes);
                }
            }
            if left {
                park_timeout(if self.failing || self.file.is_none() { RETRY } else { GATHER });
            } else if had && !more && ended.is_none() {
                park_timeout(GATHER);
            }
        }
    }

    /// Takes up to a batch from the queue; returns whether there may be more.
    fn gather(&mut self, notes: &Receiver<Note>) -> bool {
        while self.pending.len() < BATCH {
            match notes.try_recv() {
                Ok(note) => self.take(note),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Line(line) => self.pending.extend_from_slice(&line),
            Note::Reopen => {
                // Lines from before the move belong to the old file.
                self.write();
                self.reopen();
            }
        }
    }

    /// Checks that the file still has its name; if not, opens another one.
    fn look(&mut self) {
        let now = clock::now();
        let LogTarget::File(path) = &self.target else { return };
        if now.since(self.looked).as_duration() < LOOK {
            return;
        }
        self.looked = now;
        if self.file.as_ref().is_none_or(|file| !is_same(file.metadata(), std::fs::metadata(path))) {
            self.write();
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        if self.target == LogTarget::Stdout {
            return;
        }
        match open(&self.target) {
            Ok(file) => {
                if self.file.as_ref().is_none_or(|old| !is_same(old.metadata(), file.metadata())) {
                    self.leave_half_a_line();
                }
                self.file = Some(file);
                if self.closed {
                    self.closed = false;
                    tracing::info!(log = %self.name(), "access log reopened");
                }
            }
            Err(error) => self.stays_closed(&error),
        }
    }

    /// Drops the rest of a line whose first half is in another file, because it would tear a line of this one.
    fn leave_half_a_line(&mut self) {
        let (done, rest) = self.pending.split_at_checked(self.written).unwrap_or_default();
        if !done.is_empty() && !done.ends_with(b"\n") {
            self.written += memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            count(&self.counters.process.access_log_dropped);
        }
    }

    /// The file cannot be opened under its name. The old one, if there is one, is better than none.
    fn stays_closed(&mut self, error: &io::Error) {
        count(&self.counters.process.access_log_errors);
        if !self.closed {
            self.closed = true;
            tracing::error!(%error, log = %self.name(), "cannot open the access log; retrying");
        }
    }

    /// Writes as much as is accepted.
    fn write(&mut self) {
        if self.file.is_none() {
            return;
        }
        while let Some(rest) = self.pending.get(self.written..).filter(|rest| !rest.is_empty()) {
            let Some(file) = &mut self.file else { return };
            match file.write(rest) {
                Ok(0) => return self.failed(&ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    self.written += taken;
                    self.stuck = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let now = clock::now();
                    let since = *self.stuck.get_or_insert(now);
                    if now.since(since) >= STUCK {
                        self.failed(&error);
                    }
                    return;
                }
                Err(error) => return self.failed(&error),
            }
        }
        self.pending.clear();
        self.written = 0;
        self.works();
    }

    /// Everything was accepted. (A disk that accepts a line now and then is not working again.)
    fn works(&mut self) {
        if self.failing {
            self.failing = false;
            tracing::info!(log = %self.name(), "access log writes resumed");
        }
    }

    fn failed(&mut self, error: &io::Error) {
        count(&self.counters.process.access_log_errors);
        if !self.failing {
            self.failing = true;
            tracing::error!(%error, log = %self.name(), "cannot write the access log; lines are buffered while there is room, then dropped");
        }
    }

    fn name(&self) -> String {
        match &self.target {
            LogTarget::Stdout => "stdout".to_owned(),
            LogTarget::File(path) => path.display().to_string(),
        }
    }

    /// Shutdown has come, and nothing accepts the rest.
    fn give_up(self, notes: &Receiver<Note>) {
        let kept = self.pending.get(self.written..).unwrap_or_default();
        let queued = notes.try_iter().filter(|note| matches!(note, Note::Line(_))).count();
        let lines = memchr::memchr_iter(b'\n', kept).count() + queued;
        (0..lines).for_each(|_| count(&self.counters.process.access_log_dropped));
        tracing::error!(lines, log = %self.name(), "stopped with access log lines still unwritten");
    }
}

fn is_same(one: io::Result<Metadata>, other: io::Result<Metadata>) -> bool {
    let (Ok(one), Ok(other)) = (one, other) else { return false };
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::counters::read;

    fn scribe(path: &std::path::Path) -> Scribe {
        let target = LogTarget::File(path.to_owned());
        Scribe {
            file: Some(open(&target).unwrap()),
            target,
            pending: Vec::new(),
            written: 0,
            failing: false,
            closed: false,
            stuck: None,
            looked: Millis::ZERO,
            counters: Arc::new(Counters::new(1)),
        }
    }

    #[test]
    fn a_line_half_of_which_is_in_the_old_file_does_not_tear_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
        for (written, moved, expected, dropped) in [
            (0, true, "one\ntwo\nthree\n", 0),
            (4, true, "two\nthree\n", 0),
            (6, true, "three\n", 1),
            (6, false, "o\nthree\n", 0),
        ] {
            let _ = std::fs::remove_file(&path);
            let mut scribe = scribe(&path);
            scribe.pending.extend_from_slice(b"one\ntwo\nthree\n");
            scribe.written = written;
            if moved {
                std::fs::rename(&path, &old).unwrap();
            }
            scribe.reopen();
            scribe.write();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected, "{written} bytes written before");
            assert_eq!(read(&scribe.counters.process.access_log_dropped), dropped);
            assert!(scribe.pending.is_empty() && scribe.written == 0);
        }
    }

    #[test]
    fn a_disk_that_is_full_is_counted_every_time_and_said_once() {
        let mut scribe = scribe(std::path::Path::new("/dev/full"));
        scribe.pending.extend_from_slice(b"one\n");
        (0..3).for_each(|_| scribe.write());
        assert!(scribe.failing && scribe.pending == b"one\n");
        assert_eq!(read(&scribe.counters.process.access_log_errors), 3);
        let dir = tempfile::tempdir().unwrap();
        scribe.target = LogTarget::File(dir.path().join("log"));
        scribe.reopen();
        scribe.write();
        assert!(!scribe.failing);
        assert_eq!(std::fs::read_to_string(dir.path().join("log")).unwrap(), "one\n");
    }
}
