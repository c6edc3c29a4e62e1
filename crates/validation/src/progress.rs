//! How far a run is, for whoever looks.

use std::sync::{Arc, Mutex, PoisonError};

use wire::Progress;

/// The progress of one run: its parts write it, anybody may look. The lock is held for moments.
#[derive(Clone, Debug, Default)]
pub struct ProgressTracker(Arc<Mutex<Progress>>);

impl ProgressTracker {
    /// So many units are to be done in all.
    pub fn expect(&self, all: u64) {
        self.with(|progress| progress.all = all);
    }

    /// More than was known at the beginning.
    pub fn expect_more(&self, units: u64) {
        self.with(|progress| progress.all += units);
    }

    /// So many more are done.
    pub fn done(&self, units: u64) {
        self.with(|progress| progress.done += units);
    }

    /// What it does just now: `attempts, on green`.
    pub fn doing(&self, doing: impl Into<String>) {
        let doing = doing.into();
        self.with(|progress| progress.doing = doing);
    }

    pub fn look(&self) -> Progress {
        self.with(|progress| progress.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Progress) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
