//! One request in progress: what is known about it from its head on, and its attempts once it is routed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::proxy::headers::{self, CorrelationIds, IdGenerator};
use crate::proxy::routed_request::RoutedRequest;
use config::HopHeaders;
use memory::clock;
use memory::counters::{ClientConnection, ConnectionPhase, RefusalReason};

/// One request in progress.
#[derive(Debug)]
pub struct RequestContext {
    /// On the monotonic clock, in microseconds.
    pub(super) started: u64,
    /// The client's digest, because pingora creates it anew for every question.
    pub(super) connection: Option<Arc<ClientConnection>>,
    pub(super) ids: CorrelationIds,
    /// The peer, or the client that trusted proxies name.
    pub(super) client: IpAddr,
    /// The peer is one of the trusted proxies.
    pub(super) trusted: bool,
    /// Set once it is routed.
    pub(super) routed: Option<RoutedRequest>,
    /// Why no origin was asked, or its response cut short.
    pub(super) refused: Option<RefusalReason>,
}

impl RequestContext {
    pub(super) fn new() -> RequestContext {
        RequestContext {
            started: clock::micros(),
            connection: None,
            ids: CorrelationIds::default(),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            trusted: false,
            routed: None,
            refused: None,
        }
    }

    /// Records who is asking, and the request's identifiers.
    pub(super) fn note(
        &mut self,
        peer: IpAddr,
        headers: &HeaderMap,
        trusted: &[IpNet],
        hop: HopHeaders,
        generator: &IdGenerator,
    ) {
        self.trusted = headers::is_trusted(trusted, peer);
        self.client = headers::client_of(peer, headers, trusted);
        self.ids = CorrelationIds::of(headers, self.trusted, hop, generator);
    }

    /// Which part of a request its connection is at; `None` if unknown.
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

    /// Counts more of the body; false once it is longer than the service allows.
    pub(super) fn takes(&mut self, bytes: usize) -> bool {
        let Some(routed) = &mut self.routed else { return true };
        routed.current.body_bytes = routed.current.body_bytes.saturating_add(bytes as u64);
        routed.current.body_bytes <= routed.max_body()
    }

    /// The request id sent to the origin as X-Request-Id.
    pub fn request_id(&self) -> Option<&str> {
        self.ids.request_id()
    }

    /// The trace id of traceparent, 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.ids.trace_id()
    }

    /// The answering origin's id for the request, from the header that the preset names; at most 128 bytes.
    pub fn origin_request_id(&self) -> Option<&HeaderValue> {
        self.routed.as_ref()?.current.origin_request_id.as_ref()
    }
}
