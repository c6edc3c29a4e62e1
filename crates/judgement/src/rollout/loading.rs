//! A routing file is loaded: services come, go and rest, and a changed line is an operator's command.

use std::collections::BTreeMap;

use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::service_state::ServiceState;
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::state::State;
use crate::rollout::{
    AnnouncementLevel, ChangeKind, DeployFreeze, DurableState, Effect, LoadedService, RequestedSplit, RollbackLatch,
    RolloutError, SilentActive, SplitRequest,
};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

impl State {
    /// Whether a file may be loaded. While a rollout runs, a file that changes the weight may not, except to abort it.
    ///
    /// # Errors
    /// The first service whose weight the file may not change.
    pub fn may_load(&self, loaded: &[LoadedService], now: Millis) -> Result<(), RolloutError> {
        let wall = self.wall(now);
        let is_named = |name: &String| loaded.iter().any(|loaded| loaded.service == *name);
        for (name, state) in self.services.iter().filter(|(name, _)| !is_named(name)) {
            let held = match () {
                () if state.durable.stopped => "stopped",
                () if state.frozen(wall).is_some() => "frozen",
                () => continue,
            };
            return Err(RolloutError::ServiceHeld { service: name.clone(), held });
        }
        for loaded in loaded {
            if let Some(state) = self.services.get(&loaded.service) {
                state.may_follow(loaded, wall)?;
            }
        }
        let under_way =
            |state: &ServiceState| state.durable.release.clone().filter(|release| release.phase.is_under_way());
        for (name, release) in self.services.iter().filter_map(|(name, state)| Some((name, under_way(state)?))) {
            if !loaded.iter().any(|loaded| loaded.service == *name) {
                let (service, title, phase) = (name.clone(), release.title().to_owned(), release.phase.name());
                return Err(RolloutError::ServiceInUse { service, title, phase });
            }
        }
        Ok(())
    }

    /// Takes the services of a file in the place of those before. A file is one generation, whatever it changes.
    pub(super) fn load(&mut self, loaded: Vec<LoadedService>, now: Millis) -> Vec<Effect> {
        let mut before: BTreeMap<String, ServiceState> = std::mem::take(&mut self.services);
        let mut asked = BTreeMap::new();
        // A service that was left out for a while, and not one of a process that has just started.
        let is_reload = !before.is_empty();
        for LoadedService { service: name, routes, ask, policy, plan, urls, freezes, silent } in loaded {
            let old = before.remove(&name);
            let known = old.as_ref().map(|old| old.durable.clone()).or_else(|| self.resting.remove(&name));
            let mut durable = known.clone().unwrap_or_else(|| self.first_seen(ask, silent.as_ref()));
            // The file's URL is what a person said last.
            for (origin, url) in durable.origins.iter_mut().zip(&urls) {
                *origin = origin.take().filter(|origin| origin.instead_of == *url);
            }
            // As after a restart: nobody runs its preflight any more.
            let woken = old.is_none() && known.is_some();
            let returned = woken && is_reload;
            let service = match old {
                Some(old) => {
                    // A reload of the same routes and policy is no fresh start for a bad candidate.
                    let watch = old.watch.filter(|_| old.routes == routes && old.policy == policy);
                    // What is somewhere else now does not get the rest of the clients.
                    let returning = old.returning.filter(|_| old.urls == urls);
                    ServiceState { durable, routes, policy, plan, urls, freezes, watch, returning, ..old }
                }
                None => ServiceState { urls, freezes, ..ServiceState::unseen(durable, routes, policy, plan) },
            };
            self.services.insert(name.clone(), service);
            asked.insert(name, (ask, known, woken, returned, silent));
        }
        self.resting.extend(before.into_iter().map(|(name, service)| (name, service.durable)));

        self.sequence.generation += 1;
        let mut effects = vec![Effect::Publish];
        let State { services, sequence, .. } = self;
        for ((name, state), (ask, known, woken, returned, silent)) in services.iter_mut().zip(asked.into_values()) {
            let mut service = ServiceUpdate { name, state, sequence, now };
            let had_no_weight = service.state.ask.replace(ask).is_some_and(|before| before.weight.is_none());
            effects.extend(service.loaded(ask, known, had_no_weight));
            effects.extend(service.end_without_premises(returned));
            effects.extend(silent.into_iter().flat_map(|silent| service.tell_silent(&silent)));
            effects.extend(service.preflight().filter(|_| woken));
            effects.extend(service.order_suites());
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

impl ServiceUpdate<'_> {
    /// What the file changes of a service that it names. `known`: as it was before, unless nobody has seen it yet.
    /// `had_no_weight`: the file before this one named none.
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
                let raises = known.is_raised_by(asked);
                let until = match () {
                    () if known.is_under_way() && (!asked.weight.is_zero() || known.is_swapped_by(asked)) => {
                        Some("while a rollout is under way")
                    }
                    () if raises && known.stopped => Some("in an emergency stop"),
                    () if raises && self.state.frozen(self.wall()).is_some() => Some("in a freeze"),
                    () => None,
                };
                if let Some(until) = until {
                    let text = format!(
                        "active = \"{}\", weight = {} in the routing file is not followed {until}: save it again afterwards",
                        asked.active, asked.weight
                    );
                    let change = self.change(ChangeNote::by(Component::File, ChangeKind::Waiting, text), None);
                    return told(AnnouncementLevel::Warning, change).into();
                }
                self.state.follow_file(asked, self.now)
            }
        };
        let change = self.change(ChangeNote::by(Component::File, kind, why), known);
        told(AnnouncementLevel::Info, change).into()
    }
}

impl ServiceState {
    /// Whether a file may say what it says of this service: while a rollout runs, it may only abort it, and keeps what the
    /// rollout is about; a freeze and a stop hold for it as for everybody.
    fn may_follow(&self, loaded: &LoadedService, wall: u64) -> Result<(), RolloutError> {
        let (durable, service) = (&self.durable, loaded.service.clone());
        let asked = loaded.ask.after(durable.asked);
        let changes = asked != durable.asked;
        if let Some(release) = durable.release.as_ref().filter(|release| release.phase.is_under_way()) {
            let (title, phase) = (release.title().to_owned(), release.phase.name());
            if changes && (!asked.weight.is_zero() || durable.is_swapped_by(asked)) {
                return Err(RolloutError::FileDuringRollout { service, asked: asked.weight, title, phase });
            }
            if let Some(route) = release.functions.iter().find(|route| !loaded.routes.contains(route)) {
                return Err(RolloutError::RouteInUse { service, route: route.clone(), title, phase });
            }
        }
        let raises = changes && durable.is_raised_by(asked);
        if raises && durable.stopped {
            return Err(RolloutError::FileDuringStop { service, asked: asked.weight });
        }
        match self.frozen(wall).filter(|_| raises) {
            Some(DeployFreeze { who, why, .. }) => {
                Err(RolloutError::FileDuringFreeze { service, asked: asked.weight, who, why })
            }
            None => Ok(()),
        }
    }
}

/// Whether two lists of URLs have one in common: an address more or less is the same version.
fn share_a_url(one: &str, other: &str) -> bool {
    one.split(' ').any(|url| other.split(' ').any(|other| url == other))
}

impl ServiceUpdate<'_> {
    /// Ends a rollout that is no longer about what it was. `returned`: the service was left out for a while.
    fn end_without_premises(&mut self, returned: bool) -> Vec<Effect> {
        let Some(release) = self.state.durable.release.clone().filter(|release| release.phase.is_under_way()) else {
            return Vec::new();
        };
        let (side, title) = (release.environment, release.title());
        let url = self.state.url(side);
        let moved = release.url.as_ref().filter(|before| !share_a_url(before, url));
        let gone = release.functions.iter().find(|route| !self.state.routes.contains(route));
        let why = match (moved, gone) {
            (Some(before), _) => format!("{side} is {url} now, and not {before}, which was tried"),
            (None, Some(route)) => format!("its route {route} is gone from the routing file"),
            (None, None) if returned => "the service was not in the routing file for a while".to_owned(),
            (None, None) => return Vec::new(),
        };
        let said = format!("{title} is over at {}: {why}; deploy again", self.state.durable.weight);
        let note = ChangeNote::by(Component::File, ChangeKind::Abort, said);
        self.alter(note, |durable| durable.abort(&why))
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
    fn follow_file(&mut self, ask: RequestedSplit, now: Millis) -> (ChangeKind, String) {
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
