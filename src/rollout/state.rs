//! The state of all services, and `apply`: the only place where a weight changes.

use std::collections::BTreeMap;

use crate::guard::Policy;
use crate::guard::window::Totals;
use crate::rollout::caution::Turn;
use crate::rollout::entries::told;
use crate::rollout::ledger::{Account, Book, Ledger};
use crate::rollout::watch::{Found, Seen, Shown, Watch};
use crate::rollout::{
    Act, Announcement, Ask, Asked, Command, Durable, Effect, Event, Evidence, Kind, Latch, Level, Loaded, Refused,
};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::{Split, Weight};

/// All services: what is durable of them, and the eyes on those that are live.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(super) services: BTreeMap<String, Service>,
    /// Of services that no file names now: kept, so that a file that forgets one and remembers it loses nothing.
    resting: BTreeMap<String, Durable>,
    pub(super) generation: u64,
    pub(super) last_entry: u64,
    /// There was a state, and it could not be read: services that seem new may not be.
    lost: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) durable: Durable,
    routes: Vec<String>,
    pub(super) policy: Policy,
    watch: Option<Watch>,
    /// Of the rollout under way, or of the last one until its last request has ended.
    book: Option<Book>,
}

impl Service {
    /// The candidate gets judged requests.
    fn is_live(&self) -> bool {
        !self.durable.weight.is_zero() && !self.durable.stopped
    }

    /// The eyes close, and so will the book: what they saw is no part of the next try.
    fn end_watch(&mut self, now: Millis, verdict: bool) {
        self.watch = None;
        if let Some(book) = &mut self.book {
            book.close(now, verdict);
        }
    }
}

impl State {
    /// The state as the store has it, before any file is read.
    pub fn restored(services: BTreeMap<String, Durable>, generation: u64, last_entry: u64) -> State {
        State { resting: services, generation, last_entry, ..State::default() }
    }

    /// The state after the store was lost: whatever a file names begins at weight 0, latched.
    pub fn after_loss() -> State {
        State { lost: true, ..State::default() }
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The split of a service as the next snapshot shows it.
    pub fn split(&self, service: &str) -> Option<Split> {
        self.services.get(service).map(|Service { durable, watch, .. }| Split {
            weight: durable.weight,
            epoch: durable.epoch,
            stopped: durable.stopped,
            rollout: durable.rollout,
            cautious: watch.as_ref().is_some_and(Watch::is_cautious),
            ..Split::resting(durable.active)
        })
    }

    /// What the judge makes of a live service.
    pub fn shown(&self, service: &str) -> Option<&Shown> {
        self.services.get(service)?.watch.as_ref().map(Watch::shown)
    }

    /// What the rollout of a service has cost so far.
    pub fn ledger(&self, service: &str) -> Option<Ledger> {
        self.services.get(service)?.book.as_ref().map(Book::ledger)
    }

    /// What is durable of a service that a file names.
    pub fn durable(&self, service: &str) -> Option<&Durable> {
        self.services.get(service).map(|service| &service.durable)
    }

    /// The services whose totals the next tick wants: live ones, and those whose last requests are under way.
    pub fn live(&self) -> impl Iterator<Item = &str> {
        let wants = |service: &Service| service.is_live() || service.book.is_some();
        self.services.iter().filter(move |(_, service)| wants(service)).map(|(name, _)| name.as_str())
    }

    /// Applies one event. The effects come in the order in which they must be carried out: publish, journal, announce.
    ///
    /// # Errors
    /// [`Refused`]: the event does not fit the state, and nothing has changed.
    pub fn apply(&mut self, event: Event, now: Millis) -> Result<Vec<Effect>, Refused> {
        match event {
            Event::Loaded(services) => Ok(self.load(services, now)),
            Event::Counted { service, routes, on_grid } => Ok(self.count(&service, &routes, on_grid, now)),
            Event::Command(command) => self.command(command, now),
        }
    }

    fn load(&mut self, loaded: Vec<Loaded>, now: Millis) -> Vec<Effect> {
        let mut changes = Vec::new();
        let mut before: BTreeMap<String, Service> = std::mem::take(&mut self.services);
        for Loaded { service: name, routes, ask, policy } in loaded {
            let old = before.remove(&name);
            let known = old.as_ref().map(|old| old.durable.clone()).or_else(|| self.resting.remove(&name));
            let durable = known.clone().unwrap_or_else(|| self.first_seen(ask));
            // The eyes stay on a service whose routes and policy are the same: a reload is no fresh start for a bad candidate.
            let same = old.as_ref().is_some_and(|old| old.routes == routes && old.policy == policy);
            let (watch, book) = old.map_or((None, None), |old| (old.watch, old.book));
            let watch = watch.filter(|_| same);
            self.services.insert(name.clone(), Service { durable, routes, policy, watch, book });
            match known {
                None => changes.push((name, Kind::Added, "first seen in the routing file".to_owned(), None)),
                Some(known) => {
                    let asked = ask.after(known.asked);
                    if asked != known.asked {
                        let (kind, why) = self.follow_file(&name, asked, now);
                        changes.push((name, kind, why, Some(known)));
                    }
                }
            }
        }
        self.resting.extend(before.into_iter().map(|(name, service)| (name, service.durable)));

        // A file is one generation, whatever it changes.
        self.generation += 1;
        let mut effects = vec![Effect::Publish];
        for (name, kind, why, known) in changes {
            let Some(change) = self.change(&name, kind, "file", &why, known, None, now) else { continue };
            effects.extend(told(Level::Info, change));
        }
        effects
    }

    fn first_seen(&self, ask: Ask) -> Durable {
        let asked = ask.after(Asked { active: Environment::Blue, weight: Weight::ZERO });
        let Asked { active, weight } = asked;
        let rollout = u32::from(!weight.is_zero());
        let durable = Durable { active, weight, epoch: 0, latch: None, stopped: false, rollout, asked };
        if !self.lost {
            return durable;
        }
        // Its weight may have been taken back, and nobody knows any more: only a person raises it.
        let reason = "the state was lost".to_owned();
        Durable { weight: Weight::ZERO, latch: Some(Latch { reason, entry: 0 }), ..durable }
    }

    /// A changed line in the file is an operator's command, and it lifts the latch.
    fn follow_file(&mut self, name: &str, ask: Asked, now: Millis) -> (Kind, String) {
        let Some(service) = self.services.get_mut(name) else { return (Kind::Shift, String::new()) };
        let durable = &mut service.durable;
        // A weight of 0 is no wish to try again.
        let lifted = if ask.weight.is_zero() { None } else { durable.latch.take() };
        let lifted = lifted.map_or(String::new(), |latch| format!("; lifts the latch of rollback {}", latch.entry));
        let swap = durable.asked.active != ask.active && durable.active != ask.active;
        durable.asked = ask;
        durable.set_weight(ask.weight);
        if swap {
            durable.active = ask.active;
            durable.epoch += 1;
        }
        if swap || ask.weight.is_zero() {
            service.end_watch(now, false);
        }
        if swap {
            return (
                Kind::Swap,
                format!("active = \"{}\", weight = {} in the routing file{lifted}", ask.active, ask.weight),
            );
        }
        (Kind::Shift, format!("weight = {} in the routing file{lifted}", ask.weight))
    }

    fn count(&mut self, name: &str, totals: &[Option<[Totals; 2]>], on_grid: bool, now: Millis) -> Vec<Effect> {
        let Some(service) = self.services.get_mut(name) else { return Vec::new() };
        let mut effects = Vec::new();
        let side = service.durable.active.other();
        let candidate = Account::of(totals.iter().flatten().map(|pair| side.of(pair)));
        if let Some(book) = &mut service.book {
            book.look(now, candidate);
            // One that is closing gives way to the next rollout, as it stands.
            let is_over = book.is_closing() && service.durable.rollout != book.ledger().rollout;
            if let Some(ledger) = book.closed(now).or_else(|| is_over.then(|| book.ledger())) {
                service.book = None;
                // Where nobody came there is nothing to account for.
                if ledger.requests + ledger.failed + ledger.turned_away > 0 {
                    effects.extend(self.close_book(name, ledger, now));
                }
            }
        }
        let Some(service) = self.services.get_mut(name).filter(|service| service.is_live()) else { return effects };
        let Service { durable, routes, policy, watch, book } = service;
        let book = book.get_or_insert_with(|| Book::open(durable.rollout, now, candidate));
        let watch = watch.get_or_insert_with(|| Watch::new(routes.len(), policy));
        let seen = Seen { policy, routes, active: durable.active, weight: durable.weight };
        let Found { unhealthy, tape, news, caution } = watch.look(now, on_grid, &seen, totals);
        if matches!(caution, Some((Turn::Begins(_), ..))) {
            book.caution();
        }
        let rolls_back = unhealthy.is_some();
        if let Some((sight, judgement)) = unhealthy {
            effects.extend(self.guard_rollback(name, sight, judgement, tape, now));
        }
        // A rollback says it all.
        if let Some((turn, sight, judgement)) = caution.filter(|_| !rolls_back) {
            effects.extend(self.turn(name, turn, sight, judgement, now));
        }
        for (news, sight, judgement) in news {
            effects.extend(self.warn(name, news, sight, judgement, now));
        }
        effects
    }

    pub(super) fn roll_back(
        &mut self,
        name: &str,
        who: &str,
        why: &str,
        evidence: Option<Evidence>,
        now: Millis,
    ) -> Vec<Effect> {
        let entry = self.last_entry + 1;
        self.alter(name, Kind::Rollback, who, why, evidence, now, |durable| {
            durable.set_weight(Weight::ZERO);
            durable.epoch += 1;
            durable.latch = Some(Latch { reason: why.to_owned(), entry });
        })
    }

    fn command(&mut self, command: Command, now: Millis) -> Result<Vec<Effect>, Refused> {
        let Command { service: name, who, why, act } = command;
        let service = self.services.get(&name).ok_or_else(|| Refused::NoSuchService(name.clone()))?;
        let durable = &service.durable;
        match act {
            Act::Shift(_) if durable.stopped => Err(Refused::Stopped { service: name }),
            Act::Shift(weight) => Ok(self.alter(&name, Kind::Shift, &who, &why, None, now, |durable| {
                durable.set_weight(weight);
                durable.latch = None;
            })),
            Act::Rollback if durable.weight.is_zero() => Err(Refused::NothingToRollBack { service: name }),
            Act::Rollback => Ok(self.roll_back(&name, &who, &why, None, now)),
            Act::Stop => Ok(self.alter(&name, Kind::Stop, &who, &why, None, now, |durable| durable.stopped = true)),
            Act::Clear if !durable.stopped => Err(Refused::NotStopped { service: name }),
            // What was under way when the emergency came is over: the next raise is a person's.
            Act::Clear => Ok(self.alter(&name, Kind::Clear, &who, &why, None, now, |durable| {
                durable.stopped = false;
                durable.weight = Weight::ZERO;
                durable.epoch += 1;
            })),
        }
    }

    /// Changes what is durable of a service, as one generation with its entry and its news.
    #[expect(clippy::too_many_arguments, reason = "an entry of the journal has as many parts")]
    pub(super) fn alter(
        &mut self,
        name: &str,
        kind: Kind,
        who: &str,
        why: &str,
        evidence: Option<Evidence>,
        now: Millis,
        change: impl FnOnce(&mut Durable),
    ) -> Vec<Effect> {
        let Some(service) = self.services.get_mut(name) else { return Vec::new() };
        let before = service.durable.clone();
        change(&mut service.durable);
        if before.epoch != service.durable.epoch || !service.is_live() {
            service.end_watch(now, kind == Kind::Rollback && evidence.is_some());
        }
        let after = service.durable.weight;
        self.generation += 1;
        let level = if kind == Kind::Rollback || kind == Kind::Stop { Level::Critical } else { Level::Info };
        let text = match kind {
            Kind::Rollback => format!("rolled back from {}: {why}", before.weight),
            Kind::Shift => format!("weight {} -> {after}: {why}", before.weight),
            _ => why.to_owned(),
        };
        let Some(mut change) = self.change(name, kind, who, why, Some(before), evidence, now) else {
            return Vec::new();
        };
        if kind == Kind::Rollback {
            change.ledger = self.ledger(name);
        }
        let news = Announcement { level, service: name.to_owned(), kind, text, entry: change.id };
        vec![Effect::Publish, Effect::Journal(Box::new(change)), Effect::Announce(news)]
    }
}
