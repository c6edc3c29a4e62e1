//! What became of the notices to one sink.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
pub struct NoticeCounters {
    /// Taken by the receiver.
    pub sent: AtomicU64,
    /// Given up after the last try, or refused for good.
    pub failed: AtomicU64,
    /// Never tried: newer ones took their place, or the house closed.
    pub dropped: AtomicU64,
    /// In the queue or on their way, now.
    pub waiting: AtomicU64,
}

impl NoticeCounters {
    /// So many at once will never be tried.
    pub fn drop_many(&self, lost: u64) {
        self.dropped.fetch_add(lost, Relaxed);
    }
}
