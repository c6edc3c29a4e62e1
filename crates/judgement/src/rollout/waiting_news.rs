//! What people are told of a rollout that waits, and of trouble that comes and goes: everything once, with an end.

use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::plan::OnFailure;
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::safe_place::RollbackGround;
use crate::rollout::service_state::WaitReason;
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::{AnnouncementLevel, ChangeKind, Effect};
use crate::time::Millis;

/// A step is waited for this long beyond its bake time, or for the bake time again, before it is news.
const PATIENCE: Millis = Millis::seconds(10);
/// A preflight that takes longer is news.
const LONG_PREFLIGHT: Millis = Millis::seconds(60);
/// Trouble that comes again within this time has not ended.
const CALM: Millis = Millis::seconds(30);

/// What has been told of the current step, and of the current trouble.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitingNews {
    /// The rollout and its step, and since when it has nothing left to bake.
    place: Option<(u32, usize, RolloutPhase, Millis)>,
    told: bool,
    approval_told: bool,
    deadline_told: bool,
    pub caution: Episode,
    pub shared: Episode,
}

/// Something that is on and off, and has one beginning and one end for people.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Episode {
    /// It has been told, and is on, or has been off since then.
    open: Option<Option<Millis>>,
}

impl Episode {
    /// It is on; returns whether that is news.
    pub fn begins(&mut self) -> bool {
        self.open.replace(None).is_none()
    }

    /// It is off for now.
    pub fn pauses(&mut self, now: Millis) {
        if let Some(off) = &mut self.open {
            off.get_or_insert(now);
        }
    }

    /// Whether it has been off for long enough to be over; that is said once.
    pub fn is_over(&mut self, now: Millis) -> bool {
        let is_over = self.open.flatten().is_some_and(|off| now.since(off) >= CALM);
        if is_over {
            self.open = None;
        }
        is_over
    }
}

impl WaitingNews {
    /// What the watch saw has an end with it.
    pub fn end_watch(&mut self) {
        (self.caution, self.shared) = Default::default();
    }
}

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

    /// At a tick: trouble that has been over for long enough has its end.
    pub(super) fn tell_ends(&mut self) -> Vec<Effect> {
        let now = self.now;
        let news = &mut self.state.news;
        let caution =
            news.caution.is_over(now).then_some((ChangeKind::CautionOver, "the candidate is tried again as before"));
        let shared = news.shared.is_over(now).then_some((ChangeKind::SharedFateOver, "no longer both sides fail"));
        let mut effects = Vec::new();
        for (kind, why) in [caution, shared].into_iter().flatten() {
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
