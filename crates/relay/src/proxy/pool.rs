//! A worker's open connections to origins: HTTP/1 connections that wait for their next request, and HTTP/2 connections that
//! requests share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::io::{AsyncRead, ReadBuf};

use crate::origin::OriginError;
use crate::origin::connect::{HttpVersions, OpenConnection, connect};
use crate::transport::Transport;
use judgement::time::Millis;
use memory::clock;
use memory::snapshot::Endpoint;

/// Idle connections to origins that a worker keeps.
const KEPT: usize = 1024;
/// Requests at once on one HTTP/2 connection to an origin; further ones open another.
const STREAMS: usize = 100;
/// What an origin may send of one response before its client has taken it.
const STREAM_WINDOW: u32 = 64 << 10;
/// The same for all responses of a connection: so much that clients who do not read hold up nobody else.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// What HTTP/2 keeps of a request that is not written yet, for each stream.
const SEND_BUFFER: usize = 32 << 10;

/// Keys of connections are hashes already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

type ByKey<T> = RefCell<HashMap<u64, Vec<T>, BuildHasherDefault<AsIs>>>;

/// A worker's connections to origins.
#[derive(Debug, Default)]
pub struct OriginPool {
    kept: ByKey<KeptConnection>,
    many: Cell<usize>,
    shared: ByKey<Rc<SharedConnection>>,
}

/// An HTTP/1 connection without a request.
#[derive(Debug)]
struct KeptConnection {
    transport: Transport,
    until: Millis,
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub struct SharedConnection {
    requests: SendRequest<Bytes>,
    streams: Cell<usize>,
    /// A stream on it has waited in vain: it may be dead, and gets no more of them.
    silent: Cell<bool>,
    /// Since when it has no streams.
    idle_since: Cell<Millis>,
    idle: Millis,
}

/// A stream of a shared connection, until this is dropped.
#[derive(Debug)]
pub struct StreamLease(Rc<SharedConnection>);

impl StreamLease {
    /// The stream has waited in vain.
    pub fn distrust(&self) {
        self.0.silent.set(true);
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        self.0.idle_since.set(clock::now());
    }
}

/// A connection on which a request can be sent.
#[derive(Debug)]
pub enum OriginConnection {
    Http1(Transport),
    Http2(SendRequest<Bytes>, StreamLease),
}

impl OriginPool {
    /// A connection that is open already.
    pub async fn reuse(&self, key: u64) -> Option<OriginConnection> {
        if let Some(transport) = self.take(key) {
            return Some(OriginConnection::Http1(transport));
        }
        self.share(key).await.map(|(requests, lease)| OriginConnection::Http2(requests, lease))
    }

    /// A new connection.
    ///
    /// # Errors
    /// None could be opened.
    pub async fn open(&self, endpoint: &Endpoint, versions: HttpVersions) -> Result<OriginConnection, OriginError> {
        let OpenConnection { transport, http2 } = connect(endpoint, versions).await?;
        if !http2 {
            return Ok(OriginConnection::Http1(transport));
        }
        let shared = open_http2(transport, endpoint).await?;
        let lease = lease(&shared);
        self.shared.borrow_mut().entry(endpoint.connection_key).or_default().push(shared.clone());
        Ok(OriginConnection::Http2(shared.requests.clone(), lease))
    }

    /// The HTTP/1 connection that was used last and is still open.
    fn take(&self, key: u64) -> Option<Transport> {
        let mut kept = self.kept.borrow_mut();
        let connections = kept.get_mut(&key)?;
        // Lazily: a connection that is there is nearly always usable.
        while let Some(mut connection) = connections.pop() {
            self.many.set(self.many.get().saturating_sub(1));
            if connection.until > clock::now() && is_silent(&mut connection.transport) {
                return Some(connection.transport);
            }
        }
        None
    }

    /// A stream on an HTTP/2 connection that has room for one.
    async fn share(&self, key: u64) -> Option<(SendRequest<Bytes>, StreamLease)> {
        loop {
            let shared = {
                let all = self.shared.borrow();
                let has_room = |shared: &&Rc<SharedConnection>| {
                    !shared.silent.get()
                        && shared.streams.get() < STREAMS.min(shared.requests.current_max_send_streams())
                };
                all.get(&key)?.iter().find(has_room)?.clone()
            };
            let lease = lease(&shared);
            let mut requests = shared.requests.clone();
            if poll_fn(|cx| requests.poll_ready(cx)).await.is_ok() {
                return Some((requests, lease));
            }
            // Closed, or about to be.
            if let Some(all) = self.shared.borrow_mut().get_mut(&key) {
                all.retain(|other| !Rc::ptr_eq(other, &shared));
            }
        }
    }

    /// Keeps an HTTP/1 connection for the next request, for so long at most.
    pub fn keep(&self, key: u64, transport: Transport, idle: Millis) {
        if self.many.get() < KEPT {
            self.many.set(self.many.get() + 1);
            let until = clock::now().plus(idle);
            self.kept.borrow_mut().entry(key).or_default().push(KeptConnection { transport, until });
        }
    }

    /// Closes what has been idle for too long, and what the origin has closed.
    pub fn sweep(&self) {
        let now = clock::now();
        let mut many = 0;
        self.kept.borrow_mut().retain(|_, connections| {
            connections.retain_mut(|connection| connection.until > now && is_silent(&mut connection.transport));
            many += connections.len();
            !connections.is_empty()
        });
        self.many.set(many);
        self.shared.borrow_mut().retain(|_, connections| {
            let is_used = |shared: &Rc<SharedConnection>| {
                !shared.silent.get() && (shared.streams.get() > 0 || now.since(shared.idle_since.get()) < shared.idle)
            };
            connections.retain(is_used);
            !connections.is_empty()
        });
    }

    /// Closes everything that no request uses.
    pub fn clear(&self) {
        self.kept.borrow_mut().clear();
        self.shared.borrow_mut().clear();
        self.many.set(0);
    }
}

fn lease(shared: &Rc<SharedConnection>) -> StreamLease {
    shared.streams.set(shared.streams.get() + 1);
    StreamLease(shared.clone())
}

/// Whether nothing came on a connection that waits for a request: neither its end nor bytes that nobody has asked for.
/// Asks the operating system only if the runtime has been told of something.
fn is_silent(transport: &mut Transport) -> bool {
    let mut byte = [0];
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(transport).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
}

async fn open_http2(transport: Transport, endpoint: &Endpoint) -> Result<Rc<SharedConnection>, OriginError> {
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER);
    let (requests, connection) = builder.handshake(transport).await.map_err(|error| OriginError::of_http2(&error))?;
    // What is wrong with it, its streams are told.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(Rc::new(SharedConnection {
        requests,
        streams: Cell::new(0),
        silent: Cell::new(false),
        idle_since: Cell::new(clock::now()),
        idle: endpoint.timeouts.idle,
    }))
}
