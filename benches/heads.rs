//! What a request's head costs on its way to the origin: `cargo bench --bench heads`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};

use config::HopHeaders;
use divan::Bencher;
use http::{HeaderName, HeaderValue};
use http1::{Framing, Head, HeadLimits, parse_request};
use memory::snapshot::{Endpoint, HeaderEdit};
use relay::head::{Arrival, CorrelationIds, IdGenerator, RequestChange, write_request};

fn main() {
    divan::main();
}

/// As browsers send it; `trusted`: as a proxy in front of us passes it on.
fn request(trusted: bool) -> (String, Head) {
    let mut text = "GET /api/function-19/items/42?page=2 HTTP/1.1\r\nHost: shop.example.com\r\n\
                    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0\r\n\
                    Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-US,en;q=0.5\r\n\
                    Accept-Encoding: gzip, deflate, br\r\nCookie: session=0123456789abcdef; theme=dark\r\n"
        .to_owned();
    if trusted {
        text.push_str(
            "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example.com\r\n\
             X-Request-Id: 7b7c1f0e-5d0c-4c5e-9d0a-3b6f2a1c4d5e\r\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
             tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE\r\n",
        );
    }
    text.push_str("\r\n");
    let mut head = Head::default();
    parse_request(text.as_bytes(), &mut head, &HeadLimits::default()).expect("a head");
    (text, head)
}

fn endpoint() -> Endpoint {
    let address: SocketAddr = "127.0.0.1:9001".parse().expect("an address");
    Endpoint::plain(address, "next--shop.netlify.app")
}

/// Request id and trace: fresh ones, or a trusted proxy's.
#[divan::bench(args = [false, true], sample_size = 1000)]
fn marks(bencher: Bencher, trusted: bool) {
    let ((text, head), ids) = (request(trusted), IdGenerator::new());
    let view = head.view(text.as_bytes());
    bencher.bench_local(|| CorrelationIds::of(black_box(view), trusted, HopHeaders::default(), &ids));
}

fn forward(bencher: Bencher, trusted: bool, hop: HopHeaders, edits: &[HeaderEdit]) {
    let ((text, head), endpoint, ids) = (request(trusted), endpoint(), IdGenerator::new());
    let view = head.view(text.as_bytes());
    let peer: IpAddr = "203.0.113.199".parse().expect("an address");
    let marks = CorrelationIds::of(view, trusted, hop, &ids);
    let arrival = Arrival { peer, client: peer, trusted, host: Some("shop.example.com"), tls: true };
    let (strip, websocket, framing) = (None, false, Framing::None);
    let change = RequestChange {
        endpoint: &endpoint,
        arrival,
        strip,
        ids: &marks,
        hop,
        rewrite: None,
        grant: None,
        edits,
        websocket,
        http2: false,
        framing,
    };
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        write_request(&mut out, black_box(view), &change);
        black_box(out.len())
    });
}

/// Everything that is on by default.
#[divan::bench(args = [false, true], sample_size = 1000)]
fn to_the_origin(bencher: Bencher, trusted: bool) {
    forward(bencher, trusted, HopHeaders::default(), &[]);
}

/// The same without trace context.
#[divan::bench(sample_size = 1000)]
fn to_the_origin_without_trace(bencher: Bencher) {
    forward(bencher, false, HopHeaders { trace_context: false, ..HopHeaders::default() }, &[]);
}

/// With Forwarded and Via, and three edits.
#[divan::bench(sample_size = 1000)]
fn to_the_origin_with_everything(bencher: Bencher) {
    let edits = [
        HeaderEdit::Remove(HeaderName::from_static("cookie")),
        HeaderEdit::Set(HeaderName::from_static("x-tier"), HeaderValue::from_static("front")),
        HeaderEdit::Add(HeaderName::from_static("x-tag"), HeaderValue::from_static("a")),
    ];
    forward(bencher, false, HopHeaders { forwarded: true, via: true, trace_context: true }, &edits);
}
