//! An origin of HTTP/2: over TLS, or in the clear by prior knowledge; and HTTP/1.1 for who wants that.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::origin::RUNTIME;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub uri: String,
    pub headers: HeaderMap,
}

/// A stream that wants an answer.
pub struct Exchange {
    pub request: Request<RecvStream>,
    pub answer: SendResponse<Bytes>,
}

impl Exchange {
    /// The next piece of the request's body.
    pub async fn next(&mut self) -> Option<Bytes> {
        let body = self.request.body_mut();
        let piece = body.data().await?.ok()?;
        let _ = body.flow_control().release_capacity(piece.len());
        Some(piece)
    }

    /// The rest of the request's body.
    pub async fn whole(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await {
            whole.extend_from_slice(&piece);
        }
        whole
    }

    /// A status and a body.
    pub fn say(&mut self, status: u16, body: impl Into<Bytes>) {
        let head = Response::builder().status(status).body(()).unwrap();
        // The proxy may have given up.
        let Ok(mut stream) = self.answer.send_response(head, false) else { return };
        let _ = stream.send_data(body.into(), true);
    }

    pub fn reset(mut self, reason: h2::Reason) {
        self.answer.send_reset(reason);
    }
}

/// What a connection says to its first stream, instead of an answer.
#[derive(Clone, Copy)]
struct GoAway {
    reason: h2::Reason,
    /// The last stream that was looked at.
    last: u32,
}

type Script = Arc<dyn Fn(Exchange) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

struct Shared {
    tls: Option<Arc<ServerConfig>>,
    script: Mutex<Script>,
    /// For connections to come, before any are served.
    goaways: Mutex<VecDeque<GoAway>>,
    /// GOAWAYs that were sent.
    sent_away: watch::Sender<u64>,
    seen: Mutex<Vec<Seen>>,
    requests: AtomicU64,
    connections: AtomicU64,
    handshakes: AtomicU64,
    client_certificates: AtomicU64,
    killed: watch::Sender<()>,
}

/// An origin that runs until it is dropped. It answers 200 and the version of HTTP that it was asked in.
pub struct H2Origin {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl H2Origin {
    pub fn clear() -> H2Origin {
        H2Origin::start(None)
    }

    pub fn tls(config: Arc<ServerConfig>) -> H2Origin {
        H2Origin::start(Some(config))
    }

    fn start(tls: Option<Arc<ServerConfig>>) -> H2Origin {
        let shared = Arc::new(Shared {
            tls,
            script: Mutex::new(scripted(|mut exchange| async move { exchange.say(200, "HTTP/2") })),
            goaways: Mutex::default(),
            sent_away: watch::Sender::new(0),
            seen: Mutex::default(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            client_certificates: AtomicU64::new(0),
            killed: watch::Sender::new(()),
        });
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let task = RUNTIME.spawn(accept(listener, shared.clone()));
        H2Origin { address, shared, task }
    }

    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// From now on it does this with a stream.
    pub fn does<F: Future<Output = ()> + Send + 'static>(
        &self,
        script: impl Fn(Exchange) -> F + Send + Sync + 'static,
    ) {
        *self.shared.script.lock().unwrap() = scripted(script);
    }

    /// The next connection gets a GOAWAY for its first stream, which was not looked at.
    pub fn sends_away_next(&self, reason: h2::Reason) {
        self.shared.goaways.lock().unwrap().push_back(GoAway { reason, last: 0 });
    }

    /// The next connection keeps its first stream, unanswered, and takes no others.
    pub fn goes_after_first(&self, reason: h2::Reason) {
        self.shared.goaways.lock().unwrap().push_back(GoAway { reason, last: 1 });
    }

    /// Waits until a GOAWAY was sent.
    pub async fn gone(&self) {
        let _ = self.shared.sent_away.subscribe().wait_for(|sent| *sent > 0).await;
    }

    /// Ends every connection, whatever is on it.
    pub fn kill_connections(&self) {
        self.shared.killed.send_replace(());
    }

    pub fn requests(&self) -> u64 {
        self.shared.requests.load(SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }

    /// TLS handshakes that were made.
    pub fn handshakes(&self) -> u64 {
        self.shared.handshakes.load(SeqCst)
    }

    /// Those of them in which the client said who it is.
    pub fn client_certificates(&self) -> u64 {
        self.shared.client_certificates.load(SeqCst)
    }

    pub fn last(&self) -> Seen {
        self.shared.seen.lock().unwrap().last().cloned().expect("the origin got a request")
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn scripted<F: Future<Output = ()> + Send + 'static>(script: impl Fn(Exchange) -> F + Send + Sync + 'static) -> Script {
    Arc::new(move |exchange| Box::pin(script(exchange)))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let _ = tcp.set_nodelay(true);
        shared.connections.fetch_add(1, SeqCst);
        connections.spawn(serve(tcp, shared.clone()));
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>) {
    let mut killed = shared.killed.subscribe();
    tokio::select! {
        () = shake_hands(tcp, &shared) => {}
        _ = killed.changed() => {}
    }
}

async fn shake_hands(tcp: TcpStream, shared: &Arc<Shared>) {
    let Some(config) = shared.tls.clone() else {
        let mut start = [0; 3];
        while tcp.peek(&mut start).await.is_ok_and(|got| got > 0 && got < 3) {}
        return if start == *b"PRI" { http2(tcp, shared).await } else { http1(tcp, shared).await };
    };
    let Ok(tls) = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await else { return };
    shared.handshakes.fetch_add(1, SeqCst);
    let named = tls.get_ref().1.peer_certificates().is_some();
    shared.client_certificates.fetch_add(u64::from(named), SeqCst);
    match tls.get_ref().1.alpn_protocol() {
        Some(b"h2") => http2(tls, shared).await,
        _ => http1(tls, shared).await,
    }
}

async fn http2(io: impl AsyncRead + AsyncWrite + Unpin, shared: &Arc<Shared>) {
    let goaway = shared.goaways.lock().unwrap().pop_front();
    if let Some(goaway) = goaway {
        return send_away(io, goaway, &shared.sent_away).await;
    }
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    while let Some(Ok((request, answer))) = connection.accept().await {
        shared.requests.fetch_add(1, SeqCst);
        let seen = Seen {
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            headers: request.headers().clone(),
        };
        shared.seen.lock().unwrap().push(seen);
        let script = shared.script.lock().unwrap().clone();
        tokio::spawn(script(Exchange { request, answer }));
    }
}

/// The h2 crate cannot say that it has not looked at a stream: so these are frames by hand (RFC 9113 4.1, 6.8).
async fn send_away(mut io: impl AsyncRead + AsyncWrite + Unpin, goaway: GoAway, sent: &watch::Sender<u64>) {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let _ = io.write_all(&settings).await;
    let mut preface = [0; PREFACE];
    let _ = io.read_exact(&mut preface).await;
    loop {
        let mut head = [0; 9];
        if io.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        let _ = io.read_exact(&mut payload).await;
        if head[3] == HEADERS {
            let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
            frame.extend_from_slice(&goaway.last.to_be_bytes());
            frame.extend_from_slice(&u32::from(goaway.reason).to_be_bytes());
            let _ = io.write_all(&frame).await;
            let _ = io.flush().await;
            sent.send_modify(|sent| *sent += 1);
        }
    }
}

async fn http1(mut io: impl AsyncRead + AsyncWrite + Unpin, shared: &Arc<Shared>) {
    let mut bytes = Vec::new();
    loop {
        while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
            if !io.read_buf(&mut bytes).await.is_ok_and(|got| got > 0) {
                return;
            }
        }
        bytes.clear();
        shared.requests.fetch_add(1, SeqCst);
        let _ = io.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nHTTP/1.1").await;
        let _ = io.flush().await;
    }
}
