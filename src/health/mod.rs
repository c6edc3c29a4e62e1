//! Health checks: what the origins say when nobody else asks them.
//!
//! A round tries every address of an environment; rounds in a row say whether an address or the environment is up; the
//! runner tells the sidecar, which alone decides what follows. Nothing here is on a request's path.

mod board;
mod history;
mod http;
pub mod preflight;
mod round;
mod runner;

pub use board::{Board, Shown};
pub use runner::run;
