//! The floor under every proxy that works as Cutover does: heads are found and bytes passed on, and nothing is checked,
//! decided, counted or limited. What Cutover takes beyond this is what its rules cost; what this takes is the kernel's,
//! tokio's and httparse's.
//!
//! `floor_relay LISTEN BLUE GREEN`: three addresses with port. HTTP/1.1 without TLS; requests have no body, responses a
//! length, and the split and the header rule are those of the benchmark. Not a proxy to use: it believes everybody. Runs
//! until it is killed.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::Context;
use httparse::{EMPTY_HEADER, Header, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes a body of 16 KiB with its head in one piece, and stays in a core's cache with larger ones. A longer head is
/// nobody's here.
const BUFFER: usize = 20 * 1024;
const FIELDS: usize = 64;
const FORWARDED: &[u8] = b"X-Forwarded-For: 127.0.0.1\r\n\r\n";

struct Origin {
    address: SocketAddr,
    idle: RefCell<Vec<TcpStream>>,
}

impl Origin {
    fn new(address: SocketAddr) -> Origin {
        Origin { address, idle: RefCell::default() }
    }

    async fn connection(&self) -> io::Result<TcpStream> {
        let kept = self.idle.borrow_mut().pop();
        match kept {
            Some(kept) => Ok(kept),
            None => {
                let tcp = TcpStream::connect(self.address).await?;
                tcp.set_nodelay(true)?;
                Ok(tcp)
            }
        }
    }
}

struct Worker {
    blue: Origin,
    green: Origin,
    requests: Cell<u32>,
}

impl Worker {
    /// One request in ten to green, and those that ask for it.
    fn choose(&self, canary: bool) -> &Origin {
        let at = self.requests.replace(self.requests.get().wrapping_add(1));
        if canary || at % 10 == 9 { &self.green } else { &self.blue }
    }
}

fn main() -> anyhow::Result<()> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let [listen, blue, green] = addresses.as_slice() else { anyhow::bail!("floor_relay LISTEN BLUE GREEN") };
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
            // A client that closes ends its connection, and nothing else.
            let _ = serve(tcp, &worker).await;
        });
    }
}

async fn serve(mut client: TcpStream, worker: &Worker) -> io::Result<()> {
    let (mut held, mut out) = (Vec::with_capacity(BUFFER), Vec::with_capacity(BUFFER));
    loop {
        let (head, canary) = loop {
            if let Some(found) = request(&held)? {
                break found;
            }
            if client.read_buf(&mut held).await? == 0 {
                return Ok(());
            }
        };
        let to = worker.choose(canary);
        let mut origin = to.connection().await?;
        out.clear();
        // All but the empty line, which follows the new field.
        out.extend(held.drain(..head).take(head - 2));
        out.extend_from_slice(FORWARDED);
        origin.write_all(&out).await?;
        relay_answer(&mut origin, &mut client, &mut out).await?;
        to.idle.borrow_mut().push(origin);
    }
}

/// A whole answer, each piece as soon as it is there.
async fn relay_answer(origin: &mut TcpStream, client: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.clear();
    let mut left = loop {
        if origin.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(length) = response(bytes)? {
            break length;
        }
    };
    loop {
        client.write_all(bytes).await?;
        left = left.saturating_sub(bytes.len());
        if left == 0 {
            return Ok(());
        }
        bytes.clear();
        if origin.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The length of a whole head, and whether it asks for green.
fn request(bytes: &[u8]) -> io::Result<Option<(usize, bool)>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let Status::Complete(head) = request.parse(bytes).map_err(io::Error::other)? else { return too_long(bytes) };
    Ok(Some((head, value(request.headers, "x-canary") == Some(b"always"))))
}

/// The length of head and body, once the head is whole.
fn response(bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let Status::Complete(head) = response.parse(bytes).map_err(io::Error::other)? else { return too_long(bytes) };
    let length =
        value(response.headers, "content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    let body: usize = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
    Ok(Some(head + body))
}

fn too_long<T>(bytes: &[u8]) -> io::Result<Option<T>> {
    if bytes.len() < BUFFER { Ok(None) } else { Err(io::Error::other("a head without an end")) }
}

fn value<'a>(fields: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}
