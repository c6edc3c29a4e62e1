//! What has become of the copies of a service's requests, which go to both sides before the candidate's first client.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Written by the proxy and by who sends the copies; shown by the metrics. No judge reads it.
#[derive(Debug, Default)]
pub struct MirrorCounters {
    copied: AtomicU64,
    dropped: AtomicU64,
    compared: AtomicU64,
    unanswered: AtomicU64,
    differing: AtomicU64,
    differences: AtomicU64,
}

impl MirrorCounters {
    /// Both sides are going to be asked.
    pub fn copy(&self) {
        self.copied.fetch_add(1, Relaxed);
    }

    /// There was no room for it.
    pub fn drop_copy(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// Active did not answer the copy itself, so nothing can be compared.
    pub fn miss(&self) {
        self.unanswered.fetch_add(1, Relaxed);
    }

    /// Answers were compared. `differs`: beyond what active shows against itself.
    pub fn compare(&self, differs: bool) {
        self.compared.fetch_add(1, Relaxed);
        self.differing.fetch_add(u64::from(differs), Relaxed);
    }

    /// How many kinds of differences there are at the moment.
    pub fn set_differences(&self, kinds: u64) {
        self.differences.store(kinds, Relaxed);
    }

    /// Every count by its name.
    pub(super) fn totals(&self) -> [(&'static str, &AtomicU64); 5] {
        let MirrorCounters { copied, dropped, compared, unanswered, differing, .. } = self;
        [
            ("copied", copied),
            ("dropped", dropped),
            ("compared", compared),
            ("unanswered", unanswered),
            ("differing", differing),
        ]
    }

    pub fn copied(&self) -> u64 {
        self.copied.load(Relaxed)
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Relaxed)
    }

    pub fn compared(&self) -> u64 {
        self.compared.load(Relaxed)
    }

    pub fn differing(&self) -> u64 {
        self.differing.load(Relaxed)
    }

    pub fn differences(&self) -> u64 {
        self.differences.load(Relaxed)
    }
}
