//! `[service.NAME.rollout]`.

use crate::config::check::service::{pattern, weight};
use crate::config::check::{duration, one_of, whole};
use crate::config::file::{At, RolloutFile, Some1, StepFile};
use crate::config::read::Source;
use crate::rollout::plan::{OnFail, Plan, Step, WarmUp};
use crate::time::Millis;
use crate::traffic::split::Weight;

/// A plan is gone through by hand when something is odd: nobody reads more steps than this.
const MOST_STEPS: usize = 50;

const ON_FAIL: [(&str, OnFail); 2] = [("rollback", OnFail::Rollback), ("hold", OnFail::Hold)];
/// More of them before one step nobody waits for.
const MOST_SUITES: usize = 20;

pub fn plan(source: &mut Source, typed: Option<&At<RolloutFile>>) -> Plan {
    let standard = Plan::standard();
    let Some(At { value: file, .. }) = typed else { return standard };
    let bake = duration(source, file.bake.as_ref(), Plan::BAKE);
    let requests = whole(source, file.requests.as_ref(), 0..=1_000_000_000, Plan::REQUESTS);
    let holdback = holdback(source, file);
    let on_fail = file.on_fail.as_ref().and_then(|at| one_of(source, at, &ON_FAIL)).unwrap_or_default();
    let mut steps = match &file.steps {
        None => standard.steps.into_iter().map(|step| Step { bake, requests, ..step }).collect(),
        Some(typed) => steps(source, typed, &Step { bake, requests, on_fail, ..Step::default() }),
    };
    // What is held back is held back from the last steps too.
    let full = holdback.rest();
    steps.iter_mut().for_each(|step| step.weight = step.weight.min(full));
    steps.dedup_by_key(|step| step.weight);
    let path = file.warm_up_path.as_ref();
    let path = path.and_then(|at| pattern(source, &at.value, at.span.clone())).unwrap_or("/").to_owned();
    Plan {
        steps,
        watch: duration(source, file.watch.as_ref(), Plan::WATCH),
        holdback,
        warm_up: WarmUp { requests: whole(source, file.warm_up.as_ref(), 1..=1000, 3) as u32, path },
        suites: suites(source, file.suites.as_ref()),
    }
}

/// Their names; whether they are there is seen when a version sets out, for they stand in files of their own.
fn suites(source: &mut Source, typed: Option<&Some1<String>>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for At { value, span } in typed.iter().flat_map(|list| &list.0) {
        let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if value.is_empty() || value.len() > 64 || value.starts_with('.') || !plain {
            let hint = Some("a suite is called like its file, without `.toml`".to_owned());
            source.problem(span.clone(), format!("`{value}` is not the name of a suite"), hint);
        } else if all.contains(value) {
            source.problem(span.clone(), format!("suite `{value}` is named twice"), None);
        } else if all.len() == MOST_SUITES {
            source.problem(span.clone(), format!("at most {MOST_SUITES} suites are run in one place"), None);
        }
        all.push(value.clone());
    }
    all
}

fn holdback(source: &mut Source, file: &RolloutFile) -> Weight {
    let Some(at) = &file.holdback else { return Weight::ZERO };
    let holdback = weight(source, at).unwrap_or(Weight::ZERO);
    if holdback.percent() > 20.0 {
        let hint = "this is the share that stays on the old side after the promotion: 1 is usual".to_owned();
        source.problem(at.span.clone(), "at most 20 % can be held back", Some(hint));
    }
    if let (Some(watch), false) = (&file.watch, holdback.is_zero())
        && Millis::parse(&watch.value) == Ok(Millis::ZERO)
    {
        source.problem(at.span.clone(), "nothing is held back without a `watch`", None);
    }
    holdback
}

fn steps(source: &mut Source, typed: &At<Vec<At<StepFile>>>, default: &Step) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    if typed.value.is_empty() || typed.value.len() > MOST_STEPS {
        let message = format!("a rollout has 1 to {MOST_STEPS} steps");
        source.problem(typed.span.clone(), message, Some("write [10, 25, 50, 75, 100]".to_owned()));
    }
    for At { value: file, span } in typed.value.iter().take(MOST_STEPS) {
        let Some(at) = &file.weight else {
            source.missing(span.clone(), "the step has no weight", "write { weight = 10, bake = \"5m\" }");
            continue;
        };
        // A bare number has no place of its own.
        let at = At { value: at.value, span: if at.span.is_empty() { span.clone() } else { at.span.clone() } };
        let Some(weight) = weight(source, &at) else { continue };
        if weight.is_zero() || steps.last().is_some_and(|before| before.weight >= weight) {
            let hint = Some("each step is more than the one before, and the first more than 0".to_owned());
            source.problem(at.span.clone(), format!("{weight} is no step up"), hint);
        }
        steps.push(Step {
            weight,
            bake: duration(source, file.bake.as_ref(), default.bake),
            requests: whole(source, file.requests.as_ref(), 0..=1_000_000_000, default.requests),
            approve: file.approve.unwrap_or(default.approve),
            suites: suites(source, file.suites.as_ref()),
            on_fail: file.on_fail.as_ref().and_then(|at| one_of(source, at, &ON_FAIL)).unwrap_or(default.on_fail),
        });
    }
    if let (Some(last), Some(typed)) = (steps.last(), typed.value.last())
        && last.weight != Weight::FULL
    {
        let hint = Some("a version is promoted from 100 %; `holdback` keeps a share back".to_owned());
        source.problem(typed.span.clone(), format!("the last step is {}, not 100", last.weight), hint);
    }
    steps
}
