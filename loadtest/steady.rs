//! The load of the benchmark's latencies: so many requests a second, whatever becomes of those before.
//!
//! wrk and h2load ask again when they are answered. A proxy that stalls for 50 ms stalls them too, and the thousands of
//! requests that people would have sent meanwhile are in no percentile: coordinated omission. Here request number k is
//! due k intervals after the start, and its latency counts from then, even if it must wait for a free connection, or for
//! this program to be scheduled. What comes of the latter is told as `late`: how long after its time a request was sent
//! that had a connection to go by.
//!
//! `steady_load ADDRESS PATH RATE SECONDS CONNECTIONS`. HTTP/1.1, responses with a length. A first fifth of a second is
//! sent and not counted. Prints one line of JSON, times in microseconds. Requests that are not answered within half a
//! second of the end count with the time that they have waited, and are told as `unanswered`.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, bail};
use memory::clock::micros;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

const WARM_UP_MICROS: u64 = 200_000;
const GRACE_MICROS: u64 = 500_000;
/// The timer among the connections.
const TIMER: u64 = u64::MAX;
const EVENTS: usize = 256;

struct Connection {
    tcp: TcpStream,
    held: Vec<u8>,
    /// When the request that is under way was due.
    due: Option<u64>,
}

struct Load {
    address: SocketAddr,
    request: Vec<u8>,
    epoll: Epoll,
    connections: Vec<Connection>,
    free: VecDeque<usize>,
    start: u64,
    interval: f64,
    /// Requests of the whole run, those sent, and those of the warm-up.
    all: u64,
    sent: u64,
    warm_up: u64,
    /// Since when there has been a free connection: what was due later and is late is so by this program's doing.
    free_since: u64,
    latencies: Vec<u64>,
    late: Vec<u64>,
    answered: u64,
    failures: u64,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, rate, seconds, connections] = words.as_slice() else {
        bail!("steady_load ADDRESS PATH RATE SECONDS CONNECTIONS")
    };
    let (rate, seconds): (f64, f64) = (rate.parse()?, seconds.parse()?);
    let mut load = Load::new(address.parse().context("ADDRESS")?, path, rate, seconds, connections.parse()?)?;
    load.run()?;
    println!("{}", load.report());
    Ok(())
}

impl Load {
    fn new(address: SocketAddr, path: &str, rate: f64, seconds: f64, connections: usize) -> anyhow::Result<Load> {
        if !(rate > 0.0 && seconds > 0.0 && connections > 0) {
            bail!("more than nothing");
        }
        let interval = 1e6 / rate;
        let warm_up = (WARM_UP_MICROS as f64 / interval) as u64;
        let all = warm_up + (seconds * rate) as u64;
        let mut load = Load {
            address,
            request: format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes(),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            connections: Vec::new(),
            free: (0..connections).collect(),
            start: 0,
            interval,
            all,
            sent: 0,
            warm_up,
            free_since: 0,
            latencies: Vec::with_capacity(all as usize),
            late: Vec::with_capacity(all as usize),
            answered: 0,
            failures: 0,
        };
        for at in 0..connections {
            let connection = load.connect(at)?;
            load.connections.push(connection);
        }
        Ok(load)
    }

    fn connect(&self, at: usize) -> anyhow::Result<Connection> {
        let tcp = TcpStream::connect(self.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_nonblocking(true)?;
        self.epoll.add(&tcp, EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
        Ok(Connection { tcp, held: Vec::new(), due: None })
    }

    fn due(&self, request: u64) -> u64 {
        self.start + (request as f64 * self.interval) as u64
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        // It is set anew and never read: an edge tells that it went off.
        self.epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER))?;
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut buffer = vec![0; 64 * 1024];
        self.start = micros();
        let end = self.due(self.all) + GRACE_MICROS;
        loop {
            let now = self.send_due()?;
            let idle = self.free.len() == self.connections.len();
            if now >= end || self.sent == self.all && idle {
                return Ok(());
            }
            let next = if self.sent < self.all && !self.free.is_empty() { self.due(self.sent) } else { end };
            let wait = TimeSpec::microseconds(next.saturating_sub(now).max(1) as i64);
            timer.set(Expiration::OneShot(wait), TimerSetTimeFlags::empty())?;
            let count = self.epoll.wait(&mut events, EpollTimeout::NONE)?;
            for event in events.iter().take(count).filter(|event| event.data() != TIMER) {
                self.receive(event.data() as usize, &mut buffer)?;
            }
        }
    }

    /// Everything that is due, as far as there are connections.
    fn send_due(&mut self) -> anyhow::Result<u64> {
        let mut now = micros();
        while self.sent < self.all && self.due(self.sent) <= now {
            let due = self.due(self.sent);
            let Some(at) = self.free.pop_front() else { break };
            let Some(connection) = self.connections.get_mut(at) else { bail!("no such connection") };
            connection.due = Some(due);
            if due >= self.free_since && self.sent >= self.warm_up {
                self.late.push(now - due);
            }
            self.sent += 1;
            // A request is far smaller than a socket's buffer: it goes at once, or the connection is gone.
            if connection.tcp.write(&self.request).ok() != Some(self.request.len()) {
                self.renew(at)?;
            }
            now = micros();
        }
        Ok(now)
    }

    fn receive(&mut self, at: usize, buffer: &mut [u8]) -> anyhow::Result<()> {
        let Some(connection) = self.connections.get_mut(at) else { bail!("no such connection") };
        let count = match connection.tcp.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => 0,
        };
        connection.held.extend(buffer.iter().take(count));
        if count == 0 {
            return self.renew(at);
        }
        let Some(answer) = answer(&connection.held)? else { return Ok(()) };
        connection.held.clear();
        let Some(due) = connection.due.take() else { bail!("an answer that was not asked for") };
        if answer.good {
            self.answered += 1;
            let latency = micros().saturating_sub(due);
            self.count(due, latency);
        } else {
            self.failures += 1;
        }
        if answer.last {
            return self.renew(at);
        }
        self.set_free(at);
        Ok(())
    }

    fn set_free(&mut self, at: usize) {
        if self.free.is_empty() {
            self.free_since = micros();
        }
        self.free.push_back(at);
    }

    fn count(&mut self, due: u64, latency: u64) {
        if due >= self.due(self.warm_up) {
            self.latencies.push(latency);
        }
    }

    /// A new connection for one that ended. If a request was under way, it has failed.
    fn renew(&mut self, at: usize) -> anyhow::Result<()> {
        let new = self.connect(at)?;
        let Some(connection) = self.connections.get_mut(at) else { bail!("no such connection") };
        let failed = connection.due.is_some();
        let was_free = !failed && self.free.contains(&at);
        *connection = new;
        self.failures += u64::from(failed);
        if !was_free {
            self.set_free(at);
        }
        Ok(())
    }

    fn report(&mut self) -> String {
        let in_time = self.latencies.len();
        let end = self.due(self.all);
        let under_way: Vec<u64> = self.connections.iter().filter_map(|connection| connection.due).collect();
        let never_sent: Vec<u64> = (self.sent..self.all).map(|request| self.due(request)).collect();
        for due in under_way.into_iter().chain(never_sent) {
            self.count(due, end + GRACE_MICROS - due);
        }
        let unanswered = self.latencies.len() - in_time;
        self.latencies.sort_unstable();
        self.late.sort_unstable();
        let figures = [
            // Those of the warm-up too, as in `seconds`.
            ("answered", self.answered),
            ("p50", quantile(&self.latencies, 0.5)),
            ("p99", quantile(&self.latencies, 0.99)),
            ("p999", quantile(&self.latencies, 0.999)),
            ("max", quantile(&self.latencies, 1.0)),
            ("late_p50", quantile(&self.late, 0.5)),
            ("late_p99", quantile(&self.late, 0.99)),
            ("unanswered", unanswered as u64),
            ("failures", self.failures),
        ];
        let told: Vec<String> = figures.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        let seconds = (end - self.start) as f64 / 1e6;
        format!("{{\"seconds\": {seconds}, {}}}", told.join(", "))
    }
}

fn quantile(sorted: &[u64], share: f64) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((sorted.len() as f64 * share) as usize).min(last)).copied().unwrap_or(0)
}

struct Answer {
    good: bool,
    last: bool,
}

/// Of a whole answer.
fn answer(bytes: &[u8]) -> anyhow::Result<Option<Answer>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    let value = |name: &str| {
        let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok()
    };
    let length: usize = value("content-length").context("an answer without a length")?.parse()?;
    if bytes.len() < head + length {
        return Ok(None);
    }
    let last = value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok(Some(Answer { good: response.code == Some(200), last }))
}
