//! Where a rollback goes. A side that is not there is no safe place: it must have served clients a moment ago, or answer
//! when it is asked. If it does not, everything stays where it is, and people are told what would help.

use crate::rollout::held_rollback::{HeldRollback, RollbackGround};
use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::{AnnouncementLevel, ChangeKind, Effect, ProbeRequest};
use crate::time::Millis;
use crate::traffic::Environment;

/// A verdict that nobody has reached again for this long no longer stands.
const STANDS: Millis = Millis::seconds(3);
/// How long to wait before asking again: twice as long each time, up to the second.
const AGAIN: Millis = Millis::seconds(1);
const AGAIN_AT_MOST: Millis = Millis::seconds(15);
/// The split moves when the share has changed by this much, in basis points.
const NOTCH: u16 = 100;

impl ServiceUpdate<'_> {
    /// An automatic rollback: at once if its target is known to serve, otherwise once it has answered.
    pub(super) fn roll_back_safely(&mut self, note: ChangeNote, ground: RollbackGround) -> Vec<Effect> {
        let target = self.state.durable.subject().other();
        let is_known = *target.of(&self.state.up) && self.state.served.is_fresh(target, self.now);
        if is_known && self.state.replaced_since(target).is_none() {
            return self.roll_back(note);
        }
        if let Some(held) = &mut self.state.held {
            held.stood = self.now;
            return Vec::new();
        }
        let (asked, stood) = (Err(self.now), self.now);
        self.state.held = Some(HeldRollback { note, ground, stood, asked, wait: AGAIN, why: None, told: false });
        self.ask_again().into_iter().collect()
    }

    /// The target's answer: a summary, or why it cannot take the clients.
    pub(super) fn probed(&mut self, number: u32, result: Result<String, String>) -> Vec<Effect> {
        let Some(held) = self.state.held.take_if(|held| held.asked == Ok(number)) else { return Vec::new() };
        let target = self.state.durable.subject().other();
        // Its own checks know more than one answer does.
        let checked = match self.state.replaced_since(target) {
            Some(why) => Err(why),
            None if *target.of(&self.state.up) => result,
            None => Err("is down by its health checks".to_owned()),
        };
        let Err(why) = checked else { return self.roll_back(held.note) };
        let wait = Millis(held.wait.0 * 2).min(AGAIN_AT_MOST);
        let asked = Err(self.now.plus(held.wait));
        let help = match self.state.replaced_since(target) {
            Some(_) => "`cutover rollback` sends everybody there all the same".to_owned(),
            None => format!("start {target}, and the rollback follows by itself"),
        };
        let said = format!(
            "{}; not rolled back, because {target} {why}: {help}, or deploy a version that works",
            held.note.why
        );
        let note = ChangeNote { kind: ChangeKind::RollbackHeld, why: said, ..held.note.clone() };
        let is_news = !held.told;
        self.state.held = Some(HeldRollback { asked, wait, why: Some(format!("{target} {why}")), told: true, ..held });
        if !is_news {
            return Vec::new();
        }
        let before = self.state.durable.clone();
        told(AnnouncementLevel::Critical, self.change(note, Some(before))).into()
    }

    /// At a tick: a held rollback is dropped where its ground has gone, and its target is asked again when it is time.
    pub(super) fn mind_held(&mut self) -> Vec<Effect> {
        let Some(held) = &self.state.held else { return Vec::new() };
        let side = self.state.durable.subject();
        let is_over = match held.ground {
            _ if self.state.durable.stopped => true,
            RollbackGround::Verdict => self.now.since(held.stood) > STANDS && held.asked.is_err(),
            RollbackGround::Figure => !self.state.figures.call_for_rollback(&self.state.policy.metrics),
            RollbackGround::Gate => {
                let durable = &self.state.durable;
                !(durable.is_under_way() || durable.is_watching()) || !self.state.gates.call_for_rollback()
            }
            RollbackGround::Down => !*side.of(&self.state.failing),
            RollbackGround::Plan => !self.state.durable.is_under_way(),
        };
        if !is_over {
            return self.ask_again().into_iter().collect();
        }
        let held = self.state.held.take().filter(|held| held.told);
        let told = held.map(|held| {
            let why = format!("{side} is well again: it stays, and is not rolled back");
            let note = ChangeNote {
                kind: ChangeKind::RollbackDropped,
                why,
                evidence: None,
                figure: None,
                gate: None,
                ..held.note
            };
            told(AnnouncementLevel::Info, self.change(note, None))
        });
        told.into_iter().flatten().collect()
    }

    /// The next question to the target, if it is time for one.
    fn ask_again(&mut self) -> Option<Effect> {
        let environment = self.state.durable.subject().other();
        let plan = self.state.durable.release.as_ref().map_or(&self.state.plan, |release| &release.plan);
        let path = plan.warm_up.path.clone();
        let held = self.state.held.as_mut().filter(|held| held.asked.is_err_and(|at| self.now >= at))?;
        self.sequence.probes += 1;
        let number = self.sequence.probes;
        held.asked = Ok(number);
        Some(Effect::Probe(ProbeRequest { service: self.name.to_owned(), environment, path, number }))
    }
}

impl ServiceUpdate<'_> {
    /// At a tick: a gradual rollback goes on. Where its target goes down on the way, the clients go back to the side that
    /// still answers, and it begins anew when the target is up.
    pub(super) fn go_on_returning(&mut self) -> Vec<Effect> {
        let target = self.state.durable.active;
        let [is_up, other_is_up] = [target, target.other()].map(|side| *side.of(&self.state.up));
        let Some(returning) = self.state.returning.as_mut() else { return Vec::new() };
        let turns_back = !is_up && other_is_up;
        let was_back = std::mem::replace(&mut returning.turned_back, turns_back);
        if turns_back {
            returning.begin_again(self.now);
            return if was_back { Vec::new() } else { self.tell_turned_back(target) };
        }
        let left = returning.left_at(self.now);
        if !left.is_zero() && returning.left.basis_points() - left.basis_points() < NOTCH {
            return Vec::new();
        }
        returning.left = left;
        if left.is_zero() {
            self.state.returning = None;
        }
        self.sequence.generation += 1;
        vec![Effect::Publish]
    }

    fn tell_turned_back(&mut self, target: Environment) -> Vec<Effect> {
        self.sequence.generation += 1;
        let why = format!(
            "{target} is down by its health checks: its share of the clients is back on {}, and returns when {target} is up",
            target.other()
        );
        let before = self.state.durable.clone();
        let change = self.change(ChangeNote::by(Component::Health, ChangeKind::RollbackHeld, why), Some(before));
        [Effect::Publish].into_iter().chain(told(AnnouncementLevel::Critical, change)).collect()
    }
}
