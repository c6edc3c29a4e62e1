//! Bare pingora: what Cutover's own work is measured against. Not part of the product.
//!
//! A 90/10 split and one header rule in pingora-proxy, tuned as Cutover is: a current-thread runtime a core with sockets,
//! accept loop and pool of its own, no downstream modules, an allocator as ours, peers made once, one write buffer under every
//! answer, the same time-outs and the same settings of a session. What is left out is what Cutover adds: checks of the
//! request, snapshot, decision, counters, forwarded headers, rescue, judgement.
//!
//! `bare_pingora LISTEN BLUE GREEN [CERT_FILE KEY_FILE]`: addresses with port; with a certificate it speaks TLS, and
//! HTTP/2 by ALPN. It uses as many cores as it may (`taskset` says which), and runs until it is killed.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use pingora_core::apps::{HttpServerOptions, ServerApp};
use pingora_core::listeners::tls::{Acceptor, TlsSettings};
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::Result;
use pingora_proxy::{HttpProxy, ProxyHttp, Session};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Cutover's own numbers.
const BACKLOG: i32 = 4096;
const POOL: usize = 1024;
const REQUESTS_PER_CONNECTION: u32 = 10_000;
const WRITE_BUFFER: usize = 18 * 1024;
const KEEP_ALIVE_SECONDS: u64 = 60;

/// Every tenth request goes to green, and every one that says `x-canary: always`.
struct Bare {
    blue: HttpPeer,
    green: HttpPeer,
    turns: AtomicUsize,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, _ctx: &mut ()) -> Result<bool> {
        if session.get_keepalive() == Some(0) {
            session.set_keepalive(Some(KEEP_ALIVE_SECONDS));
        }
        session.as_downstream_mut().set_pipelining_enabled(true);
        session.as_downstream_mut().set_abort_on_close(false);
        Ok(false)
    }

    async fn upstream_peer(&self, session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        let forced = session.req_header().headers.get("x-canary").is_some_and(|value| value.as_bytes() == b"always");
        let green = forced || self.turns.fetch_add(1, Relaxed).is_multiple_of(10);
        Ok(Box::new(if green { self.green.clone() } else { self.blue.clone() }))
    }
}

fn peer(address: SocketAddr) -> HttpPeer {
    let mut peer = HttpPeer::new(address, false, String::new());
    let options = &mut peer.options;
    options.connection_timeout = Some(Duration::from_secs(2));
    options.total_connection_timeout = Some(Duration::from_secs(6));
    options.read_timeout = Some(Duration::from_secs(30));
    options.write_timeout = Some(Duration::from_secs(30));
    options.idle_timeout = Some(Duration::from_secs(50));
    options.alpn = ALPN::H1;
    peer
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (addresses, tls) = match arguments.as_slice() {
        [listen, blue, green] => ([listen, blue, green], None),
        [listen, blue, green, cert, key] => ([listen, blue, green], Some((cert, key))),
        _ => anyhow::bail!("bare_pingora LISTEN BLUE GREEN [CERT_FILE KEY_FILE]"),
    };
    let [listen, blue, green] = addresses.map(|text| text.parse::<SocketAddr>().with_context(|| text.clone()));
    let (listen, blue, green) = (listen?, blue?, green?);
    let acceptor = match tls {
        Some((cert, key)) => {
            let mut settings = TlsSettings::intermediate(cert, key).map_err(|e| anyhow::anyhow!("{e}"))?;
            settings.enable_h2();
            Some(Arc::new(settings.build()))
        }
        None => None,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = Vec::new();
    for _ in 0..cores {
        let listener = listener(listen)?;
        let (blue, green, acceptor) = (peer(blue), peer(green), acceptor.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        threads.push(std::thread::spawn(move || {
            runtime.block_on(work(Bare { blue, green, turns: AtomicUsize::new(0) }, listener, acceptor))
        }));
    }
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
    }
    Ok(())
}

fn listener(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn work(proxy: Bare, listener: StdListener, acceptor: Option<Arc<Acceptor>>) -> io::Result<()> {
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: POOL, ..ServerConf::default() };
    let mut app = HttpProxy::new(proxy, Arc::new(conf));
    app.handle_init_modules();
    app.server_options = Some({
        let mut options = HttpServerOptions::default();
        options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION);
        options
    });
    let app = Arc::new(app);
    let listener = TcpListener::from_std(listener)?;
    let (_running, stopping) = tokio::sync::watch::channel(false);
    loop {
        let (tcp, peer) = listener.accept().await?;
        let _ = tcp.set_nodelay(true);
        let (app, acceptor, stopping) = (app.clone(), acceptor.clone(), stopping.clone());
        tokio::spawn(async move {
            let tcp = ClientStream::new(tcp, peer);
            let stream: Stream = match &acceptor {
                None => Box::new(tcp),
                Some(acceptor) => match acceptor.tls_handshake(tcp).await {
                    Ok(tls) => Box::new(tls),
                    Err(_) => return,
                },
            };
            app.process_new(stream, &stopping).await;
        });
    }
}

/// A connection with Cutover's write buffer: pingora's own cannot be given one from outside its listeners.
#[derive(Debug)]
struct ClientStream {
    tcp: BufWriter<TcpStream>,
    digest: Arc<SocketDigest>,
}

impl ClientStream {
    fn new(tcp: TcpStream, peer: SocketAddr) -> ClientStream {
        let digest = SocketDigest::from_raw_fd(tcp.as_raw_fd());
        let _ = digest.peer_addr.set(Some(peer.into()));
        ClientStream { tcp: BufWriter::with_capacity(WRITE_BUFFER, tcp), digest: Arc::new(digest) }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.tcp.buffer().is_empty() {
            let _ = Pin::new(&mut self.tcp).poll_flush(cx);
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.tcp.get_ref().as_raw_fd()
    }
}

impl Ssl for ClientStream {}

impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}
