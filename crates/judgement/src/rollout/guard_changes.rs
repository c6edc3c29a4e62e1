//! What the guard rolls back, holds or warns of, and how a change becomes a journal entry.

use crate::guard::evidence::tape::EvidenceTape;
use crate::guard::trigger::TriggerAction;
use crate::guard::{Judgement, Observation, Verdict, sentence};
use crate::rollout::caution::CautionChange;
use crate::rollout::held_rollback::RollbackGround;
use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::judged_scope::WatchWarning;
use crate::rollout::ledger::{RolloutLedger, rescues_in_words};
use crate::rollout::release::RolloutPhase;
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::{AnnouncementLevel, ChangeKind, Effect, JudgementRecord};

impl ServiceUpdate<'_> {
    pub(super) fn guard_rollback(
        &mut self,
        sight: Observation,
        judgement: Judgement,
        tape: Option<EvidenceTape>,
    ) -> Vec<Effect> {
        let Verdict::Unhealthy(reason) = &judgement.verdict else { return Vec::new() };
        let service = &self.state;
        let subject = service.durable.subject();
        let why = sentence(&service.policy, &sight, reason, subject.other().name(), subject.name());
        let evidence = JudgementRecord { policy: service.policy.clone(), sight, judgement, tape };
        let note = ChangeNote::judged(ChangeKind::Rollback, why, evidence);
        self.roll_back_safely(note, RollbackGround::Verdict)
    }

    pub(super) fn warn(&mut self, news: WatchWarning, sight: Observation, judgement: Judgement) -> Vec<Effect> {
        // It comes and goes, on one route or another, and is told once.
        if news == WatchWarning::SharedFate && !self.state.news.shared.begins() {
            return Vec::new();
        }
        let service = &self.state;
        let place = sight.route.as_ref().map_or(String::new(), |route| format!(" on route {route}"));
        let trigger = match news {
            WatchWarning::Fired(place) => service.policy.triggers.get(place),
            WatchWarning::SharedFate => None,
        };
        let (kind, level, why) = match trigger {
            None => (
                ChangeKind::SharedFate,
                AnnouncementLevel::Critical,
                format!("both sides fail{place}: holding, no rollback"),
            ),
            Some(trigger) => {
                let value = judgement
                    .fired
                    .iter()
                    .find(|(at, _)| WatchWarning::Fired(*at) == news)
                    .map_or(0.0, |(_, value)| *value);
                let (kind, level) = match trigger.action {
                    TriggerAction::Warn => (ChangeKind::Warning, AnnouncementLevel::Warning),
                    TriggerAction::Pause | TriggerAction::Rollback => (ChangeKind::Pause, AnnouncementLevel::Critical),
                };
                let (metric, candidate) = (trigger.metric, service.durable.subject());
                let why = format!("{}{place}: {candidate} {} is {}", trigger.name, metric.name(), metric.show(value));
                (kind, level, why)
            }
        };
        let evidence = JudgementRecord { policy: service.policy.clone(), sight, judgement, tape: None };
        self.pause_or_tell(level, ChangeNote::judged(kind, why, evidence))
    }

    /// A pause, where there is a rollout to pause; otherwise people are told, and nothing changes.
    pub(super) fn pause_or_tell(&mut self, level: AnnouncementLevel, note: ChangeNote) -> Vec<Effect> {
        let before = self.state.durable.clone();
        let release = before.release.as_ref().filter(|release| release.phase.is_under_way());
        if note.kind == ChangeKind::Pause && release.is_some_and(|release| release.phase != RolloutPhase::Paused) {
            return self.pause(note);
        }
        told(level, self.change(note, Some(before))).into()
    }

    /// Caution begins or ends; requests of the next generation follow it. People are told of the beginning, and of an end
    /// that lasts.
    pub(super) fn turn(&mut self, turn: CautionChange, sight: Observation, judgement: Judgement) -> Vec<Effect> {
        self.sequence.generation += 1;
        let why = match turn {
            CautionChange::Begins(why) if self.state.news.caution.begins() => why,
            CautionChange::Begins(_) => return vec![Effect::Publish],
            CautionChange::Ends => {
                self.state.news.caution.pauses(self.now);
                return vec![Effect::Publish];
            }
        };
        let service = &self.state;
        let candidate = service.durable.active.other();
        let evidence = JudgementRecord { policy: service.policy.clone(), sight, judgement, tape: None };
        let why = format!("{why}: only requests that could be rescued go to {candidate} now");
        let before = service.durable.clone();
        let mut change = self.change(ChangeNote::judged(ChangeKind::Caution, why, evidence), Some(before));
        change.ledger = self.ledger();
        std::iter::once(Effect::Publish).chain(told(AnnouncementLevel::Warning, change)).collect()
    }

    /// A rollout's last request has ended.
    pub(super) fn close_book(&mut self, ledger: RolloutLedger) -> Vec<Effect> {
        let RolloutLedger { rollout, requests, left, failed, rescued, hurt, turned_away, .. } = ledger;
        let rescues = rescues_in_words(ledger.served_again(), rescued);
        let why = format!(
            "rollout {rollout} is over: {requests} requests, {failed} failed, {rescues}, {hurt} seen by clients, \
             {left} left by clients, {turned_away} turned away"
        );
        let note = ChangeNote::by(Component::Guard, ChangeKind::Ledger, why);
        let mut change = self.change(note, None);
        change.ledger = Some(ledger);
        told(AnnouncementLevel::Info, change).into()
    }
}
