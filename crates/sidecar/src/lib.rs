//! The sidecar: the one thread that writes.
//!
//! It blocks on one bounded channel with the next tick as its timeout, turns what arrives into an [`Event`](judgement::rollout::Event), asks the
//! pure [`State`](judgement::rollout::State), and carries out the effects: publish, then journal, then announce. A failing request may wake it
//! early; nothing on the request path waits for it. Tests drive it by hand: [`Sidecar::handle`] and [`Sidecar::tick`]
//! take the time as an argument.
//!
//! - `sidecar`: the thread itself, and the queues of the work that others do for it.
//! - `command`: the handle that the rest of the program sends its inputs through, and their answers.
//! - `routing`: a loaded routing file, compiled for the snapshot.
//! - `readings`: the counters as last read, so that an idle service costs little.
//! - [`journal`]: the durable, hash-chained record.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod command;
pub mod journal;
mod readings;
mod routing;
mod sidecar;

pub use command::{
    CommandReceipt, CommandResult, RecordedAnnouncement, SidecarHandle, SidecarInput, SidecarStatus, SidecarStopped,
    Suspension,
};
pub use routing::{CurrentRouting, ResolvedRouting};
pub use sidecar::Sidecar;
