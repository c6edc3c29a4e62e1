//! The progress of a run.

use std::sync::Arc;

use parking_lot::Mutex;
use wire::Progress;

/// The progress of one run: its parts write it, anyone may read it. The lock is held only briefly.
#[derive(Clone, Debug, Default)]
pub struct ProgressTracker(Arc<Mutex<Progress>>);

impl ProgressTracker {
    /// Sets how many units there are in total.
    pub fn expect(&self, all: u64) {
        self.with(|progress| progress.all = all);
    }

    /// Adds units that were not known at the start.
    pub fn expect_more(&self, units: u64) {
        self.with(|progress| progress.all += units);
    }

    /// Counts units that are done.
    pub fn done(&self, units: u64) {
        self.with(|progress| progress.done += units);
    }

    /// Sets what it does now: `attempts on green`.
    pub fn doing(&self, doing: impl Into<String>) {
        let doing = doing.into();
        self.with(|progress| progress.doing = doing);
    }

    pub fn look(&self) -> Progress {
        self.with(|progress| progress.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Progress) -> T) -> T {
        act(&mut self.0.lock())
    }
}
