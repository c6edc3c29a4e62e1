//! The results of actions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ErrorBody;
use judgement::traffic::split::Weight;

/// An action that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// The candidate's share before the action, in percent; only if the action moved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_before: Option<f64>,
    /// What it is now. A gradual shift goes on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_after: Option<f64>,
}

impl ActionResult {
    /// Adds the candidate's weight before and after.
    #[must_use]
    pub fn weighed(mut self, weights: Option<[Weight; 2]>) -> ActionResult {
        (self.weight_before, self.weight_after) =
            weights.map_or((None, None), |[before, after]| (Some(before.percent()), Some(after.percent())));
        self
    }
}

/// An action that was applied to every service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DoneEach)]
pub struct ActionResults {
    pub action: String,
    pub generation: u64,
    /// For each service, what was done or why it was not.
    pub results: Vec<ServiceResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EachResult)]
pub struct ServiceResult {
    pub service: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<ActionResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

/// The response to an action: one result, or one for each service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ActionAnswer {
    All(ActionResults),
    One(ActionResult),
}
