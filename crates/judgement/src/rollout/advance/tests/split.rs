//! A split that does not give the two sides what the weight promises.

use super::*;
use crate::guard::sample_ratio::{SentCounts, SplitArrivals, WeightArrivals};
use crate::traffic::sticky::StickyBy;

impl Bench {
    /// So many decisions for active and for the candidate, at 10 %.
    fn arrived(&mut self, active: u64, candidate: u64) -> Vec<ChangeKind> {
        let decisions = [active, candidate].map(|sent| SentCounts { sent, left: 0 });
        let weight = percent(10.0);
        let at = WeightArrivals { weight, decisions, requests: decisions, keyless: active + candidate };
        let arrivals = Some(SplitArrivals { weights: vec![at], heaviest: 0, sticky: StickyBy::None });
        self.now += TICK;
        self.apply(Event::Arrived { service: "shop".into(), arrivals }).unwrap();
        let told = self.effects.iter().filter_map(|effect| match effect {
            Effect::Announce(news) => Some(news.kind),
            _ => None,
        });
        told.collect()
    }

    fn view_of_split(&self) -> Option<String> {
        self.state.views(Millis(self.now))[0].guard.split.as_ref()?.mismatch.clone()
    }
}

fn asking(sample_ratio: SampleRatioAction) -> Bench {
    let mut bench = Bench::new(plan());
    bench.sample_ratio = sample_ratio;
    bench.load().unwrap();
    bench.order(deploy("2.0.0")).unwrap();
    bench.preflighted(Ok("3 warm-up requests"));
    bench
}

#[test]
fn a_mismatch_is_told_once_and_holds_the_step_while_it_lasts_if_the_file_says_so() {
    let mut bench = asking(SampleRatioAction::Hold);
    assert_eq!(bench.arrived(900, 100), []);
    assert_eq!(bench.arrived(980, 20), [ChangeKind::SampleRatio]);
    assert_eq!(bench.arrived(1080, 20), [], "once");
    let seen = bench.view_of_split().unwrap();
    assert!(seen.starts_with("green got 1.8 % of 1,100 requests where 10 % are promised (odds "), "{seen}");
    let entry = bench.entries.last().unwrap().clone();
    assert_eq!(
        (entry.kind, entry.level(), entry.who.as_str()),
        (ChangeKind::SampleRatio, AnnouncementLevel::Warning, "guard")
    );
    bench.run(100);
    assert_eq!(bench.at(), (RolloutPhase::Shifting, 10.0), "it does not go on, and is not rolled back");
    assert_eq!(bench.waiting(), format!("a split that holds: {seen}"));
    assert!(bench.state.waits("shop").contains(&"sample_ratio"));

    bench.arrived(9000, 1000);
    assert_eq!(bench.view_of_split(), None);
    let kinds = bench.run(60);
    assert!(kinds.contains(&ChangeKind::SampleRatioOver) && kinds.contains(&ChangeKind::Step), "{kinds:?}");
}

#[test]
fn where_nobody_is_divided_any_more_nothing_is_waited_for() {
    let mut bench = asking(SampleRatioAction::Hold);
    bench.arrived(980, 20);
    bench.order(shift(100.0, false)).unwrap();
    bench.apply(Event::Arrived { service: "shop".into(), arrivals: None }).unwrap();
    assert_eq!(bench.view_of_split(), None);
}

#[test]
fn by_default_a_mismatch_is_told_and_holds_nothing() {
    let mut bench = asking(SampleRatioAction::default());
    assert_eq!(bench.arrived(980, 20), [ChangeKind::SampleRatio]);
    assert!(bench.view_of_split().is_some());
    assert!(bench.run(100).contains(&ChangeKind::Step));
}

#[test]
fn switched_off_it_is_not_looked_at() {
    let mut bench = asking(SampleRatioAction::Off);
    assert_eq!(bench.arrived(1000, 0), []);
    assert!(bench.state.views(Millis(bench.now))[0].guard.split.is_none());
}

#[test]
fn it_ends_with_the_rollout_and_says_nothing_of_a_promoted_version() {
    let mut bench = asking(SampleRatioAction::Warn);
    bench.arrived(980, 20);
    bench.order(OperatorAction::Rollback).unwrap();
    assert_eq!(bench.view_of_split(), None);
    assert_eq!(bench.arrived(980, 20), [], "nobody is divided any more");

    let mut bench = under_way();
    bench.order(OperatorAction::Promote).unwrap();
    assert!(bench.durable().is_watching());
    assert_eq!(bench.arrived(980, 20), []);
}
