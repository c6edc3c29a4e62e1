//! Before the first client: what copies of requests hold, what they let pass, and whose comparison counts.

use super::*;
use crate::rollout::plan::MirrorGate;
use crate::rollout::shadow::ShadowNews;

/// A first step that compares copies for a minute, and then the usual plan.
fn mirrored(on_fail: OnFailure, differences: u32) -> RolloutPlan {
    let mut plan = plan();
    let gate = Some(MirrorGate { differences });
    let first = PlanStep { on_fail, mirror: gate, ..PlanStep::new(Weight::ZERO, Millis::seconds(60), 20) };
    plan.steps.insert(0, first);
    plan
}

/// What such a step waits for without any copy.
const NONE: &str = "0 of 20 copied requests compared: none was copied yet, and only GET and HEAD requests are";

/// At that step.
fn comparing(on_fail: OnFailure, differences: u32) -> Bench {
    let mut bench = Bench::new(mirrored(on_fail, differences));
    bench.order(deploy("2.0.0")).unwrap();
    assert_eq!(bench.shadow(), None, "not before it has passed its preflight");
    bench.preflighted(Ok("3 warm-up requests"));
    assert_eq!((bench.at(), bench.shadow()), ((RolloutPhase::Shifting, 0.0), Some(0)));
    bench
}

impl Bench {
    fn shadow(&self) -> Option<u32> {
        self.state.split("shop").unwrap().shadow
    }

    /// What the copies of this comparison have shown; the kinds of the entries that it makes.
    fn heard(&mut self, compared: u64, seconds: u64, differences: u32) -> Vec<ChangeKind> {
        let comparison = self.shadow().unwrap_or(0);
        self.heard_of(comparison, compared, seconds, differences)
    }

    fn heard_of(&mut self, comparison: u32, compared: u64, seconds: u64, differences: u32) -> Vec<ChangeKind> {
        let news = ShadowNews {
            service: "shop".into(),
            rollout: self.durable().rollout,
            comparison,
            compared,
            unread: 0,
            unanswered: 0,
            lasted: Millis::seconds(seconds),
            differences,
            worst: (differences > 0).then(|| "/api/cart lacks `total` in 37 of 40".to_owned()),
        };
        self.apply(Event::Shadowed(news)).unwrap();
        let kinds = self.effects.iter().filter_map(|effect| match effect {
            Effect::Journal(change) => Some(change.kind),
            _ => None,
        });
        kinds.collect()
    }
}

#[test]
fn the_first_client_comes_after_time_and_enough_copies_that_are_answered_alike() {
    let mut bench = comparing(OnFailure::Rollback, 0);
    assert_eq!(bench.waiting(), format!("1m to bake, {NONE}"));
    assert!(bench.run(70).is_empty());
    assert_eq!(bench.waiting(), format!("1m to bake, {NONE}"), "counted from the first copy");
    assert_eq!(bench.run(51), [ChangeKind::Waiting], "which is news");
    let told = bench.entries.last().unwrap().why.clone();
    assert!(told.contains("none was copied yet"), "{told}");
    assert_eq!((bench.at(), bench.durable().weight), ((RolloutPhase::Shifting, 0.0), Weight::ZERO), "none came");
    bench.heard(12, 40, 0);
    assert_eq!(bench.waiting(), "20s to bake, 12 of 20 copied requests compared", "counted from the first copy");
    bench.heard(19, 65, 0);
    assert_eq!(bench.waiting(), "19 of 20 copied requests compared");
    assert!(bench.run(5).is_empty());
    assert!(bench.heard(20, 70, 0).is_empty(), "the plan goes on by itself");
    assert_eq!(bench.run(1), [ChangeKind::Step]);
    assert_eq!((bench.at(), bench.shadow()), ((RolloutPhase::Shifting, 10.0), None));
    let entry = bench.entries.iter().rfind(|entry| entry.kind == ChangeKind::Step).unwrap();
    assert_eq!(entry.why, "2.0.0: 20 copied requests compared in 1m 10s: no differences");
}

#[test]
fn a_candidate_that_differs_is_taken_back_when_its_time_is_over() {
    let mut bench = comparing(OnFailure::Rollback, 0);
    bench.run(30);
    assert!(bench.heard(40, 30, 1).is_empty(), "what is noise may still show");
    let said = "1 difference: /api/cart lacks `total` in 37 of 40 (none may be)";
    assert_eq!(bench.waiting(), format!("30s to bake, {said}"));
    bench.run(31);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 0.0), "it is not passed");
    assert_eq!(bench.heard(80, 61, 1), [ChangeKind::Rollback]);
    let entry = bench.entries.last().unwrap();
    assert_eq!(
        (entry.who.as_str(), entry.why.as_str()),
        ("plan", format!("2.0.0: of 80 copied requests: {said}").as_str())
    );
    assert_eq!((bench.at(), bench.shadow()), ((RolloutPhase::RolledBack, 0.0), None), "nothing is copied any more");
    assert!(matches!(bench.order(deploy("2.0.0")), Err(RolloutError::Quarantined { .. })));
}

#[test]
fn as_many_differences_as_the_plan_allows_are_passed_and_said() {
    let mut bench = comparing(OnFailure::Rollback, 2);
    bench.run(61);
    bench.heard(1_200, 61, 2);
    assert_eq!(bench.run(1), [ChangeKind::Step]);
    let entry = bench.entries.iter().rfind(|entry| entry.kind == ChangeKind::Step).unwrap();
    assert!(entry.why.contains("1,200 copied requests compared in 1m 1s: 2 differences: /api/cart"), "{}", entry.why);
    assert_eq!(comparing(OnFailure::Rollback, 2).heard(1_200, 61, 3), [], "its own time is not over");
}

#[test]
fn a_plan_may_hold_instead_and_resume_compares_from_the_beginning() {
    let mut bench = comparing(OnFailure::Hold, 0);
    bench.run(61);
    assert_eq!(bench.heard(80, 61, 1), [ChangeKind::Pause]);
    assert_eq!((bench.at(), bench.shadow()), ((RolloutPhase::Paused, 0.0), Some(0)), "copies go on");
    assert!(bench.durable().is_held());
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!((bench.at(), bench.shadow()), ((RolloutPhase::Shifting, 0.0), Some(1)));
    assert!(bench.heard_of(0, 90, 65, 1).is_empty(), "the last one is over");
    assert_eq!(bench.waiting(), format!("1m to bake, {NONE}"));
    bench.run(61);
    bench.heard(40, 61, 0);
    assert_eq!(bench.run(1), [ChangeKind::Step]);
}

#[test]
fn a_pause_by_hand_and_its_end_change_nothing_about_what_was_seen() {
    let mut bench = comparing(OnFailure::Rollback, 0);
    bench.run(61);
    bench.heard(40, 61, 0);
    bench.order(OperatorAction::Pause).unwrap();
    bench.run(10);
    assert_eq!((bench.at(), bench.shadow()), ((RolloutPhase::Paused, 0.0), Some(0)));
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!(bench.run(1), [ChangeKind::Step]);
}

#[test]
fn after_a_restart_copies_are_compared_for_the_whole_time_again() {
    let mut bench = comparing(OnFailure::Rollback, 0);
    bench.run(50);
    bench.heard(200, 50, 0);
    bench.restart();
    assert_eq!(bench.shadow(), Some(0));
    assert_eq!(bench.waiting(), format!("1m to bake, {NONE}"));
    bench.run(30);
    bench.heard(100, 30, 0);
    assert_eq!(bench.waiting(), "30s to bake");
    bench.run(30);
    bench.heard(100, 60, 0);
    assert_eq!(bench.run(1), [ChangeKind::Step]);
}

#[test]
fn nothing_is_rolled_back_and_nothing_goes_on_while_the_guard_is_off() {
    let mut bench = comparing(OnFailure::Rollback, 0);
    bench.order(OperatorAction::Monitoring(false)).unwrap();
    bench.run(61);
    assert_eq!(bench.heard(80, 61, 1), [ChangeKind::Pause]);
    let why = &bench.entries.last().unwrap().why;
    assert!(why.ends_with("it stays at its step because the guard is off"), "{why}");
}

#[test]
fn copies_are_sent_at_weight_0_alone_and_never_for_what_is_over() {
    let mut bench = Bench::new(plan());
    assert_eq!(bench.shadow(), None, "the file does not ask for it");
    bench.mirrors = true;
    bench.load().unwrap();
    assert_eq!(bench.shadow(), Some(0));
    bench.order(shift(10.0, false)).unwrap();
    assert_eq!(bench.shadow(), None, "clients are there");
    bench.order(shift(0.0, false)).unwrap();
    assert_eq!(bench.shadow(), Some(0));
    bench.order(OperatorAction::Stop).unwrap();
    assert_eq!(bench.shadow(), None);
    bench.order(OperatorAction::Clear).unwrap();
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    assert_eq!((bench.at(), bench.shadow()), ((RolloutPhase::Shifting, 10.0), None), "this plan asks for none");
    bench.order(OperatorAction::Rollback).unwrap();
    assert_eq!(bench.shadow(), None);
}

#[test]
fn what_a_promoted_version_has_replaced_is_not_compared_with_it_and_what_comes_in_its_place_is() {
    let mut bench = Bench::new(plan());
    bench.mirrors = true;
    bench.load().unwrap();
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.run(200);
    assert_eq!(
        (bench.phase(), bench.durable().active, bench.shadow()),
        (RolloutPhase::Promoted, Environment::Green, None)
    );
    bench.premises.urls[0] = "http://blue-3:80".into();
    bench.load().unwrap();
    assert_eq!(bench.shadow(), Some(0), "the next version");
    bench.order(deploy("3.0.0")).unwrap();
    assert_eq!(bench.shadow(), None, "its plan says when");
    bench.order(OperatorAction::Abort).unwrap();
    assert_eq!(bench.shadow(), None, "it was given up");
}

#[test]
fn the_plan_says_that_no_client_is_sent_there() {
    use crate::rollout::forecast::{ForecastTraffic, StepSight, forecast};
    let traffic = ForecastTraffic { rate: 100.0, active_fails: 0.0, routes: false };
    let said = forecast(&mirrored(OnFailure::Rollback, 0), &GuardPolicy::standard(), traffic);
    let first = &said.steps[0];
    assert_eq!((first.sight, first.least, first.requests), (StepSight::Copies, Some(Millis::seconds(60)), 0.0));
    assert!(said.notes().iter().any(|note| note.ends_with("0 % (20 copies)")), "{:?}", said.notes());
    assert!(said.warnings().iter().all(|warning| !warning.contains(" 0 %")), "{:?}", said.warnings());
}
