//! `[service.NAME.guard]` and its triggers.

use crate::check::{length, whole, word};
use crate::file::values::{TriggerLimit, shown};
use crate::file::{At, GuardFile, TriggerFile};
use crate::read::SourceFile;
use judgement::guard::trigger::{Metric, Trigger, TriggerAction};
use judgement::guard::{EvidenceBudget, GuardPolicy};
use judgement::time::Millis;

/// The most health-check failures to count in a window: it cannot contain more rounds.
const MOST_FAILURES: f64 = 10_000.0;

/// `rescue`: whether failed requests are served again; if not, caution would let nothing through. `more`: triggers set
/// at run time; they leave the defaults in force, except those with the same names.
pub fn policy(source: &mut SourceFile, typed: Option<&At<GuardFile>>, rescue: bool, more: Vec<Trigger>) -> GuardPolicy {
    let budget = EvidenceBudget { caution: rescue, ..EvidenceBudget::STANDARD };
    let nothing = GuardFile::default();
    let guard = typed.map_or(&nothing, |at| &at.value);
    let evidence = guard.evidence.unwrap_or(true).then_some(budget);
    let mut named: Vec<Trigger> = guard.trigger.iter().filter_map(|typed| trigger(source, typed)).collect();
    let reserved = Trigger::dead_candidate().name;
    for (at, trigger) in named.iter().enumerate() {
        let twice = named.iter().take(at).any(|other| other.name == trigger.name) || trigger.name == reserved;
        // If a trigger was refused the indexes differ, but then the file is refused anyway.
        if let (true, Some(typed)) = (twice, guard.trigger.get(at)) {
            let span = typed.value.name.as_ref().map_or(&typed.span, |name| &name.span).clone();
            let hint = Some("rollbacks are counted by this name: make it unique".to_owned());
            source.problem(span, format!("two triggers are named `{}`", trigger.name), hint);
        }
    }
    let mut triggers = Vec::new();
    if guard.dead_candidate.unwrap_or(true) {
        triggers.push(Trigger { alone: evidence.is_some(), ..Trigger::dead_candidate() });
    }
    if guard.trigger.is_empty() {
        named = Trigger::defaults();
    }
    named.retain(|trigger| !more.iter().any(|other| other.name == trigger.name));
    named.extend(more);
    Trigger::share_warn_levels(&mut named);
    triggers.extend(named);
    GuardPolicy { evidence, triggers, metrics: Vec::new(), sample_ratio: word(&guard.sample_ratio).unwrap_or_default() }
}

pub fn trigger(source: &mut SourceFile, typed: &At<TriggerFile>) -> Option<Trigger> {
    let At { value: file, span } = typed;
    let Some(metric) = word(&file.metric) else {
        source.missing(span.clone(), "the trigger has no `metric`", "write metric = \"error_rate\"");
        return None;
    };
    let limit = limit(source, typed, metric)?;
    match (&file.hold, &file.window, metric.is_count()) {
        (Some(hold), _, true) => {
            let message = format!("{} is counted over `window`: `for` means nothing here", metric.name());
            source.warning(hold.span.clone(), message, "write window = \"1m\"");
        }
        (Some(_), Some(window), false) => {
            let message = "the whole of `for` is measured: `window` means nothing beside it";
            source.warning(window.span.clone(), message, "leave one of the two out");
        }
        _ => {}
    }
    let usual = if metric.is_count() { Millis::seconds(60) } else { Millis::seconds(10) };
    Some(Trigger {
        name: file.name.as_ref().map_or_else(|| metric.name().replace('_', " "), |at| at.value.clone()),
        metric,
        limit,
        shared: limit,
        hold: if metric.is_count() { Millis::ZERO } else { length(&file.hold, Millis::ZERO) },
        window: length(&file.window, usual),
        reaching: false,
        alone: false,
        requests: whole(&file.requests, 20),
        action: word(&file.action).unwrap_or(TriggerAction::Rollback),
    })
}

fn limit(source: &mut SourceFile, typed: &At<TriggerFile>, metric: Metric) -> Option<f64> {
    let At { value: file, span } = typed;
    let (right, wrong, word, other) = match metric.is_bad_below() {
        true => (&file.below, &file.above, "below", "above"),
        false => (&file.above, &file.below, "above", "below"),
    };
    if let Some(at) = wrong {
        let message =
            format!("`{other}` does not fit {}: for this metric, values {word} the limit are bad", metric.name());
        source.problem(at.span.clone(), message, Some(format!("write `{word}` instead of `{other}`")));
        return None;
    }
    let Some(At { value, span }) = right else {
        let example = match metric {
            _ if metric.is_latency() => "\"800ms\"",
            _ if metric.is_bad_below() => "99",
            _ => "5",
        };
        source.missing(span.clone(), "the trigger has no limit", &format!("write {word} = {example}"));
        return None;
    };
    let name = metric.name();
    match (*value, metric.is_latency()) {
        (TriggerLimit::Number(count), false) if metric.is_count() => {
            let is_whole = count.fract() == 0.0 && (0.0..=MOST_FAILURES).contains(&count);
            if !is_whole {
                let message = format!("{name} is a count: `{word}` must be a whole number from 0 to {MOST_FAILURES}");
                source.problem(span.clone(), message, Some(format!("write {word} = 3")));
            }
            is_whole.then_some(count)
        }
        (TriggerLimit::Number(percent), false) if (0.0..=100.0).contains(&percent) => {
            if metric.is_bad_below() && percent > 0.0 && percent <= 1.0 {
                let message = format!("`{word}` is a percentage: {percent} is not more than one percent");
                source.warning(
                    span.clone(),
                    message,
                    &format!("write {0} for {0} percent", (percent * 10_000.0).round() / 100.0),
                );
            }
            Some(percent)
        }
        (TriggerLimit::Number(percent), false) => {
            let message = format!("`{word}` must be a percentage from 0 to 100, not {}", shown(percent));
            source.problem(span.clone(), message, Some(format!("write {word} = 5 for 5 percent")));
            None
        }
        (TriggerLimit::Duration(limit), true) => Some(limit.0 as f64),
        (TriggerLimit::Number(number), true) => {
            let plain = number.fract() == 0.0 && (1.0..1e6).contains(&number);
            let hint = Some(match plain {
                true => format!("write {word} = \"{number}ms\" or {word} = \"{number}s\""),
                false => format!("write {word} = \"800ms\""),
            });
            source.problem(span.clone(), format!("{name} is a duration, not a number"), hint);
            None
        }
        (TriggerLimit::Duration(_), false) => {
            let what = if metric.is_count() { "a count" } else { "a percentage" };
            source.problem(
                span.clone(),
                format!("{name} is {what}, not a duration"),
                Some(format!("write {word} = 5")),
            );
            None
        }
    }
}
