//! Validation: suites against blue, green or both, and what they found.
//!
//! Everything here calls the environments from outside, as a client would, and stops when its future is dropped: a run
//! that is cancelled leaves no task behind. What it finds is a [`wire::Execution`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod cases;
pub mod consistency;
pub mod diff;
pub mod expect;
pub mod load;
pub mod message;
pub mod parity;
pub mod progress;
pub mod recording;
pub mod redact;
pub mod report;
pub mod request;
pub mod request_numbers;
pub mod runs;
pub mod target;
pub mod target_resolver;
pub mod variables;

pub use runs::all_suites;
#[cfg(test)]
mod tests;
