//! Snapshots: the state of a service, kept under a name, and what differs between two of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The stored snapshots, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Snapshots {
    pub snapshots: Vec<SnapshotSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotSummary {
    pub id: String,
    pub name: String,
    pub service: String,
    pub at_ms: u64,
    pub at: String,
    pub who: String,
}

/// A snapshot that was created or deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotMade {
    pub action: String,
    pub snapshot: SnapshotSummary,
}

/// What differs between two snapshots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Comparison)]
pub struct SnapshotComparison {
    pub from: SnapshotSummary,
    pub to: SnapshotSummary,
    /// The time between them; 0 if `to` is the older one.
    pub apart_ms: u64,
    /// Ordered by path.
    pub differences: Vec<SnapshotDifference>,
    /// What each environment served between the two. Empty if Cutover was restarted in between, because its counters
    /// start from 0.
    pub rates: Vec<SnapshotRate>,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Difference)]
pub struct SnapshotDifference {
    /// A path such as `service.guard.evidence`.
    pub field: String,
    #[schema(value_type = Value)]
    pub from: serde_json::Value,
    #[schema(value_type = Value)]
    pub to: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Rate)]
pub struct SnapshotRate {
    pub environment: super::Side,
    pub requests: u64,
    pub failed: u64,
    pub requests_per_second: Option<f64>,
    /// In percent.
    pub error_rate: Option<f64>,
}
