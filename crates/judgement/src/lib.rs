//! The judgement of a release: which of two environments serves a request, whether the new one is worse, and who may move
//! a weight. Pure values: no IO, clock, randomness, async, lock or log. Time comes in as milliseconds, chance as a number.
//!
//! - [`time`]: milliseconds, and durations as people write them.
//! - [`traffic`]: which environment serves a request.
//! - [`guard`]: whether the candidate is worse.
//! - [`rollout`]: who may move a weight, and what was moved.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod guard;
pub mod hex;
pub mod rollout;
pub mod time;
pub mod traffic;
