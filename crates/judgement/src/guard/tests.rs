//! What the judge makes of readings.

use super::*;
use crate::guard::long_window::{LongWindow, PromisedTraffic, SidesNow};
use crate::guard::window::{AnswerCounts, JudgedTotals, WindowSample};
use crate::time::Millis;

/// The policy that judges if the evidence is switched off.
fn triggers_alone() -> GuardPolicy {
    let mut triggers = vec![Trigger::dead_candidate()];
    triggers.extend(Trigger::defaults());
    GuardPolicy { triggers, ..GuardPolicy::default() }
}

fn failing(answers: u64, failed: u64) -> WindowSample {
    WindowSample { span: Millis::seconds(10), answers, failed, ..WindowSample::default() }
}

fn sight(active: WindowSample, candidate: WindowSample, held: Millis) -> Observation {
    let reading = TriggerReading { active, candidate, share: 0.1, held, usual: None };
    Observation { route: None, readings: vec![reading; triggers_alone().triggers.len()], evidence: None }
}

fn verdict(active: WindowSample, candidate: WindowSample, held: Millis) -> Verdict {
    judge(&triggers_alone(), &sight(active, candidate, held)).verdict
}

fn rolled_back_by(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Unhealthy(reason) => Some(&reason.name),
        _ => None,
    }
}

const LONG: Millis = Millis::seconds(600);

#[test]
fn a_dead_candidate_is_unhealthy_at_once() {
    assert_eq!(rolled_back_by(&verdict(failing(90, 0), failing(10, 10), Millis::ZERO)), Some("dead candidate"));
    assert_eq!(rolled_back_by(&verdict(failing(90, 3), failing(10, 10), Millis::ZERO)), Some("dead candidate"));
    assert_eq!(rolled_back_by(&verdict(failing(90, 0), failing(9, 9), Millis::ZERO)), None, "nine answers are too few");
    assert_eq!(rolled_back_by(&verdict(failing(90, 0), failing(10, 8), Millis::ZERO)), None, "80 % is not over 80 %");
}

#[test]
fn a_sentence_says_that_the_other_side_had_no_requests() {
    let seen = sight(failing(0, 0), failing(10, 10), Millis::ZERO);
    let Verdict::Unhealthy(reason) = judge(&triggers_alone(), &seen).verdict else { panic!("it is dead") };
    let said = sentence(&triggers_alone(), &seen, &reason, "blue", "green");
    let wanted = "green failed 10 of 10 in 10s, and blue had no requests over the same time";
    assert!(said.ends_with(wanted), "{said}");
}

#[test]
fn a_raised_error_rate_must_last() {
    assert_eq!(verdict(failing(900, 0), failing(100, 6), Millis::seconds(119)), Verdict::Healthy);
    assert_eq!(
        rolled_back_by(&verdict(failing(900, 0), failing(100, 6), Millis::seconds(120))),
        Some("high error rate")
    );
}

#[test]
fn slow_answers_roll_back_after_three_minutes() {
    let slow = WindowSample { p95_us: Some(2_500_000), ..failing(100, 0) };
    let quick = WindowSample { p95_us: Some(50_000), ..failing(900, 0) };
    assert_eq!(rolled_back_by(&verdict(quick, slow, Millis::seconds(180))), Some("slow answers"));
    assert_eq!(verdict(slow, slow, LONG), Verdict::Insufficient { missing: InsufficientReason::HealthyActive });
}

#[test]
fn both_sides_ill_is_a_hold_and_no_rollback() {
    let both = verdict(failing(900, 500), failing(100, 95), LONG);
    assert_eq!(both, Verdict::Insufficient { missing: InsufficientReason::HealthyActive });
    let warned = verdict(failing(900, 27), failing(100, 6), LONG);
    assert_eq!(
        warned,
        Verdict::Insufficient { missing: InsufficientReason::HealthyActive },
        "3 % is over the warn level of 2 %"
    );
}

#[test]
fn too_few_answers_are_no_verdict() {
    assert_eq!(
        verdict(failing(900, 0), failing(5, 0), LONG),
        Verdict::Insufficient { missing: InsufficientReason::Requests }
    );
}

#[test]
fn warnings_are_named_and_do_not_roll_back() {
    let judgement = judge(&triggers_alone(), &sight(failing(900, 0), failing(100, 3), LONG));
    let names: Vec<_> = judgement.fired.iter().map(|(at, _)| triggers_alone().triggers[*at].name.clone()).collect();
    assert_eq!((judgement.verdict, names), (Verdict::Healthy, vec!["raised error rate".to_owned()]));
}

/// A long window that is full: a minute of active's and the candidate's responses and failures, again and again.
fn minutes(trigger: &Trigger, minutes: u64, active: (u64, u64), candidate: (u64, u64)) -> TriggerReading {
    let mut totals = [JudgedTotals::default(), JudgedTotals::default()];
    let promised = [PromisedTraffic::default(); 2];
    let first = SidesNow { now: Millis::ZERO, totals: totals.each_ref(), promised };
    let mut window = LongWindow::opened(trigger.hold, &[trigger.metric], &first);
    let mut reading = None;
    for second in 1..=60 * minutes {
        for (totals, (answers, failed)) in totals.iter_mut().zip([active, candidate]) {
            let by_now = |all: u64| all * second / 60;
            totals.counts = AnswerCounts { answers: by_now(answers), failed: by_now(failed), unavailable: 0 };
        }
        let seen = SidesNow { now: Millis::seconds(second), totals: totals.each_ref(), promised };
        reading = Some(trigger.read_long(&window, &seen, 0.1, None));
        window.observe(&seen);
    }
    reading.unwrap()
}

#[test]
fn a_trigger_wants_the_whole_of_its_time_and_more_than_chance() {
    let trigger = &Trigger::defaults()[0];
    for (long, candidate, fires) in [
        (3, (540, 44), true),
        (1, (540, 44), false),
        (3, (540, 26), false),
        // Past the limit, and what a site within it often shows.
        (3, (60, 4), false),
        (3, (60, 12), true),
        (3, (6, 6), false),
        (3, (12, 12), true),
    ] {
        let level = trigger.level(&minutes(trigger, long, (900, 0), candidate));
        assert_eq!(matches!(level, TriggerLevel::Fired(_)), fires, "{candidate:?} a minute: {level:?}");
    }
}

#[test]
fn a_missing_share_of_the_traffic_is_a_drop_and_so_is_less_than_before() {
    let drop = Trigger::defaults().into_iter().find(|t| t.name == "half the traffic is gone").unwrap();
    let level = |answers, expected, as_before, active: WindowSample| {
        let candidate = WindowSample { expected, as_before, ..failing(answers, 0) };
        drop.level(&TriggerReading { active, candidate, share: 0.1, held: LONG, usual: None })
    };
    let steady = WindowSample { as_before: 9000, expected: 9000, ..failing(9000, 0) };
    let half = WindowSample { as_before: 18_000, ..failing(9000, 0) };
    assert_eq!(level(300, 1000, 0, steady), TriggerLevel::Fired(70.0));
    assert_eq!(level(1000, 1000, 0, steady), TriggerLevel::Within);
    assert_eq!(level(1000, 1000, 4000, steady), TriggerLevel::Fired(75.0));
    assert_eq!(level(1000, 1000, 4000, half), TriggerLevel::Shared(75.0), "an evening");
    assert_eq!(level(1, 10, 10, steady), TriggerLevel::TooFew);
}

proptest::proptest! {
    #[test]
    fn the_judge_is_total_and_its_sights_survive_the_journal(
        (answers, failed, unavailable, held) in (0_u64..1 << 40, 0_u64..1 << 40, 0_u64..1 << 40, 0_u64..1 << 40),
        share in 0.0_f64..1.0,
    ) {
        let sample = WindowSample { span: Millis(held), answers, failed, unavailable, p95_us: Some(failed), ..WindowSample::default() };
        let reading = TriggerReading { active: sample, candidate: sample, share, held: Millis(held), usual: None };
        let policy = GuardPolicy::standard();
        let sight = Observation { route: Some("r".into()), readings: vec![reading; policy.triggers.len()], evidence: None };
        let text = serde_json::to_string(&(&policy, &sight)).unwrap();
        let (policy_again, sight_again): (GuardPolicy, Observation) = serde_json::from_str(&text).unwrap();
        proptest::prop_assert_eq!(judge(&policy, &sight), judge(&policy_again, &sight_again));
    }
}

/// This many failed rounds of health checks on either side, and nothing else.
fn unwell(active: u64, candidate: u64) -> Verdict {
    let failed = |health_failures| WindowSample { health_failures, ..WindowSample::default() };
    verdict(failed(active), failed(candidate), Millis::ZERO)
}

#[test]
fn over_three_failed_health_checks_are_a_rollback_without_a_single_request() {
    assert_eq!(rolled_back_by(&unwell(0, 4)), Some("failing health checks"));
    assert_eq!(unwell(0, 3), Verdict::Insufficient { missing: InsufficientReason::Requests }, "and no proof of health");
    assert_eq!(unwell(2, 4), Verdict::Insufficient { missing: InsufficientReason::HealthyActive });
    let few = WindowSample { health_failures: 4, ..failing(100, 0) };
    assert_eq!(rolled_back_by(&verdict(failing(900, 0), few, Millis::ZERO)), Some("failing health checks"));
}

#[test]
fn what_fails_as_usual_fires_nothing_and_twice_as_much_does() {
    let trigger = &Trigger::defaults()[0];
    let level = |failed, active: (u64, u64), usual| {
        let (active, candidate) = (failing(active.0, active.1), failing(100, failed));
        trigger.level(&TriggerReading { active, candidate, share: 0.5, held: LONG, usual })
    };
    let fired = |failed| TriggerLevel::Fired(failed as f64);
    // By chance, or because it gets no traffic any more, active fails nothing in the window.
    for window in [(30, 0), (0, 0)] {
        assert_eq!(level(14, window, Some(0.1)), TriggerLevel::Within, "{window:?}");
        assert_eq!(level(40, window, Some(0.1)), fired(40), "{window:?}");
        assert_eq!(level(14, window, Some(0.01)), fired(14), "{window:?}");
        assert_eq!(level(14, window, None), fired(14), "{window:?}");
    }
}
