//! A plain HTTP/1.1 client that shows everything, and hides nothing behind retries.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    /// The body ended before its length said so.
    pub truncated: bool,
}

impl Answer {
    /// A whole 200.
    pub fn is_good(&self) -> bool {
        self.status == 200 && !self.truncated
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Client {
    tcp: TcpStream,
    spare: Vec<u8>,
}

impl Client {
    pub fn to(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).expect("the proxy listens"))
    }

    /// From another address of this host.
    pub fn from_to(source: &str, address: SocketAddr) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let source: SocketAddr = format!("{source}:0").parse().unwrap();
        socket.bind(&source.into()).unwrap();
        socket.connect(&address.into()).expect("the proxy listens");
        Client::over(socket.into())
    }

    fn over(tcp: TcpStream) -> Client {
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { tcp, spare: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.tcp.write_all(bytes.as_ref()).expect("the proxy reads");
    }

    /// A GET with a Host and these header lines.
    pub fn get(&mut self, path: &str, lines: &[&str]) -> Answer {
        self.try_request("GET", path, lines, "").unwrap_or_else(|why| panic!("GET {path}: {why}"))
    }

    pub fn request(&mut self, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
        self.try_request(method, path, lines, body).unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    pub fn try_request(&mut self, method: &str, path: &str, lines: &[&str], body: &str) -> Result<Answer, String> {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
            text.push_str("Host: shop.test\r\n");
        }
        lines.iter().for_each(|line| text.push_str(&format!("{line}\r\n")));
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.tcp.write_all(text.as_bytes()).map_err(|e| e.to_string())?;
        self.answer_to(method)
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET").unwrap_or_else(|why| panic!("{why}"))
    }

    fn answer_to(&mut self, method: &str) -> Result<Answer, String> {
        let head_end = loop {
            if let Some(at) = find(&self.spare, b"\r\n\r\n") {
                break at;
            }
            self.more("an answer's head")?;
        };
        let rest = self.spare.split_off(head_end + 4);
        let head = String::from_utf8(std::mem::replace(&mut self.spare, rest)).map_err(|e| e.to_string())?;
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(format!("no status in {head:?}"))?;
        let mut answer = Answer { status, head, ..Answer::default() };
        if (100..200).contains(&status) {
            return self.answer_to(method);
        }
        if method == "HEAD" || matches!(status, 204 | 304) {
            return Ok(answer);
        }
        let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
        let chunked = answer.header("transfer-encoding").is_some();
        let body = match length {
            Some(length) => self.exactly(length, &mut answer.truncated),
            None if chunked => self.chunks(&mut answer.truncated),
            None => {
                while self.more("the end").is_ok() {}
                std::mem::take(&mut self.spare)
            }
        };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    /// Reads a head, and leaves the body where it is.
    pub fn head(&mut self) -> String {
        self.wait_for("\r\n\r\n");
        let end = find(&self.spare, b"\r\n\r\n").unwrap() + 4;
        let rest = self.spare.split_off(end);
        String::from_utf8(std::mem::replace(&mut self.spare, rest)).unwrap()
    }

    /// Reads one chunk of a body that is sent in chunks.
    pub fn chunk(&mut self) -> String {
        self.wait_for("\r\n");
        let end = find(&self.spare, b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&self.spare[..end]).unwrap(), 16).unwrap();
        self.spare.drain(..end + 2);
        let mut truncated = false;
        let chunk = self.exactly(size + 2, &mut truncated);
        assert!(!truncated, "a chunk is whole");
        String::from_utf8(chunk[..size].to_vec()).unwrap()
    }

    fn exactly(&mut self, length: usize, truncated: &mut bool) -> Vec<u8> {
        while self.spare.len() < length {
            if self.more("a body").is_err() {
                *truncated = true;
                return std::mem::take(&mut self.spare);
            }
        }
        let rest = self.spare.split_off(length);
        std::mem::replace(&mut self.spare, rest)
    }

    fn chunks(&mut self, truncated: &mut bool) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let Some(end) = find(&self.spare, b"\r\n") else {
                if self.more("a chunk").is_err() {
                    *truncated = true;
                    return body;
                }
                continue;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.spare[..end]).unwrap(), 16).unwrap();
            self.spare.drain(..end + 2);
            let chunk = self.exactly(size + 2, truncated);
            if *truncated {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return body;
            }
        }
    }

    fn more(&mut self, what: &str) -> Result<(), String> {
        let mut buffer = [0; 16 * 1024];
        match self.tcp.read(&mut buffer) {
            Ok(0) => Err(format!("closed before {what}")),
            Ok(got) => {
                self.spare.extend_from_slice(&buffer[..got]);
                Ok(())
            }
            Err(e) => Err(format!("{e} before {what}")),
        }
    }

    /// What still comes until the connection ends, and whether it was reset.
    pub fn rest(&mut self) -> (String, bool) {
        let reset = loop {
            let mut buffer = [0; 16 * 1024];
            match self.tcp.read(&mut buffer) {
                Ok(0) => break false,
                Ok(got) => self.spare.extend_from_slice(&buffer[..got]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => break true,
                Err(e) => panic!("the connection stays open: {e}"),
            }
        };
        (String::from_utf8_lossy(&std::mem::take(&mut self.spare)).into_owned(), reset)
    }

    /// Whether something has come that was not read yet.
    pub fn has_come(&self) -> bool {
        self.tcp.set_nonblocking(true).unwrap();
        let come = self.tcp.peek(&mut [0]).is_ok();
        self.tcp.set_nonblocking(false).unwrap();
        come
    }

    /// Sends beside whatever else is done with the connection, as far as it is read.
    pub fn send_aside(&self, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
        let mut tcp = self.tcp.try_clone().unwrap();
        std::thread::spawn(move || drop(tcp.write_all(&bytes)))
    }

    /// Sends what may find nobody any more.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.tcp.write_all(bytes.as_ref()).is_ok()
    }

    /// Reads until this has come.
    pub fn wait_for(&mut self, text: &str) {
        while find(&self.spare, text.as_bytes()).is_none() {
            self.more(text).unwrap_or_else(|why| panic!("{why}"));
        }
    }

    /// Resets the connection.
    pub fn reset(self) {
        socket2::SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Sends no more, still reads.
    pub fn finish_sending(&self) {
        self.tcp.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// One GET on a connection of its own.
pub fn get(address: SocketAddr, path: &str, lines: &[&str]) -> Answer {
    Client::to(address).get(path, lines)
}

/// One GET of the admin's listener, by its address.
pub fn admin(address: SocketAddr, path: &str) -> Answer {
    get(address, path, &[&format!("Host: {address}")])
}
