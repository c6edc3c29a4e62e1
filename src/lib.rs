//! Cutover: a reverse proxy that ships your release, and takes it back by itself.
//!
//! Two loops, joined by two memories:
//!
//! ```text
//!         request                                    tick, failure, command, reload
//!            |                                                    |
//!    +-------v--------+       Snapshot (one ArcSwap)      +-------v---------+
//!    | proxy          | <-------------------------------- | sidecar         |
//!    |  asks traffic  |                                   |  asks guard,    |
//!    |  (pure)        | --------------------------------> |  rollout (pure) |
//!    +-------+--------+      Counters (only grow)         +-------+---------+
//!            |                                                    | effects
//!         response                              journal, metrics, announcements
//! ```
//!
//! Snapshots flow one way, counts the other. Everything else only watches. The product is a judgement, so the judgement
//! is pure: [`traffic::decide`], [`guard::judge`] and [`rollout::State::apply`] know no IO, clock, randomness, async,
//! lock or log.
//!
//! # Rooms, from the ground up; imports go down only, and `tests/tidy.rs` sees to it
//!
//! | floor | rooms |
//! |---|---|
//! | judgement | `time`: milliseconds and durations as people write them. `traffic`: which environment serves a request. `guard`: is the candidate worse. `rollout`: who may move a weight, and what was moved. |
//! | memories | `clock`: the only now. `counters`: what the proxy counts. `snapshot`: what requests read. |
//! | paper | `access`: the access log, a line a request. `config`: the files, and everything wrong with them. `journal`: the durable, hash-chained record. `metrics`: Prometheus from the same counters. `wire`: the admin's JSON. |
//! | the one writer | `sidecar`: takes what comes, asks the state, carries out: publish, journal, announce. |
//! | doors | `origin`: names to addresses. `proxy`: pingora's phases around the decision. `notify`: webhooks, Slack, PagerDuty and mail. `health`: what origins say when nobody asks them, and preflights. `consistency`: whether the data of both sides agree. `validate`: suites, their runs and reports. `admin`: metrics, health, the API and its events. |
//! | above | `serve`: from configuration to running parts and back down. `cli`: what was typed. |
//!
//! # Invariants
//!
//! 1. One request sees one generation.
//! 2. Only the sidecar publishes ([`snapshot::SnapshotPublisher`] cannot be cloned); only the proxy counts.
//! 3. Counters only grow, and outlive a reload: windows are differences, and Prometheus and the guard read the same numbers.
//! 4. The pure rooms are pure.
//! 5. A rollback waits for nobody: not for the disk, a peer or a browser.
//! 6. Every change of a weight has a journal entry, and `explain` replays those that were judged.
//! 7. A config is taken whole or refused whole.
//! 8. Everything has a limit, and the limit has a name.
//! 9. If the sidecar panics, weights freeze, `/readyz` turns red, and requests go on by the last snapshot.
//! 10. No path that a request, a file or an origin can reach panics: `unwrap`, `expect` and indexing are denied.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod admin;
pub mod cli;
pub mod metrics;
pub mod serve;
