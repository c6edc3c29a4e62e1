//! The split: weights, buckets, and the exact draw for requests without a key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Millis;
use crate::traffic::Environment;

/// The candidate's share in basis points, 0..=10000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

impl Weight {
    pub const ZERO: Weight = Weight(0);
    pub const FULL: Weight = Weight(10_000);

    /// A weight of so many basis points.
    ///
    /// # Errors
    /// The number is over 10000.
    pub const fn from_basis_points(points: u16) -> Result<Weight, &'static str> {
        if points > 10_000 { Err("a weight is 0 to 10000 basis points") } else { Ok(Weight(points)) }
    }

    /// A weight written as a percentage with up to two decimals.
    ///
    /// # Errors
    /// It is not between 0 and 100, or has more than two decimals.
    pub fn from_percent(percent: f64) -> Result<Weight, &'static str> {
        if !(0.0..=100.0).contains(&percent) {
            return Err("a weight is between 0 and 100 percent");
        }
        let points = (percent * 100.0).round();
        if (points - percent * 100.0).abs() > 1e-6 {
            return Err("a weight has at most two decimals (steps of 0.01 percent)");
        }
        Ok(Weight(points as u16))
    }

    pub const fn basis_points(self) -> u16 {
        self.0
    }

    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// What is left for the other side.
    pub const fn rest(self) -> Weight {
        Weight(10_000 - self.0)
    }

    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = &'static str;
    fn try_from(points: u16) -> Result<Weight, &'static str> {
        Weight::from_basis_points(points)
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> u16 {
        weight.0
    }
}

impl std::fmt::Display for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => write!(f, "{whole} %"),
            _ if part.is_multiple_of(10) => write!(f, "{whole}.{} %", part / 10),
            _ => write!(f, "{whole}.{part:02} %"),
        }
    }
}

/// 0..10000: where a key falls. The candidate serves it if and only if the bucket is below the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyBucket(pub u16);

impl KeyBucket {
    /// The bucket of a key's hash.
    #[inline]
    pub const fn of(hash: u64) -> KeyBucket {
        // The high half of a product spreads evenly, where a remainder would favour low buckets (Lemire, 2019).
        KeyBucket(((hash as u128 * 10_000) >> 64) as u16)
    }

    /// Counted from the other end.
    #[inline]
    pub const fn mirrored(self) -> KeyBucket {
        KeyBucket(9_999 - self.0)
    }
}

impl PartialEq<KeyBucket> for Weight {
    fn eq(&self, bucket: &KeyBucket) -> bool {
        self.0 == bucket.0
    }
}

impl PartialOrd<KeyBucket> for Weight {
    fn partial_cmp(&self, bucket: &KeyBucket) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(&bucket.0)
    }
}

/// The part of a service's routing that changes without the file: written by the sidecar, read by `decide`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficSplit {
    /// The environment that serves by default; the other one is the candidate.
    pub active: Environment,
    pub weight: Weight,
    /// Goes up at every rollback. It is part of the bucket's hash, so old pins become void.
    pub epoch: u32,
    /// A rollout is past preflight: the rules apply even at weight 0.
    pub live: bool,
    /// The emergency stop.
    pub stopped: bool,
    /// The routes that the rollout is limited to, by their index in the service; `default` is 0.
    pub only: Option<Vec<u32>>,
    /// Buckets count from the other end: the roles have swapped, and clients that the holdback kept on the old side
    /// stay there.
    pub mirrored: bool,
    /// The side that was active before is still what it was then, and serves again what active fails.
    pub warm: bool,
    /// What health checks say, by [`Environment::index`].
    pub up: [bool; 2],
    /// The number of the rollout within its service.
    pub rollout: u32,
    /// Only requests that could be rescued go to the candidate.
    pub cautious: bool,
    /// The candidate answers nobody at the moment, and gets no new requests.
    pub standing: bool,
    /// Copies of clients' requests go to the candidate: the number of this comparison within its rollout.
    pub shadow: Option<u32>,
    /// The versions by which pages may ask for the side that they came from, by [`Environment::index`]. They differ, and the
    /// candidate has one only if active has.
    pub pages: [Option<Arc<str>>; 2],
    /// New requests wait.
    pub hold: Option<RequestHold>,
}

/// New requests of a service wait for a while, instead of going anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHold {
    /// When it ends by itself, in milliseconds since 1970.
    pub until: u64,
    /// The most requests that wait at once.
    pub most: u32,
}

impl RequestHold {
    /// The longest, so that one that is forgotten is no outage.
    pub const LONGEST: Millis = Millis::seconds(600);
    /// How many requests wait where nothing is said: some 25 MB.
    pub const MOST: u32 = 1000;
    /// More than this nobody may ask for.
    pub const LIMIT: u32 = 100_000;
}

impl TrafficSplit {
    /// Everything to `active`.
    pub const fn resting(active: Environment) -> TrafficSplit {
        TrafficSplit {
            active,
            weight: Weight::ZERO,
            epoch: 0,
            live: false,
            stopped: false,
            only: None,
            mirrored: false,
            warm: false,
            up: [true, true],
            rollout: 0,
            cautious: false,
            standing: false,
            shadow: None,
            pages: [None, None],
            hold: None,
        }
    }

    /// Whether the weight divides the clients of a rollout among the two sides.
    pub fn divides(&self) -> bool {
        !self.weight.is_zero() && self.weight < Weight::FULL && !self.mirrored && !self.stopped
    }

    /// Whether it does, and nothing sends one side's clients elsewhere at the moment.
    pub(super) fn divides_freely(&self) -> bool {
        self.divides() && !self.standing && self.up == [true, true]
    }
}

/// Whether the `ordinal`-th request without a key goes to the candidate.
///
/// In any run of requests from the first on, the candidate gets its share to within one request. The sequence is cut
/// into strata of `10000 / weight` requests, and one request of each is chosen by hash: a plain "every tenth" would
/// fall into step with clients that repeat themselves, and a coin or a golden-ratio sequence strays further than one.
#[inline]
pub fn turn(weight: Weight, ordinal: u64) -> bool {
    let weight = u64::from(weight.0);
    if weight == 0 {
        return false;
    }
    // The sequence repeats after 10000 requests, which hold exactly `weight` strata, so no ordinal overflows.
    let (cycle, place) = (ordinal / 10_000, ordinal % 10_000);
    let stratum = place * weight / 10_000;
    let first = (stratum * 10_000).div_ceil(weight);
    let next = ((stratum + 1) * 10_000).div_ceil(weight);
    first + mix(cycle ^ stratum << 32) % (next - first) == place
}

/// splitmix64's finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
pub const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_the_draw_is_exact_to_within_one() {
        for points in [1, 3, 25, 333, 1000, 2500, 3333, 5000, 6667, 7500, 9000, 9999, 10_000] {
            let weight = Weight::from_basis_points(points).unwrap();
            let mut chosen = 0_u64;
            for ordinal in 0..30_000 {
                chosen += u64::from(turn(weight, ordinal));
                let fair = (ordinal + 1) * u64::from(points);
                assert!(chosen * 10_000 + 10_000 > fair && chosen * 10_000 < fair + 10_000, "{points} at {ordinal}");
            }
        }
    }

    #[test]
    fn the_draw_does_not_lock_in_step_with_a_client_that_repeats_itself() {
        let weight = Weight::from_percent(10.0).unwrap();
        for offset in 0..10 {
            let hits = (0..1000).filter(|n| turn(weight, n * 10 + offset)).count();
            assert!((50..=150).contains(&hits), "every tenth request from {offset}: {hits} of 1000");
        }
    }

    #[test]
    fn weights_are_percentages_with_two_decimals() {
        assert_eq!(Weight::from_percent(0.25).unwrap().basis_points(), 25);
        assert_eq!(Weight::from_percent(33.33).unwrap().basis_points(), 3333);
        assert_eq!(Weight::from_percent(100.0).unwrap(), Weight::FULL);
        for percent in [-1.0, 100.01, 0.001, f64::NAN, f64::INFINITY] {
            assert!(Weight::from_percent(percent).is_err(), "{percent}");
        }
        let printed: Vec<_> =
            [0, 25, 50, 1000, 1050].map(|p| Weight::from_basis_points(p).unwrap().to_string()).to_vec();
        assert_eq!(printed, ["0 %", "0.25 %", "0.5 %", "10 %", "10.5 %"]);
    }
}
