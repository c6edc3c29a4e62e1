//! What the state says of its changes: the entries of the journal and the news, with their reasons in words.

use crate::guard::evidence::tape::Tape;
use crate::guard::trigger::Action;
use crate::guard::{Judgement, Sight, Verdict, sentence};
use crate::rollout::caution::Turn;
use crate::rollout::ledger::Ledger;
use crate::rollout::release::Phase;
use crate::rollout::watch::News;
use crate::rollout::{Announcement, Change, Durable, Effect, Evidence, Kind, Level, Remark, State};
use crate::time::Millis;

/// Who wants a change.
#[derive(Clone, Debug, Default)]
pub(super) struct By {
    pub who: String,
    pub from: Option<String>,
    pub key: Option<String>,
}

impl By {
    /// A part of the house.
    pub fn the(who: &str) -> By {
        By { who: who.to_owned(), ..By::default() }
    }
}

/// What an entry says beside the state before and after.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub kind: Kind,
    pub by: By,
    pub why: String,
    pub evidence: Option<Evidence>,
}

impl Note {
    pub fn of(kind: Kind, by: By, why: String) -> Note {
        Note { kind, by, why, evidence: None }
    }

    /// What the guard says, and what it saw.
    fn judged(kind: Kind, why: String, evidence: Evidence) -> Note {
        Note { kind, by: By::the("guard"), why, evidence: Some(evidence) }
    }

    /// How loud the news of a change is, and its words.
    pub fn told(&self, before: &Durable, after: &Durable) -> (Level, String) {
        let why = &self.why;
        let level = match self.kind {
            Kind::Rollback | Kind::Stop => Level::Critical,
            Kind::Pause if self.by.who == "guard" || after.is_held() => Level::Critical,
            Kind::Abort | Kind::Monitoring => Level::Warning,
            _ => Level::Info,
        };
        let text = match self.kind {
            Kind::Rollback if before.active != after.active => format!("rolled back to {}: {why}", after.active),
            Kind::Rollback => format!("rolled back from {}: {why}", before.weight),
            Kind::Shift => format!("weight {} -> {}: {why}", before.weight, after.weight),
            Kind::Step | Kind::Preflight => format!("{why}; weight {} -> {}", before.weight, after.weight),
            _ => why.clone(),
        };
        (level, text)
    }
}

/// The journal's entry, and the news of it.
pub(super) fn told(level: Level, change: Change) -> [Effect; 2] {
    let (service, text) = (change.service.clone(), change.why.clone());
    let news = Announcement { level, service, kind: change.kind, text, entry: change.id };
    [Effect::Journal(Box::new(change)), Effect::Announce(news)]
}

impl State {
    pub(super) fn guard_rollback(
        &mut self,
        name: &str,
        sight: Sight,
        judgement: Judgement,
        tape: Option<Tape>,
        now: Millis,
    ) -> Vec<Effect> {
        let (Some(service), Verdict::Unhealthy(reason)) = (self.services.get(name), &judgement.verdict) else {
            return Vec::new();
        };
        let subject = service.durable.subject();
        let why = sentence(&service.policy, &sight, reason, subject.other().name(), subject.name());
        let evidence = Evidence { policy: service.policy.clone(), sight, judgement, tape };
        self.roll_back(name, Note::judged(Kind::Rollback, why, evidence), now)
    }

    pub(super) fn warn(
        &mut self,
        name: &str,
        news: News,
        sight: Sight,
        judgement: Judgement,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
        let place = sight.route.as_ref().map_or(String::new(), |route| format!(" on route {route}"));
        let trigger = match news {
            News::Fired(place) => service.policy.triggers.get(place),
            News::SharedFate => None,
        };
        let (kind, level, why) = match trigger {
            None => (Kind::SharedFate, Level::Critical, format!("both sides fail{place}: holding, no rollback")),
            Some(trigger) => {
                let value =
                    judgement.fired.iter().find(|(at, _)| News::Fired(*at) == news).map_or(0.0, |(_, value)| *value);
                let (kind, level) = match trigger.action {
                    Action::Warn => (Kind::Warning, Level::Warning),
                    Action::Pause | Action::Rollback => (Kind::Pause, Level::Critical),
                };
                let (metric, candidate) = (trigger.metric, service.durable.subject());
                let why = format!("{}{place}: {candidate} {} is {}", trigger.name, metric.name(), metric.show(value));
                (kind, level, why)
            }
        };
        let before = service.durable.clone();
        let evidence = Evidence { policy: service.policy.clone(), sight, judgement, tape: None };
        let note = Note::judged(kind, why, evidence);
        let release = before.release.as_ref().filter(|release| release.phase.is_under_way());
        if kind == Kind::Pause && release.is_some_and(|release| release.phase != Phase::Paused) {
            return self.pause(name, note, now);
        }
        let change = self.change(name, note, Some(before), now);
        change.map_or(Vec::new(), |change| told(level, change).into())
    }

    /// Caution begins or ends: the requests of the next generation know.
    pub(super) fn turn(
        &mut self,
        name: &str,
        turn: Turn,
        sight: Sight,
        judgement: Judgement,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
        let candidate = service.durable.active.other();
        let evidence = Evidence { policy: service.policy.clone(), sight, judgement, tape: None };
        let (kind, why) = match turn {
            Turn::Begins(why) => {
                (Kind::Caution, format!("{why}: only requests that could be rescued go to {candidate} now"))
            }
            Turn::Ends(why) => (Kind::CautionOver, why),
        };
        let before = service.durable.clone();
        self.generation += 1;
        let Some(mut change) = self.change(name, Note::judged(kind, why, evidence), Some(before), now) else {
            return Vec::new();
        };
        change.ledger = self.ledger(name);
        let level = if kind == Kind::Caution { Level::Warning } else { Level::Info };
        std::iter::once(Effect::Publish).chain(told(level, change)).collect()
    }

    /// A rollout's last request has ended.
    pub(super) fn close_book(&mut self, name: &str, ledger: Ledger, now: Millis) -> Vec<Effect> {
        let Ledger { rollout, requests, failed, rescued, hurt, turned_away, .. } = ledger;
        let why = format!(
            "rollout {rollout} is over: {requests} requests, {failed} failed, {rescued} rescued, {hurt} seen by clients, \
             {turned_away} turned away"
        );
        let note = Note::of(Kind::Ledger, By::the("guard"), why);
        let Some(mut change) = self.change(name, note, None, now) else { return Vec::new() };
        change.ledger = Some(ledger);
        told(Level::Info, change).into()
    }

    /// An entry that changes nothing. Nobody is told: whoever wants to know reads the journal.
    pub(super) fn remarked(&mut self, remark: Remark, now: Millis) -> Vec<Effect> {
        let Remark { kind, service, who, from, why } = remark;
        self.last_entry += 1;
        vec![Effect::Journal(Box::new(Change {
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

    pub(super) fn change(&mut self, name: &str, note: Note, before: Option<Durable>, now: Millis) -> Option<Change> {
        let after = self.services.get(name)?.durable.clone();
        let Note { kind, by: By { who, from, key }, why, evidence } = note;
        self.last_entry += 1;
        Some(Change {
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
