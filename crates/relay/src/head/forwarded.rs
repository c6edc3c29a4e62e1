//! What origins are told about how a request arrived: X-Forwarded-*, X-Real-IP and, if enabled, Forwarded (RFC 7239)
//! and Via (RFC 9110 7.6.3). What a trusted proxy says is kept and added to, what anyone else says is replaced.

use std::net::IpAddr;

use http1::{FieldLine, FieldSet, KnownField, encode};

use crate::head::client_scheme::ClientScheme;
use crate::head::stack_text::StackText;
use crate::head::{StrippedHead, visible};
use config::HopHeaders;
use judgement::traffic::head::HttpVersion;

/// The longest address is 45 bytes: IPv6 with an embedded IPv4 address.
const ADDRESS: usize = 48;
/// A name of 255 bytes, and a port.
const LONGEST_HOST: usize = 264;
const ELEMENT: usize = 384;

/// How the client reached Cutover.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Who has connected.
    pub peer: IpAddr,
    /// The result of [`client_of`](crate::head::client_of).
    pub client: IpAddr,
    /// The peer is a trusted proxy.
    pub trusted: bool,
    /// As the client sent it, port included.
    pub host: Option<&'a str>,
    /// The connection to Cutover is one of TLS, or was one at the proxy that names the peer.
    pub tls: bool,
}

/// Replaced whoever says it.
const ALWAYS: FieldSet = FieldSet::of(&[KnownField::XForwardedFor, KnownField::XRealIp]);
/// Nobody's but a trusted proxy's to say: vendors' own ways of it among them, and anything else that begins with
/// `X-Forwarded-`, because an origin may trust it.
const OF_PROXIES: FieldSet = FieldSet::of(&[
    KnownField::CfVisitor,
    KnownField::CloudfrontForwardedProto,
    KnownField::Forwarded,
    KnownField::FrontEndHttps,
    KnownField::XForwardedHost,
    KnownField::XForwardedPort,
    KnownField::XForwardedProto,
    KnownField::XForwardedScheme,
    KnownField::XForwardedServer,
    KnownField::XForwardedSsl,
]);

/// What the origin is told, and what of the client's lines goes no further for it.
#[derive(Debug)]
pub(super) struct HopRecord<'a> {
    head: &'a StrippedHead<'a>,
    arrival: &'a Arrival<'a>,
    /// Unless a trusted proxy has said it in words of its own.
    scheme: Option<ClientScheme>,
    names_host: bool,
}

impl<'a> HopRecord<'a> {
    pub(super) fn of(head: &'a StrippedHead<'a>, arrival: &'a Arrival<'a>) -> HopRecord<'a> {
        let ours = ClientScheme::of_connection(arrival.tls);
        if !arrival.trusted {
            return HopRecord { head, arrival, scheme: Some(ours), names_host: true };
        }
        // Origins compare it with `http` and `https`, so they get one of these whatever the proxy has written.
        let told = ClientScheme::as_told(head);
        let scheme = told.or_else(|| (!head.has(KnownField::XForwardedProto)).then_some(ours));
        HopRecord { head, arrival, scheme, names_host: !head.has(KnownField::XForwardedHost) }
    }

    /// The well-known fields in which what the client says goes no further.
    pub(super) fn replaces(&self) -> FieldSet {
        match (self.arrival.trusted, self.scheme) {
            (false, _) => ALWAYS.and(OF_PROXIES),
            (true, Some(_)) => ALWAYS.with(KnownField::XForwardedProto),
            (true, None) => ALWAYS,
        }
    }

    /// Whether a line whose name is not well known goes no further.
    #[inline]
    pub(super) fn replaces_other(&self, line: &FieldLine<'_>) -> bool {
        !self.arrival.trusted && line.is_forwarding()
    }

    /// Tells the origin.
    pub(super) fn write(&self, out: &mut Vec<u8>, hop: HopHeaders) {
        let Arrival { peer, client, trusted, host, .. } = *self.arrival;
        let mut address: StackText<ADDRESS> = StackText::new();
        address.push_address(peer.to_canonical());
        out.extend_from_slice(b"X-Forwarded-For: ");
        if trusted {
            let lines =
                self.head.all(KnownField::XForwardedFor).filter(|line| visible(line).is_some() && !line.is_empty());
            for line in lines {
                out.extend_from_slice(line);
                out.extend_from_slice(b", ");
            }
        }
        out.extend_from_slice(address.as_bytes());
        out.extend_from_slice(b"\r\n");
        // Like nginx's $remote_addr: a single address, the client as rules and stickiness see it.
        if client != peer {
            address = StackText::new();
            address.push_address(client.to_canonical());
        }
        encode::field(out, "X-Real-IP", address.as_bytes());
        if let Some(host) = host.filter(|_| self.names_host) {
            encode::field(out, "X-Forwarded-Host", host.as_bytes());
        }
        if let Some(scheme) = self.scheme {
            encode::field(out, "X-Forwarded-Proto", scheme.name().as_bytes());
        }
        if hop.forwarded {
            encode::field(out, "Forwarded", element(self.arrival).as_bytes());
        }
        if hop.via {
            encode::field(out, "Via", via(self.head.head.head().version()).as_bytes());
        }
    }
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
const fn via(version: HttpVersion) -> &'static str {
    match version {
        HttpVersion::Http10 => "1.0 cutover",
        HttpVersion::Http11 => "1.1 cutover",
        HttpVersion::Http2 => "2 cutover",
        HttpVersion::Http3 => "3 cutover",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::{Sample, request, request_in};
    use crate::head::written;

    fn arrival<'h>(peer: &str, host: Option<&'h str>, trusted: bool) -> Arrival<'h> {
        let peer = peer.parse().unwrap();
        Arrival { peer, client: peer, trusted, host, tls: false }
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
            assert_eq!(element(&arrival(peer, host, false)).as_bytes(), said.as_bytes());
        }
        let long = "a".repeat(LONGEST_HOST);
        let peer = "2001:db8:1111:2222:3333:4444:5555:6666";
        assert!(element(&arrival(peer, Some(&long), false)).as_bytes().ends_with(b"aaa"), "the longest has room");
    }

    /// The lines of the client's that go on, and ours behind them.
    fn forwarded(sample: &Sample, arrival: &Arrival<'_>, hop: HopHeaders) -> Vec<u8> {
        let head = StrippedHead::whole(sample.view());
        let record = HopRecord::of(&head, arrival);
        let mut out = Vec::new();
        sample.view().copy_lines(&mut out, |line| {
            line.id != KnownField::Host && !record.replaces().has(line.id) && !record.replaces_other(line)
        });
        record.write(&mut out, hop);
        out
    }

    fn all(fields: &[u8], name: &str) -> String {
        let lines = written::values(fields, name.as_bytes()).map(|value| std::str::from_utf8(value).unwrap());
        lines.collect::<Vec<_>>().join(" + ")
    }

    fn told(trusted: bool, lines: &[&str]) -> String {
        let arrival = Arrival {
            client: "198.51.100.7".parse().unwrap(),
            tls: true,
            ..arrival("10.0.0.1", Some("shop.test"), trusted)
        };
        let hop = HopHeaders { forwarded: true, via: true, ..HopHeaders::default() };
        let fields = forwarded(&request("GET /", lines), &arrival, hop);
        let names = ["x-forwarded-for", "x-real-ip", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via"];
        names.map(|name| all(&fields, name)).join(" | ")
    }

    #[test]
    fn a_trusted_proxys_word_is_kept_and_added_to_and_anybody_elses_is_replaced() {
        let sent = [
            "X-Forwarded-For: 203.0.113.9",
            "x-forwarded-for: 198.51.100.7",
            "X-Real-IP: 6.6.6.6",
            "X-Forwarded-Host: www.test",
            "X-Forwarded-Proto: wss",
            "Forwarded: for=198.51.100.7",
            "Via: 1.1 fred",
        ];
        assert_eq!(
            told(true, &sent),
            "203.0.113.9, 198.51.100.7, 10.0.0.1 | 198.51.100.7 | www.test | https | \
             for=198.51.100.7 + for=10.0.0.1;proto=https;host=shop.test | 1.1 fred + 1.1 cutover"
        );
        let ours = "10.0.0.1 | 198.51.100.7 | shop.test | https | for=10.0.0.1;proto=https;host=shop.test";
        assert_eq!(told(false, &sent), format!("{ours} | 1.1 fred + 1.1 cutover"));
        let sample = request("GET /", &["X-Forwarded-Port: 1", "X-Forwarded-Prefix: /x"]);
        let count = |trusted| {
            let fields = forwarded(&sample, &arrival("10.0.0.1", None, trusted), HopHeaders::default());
            written::lines(&fields).count()
        };
        assert_eq!(count(true), 5, "a trusted proxy's pass");
        assert_eq!(count(false), 3, "For, Proto and X-Real-IP are left");
        assert_eq!(told(false, &[]), format!("{ours} | 1.1 cutover"));
        assert_eq!(told(true, &[]), told(false, &[]));
    }

    #[test]
    fn via_says_the_clients_version() {
        let via = |sample: &Sample| {
            let hop = HopHeaders { via: true, ..HopHeaders::default() };
            all(&forwarded(sample, &arrival("10.0.0.1", None, false), hop), "via")
        };
        assert_eq!(via(&request_in("HTTP/1.0", "GET /", &[])), "1.0 cutover");
        let mut second = request("GET /", &[]);
        second.head().set_version(HttpVersion::Http2);
        assert_eq!(via(&second), "2 cutover");
    }

    #[test]
    fn an_origin_reads_one_scheme_however_a_trusted_proxy_has_written_it() {
        let proto = |trusted: bool, line: &str| {
            let arrival = arrival("10.0.0.1", None, trusted);
            let fields = forwarded(&request("GET /", &[line]), &arrival, HopHeaders::default());
            (all(&fields, "x-forwarded-proto"), written::values(&fields, b"cf-visitor").count() == 1)
        };
        for (line, told) in [
            ("X-Forwarded-Proto: HTTPS, http", "https"),
            ("X-Forwarded-Proto: ws", "http"),
            ("X-Forwarded-Proto: ftp", "ftp"),
            ("X-Forwarded-Ssl: on", "https"),
            ("Forwarded: for=192.0.2.1;proto=https", "https"),
            ("X-Forwarded-Port: 443", "http"),
        ] {
            assert_eq!(proto(true, line).0, told, "{line:?}");
            assert_eq!(proto(false, line).0, "http", "{line:?}");
        }
        let visitor = "Cf-Visitor: {\"scheme\":\"https\"}";
        assert_eq!(proto(true, visitor), ("https".to_owned(), true));
        assert_eq!(proto(false, visitor), ("http".to_owned(), false));
    }
}
