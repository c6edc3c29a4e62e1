//! What the demo reports at its end.

use serde::Serialize;

/// What happened, as the demo's own clients and origins measured it.
#[derive(Clone, Debug, Serialize)]
pub struct DemoOutcome {
    /// Sent by the clients.
    pub requests: u64,
    /// Of these, the ones for which the client got no 2xx.
    pub failed_seen_by_clients: u64,
    /// Failed at green and served again by blue.
    pub rescued: u64,
    /// From the moment green broke until the rollback was announced.
    pub detection_ms: Option<u64>,
    /// From the moment green broke until the last request that green got.
    pub rollback_ms: Option<u64>,
    /// Percent.
    pub weight_before: f64,
    pub weight_after: f64,
    pub reason: Option<String>,
    /// Responses that the clients got from green before it broke.
    pub green_before: u64,
    /// Requests that green got in the last second of the demo.
    pub green_at_the_end: u64,
}

impl DemoOutcome {
    /// The rollback happened, and the clients and origins saw it.
    pub fn held(&self) -> bool {
        self.reason.is_some() && self.weight_after == 0.0 && self.green_before > 0 && self.green_at_the_end == 0
    }
}
