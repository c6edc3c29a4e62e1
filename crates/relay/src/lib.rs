//! The data plane.
//!
//! - [`access`]: the access log, a line a request.
//! - [`origin`]: from names to addresses, and one request to one address.
//! - [`proxy`]: the way of a request.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod access;
pub mod origin;
pub mod proxy;
