//! What the same work costs on hyper: its server towards clients, its client towards origins, a pool for the worker, and
//! no rules. The row beside Cutover that says what an HTTP codec of its own is worth.
//!
//! `hyper_relay LISTEN BLUE GREEN`: three addresses with port. HTTP/1.1 without TLS; the split and the header rule are
//! those of the benchmark. Not a proxy to use: it forwards every field as it came, and limits nothing. Runs until it is
//! killed.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::Context;
use http::HeaderValue;
use http::header::HeaderName;
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

static CANARY: HeaderName = HeaderName::from_static("x-canary");
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

type Sender = client::SendRequest<Incoming>;

struct Origin {
    address: SocketAddr,
    idle: RefCell<Vec<Sender>>,
}

impl Origin {
    fn new(address: SocketAddr) -> Rc<Origin> {
        Rc::new(Origin { address, idle: RefCell::default() })
    }

    fn kept(&self) -> Option<Sender> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find(|sender| !sender.is_closed())
    }

    async fn connection(&self) -> anyhow::Result<Sender> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let (sender, connection) = client::handshake(TokioIo::new(tcp)).await?;
        tokio::task::spawn_local(async move {
            // What breaks here is an error of the request that was under way.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// Back into the pool, once the answer has passed.
    fn give_back(self: Rc<Self>, mut sender: Sender) {
        if sender.is_ready() {
            self.idle.borrow_mut().push(sender);
            return;
        }
        tokio::task::spawn_local(async move {
            if sender.ready().await.is_ok() {
                self.idle.borrow_mut().push(sender);
            }
        });
    }
}

struct Worker {
    blue: Rc<Origin>,
    green: Rc<Origin>,
    requests: Cell<u32>,
}

impl Worker {
    /// One request in ten to green, and those that ask for it.
    fn choose(&self, canary: bool) -> Rc<Origin> {
        let at = self.requests.replace(self.requests.get().wrapping_add(1));
        if canary || at % 10 == 9 { self.green.clone() } else { self.blue.clone() }
    }

    async fn relay(&self, mut request: Request<Incoming>) -> anyhow::Result<Response<Incoming>> {
        let canary = request.headers().get(&CANARY).is_some_and(|value| value == "always");
        request.headers_mut().insert(&FORWARDED_FOR, HeaderValue::from_static("127.0.0.1"));
        let to = self.choose(canary);
        let mut sender = to.connection().await?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        to.give_back(sender);
        Ok(response)
    }
}

fn main() -> anyhow::Result<()> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let [listen, blue, green] = addresses.as_slice() else { anyhow::bail!("hyper_relay LISTEN BLUE GREEN") };
    let address = |text: &String| text.parse::<SocketAddr>().with_context(|| text.clone());
    let (blue, green) = (Origin::new(address(blue)?), Origin::new(address(green)?));
    let worker = Rc::new(Worker { blue, green, requests: Cell::new(0) });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, accept_loop(address(listen)?, worker))
}

async fn accept_loop(address: SocketAddr, worker: Rc<Worker>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let worker = worker.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| worker.relay(request));
            // A client that closes ends its connection, and nothing else.
            let _ = server::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
        });
    }
}
