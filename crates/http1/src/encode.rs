//! Writing messages, straight into the write buffer.
//!
//! Nothing is checked here: what is written was read by the parser, or comes from a checked configuration. A line end in a
//! name or a value would be another line.

use crate::view::HeadView;

/// `method SP target SP HTTP/1.1 CR LF`. We speak our own version, whatever the other side's (RFC 9112 2.3).
#[inline]
pub fn request_line(out: &mut Vec<u8>, method: &str, target: &str) {
    put(out, &[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
}

/// The request line of a request that was read, with its target in origin-form (RFC 9112 3.2.1), behind `base`: the path
/// under which an origin has its root, or nothing.
#[inline]
pub fn forwarded_request_line(out: &mut Vec<u8>, request: HeadView<'_>, base: &str) {
    let path = request.path();
    let base = if path == "*" { "" } else { base };
    rewritten_request_line(out, request, &[base, path]);
}

/// The same with another path, which is these pieces together.
#[inline]
pub fn rewritten_request_line(out: &mut Vec<u8>, request: HeadView<'_>, path: &[&str]) {
    put(out, &[request.method().as_bytes(), b" "]);
    path.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
    if let Some(query) = request.query() {
        put(out, &[b"?", query.as_bytes()]);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 SP status SP reason CR LF`. `status`: 100 to 599; of a greater number, the last three digits.
#[inline]
pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    let digit = |place: u16| b'0' + (status / place % 10) as u8;
    put(out, &[b"HTTP/1.1 ", &[digit(100), digit(10), digit(1), b' '], reason, b"\r\n"]);
}

/// A field line.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    put(out, &[name.as_bytes(), b": ", value, b"\r\n"]);
}

/// A field line whose value is a number.
#[inline]
pub fn number_field(out: &mut Vec<u8>, name: &str, value: u64) {
    put(out, &[name.as_bytes(), b": "]);
    number(out, value, 10);
    out.extend_from_slice(b"\r\n");
}

/// Content-Length, in bytes.
#[inline]
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    number_field(out, "Content-Length", length);
}

/// `Transfer-Encoding: chunked`.
#[inline]
pub fn chunked(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
}

/// The blank line behind a head, or behind trailers.
#[inline]
pub fn end_of_fields(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// The size line of a chunk of `length` bytes, which must not be 0: that is [`last_chunk`].
#[inline]
pub fn chunk_head(out: &mut Vec<u8>, length: u64) {
    number(out, length, 16);
    out.extend_from_slice(b"\r\n");
}

/// What follows the data of a chunk.
#[inline]
pub fn chunk_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// The last chunk. Trailers may follow, as field lines, and [`end_of_fields`] must.
#[inline]
pub fn last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
}

#[inline]
fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.reserve(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Digits of `value`, in base 10 or 16.
#[inline]
fn number(out: &mut Vec<u8>, mut value: u64, base: u64) {
    // 20 digits are the most that base 10 needs.
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        let digit = (value % base) as u8;
        *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        value /= base;
        used += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Head;
    use crate::parse::{HeadLimits, parse_request};

    #[test]
    fn a_message_is_written_part_by_part() {
        let mut out = Vec::new();
        request_line(&mut out, "GET", "/a");
        status_line(&mut out, 204, b"No Content");
        field(&mut out, "X-A", b"b");
        for length in [0, 10, 1_234, u64::MAX] {
            content_length(&mut out, length);
        }
        chunked(&mut out);
        end_of_fields(&mut out);
        for length in [1, 255, 4_096, u64::MAX] {
            chunk_head(&mut out, length);
        }
        last_chunk(&mut out);
        assert_eq!(
            out.escape_ascii().to_string().replace("\\r\\n", "|"),
            "GET /a HTTP/1.1|HTTP/1.1 204 No Content|X-A: b|Content-Length: 0|Content-Length: 10|Content-Length: 1234|\
             Content-Length: 18446744073709551615|Transfer-Encoding: chunked||1|ff|1000|ffffffffffffffff|0|"
        );
    }

    #[test]
    fn a_forwarded_target_is_in_origin_form() {
        for (line, base, forwarded) in [
            ("GET /a?b", "", "GET /a?b"),
            ("GET /a?", "/base", "GET /base/a?"),
            ("GET http://a", "", "GET /"),
            ("GET http://a?b", "/base", "GET /base/?b"),
            ("OPTIONS *", "/base", "OPTIONS *"),
        ] {
            let text = format!("{line} HTTP/1.0\r\n\r\n");
            let mut head = Head::default();
            parse_request(text.as_bytes(), &mut head, &HeadLimits::default()).unwrap();
            let mut out = Vec::new();
            forwarded_request_line(&mut out, head.view(text.as_bytes()), base);
            assert_eq!(out, format!("{forwarded} HTTP/1.1\r\n").as_bytes());
        }
    }
}
