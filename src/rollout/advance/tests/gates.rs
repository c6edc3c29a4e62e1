//! Suites that a step waits for.

use super::*;
use crate::rollout::plan::OnFail;

/// Under way at 10 %, where two suites have to pass.
fn gated(on_fail: OnFail) -> Bench {
    let mut plan = plan();
    plan.steps[0].suites = vec!["smoke".into(), "parity".into()];
    plan.steps[0].on_fail = on_fail;
    let mut bench = Bench::new(plan);
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench
}

impl Bench {
    fn validated(&mut self, place: Place, result: Result<&str, &str>) -> Vec<Kind> {
        let result = result.map(str::to_owned).map_err(str::to_owned);
        self.apply(Event::Validated { service: "shop".into(), place, result }).unwrap();
        let kinds = self.effects.iter().filter_map(|effect| match effect {
            Effect::Journal(change) => Some(change.kind),
            _ => None,
        });
        kinds.collect()
    }

    fn place(&self) -> Place {
        self.ordered.last().unwrap().place
    }
}

#[test]
fn they_run_as_soon_as_the_step_has_its_weight_and_it_is_left_when_they_have_passed() {
    let mut bench = gated(OnFail::Rollback);
    bench.run(100);
    let order = Validate {
        service: "shop".into(),
        place: Place { rollout: bench.durable().rollout, step: 0 },
        environment: Environment::Green,
        suites: vec!["smoke".into(), "parity".into()],
    };
    assert_eq!(bench.ordered, [order], "once, however long they take");
    assert_eq!((bench.at(), bench.waiting().as_str()), ((Phase::Shifting, 10.0), "suites smoke, parity"));
    let place = bench.place();
    assert_eq!(bench.validated(place, Ok("suites smoke, parity passed")), [Kind::Validated]);
    assert_eq!(bench.run(1), [Kind::Step]);
    assert_eq!(bench.at().1, 50.0);
}

#[test]
fn one_that_fails_takes_the_version_back_and_it_is_quarantined() {
    let mut bench = gated(OnFail::Rollback);
    bench.run(5);
    let place = bench.place();
    assert_eq!(bench.validated(place, Err("suite smoke on green: 1 of 2 parts failed")), [Kind::Rollback]);
    assert_eq!(bench.at(), (Phase::RolledBack, 0.0));
    assert!(bench.durable().latch.as_ref().unwrap().reason.contains("suite smoke on green"));
    assert!(matches!(bench.order(deploy("2.0.0")), Err(Refused::Quarantined { .. })));
}

#[test]
fn one_that_fails_with_hold_waits_for_a_person_who_has_them_run_again() {
    let mut bench = gated(OnFail::Hold);
    bench.run(5);
    let place = bench.place();
    assert_eq!(bench.validated(place, Err("suite parity on both: …")), [Kind::Pause]);
    assert_eq!(bench.at(), (Phase::Paused, 10.0));
    bench.run(50);
    assert_eq!(bench.ordered.len(), 1);
    bench.order(Act::Resume).unwrap();
    bench.run(1);
    assert_eq!(bench.ordered.len(), 2);
    bench.validated(place, Ok("passed"));
    bench.run(31);
    assert_eq!(bench.at().1, 50.0);
}

#[test]
fn what_comes_of_another_step_or_of_a_rollout_that_holds_or_has_ended_is_no_news() {
    let mut bench = gated(OnFail::Rollback);
    bench.run(1);
    let place = bench.place();
    let other = Place { step: place.step + 1, ..place };
    assert_eq!(bench.validated(other, Ok("passed")), []);
    assert_eq!(bench.validated(Place { rollout: place.rollout + 1, ..place }, Err("failed")), []);
    bench.order(Act::Pause).unwrap();
    bench.run(1);
    assert_eq!(bench.validated(place, Err("failed")), [], "it runs again when the rollout goes on");
    bench.order(Act::Rollback).unwrap();
    assert_eq!(bench.validated(place, Err("failed")), []);
    assert_eq!(bench.phase(), Phase::RolledBack);
}

#[test]
fn a_restart_in_the_middle_of_them_runs_them_again_and_one_behind_them_does_not() {
    let mut bench = gated(OnFail::Rollback);
    bench.run(5);
    bench.restart();
    bench.run(5);
    assert_eq!(bench.ordered.len(), 2);
    let place = bench.place();
    bench.validated(place, Ok("passed"));
    bench.restart();
    bench.run(5);
    assert_eq!(bench.ordered.len(), 2);
    bench.run(31);
    assert_eq!(bench.at().1, 50.0);
}

#[test]
fn an_emergency_ends_it_while_they_run() {
    let mut bench = gated(OnFail::Rollback);
    bench.run(5);
    bench.order(Act::Stop).unwrap();
    let place = bench.place();
    assert_eq!(bench.validated(place, Ok("passed")), []);
    assert_eq!(bench.phase(), Phase::Aborted);
}

#[test]
fn the_preflight_carries_the_suites_of_the_plan() {
    let mut bench = Bench::new(Plan { suites: vec!["smoke".into()], ..plan() });
    bench.order(deploy("2.0.0")).unwrap();
    let suites = bench.effects.iter().find_map(|effect| match effect {
        Effect::Preflight(order) => Some(order.suites.clone()),
        _ => None,
    });
    assert_eq!(suites, Some(vec!["smoke".to_owned()]));
}
