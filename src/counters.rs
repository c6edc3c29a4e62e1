//! Counters: what the proxy writes and everybody else reads. The only atomics of the house.
//!
//! They only grow, and they outlive a reload: the guard's windows are differences of the same numbers that Prometheus
//! shows. A worker has a shard of its own, so an increment meets no other core; a shard's cell is made by its first
//! request, so a thousand services that nobody asks for cost nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::guard::latency::{BUCKETS, bucket_of};
use crate::guard::window::{Counts, Totals};
use crate::time::Millis;
use crate::traffic::Environment;

/// A worker's place in every sharded counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard(pub usize);

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
    fn new(shards: usize) -> RouteCounters {
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

    /// What the guard judges by.
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

/// Whose turn it is: an ordinal for each worker, counting up from a place of its own.
#[derive(Debug)]
pub struct Turns {
    shards: Box<[Padded]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Padded(AtomicU64);

impl Turns {
    pub fn new(shards: usize) -> Turns {
        // Far apart and whole cycles of the draw: each worker's sequence is exact, and no two are the same.
        let first = |shard: usize| shard as u64 * (10_000 << 32);
        Turns { shards: (0..shards).map(|shard| Padded(AtomicU64::new(first(shard)))).collect() }
    }

    #[inline]
    pub fn next(&self, shard: Shard) -> u64 {
        self.shards.get(shard.0).map_or(0, |turn| turn.0.fetch_add(1, Relaxed))
    }
}

/// How many rescues a service may still make: a fifth of what active answers, at least ten a second, over ten seconds.
///
/// Asked only when a request has failed, so it may sum over shards and share one cache line.
#[derive(Debug, Default)]
pub struct RescueBudget {
    opened: AtomicU64,
    answers_at_opening: AtomicU64,
    last_window: AtomicU64,
    spent: AtomicU64,
}

impl RescueBudget {
    const WINDOW: Millis = Millis::seconds(10);
    const AT_LEAST: u64 = 100;

    /// Takes one rescue out of the budget, if there is one left. `answers`: of the active environment, ever.
    pub fn take(&self, now: Millis, answers: impl Fn() -> u64) -> bool {
        let opened = self.opened.load(Relaxed);
        if now.since(Millis(opened)) >= RescueBudget::WINDOW
            && self.opened.compare_exchange(opened, now.0, Relaxed, Relaxed).is_ok()
        {
            let answers = answers();
            let before = self.answers_at_opening.swap(answers, Relaxed);
            self.last_window.store(answers.saturating_sub(before), Relaxed);
            self.spent.store(0, Relaxed);
        }
        let spent = self.spent.fetch_add(1, Relaxed);
        if spent < RescueBudget::AT_LEAST {
            return true;
        }
        let in_this = answers().saturating_sub(self.answers_at_opening.load(Relaxed));
        spent < in_this.max(self.last_window.load(Relaxed)) / 5
    }
}

/// An endpoint that refuses connections rests for a while: the others are asked first.
#[derive(Debug, Default)]
pub struct Rest(AtomicU64);

impl Rest {
    /// As nginx's `fail_timeout`.
    const LENGTH: Millis = Millis::seconds(10);

    pub fn begin(&self, now: Millis) {
        self.0.store(now.plus(Rest::LENGTH).0, Relaxed);
    }

    pub fn end(&self) {
        if self.0.load(Relaxed) != 0 {
            self.0.store(0, Relaxed);
        }
    }

    #[inline]
    pub fn is_on(&self, now: impl Fn() -> Millis) -> bool {
        // The clock is asked only for an endpoint that has failed before.
        let until = self.0.load(Relaxed);
        until != 0 && now().0 < until
    }
}

/// Wakes the sidecar early: rung by failing requests, heard once until the sidecar has looked.
#[derive(Debug, Default)]
pub struct Alarm(AtomicBool);

impl Alarm {
    /// True for the first who rings since the sidecar last looked: that one has to wake it.
    #[inline]
    pub fn ring(&self) -> bool {
        !self.0.load(Relaxed) && !self.0.swap(true, Relaxed)
    }

    pub fn quiet(&self) {
        self.0.store(false, Relaxed);
    }
}

/// Requests that were answered without asking an origin, and other numbers of the whole process.
#[derive(Debug, Default)]
pub struct Process {
    pub refused_unknown_host: AtomicU64,
    pub refused_bad_host: AtomicU64,
    pub refused_bad_path: AtomicU64,
    pub connections_opened: AtomicU64,
    pub connections_closed: AtomicU64,
    pub reloads_taken: AtomicU64,
    pub reloads_refused: AtomicU64,
    pub journal_errors: AtomicU64,
    pub journal_waiting: AtomicU64,
    pub journal_dropped: AtomicU64,
    pub resolve_errors: AtomicU64,
    pub sidecar_panics: AtomicU64,
    /// When the sidecar last finished a round, on the monotonic clock in milliseconds.
    pub sidecar_seen: AtomicU64,
    pub sidecar_ticks: AtomicU64,
    pub sidecar_tick_micros: AtomicU64,
    pub draining: AtomicBool,
    pub ready: AtomicBool,
}

/// Adds one to a number of the process.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Adds to a number of the process.
pub fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Relaxed);
}

/// Reads a number of the process.
pub fn read(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

/// Sets a number of the process that is no counter.
pub fn set(number: &AtomicU64, value: u64) {
    number.store(value, Relaxed);
}

pub fn raise(flag: &AtomicBool, value: bool) {
    flag.store(value, Relaxed);
}

pub fn is_raised(flag: &AtomicBool) -> bool {
    flag.load(Relaxed)
}

/// Every counter by name, for as long as the process lives. Its locks are taken at a reload and at a scrape, never by a
/// request: a snapshot holds the counters that its routes need.
#[derive(Debug)]
pub struct Counters {
    shards: usize,
    routes: Mutex<BTreeMap<(String, String), Arc<RouteCounters>>>,
    turns: Mutex<BTreeMap<(String, String), Arc<Turns>>>,
    budgets: Mutex<BTreeMap<String, Arc<RescueBudget>>>,
    rollbacks: Mutex<BTreeMap<(String, String), u64>>,
    pub process: Process,
    pub alarm: Alarm,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock is held cannot leave a map of Arcs half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counters {
    pub fn new(shards: usize) -> Counters {
        Counters {
            shards,
            routes: Mutex::default(),
            turns: Mutex::default(),
            budgets: Mutex::default(),
            rollbacks: Mutex::default(),
            process: Process::default(),
            alarm: Alarm::default(),
        }
    }

    pub fn route(&self, service: &str, route: &str) -> Arc<RouteCounters> {
        let key = (service.to_owned(), route.to_owned());
        locked(&self.routes).entry(key).or_insert_with(|| Arc::new(RouteCounters::new(self.shards))).clone()
    }

    /// The sequence of this name within a service.
    pub fn turns(&self, service: &str, name: &str) -> Arc<Turns> {
        let key = (service.to_owned(), name.to_owned());
        locked(&self.turns).entry(key).or_insert_with(|| Arc::new(Turns::new(self.shards))).clone()
    }

    pub fn budget(&self, service: &str) -> Arc<RescueBudget> {
        locked(&self.budgets).entry(service.to_owned()).or_default().clone()
    }

    /// Counts a rollback by the name of its reason.
    pub fn count_rollback(&self, service: &str, reason: &str) {
        *locked(&self.rollbacks).entry((service.to_owned(), reason.to_owned())).or_default() += 1;
    }

    pub fn rollbacks(&self) -> BTreeMap<(String, String), u64> {
        locked(&self.rollbacks).clone()
    }

    /// Every route that was ever loaded: `(service, route)` and its counters.
    pub fn routes(&self) -> Vec<((String, String), Arc<RouteCounters>)> {
        locked(&self.routes).iter().map(|(key, counters)| (key.clone(), counters.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16) -> Outcome {
        let failure = Failure::of_status(status);
        Outcome { class: Class::of_status(status), failure, upstream_micros: 1000, request_micros: 2000 }
    }

    #[test]
    fn totals_leave_out_overrides_and_clients_that_hung_up() {
        let counters = Counters::new(2);
        let route = counters.route("shop", "api");
        for shard in [Shard(0), Shard(1)] {
            route.record(shard, Environment::Green, true, outcome(200));
            route.record(shard, Environment::Green, true, outcome(503));
            route.record(shard, Environment::Green, false, outcome(500));
        }
        let aborted = Outcome { class: Class::Aborted, failure: None, ..outcome(200) };
        route.record(Shard(0), Environment::Green, true, aborted);
        let totals = counters.route("shop", "api").totals(Environment::Green);
        assert_eq!(totals.counts, Counts { answers: 4, failed: 2, unavailable: 2 });
        assert_eq!(totals.latency.iter().sum::<u64>(), 2, "failures and aborts have no latency");
        let seen = route.seen(Environment::Green).unwrap();
        assert_eq!(seen.classes, [0, 2, 0, 0, 4, 0, 1]);
        assert_eq!(route.seen(Environment::Blue), None);
    }

    #[test]
    fn a_shard_that_does_not_exist_counts_nothing_and_breaks_nothing() {
        let route = RouteCounters::new(1);
        route.record(Shard(7), Environment::Blue, true, outcome(200));
        assert_eq!(route.totals(Environment::Blue), Totals::default());
    }

    #[test]
    fn the_rescue_budget_is_a_hundred_or_a_fifth_in_ten_seconds() {
        let budget = RescueBudget::default();
        let taken = |at: u64, answers: u64| (0..10_000).filter(|_| budget.take(Millis(at), || answers)).count();
        assert_eq!(taken(1_000, 0), 100);
        assert_eq!(taken(5_000, 0), 0, "spent");
        let next = RescueBudget::default();
        assert!(next.take(Millis(20_000), || 1_000));
        let left = (0..10_000).filter(|_| next.take(Millis(21_000), || 11_000)).count();
        assert_eq!(left, 1_999, "a fifth of the ten thousand answered since");
    }

    #[test]
    fn the_alarm_is_heard_once_until_it_is_quiet() {
        let alarm = Alarm::default();
        assert!(alarm.ring() && !alarm.ring());
        alarm.quiet();
        assert!(alarm.ring());
    }
}
