//! HTTP/2 as clients may not speak it, frame by frame: what becomes of the connection or the stream by RFC 9113 and 7541.
//!
//! The sections are those that h2spec tests. It is not to be had everywhere, and what it does is not more than this.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::house::House;
use crate::support::origin::Do;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITISED: u8 = 0x20;

/// The codes of RFC 9113 7.
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const FRAME_SIZE: u32 = 6;
const STREAM_CLOSED: u32 = 5;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION: u32 = 9;

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The connection ends, with this code or the general one: the h2 crate is not exact about many of them, and h2spec does
    /// not ask for it.
    Connection(u32),
    /// The stream 1 ends with this code, and the connection lives on.
    Stream(u32),
    /// Either. What is wrong with the bytes of a name or a value, the h2 crate takes for an error of the connection.
    Either(u32),
    /// Nothing: the connection lives on.
    Nothing,
    /// Stream 1 is answered with 200.
    Answer,
    /// Stream 1 is answered with 400: a request that is malformed may be (RFC 9113 8.1.1).
    Refused,
}
use Wanted::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Fields as literals that no table keeps.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // Seven bits, and more for what is longer.
            match text.len() {
                length @ ..127 => block.push(length as u8),
                mut length => {
                    block.push(127);
                    length -= 127;
                    while length >= 128 {
                        block.push((length % 128) as u8 | 128);
                        length /= 128;
                    }
                    block.push(length as u8);
                }
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "shop.test"), (":path", "/")];
const POST: [(&str, &str); 4] = [(":method", "POST"), (":scheme", "http"), (":authority", "shop.test"), (":path", "/")];

fn get() -> Vec<u8> {
    fields(&GET)
}

fn post() -> Vec<u8> {
    fields(&POST)
}

fn with(more: &[(&str, &str)]) -> Vec<u8> {
    [get(), fields(more)].concat()
}

fn post_with(more: &[(&str, &str)]) -> Vec<u8> {
    [post(), fields(more)].concat()
}

fn without(name: &str) -> Vec<u8> {
    fields(&GET.into_iter().filter(|(n, _)| *n != name).collect::<Vec<_>>())
}

/// A request without a body on stream 1.
fn asks(block: Vec<u8>) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)
}

/// A request on stream 1 that has a body to come.
fn begins(block: Vec<u8>) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &block)
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &payload)
}

/// A frame that came back.
#[derive(Debug)]
struct Came {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Came {
    fn code(&self) -> Option<u32> {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }
}

struct RawClient {
    tcp: TcpStream,
    bytes: Vec<u8>,
}

impl RawClient {
    /// A connection that has said what every one must say, and nothing else.
    fn open(address: SocketAddr) -> RawClient {
        let mut connection = RawClient::raw(address);
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        connection.send(&frame(SETTINGS, 0, 0, b""));
        connection
    }

    fn raw(address: SocketAddr) -> RawClient {
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        RawClient { tcp, bytes: Vec::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        // Who has ended the connection reads no more.
        let _ = self.tcp.write_all(bytes);
    }

    /// The next frame; `None` at the end of the connection, or if nothing comes.
    fn next(&mut self) -> Option<Came> {
        loop {
            if let Some((head, rest)) = self.bytes.split_at_checked(9) {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if rest.len() >= length {
                    let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
                    let came = Came { kind: head[3], flags: head[4], stream, payload: rest[..length].to_vec() };
                    self.bytes.drain(..9 + length);
                    return Some(came);
                }
            }
            let mut buffer = [0; 16 * 1024];
            match self.tcp.read(&mut buffer) {
                Ok(got @ 1..) => self.bytes.extend_from_slice(&buffer[..got]),
                _ => return None,
            }
        }
    }

    /// Frames until one is as wanted, which comes last, or the connection ends.
    fn until(&mut self, wanted: impl Fn(&Came) -> bool) -> (Vec<Came>, bool) {
        let mut all = Vec::new();
        while let Some(came) = self.next() {
            let found = wanted(&came);
            all.push(came);
            if found {
                return (all, true);
            }
        }
        (all, false)
    }

    /// What comes of these bytes: a wrong word for `wanted`, or nothing.
    fn judge(&mut self, bytes: &[u8], wanted: Wanted) -> Result<(), String> {
        self.send(bytes);
        let is_reset = |came: &Came| came.kind == RST_STREAM && came.stream == 1;
        let is_away = |came: &Came| came.kind == GOAWAY && came.code() != Some(0);
        let is_head = |came: &Came| came.kind == HEADERS && came.stream == 1;
        // Whatever is asked for, what comes first is what is meant.
        let (before, found) = match wanted {
            Nothing => (Vec::new(), true),
            _ => self.until(|came| is_reset(came) || is_away(came) || is_head(came)),
        };
        let last = before.last();
        let code = last.and_then(Came::code);
        let is_code = |wanted| code == Some(wanted) || code == Some(PROTOCOL);
        let good = found
            && match (wanted, last) {
                (Nothing, _) => true,
                (Connection(wanted), Some(last)) => is_away(last) && is_code(wanted),
                (Stream(wanted), Some(last)) => is_reset(last) && code == Some(wanted),
                (Either(wanted), Some(last)) => !is_head(last) && is_code(wanted),
                // The static table has these two (RFC 7541 A).
                (Answer, Some(last)) => is_head(last) && last.payload[0] == 0x88,
                (Refused, Some(last)) => is_head(last) && last.payload[0] == 0x8c,
                (_, None) => false,
            };
        if !good {
            return Err(format!("{wanted:?}, but {before:?}"));
        }
        if last.is_some_and(is_away) {
            // Nothing else comes, least of all an answer.
            let (rest, _) = self.until(is_head);
            return if rest.iter().any(is_head) { Err(format!("{rest:?} behind a GOAWAY")) } else { Ok(()) };
        }
        self.send(&frame(PING, 0, 0, b"an echo?"));
        let (rest, lives) = self.until(|came| came.kind == PING && came.flags == ACK && came.payload == b"an echo?");
        let odd = rest.iter().any(|came| is_away(came) || (wanted == Nothing && is_reset(came)));
        if lives && !odd { Ok(()) } else { Err(format!("{wanted:?}, but then {rest:?}")) }
    }
}

type Case = (&'static str, Vec<u8>, Wanted);

/// RFC 9113 4: frames.
fn of_frames() -> Vec<Case> {
    let long = vec![0; 16_385];
    let ping = frame(PING, 0, 0, b"12345678");
    vec![
        ("4.1 an unknown frame", frame(0xfa, 0xff, 0, b"12345678"), Nothing),
        ("4.1 an unknown frame of a stream", frame(0xfa, 0, 1, b""), Nothing),
        ("4.1 flags that are not defined", frame(PING, 0xfe, 0, b"12345678"), Nothing),
        ("4.1 the reserved bit", frame(PING, 0, 1 << 31, b"12345678"), Nothing),
        ("4.2 DATA that is too long", [begins(post()), frame(DATA, END_STREAM, 1, &long)].concat(), Either(FRAME_SIZE)),
        ("4.2 HEADERS that are too long", frame(HEADERS, END_STREAM | END_HEADERS, 1, &long), Connection(FRAME_SIZE)),
        (
            "4.3 a block that is none",
            asks(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff".to_vec()),
            Connection(COMPRESSION),
        ),
        (
            "4.3 a frame between HEADERS and CONTINUATION",
            [frame(HEADERS, END_STREAM, 1, &get()), ping.clone(), frame(CONTINUATION, END_HEADERS, 1, b"")].concat(),
            Connection(PROTOCOL),
        ),
        (
            "4.3 HEADERS of another stream between",
            [frame(HEADERS, END_STREAM, 1, &get()), frame(HEADERS, END_STREAM | END_HEADERS, 3, &get())].concat(),
            Connection(PROTOCOL),
        ),
        (
            "5.5 an unknown frame between",
            [frame(HEADERS, END_STREAM, 1, &get()), frame(0xfa, 0, 0, b"")].concat(),
            Connection(PROTOCOL),
        ),
    ]
}

/// RFC 9113 5.1 and 5.3: what may come in which state of a stream.
fn of_streams() -> Vec<Case> {
    vec![
        ("5.1 idle: DATA", frame(DATA, END_STREAM, 1, b"test"), Connection(PROTOCOL)),
        ("5.1 idle: RST_STREAM", frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), Connection(PROTOCOL)),
        ("5.1 idle: WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100]), Connection(PROTOCOL)),
        ("5.1 idle: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, &get()), Connection(PROTOCOL)),
        ("5.1 idle: PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 5]), Nothing),
        (
            "5.1 half closed: DATA",
            [asks(with(&[("x-hangs", "1")])), frame(DATA, END_STREAM, 1, b"test")].concat(),
            Either(STREAM_CLOSED),
        ),
        ("5.1 half closed: HEADERS", [asks(with(&[("x-hangs", "1")])), asks(get())].concat(), Either(STREAM_CLOSED)),
        (
            "5.1 half closed: CONTINUATION",
            [asks(with(&[("x-hangs", "1")])), frame(CONTINUATION, END_HEADERS, 1, b"")].concat(),
            Connection(PROTOCOL),
        ),
        (
            "5.1 closed: CONTINUATION",
            [begins(post()), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), frame(CONTINUATION, END_HEADERS, 1, b"")].concat(),
            Connection(PROTOCOL),
        ),
        ("5.1.1 an even stream", frame(HEADERS, END_STREAM | END_HEADERS, 2, &get()), Connection(PROTOCOL)),
        (
            "5.1.1 a stream below another",
            [
                frame(HEADERS, END_STREAM | END_HEADERS, 5, &with(&[("x-hangs", "1")])),
                frame(HEADERS, END_STREAM | END_HEADERS, 3, &get()),
            ]
            .concat(),
            Connection(PROTOCOL),
        ),
        (
            "5.3.2 a stream that depends on itself, as RFC 7540 had it",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 5]),
            Either(PROTOCOL),
        ),
        ("6.3 PRIORITY without a stream", frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 5]), Connection(PROTOCOL)),
        (
            "6.3 PRIORITY of four bytes",
            [begins(post()), frame(PRIORITY, 0, 1, &[0, 0, 0, 0])].concat(),
            Either(FRAME_SIZE),
        ),
    ]
}

/// RFC 9113 6.1, 6.2 and 6.10: heads and bodies in frames.
fn of_heads_and_bodies() -> Vec<Case> {
    vec![
        (
            "6.1 DATA without a stream",
            [begins(post()), frame(DATA, END_STREAM, 0, b"test")].concat(),
            Connection(PROTOCOL),
        ),
        (
            "6.1 padding that is longer than DATA",
            [begins(post()), frame(DATA, END_STREAM | PADDED, 1, &[5, 1, 2, 3])].concat(),
            Connection(PROTOCOL),
        ),
        ("6.1 padding", [begins(post()), frame(DATA, END_STREAM | PADDED, 1, &[2, b'a', 0, 0])].concat(), Answer),
        ("6.1 DATA without anything", [begins(post()), frame(DATA, END_STREAM, 1, b"")].concat(), Answer),
        ("6.2 HEADERS without a stream", frame(HEADERS, END_STREAM | END_HEADERS, 0, &get()), Connection(PROTOCOL)),
        (
            "6.2 padding that is longer than HEADERS",
            frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &[&[255][..], &get()].concat()),
            Connection(PROTOCOL),
        ),
        (
            "6.2 padding and a priority",
            frame(
                HEADERS,
                END_STREAM | END_HEADERS | PADDED | PRIORITISED,
                1,
                &[&[1, 0, 0, 0, 0, 5][..], &get(), &[0]].concat(),
            ),
            Answer,
        ),
        (
            "6.2 a block in three frames",
            [
                frame(HEADERS, END_STREAM, 1, &get()[..5]),
                frame(CONTINUATION, 0, 1, &get()[5..9]),
                frame(CONTINUATION, END_HEADERS, 1, &get()[9..]),
            ]
            .concat(),
            Answer,
        ),
        (
            "6.10 CONTINUATION behind the end",
            [asks(with(&[("x-hangs", "1")])), frame(CONTINUATION, END_HEADERS, 1, &get())].concat(),
            Connection(PROTOCOL),
        ),
        (
            "6.10 CONTINUATION without a stream",
            [frame(HEADERS, END_STREAM, 1, &get()), frame(CONTINUATION, END_HEADERS, 0, b"")].concat(),
            Connection(PROTOCOL),
        ),
        (
            "6.10 CONTINUATION of another stream",
            [frame(HEADERS, END_STREAM, 1, &get()), frame(CONTINUATION, END_HEADERS, 3, b"")].concat(),
            Connection(PROTOCOL),
        ),
        (
            "6.10 CONTINUATION behind DATA",
            [begins(post()), frame(DATA, 0, 1, b"a"), frame(CONTINUATION, END_HEADERS, 1, &get())].concat(),
            Connection(PROTOCOL),
        ),
    ]
}

/// RFC 9113 6: the frames of a connection.
fn of_connections() -> Vec<Case> {
    vec![
        ("6.4 RST_STREAM without a stream", frame(RST_STREAM, 0, 0, &[0, 0, 0, 8]), Connection(PROTOCOL)),
        (
            "6.4 RST_STREAM of three bytes",
            [begins(post()), frame(RST_STREAM, 0, 1, &[0, 0, 8])].concat(),
            Connection(FRAME_SIZE),
        ),
        ("6.5 an acknowledgement with a setting", frame(SETTINGS, ACK, 0, &[0; 6]), Connection(FRAME_SIZE)),
        ("6.5 SETTINGS of a stream", frame(SETTINGS, 0, 1, b""), Connection(PROTOCOL)),
        ("6.5 SETTINGS of three bytes", frame(SETTINGS, 0, 0, &[0, 3, 0]), Connection(FRAME_SIZE)),
        ("6.5.2 ENABLE_PUSH", setting(2, 2), Connection(PROTOCOL)),
        ("6.5.2 INITIAL_WINDOW_SIZE", setting(4, 1 << 31), Connection(FLOW_CONTROL)),
        ("6.5.2 MAX_FRAME_SIZE, too small", setting(5, 16_383), Connection(PROTOCOL)),
        ("6.5.2 MAX_FRAME_SIZE, too large", setting(5, 1 << 24), Connection(PROTOCOL)),
        ("6.5.2 an unknown setting", setting(0xff, 1), Nothing),
        (
            "6.6 PUSH_PROMISE",
            [begins(post()), frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &get()].concat())].concat(),
            Connection(PROTOCOL),
        ),
        ("6.7 PING of a stream", frame(PING, 0, 1, b"12345678"), Connection(PROTOCOL)),
        ("6.7 PING of six bytes", frame(PING, 0, 0, b"123456"), Connection(FRAME_SIZE)),
        ("6.7 an acknowledgement that nobody waits for", frame(PING, ACK, 0, b"12345678"), Nothing),
        ("6.8 GOAWAY of a stream", frame(GOAWAY, 0, 1, &[0; 8]), Connection(PROTOCOL)),
        ("6.9 WINDOW_UPDATE by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Connection(PROTOCOL)),
        (
            "6.9 WINDOW_UPDATE of a stream by nothing",
            [begins(post()), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(),
            Either(PROTOCOL),
        ),
        ("6.9 WINDOW_UPDATE of three bytes", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]), Connection(FRAME_SIZE)),
        (
            "6.9.1 a window that is too large",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            Connection(FLOW_CONTROL),
        ),
        (
            "6.9.1 a stream's window that is too large",
            [begins(post()), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])].concat(),
            Stream(FLOW_CONTROL),
        ),
        ("7541 2.3.3 an index that is none", asks([get(), vec![0xff, 0x00]].concat()), Connection(COMPRESSION)),
        ("7541 4.2 the table's size behind a field", asks([get(), vec![0x20]].concat()), Connection(COMPRESSION)),
        (
            "7541 5.2 a Huffman code that ends in the middle",
            asks([get(), b"\x00\x04\x78\x61\x62\x63\x82\x1f\xff\xff".to_vec()].concat()),
            Connection(COMPRESSION),
        ),
        ("7541 6.1 the index 0", asks([get(), vec![0x80]].concat()), Connection(COMPRESSION)),
        (
            "7541 6.3 a table that is too large",
            asks([vec![0x3f, 0xe1, 0xff, 0x7f], get()].concat()),
            Connection(COMPRESSION),
        ),
    ]
}

/// RFC 9113 8: what a request is.
fn of_requests() -> Vec<Case> {
    let trailers = |block: &[(&str, &str)]| {
        [begins(post()), frame(DATA, 0, 1, b"test"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(block))]
            .concat()
    };
    let body = |length: &str, pieces: &[&str]| {
        let mut all = begins(post_with(&[("content-length", length)]));
        for (at, piece) in pieces.iter().enumerate() {
            let flags = if at + 1 == pieces.len() { END_STREAM } else { 0 };
            all.extend(frame(DATA, flags, 1, piece.as_bytes()));
        }
        all
    };
    vec![
        ("a request", asks(get()), Answer),
        (
            "8.1 trailers that end nothing",
            [begins(post()), frame(DATA, 0, 1, b"test"), frame(HEADERS, END_HEADERS, 1, &fields(&[("x-sum", "1")]))]
                .concat(),
            Either(PROTOCOL),
        ),
        ("8.1 trailers", trailers(&[("x-sum", "1")]), Answer),
        ("8.1 a pseudo-field in trailers, which the h2 crate drops", trailers(&[(":method", "GET")]), Answer),
        ("8.1 an unknown pseudo-field in trailers", trailers(&[(":x", "1")]), Either(PROTOCOL)),
        ("8.2.1 a name in upper case", asks(with(&[("X-A", "1")])), Either(PROTOCOL)),
        ("8.2.1 a name with a space", asks(with(&[("x a", "1")])), Either(PROTOCOL)),
        ("8.2.1 a name with a colon", asks(with(&[("x:a", "1")])), Either(PROTOCOL)),
        ("8.2.1 no name", asks(with(&[("", "1")])), Either(PROTOCOL)),
        ("8.2.1 a value with a line end", asks(with(&[("x-a", "1\r\nx-b: 2")])), Either(PROTOCOL)),
        ("8.2.1 a value with a null", asks(with(&[("x-a", "a\0b")])), Either(PROTOCOL)),
        ("8.2.2 connection", asks(with(&[("connection", "keep-alive")])), Stream(PROTOCOL)),
        ("8.2.2 keep-alive", asks(with(&[("keep-alive", "timeout=5")])), Stream(PROTOCOL)),
        ("8.2.2 proxy-connection", asks(with(&[("proxy-connection", "keep-alive")])), Stream(PROTOCOL)),
        ("8.2.2 transfer-encoding", asks(post_with(&[("transfer-encoding", "chunked")])), Stream(PROTOCOL)),
        ("8.2.2 upgrade", asks(with(&[("upgrade", "h2c")])), Stream(PROTOCOL)),
        ("8.2.2 te", asks(with(&[("te", "trailers, deflate")])), Stream(PROTOCOL)),
        ("8.2.2 te: trailers", asks(with(&[("te", "trailers")])), Answer),
        ("8.3 an unknown pseudo-field", asks(with(&[(":x", "1")])), Either(PROTOCOL)),
        ("8.3 the pseudo-field of an answer", asks(with(&[(":status", "200")])), Stream(PROTOCOL)),
        (
            "8.3 a pseudo-field behind a field",
            asks(fields(&[GET[0], GET[1], GET[2], ("x-a", "1"), GET[3]])),
            Stream(PROTOCOL),
        ),
        ("8.3.1 an empty path", asks([without(":path"), fields(&[(":path", "")])].concat()), Stream(PROTOCOL)),
        ("8.3.1 a path that is none", asks([without(":path"), fields(&[(":path", "a")])].concat()), Stream(PROTOCOL)),
        ("8.3.1 no method", asks(without(":method")), Stream(PROTOCOL)),
        ("8.3.1 no scheme", asks(without(":scheme")), Stream(PROTOCOL)),
        ("8.3.1 no path", asks(without(":path")), Stream(PROTOCOL)),
        ("8.3.1 no authority and no host", asks(without(":authority")), Refused),
        ("8.3.1 a host instead", asks([without(":authority"), fields(&[("host", "shop.test")])].concat()), Answer),
        ("8.3.1 another host", asks(with(&[("host", "other.test")])), Refused),
        ("8.3.1 two methods", asks([fields(&GET[..1]), get()].concat()), Stream(PROTOCOL)),
        ("8.3.1 two schemes", asks([fields(&GET[1..2]), get()].concat()), Stream(PROTOCOL)),
        ("8.3.1 two authorities", asks([fields(&GET[2..3]), get()].concat()), Stream(PROTOCOL)),
        ("8.3.1 two paths", asks([fields(&GET[3..]), get()].concat()), Stream(PROTOCOL)),
        ("8.1.1 the length of a body", body("4", &["te", "st"]), Answer),
        ("8.1.1 a body that is shorter than it says", body("5", &["te", "st"]), Either(PROTOCOL)),
        ("8.1.1 a body that is longer than it says", body("3", &["te", "st"]), Either(PROTOCOL)),
        ("8.1.1 a body that is in one frame, and longer", body("1", &["test"]), Either(PROTOCOL)),
        ("8.1.1 no body for a length", asks(post_with(&[("content-length", "1")])), Either(PROTOCOL)),
        ("8.1.1 two lengths", asks(post_with(&[("content-length", "0"), ("content-length", "0")])), Refused),
        ("8.1.1 a length that is none", asks(post_with(&[("content-length", "+1")])), Stream(PROTOCOL)),
    ]
}

fn house() -> House {
    let house = House::start("weight = 0", "");
    house.blue.does(|request| match request.header("x-hangs") {
        Some(_) => Do::Hang,
        None => Do::Status(200),
    });
    house
}

#[test]
fn what_is_wrong_ends_a_stream_or_the_connection() {
    let house = house();
    let mut wrong = Vec::new();
    let all = [of_frames(), of_streams(), of_heads_and_bodies(), of_connections(), of_requests()].concat();
    for (name, bytes, wanted) in all {
        if let Err(why) = RawClient::open(house.address()).judge(&bytes, wanted) {
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{} times:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nothing_that_is_malformed_reaches_an_origin() {
    let house = house();
    for (_, bytes, wanted) in of_requests() {
        if wanted != Answer && bytes.get(4) == Some(&(END_STREAM | END_HEADERS)) {
            let _ = RawClient::open(house.address()).judge(&bytes, wanted);
        }
    }
    assert_eq!(house.blue.requests() + house.green.requests(), 0, "{:?}", house.blue.all());
}

#[test]
fn a_connection_begins_with_its_settings() {
    let house = house();
    let mut connection = RawClient::open(house.address());
    let (came, found) = connection.until(|came| came.kind == SETTINGS && came.flags == ACK);
    assert!(found && came[0].kind == SETTINGS && came[0].flags == 0, "{came:?}");
    connection.send(&setting(0xff, 1));
    assert!(connection.until(|came| came.kind == SETTINGS && came.flags == ACK).1, "every one is acknowledged");
}

#[test]
fn windows_are_kept_to() {
    let house = house();
    // A byte at a time, then more; and a window that has become negative (RFC 9113 6.9.2).
    let mut connection = RawClient::raw(house.address());
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    connection.send(&setting(4, 1));
    connection.send(&asks(get()));
    let (came, found) = connection.until(|came| came.kind == DATA);
    assert!(found && came.last().unwrap().payload == b"b", "{came:?}");
    connection.send(&setting(4, 0));
    connection.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]));
    connection.send(&frame(PING, 0, 0, b"12345678"));
    let (came, _) = connection.until(|came| came.kind == PING);
    assert!(came.iter().all(|came| came.kind != DATA), "the window is 0: {came:?}");
    connection.send(&setting(4, 3));
    let mut rest = Vec::new();
    while rest.len() < 3 {
        let (came, found) = connection.until(|came| came.kind == DATA);
        assert!(found, "{came:?}");
        rest.extend(came.into_iter().last().unwrap().payload);
    }
    assert_eq!(rest, b"lue");
}

#[test]
fn more_streams_than_are_allowed_are_refused() {
    let house = house();
    let mut connection = RawClient::open(house.address());
    let (came, _) = connection.until(|came| came.kind == SETTINGS && came.flags == 0);
    let allowed = came[0].payload.chunks(6).find(|setting| setting[..2] == [0, 3]);
    let allowed = u32::from_be_bytes(allowed.expect("MAX_CONCURRENT_STREAMS")[2..].try_into().unwrap());
    connection.send(&frame(SETTINGS, ACK, 0, b""));
    let block = with(&[("x-hangs", "1")]);
    for at in 0..=allowed {
        connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 2 * at + 1, &block));
    }
    let (came, found) = connection.until(|came| came.kind == RST_STREAM || came.kind == GOAWAY);
    let last = came.last().unwrap();
    assert!(found && last.stream == 2 * allowed + 1 && last.code() == Some(REFUSED_STREAM), "{last:?}");
}
