//! What people are told of a rollout that waits, and of trouble that comes and goes: everything once, with an end.

use crate::guard::window::WindowSample;
use crate::rollout::held_rollback::RollbackGround;
use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::plan::OnFailure;
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::service_state::{ServiceState, WaitReason};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::told_news::{CALM, StepNews};
use crate::rollout::{AnnouncementLevel, ChangeKind, Effect};
use crate::time::Millis;
use crate::traffic::split::Weight;

/// A step is waited for this long beyond its bake time, or for the bake time again, before it is news.
const PATIENCE: Millis = Millis::seconds(10);
/// A preflight that takes longer is news.
const LONG_PREFLIGHT: Millis = Millis::seconds(60);

impl ServiceUpdate<'_> {
    /// At a tick: what a rollout waits for, where it has waited for long, and that its time is over.
    pub(super) fn tell_waiting(&mut self, reasons: &[WaitReason]) -> Vec<Effect> {
        let now = self.now;
        let ServiceState { durable, news, .. } = &mut *self.state;
        let Some(release) = durable.release.as_ref().filter(|release| release.phase.is_under_way()) else {
            news.step = None;
            return Vec::new();
        };
        let place = (durable.rollout, release.step, release.phase);
        let known = news.step.filter(|step| step.place == place);
        // Once is enough, over a restart too.
        let step = news.step.insert(known.unwrap_or(StepNews::at(place, now, release.told)));
        // Where nothing is copied, a mirror's time does not run: that is news as soon as it would be over.
        let is_dry = release.mirrors() && release.current().is_some_and(|mirror| release.spent >= mirror.bake);
        if !is_dry && reasons.iter().any(|reason| matches!(reason, WaitReason::Bake { .. })) {
            step.baked = now;
        }
        let waited = now.since(step.baked);
        let asks_a_person = reasons.contains(&WaitReason::Approval);
        let is_news = match reasons {
            // Of a gate the answer itself is news.
            [] | [WaitReason::Paused] | [WaitReason::Gate { .. }] => false,
            // So is a rollback that is held.
            reasons if reasons.iter().any(|reason| matches!(reason, WaitReason::Rollback { .. })) => false,
            // A person must act: at once.
            [WaitReason::Approval] => !std::mem::replace(&mut step.approval_told, true),
            [WaitReason::Preflight] => waited >= LONG_PREFLIGHT && !std::mem::replace(&mut step.told, true),
            _ => {
                let bake = release.current().map_or(Millis::ZERO, |step| step.bake);
                let is_late = waited >= bake.max(PATIENCE) && !std::mem::replace(&mut step.told, true);
                // That a person must act as well is said with it.
                step.approval_told |= is_late && asks_a_person;
                is_late
            }
        };
        if !is_news {
            return Vec::new();
        }
        let note = ChangeNote::by(Component::Plan, ChangeKind::Waiting, waiting_for(release, reasons, durable.weight));
        let before = durable.clone();
        if let Some(release) = &mut durable.release {
            release.told = true;
        }
        told(AnnouncementLevel::Warning, self.change(note, Some(before))).into()
    }

    /// At a tick: what happens to a rollout whose time is over, once.
    pub(super) fn pass_deadline(&mut self, reasons: &[WaitReason]) -> Vec<Effect> {
        if let Some(effects) = self.end_long_preflight() {
            return effects;
        }
        let ServiceState { durable, news, .. } = &mut *self.state;
        let moves = |phase| matches!(phase, RolloutPhase::Shifting | RolloutPhase::Baking);
        let release = durable.release.as_ref().filter(|release| moves(release.phase) && !durable.stopped);
        let past = release.and_then(|release| {
            let deadline = release.plan.deadline.filter(|deadline| release.lasted >= *deadline)?;
            Some((release, deadline))
        });
        let Some((release, deadline)) = past.filter(|_| news.past_deadline != Some(durable.rollout)) else {
            return Vec::new();
        };
        news.past_deadline = Some(durable.rollout);
        let said = waiting_for(release, reasons, durable.weight);
        let why = format!("past its deadline of {deadline}: {said}");
        match release.plan.on_deadline {
            OnFailure::Rollback if !durable.unwatched => {
                let note = ChangeNote::by(Component::Plan, ChangeKind::Rollback, why);
                self.roll_back_safely(note, RollbackGround::Plan)
            }
            OnFailure::Rollback | OnFailure::Hold => {
                self.pause(ChangeNote::by(Component::Plan, ChangeKind::Deadline, why))
            }
        }
    }

    /// A preflight that has not ended when the time of the whole rollout is over never began anything.
    fn end_long_preflight(&mut self) -> Option<Vec<Effect>> {
        let wall = self.wall();
        let release = self.state.durable.release.as_ref()?;
        let deadline = release.plan.deadline.filter(|_| release.phase == RolloutPhase::Preflight)?;
        if wall.saturating_sub(release.at) < deadline.0 {
            return None;
        }
        let why = format!(
            "{} was not started: its preflight has not ended within its deadline of {deadline}",
            release.title()
        );
        let note = ChangeNote::by(Component::Plan, ChangeKind::Abort, why.clone());
        Some(self.alter(note, |durable| durable.abort(&why)))
    }

    /// Active is broken, which no step and no rollback mends.
    pub(super) fn tell_broken_active(&mut self, found: Option<[WindowSample; 2]>) -> Vec<Effect> {
        let Some([active, candidate]) = found else {
            self.state.news.broken_active.pauses(self.now);
            return Vec::new();
        };
        // Once it is promoted it is what was.
        if self.state.durable.is_watching() || !self.state.news.broken_active.begins() {
            return Vec::new();
        }
        let side = self.state.durable.active;
        let why = format!(
            "{side}, active, fails {} of {} in {}, {} {} of {}: `cutover promote` sends everybody there, and `cutover deploy \
             --rescue` deploys what mends it without the steps of the plan",
            active.failed,
            active.answers,
            active.span,
            side.other(),
            candidate.failed,
            candidate.answers
        );
        let before = self.state.durable.clone();
        let note = ChangeNote::by(Component::Guard, ChangeKind::ActiveBroken, why);
        told(AnnouncementLevel::Critical, self.change(note, Some(before))).into()
    }

    /// At a tick: trouble that has been over for long enough has its end.
    pub(super) fn tell_ends(&mut self) -> Vec<Effect> {
        let now = self.now;
        let news = &mut self.state.news;
        let caution =
            news.caution.is_over(now).then_some((ChangeKind::CautionOver, "the candidate is tried again as before"));
        let shared = news.shared.is_over(now).then_some((ChangeKind::SharedFateOver, "no longer both sides fail"));
        let mut effects = Vec::new();
        let active = news.broken_active.is_over(now);
        let active = active.then_some((ChangeKind::ActiveBrokenOver, "active no longer fails more than the candidate"));
        let split = news.sample_ratio.is_over(now);
        let split = split.then_some((ChangeKind::SampleRatioOver, "the two sides get the shares that were promised"));
        for (kind, why) in [caution, shared, active, split].into_iter().flatten() {
            let note = ChangeNote::by(Component::Guard, kind, format!("{why}: calm for {CALM}"));
            let mut change = self.change(note, None);
            change.ledger = self.ledger();
            effects.extend(told(AnnouncementLevel::Info, change));
        }
        effects
    }
}

/// What a rollout waits for, in words.
fn waiting_for(release: &Release, reasons: &[WaitReason], weight: Weight) -> String {
    let reasons: Vec<String> = reasons.iter().map(WaitReason::to_string).collect();
    let step = format!("step {} of {}", release.step + 1, release.plan.steps.len());
    format!("{} waits at {weight} ({step}) for {}, {} so far", release.title(), reasons.join("; "), release.spent)
}
