//! What an action came to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ErrorBody;

/// An action that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Done)]
pub struct ActionResult {
    pub service: String,
    pub action: String,
    /// The journal's entry of it.
    pub entry: Option<u64>,
    /// The generation that it made: the next `If-Match`.
    pub generation: u64,
    /// The entry is on the disk. `false`: it is in force, and a crash before the disk takes it would forget it.
    pub durable: bool,
}

/// An action on every service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DoneEach)]
pub struct ActionResults {
    pub action: String,
    pub generation: u64,
    /// By service: what was done, or why it was not.
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

/// What an action answers: one result, or one for every service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ActionAnswer {
    All(ActionResults),
    One(ActionResult),
}
