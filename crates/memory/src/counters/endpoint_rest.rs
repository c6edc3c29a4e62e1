//! Endpoints that are avoided for a while after they have failed.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use judgement::time::Millis;

/// An endpoint that refuses connections, or fails most of its requests, rests for a while, and one that a health check
/// reports as down rests until it is up again: requests try the others first.
#[derive(Debug, Default)]
pub struct EndpointRest {
    until: AtomicU64,
    ejected: AtomicBool,
    /// Goes up with every failure and down with every success.
    failures: AtomicU32,
    /// Until when kept connections may be closing.
    closing: AtomicU64,
    /// Until when it is known what is wrong with its responses.
    told: AtomicU64,
}

impl EndpointRest {
    /// The same as nginx's `fail_timeout`.
    const LENGTH: Millis = Millis::seconds(10);
    const CLOSING: Millis = Millis::seconds(60);
    /// So many more failures than successes begin a rest.
    const MANY: u32 = 5;
    /// As much as the account can be: then so many successes end it.
    const MOST: u32 = 8;
    /// After a rest for its failures, an endpoint is tried by one request in so long, until one succeeds.
    const TRIAL: Millis = Millis::seconds(1);

    /// Begins or prolongs a rest; returns true if it was not resting.
    pub fn begin(&self, now: Millis) -> bool {
        self.until.swap(now.plus(EndpointRest::LENGTH).0, Relaxed) <= now.0
    }

    /// A request has failed here. Returns whether a rest begins with it.
    pub fn fail(&self, now: impl FnOnce() -> Millis) -> bool {
        let more = |failures: u32| (failures < EndpointRest::MOST).then_some(failures + 1);
        let before = self.failures.fetch_update(Relaxed, Relaxed, more).unwrap_or(EndpointRest::MOST);
        before + 1 >= EndpointRest::MANY && self.begin(now())
    }

    /// A request was answered well here.
    pub fn succeed(&self) {
        if self.failures.load(Relaxed) > 0 {
            // While it is on trial, one success is enough.
            let on_trial = self.until.load(Relaxed) != 0;
            let less = |failures: u32| Some(if on_trial { 0 } else { failures.saturating_sub(1) });
            let _ = self.failures.fetch_update(Relaxed, Relaxed, less);
        }
        if self.until.load(Relaxed) != 0 {
            self.until.store(0, Relaxed);
        }
    }

    /// A kept connection was closed under a request that may not be sent twice. For a minute, such requests get new ones: it
    /// is not known whether the endpoint was closing connections or fails at such requests, and on new ones that shows.
    pub fn close_kept(&self, now: Millis) {
        self.closing.store(now.plus(EndpointRest::CLOSING).0, Relaxed);
    }

    /// Whether requests that may not be sent twice are to have new connections.
    #[inline]
    pub fn may_close_kept(&self, now: impl FnOnce() -> Millis) -> bool {
        // The clock is read only for an endpoint that has done so.
        let until = self.closing.load(Relaxed);
        until != 0 && now().0 < until
    }

    /// Whether what is wrong with its responses is to be logged: now and then.
    pub fn is_news(&self, now: Millis) -> bool {
        self.told.load(Relaxed) <= now.0 && self.told.swap(now.plus(EndpointRest::LENGTH).0, Relaxed) <= now.0
    }

    /// Set by a health check; no response to a request ends it.
    pub fn eject(&self, ejected: bool) {
        if self.ejected.load(Relaxed) != ejected {
            self.ejected.store(ejected, Relaxed);
        }
    }

    /// Whether requests should try the others first. One that has failed is on trial after its rest: the request that asks
    /// first is let through.
    #[inline]
    pub fn is_on(&self, now: impl Fn() -> Millis) -> bool {
        // The clock is read only for an endpoint that has failed before.
        let until = self.until.load(Relaxed);
        if self.ejected.load(Relaxed) || until == 0 {
            return self.ejected.load(Relaxed);
        }
        let now = now();
        if now.0 < until {
            return true;
        }
        let on_trial = self.failures.load(Relaxed) >= EndpointRest::MANY;
        on_trial && self.until.compare_exchange(until, now.plus(EndpointRest::TRIAL).0, Relaxed, Relaxed).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_mostly_fails_rests_and_is_tried_by_one_request_at_a_time() {
        let rest = EndpointRest::default();
        let at = |millis: u64| move || Millis(millis);
        assert!(!(0..4).any(|_| rest.fail(at(1000))), "four failures may be anybody's");
        rest.succeed();
        assert!(!rest.fail(at(1000)) && rest.fail(at(1000)), "five more failures than successes");
        assert!(rest.is_on(at(10_999)));
        assert!(!rest.is_on(at(11_000)), "the first one after the rest");
        assert!(rest.is_on(at(11_001)) && rest.is_on(at(11_999)), "and nobody beside it");
        assert!(!rest.is_on(at(12_000)), "unless it is still not answered");
        assert!(!rest.fail(at(12_001)) || rest.is_on(at(12_002)), "it fails again, and rests again");
        assert!(rest.is_on(at(22_000)));
        assert!(!rest.is_on(at(22_001)));
        rest.succeed();
        assert!(!rest.is_on(at(22_002)) && !rest.is_on(at(22_002)), "one success is enough");
        assert!(!rest.fail(at(22_003)));
    }

    #[test]
    fn an_endpoint_that_fails_now_and_then_does_not_rest() {
        let rest = EndpointRest::default();
        for _ in 0..100 {
            assert!(!rest.fail(|| Millis(1)));
            rest.succeed();
        }
        assert!(!rest.is_on(|| Millis(2)));
    }
}
