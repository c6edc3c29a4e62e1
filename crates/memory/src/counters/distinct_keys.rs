//! How many clients have reached the candidate: distinct sticky keys, estimated in four kilobytes.
//!
//! A HyperLogLog (Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the analysis of a near-optimal cardinality
//! estimation algorithm", 2007) rather than a set of keys: its size does not depend on the traffic, and it stores
//! nothing about a client. The standard error is 1.04/32, or 3.3 %.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const INDEX_BITS: u32 = 10;
const REGISTERS: usize = 1 << INDEX_BITS;
const RANK_BITS: u32 = 6;

/// The keys of one rollout after another.
#[derive(Debug, Default)]
pub struct DistinctKeys {
    /// The rollout's number in the high bits, the highest rank of its keys in the low bits, so a new rollout clears a
    /// register by writing to it. Created by the first key, so a service without a rollout costs nothing.
    registers: OnceLock<Box<[AtomicU32; REGISTERS]>>,
}

impl DistinctKeys {
    /// Notes that a client has reached the candidate of this rollout. Rollouts have ascending numbers.
    ///
    /// Most keys are already known or rank lower than another; then this is one read of a line that all workers share.
    #[inline]
    pub fn note(&self, rollout: u32, hash: u64) {
        // From the lowest bit up: a bucket is the top of the same hash, and the candidate's keys are all in low
        // buckets.
        let registers = self.registers.get_or_init(|| Box::new([const { AtomicU32::new(0) }; REGISTERS]));
        let rest = hash >> INDEX_BITS | 1 << (u64::BITS - INDEX_BITS);
        let noted = rollout << RANK_BITS | (rest.trailing_zeros() + 1);
        if let Some(register) = registers.get(hash as usize % REGISTERS)
            && register.load(Relaxed) < noted
        {
            register.fetch_max(noted, Relaxed);
        }
    }

    /// The estimated number of distinct keys that have reached this rollout's candidate.
    pub fn estimate(&self, rollout: u32) -> u64 {
        let Some(registers) = self.registers.get() else { return 0 };
        let (mut sum, mut empty) = (0.0, 0_u32);
        for register in registers.iter() {
            let noted = register.load(Relaxed);
            let rank =
                if noted >> RANK_BITS == rollout << RANK_BITS >> RANK_BITS { noted % (1 << RANK_BITS) } else { 0 };
            sum += f64::from(rank).exp2().recip();
            empty += u32::from(rank == 0);
        }
        let m = REGISTERS as f64;
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        // With few keys, the registers that none of them has hit tell more (linear counting).
        let few = raw <= 2.5 * m && empty > 0;
        (if few { m * (m / f64::from(empty)).ln() } else { raw }).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use judgement::traffic::split::KeyBucket;
    use judgement::traffic::sticky::{BucketSalt, StickyKey, hash};

    fn hash_of(key: u64) -> u64 {
        hash(BucketSalt::of_service("shop"), 0, StickyKey::Bytes(&key.to_be_bytes()))
    }

    #[track_caller]
    fn assert_near(keys: &DistinctKeys, rollout: u32, count: u64) {
        let estimate = keys.estimate(rollout);
        assert!(estimate.abs_diff(count) * 10 <= count, "{estimate} of {count}");
    }

    #[test]
    fn the_estimate_is_within_ten_percent() {
        for count in [100, 1_000, 3_000, 10_000, 100_000, 1_000_000] {
            let keys = DistinctKeys::default();
            (0..count).for_each(|key| keys.note(7, hash_of(key)));
            assert_near(&keys, 7, count);
            let estimate = keys.estimate(7);
            (0..count).for_each(|key| keys.note(7, hash_of(key)));
            assert_eq!(keys.estimate(7), estimate, "who comes again is known");
        }
    }

    #[test]
    fn keys_of_low_buckets_are_counted_as_well_as_any() {
        let keys = DistinctKeys::default();
        let exposed = (0..1_000_000).map(hash_of).filter(|hash| KeyBucket::of(*hash).0 < 100);
        let count = exposed.map(|hash| keys.note(1, hash)).count() as u64;
        assert!(count > 9_000);
        assert_near(&keys, 1, count);
    }

    #[test]
    fn a_new_rollout_starts_at_none() {
        let keys = DistinctKeys::default();
        assert_eq!(keys.estimate(0), 0);
        (0..10_000).for_each(|key| keys.note(1, hash_of(key)));
        assert_eq!(keys.estimate(2), 0);
        (0..200).for_each(|key| keys.note(2, hash_of(key)));
        assert_near(&keys, 2, 200);
        (0..10_000).for_each(|key| keys.note(1, hash_of(key)));
        assert_near(&keys, 2, 200);
    }

    #[test]
    fn the_strangest_hashes_and_rollouts_have_a_place() {
        let keys = DistinctKeys::default();
        for hash in [0, u64::MAX, 1 << 10, 1 << 63] {
            keys.note(u32::MAX, hash);
        }
        assert_eq!(keys.estimate(u32::MAX), 2, "three of the four share a place");
    }
}
