//! The whole of a trigger's `for`, and its parts: minutes, where [`TotalsWindow`](crate::guard::window::TotalsWindow) has
//! seconds. Totals are marked sixteen times in that time, and everything is a difference of two marks.

use std::collections::VecDeque;

use crate::guard::latency::{BUCKETS, slower_than};
use crate::guard::metric::Metric;
use crate::guard::window::{AnswerCounts, JudgedTotals, WindowSample, difference};
use crate::time::Millis;

/// A `for` is looked at in so many parts.
pub const PARTS: u64 = 8;
/// Marks in each part, so that the window moves smoothly.
const MARKS_A_PART: u64 = 2;

/// The traffic of a side as its share of all traffic promises it. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PromisedTraffic {
    /// The responses of both sides, each times the side's share when it came.
    pub expected: f64,
    /// Milliseconds, each times the side's share then.
    pub offered: f64,
}

/// Both sides over the whole of one `for`; active first.
#[derive(Clone, Debug)]
pub struct LongWindow {
    pub hold: Millis,
    keeps_latency: bool,
    /// The time before it too, to compare a side with its own past.
    keeps_past: bool,
    marks: VecDeque<Mark>,
}

#[derive(Clone, Debug)]
struct Mark {
    at: Millis,
    sides: [SideMark; 2],
}

#[derive(Clone, Debug, Default)]
struct SideMark {
    counts: AnswerCounts,
    promised: PromisedTraffic,
    latency: Option<Box<[u64; BUCKETS]>>,
}

/// Both sides now: active first.
#[derive(Clone, Copy)]
pub struct SidesNow<'t> {
    pub now: Millis,
    pub totals: [&'t JudgedTotals; 2],
    pub promised: [PromisedTraffic; 2],
}

impl LongWindow {
    /// One that ignores what was counted before. `metrics`: of the triggers with this `for`.
    pub fn opened(hold: Millis, metrics: &[Metric], from: &SidesNow<'_>) -> LongWindow {
        let keeps_latency = metrics.iter().any(|metric| metric.is_latency());
        let keeps_past = metrics.contains(&Metric::ThroughputDrop);
        let mut window = LongWindow { hold, keeps_latency, keeps_past, marks: VecDeque::new() };
        window.mark(from);
        window
    }

    /// Marks the totals if it is time to.
    pub fn observe(&mut self, seen: &SidesNow<'_>) {
        let apart = (self.hold.0 / (PARTS * MARKS_A_PART)).max(1);
        if self.marks.back().is_none_or(|mark| seen.now.since(mark.at).0 >= apart) {
            self.mark(seen);
        }
        let kept = if self.keeps_past { Millis(2 * self.hold.0) } else { self.hold };
        while self.marks.get(1).is_some_and(|mark| seen.now.since(mark.at) >= kept) {
            self.marks.pop_front();
        }
    }

    fn mark(&mut self, seen: &SidesNow<'_>) {
        let sides = seen.sides().map(|side| SideMark {
            counts: side.counts,
            promised: side.promised,
            latency: self.keeps_latency.then(|| Box::new(*side.latency)),
        });
        self.marks.push_back(Mark { at: seen.now, sides });
    }

    /// The mark of this long ago; the first where there is none so old.
    fn mark_at(&self, now: Millis, ago: Millis) -> Option<&Mark> {
        let after = self.marks.partition_point(|mark| now.since(mark.at) >= ago);
        after.checked_sub(1).and_then(|at| self.marks.get(at)).or(self.marks.front())
    }

    /// Both sides over the whole, or since the window opened.
    pub fn whole(&self, seen: &SidesNow<'_>, metric: Metric, limit: f64) -> [WindowSample; 2] {
        let Some(from) = self.mark_at(seen.now, self.hold) else { return Default::default() };
        let mut samples = from.samples(seen.now, seen.sides(), metric, limit);
        let before = self.mark_at(seen.now, Millis(2 * self.hold.0)).filter(|_| metric == Metric::ThroughputDrop);
        if let Some(before) = before.filter(|before| from.at.since(before.at) >= self.hold) {
            for ((sample, promised), (from, before)) in
                samples.iter_mut().zip(seen.promised).zip(from.sides.iter().zip(&before.sides))
            {
                let offered =
                    [promised.offered - from.promised.offered, from.promised.offered - before.promised.offered];
                let answers = from.counts.answers.saturating_sub(before.counts.answers);
                sample.as_before = as_before(answers, offered);
            }
        }
        samples
    }

    /// Whether `is_past` holds of the candidate in half of the parts of the whole, the last one among them.
    pub fn is_spread(
        &self,
        seen: &SidesNow<'_>,
        metric: Metric,
        limit: f64,
        is_past: impl Fn(&WindowSample) -> bool,
    ) -> bool {
        let part = Millis(self.hold.0 / PARTS);
        let mut later: Option<&Mark> = None;
        let mut past = 0;
        for number in 1..=PARTS {
            let Some(from) = self.mark_at(seen.now, Millis(part.0 * number)) else { continue };
            let (at, [_, to]) = later.map_or_else(|| (seen.now, seen.sides()), |mark| (mark.at, mark.sides()));
            let [_, before] = from.sides();
            if is_past(&sample(at.since(from.at), [&before, &to], metric, limit)) {
                past += 1;
            } else if number == 1 {
                return false;
            }
            later = Some(from);
        }
        2 * past >= PARTS
    }
}

/// How many responses a side would have given had its traffic been as before. `offered`: now and before.
fn as_before(answers: u64, [now, before]: [f64; 2]) -> u64 {
    if before > 0.0 { (answers as f64 * now / before) as u64 } else { 0 }
}

/// What was counted of a side up to some time.
#[derive(Clone, Copy)]
struct SideThen<'t> {
    counts: AnswerCounts,
    promised: PromisedTraffic,
    latency: &'t [u64; BUCKETS],
}

impl<'t> SidesNow<'t> {
    fn sides(&self) -> [SideThen<'t>; 2] {
        let ([active, candidate], [of_active, of_candidate]) = (self.totals, self.promised);
        let then =
            |totals: &'t JudgedTotals, promised| SideThen { counts: totals.counts, promised, latency: &totals.latency };
        [then(active, of_active), then(candidate, of_candidate)]
    }
}

impl Mark {
    fn sides(&self) -> [SideThen<'_>; 2] {
        self.sides.each_ref().map(|side| SideThen {
            counts: side.counts,
            promised: side.promised,
            latency: side.latency.as_deref().unwrap_or(&NO_LATENCY),
        })
    }

    /// Both sides from this mark to another time.
    fn samples(&self, to: Millis, sides: [SideThen<'_>; 2], metric: Metric, limit: f64) -> [WindowSample; 2] {
        let [from_active, from_candidate] = self.sides();
        let [active, candidate] = sides;
        let span = to.since(self.at);
        [(from_active, active), (from_candidate, candidate)].map(|(from, to)| sample(span, [&from, &to], metric, limit))
    }
}

const NO_LATENCY: [u64; BUCKETS] = [0; BUCKETS];

fn sample(span: Millis, [from, to]: [&SideThen<'_>; 2], metric: Metric, limit: f64) -> WindowSample {
    let AnswerCounts { answers, failed, unavailable } = to.counts.minus(from.counts);
    let mut sample = WindowSample { span, answers, failed, unavailable, ..WindowSample::default() };
    match metric.quantile() {
        Some(quantile) => {
            let counts = difference(from.latency, to.latency);
            sample.take_quantile(quantile, &counts);
            sample.slow = slower_than(&counts, (1000.0 * limit) as u64);
        }
        None if metric == Metric::ThroughputDrop => {
            sample.expected = (to.promised.expected - from.promised.expected).max(0.0) as u64;
        }
        None => {}
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second a step: what each side answers and fails, and its share.
    fn run(
        hold: u64,
        metric: Metric,
        steps: impl Iterator<Item = [(u64, u64, f64); 2]>,
    ) -> (LongWindow, [WindowSample; 2]) {
        let mut totals = [JudgedTotals::default(), JudgedTotals::default()];
        let mut promised = [PromisedTraffic::default(); 2];
        let first = SidesNow { now: Millis(0), totals: totals.each_ref(), promised };
        let mut window = LongWindow::opened(Millis::seconds(hold), &[metric], &first);
        let mut samples = Default::default();
        for (second, sides) in (1..).zip(steps) {
            let all: u64 = sides.iter().map(|(answers, ..)| answers).sum();
            for ((totals, promised), (answers, failed, share)) in totals.iter_mut().zip(&mut promised).zip(sides) {
                totals.counts.answers += answers;
                totals.counts.failed += failed;
                promised.expected += all as f64 * share;
                promised.offered += 1000.0 * share;
            }
            let seen = SidesNow { now: Millis::seconds(second), totals: totals.each_ref(), promised };
            samples = window.whole(&seen, metric, 5.0);
            window.observe(&seen);
        }
        (window, samples)
    }

    #[test]
    fn the_whole_is_the_last_minutes_and_never_much_more() {
        let (window, [active, candidate]) =
            run(120, Metric::ErrorRate, (0..600).map(|n| [(9, 0, 0.9), (1, u64::from(n >= 540), 0.1)]));
        assert!((120..128).contains(&(candidate.span.0 / 1000)), "{}", candidate.span);
        assert_eq!((candidate.failed, active.failed), (60, 0));
        assert!(window.marks.len() <= 18, "{}", window.marks.len());
    }

    #[test]
    fn a_moment_is_in_few_of_the_parts() {
        for (from, is_spread) in [(590, false), (560, false), (530, true)] {
            let mut totals = [JudgedTotals::default(), JudgedTotals::default()];
            let promised = [PromisedTraffic::default(); 2];
            let first = SidesNow { now: Millis(0), totals: totals.each_ref(), promised };
            let mut window = LongWindow::opened(Millis::seconds(120), &[Metric::ErrorRate], &first);
            for second in 1..=600 {
                totals[1].counts.answers += 10;
                totals[1].counts.failed += if second > from { 10 } else { 0 };
                window.observe(&SidesNow { now: Millis::seconds(second), totals: totals.each_ref(), promised });
            }
            let seen = SidesNow { now: Millis::seconds(600), totals: totals.each_ref(), promised };
            let past = |candidate: &WindowSample| 20 * candidate.failed > candidate.answers;
            assert_eq!(window.is_spread(&seen, Metric::ErrorRate, 5.0, past), is_spread, "since {from}");
        }
    }

    #[test]
    fn traffic_is_compared_with_the_promised_share_and_with_its_own_past() {
        // The weight goes from 10 to 50 % in the middle of it.
        let step = |n: u64| if n < 300 { [(90, 0, 0.9), (10, 0, 0.1)] } else { [(50, 0, 0.5), (50, 0, 0.5)] };
        let (_, [active, candidate]) = run(300, Metric::ThroughputDrop, (0..500).map(step));
        assert_eq!(candidate.answers, candidate.expected, "{candidate:?}");
        assert!(candidate.as_before == 0 && active.as_before == 0, "there is no time before it yet: {candidate:?}");
        // Nobody asks either side any more.
        let gone = |n: u64| if n < 400 { step(n) } else { [(0, 0, 0.5), (5, 0, 0.5)] };
        let (_, [_, candidate]) = run(300, Metric::ThroughputDrop, (0..700).map(gone));
        assert!((750..=800).contains(&candidate.expected), "its share of what there was: {candidate:?}");
        let before = candidate.as_before as f64 / (300.0 * 50.0);
        assert!((0.9..1.1).contains(&before), "{before}");
    }
}
