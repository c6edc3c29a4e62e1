//! What the guard rolls back, holds or warns of, and how a change becomes a journal entry.

use crate::guard::evidence::tape::EvidenceTape;
use crate::guard::trigger::TriggerAction;
use crate::guard::{Judgement, Observation, Verdict, sentence};
use crate::rollout::caution::CautionChange;
use crate::rollout::journal_entries::{Actor, ChangeNote, told};
use crate::rollout::judged_scope::WatchWarning;
use crate::rollout::ledger::RolloutLedger;
use crate::rollout::release::RolloutPhase;
use crate::rollout::{
    AnnouncementLevel, AuditRemark, ChangeKind, DurableState, Effect, JournalChange, JudgementRecord, State,
};
use crate::time::Millis;

impl State {
    pub(super) fn guard_rollback(
        &mut self,
        name: &str,
        sight: Observation,
        judgement: Judgement,
        tape: Option<EvidenceTape>,
        now: Millis,
    ) -> Vec<Effect> {
        let (Some(service), Verdict::Unhealthy(reason)) = (self.services.get(name), &judgement.verdict) else {
            return Vec::new();
        };
        let subject = service.durable.subject();
        let why = sentence(&service.policy, &sight, reason, subject.other().name(), subject.name());
        let evidence = JudgementRecord { policy: service.policy.clone(), sight, judgement, tape };
        self.roll_back(name, ChangeNote::judged(ChangeKind::Rollback, why, evidence), now)
    }

    pub(super) fn warn(
        &mut self,
        name: &str,
        news: WatchWarning,
        sight: Observation,
        judgement: Judgement,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
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
        let before = service.durable.clone();
        let evidence = JudgementRecord { policy: service.policy.clone(), sight, judgement, tape: None };
        let note = ChangeNote::judged(kind, why, evidence);
        let release = before.release.as_ref().filter(|release| release.phase.is_under_way());
        if kind == ChangeKind::Pause && release.is_some_and(|release| release.phase != RolloutPhase::Paused) {
            return self.pause(name, note, now);
        }
        let change = self.change(name, note, Some(before), now);
        change.map_or(Vec::new(), |change| told(level, change).into())
    }

    /// Caution begins or ends; requests of the next generation follow it.
    pub(super) fn turn(
        &mut self,
        name: &str,
        turn: CautionChange,
        sight: Observation,
        judgement: Judgement,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
        let candidate = service.durable.active.other();
        let evidence = JudgementRecord { policy: service.policy.clone(), sight, judgement, tape: None };
        let (kind, why) = match turn {
            CautionChange::Begins(why) => {
                (ChangeKind::Caution, format!("{why}: only requests that could be rescued go to {candidate} now"))
            }
            CautionChange::Ends(why) => (ChangeKind::CautionOver, why),
        };
        let before = service.durable.clone();
        self.generation += 1;
        let Some(mut change) = self.change(name, ChangeNote::judged(kind, why, evidence), Some(before), now) else {
            return Vec::new();
        };
        change.ledger = self.ledger(name);
        let level = if kind == ChangeKind::Caution { AnnouncementLevel::Warning } else { AnnouncementLevel::Info };
        std::iter::once(Effect::Publish).chain(told(level, change)).collect()
    }

    /// A rollout's last request has ended.
    pub(super) fn close_book(&mut self, name: &str, ledger: RolloutLedger, now: Millis) -> Vec<Effect> {
        let RolloutLedger { rollout, requests, failed, rescued, hurt, turned_away, .. } = ledger;
        let why = format!(
            "rollout {rollout} is over: {requests} requests, {failed} failed, {rescued} rescued, {hurt} seen by clients, \
             {turned_away} turned away"
        );
        let note = ChangeNote::of(ChangeKind::Ledger, Actor::the("guard"), why);
        let Some(mut change) = self.change(name, note, None, now) else { return Vec::new() };
        change.ledger = Some(ledger);
        told(AnnouncementLevel::Info, change).into()
    }

    /// An entry that changes nothing. It is not announced: those who want to know read the journal.
    pub(super) fn remarked(&mut self, remark: AuditRemark, now: Millis) -> Vec<Effect> {
        let AuditRemark { kind, service, who, from, why } = remark;
        self.last_entry += 1;
        vec![Effect::Journal(Box::new(JournalChange {
            id: self.last_entry,
            generation: self.generation,
            uptime: now,
            service,
            kind,
            who,
            from,
            key: None,
            why,
            before: None,
            after: None,
            evidence: None,
            ledger: None,
        }))]
    }

    pub(super) fn change(
        &mut self,
        name: &str,
        note: ChangeNote,
        before: Option<DurableState>,
        now: Millis,
    ) -> Option<JournalChange> {
        let after = self.services.get(name)?.durable.clone();
        let ChangeNote { kind, by: Actor { who, from, key }, why, evidence } = note;
        self.last_entry += 1;
        Some(JournalChange {
            id: self.last_entry,
            generation: self.generation,
            uptime: now,
            service: name.to_owned(),
            kind,
            who,
            from,
            key,
            why,
            before,
            after: Some(after),
            evidence,
            ledger: None,
        })
    }
}
