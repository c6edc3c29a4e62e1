//! The events that `/api/admin/events` sends: one per journal entry, whether it was just written or is being replayed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use judgement::rollout::AnnouncementLevel;
use judgement::time::rfc3339;
use sidecar::journal::JournalEntry;

/// The `data` of an event. The event's `id` is the entry's number, and its `event` field the entry's kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = News)]
pub struct JournalEvent {
    pub id: u64,
    pub at_ms: u64,
    pub at: String,
    pub service: String,
    pub kind: String,
    pub level: EventLevel,
    pub who: String,
    pub text: String,
    pub generation: u64,
    /// The route that it concerns; `null` for the whole service.
    pub route: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = NewsLevel)]
pub enum EventLevel {
    Info,
    Warning,
    Critical,
}

impl JournalEvent {
    pub fn of(entry: &JournalEntry) -> JournalEvent {
        let change = &entry.change;
        let route = change.evidence.as_ref().and_then(|evidence| evidence.sight.route.clone());
        JournalEvent {
            id: change.id,
            at_ms: entry.at,
            at: rfc3339(entry.at),
            service: change.service.clone(),
            kind: change.kind.name().to_owned(),
            level: change.level().into(),
            who: change.who.clone(),
            text: change.why.clone(),
            generation: change.generation,
            route,
        }
    }
}

impl From<AnnouncementLevel> for EventLevel {
    fn from(level: AnnouncementLevel) -> EventLevel {
        match level {
            AnnouncementLevel::Info => EventLevel::Info,
            AnnouncementLevel::Warning => EventLevel::Warning,
            AnnouncementLevel::Critical => EventLevel::Critical,
        }
    }
}
