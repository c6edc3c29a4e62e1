//! The proxy: the way of a request, from a client's bytes to its record.
//!
//! A request loads the snapshot once, asks [`decide`](judgement::traffic::decide), goes to an endpoint of the environment
//! that was chosen, and is counted; a failed candidate request may be served again by the active environment before the
//! client has seen anything. Nothing here waits for the sidecar, takes a lock or looks up a label.
//!
//! - Connections: [`listen`], [`connection_limits`], [`proxy_header`], [`tls`], and what they share in a thread: [`worker`], `buffers`, `timer`, `refusal_notices`.
//! - A client's connection: `client_http1` and `client_http2`, which turn it into requests.
//! - A request: `exchange`. Its routing and its attempts: `context`, `routed_request`, `endpoint_choice`, `upstream_try`,
//!   `rescue`, `turn`. Connections to origins: `pool`.
//! - Bytes: a `side` is the client's or the origin's end of an exchange, in either protocol; a `passage` moves what comes from
//!   the one to the other, within the time limits.
//! - Its end: `answers`, `access_line`, and its copy for the candidate: [`mirror`].

mod access_line;
pub mod acme_board;
mod answers;
mod buffers;
mod client_http1;
mod client_http2;
pub mod connection_limits;
mod context;
pub mod descriptors;
mod endpoint_choice;
mod exchange;
pub mod listen;
pub mod mirror;
mod passage;
mod pool;
pub mod proxy_header;
mod refusal_notices;
pub mod request_limits;
mod rescue;
mod routed_request;
mod side;
mod timer;
pub mod tls;
mod tunnel;
mod turn;
mod upstream_try;
pub mod worker;

pub use worker::Proxy;
