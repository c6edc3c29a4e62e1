//! Clients that never rest, and write down what they got.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;

use super::ledger::{Id, Ledger, Outcome, Protocol, Side};
use crate::support::SOON;
use crate::support::tls::{self, H2};

/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(8);
/// Behind one that failed, so that a gate that is shut is not stormed.
const BREATH: Duration = Duration::from_millis(50);

/// What all clients share.
pub struct Crowd {
    pub ledger: Arc<Ledger>,
    pub plain: SocketAddr,
    pub secure: SocketAddr,
    pub trusts: [Arc<rustls::ClientConfig>; 2],
    pub stop: AtomicBool,
}

/// Eleven clients.
pub fn start(crowd: &Arc<Crowd>) -> Vec<std::thread::JoinHandle<()>> {
    let spawn = |run: fn(&Crowd)| {
        let crowd = crowd.clone();
        std::thread::spawn(move || run(&crowd))
    };
    let new: fn(&Crowd) = |crowd| http1(crowd, Protocol::New, plain);
    let kept: fn(&Crowd) = |crowd| http1(crowd, Protocol::Kept, plain);
    let tls: fn(&Crowd) = |crowd| http1(crowd, Protocol::Tls, secure);
    let mut threads: Vec<_> = [new, new, kept, kept, kept, tls, tls].map(spawn).into();
    threads.push(spawn(|crowd| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::join!(http2(crowd), http2(crowd)) });
    }));
    threads
}

fn plain(crowd: &Crowd) -> Result<TcpStream, String> {
    let tcp = TcpStream::connect(crowd.plain).map_err(|e| format!("connect: {e}"))?;
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(SOON)).unwrap();
    Ok(tcp)
}

fn secure(crowd: &Crowd) -> Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>, String> {
    tls::connect(crowd.secure, "soak.test", &crowd.trusts[0]).map_err(|e| format!("connect: {e}"))
}

fn http1<C: Read + Write>(crowd: &Crowd, protocol: Protocol, connect: fn(&Crowd) -> Result<C, String>) {
    let mut kept = None;
    while !crowd.stop.load(SeqCst) {
        let id = crowd.ledger.begin(protocol);
        let connection = kept.take().map_or_else(|| connect(crowd).map(BufReader::new), Ok);
        let outcome = connection.and_then(|mut connection| {
            let (outcome, stays) = exchange(&mut connection, id, protocol)?;
            kept = stays.then_some(connection);
            Ok(outcome)
        });
        let failed = outcome.is_err();
        crowd.ledger.end(id, outcome.unwrap_or_else(Outcome::Failed));
        std::thread::sleep(if failed { BREATH } else { PAUSE });
    }
}

/// A request and its response, and whether the connection may be used again.
fn exchange<C: Read + Write>(tcp: &mut BufReader<C>, id: Id, protocol: Protocol) -> Result<(Outcome, bool), String> {
    let body = id.body();
    let close = if protocol == Protocol::New { "Connection: close\r\n" } else { "" };
    let key = if id.is_rescuable() { format!("Idempotency-Key: \"{}\"\r\n", id.0) } else { String::new() };
    let mut bytes = match id.is_post() {
        true => format!("POST /{} HTTP/1.1\r\nHost: soak.test\r\nContent-Length: {}\r\n{key}", id.0, body.len()),
        false => format!("GET /{} HTTP/1.1\r\nHost: soak.test\r\n", id.0),
    };
    bytes.push_str(close);
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend(&body);
    tcp.get_mut().write_all(&bytes).map_err(|e| format!("send: {e}"))?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match tcp.read_line(&mut head) {
            Ok(0) => return Err(format!("closed before the response's head: {head:?}")),
            Ok(_) => {}
            Err(e) => return Err(format!("{e} before the response's head: {head:?}")),
        }
    }
    let head = head.to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let length: usize = field("content-length").and_then(|length| length.parse().ok()).ok_or("no length")?;
    let mut answer = vec![0; length];
    tcp.read_exact(&mut answer).map_err(|e| format!("{e} in mid-response"))?;
    Ok((read(id, &body, status, &answer)?, field("connection") != Some("close")))
}

/// Whose response it is.
fn read(id: Id, body: &[u8], status: u16, answer: &[u8]) -> Result<Outcome, String> {
    let of = |side: &Side| id.response(*side, body).as_bytes() == answer;
    match [Side::Blue, Side::Green].into_iter().find(of) {
        Some(side) => Ok(Outcome::Told(side, status)),
        None => Err(format!("{status}: {}", String::from_utf8_lossy(&answer[..answer.len().min(80)]))),
    }
}

/// A connection with two streams at once.
async fn http2(crowd: &Crowd) {
    let mut kept: Option<H2> = None;
    while !crowd.stop.load(SeqCst) {
        let client = match kept.take() {
            Some(client) => client,
            None => match H2::connect(crowd.secure, "soak.test", &crowd.trusts[1]).await {
                Ok(client) => client,
                Err(error) => {
                    let id = crowd.ledger.begin(Protocol::Http2);
                    crowd.ledger.end(id, Outcome::Failed(format!("connect: {error}")));
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            },
        };
        let (first, second) = tokio::join!(streams(crowd, client.clone()), streams(crowd, client.clone()));
        if first && second {
            kept = Some(client);
        }
    }
}

/// Twenty requests, one after the other, or until the connection ends: whether it may be used again.
async fn streams(crowd: &Crowd, mut client: H2) -> bool {
    for _ in 0..20 {
        let id = crowd.ledger.begin(Protocol::Http2);
        let body = id.body();
        let parts: Vec<Bytes> = body.chunks(20_000).map(Bytes::copy_from_slice).collect();
        let answer = tokio::time::timeout(SOON, client.request(request(id), &parts)).await;
        let (outcome, goes_on) = match answer {
            Ok(Ok(answer)) => (read(id, &body, answer.status, &answer.body), true),
            Ok(Err(error)) if is_told_to_go(&error) => (resend(crowd, id, &body, &parts).await, false),
            Ok(Err(error)) => (Err(error.to_string()), false),
            Err(_) => (Err("timed out".to_owned()), false),
        };
        let failed = outcome.is_err();
        crowd.ledger.end(id, outcome.unwrap_or_else(Outcome::Failed));
        tokio::time::sleep(if failed { BREATH } else { PAUSE }).await;
        if !goes_on {
            return false;
        }
    }
    true
}

/// Sends a request that was not looked at to who serves now; once more if that one is just going too.
async fn resend(crowd: &Crowd, id: Id, body: &[u8], parts: &[Bytes]) -> Result<Outcome, String> {
    for _ in 0..3 {
        let connected = H2::connect(crowd.secure, "soak.test", &crowd.trusts[1]).await;
        let mut client = connected.map_err(|e| format!("connect: {e}"))?;
        match client.request(request(id), parts).await {
            Ok(answer) => return read(id, body, answer.status, &answer.body),
            Err(error) if is_told_to_go(&error) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("told to go three times".to_owned())
}

fn request(id: Id) -> http::Request<()> {
    let request = http::Request::builder().uri(format!("https://soak.test/{}", id.0));
    let request = match id.is_post() {
        true if id.is_rescuable() => request.method("POST").header("idempotency-key", format!("\"{}\"", id.0)),
        true => request.method("POST"),
        false => request,
    };
    request.body(()).unwrap()
}

/// The server says that it has not looked at the request.
fn is_told_to_go(error: &h2::Error) -> bool {
    error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR)
}
