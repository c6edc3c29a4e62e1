//! Figures from elsewhere: when they are asked for, what they hold, and what they take back.

use super::*;
use crate::guard::outside_metric::{FigureTest, OutsideFigure};

const GOOD: Result<f64, &str> = Ok(0.1);
const BAD: Result<f64, &str> = Ok(0.9);
const NONE: Result<f64, &str> = Err("Prometheus has no data for it");

fn metric(name: &str, action: TriggerAction) -> OutsideMetric {
    OutsideMetric {
        name: name.into(),
        test: FigureTest::Above(0.5),
        every: Millis::seconds(10),
        timeout: Millis::seconds(5),
        hold: Millis::ZERO,
        action,
    }
}

/// On the first step, at its first tick.
fn measured(metrics: Vec<OutsideMetric>) -> Bench {
    measured_by(plan(), metrics)
}

fn measured_by(plan: RolloutPlan, metrics: Vec<OutsideMetric>) -> Bench {
    let mut bench = Bench::new(plan);
    bench.metrics = metrics;
    bench.load().unwrap();
    bench.order(deploy("2.0.0")).unwrap();
    bench.run(5);
    assert!(bench.questions.is_empty(), "nothing is tried before its preflight");
    bench.preflighted(Ok("3 warm-up requests"));
    bench.tick();
    bench
}

fn rolling_back() -> Bench {
    measured(vec![metric("conversion", TriggerAction::Rollback)])
}

impl Bench {
    fn tick(&mut self) {
        self.now += TICK;
        let pair = Some(self.counts.map(|counts| JudgedTotals { counts, ..JudgedTotals::default() }));
        self.apply(Event::Counted { service: "shop".into(), routes: vec![None, pair], on_grid: true }).unwrap();
    }

    /// The answer to the last question; returns the kinds of the entries that it made.
    fn says(&mut self, answer: Result<f64, &str>) -> Vec<ChangeKind> {
        let order = self.questions.last().unwrap().clone();
        self.says_to(order, answer)
    }

    fn says_to(&mut self, order: MetricRequest, answer: Result<f64, &str>) -> Vec<ChangeKind> {
        let number = |value| MeasuredFigures { candidate: OutsideFigure::Number(value), active: None };
        self.apply(Event::Measured { order, answer: answer.map(number).map_err(str::to_owned) }).unwrap();
        self.kinds()
    }

    /// The kinds of the entries that the last event made.
    fn kinds(&self) -> Vec<ChangeKind> {
        let kinds = self.effects.iter().filter_map(|effect| match effect {
            Effect::Journal(change) => Some(change.kind),
            _ => None,
        });
        kinds.collect()
    }

    /// Answers every question at once for this many seconds.
    fn answering(&mut self, seconds: u64, answer: Result<f64, &str>) -> Vec<ChangeKind> {
        let mut kinds = Vec::new();
        for _ in 0..seconds {
            let asked = self.questions.len();
            kinds.extend(self.run(1));
            let orders = self.questions[asked..].to_vec();
            for order in orders {
                kinds.extend(self.says_to(order, answer));
            }
        }
        kinds
    }
}

#[test]
fn a_figure_is_asked_for_on_its_interval_and_at_once_at_each_step() {
    let mut bench = rolling_back();
    let first = MetricRequest {
        service: "shop".into(),
        metric: "conversion".into(),
        number: 1,
        candidate: Environment::Green,
        compares: false,
        versions: [None, Some("2.0.0".into())],
    };
    assert_eq!(bench.questions, [first]);
    bench.run(9);
    assert_eq!(bench.questions.len(), 1, "one at a time, and not before its time");
    assert_eq!(bench.says(GOOD), []);
    bench.run(9);
    assert_eq!(bench.questions.len(), 2, "ten seconds after the first");
    bench.says(GOOD);
    assert_eq!(bench.answering(13, GOOD), [ChangeKind::Step]);
    let asked = bench.questions.len();
    bench.run(2);
    assert!(bench.questions.len() > asked - 1 && bench.questions.len() <= asked + 1, "{asked}");
    assert_eq!(bench.answering(70, GOOD), [ChangeKind::Step, ChangeKind::Promote]);
    let asked = bench.questions.len();
    bench.answering(30, GOOD);
    assert_eq!(bench.questions.len(), asked + 3, "a promoted side is watched");
    assert_eq!(bench.questions.last().unwrap().candidate, Environment::Green, "it is still the one on trial");
    bench.answering(40, GOOD);
    let asked = bench.questions.len();
    bench.run(30);
    assert_eq!(bench.questions.len(), asked, "nothing is on trial");
}

#[test]
fn no_data_holds_a_step_and_neither_ends_nor_takes_back_the_rollout() {
    let mut bench = rolling_back();
    assert_eq!(bench.answering(300, NONE), [ChangeKind::Waiting]);
    assert_eq!(
        (bench.at(), bench.waiting().as_str()),
        ((RolloutPhase::Shifting, 10.0), "no figure yet of `conversion`: Prometheus has no data for it")
    );
    assert_eq!(bench.state.waits("shop"), ["metric"]);
    bench.run(10);
    assert_eq!(bench.says(GOOD), []);
    assert_eq!(bench.run(1), [ChangeKind::Step]);
}

#[test]
fn a_figure_of_an_earlier_step_or_an_old_one_does_not_count() {
    let mut bench = rolling_back();
    let early = bench.questions[0].clone();
    bench.says(GOOD);
    assert_eq!(bench.answering(31, GOOD), [ChangeKind::Step]);
    // Asked for at the first step and answered at the second.
    let asked = bench.questions.len();
    bench.run(29);
    bench.run(5);
    assert!(bench.waiting().contains("it was not answered yet at this step"), "{}", bench.waiting());
    assert_eq!(bench.says_to(early, GOOD), [], "it was answered before");
    assert!(bench.questions.len() > asked - 1);
    bench.says(GOOD);
    bench.run(1);
    assert_eq!(bench.at(), (RolloutPhase::Baking, 100.0));
    bench.run(1);
    bench.says(GOOD);
    // Nobody answers any more.
    let kinds = bench.run(60);
    assert_eq!(kinds, [ChangeKind::Promote], "it is at most 30 seconds old when the bake ends");
}

#[test]
fn a_bad_figure_goes_back_with_its_numbers_and_by_its_name() {
    let mut bench = rolling_back();
    assert_eq!(bench.says(BAD), [ChangeKind::Rollback]);
    assert_eq!((bench.phase(), bench.durable().weight), (RolloutPhase::RolledBack, Weight::ZERO));
    let entry = bench.entry();
    assert_eq!((entry.who.as_str(), entry.why.as_str()), ("guard", "conversion: green is 0.9, above the limit of 0.5"));
    let figure = entry.figure.as_ref().unwrap();
    assert!(figure.metric.judge(&figure.seen) != Ok(crate::guard::outside_metric::FigureLevel::Good));
    assert!(bench.durable().latch.is_some());
    let asked = bench.questions.len();
    bench.run(60);
    assert_eq!(bench.questions.len(), asked, "nothing is on trial any more");
}

#[test]
fn it_must_be_bad_for_as_long_as_the_file_says_without_a_good_answer_between() {
    let mut plan = plan();
    plan.steps[0].bake = Millis::seconds(600);
    let hold = Millis::seconds(20);
    let mut bench = measured_by(plan, vec![OutsideMetric { hold, ..metric("conversion", TriggerAction::Rollback) }]);
    assert_eq!(bench.says(BAD), []);
    assert_eq!(bench.answering(15, BAD), []);
    assert_eq!(bench.answering(10, GOOD), [], "that begins anew");
    assert_eq!(bench.answering(19, BAD), []);
    assert!(bench.waiting().contains("conversion: green is 0.9, above the limit of 0.5"), "{}", bench.waiting());
    assert_eq!(bench.answering(10, NONE), [], "and this does not");
    assert_eq!(bench.answering(10, BAD).first(), Some(&ChangeKind::Rollback));
}

#[test]
fn a_pause_and_a_warning_are_told_once_until_it_is_good_again() {
    let mut bench = measured(vec![metric("conversion", TriggerAction::Pause)]);
    assert_eq!(bench.says(BAD), [ChangeKind::Pause]);
    assert_eq!(bench.phase(), RolloutPhase::Paused);
    assert_eq!(bench.answering(30, BAD), []);
    bench.order(OperatorAction::Resume).unwrap();
    assert_eq!(bench.answering(60, BAD), [ChangeKind::Waiting], "a person has gone on, and the step still waits");
    assert_eq!(bench.answering(12, GOOD), [ChangeKind::Step]);
    assert_eq!(bench.answering(12, BAD), [ChangeKind::Pause]);

    let mut bench = measured(vec![metric("conversion", TriggerAction::Warn)]);
    assert_eq!(bench.says(BAD), [ChangeKind::Warning]);
    assert_eq!(bench.answering(31, BAD), [ChangeKind::Step], "it is told, and that is all");
}

#[test]
fn a_rollback_by_a_figure_waits_for_its_target_and_is_dropped_where_the_figure_is_good_again() {
    let mut bench = rolling_back();
    bench.answers = Err("answers 503".into());
    // Blue has served nobody for a while.
    bench.idle(6);
    assert_eq!(bench.says(BAD), [ChangeKind::RollbackHeld]);
    for _ in 0..10 {
        bench.idle(1);
        assert_eq!(bench.kinds(), [], "it stands although nobody has asked again");
    }
    assert_eq!(bench.says(GOOD), []);
    bench.tick();
    assert_eq!(bench.kinds(), [ChangeKind::RollbackDropped]);
}

#[test]
fn an_answer_to_a_question_that_has_changed_is_not_taken() {
    let mut bench = rolling_back();
    bench.metrics = vec![OutsideMetric { test: FigureTest::Above(0.3), ..bench.metrics[0].clone() }];
    bench.load().unwrap();
    assert_eq!(bench.says(BAD), []);
    bench.tick();
    assert_eq!(bench.questions.len(), 2, "and the new one is asked at once");
    assert_eq!(bench.says(BAD), [ChangeKind::Rollback]);
}

#[test]
fn nothing_is_asked_or_done_while_the_guard_is_off_and_after_a_restart_all_is_asked_again() {
    let mut bench = rolling_back();
    bench.order(OperatorAction::Monitoring(false)).unwrap();
    assert_eq!(bench.says(BAD), []);
    let asked = bench.questions.len();
    bench.run(20);
    assert_eq!(bench.questions.len(), asked);
    bench.order(OperatorAction::Monitoring(true)).unwrap();
    bench.restart();
    bench.tick();
    assert_eq!(bench.questions.len(), asked + 1);
    assert!(bench.waiting().contains("no figure yet of `conversion`"), "{}", bench.waiting());
}

#[test]
fn a_service_asks_a_few_questions_at_once_and_the_others_in_turn() {
    let metrics = (0..6).map(|at| metric(&format!("m{at}"), TriggerAction::Rollback)).collect();
    let mut bench = measured(metrics);
    assert_eq!(bench.questions.len(), 4);
    let first = bench.questions[0].clone();
    bench.says_to(first, GOOD);
    bench.tick();
    assert_eq!(bench.questions.len(), 5);
    // An answer that never comes does not hold its place for ever.
    bench.run(60);
    assert!(bench.questions.iter().filter(|order| order.metric == "m1").count() > 1);
}
