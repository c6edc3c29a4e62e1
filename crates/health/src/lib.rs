//! Health checks: what the origins say when nobody else asks them.
//!
//! A round tries every address of an environment; rounds in a row say whether an address or the environment is up; the
//! runner tells the sidecar, which alone decides what follows. Nothing here is on a request's path.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod board;
mod history;
mod http;
pub mod preflight;
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
