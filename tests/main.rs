//! All integration tests in one binary: it links once.
//!
//! Real sockets on port 0, scripted origins, no sleeps but those that a script is about: who waits, waits for something,
//! with a deadline. What needs more than Rust and a C compiler is ignored with its reason; `.ci/run` runs it all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

// What is shared with the codec's own tests calls it so.
extern crate http1 as cutover_http1;

mod access;
mod acme;
mod alerts;
mod api;
mod auth;
mod blame;
mod busy;
mod caution;
mod cli;
mod clients;
mod clocks;
mod codec;
mod config;
mod consistency;
mod counting;
mod desync;
mod docs;
mod drain;
mod edges;
mod endings;
mod error_pages;
mod failures;
mod faults;
mod forward_auth;
mod frames;
mod gates;
mod headers;
mod health;
mod health_stores;
mod hosts;
mod lifecycle;
mod limits;
mod main_file;
mod mirror;
mod names;
mod notify;
mod origins;
mod outside_metrics;
mod overlay;
mod peers;
mod plan;
mod preflight;
mod proof;
mod proxy_protocol;
mod rate_limits;
mod redirects;
mod refusals;
mod reload;
mod report;
mod rollback;
mod rollout_gates;
mod rollouts;
mod routing;
mod safe_releases;
mod sample_ratio;
mod scripts;
mod shape;
mod simulation;
mod skew;
mod soak;
mod standstill;
mod support;
mod tidy;
mod tls;
mod traps;
mod upgrade;
mod validation;
mod words;
