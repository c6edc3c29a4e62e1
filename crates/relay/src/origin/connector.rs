//! Connections to origins for single requests: opened when there is none, and kept for the next request.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::origin::OriginError;
use crate::origin::connect::{HttpVersions, connect};
use memory::clock;
use memory::snapshot::Endpoint;

/// How many connections are kept unless told otherwise.
const MOST: usize = 128;
/// How often idle connections are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// What a connection that nobody needs any more may take to be closed in order.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a kept connection may still be busy with its last request.
const SETTLE: Duration = Duration::from_millis(100);
/// The most fields of a response over HTTP/1.1.
const MOST_FIELDS: usize = 256;
/// The largest head of a response over HTTP/2, in bytes.
const MOST_HEAD: u32 = 64 << 10;

/// Opens connections, and keeps those that can be used again. Requests of any runtime may share one.
#[derive(Debug)]
pub struct Connector(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By the endpoint's key; those used last come last.
    connections: HashMap<u64, Vec<Idle>>,
    count: usize,
    /// Closes what has been idle for too long.
    sweeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    /// By the clock, in microseconds.
    since: u64,
    /// How long it may be idle.
    longest: Duration,
}

impl Idle {
    fn is_usable(&self) -> bool {
        !self.connection.is_closed() && Duration::from_micros(clock::micros().saturating_sub(self.since)) < self.longest
    }
}

/// An open connection. It is closed when the last copy is dropped.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    /// Its task ends when the other end of this channel does.
    open: Arc<oneshot::Sender<Infallible>>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// A second handle, for requests at the same time.
    fn shared(&self) -> Option<Connection> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => {
                Some(Connection { sender: Sender::Http2(sender.clone()), open: self.open.clone() })
            }
        }
    }

    /// Whether it takes a request, as far as is known on this side.
    async fn is_ready(&mut self) -> bool {
        let ready = async {
            match &mut self.sender {
                Sender::Http1(sender) => sender.ready().await.is_ok(),
                Sender::Http2(sender) => sender.ready().await.is_ok(),
            }
        };
        timeout(SETTLE, ready).await.unwrap_or(false)
    }

    /// Sends a request; the result is the head of the final response.
    ///
    /// # Errors
    /// There is none.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, OriginError> {
        let sent = match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request).await,
            Sender::Http2(sender) => sender.send_request(request).await,
        };
        sent.map_err(|error| OriginError::of_exchange(&error))
    }
}

impl Default for Connector {
    fn default() -> Connector {
        Connector::new(MOST)
    }
}

impl Connector {
    /// Keeps so many connections at the most, whatever they lead to.
    pub fn new(most: usize) -> Connector {
        Connector(Arc::new(Pool { most, kept: Mutex::default() }))
    }

    /// A kept connection, if there is one that is still open.
    pub(super) async fn kept(&self, endpoint: &Endpoint) -> Option<Connection> {
        loop {
            let mut found = self.0.take(endpoint.connection_key)?;
            // Whether it takes a request is known only after its task has seen the end of the last one.
            if found.is_ready().await {
                return Some(found);
            }
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// It cannot be opened, or is not for HTTP/2 although it must be.
    pub(super) async fn open(&self, endpoint: &Endpoint) -> Result<Connection, OriginError> {
        let opened = connect(endpoint, HttpVersions::AsSet).await?;
        let (io, (open, gone)) = (TokioIo::new(opened.transport), oneshot::channel());
        let sender = if opened.http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            let (sender, task) = builder.max_header_list_size(MOST_HEAD).handshake(io).await.map_err(of_handshake)?;
            tokio::spawn(attend(task, gone));
            Sender::Http2(sender)
        } else {
            let mut builder = http1::Builder::new();
            let (sender, task) = builder.max_headers(MOST_FIELDS).handshake(io).await.map_err(of_handshake)?;
            tokio::spawn(attend(task, gone));
            Sender::Http1(sender)
        };
        Ok(Connection { sender, open: Arc::new(open) })
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, endpoint: &Endpoint, connection: Connection) {
        let (key, longest) = (endpoint.connection_key, endpoint.timeouts.idle.as_duration());
        let mut kept = self.0.kept.lock();
        kept.remove(key, &connection);
        if connection.is_closed() || self.0.most == 0 {
            return;
        }
        if kept.count >= self.0.most {
            kept.remove_oldest();
        }
        kept.push(key, Idle { connection, since: clock::micros(), longest });
        if kept.sweeper.as_ref().is_none_or(JoinHandle::is_finished) {
            kept.sweeper = Some(tokio::spawn(sweep(Arc::downgrade(&self.0))));
        }
    }

    /// Lets requests at the same time use a connection over HTTP/2.
    pub(super) fn share(&self, endpoint: &Endpoint, connection: &Connection) {
        if let Some(shared) = connection.shared() {
            self.keep(endpoint, shared);
        }
    }
}

fn of_handshake(error: hyper::Error) -> OriginError {
    OriginError::of_exchange(&error)
}

/// Drives a connection until it ends, and for a moment after nobody holds it any more.
async fn attend<E>(connection: impl Future<Output = Result<(), E>>, gone: oneshot::Receiver<Infallible>) {
    let mut connection = pin!(connection);
    tokio::select! {
        // How it ended is told to its requests.
        _ = &mut connection => return,
        _ = gone => {}
    }
    let _ = timeout(FAREWELL, connection).await;
}

/// Closes connections that have been idle for too long, until none are left.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(LOOK).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut kept = pool.kept.lock();
        kept.retain(Idle::is_usable);
        if kept.count == 0 {
            // Under the lock: whoever keeps the next one starts another.
            kept.sweeper = None;
            return;
        }
    }
}

impl Pool {
    /// One over HTTP/2 stays, for others.
    fn take(&self, key: u64) -> Option<Connection> {
        let mut kept = self.kept.lock();
        loop {
            let idle = kept.pop(key)?;
            if !idle.is_usable() {
                continue;
            }
            if let Some(connection) = idle.connection.shared() {
                kept.push(key, Idle { connection, since: clock::micros(), ..idle });
            }
            return Some(idle.connection);
        }
    }
}

impl Kept {
    fn push(&mut self, key: u64, idle: Idle) {
        self.connections.entry(key).or_default().push(idle);
        self.count += 1;
    }

    fn pop(&mut self, key: u64) -> Option<Idle> {
        let found = self.connections.get_mut(&key)?.pop();
        match &found {
            Some(_) => self.count -= 1,
            None => _ = self.connections.remove(&key),
        }
        found
    }

    fn retain(&mut self, mut wanted: impl FnMut(&Idle) -> bool) {
        self.connections.retain(|_, list| {
            list.retain(&mut wanted);
            !list.is_empty()
        });
        self.count = self.connections.values().map(Vec::len).sum();
    }

    /// Removes the other handle of a connection.
    fn remove(&mut self, key: u64, connection: &Connection) {
        let Some(list) = self.connections.get_mut(&key) else { return };
        let before = list.len();
        list.retain(|idle| !Arc::ptr_eq(&idle.connection.open, &connection.open));
        self.count -= before - list.len();
    }

    fn remove_oldest(&mut self) {
        let all = self.connections.values().flatten();
        if let Some(oldest) = all.map(|idle| idle.since).min() {
            self.retain(|idle| idle.since > oldest);
        }
    }
}
