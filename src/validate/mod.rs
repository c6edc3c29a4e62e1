//! Validation: suites against blue, green or both, and what they found.
//!
//! Everything here calls the environments from outside, as a client would, and stops when its future is dropped: a run
//! that is cancelled leaves no task behind. What it finds is a [`crate::wire::Execution`].

pub mod report;
pub mod request;
pub mod target;
pub mod text;
pub mod told;
