//! What a request costs in the codec, beside httparse, which only splits it into lines: `cargo bench -p cutover-http1`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;

use cutover_http1::{
    ChunkEvent, ChunkReader, Head, HeadLimits, KnownField, RequestKind, encode, parse_request, parse_response,
};
use divan::Bencher;

/// As Firefox sends it.
const BROWSER: &[u8] = b"GET /api/function-19/items/42?page=2 HTTP/1.1\r\nHost: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://shop.example.com/items\r\nConnection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\nUpgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nPriority: u=0, i\r\n\r\n";

/// As load generators send it.
const SMALL: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.27.3\r\nDate: Sun, 29 Nov 2026 10:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 109\r\nConnection: keep-alive\r\nVary: Accept-Encoding\r\n\
    ETag: \"67498f00-6d\"\r\nCache-Control: max-age=60\r\n\r\n";

fn main() {
    divan::main();
}

const HEADS: [(&str, &[u8]); 2] = [("browser", BROWSER), ("small", SMALL)];

fn bytes_of(name: &str) -> &'static [u8] {
    HEADS.iter().find(|(known, _)| *known == name).expect("a head").1
}

#[divan::bench(args = ["browser", "small"], sample_size = 1000)]
fn httparse_alone(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = bytes_of(name);
    bencher.bench_local(|| {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut fields);
        black_box(request.parse(black_box(bytes))).expect("a head");
        black_box(request.headers.len())
    });
}

/// Without setting a hundred slots to nothing first, which safe code cannot leave out.
#[divan::bench(args = ["browser", "small"], sample_size = 1000)]
fn httparse_alone_16_fields(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = bytes_of(name);
    bencher.bench_local(|| {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut fields);
        black_box(request.parse(black_box(bytes))).expect("a head");
        black_box(request.headers.len())
    });
}

/// The way not taken: httparse for the lines, a look for what it is lenient about, the numbers of the names, the offsets.
#[divan::bench(args = ["browser", "small"], sample_size = 1000)]
fn httparse_and_checks(bencher: Bencher<'_, '_>, name: &str) {
    let (bytes, mut kept) = (bytes_of(name), Vec::new());
    bencher.bench_local(|| {
        kept.clear();
        let bytes = black_box(bytes);
        let is_strict = memchr::memchr_iter(b'\n', bytes).all(|at| at > 0 && bytes.get(at - 1) == Some(&b'\r'));
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut fields);
        black_box(request.parse(bytes)).expect("a head");
        let offset = |text: &[u8]| (text.as_ptr() as usize - bytes.as_ptr() as usize) as u32;
        for field in request.headers.iter() {
            let (name, value) = (field.name.as_bytes(), field.value);
            kept.push((KnownField::of(name), offset(name), name.len() as u32, offset(value), value.len() as u32));
        }
        black_box((is_strict, kept.len()))
    });
}

#[divan::bench(args = ["browser", "small"], sample_size = 1000)]
fn parse(bencher: Bencher<'_, '_>, name: &str) {
    let (bytes, mut head, limits) = (bytes_of(name), Head::default(), HeadLimits::default());
    bencher.bench_local(|| {
        black_box(parse_request(black_box(bytes), &mut head, &limits)).expect("a head");
        black_box(head.len())
    });
}

/// All that a proxy does with a head: read it, find where the message ends, write it anew for the origin.
#[divan::bench(args = ["browser", "small"], sample_size = 1000)]
fn parse_frame_and_encode(bencher: Bencher<'_, '_>, name: &str) {
    let (bytes, mut head, limits) = (bytes_of(name), Head::default(), HeadLimits::default());
    let mut out = Vec::with_capacity(4_096);
    bencher.bench_local(|| {
        out.clear();
        black_box(parse_request(black_box(bytes), &mut head, &limits)).expect("a head");
        black_box((head.request_framing(), head.keep_alive()));
        let request = head.view(bytes);
        encode::forwarded_request_line(&mut out, request, "");
        encode::field(&mut out, "Host", b"origin.test");
        request.copy_lines(&mut out, |line| !line.stays && line.id != KnownField::Host);
        encode::field(&mut out, "X-Forwarded-For", b"192.0.2.1");
        encode::end_of_fields(&mut out);
        black_box(out.len())
    });
}

#[divan::bench(sample_size = 1000)]
fn response_httparse_alone(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut fields);
        black_box(response.parse(black_box(RESPONSE))).expect("a head");
        black_box(response.headers.len())
    });
}

#[divan::bench(sample_size = 1000)]
fn response_parse_frame_and_encode(bencher: Bencher<'_, '_>) {
    let (mut head, limits, mut out) = (Head::default(), HeadLimits::default(), Vec::with_capacity(4_096));
    bencher.bench_local(|| {
        out.clear();
        black_box(parse_response(black_box(RESPONSE), &mut head, &limits)).expect("a head");
        black_box((head.response_framing(RequestKind::Other), head.keep_alive()));
        let response = head.view(RESPONSE);
        encode::status_line(&mut out, head.status(), response.reason());
        response.copy_lines(&mut out, |line| !line.stays);
        encode::end_of_fields(&mut out);
        black_box(out.len())
    });
}

/// 16 KiB in chunks of 1 KiB.
#[divan::bench(sample_size = 100)]
fn chunked_body(bencher: Bencher<'_, '_>) {
    let mut bytes = Vec::new();
    for _ in 0..16 {
        encode::chunk_head(&mut bytes, 1_024);
        bytes.extend_from_slice(&[b'a'; 1_024]);
        encode::chunk_end(&mut bytes);
    }
    encode::last_chunk(&mut bytes);
    encode::end_of_fields(&mut bytes);
    let mut chunks = ChunkReader::default();
    bencher.bench_local(|| {
        chunks.reset();
        let (mut at, mut data) = (0, 0);
        while let ChunkEvent::Data(range) = chunks.next(black_box(&bytes), &mut at).expect("a body") {
            data += range.len();
        }
        black_box(data)
    });
}
