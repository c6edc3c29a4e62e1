//! Figures of the whole process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::counters::RefusalReason;

/// Requests that were answered without asking an origin, and other figures of the whole process.
#[derive(Debug, Default)]
pub struct ProcessCounters {
    /// By the index of the reason in [`RefusalReason::ALL`].
    refused: [AtomicU64; RefusalReason::ALL.len()],
    pub connections_opened: AtomicU64,
    pub connections_closed: AtomicU64,
    /// Requests that have come and are not answered yet.
    pub requests_in_flight: AtomicU64,
    pub reloads_taken: AtomicU64,
    pub reloads_refused: AtomicU64,
    pub journal_errors: AtomicU64,
    pub journal_waiting: AtomicU64,
    pub journal_dropped: AtomicU64,
    pub resolve_errors: AtomicU64,
    /// Lost lines: the queue was full, or the file accepted no more.
    pub access_log_dropped: AtomicU64,
    pub access_log_errors: AtomicU64,
    /// Connections to the admin API that found no place, and those that gave their place away.
    pub admin_refused: AtomicU64,
    pub admin_ended: AtomicU64,
    pub sidecar_panics: AtomicU64,
    /// When the sidecar last finished a round, in milliseconds on the monotonic clock.
    pub sidecar_seen: AtomicU64,
    pub sidecar_ticks: AtomicU64,
    pub sidecar_tick_micros: AtomicU64,
    pub draining: AtomicBool,
    pub ready: AtomicBool,
}

impl ProcessCounters {
    /// Counts a request that has come, and returns how many there were before it.
    #[inline]
    pub fn begin_request(&self) -> u64 {
        self.requests_in_flight.fetch_add(1, Relaxed)
    }

    #[inline]
    pub fn end_request(&self) {
        self.requests_in_flight.fetch_sub(1, Relaxed);
    }

    pub fn refuse(&self, reason: RefusalReason) {
        if let Some(counter) = self.refused.get(reason as usize) {
            count(counter);
        }
    }

    /// The same for what another process has refused.
    pub(super) fn refuse_many(&self, reason: RefusalReason, number: u64) {
        if let Some(counter) = self.refused.get(reason as usize) {
            counter.fetch_add(number, Relaxed);
        }
    }

    /// Every reason's name, and how many requests were refused for it.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RefusalReason::ALL.iter().zip(&self.refused).map(|(reason, counter)| (reason.name(), read(counter)))
    }
}

/// Adds one to a process counter.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Reads a process counter.
pub fn read(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

/// Sets a process gauge.
pub fn set(number: &AtomicU64, value: u64) {
    number.store(value, Relaxed);
}

pub fn raise(flag: &AtomicBool, value: bool) {
    flag.store(value, Relaxed);
}

pub fn is_raised(flag: &AtomicBool) -> bool {
    flag.load(Relaxed)
}
