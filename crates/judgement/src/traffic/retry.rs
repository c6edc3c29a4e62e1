//! Which requests may be sent a second time: all that `decide` and a rescue know of it from the head.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

/// Bytes of a body that are kept for a second try. It is pingora's own limit.
pub const KEPT: u64 = 64 * 1024;

/// Safe methods (RFC 9110 9.2.1), or any request that its client has made harmless to repeat.
pub fn is_repeatable(method: &Method, headers: &HeaderMap) -> bool {
    is_safe(method) || headers.contains_key("idempotency-key")
}

/// Whether a request could be served again, should its first answer be a failure: it may be repeated, and announces no
/// body that is longer than what is kept.
///
/// A chunked body may be of any length, so it does not count. Nor does HTTP/2 without a Content-Length: only its frames
/// say whether a body comes. But a safe method has none that means anything (RFC 9110 9.3.1), and hardly a browser's GET
/// has a length: those are taken to have no body, and one that has is rescued all the same if it is short.
pub fn could_be_rescued(parts: &Parts) -> bool {
    let is_told = match parts.version {
        Version::HTTP_2 | Version::HTTP_3 => parts.headers.contains_key(CONTENT_LENGTH) || is_safe(&parts.method),
        // RFC 9112 6.3: neither length nor encoding is no body.
        _ => true,
    };
    is_repeatable(&parts.method, &parts.headers)
        && is_told
        && !parts.headers.contains_key(TRANSFER_ENCODING)
        && announced(&parts.headers) <= KEPT
}

/// The length of the body that the head announces, in bytes; `u64::MAX` for what is no length.
pub fn announced(headers: &HeaderMap) -> u64 {
    let length = headers.get(CONTENT_LENGTH).map(|length| length.to_str().map(|digits| digits.trim().parse()));
    length.map_or(0, |length| length.map_or(u64::MAX, |length| length.unwrap_or(u64::MAX)))
}

/// Asking so changes nothing: GET, HEAD and OPTIONS. TRACE is left out, since it comes from nobody who means well.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, version: Version, fields: &[(&str, &str)]) -> Parts {
        let request = http::Request::builder().method(method).version(version);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_length_is_read_or_too_long_to_be() {
        let announced = |value: Option<&[u8]>| {
            let mut headers = HeaderMap::new();
            value.map(|value| headers.insert(CONTENT_LENGTH, http::HeaderValue::from_bytes(value).unwrap()));
            super::announced(&headers)
        };
        assert_eq!(announced(None), 0);
        assert_eq!(announced(Some(b"10485760")), 10_485_760);
        for no_length in [&b"99999999999999999999999"[..], b"-1", b"", b"\xff"] {
            assert_eq!(announced(Some(no_length)), u64::MAX, "{no_length:?}");
        }
    }

    #[test]
    fn only_what_is_safe_or_keyed_and_short_could_be_rescued() {
        let (key, short) = (("idempotency-key", "k1"), ("content-length", "65536"));
        let (long, chunked) = (("content-length", "65537"), ("transfer-encoding", "chunked"));
        let (old, one, two) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
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
            assert_eq!(could_be_rescued(&parts(method, version, fields)), could, "{method} {version:?} {fields:?}");
        }
    }
}
