//! Checks of requests: what no honest client sends is refused before anything is decided.
//!
//! Two programs that read one request differently can be played against each other: a request hidden in what the first
//! took for a body, or a header that only the second sees. pingora parses leniently and forwards what it understood, so
//! a program in front of us may have understood something else. The only cure is to accept no request that can be read
//! in two ways, so this checks the raw bytes rather than what pingora made of them. Where RFC 9112 allows both
//! repairing and refusing, this refuses.
//!
//! pingora's own parser comes first and refuses some requests alone. What it accepts changes with its version; these
//! checks do not.

use http::Method;
use pingora_http::RequestHeader;

use crate::proxy::target;
use config::ClientLimits;
use memory::counters::RefusalReason;

/// More digits than this in a Content-Length do not fit in a signed 64-bit number, and some parser will get them wrong.
const LENGTH_DIGITS: usize = 18;
/// Names in all Connection lines; pingora would refuse more, but only after it has a connection to the origin.
const NOMINATIONS: usize = 9;
/// A client that has these removed by naming them in Connection changes how the origin reads the request.
const PROTECTED: [&str; 20] = [
    "host",
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "traceparent",
    "tracestate",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "expect",
    "cookie",
    "authorization",
    "origin",
    "range",
    "via",
    "cache-control",
    "x-http-method-override",
    "x-original-url",
    "idempotency-key",
];

/// Checks a raw HTTP/1 head, blank line included.
///
/// # Errors
/// The first thing wrong with it, from the top.
pub fn head(raw: &[u8], limits: &ClientLimits) -> Result<(), RefusalReason> {
    if raw.len() > limits.header_bytes {
        return Err(RefusalReason::LargeHead);
    }
    let mut rest = without_blank_lines(raw);
    let line = next_line(&mut rest)?.unwrap_or_default();
    if line.len() > limits.target_bytes {
        return Err(RefusalReason::LongLine);
    }
    whole_request_line(line)?;
    let mut seen = FieldChecks::default();
    while let Some(line) = next_line(&mut rest)? {
        if line.is_empty() {
            break;
        }
        let at = memchr::memchr(b':', line).ok_or(RefusalReason::Field)?;
        let (name, value) = line.split_at_checked(at).ok_or(RefusalReason::Field)?;
        seen.field(name, value.get(1..).unwrap_or_default(), limits)?;
    }
    Ok(())
}

/// Checks the request line in the first bytes of a connection, before anything has repaired it. Bytes without a line
/// end pass for now: the caller decides how long to wait for it, and up to how many bytes.
///
/// # Errors
/// What is wrong with it.
pub fn request_line(bytes: &[u8]) -> Result<(), RefusalReason> {
    match next_line(&mut without_blank_lines(bytes))? {
        Some(line) => whole_request_line(line),
        None => Ok(()),
    }
}

/// Checks the head of an HTTP/2 request, which has no lines and line ends.
///
/// # Errors
/// The first thing wrong with it.
pub fn parsed(request: &RequestHeader, limits: &ClientLimits) -> Result<(), RefusalReason> {
    let target = request.raw_path();
    if target.len() > limits.target_bytes {
        return Err(RefusalReason::LongLine);
    }
    if !is_target(request.method.as_str().as_bytes(), target) {
        return Err(RefusalReason::BadTarget);
    }
    // As HTTP/1 would write it: a colon, a space and a line end for each.
    let bytes = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if bytes + target.len() > limits.header_bytes {
        return Err(RefusalReason::LargeHead);
    }
    let mut seen = FieldChecks::default();
    for (name, value) in &request.headers {
        match name.as_str() {
            // RFC 9113 8.2.2: these belong to an HTTP/1 connection.
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                return Err(RefusalReason::Connection);
            }
            "te" if !value.as_bytes().eq_ignore_ascii_case(b"trailers") => return Err(RefusalReason::Connection),
            name => seen.field(name.as_bytes(), value.as_bytes(), limits)?,
        }
    }
    Ok(())
}

/// TRACE is refused, as by nginx: its answer is the request as it arrived, with the cookies that a script must not read
/// and whatever the proxies on the way have added. In lower case it is no method, but to some origins the same one.
///
/// # Errors
/// [`RefusalReason::Method`].
pub fn method(method: &Method) -> Result<(), RefusalReason> {
    if method.as_str().eq_ignore_ascii_case("TRACE") { Err(RefusalReason::Method) } else { Ok(()) }
}

/// RFC 9112 2.2 makes a server skip an empty line before a request, because old clients send one after a body.
fn without_blank_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes
}

/// The next line without its end; `None` if it has none yet. A CR inside it is found by whoever reads the line.
fn next_line<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RefusalReason> {
    let Some(at) = memchr::memchr(b'\n', rest) else { return Ok(None) };
    let (line, after) = rest.split_at_checked(at).unwrap_or_default();
    *rest = after.get(1..).unwrap_or_default();
    line.strip_suffix(b"\r").map(Some).ok_or(RefusalReason::LineEnd)
}

fn whole_request_line(line: &[u8]) -> Result<(), RefusalReason> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(b"HTTP/1.1" | b"HTTP/1.0"), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(RefusalReason::RequestLine);
    };
    // PRI is the first word of an HTTP/2 connection (RFC 9113 3.4), and not a method.
    if !is_token(method) || method == b"PRI" {
        return Err(RefusalReason::RequestLine);
    }
    if is_target(method, target) { Ok(()) } else { Err(RefusalReason::BadTarget) }
}

/// A fragment is not part of any target; pingora would cut it off and forward the rest. RFC 3986 forbids a few more
/// bytes that browsers send all the same (`|`, brackets, braces): they are printable and do not affect framing.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    let is_form = match target {
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        // pingora answers it separately, with 405.
        _ if method == b"CONNECT" => true,
        _ => target::split(target).is_some(),
    };
    is_form && target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#')
}

/// The fields seen so far that may occur only once.
#[derive(Default)]
struct FieldChecks {
    fields: usize,
    nominations: usize,
    length: bool,
    encoding: bool,
    expectation: bool,
}

impl FieldChecks {
    fn field(&mut self, name: &[u8], value: &[u8], limits: &ClientLimits) -> Result<(), RefusalReason> {
        self.fields += 1;
        if self.fields > limits.header_fields {
            return Err(RefusalReason::ManyFields);
        }
        // A name with a space before it is a folded line, and one with a space after it is a trick; neither is a token.
        if !is_token(name) || value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(RefusalReason::Field);
        }
        // Programs that put headers into variables write `-` as `_`: X_Forwarded_For is X-Forwarded-For to them.
        if memchr::memchr(b'_', name).is_some() {
            return Err(RefusalReason::Underscore);
        }
        let value = value.trim_ascii();
        match name.len() {
            6 if name.eq_ignore_ascii_case(b"expect") => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                if !known || std::mem::replace(&mut self.expectation, true) {
                    return Err(RefusalReason::Expectation);
                }
            }
            10 if name.eq_ignore_ascii_case(b"connection") => return self.connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let plain = !value.is_empty() && value.iter().all(u8::is_ascii_digit) && value.len() <= LENGTH_DIGITS;
                if !plain || std::mem::replace(&mut self.length, true) {
                    return Err(RefusalReason::Length);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let chunked = value.eq_ignore_ascii_case(b"chunked");
                if !chunked || std::mem::replace(&mut self.encoding, true) {
                    return Err(RefusalReason::Encoding);
                }
            }
            _ => {}
        }
        if self.length && self.encoding { Err(RefusalReason::LengthAndEncoding) } else { Ok(()) }
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), RefusalReason> {
        let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
        for name in names {
            self.nominations += 1;
            let forwarded = name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"));
            let protected = forwarded || PROTECTED.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
            if protected || !is_token(name) || self.nominations > NOMINATIONS {
                return Err(RefusalReason::Connection);
            }
        }
        Ok(())
    }
}

/// RFC 9110 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let is = matches!(byte as u8, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#' | b'$' | b'%' | b'&'
                | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
            #[expect(clippy::indexing_slicing, reason = "at compile time, where a wrong index is an error")]
            {
                table[byte] = is;
            }
            byte += 1;
        }
        table
    };
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN.get(usize::from(*byte)).is_some_and(|is| *is))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(fields: &str) -> Result<(), RefusalReason> {
        head(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes(), &ClientLimits::default())
    }

    #[test]
    fn an_honest_head_passes() {
        for fields in [
            "",
            "Content-Length: 0\r\n",
            "content-length:\t12 \r\n",
            "Transfer-Encoding: Chunked\r\n",
            "Connection: keep-alive, Upgrade, TE, x-mine\r\nConnection: close\r\n",
            "Expect: 100-Continue\r\n",
            "X-Empty:\r\nX.Odd!#$%&'*+-^`|~9: \u{e4}\u{f6} ,;:\t\"<>\r\n",
            "Content-Length-Not: x\r\nTransfer---Encoding: chunked\r\n",
        ] {
            assert_eq!(judge(fields), Ok(()), "{fields:?}");
        }
        assert_eq!(head(b"\r\n\r\nGET / HTTP/1.0\r\n\r\n", &ClientLimits::default()), Ok(()));
    }

    #[test]
    fn fields_that_can_be_read_in_two_ways_are_refused() {
        use RefusalReason as R;
        for (fields, refused) in [
            ("X-A : b\r\n", R::Field),
            ("X-A\t: b\r\n", R::Field),
            (" X-A: b\r\n", R::Field),
            ("X-A: b\r\n folded\r\n", R::Field),
            ("X-A: b\r\n\tfolded: too\r\n", R::Field),
            (": b\r\n", R::Field),
            ("no colon\r\n", R::Field),
            ("X-A: b\rc\r\n", R::Field),
            ("X-A: b\0c\r\n", R::Field),
            ("X-A: \x7f\r\n", R::Field),
            ("X-\u{e4}: b\r\n", R::Field),
            ("X-A: b\r\r\n", R::Field),
            ("X-A: b\nX-B: c\r\n", R::LineEnd),
            ("\nX-B: c\r\n", R::LineEnd),
            ("X_A: b\r\n", R::Underscore),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", R::Length),
            ("Content-Length: 5, 5\r\n", R::Length),
            ("Content-Length: +5\r\n", R::Length),
            ("Content-Length: -5\r\n", R::Length),
            ("Content-Length: 0x5\r\n", R::Length),
            ("Content-Length: 5 5\r\n", R::Length),
            ("Content-Length:\r\n", R::Length),
            ("Content-Length: 9999999999999999999\r\n", R::Length),
            ("Transfer-Encoding: gzip, chunked\r\n", R::Encoding),
            ("Transfer-Encoding: chunked;a\r\n", R::Encoding),
            ("Transfer-Encoding: identity\r\n", R::Encoding),
            ("Transfer-Encoding:\r\n", R::Encoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", R::Encoding),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", R::LengthAndEncoding),
            ("Content-Length: 5\r\ntransfer-encoding: chunked\r\n", R::LengthAndEncoding),
            ("Connection: close, Host\r\n", R::Connection),
            ("Connection: X-Forwarded-Anything\r\n", R::Connection),
            ("Connection: Cookie\r\n", R::Connection),
            ("Connection: \"close\"\r\n", R::Connection),
            ("Connection: :authority\r\n", R::Connection),
            ("Connection: a,b,c,d,e\r\nConnection: f,g,h,i,j\r\n", R::Connection),
            ("Expect: 200-ok\r\n", R::Expectation),
            ("Expect: 100-continue\r\nExpect: 100-continue\r\n", R::Expectation),
        ] {
            assert_eq!(judge(fields), Err(refused), "{fields:?}");
        }
    }

    #[test]
    fn a_request_line_is_three_words_and_a_target_that_can_be_forwarded() {
        use RefusalReason as R;
        for (line, said) in [
            ("GET / HTTP/1.1", Ok(())),
            ("get /a?b=|[{}]^`\\%zz HTTP/1.0", Ok(())),
            ("OPTIONS * HTTP/1.1", Ok(())),
            ("GET http://shop.test/a HTTP/1.1", Ok(())),
            ("CONNECT shop.test:443 HTTP/1.1", Ok(())),
            ("GET * HTTP/1.1", Err(R::BadTarget)),
            ("GET ftp://shop.test/ HTTP/1.1", Err(R::BadTarget)),
            ("GET shop.test HTTP/1.1", Err(R::BadTarget)),
            ("GET /a#b HTTP/1.1", Err(R::BadTarget)),
            ("GET /\u{e4} HTTP/1.1", Err(R::BadTarget)),
            ("GET /a\tb HTTP/1.1", Err(R::BadTarget)),
            ("GET /a\rb HTTP/1.1", Err(R::BadTarget)),
            ("GET /\x01 HTTP/1.1", Err(R::BadTarget)),
            ("GET /a b HTTP/1.1", Err(R::RequestLine)),
            ("GET  / HTTP/1.1", Err(R::RequestLine)),
            (" GET / HTTP/1.1", Err(R::RequestLine)),
            ("GET / HTTP/1.1 ", Err(R::RequestLine)),
            ("GET\t/ HTTP/1.1", Err(R::RequestLine)),
            ("GET /", Err(R::RequestLine)),
            ("GET / HTTP/1.2", Err(R::RequestLine)),
            ("GET / http/1.1", Err(R::RequestLine)),
            ("G(T / HTTP/1.1", Err(R::RequestLine)),
            ("PRI * HTTP/2.0", Err(R::RequestLine)),
            ("PRI / HTTP/1.1", Err(R::RequestLine)),
            ("", Ok(())),
        ] {
            assert_eq!(request_line(format!("{line}\r\n").as_bytes()), said, "{line:?}");
            assert_eq!(request_line(format!("\r\n{line}").as_bytes()), Ok(()), "{line:?} has not come whole");
        }
        assert_eq!(request_line(b"GET / HTTP/1.1\n"), Err(R::LineEnd));
    }

    #[test]
    fn limits_are_met_to_the_byte() {
        let limits = ClientLimits { header_bytes: 60, header_fields: 2, target_bytes: 20, ..ClientLimits::default() };
        let sized = |line: &str, fields: &str| head(format!("{line}\r\n{fields}\r\n").as_bytes(), &limits);
        assert_eq!(sized("GET /aaaaaa HTTP/1.1", "a: b\r\nc: d\r\n"), Ok(()));
        assert_eq!(sized("GET /aaaaaaa HTTP/1.1", ""), Err(RefusalReason::LongLine));
        assert_eq!(sized("GET / HTTP/1.1", "a: b\r\nc: d\r\ne: f\r\n"), Err(RefusalReason::ManyFields));
        let exactly = format!("a: {}\r\n", "b".repeat(60 - 16 - 5 - 2));
        assert_eq!(sized("GET / HTTP/1.1", &exactly), Ok(()));
        assert_eq!(sized("GET / HTTP/1.1", &exactly.replace("a:", "aa:")), Err(RefusalReason::LargeHead));
    }

    #[test]
    fn http_2_has_no_lines_but_the_same_fields() {
        let judge = |path: &str, fields: &[(&'static str, &str)], limits: &ClientLimits| {
            let mut request = RequestHeader::build("GET", path.as_bytes(), None).unwrap();
            for (name, value) in fields {
                request.append_header(*name, *value).unwrap();
            }
            parsed(&request, limits)
        };
        let defaults = &ClientLimits::default();
        assert_eq!(judge("/a", &[("te", "trailers"), ("content-length", "5"), ("cookie", "a=b")], defaults), Ok(()));
        for (fields, refused) in [
            (&[("connection", "close")][..], RefusalReason::Connection),
            (&[("transfer-encoding", "chunked")], RefusalReason::Connection),
            (&[("te", "gzip")], RefusalReason::Connection),
            (&[("x_a", "b")], RefusalReason::Underscore),
            (&[("content-length", "5"), ("content-length", "5")], RefusalReason::Length),
            (&[("expect", "more")], RefusalReason::Expectation),
        ] {
            assert_eq!(judge("/", fields, defaults), Err(refused), "{fields:?}");
        }
        let limits = ClientLimits { header_bytes: 20, header_fields: 1, target_bytes: 8, ..ClientLimits::default() };
        assert_eq!(judge("/aaaaaaaa", &[], &limits), Err(RefusalReason::LongLine));
        assert_eq!(judge("/", &[("a", "b"), ("c", "d")], &limits), Err(RefusalReason::ManyFields));
        assert_eq!(judge("/", &[("a", "bbbbbbbbbbbbbbb")], &limits), Err(RefusalReason::LargeHead));
        assert_eq!(judge("*", &[], defaults), Err(RefusalReason::BadTarget));
    }
}
