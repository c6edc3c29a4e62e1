//! What a routing file may not change now: a rollout, a freeze, a stop and a quarantine hold for it as for everybody.

use crate::rollout::premises::{FilePlace, FilePremises, ForbiddenChange};
use crate::rollout::service_state::ServiceState;
use crate::rollout::state::State;
use crate::rollout::{DeployFreeze, DurableState, LoadedService, QuarantinedVersion, RequestedSplit, RolloutError};
use crate::time::Millis;
use crate::traffic::Environment;

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
        }
        Ok(())
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
        if raises && durable.stopped {
            return Err(RolloutError::FileDuringStop { service, asked: asked.weight });
        }
        if let Some(DeployFreeze { who, why, .. }) = self.frozen(wall) {
            let forbidden = if raises { Some(raised(asked)) } else { self.sent_elsewhere(&loaded.premises) };
            if let Some(change) = forbidden.map(Box::new) {
                return Err(RolloutError::FileDuringFreeze { service, change, who, why });
            }
        }
        let quarantined = raises.then(|| self.quarantined_by(asked, &loaded.premises)).flatten();
        match quarantined {
            Some(QuarantinedVersion { version, entry }) => {
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
        for route in &release.functions {
            let changed = match (self.premises.paths.get(route), loaded.premises.paths.get(route)) {
                _ if !loaded.routes.contains(route) => "gone from the routing file",
                (Some(before), Some(path)) if before != path => "another path in the routing file",
                _ => continue,
            };
            return Err(RolloutError::RouteInUse { service, route: route.clone(), changed, title, phase });
        }
        Ok(())
    }

    /// What of the file would send clients to another version although no weight has changed.
    fn sent_elsewhere(&self, after: &FilePremises) -> Option<ForbiddenChange> {
        let DurableState { active, weight, origins, .. } = &self.durable;
        let has_share = !weight.is_zero();
        // Where a deploy has sent it, the file's URL takes its place.
        let moved = |side: Environment| {
            let is_other = side.of(&self.premises.urls) != side.of(&after.urls);
            after.has_moved(side, &self.premises) || is_other && side.of(origins).is_some()
        };
        let serving = [Some(*active), Some(active.other()).filter(|_| has_share)];
        let side = serving.into_iter().flatten().find(|side| moved(*side));
        if let Some(side) = side {
            let what = format!("the routing file may not send the clients of {side} to {}", side.of(&after.urls));
            return Some(ForbiddenChange { place: FilePlace::Origin(side), what });
        }
        let rule = after.new_rule_to(active.other(), has_share, &self.premises)?;
        let what = format!("rule `{}` may not begin to send clients to {}", rule.name, active.other());
        Some(ForbiddenChange { place: FilePlace::Rule(rule.name.clone()), what })
    }

    /// The version that was rolled back and would get clients, unless the file puts another one in its place.
    pub(super) fn quarantined_by(&self, asked: RequestedSplit, after: &FilePremises) -> Option<&QuarantinedVersion> {
        let durable = &self.durable;
        let side = if durable.is_swapped_by(asked) { asked.active } else { durable.active.other() };
        durable.quarantined(side).filter(|_| !after.has_moved(side, &self.premises))
    }
}

fn raised(asked: RequestedSplit) -> ForbiddenChange {
    let what = format!("the routing file may not raise its weight to {}", asked.weight);
    ForbiddenChange { place: FilePlace::Split, what }
}
