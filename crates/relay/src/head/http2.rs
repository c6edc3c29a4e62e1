//! HTTP/2 heads, by way of HTTP/1: a head is written as text and read by the one parser, so that one set of rules holds.
//!
//! What comes by HTTP/2 has passed the h2 crate, which allows no control bytes in names and values and no white space in a
//! target. So a head that is written here has the lines that it seems to have; everything else about it is judged by the
//! parser.

use bytes::Bytes;
use http::header::COOKIE;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http1::{FieldSet, HeadView, KnownField, encode};

use crate::head::{failure_header, written};
use judgement::hex;
use memory::counters::RefusalReason;

/// RFC 9113 8.2.2: these belong to an HTTP/1 connection, and are malformed in HTTP/2.
const OF_CONNECTIONS: FieldSet = FieldSet::of(&[
    KnownField::Connection,
    KnownField::KeepAlive,
    KnownField::ProxyConnection,
    KnownField::TransferEncoding,
    KnownField::Upgrade,
]);

/// Writes a request as HTTP/1 text, for [`http1::parse_request`]; the head that it fills is to be told its real version.
/// Its `:authority` is the Host, and agrees with a Host that is there too (RFC 9113 8.3.1). Its cookies are one line (RFC
/// 9113 8.2.3).
///
/// # Errors
/// What only HTTP/2 forbids, or cannot be written as text. The parser finds the rest.
pub fn from_http2_request(out: &mut Vec<u8>, request: &http::request::Parts) -> Result<(), RefusalReason> {
    if request.method == Method::CONNECT {
        return Err(RefusalReason::Method);
    }
    let target = request.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if !target.starts_with('/') && target != "*" {
        return Err(RefusalReason::BadTarget);
    }
    encode::request_line(out, request.method.as_str(), target);
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    if let Some(authority) = authority {
        encode::field(out, "host", authority);
    }
    for (name, value) in &request.headers {
        let value = value.as_bytes();
        // RFC 9113 8.2.1: malformed.
        if has_space_around(value) {
            return Err(RefusalReason::Field);
        }
        match KnownField::of(name.as_str().as_bytes()) {
            field if OF_CONNECTIONS.has(field) => return Err(RefusalReason::Connection),
            KnownField::Te if !value.eq_ignore_ascii_case(b"trailers") => return Err(RefusalReason::Connection),
            KnownField::Host if authority.is_some_and(|authority| authority != value) => {
                return Err(RefusalReason::BadHost);
            }
            KnownField::Host if authority.is_some() => {}
            KnownField::Cookie => {}
            _ => encode::field(out, name.as_str(), value),
        }
    }
    let mut before: &[u8] = b"cookie: ";
    for cookie in request.headers.get_all(COOKIE) {
        out.extend_from_slice(before);
        out.extend_from_slice(cookie.as_bytes());
        before = b"; ";
    }
    if before == b"; " {
        out.extend_from_slice(b"\r\n");
    }
    encode::end_of_fields(out);
    Ok(())
}

/// Writes a response as HTTP/1 text, for [`http1::parse_response`]. What belongs to a connection is left out.
pub fn from_http2_response(out: &mut Vec<u8>, response: &http::response::Parts) {
    let reason = response.status.canonical_reason().unwrap_or_default();
    encode::status_line(out, response.status.as_u16(), reason.as_bytes());
    for (name, value) in &response.headers {
        let field = KnownField::of(name.as_str().as_bytes());
        if !OF_CONNECTIONS.has(field) && field != KnownField::Te {
            encode::field(out, name.as_str(), value.as_bytes());
        }
    }
    encode::end_of_fields(out);
}

/// Reads what [`write_request`](crate::head::write_request) has written. `tls`: the origin is spoken to by TLS. `None` if it
/// cannot be said in HTTP/2: a target with bytes that no URI has, or a request without a Host.
pub fn to_http2_request(written: &[u8], tls: bool) -> Option<Request<()>> {
    // One allocation for all values, and for the target.
    let text = Bytes::copy_from_slice(written);
    let (first, start) = first_line(&text)?;
    let mut words = first.split(|byte| *byte == b' ');
    let (method, target) = (words.next()?, words.next()?);
    let (headers, host) = fields(&text, start, Host::IsTheAuthority)?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::from_maybe_shared(host?).ok()?);
    let target = PathAndQuery::from_maybe_shared(text.slice_ref(target));
    parts.path_and_query = Some(target.or_else(|_| PathAndQuery::try_from(escaped(first))).ok()?);
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method).ok()?;
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Some(request)
}

/// Reads what [`write_response`](crate::head::write_response) or [`write_interim`](crate::head::write_interim) has written.
/// `None` if it is not that.
pub fn to_http2_response(written: &[u8]) -> Option<Response<()>> {
    let text = Bytes::copy_from_slice(written);
    let (first, start) = first_line(&text)?;
    let status = first.split(|byte| *byte == b' ').nth(1)?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_bytes(status).ok()?;
    *response.version_mut() = Version::HTTP_2;
    *response.headers_mut() = fields(&text, start, Host::IsAField)?.0;
    Some(response)
}

/// A target with the bytes escaped that browsers send in HTTP/1 and that no URI may have (RFC 3986 2): to an origin it is the
/// same (RFC 3986 6.2.2.2).
fn escaped(first_line: &[u8]) -> Vec<u8> {
    let target = first_line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let mut text = Vec::with_capacity(target.len() + 16);
    for byte in target {
        if matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') {
            text.push(b'%');
            text.extend_from_slice(&hex::digits::<2>(&[*byte]).map(|digit| digit.to_ascii_uppercase()));
        } else {
            text.push(*byte);
        }
    }
    text
}

/// What a Host line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    IsTheAuthority,
    IsAField,
}

/// The first line without its end, and where the next one begins.
fn first_line(text: &Bytes) -> Option<(&[u8], usize)> {
    let next = written::line_length(text);
    Some((text.get(..next)?.strip_suffix(b"\r\n")?, next))
}

/// The field lines of a head that was written here, from `at` on, and the first Host if it is no field. Names are in lower
/// case, values are slices of `text`, and what belongs to a connection is left out.
fn fields(text: &Bytes, mut at: usize, host: Host) -> Option<(HeaderMap, Option<Bytes>)> {
    let lines = memchr::memchr_iter(b'\n', text).count();
    let mut headers = HeaderMap::with_capacity(lines);
    let mut authority = None;
    loop {
        let rest = text.get(at..)?;
        let line = rest.get(..written::line_length(rest))?;
        if line == b"\r\n" {
            return Some((headers, authority));
        }
        let (name, value) = written::split(line)?;
        let (name, value) = (line.get(name)?, text.slice_ref(line.get(value)?));
        at += line.len();
        match KnownField::of(name) {
            field if OF_CONNECTIONS.has(field) => {}
            KnownField::Te if !value.eq_ignore_ascii_case(b"trailers") => {}
            KnownField::Host if host == Host::IsTheAuthority => authority = authority.or(Some(value)),
            _ => {
                let name = HeaderName::from_bytes(name).ok()?;
                headers.append(name, HeaderValue::from_maybe_shared(value).ok()?);
            }
        }
    }
}

/// The trailers of a chunked body as HTTP/2 has them, less those that may not be any (RFC 9110 6.5.1), and less the one that
/// no client sees, `withheld`.
pub fn trailers_to_http2(trailers: HeadView<'_>, withheld: Option<&HeaderName>) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(trailers.head().len());
    for line in trailers.walk().filter(|line| !line.stays && !failure_header::withholds(withheld, line)) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(line.name), HeaderValue::from_bytes(line.value)) {
            map.append(name, value);
        }
    }
    map
}

/// Appends the lines of a chunked body's trailers, less the same. The blank line behind them is the caller's.
pub fn write_trailers(out: &mut Vec<u8>, trailers: HeadView<'_>, withheld: Option<&HeaderName>) {
    trailers.copy_lines(out, |line| !line.stays && !failure_header::withholds(withheld, line));
}

/// The same for HTTP/2's trailers, by the rules of the parser: a name with `_`, or that is no token, is none that may
/// go on.
pub fn write_http2_trailers(out: &mut Vec<u8>, trailers: &HeaderMap, withheld: Option<&HeaderName>) {
    for (name, value) in trailers {
        if may_be_trailer(name.as_str()) && withheld != Some(name) {
            encode::field(out, name.as_str(), value.as_bytes());
        }
    }
}

/// HTTP/2's trailers less the same.
pub fn http2_trailers(trailers: &HeaderMap, withheld: Option<&HeaderName>) -> HeaderMap {
    let lines = trailers.iter().filter(|(name, _)| may_be_trailer(name.as_str()) && withheld != Some(*name));
    lines.map(|(name, value)| (name.clone(), value.clone())).collect()
}

const fn has_space_around(value: &[u8]) -> bool {
    matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

fn may_be_trailer(name: &str) -> bool {
    // A quote is in no token, and the http crate lets it into names of HTTP/2 all the same.
    let is_clean = !name.contains(['_', '"']);
    is_clean && KnownField::of(name.as_bytes()).may_be_trailer() && !name.starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests;
