//! The sidecar, cranked by hand: no thread, no clock.

use std::sync::Arc;

use super::*;
use crate::journal::JournalReader;
use config::routing_text;
use judgement::rollout::release::RolloutPhase;
use judgement::rollout::{DeployRequest, OperatorAction, OperatorCommand, Requester, SuiteRun, SuiteRunError};
use judgement::traffic::split::Weight;
use memory::counters::{AttemptFailure, AttemptOutcome, ResponseClass, Shard, read};
use memory::snapshot::SnapshotReader;
use tokio::sync::mpsc;

struct Bench {
    sidecar: Sidecar,
    published: SnapshotReader,
    counters: Arc<Counters>,
    path: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

fn load(weight: f64) -> ResolvedRouting {
    let text = format!(
        "[service.shop]\n[service.shop.blue]\nurl = \"http://127.0.0.1:1\"\n[service.shop.green]\nurl = \"http://127.0.0.1:2\"\n\
         [service.shop.split]\nweight = {weight}\n"
    );
    ResolvedRouting { routing: routing_text("routing.toml", &text).unwrap(), ..ResolvedRouting::default() }
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cutover.db");
    let counters = Arc::new(Counters::new(1));
    let (journal, restored) = Journal::start(&path, counters.clone()).unwrap();
    let (publisher, published) = SnapshotPublisher::new();
    let mut sidecar = Sidecar::new(restored, publisher, counters.clone(), journal);
    sidecar.load(load(10.0), Millis(0)).unwrap();
    Bench { sidecar, published, counters, path, _dir: dir }
}

impl Bench {
    fn answer(&self, side: Environment, times: usize, failure: Option<AttemptFailure>) {
        let class = if failure.is_some() { ResponseClass::ServerError } else { ResponseClass::Success };
        let outcome = AttemptOutcome {
            class,
            failure,
            is_refusal: false,
            body: None,
            is_loop: false,
            client: 0,
            upstream_micros: 1000,
            request_micros: 1000,
        };
        let route = self.counters.route("shop", "default");
        (0..times).for_each(|_| route.record(Shard(0), side, true, outcome));
    }

    fn weight(&self) -> Weight {
        let snapshot = self.published.load();
        snapshot.table.services().next().map(|(_, _, split)| split.weight).unwrap()
    }
}

#[test]
fn a_dead_candidate_is_out_of_the_snapshot_within_three_ticks() {
    let mut bench = bench();
    let mut news = bench.sidecar.listen();
    bench.sidecar.tick(Millis(100));
    for tick in 2..=6 {
        bench.answer(Environment::Blue, 90, None);
        bench.answer(Environment::Green, 10, Some(AttemptFailure::Error));
        bench.sidecar.tick(Millis(tick * 100));
    }
    assert_eq!(bench.weight(), Weight::ZERO);
    assert_eq!(news.try_recv().unwrap().announcement.kind, ChangeKind::Caution, "doubt comes before the verdict");
    let rollback = news.try_recv().unwrap();
    assert!(rollback.announcement.text.contains("rolled back from 10 %"));
    let told = rollback.entry.unwrap();
    assert_eq!(told.change.id, rollback.announcement.entry);
    assert!(told.change.evidence.is_some() && told.change.before.is_some(), "the news have their entry");
    assert_eq!(bench.counters.rollbacks()[&("shop".to_owned(), "evidence of errors".to_owned())], 1);

    bench.sidecar.load(load(10.0), Millis(1000)).unwrap();
    assert_eq!(bench.weight(), Weight::ZERO, "saving the file again does not raise it");
    let path = bench.path.clone();
    let dir = bench._dir;
    drop(bench.sidecar);
    let entries = JournalReader::open(&path).unwrap().latest(None, 9).unwrap();
    let entry = entries.into_iter().find(|entry| entry.change.kind == ChangeKind::Rollback).unwrap();
    let evidence = entry.change.evidence.unwrap();
    assert_eq!(judgement::guard::judge(&evidence.policy, &evidence.sight), evidence.judgement, "read back, it replays");
    drop(dir);
}

#[test]
fn a_panic_freezes_the_weights_and_leaves_people_in_command() {
    let mut bench = bench();
    bench.sidecar.guarded(|_| panic!("on purpose"));
    assert_eq!(read(&bench.counters.process.sidecar_panics), 1);
    for tick in 2..=9 {
        bench.answer(Environment::Green, 10, Some(AttemptFailure::Error));
        bench.answer(Environment::Blue, 90, None);
        bench.sidecar.guarded(|sidecar| sidecar.tick(Millis(tick * 100)));
    }
    assert_eq!(bench.weight(), Weight::from_percent(10.0).unwrap(), "frozen");
    let (answer, answered) = sync_channel(1);
    let command = OperatorCommand {
        service: "shop".into(),
        by: Requester { who: "ann".into(), why: "it burns".into(), ..Requester::default() },
        act: judgement::rollout::OperatorAction::Rollback,
    };
    bench.sidecar.handle(SidecarInput::Command { command: Box::new(command), load: None, answer }, Millis(1000));
    assert!(answered.recv().unwrap().unwrap().written, "answered once it is on the disk");
    assert_eq!(bench.weight(), Weight::ZERO);
}

#[test]
fn addresses_come_and_go_without_touching_the_split() {
    let mut bench = bench();
    let snapshot = bench.published.load();
    let origin = snapshot.services[0].origins[1].clone();
    assert!(snapshot.endpoints(judgement::traffic::ServiceId(0), Environment::Green).is_empty());
    let generation = snapshot.generation;
    bench.sidecar.handle(SidecarInput::Resolved { origin, endpoints: Arc::from([]) }, Millis(1));
    assert_eq!((bench.published.load().generation, bench.weight()), (generation, Weight::from_percent(10.0).unwrap()));
}

/// A version whose first step wants a suite, past its preflight.
fn set_out(sidecar: Sidecar) -> Sidecar {
    let (preflights, _orders) = mpsc::channel(1);
    let mut sidecar = sidecar.with_preflights(preflights);
    let text = "[service.shop]\n[service.shop.blue]\nurl = \"http://127.0.0.1:1\"\n[service.shop.green]\nurl = \"http://127.0.0.1:2\"\n\
                [service.shop.rollout]\nsteps = [{ weight = 10, suites = [\"smoke\"] }, 100]\n";
    let load = ResolvedRouting { routing: routing_text("routing.toml", text).unwrap(), ..ResolvedRouting::default() };
    sidecar.handle(SidecarInput::Load(Box::new(load), sync_channel(1).0), Millis(1));
    let (answer, answered) = sync_channel(1);
    let command = |act| {
        Box::new(OperatorCommand {
            service: "shop".into(),
            by: Requester { who: "ann".into(), ..Requester::default() },
            act,
        })
    };
    let act = OperatorAction::Shift { weight: Weight::ZERO, gradual: false, force: false };
    sidecar.handle(SidecarInput::Command { command: command(act), load: None, answer: answer.clone() }, Millis(2));
    let act = OperatorAction::Deploy(DeployRequest { version: "2.0.1".into(), ..DeployRequest::default() });
    sidecar.handle(SidecarInput::Command { command: command(act), load: None, answer }, Millis(3));
    answered.recv().unwrap().unwrap();
    let rollout = sidecar.split("shop").unwrap().rollout;
    sidecar.handle(
        SidecarInput::Event(Event::Preflighted { service: "shop".into(), rollout, result: Ok("ready".into()) }),
        Millis(4),
    );
    sidecar
}

fn stands(sidecar: &Sidecar) -> (RolloutPhase, String) {
    let release = sidecar.state.durable("shop").unwrap().release.clone().unwrap();
    (release.phase, release.pause.map_or(String::new(), |pause| pause.why))
}

#[test]
fn suites_that_nobody_can_run_hold_the_rollout() {
    let held = "2.0.1: suite smoke did not run on green: too many runs are waiting, or Cutover is shutting down";
    let (full, _open) = mpsc::channel(1);
    let spare = SuiteRun {
        service: "other".into(),
        rollout: 1,
        step: 0,
        run: 1,
        environment: Environment::Green,
        suites: vec!["smoke".into()],
    };
    full.try_send(spare).unwrap();
    let (closed, _) = mpsc::channel(1);
    for validations in [None, Some(full), Some(closed)] {
        let Bench { sidecar, _dir, .. } = bench();
        let sidecar = match validations {
            Some(validations) => sidecar.with_validations(validations),
            None => sidecar,
        };
        let mut news = sidecar.listen();
        assert_eq!(stands(&set_out(sidecar)), (RolloutPhase::Paused, held.to_owned()));
        let told = std::iter::from_fn(|| news.try_recv().ok()).last().unwrap();
        assert_eq!((told.announcement.kind, told.announcement.level), (ChangeKind::Pause, AnnouncementLevel::Critical));
        assert_eq!(told.entry.unwrap().change.level(), AnnouncementLevel::Critical, "told again, it is as loud");
    }
}

#[test]
fn suites_are_ordered_and_their_answer_is_heard() {
    for (result, phase, kind) in [
        (Ok("12 cases".to_owned()), RolloutPhase::Shifting, ChangeKind::Validated),
        (
            Err(SuiteRunError::Failed("suite smoke failed on green: 500".into())),
            RolloutPhase::RolledBack,
            ChangeKind::Rollback,
        ),
    ] {
        let Bench { sidecar, counters, _dir, .. } = bench();
        let (validations, mut orders) = mpsc::channel(1);
        let mut sidecar = set_out(sidecar.with_validations(validations));
        let mut news = sidecar.listen();
        let order = orders.try_recv().unwrap();
        assert_eq!((order.suites.as_slice(), order.environment), (&["smoke".to_owned()][..], Environment::Green));
        sidecar.handle(SidecarInput::Event(Event::Validated { order, result }), Millis(5));
        assert_eq!((stands(&sidecar).0, news.try_recv().unwrap().announcement.kind), (phase, kind));
        let rollbacks = counters.rollbacks().get(&("shop".to_owned(), "suites".to_owned())).copied();
        assert_eq!(rollbacks, Some(u64::from(kind == ChangeKind::Rollback)));
    }
}

fn weight_command(weight: f64) -> OperatorCommand {
    let act = OperatorAction::Shift { weight: Weight::from_percent(weight).unwrap(), gradual: false, force: false };
    OperatorCommand { service: "shop".into(), by: Requester::default(), act }
}

#[test]
fn another_process_opens_the_state_of_a_suspended_sidecar_and_gives_it_back() {
    let Bench { sidecar, path, _dir, .. } = bench();
    let (handle, thread) = sidecar.start(Millis(20)).unwrap();
    handle.command(weight_command(20.0)).unwrap().unwrap();
    assert!(matches!(Journal::start(&path, Arc::new(Counters::new(1))), Err(crate::journal::Error::InUse)));
    let suspension = handle.suspend().unwrap().unwrap();
    let waits = std::thread::spawn({
        let handle = handle.clone();
        move || handle.command(weight_command(30.0)).unwrap().unwrap()
    });
    // The other process comes up, changes something, and breaks.
    let before = {
        let counters = Arc::new(Counters::new(1));
        let (journal, restored) = Journal::start(&path, counters.clone()).unwrap();
        let before = restored.last_entry;
        let (publisher, _published) = SnapshotPublisher::new();
        let mut other = Sidecar::new(restored, publisher, counters, journal);
        other.load(load(10.0), Millis(0)).unwrap();
        let (answer, answered) = sync_channel(1);
        let command = Box::new(weight_command(25.0));
        other.handle(SidecarInput::Command { command, load: None, answer }, Millis(0));
        assert_eq!(answered.recv().unwrap().unwrap().entry, Some(before + 1));
        before
    };
    assert!(!waits.is_finished(), "whoever asks waits");
    drop(suspension);
    assert!(waits.join().unwrap().written);
    let newest = JournalReader::open(&path).unwrap().newest().unwrap();
    assert_eq!(newest.id, before + 2, "no number is given twice");

    handle.suspend().unwrap().unwrap().hand_over();
    thread.join().unwrap();
    assert!(handle.status().is_err());
    assert!(Journal::start(&path, Arc::new(Counters::new(1))).is_ok());
}
