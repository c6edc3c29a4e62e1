//! `[service.NAME.rollout]`.

use crate::check::service::{pattern, weight};
use crate::check::{duration, one_of, whole};
use crate::file::{At, RolloutFile, StepFile};
use crate::read::SourceFile;
use judgement::rollout::plan::{OnSuiteFailure, PlanStep, RolloutPlan, WarmUp};
use judgement::time::Millis;
use judgement::traffic::split::Weight;

/// A plan is gone through by hand when something is odd: nobody reads more steps than this.
const MOST_STEPS: usize = 50;
/// Somebody waits for all of them.
const MOST_SUITES: usize = 20;
/// The name of a file, without `.toml`.
const LONGEST_SUITE: usize = 64;

pub fn plan(source: &mut SourceFile, typed: Option<&At<RolloutFile>>) -> RolloutPlan {
    let standard = RolloutPlan::standard();
    let Some(At { value: file, .. }) = typed else { return standard };
    let bake = duration(source, file.bake.as_ref(), RolloutPlan::BAKE);
    let requests = whole(source, file.requests.as_ref(), 0..=1_000_000_000, RolloutPlan::REQUESTS);
    let holdback = holdback(source, file);
    let mut steps = match &file.steps {
        None => standard.steps.into_iter().map(|step| PlanStep { bake, requests, ..step }).collect(),
        Some(typed) => {
            let default = PlanStep {
                on_fail: failing(source, file.on_fail.as_ref()),
                ..PlanStep::new(Weight::ZERO, bake, requests)
            };
            steps(source, typed, &default)
        }
    };
    if let Some(at) = file.on_fail.as_ref().filter(|_| steps.iter().all(|step| step.suites.is_empty())) {
        let hint = "write { weight = 10, suites = [\"smoke\"] }; one that fails before the first client always ends it";
        source.problem(at.span.clone(), "no step has suites that could fail", Some(hint.to_owned()));
    }
    // What is held back is held back from the last steps too.
    let full = holdback.rest();
    steps.iter_mut().for_each(|step| step.weight = step.weight.min(full));
    steps.dedup_by(|next, step| {
        let same = next.weight == step.weight;
        if same {
            join(step, next);
        }
        same
    });
    let path = file.warm_up_path.as_ref();
    let path = path.and_then(|at| pattern(source, &at.value, at.span.clone())).unwrap_or("/").to_owned();
    RolloutPlan {
        steps,
        watch: duration(source, file.watch.as_ref(), RolloutPlan::WATCH),
        holdback,
        warm_up: WarmUp { requests: whole(source, file.warm_up.as_ref(), 1..=1000, 3) as u32, path },
        suites: suites(source, file.suites.as_ref()),
    }
}

fn holdback(source: &mut SourceFile, file: &RolloutFile) -> Weight {
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

fn steps(source: &mut SourceFile, typed: &At<Vec<At<StepFile>>>, default: &PlanStep) -> Vec<PlanStep> {
    let mut steps: Vec<PlanStep> = Vec::new();
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
        let suites = suites(source, file.suites.as_ref());
        let on_fail = match &file.on_fail {
            None => default.on_fail,
            Some(at) if suites.is_empty() => {
                source.problem(at.span.clone(), "the step has no suites that could fail", None);
                default.on_fail
            }
            typed => failing(source, typed.as_ref()),
        };
        steps.push(PlanStep {
            weight,
            bake: duration(source, file.bake.as_ref(), default.bake),
            requests: whole(source, file.requests.as_ref(), 0..=1_000_000_000, default.requests),
            approve: file.approve.unwrap_or(default.approve),
            suites,
            on_fail,
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

/// Two steps that are one because of what is held back: nothing that either waits for is lost.
fn join(step: &mut PlanStep, next: &PlanStep) {
    step.bake = step.bake.max(next.bake);
    step.requests = step.requests.max(next.requests);
    step.approve |= next.approve;
    if step.suites.is_empty() || !next.suites.is_empty() && next.on_fail == OnSuiteFailure::Rollback {
        step.on_fail = next.on_fail;
    }
    let more: Vec<String> = next.suites.iter().filter(|name| !step.suites.contains(name)).cloned().collect();
    step.suites.extend(more);
}

/// The names of suites. Whether there are such is found out where they are run.
fn suites(source: &mut SourceFile, typed: Option<&At<Vec<At<String>>>>) -> Vec<String> {
    let Some(At { value: typed, span }) = typed else { return Vec::new() };
    if typed.len() > MOST_SUITES {
        source.problem(span.clone(), format!("at most {MOST_SUITES} suites, which all must pass"), None);
    }
    let mut names: Vec<String> = Vec::new();
    for At { value: name, span } in typed.iter().take(MOST_SUITES) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > LONGEST_SUITE || !name.bytes().all(plain) {
            let hint =
                format!("the name of its file without `.toml`: 1 to {LONGEST_SUITE} letters, digits, `-`, `_` and `.`");
            source.problem(span.clone(), format!("{name:?} is no name of a suite"), Some(hint));
        } else if names.contains(name) {
            source.problem(span.clone(), format!("suite `{name}` is named twice"), None);
        } else {
            names.push(name.clone());
        }
    }
    names
}

fn failing(source: &mut SourceFile, typed: Option<&At<String>>) -> OnSuiteFailure {
    let words = [OnSuiteFailure::Rollback, OnSuiteFailure::Hold].map(|way| (way.name(), way));
    typed.and_then(|at| one_of(source, at, &words)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing_text;

    fn typed(lines: &str) -> Result<RolloutPlan, String> {
        let text = format!(
            "[service.shop]\n[service.shop.blue]\nurl = \"http://a.test\"\n[service.shop.green]\nurl = \"http://b.test\"\n\
             [service.shop.rollout]\n{lines}\n"
        );
        let mut routing = routing_text("routing.toml", &text).map_err(|refused| refused.render(false))?;
        Ok(routing.services.remove(0).plan)
    }

    fn gates(plan: &RolloutPlan) -> Vec<(f64, String, OnSuiteFailure)> {
        plan.steps.iter().map(|step| (step.weight.percent(), step.suites.join(" "), step.on_fail)).collect()
    }

    #[test]
    fn steps_and_the_preflight_have_suites_and_what_fails_rolls_back_unless_told_otherwise() {
        let plan = typed("suites = [\"smoke\"]\nsteps = [1, { weight = 10, suites = [\"a\", \"b.2\"] }, 100]").unwrap();
        assert_eq!(plan.suites, ["smoke"]);
        let ways = [
            (1.0, "", OnSuiteFailure::Rollback),
            (10.0, "a b.2", OnSuiteFailure::Rollback),
            (100.0, "", OnSuiteFailure::Rollback),
        ];
        assert_eq!(gates(&plan), ways.map(|(weight, names, way)| (weight, names.to_owned(), way)));
        let plan = typed(
            "on_fail = \"hold\"\nsteps = [{ weight = 10, suites = [\"a\"] }, { weight = 100, suites = [\"a\"], on_fail = \"rollback\" }]",
        );
        let ways = [(10.0, "a", OnSuiteFailure::Hold), (100.0, "a", OnSuiteFailure::Rollback)];
        assert_eq!(gates(&plan.unwrap()), ways.map(|(weight, names, way)| (weight, names.to_owned(), way)));
    }

    #[test]
    fn a_share_held_back_makes_one_step_of_two_and_loses_no_condition() {
        let steps = "{ weight = 96, suites = [\"a\"], on_fail = \"hold\" }, \
                     { weight = 100, suites = [\"b\", \"a\"], bake = \"10m\", requests = 7, approve = true }";
        let plan = typed(&format!("holdback = 5\nrequests = 9\nsteps = [50, {steps}]")).unwrap();
        let last = plan.steps.last().unwrap();
        assert_eq!((plan.steps.len(), last.weight.percent(), last.suites.join(" ")), (2, 95.0, "a b".to_owned()));
        assert_eq!((last.bake, last.requests, last.approve), (Millis::seconds(600), 9, true));
        assert_eq!(last.on_fail, OnSuiteFailure::Rollback, "the graver of the two");
        let plan = typed("holdback = 5\nsteps = [96, { weight = 100, suites = [\"a\"], on_fail = \"hold\" }]").unwrap();
        assert_eq!(gates(&plan), [(95.0, "a".to_owned(), OnSuiteFailure::Hold)]);
    }

    #[test]
    fn names_that_are_none_and_choices_without_a_choice_are_refused() {
        let long = format!("suites = [\"{}\"]", "a".repeat(65));
        for (lines, why) in [
            ("suites = [\"a/b\"]", "is no name of a suite"),
            ("suites = [\"\"]", "is no name of a suite"),
            (long.as_str(), "is no name of a suite"),
            ("suites = [\"a\", \"a\"]", "named twice"),
            ("suites = [\"a\"]\non_fail = \"hold\"", "no step has suites"),
            ("steps = [{ weight = 10, on_fail = \"hold\" }, 100]", "the step has no suites"),
            ("steps = [{ weight = 10, suites = [\"a\"], on_fail = \"hodl\" }, 100]", "did you mean `hold`"),
        ] {
            let said = typed(lines).unwrap_err();
            assert!(said.contains(why), "{lines}: {said}");
        }
        let many: Vec<String> = (0..21).map(|at| format!("\"s{at}\"")).collect();
        assert!(typed(&format!("suites = [{}]", many.join(", "))).unwrap_err().contains("at most 20 suites"));
        assert!(typed("suites = []").unwrap().suites.is_empty());
    }
}
