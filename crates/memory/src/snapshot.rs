//! The immutable routing truth that requests read, and how it is published.
//!
//! A request loads the snapshot once and keeps it: one request sees one generation, whatever is published meanwhile.
//! The only ArcSwap of the house.

pub mod check;
pub mod secret;
mod terms;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;
use pingora_core::upstreams::peer::HttpPeer;

use crate::counters::{Keys, RescueBudget, Rest, RouteCounters, Turns};
use crate::snapshot::check::Check;
use judgement::time::Millis;
use judgement::traffic::{Environment, RouteId, Sequence, ServiceId, Table};

pub use terms::{Edit, Edits, Terms};

/// Where an environment's requests go, as the file says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// In file order; a request takes the next one in turn.
    pub targets: Vec<Target>,
    pub timeouts: Timeouts,
    pub h2: H2,
    /// Who may sign the origin's certificate, in DER; empty: whom the system trusts.
    pub authorities: Vec<Vec<u8>>,
    pub identity: Option<Identity>,
}

impl Origin {
    /// Its URLs, as one text.
    pub fn urls(&self) -> String {
        let url = |target: &Target| {
            let scheme = if target.tls { "https" } else { "http" };
            format!("{scheme}://{}{}", target.authority, target.base_path)
        };
        self.targets.iter().map(url).collect::<Vec<_>>().join(" ")
    }
}

/// Which HTTP an origin is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum H2 {
    /// HTTP/2 where TLS agrees on it, else HTTP/1.1.
    Auto,
    /// HTTP/2, without TLS too: for gRPC.
    Only,
    Never,
}

/// What we show to an origin that asks who we are. In DER.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    pub chain: Vec<Vec<u8>>,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// One URL of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// Host and port as the Host header says it.
    pub authority: String,
    /// Without trailing slash; empty for none.
    pub base_path: String,
}

/// How long an origin may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    pub connect: Millis,
    pub tls: Millis,
    /// For the answer's first byte, and then between any two.
    pub first_byte: Millis,
    pub write: Millis,
    /// A pooled connection is closed after this.
    pub idle: Millis,
    /// From the request's head on: no rescue starts later.
    pub deadline: Millis,
}

/// An address that a request can be sent to: resolved, with everything prepared.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub peer: HttpPeer,
    /// The Host header.
    pub authority: HeaderValue,
    /// Without trailing slash.
    pub base_path: Box<str>,
    /// Others are asked first while it rests; shared by the generations that know it.
    pub rest: Arc<Rest>,
}

/// The endpoints of one environment; empty while its names do not resolve.
pub type Endpoints = Arc<[Endpoint]>;

/// What the proxy needs of a service beside the table. Made once a load, shared by the generations in between.
#[derive(Debug)]
pub struct Serving {
    pub name: String,
    /// By [`Environment::index`].
    pub origins: [Arc<Origin>; 2],
    /// What is asked of the origins when nobody else asks them.
    pub checks: Arc<[Arc<Check>]>,
    pub rescue: bool,
    /// Whether clients may turn a connection into a WebSocket.
    pub websocket: bool,
    pub budget: Arc<RescueBudget>,
    /// The clients that the candidate has met.
    pub keys: Arc<Keys>,
    /// In the order of the table's route ids, the service's first one first.
    pub routes: Box<[Arc<RouteCounters>]>,
    pub first_route: u32,
    /// No rescue starts later than this after the request's head; by route like `routes`.
    pub deadlines: Box<[Millis]>,
    pub terms: Terms,
    pub split_turns: Arc<Turns>,
    pub share_turns: Box<[Arc<Turns>]>,
    /// Which endpoint is next, by [`Environment::index`].
    pub endpoint_turns: [Arc<Turns>; 2],
}

impl Serving {
    #[inline]
    fn place(&self, route: RouteId) -> usize {
        route.0.saturating_sub(self.first_route) as usize
    }

    pub fn counters(&self, route: RouteId) -> Option<&RouteCounters> {
        self.routes.get(self.place(route)).map(|counters| &**counters)
    }

    pub fn deadline(&self, route: RouteId) -> Millis {
        self.deadlines.get(self.place(route)).copied().unwrap_or(Millis::ZERO)
    }
}

/// One generation of the routing truth.
#[derive(Debug)]
pub struct Snapshot {
    pub generation: u64,
    pub table: Table,
    /// By [`ServiceId`].
    pub services: Arc<[Arc<Serving>]>,
    /// By [`ServiceId`], then by [`Environment::index`].
    pub endpoints: Arc<[[Endpoints; 2]]>,
}

impl Snapshot {
    /// The truth before any file is read: it serves nobody.
    pub fn empty() -> Snapshot {
        Snapshot { generation: 0, table: Table::compile(Vec::new()), services: Arc::from([]), endpoints: Arc::from([]) }
    }

    #[inline]
    pub fn serving(&self, service: ServiceId) -> Option<&Arc<Serving>> {
        self.services.get(service.0 as usize)
    }

    #[inline]
    pub fn endpoints(&self, service: ServiceId, environment: Environment) -> &[Endpoint] {
        let of_service = self.endpoints.get(service.0 as usize);
        of_service.and_then(|pair| pair.get(environment.index())).map_or(&[], |endpoints| &**endpoints)
    }

    /// The sequence that a request without a key draws from.
    #[inline]
    pub fn turns(&self, sequence: Sequence) -> Option<&Turns> {
        match sequence {
            Sequence::Split(service) => self.serving(service).map(|serving| &*serving.split_turns),
            Sequence::Share(service, share) => {
                self.serving(service).and_then(|serving| serving.share_turns.get(share as usize)).map(|turns| &**turns)
            }
        }
    }
}

/// Read by everybody, from any thread, without a lock.
#[derive(Clone, Debug)]
pub struct Published(Arc<ArcSwap<Snapshot>>);

impl Published {
    #[inline]
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }
}

/// Publishes snapshots. There is one, it belongs to the sidecar, and it cannot be cloned.
#[derive(Debug)]
pub struct Publisher(Arc<ArcSwap<Snapshot>>);

impl Publisher {
    pub fn new() -> (Publisher, Published) {
        let swap = Arc::new(ArcSwap::from_pointee(Snapshot::empty()));
        (Publisher(swap.clone()), Published(swap))
    }

    /// One pointer swap: requests from now on see this.
    pub fn publish(&mut self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
