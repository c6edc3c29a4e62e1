//! The two memories that join the request path and the sidecar.
//!
//! - [`clock`]: the only now.
//! - [`counters`]: what the relay counts. They only grow.
//! - [`snapshot`]: what requests read. Only the sidecar publishes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod clock;
pub mod counters;
pub mod snapshot;
