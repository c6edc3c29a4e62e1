//! A raw origin that keeps what it gets, and a raw client that sends what it is told.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::strict::{self, Found};

/// What has reached the origin.
#[derive(Debug, Default)]
pub struct Log {
    /// Of every whole request, in no order.
    pub targets: Vec<String>,
    /// What the strict parser did not like.
    pub dirty: Vec<String>,
    /// Requests whose connection ended in the middle of their body.
    pub cut: usize,
    /// Of open connections: bytes that are no whole request yet.
    pub pending: BTreeMap<usize, Vec<u8>>,
}

/// Answers every request that the strict parser finds whole with 200 and its target.
pub struct RawOrigin {
    pub address: SocketAddr,
    pub log: Arc<Mutex<Log>>,
}

impl RawOrigin {
    pub fn start() -> RawOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log: Arc<Mutex<Log>> = Arc::default();
        let shared = log.clone();
        // Ends with the process: it holds nothing but a port.
        std::thread::spawn(move || {
            for (number, tcp) in listener.incoming().enumerate() {
                let (tcp, log) = (tcp.unwrap(), shared.clone());
                std::thread::spawn(move || serve(tcp, number, &log));
            }
        });
        RawOrigin { address, log }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn serve(mut tcp: TcpStream, number: usize, log: &Mutex<Log>) {
    let _ = tcp.set_nodelay(true);
    let mut bytes: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let got = tcp.read(&mut buffer).unwrap_or(0);
        bytes.extend_from_slice(&buffer[..got]);
        let mut answers = String::new();
        let mut log = log.lock().unwrap();
        let rest = loop {
            match strict::request(&bytes) {
                Ok(Found::Whole(request)) => {
                    bytes.drain(..request.length);
                    let (target, body) = (&request.target, if request.head_only { "" } else { "ok" });
                    answers.push_str(&format!(
                        "HTTP/1.1 200 OK\r\nX-Target: {target}\r\nX-Body: {}\r\nContent-Length: 2\r\n\r\n{body}",
                        body.len()
                    ));
                    log.targets.push(request.target);
                }
                Ok(cut) => break Ok(cut),
                Err(why) => break Err(why),
            }
        };
        let shown = || bytes[..bytes.len().min(400)].escape_ascii().to_string();
        let mut ends = got == 0;
        match rest {
            Ok(Found::CutBody) if got == 0 => log.cut += 1,
            Ok(_) if got == 0 && !bytes.is_empty() => log.dirty.push(format!("a piece of a head: {}", shown())),
            Ok(_) => {}
            Err(why) => {
                log.dirty.push(format!("{why}: {}", shown()));
                ends = true;
            }
        }
        if ends || bytes.is_empty() {
            log.pending.remove(&number);
        } else {
            log.pending.insert(number, bytes.clone());
        }
        drop(log);
        if tcp.write_all(answers.as_bytes()).is_err() || ends {
            return;
        }
    }
}

/// An answer: its status, and the target that the origin says it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub status: u16,
    pub target: Option<String>,
    pub closes: bool,
}

/// The first answer of `bytes`, and how long it is.
fn heard(bytes: &[u8]) -> Option<(Heard, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let body = field("x-body").or_else(|| field("content-length")).map_or(0, |length| length.parse().unwrap());
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let closes = field("connection").is_some_and(|value| value == "close");
    Some((Heard { status, target: field("x-target"), closes }, end + 4 + body))
}

fn open(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).expect("the proxy listens");
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    tcp
}

/// How long the proxy may be silent before the client closes its side, which ends a request that is not whole. Too short
/// only means fewer answers.
const PATIENCE: Duration = Duration::from_millis(100);

/// Sends the pieces on one connection and hears the answers until one is for `last` or nothing more comes, then closes
/// its side, and hears until the proxy has closed its own.
pub fn drive(address: SocketAddr, pieces: &[&[u8]], last: &str) -> Vec<Heard> {
    let mut tcp = open(address);
    for piece in pieces {
        // Who has refused the first piece need not read the second.
        if tcp.write_all(piece).is_err() {
            break;
        }
    }
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all: Vec<Heard> = Vec::new();
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let mut finished = false;
    let finish = |tcp: &TcpStream, finished: &mut bool| {
        assert!(!*finished, "the proxy neither answers nor closes");
        let _ = tcp.shutdown(Shutdown::Write);
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        *finished = true;
    };
    loop {
        match tcp.read(&mut buffer) {
            Ok(0) => return all,
            Ok(got) => bytes.extend_from_slice(&buffer[..got]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => finish(&tcp, &mut finished),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return all,
            Err(e) => panic!("{e}"),
        }
        while let Some((answer, length)) = heard(&bytes).filter(|(_, length)| *length <= bytes.len()) {
            bytes.drain(..length);
            let is_last = answer.target.as_deref() == Some(last);
            all.push(answer);
            if is_last && !finished {
                finish(&tcp, &mut finished);
            }
        }
    }
}

/// Sends one request, hears its answer, and if the connection is kept, a second one.
pub fn pair(address: SocketAddr, first: &[u8], second: &[u8]) -> Vec<Heard> {
    let mut tcp = open(address);
    let mut all = Vec::new();
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    for request in [first, second] {
        tcp.write_all(request).expect("the proxy reads");
        let (answer, length) = loop {
            if let Some(found) = heard(&bytes).filter(|(_, length)| *length <= bytes.len()) {
                break found;
            }
            let got = tcp.read(&mut buffer).expect("an answer");
            assert!(got > 0, "closed before an answer");
            bytes.extend_from_slice(&buffer[..got]);
        };
        bytes.drain(..length);
        let ends = answer.closes;
        all.push(answer);
        if ends {
            break;
        }
    }
    assert!(bytes.is_empty(), "an answer that nobody asked for: {}", bytes.escape_ascii());
    all
}
