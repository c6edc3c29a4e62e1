//! The admin API in JSON: what is asked and what is answered, for the admin and the command line alike.
//!
//! Shares are percentages from 0 to 100, lengths of time end in `_ms`, and a time of day comes twice: `at_ms` in
//! milliseconds since 1970, and `at` as RFC 3339 for who reads it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod events;
mod findings;
mod history;
mod report;
mod requests;
mod results;
mod snapshot;
mod status;
mod traffic;
mod validation;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

pub use events::*;
pub use findings::*;
pub use history::*;
pub use report::*;
pub use requests::*;
pub use results::*;
pub use snapshot::*;
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

/// Milliseconds since 1970 as people read them; empty for a time beyond the year 9999.
pub fn rfc3339(at_ms: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A time of day as milliseconds since 1970; `None` where it is no RFC 3339. What is before 1970 is 1970.
pub fn from_rfc3339(text: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Failed)]
pub struct ErrorResponse {
    pub error: ErrorBody,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ErrorBody {
    /// Stays the same from version to version: for programs.
    pub code: String,
    pub message: String,
    /// The way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_790_000_000_123), "2026-09-21T14:13:20.123Z");
        assert_eq!(from_rfc3339("2026-09-21T16:13:20.123+02:00"), Some(1_790_000_000_123));
        assert_eq!(from_rfc3339("1969-12-31T23:59:59Z"), Some(0));
        assert_eq!(from_rfc3339("tomorrow"), None);
        assert_eq!(rfc3339(u64::MAX), "");
    }
}
