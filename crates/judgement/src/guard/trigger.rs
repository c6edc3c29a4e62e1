//! Triggers: thresholds that users can name, and how long each must be crossed.

use serde::{Deserialize, Serialize};

use crate::guard::long_window::{LongWindow, SidesNow};
pub use crate::guard::metric::Metric;
use crate::guard::window::{JudgedTotals, TotalsWindow, WindowSample};
use crate::time::Millis;

/// What happens when a trigger fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerAction {
    Warn,
    /// Holds the rollout where it is, and alerts.
    Pause,
    Rollback,
}

/// A threshold, and how long it must be crossed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    pub name: String,
    pub metric: Metric,
    /// In percent, in milliseconds for a latency, or a count.
    pub limit: f64,
    /// If the active environment is past this too, it is shared fate: no rollback. The metric's warning level, or the
    /// limit.
    pub shared: f64,
    /// The time over the whole of which the value must be past the limit by more than chance, and past it in half of its
    /// eighths, the last among them; zero for a trigger that fires at once.
    pub hold: Millis,
    /// The window that is measured if `hold` is zero.
    pub window: Millis,
    /// The window reaches further back until it holds `requests`: fast at high rates, patient at low ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reaching: bool,
    /// Only applies if active answers nothing to compare the candidate with; otherwise the evidence judges.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// Fewer responses than this say nothing: the time neither runs nor restarts.
    pub requests: u64,
    pub action: TriggerAction,
}

/// What a trigger sees: both sides over its window, and how long the candidate has been past the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriggerReading {
    pub active: WindowSample,
    pub candidate: WindowSample,
    /// The candidate's configured share, 0..1.
    pub share: f64,
    /// How much of the time that the trigger wants it has been past the limit.
    pub held: Millis,
    /// The share of active's requests that usually fail; `None` where nothing is usual yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<f64>,
}

/// A failure rate is unusual above so many times what is usual and so much more, or above that and this much.
const UNUSUAL: (f64, f64, f64) = (2.0, 0.02, 0.1);
/// A failure rate above this is an incident, however long it lasts, and never usual.
pub const INCIDENT: f64 = 0.2;

/// The highest failure rate that is still usual.
pub fn usual_at_most(usual: f64) -> f64 {
    let (times, more, most) = UNUSUAL;
    (times * usual + more).min(usual + most)
}

/// How far a reading is from firing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TriggerLevel {
    /// Too few responses to tell.
    TooFew,
    /// Within the limit.
    Within,
    /// Past the limit, but not for long enough.
    Beyond(f64),
    /// Past the limit on both sides.
    Shared(f64),
    Fired(f64),
}

impl Trigger {
    /// How far back a reaching window goes at most.
    pub const REACH: Millis = Millis::seconds(10);

    /// The triggers of a service whose file names none.
    pub fn defaults() -> Vec<Trigger> {
        let trigger = |name: &str, metric, limit, hold, action| Trigger {
            name: name.to_owned(),
            metric,
            limit,
            shared: limit,
            hold,
            window: Millis::seconds(10),
            reaching: false,
            alone: false,
            requests: 20,
            action,
        };
        let minutes = |n: u64| Millis::seconds(60 * n);
        let mut triggers = vec![
            trigger("high error rate", Metric::ErrorRate, 5.0, minutes(2), TriggerAction::Rollback),
            trigger("raised error rate", Metric::ErrorRate, 2.0, minutes(2), TriggerAction::Warn),
            trigger("slow answers", Metric::LatencyP95, 2000.0, minutes(3), TriggerAction::Rollback),
            trigger("slower answers", Metric::LatencyP95, 1000.0, minutes(3), TriggerAction::Warn),
            trigger("low availability", Metric::Availability, 95.0, minutes(2), TriggerAction::Pause),
            trigger("reduced availability", Metric::Availability, 99.0, minutes(2), TriggerAction::Warn),
            trigger("half the traffic is gone", Metric::ThroughputDrop, 50.0, minutes(5), TriggerAction::Rollback),
            trigger("less traffic than expected", Metric::ThroughputDrop, 20.0, minutes(5), TriggerAction::Warn),
        ];
        let checks =
            trigger("failing health checks", Metric::HealthFailures, 3.0, Millis::ZERO, TriggerAction::Rollback);
        triggers.push(Trigger { window: minutes(1), ..checks });
        Trigger::share_warn_levels(&mut triggers);
        triggers
    }

    /// A candidate that fails nearly everything does not need two minutes of proof.
    ///
    /// At least 200 ms, so that a hiccup of one host between two ticks is not a verdict, and at least ten responses.
    /// Over four in five must have failed, while the active environment fails under two in five.
    pub fn dead_candidate() -> Trigger {
        Trigger {
            name: "dead candidate".to_owned(),
            metric: Metric::ErrorRate,
            limit: 80.0,
            shared: 40.0,
            hold: Millis::ZERO,
            window: Millis(200),
            reaching: true,
            alone: false,
            requests: 10,
            action: TriggerAction::Rollback,
        }
    }

    /// Sets where shared fate begins: at the mildest level that the file names for the same metric.
    pub fn share_warn_levels(triggers: &mut [Trigger]) {
        let levels: Vec<(Metric, f64)> = triggers.iter().map(|t| (t.metric, t.limit)).collect();
        for trigger in triggers {
            let same = levels.iter().filter(|(metric, _)| *metric == trigger.metric).map(|(_, limit)| *limit);
            trigger.shared = match trigger.metric.is_bad_below() {
                // The two sides' checks do not run at the same moment, so half of the limit is enough.
                _ if trigger.metric.is_count() => (trigger.limit / 2.0).floor(),
                true => same.fold(trigger.limit, f64::max),
                false => same.fold(trigger.limit, f64::min),
            };
        }
    }

    /// Both sides over this trigger's window, at `now`.
    pub fn sample(&self, windows: [&TotalsWindow; 2], totals: [&JudgedTotals; 2], now: Millis) -> [WindowSample; 2] {
        let [active, candidate] = windows;
        if !self.reaching {
            let latency = self.metric.quantile();
            return [(active, totals[0]), (candidate, totals[1])]
                .map(|(window, totals)| window.last(self.window, now, totals, latency));
        }
        let sample = candidate.reaching(self.window, self.requests, Trigger::REACH, now, totals[1]);
        // Active over the same time, or the comparison means nothing; and over a long time, to see whether it answers
        // at all.
        let span = if self.alone { Trigger::REACH } else { sample.span };
        [active.reaching(span, 0, span, now, totals[0]), sample]
    }

    /// Where a reading stands. This is pure: the journal keeps readings, and `explain` evaluates them again.
    pub fn level(&self, reading: &TriggerReading) -> TriggerLevel {
        let Some(value) = self.value(&reading.candidate, reading) else { return TriggerLevel::TooFew };
        if !self.is_beyond(value, self.limit) || self.alone && reading.active.answers > 0 {
            // Passing checks do not prove that clients are served, so they say nothing.
            return if self.metric.is_count() { TriggerLevel::TooFew } else { TriggerLevel::Within };
        }
        if self.active_value(&reading.active).is_some_and(|active| self.is_beyond(active, self.shared)) {
            return TriggerLevel::Shared(value);
        }
        if self.is_usual(value, reading) {
            return TriggerLevel::Within;
        }
        if reading.held >= self.hold { TriggerLevel::Fired(value) } else { TriggerLevel::Beyond(value) }
    }

    /// Whether the whole of `hold` is measured, rather than a short window.
    pub const fn is_long(&self) -> bool {
        self.hold.0 > 0 && !self.metric.is_count()
    }

    /// Both sides over the whole of `hold`. It counts as held for as long as it has been measured, if the candidate is past
    /// the limit by more than chance and not in one moment alone.
    pub fn read_long(
        &self,
        window: &LongWindow,
        seen: &SidesNow<'_>,
        share: f64,
        usual: Option<f64>,
    ) -> TriggerReading {
        let [active, candidate] = window.whole(seen, self.metric, self.limit);
        let mut reading = TriggerReading { active, candidate, share, held: Millis::ZERO, usual };
        let is_past =
            |sample: &WindowSample| self.measured(sample, 1).is_some_and(|value| self.is_beyond(value, self.limit));
        let is_sure = is_past(&candidate) && self.is_beyond_chance(&candidate);
        if is_sure && window.is_spread(seen, self.metric, self.limit, is_past) {
            reading.held = candidate.span.min(self.hold);
        }
        reading
    }

    /// Whether three quarters of the limit would hardly ever show as much by chance.
    fn is_beyond_chance(&self, sample: &WindowSample) -> bool {
        let surplus = |bad: u64, all: u64, allowed: f64| surplus(bad as f64, all as f64, LENIENT * allowed) >= SURE;
        match self.metric {
            Metric::ErrorRate => surplus(sample.failed, sample.answers, self.limit / 100.0),
            Metric::Availability => surplus(sample.unavailable, sample.answers, 1.0 - self.limit / 100.0),
            Metric::LatencyP50 => surplus(sample.slow, sample.answers, 0.50),
            Metric::LatencyP95 => surplus(sample.slow, sample.answers, 0.05),
            Metric::LatencyP99 => surplus(sample.slow, sample.answers, 0.01),
            Metric::ThroughputDrop => {
                let left = 1.0 - LENIENT * self.limit / 100.0;
                let missing = |of: u64| shortfall(sample.answers as f64, left * of as f64);
                // The time before has chance in it as well.
                missing(sample.expected).max(missing(sample.as_before) / 2.0) >= SURE
            }
            Metric::HealthFailures => true,
        }
    }

    /// The candidate's value, in percent or milliseconds; `None` if there are too few responses.
    pub fn value_of(&self, reading: &TriggerReading) -> Option<f64> {
        self.value(&reading.candidate, reading)
    }

    /// The active environment's value over the same time.
    pub fn baseline_of(&self, reading: &TriggerReading) -> Option<f64> {
        self.active_value(&reading.active)
    }

    /// Whether active is usually past its limit, and the candidate fails no more than that: so this site is, whatever the
    /// few requests of a window say of active, or if there are none.
    fn is_usual(&self, value: f64, reading: &TriggerReading) -> bool {
        // What active failed before a version that mends it was promoted does not excuse that one.
        let Some(usual) = reading.usual.filter(|usual| *usual <= INCIDENT) else { return false };
        let (rate, active) = match self.metric {
            Metric::ErrorRate => (value / 100.0, 100.0 * usual),
            Metric::Availability => (1.0 - value / 100.0, 100.0 * (1.0 - usual)),
            _ => return false,
        };
        self.is_beyond(active, self.shared) && rate <= usual_at_most(usual)
    }

    fn is_beyond(&self, value: f64, limit: f64) -> bool {
        if self.metric.is_bad_below() { value < limit } else { value > limit }
    }

    fn value(&self, sample: &WindowSample, reading: &TriggerReading) -> Option<f64> {
        if self.metric == Metric::ThroughputDrop && !self.is_long() {
            let all = (reading.active.answers + reading.candidate.answers) as f64;
            let expected = (all * reading.share) as u64;
            return self.measured(&WindowSample { expected, ..*sample }, self.requests);
        }
        self.measured(sample, self.requests)
    }

    fn active_value(&self, sample: &WindowSample) -> Option<f64> {
        // A handful of responses could excuse the candidate wrongly, so active must have half as many as the trigger
        // requires. Where the candidate lacks its share active has more than its own, so only its past is compared.
        self.measured(&WindowSample { expected: 0, ..*sample }, self.requests / 2)
    }

    /// The value of a sample with this many responses at least.
    fn measured(&self, sample: &WindowSample, requests: u64) -> Option<f64> {
        if self.metric == Metric::ThroughputDrop {
            let drops = [sample.expected, sample.as_before].into_iter().filter(|of| *of >= requests.max(1));
            let drops = drops.map(|of| 100.0 * (1.0 - sample.answers as f64 / of as f64));
            return drops.reduce(f64::max).map(|drop| drop.max(0.0));
        }
        let enough = self.metric.is_count() || sample.answers >= requests.max(1);
        enough.then(|| measure(self.metric, sample)).flatten()
    }
}

/// What a trigger does not mean: a rate of this much of its limit.
const LENIENT: f64 = 0.75;
/// A figure is beyond chance where the rate that a trigger does not mean would show it once in `e` to this.
const SURE: f64 = 9.0;

/// How surely `bad` of `all` come from a rate above `rate`: the exponent of Chernoff's bound, `all · KL(bad / all ‖ rate)`
/// (Hoeffding, *Probability inequalities for sums of bounded random variables*, 1963).
fn surplus(bad: f64, all: f64, rate: f64) -> f64 {
    let (shown, rate) = (bad / all.max(1.0), rate.clamp(1e-9, 1.0 - 1e-9));
    if shown <= rate {
        return 0.0;
    }
    let rest = if shown < 1.0 { (1.0 - shown) * ((1.0 - shown) / (1.0 - rate)).ln() } else { 0.0 };
    all * (shown * (shown / rate).ln() + rest)
}

/// How surely `seen` come from a mean below `mean`: the same bound for a count.
fn shortfall(seen: f64, mean: f64) -> f64 {
    match seen {
        _ if seen >= mean => 0.0,
        0.0 => mean,
        _ => seen * (seen / mean).ln() - seen + mean,
    }
}

fn measure(metric: Metric, sample: &WindowSample) -> Option<f64> {
    let percent = |part: u64| (sample.answers > 0).then(|| 100.0 * part as f64 / sample.answers as f64);
    let millis = |micros: Option<u64>| micros.map(|micros| micros as f64 / 1000.0);
    match metric {
        Metric::ErrorRate => percent(sample.failed),
        Metric::Availability => percent(sample.answers.saturating_sub(sample.unavailable)),
        Metric::LatencyP50 => millis(sample.p50_us),
        Metric::LatencyP95 => millis(sample.p95_us),
        Metric::LatencyP99 => millis(sample.p99_us),
        Metric::ThroughputDrop => None,
        Metric::HealthFailures => Some(sample.health_failures as f64),
    }
}
