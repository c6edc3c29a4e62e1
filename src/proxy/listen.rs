//! Listeners and workers: a thread a core, each with its own runtime, its own sockets and its own pool of connections.
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

use crate::counters::{Counters, count};
use crate::proxy::Proxy;
use crate::proxy::stream::ClientStream;
use crate::time::Millis;

/// Connections that the kernel keeps for a busy worker.
const BACKLOG: i32 = 4096;
/// Idle connections to origins that a worker keeps.
const POOL: usize = 1024;
/// Requests on one client connection: after so many it is closed, and its memory freed.
const REQUESTS_PER_CONNECTION: u32 = 10_000;
/// pingora's bound on tries of one request; ours are tighter (three connects and two stale ones a side).
const TRIES: usize = 16;

/// How the workers are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Not at all.
    NotYet,
    /// Take no more connections, finish what is in flight, at most for so long.
    Drain(Millis),
    /// At once.
    Now,
}

/// Sockets for every worker on every address. Port 0 becomes one free port for all of them.
///
/// # Errors
/// An address cannot be listened on, with the address in the text.
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
/// The thread or its runtime cannot be made.
pub fn start_worker(
    name: String,
    proxy: Proxy,
    listeners: Vec<StdListener>,
    counters: Arc<Counters>,
    end: watch::Receiver<End>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(work(proxy, listeners, counters, end));
        // Connections that outlived the drain end with the runtime.
        runtime.shutdown_background();
    })
}

async fn work(proxy: Proxy, listeners: Vec<StdListener>, counters: Arc<Counters>, end: watch::Receiver<End>) {
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
        options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION);
        options
    });
    let app = Arc::new(app);
    let mut loops = JoinSet::new();
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                loops.spawn(accept_loop(app.clone(), listener, counters.clone(), end.clone()));
            }
            Err(error) => tracing::error!(%error, "a listener does not work"),
        }
    }
    while loops.join_next().await.is_some() {}
}

async fn accept_loop(
    app: Arc<HttpProxy<Proxy>>,
    listener: TcpListener,
    counters: Arc<Counters>,
    mut end: watch::Receiver<End>,
) {
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, peer)) => serve(&mut connections, &app, tcp, peer, &stopping, &counters),
                Err(error) => {
                    // Out of descriptors, most likely: some will be closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            },
            // Ended ones make room as they end.
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            changed = end.changed() => if changed.is_err() || *end.borrow() != End::NotYet { break },
        }
    }
    // What the kernel has already shaken hands with is served, or its client would see a reset.
    while let Ok(Ok((tcp, peer))) = timeout(Duration::ZERO, listener.accept()).await {
        serve(&mut connections, &app, tcp, peer, &stopping, &counters);
    }
    drop(listener);
    stop.send_replace(true);
    app.cleanup().await;
    loop {
        let patience = match *end.borrow_and_update() {
            End::Drain(patience) => patience.as_duration(),
            End::NotYet | End::Now => Duration::ZERO,
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

fn serve(
    connections: &mut JoinSet<()>,
    app: &Arc<HttpProxy<Proxy>>,
    tcp: TcpStream,
    peer: SocketAddr,
    stopping: &watch::Receiver<bool>,
    counters: &Arc<Counters>,
) {
    // Answers are written whole: waiting for more to send only delays them.
    let _ = tcp.set_nodelay(true);
    let (app, stopping, open) = (app.clone(), stopping.clone(), Open::new(counters.clone()));
    connections.spawn(async move {
        let _open = open;
        app.process_new(Box::new(ClientStream::new(tcp, peer)), &stopping).await;
    });
}

/// Counts a connection while it is open, however it ends.
struct Open(Arc<Counters>);

impl Open {
    fn new(counters: Arc<Counters>) -> Open {
        count(&counters.process.connections_opened);
        Open(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        count(&self.0.process.connections_closed);
    }
}
