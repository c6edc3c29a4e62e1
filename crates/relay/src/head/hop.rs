//! Headers that belong to one connection, the client's or the origin's, and how far a request may go. pingora removes
//! from requests the fields that Connection names and the well-known ones; this removes the rest, and all of an answer's.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, MAX_FORWARDS, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use memory::counters::RefusalReason;

/// What belongs to the origin's connection, besides the fields that its Connection names (RFC 9110 7.6.1).
static HOP_BY_HOP: [HeaderName; 5] =
    [CONNECTION, UPGRADE, TE, HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection")];

/// `request` is on its way to an origin; `client` is the head that it was made from. `websocket`: it asks for one and
/// may have it. `empty`: it has no body.
///
/// # Errors
/// None in practice: the values are numbers.
pub fn clean(request: &mut RequestHeader, client: &RequestHeader, websocket: bool, empty: bool) -> Result<()> {
    // RFC 9110 10.1.1: no expectation without a body, and none from HTTP/1.0. An origin that waits for the body it has
    // just allowed would take the next request for it.
    if !has_body(&client.headers) || client.version < Version::HTTP_11 {
        request.remove_header(&EXPECT);
    }
    // pingora only looks at Upgrade.
    if !websocket && request.headers.contains_key(UPGRADE) {
        request.remove_header(&UPGRADE);
        request.remove_header(&CONNECTION);
    }
    if let Ok(Some(left)) = forwards_left(client) {
        request.insert_header(MAX_FORWARDS, left.saturating_sub(1))?;
    }
    // RFC 9110 8.6: these methods usually have a body, and some origins answer 411 to one that does not say that it has
    // none, or wait for it.
    let usual = matches!(client.method, Method::POST | Method::PUT | Method::PATCH);
    if usual
        && empty
        && !request.headers.contains_key(CONTENT_LENGTH)
        && !client.headers.contains_key(TRANSFER_ENCODING)
    {
        request.insert_header(CONTENT_LENGTH, HeaderValue::from_static("0"))?;
    }
    Ok(())
}

/// Removes from an answer what belongs to the origin's connection. A 101 keeps its Upgrade, and a Connection that names
/// it.
///
/// # Errors
/// None in practice: the value is a word.
pub fn clean_answer(response: &mut ResponseHeader) -> Result<()> {
    for name in nominated(&response.headers) {
        response.remove_header(&name);
    }
    let switches = response.status == StatusCode::SWITCHING_PROTOCOLS;
    for name in HOP_BY_HOP.iter().filter(|name| !switches || **name != UPGRADE) {
        response.remove_header(name);
    }
    if switches {
        response.insert_header(CONNECTION, HeaderValue::from_static("upgrade"))?;
    }
    Ok(())
}

/// The fields that Connection names, less those that are removed anyway. A length or a coding of the body stays: no
/// origin means that its answer is to be read in another way than it was sent.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    // Nearly always empty, and then nothing is allocated.
    let names = options(headers).filter(|name| !is_option(name));
    let names = names.filter_map(|name| HeaderName::from_bytes(name).ok());
    names.filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING).collect()
}

fn is_option(name: &[u8]) -> bool {
    [&b"close"[..], b"keep-alive", b"upgrade"].iter().any(|option| name.eq_ignore_ascii_case(option))
}

/// The words of all Connection lines.
fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(CONNECTION).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// How often an OPTIONS request may be forwarded, if it says so: after the last time, Cutover answers itself (RFC 9110
/// 7.6.2). TRACE is refused whatever it says, and to other methods the field means nothing.
///
/// # Errors
/// [`RefusalReason::Field`] if that is no number, or several. Apache answers 400 too; to ignore it would send a request
/// that was to end here on a longer way.
pub fn forwards_left(client: &RequestHeader) -> Result<Option<u64>, RefusalReason> {
    if client.method != Method::OPTIONS {
        return Ok(None);
    }
    let mut lines = client.headers.get_all(MAX_FORWARDS).iter();
    let (Some(line), next) = (lines.next(), lines.next()) else { return Ok(None) };
    let digits = line.to_str().map_err(|_| RefusalReason::Field)?.trim();
    if next.is_some() || digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RefusalReason::Field);
    }
    // A larger number is as good as the largest.
    Ok(Some(digits.parse().unwrap_or(u64::MAX)))
}

/// Whether a request asks for a WebSocket: by a GET without a body, in two headers, and not in HTTP/1.0, which has no
/// upgrades (RFC 9110 7.8, RFC 6455 4.1).
pub fn asks_for_websocket(client: &RequestHeader) -> bool {
    is_websocket(&client.headers)
        && client.method == Method::GET
        && client.version == Version::HTTP_11
        && !has_body(&client.headers)
        && options(&client.headers).any(|name| name.eq_ignore_ascii_case(b"upgrade"))
}

/// Whether Upgrade names a WebSocket, and nothing else.
pub fn is_websocket(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(UPGRADE).iter();
    let named = lines.next().is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    named && lines.next().is_none()
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).map(|length| length.as_bytes());
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|digits| digits.iter().any(|digit| *digit != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of Expect and Upgrade.
    fn left(method: &str, version: Version, fields: &[(&'static str, &str)]) -> (bool, bool) {
        let mut client = RequestHeader::build(method, b"/", None).unwrap();
        client.set_version(version);
        for (name, value) in fields {
            client.append_header(*name, *value).unwrap();
        }
        let mut request = client.clone();
        clean(&mut request, &client, asks_for_websocket(&client), false).unwrap();
        assert_eq!(request.headers.contains_key(UPGRADE), request.headers.contains_key(CONNECTION));
        (request.headers.contains_key(EXPECT), request.headers.contains_key(UPGRADE))
    }

    #[test]
    fn an_expectation_goes_with_a_body() {
        let expect = ("expect", "100-continue");
        let kept = |version, fields: &[(&'static str, &str)]| left("PUT", version, fields).0;
        assert!(kept(Version::HTTP_11, &[expect, ("content-length", "30")]));
        assert!(kept(Version::HTTP_11, &[expect, ("transfer-encoding", "chunked")]));
        assert!(!kept(Version::HTTP_11, &[expect]));
        assert!(!kept(Version::HTTP_11, &[expect, ("content-length", "00")]));
        assert!(!kept(Version::HTTP_10, &[expect, ("content-length", "30")]));
    }

    #[test]
    fn an_upgrade_is_a_get_that_says_so_twice() {
        let (upgrade, named) = (("upgrade", "websocket"), ("connection", "keep-alive, Upgrade"));
        let kept = |method, fields: &[(&'static str, &str)]| left(method, Version::HTTP_11, fields).1;
        assert!(kept("GET", &[upgrade, named]));
        assert!(!kept("GET", &[("upgrade", "h2c"), named]));
        assert!(!kept("GET", &[upgrade, ("connection", "keep-alive")]));
        assert!(!kept("POST", &[upgrade, named]));
        assert!(!kept("GET", &[upgrade, named, ("content-length", "5")]));
        assert!(!kept("GET", &[upgrade, ("upgrade", "h2c"), named]));
        assert!(!kept("GET", &[("upgrade", "websocket, h2c"), named]));
        assert!(!left("GET", Version::HTTP_10, &[upgrade, named]).1, "it has no upgrades");
    }

    fn request(method: &str, fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build(method, b"/", None).unwrap();
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    #[test]
    fn a_request_goes_as_far_as_it_says() {
        let odd = Err(RefusalReason::Field);
        for (method, lines, left) in [
            ("OPTIONS", &[][..], Ok(None)),
            ("OPTIONS", &["0"], Ok(Some(0))),
            ("OPTIONS", &["000"], Ok(Some(0))),
            ("OPTIONS", &["007"], Ok(Some(7))),
            ("OPTIONS", &["99999999999999999999999"], Ok(Some(u64::MAX))),
            ("OPTIONS", &[""], odd),
            ("OPTIONS", &["-1"], odd),
            ("OPTIONS", &["+1"], odd),
            ("OPTIONS", &["1.5"], odd),
            ("OPTIONS", &["ten"], odd),
            ("OPTIONS", &["1, 1"], odd),
            ("OPTIONS", &["1", "1"], odd),
            ("GET", &["0"], Ok(None)),
            ("GET", &["ten"], Ok(None)),
        ] {
            let fields: Vec<_> = lines.iter().map(|line| ("max-forwards", *line)).collect();
            let client = request(method, &fields);
            assert_eq!(forwards_left(&client), left, "{method} {lines:?}");
            let mut sent = client.clone();
            clean(&mut sent, &client, false, true).unwrap();
            let sent = sent.headers.get(MAX_FORWARDS).map(|line| line.to_str().unwrap().to_owned());
            if let Ok(Some(left @ 1..)) = left {
                assert_eq!(sent, Some((left - 1).to_string()), "{method} {lines:?}");
            } else if method == "GET" {
                assert_eq!(sent.as_deref(), lines.first().copied(), "it is for somebody else");
            }
        }
    }

    #[test]
    fn a_request_that_usually_has_a_body_says_that_it_has_none() {
        let length = |method, fields: &[(&'static str, &str)], empty| {
            let client = request(method, fields);
            let mut sent = client.clone();
            clean(&mut sent, &client, false, empty).unwrap();
            sent.headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().to_owned())
        };
        for method in ["POST", "PUT", "PATCH"] {
            assert_eq!(length(method, &[], true).as_deref(), Some("0"), "{method}");
            assert_eq!(length(method, &[], false), None, "{method}: its length is not known");
        }
        for method in ["GET", "HEAD", "DELETE", "OPTIONS", "post"] {
            assert_eq!(length(method, &[], true), None, "{method}");
        }
        assert_eq!(length("POST", &[("content-length", "00")], true).as_deref(), Some("00"), "as it came");
        assert_eq!(length("POST", &[("transfer-encoding", "chunked")], true), None);
    }

    /// What is left of an answer, sorted.
    fn left_of_answer(status: u16, fields: &[(&'static str, &str)]) -> Vec<String> {
        let mut response = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            response.append_header(*name, *value).unwrap();
        }
        clean_answer(&mut response).unwrap();
        let mut wire = Vec::new();
        response.header_to_h1_wire(&mut wire);
        let mut left: Vec<_> = String::from_utf8(wire).unwrap().lines().map(str::to_ascii_lowercase).collect();
        left.sort();
        left
    }

    #[test]
    fn what_belongs_to_the_origins_connection_ends_here() {
        let all = [
            ("connection", "keep-alive, X-Hop,, x-two"),
            ("Connection", "\tX-THREE , \"quoted\", not a token, Content-Length, transfer-encoding"),
            ("x-hop", "1"),
            ("X-Hop", "2"),
            ("x-two", "1"),
            ("X-Three", "1"),
            ("keep-alive", "timeout=5"),
            ("Upgrade", "h2,h2c"),
            ("proxy-connection", "keep-alive"),
            ("te", "x"),
            ("te", "trailers"),
            ("content-length", "2"),
            ("x-hopper", "stays"),
            ("date", "Sat, 28 Nov 2026 00:00:00 GMT"),
        ];
        let left = ["content-length: 2", "date: sat, 28 nov 2026 00:00:00 gmt", "x-hopper: stays"];
        for status in [103, 200, 304, 426, 500] {
            assert_eq!(left_of_answer(status, &all), left, "{status}");
        }
        let upgrade = [
            ("upgrade", "websocket"),
            ("connection", "Upgrade, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("sec-websocket-accept", "eA=="),
        ];
        assert_eq!(
            left_of_answer(101, &upgrade),
            ["connection: upgrade", "sec-websocket-accept: ea==", "upgrade: websocket"]
        );
    }
}
