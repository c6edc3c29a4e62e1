//! Limits: failed attempts by address, requests by token, and journalled refusals. The time is an argument.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use judgement::time::Millis;

const MINUTE: Millis = Millis::seconds(60);
/// Failed attempts per address and minute: a person mistypes, a program guesses.
const TRIES: u32 = 5;
/// Addresses remembered at once. Beyond that, every new address counts as having used up its attempts.
const ADDRESSES: usize = 10_000;
/// Requests per second with one token, and how many at once: enough for a dashboard and a script together.
const RATE: f64 = 50.0;
const BURST: f64 = 100.0;
/// Journalled refusals per minute, so that no attacker can fill the disk with them.
const ENTRIES: u32 = 60;

/// Whoever has one IPv6 address has all 2^64 of its network.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 64))),
        address => address,
    }
}

/// The result of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedAttempt {
    Counted,
    /// Too many. `first`: this is the attempt that exceeded the limit.
    Over {
        first: bool,
        wait: Millis,
    },
}

/// The failed attempts of each address.
#[derive(Debug, Default)]
pub struct FailedAttempts {
    /// When the minute began, and how many there were.
    by_address: HashMap<IpAddr, (Millis, u32)>,
}

impl FailedAttempts {
    pub fn fail(&mut self, address: IpAddr, now: Millis) -> FailedAttempt {
        let address = network(address);
        if !self.by_address.contains_key(&address) && self.by_address.len() >= ADDRESSES {
            self.by_address.retain(|_, (began, _)| now.since(*began) < MINUTE);
            if self.by_address.len() >= ADDRESSES {
                return FailedAttempt::Over { first: false, wait: MINUTE };
            }
        }
        let (began, count) = self.by_address.entry(address).or_insert((now, 0));
        if now.since(*began) >= MINUTE {
            (*began, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        match *count {
            ..=TRIES => FailedAttempt::Counted,
            more => FailedAttempt::Over { first: more == TRIES + 1, wait: MINUTE.since(now.since(*began)) },
        }
    }
}

/// The requests of one token.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    left: f64,
    at: Millis,
}

impl TokenBucket {
    pub fn full(now: Millis) -> TokenBucket {
        TokenBucket { left: BURST, at: now }
    }

    /// Takes one, or returns how long to wait for it.
    pub fn take(&mut self, now: Millis) -> Result<(), Millis> {
        self.left = (self.left + now.since(self.at).0 as f64 / 1000.0 * RATE).min(BURST);
        self.at = now;
        if self.left < 1.0 {
            return Err(Millis(((1.0 - self.left) / RATE * 1000.0).ceil() as u64));
        }
        self.left -= 1.0;
        Ok(())
    }
}

/// The journalled refusals.
#[derive(Debug, Default)]
pub struct AuditBudget {
    began: Millis,
    used: u32,
    left_out: u64,
}

impl AuditBudget {
    /// Whether there is room for another one, and how many were left out since the last.
    pub fn take(&mut self, now: Millis) -> Option<u64> {
        if now.since(self.began) >= MINUTE {
            (self.began, self.used) = (now, 0);
        }
        if self.used >= ENTRIES {
            self.left_out += 1;
            return None;
        }
        self.used += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn five_tries_a_minute_and_no_more() {
        let (mut tries, at) = (FailedAttempts::default(), address("192.0.2.1"));
        for second in 0..5 {
            assert_eq!(tries.fail(at, Millis::seconds(second)), FailedAttempt::Counted);
        }
        let wait = Millis::seconds(50);
        assert_eq!(tries.fail(at, Millis::seconds(10)), FailedAttempt::Over { first: true, wait });
        assert_eq!(tries.fail(at, Millis::seconds(10)), FailedAttempt::Over { first: false, wait });
        assert_eq!(tries.fail(address("192.0.2.2"), Millis::seconds(10)), FailedAttempt::Counted, "another address");
        assert_eq!(tries.fail(at, Millis::seconds(60)), FailedAttempt::Counted, "another minute");
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let mut tries = FailedAttempts::default();
        let all = (0..6).map(|host| tries.fail(address(&format!("2001:db8::{host}")), Millis::ZERO));
        assert!(matches!(all.last(), Some(FailedAttempt::Over { first: true, .. })));
        assert_eq!(tries.fail(address("2001:db8:0:1::"), Millis::ZERO), FailedAttempt::Counted);
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn the_table_of_addresses_is_bounded_and_forgets() {
        let mut tries = FailedAttempts::default();
        for host in 0..20_000_u32 {
            tries.fail(IpAddr::from(host.to_be_bytes()), Millis::ZERO);
        }
        assert_eq!(tries.by_address.len(), ADDRESSES);
        assert!(matches!(tries.fail(address("203.0.113.1"), Millis::seconds(1)), FailedAttempt::Over { .. }));
        assert_eq!(tries.fail(address("203.0.113.1"), Millis::seconds(61)), FailedAttempt::Counted);
        assert_eq!(tries.by_address.len(), 1);
    }

    #[test]
    fn a_token_has_a_burst_and_then_a_rate() {
        let mut bucket = TokenBucket::full(Millis::ZERO);
        assert_eq!((0..150).filter(|_| bucket.take(Millis::ZERO).is_ok()).count(), 100);
        assert_eq!(bucket.take(Millis::ZERO), Err(Millis(20)));
        assert_eq!((0..150).filter(|_| bucket.take(Millis::seconds(1)).is_ok()).count(), 50);
        assert_eq!((0..150).filter(|_| bucket.take(Millis::seconds(999)).is_ok()).count(), 100);
    }

    #[test]
    fn entries_of_refusals_are_bounded_and_the_next_says_how_many_are_missing() {
        let mut ration = AuditBudget::default();
        assert_eq!((0..100).filter_map(|_| ration.take(Millis(5))).count(), 60);
        assert_eq!((ration.take(Millis::seconds(60)), ration.take(Millis::seconds(60))), (Some(40), Some(0)));
    }
}
