//! Gates: when each hook is asked, what its answers hold, end and take back, and that no rollback waits for one.

use super::*;
use crate::rollout::gate_hook::GateHook;

use GateHook::{ConfirmPromotion, ConfirmRollout, ConfirmTrafficIncrease, PostRollout, PreRollout, Rollback, Rollout};

const YES: Result<&str, &str> = Ok("200 OK");
const NO: Result<&str, &str> = Err("403 Forbidden");

fn gate(hook: GateHook) -> RolloutGate {
    RolloutGate {
        name: format!("my-{}", hook.name()),
        hook,
        host: "https://gates.test".into(),
        question: 1,
        every: Millis::seconds(10),
        timeout: Millis::seconds(5),
        retries: 0,
        threshold: 3,
        deadline: Millis::seconds(3600),
        on_deadline: OnFailure::Rollback,
    }
}

/// A version has just been deployed.
fn deployed(gates: Vec<RolloutGate>) -> Bench {
    let mut bench = Bench::new(plan());
    bench.gates = gates;
    bench.load().unwrap();
    bench.order(deploy("2.0.0")).unwrap();
    bench
}

/// On its first step.
fn gated(gates: Vec<RolloutGate>) -> Bench {
    let mut bench = deployed(gates);
    bench.preflighted(Ok("3 warm-up requests"));
    bench
}

impl Bench {
    /// Answers a question; returns the kinds of the entries that it made.
    fn gate_says(&mut self, order: &GateRequest, answer: Result<&str, &str>) -> Vec<ChangeKind> {
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        self.apply(Event::Gated { order: order.clone(), answer }).unwrap();
        self.made()
    }

    /// The kinds of the entries that the last event made.
    fn made(&self) -> Vec<ChangeKind> {
        let kinds = self.effects.iter().filter_map(|effect| match effect {
            Effect::Journal(change) => Some(change.kind),
            _ => None,
        });
        kinds.collect()
    }

    fn asked(&self) -> Vec<GateHook> {
        self.asked_gates.iter().map(|order| order.hook).collect()
    }

    /// The last question of a hook.
    fn last_of(&self, hook: GateHook) -> GateRequest {
        self.asked_gates.iter().rev().find(|order| order.hook == hook).unwrap().clone()
    }

    fn tries(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Preflight(_)))
    }

    /// A second of traffic after another, with every question answered at once.
    fn gates_answer(
        &mut self,
        seconds: u64,
        say: impl Fn(GateHook) -> Result<&'static str, &'static str>,
    ) -> Vec<ChangeKind> {
        let mut kinds = Vec::new();
        for _ in 0..seconds {
            let asked = self.asked_gates.len();
            kinds.extend(self.run(1));
            let mut answered = asked;
            while let Some(order) = self.asked_gates.get(answered).cloned() {
                kinds.extend(self.gate_says(&order, say(order.hook)));
                answered += 1;
            }
        }
        kinds
    }

    fn last_why(&self) -> &str {
        &self.entries.last().unwrap().why
    }
}

#[test]
fn a_whole_rollout_asks_every_hook_at_its_place() {
    let hooks = [ConfirmPromotion, PostRollout, Rollout, PreRollout, ConfirmTrafficIncrease, ConfirmRollout];
    let mut bench = deployed(hooks.map(gate).into());
    assert!(!bench.tries(), "it is not even tried");
    bench.run(1);
    assert_eq!(bench.asked(), [ConfirmRollout]);
    assert_eq!(bench.waiting(), "gate `my-confirm-rollout` (confirm-rollout): no answer yet from https://gates.test");
    let order = bench.last_of(ConfirmRollout);
    assert_eq!((order.version.as_deref(), order.environment), (Some("2.0.0"), Environment::Green));
    assert_eq!((order.rollout, order.phase, order.step, order.steps), (1, Some(RolloutPhase::Preflight), 0, 3));
    assert_eq!(bench.gate_says(&order, YES), [ChangeKind::Gate]);
    bench.now += TICK;
    bench.idle(1);
    assert_eq!(bench.waiting(), "preflight");
    assert_eq!(bench.asked(), [ConfirmRollout], "once");
    bench.preflighted(Ok("3 warm-up requests"));
    assert_eq!(bench.at(), (RolloutPhase::Preflight, 0.0));
    bench.run(1);
    assert_eq!(bench.asked()[1..], [PreRollout], "one after the other");
    let order = bench.last_of(PreRollout);
    assert_eq!(bench.gate_says(&order, YES), [ChangeKind::Gate]);
    bench.run(1);
    assert_eq!(bench.asked()[2..], [ConfirmTrafficIncrease]);
    let order = bench.last_of(ConfirmTrafficIncrease);
    assert_eq!((order.weight, order.next_weight), (Weight::ZERO, Some(percent(10.0))));
    assert_eq!(bench.gate_says(&order, YES), [ChangeKind::Gate]);
    assert_eq!(bench.run(1)[0], ChangeKind::Preflight);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    assert!(bench.last_why().contains("3 warm-up requests"), "{}", bench.last_why());
    let kinds = bench.gates_answer(100, |_| YES);
    let raise = [ChangeKind::Gate, ChangeKind::Step];
    assert_eq!(kinds, [&raise[..], &raise, &[ChangeKind::Gate, ChangeKind::Promote, ChangeKind::Gate]].concat());
    let (before, raise, steps) = ([ConfirmRollout, PreRollout], [ConfirmTrafficIncrease], [Rollout]);
    let mut order = bench.asked();
    order.dedup();
    let step = [raise, steps].concat();
    let last = [ConfirmPromotion, Rollout, PostRollout];
    assert_eq!(order, [&before[..], &step, &step, &step, &last].concat());
    let end = bench.last_of(PostRollout);
    assert_eq!((end.phase, end.version.as_deref()), (Some(RolloutPhase::Promoted), Some("2.0.0")));
    assert!(!bench.durable().release.as_ref().unwrap().gates.owed, "it was heard");
}

#[test]
fn a_raise_waits_until_its_gate_passes_and_people_are_told_once() {
    let mut bench = gated(vec![gate(Rollout), gate(ConfirmTrafficIncrease)]);
    bench.run(1);
    let order = bench.last_of(ConfirmTrafficIncrease);
    assert_eq!(bench.gate_says(&order, YES), [ChangeKind::Gate], "before the first step too");
    bench.gates_answer(29, |_| YES);
    assert_eq!(bench.at().1, 10.0);
    let asked = |bench: &Bench| bench.asked().iter().filter(|hook| **hook == ConfirmTrafficIncrease).count();
    assert_eq!(asked(&bench), 1, "the step itself is not over");
    let kinds = bench.gates_answer(300, |hook| if hook == Rollout { YES } else { NO });
    assert_eq!(kinds, [ChangeKind::Waiting]);
    let why = "2.0.0 waits at 10 % for gate `my-confirm-traffic-increase` (confirm-traffic-increase): 403 Forbidden \
               from https://gates.test";
    assert_eq!(bench.last_why(), why);
    let waiting = bench.waiting();
    let words =
        "gate `my-confirm-traffic-increase` (confirm-traffic-increase): 403 Forbidden from https://gates.test, asked ";
    assert!(waiting.starts_with(words) && waiting.ends_with("s ago"), "{waiting}");
    assert!((29..33).contains(&asked(&bench)), "every ten seconds: {}", asked(&bench));
    let views = bench.state.views(Millis(bench.now));
    let shown: Vec<_> = views[0].rollout_gates.iter().map(|gate| (gate.hook, gate.verdict)).collect();
    assert_eq!(shown, [(Rollout, "passed"), (ConfirmTrafficIncrease, "failed")]);
    let kinds = bench.gates_answer(11, |_| YES);
    assert_eq!(kinds, [ChangeKind::Gate, ChangeKind::Step]);
    assert_eq!(bench.at().1, 50.0);
}

#[test]
fn a_gate_is_asked_for_the_last_step_before_the_promotion_and_the_guard_goes_on_judging() {
    let mut bench = gated(vec![gate(ConfirmPromotion)]);
    bench.gates_answer(150, |_| NO);
    assert_eq!((bench.at(), bench.durable().active), ((RolloutPhase::Baking, 100.0), Environment::Blue));
    bench.failing = 100;
    let kinds = bench.gates_answer(200, |_| NO);
    assert!(kinds.contains(&ChangeKind::Rollback), "{kinds:?}");
    assert_eq!(bench.at(), (RolloutPhase::RolledBack, 0.0));
}

#[test]
fn a_failing_pre_rollout_ends_the_rollout_at_its_threshold_before_any_client() {
    let mut bench = gated(vec![gate(PreRollout), gate(PostRollout)]);
    let kinds = bench.gates_answer(19, |_| NO);
    assert_eq!(kinds, [ChangeKind::Waiting], "twice, and told once");
    assert!(bench.last_why().contains("(failure 1 of 3)"), "{}", bench.last_why());
    let kinds = bench.gates_answer(3, |_| NO);
    assert_eq!(kinds, [ChangeKind::Abort, ChangeKind::Gate]);
    assert_eq!(bench.at(), (RolloutPhase::Aborted, 0.0));
    assert_eq!(bench.last_of(PostRollout).phase, Some(RolloutPhase::Aborted));
    let why = &bench.entries[bench.entries.len() - 2].why;
    assert!(why.contains("has failed 3 times in a row: 403 Forbidden"), "{why}");
    assert!(bench.durable().quarantine.is_empty(), "it may be tried again");
}

#[test]
fn failures_of_a_rollout_gate_hold_its_step_and_roll_back_at_the_threshold() {
    let mut bench = gated(vec![gate(Rollout)]);
    bench.gates_answer(5, |_| YES);
    let kinds = bench.gates_answer(20, |_| NO);
    assert_eq!(kinds, [ChangeKind::Waiting]);
    assert_eq!(bench.gates_answer(10, |_| YES), [ChangeKind::Step]);
    let kinds = bench.gates_answer(24, |_| NO);
    assert_eq!((kinds.as_slice(), bench.at().1), (&[ChangeKind::Waiting][..], 50.0), "anew at each step");
    let kinds = bench.gates_answer(10, |_| NO);
    assert!(kinds.contains(&ChangeKind::Rollback), "{kinds:?}");
    let entry = bench.entries.iter().find(|entry| entry.kind == ChangeKind::Rollback).unwrap();
    assert_eq!((entry.gate.as_deref(), entry.who.as_str()), (Some("my-rollout"), "plan"));
    assert_eq!(bench.at(), (RolloutPhase::RolledBack, 0.0));
}

#[test]
fn failures_count_in_a_row_and_keep_a_step_that_has_baked() {
    let mut plan = plan();
    plan.steps[0].bake = Millis::seconds(60);
    let mut bench = Bench::new(plan);
    bench.gates = vec![gate(Rollout)];
    bench.load().unwrap();
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    assert_eq!(bench.gates_answer(20, |_| NO), [ChangeKind::Waiting]);
    assert_eq!(bench.gates_answer(20, |_| YES), []);
    assert_eq!(bench.gates_answer(9, |_| YES), []);
    assert_eq!(bench.gates_answer(20, |_| NO), [], "people know that it fails at times");
    assert_eq!((bench.at(), bench.gates_answer(10, |_| YES)), ((RolloutPhase::Shifting, 10.0), vec![ChangeKind::Step]));
}

#[test]
fn with_the_guard_off_a_failing_gate_pauses() {
    let mut bench = gated(vec![RolloutGate { threshold: 1, ..gate(Rollout) }]);
    bench.order(OperatorAction::Monitoring(false)).unwrap();
    assert_eq!(bench.gates_answer(25, |_| NO), [ChangeKind::Pause]);
    assert_eq!(bench.at(), (RolloutPhase::Paused, 10.0));
    assert_eq!(bench.entries.last().unwrap().level(), AnnouncementLevel::Critical);
}

#[test]
fn a_rollback_gate_takes_back_in_every_phase_and_is_quiet_until_then() {
    type Way = fn(&mut Bench);
    let ways: [(&str, Way); 5] = [
        ("preflight", |_| {}),
        ("shifting", |b| b.preflighted(Ok(""))),
        ("paused", |b| {
            b.preflighted(Ok(""));
            b.order(OperatorAction::Pause).unwrap();
        }),
        ("baking", |b| {
            b.preflighted(Ok(""));
            b.gates_answer(70, |_| NO);
        }),
        ("watched", |b| {
            b.preflighted(Ok(""));
            b.gates_answer(110, |_| NO);
            assert_eq!(b.phase(), RolloutPhase::Promoted);
        }),
    ];
    for (phase, way) in ways {
        let mut bench = deployed(vec![gate(Rollback)]);
        way(&mut bench);
        let kinds = bench.gates_answer(11, |_| NO);
        assert!(!kinds.iter().any(|kind| matches!(kind, ChangeKind::Waiting | ChangeKind::Gate)), "{phase} {kinds:?}");
        let kinds = bench.gates_answer(11, |_| YES);
        assert!(kinds.contains(&ChangeKind::Rollback), "{phase}: {kinds:?}");
        assert_eq!(
            (bench.at(), bench.durable().active),
            ((RolloutPhase::RolledBack, 0.0), Environment::Blue),
            "{phase}"
        );
        let asked = bench.asked_gates.len();
        bench.gates_answer(30, |_| YES);
        assert_eq!(bench.asked_gates.len(), asked, "{phase}: it is over");
    }
}

#[test]
fn a_rollback_is_at_once_while_gates_hang() {
    let mut bench = gated(vec![gate(Rollout), gate(Rollback), gate(PostRollout), gate(GateHook::Event)]);
    bench.run(40);
    assert_eq!(bench.at().1, 10.0, "no answer holds the step");
    bench.order(OperatorAction::Rollback).unwrap();
    let first: Vec<_> = bench.effects.iter().take(3).collect();
    assert!(matches!(first[..], [Effect::Publish, Effect::Journal(_), Effect::Announce(_)]), "{first:?}");
    assert_eq!(bench.at(), (RolloutPhase::RolledBack, 0.0));
    let late = bench.last_of(Rollout);
    assert_eq!(bench.gate_says(&late, YES), [], "nobody waits for it any more");
}

#[test]
fn a_wait_has_a_bound_that_pauses_and_freezes_do_not_use_up() {
    let bound = |on_deadline| RolloutGate { deadline: Millis::seconds(60), on_deadline, ..gate(ConfirmPromotion) };
    let at_the_end = |on_deadline| {
        let mut bench = gated(vec![bound(on_deadline)]);
        bench.gates_answer(100, |_| NO);
        assert_eq!(bench.at(), (RolloutPhase::Baking, 100.0));
        bench
    };
    let mut bench = at_the_end(OnFailure::Rollback);
    let kinds = bench.gates_answer(60, |_| NO);
    assert!(kinds.contains(&ChangeKind::Rollback), "{kinds:?}");
    let entry = bench.entries.iter().find(|entry| entry.kind == ChangeKind::Rollback).unwrap();
    assert!(entry.why.starts_with("2.0.0: not passed within 1m: gate `my-confirm-promotion`"), "{}", entry.why);
    assert_eq!(bench.at(), (RolloutPhase::RolledBack, 0.0));

    let mut bench = at_the_end(OnFailure::Hold);
    assert_eq!(bench.gates_answer(60, |_| NO), [ChangeKind::Deadline]);
    assert_eq!(bench.at(), (RolloutPhase::Paused, 100.0));
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!(bench.gates_answer(55, |_| NO), [], "a person's word gives it as much time again");
    assert_eq!(bench.gates_answer(6, |_| NO), [ChangeKind::Deadline]);

    // Most of it is over, and a freeze and a pause are nobody's delay.
    let mut bench = at_the_end(OnFailure::Rollback);
    bench.gates_answer(30, |_| NO);
    bench.order(OperatorAction::Freeze { until: None }).unwrap();
    let asked = bench.asked_gates.len();
    bench.gates_answer(300, |_| YES);
    assert_eq!((bench.asked_gates.len(), bench.phase()), (asked, RolloutPhase::Baking), "nor is it asked");
    bench.order(OperatorAction::Unfreeze).unwrap();
    bench.gates_answer(5, |_| NO);
    assert_eq!(bench.phase(), RolloutPhase::Baking);
    // A restart does not begin the wait anew.
    bench.restart();
    bench.gates_answer(5, |_| NO);
    assert_eq!(bench.phase(), RolloutPhase::Baking);
    let kinds = bench.gates_answer(35, |_| NO);
    assert!(kinds.contains(&ChangeKind::Rollback), "{kinds:?}");
}

#[test]
fn the_bound_of_a_gate_before_the_first_step_aborts_or_pauses() {
    for (hook, on_deadline, phase) in [
        (ConfirmRollout, OnFailure::Rollback, RolloutPhase::Aborted),
        (ConfirmRollout, OnFailure::Hold, RolloutPhase::Paused),
        (ConfirmTrafficIncrease, OnFailure::Rollback, RolloutPhase::Aborted),
    ] {
        let bound = RolloutGate { deadline: Millis::seconds(60), on_deadline, ..gate(hook) };
        let mut bench = if hook == ConfirmRollout { deployed(vec![bound]) } else { gated(vec![bound]) };
        bench.gates_answer(30, |_| NO);
        bench.restart();
        bench.gates_answer(25, |_| NO);
        if hook == ConfirmTrafficIncrease {
            // As after every restart, it is tried again first.
            bench.preflighted(Ok(""));
            bench.gates_answer(25, |_| NO);
        }
        assert_eq!(bench.at(), (RolloutPhase::Preflight, 0.0), "{hook:?}");
        let kinds = bench.gates_answer(11, |_| NO);
        assert!(kinds.contains(&if phase == RolloutPhase::Paused { ChangeKind::Deadline } else { ChangeKind::Abort }));
        assert_eq!(bench.at(), (phase, 0.0));
        if phase == RolloutPhase::Paused {
            bench.order(OperatorAction::Resume).unwrap();
            bench.gates_answer(12, |_| YES);
            assert_eq!(bench.waiting(), "preflight");
        }
    }
}

#[test]
fn a_reload_keeps_what_has_passed_asks_what_has_changed_and_drops_what_is_gone() {
    let mut bench = deployed(vec![gate(ConfirmRollout), gate(ConfirmTrafficIncrease)]);
    bench.gates_answer(2, |_| YES);
    bench.preflighted(Ok(""));
    let asked = bench.asked_gates.len();
    bench.load().unwrap();
    bench.gates_answer(12, |_| NO);
    assert_eq!(bench.asked()[asked..], [ConfirmTrafficIncrease; 2], "what has passed is not asked again");
    // The same name, and something else that is asked.
    bench.gates[1].question = 2;
    let late = bench.last_of(ConfirmTrafficIncrease);
    bench.load().unwrap();
    assert_eq!(bench.gate_says(&late, YES), [], "an answer to another question");
    bench.gates_answer(1, |_| NO);
    assert_eq!(bench.at().1, 0.0);
    bench.gates.clear();
    bench.load().unwrap();
    bench.run(1);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));

    // Before the preflight too.
    let mut bench = deployed(vec![gate(ConfirmRollout)]);
    bench.run(1);
    bench.gates.clear();
    bench.load().unwrap();
    bench.now += TICK;
    bench.apply(Event::Counted { service: "shop".into(), routes: vec![], on_grid: true }).unwrap();
    assert!(bench.tries());
}

#[test]
fn after_a_restart_it_asks_again_and_does_not_tell_again() {
    let mut bench = gated(vec![gate(ConfirmTrafficIncrease)]);
    bench.gates_answer(2, |_| YES);
    assert_eq!(bench.gates_answer(60, |_| NO), [ChangeKind::Waiting]);
    let asked = bench.asked_gates.len();
    bench.restart();
    assert_eq!(bench.gates_answer(60, |_| NO), []);
    assert!(bench.asked_gates.len() > asked);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    assert_eq!(bench.gates_answer(11, |_| YES), [ChangeKind::Gate, ChangeKind::Step]);
}

#[test]
fn the_end_is_told_again_if_nobody_knows_whether_it_was_heard() {
    let mut bench = gated(vec![gate(PostRollout)]);
    bench.order(OperatorAction::Abort).unwrap();
    assert_eq!(bench.asked(), [PostRollout]);
    bench.restart();
    assert_eq!(bench.asked(), [PostRollout; 2]);
    let order = bench.last_of(PostRollout);
    assert_eq!(bench.gate_says(&order, NO), [ChangeKind::Gate]);
    assert_eq!(
        bench.last_why(),
        "gate `my-post-rollout` (post-rollout) has failed: 403 Forbidden from https://gates.test"
    );
    bench.restart();
    assert_eq!(bench.asked().len(), 2, "an answer is an answer");
    // A rollback by hand after the promotion is another end.
    let mut bench = gated(vec![gate(PostRollout)]);
    bench.gates_answer(120, |_| YES);
    bench.order(OperatorAction::Rollback).unwrap();
    let ends: Vec<_> = bench.asked_gates.iter().map(|order| order.phase.unwrap()).collect();
    assert_eq!(ends, [RolloutPhase::Promoted, RolloutPhase::RolledBack]);
}

#[test]
fn an_event_gate_hears_every_announcement_and_only_the_first_failure_is_on_record() {
    let mut bench = gated(vec![gate(GateHook::Event)]);
    let told: Vec<_> = bench.asked_gates.iter().map(|order| order.event.clone().unwrap().kind).collect();
    assert_eq!(told, [ChangeKind::Deploy, ChangeKind::Preflight]);
    let [first, second] = [0, 1].map(|at| bench.asked_gates[at].clone());
    assert_eq!(bench.gate_says(&first, NO), [ChangeKind::Gate]);
    assert!(!bench.effects.iter().any(|effect| matches!(effect, Effect::Announce(_))), "which nobody is told of");
    assert_eq!(bench.gate_says(&second, NO), []);
    // It hangs: what is too much for it is lost, and that is on record once.
    bench.order(OperatorAction::Pause).unwrap();
    let order = bench.last_of(GateHook::Event);
    assert_eq!(bench.gate_says(&order, YES), []);
    let asked = bench.asked_gates.len();
    for at in 0..50 {
        bench.order(if at % 2 == 0 { OperatorAction::Resume } else { OperatorAction::Pause }).unwrap();
    }
    assert_eq!(bench.asked_gates.len(), asked + 32);
    let lost = bench.entries.iter().filter(|entry| entry.kind == ChangeKind::Gate && entry.why.contains("the last 32"));
    assert_eq!(lost.count(), 1);
}

#[test]
fn a_person_passes_gates_and_a_new_deploy_begins_with_nothing() {
    let mut bench = gated(vec![gate(ConfirmTrafficIncrease), gate(ConfirmPromotion)]);
    bench.gates_answer(1, |_| YES);
    bench.gates_answer(40, |_| NO);
    bench.order(OperatorAction::Promote).unwrap();
    assert_eq!((bench.phase(), bench.durable().active), (RolloutPhase::Promoted, Environment::Green));
    bench.run(1);
    let late = bench.last_of(ConfirmTrafficIncrease);
    assert_eq!(bench.gate_says(&late, YES), []);

    let mut bench = deployed(vec![gate(ConfirmRollout)]);
    bench.gates_answer(1, |_| YES);
    let again = DeployRequest { version: "3.0.0".into(), replace: true, ..DeployRequest::default() };
    bench.order(OperatorAction::Deploy(again)).unwrap();
    assert!(!bench.tries());
    bench.run(1);
    assert_eq!(bench.last_of(ConfirmRollout).version.as_deref(), Some("3.0.0"));
    // A rescue waits for nobody.
    let rescue = DeployRequest { version: "4.0.0".into(), replace: true, rescue: true, ..DeployRequest::default() };
    bench.order(OperatorAction::Deploy(rescue)).unwrap();
    assert!(bench.tries());
    bench.preflighted(Ok(""));
    assert_eq!(bench.phase(), RolloutPhase::Promoted);
}

#[test]
fn a_pause_stops_the_questions_of_the_way_forward() {
    let mut bench = gated(vec![gate(ConfirmTrafficIncrease)]);
    bench.run(1);
    bench.order(OperatorAction::Pause).unwrap();
    let asked = bench.asked_gates.len();
    bench.gates_answer(60, |_| YES);
    assert_eq!(bench.asked_gates.len(), asked);
    assert_eq!(bench.at(), (RolloutPhase::Paused, 0.0));
    bench.order(OperatorAction::Resume).unwrap();
    assert!(bench.tries(), "it is tried again");
    bench.preflighted(Ok(""));
    bench.gates_answer(45, |_| YES);
    assert_eq!(bench.at().1, 50.0);
}
