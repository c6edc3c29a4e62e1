//! The state of all services, and `apply`: the only place where a weight changes.

use std::collections::BTreeMap;

use crate::guard::trigger::Action;
use crate::guard::window::Totals;
use crate::guard::{Judgement, Policy, Sight, Verdict, sentence};
use crate::rollout::watch::{Found, News, Seen, Watch};
use crate::rollout::{
    Act, Announcement, Ask, Asked, Change, Command, Durable, Effect, Event, Evidence, Kind, Latch, Level, Loaded,
    Refused,
};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::{Split, Weight};

/// All services: what is durable of them, and the eyes on those that are live.
#[derive(Clone, Debug, Default)]
pub struct State {
    services: BTreeMap<String, Service>,
    /// Of services that no file names now: kept, so that a file that forgets one and remembers it loses nothing.
    resting: BTreeMap<String, Durable>,
    generation: u64,
    last_entry: u64,
    /// There was a state, and it could not be read: services that seem new may not be.
    lost: bool,
}

#[derive(Clone, Debug)]
struct Service {
    durable: Durable,
    routes: Vec<String>,
    policy: Policy,
    watch: Option<Watch>,
}

impl Service {
    /// The candidate gets judged requests.
    fn is_live(&self) -> bool {
        !self.durable.weight.is_zero() && !self.durable.stopped
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
        self.services.get(service).map(|Service { durable, .. }| Split {
            weight: durable.weight,
            epoch: durable.epoch,
            stopped: durable.stopped,
            ..Split::resting(durable.active)
        })
    }

    /// What is durable of a service that a file names.
    pub fn durable(&self, service: &str) -> Option<&Durable> {
        self.services.get(service).map(|service| &service.durable)
    }

    /// The services whose totals the next tick wants.
    pub fn live(&self) -> impl Iterator<Item = &str> {
        self.services.iter().filter(|(_, service)| service.is_live()).map(|(name, _)| name.as_str())
    }

    /// Applies one event. The effects come in the order in which they must be carried out: publish, journal, announce.
    ///
    /// # Errors
    /// [`Refused`]: the event does not fit the state, and nothing has changed.
    pub fn apply(&mut self, event: Event, now: Millis) -> Result<Vec<Effect>, Refused> {
        match event {
            Event::Loaded(services) => Ok(self.load(services, now)),
            Event::Counted { service, routes, .. } => Ok(self.count(&service, &routes, now)),
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
            let watch = old.filter(|old| old.routes == routes && old.policy == policy).and_then(|old| old.watch);
            self.services.insert(name.clone(), Service { durable, routes, policy, watch });
            match known {
                None => changes.push((name, Kind::Added, "first seen in the routing file".to_owned(), None)),
                Some(known) => {
                    let asked = ask.after(known.asked);
                    if asked != known.asked {
                        let (kind, why) = self.follow_file(&name, asked);
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
            let news = Announcement { level: Level::Info, service: name, kind, text: why, entry: change.id };
            effects.extend([Effect::Journal(Box::new(change)), Effect::Announce(news)]);
        }
        effects
    }

    fn first_seen(&self, ask: Ask) -> Durable {
        let asked = ask.after(Asked { active: Environment::Blue, weight: Weight::ZERO });
        let Asked { active, weight } = asked;
        let durable = Durable { active, weight, epoch: 0, latch: None, stopped: false, asked };
        if !self.lost {
            return durable;
        }
        // Its weight may have been taken back, and nobody knows any more: only a person raises it.
        let reason = "the state was lost".to_owned();
        Durable { weight: Weight::ZERO, latch: Some(Latch { reason, entry: 0 }), ..durable }
    }

    /// A changed line in the file is an operator's command, and it lifts the latch.
    fn follow_file(&mut self, name: &str, ask: Asked) -> (Kind, String) {
        let Some(service) = self.services.get_mut(name) else { return (Kind::Shift, String::new()) };
        let durable = &mut service.durable;
        // A weight of 0 is no wish to try again.
        let lifted = if ask.weight.is_zero() { None } else { durable.latch.take() };
        let lifted = lifted.map_or(String::new(), |latch| format!("; lifts the latch of rollback {}", latch.entry));
        let swap = durable.asked.active != ask.active && durable.active != ask.active;
        durable.asked = ask;
        durable.weight = ask.weight;
        if ask.weight.is_zero() {
            // The eyes close: what they saw is no part of the next try.
            service.watch = None;
        }
        if swap {
            durable.active = ask.active;
            durable.epoch += 1;
            service.watch = None;
            return (
                Kind::Swap,
                format!("active = \"{}\", weight = {} in the routing file{lifted}", ask.active, ask.weight),
            );
        }
        (Kind::Shift, format!("weight = {} in the routing file{lifted}", ask.weight))
    }

    fn count(&mut self, name: &str, totals: &[Option<[Totals; 2]>], now: Millis) -> Vec<Effect> {
        let Some(service) = self.services.get_mut(name).filter(|service| service.is_live()) else { return Vec::new() };
        let Service { durable, routes, policy, watch } = service;
        let watch = watch.get_or_insert_with(|| Watch::new(routes.len(), policy));
        let seen = Seen { policy, routes, active: durable.active, weight: durable.weight };
        let Found { unhealthy, news } = watch.look(now, &seen, totals);
        let mut effects = Vec::new();
        if let Some((sight, judgement)) = unhealthy {
            effects.extend(self.guard_rollback(name, sight, judgement, now));
        }
        for (news, sight, judgement) in news {
            effects.extend(self.warn(name, news, sight, judgement, now));
        }
        effects
    }

    fn guard_rollback(&mut self, name: &str, sight: Sight, judgement: Judgement, now: Millis) -> Vec<Effect> {
        let (Some(service), Verdict::Unhealthy(reason)) = (self.services.get(name), &judgement.verdict) else {
            return Vec::new();
        };
        let (active, candidate) = (service.durable.active, service.durable.active.other());
        let why = sentence(&service.policy, &sight, reason, active.name(), candidate.name());
        let evidence = Evidence { policy: service.policy.clone(), sight, judgement };
        self.roll_back(name, "guard", &why, Some(evidence), now)
    }

    fn roll_back(&mut self, name: &str, who: &str, why: &str, evidence: Option<Evidence>, now: Millis) -> Vec<Effect> {
        let entry = self.last_entry + 1;
        self.alter(name, Kind::Rollback, who, why, evidence, now, |durable| {
            durable.weight = Weight::ZERO;
            durable.epoch += 1;
            durable.latch = Some(Latch { reason: why.to_owned(), entry });
        })
    }

    fn warn(&mut self, name: &str, news: News, sight: Sight, judgement: Judgement, now: Millis) -> Vec<Effect> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
        let place = sight.route.as_ref().map_or(String::new(), |route| format!(" on route {route}"));
        let trigger = match news {
            News::Fired(place) => service.policy.triggers.get(place),
            News::SharedFate => None,
        };
        let (kind, level, why) = match trigger {
            None => (Kind::SharedFate, Level::Critical, format!("both sides fail{place}: holding, no rollback")),
            Some(trigger) => {
                let value =
                    judgement.fired.iter().find(|(at, _)| News::Fired(*at) == news).map_or(0.0, |(_, value)| *value);
                let (kind, level) = match trigger.action {
                    Action::Warn => (Kind::Warning, Level::Warning),
                    Action::Pause | Action::Rollback => (Kind::Pause, Level::Critical),
                };
                let (metric, candidate) = (trigger.metric, service.durable.active.other());
                let why = format!("{}{place}: {candidate} {} is {}", trigger.name, metric.name(), metric.show(value));
                (kind, level, why)
            }
        };
        let before = service.durable.clone();
        let evidence = Evidence { policy: service.policy.clone(), sight, judgement };
        let Some(change) = self.change(name, kind, "guard", &why, Some(before), Some(evidence), now) else {
            return Vec::new();
        };
        let news = Announcement { level, service: name.to_owned(), kind, text: why, entry: change.id };
        vec![Effect::Journal(Box::new(change)), Effect::Announce(news)]
    }

    fn command(&mut self, command: Command, now: Millis) -> Result<Vec<Effect>, Refused> {
        let Command { service: name, who, why, act } = command;
        let service = self.services.get(&name).ok_or_else(|| Refused::NoSuchService(name.clone()))?;
        let durable = &service.durable;
        match act {
            Act::Shift(_) if durable.stopped => Err(Refused::Stopped { service: name }),
            Act::Shift(weight) => Ok(self.alter(&name, Kind::Shift, &who, &why, None, now, |durable| {
                durable.weight = weight;
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
    fn alter(
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
            service.watch = None;
        }
        let after = service.durable.weight;
        self.generation += 1;
        let level = if kind == Kind::Rollback || kind == Kind::Stop { Level::Critical } else { Level::Info };
        let text = match kind {
            Kind::Rollback => format!("rolled back from {}: {why}", before.weight),
            Kind::Shift => format!("weight {} -> {after}: {why}", before.weight),
            _ => why.to_owned(),
        };
        let Some(change) = self.change(name, kind, who, why, Some(before), evidence, now) else { return Vec::new() };
        let news = Announcement { level, service: name.to_owned(), kind, text, entry: change.id };
        vec![Effect::Publish, Effect::Journal(Box::new(change)), Effect::Announce(news)]
    }

    #[expect(clippy::too_many_arguments, reason = "an entry of the journal has as many parts")]
    fn change(
        &mut self,
        name: &str,
        kind: Kind,
        who: &str,
        why: &str,
        before: Option<Durable>,
        evidence: Option<Evidence>,
        now: Millis,
    ) -> Option<Change> {
        let after = self.services.get(name)?.durable.clone();
        self.last_entry += 1;
        Some(Change {
            id: self.last_entry,
            generation: self.generation,
            uptime: now,
            service: name.to_owned(),
            kind,
            who: who.to_owned(),
            why: why.to_owned(),
            before,
            after,
            evidence,
        })
    }
}
