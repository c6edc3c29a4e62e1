//! How many requests of one key a route takes: one limit for all workers.
//!
//! The generic cell rate algorithm (ITU-T I.371): of a key only one moment is remembered, at which all that it has used is
//! given back. A bucket of tokens is the same with two numbers and a clock that must tick.
//!
//! The memory is bounded, and an attacker gains nothing by filling it. A key stands in one set of eight places, chosen by a
//! hash whose secret nobody outside knows. A key that owes nothing is as good as forgotten, so its place is free. If all
//! eight owe something, the one that owes least gives way: whoever wants his own debt forgotten needs seven other keys in
//! the same set that owe as much as he does, and each of them has used up its own allowance for that.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};

use judgement::time::Millis;
use judgement::traffic::sticky::StickyKey;
use parking_lot::Mutex;

/// Two requests of different keys seldom meet at the same lock.
const SHARDS: usize = 64;
const SETS: usize = 128;
const PLACES: usize = 8;
/// The most keys that a limit remembers: a MiB.
pub const RATE_LIMIT_KEYS: usize = SHARDS * SETS * PLACES;

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRate {
    pub requests: u64,
    pub per: Millis,
    /// The most at once.
    pub burst: u64,
}

impl RequestRate {
    /// The time that one request uses up, in nanoseconds.
    fn cost(self) -> u64 {
        (self.per.0.saturating_mul(1_000_000) / self.requests.max(1)).max(1)
    }

    /// The time that a key may use up beforehand, in nanoseconds.
    fn allowance(self) -> u64 {
        self.cost().saturating_mul(self.burst.max(1))
    }
}

/// A key's hash, and when it owes nothing any more, in nanoseconds on the monotonic clock. The hash is never 0.
#[derive(Clone, Copy, Debug, Default)]
struct KeyPlace {
    hash: u64,
    free_at: u64,
}

/// The keys of one limit, and what they have used.
#[derive(Debug)]
pub struct RateLimiter {
    /// Its keys are drawn when it is made.
    secret: RandomState,
    /// A shard's places are there from its first key on.
    shards: Box<[Mutex<Box<[KeyPlace]>>]>,
}

impl Default for RateLimiter {
    fn default() -> RateLimiter {
        RateLimiter { secret: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl RateLimiter {
    /// Takes one request of a key. `now`: microseconds on the monotonic clock.
    ///
    /// # Errors
    /// How long until the next one would be taken. A request that is refused uses nothing up.
    pub fn take(&self, key: StickyKey<'_>, rate: RequestRate, now: u64) -> Result<(), Millis> {
        let hash = match key {
            StickyKey::Bytes(bytes) => self.secret.hash_one(bytes),
            StickyKey::Address(address) => self.secret.hash_one(address),
        };
        self.take_hashed(hash.max(1), rate, now.saturating_mul(1000))
    }

    fn take_hashed(&self, hash: u64, rate: RequestRate, now: u64) -> Result<(), Millis> {
        let (cost, allowance) = (rate.cost(), rate.allowance());
        let Some(shard) = self.shards.get(hash as usize % SHARDS) else { return Ok(()) };
        let mut places = shard.lock();
        if places.is_empty() {
            *places = vec![KeyPlace::default(); SETS * PLACES].into();
        }
        let first = hash as usize / SHARDS % SETS * PLACES;
        let Some(set) = places.get_mut(first..first + PLACES) else { return Ok(()) };
        let known = set.iter().position(|place| place.hash == hash);
        let owing_least = || set.iter().enumerate().min_by_key(|(_, place)| place.free_at).map_or(0, |(at, _)| at);
        let at = known.unwrap_or_else(owing_least);
        let Some(place) = set.get_mut(at) else { return Ok(()) };
        if known.is_none() {
            *place = KeyPlace { hash, free_at: now };
        }
        // A reload may have made the limit wider: nobody owes more than it allows.
        let free_at = place.free_at.clamp(now, now.saturating_add(allowance));
        let next = free_at.saturating_add(cost);
        let over = next.saturating_sub(now).saturating_sub(allowance);
        if over > 0 {
            place.free_at = free_at;
            return Err(Millis(over.div_ceil(1_000_000)));
        }
        place.free_at = next;
        Ok(())
    }
}

/// Every limit that is in use, by service, route and what it counts by. A reload finds what was used before it.
#[derive(Debug, Default)]
pub struct RateLimiters(Mutex<BTreeMap<(String, String, String), Weak<RateLimiter>>>);

impl RateLimiters {
    pub fn limiter(&self, service: &str, route: &str, by: String) -> Arc<RateLimiter> {
        let mut all = self.0.lock();
        all.retain(|_, limiter| limiter.strong_count() > 0);
        let key = (service.to_owned(), route.to_owned(), by);
        if let Some(known) = all.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(RateLimiter::default());
        all.insert(key, Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn rate(requests: u64, seconds: u64, burst: u64) -> RequestRate {
        RequestRate { requests, per: Millis::seconds(seconds), burst }
    }

    fn taken(limiter: &RateLimiter, key: &str, rate: RequestRate, now: u64, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.take(StickyKey::Bytes(key.as_bytes()), rate, now).is_ok()).count()
    }

    #[test]
    fn a_key_has_its_burst_and_then_its_rate() {
        let (limiter, rate) = (RateLimiter::default(), rate(60, 60, 5));
        assert_eq!(taken(&limiter, "a", rate, SECOND, 20), 5);
        assert_eq!(limiter.take(StickyKey::Bytes(b"a"), rate, SECOND), Err(Millis::seconds(1)));
        assert_eq!(limiter.take(StickyKey::Bytes(b"a"), rate, SECOND * 3 / 2), Err(Millis(500)));
        assert_eq!(taken(&limiter, "a", rate, 2 * SECOND, 20), 1, "a second later");
        assert_eq!(taken(&limiter, "b", rate, 2 * SECOND, 20), 5, "another key");
        assert_eq!(taken(&limiter, "a", rate, 600 * SECOND, 20), 5, "never more than the burst");
    }

    #[test]
    fn what_is_refused_uses_nothing_up() {
        let (limiter, rate) = (RateLimiter::default(), rate(1, 10, 1));
        assert_eq!(taken(&limiter, "a", rate, SECOND, 1000), 1);
        assert_eq!(taken(&limiter, "a", rate, 11 * SECOND, 1000), 1);
    }

    #[test]
    fn a_wider_limit_holds_at_once() {
        let limiter = RateLimiter::default();
        assert_eq!(taken(&limiter, "a", rate(10, 3600, 10), SECOND, 20), 10, "an hour's worth");
        assert_eq!(taken(&limiter, "a", rate(60, 60, 5), SECOND, 20), 0);
        assert_eq!(taken(&limiter, "a", rate(60, 60, 5), 6 * SECOND, 20), 5);
    }

    #[test]
    fn who_fills_the_memory_with_single_requests_does_not_get_his_own_debt_forgotten() {
        let (limiter, rate) = (RateLimiter::default(), rate(10, 60, 10));
        assert_eq!(taken(&limiter, "attacker", rate, SECOND, 20), 10);
        for number in 0..4 * RATE_LIMIT_KEYS {
            let _ = limiter.take(StickyKey::Bytes(number.to_string().as_bytes()), rate, SECOND);
        }
        assert_eq!(taken(&limiter, "attacker", rate, SECOND, 20), 0);
        let held: usize = limiter.shards.iter().map(|shard| shard.lock().len()).sum();
        assert_eq!(held, RATE_LIMIT_KEYS, "and there are no more places than that");
    }

    #[test]
    fn a_limit_is_known_for_as_long_as_anything_uses_it() {
        let all = RateLimiters::default();
        let first = all.limiter("shop", "api", "address".to_owned());
        assert!(Arc::ptr_eq(&first, &all.limiter("shop", "api", "address".to_owned())));
        assert!(!Arc::ptr_eq(&first, &all.limiter("shop", "api", "header".to_owned())));
        drop(first);
        all.limiter("shop", "web", "address".to_owned());
        assert_eq!(all.0.lock().len(), 1);
    }

    #[test]
    fn all_workers_share_one_limit() {
        let (limiter, rate) = (RateLimiter::default(), rate(100, 3600, 100));
        let sum: usize = std::thread::scope(|scope| {
            let worker = || scope.spawn(|| taken(&limiter, "a", rate, SECOND, 1000));
            [worker(), worker(), worker(), worker()].map(|worker| worker.join().unwrap()).iter().sum()
        });
        assert_eq!(sum, 100);
    }
}
