//! The access log: one line per request, as JSON or in Apache's combined format, to stdout or a file.
//!
//! Nothing here makes a request wait. A worker formats its line in a buffer that it keeps, and passes a copy of exactly
//! the line's length to the writer's bounded queue: one allocation per line, freed by the writer. If the queue is full
//! because a disk or reader does not keep up, the line is dropped and counted. Without an access log, a request pays
//! for one branch.

pub mod format;
mod writer;

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use memory::counters::{Counters, count};

pub use config::access::{AccessLog, LogFormat, LogTarget, SampleRate};
pub use format::{AccessLine, LONGEST_FAILURE_REASON};
pub use writer::{AccessLogWriter, start};

enum Note {
    /// With its line feed.
    Line(Box<[u8]>),
    /// Reopen the file, because it was moved away.
    Reopen,
}

/// What workers write to. Cloned once per worker.
#[derive(Clone, Debug)]
pub struct AccessLogger {
    queue: SyncSender<Note>,
    format: LogFormat,
    sample: SampleRate,
    counters: Arc<Counters>,
}

/// What a worker's thread keeps between lines.
struct Scratch {
    line: Vec<u8>,
    /// The state of its random numbers (splitmix64).
    draws: u64,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        line: Vec::with_capacity(format::LONGEST),
        draws: std::collections::hash_map::RandomState::new().build_hasher().finish(),
    });
}

impl AccessLogger {
    /// Whether to log a request. If it `failed`, always.
    #[inline]
    pub fn wants(&self, failed: bool) -> bool {
        failed || self.sample == SampleRate::ALL || self.draw() < u64::from(self.sample.basis_points())
    }

    /// 0..10000. Random rather than in rotation: of traffic with a rhythm, a rotation would show only one beat.
    fn draw(&self) -> u64 {
        let drawn = SCRATCH.try_with(|scratch| {
            let mut scratch = scratch.try_borrow_mut().ok()?;
            scratch.draws = scratch.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (scratch.draws ^ (scratch.draws >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            Some((z ^ (z >> 31)) % 10_000)
        });
        drawn.ok().flatten().unwrap_or(0)
    }

    /// Passes a line on, or drops and counts it. Never waits.
    pub fn write(&self, line: &AccessLine<'_>) {
        let note = SCRATCH.try_with(|scratch| {
            let mut scratch = scratch.try_borrow_mut().ok()?;
            let buffer = &mut scratch.line;
            buffer.clear();
            match self.format {
                LogFormat::Json => format::json(buffer, line),
                LogFormat::Combined => format::combined(buffer, line),
            }
            // The only allocation, of exactly the line's length, so that a queue of short lines is small.
            Some(Note::Line(Box::from(buffer.as_slice())))
        });
        let handed = note.ok().flatten().is_some_and(|note| self.queue.try_send(note).is_ok());
        if !handed {
            count(&self.counters.process.access_log_dropped);
        }
    }

    /// Has the file reopened after it was moved away.
    pub fn reopen(&self) {
        // If the queue is full, the writer is busy, and then it checks the file anyway.
        let _ = self.queue.try_send(Note::Reopen);
    }
}

#[cfg(test)]
mod tests;
