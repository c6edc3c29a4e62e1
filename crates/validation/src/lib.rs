//! Validation: suites against blue, green or both, and what they find.
//!
//! Everything here calls the environments from outside, as a client would, and stops when its future is dropped: a run
//! that is cancelled leaves no task behind. What a run finds is a [`wire::Execution`], which is the JSON report too.
//! The crate is a client of the rest of Cutover: the proxy and the sidecar work without it, and know nothing of it.
//!
//! ```text
//!   runs: begin, watch, cancel, schedule, keep ──> runs/executor: one suite on its sides
//!                                                       │
//!        ┌──────────────────┬─────────────────┬─────────┴───────┐
//!      cases              load              parity          consistency
//!   steps, one after   an open loop      the same requests  the data of
//!   the other          of requests       to both sides      both sides
//!        └────────┬─────────┴────────┬────────┴─────────────────┘
//!     request ──> target          expect, diff ──> redact ──> report
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`runs`] | every run of a suite: its registry, life, schedule, files, and the suites that a rollout waits for |
//! | [`cases`] | setup, cases and teardown on one side |
//! | [`load`] | requests at the times that a profile sets, and whether the limits held |
//! | [`parity`], [`recording`] | the same requests to both sides, also from a HAR file or an access log |
//! | [`mirror`] | copies of clients' requests to both sides, before the candidate's first client |
//! | [`consistency`] | tables, queries and endpoints compared, without writing anything |
//! | [`expect`] | whether an answer is what a step wants, and what is captured from it |
//! | [`request`], [`variables`], [`request_numbers`] | a step as a request |
//! | [`target`], [`target_resolver`] | where a side is: only what the routing file or a deploy names |
//! | [`message`], [`diff`], [`text`], [`redact`] | what a report shows of requests and answers, without secrets |
//! | [`report`] | a page, JUnit XML, a table for the terminal, and the schema of the JSON report |
//! | [`progress`] | how far a run is |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod cases;
pub mod consistency;
pub mod diff;
pub mod expect;
pub mod load;
pub mod message;
pub mod mirror;
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
pub mod text;
pub mod variables;

#[cfg(test)]
mod tests;

pub use runs::all_suites;
