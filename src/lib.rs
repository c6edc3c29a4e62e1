#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]
//! Cutover
pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod counters;
pub mod guard;
pub mod journal;
pub mod metrics;
pub mod origin;
pub mod proxy;
pub mod rollout;
pub mod serve;
pub mod sidecar;
pub mod snapshot;
pub mod time;
pub mod traffic;
