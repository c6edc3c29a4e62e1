//! Scripted origins: real servers that do to a request what a test wants.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// A request as the origin got it.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or("")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// What an origin does with a request.
#[derive(Clone, Debug)]
pub enum Do {
    /// A status with the origin's name as its body.
    Status(u16),
    /// These bytes, and the connection stays open.
    Raw(String),
    /// These bytes, and then the connection is closed.
    RawAndClose(String),
    /// So many of these bytes from the end come after so long.
    Dribble(String, usize, Duration),
    /// Closes without an answer.
    Close,
    /// Resets without an answer.
    Reset,
    /// Never answers.
    Hang,
    /// Answers after so long.
    Slow(Duration),
    /// Answers once this is so.
    When(tokio::sync::watch::Receiver<bool>),
}

type Script = Box<dyn Fn(&Request) -> Do + Send + Sync>;

struct Shared {
    name: String,
    script: Mutex<Arc<Script>>,
    requests: AtomicU64,
    connections: AtomicU64,
    seen: Mutex<Vec<Request>>,
}

/// An origin that runs until it is dropped.
pub struct Origin {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Origin {
    /// An origin that says 200 and its name.
    pub fn start(name: &str) -> Origin {
        Origin::start_on(name, "127.0.0.1:0".parse().unwrap())
    }

    pub fn start_on(name: &str, address: SocketAddr) -> Origin {
        let script: Script = Box::new(|_| Do::Status(200));
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            script: Mutex::new(Arc::new(script)),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            seen: Mutex::default(),
        });
        let listener = RUNTIME.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(address).unwrap();
            socket.listen(1024).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let task = RUNTIME.spawn(accept(listener, shared.clone()));
        Origin { address, shared, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it does this.
    pub fn does(&self, script: impl Fn(&Request) -> Do + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(Box::new(script));
    }

    pub fn always(&self, what: Do) {
        self.does(move |_| what.clone());
    }

    pub fn requests(&self) -> u64 {
        self.shared.requests.load(SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }

    /// The requests that it got, the oldest first.
    pub fn all(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Ends it, and keeps its port: whoever connects is refused, and no other origin comes to live there meanwhile.
    pub fn end(self) -> socket2::Socket {
        let address = self.address;
        drop(self);
        let mut kept = None;
        super::wait_until("its port is free", super::SOON, || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            kept = socket.bind(&address.into()).is_ok().then_some(socket);
            kept.is_some()
        });
        kept.unwrap()
    }

    /// The last request that it got; it keeps a thousand.
    pub fn last(&self) -> Request {
        self.shared.seen.lock().unwrap().last().cloned().expect("the origin got a request")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        shared.connections.fetch_add(1, SeqCst);
        // Dropped with this task, so that a dropped origin is gone for its kept connections too.
        connections.spawn(serve(tcp, shared.clone()));
    }
}

async fn serve(mut tcp: TcpStream, shared: Arc<Shared>) {
    let _ = tcp.set_nodelay(true);
    let mut spare = Vec::new();
    while let Some(request) = read_request(&mut tcp, &mut spare).await {
        shared.requests.fetch_add(1, SeqCst);
        let head_only = request.line().starts_with("HEAD ");
        let what = {
            let script = shared.script.lock().unwrap().clone();
            script(&request)
        };
        {
            let mut seen = shared.seen.lock().unwrap();
            if seen.len() < 1000 {
                seen.push(request);
            } else if let Some(last) = seen.last_mut() {
                *last = request;
            }
        }
        let name = &shared.name;
        let status = |status: u16| {
            let body = if head_only || matches!(status, 204 | 304) { "" } else { name.as_str() };
            let length =
                if matches!(status, 204 | 304) { String::new() } else { format!("Content-Length: {}\r\n", name.len()) };
            format!("HTTP/1.1 {status} Scripted\r\n{length}X-Origin: {name}\r\n\r\n{body}")
        };
        let written = match what {
            Do::Status(code) => tcp.write_all(status(code).as_bytes()).await,
            Do::Raw(text) => tcp.write_all(text.as_bytes()).await,
            Do::RawAndClose(text) => {
                let _ = tcp.write_all(text.as_bytes()).await;
                return;
            }
            Do::Dribble(text, late, length) => {
                let (first, last) = text.split_at(text.len() - late);
                let _ = tcp.write_all(first.as_bytes()).await;
                tokio::time::sleep(length).await;
                tcp.write_all(last.as_bytes()).await
            }
            Do::Slow(length) => {
                tokio::time::sleep(length).await;
                tcp.write_all(status(200).as_bytes()).await
            }
            Do::When(mut so) => {
                let _ = so.wait_for(|so| *so).await;
                tcp.write_all(status(200).as_bytes()).await
            }
            Do::Close => return,
            Do::Reset => {
                let _ = tcp.set_zero_linger();
                return;
            }
            Do::Hang => std::future::pending().await,
        };
        if written.is_err() {
            return;
        }
    }
}

async fn read_request(tcp: &mut TcpStream, spare: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = spare.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if tcp.read_buf(spare).await.ok()? == 0 {
            return None;
        }
    };
    let rest = spare.split_off(head_end);
    let head = String::from_utf8_lossy(&std::mem::replace(spare, rest)).into_owned();
    let request = Request { head, body: Vec::new() };
    let body = if request.header("transfer-encoding").is_some() {
        let has_last = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"\r\n0\r\n");
        while !(spare.ends_with(b"0\r\n\r\n") || spare.ends_with(b"\r\n\r\n") && has_last(spare)) {
            if tcp.read_buf(spare).await.ok()? == 0 {
                return None;
            }
        }
        std::mem::take(spare)
    } else {
        let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        while spare.len() < length {
            if tcp.read_buf(spare).await.ok()? == 0 {
                return None;
            }
        }
        let rest = spare.split_off(length);
        std::mem::replace(spare, rest)
    };
    Some(Request { body, ..request })
}
