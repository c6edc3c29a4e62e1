//! An origin that does what a test's script says.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// An origin that answers after a while, and remembers what it saw.
pub struct Origin {
    pub port: u16,
    pub seen: Arc<Seen>,
    _runs: JoinSet<()>,
}

#[derive(Default)]
pub struct Seen {
    pub requests: AtomicU64,
    pub connections: AtomicU64,
    at_once: AtomicUsize,
    pub most_at_once: AtomicUsize,
    pub paths: Mutex<Vec<String>>,
}

/// From the `n`th request (from 0): how long it takes, and the status; 0 for none, and a closed connection.
type Script = Arc<dyn Fn(u64) -> (Duration, u16) + Send + Sync>;

impl Origin {
    pub async fn new(script: impl Fn(u64) -> (Duration, u16) + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, script, mut runs) = (Arc::new(Seen::default()), Arc::new(script) as Script, JoinSet::new());
        let all = seen.clone();
        runs.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                all.connections.fetch_add(1, SeqCst);
                connections.spawn(serve(tcp, all.clone(), script.clone()));
            }
        });
        Origin { port, seen, _runs: runs }
    }

    pub fn requests(&self) -> u64 {
        self.seen.requests.load(SeqCst)
    }
}

async fn serve(mut tcp: TcpStream, seen: Arc<Seen>, script: Script) {
    let _ = tcp.set_nodelay(true);
    let mut held = Vec::new();
    loop {
        let Some(end) = memchr::memmem::find(&held, b"\r\n\r\n") else {
            match tcp.read_buf(&mut held).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let head = String::from_utf8_lossy(&held[..end]).into_owned();
        held.drain(..end + 4);
        if let Some(path) = head.split(' ').nth(1) {
            seen.paths.lock().unwrap().push(path.to_owned());
        }
        let at_once = seen.at_once.fetch_add(1, SeqCst) + 1;
        seen.most_at_once.fetch_max(at_once, SeqCst);
        let (takes, status) = script(seen.requests.fetch_add(1, SeqCst));
        sleep(takes).await;
        seen.at_once.fetch_sub(1, SeqCst);
        if status == 0 {
            return;
        }
        let answer = format!("HTTP/1.1 {status} Fine\r\nContent-Length: 2\r\n\r\nok");
        if tcp.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
