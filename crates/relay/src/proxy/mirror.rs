//! Copies of clients' requests, for who compares how the candidate would have answered them.
//!
//! A worker only writes the head down, as active was sent it, and leaves it in a bounded queue: it waits for nobody, and a
//! client has its whole response by then. There are no bodies to copy, because only GET and HEAD are copied, and no answers
//! either: both sides are asked again by who takes the copies.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};
use tokio::sync::mpsc::Sender;

use crate::head::to_http2_request;
use memory::snapshot::{Endpoint, ServedService};

/// Marks a copy. A request that has it is never copied again, so no chain of proxies can multiply it.
pub const COPY_MARK: &str = "cutover-mirror";

/// Copies that wait. Whoever takes them never waits itself, so more than these means that it is gone.
pub const QUEUE: usize = 64;

/// Where copies go.
pub type CopyQueue = Sender<RequestCopy>;

/// A request that active has answered.
#[derive(Debug)]
pub struct RequestCopy {
    pub service: Arc<ServedService>,
    /// The head that active was sent, as HTTP/1 text.
    pub head: Vec<u8>,
    /// The length of active's base path, with which its target begins.
    pub base: usize,
    /// The client's Host, for sides that are sent that.
    pub host: Option<Box<str>>,
}

/// A copy, read again.
#[derive(Clone, Debug)]
pub struct CopiedRequest {
    pub method: Method,
    /// Without any base path.
    pub target: String,
    /// Without a Host.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    host: Option<Box<str>>,
}

impl RequestCopy {
    /// Reads the head again; `None` if a client has sent what cannot be said in HTTP/2, such as a target that is no URI.
    pub fn read(self) -> Option<CopiedRequest> {
        let (parts, ()) = to_http2_request(&self.head, false)?.into_parts();
        let target = parts.uri.path_and_query()?.as_str().get(self.base..)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let headers = parts.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        Some(CopiedRequest { method: parts.method, target, headers: headers.collect(), host: self.host })
    }
}

impl CopiedRequest {
    /// The endpoint that sends a copy the Host that it sends the client's own request.
    pub fn endpoint(&self, endpoint: &Endpoint) -> Endpoint {
        match self.host.as_ref().filter(|_| endpoint.preserves_host) {
            Some(host) => Endpoint { authority: host.clone(), ..endpoint.clone() },
            None => endpoint.clone(),
        }
    }
}
