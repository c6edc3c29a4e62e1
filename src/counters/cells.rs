//! What is counted of one environment on one route: classes, failures by cause, rescues, latencies.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::counters::Shard;
use crate::guard::latency::{BUCKETS, bucket_of};
use crate::guard::window::{Counts, Totals};
use crate::traffic::Environment;

/// How an attempt at an environment ended, as Prometheus names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Informational,
    Success,
    Redirect,
    ClientError,
    ServerError,
    /// No answer came: see the failure's cause.
    None,
    /// The client hung up first: counts for nobody.
    Aborted,
}

impl Class {
    pub const ALL: [(Class, &'static str); 7] = [
        (Class::Informational, "1xx"),
        (Class::Success, "2xx"),
        (Class::Redirect, "3xx"),
        (Class::ClientError, "4xx"),
        (Class::ServerError, "5xx"),
        (Class::None, "none"),
        (Class::Aborted, "aborted"),
    ];

    pub const fn of_status(status: u16) -> Class {
        match status {
            0..=199 => Class::Informational,
            200..=299 => Class::Success,
            300..=399 => Class::Redirect,
            400..=499 => Class::ClientError,
            _ => Class::ServerError,
        }
    }
}

/// Why an attempt counts as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or no address to connect to.
    Connect,
    Tls,
    Timeout,
    /// Closed or broken before the answer's head was whole, or no HTTP.
    Reset,
    /// Closed or broken in mid-body: the client has seen a status that said otherwise.
    Truncated,
    /// 502, 503 or 504.
    Unavailable,
    /// Any other 5xx.
    Error,
}

impl Failure {
    pub const ALL: [(Failure, &'static str); 7] = [
        (Failure::Connect, "connect"),
        (Failure::Tls, "tls"),
        (Failure::Timeout, "timeout"),
        (Failure::Reset, "reset"),
        (Failure::Truncated, "truncated"),
        (Failure::Unavailable, "unavailable"),
        (Failure::Error, "error"),
    ];

    /// The failure that a status is, if it is one.
    pub const fn of_status(status: u16) -> Option<Failure> {
        match status {
            502..=504 => Some(Failure::Unavailable),
            500..=599 => Some(Failure::Error),
            _ => None,
        }
    }

    const fn is_unavailable(self) -> bool {
        !matches!(self, Failure::Truncated | Failure::Error)
    }
}

/// One attempt at an environment.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub class: Class,
    pub failure: Option<Failure>,
    /// From dispatch to the answer's head, in microseconds; counted for answers that did not fail.
    pub upstream_micros: u64,
    /// From the request's head to the end of the answer, in microseconds; zero: somebody else answered the client.
    pub request_micros: u64,
}

/// Latencies by bucket, and their sum in microseconds.
#[derive(Debug)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    const fn new() -> Histogram {
        Histogram { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }

    #[inline]
    fn record(&self, micros: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(micros, Relaxed);
    }

    fn add_to(&self, seen: &mut Latencies) {
        seen.sum_micros += self.sum.load(Relaxed);
        seen.buckets.iter_mut().zip(&self.buckets).for_each(|(sum, part)| *sum += part.load(Relaxed));
    }
}

/// One shard's counts of one environment on one route. Padded to two cache lines: neighbours are fetched in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Cell {
    classes: [AtomicU64; Class::ALL.len()],
    failures: [AtomicU64; Failure::ALL.len()],
    rescued: AtomicU64,
    upstream: Histogram,
    request: Histogram,
}

impl Cell {
    fn new() -> Box<Cell> {
        Box::new(Cell {
            classes: [const { AtomicU64::new(0) }; Class::ALL.len()],
            failures: [const { AtomicU64::new(0) }; Failure::ALL.len()],
            rescued: AtomicU64::new(0),
            upstream: Histogram::new(),
            request: Histogram::new(),
        })
    }
}

/// Everything counted of one environment on one route, over all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub classes: [u64; Class::ALL.len()],
    pub failures: [u64; Failure::ALL.len()],
    pub rescued: u64,
    pub upstream: Latencies,
    pub request: Latencies,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies {
    pub buckets: [u64; BUCKETS],
    pub sum_micros: u64,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { buckets: [0; BUCKETS], sum_micros: 0 }
    }
}

impl Default for Seen {
    fn default() -> Seen {
        let (classes, failures) = ([0; Class::ALL.len()], [0; Failure::ALL.len()]);
        Seen { classes, failures, rescued: 0, upstream: Latencies::default(), request: Latencies::default() }
    }
}

/// The counters of one route of one service.
#[derive(Debug)]
pub struct RouteCounters {
    /// By shard, then by environment and whether the guard judges: requests of override rules are kept apart.
    shards: Box<[[OnceLock<Box<Cell>>; 4]]>,
}

impl RouteCounters {
    pub(super) fn new(shards: usize) -> RouteCounters {
        RouteCounters { shards: (0..shards).map(|_| Default::default()).collect() }
    }

    #[inline]
    fn cell(&self, shard: Shard, environment: Environment, judged: bool) -> Option<&Cell> {
        let place = environment.index() * 2 + usize::from(judged);
        self.shards.get(shard.0)?.get(place).map(|cell| &**cell.get_or_init(Cell::new))
    }

    /// Counts an attempt. A handful of increments on lines that only this worker writes.
    #[inline]
    pub fn record(&self, shard: Shard, environment: Environment, judged: bool, outcome: Outcome) {
        let Some(cell) = self.cell(shard, environment, judged) else { return };
        if let Some(class) = cell.classes.get(outcome.class as usize) {
            class.fetch_add(1, Relaxed);
        }
        match outcome.failure {
            Some(failure) => {
                if let Some(count) = cell.failures.get(failure as usize) {
                    count.fetch_add(1, Relaxed);
                }
            }
            None if outcome.class != Class::Aborted => cell.upstream.record(outcome.upstream_micros),
            None => {}
        }
        if outcome.request_micros > 0 {
            cell.request.record(outcome.request_micros);
        }
    }

    /// Counts a failed attempt whose request was served again by the other environment.
    pub fn record_rescue(&self, shard: Shard, environment: Environment, judged: bool) {
        if let Some(cell) = self.cell(shard, environment, judged) {
            cell.rescued.fetch_add(1, Relaxed);
        }
    }

    fn cells(&self, environment: Environment) -> impl Iterator<Item = (&Cell, bool)> {
        self.shards.iter().flat_map(move |shard| {
            [false, true].into_iter().filter_map(move |judged| {
                let cell = shard.get(environment.index() * 2 + usize::from(judged))?.get()?;
                Some((&**cell, judged))
            })
        })
    }

    /// What was counted, judged or not; `None` where nothing ever was.
    pub fn seen(&self, environment: Environment) -> Option<Seen> {
        let mut all = None;
        for (cell, _) in self.cells(environment) {
            let seen = all.get_or_insert_with(Seen::default);
            seen.classes.iter_mut().zip(&cell.classes).for_each(|(sum, part)| *sum += part.load(Relaxed));
            seen.failures.iter_mut().zip(&cell.failures).for_each(|(sum, part)| *sum += part.load(Relaxed));
            seen.rescued += cell.rescued.load(Relaxed);
            cell.upstream.add_to(&mut seen.upstream);
            cell.request.add_to(&mut seen.request);
        }
        all
    }

    /// What the guard judges by, of both environments; `None` where it never had anything to judge.
    pub fn judged(&self) -> Option<[Totals; 2]> {
        let any = Environment::BOTH.into_iter().any(|side| self.cells(side).any(|(_, judged)| judged));
        any.then(|| Environment::BOTH.map(|side| self.totals(side)))
    }

    /// What the guard judges by, of one environment.
    pub fn totals(&self, environment: Environment) -> Totals {
        let mut totals = Totals::default();
        for (cell, _) in self.cells(environment).filter(|(_, judged)| *judged) {
            // Failures first: an answer that is counted in between is then a good one, never a failure without answer.
            let mut counts = Counts::default();
            for ((failure, _), count) in Failure::ALL.iter().zip(&cell.failures) {
                let count = count.load(Relaxed);
                counts.failed += count;
                counts.unavailable += if failure.is_unavailable() { count } else { 0 };
            }
            for ((class, _), count) in Class::ALL.iter().zip(&cell.classes) {
                counts.answers += if *class == Class::Aborted { 0 } else { count.load(Relaxed) };
            }
            totals.counts.answers += counts.answers;
            totals.counts.failed += counts.failed;
            totals.counts.unavailable += counts.unavailable;
            let latency = totals.latency.iter_mut().zip(&cell.upstream.buckets);
            latency.for_each(|(sum, part)| *sum += part.load(Relaxed));
        }
        totals
    }
}
