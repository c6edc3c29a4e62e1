//! Identifiers: different from all others of this worker, of other workers, of other processes, and from before a
//! restart.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

/// The source of a worker's identifiers: SipHash-1-3-128 of a counter, under a key chosen by the operating system.
///
/// So they are as good as random: a collision is as unlikely as with random numbers, and nobody can tell from them how
/// many requests there were. (A bijective mix never repeats within a worker, but anyone can invert it.)
#[derive(Debug)]
pub struct IdGenerator {
    keys: [u64; 2],
    turns: Cell<u64>,
}

impl Default for IdGenerator {
    fn default() -> IdGenerator {
        IdGenerator::new()
    }
}

impl IdGenerator {
    /// A source under a key of its own.
    pub fn new() -> IdGenerator {
        // The standard library's access to the system's randomness: two hashes under a key of 128 random bits.
        let random = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        IdGenerator { keys: [random(), random()], turns: Cell::new(0) }
    }

    /// 128 unique bits.
    #[inline]
    pub fn fresh(&self) -> u128 {
        let [first, second] = self.keys;
        let mut hash = SipHasher13::new_with_keys(first, second);
        hash.write_u64(self.turns.replace(self.turns.get().wrapping_add(1)));
        // All zeros mean "none" to the readers of these ids.
        u128::from(hash.finish128()).max(1)
    }

    /// 64 unique bits.
    #[inline]
    pub fn fresh_short(&self) -> u64 {
        (self.fresh() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike_within_a_worker_or_across() {
        let workers = [IdGenerator::new(), IdGenerator::new()];
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            for ids in &workers {
                assert!(seen.insert(ids.fresh()));
                assert!(seen.insert(u128::from(ids.fresh_short())));
            }
        }
    }
}
