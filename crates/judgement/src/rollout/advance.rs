//! The plan's own moves: from preflight to the first step, from step to step, to the promotion, and through the watch.

use crate::rollout::journal_entries::{Actor, ChangeNote};
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::service_state::StepClock;
use crate::rollout::{ChangeKind, Effect, State};
use crate::time::Millis;
use crate::traffic::split::Weight;

impl State {
    /// What the plan does on its own at a tick of the grid.
    pub(super) fn advance(&mut self, name: &str, now: Millis) -> Vec<Effect> {
        let wall = self.wall(now);
        let Some(service) = self.services.get_mut(name) else { return Vec::new() };
        let due = service.is_due(now);
        let keep = || if due { vec![Effect::Keep(name.to_owned())] } else { Vec::new() };
        let Some(release) = service.durable.release.clone() else { return Vec::new() };
        if release.phase == RolloutPhase::Promoted {
            let over = service.clocked.running.is_some() && !release.is_watched();
            return if over { self.watched(name, &release, now) } else { keep() };
        }
        let moves = matches!(release.phase, RolloutPhase::Shifting | RolloutPhase::Baking) && !service.durable.stopped;
        if !moves || !service.waiting(wall).is_empty() {
            return keep();
        }
        match release.next().map(|step| step.weight) {
            Some(weight) => {
                let step = release.step + 1;
                let note = self.note(ChangeKind::Step, format!("{}: {}", release.title(), self.stood(name, &release)));
                self.alter(name, note, now, |durable| {
                    durable.set_weight(weight);
                    if let Some(release) = &mut durable.release {
                        release.enter(step);
                    }
                })
            }
            None if release.phase == RolloutPhase::Baking => {
                let side = release.environment;
                let said = format!("{} is promoted: {}; {side} is active", release.title(), self.stood(name, &release));
                self.promote(name, release, self.note(ChangeKind::Promote, said), now)
            }
            None => {
                let weight = service_weight(&release);
                let said = format!("{} has reached its target weight: {weight}", release.title());
                self.pause(name, self.note(ChangeKind::Pause, said), now)
            }
        }
    }

    /// What a step has shown, in words.
    fn stood(&self, name: &str, release: &Release) -> String {
        let requests = crate::guard::evidence::grouped(release.requests);
        let weight = self.services.get(name).map_or(Weight::ZERO, |service| service.durable.weight);
        format!("stayed at {weight} for {} and {requests} requests", release.spent)
    }

    pub(super) fn promote(&mut self, name: &str, release: Release, note: ChangeNote, now: Millis) -> Vec<Effect> {
        self.alter(name, note, now, |durable| durable.promote(release))
    }

    pub(super) fn pause(&mut self, name: &str, note: ChangeNote, now: Millis) -> Vec<Effect> {
        let (who, why) = (note.by.who.clone(), note.why.clone());
        self.alter(name, note, now, |durable| durable.pause(who, why))
    }

    fn watched(&mut self, name: &str, release: &Release, now: Millis) -> Vec<Effect> {
        let said = format!("{} passed its watch of {}", release.title(), release.plan.watch);
        let note = self.note(ChangeKind::Watched, said);
        let ledger = self.ledger(name);
        let mut effects = self.alter(name, note, now, |durable| {
            durable.weight = Weight::ZERO;
            if let Some(release) = &mut durable.release {
                release.spent = release.plan.watch;
            }
        });
        // Later requests are served as the active side's, so the rollout's cost ends here.
        if let Some(ledger) = ledger {
            effects.extend(self.close_book(
                name,
                crate::rollout::ledger::RolloutLedger { closed: true, ..ledger },
                now,
            ));
        }
        if let Some(service) = self.services.get_mut(name) {
            service.clocked = StepClock::default();
            service.book = None;
        }
        effects
    }

    /// The result of a preflight. If it belongs to an earlier rollout, or to one that has been paused or has ended
    /// since, it is ignored.
    pub(super) fn preflighted(
        &mut self,
        name: &str,
        rollout: u32,
        result: Result<String, String>,
        now: Millis,
    ) -> Vec<Effect> {
        let wall = self.wall(now);
        let Some(service) = self.services.get(name) else { return Vec::new() };
        let release = service.durable.release.as_ref().filter(|release| release.phase == RolloutPhase::Preflight);
        let Some(release) = release.filter(|_| service.durable.rollout == rollout) else { return Vec::new() };
        let title = release.title().to_owned();
        match result {
            Err(why) => {
                let note = self.note(ChangeKind::Abort, format!("{title} was not started: {why}"));
                self.alter(name, note, now, |durable| durable.abort(&why))
            }
            Ok(said) if service.durable.frozen(wall).is_some() => {
                let note = self.note(ChangeKind::Pause, format!("{title} is ready but frozen: {said}"));
                self.pause(name, note, now)
            }
            Ok(said) => {
                let note = self.note(ChangeKind::Preflight, format!("{title} is ready: {said}"));
                self.alter(name, note, now, |durable| {
                    let first = durable.release.as_ref().and_then(|release| release.plan.steps.first());
                    let weight = first.map_or(Weight::ZERO, |step| step.weight);
                    durable.set_weight(weight);
                    if let Some(release) = &mut durable.release {
                        release.enter(0);
                    }
                })
            }
        }
    }

    /// An entry that the plan itself makes.
    pub(super) fn note(&self, kind: ChangeKind, why: String) -> ChangeNote {
        ChangeNote::of(kind, Actor::the("plan"), why)
    }
}

fn service_weight(release: &Release) -> Weight {
    release.current().map_or(Weight::ZERO, |step| step.weight)
}

#[cfg(test)]
mod tests;
