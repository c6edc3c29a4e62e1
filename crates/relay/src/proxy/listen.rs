//! Listeners and workers: one thread for each core, with its own runtime, sockets and pool of connections.
//!
//! SO_REUSEPORT lets the kernel hand every new connection to one worker, which keeps it: nothing is shared between
//! workers but the snapshot and the counters. pingora's `Server` is not used: it sleeps through its grace period even
//! when idle, and cannot say which port it got.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use pingora_core::apps::{HttpServerOptions, ServerApp};
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::proxy::Proxy;
use crate::proxy::connection_limits::ConnectionLimits;
use crate::proxy::stream::{ClientStream, raw_refusal};
use crate::proxy::tls::CurrentTls;
use crate::proxy::transport::ClientTransport;
use config::ClientLimits;
use judgement::time::Millis;
use memory::clock;
use memory::counters::{Counters, RefusalReason};

/// Connections that the kernel queues for a busy worker.
const BACKLOG: i32 = 4096;
/// Idle connections to origins that a worker keeps.
const POOL: usize = 1024;
/// pingora's bound on attempts per request; Cutover's own are tighter (three connects and two stale ones per side).
const TRIES: usize = 16;

/// Whether and how the workers are to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownSignal {
    /// Keep running.
    NotYet,
    Drain(DrainSettings),
    /// At once.
    Now,
}

/// Shut down after finishing what is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainSettings {
    /// How long the whole drain may take.
    pub patience: Millis,
    /// How long new connections are still accepted while every response asks its client to disconnect. Meanwhile the
    /// load balancer sees that readiness fails and sends no more. Then idle connections are closed.
    pub delay: Millis,
}

/// What all workers' listeners share.
#[derive(Clone, Debug)]
pub struct ListenerContext {
    pub counters: Arc<Counters>,
    pub limits: ClientLimits,
    pub connection_limits: Arc<ConnectionLimits>,
    pub end: watch::Receiver<ShutdownSignal>,
}

/// A worker's socket on one address.
#[derive(Debug)]
pub struct WorkerListener {
    pub socket: StdListener,
    /// For TLS: the current configuration of its handshakes.
    pub tls: Option<CurrentTls>,
}

/// Binds a socket for every worker on every address. Port 0 becomes the same free port for all of them.
///
/// # Errors
/// Listening on an address failed; the message names the address.
pub fn bind(addresses: &[SocketAddr], workers: usize) -> io::Result<(Vec<Vec<StdListener>>, Vec<SocketAddr>)> {
    let mut of_workers: Vec<Vec<StdListener>> = (0..workers).map(|_| Vec::new()).collect();
    let mut bound = Vec::new();
    for address in addresses {
        let in_words = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
        // Without SO_REUSEPORT first: two processes on one port would silently share its traffic.
        if address.port() != 0 {
            drop(listener(*address, false).map_err(in_words)?);
        }
        let mut address = *address;
        for sockets in &mut of_workers {
            let socket = listener(address, true).map_err(in_words)?;
            address = socket.local_addr()?;
            sockets.push(socket);
        }
        bound.push(address);
    }
    Ok((of_workers, bound))
}

fn listener(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A port whose last connections are in TIME_WAIT is free.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Starts a worker's thread over its listeners. It ends when `end` says so.
///
/// # Errors
/// The thread or its runtime cannot be created.
pub fn start_worker(
    name: String,
    proxy: Proxy,
    listeners: Vec<WorkerListener>,
    shared: ListenerContext,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(work(proxy, listeners, shared));
        // Connections that outlived the drain end with the runtime.
        runtime.shutdown_background();
    })
}

async fn work(proxy: Proxy, listeners: Vec<WorkerListener>, shared: ListenerContext) {
    let conf = Arc::new(ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: POOL,
        max_retries: TRIES,
        ..ServerConf::default()
    });
    let mut app = HttpProxy::new(proxy, conf);
    app.handle_init_modules();
    app.server_options = Some({
        let mut options = HttpServerOptions::default();
        // pingora counts how often a connection is reused.
        options.keepalive_request_limit = Some(shared.limits.requests.saturating_sub(1));
        options.h2_idle_timeout = Some(shared.limits.keep_alive.as_duration());
        options
    });
    let app = Arc::new(app);
    let mut loops = JoinSet::new();
    for listener in listeners {
        match TcpListener::from_std(listener.socket) {
            Ok(socket) => {
                let (stop, stopping) = watch::channel(false);
                let acceptor = Acceptor {
                    app: app.clone(),
                    socket,
                    tls: listener.tls,
                    shared: shared.clone(),
                    stop,
                    stopping,
                    connections: JoinSet::new(),
                };
                loops.spawn(acceptor.run());
            }
            Err(error) => tracing::error!(%error, "cannot start a listener"),
        }
    }
    while loops.join_next().await.is_some() {}
}

/// One listener of one worker, with its connections.
struct Acceptor {
    app: Arc<HttpProxy<Proxy>>,
    socket: TcpListener,
    tls: Option<CurrentTls>,
    shared: ListenerContext,
    /// Tells pingora that each response is the connection's last, and tells HTTP/2 clients to go.
    stop: watch::Sender<bool>,
    stopping: watch::Receiver<bool>,
    connections: JoinSet<()>,
}

impl Acceptor {
    async fn run(mut self) {
        let mut end = self.shared.end.clone();
        self.accept_until(end.changed()).await;
        let began = clock::now();
        self.stop.send_replace(true);
        let how = *end.borrow_and_update();
        if let ShutdownSignal::Drain(DrainSettings { delay, .. }) = how {
            self.accept_until(async {
                let _ = timeout(delay.as_duration(), end.changed()).await;
            })
            .await;
        }
        // Connections that the kernel has already accepted are served; their clients would see a reset otherwise.
        while let Ok(Ok((tcp, peer))) = timeout(Duration::ZERO, self.socket.accept()).await {
            self.serve(tcp, peer);
        }
        let Acceptor { app, socket, mut connections, .. } = self;
        drop(socket);
        app.cleanup().await;
        loop {
            let patience = match *end.borrow_and_update() {
                ShutdownSignal::Drain(drain) => drain.patience.since(clock::now().since(began)).as_duration(),
                ShutdownSignal::NotYet | ShutdownSignal::Now => Duration::ZERO,
            };
            let drained = timeout(patience, async { while connections.join_next().await.is_some() {} });
            tokio::select! {
                _ = drained => break,
                // A second signal is heard while draining.
                Ok(()) = end.changed() => {}
            }
        }
        connections.abort_all();
    }

    async fn accept_until<T>(&mut self, enough: impl Future<Output = T>) {
        tokio::pin!(enough);
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((tcp, peer)) => self.serve(tcp, peer),
                    Err(error) => {
                        // Most likely out of file descriptors: wait until some are closed.
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(Duration::from_millis(50)).await;
                    }
                },
                // Connections that have ended are removed.
                Some(_) = self.connections.join_next(), if !self.connections.is_empty() => {}
                _ = &mut enough => return,
            }
        }
    }

    fn serve(&mut self, tcp: TcpStream, peer: SocketAddr) {
        let Some(permit) = self.shared.connection_limits.admit(peer.ip()) else {
            if self.tls.is_none() {
                // If the client cannot take it at once, it gets no response.
                let _ = tcp.try_write(raw_refusal(RefusalReason::Connections).as_bytes());
            }
            return;
        };
        // Responses are written whole, so waiting for more to send would only delay them.
        let _ = tcp.set_nodelay(true);
        let tls = self.tls.as_ref().map(|current| current.borrow().clone());
        let (app, stopping, shared) = (self.app.clone(), self.stopping.clone(), self.shared.clone());
        self.connections.spawn(async move {
            let _permit = permit;
            let transport = match tls {
                None => ClientTransport::Plain(tcp),
                Some(config) => {
                    let handshake = TlsAcceptor::from(config).accept(tcp);
                    match timeout(shared.limits.tls_handshake.as_duration(), handshake).await {
                        Ok(Ok(tls)) => ClientTransport::Tls(Box::new(tls)),
                        Ok(Err(_)) | Err(_) => return shared.counters.process.refuse(RefusalReason::Handshake),
                    }
                }
            };
            match ClientStream::new(transport, peer, shared.limits, shared.counters) {
                Ok(stream) => {
                    app.process_new(Box::new(stream), &stopping).await;
                }
                Err(error) => tracing::error!(%error, "cannot serve a connection"),
            }
        });
    }
}
