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
pub mod numbers;
pub mod parity;
pub mod reach;
pub mod recording;
pub mod report;
pub mod request;
pub mod runs;
pub mod scrub;
pub mod target;
pub mod text;
pub mod told;

pub use runs::all_suites;
#[cfg(test)]
mod tests;
