//! Endpoints that are avoided for a while after they have failed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use judgement::time::Millis;

/// An endpoint that refuses connections rests for a while, and one that a health check reports as down rests until it
/// is up again: requests try the others first.
#[derive(Debug, Default)]
pub struct EndpointRest {
    until: AtomicU64,
    ejected: AtomicBool,
}

impl EndpointRest {
    /// The same as nginx's `fail_timeout`.
    const LENGTH: Millis = Millis::seconds(10);

    /// Begins or prolongs a rest; returns true if it was not resting.
    pub fn begin(&self, now: Millis) -> bool {
        self.until.swap(now.plus(EndpointRest::LENGTH).0, Relaxed) <= now.0
    }

    pub fn end(&self) {
        if self.until.load(Relaxed) != 0 {
            self.until.store(0, Relaxed);
        }
    }

    /// Set by a health check; no response to a request ends it.
    pub fn eject(&self, ejected: bool) {
        if self.ejected.load(Relaxed) != ejected {
            self.ejected.store(ejected, Relaxed);
        }
    }

    #[inline]
    pub fn is_on(&self, now: impl Fn() -> Millis) -> bool {
        // The clock is read only for an endpoint that has failed before.
        let until = self.until.load(Relaxed);
        self.ejected.load(Relaxed) || until != 0 && now().0 < until
    }
}
