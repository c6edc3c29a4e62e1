//! What moves a weight, and what does not.

use super::*;
use crate::guard::window::AnswerCounts;

fn percent(p: f64) -> Weight {
    Weight::from_percent(p).unwrap()
}

fn file(weight: f64) -> Event {
    file_of("blue", weight)
}

/// The same, with the evidence switched off.
fn on_triggers_alone(mut event: Event) -> Event {
    if let Event::Loaded(services) = &mut event {
        services.iter_mut().for_each(|service| service.policy.evidence = None);
    }
    event
}

fn file_of(active: &str, weight: f64) -> Event {
    let active = if active == "blue" { Environment::Blue } else { Environment::Green };
    Event::Loaded(vec![LoadedService {
        routes: vec!["default".into(), "api".into()],
        ask: SplitRequest { active: Some(active), weight: Some(percent(weight)) },
        ..LoadedService::standard("shop")
    }])
}

fn command(act: OperatorAction) -> Event {
    Event::Command(OperatorCommand {
        service: "shop".into(),
        by: Requester { who: "ann".into(), why: "asked".into(), ..Requester::default() },
        act,
    })
}

/// Totals of the route `api`: this many responses and failures for blue and green.
fn counted(blue: (u64, u64), green: (u64, u64)) -> Event {
    let totals = |(answers, failed)| JudgedTotals {
        counts: AnswerCounts { answers, failed, unavailable: 0 },
        ..JudgedTotals::default()
    };
    Event::Counted { service: "shop".into(), routes: vec![None, Some([totals(blue), totals(green)])], on_grid: true }
}

fn entries(effects: &[Effect]) -> Vec<&JournalChange> {
    effects.iter().filter_map(|e| if let Effect::Journal(change) = e { Some(&**change) } else { None }).collect()
}

fn started(weight: f64) -> State {
    let mut state = State::default();
    state.apply(file(weight), Millis(0)).unwrap();
    state
}

fn break_green(state: &mut State) -> Vec<Effect> {
    let mut all = Vec::new();
    for tick in 0..=10_u64 {
        all.extend(state.apply(counted((tick * 90, 0), (tick * 10, tick * 10)), Millis(1000 + tick * 100)).unwrap());
    }
    all
}

#[test]
fn a_dead_candidate_is_rolled_back_published_before_journalled_before_announced() {
    let mut state = started(10.0);
    let mut effects = break_green(&mut state);
    effects.extend(state.apply(counted((900, 0), (100, 100)), Millis(4000)).unwrap());
    let order: Vec<_> = effects
        .iter()
        .map(|e| match e {
            Effect::Publish => "publish",
            Effect::Journal(_) => "journal",
            Effect::Announce(_) => "announce",
            Effect::Preflight(_)
            | Effect::Validate(_)
            | Effect::Probe(_)
            | Effect::Measure(_)
            | Effect::AskGate(_)
            | Effect::Keep(_) => "other",
        })
        .collect();
    let each = ["publish", "journal", "announce"];
    assert_eq!(
        order,
        [&each[..], &each[..], &each[1..]].concat(),
        "caution, rollback, ledger: once, however many ticks follow"
    );
    let split = state.split("shop").unwrap();
    assert_eq!((split.weight, split.epoch), (Weight::ZERO, 1));
    let kinds: Vec<_> = entries(&effects).iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Caution, ChangeKind::Rollback, ChangeKind::Ledger]);
    let entry = entries(&effects)[1];
    assert_eq!(entry.who, "guard");
    assert!(entry.why.contains("green fails") && entry.uptime <= Millis(1400), "{entry:?}");
    let evidence = entry.evidence.clone().unwrap();
    assert_eq!(crate::guard::judge(&evidence.policy, &evidence.sight), evidence.judgement, "the entry replays");
    let (tape, weighed) = (evidence.tape.unwrap(), evidence.sight.evidence.unwrap());
    assert_eq!(tape.replay().1.evidence(), weighed.parts[0].evidence, "and so does the evidence in it");
}

#[test]
fn saving_the_file_again_does_not_lift_the_latch_and_a_new_weight_does() {
    let mut state = started(10.0);
    break_green(&mut state);
    assert!(entries(&state.apply(file(10.0), Millis(5000)).unwrap()).is_empty());
    assert_eq!(state.split("shop").unwrap().weight, Weight::ZERO);

    let effects = state.apply(file(5.0), Millis(6000)).unwrap();
    assert!(entries(&effects)[0].why.contains("lifts the latch of rollback 3"), "{effects:?}");
    assert_eq!(state.split("shop").unwrap().weight, percent(5.0));
    assert_eq!(state.durable("shop").unwrap().latch, None);
}

#[test]
fn a_restart_keeps_the_weight_and_knows_what_the_file_asked() {
    let mut state = started(10.0);
    break_green(&mut state);
    let durable = state.durable("shop").unwrap().clone();
    let restart = || State::restored([("shop".to_owned(), durable.clone())].into(), 7, 9, 0);
    let mut same = restart();
    same.apply(file(10.0), Millis(0)).unwrap();
    assert_eq!(same.split("shop").unwrap().weight, Weight::ZERO, "latched before the restart, latched after");
    let mut edited = restart();
    let effects = edited.apply(file(20.0), Millis(0)).unwrap();
    assert_eq!((entries(&effects)[0].id, edited.generation()), (10, 8), "numbers go on");
    assert_eq!(edited.split("shop").unwrap().weight, percent(20.0), "edited while it was down");
}

#[test]
fn a_service_that_the_file_forgets_and_remembers_loses_nothing() {
    let mut state = started(10.0);
    break_green(&mut state);
    state.apply(Event::Loaded(vec![]), Millis(5000)).unwrap();
    assert_eq!(state.split("shop"), None);
    state.apply(file(10.0), Millis(6000)).unwrap();
    assert_eq!(state.split("shop").unwrap().weight, Weight::ZERO);
}

#[test]
fn swapping_the_active_environment_in_the_file_frees_every_pin() {
    let mut state = started(0.0);
    let effects = state.apply(file_of("green", 0.0), Millis(1)).unwrap();
    assert_eq!(entries(&effects)[0].kind, ChangeKind::Swap);
    let split = state.split("shop").unwrap();
    assert_eq!((split.active, split.epoch), (Environment::Green, 1));
}

#[test]
fn commands_outweigh_the_file_and_the_stop_outweighs_commands() {
    let mut state = started(10.0);
    state
        .apply(command(OperatorAction::Shift { weight: percent(30.0), gradual: false, force: false }), Millis(1))
        .unwrap();
    state.apply(file(10.0), Millis(2)).unwrap();
    assert_eq!(state.split("shop").unwrap().weight, percent(30.0), "the file did not change");
    state.apply(command(OperatorAction::Stop), Millis(3)).unwrap();
    assert!(state.split("shop").unwrap().stopped);
    assert_eq!(
        state
            .apply(command(OperatorAction::Shift { weight: percent(1.0), gradual: false, force: false }), Millis(4))
            .unwrap_err(),
        RolloutError::Stopped { service: "shop".into() }
    );
    state.apply(command(OperatorAction::Clear), Millis(5)).unwrap();
    let split = state.split("shop").unwrap();
    assert_eq!((split.stopped, split.weight), (false, Weight::ZERO));
    assert!(state.apply(command(OperatorAction::Rollback), Millis(6)).is_err(), "nothing to roll back");
}

#[test]
fn a_reload_is_no_fresh_start_for_a_bad_candidate() {
    let mut state = State::default();
    let file = |weight| on_triggers_alone(file(weight));
    state.apply(file(10.0), Millis(0)).unwrap();
    let mut at = 0;
    // 6 % failing: over 5 % for two minutes, with a reload every second.
    while state.split("shop").unwrap().weight != Weight::ZERO && at < 200_000 {
        at += 100;
        state.apply(counted((at * 9, 0), (at, at * 6 / 100)), Millis(at)).unwrap();
        if at % 1000 == 0 {
            state.apply(file(10.0), Millis(at)).unwrap();
        }
    }
    assert!((119_000..135_000).contains(&at), "rolled back after {at} ms");
}

#[test]
fn a_bad_route_is_found_in_a_healthy_service_and_named() {
    let mut state = started(10.0);
    let mut effects = Vec::new();
    for tick in 0..=20_u64 {
        let totals = |answers, failed| JudgedTotals {
            counts: AnswerCounts { answers, failed, unavailable: 0 },
            ..JudgedTotals::default()
        };
        let routes = vec![
            Some([totals(tick * 9000, 0), totals(tick * 1000, 0)]),
            Some([totals(tick * 90, 0), totals(tick * 10, tick * 10)]),
        ];
        let event = Event::Counted { service: "shop".into(), routes, on_grid: true };
        effects.extend(state.apply(event, Millis(tick * 100)).unwrap());
    }
    let rollback = entries(&effects).into_iter().find(|change| change.kind == ChangeKind::Rollback).unwrap();
    assert!(rollback.why.starts_with("on route api, green fails"), "{}", rollback.why);
}

#[test]
fn all_the_routes_that_are_broken_are_named() {
    let mut event = file(50.0);
    if let Event::Loaded(services) = &mut event {
        let routes = ["a", "b", "c", "d", "e", "f"];
        services.iter_mut().for_each(|service| service.routes = routes.map(str::to_owned).to_vec());
    }
    let mut state = State::default();
    state.apply(event, Millis::ZERO).unwrap();
    for tick in 0..500 {
        let side = |answers: u64, failed: u64| JudgedTotals {
            counts: AnswerCounts { answers, failed, unavailable: 0 },
            ..JudgedTotals::default()
        };
        // One in ten, on two of six routes, which are a small part of the whole.
        let failed = |route: usize| if route == 1 || route == 4 { tick / 5 } else { 0 };
        let answers = |route: usize| if route == 0 { 100 * tick } else { 2 * tick };
        let pair = |route: usize| [side(answers(route), 0), side(answers(route), failed(route))];
        let routes = (0..6).map(|route| Some(pair(route))).collect();
        let counted = Event::Counted { service: "shop".into(), routes, on_grid: true };
        let effects = state.apply(counted, Millis(1000 + 20 * tick)).unwrap();
        if let Some(change) = entries(&effects).iter().find(|change| change.kind == ChangeKind::Rollback) {
            let sight = &change.evidence.as_ref().unwrap().sight;
            assert_eq!(sight.evidence.as_ref().unwrap().broken, ["b", "e"]);
            assert!(change.why.contains("worse on ") && change.why.contains('e'), "{}", change.why);
            return;
        }
    }
    panic!("it was not rolled back");
}

/// At half of the traffic for a minute, then at all of it; one in five fails after this many seconds of that. Whether it is
/// rolled back within half a minute, by evidence alone.
fn is_taken_back_after(seconds: u64) -> bool {
    let mut event = file(50.0);
    if let Event::Loaded(services) = &mut event {
        services.iter_mut().for_each(|service| service.policy.triggers.clear());
    }
    let mut state = State::default();
    state.apply(event, Millis::ZERO).unwrap();
    let (mut blue, mut green) = ((0, 0), (0, 0));
    let mut look = |state: &mut State, ms: u64, new: (u64, u64, u64)| {
        let (of_blue, of_green, failed) = new;
        blue.0 += of_blue;
        (green.0, green.1) = (green.0 + of_green, green.1 + failed);
        let mut effects = state.apply(counted(blue, green), Millis(ms)).unwrap();
        let asked = |effect: &Effect| if let Effect::Probe(asked) = effect { Some(asked.number) } else { None };
        if let Some(number) = effects.iter().find_map(asked) {
            let answer = Event::Probed { service: "shop".into(), number, result: Ok("answers".into()) };
            effects.extend(state.apply(answer, Millis(ms)).unwrap());
        }
        entries(&effects).iter().any(|change| change.kind == ChangeKind::Rollback)
    };
    for second in 0..60 {
        assert!(!look(&mut state, 1000 * second, (20, 20, 0)));
    }
    state
        .apply(command(OperatorAction::Shift { weight: Weight::FULL, gradual: false, force: false }), Millis(60_000))
        .unwrap();
    for second in 60..60 + seconds {
        assert!(!look(&mut state, 1000 * second, (0, 40, 0)));
    }
    (60 + seconds..90 + seconds).any(|second| look(&mut state, 1000 * second, (0, 40, 8)))
}

#[test]
fn a_candidate_with_all_of_the_traffic_is_judged_by_what_active_did_in_the_hour_before() {
    assert!(is_taken_back_after(10));
    assert!(is_taken_back_after(3000));
    assert!(!is_taken_back_after(3700), "nobody knows how active would do now");
}

#[test]
fn shared_fate_is_told_once_and_rolls_nothing_back() {
    let mut state = started(10.0);
    let mut effects = Vec::new();
    for tick in 0..=50_u64 {
        let event = counted((tick * 90, tick * 90), (tick * 10, tick * 10));
        effects.extend(state.apply(event, Millis(tick * 100)).unwrap());
    }
    let kinds: Vec<_> = entries(&effects).iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::SharedFate], "of the service and its route");
    assert_eq!(state.split("shop").unwrap().weight, percent(10.0));
}

#[test]
fn a_weight_that_was_zero_for_an_hour_starts_afresh() {
    let mut state = State::default();
    let file = |weight| on_triggers_alone(file(weight));
    state.apply(file(10.0), Millis(0)).unwrap();
    for tick in 0..600_u64 {
        state.apply(counted((tick * 90, 0), (tick * 10, tick * 6 / 10)), Millis(tick * 100)).unwrap();
    }
    let hour = 3_600_000;
    state.apply(file(0.0), Millis(61_000)).unwrap();
    state.apply(file(10.0), Millis(hour)).unwrap();
    let mut effects = Vec::new();
    for tick in 600..700_u64 {
        effects.extend(
            state.apply(counted((tick * 90, 0), (tick * 10, tick * 6 / 10)), Millis(hour + tick * 100)).unwrap(),
        );
    }
    let kinds: Vec<_> = entries(&effects).iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Ledger], "a minute then and ten seconds now are not two minutes");
}

#[test]
fn a_file_that_loses_its_weight_for_a_moment_asks_for_nothing() {
    let mut state = started(10.0);
    break_green(&mut state);
    let half = |ask| Event::Loaded(vec![LoadedService { ask, ..LoadedService::standard("shop") }]);
    assert!(entries(&state.apply(half(SplitRequest::default()), Millis(5000)).unwrap()).is_empty());
    assert!(entries(&state.apply(file(10.0), Millis(6000)).unwrap()).is_empty());
    assert_eq!(state.split("shop").unwrap().weight, Weight::ZERO);
    let zero = SplitRequest { weight: Some(Weight::ZERO), ..SplitRequest::default() };
    state.apply(half(zero), Millis(7000)).unwrap();
    assert!(state.durable("shop").unwrap().latch.is_some(), "a weight of 0 is no wish to try again");
}

#[test]
fn after_a_lost_state_nothing_gets_traffic_until_a_person_says_so() {
    let mut state = State::after_loss(0);
    state.apply(file(10.0), Millis(0)).unwrap();
    assert_eq!(state.split("shop").unwrap().weight, Weight::ZERO);
    state.apply(file(11.0), Millis(1)).unwrap();
    assert_eq!(state.split("shop").unwrap().weight, percent(11.0));
}

#[test]
fn a_raised_weight_is_no_drop_in_throughput() {
    let mut state = State::default();
    let mut trigger =
        crate::guard::trigger::Trigger::defaults().into_iter().find(|t| t.name == "half the traffic is gone").unwrap();
    (trigger.hold, trigger.action) = (Millis::ZERO, crate::guard::trigger::TriggerAction::Rollback);
    let file = |weight: f64| {
        Event::Loaded(vec![LoadedService {
            ask: SplitRequest { active: None, weight: Some(percent(weight)) },
            policy: GuardPolicy { triggers: vec![trigger.clone()], ..GuardPolicy::default() },
            ..LoadedService::standard("shop")
        }])
    };
    state.apply(file(10.0), Millis(0)).unwrap();
    let mut green = 0;
    for tick in 0..600_u64 {
        if tick == 200 {
            state.apply(file(60.0), Millis(tick * 100)).unwrap();
        }
        green += if tick < 200 { 10 } else { 60 };
        let totals = |answers| JudgedTotals {
            counts: AnswerCounts { answers, ..AnswerCounts::default() },
            ..JudgedTotals::default()
        };
        let event = Event::Counted {
            service: "shop".into(),
            routes: vec![Some([totals(tick * 100 - green.min(tick * 100)), totals(green)])],
            on_grid: true,
        };
        assert!(entries(&state.apply(event, Millis(tick * 100)).unwrap()).is_empty(), "tick {tick}");
    }
}

#[test]
fn a_broken_active_is_news_with_what_would_help_and_never_a_rollback() {
    let mut state = started(50.0);
    let mut effects = Vec::new();
    for tick in 0..=400_u64 {
        // Blue fails everything for fifteen seconds.
        let failed = (tick * 5).min(750);
        effects.extend(state.apply(counted((tick * 5, failed), (tick * 5, 0)), Millis(tick * 100)).unwrap());
    }
    for tick in 0..=900_u64 {
        let answers = 2000 + tick * 5;
        effects.extend(state.apply(counted((answers, 750), (answers, 0)), Millis(40_100 + tick * 100)).unwrap());
    }
    let told: Vec<_> = entries(&effects).iter().map(|change| (change.kind, change.level())).collect();
    assert_eq!(
        told,
        [
            (ChangeKind::ActiveBroken, AnnouncementLevel::Critical),
            (ChangeKind::ActiveBrokenOver, AnnouncementLevel::Info)
        ]
    );
    let why = &entries(&effects)[0].why;
    assert!(why.starts_with("blue, active, fails ") && why.contains("cutover promote"), "{why}");
}

/// The journal's kinds after a minute in which neither side failed, a file that changes what counts as a failure, and half a
/// minute in which both sides fail `percent` by that.
fn kinds_after_new_rules(failure_rules: u64, weight: f64, percent: u64) -> Vec<ChangeKind> {
    let mut state = started(weight);
    let mut effects = Vec::new();
    let per_tick = 20_u64;
    let share = weight as u64 * per_tick / 100;
    let at = |tick: u64, failing: u64| {
        let side = |share: u64| (tick * share, (failing * share * percent) / 100);
        counted(side(per_tick - share), side(share))
    };
    for tick in 0..600 {
        effects.extend(state.apply(at(tick, 0), Millis(1000 + tick * 100)).unwrap());
    }
    let Event::Loaded(mut services) = file(weight) else { unreachable!() };
    services[0].failure_rules = failure_rules;
    effects.extend(state.apply(Event::Loaded(services), Millis(61_000)).unwrap());
    for tick in 600..900 {
        effects.extend(state.apply(at(tick, tick - 600), Millis(1000 + tick * 100)).unwrap());
    }
    entries(&effects).iter().map(|change| change.kind).collect()
}

#[test]
fn what_both_sides_fail_by_new_rules_is_not_the_candidates_alone() {
    // Most requests go to the candidate, so that active's past weighs against it.
    let suspected = |rules| {
        let kinds = kinds_after_new_rules(rules, 95.0, 50);
        kinds.contains(&ChangeKind::Caution) || kinds.contains(&ChangeKind::Rollback)
    };
    assert!(suspected(0), "by what active failed before, the candidate would be suspected");
    assert!(!suspected(1), "both are judged from the change on");
}
