//! What became of each request: as its client saw it, and as the sites did.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, a connection for each request.
    New,
    /// HTTP/1.1 on a connection that is kept.
    Kept,
    /// HTTP/1.1 over TLS, kept.
    Tls,
    /// HTTP/2 over TLS, several streams at once.
    Http2,
}

impl Protocol {
    pub const ALL: [Protocol; 4] = [Protocol::New, Protocol::Kept, Protocol::Tls, Protocol::Http2];

    pub fn name(self) -> &'static str {
        match self {
            Protocol::New => "HTTP/1.1, new connections",
            Protocol::Kept => "HTTP/1.1, kept connections",
            Protocol::Tls => "HTTP/1.1 over TLS",
            Protocol::Http2 => "HTTP/2 over TLS",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Blue,
    Green,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Side::Blue => "blue",
            Side::Green => "green",
        }
    }
}

/// What a request is follows from its id alone, so that client and site agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub u64);

impl Id {
    pub fn is_post(self) -> bool {
        self.0 % 3 == 1
    }

    /// Whether a failed attempt may be repeated on the other side.
    pub fn is_rescuable(self) -> bool {
        !self.is_post() || self.0.is_multiple_of(2)
    }

    /// Green fails at these now and then, also when it is well.
    pub fn is_hiccup(self) -> bool {
        self.0.is_multiple_of(101)
    }

    /// Some of them are larger than a buffer of the proxy; all that may be rescued fit into the one for that.
    pub fn body(self) -> Vec<u8> {
        let length = match self.0 {
            _ if !self.is_post() => return Vec::new(),
            id if id % 50 == 1 => 100_000,
            id => id.wrapping_mul(2_654_435_761) % 9000,
        };
        let length = if self.is_rescuable() { length.min(60_000) } else { length };
        (0..length).map(|at| (self.0.wrapping_mul(31).wrapping_add(at * 7) >> 3) as u8).collect()
    }

    /// The whole response: it names the request, and what was read of its body.
    pub fn response(self, side: Side, body: &[u8]) -> String {
        let mut sum = DefaultHasher::new();
        sum.write(body);
        let padding = if self.0 % 40 == 7 { 70_000 } else { (self.0 % 600) as usize };
        format!("{} {} {} {:016x} {}", side.name(), self.0, body.len(), sum.finish(), ".".repeat(padding))
    }
}

/// What a client saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole response of this site, to this request, with this status.
    Told(Side, u16),
    /// Anything else, in words.
    Failed(String),
}

#[derive(Clone, Debug)]
pub struct Request {
    pub protocol: Protocol,
    /// Since the ledger was opened.
    pub began: Duration,
    /// With what the client saw; none while it is under way.
    pub ended: Option<(Duration, Outcome)>,
}

/// What the sites saw of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visits {
    pub blue: u8,
    pub green: u8,
    /// How often green answered with a failure.
    pub failed: u8,
    /// Whether a body came that was not sent.
    pub is_damaged: bool,
}

impl Visits {
    pub fn all(self) -> u8 {
        self.blue + self.green
    }
}

pub struct Ledger {
    opened: Instant,
    requests: Mutex<Vec<Request>>,
    visits: Mutex<Vec<Visits>>,
}

impl Ledger {
    pub fn open() -> Ledger {
        Ledger { opened: Instant::now(), requests: Mutex::default(), visits: Mutex::default() }
    }

    pub fn now(&self) -> Duration {
        self.opened.elapsed()
    }

    pub fn begin(&self, protocol: Protocol) -> Id {
        let mut requests = self.requests.lock().unwrap();
        requests.push(Request { protocol, began: self.now(), ended: None });
        Id(requests.len() as u64 - 1)
    }

    pub fn end(&self, id: Id, outcome: Outcome) {
        let now = self.now();
        self.requests.lock().unwrap()[id.0 as usize].ended = Some((now, outcome));
    }

    pub fn visit(&self, id: Id, see: impl FnOnce(&mut Visits)) {
        let mut visits = self.visits.lock().unwrap();
        let at = id.0 as usize;
        if visits.len() <= at {
            visits.resize(at + 1, Visits::default());
        }
        see(&mut visits[at]);
    }

    /// Every request with its visits, in the order of their ids.
    pub fn closed(&self) -> Vec<(Id, Request, Visits)> {
        let (requests, visits) = (self.requests.lock().unwrap(), self.visits.lock().unwrap());
        let of = |at: usize| visits.get(at).copied().unwrap_or_default();
        assert!(visits.len() <= requests.len(), "a site was asked for an id that nobody sent");
        requests.iter().enumerate().map(|(at, request)| (Id(at as u64), request.clone(), of(at))).collect()
    }
}
