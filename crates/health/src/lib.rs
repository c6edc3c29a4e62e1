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

pub use board::{CheckStatus, HealthBoard};
pub use runner::run;

/// What is said of one that does not answer in time.
fn no_answer(patience: std::time::Duration) -> String {
    let millis = judgement::time::Millis(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
    format!("no answer in {millis}")
}
