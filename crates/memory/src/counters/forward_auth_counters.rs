//! What auth services have said of a service's requests, and how long they took.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use judgement::guard::latency::{BUCKETS, bucket_of};
use strum::{IntoStaticStr, VariantArray};

use crate::counters::LatencyTotals;

/// What has come of a question to an auth service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ForwardAuthOutcome {
    /// The request goes on.
    Allowed,
    /// The client has the auth service's answer.
    Denied,
    /// There was no connection.
    Unreachable,
    Timeout,
    /// What came was no answer, or too long.
    Invalid,
    /// The client left before there was an answer.
    Aborted,
}

impl ForwardAuthOutcome {
    pub const ALL: &'static [ForwardAuthOutcome] = ForwardAuthOutcome::VARIANTS;

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }
}

/// Written by all workers together: what is counted here has cost an exchange with another server.
#[derive(Debug)]
pub struct ForwardAuthCounters {
    outcomes: [AtomicU64; ForwardAuthOutcome::ALL.len()],
    /// Of answers.
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl Default for ForwardAuthCounters {
    fn default() -> ForwardAuthCounters {
        ForwardAuthCounters {
            outcomes: Default::default(),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            micros: AtomicU64::new(0),
        }
    }
}

impl ForwardAuthCounters {
    /// `micros`: how long the auth service was asked.
    pub fn count(&self, outcome: ForwardAuthOutcome, micros: u64) {
        self.outcomes.get(outcome as usize).into_iter().for_each(|count| _ = count.fetch_add(1, Relaxed));
        if matches!(outcome, ForwardAuthOutcome::Allowed | ForwardAuthOutcome::Denied) {
            self.buckets.get(bucket_of(micros)).into_iter().for_each(|count| _ = count.fetch_add(1, Relaxed));
            self.micros.fetch_add(micros, Relaxed);
        }
    }

    pub fn counted(&self, outcome: ForwardAuthOutcome) -> u64 {
        self.outcomes.get(outcome as usize).map_or(0, |count| count.load(Relaxed))
    }

    /// How long answers took.
    pub fn latency(&self) -> LatencyTotals {
        let mut seen = LatencyTotals { sum_micros: self.micros.load(Relaxed), ..LatencyTotals::default() };
        seen.buckets.iter_mut().zip(&self.buckets).for_each(|(seen, count)| *seen = count.load(Relaxed));
        seen
    }

    /// Every count by its name and its place among those of the name.
    pub(super) fn totals(&self) -> impl Iterator<Item = (&'static str, usize, &AtomicU64)> {
        let outcomes =
            ForwardAuthOutcome::ALL.iter().zip(&self.outcomes).map(|(known, count)| (known.name(), 0, count));
        let buckets = self.buckets.iter().enumerate().map(|(place, count)| ("bucket", place, count));
        outcomes.chain(buckets).chain([("micros", 0, &self.micros)])
    }
}
