//! Endpoints that are left alone for a while after they have failed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use judgement::time::Millis;

/// An endpoint that refuses connections rests for a while, and one that a health check finds down until it is up again:
/// the others are asked first.
#[derive(Debug, Default)]
pub struct EndpointRest {
    until: AtomicU64,
    ejected: AtomicBool,
}

impl EndpointRest {
    /// As nginx's `fail_timeout`.
    const LENGTH: Millis = Millis::seconds(10);

    /// Begins a rest, or prolongs one; true if it was awake.
    pub fn begin(&self, now: Millis) -> bool {
        self.until.swap(now.plus(EndpointRest::LENGTH).0, Relaxed) <= now.0
    }

    pub fn end(&self) {
        if self.until.load(Relaxed) != 0 {
            self.until.store(0, Relaxed);
        }
    }

    /// By a health check; no answer to a request ends it.
    pub fn eject(&self, ejected: bool) {
        if self.ejected.load(Relaxed) != ejected {
            self.ejected.store(ejected, Relaxed);
        }
    }

    #[inline]
    pub fn is_on(&self, now: impl Fn() -> Millis) -> bool {
        // The clock is asked only for an endpoint that has failed before.
        let until = self.until.load(Relaxed);
        self.ejected.load(Relaxed) || until != 0 && now().0 < until
    }
}
