//! Counts that one worker writes and anybody reads.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Release};

/// A count of one shard: only its worker's thread adds to it.
///
/// So nothing is lost by a read and a write of its own, and a request does without the locked additions that shared counts
/// need, of some twenty cycles each. What was added before is there for whoever sees what was added after.
#[derive(Debug, Default)]
pub(super) struct WorkerCount(AtomicU64);

/// The same in half the room, for counts of which only differences matter: it wraps around.
#[derive(Debug, Default)]
pub(super) struct SmallWorkerCount(AtomicU32);

impl WorkerCount {
    pub const fn zero() -> WorkerCount {
        WorkerCount::starting_at(0)
    }

    pub const fn starting_at(start: u64) -> WorkerCount {
        WorkerCount(AtomicU64::new(start))
    }

    /// Returns what it was before.
    #[inline]
    pub fn add(&self, more: u64) -> u64 {
        let before = self.0.load(Acquire);
        self.0.store(before.wrapping_add(more), Release);
        before
    }

    #[inline]
    pub fn take_one(&self) {
        self.add(u64::MAX);
    }

    /// Sets the bits of a set that are not set yet.
    #[inline]
    pub fn note(&self, bits: u64) {
        let before = self.0.load(Acquire);
        // Mostly they are set already, and nothing is written.
        if before & bits != bits {
            self.0.store(before | bits, Release);
        }
    }

    #[inline]
    pub fn read(&self) -> u64 {
        self.0.load(Acquire)
    }
}

impl SmallWorkerCount {
    pub const fn zero() -> SmallWorkerCount {
        SmallWorkerCount(AtomicU32::new(0))
    }

    #[inline]
    pub fn count(&self) {
        self.0.store(self.0.load(Acquire).wrapping_add(1), Release);
    }

    #[inline]
    pub fn read(&self) -> u32 {
        self.0.load(Acquire)
    }
}
