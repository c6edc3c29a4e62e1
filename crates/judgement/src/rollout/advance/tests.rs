//! A rollout from deploy to promotion: what holds it, what ends it, and how it survives a restart.

use std::collections::BTreeMap;

use crate::guard::outside_metric::OutsideMetric;
use crate::guard::sample_ratio::SampleRatioAction;
use crate::guard::trigger::{Metric, Trigger, TriggerAction};
use crate::guard::window::{AnswerCounts, JudgedTotals};
use crate::guard::{EvidenceBudget, GuardPolicy};
use crate::rollout::freeze_window::FreezeWindow;
use crate::rollout::plan::{OnFailure, PlanStep, RolloutPlan};
use crate::rollout::release::RolloutPhase;
use crate::rollout::*;

mod figures;
mod gate;
mod gates;
mod held;
mod locks;
mod pages;
mod people;
mod premises;
mod restart;
mod shadow;
mod split;

const TICK: u64 = 100;

/// A service `shop` with some traffic, and a clock turned by hand.
struct Bench {
    state: State,
    plan: RolloutPlan,
    now: u64,
    /// Responses and failures by environment, on the route `api`.
    counts: [AnswerCounts; 2],
    /// Failures per hundred of green's responses.
    failing: u64,
    hundredths: u64,
    /// The same of blue's, in whole tens.
    blue_failing: u64,
    asked: f64,
    /// The guard weighs evidence too.
    evidence: bool,
    /// The guard has one trigger, which pauses.
    only_pauses: bool,
    metrics: Vec<OutsideMetric>,
    sample_ratio: SampleRatioAction,
    /// The figures that were asked for, the latest last.
    questions: Vec<MetricRequest>,
    effects: Vec<Effect>,
    /// Everything that was journalled.
    entries: Vec<JournalChange>,
    /// The suites that were ordered, the latest last.
    orders: Vec<SuiteRun>,
    /// How often its progress was stored.
    kept: usize,
    routes: Vec<String>,
    premises: FilePremises,
    freezes: Vec<FreezeWindow>,
    gates: Vec<RolloutGate>,
    /// The file has a mirror.
    mirrors: bool,
    /// What gates were asked, the latest last.
    asked_gates: Vec<GateRequest>,
    /// What a side says that a rollback would go to.
    answers: Result<String, String>,
}

fn percent(p: f64) -> Weight {
    Weight::from_percent(p).unwrap()
}

fn plan() -> RolloutPlan {
    let step = |weight| PlanStep::new(percent(weight), Millis::seconds(30), 20);
    RolloutPlan { steps: [10.0, 50.0, 100.0].map(step).into(), watch: Millis::seconds(60), ..RolloutPlan::standard() }
}

fn deploy(version: &str) -> OperatorAction {
    OperatorAction::Deploy(DeployRequest { version: version.into(), ..DeployRequest::default() })
}

fn shift(weight: f64, gradual: bool) -> OperatorAction {
    OperatorAction::Shift { weight: percent(weight), gradual, force: false }
}

/// A file that asks for this split.
fn loaded(bench: &Bench, active: Option<Environment>, weight: Option<f64>) -> Event {
    Event::Loaded(vec![LoadedService {
        routes: bench.routes.clone(),
        ask: SplitRequest { active, weight: weight.map(percent) },
        plan: plan(),
        premises: bench.premises.clone(),
        gates: bench.gates.clone(),
        ..LoadedService::standard("shop")
    }])
}

impl Bench {
    fn new(plan: RolloutPlan) -> Bench {
        let state = State::restored([].into(), 0, 0, 1_000_000);
        let mut bench = Bench {
            state,
            plan,
            now: 0,
            counts: Default::default(),
            failing: 0,
            hundredths: 0,
            blue_failing: 0,
            asked: 0.0,
            evidence: false,
            only_pauses: false,
            metrics: vec![],
            sample_ratio: SampleRatioAction::Warn,
            questions: vec![],
            effects: vec![],
            entries: vec![],
            orders: vec![],
            kept: 0,
            routes: vec!["default".into(), "api".into()],
            premises: FilePremises {
                urls: ["http://blue:80".into(), "http://green:80 http://green:81".into()],
                ..FilePremises::default()
            },
            freezes: vec![],
            gates: vec![],
            mirrors: false,
            asked_gates: vec![],
            answers: Ok("answers".into()),
        };
        bench.load().unwrap();
        bench
    }

    fn load(&mut self) -> Result<(), RolloutError> {
        let evidence = self.evidence.then_some(EvidenceBudget::STANDARD);
        let mut policy = GuardPolicy { evidence, metrics: self.metrics.clone(), ..GuardPolicy::standard() };
        policy.sample_ratio = self.sample_ratio;
        // As the check of a file does it when evidence is switched off.
        policy.triggers.iter_mut().for_each(|trigger| trigger.alone = false);
        if self.only_pauses {
            let error_rate = Trigger::defaults().into_iter().find(|trigger| trigger.metric == Metric::ErrorRate);
            let trigger = Trigger { hold: Millis::ZERO, action: TriggerAction::Pause, ..error_rate.unwrap() };
            policy.triggers = vec![trigger];
        }
        let loaded = LoadedService {
            routes: self.routes.clone(),
            ask: SplitRequest { active: None, weight: Some(percent(self.asked)) },
            policy,
            plan: self.plan.clone(),
            premises: self.premises.clone(),
            freezes: self.freezes.clone(),
            gates: self.gates.clone(),
            mirrors: self.mirrors,
            ..LoadedService::standard("shop")
        };
        self.apply(Event::Loaded(vec![loaded]))
    }

    fn apply(&mut self, event: Event) -> Result<(), RolloutError> {
        self.effects = self.state.apply(event, Millis(self.now))?;
        self.orders.extend(self.effects.iter().filter_map(|effect| match effect {
            Effect::Validate(order) => Some(order.clone()),
            _ => None,
        }));
        self.questions.extend(self.effects.iter().filter_map(|effect| match effect {
            Effect::Measure(order) => Some(order.clone()),
            _ => None,
        }));
        self.asked_gates.extend(self.effects.iter().filter_map(|effect| match effect {
            Effect::AskGate(order) => Some(order.clone()),
            _ => None,
        }));
        let asked = self.effects.iter().find_map(|effect| match effect {
            Effect::Probe(asked) => Some(asked.number),
            _ => None,
        });
        if let Some(number) = asked {
            let probed = Event::Probed { service: "shop".into(), number, result: self.answers.clone() };
            self.effects.extend(self.state.apply(probed, Millis(self.now))?);
        }
        self.entries.extend(self.effects.iter().filter_map(|effect| match effect {
            Effect::Journal(change) => Some((**change).clone()),
            _ => None,
        }));
        Ok(())
    }

    fn order(&mut self, act: OperatorAction) -> Result<(), RolloutError> {
        let command = OperatorCommand {
            service: "shop".into(),
            by: Requester { who: "ann".into(), ..Requester::default() },
            act,
        };
        self.apply(Event::Command(command))
    }

    fn preflighted(&mut self, result: Result<&str, &str>) {
        let result = result.map(str::to_owned).map_err(str::to_owned);
        let rollout = self.durable().rollout;
        self.apply(Event::Preflighted { service: "shop".into(), rollout, result }).unwrap();
    }

    /// Traffic for this many seconds, a hundred requests per second.
    fn run(&mut self, seconds: u64) -> Vec<ChangeKind> {
        let mut kinds = Vec::new();
        for _ in 0..seconds * 1000 / TICK {
            self.now += TICK;
            let split = self.state.split("shop").unwrap();
            let share = u64::from(split.weight.basis_points()) / 1000;
            let sides = [split.active, split.active.other()];
            for (side, answers) in sides.into_iter().zip([10 - share, share]) {
                let counts = side.of_mut(&mut self.counts);
                counts.answers += answers;
                if side == Environment::Blue {
                    counts.failed += answers * self.blue_failing / 100;
                } else {
                    self.hundredths += answers * self.failing;
                    counts.failed += self.hundredths / 100;
                    self.hundredths %= 100;
                }
            }
            let totals = |counts| JudgedTotals { counts, ..JudgedTotals::default() };
            let pair = Some(self.counts.map(totals));
            self.apply(Event::Counted { service: "shop".into(), routes: vec![None, pair], on_grid: true }).unwrap();
            self.kept += self.effects.iter().filter(|effect| matches!(effect, Effect::Keep(_))).count();
            kinds.extend(self.effects.iter().filter_map(|effect| match effect {
                Effect::Journal(change) => Some(change.kind),
                _ => None,
            }));
        }
        kinds
    }

    /// Nobody asks for anything for this many seconds.
    fn idle(&mut self, seconds: u64) {
        for _ in 0..seconds * 1000 / TICK {
            self.now += TICK;
            let pair = Some(self.counts.map(|counts| JudgedTotals { counts, ..JudgedTotals::default() }));
            self.apply(Event::Counted { service: "shop".into(), routes: vec![None, pair], on_grid: true }).unwrap();
        }
    }

    /// Dies, and restarts from what is stored. Everything else is lost.
    fn restart(&mut self) {
        let durable = self.durable().clone();
        let (generation, entry) = (self.state.generation(), self.state.last_entry());
        self.state = State::restored([("shop".to_owned(), durable)].into(), generation, entry, 2_000_000);
        (self.now, self.counts) = (0, Default::default());
        self.load().unwrap();
    }

    /// Gives its place to another process, which goes on with the clock, the counts and what is `known`.
    fn hand_over(&mut self, known: bool) {
        let handed = if known { self.state.hand_over() } else { BTreeMap::new() };
        let handed = serde_json::from_str(&serde_json::to_string(&handed).unwrap()).unwrap();
        let durable = self.durable().clone();
        let (generation, entry) = (self.state.generation(), self.state.last_entry());
        let state = State::restored([("shop".to_owned(), durable)].into(), generation, entry, 1_000_000);
        self.state = state.going_on_from(handed);
        self.load().unwrap();
    }

    fn durable(&self) -> &DurableState {
        self.state.durable("shop").unwrap()
    }

    fn phase(&self) -> RolloutPhase {
        self.durable().release.as_ref().unwrap().phase
    }

    fn at(&self) -> (RolloutPhase, f64) {
        (self.phase(), self.durable().weight.percent())
    }

    fn waiting(&self) -> String {
        self.state.views(Millis(self.now))[0].rollout.as_ref().unwrap().waiting_for.join(", ")
    }
}

fn under_way() -> Bench {
    let mut bench = Bench::new(plan());
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok("3 warm-up requests"));
    bench
}

#[test]
fn a_deploy_is_tried_first_and_then_goes_step_by_step_to_the_promotion_and_through_its_watch() {
    let mut bench = Bench::new(plan());
    bench.order(deploy("2.0.0")).unwrap();
    assert_eq!(bench.at(), (RolloutPhase::Preflight, 0.0));
    assert!(
        matches!(bench.effects.last(), Some(Effect::Preflight(PreflightRequest { rollout: 1, .. }))),
        "{:?}",
        bench.effects
    );
    assert!(bench.run(60).is_empty(), "nothing moves before it was tried");
    bench.preflighted(Ok("3 warm-up requests"));
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
    bench.run(29);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0), "still to bake");
    assert_eq!(bench.run(2), [ChangeKind::Step]);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 50.0));
    assert_eq!(bench.run(30), [ChangeKind::Step]);
    assert_eq!(bench.at(), (RolloutPhase::Baking, 100.0), "all of it, and not promoted yet");
    assert_eq!(bench.run(31), [ChangeKind::Promote]);
    assert_eq!((bench.at(), bench.durable().active), ((RolloutPhase::Promoted, 0.0), Environment::Green));
    assert!(bench.durable().is_watching());
    assert_eq!(bench.run(61), [ChangeKind::Watched, ChangeKind::Ledger]);
    assert!(!bench.durable().is_watching());
    assert_eq!(bench.durable().versions, [None, Some("2.0.0".into())]);
}

#[test]
fn a_step_is_left_only_with_time_requests_a_verdict_and_an_approval() {
    let mut plan = plan();
    plan.steps[0] = PlanStep { requests: 1_000, approve: true, ..plan.steps[0].clone() };
    let mut bench = Bench::new(plan);
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.run(1);
    assert_eq!(
        bench.waiting(),
        "29s to bake, 9 of 1000 requests (about 1m 39s at this rate), too few requests for a verdict, approval"
    );
    // The next steps want few, and bake.
    let left = |bench: &Bench| bench.state.views(Millis(bench.now))[0].rollout.as_ref().unwrap().left_ms.0 / 1000;
    assert_eq!(left(&bench), 99 + 30 + 30);
    bench.run(39);
    assert_eq!(bench.waiting(), "399 of 1000 requests (about 1m at this rate), approval");
    bench.order(OperatorAction::Approve).unwrap();
    bench.run(59);
    assert_eq!((bench.at().1, bench.waiting().as_str()), (10.0, "989 of 1000 requests (about 1.1s at this rate)"));
    bench.run(2);
    assert_eq!(bench.at().1, 50.0);
    assert!(matches!(bench.order(OperatorAction::Approve), Err(RolloutError::NothingToApprove { .. })));
}

#[test]
fn without_traffic_nothing_is_promoted_and_nothing_rolled_back() {
    let mut bench = under_way();
    bench.idle(1000);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0));
}

#[test]
fn abort_wins_in_every_phase() {
    let mut plan = plan();
    plan.steps[1].approve = true;
    let mut bench = Bench::new(plan);
    type Way = fn(&mut Bench);
    let ways: [(&str, Way); 6] = [
        ("preflight", |_| {}),
        ("shifting", |b| b.preflighted(Ok(""))),
        ("paused", |b| {
            b.preflighted(Ok(""));
            b.run(10);
            b.order(OperatorAction::Pause).unwrap();
        }),
        ("paused in preflight", |b| b.order(OperatorAction::Pause).unwrap()),
        ("waiting for approval", |b| {
            b.preflighted(Ok(""));
            b.run(200);
            assert_eq!(b.waiting(), "approval");
        }),
        ("baking", |b| {
            b.preflighted(Ok(""));
            b.run(70);
            b.order(OperatorAction::Approve).unwrap();
            b.run(2);
            assert_eq!(b.phase(), RolloutPhase::Baking);
        }),
    ];
    for (name, way) in ways {
        for act in
            [OperatorAction::Abort, shift(0.0, false), shift(0.0, true), OperatorAction::Stop, OperatorAction::Rollback]
        {
            bench.order(deploy("2.0.0")).unwrap_or_else(|e| panic!("{name}: {e}"));
            way(&mut bench);
            let epoch = bench.durable().epoch;
            bench.order(act.clone()).unwrap_or_else(|e| panic!("{name} {act:?}: {e}"));
            let stopped = act == OperatorAction::Stop;
            let ended = if act == OperatorAction::Rollback { RolloutPhase::RolledBack } else { RolloutPhase::Aborted };
            assert_eq!(bench.phase(), ended, "{name} {act:?}");
            if stopped {
                bench.run(1);
                assert!(bench.state.split("shop").unwrap().stopped);
                bench.order(OperatorAction::Clear).unwrap();
            }
            assert_eq!(
                (bench.durable().weight, bench.durable().active),
                (Weight::ZERO, Environment::Blue),
                "{name} {act:?}"
            );
            assert!(bench.durable().epoch > epoch, "{name} {act:?}: pins are void");
            // A late verdict or preflight moves nothing.
            bench.preflighted(Ok("late"));
            assert!(bench.run(60).iter().all(|kind| *kind == ChangeKind::Ledger), "{name} {act:?}: stays ended");
            bench.state.services.get_mut("shop").unwrap().durable.quarantine.clear();
        }
    }
}

#[test]
fn what_is_bad_is_rolled_back_quarantined_and_deployed_again_only_by_force() {
    let mut bench = under_way();
    bench.run(40);
    bench.failing = 100;
    let kinds = bench.run(40);
    assert!(kinds.contains(&ChangeKind::Rollback), "{kinds:?}");
    assert_eq!(bench.at(), (RolloutPhase::RolledBack, 0.0));
    bench.failing = 0;
    let refused = bench.order(deploy("2.0.0")).unwrap_err();
    assert!(matches!(refused, RolloutError::Quarantined { .. }), "{refused}");
    bench.order(deploy("2.0.1")).unwrap();
    bench.order(OperatorAction::Abort).unwrap();
    let forced = DeployRequest { version: "2.0.0".into(), force: true, ..DeployRequest::default() };
    bench.order(OperatorAction::Deploy(forced)).unwrap();
    assert!(bench.durable().quarantine.is_empty() && bench.durable().latch.is_none());
}

#[test]
fn what_turns_bad_after_its_promotion_is_swapped_back() {
    let mut bench = under_way();
    bench.run(100);
    assert_eq!((bench.phase(), bench.durable().active), (RolloutPhase::Promoted, Environment::Green));
    bench.failing = 100;
    let kinds = bench.run(300);
    assert!(kinds.contains(&ChangeKind::Rollback), "{kinds:?}");
    assert_eq!((bench.at(), bench.durable().active), ((RolloutPhase::RolledBack, 0.0), Environment::Blue));
    // With a share held back there is something to compare with.
    let mut bench = Bench::new(RolloutPlan { holdback: percent(10.0), ..plan() });
    bench.plan.steps[2].weight = percent(90.0);
    bench.load().unwrap();
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok(""));
    bench.run(100);
    assert_eq!((bench.at(), bench.durable().active), ((RolloutPhase::Promoted, 10.0), Environment::Green));
    assert!(bench.state.split("shop").unwrap().mirrored, "whom it kept stays");
    bench.failing = 100;
    let kinds = bench.run(20);
    assert!(kinds.contains(&ChangeKind::Rollback), "{kinds:?}");
    assert_eq!((bench.at(), bench.durable().active), ((RolloutPhase::RolledBack, 0.0), Environment::Blue));
    assert!(bench.durable().latch.is_some() && bench.durable().quarantine.len() == 1);
}

#[test]
fn a_preflight_that_fails_lets_nobody_on() {
    let mut bench = Bench::new(plan());
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Err("green answers 503"));
    assert_eq!(bench.at(), (RolloutPhase::Aborted, 0.0));
    bench.order(deploy("2.0.0")).unwrap();
    // A result of the first try says nothing about the second.
    bench.apply(Event::Preflighted { service: "shop".into(), rollout: 1, result: Ok(String::new()) }).unwrap();
    assert_eq!(bench.phase(), RolloutPhase::Preflight);
}

#[test]
fn only_the_functions_of_a_deploy_go_to_the_candidate_and_are_judged() {
    let mut bench = Bench::new(plan());
    let unknown = DeployRequest { version: "2".into(), functions: vec!["pay".into()], ..DeployRequest::default() };
    assert_eq!(
        bench.order(OperatorAction::Deploy(unknown)).unwrap_err().to_string(),
        "shop has no route `pay`; it has default, api"
    );
    let some = DeployRequest { version: "2".into(), functions: vec!["api".into()], ..DeployRequest::default() };
    bench.order(OperatorAction::Deploy(some)).unwrap();
    bench.preflighted(Ok(""));
    assert_eq!(bench.state.split("shop").unwrap().only, Some(vec![1]));
    bench.order(OperatorAction::Abort).unwrap();
    assert_eq!(bench.state.split("shop").unwrap().only, None);
}

#[test]
fn with_the_guard_off_nothing_is_rolled_back_and_no_step_is_left() {
    let mut bench = under_way();
    bench.order(OperatorAction::Monitoring(false)).unwrap();
    bench.failing = 100;
    bench.run(100);
    assert_eq!((bench.at(), bench.waiting().as_str()), ((RolloutPhase::Shifting, 10.0), "the guard is off"));
    bench.order(OperatorAction::Monitoring(true)).unwrap();
    bench.run(100);
    assert_eq!(bench.phase(), RolloutPhase::RolledBack);
}

#[test]
fn a_trigger_that_pauses_holds_the_rollout() {
    let mut bench = under_way();
    bench.plan.steps.clear();
    bench.only_pauses = true;
    bench.load().unwrap();
    bench.run(10);
    bench.failing = 30;
    assert!(bench.run(15).contains(&ChangeKind::Pause));
    assert_eq!(bench.at(), (RolloutPhase::Paused, 10.0));
    bench.failing = 0;
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!(bench.phase(), RolloutPhase::Shifting);
}

#[test]
fn a_command_for_another_generation_is_stale() {
    let mut bench = under_way();
    let generation = Some(bench.state.generation());
    let stale = Some(0);
    let order = |generation| OperatorCommand {
        service: "shop".into(),
        by: Requester { generation, ..Requester::default() },
        act: OperatorAction::Pause,
    };
    assert!(matches!(bench.apply(Event::Command(order(stale))), Err(RolloutError::Stale { .. })));
    bench.apply(Event::Command(order(generation))).unwrap();
}
