//! What a line of the access log costs the worker that formats it: `cargo bench --bench access`.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use divan::Bencher;
use relay::access::AccessLine;
use relay::access::format::{LONGEST, combined, json};

fn main() {
    divan::main();
}

/// A request as browsers send it, with every field there.
fn line() -> AccessLine<'static> {
    AccessLine {
        time_micros: 1_795_348_799_123_456,
        client: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 42)),
        peer: IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
        method: b"GET",
        host: Some(b"shop.example.com"),
        path: b"/api/function-19/items/42?page=2&sort=price",
        protocol: "HTTP/1.1",
        status: Some(200),
        bytes_in: 0,
        bytes_out: 4051,
        took_micros: 12_345,
        referer: Some(b"https://shop.example.com/search?q=shoes"),
        user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"),
        service: Some("shop"),
        route: Some("attempts"),
        environment: Some("green"),
        rule: Some("testers"),
        generation: Some(1234),
        rescued: false,
        turned_away: false,
        skewed: false,
        attempts: 1,
        upstream_address: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 443)),
        upstream_micros: Some(11_987),
        upstream_status: Some(200),
        failure: None,
        failure_reason: None,
        refused: None,
        aborted: false,
        tls: None,
        request_id: Some(b"01JD8Z7Q9M3V5X6Y7Z8A9B0C1D"),
        trace_id: Some(b"4bf92f3577b34da6a3ce929d0e0e4736"),
        origin_request_id: None,
    }
}

#[divan::bench]
fn json_line(bencher: Bencher) {
    let line = line();
    let mut out = Vec::with_capacity(LONGEST);
    bencher.bench_local(|| {
        out.clear();
        json(&mut out, black_box(&line));
        out.len()
    });
}

/// With the copy that goes to the writer.
#[divan::bench]
fn json_line_and_its_copy(bencher: Bencher) {
    let line = line();
    let mut out = Vec::with_capacity(LONGEST);
    bencher.bench_local(|| {
        out.clear();
        json(&mut out, black_box(&line));
        Box::<[u8]>::from(out.as_slice())
    });
}

#[divan::bench]
fn combined_line(bencher: Bencher) {
    let line = line();
    let mut out = Vec::with_capacity(LONGEST);
    bencher.bench_local(|| {
        out.clear();
        combined(&mut out, black_box(&line));
        out.len()
    });
}

/// Every byte of the path needs an escape.
#[divan::bench]
fn json_line_of_an_attacker(bencher: Bencher) {
    let path = [0xff; 8192];
    let line = AccessLine { path: &path, ..line() };
    let mut out = Vec::with_capacity(LONGEST);
    bencher.bench_local(|| {
        out.clear();
        json(&mut out, black_box(&line));
        out.len()
    });
}
