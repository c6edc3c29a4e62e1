//! What origins are told about how a request arrived: X-Forwarded-*, X-Real-IP and, if enabled, Forwarded (RFC 7239)
//! and Via (RFC 9110 7.6.3).

use http::header::{FORWARDED, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::proxy::headers::Arrival;
use crate::proxy::headers::client_scheme::{self, ClientScheme, FORWARDED_PROTO};
use crate::proxy::headers::stack_text::StackText;
use config::HopHeaders;

pub static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The longest address is 45 bytes: IPv6 with an embedded IPv4 address.
const ADDRESS: usize = 48;
/// A name of 255 bytes, and a port.
const LONGEST_HOST: usize = 264;
const ELEMENT: usize = 384;

/// Records how the request arrived: what a trusted proxy says is kept and extended, what anyone else says is replaced.
pub fn forward(headers: &mut HeaderMap, arrival: &Arrival<'_>, hop: HopHeaders) {
    let mut peer: StackText<ADDRESS> = StackText::new();
    peer.push_address(arrival.peer.to_canonical());
    let hops = match arrival.trusted {
        true => chain(headers, peer.as_bytes()),
        false => peer.as_value(),
    };
    // Like nginx's $remote_addr: a single address, the client as rules and stickiness see it.
    let client = if arrival.client == arrival.peer {
        peer.as_value()
    } else {
        let mut client: StackText<ADDRESS> = StackText::new();
        client.push_address(arrival.client.to_canonical());
        client.as_value()
    };
    say(headers, &FORWARDED_FOR, hops);
    say(headers, &REAL_IP, client);
    if !arrival.trusted || !headers.contains_key(&FORWARDED_HOST) {
        // A host that was read from a head is valid in one.
        say(headers, &FORWARDED_HOST, arrival.host.and_then(|host| HeaderValue::from_str(host).ok()));
    }
    // Origins compare it with `http` and `https`, so they get one of these whatever the proxy has written.
    let told = if arrival.trusted { ClientScheme::as_told(headers) } else { None };
    if told.is_some() || !arrival.trusted || !headers.contains_key(&FORWARDED_PROTO) {
        let scheme = told.unwrap_or(ClientScheme::of_connection(arrival.tls));
        headers.insert(&FORWARDED_PROTO, scheme.as_value());
    }
    if !arrival.trusted {
        headers.remove(FORWARDED);
        // X-Forwarded-Port, -Prefix, -Server and anything else that an origin may trust.
        while let Some(name) = headers.keys().find(|name| is_forged(name)).cloned() {
            headers.remove(name);
        }
    }
    if hop.forwarded
        && let Some(element) = element(arrival).as_value()
    {
        headers.append(FORWARDED, element);
    }
    if hop.via {
        headers.append(VIA, via(arrival.version));
    }
}

/// Whether a header describes the request's path and is not one that Cutover sets.
fn is_forged(name: &HeaderName) -> bool {
    let ours = [&FORWARDED_FOR, &FORWARDED_HOST, &FORWARDED_PROTO];
    client_scheme::is_vendors(name) || name.as_str().starts_with("x-forwarded-") && !ours.contains(&name)
}

fn say(headers: &mut HeaderMap, name: &'static HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

/// The hops that trusted proxies name, and the peer.
fn chain(headers: &HeaderMap, peer: &[u8]) -> Option<HeaderValue> {
    // This one is on the heap, because it may be as long as a head.
    let mut hops = Vec::with_capacity(128);
    for line in headers.get_all(&FORWARDED_FOR).iter().filter(|line| line.to_str().is_ok()) {
        hops.extend_from_slice(line.as_bytes());
        hops.extend_from_slice(b", ");
    }
    hops.extend_from_slice(peer);
    HeaderValue::from_maybe_shared(bytes::Bytes::from(hops)).ok()
}

/// Cutover's element of Forwarded. An IPv6 address is written in brackets, and anything that is not a token in quotes
/// (RFC 7239 4 and 6).
fn element(arrival: &Arrival<'_>) -> StackText<ELEMENT> {
    let mut text = StackText::new();
    let peer = arrival.peer.to_canonical();
    text.push(if peer.is_ipv6() { b"for=\"[" } else { b"for=" });
    text.push_address(peer);
    text.push(if peer.is_ipv6() { b"]\"" } else { b"" });
    text.push(if arrival.tls { b";proto=https" } else { b";proto=http" });
    let quotable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if let Some(host) = arrival.host.filter(|host| host.len() <= LONGEST_HOST && host.bytes().all(quotable)) {
        let is_token = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        let quote: &[u8] = if is_token && !host.is_empty() { b"" } else { b"\"" };
        for part in [&b";host="[..], quote, host.as_bytes(), quote] {
            text.push(part);
        }
    }
    text
}

/// The protocol that the request arrived by, and a pseudonym for Cutover, so that its address is not revealed.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 cutover",
        Version::HTTP_2 => "2 cutover",
        _ => "1.1 cutover",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival<'h>(peer: &str, host: Option<&'h str>, trusted: bool) -> Arrival<'h> {
        let peer = peer.parse().unwrap();
        Arrival { peer, client: peer, trusted, host, tls: false, version: Version::HTTP_11 }
    }

    #[test]
    fn an_element_of_forwarded_is_quoted_where_it_must_be() {
        for (peer, host, said) in [
            ("192.0.2.60", Some("example.com"), "for=192.0.2.60;proto=http;host=example.com"),
            ("192.0.2.60", Some("example.com:8080"), "for=192.0.2.60;proto=http;host=\"example.com:8080\""),
            ("2001:db8:cafe::17", None, "for=\"[2001:db8:cafe::17]\";proto=http"),
            ("::ffff:192.0.2.43", Some("[::1]"), "for=192.0.2.43;proto=http;host=\"[::1]\""),
            ("192.0.2.60", Some("a\"b"), "for=192.0.2.60;proto=http"),
            ("192.0.2.60", Some(""), "for=192.0.2.60;proto=http;host=\"\""),
        ] {
            assert_eq!(element(&arrival(peer, host, false)).as_str(), said);
        }
        let long = "a".repeat(LONGEST_HOST);
        let peer = "2001:db8:1111:2222:3333:4444:5555:6666";
        assert!(element(&arrival(peer, Some(&long), false)).as_str().ends_with("aaa"), "the longest has room");
    }

    fn told(trusted: bool, lines: &[(&HeaderName, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let arrival = Arrival {
            client: "198.51.100.7".parse().unwrap(),
            tls: true,
            ..arrival("10.0.0.1", Some("shop.test"), trusted)
        };
        forward(&mut headers, &arrival, HopHeaders { forwarded: true, via: true, ..HopHeaders::default() });
        let all = |name: &HeaderName| {
            let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap());
            lines.collect::<Vec<_>>().join(" + ")
        };
        [&FORWARDED_FOR, &REAL_IP, &FORWARDED_HOST, &FORWARDED_PROTO, &FORWARDED, &VIA].map(all).join(" | ")
    }

    #[test]
    fn a_trusted_proxys_word_is_kept_and_added_to_and_anybody_elses_is_replaced() {
        let sent = [
            (&FORWARDED_FOR, "203.0.113.9"),
            (&FORWARDED_FOR, "198.51.100.7"),
            (&REAL_IP, "6.6.6.6"),
            (&FORWARDED_HOST, "www.test"),
            (&FORWARDED_PROTO, "wss"),
            (&FORWARDED, "for=198.51.100.7"),
            (&VIA, "1.1 fred"),
        ];
        assert_eq!(
            told(true, &sent),
            "203.0.113.9, 198.51.100.7, 10.0.0.1 | 198.51.100.7 | www.test | https | \
             for=198.51.100.7 + for=10.0.0.1;proto=https;host=shop.test | 1.1 fred + 1.1 cutover"
        );
        let ours = "10.0.0.1 | 198.51.100.7 | shop.test | https | for=10.0.0.1;proto=https;host=shop.test";
        assert_eq!(told(false, &sent), format!("{ours} | 1.1 fred + 1.1 cutover"));
        let (port, prefix) =
            (HeaderName::from_static("x-forwarded-port"), HeaderName::from_static("x-forwarded-prefix"));
        let mut headers = HeaderMap::from_iter([(port, "1".parse().unwrap()), (prefix, "/x".parse().unwrap())]);
        forward(&mut headers, &arrival("10.0.0.1", None, true), HopHeaders::default());
        assert_eq!(headers.len(), 5, "a trusted proxy's pass");
        forward(&mut headers, &arrival("10.0.0.1", None, false), HopHeaders::default());
        assert_eq!(headers.len(), 3, "For, Proto and X-Real-IP are left");
        assert_eq!(told(false, &[]), format!("{ours} | 1.1 cutover"));
        assert_eq!(told(true, &[]), told(false, &[]));
    }

    #[test]
    fn an_origin_reads_one_scheme_however_a_trusted_proxy_has_written_it() {
        let proto = |trusted: bool, lines: &[(&'static str, &str)]| {
            let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            let mut headers: HeaderMap = lines.collect();
            forward(&mut headers, &arrival("10.0.0.1", None, trusted), HopHeaders::default());
            let told: Vec<_> = headers.get_all(&FORWARDED_PROTO).iter().map(|line| line.to_str().unwrap()).collect();
            (told.join(" + "), headers.contains_key("cf-visitor"))
        };
        for (lines, told) in [
            (&[("x-forwarded-proto", "HTTPS, http")][..], "https"),
            (&[("x-forwarded-proto", "ws")], "http"),
            (&[("x-forwarded-proto", "ftp")], "ftp"),
            (&[("x-forwarded-ssl", "on")], "https"),
            (&[("forwarded", "for=192.0.2.1;proto=https")], "https"),
            (&[("x-forwarded-port", "443")], "http"),
        ] {
            assert_eq!(proto(true, lines).0, told, "{lines:?}");
            assert_eq!(proto(false, lines).0, "http", "{lines:?}");
        }
        let visitor = [("cf-visitor", "{\"scheme\":\"https\"}")];
        assert_eq!(proto(true, &visitor), ("https".to_owned(), true));
        assert_eq!(proto(false, &visitor), ("http".to_owned(), false));
    }
}
