//! An origin that reads requests in one way only, and keeps them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::strict::{self, CUT, StrictMessage};

/// What of the client's connection goes on: a WebSocket that was asked for, and the announcement of trailers.
const FROM_CUTOVER: [&str; 3] = ["connection", "upgrade", "trailer"];

#[derive(Debug, Default)]
struct Log {
    requests: Vec<StrictMessage>,
    /// What can be read in two ways.
    dirty: Vec<String>,
    /// Requests whose connection ended in the middle of their body.
    cut: usize,
    /// Connections on which something came that is no whole request yet.
    unsettled: BTreeSet<usize>,
}

/// Answers every request with its number.
pub struct ReadingOrigin {
    pub address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

impl ReadingOrigin {
    pub fn start() -> ReadingOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log: Arc<Mutex<Log>> = Arc::default();
        let shared = log.clone();
        // Ends with the process: it holds nothing but a port.
        std::thread::spawn(move || {
            for (connection, tcp) in listener.incoming().enumerate() {
                let (tcp, log) = (tcp.unwrap(), shared.clone());
                std::thread::spawn(move || serve(tcp, connection, &log));
            }
        });
        ReadingOrigin { address, log }
    }

    pub fn request(&self, number: usize) -> StrictMessage {
        self.log.lock().unwrap().requests[number].clone()
    }

    pub fn requests(&self) -> usize {
        self.log.lock().unwrap().requests.len()
    }

    pub fn dirty(&self) -> Vec<String> {
        self.log.lock().unwrap().dirty.clone()
    }

    pub fn cut(&self) -> usize {
        self.log.lock().unwrap().cut
    }

    pub fn is_settled(&self) -> bool {
        self.log.lock().unwrap().unsettled.is_empty()
    }
}

fn serve(mut tcp: TcpStream, connection: usize, log: &Mutex<Log>) {
    let _ = tcp.set_nodelay(true);
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let got = tcp.read(&mut buffer).unwrap_or(0);
        bytes.extend_from_slice(&buffer[..got]);
        let mut answers = String::new();
        let mut log = log.lock().unwrap();
        let mut why = None;
        while !bytes.is_empty() && why.is_none() {
            match strict::request(&bytes, &FROM_CUTOVER).and_then(agrees) {
                Ok(request) => {
                    bytes.drain(..request.length);
                    let (number, method) = (log.requests.len(), &request.start[0]);
                    let body = if method == "HEAD" { "" } else { "ok" };
                    let fields = format!("X-Number: {number}\r\nX-Method: {method}\r\nContent-Length: 2");
                    answers.push_str(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}"));
                    log.requests.push(request);
                }
                Err(reason) => why = Some(reason),
            }
        }
        let mut ends = got == 0;
        match why {
            // A head is written whole, a body comes as it comes.
            Some(why) if why.starts_with(CUT) && bytes.windows(4).any(|window| window == b"\r\n\r\n") => {
                log.cut += usize::from(ends);
            }
            Some(why) if ends || !why.starts_with(CUT) => {
                log.dirty.push(format!("dirty: {why}: {}", bytes.escape_ascii()));
                ends = true;
            }
            _ => {}
        }
        if ends || bytes.is_empty() {
            log.unsettled.remove(&connection);
        } else {
            log.unsettled.insert(connection);
        }
        drop(log);
        if tcp.write_all(answers.as_bytes()).is_err() || ends {
            return;
        }
    }
}

/// Connection and Upgrade say the same or nothing.
fn agrees(request: StrictMessage) -> Result<StrictMessage, String> {
    match (request.field("connection"), request.field("upgrade")) {
        (None, None) | (Some(b"upgrade"), Some(b"websocket")) => Ok(request),
        other => Err(format!("Connection and Upgrade do not agree: {other:?}")),
    }
}
