//! Rollouts in virtual time: what a bad candidate costs, and how often a good one is taken back.
//!
//! The product's own [`State`](judgement::rollout::State) and the rules of other tools see the same traffic, drawn from a
//! seed. `tests/simulation.rs` holds the promises of the judge at a size that a test run bears; the example `blast` prints
//! tables of a hundred times as many runs.
//!
//! - [`dice`]: chance from a seed.
//! - [`worlds`]: what origins and clients do, healthy or not.
//! - [`judge`], [`peer_rules`], [`mann_whitney`]: who watches a run.
//! - [`engine`]: one rollout in virtual time. [`runs`]: many of them, on threads.
//! - [`bound`]: how few failures any rule needs.
//! - [`through`]: how many good candidates are through, and in what time. [`triggers`]: the thresholds alone.
//! - [`cells`], [`healthy`]: the worlds of the tables. [`statistics`], [`table`], [`verdicts`]: what came of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod bound;
pub mod cells;
pub mod dice;
pub mod engine;
pub mod healthy;
pub mod judge;
pub mod mann_whitney;
pub mod peer_rules;
pub mod runs;
pub mod statistics;
pub mod table;
pub mod through;
pub mod triggers;
pub mod verdicts;
pub mod worlds;
