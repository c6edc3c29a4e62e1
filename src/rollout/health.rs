//! What health checks change: who is up, and whether a new side is taken back. Not durable: checks find out again.

use crate::rollout::entries::{By, Note, told};
use crate::rollout::release::Release;
use crate::rollout::{Durable, Effect, Kind, Level, State};
use crate::time::Millis;
use crate::traffic::Environment;

impl State {
    pub(super) fn checked(
        &mut self,
        name: &str,
        side: Environment,
        up: bool,
        why: &str,
        rollback: bool,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(service) = self.services.get_mut(name) else { return Vec::new() };
        let is_active = service.durable.active == side;
        let place = side.of_mut(&mut service.up);
        let changed = std::mem::replace(place, up) != up;
        let other_is_up = *side.other().of(&service.up);
        let mut effects = Vec::new();
        if changed {
            let role = if is_active { "active" } else { "the candidate" };
            let said = match up {
                true => format!("{side}, {role}, is up again: {why}"),
                false => format!("{side}, {role}, is down: {why}"),
            };
            let level = match (up, is_active) {
                (true, _) => Level::Info,
                (false, true) => Level::Critical,
                (false, false) => Level::Warning,
            };
            self.generation += 1;
            effects.push(Effect::Publish);
            let note = Note::of(Kind::Health, By::the("health"), said);
            effects.extend(self.change(name, note, None, now).map(|change| told(level, change)).into_iter().flatten());
        }
        let service = self.services.get(name).filter(|service| rollback && is_on_trial(&service.durable, side));
        // Where both sides are down, they share a fault: nothing is won by going back.
        if service.is_some() && other_is_up {
            let note = Note::of(Kind::Rollback, By::the("health"), format!("{side} is down: {why}"));
            effects.extend(self.roll_back(name, note, now));
        }
        effects
    }
}

/// Whether clients meet the new side, or it was promoted and is still watched.
fn is_on_trial(durable: &Durable, side: Environment) -> bool {
    let live = durable.release.as_ref().is_some_and(Release::is_live);
    durable.subject() == side && (live || !durable.weight.is_zero() || durable.is_watching())
}
