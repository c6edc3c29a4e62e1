//! The results of actions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ErrorBody;

/// An action that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Done)]
pub struct ActionResult {
    pub service: String,
    pub action: String,
    /// The number of the journal entry.
    pub entry: Option<u64>,
    /// The generation that the action created: use it for the next `If-Match`.
    pub generation: u64,
    /// Whether the entry is on disk. If `false`, the change is in force, but a crash before the entry is written would
    /// lose it.
    pub durable: bool,
}

/// An action that was applied to every service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DoneEach)]
pub struct ActionResults {
    pub action: String,
    pub generation: u64,
    /// For each service, what was done or why it was not.
    pub results: Vec<ServiceResult>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = EachResult)]
pub struct ServiceResult {
    pub service: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<ActionResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

/// The response to an action: one result, or one for each service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ActionAnswer {
    All(ActionResults),
    One(ActionResult),
}
