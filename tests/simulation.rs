//! The state over virtual time: months of rollouts in a second, from seeds. A failing seed is printed.

use cutover::guard::window::{Counts, Totals};
use cutover::guard::{Policy, judge};
use cutover::rollout::{Act, Ask, Command, Effect, Event, Kind, Loaded, State};
use cutover::time::Millis;
use cutover::traffic::Environment;
use cutover::traffic::split::{Weight, mix};

/// Numbers from a seed, always the same ones.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn chance(&mut self, p: f64) -> bool {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64 <= p && p > 0.0
    }

    fn hits(&mut self, n: u64, p: f64) -> u64 {
        (0..n).filter(|_| self.chance(p)).count() as u64
    }
}

const TICK: u64 = 100;

/// One service under load, with the failure rates of its sides.
struct World {
    state: State,
    dice: Dice,
    totals: [Totals; 2],
    now: u64,
    rate: u64,
}

impl World {
    fn new(seed: u64, rate: u64, percent: f64) -> World {
        let mut world = World { state: State::default(), dice: Dice(seed), totals: Default::default(), now: 0, rate };
        world.file(percent);
        world
    }

    fn file(&mut self, percent: f64) -> Vec<Effect> {
        let ask = Ask { active: Some(Environment::Blue), weight: Some(Weight::from_percent(percent).unwrap()) };
        let routes = vec!["default".to_owned()];
        let loaded = Loaded { service: "shop".into(), routes, ask, policy: Policy::standard() };
        self.state.apply(Event::Loaded(vec![loaded]), Millis(self.now)).unwrap()
    }

    fn weight(&self) -> Weight {
        self.state.split("shop").unwrap().weight
    }

    /// One tick of traffic at these failure rates, and what the state makes of it.
    fn tick(&mut self, rates: [f64; 2]) -> Vec<Effect> {
        self.now += TICK;
        let requests = self.rate * TICK / 1000;
        let candidate = self.dice.hits(requests, self.weight().ratio());
        for (side, n) in [(0, requests - candidate), (1, candidate)] {
            let counts: &mut Counts = &mut self.totals[side].counts;
            counts.answers += n;
            counts.failed += self.dice.hits(n, rates[side]);
        }
        let event = Event::Counted { service: "shop".into(), routes: vec![Some(self.totals.clone())], on_grid: true };
        self.state.apply(event, Millis(self.now)).unwrap()
    }

    /// Runs until a rollback, at most so long; gives when it came.
    fn run(&mut self, length: Millis, rates: impl Fn(u64) -> [f64; 2]) -> Option<Millis> {
        let began = self.now;
        while self.now < began + length.0 {
            let effects = self.tick(rates(self.now - began));
            if kinds(&effects).contains(&Kind::Rollback) {
                return Some(Millis(self.now - began));
            }
        }
        None
    }
}

fn kinds(effects: &[Effect]) -> Vec<Kind> {
    effects.iter().filter_map(|e| if let Effect::Journal(change) = e { Some(change.kind) } else { None }).collect()
}

#[test]
fn a_dead_candidate_is_gone_within_half_a_second_at_any_seed() {
    for seed in 0..200 {
        let mut world = World::new(seed << 32, 1000, 10.0);
        world.run(Millis::seconds(20), |_| [0.001, 0.001]);
        let took = world.run(Millis::seconds(20), |_| [0.001, 1.0]).unwrap_or_else(|| panic!("seed {seed}: never"));
        assert!(took <= Millis(500), "seed {seed}: {took}");
    }
}

#[test]
fn a_dead_candidate_is_gone_at_low_rates_too_once_ten_have_failed() {
    for seed in 0..50 {
        let mut world = World::new(seed << 32, 50, 10.0);
        let took = world.run(Millis::seconds(120), |_| [0.0, 1.0]);
        assert!(took.is_some_and(|took| took <= Millis::seconds(10)), "seed {seed}: {took:?}");
    }
}

#[test]
fn healthy_candidates_are_left_alone_for_hours() {
    for seed in 0..20 {
        let mut world = World::new(seed << 32, 500, 10.0);
        let rollback = world.run(Millis::seconds(3600), |_| [0.01, 0.01]);
        assert_eq!(rollback, None, "seed {seed}: a healthy candidate at 1 % of errors");
    }
}

#[test]
fn a_shared_outage_rolls_nothing_back() {
    for seed in 0..20 {
        let mut world = World::new(seed << 32, 1000, 25.0);
        let outage = |at: u64| if (60_000..300_000).contains(&at) { [0.9, 0.9] } else { [0.001, 0.001] };
        assert_eq!(world.run(Millis::seconds(400), outage), None, "seed {seed}");
    }
}

#[test]
fn six_percent_of_errors_are_found_after_two_minutes_and_not_before() {
    for seed in 0..20 {
        let mut world = World::new(seed << 32, 2000, 25.0);
        let took = world.run(Millis::seconds(600), |_| [0.001, 0.08]);
        let took = took.unwrap_or_else(|| panic!("seed {seed}: never"));
        assert!((Millis::seconds(120)..Millis::seconds(180)).contains(&took), "seed {seed}: {took}");
    }
}

/// Whatever people, files and faults do, in any order: the invariants of the state.
#[test]
fn no_order_of_events_breaks_the_invariants() {
    for seed in 0..300_u64 {
        let mut world = World::new(seed << 32, 1000, 10.0);
        let (mut rates, mut entries, mut generation) = ([0.001, 0.001], 0, 0);
        let mut file = 10.0;
        for step in 0..400 {
            let before = world.state.split("shop").unwrap();
            let what = world.dice.below(20);
            let percent = world.dice.below(101) as f64;
            let act =
                |act| Event::Command(Command { service: "shop".into(), who: "ann".into(), why: "dice".into(), act });
            let (effects, by_person) = match what {
                0 => {
                    let changed = file != percent;
                    file = percent;
                    (world.file(percent), changed)
                }
                1 => (world.file(file), false),
                2 => (
                    world
                        .state
                        .apply(act(Act::Shift(Weight::from_percent(percent).unwrap())), Millis(world.now))
                        .unwrap_or_default(),
                    true,
                ),
                3 => (world.state.apply(act(Act::Rollback), Millis(world.now)).unwrap_or_default(), true),
                4 => (world.state.apply(act(Act::Stop), Millis(world.now)).unwrap_or_default(), true),
                5 => (world.state.apply(act(Act::Clear), Millis(world.now)).unwrap_or_default(), true),
                6 => {
                    rates[1] = [0.001, 0.05, 0.5, 1.0][world.dice.below(4) as usize];
                    (vec![], false)
                }
                _ => (world.tick(rates), false),
            };
            let after = world.state.split("shop").unwrap();
            let at = format!("seed {seed}, step {step}: {before:?} -> {after:?}");
            assert!(after.weight <= before.weight || by_person, "{at}: raised by nobody");
            assert!(after.epoch >= before.epoch, "{at}: an epoch went back");
            if after.weight != before.weight || after.stopped != before.stopped || after.active != before.active {
                assert!(!kinds(&effects).is_empty(), "{at}: changed without an entry");
                assert!(matches!(effects.first(), Some(Effect::Publish)), "{at}: not published first");
            }
            for effect in &effects {
                if let Effect::Journal(change) = effect {
                    entries += 1;
                    assert_eq!(change.id, entries + 1, "{at}: numbers without gaps");
                    assert!(change.generation >= generation, "{at}: a generation went back");
                    generation = change.generation;
                    if let Some(evidence) = &change.evidence {
                        assert_eq!(
                            judge(&evidence.policy, &evidence.sight),
                            evidence.judgement,
                            "{at}: does not replay"
                        );
                    }
                    if change.kind == Kind::Rollback {
                        assert!(change.after.weight.is_zero() && change.after.epoch > before.epoch, "{at}");
                    }
                }
            }
        }
    }
}
