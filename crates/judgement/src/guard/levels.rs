//! How far each metric is from its limits: all triggers of a policy together, for those who ask before one fires.

use crate::guard::trigger::{Metric, Trigger, TriggerAction, TriggerLevel, TriggerReading};
use crate::guard::{GuardPolicy, Observation};
use crate::time::Millis;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Too few responses to tell.
    Unknown,
    Ok,
    Warn,
    Critical,
}

/// A metric as seen by all the triggers that watch it.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricLevel {
    pub metric: Metric,
    /// The candidate's value, and the active environment's over the same time; in percent or milliseconds.
    pub value: Option<f64>,
    pub baseline: Option<f64>,
    /// The level of the current value.
    pub now: Severity,
    /// The level that has lasted for as long as its trigger requires.
    pub lasting: Severity,
    pub window: Millis,
    /// The candidate's responses in the window.
    pub requests: u64,
    /// The mildest limit of each severity.
    pub warn_at: Option<f64>,
    pub critical_at: Option<f64>,
}

/// The levels of an observation, in the order of [`Metric::ALL`]; metrics that no trigger watches are left out.
pub fn levels(policy: &GuardPolicy, sight: &Observation) -> Vec<MetricLevel> {
    Metric::ALL.iter().filter_map(|metric| level_of(*metric, policy, sight)).collect()
}

fn level_of(metric: Metric, policy: &GuardPolicy, sight: &Observation) -> Option<MetricLevel> {
    let pairs = policy.triggers.iter().zip(&sight.readings).filter(|(trigger, _)| trigger.metric == metric);
    // Reaching windows are for dead candidates; people should read values over a window of known length.
    let (shown, reading) = pairs.clone().min_by_key(|(trigger, _)| trigger.reaching)?;
    let limit = |severity| {
        let limits = pairs.clone().filter(|(trigger, _)| severity_of(trigger) == severity).map(|(trigger, _)| trigger);
        let limits = limits.map(|trigger| trigger.limit);
        if metric.is_bad_below() { limits.reduce(f64::max) } else { limits.reduce(f64::min) }
    };
    let worst = |level: fn(&Trigger, &TriggerReading) -> Severity| {
        pairs.clone().map(|(trigger, reading)| level(trigger, reading)).max().unwrap_or(Severity::Unknown)
    };
    Some(MetricLevel {
        metric,
        value: shown.value_of(reading),
        baseline: shown.baseline_of(reading),
        now: worst(now),
        lasting: worst(lasting),
        window: shown.window,
        requests: reading.candidate.answers,
        warn_at: limit(Severity::Warn),
        critical_at: limit(Severity::Critical),
    })
}

const fn severity_of(trigger: &Trigger) -> Severity {
    match trigger.action {
        TriggerAction::Warn => Severity::Warn,
        TriggerAction::Pause | TriggerAction::Rollback => Severity::Critical,
    }
}

fn now(trigger: &Trigger, reading: &TriggerReading) -> Severity {
    match trigger.level(reading) {
        TriggerLevel::TooFew => Severity::Unknown,
        TriggerLevel::Within => Severity::Ok,
        TriggerLevel::Beyond(_) | TriggerLevel::Shared(_) | TriggerLevel::Fired(_) => severity_of(trigger),
    }
}

fn lasting(trigger: &Trigger, reading: &TriggerReading) -> Severity {
    match trigger.level(reading) {
        TriggerLevel::TooFew => Severity::Unknown,
        TriggerLevel::Fired(_) => severity_of(trigger),
        TriggerLevel::Shared(_) if reading.held >= trigger.hold => severity_of(trigger),
        TriggerLevel::Within | TriggerLevel::Beyond(_) | TriggerLevel::Shared(_) => Severity::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::window::WindowSample;

    fn sight(failed: u64, held: Millis) -> (GuardPolicy, Observation) {
        let policy = GuardPolicy::standard();
        let sample =
            |failed| WindowSample { span: Millis::seconds(10), answers: 100, failed, ..WindowSample::default() };
        let reading = TriggerReading { active: sample(0), candidate: sample(failed), share: 0.5, held, usual: None };
        let readings = vec![reading; policy.triggers.len()];
        (policy, Observation { route: None, readings, evidence: None })
    }

    fn error_rate(failed: u64, held: Millis) -> MetricLevel {
        let (policy, sight) = sight(failed, held);
        levels(&policy, &sight).into_iter().find(|level| level.metric == Metric::ErrorRate).unwrap()
    }

    #[test]
    fn a_level_is_the_worst_that_a_trigger_says_now_and_for_as_long_as_it_wants() {
        for (failed, held, now, lasting) in [
            (0, 0, Severity::Ok, Severity::Ok),
            (3, 1, Severity::Warn, Severity::Ok),
            (3, 120, Severity::Warn, Severity::Warn),
            (30, 1, Severity::Critical, Severity::Ok),
            (30, 120, Severity::Critical, Severity::Critical),
        ] {
            let level = error_rate(failed, Millis::seconds(held));
            assert_eq!((level.now, level.lasting), (now, lasting), "{failed} of 100 for {held} s");
            assert_eq!((level.value, level.baseline), (Some(failed as f64), Some(0.0)));
        }
    }

    #[test]
    fn the_limits_are_the_mildest_of_their_severity_and_a_metric_nobody_looks_at_is_left_out() {
        let level = error_rate(0, Millis::ZERO);
        assert_eq!((level.warn_at, level.critical_at), (Some(2.0), Some(5.0)));
        let (policy, sight) = sight(0, Millis::ZERO);
        assert!(!levels(&policy, &sight).iter().any(|level| level.metric == Metric::LatencyP50));
    }

    #[test]
    fn too_few_answers_are_no_level() {
        let (policy, mut sight) = sight(0, Millis::ZERO);
        sight.readings.iter_mut().for_each(|reading| reading.candidate.answers = 1);
        let all = levels(&policy, &sight);
        assert!(
            all.iter()
                .filter(|level| level.metric != Metric::ThroughputDrop)
                .all(|level| level.now == Severity::Unknown)
        );
    }
}
