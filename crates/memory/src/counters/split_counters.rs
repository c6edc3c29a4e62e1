//! What a service's split sends by the weight alone, so that the guard can see whether it sends what it promises.
//!
//! Counts are kept by weight: a request counts at the weight of its own snapshot, however long it takes. A client counts
//! once, by its first request: which bit of a table its key falls on has nothing to do with its bucket, so keys that
//! share a bit thin both sides out alike. Nothing is stored about a client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use judgement::guard::sample_ratio::{FEW, SplitArrivals, WeightArrivals};
use judgement::traffic::Environment;
use judgement::traffic::split::{TrafficSplit, Weight};
use judgement::traffic::sticky::StickyBy;
use parking_lot::Mutex;

use crate::counters::Shard;
use crate::counters::worker_count::{SmallWorkerCount, WorkerCount};

/// So many clients have a bit of their own: 16 KiB. With as many clients, two in three of new ones are still counted.
const CLIENT_BITS: usize = 1 << 17;
/// Groups of clients, by which those that send most are found.
const GROUPS: usize = 256;
/// The weights that are remembered: a rollout has fewer steps than this.
const WEIGHTS: usize = 16;

/// Which clients fall where: another rollout, epoch or active side draws anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SplitTag {
    rollout: u32,
    epoch: u32,
    active: Environment,
}

/// What one rollout of a service has sent.
#[derive(Debug)]
pub struct SplitCounters {
    tag: SplitTag,
    /// Created by the first key.
    seen: OnceLock<Box<[AtomicU64]>>,
    /// Requests by group of clients; by shard, created by its first key.
    groups: Box<[OnceLock<Box<ClientGroups>>]>,
    /// Locked when a snapshot is published and when the judge looks.
    tallies: Mutex<VecDeque<WeightTally>>,
}

#[derive(Debug)]
#[repr(align(128))]
struct ClientGroups([SmallWorkerCount; GROUPS]);

/// What was sent at one weight.
#[derive(Debug)]
struct WeightTally {
    weight: Weight,
    shards: Arc<[TallyCell]>,
}

/// One shard's counts: a request is in one of the first three, so that it costs one addition. Pairs are active's and the
/// candidate's.
#[derive(Debug, Default)]
#[repr(align(128))]
struct TallyCell {
    keyless: [WorkerCount; 2],
    firsts: [WorkerCount; 2],
    repeats: [WorkerCount; 2],
    decisions_left: [WorkerCount; 2],
    repeats_left: [WorkerCount; 2],
}

/// Where requests of a snapshot are counted.
#[derive(Clone, Debug)]
pub struct SplitTally {
    counters: Arc<SplitCounters>,
    shards: Arc<[TallyCell]>,
}

/// A request that was counted as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitArrival {
    candidate: bool,
    /// It was an independent decision: its client's first request, or one without a key.
    decides: bool,
}

impl SplitTally {
    /// Counts a request that the weight alone has sent to a side.
    #[inline]
    pub fn sent(&self, shard: Shard, candidate: bool, key: Option<u64>) -> Option<SplitArrival> {
        let cell = self.shards.get(shard.0)?;
        let is_first = key.map(|key| self.counters.note(shard, key));
        let counts = match is_first {
            None => &cell.keyless,
            Some(true) => &cell.firsts,
            Some(false) => &cell.repeats,
        };
        counts.get(usize::from(candidate))?.add(1);
        Some(SplitArrival { candidate, decides: is_first != Some(false) })
    }

    /// Counts that a request that was sent has ended without an answer that counts.
    pub fn left(&self, shard: Shard, arrival: SplitArrival) {
        let (Some(cell), place) = (self.shards.get(shard.0), usize::from(arrival.candidate)) else { return };
        let counts = if arrival.decides { &cell.decisions_left } else { &cell.repeats_left };
        if let Some(count) = counts.get(place) {
            count.add(1);
        }
    }
}

impl SplitCounters {
    fn new(tag: SplitTag, shards: usize) -> SplitCounters {
        let groups = (0..shards).map(|_| OnceLock::new()).collect();
        SplitCounters { tag, seen: OnceLock::new(), groups, tallies: Mutex::default() }
    }

    /// Notes a request of a client; returns whether it is the client's first.
    #[inline]
    fn note(&self, shard: Shard, key: u64) -> bool {
        // From the lowest bits up: the bucket is the top of the same hash.
        let group = key as usize / CLIENT_BITS % GROUPS;
        if let Some(groups) = self.groups.get(shard.0)
            && let Some(count) = groups.get_or_init(ClientGroups::new).0.get(group)
        {
            count.count();
        }
        let bits = u64::BITS as usize;
        let (word, bit) = (key as usize % CLIENT_BITS / bits, 1 << (key % u64::from(u64::BITS)));
        let seen = self.seen.get_or_init(|| (0..CLIENT_BITS / bits).map(|_| AtomicU64::new(0)).collect());
        // Most clients are known, and nothing is written.
        seen.get(word).is_some_and(|word| word.load(Relaxed) & bit == 0 && word.fetch_or(bit, Relaxed) & bit == 0)
    }

    /// Where the shards count at this weight.
    fn cells(&self, weight: Weight) -> Arc<[TallyCell]> {
        let mut tallies = self.tallies.lock();
        if let Some(known) = tallies.iter().find(|tally| tally.weight == weight) {
            return known.shards.clone();
        }
        let shards: Arc<[TallyCell]> = self.groups.iter().map(|_| TallyCell::default()).collect();
        if tallies.len() == WEIGHTS {
            tallies.pop_front();
        }
        tallies.push_back(WeightTally { weight, shards: shards.clone() });
        shards
    }

    /// Everything that was counted. `sticky`: where the keys are found.
    pub fn arrivals(&self, sticky: StickyBy) -> SplitArrivals {
        let mut groups = [0_u64; GROUPS];
        for shard in self.groups.iter().filter_map(OnceLock::get) {
            groups.iter_mut().zip(&shard.0).for_each(|(sum, part)| *sum += u64::from(part.read()));
        }
        groups.sort_unstable();
        let heaviest = groups.iter().rev().take(FEW).sum();
        let weights = self.tallies.lock().iter().map(WeightTally::arrivals).collect();
        SplitArrivals { weights, heaviest, sticky }
    }
}

impl ClientGroups {
    fn new() -> Box<ClientGroups> {
        Box::new(ClientGroups([const { SmallWorkerCount::zero() }; GROUPS]))
    }
}

impl WeightTally {
    fn arrivals(&self) -> WeightArrivals {
        let mut all = WeightArrivals { weight: self.weight, ..WeightArrivals::default() };
        for cell in &*self.shards {
            let parts = all.decisions.iter_mut().zip(&mut all.requests).enumerate();
            for (place, (decisions, requests)) in parts {
                let read = |counts: &[WorkerCount; 2]| counts.get(place).map_or(0, WorkerCount::read);
                // Before what they are part of.
                let (decisions_left, repeats_left) = (read(&cell.decisions_left), read(&cell.repeats_left));
                let (keyless, firsts, repeats) = (read(&cell.keyless), read(&cell.firsts), read(&cell.repeats));
                all.keyless += keyless;
                decisions.left += decisions_left;
                decisions.sent += keyless + firsts;
                requests.left += decisions_left + repeats_left;
                requests.sent += keyless + firsts + repeats;
            }
        }
        all
    }
}

/// The counters of a service's current rollout, by service.
#[derive(Debug)]
pub(super) struct SplitRegister {
    shards: usize,
    current: Mutex<std::collections::BTreeMap<String, Arc<SplitCounters>>>,
}

impl SplitRegister {
    pub fn new(shards: usize) -> SplitRegister {
        SplitRegister { shards, current: Mutex::default() }
    }

    /// Where the requests of this split are counted; `None` where the weight alone divides nobody.
    pub fn tally(&self, service: &str, split: &TrafficSplit) -> Option<SplitTally> {
        if !split.divides() {
            // Requests that are under way keep what they need.
            self.current.lock().remove(service);
            return None;
        }
        let tag = SplitTag { rollout: split.rollout, epoch: split.epoch, active: split.active };
        let mut current = self.current.lock();
        let known = current.get(service).filter(|known| known.tag == tag).cloned();
        let counters = known.unwrap_or_else(|| {
            let new = Arc::new(SplitCounters::new(tag, self.shards));
            current.insert(service.to_owned(), new.clone());
            new
        });
        Some(SplitTally { shards: counters.cells(split.weight), counters })
    }

    /// What was counted for this split's rollout.
    pub fn counted(&self, service: &str, split: &TrafficSplit) -> Option<Arc<SplitCounters>> {
        let tag = SplitTag { rollout: split.rollout, epoch: split.epoch, active: split.active };
        self.current.lock().get(service).filter(|known| known.tag == tag).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use judgement::guard::sample_ratio::SentCounts;
    use judgement::traffic::sticky::{BucketSalt, StickyKey, hash};

    fn at(percent: f64, rollout: u32) -> TrafficSplit {
        let weight = Weight::from_percent(percent).unwrap();
        TrafficSplit { weight, rollout, ..TrafficSplit::resting(Environment::Blue) }
    }

    fn arrivals(register: &SplitRegister, rollout: u32) -> SplitArrivals {
        register.counted("shop", &at(10.0, rollout)).unwrap().arrivals(StickyBy::None)
    }

    fn hash_of(key: u64) -> u64 {
        hash(BucketSalt::of_service("shop"), 0, StickyKey::Bytes(&key.to_be_bytes()))
    }

    const fn counts(sent: u64, left: u64) -> SentCounts {
        SentCounts { sent, left }
    }

    #[test]
    fn a_client_counts_once_and_its_requests_all() {
        let register = SplitRegister::new(2);
        let tally = register.tally("shop", &at(10.0, 1)).unwrap();
        for shard in [Shard(0), Shard(1), Shard(1)] {
            let arrival = tally.sent(shard, true, Some(hash_of(17))).unwrap();
            assert_eq!(arrival.decides, shard == Shard(0));
            tally.left(shard, arrival);
        }
        let keyless = tally.sent(Shard(1), false, None).unwrap();
        tally.left(Shard(1), keyless);
        tally.sent(Shard(0), false, None);
        let seen = arrivals(&register, 1);
        let [at] = seen.weights.as_slice() else { panic!("{seen:?}") };
        assert_eq!(at.decisions, [counts(2, 1), counts(1, 1)]);
        assert_eq!(at.requests, [counts(2, 1), counts(3, 3)]);
        assert_eq!((at.keyless, seen.heaviest), (2, 3));
        assert_eq!(tally.sent(Shard(9), true, None), None, "a shard that does not exist breaks nothing");
    }

    #[test]
    fn a_request_counts_at_the_weight_of_its_own_snapshot_and_a_known_client_not_again() {
        let register = SplitRegister::new(1);
        let first = register.tally("shop", &at(10.0, 1)).unwrap();
        let second = register.tally("shop", &at(25.0, 1)).unwrap();
        first.sent(Shard(0), false, Some(hash_of(1)));
        second.sent(Shard(0), false, Some(hash_of(1)));
        second.sent(Shard(0), true, Some(hash_of(2)));
        first.sent(Shard(0), true, Some(hash_of(3)));
        let decided: Vec<_> =
            arrivals(&register, 1).weights.iter().map(|at| at.decisions.map(|side| side.sent)).collect();
        assert_eq!(decided, [[1, 1], [0, 1]]);
        assert!(Arc::ptr_eq(&register.tally("shop", &at(10.0, 1)).unwrap().shards, &first.shards));
        assert_eq!(arrivals(&register, 1).weights.len(), 2, "a weight that comes again goes on");
    }

    #[test]
    fn another_rollout_begins_anew_and_where_nobody_is_divided_nothing_is_counted() {
        let register = SplitRegister::new(1);
        register.tally("shop", &at(10.0, 1)).unwrap().sent(Shard(0), true, Some(hash_of(1)));
        let next = register.tally("shop", &at(10.0, 2)).unwrap();
        assert!(register.counted("shop", &at(10.0, 1)).is_none());
        assert!(next.sent(Shard(0), true, Some(hash_of(1))).unwrap().decides);
        for split in [at(0.0, 2), at(100.0, 2), TrafficSplit { mirrored: true, ..at(10.0, 2) }] {
            assert!(register.tally("shop", &split).is_none());
        }
        assert!(register.counted("shop", &at(10.0, 2)).is_none(), "it is forgotten with the rollout");
        for points in 1..100 {
            register.tally("shop", &at(f64::from(points), 2));
        }
        assert_eq!(arrivals(&register, 2).weights.len(), WEIGHTS);
    }

    #[test]
    fn a_full_table_thins_both_sides_out_alike() {
        let register = SplitRegister::new(1);
        let (split, weight) = (at(10.0, 1), at(10.0, 1).weight);
        let tally = register.tally("shop", &split).unwrap();
        for key in 0..300_000 {
            let hashed = hash_of(key);
            tally.sent(Shard(0), weight > judgement::traffic::split::KeyBucket::of(hashed), Some(hashed));
        }
        let seen = arrivals(&register, 1);
        let [active, candidate] = seen.weights[0].decisions.map(|side| side.sent);
        assert!((110_000..131_072).contains(&(active + candidate)), "{active} + {candidate}");
        let reading = seen.reading(["blue", "green"]);
        assert!(reading.mismatch.is_none() && reading.evidence < 20.0, "{reading:?}");
        assert!(seen.heaviest < 300_000 / 20, "{}", seen.heaviest);
    }
}
