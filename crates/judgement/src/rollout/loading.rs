//! A routing file is loaded: services come, go and rest, and a changed line is an operator's command.

use std::collections::BTreeMap;

use crate::guard::GuardPolicy;
use crate::rollout::figure_history::OutsideFigures;
use crate::rollout::gate_history::RolloutGates;
use crate::rollout::gate_hook::GateHook;
use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::plan::RolloutPlan;
use crate::rollout::premises::share_a_url;
use crate::rollout::service_state::{ServiceState, StepClock};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::state::State;
use crate::rollout::{
    AnnouncementLevel, ChangeKind, DeployFreeze, DurableState, Effect, LoadedService, RequestedSplit, RollbackLatch,
    SilentActive, SplitRequest,
};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

impl State {
    /// Takes the services of a file in the place of those before. A file is one generation, whatever it changes.
    pub(super) fn load(&mut self, loaded: Vec<LoadedService>, now: Millis) -> Vec<Effect> {
        let wall = self.wall(now);
        let mut before: BTreeMap<String, ServiceState> = std::mem::take(&mut self.services);
        let mut arrivals = BTreeMap::new();
        // A service that was left out for a while, and not one of a process that has just started.
        let is_reload = !before.is_empty();
        for loaded in loaded {
            let name = loaded.service.clone();
            let old = before.remove(&name);
            let known = old.as_ref().map(|old| old.durable.clone()).or_else(|| self.resting.remove(&name));
            // As after a restart: nobody runs its preflight any more.
            let woken = old.is_none() && known.is_some();
            let arrival = Arrival {
                ask: loaded.ask,
                woken,
                returned: woken && is_reload,
                silent: loaded.silent.clone(),
                is_forgotten: self.is_forgotten(),
                window: old.as_ref().and_then(|old| old.open_window_without(&loaded, wall)),
                known,
            };
            let durable = arrival.known.clone().unwrap_or_else(|| self.first_seen(loaded.ask, loaded.silent.as_ref()));
            let mut state = ServiceState::loaded(old, durable, loaded);
            state.age_pages(wall);
            state.handed = self.handed.remove(&name).or(state.handed.take());
            self.services.insert(name.clone(), state);
            arrivals.insert(name, arrival);
        }
        self.resting.extend(before.into_iter().map(|(name, service)| (name, service.durable)));

        self.sequence.generation += 1;
        let mut effects = vec![Effect::Publish];
        let State { services, sequence, resting, .. } = self;
        for ((name, state), arrival) in services.iter_mut().zip(arrivals.into_values()) {
            effects.extend(ServiceUpdate { name, state, sequence, now }.arrive(arrival));
        }
        for (name, durable) in resting.iter_mut().filter(|(_, durable)| durable.is_under_way()) {
            let mut state = ServiceState::unseen(durable.clone(), GuardPolicy::standard(), RolloutPlan::standard());
            effects.extend(ServiceUpdate { name, state: &mut state, sequence, now }.end_without_service());
            *durable = state.durable;
        }
        effects
    }

    fn first_seen(&self, ask: SplitRequest, silent: Option<&SilentActive>) -> DurableState {
        let asked = ask.after(RequestedSplit { active: Environment::Blue, weight: Weight::ZERO });
        let mut durable = DurableState::new(asked);
        // It may have been switched off since the other one was promoted.
        if self.is_forgotten() && silent.is_some_and(|silent| silent.side == asked.active && silent.other.is_ok()) {
            (durable.active, durable.weight) = (asked.active.other(), Weight::ZERO);
        }
        if !self.lost {
            return durable;
        }
        // Its weight may have been rolled back without a record of it, so only a person may raise it.
        let reason = "the state was lost".to_owned();
        DurableState { weight: Weight::ZERO, latch: Some(RollbackLatch { reason, entry: 0 }), ..durable }
    }
}

impl ServiceState {
    /// A service with what the file says of it now. `old`: as it was with the file before.
    fn loaded(old: Option<ServiceState>, mut durable: DurableState, loaded: LoadedService) -> ServiceState {
        let LoadedService { routes, policy, plan, premises, freezes, gates, failure_rules, mirrors, .. } = loaded;
        // The file's URL is what a person said last.
        for (origin, url) in durable.origins.iter_mut().zip(&premises.urls) {
            *origin = origin.take().filter(|origin| origin.instead_of == *url);
        }
        let Some(old) = old else {
            let gates = RolloutGates::new(gates);
            let unseen = ServiceState::unseen(durable, policy, plan);
            return ServiceState { routes, premises, freezes, gates, failure_rules, mirrors, ..unseen };
        };
        for side in Environment::BOTH.into_iter().filter(|side| premises.has_moved(*side, &old.premises)) {
            *side.of_mut(&mut durable.versions) = None;
        }
        // A reload of the same routes and policy is no fresh start for a bad candidate. What counted as a failure until now
        // and what does from now on are two figures: active's past is no measure for the candidate's present.
        let same = old.routes == routes && old.policy == policy && old.failure_rules == failure_rules;
        let watch = old.watch.filter(|_| same);
        // What is somewhere else now does not get the rest of the clients.
        let returning = old.returning.filter(|_| old.premises.urls == premises.urls);
        // An answer to another question says nothing about this one.
        let figures = if old.policy.metrics == policy.metrics { old.figures } else { OutsideFigures::default() };
        let gates = old.gates.with(gates);
        ServiceState {
            durable,
            routes,
            policy,
            plan,
            premises,
            freezes,
            failure_rules,
            mirrors,
            watch,
            returning,
            figures,
            gates,
            ..old
        }
    }

    /// The freeze of a window that is open, and that the file no longer has: it holds until its end.
    fn open_window_without(&self, loaded: &LoadedService, wall: u64) -> Option<DeployFreeze> {
        let gone = self.freezes.iter().filter(|window| !loaded.freezes.contains(window));
        let open = gone.filter_map(|window| Some((window.open_until(wall)?, window)));
        let (until, window) = open.max_by_key(|(until, _)| *until)?;
        // One that holds for longer stays.
        let outlasts = |freeze: &DeployFreeze| freeze.until.is_none_or(|other| other >= until);
        let freeze =
            DeployFreeze { who: Component::File.name().to_owned(), why: window.text().to_owned(), until: Some(until) };
        self.durable.freeze.as_ref().is_none_or(|freeze| !outlasts(freeze)).then_some(freeze)
    }
}

/// What a file that has been taken means for a service.
struct Arrival {
    ask: SplitRequest,
    /// As it was before, unless nobody has seen it yet.
    known: Option<DurableState>,
    /// It was not served until now, by this process at least.
    woken: bool,
    /// The service was left out for a while.
    returned: bool,
    silent: Option<SilentActive>,
    /// There was a state before, and nobody knows it any more.
    is_forgotten: bool,
    /// The open window that the file has taken out.
    window: Option<DeployFreeze>,
}

impl ServiceUpdate<'_> {
    fn arrive(&mut self, arrival: Arrival) -> Vec<Effect> {
        let Arrival { ask, known, woken, returned, silent, is_forgotten, window } = arrival;
        let had_no_weight = self.state.ask.replace(ask).is_some_and(|before| before.weight.is_none());
        let mut effects: Vec<Effect> = window.into_iter().flat_map(|window| self.keep_window(window)).collect();
        match known {
            None if is_forgotten => effects.extend(self.tell_forgotten()),
            known => effects.extend(self.loaded(ask, known, had_no_weight)),
        }
        effects.extend(self.end_without_premises(returned));
        effects.extend(self.watch_anew());
        effects.extend(silent.into_iter().flat_map(|silent| self.tell_silent(&silent)));
        if woken {
            effects.extend(self.preflight());
            // Nobody knows whether it was told.
            let owes = self.state.durable.release.as_ref().is_some_and(|release| release.gates.owed);
            effects.extend(owes.then(|| self.tell_gates(GateHook::PostRollout, None)).into_iter().flatten());
        }
        effects.extend(self.order_suites());
        effects
    }

    /// Whatever held the service before holds it no longer.
    fn tell_forgotten(&mut self) -> [Effect; 2] {
        let why = "the state before is lost: versions, freezes, stops and what was rolled back are forgotten; it begins anew \
                   with what the routing file says";
        let change = self.change(ChangeNote::by(Component::File, ChangeKind::Added, why.to_owned()), None);
        told(AnnouncementLevel::Critical, change)
    }

    /// A freeze does not end because somebody has taken its window out of the file.
    fn keep_window(&mut self, window: DeployFreeze) -> Vec<Effect> {
        let why = format!(
            "the window {} is open and no longer in the routing file: it holds until its end, or until `cutover unfreeze`",
            window.why
        );
        self.alter(ChangeNote::by(Component::File, ChangeKind::Freeze, why), |durable| durable.freeze = Some(window))
    }

    /// What the file changes of the split. `known`: as it was before, unless nobody has seen it yet. `had_no_weight`:
    /// the file before this one named none.
    fn loaded(&mut self, ask: SplitRequest, known: Option<DurableState>, had_no_weight: bool) -> Vec<Effect> {
        let (kind, why) = match &known {
            None => (ChangeKind::Added, "first seen in the routing file".to_owned()),
            Some(known) => {
                let asked = ask.after(known.asked);
                // A file that now says 0, and said nothing before, says so to the rollout.
                let takes_back = known.is_under_way() && ask.weight == Some(Weight::ZERO) && had_no_weight;
                if asked == known.asked && !takes_back {
                    return Vec::new();
                }
                // After a restart nobody could refuse the file, so what it asks for waits.
                if let Some(until) = self.not_followed(asked, known) {
                    let text = format!(
                        "active = \"{}\", weight = {} in the routing file is not followed {until}: save it again afterwards",
                        asked.active, asked.weight
                    );
                    let change = self.change(ChangeNote::by(Component::File, ChangeKind::Waiting, text), None);
                    return told(AnnouncementLevel::Warning, change).into();
                }
                self.state.follow_file(asked, self.now, self.sequence.began + self.now.0)
            }
        };
        let change = self.change(ChangeNote::by(Component::File, kind, why), known);
        told(AnnouncementLevel::Info, change).into()
    }

    /// Until when the split is not what the file asks for, in words; `None` if it may be.
    fn not_followed(&self, asked: RequestedSplit, known: &DurableState) -> Option<&'static str> {
        let raises = known.is_raised_by(asked);
        match () {
            () if known.is_under_way() && (!asked.weight.is_zero() || known.is_swapped_by(asked)) => {
                Some("while a rollout is under way")
            }
            () if raises && known.stopped => Some("in an emergency stop"),
            () if raises && self.state.frozen(self.wall()).is_some() => Some("in a freeze"),
            () if raises && self.state.quarantined_by(asked, &self.state.premises).is_some() => {
                Some("while the version there is one that was rolled back")
            }
            () => None,
        }
    }
}

impl ServiceUpdate<'_> {
    /// Ends a rollout that is no longer about what it was. `returned`: the service was left out for a while.
    fn end_without_premises(&mut self, returned: bool) -> Vec<Effect> {
        let Some(release) = self.state.durable.release.clone().filter(|release| release.phase.is_under_way()) else {
            return Vec::new();
        };
        let side = release.environment;
        let (url, host) = (self.state.url(side), side.of(&self.state.premises.hosts));
        let moved = release.url.as_ref().filter(|before| !share_a_url(before, url));
        let renamed = release.host.as_ref().filter(|before| *before != host);
        let gone = release.functions.iter().find(|route| !self.state.routes.contains(route));
        let why = match (moved, renamed, gone) {
            (Some(before), _, _) => format!("{side} is {url} now, and not {before}, which was tried"),
            (None, Some(before), _) => {
                format!("the Host that {side} is sent is {host} now, and not {before}, which was tried")
            }
            (None, None, Some(route)) => format!("its route {route} is gone from the routing file"),
            (None, None, None) if returned => "the service was not in the routing file for a while".to_owned(),
            (None, None, None) => return Vec::new(),
        };
        self.end_for(&why)
    }

    /// Ends the rollout of a service that was gone from the file when Cutover started.
    fn end_without_service(&mut self) -> Vec<Effect> {
        self.end_for("the service is gone from the routing file")
    }

    fn end_for(&mut self, why: &str) -> Vec<Effect> {
        let release = self.state.durable.release.as_ref();
        let title = release.map_or("the rollout", |release| release.title());
        let said = format!("{title} is over at {}: {why}; deploy again", self.state.durable.weight);
        let note = ChangeNote::by(Component::File, ChangeKind::Abort, said);
        self.alter(note, |durable| durable.abort(why))
    }

    /// A promoted side that is somewhere else now is watched as if it had just been promoted.
    fn watch_anew(&mut self) -> Vec<Effect> {
        let Some(release) = self.state.durable.release.clone().filter(|release| release.is_watched()) else {
            return Vec::new();
        };
        let (side, url) = (release.environment, self.state.url(release.environment).to_owned());
        let Some(before) = release.url.as_ref().filter(|before| !share_a_url(before, &url)) else { return Vec::new() };
        let why = format!(
            "{side} is {url} now, and not {before}, which was promoted: it is watched for another {}",
            release.plan.watch
        );
        self.state.end_watch(self.now, false);
        self.state.clocked = StepClock::default();
        self.alter(ChangeNote::by(Component::File, ChangeKind::Warning, why), |durable| {
            if let Some(release) = &mut durable.release {
                (release.url, release.spent, release.requests) = (Some(url), Millis::ZERO, 0);
            }
        })
    }

    /// Active did not answer when Cutover started: what that means, and what would help.
    pub(super) fn tell_silent(&mut self, silent: &SilentActive) -> [Effect; 2] {
        let SilentActive { side, why, other } = silent;
        let (active, spare) = (self.state.durable.active, side.other());
        let what = match other {
            _ if active != *side => format!(
                "the routing file says that {side} is active, but it {why}; {spare} answers, so {spare} is active: say so in \
                 the file, or start {side} and deploy to it"
            ),
            Ok(_) => format!("{side} is active and {why}; {spare} answers: start {side}, or deploy to {spare}"),
            Err(also) => format!("{side} is active and {why}; {spare} {also}: start one of them"),
        };
        let change = self.change(ChangeNote::by(Component::Health, ChangeKind::Silent, what), None);
        told(AnnouncementLevel::Critical, change)
    }
}

impl ServiceState {
    /// A changed line in the file is an operator's command, and it lifts the latch.
    /// `wall`: the time of day in milliseconds since 1970.
    fn follow_file(&mut self, ask: RequestedSplit, now: Millis, wall: u64) -> (ChangeKind, String) {
        let old = self.as_replaced(wall);
        let durable = &mut self.durable;
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
            durable.replaced = old;
        }
        if swap || ask.weight.is_zero() {
            self.end_watch(now, false);
        }
        if swap {
            return (
                ChangeKind::Swap,
                format!("active = \"{}\", weight = {} in the routing file{lifted}", ask.active, ask.weight),
            );
        }
        (ChangeKind::Shift, format!("weight = {} in the routing file{lifted}", ask.weight))
    }
}
