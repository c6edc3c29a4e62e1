//! News as `/api/admin/events` sends it: one entry of the journal, whether it was just written or is told again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rfc3339;
use crate::journal::Entry;
use crate::rollout::{Change, Durable, Kind};

/// The `data` of an event. Its `id` is the entry's, and its `event` the kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct News {
    pub id: u64,
    pub at_ms: u64,
    pub at: String,
    pub service: String,
    pub kind: String,
    pub level: NewsLevel,
    pub who: String,
    pub text: String,
    pub generation: u64,
    /// A route of the service that it is about; `null`: the whole of it.
    pub route: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NewsLevel {
    Info,
    Warning,
    Critical,
}

impl News {
    pub fn of(entry: &Entry) -> News {
        let change = &entry.change;
        let route = change.evidence.as_ref().and_then(|evidence| evidence.sight.route.clone());
        News {
            id: change.id,
            at_ms: entry.at,
            at: rfc3339(entry.at),
            service: change.service.clone(),
            kind: change.kind.name().to_owned(),
            level: level(change),
            who: change.who.clone(),
            text: change.why.clone(),
            generation: change.generation,
            route,
        }
    }
}

/// By the entry alone, so that what is told again is told as it was.
fn level(change: &Change) -> NewsLevel {
    let held = change.after.as_ref().is_some_and(Durable::is_held);
    match change.kind {
        Kind::Rollback | Kind::Stop | Kind::SharedFate => NewsLevel::Critical,
        Kind::Pause if change.who == "guard" || held => NewsLevel::Critical,
        Kind::Warning | Kind::Caution | Kind::Abort | Kind::Monitoring => NewsLevel::Warning,
        _ => NewsLevel::Info,
    }
}
