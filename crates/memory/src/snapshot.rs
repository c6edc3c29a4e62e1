//! The immutable routing truth that requests read, and how it is published.
//!
//! A request loads the snapshot once and keeps it: one request sees one generation, whatever is published meanwhile.
//! The only ArcSwap.

mod error_pages;
mod failure_rules;
mod forward_auth;
pub mod gate_call;
pub mod health_check;
pub mod outside_question;
mod route_terms;
pub mod secret_url;
mod service_terms;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::counters::{
    DistinctKeys, EndpointLimit, EndpointRest, ForwardAuthCounters, HeldRequests, MirrorCounters, OrdinalCounter,
    OwnAnswer, OwnAnswerCounters, RateLimiter, RescueBudget, RouteCounters, SplitTally,
};
use crate::snapshot::gate_call::GateCall;
use crate::snapshot::health_check::HealthCheck;
use crate::snapshot::outside_question::OutsideQuestion;
use judgement::time::Millis;
use judgement::traffic::{DrawSequence, Environment, RouteId, RoutingTable, ServiceId};

pub use error_pages::{ErrorPage, ErrorPages, MaintenanceTerms};
pub use failure_rules::{FailureRules, StatusMeaning, StatusSet};
pub use forward_auth::{ForwardAuthTerms, HeaderPattern};
pub use route_terms::{PathRewrite, RateLimitTerms, RedirectPiece, RedirectTarget, RouteTerms};
pub use service_terms::{GrpcStatuses, HeaderEdit, HeaderEdits, MirrorTerms, PinCookie, ServiceTerms};

/// Where an environment's requests go, as the file says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginSettings {
    /// In file order; requests use them in rotation.
    pub targets: Vec<OriginTarget>,
    pub timeouts: OriginTimeouts,
    pub h2: OriginHttp2,
    /// `None` for what suits each URL.
    pub host: Option<SentHost>,
    /// The first exact name that the service serves: the Host of our own requests where clients' are preserved.
    pub service_host: Option<String>,
    /// The CAs that may sign the origin's certificate, in DER; empty for those that the system trusts.
    pub authorities: Vec<Vec<u8>>,
    pub identity: Option<ClientIdentity>,
    pub limit: Option<OriginLimit>,
}

impl OriginSettings {
    /// Its URLs, as one text.
    pub fn urls(&self) -> String {
        let url = |target: &OriginTarget| {
            let scheme = if target.tls { "https" } else { "http" };
            format!("{scheme}://{}{}", target.authority, target.base_path)
        };
        self.targets.iter().map(url).collect::<Vec<_>>().join(" ")
    }

    /// The Host that this target is sent. Where the file says nothing, a site with a domain of its own is asked by that,
    /// because platforms route by it. An address, or a name without a dot such as a container's, is no name that a site
    /// knows itself by.
    pub fn sent_host(&self, target: &OriginTarget) -> SentHost {
        let is_bare = || !target.host.contains('.') || target.host.parse::<IpAddr>().is_ok();
        self.host.clone().unwrap_or_else(|| if is_bare() { SentHost::Preserve } else { SentHost::Origin })
    }
}

/// Which Host an origin is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SentHost {
    /// Its URL's.
    Origin,
    /// The client's, port included.
    Preserve,
    /// This one, with a port or without.
    Name(String),
}

/// How many requests each endpoint of an environment takes at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginLimit {
    /// Whose endpoints they are: the same address elsewhere has a limit of its own.
    pub service: String,
    pub environment: Environment,
    pub connections: usize,
    /// How many requests may wait, for all endpoints together.
    pub queue: usize,
}

/// The HTTP version used with an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OriginHttp2 {
    /// HTTP/2 if TLS negotiates it, otherwise HTTP/1.1.
    Auto,
    /// HTTP/2, even without TLS: for gRPC.
    Only,
    Never,
}

/// The certificate that Cutover presents to an origin that asks for one, in DER.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    pub chain: Vec<Vec<u8>>,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// One URL of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginTarget {
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// Host and port as in the Host header.
    pub authority: String,
    /// Without a trailing slash; empty if there is none.
    pub base_path: String,
}

/// How long an origin may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OriginTimeouts {
    pub connect: Millis,
    pub tls: Millis,
    /// For the first byte of the response, once the request has been sent.
    pub first_byte: Millis,
    /// Between any two bytes of the response.
    pub between_bytes: Millis,
    pub write: Millis,
    /// How long a pooled connection may stay idle.
    pub idle: Millis,
    /// How long a request waits while its environment has as many as it takes.
    pub queue: Millis,
    /// How long after the request's head a rescue may still start.
    pub deadline: Millis,
}

impl OriginTimeouts {
    /// Where the file says nothing.
    pub const DEFAULT: OriginTimeouts = OriginTimeouts {
        connect: Millis::seconds(2),
        tls: Millis::seconds(4),
        first_byte: Millis::seconds(30),
        between_bytes: Millis::seconds(60),
        write: Millis::seconds(30),
        idle: Millis::seconds(50),
        queue: Millis::seconds(5),
        deadline: Millis::seconds(60),
    };
}

/// An address that requests can be sent to: resolved, with everything prepared.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// For an origin over TLS.
    pub tls: Option<EndpointTls>,
    pub http2: OriginHttp2,
    pub timeouts: OriginTimeouts,
    /// Two endpoints with the same key may use each other's connections: they have the same address, name, certificates and
    /// HTTP versions.
    pub connection_key: u64,
    /// The Host header; where clients' hosts are preserved, that of requests which name none.
    pub authority: Box<str>,
    /// The client's Host is sent instead.
    pub preserves_host: bool,
    /// Host and port in the URL, by which the origin may call itself too.
    pub url_authority: Box<str>,
    /// Without a trailing slash.
    pub base_path: Box<str>,
    /// While it rests, requests try the others first. Shared by the generations that know it.
    pub rest: Arc<EndpointRest>,
    /// How many requests it takes at once, if the file limits them. Shared in the same way.
    pub limit: Option<Arc<EndpointLimit>>,
}

impl Endpoint {
    /// One over HTTP/1.1 without TLS, with the default timeouts.
    pub fn plain(address: SocketAddr, authority: &str) -> Endpoint {
        let mut key = DefaultHasher::new();
        address.hash(&mut key);
        Endpoint {
            address,
            tls: None,
            http2: OriginHttp2::Never,
            timeouts: OriginTimeouts::DEFAULT,
            connection_key: key.finish(),
            authority: authority.into(),
            preserves_host: false,
            url_authority: authority.into(),
            base_path: "".into(),
            rest: Arc::default(),
            limit: None,
        }
    }

    /// Whether it takes another request now.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.limit.as_ref().is_none_or(|limit| limit.has_room())
    }
}

/// How a TLS connection to an endpoint is made.
#[derive(Clone, Debug)]
pub struct EndpointTls {
    /// The name that the certificate must have.
    pub name: ServerName<'static>,
    /// Shared by all endpoints with the same certificates and HTTP versions, and with it the sessions to resume.
    pub config: Arc<ClientConfig>,
}

/// The endpoints of one environment; empty while its names do not resolve.
pub type Endpoints = Arc<[Endpoint]>;

/// What the proxy needs of a service besides the table. Created once per load, shared by the generations in between.
#[derive(Debug)]
pub struct ServedService {
    pub name: String,
    /// By [`Environment::index`].
    pub origins: [Arc<OriginSettings>; 2],
    /// The health checks of its origins.
    pub checks: Arc<[Arc<HealthCheck>]>,
    /// What other systems are asked while a version is on trial.
    pub questions: Arc<[Arc<OutsideQuestion>]>,
    /// How the gates of its rollouts are asked.
    pub gates: Arc<[Arc<GateCall>]>,
    pub rescue: bool,
    /// Whether clients may turn a connection into a WebSocket.
    pub websocket: bool,
    pub budget: Arc<RescueBudget>,
    /// The clients that have reached the candidate.
    pub keys: Arc<DistinctKeys>,
    /// In the order of the table's route ids, the service's first one first.
    pub routes: Box<[Arc<RouteCounters>]>,
    pub first_route: u32,
    /// What the routes have answered themselves, like `routes`.
    pub own_answers: Box<[Arc<OwnAnswerCounters>]>,
    /// What its auth services have said.
    pub auth_answers: Arc<ForwardAuthCounters>,
    /// The requests that wait while it is held.
    pub held: Arc<HeldRequests>,
    /// By route; empty where none has a limit.
    pub rate_limiters: Box<[Option<Arc<RateLimiter>>]>,
    /// How long after the request's head a rescue may still start; by route, like `routes`.
    pub deadlines: Box<[Millis]>,
    /// What counts as a failure; by route, like `routes`.
    pub failures: Box<[FailureRules]>,
    pub terms: ServiceTerms,
    pub split_turns: Arc<OrdinalCounter>,
    pub share_turns: Box<[Arc<OrdinalCounter>]>,
    /// Which endpoint is next, by [`Environment::index`].
    pub endpoint_turns: [Arc<OrdinalCounter>; 2],
    /// Which request is copied to the candidate before its first client.
    pub mirror_turns: Arc<OrdinalCounter>,
    /// What has become of the copies.
    pub mirrored: Arc<MirrorCounters>,
}

impl ServedService {
    #[inline]
    fn place(&self, route: RouteId) -> usize {
        route.0.saturating_sub(self.first_route) as usize
    }

    pub fn counters(&self, route: RouteId) -> Option<&RouteCounters> {
        self.routes.get(self.place(route)).map(|counters| &**counters)
    }

    /// Counts what a route has answered itself.
    pub fn count_own_answer(&self, route: RouteId, answer: OwnAnswer) {
        self.own_answers.get(self.place(route)).into_iter().for_each(|counters| counters.count(answer));
    }

    /// A route's index within the service; `default` is 0.
    pub fn index_of(&self, route: RouteId) -> u32 {
        route.0.saturating_sub(self.first_route)
    }

    pub fn deadline(&self, route: RouteId) -> Millis {
        self.deadlines.get(self.place(route)).copied().unwrap_or(Millis::ZERO)
    }
}

/// One generation of the routing truth.
#[derive(Debug)]
pub struct RoutingSnapshot {
    pub generation: u64,
    pub table: RoutingTable,
    /// By [`ServiceId`].
    pub services: Arc<[Arc<ServedService>]>,
    /// By [`ServiceId`], then by [`Environment::index`].
    pub endpoints: Arc<[[Endpoints; 2]]>,
    /// The auth services of routes, by [`ServiceId`], then by route; empty for services without any.
    pub auth_endpoints: Arc<[Box<[Endpoints]>]>,
    /// By [`ServiceId`]: where requests are counted that the weight alone divides.
    pub tallies: Box<[Option<SplitTally>]>,
}

impl RoutingSnapshot {
    /// The state before any file is read: it serves no requests.
    pub fn empty() -> RoutingSnapshot {
        RoutingSnapshot {
            generation: 0,
            table: RoutingTable::compile(Vec::new()),
            services: Arc::from([]),
            endpoints: Arc::from([]),
            auth_endpoints: Arc::from([]),
            tallies: Box::default(),
        }
    }

    #[inline]
    pub fn tally(&self, service: ServiceId) -> Option<&SplitTally> {
        self.tallies.get(service.0 as usize)?.as_ref()
    }

    #[inline]
    pub fn serving(&self, service: ServiceId) -> Option<&Arc<ServedService>> {
        self.services.get(service.0 as usize)
    }

    #[inline]
    pub fn endpoints(&self, service: ServiceId, environment: Environment) -> &[Endpoint] {
        let of_service = self.endpoints.get(service.0 as usize);
        of_service.and_then(|pair| pair.get(environment.index())).map_or(&[], |endpoints| &**endpoints)
    }

    /// Where a route's auth service is; empty while its name does not resolve.
    pub fn auth_endpoints(&self, service: ServiceId, route: RouteId) -> &[Endpoint] {
        let place = self.serving(service).map(|serving| serving.place(route));
        let of_service = self.auth_endpoints.get(service.0 as usize);
        of_service.zip(place).and_then(|(all, place)| all.get(place)).map_or(&[], |endpoints| &**endpoints)
    }

    /// The sequence that a request without a key draws from.
    #[inline]
    pub fn turns(&self, sequence: DrawSequence) -> Option<&OrdinalCounter> {
        match sequence {
            DrawSequence::Split(service) => self.serving(service).map(|serving| &*serving.split_turns),
            DrawSequence::Share(service, share) => {
                self.serving(service).and_then(|serving| serving.share_turns.get(share as usize)).map(|turns| &**turns)
            }
        }
    }
}

/// Read by everyone, from any thread, without a lock.
#[derive(Clone, Debug)]
pub struct SnapshotReader(Arc<ArcSwap<RoutingSnapshot>>);

impl SnapshotReader {
    #[inline]
    pub fn load(&self) -> Arc<RoutingSnapshot> {
        self.0.load_full()
    }
}

/// A snapshot as one thread shares it among its requests: counted without atomics, so that workers do not slow each other
/// down.
pub type SharedSnapshot = Rc<Arc<RoutingSnapshot>>;

/// A thread's copy of the current snapshot.
#[derive(Debug)]
pub struct SnapshotCache {
    cache: Cache<Arc<ArcSwap<RoutingSnapshot>>, Arc<RoutingSnapshot>>,
    shared: SharedSnapshot,
}

impl SnapshotCache {
    pub fn new(reader: &SnapshotReader) -> SnapshotCache {
        let mut cache = Cache::new(reader.0.clone());
        let shared = Rc::new(cache.load().clone());
        SnapshotCache { cache, shared }
    }

    /// The current snapshot: one atomic read, unless a new one was published.
    #[inline]
    pub fn load(&mut self) -> SharedSnapshot {
        let current = self.cache.load();
        if !Arc::ptr_eq(current, &self.shared) {
            self.shared = Rc::new(current.clone());
        }
        self.shared.clone()
    }
}

/// Publishes snapshots. There is only one; it belongs to the sidecar and cannot be cloned.
#[derive(Debug)]
pub struct SnapshotPublisher(Arc<ArcSwap<RoutingSnapshot>>);

impl SnapshotPublisher {
    pub fn new() -> (SnapshotPublisher, SnapshotReader) {
        let swap = Arc::new(ArcSwap::from_pointee(RoutingSnapshot::empty()));
        (SnapshotPublisher(swap.clone()), SnapshotReader(swap))
    }

    /// One pointer swap: from now on, requests see this snapshot.
    pub fn publish(&mut self, snapshot: RoutingSnapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
