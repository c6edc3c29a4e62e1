//! Windows: what happened recently, as differences of counters that only grow.
//!
//! A ring of totals with their times rather than an exponential average: an operator can check "3 of 40 in the last 10
//! s" by hand, and an idle candidate is judged on nothing rather than on a stale average. The window moves with `now`,
//! not with the writes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::guard::latency::{BUCKETS, quantile};
use crate::guard::shape::{ODDITIES, ShapeCounts};
use crate::time::Millis;

/// Responses of one environment on one route since the process started. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerCounts {
    pub answers: u64,
    /// Of these: 5xx, refused, reset, timed out, or cut off in mid-body.
    pub failed: u64,
    /// Of these: no response from the origin itself, or 502, 503, 504.
    pub unavailable: u64,
}

impl AnswerCounts {
    pub(super) fn minus(self, earlier: AnswerCounts) -> AnswerCounts {
        AnswerCounts {
            answers: self.answers.saturating_sub(earlier.answers),
            failed: self.failed.saturating_sub(earlier.failed),
            unavailable: self.unavailable.saturating_sub(earlier.unavailable),
        }
    }
}

/// What an environment has cost its clients on one route since the process started. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientImpact {
    /// Requests sent to it and completed, including those whose client hung up.
    pub requests: u64,
    /// Of these, those whose client hung up before it was answered.
    pub left: u64,
    /// Of its failures, those that the other environment served again.
    pub rescued: u64,
    /// Of these, those that the other environment did not fail.
    pub saved: u64,
    /// Requests that it failed and whose client saw a failure.
    pub hurt: u64,
    /// Requests that went to the other environment instead because of caution.
    pub turned_away: u64,
}

impl ClientImpact {
    pub fn add(&mut self, other: &ClientImpact) {
        self.requests += other.requests;
        self.left += other.left;
        self.rescued += other.rescued;
        self.saved += other.saved;
        self.hurt += other.hurt;
        self.turned_away += other.turned_away;
    }
}

/// Cohorts on the ring: tenths of a second, 6.4 s in total. The longest wait for a stall is 5 s.
pub const COHORTS: usize = 64;
/// Groups into which clients fall by their address. As many as there are cohorts, and bits in a word.
pub const CLIENTS: usize = 64;
/// How long a cohort collects requests.
pub const COHORT: Millis = Millis(100);

/// Requests on a ring, by the tenth of a second in which they were sent. Each number only grows, and wraps: what
/// matters is the difference since the cohort opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cohorts {
    pub sent: [u32; COHORTS],
    /// Of these, those answered (the head arrived), failed or given up before the ring came round again.
    pub ended: [u32; COHORTS],
}

impl Cohorts {
    /// All that were ever sent; wraps.
    pub fn total_sent(&self) -> u32 {
        self.sent.iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }
}

impl Default for Cohorts {
    fn default() -> Cohorts {
        Cohorts { sent: [0; COHORTS], ended: [0; COHORTS] }
    }
}

/// Everything that the guard reads about one environment on one route. Only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedTotals {
    pub counts: AnswerCounts,
    pub tally: ClientImpact,
    /// Responses that did not fail, by latency bucket.
    pub latency: [u64; BUCKETS],
    pub cohorts: Cohorts,
    /// Failed rounds of the environment's health checks, which concern the whole service whatever the route.
    pub health_failures: u64,
    /// Refusals by group of clients: responses of 4xx, and 3xx but for 304. Wrap.
    pub refusals: [u32; CLIENTS],
    /// Odd responses by group of clients. Wrap.
    pub odd: [u32; CLIENTS],
    /// The same by [`Oddity`](crate::guard::shape::Oddity). Wrap.
    pub oddities: [u32; ODDITIES],
    /// Responses by shape.
    pub shapes: ShapeCounts,
    /// The groups that have ever been answered, a bit for each.
    pub clients: u64,
}

impl Default for JudgedTotals {
    fn default() -> JudgedTotals {
        JudgedTotals {
            counts: AnswerCounts::default(),
            tally: ClientImpact::default(),
            latency: [0; BUCKETS],
            cohorts: Cohorts::default(),
            health_failures: 0,
            refusals: [0; CLIENTS],
            odd: [0; CLIENTS],
            oddities: [0; ODDITIES],
            shapes: ShapeCounts::default(),
            clients: 0,
        }
    }
}

impl JudgedTotals {
    pub fn add(&mut self, other: &JudgedTotals) {
        self.counts.answers += other.counts.answers;
        self.counts.failed += other.counts.failed;
        self.counts.unavailable += other.counts.unavailable;
        self.tally.add(&other.tally);
        self.health_failures += other.health_failures;
        self.clients |= other.clients;
        let wrapping = |sums: &mut [u32; COHORTS], parts: &[u32; COHORTS]| {
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum = sum.wrapping_add(*part));
        };
        wrapping(&mut self.cohorts.sent, &other.cohorts.sent);
        wrapping(&mut self.cohorts.ended, &other.cohorts.ended);
        wrapping(&mut self.refusals, &other.refusals);
        wrapping(&mut self.odd, &other.odd);
        self.oddities.iter_mut().zip(other.oddities).for_each(|(sum, part)| *sum = sum.wrapping_add(part));
        self.shapes.add(&other.shapes);
        self.latency.iter_mut().zip(&other.latency).for_each(|(sum, more)| *sum += more);
    }
}

/// What one environment did in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSample {
    pub span: Millis,
    pub answers: u64,
    pub failed: u64,
    pub unavailable: u64,
    /// Latencies of the responses that did not fail, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<u64>,
    /// Failed rounds of health checks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub health_failures: u64,
    /// Responses that did not fail and took longer than the trigger's limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slow: u64,
    /// Responses that its share of all traffic promised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expected: u64,
    /// Responses that it would have given had there been as many as in the time before; 0 if that is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub as_before: u64,
}

impl WindowSample {
    /// Takes a quantile from the counts of its latency buckets.
    pub(super) fn take_quantile(&mut self, wanted: Quantile, counts: &[u64; BUCKETS]) {
        match wanted {
            Quantile::P50 => self.p50_us = quantile(counts, 0.50),
            Quantile::P95 => self.p95_us = quantile(counts, 0.95),
            Quantile::P99 => self.p99_us = quantile(counts, 0.99),
        }
    }
}

/// What was counted from `earlier` to `now`.
pub(super) fn difference(earlier: &[u64; BUCKETS], now: &[u64; BUCKETS]) -> [u64; BUCKETS] {
    let mut counts = *now;
    counts.iter_mut().zip(earlier).for_each(|(now, then)| *now = now.saturating_sub(*then));
    counts
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A latency quantile that a trigger watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    P50,
    P95,
    P99,
}

/// The longest window: what the ring keeps.
pub const LONGEST: Millis = Millis::seconds(60);
/// How far apart the stored latency histograms are: each is over a kilobyte.
const COARSE: Millis = Millis::seconds(1);
/// How far apart the stored counts are at least: 20 ms ticks for 60 s make 3,000 entries of 32 bytes.
const FINE: Millis = Millis(20);

/// A rush is this many failures within this time.
const RUSH: Millis = Millis::seconds(1);
const RUSH_FAILURES: u64 = 3;

/// The recent totals of one environment on one route, or on the whole service.
#[derive(Clone, Debug)]
pub struct TotalsWindow {
    counts: VecDeque<(Millis, AnswerCounts)>,
    latency: VecDeque<(Millis, Box<[u64; BUCKETS]>)>,
    /// An entry for each failed round, and one from before.
    health: VecDeque<(Millis, u64)>,
}

impl TotalsWindow {
    /// A window that opens now and ignores what was counted before.
    pub fn opened(now: Millis, totals: &JudgedTotals) -> TotalsWindow {
        TotalsWindow {
            counts: VecDeque::from([(now, totals.counts)]),
            latency: VecDeque::from([(now, Box::new(totals.latency))]),
            health: VecDeque::from([(now, totals.health_failures)]),
        }
    }

    /// Stores the totals of this tick, if anything has happened since the last one.
    pub fn observe(&mut self, now: Millis, totals: &JudgedTotals) {
        let last = self.health.back().copied().unwrap_or_default();
        if last.1 != totals.health_failures && now.since(last.0) >= FINE {
            self.health.push_back((now, totals.health_failures));
            while self.health.get(1).is_some_and(|(at, _)| now.since(*at) >= LONGEST) {
                self.health.pop_front();
            }
        }
        if self.counts.back().is_some_and(|(_, counts)| *counts == totals.counts) {
            return;
        }
        if self.counts.back().is_none_or(|(at, _)| now.since(*at) >= FINE) {
            self.counts.push_back((now, totals.counts));
            // One entry older than the longest window stays, because that window is measured from it.
            while self.counts.get(1).is_some_and(|(at, _)| now.since(*at) >= LONGEST) {
                self.counts.pop_front();
            }
        }
        if self.latency.back().is_none_or(|(at, _)| now.since(*at) >= COARSE) {
            self.latency.push_back((now, Box::new(totals.latency)));
            while self.latency.get(1).is_some_and(|(at, _)| now.since(*at) >= LONGEST) {
                self.latency.pop_front();
            }
        }
    }

    /// What happened in the last `span`, or since the window opened if that is less, with this quantile of the latency.
    pub fn last(&self, span: Millis, now: Millis, totals: &JudgedTotals, latency: Option<Quantile>) -> WindowSample {
        let after = self.counts.partition_point(|(at, _)| now.since(*at) >= span);
        let from = after.checked_sub(1).and_then(|at| self.counts.get(at)).or(self.counts.front());
        let mut sample = sample_since(from, now, totals);
        let before = self.health.iter().rev().find(|(at, _)| now.since(*at) >= span).or(self.health.front());
        sample.health_failures = totals.health_failures.saturating_sub(before.map_or(0, |(_, failures)| *failures));
        let Some(wanted) = latency else { return sample };
        let from = self.latency.iter().rev().find(|(at, _)| now.since(*at) >= span).or(self.latency.front());
        if let Some((_, earlier)) = from {
            sample.take_quantile(wanted, &difference(earlier, &totals.latency));
        }
        sample
    }

    /// The shortest window of at least `span` that holds `answers`, but no longer than `reach`; counts only.
    pub fn reaching(
        &self,
        span: Millis,
        answers: u64,
        reach: Millis,
        now: Millis,
        totals: &JudgedTotals,
    ) -> WindowSample {
        let enough = |(at, counts): &&(Millis, AnswerCounts)| {
            let length = now.since(*at);
            length >= span && totals.counts.minus(*counts).answers >= answers || length >= reach
        };
        sample_since(self.counts.iter().rev().find(enough).or(self.counts.front()), now, totals)
    }

    /// If there were at least three failures within the last second: what both sides did in the shortest time that
    /// holds them.
    pub fn rush(&self, now: Millis, totals: &JudgedTotals) -> Option<WindowSample> {
        let recent = self.counts.iter().rev().take_while(|(at, _)| now.since(*at) <= RUSH);
        let mut samples = recent.map(|entry| sample_since(Some(entry), now, totals));
        samples.find(|sample| sample.failed >= RUSH_FAILURES)
    }
}

fn sample_since(from: Option<&(Millis, AnswerCounts)>, now: Millis, totals: &JudgedTotals) -> WindowSample {
    let (at, earlier) = from.copied().unwrap_or((now, totals.counts));
    let AnswerCounts { answers, failed, unavailable } = totals.counts.minus(earlier);
    WindowSample { span: now.since(at), answers, failed, unavailable, ..WindowSample::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(answers: u64, failed: u64) -> JudgedTotals {
        JudgedTotals { counts: AnswerCounts { answers, failed, unavailable: 0 }, ..JudgedTotals::default() }
    }

    #[test]
    fn a_window_is_a_difference_and_moves_with_the_clock() {
        let mut window = TotalsWindow::opened(Millis(0), &totals(1000, 10));
        for tick in 1..=200_u64 {
            window.observe(Millis(tick * 100), &totals(1000 + tick, 10 + tick / 2));
        }
        let now = Millis(20_000);
        let last = window.last(Millis::seconds(10), now, &totals(1200, 110), None);
        assert_eq!((last.span, last.answers, last.failed), (Millis::seconds(10), 100, 50));
        let idle = window.last(Millis::seconds(10), Millis::seconds(31), &totals(1200, 110), None);
        assert_eq!(idle.answers, 0, "nothing in the last ten seconds");
        let kept = window.counts.len();
        window.observe(Millis::seconds(31), &totals(1200, 110));
        assert_eq!(window.counts.len(), kept, "what does not happen is not remembered");
        let young =
            TotalsWindow::opened(now, &totals(1200, 110)).last(Millis::seconds(10), now, &totals(1205, 110), None);
        assert_eq!(young.answers, 5, "a window that just opened begins there");
    }

    #[test]
    fn failed_health_checks_are_counted_over_the_window_whatever_the_traffic() {
        let checked = |health_failures| JudgedTotals { health_failures, ..JudgedTotals::default() };
        let mut window = TotalsWindow::opened(Millis(0), &checked(7));
        let minute = |window: &TotalsWindow, at: u64, failures| {
            window.last(Millis::seconds(60), Millis::seconds(at), &checked(failures), None).health_failures
        };
        for (at, failures) in [(10, 8), (20, 9), (30, 10), (40, 11)] {
            window.observe(Millis::seconds(at), &checked(failures));
        }
        assert_eq!(minute(&window, 40, 11), 4, "those from before it was opened are left out");
        assert_eq!(minute(&window, 75, 11), 3, "the first is over a minute old");
        window.observe(Millis::seconds(200), &checked(12));
        assert_eq!(minute(&window, 200, 12), 1);
        assert!(window.health.len() <= 2);
    }

    #[test]
    fn a_reaching_window_is_as_short_as_its_answers_allow() {
        let mut window = TotalsWindow::opened(Millis(0), &totals(0, 0));
        (1..=100_u64).for_each(|tick| window.observe(Millis(tick * 100), &totals(tick, 0)));
        let now = Millis(10_000);
        let dense = window.reaching(Millis(200), 10, Millis::seconds(10), now, &totals(150, 50));
        assert_eq!(dense.span, Millis(200));
        let sparse = window.reaching(Millis(200), 30, Millis::seconds(10), now, &totals(100, 0));
        assert_eq!((sparse.span, sparse.answers), (Millis(3000), 30));
        let empty = window.reaching(Millis(200), 1000, Millis::seconds(5), now, &totals(100, 0));
        assert_eq!(empty.span, Millis::seconds(5));
    }

    #[test]
    fn memory_is_bounded_whatever_the_tick() {
        let mut window = TotalsWindow::opened(Millis(0), &totals(0, 0));
        (1..=200_000_u64).for_each(|tick| window.observe(Millis(tick), &totals(tick, 0)));
        assert!(window.counts.len() <= 3_002 && window.latency.len() <= 62);
    }
}
