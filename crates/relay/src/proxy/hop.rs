//! Headers that belong to the client's connection and not to the origin's. pingora removes the fields that Connection
//! names and the well-known ones; this removes the rest.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Version};
use pingora_http::RequestHeader;

/// `request` is on its way to an origin; `client` is the head that it was made from. `websocket`: it asks for one and
/// may have it.
pub fn clean(request: &mut RequestHeader, client: &RequestHeader, websocket: bool) {
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
}

/// Whether a request asks for a WebSocket: by a GET without a body, in two headers (RFC 9110 7.8, RFC 6455 4.1).
pub fn asks_for_websocket(client: &RequestHeader) -> bool {
    let websocket = client.headers.get(UPGRADE).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    websocket && client.method == Method::GET && !has_body(&client.headers) && names_upgrade(client)
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).map(|length| length.as_bytes());
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|digits| digits.iter().any(|digit| *digit != b'0'))
}

fn names_upgrade(client: &RequestHeader) -> bool {
    let lines = client.headers.get_all(CONNECTION).iter();
    let mut names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
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
        clean(&mut request, &client, asks_for_websocket(&client));
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
    }
}
