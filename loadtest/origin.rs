//! The origin behind every proxy of the benchmark: static answers, keep-alive, and a count of what came.
//!
//! It does one receive and one send a request, so that it can share a core with the load generator and still be faster
//! than any proxy. The counts tell how a proxy really split, and that it answered nothing by itself.
//!
//! `static_origin BLUE GREEN`: two addresses with port. `/16k` answers 16 KiB, `/1m` 1 MiB, `/10m` 10 MiB, `/counts`
//! "blue N green M" (not counted itself), anything else 109 bytes. Requests have no body. Runs until it is killed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SMALL: usize = 109;
const LARGER: [(&str, usize); 3] = [("/16k", 16 << 10), ("/1m", 1 << 20), ("/10m", 10 << 20)];
/// A longer head is nobody's here.
const LONGEST_HEAD: usize = 8 * 1024;

struct Colour {
    small: Vec<u8>,
    /// By the request line's first words.
    larger: Vec<(String, Vec<u8>)>,
    requests: AtomicU64,
}

type Both = [Arc<Colour>; 2];

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl Colour {
    fn new(name: &str) -> Arc<Colour> {
        let body = |length: usize| {
            let mut body = name.as_bytes().to_vec();
            body.resize(length, b'.');
            answer(&body)
        };
        let larger = LARGER.map(|(path, length)| (format!("GET {path} "), body(length))).into();
        Arc::new(Colour { small: body(SMALL), larger, requests: AtomicU64::new(0) })
    }

    fn answer_to(&self, request: &[u8]) -> &[u8] {
        let larger = self.larger.iter().find(|(line, _)| request.starts_with(line.as_bytes()));
        larger.map_or(&self.small, |(_, answer)| answer)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let [blue, green] = addresses.as_slice() else { anyhow::bail!("static_origin BLUE GREEN") };
    let both: Both = [Colour::new("blue"), Colour::new("green")];
    let mut loops = tokio::task::JoinSet::new();
    for (text, colour) in [blue, green].into_iter().zip(&both) {
        let address: SocketAddr = text.parse().with_context(|| text.clone())?;
        let listener = TcpListener::bind(address).await.with_context(|| text.clone())?;
        loops.spawn(accept_loop(listener, colour.clone(), both.clone()));
    }
    while let Some(ended) = loops.join_next().await {
        ended??;
    }
    Ok(())
}

async fn accept_loop(listener: TcpListener, colour: Arc<Colour>, both: Both) -> std::io::Result<()> {
    loop {
        let (tcp, _) = listener.accept().await?;
        let _ = tcp.set_nodelay(true);
        let (colour, both) = (colour.clone(), both.clone());
        tokio::spawn(async move {
            // A proxy that closes ends its connection, and nothing else.
            let _ = serve(tcp, &colour, &both).await;
        });
    }
}

async fn serve(mut tcp: TcpStream, colour: &Colour, both: &Both) -> std::io::Result<()> {
    let mut held = Vec::with_capacity(LONGEST_HEAD);
    loop {
        if tcp.read_buf(&mut held).await? == 0 || held.len() >= LONGEST_HEAD {
            return Ok(());
        }
        while let Some(end) = memchr::memmem::find(&held, b"\r\n\r\n") {
            if held.starts_with(b"GET /counts") {
                let [blue, green] = both.each_ref().map(|colour| colour.requests.load(Relaxed));
                tcp.write_all(&answer(format!("blue {blue} green {green}").as_bytes())).await?;
            } else {
                colour.requests.fetch_add(1, Relaxed);
                tcp.write_all(colour.answer_to(&held)).await?;
            }
            held.drain(..end + 4);
        }
    }
}
