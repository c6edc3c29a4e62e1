//! What a request's head costs on its way to the origin: `cargo bench --bench heads`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};

use config::HopHeaders;
use divan::Bencher;
use http::{HeaderName, HeaderValue, Version};
use memory::snapshot::{Endpoint, HeaderEdit};
use pingora_http::RequestHeader;
use relay::proxy::headers::{Arrival, CorrelationIds, IdGenerator, to_origin};

fn main() {
    divan::main();
}

/// As browsers send it; `trusted`: as a proxy in front of us passes it on.
fn request(trusted: bool) -> RequestHeader {
    let mut request = RequestHeader::build("GET", b"/api/function-19/items/42?page=2", None).expect("a request");
    let mut lines = vec![
        ("Host", "shop.example.com"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"),
        ("Accept", "text/html,application/xhtml+xml"),
        ("Accept-Language", "en-US,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Cookie", "session=0123456789abcdef; theme=dark"),
    ];
    if trusted {
        lines.extend([
            ("X-Forwarded-For", "198.51.100.7"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "www.example.com"),
            ("X-Request-Id", "7b7c1f0e-5d0c-4c5e-9d0a-3b6f2a1c4d5e"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ]);
    }
    for (name, value) in lines {
        request.append_header(name, value).expect("a header");
    }
    request
}

fn endpoint() -> Endpoint {
    let address: SocketAddr = "127.0.0.1:9001".parse().expect("an address");
    Endpoint::plain(address, "next--shop.netlify.app")
}

/// Request id and trace: fresh ones, or a trusted proxy's.
#[divan::bench(args = [false, true], sample_size = 1000)]
fn marks(bencher: Bencher, trusted: bool) {
    let (request, ids) = (request(trusted), IdGenerator::new());
    bencher.bench_local(|| CorrelationIds::of(black_box(&request.headers), trusted, HopHeaders::default(), &ids));
}

fn forward(bencher: Bencher, trusted: bool, hop: HopHeaders, edits: &[HeaderEdit]) {
    let (head, endpoint, ids) = (request(trusted), endpoint(), IdGenerator::new());
    let peer: IpAddr = "203.0.113.199".parse().expect("an address");
    let marks = CorrelationIds::of(&head.headers, trusted, hop, &ids);
    let host = Some("shop.example.com");
    bencher.with_inputs(|| head.clone()).bench_local_values(|mut head| {
        let arrival = Arrival { peer, client: peer, trusted, host, tls: true, version: Version::HTTP_11 };
        to_origin(&mut head, &endpoint, arrival, None, &marks, hop, edits).expect("a head");
        head
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
