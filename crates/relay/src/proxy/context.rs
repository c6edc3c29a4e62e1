//! One request in progress: what is known about it from its head on, and its attempts once it is routed.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;

use crate::head::{self, AuthGrant, CorrelationIds};
use crate::proxy::routed_request::RoutedRequest;
use crate::proxy::side::ExchangeSide;
use crate::proxy::worker::Worker;
use crate::transport::Transport;
use judgement::traffic::split::RequestHold;
use judgement::traffic::{FoundRoute, RouteId, ServiceId};
use memory::clock;
use memory::counters::RefusalReason;
use memory::snapshot::{ErrorPage, RoutingSnapshot, ServedService, SharedSnapshot};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSource {
    /// The peer's address, or the one that a trusted proxy names for it.
    pub address: IpAddr,
    /// A trusted proxy says that the client came over TLS, which has ended there.
    pub over_tls: bool,
    /// A trusted proxy passes on the connection of somebody whom it cannot name: the address is its own, and the words are
    /// not.
    pub unnamed: bool,
}

impl ClientSource {
    /// Who has connected says nothing else.
    pub const fn peer(address: IpAddr) -> ClientSource {
        ClientSource { address, over_tls: false, unnamed: false }
    }
}

/// What all requests of a client's connection share.
#[derive(Debug)]
pub struct ClientConnection {
    /// See [`ClientSource::address`].
    pub peer: IpAddr,
    /// The peer is one of the trusted proxies, and speaks for itself.
    pub trusted: bool,
    /// The TLS version, if there is TLS.
    pub tls: Option<&'static str>,
    /// The client came over TLS, to Cutover or to the proxy that names the client.
    pub https: bool,
    /// How many requests have come on it.
    pub requests: Cell<u32>,
    /// Requests that the client gave up before they were answered.
    pub given_up: Cell<u32>,
    /// The connection to an origin that only this client may use, because the client has identified itself by it (NTLM,
    /// Negotiate), and the key of its endpoint.
    pub own: RefCell<Option<(u64, Transport)>>,
}

impl ClientConnection {
    pub fn new(worker: &Worker, source: ClientSource, transport: &Transport) -> ClientConnection {
        ClientConnection {
            peer: source.address,
            trusted: !source.unnamed && worker.is_trusted(source.address),
            tls: transport.tls_version(),
            https: source.over_tls || transport.is_tls(),
            requests: Cell::new(0),
            given_up: Cell::new(0),
            own: RefCell::new(None),
        }
    }
}

/// A service and a route, before an environment is chosen.
#[derive(Debug)]
pub struct FoundPlace {
    pub snapshot: SharedSnapshot,
    pub service: ServiceId,
    pub route: RouteId,
}

impl FoundPlace {
    pub fn of(snapshot: &SharedSnapshot, found: &FoundRoute<'_>) -> FoundPlace {
        FoundPlace { snapshot: snapshot.clone(), service: found.service, route: found.route }
    }

    /// The hold of its service now, which may have another place in a newer snapshot.
    pub fn hold(&self, now: &RoutingSnapshot) -> Option<RequestHold> {
        let (rules, _) = self.snapshot.table.service(self.service);
        let (_, _, split) = now.table.services().find(|(_, known, _)| known.name == rules.name)?;
        split.hold.filter(|hold| clock::wall_millis() < hold.until)
    }

    pub fn serving(&self) -> Option<&Arc<ServedService>> {
        self.snapshot.serving(self.service)
    }
}

/// One request in progress.
#[derive(Debug)]
pub struct RequestContext {
    /// On the monotonic clock, in microseconds.
    pub started: u64,
    /// The same, when nothing kept it from being routed any more.
    pub routable: u64,
    pub ids: CorrelationIds,
    /// The peer, or the client that trusted proxies name.
    pub client: IpAddr,
    /// Where it would have gone, if its route has answered it itself.
    pub found: Option<FoundPlace>,
    /// What the auth service of its route has said. On the heap, because few routes have one.
    pub grant: Option<Box<AuthGrant>>,
    /// Set once it is routed.
    pub routed: Option<RoutedRequest>,
    /// Why no origin was asked, or its response cut short.
    pub refused: Option<RefusalReason>,
    /// The status that the client was sent, unless it was an interim one.
    pub told: Option<u16>,
    /// The client left, or was too slow, before the end.
    pub aborted: bool,
}

impl RequestContext {
    /// The page that its service has for an answer of Cutover's own.
    pub fn error_page(&self, status: u16) -> Option<ErrorPage> {
        let found = self.found.as_ref().and_then(FoundPlace::serving);
        let terms = &found.or_else(|| self.routed.as_ref()?.service())?.terms;
        let maintenance = terms.maintenance.as_ref().filter(|_| self.refused == Some(RefusalReason::Maintenance));
        maintenance.and_then(|terms| terms.page.as_ref()).or_else(|| terms.error_pages.page(status)).cloned()
    }

    /// A request whose head has come.
    pub fn new(worker: &Worker, connection: &ClientConnection, client: &ExchangeSide) -> RequestContext {
        let head = client.view();
        let started = clock::micros();
        RequestContext {
            started,
            routable: started,
            ids: CorrelationIds::of(head, connection.trusted, worker.proxy.hop, &worker.ids),
            client: match connection.trusted {
                true => head::client_of(connection.peer, head, &worker.proxy.trusted),
                false => connection.peer.to_canonical(),
            },
            found: None,
            grant: None,
            routed: None,
            refused: None,
            told: None,
            aborted: false,
        }
    }
}
