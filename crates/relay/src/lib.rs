//! The data plane: everything that a request passes through.
//!
//! - [`access`]: the access log, one line for each request.
//! - [`head`]: everything that reads or changes a head.
//! - [`origin`]: resolves the names of origins, connects to them, and sends single requests for checks and validation.
//! - [`proxy`]: accepts connections, checks requests, routes them and relays them to an origin.
//! - [`transport`]: what carries a connection's bytes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod access;
pub mod head;
pub mod origin;
pub mod proxy;
pub mod transport;
