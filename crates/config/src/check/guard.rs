//! `[service.NAME.guard]` and its triggers.

use crate::check::{duration, one_of, whole};
use crate::file::{At, GuardFile, TriggerFile, TriggerLimit};
use crate::read::SourceFile;
use judgement::guard::trigger::{Metric, Trigger, TriggerAction};
use judgement::guard::window::LONGEST;
use judgement::guard::{EvidenceBudget, GuardPolicy};
use judgement::time::Millis;

/// Of health checks in a window: there are no more rounds in it.
const MOST_FAILURES: f64 = 10_000.0;

/// `rescue`: whether failed requests are served again; where they are not, caution would let nothing through.
/// `more`: triggers from elsewhere; they leave the defaults in force, but for those of their names.
pub fn policy(source: &mut SourceFile, typed: Option<&At<GuardFile>>, rescue: bool, more: Vec<Trigger>) -> GuardPolicy {
    let budget = EvidenceBudget { caution: rescue, ..EvidenceBudget::STANDARD };
    let nothing = GuardFile::default();
    let guard = typed.map_or(&nothing, |at| &at.value);
    let evidence = guard.evidence.unwrap_or(true).then_some(budget);
    let mut named: Vec<Trigger> = guard.trigger.iter().filter_map(|typed| trigger(source, typed)).collect();
    let reserved = Trigger::dead_candidate().name;
    for (at, trigger) in named.iter().enumerate() {
        let twice = named.iter().take(at).any(|other| other.name == trigger.name) || trigger.name == reserved;
        // Where a trigger was refused the places differ; that file is refused anyway.
        if let (true, Some(typed)) = (twice, guard.trigger.get(at)) {
            let span = typed.value.name.as_ref().map_or(&typed.span, |name| &name.span).clone();
            let hint = Some("rollbacks are counted by this name: give it one of its own".to_owned());
            source.problem(span, format!("two triggers are called `{}`", trigger.name), hint);
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
    GuardPolicy { evidence, triggers }
}

pub fn trigger(source: &mut SourceFile, typed: &At<TriggerFile>) -> Option<Trigger> {
    let At { value: file, span } = typed;
    let metric = match &file.metric {
        Some(at) => one_of(source, at, &Metric::ALL.iter().map(|metric| (metric.name(), *metric)).collect::<Vec<_>>())?,
        None => {
            source.missing(span.clone(), "the trigger has no metric", "write `metric = \"error_rate\"`");
            return None;
        }
    };
    let limit = limit(source, typed, metric)?;
    let usual = if metric.is_count() { Millis::seconds(60) } else { Millis::seconds(10) };
    let window = duration(source, file.window.as_ref(), usual);
    if let (Some(at), true) = (&file.window, !(Millis(100)..=LONGEST).contains(&window)) {
        source.problem(at.span.clone(), format!("a window is between 100ms and {LONGEST}"), None);
    }
    let actions =
        [("warn", TriggerAction::Warn), ("pause", TriggerAction::Pause), ("rollback", TriggerAction::Rollback)];
    let action = match &file.action {
        Some(at) => one_of(source, at, &actions)?,
        None => TriggerAction::Rollback,
    };
    Some(Trigger {
        name: file.name.as_ref().map_or_else(|| metric.name().replace('_', " "), |at| at.value.clone()),
        metric,
        limit,
        shared: limit,
        hold: duration(source, file.hold.as_ref(), Millis::ZERO),
        window,
        reaching: false,
        alone: false,
        requests: whole(source, file.requests.as_ref(), 1..=1_000_000, 20),
        action,
    })
}

fn limit(source: &mut SourceFile, typed: &At<TriggerFile>, metric: Metric) -> Option<f64> {
    let At { value: file, span } = typed;
    let (right, wrong, word) = match metric.is_bad_below() {
        true => (&file.below, &file.above, "below"),
        false => (&file.above, &file.below, "above"),
    };
    if let Some(at) = wrong {
        let message = format!("{} is bad when it is {word} a limit", metric.name());
        source.problem(at.span.clone(), message, Some(format!("write `{word} = …`")));
        return None;
    }
    let Some(At { value, span }) = right else {
        source.problem(span.clone(), "the trigger has no limit", Some(format!("write `{word} = …`")));
        return None;
    };
    match (value, metric.is_latency()) {
        (TriggerLimit::Percent(count), false) if metric.is_count() => {
            let is_whole = count.fract() == 0.0 && (0.0..=MOST_FAILURES).contains(count);
            if !is_whole {
                source.problem(span.clone(), format!("{count} is not a whole number from 0 to {MOST_FAILURES}"), None);
            }
            is_whole.then_some(*count)
        }
        (TriggerLimit::Percent(percent), false) if (0.0..=100.0).contains(percent) => Some(*percent),
        (TriggerLimit::Percent(percent), false) => {
            source.problem(span.clone(), format!("{percent} is not a percentage from 0 to 100"), None);
            None
        }
        (TriggerLimit::Duration(text), true) => match Millis::parse(text) {
            Ok(length) => Some(length.0 as f64),
            Err(why) => {
                source.problem(span.clone(), why, Some("write \"2s\" or \"800ms\"".to_owned()));
                None
            }
        },
        (TriggerLimit::Percent(number), true) => {
            let hint = Some(format!("write `above = \"{number}ms\"` or `above = \"{number}s\"`"));
            source.problem(span.clone(), format!("{} is a duration", metric.name()), hint);
            None
        }
        (TriggerLimit::Duration(_), false) => {
            let hint = Some(format!("write `{word} = 5`"));
            let what = if metric.is_count() { "a count" } else { "a percentage" };
            source.problem(span.clone(), format!("{} is {what}", metric.name()), hint);
            None
        }
    }
}
