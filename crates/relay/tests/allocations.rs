//! A plain request on a kept connection allocates nothing on its way through the relay, in the steady state.
//!
//! Counted are all threads of this process: the worker, the sidecar, which sleeps, and the client and the origin here, which
//! do not allocate either. A failure writes `dhat-heap.json`, which says who has allocated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use config::ProxyProtocol;
use cutover_relay::origin::{KnownAddresses, OriginResolver};
use cutover_relay::proxy::Proxy;
use cutover_relay::proxy::connection_limits::ConnectionLimits;
use cutover_relay::proxy::listen::{
    ListenerContext, ShutdownSignal, WorkerGeneration, WorkerListener, bind, start_worker,
};
use cutover_relay::proxy::request_limits::RequestLimits;
use judgement::time::Millis;
use memory::counters::{Counters, Shard};
use memory::snapshot::SnapshotPublisher;
use sidecar::journal::Journal;
use sidecar::{ResolvedRouting, Sidecar};
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// What a browser sends.
const REQUEST: &[u8] = b"GET /cart?item=1 HTTP/1.1\r\nHost: shop.test\r\nConnection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sat, 28 Nov 2026 00:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\nCache-Control: no-cache\r\nContent-Length: 4\r\n\r\nwell";
/// The same in chunks.
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nServer: origin\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n";

/// Of both origins.
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// Reads until the end of a message has come, without allocating; false at the end of the connection.
fn read_to(tcp: &mut TcpStream, end: &[u8]) -> bool {
    let (mut buffer, mut there) = ([0; 8192], 0);
    while !buffer[..there].ends_with(end) {
        match tcp.read(&mut buffer[there..]) {
            Ok(got @ 1..) => there += got,
            _ => return false,
        }
    }
    true
}

/// Answers one connection after another, and allocates nothing for it.
fn origin(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut tcp, _)) = listener.accept() {
            CONNECTIONS.fetch_add(1, Relaxed);
            tcp.set_nodelay(true).unwrap();
            while read_to(&mut tcp, b"\r\n\r\n") && tcp.write_all(answer).is_ok() {}
        }
    });
    address
}

/// A worker in front of an origin. The sidecar does nothing but to publish once.
struct Relay {
    address: SocketAddr,
    _end: watch::Sender<ShutdownSignal>,
    _sidecar: sidecar::SidecarHandle,
    _dir: tempfile::TempDir,
}

impl Relay {
    fn start(origin: SocketAddr) -> Relay {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cutover.toml");
        std::fs::write(&path, "version = 1\nrouting = \"routing.toml\"\n[proxy]\nlisten = [\"127.0.0.1:0\"]\n[state]\npath = \"cutover.db\"\n").unwrap();
        let settings = config::load_main(&path).unwrap();
        let counters = Arc::new(Counters::new(1));
        let (journal, restored) = Journal::start(&dir.path().join("cutover.db"), counters.clone()).unwrap();
        let (publisher, published) = SnapshotPublisher::new();
        let mut sidecar = Sidecar::new(restored, publisher, counters.clone(), journal);
        sidecar.load(routing(origin, &counters), memory::clock::now()).unwrap();
        let (sidecar, _) = sidecar.start(Millis::seconds(3600)).unwrap();
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let proxy = Proxy::new(Shard(0), published, counters.clone(), sidecar.clone(), &settings);
        let limits = ConnectionLimits::new(100, &settings.limits, &settings.trusted_proxies, counters.clone());
        let request_limits = Arc::new(RequestLimits::new(100, 0, counters));
        let (ending, end) = watch::channel(ShutdownSignal::NotYet);
        let (_, replaced) = watch::channel(false);
        let shared = ListenerContext { connection_limits: Arc::new(limits), request_limits, end, replaced };
        let sockets = listeners
            .into_iter()
            .map(|socket| WorkerListener { socket, tls: None, proxy_protocol: ProxyProtocol::Off })
            .collect();
        start_worker("worker".to_owned(), WorkerGeneration { proxy, listeners: sockets, shared }).unwrap();
        Relay { address, _end: ending, _sidecar: sidecar, _dir: dir }
    }
}

fn routing(origin: SocketAddr, counters: &Arc<Counters>) -> ResolvedRouting {
    let sides =
        format!("[service.shop.blue]\nurl = \"http://{origin}\"\n[service.shop.green]\nurl = \"http://{origin}\"\n");
    let routing = config::routing_text("routing.toml", &format!("[service.shop]\n{sides}")).unwrap();
    let origins = routing.services.iter().flat_map(|service| service.origins.iter().cloned()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let endpoints =
        runtime.block_on(async { OriginResolver::new(counters.clone(), KnownAddresses::new()).resolve(origins).await });
    assert_eq!(endpoints.len(), 1, "both sides are one origin");
    ResolvedRouting { routing, endpoints, ..ResolvedRouting::default() }
}

#[test]
fn a_kept_connections_requests_allocate_nothing() {
    let profiler = dhat::Profiler::builder().testing().build();
    for (expected, answer, end) in [(1, ANSWER, &b"well"[..]), (2, CHUNKED, b"0\r\n\r\n")] {
        let relay = Relay::start(origin(answer));
        let mut client = TcpStream::connect(relay.address).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut ask = |times: usize| {
            for _ in 0..times {
                client.write_all(REQUEST).unwrap();
                assert!(read_to(&mut client, end), "the relay answers");
            }
        };
        // Whatever grows with the first requests has its size by then.
        ask(2_000);
        assert_eq!(CONNECTIONS.load(Relaxed), expected, "the origin's connection is kept as well");
        let before = dhat::HeapStats::get();
        ask(1_000);
        let after = dhat::HeapStats::get();
        let (blocks, bytes) = (after.total_blocks - before.total_blocks, after.total_bytes - before.total_bytes);
        dhat::assert_eq!((blocks, bytes), (0, 0), "for a thousand requests");
    }
    drop(profiler);
}
