//! Health checks of origins and stores, and preflights of candidates. Nothing here is on the path of a request.
//!
//! - `runner`: starts and stops checks as the routing changes, and reports to the sidecar, which alone decides.
//! - `board`: every check with its `history`; `round`: one round of a check over all addresses.
//! - `flapping`: whether a check goes down and up too often to tell every turn.
//! - `http`, [`sql`], [`redis`]: the kinds of checks.
//! - [`preflight`]: tries a candidate before its first client.
//! - [`probe`]: whether a side answers at all.
//! - `webhook`: calls the webhook of a check that goes down.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod board;
mod flapping;
mod history;
mod http;
pub mod preflight;
pub mod probe;
pub mod redis;
mod round;
mod runner;
pub mod sql;
mod webhook;

use judgement::time::Millis;

pub use board::{CheckStatus, HealthBoard};
pub use runner::run;

/// A timeout as people write it, such as `700ms`.
fn millis(timeout: std::time::Duration) -> Millis {
    Millis(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
}

/// The failure of a check that got no response in time.
fn no_response(timeout: std::time::Duration) -> String {
    format!("no response within {}", millis(timeout))
}
