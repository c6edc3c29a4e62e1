//! Cutover: a reverse proxy that ships your release, and rolls back by itself.
//!
//! Two loops, joined by two memories:
//!
//! ```text
//!         request                                    tick, failure, command, reload
//!            |                                                    |
//!    +-------v--------+       Snapshot (one ArcSwap)      +-------v---------+
//!    | relay          | <-------------------------------- | sidecar         |
//!    |  asks traffic  |                                   |  asks guard,    |
//!    |  (pure)        | --------------------------------> |  rollout (pure) |
//!    +-------+--------+      Counters (only grow)         +-------+---------+
//!            |                                                    | effects
//!         response                                 journal, metrics, events, notices
//! ```
//!
//! Snapshots flow one way, counts the other. Everything else only watches, or calls from outside. The product is a
//! judgement, so the judgement is pure: [`judgement::traffic::decide`], [`judgement::guard::judge`] and `State::apply`
//! of [`judgement::rollout`] know no IO, clock, randomness, async, lock or log.
//!
//! # The crates, from the bottom up; a crate cannot import what it does not depend on
//!
//! | crate | what it holds |
//! |---|---|
//! | `judgement` | `time`: milliseconds and durations. `traffic`: which environment serves a request. `guard`: whether the candidate is worse. `rollout`: who may change a weight, and what was changed. |
//! | `http1` | HTTP/1 as bytes in and events out: heads, framing, chunks, an encoder, and the one table of what is refused. |
//! | `memory` | `clock`: the only now. `counters`: what the relay counts. `snapshot`: what requests read. |
//! | `config` | The files as typed values, with every problem at once. |
//! | `sidecar` | The only writer: takes what comes, asks the state, carries out the effects: publish, journal, announce. |
//! | `relay` | The data plane: origins, the proxy around the decision, the access log. |
//! | `health`, `notify` | Health checks and preflights. Webhooks, Slack, PagerDuty and email. |
//! | `validation` | Suites, their runs and reports, whether the data of both sides agree, and what copies of requests show. |
//! | `wire` | The types of the API's JSON. |
//! | this one | `admin`: the API. `metrics`: Prometheus from the same counters. `serve`: from a configuration to running parts and back. `cli`: the command line. |
//!
//! # Invariants
//!
//! 1. One request sees one generation.
//! 2. Only the sidecar publishes ([`memory::snapshot::SnapshotPublisher`] cannot be cloned); only the relay counts.
//! 3. Counters only grow, and outlive a reload: windows are differences, and Prometheus and the guard read the same
//!    numbers.
//! 4. The judgement is pure.
//! 5. A rollback waits for nothing: no disk, peer or browser.
//! 6. Every change of a weight has a journal entry, and `explain` replays those that were judged.
//! 7. A configuration is accepted or refused as a whole.
//! 8. Everything has a limit, and the limit has a name.
//! 9. If the sidecar panics, weights freeze, `/readyz` fails, and requests are served by the last snapshot.
//! 10. Nothing that a request, a file or an origin can reach panics: `unwrap`, `expect` and indexing are denied.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod admin;
pub mod cli;
pub mod metrics;
pub mod mirror;
pub mod runs;
pub mod serve;
mod service_manager;
pub mod upgrade;
