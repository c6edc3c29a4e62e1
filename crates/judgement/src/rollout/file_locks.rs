//! What a routing file may not change now: a rollout, a freeze, a stop and a quarantine hold for it as for everybody.

use crate::rollout::premises::{FilePlace, FilePremises, ForbiddenChange, owner};
use crate::rollout::service_state::ServiceState;
use crate::rollout::state::State;
use crate::rollout::{DeployFreeze, LoadedService, QuarantinedVersion, RequestedSplit, RolloutError};
use crate::time::Millis;

impl State {
    /// Whether a file may be loaded. While a rollout runs, a file that changes the weight may not, except to abort it.
    ///
    /// # Errors
    /// The first thing that the file may not change.
    pub fn may_load(&self, loaded: &[LoadedService], now: Millis) -> Result<(), RolloutError> {
        let wall = self.wall(now);
        let is_named = |name: &String| loaded.iter().any(|loaded| loaded.service == *name);
        for (name, state) in self.services.iter().filter(|(name, _)| !is_named(name)) {
            state.may_go(name, wall)?;
        }
        for loaded in loaded {
            if let Some(state) = self.services.get(&loaded.service) {
                state.may_follow(loaded, wall)?;
            }
            self.may_take_hosts(loaded, wall)?;
        }
        Ok(())
    }

    /// Whether a service may have the hosts that it did not have before: not those of one that is held.
    fn may_take_hosts(&self, loaded: &LoadedService, wall: u64) -> Result<(), RolloutError> {
        let had = self.services.get(&loaded.service).map_or(&[][..], |state| &state.premises.served);
        for host in loaded.premises.served.iter().filter(|host| !had.contains(host)) {
            let before = self.services.iter().map(|(name, state)| (name.as_str(), &state.premises));
            let Some((service, state)) = owner(before, host).and_then(|name| self.services.get_key_value(name)) else {
                continue;
            };
            if *service != loaded.service
                && let Some(lock) = state.lock(wall)
            {
                let what = format!("service {} may not take clients of it by its hosts", loaded.service);
                let change = ForbiddenChange { place: FilePlace::Split, what };
                return Err(lock.refuses(service.clone(), change));
            }
        }
        Ok(())
    }
}

/// What holds a service where it is.
enum FileLock {
    Stop,
    Freeze(DeployFreeze),
}

impl FileLock {
    fn refuses(self, service: String, change: ForbiddenChange) -> RolloutError {
        let change = Box::new(change);
        match self {
            FileLock::Stop => RolloutError::FileDuringStop { service, change },
            FileLock::Freeze(DeployFreeze { who, why, .. }) => {
                RolloutError::FileDuringFreeze { service, change, who, why }
            }
        }
    }
}

impl ServiceState {
    /// Whether the service may leave the file.
    fn may_go(&self, name: &str, wall: u64) -> Result<(), RolloutError> {
        let service = name.to_owned();
        if self.durable.stopped {
            return Err(RolloutError::ServiceHeld { service, held: "stopped" });
        }
        if self.frozen(wall).is_some() {
            return Err(RolloutError::ServiceHeld { service, held: "frozen" });
        }
        match self.durable.release.as_ref().filter(|release| release.phase.is_under_way()) {
            Some(release) => {
                let (title, phase) = (release.title().to_owned(), release.phase.name());
                Err(RolloutError::ServiceInUse { service, title, phase })
            }
            None => Ok(()),
        }
    }

    /// Whether a file may say what it says of this service.
    fn may_follow(&self, loaded: &LoadedService, wall: u64) -> Result<(), RolloutError> {
        let (durable, service) = (&self.durable, loaded.service.clone());
        let asked = loaded.ask.after(durable.asked);
        let changes = asked != durable.asked;
        self.keeps_its_rollout(loaded, asked, changes)?;
        let raises = changes && durable.is_raised_by(asked);
        if let Some(lock) = self.lock(wall) {
            let has_share = !durable.weight.is_zero();
            let diverted = || self.premises.diverted_by(&loaded.premises, durable.active, has_share);
            let raised = raises.then(|| raised(asked, durable.is_swapped_by(asked)));
            if let Some(change) = raised.or_else(diverted).or_else(|| self.sent_back(&loaded.premises)) {
                return Err(lock.refuses(service, change));
            }
        }
        let raised = raises.then(|| self.quarantined_by(asked, &loaded.premises)).flatten();
        match raised.or_else(|| self.returned_to_active(&loaded.premises)) {
            Some(QuarantinedVersion { version, entry, .. }) => {
                let (version, entry) = (version.clone(), *entry);
                Err(RolloutError::FileQuarantined { service, version, entry })
            }
            None => Ok(()),
        }
    }

    /// A file may only abort a rollout, and keeps the routes that it is limited to.
    fn keeps_its_rollout(
        &self,
        loaded: &LoadedService,
        asked: RequestedSplit,
        changes: bool,
    ) -> Result<(), RolloutError> {
        let (durable, service) = (&self.durable, loaded.service.clone());
        let Some(release) = durable.release.as_ref().filter(|release| release.phase.is_under_way()) else {
            return Ok(());
        };
        let (title, phase) = (release.title().to_owned(), release.phase.name());
        if changes && (!asked.weight.is_zero() || durable.is_swapped_by(asked)) {
            return Err(RolloutError::FileDuringRollout { service, asked: asked.weight, title, phase });
        }
        if let Some(route) = release.functions.iter().find(|route| !loaded.routes.contains(route)) {
            let (route, changed) = (route.clone(), "gone from the routing file");
            return Err(RolloutError::RouteInUse { service, route, changed, title, phase });
        }
        // A route more or less changes which requests are those of the others.
        let (before, after) = (&self.premises.paths, &loaded.premises.paths);
        let other = |route: &&String| before.get(*route) != after.get(*route);
        match before.keys().chain(after.keys()).find(other).filter(|_| !release.functions.is_empty()) {
            Some(route) => {
                let (route, changed) = (route.clone(), "not what it was in the routing file");
                Err(RolloutError::RouteInUse { service, route, changed, title, phase })
            }
            None => Ok(()),
        }
    }

    fn lock(&self, wall: u64) -> Option<FileLock> {
        let freeze = || self.frozen(wall).map(FileLock::Freeze);
        if self.durable.stopped { Some(FileLock::Stop) } else { freeze() }
    }

    /// Where a deploy has sent active elsewhere, the file's URL would take its place.
    fn sent_back(&self, after: &FilePremises) -> Option<ForbiddenChange> {
        let side = self.durable.active;
        side.of(&self.durable.origins).as_ref().filter(|origin| origin.instead_of != *side.of(&after.urls))?;
        let what = format!("the routing file may not send the clients of {side} to {}", side.of(&after.urls));
        Some(ForbiddenChange { place: FilePlace::Origin(side), what })
    }

    /// The version that was rolled back and would be where active is.
    fn returned_to_active(&self, after: &FilePremises) -> Option<&QuarantinedVersion> {
        let active = self.durable.active;
        let moves = after.has_moved(active, &self.premises);
        moves.then(|| self.durable.quarantined_at(active.of::<String>(&after.urls))).flatten()
    }

    /// The version that was rolled back and would get clients, unless the file puts another one in its place.
    pub(super) fn quarantined_by(&self, asked: RequestedSplit, after: &FilePremises) -> Option<&QuarantinedVersion> {
        let durable = &self.durable;
        let side = if durable.is_swapped_by(asked) { asked.active } else { durable.active.other() };
        // A new URL has no name yet.
        let is_named = side.of(&durable.versions).is_some() && !after.has_moved(side, &self.premises);
        if is_named { durable.quarantined(side) } else { durable.quarantined_at(side.of::<String>(&after.urls)) }
    }
}

fn raised(asked: RequestedSplit, is_swap: bool) -> ForbiddenChange {
    let what = match is_swap {
        true => format!("the routing file may not make {} active", asked.active),
        false => format!("the routing file may not raise its weight to {}", asked.weight),
    };
    ForbiddenChange { place: FilePlace::Split, what }
}
