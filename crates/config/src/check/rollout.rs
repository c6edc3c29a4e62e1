//! `[service.NAME.rollout]`.

use std::ops::Range;

use crate::check::mirror::NOT_BUILT;
use crate::check::{length, warn_of_fraction, whole, word};
use crate::file::values::SuiteName;
use crate::file::{At, RolloutFile, StepFile};
use crate::read::{SourceFile, did_you_mean};
use crate::{RoutingContext, SuiteFolder};
use judgement::rollout::plan::{MirrorGate, OnFailure, PlanStep, RolloutPlan, WarmUp};
use judgement::time::Millis;
use judgement::traffic::split::Weight;

/// A plan must stay short enough for a person to read.
const MOST_STEPS: usize = 50;
/// The most suites per step: a person waits for all of them.
const MOST_SUITES: usize = 20;
/// In percent. With more on the old side, the rollout has not really ended.
const MOST_HELD_BACK: f64 = 20.0;

pub fn plan(source: &mut SourceFile, typed: Option<&At<RolloutFile>>, context: &RoutingContext<'_>) -> RolloutPlan {
    let standard = RolloutPlan::standard();
    let Some(At { value: file, .. }) = typed else { return standard };
    let bake = length(&file.bake, RolloutPlan::BAKE);
    let requests = whole(&file.requests, RolloutPlan::REQUESTS);
    let holdback = holdback(source, file);
    let mut steps = match &file.steps {
        None => standard.steps.into_iter().map(|step| PlanStep { bake, requests, ..step }).collect(),
        Some(typed) => {
            let on_fail = word(&file.on_fail).unwrap_or_default();
            steps(source, typed, &PlanStep { on_fail, ..PlanStep::new(Weight::ZERO, bake, requests) }, context)
        }
    };
    if let Some(at) = file.on_fail.as_ref().filter(|_| steps.iter().all(never_fails)) {
        let hint = "write { weight = 10, suites = [\"smoke\"] }; a suite that fails before the first client always ends the rollout";
        source.problem(
            at.span.clone(),
            "`on_fail` has no effect: no step has suites, and none is a mirror",
            Some(hint.to_owned()),
        );
    }
    // The holdback also applies to the last steps.
    let full = holdback.rest();
    steps.iter_mut().for_each(|step| step.weight = step.weight.min(full));
    steps.dedup_by(|next, step| {
        let same = next.weight == step.weight;
        if same {
            join(step, next);
        }
        same
    });
    if let Some(at) = file.on_deadline.as_ref().filter(|_| file.deadline.is_none()) {
        let hint = "add deadline = \"1h\", or remove `on_deadline`".to_owned();
        source.problem(at.span.clone(), "`on_deadline` has no effect without a `deadline`", Some(hint));
    }
    let deadline = file.deadline.as_ref().map(|at| at.value.0);
    let least = steps.iter().fold(Millis::ZERO, |sum, step| sum.plus(step.bake));
    if let Some(at) = file.deadline.as_ref().filter(|at| at.value.0 <= least) {
        let hint = Some("leave room for traffic that comes slowly, and for people".to_owned());
        source.problem(at.span.clone(), format!("the steps alone take {least}: no rollout could end in time"), hint);
    }
    let path = file.warm_up_path.as_ref().map_or("/", |at| at.value.0.as_str()).to_owned();
    RolloutPlan {
        steps,
        watch: length(&file.watch, RolloutPlan::WATCH),
        holdback,
        warm_up: WarmUp { requests: whole(&file.warm_up, 3) as u32, path },
        deadline,
        on_deadline: word(&file.on_deadline).unwrap_or_default(),
        return_over: file.return_to.as_ref().map_or(Millis::ZERO, |at| length(&at.value.over, Millis::ZERO)),
        ready_within: length(&file.ready_within, RolloutPlan::READY_WITHIN),
        suites: suites(source, file.suites.as_ref(), context.suites),
    }
}

fn holdback(source: &mut SourceFile, file: &RolloutFile) -> Weight {
    let Some(at) = &file.holdback else { return Weight::ZERO };
    let holdback = at.value.0;
    if holdback.percent() > MOST_HELD_BACK {
        let hint = "this is the share that stays on the old side after the promotion: 1 is usual".to_owned();
        source.problem(at.span.clone(), format!("`holdback` must be at most {MOST_HELD_BACK} percent"), Some(hint));
    }
    warn_of_fraction(source, "holdback", at);
    if length(&file.watch, RolloutPlan::WATCH) == Millis::ZERO && !holdback.is_zero() {
        let hint = "set `watch`: the share is held back for that long".to_owned();
        source.problem(at.span.clone(), "`holdback` has no effect without a `watch`", Some(hint));
    }
    holdback
}

fn steps(
    source: &mut SourceFile,
    typed: &At<Vec<At<StepFile>>>,
    default: &PlanStep,
    context: &RoutingContext<'_>,
) -> Vec<PlanStep> {
    let mut steps: Vec<PlanStep> = Vec::new();
    if typed.value.is_empty() || typed.value.len() > MOST_STEPS {
        let message = format!("a rollout has 1 to {MOST_STEPS} steps");
        source.missing(typed.span.clone(), message, "write [10, 25, 50, 75, 100]");
    }
    for At { value: file, span } in typed.value.iter().take(MOST_STEPS) {
        if let Some(mirror) = &file.mirror {
            only_before_clients(source, file, span, steps.is_empty());
            if context.cannot_compare {
                let message =
                    "this Cutover was built without validation: the step would wait for a comparison for ever";
                source.problem(mirror.span.clone(), message, Some(NOT_BUILT.to_owned()));
            }
            let suites = suites(source, file.suites.as_ref(), context.suites);
            steps.push(PlanStep {
                weight: Weight::ZERO,
                bake: mirror.value.0,
                suites,
                mirror: Some(MirrorGate { differences: whole(&file.differences, 0) as u32 }),
                ..own(file, default)
            });
            continue;
        }
        if let Some(at) = &file.differences {
            let hint = Some("write { mirror = \"5m\", differences = 0 } as the first step".to_owned());
            source.problem(at.span.clone(), "`differences` has no effect without a `mirror`", hint);
        }
        let Some(at) = &file.weight else {
            source.missing(span.clone(), "the step has no `weight`", "write { weight = 10, bake = \"5m\" }");
            continue;
        };
        // A bare number has no position of its own.
        let (weight, place) = (at.value.0, if at.span.is_empty() { span } else { &at.span });
        if weight.is_zero() || steps.last().is_some_and(|before| before.weight >= weight) {
            let hint = Some("steps rise: the first is above 0, and each is above the one before".to_owned());
            source.problem(place.clone(), format!("{} does not raise the weight", weight.percent()), hint);
        }
        let suites = suites(source, file.suites.as_ref(), context.suites);
        if let Some(at) = file.on_fail.as_ref().filter(|_| suites.is_empty()) {
            let hint = Some("add suites = [\"smoke\"], or remove `on_fail`".to_owned());
            source.problem(at.span.clone(), "`on_fail` has no effect: the step has no suites", hint);
        }
        steps.push(PlanStep { weight, suites, ..own(file, default) });
    }
    if let (Some(last), Some(typed)) = (steps.last(), typed.value.last())
        && last.weight != Weight::FULL
    {
        let fractions = last.weight.percent() <= 1.0;
        let hint = match fractions {
            true => "steps are percentages: write [10, 25, 50, 100]",
            false => "a version is promoted from 100 percent; `holdback` keeps a share back",
        };
        let message = format!("the last step is {} percent, not 100", last.weight.percent());
        source.missing(typed.span.clone(), message, hint);
    }
    steps
}

/// What a step says for itself, or else the rollout.
fn own(file: &StepFile, default: &PlanStep) -> PlanStep {
    PlanStep {
        bake: length(&file.bake, default.bake),
        requests: whole(&file.requests, default.requests),
        approve: file.approve.unwrap_or(default.approve),
        on_fail: word(&file.on_fail).unwrap_or(default.on_fail),
        ..default.clone()
    }
}

/// Whether nothing at a step can fail but the guard's verdict.
fn never_fails(step: &PlanStep) -> bool {
    step.suites.is_empty() && step.mirror.is_none()
}

/// A step that copies requests comes before all clients, and has neither a share nor another time.
fn only_before_clients(source: &mut SourceFile, file: &StepFile, span: &Range<usize>, is_first: bool) {
    if !is_first {
        let hint = Some("put it first: write [{ mirror = \"5m\" }, 10, 50, 100]".to_owned());
        source.problem(span.clone(), "only the first step can copy requests: after it there are clients", hint);
    }
    if let Some(at) = &file.weight {
        let hint = Some("remove one of the two; the next step has the first share".to_owned());
        source.problem(at.span.clone(), "a step that copies requests has no `weight`", hint);
    }
    if let Some(at) = &file.bake {
        let hint = Some("remove `bake`: `mirror` is how long it takes".to_owned());
        source.problem(at.span.clone(), "a step that copies requests has no `bake`", hint);
    }
}

/// Merges two steps that become one because of the holdback: no condition of either is lost.
fn join(step: &mut PlanStep, next: &PlanStep) {
    step.bake = step.bake.max(next.bake);
    step.requests = step.requests.max(next.requests);
    step.approve |= next.approve;
    if step.suites.is_empty() || !next.suites.is_empty() && next.on_fail == OnFailure::Rollback {
        step.on_fail = next.on_fail;
    }
    let more: Vec<String> = next.suites.iter().filter(|name| !step.suites.contains(name)).cloned().collect();
    step.suites.extend(more);
}

/// The names of suites, which must exist if the folder is known.
fn suites(
    source: &mut SourceFile,
    typed: Option<&At<Vec<At<SuiteName>>>>,
    folder: Option<&SuiteFolder>,
) -> Vec<String> {
    let Some(At { value: typed, span }) = typed else { return Vec::new() };
    if typed.len() > MOST_SUITES {
        source.problem(
            span.clone(),
            format!("there are at most {MOST_SUITES} suites"),
            Some("remove some of them".to_owned()),
        );
    }
    let mut names: Vec<String> = Vec::new();
    for At { value: SuiteName(name), span } in typed.iter().take(MOST_SUITES) {
        if names.contains(name) {
            source.problem(
                span.clone(),
                format!("suite `{name}` is listed twice"),
                Some("remove one of the two".to_owned()),
            );
            continue;
        }
        if let Some(folder) = folder.filter(|folder| !folder.names.contains(name)) {
            let known: Vec<&str> = folder.names.iter().map(String::as_str).collect();
            let (message, hint) = match (folder.is_there, known.as_slice()) {
                (false, _) => (
                    format!("there is no suite `{name}`: the folder {} does not exist", folder.path.display()),
                    "create the folder, or name another with `suites` in cutover.toml".to_owned(),
                ),
                (true, []) => (
                    format!("there is no suite `{name}`: the folder {} is empty", folder.path.display()),
                    format!("write {name}.toml there; `cutover check --schema suite` prints its schema"),
                ),
                (true, known) => {
                    (format!("there is no suite `{name}` in {}", folder.path.display()), did_you_mean(name, known))
                }
            };
            source.problem(span.clone(), message, Some(hint));
        }
        names.push(name.clone());
    }
    names
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

    fn gates(plan: &RolloutPlan) -> Vec<(f64, String, OnFailure)> {
        plan.steps.iter().map(|step| (step.weight.percent(), step.suites.join(" "), step.on_fail)).collect()
    }

    #[test]
    fn steps_and_the_preflight_have_suites_and_what_fails_rolls_back_unless_told_otherwise() {
        let plan = typed("suites = [\"smoke\"]\nsteps = [1, { weight = 10, suites = [\"a\", \"b.2\"] }, 100]").unwrap();
        assert_eq!(plan.suites, ["smoke"]);
        let ways =
            [(1.0, "", OnFailure::Rollback), (10.0, "a b.2", OnFailure::Rollback), (100.0, "", OnFailure::Rollback)];
        assert_eq!(gates(&plan), ways.map(|(weight, names, way)| (weight, names.to_owned(), way)));
        let plan = typed(
            "on_fail = \"hold\"\nsteps = [{ weight = 10, suites = [\"a\"] }, { weight = 100, suites = [\"a\"], on_fail = \"rollback\" }]",
        );
        let ways = [(10.0, "a", OnFailure::Hold), (100.0, "a", OnFailure::Rollback)];
        assert_eq!(gates(&plan.unwrap()), ways.map(|(weight, names, way)| (weight, names.to_owned(), way)));
    }

    #[test]
    fn copies_come_before_the_first_client_and_instead_of_a_weight() {
        let plan = typed("requests = 50\nsteps = [{ mirror = \"5m\", differences = 2, on_fail = \"hold\" }, 10, 100]")
            .unwrap();
        let first = &plan.steps[0];
        assert_eq!((first.weight, first.bake, first.requests), (Weight::ZERO, Millis::seconds(300), 50));
        assert_eq!((first.mirror, first.on_fail), (Some(MirrorGate { differences: 2 }), OnFailure::Hold));
        assert!(plan.steps[1..].iter().all(|step| step.mirror.is_none()));
        let plan =
            typed("on_fail = \"hold\"\nsteps = [{ mirror = \"1m\", requests = 7, suites = [\"a\"] }, 100]").unwrap();
        let first = &plan.steps[0];
        assert_eq!((first.mirror, first.requests), (Some(MirrorGate { differences: 0 }), 7));
        assert_eq!((first.on_fail, first.suites.join(" ")), (OnFailure::Hold, "a".to_owned()));
        for (lines, why) in [
            ("steps = [10, { mirror = \"5m\" }, 100]", "only the first step"),
            ("steps = [{ mirror = \"5m\", weight = 10 }, 100]", "has no `weight`"),
            ("steps = [{ mirror = \"5m\", bake = \"1m\" }, 100]", "has no `bake`"),
            ("steps = [{ weight = 10, differences = 1 }, 100]", "without a `mirror`"),
            ("steps = [{ mirror = \"5m\" }]", "the last step is 0 percent"),
            ("steps = [{ mirror = \"0s\" }, 100]", "mirror"),
            ("deadline = \"5m\"\nsteps = [{ mirror = \"5m\" }, 100]", "the steps alone take 7m"),
        ] {
            let said = typed(lines).unwrap_err();
            assert!(said.contains(why), "{lines}: {said}");
        }
    }

    #[test]
    fn a_version_has_half_a_minute_to_start_unless_the_file_says_otherwise() {
        assert_eq!(typed("").unwrap().ready_within, Millis::seconds(30));
        assert_eq!(typed("ready_within = \"2m\"").unwrap().ready_within, Millis::seconds(120));
        assert_eq!(typed("ready_within = \"0s\"").unwrap().ready_within, Millis::ZERO);
        assert!(typed("ready_within = \"61m\"").unwrap_err().contains("1h"));
    }

    #[test]
    fn a_share_held_back_makes_one_step_of_two_and_loses_no_condition() {
        let steps = "{ weight = 96, suites = [\"a\"], on_fail = \"hold\" }, \
                     { weight = 100, suites = [\"b\", \"a\"], bake = \"10m\", requests = 7, approve = true }";
        let plan = typed(&format!("holdback = 5\nrequests = 9\nsteps = [50, {steps}]")).unwrap();
        let last = plan.steps.last().unwrap();
        assert_eq!((plan.steps.len(), last.weight.percent(), last.suites.join(" ")), (2, 95.0, "a b".to_owned()));
        assert_eq!((last.bake, last.requests, last.approve), (Millis::seconds(600), 9, true));
        assert_eq!(last.on_fail, OnFailure::Rollback, "the graver of the two");
        let plan = typed("holdback = 5\nsteps = [96, { weight = 100, suites = [\"a\"], on_fail = \"hold\" }]").unwrap();
        assert_eq!(gates(&plan), [(95.0, "a".to_owned(), OnFailure::Hold)]);
    }

    #[test]
    fn names_that_are_none_and_choices_without_a_choice_are_refused() {
        let long = format!("suites = [\"{}\"]", "a".repeat(65));
        for (lines, why) in [
            ("suites = [\"a/b\"]", "invalid suite name"),
            ("suites = [\"\"]", "invalid suite name"),
            (long.as_str(), "invalid suite name"),
            ("suites = [\"a\", \"a\"]", "listed twice"),
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
