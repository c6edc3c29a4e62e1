//! What a worker's connections and requests share: its thread's own, so that nothing here is locked or counted atomically.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use http1::HeadLimits;
use httpdate::HttpDate;
use ipnet::IpNet;
use slab::Slab;
use tokio::sync::Notify;

use crate::access::AccessLogger;
use crate::head::{self, IdGenerator, StackText};
use crate::origin::Connector;
use crate::proxy::acme_board::ChallengeAnswers;
use crate::proxy::buffers::FreeBuffers;
use crate::proxy::mirror::CopyQueue;
use crate::proxy::pool::OriginPool;
use crate::proxy::refusal_notices::RefusalNotices;
use crate::proxy::request_limits::RequestLimits;
use crate::proxy::routed_request::RoutedRequest;
use crate::proxy::timer::FreeTimers;
use config::{ClientLimits, EarlyHints, HopHeaders, MainConfig};
use judgement::traffic::{FoundRoute, sticky};
use memory::clock;
use memory::counters::{Counters, OrdinalCounter, Shard};
use memory::snapshot::{SharedSnapshot, SnapshotCache, SnapshotReader};
use sidecar::SidecarHandle;

/// Idle connections to auth services that a worker keeps.
const AUTH_CONNECTIONS: usize = 64;

/// What a worker is made of, before its thread starts, and what it is told by the settings.
#[derive(Debug)]
pub struct Proxy {
    pub(super) shard: Shard,
    published: SnapshotReader,
    pub(super) counters: Arc<Counters>,
    pub(super) sidecar: SidecarHandle,
    pub(super) trusted: Arc<[IpNet]>,
    pub(super) redirect_to_https: Option<u16>,
    /// Plain listeners take HTTP/2 from clients that begin with it.
    pub(super) plain_http2: bool,
    pub(super) limits: ClientLimits,
    pub(super) hop: HopHeaders,
    pub(super) early_hints: EarlyHints,
    pub(super) access: Option<AccessLogger>,
    /// Where copies of requests go.
    pub(super) mirror: Option<CopyQueue>,
    /// What a CA may ask for.
    pub(super) challenges: Option<ChallengeAnswers>,
}

impl Proxy {
    pub fn new(
        shard: Shard,
        published: SnapshotReader,
        counters: Arc<Counters>,
        sidecar: SidecarHandle,
        settings: &MainConfig,
    ) -> Proxy {
        Proxy {
            shard,
            published,
            counters,
            sidecar,
            trusted: settings.trusted_proxies.as_slice().into(),
            hop: settings.hop,
            early_hints: settings.early_hints,
            plain_http2: settings.plain_http2,
            limits: settings.limits,
            redirect_to_https: settings.redirect_to_https,
            access: None,
            mirror: None,
            challenges: None,
        }
    }

    /// Adds an access log.
    pub fn with_access_log(self, access: Option<AccessLogger>) -> Proxy {
        Proxy { access, ..self }
    }

    /// Adds what a CA may ask for.
    pub fn with_challenges(self, challenges: Option<ChallengeAnswers>) -> Proxy {
        Proxy { challenges, ..self }
    }

    /// Adds where copies of requests go.
    pub fn with_mirror(self, mirror: Option<CopyQueue>) -> Proxy {
        Proxy { mirror, ..self }
    }
}

/// One worker: its buffers, its connections, and what it was made of.
#[derive(Debug)]
pub struct Worker {
    pub proxy: Proxy,
    current: RefCell<SnapshotCache>,
    pub request_limits: Arc<RequestLimits>,
    pub head_limits: HeadLimits,
    pub ids: IdGenerator,
    /// The seed of this worker's sticky keys, so that no two keys are alike.
    key_seed: u64,
    keys: OrdinalCounter,
    /// The last second that was asked for, and its text.
    date: Cell<(u64, [u8; 29])>,
    pub client_buffers: FreeBuffers,
    pub origin_buffers: FreeBuffers,
    pub timers: FreeTimers,
    pub refusal_notices: RefusalNotices,
    pub origins: OriginPool,
    /// Connections to auth services.
    pub auth_services: Connector,
    pub connections: OpenConnections,
}

impl Worker {
    pub fn new(proxy: Proxy, request_limits: Arc<RequestLimits>) -> Worker {
        use std::hash::{BuildHasher, Hasher};
        let ClientLimits { header_bytes: head_bytes, header_fields: fields, target_bytes, .. } = proxy.limits;
        Worker {
            current: RefCell::new(SnapshotCache::new(&proxy.published)),
            request_limits,
            head_limits: HeadLimits { head_bytes, fields, target_bytes },
            ids: IdGenerator::new(),
            key_seed: std::collections::hash_map::RandomState::new().build_hasher().finish(),
            keys: OrdinalCounter::new(proxy.shard.0 + 1),
            date: Cell::new((0, *b"Thu, 01 Jan 1970 00:00:00 GMT")),
            client_buffers: FreeBuffers::of_clients(),
            origin_buffers: FreeBuffers::of_origins(),
            timers: FreeTimers::default(),
            refusal_notices: RefusalNotices::default(),
            origins: OriginPool::default(),
            auth_services: Connector::new(AUTH_CONNECTIONS),
            connections: OpenConnections::default(),
            proxy,
        }
    }

    /// Now, as in a Date field (RFC 9110 5.6.7): formatted once a second.
    pub fn date(&self) -> [u8; 29] {
        let now = clock::wall_millis() / 1000;
        let (at, date) = self.date.get();
        if at == now {
            return date;
        }
        let mut text: StackText<29> = StackText::new();
        let moment = HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(now));
        // It has 29 bytes in every year of four digits.
        let _ = write!(text, "{moment}");
        let date = text.as_bytes().try_into().unwrap_or(date);
        self.date.set((now, date));
        date
    }

    pub fn snapshot(&self) -> SharedSnapshot {
        self.current.borrow_mut().load()
    }

    /// Decides which environment a request goes to.
    pub fn decide(
        &self,
        snapshot: &SharedSnapshot,
        found: &FoundRoute<'_>,
        client: IpAddr,
        started: u64,
    ) -> RoutedRequest {
        let draw = |sequence| snapshot.turns(sequence).map_or(0, |turns| turns.next(self.proxy.shard));
        let mut decision = found.decide(draw);
        let pin = decision.pin.then(|| {
            let (rules, split) = snapshot.table.service(decision.service);
            let seed = self.key_seed ^ self.keys.next(self.proxy.shard);
            let (key, hash) = sticky::fresh_key(rules.salt, split.epoch, split.weight, decision.candidate, seed);
            decision.key = Some(hash);
            key
        });
        RoutedRequest::new(snapshot.clone(), decision, pin, started, client)
    }

    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        head::is_trusted(&self.proxy.trusted, peer)
    }
}

/// The connections of a worker's clients, so that they can be told to end.
#[derive(Debug, Default)]
pub struct OpenConnections {
    wakers: RefCell<Slab<Option<Waker>>>,
    /// Every response is its connection's last.
    leaving: Cell<bool>,
    /// Connections without a request are closed.
    closing: Cell<bool>,
    empty: Notify,
}

/// A connection among them, until this is dropped.
#[derive(Debug)]
pub struct RegisteredConnection {
    worker: Rc<Worker>,
    key: usize,
}

impl OpenConnections {
    pub fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// From now on, every response asks its client to go.
    pub fn leave(&self) {
        self.leaving.set(true);
        self.wake_all();
    }

    /// From now on, a connection ends when it has no request.
    pub fn close(&self) {
        self.leaving.set(true);
        self.closing.set(true);
        self.wake_all();
    }

    fn wake_all(&self) {
        for (_, waker) in self.wakers.borrow().iter() {
            if let Some(waker) = waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Waits until there are none.
    pub async fn ended(&self) {
        while !self.wakers.borrow().is_empty() {
            self.empty.notified().await;
        }
    }
}

impl RegisteredConnection {
    pub fn new(worker: &Rc<Worker>) -> RegisteredConnection {
        let key = worker.connections.wakers.borrow_mut().insert(None);
        RegisteredConnection { worker: worker.clone(), key }
    }

    /// Has the connection's task woken when connections are to go. A task has one waker all its life.
    pub fn watch(&self, cx: &Context<'_>) {
        if let Some(waker) = self.worker.connections.wakers.borrow_mut().get_mut(self.key)
            && waker.is_none()
        {
            *waker = Some(cx.waker().clone());
        }
    }
}

impl Drop for RegisteredConnection {
    fn drop(&mut self) {
        let mut wakers = self.worker.connections.wakers.borrow_mut();
        wakers.try_remove(self.key);
        if wakers.is_empty() {
            self.worker.connections.empty.notify_one();
        }
    }
}
