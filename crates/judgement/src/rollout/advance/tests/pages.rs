//! Which side serves the pages that came from it, over a rollout, a promotion, a rollback and a restart.

use super::*;

/// Versions of blue and green that pages may ask for.
type Pages = [Option<&'static str>; 2];

const BOTH: Pages = [Some("1.9.4"), Some("2.0.0")];
const ONLY_BLUE: Pages = [Some("1.9.4"), None];
const ONLY_GREEN: Pages = [None, Some("2.0.0")];

/// Blue is 1.9.4 by the file, and pages count for an hour.
fn skewed() -> Bench {
    let mut bench = Bench::new(plan());
    (bench.premises.versions, bench.premises.skew) = ([Some("1.9.4".into()), None], Some(Millis::seconds(3600)));
    bench.load().unwrap();
    bench
}

impl Bench {
    fn shown(&self) -> [Option<std::sync::Arc<str>>; 2] {
        self.state.split("shop").unwrap().pages
    }

    #[track_caller]
    fn serves(&self, pages: Pages) {
        assert_eq!(self.shown().each_ref().map(Option::as_deref), pages);
    }

    /// So many seconds pass.
    fn ages(&mut self, seconds: u64) {
        self.now += seconds * 1000;
        self.apply(Event::Aged).unwrap();
    }

    /// Deploys 2.0.0 to green, and brings it through.
    fn promoted(mut self) -> Bench {
        self.order(deploy("2.0.0")).unwrap();
        self.preflighted(Ok("fine"));
        self.run(120);
        assert_eq!(self.phase(), RolloutPhase::Promoted);
        self
    }
}

#[test]
fn both_sides_serve_their_pages_from_the_first_client_of_the_new_one_on() {
    let mut bench = skewed();
    bench.serves(ONLY_BLUE);
    bench.order(deploy("2.0.0")).unwrap();
    bench.serves(ONLY_BLUE);
    bench.preflighted(Ok("fine"));
    bench.serves(BOTH);
    bench.order(OperatorAction::Pause).unwrap();
    bench.serves(BOTH);
}

#[test]
fn a_side_that_was_replaced_serves_its_pages_until_they_are_too_old() {
    let mut bench = skewed().promoted();
    bench.run(100);
    assert!(!bench.durable().is_watching());
    bench.serves(BOTH);
    let generation = bench.state.generation();
    bench.ages(3000);
    bench.serves(BOTH);
    let pages = bench.state.views(Millis(bench.now))[0].pages.clone().unwrap();
    assert_eq!((pages.environment, pages.version.as_str()), (Environment::Blue, "1.9.4"));
    assert!(bench.effects.is_empty() && bench.state.generation() == generation);
    bench.ages(700);
    bench.serves(ONLY_GREEN);
    assert!(matches!(&bench.effects[..], [Effect::Publish, Effect::Keep(_)]), "{:?}", bench.effects);
    assert_eq!(bench.state.generation(), generation + 1);
    assert_eq!(bench.state.views(Millis(bench.now))[0].pages, None);
    bench.ages(1);
    assert!(bench.effects.is_empty(), "once");
}

#[test]
fn the_age_of_pages_counts_over_a_restart() {
    let mut bench = skewed().promoted();
    bench.restart();
    bench.serves(BOTH);
    bench.ages(4000);
    bench.serves(ONLY_GREEN);
    // It was off for longer than that: from the first request on.
    let mut bench = skewed().promoted();
    bench.premises.skew = Some(Millis::seconds(60));
    bench.restart();
    bench.serves(ONLY_GREEN);
}

#[test]
fn an_edit_of_the_time_holds_at_once() {
    let mut bench = skewed().promoted();
    bench.run(100);
    bench.premises.skew = None;
    bench.load().unwrap();
    bench.serves([None, None]);
    bench.premises.skew = Some(Millis::seconds(7200));
    bench.load().unwrap();
    bench.ages(5000);
    bench.serves(BOTH);
    bench.premises.skew = Some(Millis::seconds(3600));
    bench.load().unwrap();
    bench.serves(ONLY_GREEN);
}

#[test]
fn a_rolled_back_version_serves_no_page() {
    let mut bench = skewed();
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok("fine"));
    bench.serves(BOTH);
    bench.failing = 50;
    bench.run(130);
    assert_eq!(bench.phase(), RolloutPhase::RolledBack);
    bench.serves(ONLY_BLUE);

    let mut promoted = skewed().promoted();
    promoted.order(OperatorAction::Rollback).unwrap();
    promoted.serves(ONLY_BLUE);
    promoted.restart();
    promoted.serves(ONLY_BLUE);
    // A file that names it is not enough.
    promoted.premises.versions = [Some("1.9.4".into()), Some("2.0.0".into())];
    promoted.load().unwrap();
    promoted.serves(ONLY_BLUE);
}

#[test]
fn a_rollback_by_hand_of_what_was_replaced_ends_its_pages() {
    // The old side gets a share again by hand, and is taken back.
    let mut bench = skewed().promoted();
    bench.run(100);
    bench.order(shift(10.0, false)).unwrap();
    bench.serves(BOTH);
    bench.order(OperatorAction::Rollback).unwrap();
    bench.serves(ONLY_GREEN);
}

#[test]
fn an_abort_and_a_stop_end_the_pages_of_the_candidate() {
    for act in [OperatorAction::Abort, shift(0.0, false), OperatorAction::Stop] {
        let mut bench = skewed();
        bench.order(deploy("2.0.0")).unwrap();
        bench.preflighted(Ok("fine"));
        bench.order(act.clone()).unwrap();
        let stopped = bench.durable().stopped;
        bench.serves(if stopped { [None, None] } else { ONLY_BLUE });
        if stopped {
            bench.order(OperatorAction::Clear).unwrap();
            bench.serves(ONLY_BLUE);
        }
    }
    let mut bench = skewed().promoted();
    bench.order(OperatorAction::Stop).unwrap();
    bench.serves([None, None]);
    bench.order(OperatorAction::Clear).unwrap();
    bench.serves(ONLY_GREEN);
}

#[test]
fn a_side_that_is_something_else_now_serves_no_old_page() {
    let mut bench = skewed().promoted();
    bench.run(100);
    bench.order(deploy("3.0.0")).unwrap();
    bench.serves(ONLY_GREEN);
    bench.preflighted(Err("refused"));
    bench.serves(ONLY_GREEN);

    let mut moved = skewed().promoted();
    moved.run(100);
    moved.premises.urls = ["http://elsewhere:80".into(), moved.premises.urls[1].clone()];
    moved.load().unwrap();
    moved.serves(ONLY_GREEN);
}

#[test]
fn pages_that_cannot_be_told_apart_are_not() {
    let mut unnamed = Bench::new(plan());
    unnamed.premises.skew = Some(Millis::seconds(3600));
    unnamed.load().unwrap();
    let mut unnamed = unnamed.promoted();
    unnamed.serves(ONLY_GREEN);
    unnamed.run(100);
    unnamed.serves(ONLY_GREEN);

    let mut same = skewed();
    same.premises.versions = [Some("2.0.0".into()), None];
    same.load().unwrap();
    let again = DeployRequest { version: "2.0.0".into(), force: true, ..DeployRequest::default() };
    same.order(OperatorAction::Deploy(again)).unwrap();
    same.preflighted(Ok("fine"));
    same.run(120);
    assert_eq!(same.phase(), RolloutPhase::Promoted);
    same.serves(ONLY_GREEN);

    let plain = Bench::new(plan()).promoted();
    plain.serves([None, None]);
    assert_eq!(plain.durable().replaced, None, "and nothing is stored of it");
}

#[test]
fn a_swap_by_the_file_replaces_a_side_too() {
    let mut bench = skewed();
    bench.premises.versions = [Some("1.9.4".into()), Some("2.0.0".into())];
    bench.load().unwrap();
    bench.serves(ONLY_BLUE);
    let mut swap = loaded(&bench, Some(Environment::Green), Some(0.0));
    if let Event::Loaded(services) = &mut swap {
        services[0].plan = bench.plan.clone();
    }
    bench.apply(swap).unwrap();
    bench.serves(BOTH);
    bench.ages(3600);
    bench.serves(ONLY_GREEN);
}
