//! Whatever people, files and faults do, in any order: the invariants of the state.

use judgement::guard::{GuardPolicy, judge};
use judgement::rollout::{
    ChangeKind, Effect, Event, LoadedService, OperatorAction, OperatorCommand, Requester, SplitRequest,
};
use judgement::traffic::Environment;
use judgement::traffic::split::{TrafficSplit, Weight};

use super::engine;
use ::simulation::dice::Dice;
use ::simulation::engine::Engine;
use ::simulation::worlds::{SideConditions, TICK, TickConditions, World};

/// Somebody does something to the only service of a run; whether a person may raise the weight by it.
struct Somebody {
    dice: Dice,
    /// What the file says.
    file: f64,
    /// What the candidate fails at.
    fails: f64,
    /// The file as it is has been refused.
    refused: bool,
}

fn split(engine: &Engine<'_>) -> TrafficSplit {
    engine.judges[0].state.split("shop").unwrap()
}

impl Somebody {
    fn does(&mut self, engine: &mut Engine<'_>) -> (Vec<Effect>, bool) {
        let percent = Weight::from_percent(self.dice.below(101) as f64).unwrap();
        let act = match self.dice.below(20) {
            0 => {
                let changed = self.file != percent.ratio();
                self.file = percent.ratio();
                return self.loads_what(engine, changed);
            }
            // One that was refused while it was stopped may be taken now.
            1 => return self.loads_what(engine, false),
            2 => OperatorAction::Shift { weight: percent, gradual: false, force: false },
            3 => OperatorAction::Rollback,
            4 => OperatorAction::Stop,
            5 => OperatorAction::Clear,
            6 => {
                self.fails = [0.001, 0.05, 0.5, 1.0][self.dice.below(4) as usize];
                return (Vec::new(), false);
            }
            _ => {
                let split = split(engine);
                engine.share = if split.stopped { 0.0 } else { split.weight.ratio() };
                let sides = [0.001, self.fails].map(|fails| SideConditions { fails, ..SideConditions::CLEAR });
                return (
                    engine.tick_under(
                        TICK,
                        &TickConditions { sides, broken: None, cluster: 1.0, client: None, crawler: None },
                    ),
                    false,
                );
            }
        };
        let command = OperatorCommand {
            service: "shop".into(),
            by: Requester { who: "ann".into(), why: "dice".into(), ..Requester::default() },
            act,
        };
        (engine.judges[0].apply(Event::Command(command), engine.now), true)
    }

    /// Loads the file, and whether that is what somebody has written since it was last taken.
    fn loads_what(&mut self, engine: &mut Engine<'_>, changed: bool) -> (Vec<Effect>, bool) {
        let effects = self.loads(engine);
        let is_news = changed || self.refused;
        self.refused = effects.is_empty();
        (effects, is_news)
    }

    fn loads(&self, engine: &mut Engine<'_>) -> Vec<Effect> {
        let weight = Some(Weight::from_percent((self.file * 100.0).round()).unwrap());
        let ask = SplitRequest { active: Some(Environment::Blue), weight };
        let routes = vec!["route 0".to_owned()];
        let loaded = LoadedService {
            routes,
            ask,
            premises: judgement::rollout::FilePremises {
                versions: [Some("1".into()), Some("2".into())],
                skew: Some(judgement::time::Millis::seconds(3600)),
                ..Default::default()
            },
            ..LoadedService::standard("shop")
        };
        engine.judges[0].apply(Event::Loaded(vec![loaded]), engine.now)
    }
}

#[test]
fn no_order_of_events_breaks_the_invariants() {
    let world = World::reference("anything");
    let mut rollbacks = 0;
    for seed in 0..300_u64 {
        let mut engine = engine(&world, seed, 0, GuardPolicy::standard(), TICK);
        let mut somebody = Somebody { dice: Dice::of(seed, 1, 1), file: 0.1, fails: 0.001, refused: false };
        let (mut entries, mut generation) = (1, 0);
        for step in 0..400 {
            let before = split(&engine);
            // This run never ends: what is rolled back may be tried again.
            engine.judges[0].end = None;
            let (effects, by_person) = somebody.does(&mut engine);
            let after = split(&engine);
            let at = format!("seed {seed}, step {step}: {before:?} -> {after:?}");
            assert!(after.weight <= before.weight || by_person, "{at}: raised by nobody");
            assert!(after.epoch >= before.epoch, "{at}: an epoch went back");
            let changes =
                effects.iter().filter_map(|e| if let Effect::Journal(change) = e { Some(change) } else { None });
            if after.weight != before.weight || after.stopped != before.stopped || after.active != before.active {
                assert!(changes.clone().count() > 0, "{at}: changed without an entry");
            }
            if !effects.is_empty() {
                let first = effects.iter().find(|effect| !matches!(effect, Effect::Announce(_)));
                let moved = after != before;
                assert!(
                    !moved || matches!(first, Some(Effect::Publish)) || is_book(&effects),
                    "{at}: not published first"
                );
            }
            for change in changes {
                entries += 1;
                assert_eq!(change.id, entries, "{at}: numbers without gaps");
                assert!(change.generation >= generation, "{at}: a generation went back");
                generation = change.generation;
                if let Some(evidence) = &change.evidence {
                    assert_eq!(judge(&evidence.policy, &evidence.sight), evidence.judgement, "{at}: does not replay");
                }
                if change.kind == ChangeKind::Rollback {
                    rollbacks += u32::from(change.who == "guard");
                    let after = change.after.as_ref().unwrap();
                    assert!(after.weight.is_zero() && after.epoch > before.epoch, "{at}");
                    let shown = split(&engine);
                    let pages = shown.active.other().of(&shown.pages);
                    assert!(pages.is_none() || !shown.weight.is_zero(), "{at}: a page of it reaches the candidate");
                }
            }
        }
    }
    assert!(rollbacks > 100, "the guard had its say: {rollbacks}");
}

/// A book that closes is written down before what happens next.
fn is_book(effects: &[Effect]) -> bool {
    matches!(effects.first(), Some(Effect::Journal(change)) if change.kind == ChangeKind::Ledger)
}
