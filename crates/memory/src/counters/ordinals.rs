//! The position of a request in a sequence, counted by each worker on its own.

use crate::counters::Shard;
use crate::counters::worker_count::WorkerCount;

/// Hands out ordinals: each worker counts up from its own start.
#[derive(Debug)]
pub struct OrdinalCounter {
    shards: Box<[Padded]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Padded(WorkerCount);

impl OrdinalCounter {
    pub fn new(shards: usize) -> OrdinalCounter {
        // Far apart, and whole cycles of the draw: each worker's sequence is exact, and no two are the same.
        let first = |shard: usize| shard as u64 * (10_000 << 32);
        OrdinalCounter { shards: (0..shards).map(|shard| Padded(WorkerCount::starting_at(first(shard)))).collect() }
    }

    #[inline]
    pub fn next(&self, shard: Shard) -> u64 {
        self.shards.get(shard.0).map_or(0, |turn| turn.0.add(1))
    }
}
