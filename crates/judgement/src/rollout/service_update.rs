//! One service while an event is applied to it: every change of it goes through here, and gets its generation and its entry.

use crate::rollout::gate_hook::GateHook;
use crate::rollout::held_rollback::GradualReturn;
use crate::rollout::journal_entries::{Actor, ChangeNote};
use crate::rollout::ledger::{OpenLedger, RolloutLedger};
use crate::rollout::release::Release;
use crate::rollout::service_state::ServiceState;
use crate::rollout::{Announcement, ChangeKind, DurableState, Effect, JournalChange};
use crate::time::Millis;

/// What all services share, and every change moves on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence {
    pub generation: u64,
    pub last_entry: u64,
    /// Questions asked of sides that a rollback would go to.
    pub probes: u32,
    /// Questions asked of other systems, gates included.
    pub questions: u64,
    /// The time of day at zero of the monotonic clock, in milliseconds since 1970.
    pub began: u64,
}

impl Sequence {
    /// The number of the next question to another system.
    pub fn next_question(&mut self) -> u64 {
        self.questions += 1;
        self.questions
    }
}

pub(super) struct ServiceUpdate<'s> {
    pub name: &'s str,
    pub state: &'s mut ServiceState,
    pub sequence: &'s mut Sequence,
    pub now: Millis,
}

impl ServiceUpdate<'_> {
    /// The time of day in milliseconds since 1970, on a clock that nobody sets.
    pub(super) fn wall(&self) -> u64 {
        self.sequence.began + self.now.0
    }

    /// What the rollout has cost so far.
    pub(super) fn ledger(&self) -> Option<RolloutLedger> {
        self.state.book.as_ref().map(OpenLedger::ledger)
    }

    pub(super) fn roll_back(&mut self, note: ChangeNote) -> Vec<Effect> {
        let (entry, why) = (self.sequence.last_entry + 1, note.why.clone());
        let share = self.state.durable.subject_share();
        let plan = self.state.durable.release.as_ref().map_or(&self.state.plan, |release| &release.plan);
        let over = plan.return_over;
        let effects = self.alter(note, |durable| durable.roll_back(&why, entry));
        self.state.returning = GradualReturn::begin(self.now, over, share);
        effects
    }

    pub(super) fn promote(&mut self, release: Release, note: ChangeNote) -> Vec<Effect> {
        let replaced = Some(self.state.url(release.environment.other()).to_owned());
        let old = self.state.as_replaced(self.wall());
        self.alter(note, |durable| durable.promote(Release { replaced, ..release }, old))
    }

    pub(super) fn pause(&mut self, note: ChangeNote) -> Vec<Effect> {
        let (who, why) = (note.by.who.clone(), note.why.clone());
        self.alter(note, |durable| durable.pause(who, why))
    }

    /// Changes the durable state, as one generation with its entry and its announcement.
    pub(super) fn alter(&mut self, note: ChangeNote, change: impl FnOnce(&mut DurableState)) -> Vec<Effect> {
        let before = self.state.durable.clone();
        self.state.returning = None;
        change(&mut self.state.durable);
        if before.epoch != self.state.durable.epoch || !self.state.durable.is_judged() {
            (self.state.held, self.state.durable.before) = (None, None);
            self.state.end_watch(self.now, note.kind == ChangeKind::Rollback && note.evidence.is_some());
        }
        let has_ended = self.state.durable.has_ended_since(&before) && self.state.gates.has(GateHook::PostRollout);
        if let Some(release) = self.state.durable.release.as_mut().filter(|_| has_ended) {
            release.gates.owed = true;
        }
        let kind = note.kind;
        self.sequence.generation += 1;
        let (level, text) = note.told(&before, &self.state.durable);
        let mut change = self.change(note, Some(before));
        if kind == ChangeKind::Rollback {
            change.ledger = self.ledger();
        }
        let news = Announcement { level, service: self.name.to_owned(), kind, text, entry: change.id };
        let told = [Effect::Publish, Effect::Journal(Box::new(change)), Effect::Announce(news)];
        let mut effects: Vec<Effect> = told.into_iter().chain(self.order_suites()).collect();
        if has_ended {
            effects.extend(self.tell_gates(GateHook::PostRollout, None));
        }
        effects
    }

    /// The journal's next entry: the state as it is now, and as it was before.
    pub(super) fn change(&mut self, note: ChangeNote, before: Option<DurableState>) -> JournalChange {
        let ChangeNote { kind, by: Actor { who, from, key }, why, evidence, figure, gate } = note;
        self.sequence.last_entry += 1;
        JournalChange {
            id: self.sequence.last_entry,
            generation: self.sequence.generation,
            uptime: self.now,
            service: self.name.to_owned(),
            kind,
            who,
            from,
            key,
            why,
            // Once is enough, and it is no part of what has changed.
            before: before.map(|before| DurableState { before: None, ..before }),
            after: Some(self.state.durable.clone()),
            evidence,
            figure,
            gate,
            ledger: None,
        }
    }
}
