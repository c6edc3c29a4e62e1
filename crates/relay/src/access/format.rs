//! The contents of a line, and its formats: JSON, or Apache's combined format.
//!
//! Written by hand, into a buffer that the caller keeps: a derived serializer needs valid UTF-8, which a request's
//! bytes may not be, and a line must be bounded. Every value has a bound; longer ones are cut off and end with a mark.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use judgement::printable::is_obeyed;
use judgement::{hex, time};

/// The longest line in bytes: the bounds below, and what surrounds the values.
pub const LONGEST: usize = 8 * 1024;
const PATH: usize = 2048;
const REFERER: usize = 1024;
const USER_AGENT: usize = 512;
const HOST: usize = 256;
const METHOD: usize = 32;
/// Names from the configuration.
const NAME: usize = 256;
/// Ids of requests and traces.
const ID: usize = 256;
/// What an origin says of a failure that it reports.
pub const LONGEST_FAILURE_REASON: usize = 100;

/// One request as the log describes it. Bytes are the client's own, whatever they are.
///
/// Authorization, Cookie and Set-Cookie are deliberately not included.
#[derive(Clone, Debug)]
pub struct AccessLine<'a> {
    /// When the request's head was complete, in microseconds since 1970.
    pub time_micros: u64,
    /// The first hop that is not a trusted proxy.
    pub client: IpAddr,
    /// The other end of the connection.
    pub peer: IpAddr,
    pub method: &'a [u8],
    /// As sent, port included.
    pub host: Option<&'a [u8]>,
    /// With the query, as sent, like nginx's `$request_uri`. For an absolute-form target, what follows the authority.
    pub path: &'a [u8],
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: &'static str,
    /// The status sent to the client; `None` if it got no response.
    pub status: Option<u16>,
    /// Of the request's body, as far as it was read.
    pub bytes_in: u64,
    /// Of the response's body, as far as it was sent.
    pub bytes_out: u64,
    /// From the request's head to the end of the response.
    pub took_micros: u64,
    pub referer: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    pub service: Option<&'a str>,
    pub route: Option<&'a str>,
    /// The environment that answered, or failed last.
    pub environment: Option<&'static str>,
    /// The rule that decided.
    pub rule: Option<&'a str>,
    pub generation: Option<u64>,
    pub rescued: bool,
    /// The candidate was chosen, but caution sent the request to active.
    pub turned_away: bool,
    /// The version of the request's page chose its environment.
    pub skewed: bool,
    /// Attempts at endpoints, including new connections and a rescue.
    pub attempts: u16,
    pub upstream_address: Option<SocketAddr>,
    /// From the last dispatch to the response head.
    pub upstream_micros: Option<u64>,
    /// The status from that endpoint.
    pub upstream_status: Option<u16>,
    /// The cause of failure; for a rescued request, the candidate's.
    pub failure: Option<&'static str>,
    /// What the origin says of the failure that it reports itself.
    pub failure_reason: Option<&'a [u8]>,
    /// Why no origin was asked.
    pub refused: Option<&'static str>,
    /// The client hung up.
    pub aborted: bool,
    /// The client's TLS version.
    pub tls: Option<&'a str>,
    pub request_id: Option<&'a [u8]>,
    pub trace_id: Option<&'a [u8]>,
    pub origin_request_id: Option<&'a [u8]>,
}

impl AccessLine<'_> {
    /// Whether it is logged regardless of the sample.
    pub fn is_failure(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
            || self.failure.is_some()
            || self.refused.is_some()
            || self.aborted
            || self.rescued
    }
}

/// One JSON object and a line feed. Every key is always present, so that readers need no special cases; unknown values
/// are null.
pub fn json(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    rfc3339(out, line.time_micros);
    out.extend_from_slice(b"\",\"client\":\"");
    address(out, line.client);
    out.extend_from_slice(b"\",\"peer\":\"");
    address(out, line.peer);
    out.push(b'"');
    text(out, b",\"method\":", Some(line.method), METHOD);
    text(out, b",\"host\":", line.host, HOST);
    text(out, b",\"path\":", Some(line.path), PATH);
    text(out, b",\"protocol\":", Some(line.protocol.as_bytes()), NAME);
    number(out, b",\"status\":", line.status.map(u64::from));
    number(out, b",\"bytes_in\":", Some(line.bytes_in));
    number(out, b",\"bytes_out\":", Some(line.bytes_out));
    millis(out, b",\"duration_ms\":", Some(line.took_micros));
    text(out, b",\"referer\":", line.referer, REFERER);
    text(out, b",\"user_agent\":", line.user_agent, USER_AGENT);
    text(out, b",\"service\":", line.service.map(str::as_bytes), NAME);
    text(out, b",\"route\":", line.route.map(str::as_bytes), NAME);
    text(out, b",\"environment\":", line.environment.map(str::as_bytes), NAME);
    text(out, b",\"rule\":", line.rule.map(str::as_bytes), NAME);
    number(out, b",\"generation\":", line.generation);
    truth(out, b",\"rescued\":", line.rescued);
    truth(out, b",\"turned_away\":", line.turned_away);
    truth(out, b",\"skewed\":", line.skewed);
    number(out, b",\"attempts\":", Some(u64::from(line.attempts)));
    out.extend_from_slice(b",\"upstream_address\":");
    match line.upstream_address {
        Some(upstream) => {
            out.push(b'"');
            socket_address(out, upstream);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
    millis(out, b",\"upstream_ms\":", line.upstream_micros);
    number(out, b",\"upstream_status\":", line.upstream_status.map(u64::from));
    text(out, b",\"failure\":", line.failure.map(str::as_bytes), NAME);
    text(out, b",\"failure_reason\":", line.failure_reason, LONGEST_FAILURE_REASON);
    text(out, b",\"refused\":", line.refused.map(str::as_bytes), NAME);
    truth(out, b",\"aborted\":", line.aborted);
    text(out, b",\"tls\":", line.tls.map(str::as_bytes), NAME);
    text(out, b",\"request_id\":", line.request_id, ID);
    text(out, b",\"trace_id\":", line.trace_id, ID);
    text(out, b",\"origin_request_id\":", line.origin_request_id, ID);
    out.extend_from_slice(b"}\n");
}

/// `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"` and a line feed. The user is always a dash, because it
/// would have to be read from Authorization.
pub fn combined(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    address(out, line.client);
    out.extend_from_slice(b" - - [");
    apache_time(out, line.time_micros / 1_000_000);
    out.extend_from_slice(b"] \"");
    apache(out, line.method, METHOD);
    out.push(b' ');
    apache(out, line.path, PATH);
    out.push(b' ');
    out.extend_from_slice(line.protocol.as_bytes());
    out.extend_from_slice(b"\" ");
    // Apache writes a dash for a status that was never sent, and for an empty body.
    match line.status {
        Some(status) => digits(out, u64::from(status), 3),
        None => out.push(b'-'),
    }
    out.push(b' ');
    match line.bytes_out {
        0 => out.push(b'-'),
        sent => digits(out, sent, 1),
    }
    for (value, most) in [(line.referer, REFERER), (line.user_agent, USER_AGENT)] {
        out.extend_from_slice(b" \"");
        apache(out, value.unwrap_or(b"-"), most);
        out.push(b'"');
    }
    out.push(b'\n');
}

fn text(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>, most: usize) {
    out.extend_from_slice(key);
    match value {
        Some(value) => {
            out.push(b'"');
            escaped(out, value, most);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

/// The inside of a JSON string, at most `most` bytes and the mark. Bytes that are not UTF-8 are written as the text
/// `\xNN`, as Apache does; a replacement character would hide what was sent.
fn escaped(out: &mut Vec<u8>, value: &[u8], most: usize) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if value.len() <= most && value.iter().all(is_plain) {
        out.extend_from_slice(value);
        return;
    }
    let end = out.len() + most;
    // Only as much of a long value is read as can fit.
    let value = value.get(..=most).unwrap_or(value);
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            let before = out.len();
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                // Including DEL and C1, which terminals obey too, and what reverses or ends a line. None is above U+FFFF.
                _ if is_obeyed(c) => {
                    out.extend_from_slice(b"\\u");
                    out.extend_from_slice(&hex::digits::<4>(&(u32::from(c) as u16).to_be_bytes()));
                }
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            if cut(out, before, end, "…") {
                return;
            }
        }
        for byte in chunk.invalid() {
            let before = out.len();
            out.extend_from_slice(b"\\\\x");
            out.extend_from_slice(&hex::digits::<2>(&[*byte]));
            if cut(out, before, end, "…") {
                return;
            }
        }
    }
}

/// Like Apache's `ap_escape_logitem`: everything that is not printable ASCII is written as `\xNN`.
fn apache(out: &mut Vec<u8>, value: &[u8], most: usize) {
    let end = out.len() + most;
    for byte in value {
        let before = out.len();
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x0b => out.extend_from_slice(b"\\v"),
            b' '..=b'~' => out.push(*byte),
            _ => {
                out.extend_from_slice(b"\\x");
                out.extend_from_slice(&hex::digits::<2>(&[*byte]));
            }
        }
        if cut(out, before, end, "...") {
            return;
        }
    }
}

/// Whether what was written since `before` exceeds `end`; if so, the mark replaces the excess.
fn cut(out: &mut Vec<u8>, before: usize, end: usize, mark: &str) -> bool {
    let over = out.len() > end;
    if over {
        out.truncate(before);
        out.extend_from_slice(mark.as_bytes());
    }
    over
}

fn truth(out: &mut Vec<u8>, key: &[u8], value: bool) {
    out.extend_from_slice(key);
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn number(out: &mut Vec<u8>, key: &[u8], value: Option<u64>) {
    out.extend_from_slice(key);
    match value {
        Some(value) => digits(out, value, 1),
        None => out.extend_from_slice(b"null"),
    }
}

/// Microseconds as milliseconds with three decimals.
fn millis(out: &mut Vec<u8>, key: &[u8], micros: Option<u64>) {
    number(out, key, micros.map(|micros| micros / 1000));
    if let Some(micros) = micros {
        out.push(b'.');
        digits(out, micros % 1000, 3);
    }
}

/// A number with at least this many digits.
fn digits(out: &mut Vec<u8>, mut value: u64, least: usize) {
    let start = out.len();
    while value > 0 || out.len() - start < least {
        out.push(b'0' + (value % 10) as u8);
        value /= 10;
    }
    if let Some(backwards) = out.get_mut(start..) {
        backwards.reverse();
    }
}

/// IPv4 by hand, because nearly every address is one; writing to memory cannot fail.
fn address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            for (at, octet) in v4.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                digits(out, u64::from(octet), 1);
            }
        }
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

fn socket_address(out: &mut Vec<u8>, socket: SocketAddr) {
    match socket {
        SocketAddr::V4(v4) => {
            address(out, IpAddr::V4(*v4.ip()));
            out.push(b':');
            digits(out, u64::from(v4.port()), 1);
        }
        SocketAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// `2026-11-22T14:03:59.123456Z`.
fn rfc3339(out: &mut Vec<u8>, micros: u64) {
    let at = time::utc(micros / 1000);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.as_hms();
    digits(out, u64::from(year.unsigned_abs()), 4);
    for (before, value) in [(b'-', u8::from(month)), (b'-', day), (b'T', hour), (b':', minute), (b':', second)] {
        out.push(before);
        digits(out, u64::from(value), 2);
    }
    out.push(b'.');
    digits(out, micros % 1_000_000, 6);
    out.push(b'Z');
}

/// `22/Nov/2026:14:03:59 +0000`.
fn apache_time(out: &mut Vec<u8>, seconds: u64) {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = time::utc(seconds.saturating_mul(1000));
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.as_hms();
    digits(out, u64::from(day), 2);
    out.push(b'/');
    let month = usize::from(u8::from(month)).checked_sub(1).and_then(|at| MONTHS.get(at));
    out.extend_from_slice(month.map_or(&b"-"[..], |name| name.as_bytes()));
    out.push(b'/');
    digits(out, u64::from(year.unsigned_abs()), 4);
    for value in [hour, minute, second] {
        out.push(b':');
        digits(out, u64::from(value), 2);
    }
    out.extend_from_slice(b" +0000");
}
