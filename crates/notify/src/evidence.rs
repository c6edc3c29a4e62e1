//! What the guard saw, in words.

use serde::Serialize;

use judgement::guard::trigger::{Trigger, TriggerLevel, TriggerReading};
use judgement::guard::window::WindowSample;
use judgement::guard::{Observation, Verdict};
use judgement::rollout::JournalChange;

#[derive(Clone, Debug, Serialize)]
pub struct NoticeEvidence {
    pub verdict: String,
    /// A sentence for each meter, the most telling first.
    pub meters: Vec<String>,
    /// The triggers that are beyond their limit.
    pub triggers: Vec<String>,
}

pub fn evidence(change: &JournalChange) -> Option<NoticeEvidence> {
    let seen = change.evidence.as_ref()?;
    let verdict = match &seen.judgement.verdict {
        Verdict::Healthy => "healthy".to_owned(),
        Verdict::Unhealthy(reason) => format!("unhealthy: {}", reason.name),
        Verdict::Insufficient { missing } => missing.words().to_owned(),
    };
    let judged = change.before.as_ref().or(change.after.as_ref());
    let [active, candidate] = judged.map_or(["active", "candidate"], |judged| {
        let subject = judged.subject();
        [subject.other().name(), subject.name()]
    });
    let Observation { route, readings, evidence } = &seen.sight;
    let parts = evidence.iter().flat_map(|weighed| &weighed.parts);
    let parts = parts.filter(|part| part.bad > 0 && part.candidate.all + part.active.all > 0);
    let meters =
        parts.map(|part| format!("{}: {}", part.meter.name(), part.sentence(part.evidence, active, candidate)));
    let place = route.as_ref().map_or(String::new(), |route| format!(" on route {route}"));
    let triggers = seen.policy.triggers.iter().zip(readings);
    let triggers = triggers.filter_map(|(trigger, reading)| trigger_line(trigger, reading, &place, active, candidate));
    Some(NoticeEvidence { verdict, meters: meters.collect(), triggers: triggers.collect() })
}

fn trigger_line(
    trigger: &Trigger,
    reading: &TriggerReading,
    place: &str,
    active: &str,
    candidate: &str,
) -> Option<String> {
    let (level, value) = match trigger.level(reading) {
        TriggerLevel::TooFew | TriggerLevel::Within => return None,
        TriggerLevel::Beyond(value) => ("not for long enough yet", value),
        TriggerLevel::Shared(value) => ("in both environments", value),
        TriggerLevel::Fired(value) => ("fired", value),
    };
    let (metric, beyond) = (trigger.metric, if trigger.metric.is_bad_below() { "under" } else { "over" });
    Some(format!(
        "{}{place}: {candidate} {} is {}, {beyond} {} ({level}); {}, {}",
        trigger.name,
        metric.name(),
        metric.show(value),
        metric.show(trigger.limit),
        sample(candidate, &reading.candidate),
        sample(active, &reading.active)
    ))
}

fn sample(side: &str, sample: &WindowSample) -> String {
    if sample.answers == 0 {
        return format!("{side} had no requests in {}", sample.span);
    }
    let p95 = sample.p95_us.map_or(String::new(), |micros| format!(", p95 {:.1} ms", micros as f64 / 1000.0));
    format!("{side} failed {} of {} in {}{p95}", sample.failed, sample.answers, sample.span)
}
