//! How the state reports its changes: journal entries and announcements, with their reasons in words.

use strum::IntoStaticStr;

use crate::guard::outside_metric::FigureRecord;
use crate::rollout::{
    Announcement, AnnouncementLevel, ChangeKind, DurableState, Effect, JournalChange, JudgementRecord,
};

/// Who asks for a change.
#[derive(Clone, Debug, Default)]
pub(super) struct Actor {
    pub who: String,
    pub from: Option<String>,
    pub key: Option<String>,
}

/// A part of Cutover that changes things by itself. No token has such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Component {
    /// What gets certificates from a CA.
    Acme,
    /// The routing file.
    File,
    Guard,
    /// The health checks.
    Health,
    /// The rollout's plan.
    Plan,
}

impl Component {
    pub const fn name(self) -> &'static str {
        self.into_str()
    }
}

/// What an entry says besides the state before and after.
#[derive(Clone, Debug)]
pub(super) struct ChangeNote {
    pub kind: ChangeKind,
    pub by: Actor,
    pub why: String,
    pub evidence: Option<JudgementRecord>,
    pub figure: Option<FigureRecord>,
    pub gate: Option<String>,
}

impl ChangeNote {
    pub fn of(kind: ChangeKind, by: Actor, why: String) -> ChangeNote {
        ChangeNote { kind, by, why, evidence: None, figure: None, gate: None }
    }

    pub fn by(component: Component, kind: ChangeKind, why: String) -> ChangeNote {
        ChangeNote::of(kind, Actor { who: component.name().to_owned(), ..Actor::default() }, why)
    }

    /// What the guard says, and what it saw.
    pub fn judged(kind: ChangeKind, why: String, evidence: JudgementRecord) -> ChangeNote {
        ChangeNote { evidence: Some(evidence), ..ChangeNote::by(Component::Guard, kind, why) }
    }

    /// The level and the words of a change's announcement.
    pub fn told(&self, before: &DurableState, after: &DurableState) -> (AnnouncementLevel, String) {
        let why = &self.why;
        let level = match self.kind {
            ChangeKind::Rollback | ChangeKind::Stop | ChangeKind::Deadline => AnnouncementLevel::Critical,
            ChangeKind::Pause if self.by.who == Component::Guard.name() || after.is_held() || self.gate.is_some() => {
                AnnouncementLevel::Critical
            }
            ChangeKind::Abort | ChangeKind::Monitoring => AnnouncementLevel::Warning,
            _ => AnnouncementLevel::Info,
        };
        let text = match self.kind {
            ChangeKind::Rollback if before.active != after.active => format!("rolled back to {}: {why}", after.active),
            ChangeKind::Rollback => format!("rolled back from {}: {why}", before.weight),
            ChangeKind::Shift => format!("weight {} -> {}: {why}", before.weight, after.weight),
            ChangeKind::Step | ChangeKind::Preflight => format!("{why}; weight {} -> {}", before.weight, after.weight),
            _ => why.clone(),
        };
        (level, text)
    }
}

/// The journal entry, and its announcement.
pub(super) fn told(level: AnnouncementLevel, change: JournalChange) -> [Effect; 2] {
    let (service, text) = (change.service.clone(), change.why.clone());
    let news = Announcement { level, service, kind: change.kind, text, entry: change.id };
    [Effect::Journal(Box::new(change)), Effect::Announce(news)]
}
