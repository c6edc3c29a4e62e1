//! What became of the notices to one receiver.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
pub struct NoticeCounters {
    /// Accepted by the receiver.
    pub sent: AtomicU64,
    /// Given up after the last attempt, or refused for good.
    pub failed: AtomicU64,
    /// Never tried: newer ones took their place, or Cutover shut down.
    pub dropped: AtomicU64,
    /// Currently queued or being sent.
    pub waiting: AtomicU64,
}

impl NoticeCounters {
    /// Every count by its name.
    pub(super) fn totals(&self) -> [(&'static str, &AtomicU64); 3] {
        [("sent", &self.sent), ("failed", &self.failed), ("dropped", &self.dropped)]
    }

    /// This many were dropped at once without an attempt.
    pub fn drop_many(&self, lost: u64) {
        self.dropped.fetch_add(lost, Relaxed);
    }
}
