//! What people are told of a rollout that waits, and of trouble that comes and goes: everything once, with an end.

use crate::guard::window::WindowSample;
use crate::rollout::held_rollback::RollbackGround;
use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::plan::OnFailure;
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::service_state::WaitReason;
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::told_news::CALM;
use crate::rollout::{AnnouncementLevel, ChangeKind, Effect};
use crate::time::Millis;

/// A step is waited for this long beyond its bake time, or for the bake time again, before it is news.
const PATIENCE: Millis = Millis::seconds(10);
/// A preflight that takes longer is news.
const LONG_PREFLIGHT: Millis = Millis::seconds(60);

impl ServiceUpdate<'_> {
    /// At a tick: what a rollout waits for, where it has waited for long, and that its time is over.
    pub(super) fn tell_waiting(&mut self) -> Vec<Effect> {
        let Some(release) = self.state.durable.release.clone().filter(|release| release.phase.is_under_way()) else {
            self.state.news.place = None;
            return Vec::new();
        };
        if let Some(effects) = self.pass_deadline(&release) {
            return effects;
        }
        let reasons = self.state.waiting(self.wall());
        let now = self.now;
        let place = (self.state.durable.rollout, release.step, release.phase);
        let news = &mut self.state.news;
        let bakes = |reason: &WaitReason| matches!(reason, WaitReason::Bake { .. });
        let since = match news.place {
            Some((rollout, step, phase, since)) if (rollout, step, phase) == place => {
                if reasons.iter().any(bakes) {
                    now
                } else {
                    since
                }
            }
            _ => {
                (news.told, news.approval_told) = (false, false);
                now
            }
        };
        news.place = Some((place.0, place.1, place.2, since));
        let waited = now.since(since);
        let is_news = match reasons.as_slice() {
            [] | [WaitReason::Paused] => false,
            // A person must act: at once.
            [WaitReason::Approval] => !std::mem::replace(&mut news.approval_told, true),
            [WaitReason::Preflight] => waited >= LONG_PREFLIGHT && !std::mem::replace(&mut news.told, true),
            _ => {
                let bake = release.current().map_or(Millis::ZERO, |step| step.bake);
                waited >= bake.max(PATIENCE) && !std::mem::replace(&mut news.told, true)
            }
        };
        if !is_news {
            return Vec::new();
        }
        let why = waiting_for(&release, &reasons, self.state.durable.weight);
        let note = ChangeNote::by(Component::Plan, ChangeKind::Waiting, why);
        let before = self.state.durable.clone();
        told(AnnouncementLevel::Warning, self.change(note, Some(before))).into()
    }

    /// What happens to a rollout whose time is over: once.
    fn pass_deadline(&mut self, release: &Release) -> Option<Vec<Effect>> {
        let deadline = release.plan.deadline.filter(|deadline| release.lasted >= *deadline)?;
        let moves = matches!(release.phase, RolloutPhase::Shifting | RolloutPhase::Baking);
        if !moves || self.state.durable.stopped || std::mem::replace(&mut self.state.news.deadline_told, true) {
            return None;
        }
        let reasons = self.state.waiting(self.wall());
        let said = waiting_for(release, &reasons, self.state.durable.weight);
        let why = format!("past its deadline of {deadline}: {said}");
        Some(match release.plan.on_deadline {
            OnFailure::Rollback if !self.state.durable.unwatched => {
                let note = ChangeNote::by(Component::Plan, ChangeKind::Rollback, why);
                self.roll_back_safely(note, RollbackGround::Plan)
            }
            OnFailure::Rollback | OnFailure::Hold => {
                self.pause(ChangeNote::by(Component::Plan, ChangeKind::Deadline, why))
            }
        })
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
        for (kind, why) in [caution, shared, active].into_iter().flatten() {
            let note = ChangeNote::by(Component::Guard, kind, format!("{why}: calm for {CALM}"));
            let mut change = self.change(note, None);
            change.ledger = self.ledger();
            effects.extend(told(AnnouncementLevel::Info, change));
        }
        effects
    }
}

/// What a rollout waits for, in words.
fn waiting_for(release: &Release, reasons: &[WaitReason], weight: crate::traffic::split::Weight) -> String {
    let reasons: Vec<String> = reasons.iter().map(WaitReason::to_string).collect();
    let step = format!("step {} of {}", release.step + 1, release.plan.steps.len());
    format!("{} waits at {weight} ({step}) for {}, {} so far", release.title(), reasons.join("; "), release.spent)
}
