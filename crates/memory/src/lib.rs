//! What Cutover's threads share: a clock, counters and the published routing. They share nothing else.
//!
//! Snapshots flow one way and counts the other: the sidecar publishes what requests read, and requests count what the
//! sidecar judges. Neither waits for the other.
//!
//! - [`clock`]: the only place that reads the time.
//! - [`counters`]: what the relay counts. Counters only grow, and outlive a reload. The only atomics.
//! - [`shares`]: places for work of many, with a share for each.
//! - [`snapshot`]: what requests read, replaced as a whole. Only the sidecar publishes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod clock;
pub mod counters;
pub mod shares;
pub mod snapshot;
