//! One request on its way: what is known of it from its head on, and its attempt once it is routed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::proxy::attempt::Attempt;
use crate::proxy::headers::{self, CorrelationIds, IdGenerator};
use config::HopHeaders;
use memory::clock;
use memory::counters::{ClientConnection, ConnectionPhase, RefusalReason};

/// One request on its way.
#[derive(Debug)]
pub struct RequestContext {
    /// On the monotonic clock, in microseconds.
    pub(super) started: u64,
    /// The client's; pingora hands it out anew for every question.
    pub(super) connection: Option<Arc<ClientConnection>>,
    pub(super) marks: CorrelationIds,
    /// The peer, or whom trusted proxies name.
    pub(super) client: IpAddr,
    /// The peer is one of the trusted proxies.
    pub(super) trusted: bool,
    /// Bytes of the body that the current try has passed on.
    body: u64,
    pub(super) origin_request_id: Option<HeaderValue>,
    pub(super) attempt: Option<Attempt>,
    /// Why no origin was asked, or heard to its end.
    pub(super) refused: Option<RefusalReason>,
}

impl RequestContext {
    pub(super) fn new() -> RequestContext {
        RequestContext {
            started: clock::micros(),
            connection: None,
            marks: CorrelationIds::default(),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            trusted: false,
            body: 0,
            origin_request_id: None,
            attempt: None,
            refused: None,
        }
    }

    /// Notes who asks, and what the request is known by.
    pub(super) fn note(
        &mut self,
        peer: IpAddr,
        headers: &HeaderMap,
        trusted: &[IpNet],
        hop: HopHeaders,
        ids: &IdGenerator,
    ) {
        self.trusted = trusted.iter().any(|net| net.contains(&peer.to_canonical()));
        self.client = headers::client_of(peer, headers, trusted);
        self.marks = CorrelationIds::of(headers, self.trusted, hop, ids);
    }

    /// Which part of a request its connection is at; `None` if nobody knows.
    pub(super) fn phase(&self) -> Option<ConnectionPhase> {
        self.connection.as_ref().map(|connection| connection.phase())
    }

    pub(super) fn enter(&self, phase: ConnectionPhase) {
        if let Some(connection) = &self.connection {
            connection.enter_alone(phase);
        }
    }

    /// The client was too slow.
    pub(super) fn has_timed_out(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.has_timed_out())
    }

    /// Another try sends the body from its beginning, and gets an answer of its own.
    pub(super) fn begin_try(&mut self) {
        (self.body, self.origin_request_id) = (0, None);
    }

    /// Counts more of the body; false once it is longer than the service takes.
    pub(super) fn takes(&mut self, bytes: usize) -> bool {
        self.body = self.body.saturating_add(bytes as u64);
        self.attempt.as_ref().is_none_or(|attempt| self.body <= attempt.max_body())
    }

    /// What X-Request-Id says to the origin.
    pub fn request_id(&self) -> Option<&str> {
        self.marks.request_id()
    }

    /// The trace id of traceparent, 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.marks.trace_id()
    }

    /// What the origin that answered calls the request, in the header that the preset names; at most 128 bytes.
    pub fn origin_request_id(&self) -> Option<&HeaderValue> {
        self.origin_request_id.as_ref()
    }
}
