//! The requests of a service that wait while it is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many there are now, over all workers.
#[derive(Debug, Default)]
pub struct HeldRequests(AtomicUsize);

/// One of them, until this is dropped.
#[derive(Debug)]
pub struct HeldPlace(Arc<HeldRequests>);

impl HeldRequests {
    /// A place, unless there are `most` already.
    pub fn take(self: &Arc<HeldRequests>, most: usize) -> Option<HeldPlace> {
        let one_more = |held| (held < most).then_some(held + 1);
        self.0.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(HeldPlace(self.clone()))
    }

    pub fn number(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
