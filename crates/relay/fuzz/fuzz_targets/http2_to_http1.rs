//! HTTP/2 requests of any kind become one request of HTTP/1, or none. In lines: how it came, the method, `:authority` (or
//! nothing), `:path`, and fields.

#![no_main]

mod heads;
#[path = "../../../http1/tests/support/strict.rs"]
mod strict;

use cutover_http1::{ChunkEvent, ChunkReader, Head, HeadLimits, KnownField, Parsed, parse_request};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use libfuzzer_sys::fuzz_target;
use relay::head::{from_http2_request, write_http2_trailers};

/// As the h2 crate makes it of a HEADERS frame. Names are in lower case.
fn request(lines: &[&[u8]]) -> Option<Request<()>> {
    let [method, authority, path, fields @ ..] = lines else { return None };
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(PathAndQuery::try_from(*path).ok()?);
    if !authority.is_empty() {
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(Authority::try_from(*authority).ok()?);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method).ok()?;
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    for field in fields {
        let at = field.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_lowercase(&field[..at]).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(&field[at + 1..]).ok()?);
    }
    Some(request)
}

fuzz_target!(|input: &[u8]| {
    let [how, input @ ..] = input else { return };
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let Some(request) = request(&lines) else { return };
    trailers(&request);
    let parts = request.into_parts().0;
    let mut text = Vec::new();
    if from_http2_request(&mut text, &parts).is_err() {
        return;
    }
    let shown = || text.escape_ascii().to_string();
    let mut head = Head::default();
    match parse_request(&text, &mut head, &HeadLimits::default()) {
        Err(_) => return,
        Ok(parsed) => assert_eq!(parsed, Parsed::Complete { head_len: text.len() }, "{}", shown()),
    }
    let read = head.view(&text);
    assert_eq!(read.method(), parts.method.as_str(), "{}", shown());
    // No line that is not a field of the request: its cookies are one line, its authority is another.
    let cookies = parts.headers.get_all("cookie").iter().count();
    let hosts = parts.headers.get_all("host").iter().count();
    let others = parts.headers.len() - cookies - hosts;
    assert_eq!(read.all(KnownField::Host).count(), 1, "{}", shown());
    assert_eq!(head.len(), others + 1 + usize::from(cookies > 0), "{}", shown());
    heads::forward(read, *how);
});

/// The same fields as trailers: each is a line, or left out.
fn trailers(request: &Request<()>) {
    let mut out = b"0\r\n".to_vec();
    write_http2_trailers(&mut out, request.headers(), None);
    out.extend_from_slice(b"\r\n");
    let limits = HeadLimits { head_bytes: 1 << 20, fields: 1 << 10, target_bytes: 1 << 20 };
    let (mut reader, mut at) = (ChunkReader::new(limits), 0);
    assert_eq!(reader.next(&out, &mut at), Ok(ChunkEvent::End), "{}", out.escape_ascii());
    assert_eq!(at, out.len(), "{}", out.escape_ascii());
}
