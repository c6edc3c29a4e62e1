//! The admin API's JSON types, shared by the server and the command line.
//!
//! Shares are percentages from 0 to 100, durations end in `_ms`, and times come in two forms: `at_ms` in milliseconds
//! since 1970, and `at` in RFC 3339 for human readers.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod comparison;
mod events;
mod findings;
mod history;
mod mirror;
mod plan;
mod report;
mod requests;
mod results;
mod snapshot;
mod split;
mod status;
mod traffic;
mod validation;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use comparison::*;
pub use events::*;
pub use findings::*;
pub use history::*;
pub use mirror::*;
pub use plan::*;
pub use report::*;
pub use requests::*;
pub use results::*;
pub use snapshot::*;
pub use split::*;
pub use status::*;
pub use traffic::*;
pub use validation::*;

/// One of a service's two environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Environment)]
#[schemars(rename = "Environment")]
pub enum Side {
    Blue,
    Green,
}

impl Side {
    pub const fn name(self) -> &'static str {
        match self {
            Side::Blue => "blue",
            Side::Green => "green",
        }
    }

    pub const fn other(self) -> Side {
        match self {
            Side::Blue => Side::Green,
            Side::Green => Side::Blue,
        }
    }
}

impl From<judgement::traffic::Environment> for Side {
    fn from(environment: judgement::traffic::Environment) -> Side {
        match environment {
            judgement::traffic::Environment::Blue => Side::Blue,
            judgement::traffic::Environment::Green => Side::Green,
        }
    }
}

impl From<Side> for judgement::traffic::Environment {
    fn from(side: Side) -> judgement::traffic::Environment {
        match side {
            Side::Blue => judgement::traffic::Environment::Blue,
            Side::Green => judgement::traffic::Environment::Green,
        }
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Failed)]
pub struct ErrorResponse {
    pub error: ErrorBody,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ErrorBody {
    /// A stable code for programs.
    pub code: String,
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
