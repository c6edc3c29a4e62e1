//! The journal as the admin API shows it: newest first, a page at a time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use judgement::time::rfc3339;
use sidecar::journal::JournalEntry;

/// A page of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    pub entries: Vec<HistoryEntry>,
    /// The `before` parameter for the next page; `null` if there is none.
    pub next: Option<u64>,
    /// The newest entry that is written, whatever was asked for: who keeps this elsewhere finds out if it is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<NewestEntry>,
}

/// An entry by its number and its hash, which depends on every entry before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewestEntry {
    pub id: u64,
    /// SHA-256, in 64 hexadecimal digits.
    pub hash: String,
}

/// One journal entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    pub id: u64,
    pub at_ms: u64,
    pub at: String,
    pub generation: u64,
    pub service: String,
    /// Such as `deploy`, `step` or `rollback`.
    pub kind: String,
    /// The actor: `file`, `guard`, `plan`, or the name of a token.
    pub who: String,
    /// The address that the request came from.
    pub from: Option<String>,
    /// The request's Idempotency-Key.
    pub key: Option<String>,
    pub why: String,
    /// The candidate's share before the change, in percent.
    pub weight_before: Option<f64>,
    pub weight_after: Option<f64>,
    /// Whether the entry holds what the guard saw, so that `cutover explain` can judge it again.
    pub judged: bool,
    /// What the guard saw, if requested with `evidence=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub evidence: Option<serde_json::Value>,
    /// What the rollout had cost by then.
    #[schema(value_type = Option<Object>)]
    pub ledger: Option<serde_json::Value>,
}

impl HistoryEntry {
    pub fn of(entry: &JournalEntry, evidence: bool) -> HistoryEntry {
        let change = &entry.change;
        let judged = change.evidence.as_ref();
        let json = |judged| serde_json::to_value(judged).ok();
        HistoryEntry {
            id: change.id,
            at_ms: entry.at,
            at: rfc3339(entry.at),
            generation: change.generation,
            service: change.service.clone(),
            kind: change.kind.name().to_owned(),
            who: change.who.clone(),
            from: change.from.clone(),
            key: change.key.clone(),
            why: change.why.clone(),
            weight_before: change.before.as_ref().map(|durable| durable.weight.percent()),
            weight_after: change.after.as_ref().map(|durable| durable.weight.percent()),
            judged: judged.is_some(),
            evidence: judged.filter(|_| evidence).and_then(json),
            ledger: change.ledger.as_ref().and_then(|ledger| serde_json::to_value(ledger).ok()),
        }
    }
}
