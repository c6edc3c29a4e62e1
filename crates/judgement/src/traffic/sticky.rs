//! Stickiness: the key that identifies a client, and the bucket that it falls into.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::hex;
use crate::traffic::names::FieldName;
use crate::traffic::split::{KeyBucket, Weight, mix};

/// Where a client's key is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickyBy {
    None,
    /// A cookie of this name, set by Cutover if the client has none.
    Cookie(String),
    /// A header that the client sends.
    Header(FieldName),
    ClientAddress,
}

/// A key as the request carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StickyKey<'a> {
    Bytes(&'a [u8]),
    Address(std::net::IpAddr),
}

/// Keeps the buckets of one service apart from another's: stable over restarts, versions and hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketSalt(u64);

impl BucketSalt {
    pub fn of_service(name: &str) -> BucketSalt {
        let mut hash = SipHasher13::new_with_keys(0x6375_746f_7665_7221, 0);
        hash.write(name.as_bytes());
        BucketSalt(hash.finish())
    }
}

/// The hash of a key, `siphash(service salt, rollout epoch, key)`, from which its bucket is derived.
///
/// SipHash-1-3 keyed by salt and epoch (Aumasson, Bernstein, 2012) is stable across versions.
#[inline]
pub fn hash(salt: BucketSalt, epoch: u32, key: StickyKey<'_>) -> u64 {
    let mut hash = SipHasher13::new_with_keys(salt.0, u64::from(epoch));
    match key {
        StickyKey::Bytes(bytes) => hash.write(bytes),
        StickyKey::Address(std::net::IpAddr::V4(address)) => hash.write(&address.octets()),
        StickyKey::Address(std::net::IpAddr::V6(address)) => hash.write(&address.octets()),
    }
    hash.finish()
}

/// The bucket of a key: its hash, reduced to 0..10000.
///
/// It does not depend on the weight: a client whose bucket is under 10 % is under 25 % too, so raising a weight never
/// moves anyone back.
#[inline]
pub fn bucket(salt: BucketSalt, epoch: u32, key: StickyKey<'_>) -> KeyBucket {
    KeyBucket::of(hash(salt, epoch, key))
}

/// A fresh key for a client that was just served by the candidate or by the active environment, as 16 hex digits, and
/// its hash.
///
/// Keys are tried from `seed` on until one falls on the side that the draw chose, so the draw stays exact and the pin
/// agrees with it. A share of `w` needs `1/w` tries, but occurs once in `1/w` clients: two tries per client on average.
pub fn fresh_key(salt: BucketSalt, epoch: u32, weight: Weight, candidate: bool, seed: u64) -> ([u8; 16], u64) {
    // Enough for a weight of 0.01 %: the chance that a hundred thousand keys all miss it is one in 22,000.
    const TRIES: u64 = 100_000;
    let (mut text, mut hashed) = ([0; 16], 0);
    // Mixed once, so that neighbouring seeds do not walk over each other's keys.
    let first = mix(seed);
    for attempt in 0..TRIES {
        text = hex::digits(&mix(first.wrapping_add(attempt)).to_be_bytes());
        hashed = hash(salt, epoch, StickyKey::Bytes(&text));
        if (weight > KeyBucket::of(hashed)) == candidate {
            break;
        }
    }
    (text, hashed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_even_and_change_with_the_epoch() {
        let salt = BucketSalt::of_service("shop");
        let under = |epoch, limit| {
            (0..100_000_u32).filter(|n| bucket(salt, epoch, StickyKey::Bytes(&n.to_be_bytes())).0 < limit).count()
        };
        assert!((9_600..10_400).contains(&under(0, 1000)), "{}", under(0, 1000));
        let both = (0..100_000_u32)
            .filter(|n| [0, 1].iter().all(|epoch| bucket(salt, *epoch, StickyKey::Bytes(&n.to_be_bytes())).0 < 1000))
            .count();
        assert!((800..1200).contains(&both), "a new epoch draws anew: {both} of 10,000 stay");
    }

    #[test]
    fn buckets_are_the_same_in_every_version() {
        let salt = BucketSalt::of_service("shop");
        let buckets: Vec<u16> =
            ["", "a", "user-17"].map(|k| bucket(salt, 3, StickyKey::Bytes(k.as_bytes())).0).to_vec();
        assert_eq!(buckets, BUCKETS_OF_0_1);
    }
    const BUCKETS_OF_0_1: [u16; 3] = [9304, 9883, 7515];

    #[test]
    fn a_fresh_key_lands_where_the_draw_went() {
        let salt = BucketSalt::of_service("shop");
        for points in [1, 100, 5000, 9999] {
            let weight = Weight::from_basis_points(points).unwrap();
            for seed in 0..20 {
                for candidate in [true, false] {
                    let (key, hashed) = fresh_key(salt, 1, weight, candidate, mix(seed));
                    assert_eq!(hashed, hash(salt, 1, StickyKey::Bytes(&key)));
                    assert_eq!(weight > bucket(salt, 1, StickyKey::Bytes(&key)), candidate, "{points} {seed}");
                }
            }
        }
    }
}
