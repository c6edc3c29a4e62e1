//! The results of a check's rounds: what is up, since when, and how long rounds took.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde::Serialize;

use crate::flapping::TurnHistory;
use crate::round::CheckRound;
use judgement::time::Millis;
use memory::snapshot::health_check::HealthCheck;

/// The number of rounds that latencies are computed over.
const REMEMBERED: usize = 100;

/// The history of one check and one environment.
#[derive(Clone, Debug)]
pub struct CheckHistory {
    places: Vec<Place>,
    /// At least one address is up.
    pub up: bool,
    /// When it last went up or down.
    pub since: Millis,
    pub rounds: u64,
    /// Rounds in which an address failed.
    pub failures: u64,
    /// Rounds in which every address failed: what the guard counts.
    pub lost: u64,
    pub last_error: Option<String>,
    pub turns: TurnHistory,
    took_micros: VecDeque<u64>,
}

/// One address, with its rounds in a row.
#[derive(Clone, Debug)]
struct Place {
    address: Option<SocketAddr>,
    good: u32,
    bad: u32,
    up: bool,
}

/// How long the last rounds took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CheckLatency {
    pub last: f64,
    pub mean: f64,
    pub p50: f64,
    pub p95: f64,
    pub max: f64,
}

impl CheckHistory {
    /// A new check counts as up.
    pub fn new(now: Millis) -> CheckHistory {
        CheckHistory {
            places: Vec::new(),
            up: true,
            since: now,
            rounds: 0,
            failures: 0,
            lost: 0,
            last_error: None,
            turns: TurnHistory::default(),
            took_micros: VecDeque::new(),
        }
    }

    pub fn note(&mut self, check: &HealthCheck, round: &CheckRound, now: Millis) {
        let before = std::mem::take(&mut self.places);
        let (was_up, mut failed) = (self.up, false);
        for (address, result) in &round.results {
            let known = before.iter().find(|place| place.address == *address).cloned();
            // A name that resolves to new addresses is neither a recovery nor a failure.
            let mut place = known.unwrap_or(Place { address: *address, good: 0, bad: 0, up: was_up });
            match result {
                Ok(()) => (place.good, place.bad) = (place.good.saturating_add(1), 0),
                Err(why) => {
                    (place.good, place.bad) = (0, place.bad.saturating_add(1));
                    failed = true;
                    self.last_error = Some(match address {
                        Some(address) => format!("{address} {why}"),
                        None => why.clone(),
                    });
                }
            }
            place.up = if place.up { place.bad < check.fall } else { place.good >= check.rise };
            self.places.push(place);
        }
        self.up = self.places.iter().any(|place| place.up);
        if self.up != was_up {
            self.since = now;
        }
        self.turns.note(self.up != was_up, check.interval, now);
        self.rounds += 1;
        self.failures += u64::from(failed);
        self.lost += u64::from(round.results.iter().all(|(_, result)| result.is_err()));
        if self.took_micros.len() == REMEMBERED {
            self.took_micros.pop_front();
        }
        self.took_micros.push_back(round.took_micros);
    }

    /// The addresses that are down.
    pub fn down(&self) -> impl Iterator<Item = SocketAddr> {
        self.places.iter().filter(|place| !place.up).filter_map(|place| place.address)
    }

    pub fn latency(&self) -> CheckLatency {
        let mut sorted: Vec<u64> = self.took_micros.iter().copied().collect();
        sorted.sort_unstable();
        let millis = |micros: u64| micros as f64 / 1e3;
        // The nearest rank: this many of a hundred rounds took no longer.
        let rank = |of_hundred: usize| sorted.get((sorted.len() * of_hundred).div_ceil(100).saturating_sub(1));
        let of = |of_hundred| rank(of_hundred).map_or(0.0, |micros| millis(*micros));
        CheckLatency {
            last: self.took_micros.back().map_or(0.0, |micros| millis(*micros)),
            mean: millis(sorted.iter().sum::<u64>() / sorted.len().max(1) as u64),
            p50: of(50),
            p95: of(95),
            max: of(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::snapshot::health_check::{HealthProbe, HttpProbe};

    fn check(fall: u32, rise: u32) -> HealthCheck {
        HealthCheck {
            name: "home".to_owned(),
            environment: None,
            probe: HealthProbe::Http(HttpProbe::get("/")),
            interval: Millis::seconds(10),
            timeout: Millis::seconds(10),
            retries: 0,
            fall,
            rise,
            eject: true,
            rollback: false,
            webhook: None,
            on: true,
        }
    }

    fn round(good: &[bool]) -> CheckRound {
        let result = |good: &bool| if *good { Ok(()) } else { Err("failed".to_owned()) };
        let address = |at: usize| Some(SocketAddr::from(([10, 0, 0, at as u8], 80)));
        CheckRound {
            results: good.iter().enumerate().map(|(at, good)| (address(at), result(good))).collect(),
            took_micros: 1000,
        }
    }

    #[test]
    fn it_falls_after_so_many_rounds_in_a_row_and_rises_after_so_many() {
        let (check, mut history) = (check(2, 3), CheckHistory::new(Millis::ZERO));
        let mut seen = Vec::new();
        for (at, good) in [false, true, false, false, true, true, false, true, true, true].into_iter().enumerate() {
            history.note(&check, &round(&[good]), Millis(at as u64));
            seen.push(history.up);
        }
        assert_eq!(seen, [true, true, true, false, false, false, false, false, false, true]);
        assert_eq!((history.rounds, history.failures, history.since), (10, 4, Millis(9)));
        assert_eq!(history.last_error.as_deref(), Some("10.0.0.0:80 failed"));
    }

    #[test]
    fn one_address_that_is_down_leaves_the_environment_up() {
        let (check, mut history) = (check(1, 1), CheckHistory::new(Millis::ZERO));
        history.note(&check, &round(&[true, false]), Millis(1));
        assert!(history.up);
        assert_eq!((history.failures, history.lost), (1, 0), "clients are served");
        assert_eq!(history.down().collect::<Vec<_>>(), [SocketAddr::from(([10, 0, 0, 1], 80))]);
        history.note(&check, &round(&[false, false]), Millis(2));
        assert!(!history.up);
        history.note(&check, &round(&[true, false]), Millis(3));
        assert!(history.up, "one is enough");
    }

    #[test]
    fn new_addresses_of_what_is_down_are_no_recovery() {
        let (check, mut history) = (check(1, 2), CheckHistory::new(Millis::ZERO));
        history.note(&check, &round(&[false]), Millis(1));
        history.note(&check, &round(&[false, true]), Millis(2));
        assert!(!history.up, "it has not passed twice");
        history.note(&check, &round(&[false, true]), Millis(3));
        assert!(history.up);
    }

    #[test]
    fn latencies_are_those_of_the_last_hundred_rounds() {
        let (check, mut history) = (check(1, 1), CheckHistory::new(Millis::ZERO));
        assert_eq!(history.latency(), CheckLatency::default());
        for took in 0..=100 {
            history.note(&check, &CheckRound { took_micros: took * 1000, ..round(&[true]) }, Millis(took));
        }
        assert_eq!(history.latency(), CheckLatency { last: 100.0, mean: 50.5, p50: 50.0, p95: 95.0, max: 100.0 });
    }
}
