//! Listeners and workers: one thread for each core, with its own runtime, sockets and pool of connections.
//!
//! SO_REUSEPORT lets the kernel hand every new connection to one worker, which keeps it: nothing is shared between
//! workers but the snapshot and the counters.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use crate::proxy::acme_board::{self, AcmeBoard};
use crate::proxy::client_http1::{self, raw_refusal};
use crate::proxy::client_http2;
use crate::proxy::connection_limits::ConnectionLimits;
use crate::proxy::context::{ClientConnection, ClientSource};
use crate::proxy::proxy_header;
use crate::proxy::request_limits::RequestLimits;
use crate::proxy::timer::HeldClock;
use crate::proxy::tls::CurrentTls;
use crate::proxy::worker::{Proxy, RegisteredConnection, Worker};
use crate::transport::Transport;
use config::ProxyProtocol;
use judgement::time::Millis;
use memory::clock;
use memory::counters::RefusalReason;

/// Connections that the kernel queues for a busy worker.
const BACKLOG: i32 = 4096;
/// What TLS keeps of a response that its client does not read: a head, and a body of 16 KiB, go in one write.
const TLS_BUFFER: usize = 17 << 10;
/// After the listeners were handed over, connections without a request are kept for so long.
const GOODBYE: Duration = Duration::from_secs(5);
/// The alert `unrecognized_name` (RFC 6066 3), in a TLS record of its own.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
/// With new settings in the same process, what goes on with the old ones may take as long as the process lives.
const FOR_GOOD: Millis = Millis::seconds(10 * 365 * 86_400);
/// How often idle connections to origins are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Whether and how the workers are to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownSignal {
    /// Keep running.
    NotYet,
    Drain(DrainSettings),
    /// Another process has the listeners: accept no more, and finish what has come here, for as long as this.
    HandedOver {
        patience: Millis,
    },
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
    pub connection_limits: Arc<ConnectionLimits>,
    pub request_limits: Arc<RequestLimits>,
    pub end: watch::Receiver<ShutdownSignal>,
    /// Turns true when others listen in this one's place: see [`WorkerThread::go_on_with`].
    pub replaced: watch::Receiver<bool>,
}

/// A worker's socket on one address.
#[derive(Debug)]
pub struct WorkerListener {
    pub socket: StdListener,
    pub tls: Option<ListenerTls>,
    pub proxy_protocol: ProxyProtocol,
}

/// How a listener shakes hands.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// The current configuration of its handshakes.
    pub current: CurrentTls,
    /// Only if it has certificates of a CA: then there may be none for a name.
    pub board: Option<Arc<AcmeBoard>>,
}

/// What a worker works with until it is given something else.
#[derive(Debug)]
pub struct WorkerGeneration {
    pub proxy: Proxy,
    pub listeners: Vec<WorkerListener>,
    pub shared: ListenerContext,
}

/// A worker's thread.
#[derive(Debug)]
pub struct WorkerThread {
    thread: JoinHandle<()>,
    next: UnboundedSender<WorkerGeneration>,
}

/// Binds a socket for every worker on an address. Port 0 becomes the same free port for all of them.
///
/// # Errors
/// Listening on the address failed; the message names it.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<StdListener>> {
    // Without SO_REUSEPORT first: two processes on one port would silently share its traffic.
    if address.port() != 0 {
        drop(listener(address, false).map_err(|error| in_words(address, &error))?);
    }
    let mut sockets = vec![listener(address, true).map_err(|error| in_words(address, &error))?];
    bind_more(&mut sockets, workers)?;
    Ok(sockets)
}

/// Binds further sockets on the address of the first, until every worker has one. There may be more already: then none is
/// closed, because a connection may wait in its queue.
///
/// # Errors
/// Listening on the address failed; the message names it.
pub fn bind_more(sockets: &mut Vec<StdListener>, workers: usize) -> io::Result<()> {
    let Some(address) = sockets.first().map(StdListener::local_addr).transpose()? else { return Ok(()) };
    let Some(first) = sockets.first() else { return Ok(()) };
    // A service manager's stands alone: its queue is the only one.
    let shared = SockRef::from(first).reuse_port()?;
    while let (true, Some(first)) = (sockets.len() < workers, sockets.first()) {
        sockets.push(match shared {
            true => listener(address, true).map_err(|error| in_words(address, &error))?,
            false => first.try_clone()?,
        });
    }
    Ok(())
}

fn in_words(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
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
pub fn start_worker(name: String, first: WorkerGeneration) -> io::Result<WorkerThread> {
    let (next, coming) = unbounded_channel();
    let (started, outcome) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        // It must not leave its thread, so it is made here.
        match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                // Connections that outlived the drain end with the runtime.
                runtime.block_on(work_through(first, coming));
            }
            Err(error) => drop(started.send(Err(error))),
        }
    })?;
    outcome.recv().unwrap_or_else(|_| Err(io::Error::other("a worker has ended at once")))?;
    Ok(WorkerThread { thread, next })
}

impl WorkerThread {
    /// Listens with these settings too. Whoever signals `replaced` then ends what was there before: new connections come
    /// here alone, and those that there are finish what they have begun.
    pub fn go_on_with(&self, generation: WorkerGeneration) {
        // If it has ended, nobody listens any more anyway.
        let _ = self.next.send(generation);
    }

    /// Waits for its end.
    pub fn join(self) {
        let _ = self.thread.join();
    }
}

/// One after the other, on one thread: only it counts in its worker's place.
async fn work_through(first: WorkerGeneration, mut coming: UnboundedReceiver<WorkerGeneration>) {
    let mut working = JoinSet::new();
    working.spawn_local(work(first));
    while !working.is_empty() {
        tokio::select! {
            Some(next) = coming.recv() => drop(working.spawn_local(work(next))),
            _ = working.join_next() => {}
        }
    }
}

async fn work(WorkerGeneration { proxy, listeners, shared }: WorkerGeneration) {
    let worker = Rc::new(Worker::new(proxy, shared.request_limits.clone()));
    let (stop, stopping) = watch::channel(false);
    let mut acceptors = JoinSet::new();
    for listener in listeners {
        match TcpListener::from_std(listener.socket) {
            Ok(socket) => {
                let (worker, shared, stopping) = (worker.clone(), shared.clone(), stopping.clone());
                let WorkerListener { tls, proxy_protocol, .. } = listener;
                let acceptor = Acceptor { worker, socket, tls, proxy_protocol, shared };
                acceptors.spawn_local(acceptor.run(stopping));
            }
            Err(error) => tracing::error!(%error, "cannot start a listener"),
        }
    }
    let (mut end, mut replaced) = (shared.end.clone(), shared.replaced.clone());
    let mut how = tokio::select! {
        _ = end.changed() => *end.borrow_and_update(),
        Ok(()) = replaced.changed() => ShutdownSignal::HandedOver { patience: FOR_GOOD },
        never = sweep(&worker) => match never {},
    };
    let mut began = clock::now();
    worker.connections.leave();
    if let ShutdownSignal::Drain(DrainSettings { delay, .. }) = how {
        let _ = timeout(delay.as_duration(), end.changed()).await;
    }
    stop.send_replace(true);
    while acceptors.join_next().await.is_some() {}
    if matches!(how, ShutdownSignal::HandedOver { .. }) {
        // Clients that ask in this time learn from the response that they are to connect again; a connection that is closed
        // under a request would fail it.
        let _ = timeout(GOODBYE, end.changed()).await;
    }
    worker.connections.close();
    worker.origins.clear();
    loop {
        let patience = match how {
            ShutdownSignal::Drain(DrainSettings { patience, .. }) | ShutdownSignal::HandedOver { patience } => {
                patience.since(clock::now().since(began)).as_duration()
            }
            ShutdownSignal::NotYet | ShutdownSignal::Now => Duration::ZERO,
        };
        tokio::select! {
            _ = timeout(patience, worker.connections.ended()) => return,
            // A second signal is heard while draining.
            Ok(()) = end.changed() => {
                if matches!(how, ShutdownSignal::HandedOver { patience: FOR_GOOD }) {
                    began = clock::now();
                }
                how = *end.borrow_and_update();
            }
        }
    }
}

/// Closes idle connections to origins in time.
async fn sweep(worker: &Worker) -> Infallible {
    loop {
        sleep(SWEEP).await;
        worker.origins.sweep();
    }
}

/// One listener of one worker.
struct Acceptor {
    worker: Rc<Worker>,
    socket: TcpListener,
    tls: Option<ListenerTls>,
    proxy_protocol: ProxyProtocol,
    shared: ListenerContext,
}

impl Acceptor {
    async fn run(self, mut stopping: watch::Receiver<bool>) {
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
                _ = stopping.changed() => break,
            }
        }
        // Connections that the kernel has already accepted are served; their clients would see a reset otherwise.
        while let Ok(Ok((tcp, peer))) = timeout(Duration::ZERO, self.socket.accept()).await {
            self.serve(tcp, peer);
        }
    }

    fn serve(&self, mut tcp: TcpStream, peer: SocketAddr) {
        let mut expected = self.proxy_protocol;
        if expected != ProxyProtocol::Off && !self.worker.is_trusted(peer.ip()) {
            if !proxy_header::admits_untrusted(&self.worker, peer, expected) {
                return;
            }
            expected = ProxyProtocol::Off;
        }
        let Some(permit) = self.shared.connection_limits.admit(peer.ip()) else {
            return refuse_connection(&tcp, &self.worker, self.tls.is_some());
        };
        // Responses are written whole, so waiting for more to send would only delay them.
        let _ = tcp.set_nodelay(true);
        let tls = self.tls.clone();
        let (worker, registered) = (self.worker.clone(), RegisteredConnection::new(&self.worker));
        tokio::task::spawn_local(HeldClock::new(async move {
            let mut permit = permit;
            let mut source = ClientSource::peer(peer.ip());
            if expected != ProxyProtocol::Off {
                let header = proxy_header::take(&worker, &registered, &mut tcp, peer, expected);
                // On the heap for its short life, as that of TLS is.
                let Some(told) = Box::pin(header).await else { return };
                if !permit.count_for(told.address) {
                    return refuse_connection(&tcp, &worker, tls.is_some());
                }
                source = told;
            }
            match tls {
                None => {
                    let http2 = worker.proxy.plain_http2;
                    client_http1::serve(worker, registered, Transport::Plain(tcp), source, http2).await;
                }
                // On the heap for its short life, so that other connections have no room for it.
                Some(tls) => Box::pin(serve_tls(worker, registered, tls, tcp, source)).await,
            }
        }));
    }
}

/// Tells a client that there are too many connections, if it can be told.
fn refuse_connection(tcp: &TcpStream, worker: &Worker, tls: bool) {
    if !tls {
        // If the client cannot take it at once, it gets no response.
        let _ = tcp.try_write(&raw_refusal(RefusalReason::Connections, &worker.date()));
    }
}

async fn serve_tls(
    worker: Rc<Worker>,
    registered: RegisteredConnection,
    tls: ListenerTls,
    tcp: TcpStream,
    source: ClientSource,
) {
    let patience = worker.proxy.limits.tls_handshake.as_duration();
    let shaken = match &tls.board {
        None => {
            let config = tls.current.borrow().clone();
            timeout(patience, TlsAcceptor::from(config).accept(tcp))
                .await
                .map_err(drop)
                .and_then(|tls| tls.map_err(drop))
        }
        Some(board) => match timeout(patience, shake_hands(&tls.current, board, tcp)).await {
            Ok(Ok(tls)) => Ok(tls),
            Ok(Err(HandshakeEnd::Answered)) => return,
            Ok(Err(HandshakeEnd::UnrecognizedName)) => {
                return worker.proxy.counters.process.refuse(RefusalReason::UnrecognizedName);
            }
            Ok(Err(HandshakeEnd::Failed)) | Err(_) => Err(()),
        },
    };
    let Ok(mut tls) = shaken else {
        return worker.proxy.counters.process.refuse(RefusalReason::Handshake);
    };
    tls.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
    let transport = Transport::Tls(Box::new(tls.into()));
    if transport.speaks_http2() {
        let client = Rc::new(ClientConnection::new(&worker, source, &transport));
        client_http2::serve(worker, registered, transport, Vec::new(), client).await;
    } else {
        client_http1::serve(worker, registered, transport, source, false).await;
    }
}

/// Why a handshake leads to no connection.
enum HandshakeEnd {
    Failed,
    UnrecognizedName,
    /// A CA has seen what it wanted to see.
    Answered,
}

/// A handshake where there may be no certificate for the name, or a CA may be the one that asks.
async fn shake_hands(
    current: &CurrentTls,
    board: &AcmeBoard,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, HandshakeEnd> {
    let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await;
    let begun = begun.map_err(|_| HandshakeEnd::Failed)?;
    let (is_challenge, name) =
        (acme_board::is_challenge(&begun.client_hello()), acme_board::name_of(&begun.client_hello()));
    if is_challenge && let Some(config) = name.as_deref().and_then(|name| board.handshake(name)) {
        let mut tls = begun.into_stream(config).await.map_err(|_| HandshakeEnd::Failed)?;
        // The handshake is the answer: no request is read.
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut tls).await;
        return Err(HandshakeEnd::Answered);
    }
    let config: Arc<ServerConfig> = current.borrow().clone();
    if is_challenge || config.cert_resolver.resolve(begun.client_hello()).is_none() {
        name.iter().filter(|_| !is_challenge).for_each(|name| board.ask_for(name));
        // If the client cannot take it at once, it only sees the end.
        let _ = begun.io.try_write(&UNRECOGNIZED_NAME);
        return Err(HandshakeEnd::UnrecognizedName);
    }
    begun.into_stream(config).await.map_err(|_| HandshakeEnd::Failed)
}
