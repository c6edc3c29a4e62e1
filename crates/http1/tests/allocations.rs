//! A kept connection allocates nothing: neither for a head and its look-ups, nor for a body, nor for what goes out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use cutover_http1::{
    ChunkEvent, ChunkReader, Head, HeadLimits, KnownField, Parsed, RequestKind, encode, parse_request, parse_response,
};

const REQUEST: &[u8] =
    b"POST /cart?item=1 HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: */*\r\nX-Mine: 1\r\nCookie: session=0123456789abcdef\r\nConnection: keep-alive, x-mine\r\n\
    Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nConnection: keep-alive\r\n\
    Content-Length: 2\r\n\r\nok";

struct Connection {
    request: Head,
    response: Head,
    chunks: ChunkReader,
    out: Vec<u8>,
}

/// A request to the origin, and its answer to the client.
fn exchange(connection: &mut Connection) {
    let Connection { request: head, response, chunks, out } = connection;
    let limits = HeadLimits::default();
    out.clear();
    assert_eq!(parse_request(&REQUEST[..50], head, &limits), Ok(Parsed::Partial));
    let Parsed::Complete { head_len } = parse_request(REQUEST, head, &limits).unwrap() else { panic!("whole") };
    let request = head.view(REQUEST);
    assert!(request.find("x-mine").is_some() && head.keep_alive());
    encode::forwarded_request_line(out, request, "/base");
    encode::field(out, "Host", b"origin.test");
    request.copy_lines(out, |line| !line.stays && line.id != KnownField::Host);
    encode::chunked(out);
    encode::end_of_fields(out);
    chunks.reset();
    let mut at = head_len;
    while let ChunkEvent::Data(range) = chunks.next(REQUEST, &mut at).unwrap() {
        encode::chunk_head(out, range.len() as u64);
        out.extend_from_slice(&REQUEST[range]);
        encode::chunk_end(out);
    }
    encode::last_chunk(out);
    chunks.trailers().unwrap().copy_lines(out, |line| !line.stays);
    encode::end_of_fields(out);
    let Parsed::Complete { head_len } = parse_response(RESPONSE, response, &limits).unwrap() else { panic!("whole") };
    assert!(response.response_framing(RequestKind::Other).has_body());
    encode::status_line(out, response.status(), response.view(RESPONSE).reason());
    response.view(RESPONSE).copy_lines(out, |line| !line.stays);
    encode::end_of_fields(out);
    out.extend_from_slice(&RESPONSE[head_len..]);
}

#[test]
fn a_kept_connection_allocates_nothing() {
    let mut connection = Connection {
        request: Head::default(),
        response: Head::default(),
        chunks: ChunkReader::default(),
        out: Vec::new(),
    };
    let first = allocation_counter::measure(|| exchange(&mut connection));
    assert!(first.count_total > 0, "the counter counts");
    let kept = allocation_counter::measure(|| (0..1_000).for_each(|_| exchange(&mut connection)));
    assert_eq!((kept.count_total, kept.bytes_total), (0, 0));
}
