//! Suites at a rollout's steps: what they hold, what they roll back, and whose answer counts.

use super::*;
use crate::rollout::release::SuiteGate;

mod drawn;

/// The first step wants two suites, the last one of them.
fn gated(on_fail: OnFailure) -> RolloutPlan {
    let mut plan = plan();
    plan.suites = vec!["smoke".into()];
    plan.steps[0].suites = vec!["smoke".into(), "parity".into()];
    plan.steps[2].suites = vec!["parity".into()];
    plan.steps.iter_mut().for_each(|step| step.on_fail = on_fail);
    plan
}

/// On the first step, where two suites run.
fn validating(on_fail: OnFailure) -> Bench {
    let mut bench = Bench::new(gated(on_fail));
    bench.order(deploy("2.0.1")).unwrap();
    assert!(bench.orders.is_empty(), "a preflight's suites are the preflight's");
    bench.preflighted(Ok("3 warm-up requests"));
    assert_eq!(bench.orders.len(), 1, "{:?}", bench.effects);
    bench
}

fn failed(why: &str) -> Result<String, SuiteRunError> {
    Err(SuiteRunError::Failed(why.to_owned()))
}

fn passed() -> Result<String, SuiteRunError> {
    Ok("12 cases".to_owned())
}

impl Bench {
    /// The answer to an order, by its index; returns the kinds of the entries it made.
    fn answer(&mut self, at: usize, result: Result<String, SuiteRunError>) -> Vec<ChangeKind> {
        let order = self.orders[at].clone();
        self.apply(Event::Validated { order, result }).unwrap();
        self.news().into_iter().map(|news| news.kind).collect()
    }

    fn news(&self) -> Vec<Announcement> {
        let news = self.effects.iter().filter_map(|effect| match effect {
            Effect::Announce(news) => Some(news.clone()),
            _ => None,
        });
        news.collect()
    }

    pub(super) fn entry(&self) -> &JournalChange {
        let mut entries = self.effects.iter().filter_map(|effect| match effect {
            Effect::Journal(change) => Some(change),
            _ => None,
        });
        entries.next().unwrap()
    }

    fn gate(&self) -> Option<SuiteGate> {
        self.durable().release.as_ref().unwrap().gate
    }
}

#[test]
fn a_step_is_left_once_its_suites_have_passed_and_they_run_while_it_bakes() {
    let mut bench = validating(OnFailure::Rollback);
    let order = SuiteRun {
        service: "shop".into(),
        rollout: 1,
        step: 0,
        run: bench.state.generation(),
        environment: Environment::Green,
        suites: vec!["smoke".into(), "parity".into()],
    };
    assert_eq!(bench.orders, [order]);
    assert!(matches!(bench.effects.last(), Some(Effect::Validate(_))), "behind its news: {:?}", bench.effects);
    assert_eq!(bench.run(300), [ChangeKind::Waiting], "however long they take: that is said once");
    assert_eq!((bench.at(), bench.waiting().as_str()), ((RolloutPhase::Shifting, 10.0), "suites smoke and parity"));
    assert_eq!(bench.answer(0, passed()), [ChangeKind::Validated]);
    assert_eq!((bench.entry().who.as_str(), bench.news()[0].level), ("plan", AnnouncementLevel::Info));
    assert_eq!(bench.entry().why, "2.0.1: suites smoke and parity passed on green: 12 cases");
    assert_eq!(bench.run(1), [ChangeKind::Step]);
    assert_eq!((bench.at(), bench.orders.len(), bench.gate()), ((RolloutPhase::Shifting, 50.0), 1, None), "none here");
    bench.run(31);
    assert_eq!((bench.phase(), bench.orders[1].step), (RolloutPhase::Baking, 2));
    bench.run(100);
    assert_eq!(
        (bench.phase(), bench.waiting().as_str()),
        (RolloutPhase::Baking, "suite parity"),
        "nothing is promoted"
    );
    bench.answer(1, passed());
    assert_eq!(bench.run(1), [ChangeKind::Promote]);
}

#[test]
fn suites_that_passed_early_leave_the_other_conditions_in_force() {
    let mut bench = validating(OnFailure::Rollback);
    bench.answer(0, passed());
    bench.run(29);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0), "still to bake");
    bench.run(2);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 50.0));
}

#[test]
fn a_suite_that_fails_takes_the_version_back_and_quarantines_it() {
    let mut bench = validating(OnFailure::Rollback);
    bench.run(5);
    let epoch = bench.durable().epoch;
    assert_eq!(bench.answer(0, failed("suite parity failed on green: 3 of 40 answers differ")), [ChangeKind::Rollback]);
    assert!(matches!(bench.effects.first(), Some(Effect::Publish)), "before anything else");
    let why = "2.0.1: suite parity failed on green: 3 of 40 answers differ";
    assert_eq!((bench.entry().who.as_str(), bench.entry().why.as_str()), ("plan", why));
    assert_eq!(bench.news()[0].text, format!("rolled back from 10 %: {why}"));
    assert_eq!(bench.news()[0].level, AnnouncementLevel::Critical);
    assert_eq!(bench.at(), (RolloutPhase::RolledBack, 0.0));
    assert!(bench.durable().epoch > epoch && bench.durable().latch.is_some());
    assert!(matches!(bench.order(deploy("2.0.1")), Err(RolloutError::Quarantined { .. })));
}

#[test]
fn a_suite_that_fails_may_hold_instead_and_resume_runs_them_again() {
    let mut bench = validating(OnFailure::Hold);
    bench.run(5);
    assert_eq!(bench.answer(0, failed("suite smoke failed on green: 500")), [ChangeKind::Pause]);
    assert_eq!((bench.at(), bench.gate()), ((RolloutPhase::Paused, 10.0), Some(SuiteGate::Held)));
    assert_eq!((bench.news()[0].level, bench.entry().who.as_str()), (AnnouncementLevel::Critical, "plan"));
    let view = bench.state.views(Millis(bench.now)).remove(0);
    assert_eq!(view.rollout.unwrap().why.unwrap(), "2.0.1: suite smoke failed on green: 500");
    assert!(bench.durable().quarantine.is_empty());
    assert!(bench.run(100).is_empty(), "it holds");
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!((bench.at(), bench.gate(), bench.orders.len()), ((RolloutPhase::Shifting, 10.0), None, 2));
    assert_ne!(bench.orders[0].run, bench.orders[1].run);
    assert!(bench.answer(0, passed()).is_empty(), "the first run's answer is no news");
    bench.answer(1, failed("suite smoke failed on green: 500"));
    assert_eq!(bench.phase(), RolloutPhase::Paused);
    bench.order(OperatorAction::Resume).unwrap();
    bench.answer(2, passed());
    bench.run(31);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 50.0));
}

#[test]
fn what_could_not_be_run_holds_and_never_passes_or_rolls_back() {
    let mut bench = validating(OnFailure::Rollback);
    bench.answer(0, Err(SuiteRunError::NotRun("Cutover is shutting down".into())));
    assert_eq!(bench.at(), (RolloutPhase::Paused, 10.0));
    assert_eq!(bench.entry().why, "2.0.1: suites smoke and parity did not run on green: Cutover is shutting down");
    assert!(bench.durable().quarantine.is_empty());
}

#[test]
fn with_the_guard_off_a_failure_holds_whatever_it_should_do() {
    let mut bench = validating(OnFailure::Rollback);
    bench.order(OperatorAction::Monitoring(false)).unwrap();
    bench.answer(0, failed("suite smoke failed on green: 500"));
    assert_eq!(bench.at(), (RolloutPhase::Paused, 10.0));
    assert!(bench.entry().why.ends_with("500; it stays at its step because the guard is off"), "{}", bench.entry().why);
}

#[test]
fn an_answer_counts_once_and_only_while_its_step_waits_for_it() {
    type Way = fn(&mut Bench);
    let ways: [(&str, Way); 8] = [
        ("answered", |b| drop(b.answer(0, passed()))),
        ("paused", |b| b.order(OperatorAction::Pause).unwrap()),
        ("shifted by hand", |b| b.order(shift(30.0, false)).unwrap()),
        ("rolled back", |b| b.order(OperatorAction::Rollback).unwrap()),
        ("aborted", |b| b.order(OperatorAction::Abort).unwrap()),
        ("stopped", |b| b.order(OperatorAction::Stop).unwrap()),
        ("promoted by hand", |b| b.order(OperatorAction::Promote).unwrap()),
        ("another rollout", |b| {
            b.order(OperatorAction::Abort).unwrap();
            b.order(deploy("2.0.2")).unwrap();
            b.preflighted(Ok(""));
        }),
    ];
    for (name, way) in ways {
        for result in [passed(), failed("suite smoke failed on green: 500")] {
            let mut bench = validating(OnFailure::Rollback);
            assert!(bench.state.views(Millis(bench.now))[0].awaits(&bench.orders[0]), "{name}");
            way(&mut bench);
            let (before, awaits) = (bench.durable().clone(), bench.state.views(Millis(bench.now))[0].run);
            assert!(!bench.state.views(Millis(bench.now))[0].awaits(&bench.orders[0]), "{name}: no use in going on");
            assert!(bench.answer(0, result).is_empty(), "{name}");
            assert_eq!(*bench.durable(), before, "{name}");
            assert_eq!(bench.state.views(Millis(bench.now))[0].run, awaits, "{name}");
        }
    }
}

#[test]
fn an_answer_of_another_step_is_no_news() {
    let mut bench = validating(OnFailure::Rollback);
    bench.answer(0, passed());
    bench.run(65);
    assert_eq!((bench.phase(), bench.orders.len()), (RolloutPhase::Baking, 2));
    assert!(bench.answer(0, failed("suite smoke failed on green: 500")).is_empty());
    let mut other = bench.orders[1].clone();
    other.step = 1;
    bench.apply(Event::Validated { order: other, result: passed() }).unwrap();
    assert_eq!((bench.effects.len(), bench.gate(), bench.phase()), (0, None, RolloutPhase::Baking));
}

#[test]
fn a_pause_forgets_the_run_and_resume_begins_it_again_but_not_what_has_passed() {
    let mut bench = validating(OnFailure::Rollback);
    bench.order(OperatorAction::Pause).unwrap();
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!(bench.orders.len(), 2);
    bench.answer(1, passed());
    bench.order(OperatorAction::Pause).unwrap();
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!((bench.orders.len(), bench.gate()), (2, Some(SuiteGate::Passed)));
    bench.run(31);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 50.0));
    // If a shift by hand leads to another step, that step's suites must run.
    bench.order(shift(20.0, false)).unwrap();
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!((bench.orders.len(), bench.orders[2].step), (3, 0));
}

#[test]
fn a_restart_has_them_run_again_and_remembers_what_has_passed() {
    let mut bench = validating(OnFailure::Hold);
    bench.run(10);
    bench.restart();
    assert_eq!(bench.orders.len(), 2, "nobody runs them any more");
    bench.run(100);
    assert_eq!(bench.waiting(), "suites smoke and parity");
    bench.answer(1, failed("suite smoke failed on green: 500"));
    bench.restart();
    assert_eq!((bench.phase(), bench.orders.len()), (RolloutPhase::Paused, 2), "held is held");
    bench.order(OperatorAction::Resume).unwrap();
    bench.answer(2, passed());
    bench.restart();
    assert_eq!((bench.gate(), bench.orders.len()), (Some(SuiteGate::Passed), 3));
    bench.run(31);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 50.0));
}

#[test]
fn a_reload_leaves_the_run_alone_and_a_file_that_takes_the_share_back_ends_it() {
    let mut bench = validating(OnFailure::Rollback);
    bench.load().unwrap();
    bench.plan.steps.iter_mut().for_each(|step| step.suites.clear());
    bench.load().unwrap();
    assert_eq!((bench.orders.len(), bench.waiting().contains("suites smoke and parity")), (1, true), "as it set out");
    bench.order(OperatorAction::Abort).unwrap();
    assert!(bench.answer(0, passed()).is_empty());
    // Dropped from the file and back again.
    bench.apply(Event::Loaded(vec![])).unwrap();
    bench.load().unwrap();
    bench.asked = 30.0;
    bench.load().unwrap();
    bench.order(shift(0.0, false)).unwrap();
    bench.plan = gated(OnFailure::Rollback);
    bench.load().unwrap();
    bench.order(deploy("2.0.2")).unwrap();
    bench.preflighted(Ok(""));
    bench.asked = 0.0;
    bench.load().unwrap();
    assert_eq!((bench.at(), bench.orders.len()), ((RolloutPhase::Aborted, 0.0), 2));
    assert!(bench.answer(1, failed("suite smoke failed on green: 500")).is_empty());
    assert!(bench.durable().quarantine.is_empty());
}

#[test]
fn the_guard_rolls_back_while_suites_run_and_they_change_nothing_of_it() {
    let mut bench = validating(OnFailure::Hold);
    bench.run(40);
    bench.failing = 100;
    assert!(bench.run(40).contains(&ChangeKind::Rollback));
    let before = bench.durable().clone();
    assert!(bench.answer(0, passed()).is_empty());
    assert_eq!((bench.at(), bench.durable()), ((RolloutPhase::RolledBack, 0.0), &before));
}

#[test]
fn a_freeze_holds_the_step_and_neither_the_run_nor_what_it_takes_back() {
    let freeze = OperatorAction::Freeze { until: None };
    let mut bench = validating(OnFailure::Rollback);
    bench.order(freeze.clone()).unwrap();
    bench.run(31);
    bench.answer(0, passed());
    bench.run(31);
    assert_eq!((bench.at().1, bench.waiting().as_str()), (10.0, "frozen"));
    let mut bench = validating(OnFailure::Rollback);
    bench.order(freeze).unwrap();
    bench.answer(0, failed("suite smoke failed on green: 500"));
    assert_eq!(bench.phase(), RolloutPhase::RolledBack);
}

#[test]
fn approval_and_suites_are_two_conditions() {
    let mut plan = gated(OnFailure::Rollback);
    plan.steps[0].approve = true;
    let mut bench = Bench::new(plan);
    bench.order(deploy("2.0.1")).unwrap();
    bench.preflighted(Ok(""));
    bench.order(OperatorAction::Approve).unwrap();
    bench.run(60);
    assert_eq!(bench.waiting(), "suites smoke and parity");
    bench.answer(0, passed());
    bench.run(1);
    assert_eq!(bench.at().1, 50.0);
}

#[test]
fn a_gradual_shift_waits_for_the_suites_of_its_steps_and_a_failure_at_its_mark_can_be_tried_again() {
    let mut plan = gated(OnFailure::Hold);
    plan.steps[1].suites = vec!["smoke".into()];
    let mut bench = Bench::new(plan);
    bench.order(shift(30.0, true)).unwrap();
    bench.answer(0, passed());
    bench.run(31);
    assert_eq!((bench.at().1, bench.orders[1].suites.as_slice()), (30.0, &["smoke".to_owned()][..]), "as of the 50");
    bench.answer(1, failed("suite smoke failed on green: 500"));
    assert_eq!(bench.entry().why, "the candidate: suite smoke failed on green: 500");
    bench.order(OperatorAction::Resume).unwrap();
    bench.answer(2, passed());
    bench.run(31);
    assert_eq!(
        (bench.at(), bench.gate()),
        ((RolloutPhase::Paused, 30.0), Some(SuiteGate::Passed)),
        "as far as it was told to"
    );
    assert!(matches!(bench.order(OperatorAction::Resume), Err(RolloutError::Reached { .. })));
}

#[test]
fn the_preflight_is_told_which_suites_it_runs() {
    let mut bench = Bench::new(gated(OnFailure::Hold));
    bench.order(deploy("2.0.1")).unwrap();
    let Some(Effect::Preflight(order)) = bench.effects.last() else { panic!("{:?}", bench.effects) };
    assert_eq!(order.suites, ["smoke"]);
    bench.preflighted(Err("suite smoke failed on green: 500"));
    assert_eq!((bench.at(), bench.orders.len()), ((RolloutPhase::Aborted, 0.0), 0), "hold or not, it does not set out");
}

#[test]
fn what_was_written_before_there_were_suites_is_read_and_written_as_it_was() {
    let mut bench = under_way();
    bench.run(1);
    let release = bench.durable().release.as_ref().unwrap();
    let text = serde_json::to_string(release).unwrap();
    assert!(!text.contains("suites") && !text.contains("on_fail") && !text.contains("gate"), "{text}");
    assert_eq!(serde_json::from_str::<crate::rollout::release::Release>(&text).unwrap(), *release);
    let bench = validating(OnFailure::Hold);
    let release = bench.durable().release.as_ref().unwrap();
    let text = serde_json::to_string(release).unwrap();
    assert_eq!(serde_json::from_str::<crate::rollout::release::Release>(&text).unwrap(), *release);
}

#[test]
fn words_are_cut_where_they_are_too_many() {
    let mut bench = validating(OnFailure::Rollback);
    bench.answer(0, failed(&"é".repeat(100_000)));
    assert_eq!(bench.entry().why.chars().count(), "2.0.1: ".len() + 1000);
}
