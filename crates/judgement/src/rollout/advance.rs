//! The plan's own moves: from preflight to the first step, from step to step, to the promotion, and through the watch.

use crate::rollout::journal_entries::{ChangeNote, Component};
use crate::rollout::ledger::RolloutLedger;
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::service_state::{StepClock, WaitReason};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::{ChangeKind, Effect};
use crate::traffic::split::Weight;

impl ServiceUpdate<'_> {
    /// What the plan does on its own at a tick of the grid.
    /// `reasons`: what it waits for.
    pub(super) fn advance(&mut self, reasons: &[WaitReason]) -> Vec<Effect> {
        let due = self.state.is_due(self.now);
        let keep = || if due { vec![Effect::Keep(self.name.to_owned())] } else { Vec::new() };
        let Some(release) = self.state.durable.release.clone() else { return Vec::new() };
        if release.phase == RolloutPhase::Promoted {
            let over = self.state.clocked.running.is_some() && !release.is_watched();
            return if over { self.watched(&release) } else { keep() };
        }
        let moves = matches!(release.phase, RolloutPhase::Shifting | RolloutPhase::Baking);
        if !moves || self.state.durable.stopped || !reasons.is_empty() {
            return keep();
        }
        match release.next().map(|step| step.weight) {
            Some(weight) => {
                let step = release.step + 1;
                let note = ChangeNote::by(
                    Component::Plan,
                    ChangeKind::Step,
                    format!("{}: {}", release.title(), self.stood(&release)),
                );
                self.alter(note, |durable| {
                    durable.set_weight(weight);
                    if let Some(release) = &mut durable.release {
                        release.enter(step);
                    }
                })
            }
            None if release.phase == RolloutPhase::Baking => {
                let side = release.environment;
                let said = format!("{} is promoted: {}; {side} is active", release.title(), self.stood(&release));
                self.promote(release, ChangeNote::by(Component::Plan, ChangeKind::Promote, said))
            }
            None => {
                let weight = service_weight(&release);
                let said = format!("{} has reached its target weight: {weight}", release.title());
                self.pause(ChangeNote::by(Component::Plan, ChangeKind::Pause, said))
            }
        }
    }

    /// What a step has shown, in words.
    fn stood(&self, release: &Release) -> String {
        let requests = crate::guard::evidence::grouped(release.requests);
        let weight = self.state.durable.weight;
        if release.current().is_some_and(|step| step.mirror.is_some()) {
            return self.state.shadow_in_words();
        }
        format!("stayed at {weight} for {} and {requests} requests", release.spent)
    }

    fn watched(&mut self, release: &Release) -> Vec<Effect> {
        let said = format!("{} passed its watch of {}", release.title(), release.plan.watch);
        let note = ChangeNote::by(Component::Plan, ChangeKind::Watched, said);
        let ledger = self.ledger();
        let mut effects = self.alter(note, |durable| {
            durable.weight = Weight::ZERO;
            if let Some(release) = &mut durable.release {
                release.spent = release.plan.watch;
            }
        });
        // Later requests are served as the active side's, so the rollout's cost ends here.
        if let Some(ledger) = ledger {
            effects.extend(self.close_book(RolloutLedger { closed: true, ..ledger }));
        }
        self.state.clocked = StepClock::default();
        self.state.book = None;
        effects
    }

    /// The result of a preflight. If it belongs to an earlier rollout, or to one that has been paused or has ended
    /// since, it is ignored.
    pub(super) fn preflighted(&mut self, rollout: u32, result: Result<String, String>) -> Vec<Effect> {
        let wall = self.wall();
        let release = self.state.durable.release.as_ref().filter(|release| release.phase == RolloutPhase::Preflight);
        let Some(release) = release.filter(|_| self.state.durable.rollout == rollout) else { return Vec::new() };
        let title = release.title().to_owned();
        match result {
            Err(why) => {
                let note =
                    ChangeNote::by(Component::Plan, ChangeKind::Abort, format!("{title} was not started: {why}"));
                self.alter(note, |durable| durable.abort(&why))
            }
            Ok(said) if release.rescue => {
                let release = release.clone();
                let why = format!("{title} is ready: {said}; promoted at once, as a rescue");
                self.promote(release, ChangeNote::by(Component::Plan, ChangeKind::Promote, why))
            }
            Ok(said) if !release.passes_freeze && self.state.frozen(wall).is_some() => {
                let note =
                    ChangeNote::by(Component::Plan, ChangeKind::Pause, format!("{title} is ready but frozen: {said}"));
                self.pause(note)
            }
            Ok(said) if self.state.holds_first_step() => {
                self.state.gates.ready = Some(said);
                Vec::new()
            }
            Ok(said) => {
                let note = ChangeNote::by(Component::Plan, ChangeKind::Preflight, format!("{title} is ready: {said}"));
                self.alter(note, |durable| {
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
}

fn service_weight(release: &Release) -> Weight {
    release.current().map_or(Weight::ZERO, |step| step.weight)
}

#[cfg(test)]
mod tests;
