//! The guard: judges the candidate against the active environment, from counts alone.
//!
//! [`judge`] is pure and total: the same policy and observation give the same judgement, today and when a journal entry
//! is replayed in a year. [`crate::rollout`] keeps the windows and the times.

pub mod comparison;
pub mod evidence;
pub mod latency;
pub mod levels;
pub mod long_window;
mod metric;
pub mod outside_metric;
pub mod sample_ratio;
pub mod shape;
pub mod trigger;
pub mod window;

use serde::{Deserialize, Serialize};

use crate::guard::evidence::{CombinedEvidence, SERIOUS};
use crate::guard::outside_metric::OutsideMetric;
use crate::guard::sample_ratio::SampleRatioAction;
use crate::guard::trigger::{INCIDENT, Metric, Trigger, TriggerAction, TriggerLevel, TriggerReading, usual_at_most};
use crate::time::Millis;

/// The policy that a service's candidate is held to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardPolicy {
    /// The error budget of the evidence; `None` if only the triggers judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceBudget>,
    pub triggers: Vec<Trigger>,
    /// Figures that other systems give. They are judged as their answers come, and not by [`judge`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<OutsideMetric>,
    /// What is done if the split does not hold. It is judged as counts come, and not by [`judge`].
    #[serde(default, skip_serializing_if = "SampleRatioAction::is_default")]
    pub sample_ratio: SampleRatioAction,
}

/// How often the evidence may be wrong, and the time over which it spreads its stakes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceBudget {
    /// The share of healthy rollouts that it may roll back.
    pub alpha: f64,
    /// How long a rollout is planned to take.
    pub planned: Millis,
    /// Whether caution turns away requests that could not be rescued.
    pub caution: bool,
}

impl EvidenceBudget {
    /// One healthy rollout in a thousand, of half an hour each.
    pub const STANDARD: EvidenceBudget = EvidenceBudget { alpha: 1e-3, planned: Millis::seconds(1800), caution: true };

    /// The same without caution, for a side that has all the traffic: there is nowhere else to send it.
    pub fn calm(self) -> EvidenceBudget {
        EvidenceBudget { caution: false, ..self }
    }
}

impl GuardPolicy {
    /// The policy of a service whose file does not mention its guard.
    pub fn standard() -> GuardPolicy {
        let mut triggers = vec![Trigger { alone: true, ..Trigger::dead_candidate() }];
        triggers.extend(Trigger::defaults());
        GuardPolicy { evidence: Some(EvidenceBudget::STANDARD), triggers, ..GuardPolicy::default() }
    }
}

/// What the judge sees of one route, or of the whole service: one reading per trigger of the policy, in the same order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The route's name; `None`: the whole service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    pub readings: Vec<TriggerReading>,
    /// What the meters of the service and all its routes say; present only in the observation of the whole service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<CombinedEvidence>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    Healthy,
    Unhealthy(UnhealthyReason),
    Insufficient { missing: InsufficientReason },
}

/// Why the candidate is unhealthy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnhealthyReason {
    /// The index in the policy of the trigger that fired; `None` if the evidence decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<usize>,
    pub name: String,
    /// In the trigger's unit; for evidence, the odds `x : 1`.
    pub value: f64,
}

/// What keeps the judge from a verdict. It holds a rollout, but never promotes or rolls back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InsufficientReason {
    /// No trigger has seen as many responses as it needs, and a fault that matters could still be hidden.
    Requests,
    /// Both sides are past a limit: shared fate.
    HealthyActive,
    /// The evidence against it is serious, and no verdict yet.
    Doubt,
}

impl InsufficientReason {
    /// In words.
    pub const fn words(&self) -> &'static str {
        match self {
            InsufficientReason::Requests => "too few requests for a verdict",
            InsufficientReason::HealthyActive => "both sides fail, so there is no verdict",
            InsufficientReason::Doubt => "serious evidence, but no verdict yet",
        }
    }
}

/// A verdict, and the triggers that warn or pause: their index in the policy and their value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    #[serde(flatten)]
    pub verdict: Verdict,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fired: Vec<(usize, f64)>,
}

/// Judges one observation. The evidence outweighs everything, then a rollback by any trigger; shared fate outweighs
/// health.
pub fn judge(policy: &GuardPolicy, sight: &Observation) -> Judgement {
    let weighed = policy.evidence.and_then(|budget| Some((budget, sight.evidence.as_ref()?)));
    if let Some((budget, weighed)) = weighed
        && let Some(part) = weighed.verdict(budget.alpha)
    {
        let reason = UnhealthyReason { trigger: None, name: part.meter.reason().to_owned(), value: weighed.total };
        return Judgement { verdict: Verdict::Unhealthy(reason), fired: Vec::new() };
    }
    let mut fired = Vec::new();
    let (mut any, mut shared) = (false, false);
    for (place, (trigger, reading)) in policy.triggers.iter().zip(&sight.readings).enumerate() {
        match trigger.level(reading) {
            TriggerLevel::Fired(value) if trigger.action == TriggerAction::Rollback => {
                let reason = UnhealthyReason { trigger: Some(place), name: trigger.name.clone(), value };
                return Judgement { verdict: Verdict::Unhealthy(reason), fired };
            }
            TriggerLevel::Fired(value) => fired.push((place, value)),
            TriggerLevel::Shared(_) => shared |= is_incident(policy, sight, trigger.metric, reading),
            TriggerLevel::Within | TriggerLevel::Beyond(_) => any = true,
            TriggerLevel::TooFew => {}
        }
    }
    let (enough, doubt) =
        weighed.map_or((any, false), |(_, weighed)| (weighed.is_enough(any), weighed.total >= SERIOUS));
    let verdict = match (shared, doubt, enough) {
        (true, ..) => Verdict::Insufficient { missing: InsufficientReason::HealthyActive },
        (false, true, _) => Verdict::Insufficient { missing: InsufficientReason::Doubt },
        (false, false, true) => Verdict::Healthy,
        (false, false, false) => Verdict::Insufficient { missing: InsufficientReason::Requests },
    };
    Judgement { verdict, fired }
}

/// How many standard deviations active's failures must be above that, so that a handful of requests is no incident.
const DEVIATIONS: f64 = 2.0;

/// Whether active, past a limit that the candidate is past too, is in trouble, so that nothing can be learnt now. A site
/// that always fails a few requests, or is always slow, is not: there the evidence compares the two sides.
fn is_incident(policy: &GuardPolicy, sight: &Observation, metric: Metric, reading: &TriggerReading) -> bool {
    if policy.evidence.is_none() {
        return true;
    }
    if sight.evidence.as_ref().is_some_and(CombinedEvidence::is_better) {
        return false;
    }
    match metric {
        Metric::ErrorRate | Metric::Availability => {
            let limit = reading.usual.map_or(INCIDENT, |usual| usual_at_most(usual).min(INCIDENT));
            let active = &reading.active;
            let (all, bad) = (active.answers as f64, active.failed.max(active.unavailable) as f64);
            bad - limit * all > DEVIATIONS * (limit * (1.0 - limit) * all).sqrt()
        }
        Metric::LatencyP50 | Metric::LatencyP95 | Metric::LatencyP99 => false,
        Metric::ThroughputDrop | Metric::HealthFailures => true,
    }
}

/// The sentence that announces a rollback.
pub fn sentence(
    policy: &GuardPolicy,
    sight: &Observation,
    reason: &UnhealthyReason,
    active: &str,
    candidate: &str,
) -> String {
    let Some(place) = reason.trigger else {
        let weighed = sight.evidence.as_ref().and_then(|weighed| Some((weighed, weighed.parts.first()?)));
        let said = weighed.map(|(weighed, part)| {
            let also = weighed.also_broken(part.route.as_deref()).unwrap_or_default();
            part.sentence(weighed.total, active, candidate) + &also
        });
        return said.unwrap_or_else(|| reason.name.clone());
    };
    let (Some(trigger), Some(reading)) = (policy.triggers.get(place), sight.readings.get(place)) else {
        return reason.name.clone();
    };
    let place = sight.route.as_ref().map_or(String::new(), |route| format!(" on route {route}"));
    let (c, a) = (&reading.candidate, &reading.active);
    let limit = trigger.metric.show(trigger.limit);
    if trigger.metric.is_count() {
        let (bad, good) = (c.health_failures, a.health_failures);
        return format!(
            "{}: {bad} rounds of {candidate}'s health checks failed in {}, over the limit of {limit}; {good} of {active}'s failed",
            trigger.name, trigger.window
        );
    }
    if trigger.metric == Metric::ThroughputDrop && trigger.is_long() {
        let before = Some(c.as_before).filter(|before| *before > 0);
        let before = before.map_or(String::new(), |before| format!(" and {before} as in the time before"));
        return format!(
            "{}: {candidate} answered {} in {}, where its share promises {}{before}: {} missing, over {limit}",
            trigger.name,
            c.answers,
            c.span,
            c.expected,
            trigger.metric.show(reason.value)
        );
    }
    let beyond = if trigger.metric.is_bad_below() { "under" } else { "over" };
    let held = if trigger.hold > crate::time::Millis::ZERO { format!(" for {}", reading.held) } else { String::new() };
    format!(
        "{}{place}: {} {} is {}, {beyond} {limit}{held}; {candidate} failed {} of {} in {}, {}",
        trigger.name,
        candidate,
        trigger.metric.name(),
        trigger.metric.show(reason.value),
        c.failed,
        c.answers,
        c.span,
        match a.answers {
            0 => format!("and {active} had no requests over the same time"),
            _ => format!("{active} {} of {}", a.failed, a.answers),
        },
    )
}

#[cfg(test)]
mod tests;
