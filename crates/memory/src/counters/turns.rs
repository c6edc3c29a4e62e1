//! Small atomics that requests steer by: whose turn it is, what a rescue may cost, who rests, who wakes the sidecar.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::counters::Shard;
use judgement::time::Millis;

/// Whose turn it is: an ordinal for each worker, counting up from a place of its own.
#[derive(Debug)]
pub struct OrdinalCounter {
    shards: Box<[Padded]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Padded(AtomicU64);

impl OrdinalCounter {
    pub fn new(shards: usize) -> OrdinalCounter {
        // Far apart and whole cycles of the draw: each worker's sequence is exact, and no two are the same.
        let first = |shard: usize| shard as u64 * (10_000 << 32);
        OrdinalCounter { shards: (0..shards).map(|shard| Padded(AtomicU64::new(first(shard)))).collect() }
    }

    #[inline]
    pub fn next(&self, shard: Shard) -> u64 {
        self.shards.get(shard.0).map_or(0, |turn| turn.0.fetch_add(1, Relaxed))
    }
}

/// How many rescues a service may still make: a fifth of what active answers, at least ten a second, over ten seconds.
///
/// Asked only when a request has failed, so it may sum over shards and share one cache line.
#[derive(Debug, Default)]
pub struct RescueBudget {
    opened: AtomicU64,
    answers_at_opening: AtomicU64,
    last_window: AtomicU64,
    spent: AtomicU64,
}

impl RescueBudget {
    const WINDOW: Millis = Millis::seconds(10);
    const AT_LEAST: u64 = 100;

    /// Takes one rescue out of the budget, if there is one left. `answers`: of the active environment, ever.
    pub fn take(&self, now: Millis, answers: impl Fn() -> u64) -> bool {
        let opened = self.opened.load(Relaxed);
        if now.since(Millis(opened)) >= RescueBudget::WINDOW
            && self.opened.compare_exchange(opened, now.0, Relaxed, Relaxed).is_ok()
        {
            let answers = answers();
            let before = self.answers_at_opening.swap(answers, Relaxed);
            // What a longer time has answered, cut down to one window.
            let elapsed = now.since(Millis(opened)).0.max(1);
            let rate =
                u128::from(answers.saturating_sub(before)) * u128::from(RescueBudget::WINDOW.0) / u128::from(elapsed);
            self.last_window.store(rate as u64, Relaxed);
            self.spent.store(0, Relaxed);
        }
        let spent = self.spent.fetch_add(1, Relaxed);
        if spent < RescueBudget::AT_LEAST {
            return true;
        }
        let in_this = answers().saturating_sub(self.answers_at_opening.load(Relaxed));
        spent < in_this.max(self.last_window.load(Relaxed)) / 5
    }
}

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

/// Wakes the sidecar early: rung by failing requests, heard once until the sidecar has looked.
#[derive(Debug, Default)]
pub struct SidecarAlarm(AtomicBool);

impl SidecarAlarm {
    /// True for the first who rings since the sidecar last looked: that one has to wake it.
    #[inline]
    pub fn ring(&self) -> bool {
        !self.0.load(Relaxed) && !self.0.swap(true, Relaxed)
    }

    pub fn quiet(&self) {
        self.0.store(false, Relaxed);
    }
}
