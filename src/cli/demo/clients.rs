//! A steady load of clients that keep their own counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What the clients saw.
#[derive(Clone, Debug, Default)]
pub struct ClientTotals {
    pub requests: u64,
    /// No response, or one that is not 2xx.
    pub failed: u64,
    pub blue: u64,
    pub green: u64,
}

/// Running clients.
#[derive(Debug)]
pub struct ClientLoad {
    seen: Arc<Mutex<ClientTotals>>,
    stop: watch::Sender<bool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl ClientLoad {
    /// Starts clients that together send `rate` requests per second, each on its own connection.
    pub fn start(proxy: SocketAddr, rate: u32) -> ClientLoad {
        let clients = (rate / 20).max(1);
        let pace = Duration::from_secs_f64(f64::from(clients) / f64::from(rate));
        let seen: Arc<Mutex<ClientTotals>> = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let run = |number: u32| {
            // Spread out, so that they do not all send at the same moment.
            let offset = pace.mul_f64(f64::from(number) / f64::from(clients));
            tokio::spawn(client(proxy, pace, offset, seen.clone(), stopped.clone()))
        };
        ClientLoad { clients: (0..clients).map(run).collect(), seen: seen.clone(), stop }
    }

    pub fn seen(&self) -> ClientTotals {
        self.seen.lock().clone()
    }

    /// Lets every client finish its request.
    pub async fn stop(self) -> ClientTotals {
        self.stop.send_replace(true);
        for client in self.clients {
            let _ = client.await;
        }
        self.seen.lock().clone()
    }
}

async fn client(
    proxy: SocketAddr,
    pace: Duration,
    offset: Duration,
    seen: Arc<Mutex<ClientTotals>>,
    stopped: watch::Receiver<bool>,
) {
    tokio::time::sleep(offset).await;
    let mut ticks = tokio::time::interval(pace);
    let mut connection = None;
    while !*stopped.borrow() {
        ticks.tick().await;
        let answer = get(proxy, &mut connection).await;
        let mut seen = seen.lock();
        seen.requests += 1;
        match answer {
            Ok((200, body)) if body == "green" => seen.green += 1,
            Ok((200, _)) => seen.blue += 1,
            Ok(_) => seen.failed += 1,
            Err(_) => {
                seen.failed += 1;
                drop(seen);
                connection = None;
            }
        }
    }
}

/// One GET over a kept connection; returns the status and the body.
async fn get(proxy: SocketAddr, connection: &mut Option<TcpStream>) -> anyhow::Result<(u16, String)> {
    let tcp = match connection {
        Some(tcp) => tcp,
        None => connection.insert(TcpStream::connect(proxy).await?),
    };
    tcp.write_all(b"GET /api/attempts/1 HTTP/1.1\r\nHost: demo.test\r\n\r\n").await?;
    let mut read = Vec::with_capacity(512);
    loop {
        let before = read.len();
        let got = tokio::time::timeout(Duration::from_secs(10), tcp.read_buf(&mut read)).await??;
        anyhow::ensure!(got > 0 && before < 64 * 1024, "the response was cut off");
        let text = std::str::from_utf8(&read)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let length = head.lines().filter_map(|line| line.split_once(':'));
        let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.next().context("no length")?.1.trim().parse()?;
        if body.len() >= length {
            let body = body.to_owned();
            if head.lines().any(|line| line.eq_ignore_ascii_case("connection: close")) {
                *connection = None;
            }
            return Ok((status, body));
        }
    }
}
