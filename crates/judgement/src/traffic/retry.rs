//! Which requests may be sent a second time, as far as `decide` and a rescue can tell from the head.

use crate::traffic::head::{HttpVersion, RequestHead};

/// The most bytes of a request body that are kept for a second attempt.
pub const MAX_REPLAYED_BODY: usize = 64 * 1024;

/// The header by which a client says that a request may be repeated.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Safe methods (RFC 9110 9.2.1), or any request that its client has made harmless to repeat with an Idempotency-Key.
pub fn is_repeatable(method: &str, has_idempotency_key: bool) -> bool {
    is_safe(method) || has_idempotency_key
}

/// Whether a request could be served again if its first response is a failure: it may be repeated, and does not
/// announce a body longer than what is kept.
///
/// A chunked body may be of any length, so it does not qualify. Nor does HTTP/2 without a Content-Length, because only
/// its frames tell whether a body follows. But the body of a safe method means nothing (RFC 9110 9.3.1), and hardly any
/// browser sends a length with a GET: such requests are assumed to have no body, and one that has a short body is
/// rescued all the same.
pub fn could_be_rescued(head: &RequestHead<'_>) -> bool {
    let length = head.fields.first("content-length");
    let length_is_known = match head.version {
        HttpVersion::Http2 | HttpVersion::Http3 => length.is_some() || is_safe(head.method),
        // RFC 9112 6.3: neither length nor encoding means no body.
        HttpVersion::Http10 | HttpVersion::Http11 => true,
    };
    is_repeatable(head.method, head.fields.first(IDEMPOTENCY_KEY).is_some())
        && length_is_known
        && head.fields.first("transfer-encoding").is_none()
        && announced_length(length) <= MAX_REPLAYED_BODY as u64
}

/// The length of the body that a Content-Length announces, in bytes; `u64::MAX` if it cannot be read.
pub fn announced_length(content_length: Option<&[u8]>) -> u64 {
    let Some(value) = content_length else { return 0 };
    std::str::from_utf8(value).ok().and_then(|digits| digits.trim().parse().ok()).unwrap_or(u64::MAX)
}

/// Whether sending the request changes nothing: GET, HEAD and OPTIONS. TRACE is left out, because nobody sends it in
/// good faith.
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::head::FieldList;

    #[test]
    fn a_length_is_read_or_too_long_to_be() {
        assert_eq!(announced_length(None), 0);
        assert_eq!(announced_length(Some(b"10485760")), 10_485_760);
        for no_length in [&b"99999999999999999999999"[..], b"-1", b"", b"\xff"] {
            assert_eq!(announced_length(Some(no_length)), u64::MAX, "{no_length:?}");
        }
    }

    #[test]
    fn only_what_is_safe_or_keyed_and_short_could_be_rescued() {
        let (key, short) = (("idempotency-key", "k1"), ("content-length", "65536"));
        let (long, chunked) = (("content-length", "65537"), ("transfer-encoding", "chunked"));
        let (old, one, two) = (HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2);
        for (method, version, fields, could) in [
            ("GET", one, &[][..], true),
            ("GET", old, &[], true),
            ("HEAD", one, &[], true),
            ("OPTIONS", one, &[], true),
            ("GET", one, &[short], true),
            ("GET", one, &[long], false),
            ("GET", one, &[chunked], false),
            ("GET", two, &[], true),
            ("GET", two, &[long], false),
            ("POST", one, &[], false),
            ("POST", one, &[short], false),
            ("PUT", one, &[], false),
            ("DELETE", one, &[], false),
            ("TRACE", one, &[], false),
            ("POST", one, &[key], true),
            ("POST", one, &[key, short], true),
            ("POST", one, &[key, long], false),
            ("POST", one, &[key, chunked], false),
            ("POST", two, &[key, short], true),
            ("POST", two, &[key, long], false),
            ("POST", two, &[key], false),
            ("DELETE", two, &[key], false),
        ] {
            let listed: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let client = std::net::IpAddr::from([192, 0, 2, 1]);
            let (authority, host_lines, path, query) = (None, [None, None], "/", None);
            let head = RequestHead {
                method,
                version,
                authority,
                host_lines,
                path,
                query,
                fields: &FieldList(&listed),
                client,
            };
            assert_eq!(could_be_rescued(&head), could, "{method} {version:?} {fields:?}");
        }
    }
}
