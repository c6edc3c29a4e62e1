//! The state of all services, and `apply`: the only place where a weight changes.

use std::collections::BTreeMap;

use crate::guard::EvidenceBudget;
use crate::guard::GuardPolicy;
use crate::guard::window::JudgedTotals;
use crate::rollout::caution::CautionChange;
use crate::rollout::journal_entries::{Actor, ChangeNote, told};
use crate::rollout::judged_scope::{Findings, WatchedService};
use crate::rollout::ledger::{CandidateAccount, OpenLedger, RolloutLedger};
use crate::rollout::service_state::ServiceState;
use crate::rollout::service_watch::{GuardReading, ServiceWatch};
use crate::rollout::{
    Announcement, AnnouncementLevel, ChangeKind, DurableState, Effect, Event, LoadedService, RequestedSplit,
    RollbackLatch, RolloutError, RuntimeOverrides, SplitRequest,
};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::{TrafficSplit, Weight};

/// All services: the durable state of each, and the watch over those that are live.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(super) services: BTreeMap<String, ServiceState>,
    /// Services that no file names at the moment. They are kept, so that a file that drops one and restores it loses
    /// nothing.
    resting: BTreeMap<String, DurableState>,
    pub(super) generation: u64,
    pub(super) last_entry: u64,
    /// There was a state that could not be read, so services that seem new may not be.
    lost: bool,
    /// The time of day at zero of the monotonic clock, in milliseconds since 1970.
    began: u64,
}

impl State {
    /// The state as stored, before any file is read.
    /// `began`: the time of day at zero of the monotonic clock, in milliseconds since 1970.
    pub fn restored(services: BTreeMap<String, DurableState>, generation: u64, last_entry: u64, began: u64) -> State {
        State { resting: services, generation, last_entry, began, ..State::default() }
    }

    /// The state after the store was lost: every service in a file begins at weight 0, latched.
    pub fn after_loss(began: u64) -> State {
        State { lost: true, began, ..State::default() }
    }

    /// The time of day in milliseconds since 1970, on a clock that nobody sets.
    pub fn wall(&self, now: Millis) -> u64 {
        self.began + now.0
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What is laid over the services, including those that no file names now.
    pub fn overs(&self) -> BTreeMap<String, RuntimeOverrides> {
        let served = self.services.iter().map(|(name, service)| (name, &service.durable));
        let all = served.chain(&self.resting).map(|(name, durable)| (name.clone(), durable.over()));
        all.filter(|(_, over)| *over != RuntimeOverrides::default()).collect()
    }

    pub fn last_entry(&self) -> u64 {
        self.last_entry
    }

    /// The split of a service as the next snapshot shows it.
    pub fn split(&self, service: &str) -> Option<TrafficSplit> {
        self.services.get(service).map(|ServiceState { durable, watch, routes, up, .. }| {
            let release = durable.release.as_ref().filter(|release| release.phase.is_under_way());
            let watching = durable.is_watching();
            let place = |function: &String| routes.iter().position(|route| route == function);
            let only = |functions: &[String]| functions.iter().filter_map(place).map(|place| place as u32).collect();
            TrafficSplit {
                weight: durable.weight,
                epoch: durable.epoch,
                live: release.is_some_and(|release| release.is_live()),
                stopped: durable.stopped,
                only: release.filter(|release| !release.functions.is_empty()).map(|release| only(&release.functions)),
                mirrored: watching,
                up: *up,
                rollout: durable.rollout,
                cautious: !watching && watch.as_ref().is_some_and(ServiceWatch::is_cautious),
                ..TrafficSplit::resting(durable.active)
            }
        })
    }

    /// What the judge makes of a live service.
    pub fn shown(&self, service: &str) -> Option<&GuardReading> {
        self.services.get(service)?.watch.as_ref().map(ServiceWatch::shown)
    }

    /// What the rollout of a service has cost so far.
    pub fn ledger(&self, service: &str) -> Option<RolloutLedger> {
        self.services.get(service)?.book.as_ref().map(OpenLedger::ledger)
    }

    /// The durable state of a service that a file names.
    pub fn durable(&self, service: &str) -> Option<&DurableState> {
        self.services.get(service).map(|service| &service.durable)
    }

    /// The services whose totals the next tick needs: live ones, and those with last requests in flight.
    pub fn live(&self) -> impl Iterator<Item = &str> {
        let wants = |service: &ServiceState| service.is_live() || service.book.is_some();
        self.services.iter().filter(move |(_, service)| wants(service)).map(|(name, _)| name.as_str())
    }

    /// Applies one event. The effects come in the order in which they must be carried out: publish, journal, announce.
    ///
    /// # Errors
    /// [`RolloutError`]: the event does not fit the state, and nothing has changed.
    pub fn apply(&mut self, event: Event, now: Millis) -> Result<Vec<Effect>, RolloutError> {
        match event {
            Event::Loaded(services) => {
                self.may_load(&services)?;
                Ok(self.load(services, now))
            }
            Event::Counted { service, routes, on_grid } => Ok(self.count(&service, &routes, on_grid, now)),
            Event::Command(command) => self.command(command, now),
            Event::Remarked(remark) => Ok(self.remarked(remark, now)),
            Event::Preflighted { service, rollout, result } => Ok(self.preflighted(&service, rollout, result, now)),
            Event::Validated { order, result } => Ok(self.validated(&order, result, now)),
            Event::Health { service, environment, up, why, rollback } => {
                Ok(self.checked(&service, environment, up, &why, rollback, now))
            }
        }
    }

    /// Whether a file may be loaded. While a rollout runs, a file that changes the weight may not, except to abort it.
    ///
    /// # Errors
    /// The first service whose weight the file may not change.
    pub fn may_load(&self, loaded: &[LoadedService]) -> Result<(), RolloutError> {
        for LoadedService { service, ask, .. } in loaded {
            let Some(durable) = self.services.get(service).map(|service| &service.durable) else { continue };
            let asked = ask.after(durable.asked);
            let release = durable.release.as_ref().filter(|release| release.phase.is_under_way());
            if let Some(release) = release.filter(|_| asked != durable.asked && !asked.weight.is_zero()) {
                let (title, phase) = (release.title().to_owned(), release.phase.name());
                return Err(RolloutError::FileDuringRollout {
                    service: service.clone(),
                    asked: asked.weight,
                    title,
                    phase,
                });
            }
        }
        Ok(())
    }

    fn load(&mut self, loaded: Vec<LoadedService>, now: Millis) -> Vec<Effect> {
        let mut changes = Vec::new();
        let mut before: BTreeMap<String, ServiceState> = std::mem::take(&mut self.services);
        let (mut preflights, mut waiting) = (Vec::new(), Vec::new());
        for LoadedService { service: name, routes, ask, policy, plan, urls } in loaded {
            let old = before.remove(&name);
            let known = old.as_ref().map(|old| old.durable.clone()).or_else(|| self.resting.remove(&name));
            let mut durable = known.clone().unwrap_or_else(|| self.first_seen(ask));
            // The file's URL is what a person said last.
            for (origin, url) in durable.origins.iter_mut().zip(&urls) {
                *origin = origin.take().filter(|origin| origin.instead_of == *url);
            }
            // The watch continues if routes and policy are unchanged: a reload is not a fresh start for a bad
            // candidate.
            let same = old.as_ref().is_some_and(|old| old.routes == routes && old.policy == policy);
            if old.is_none() && known.is_some() {
                // As after a restart: nobody is trying it any more.
                preflights.push(name.clone());
            }
            let service = match old {
                Some(old) => {
                    let watch = old.watch.filter(|_| same);
                    ServiceState { durable, routes, policy, plan, watch, ..old }
                }
                None => ServiceState::unseen(durable, routes, policy, plan),
            };
            self.services.insert(name.clone(), service);
            match known {
                None => changes.push((name, ChangeKind::Added, "first seen in the routing file".to_owned(), None)),
                Some(known) => {
                    let asked = ask.after(known.asked);
                    // After a restart nobody could refuse the file, so what it asks for waits for the end of the
                    // rollout.
                    let waits = known.is_under_way() && !asked.weight.is_zero();
                    if asked != known.asked && waits {
                        let text =
                            format!("weight = {} in the routing file takes effect when the rollout ends", asked.weight);
                        let (level, kind) = (AnnouncementLevel::Warning, ChangeKind::Shift);
                        waiting.push(Effect::Announce(Announcement { level, service: name, kind, text, entry: 0 }));
                    } else if asked != known.asked {
                        let (kind, why) = self.follow_file(&name, asked, now);
                        changes.push((name, kind, why, Some(known)));
                    }
                }
            }
        }
        self.resting.extend(before.into_iter().map(|(name, service)| (name, service.durable)));

        // A file is one generation, however much it changes.
        self.generation += 1;
        let mut effects = vec![Effect::Publish];
        for (name, kind, why, known) in changes {
            let note = ChangeNote::of(kind, Actor::the("file"), why);
            let Some(change) = self.change(&name, note, known, now) else { continue };
            effects.extend(told(AnnouncementLevel::Info, change));
        }
        effects.append(&mut waiting);
        effects.extend(preflights.iter().filter_map(|name| self.preflight(name)));
        let names: Vec<String> = self.services.keys().cloned().collect();
        effects.extend(names.iter().filter_map(|name| self.order_suites(name)));
        effects
    }

    fn first_seen(&self, ask: SplitRequest) -> DurableState {
        let asked = ask.after(RequestedSplit { active: Environment::Blue, weight: Weight::ZERO });
        let durable = DurableState::new(asked);
        if !self.lost {
            return durable;
        }
        // Its weight may have been rolled back without a record of it, so only a person may raise it.
        let reason = "the state was lost".to_owned();
        DurableState { weight: Weight::ZERO, latch: Some(RollbackLatch { reason, entry: 0 }), ..durable }
    }

    /// A changed line in the file is an operator's command, and it lifts the latch.
    fn follow_file(&mut self, name: &str, ask: RequestedSplit, now: Millis) -> (ChangeKind, String) {
        let Some(service) = self.services.get_mut(name) else { return (ChangeKind::Shift, String::new()) };
        let durable = &mut service.durable;
        // A weight of 0 is not a request to try again.
        let lifted = if ask.weight.is_zero() { None } else { durable.latch.take() };
        let lifted = lifted.map_or(String::new(), |latch| format!("; lifts the latch of rollback {}", latch.entry));
        let swap = durable.asked.active != ask.active && durable.active != ask.active;
        durable.asked = ask;
        durable.settle();
        if durable.is_under_way() {
            durable.abort("the routing file says weight 0");
        }
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
                ChangeKind::Swap,
                format!("active = \"{}\", weight = {} in the routing file{lifted}", ask.active, ask.weight),
            );
        }
        (ChangeKind::Shift, format!("weight = {} in the routing file{lifted}", ask.weight))
    }

    fn count(&mut self, name: &str, totals: &[Option<[JudgedTotals; 2]>], on_grid: bool, now: Millis) -> Vec<Effect> {
        let mut effects = self.judge(name, totals, on_grid, now);
        let Some(service) = self.services.get_mut(name).filter(|_| on_grid) else { return effects };
        let side = service.durable.subject();
        let answers = totals.iter().flatten().map(|pair| side.of(pair).counts.answers).sum();
        service.clock(now, answers);
        effects.extend(self.advance(name, now));
        effects
    }

    fn judge(&mut self, name: &str, totals: &[Option<[JudgedTotals; 2]>], on_grid: bool, now: Millis) -> Vec<Effect> {
        let Some(service) = self.services.get_mut(name) else { return Vec::new() };
        let mut effects = Vec::new();
        let side = service.durable.subject();
        let candidate = CandidateAccount::of(totals.iter().flatten().map(|pair| side.of(pair)));
        if let Some(book) = &mut service.book {
            book.look(now, candidate);
            // A ledger that is closing gives way to the next rollout as it is.
            let is_over = book.is_closing() && service.durable.rollout != book.ledger().rollout;
            if let Some(ledger) = book.closed(now).or_else(|| is_over.then(|| book.ledger())) {
                service.book = None;
                // If there were no requests, there is nothing to account for.
                if ledger.requests + ledger.failed + ledger.turned_away > 0 {
                    effects.extend(self.close_book(name, ledger, now));
                }
            }
        }
        let judged = self.services.get_mut(name).filter(|service| service.durable.is_judged());
        let Some(ServiceState { durable, routes, policy, watch, book, .. }) = judged else { return effects };
        let book = book.get_or_insert_with(|| OpenLedger::open(durable.rollout, now, candidate));
        let watch = watch.get_or_insert_with(|| ServiceWatch::new(routes.len(), policy));
        // A promoted side is judged as it was before: against the side that it replaced.
        let watching = durable.is_watching();
        let calm =
            watching.then(|| GuardPolicy { evidence: policy.evidence.map(EvidenceBudget::calm), ..policy.clone() });
        let policy = calm.as_ref().unwrap_or(policy);
        let weight = if watching { durable.weight.rest() } else { durable.weight };
        let seen = WatchedService { policy, routes, active: side.other(), weight };
        // Like is compared with like: a rollout of some routes is judged by those routes alone.
        let limits = durable.release.as_ref().filter(|release| !release.functions.is_empty() && !watching);
        let limited = limits.map(|release| only(totals, routes, &release.functions));
        let totals = limited.as_deref().unwrap_or(totals);
        let Findings { unhealthy, tape, news, caution } = watch.look(now, on_grid, &seen, totals);
        if matches!(caution, Some((CautionChange::Begins(_), ..))) {
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

    pub(super) fn roll_back(&mut self, name: &str, note: ChangeNote, now: Millis) -> Vec<Effect> {
        let (entry, why) = (self.last_entry + 1, note.why.clone());
        self.alter(name, note, now, |durable| durable.roll_back(&why, entry))
    }

    /// Changes the durable state of a service, as one generation with its entry and its announcement.
    pub(super) fn alter(
        &mut self,
        name: &str,
        note: ChangeNote,
        now: Millis,
        change: impl FnOnce(&mut DurableState),
    ) -> Vec<Effect> {
        let Some(service) = self.services.get_mut(name) else { return Vec::new() };
        let before = service.durable.clone();
        change(&mut service.durable);
        if before.epoch != service.durable.epoch || !service.durable.is_judged() {
            service.end_watch(now, note.kind == ChangeKind::Rollback && note.evidence.is_some());
        }
        let after = &service.durable;
        let kind = note.kind;
        self.generation += 1;
        let (level, text) = note.told(&before, after);
        let Some(mut change) = self.change(name, note, Some(before), now) else { return Vec::new() };
        if kind == ChangeKind::Rollback {
            change.ledger = self.ledger(name);
        }
        let news = Announcement { level, service: name.to_owned(), kind, text, entry: change.id };
        let told = [Effect::Publish, Effect::Journal(Box::new(change)), Effect::Announce(news)];
        told.into_iter().chain(self.order_suites(name)).collect()
    }
}

/// The totals of some routes, and zero for the others.
fn only(
    totals: &[Option<[JudgedTotals; 2]>],
    routes: &[String],
    functions: &[String],
) -> Vec<Option<[JudgedTotals; 2]>> {
    let pairs = totals.iter().zip(routes);
    let part = |(pair, route): (&Option<[JudgedTotals; 2]>, &String)| match pair {
        // Health checks concern all routes.
        Some(pair) if !functions.contains(route) => {
            let checked = pair.each_ref().map(|side| side.health_failures);
            (checked != [0; 2])
                .then(|| checked.map(|health_failures| JudgedTotals { health_failures, ..JudgedTotals::default() }))
        }
        pair => pair.clone(),
    };
    pairs.map(part).collect()
}
