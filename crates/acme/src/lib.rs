//! Certificates from a CA by ACME (RFC 8555), for the TLS listeners.
//!
//! A thread of its own orders one name after another, each by an order of its own, so that one name's failure is no other's.
//! What it has is files: the listeners read a certificate as soon as it is there, and a second start asks for nothing anew.
//! Workers know open challenges from the board (`relay::proxy::acme_board`); nothing that a CA does or leaves undone holds a request.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod ca_client;
mod challenge;
mod keeper;
mod order;
mod schedule;
mod store;

pub use keeper::{AcmeParts, AcmeThread, CertificateKeeper};
pub use schedule::{CertificateOutlook, NameStanding};
pub use store::CertificateStore;
