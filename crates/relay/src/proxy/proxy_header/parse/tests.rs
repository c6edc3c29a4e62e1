use std::net::SocketAddr;

use ppp::v2::{Builder, Command, Protocol, Type, Version};
use proptest::prelude::*;

use super::*;

const CLIENT: &str = "203.0.113.7";

/// Of a client at this address, or of one that has none.
fn said(client: Option<&str>, over_tls: bool, length: usize) -> Result<FirstBytes, ProxyHeaderError> {
    let at = |address: &str| ProxiedClient::At(address.parse().unwrap());
    let client = client.map_or(ProxiedClient::Unnamed, at);
    Ok(FirstBytes::Header(ProxyHeader { length, client, over_tls }))
}

fn own(length: usize) -> Result<FirstBytes, ProxyHeaderError> {
    Ok(FirstBytes::Header(ProxyHeader { length, client: ProxiedClient::Sender, over_tls: false }))
}

/// A header of version 2 by the builder of `ppp`.
fn built(command: Command, protocol: Protocol, from: &str, to: &str, fields: &[(u8, &[u8])]) -> Vec<u8> {
    let addresses: (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut builder = Builder::with_addresses(Version::Two | command, protocol, addresses);
    for (kind, value) in fields {
        builder = builder.write_tlv(*kind, value).unwrap();
    }
    builder.build().unwrap()
}

fn proxied(fields: &[(u8, &[u8])]) -> Vec<u8> {
    built(Command::Proxy, Protocol::Stream, "203.0.113.7:56324", "192.0.2.1:443", fields)
}

/// The same with a checksum that is right.
fn checked(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let with = [fields, &[(CHECKSUM, &[0; 4][..])]].concat();
    let mut header = proxied(&with);
    let sum = Crc::<u32>::new(&CRC_32_ISCSI).checksum(&header).to_be_bytes();
    let at = header.len() - 4;
    header[at..].copy_from_slice(&sum);
    header
}

#[test]
fn a_line_of_version_1_names_the_client_and_ends_where_it_ends() {
    for (line, source) in [
        ("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n", Some(CLIENT)),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255")),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", Some("2001:db8::7")),
        ("PROXY TCP6 ::ffff:203.0.113.7 ::1 0 0\r\n", Some(CLIENT)),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        (
            "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 and whatever else there is before the end\r\n",
            None,
        ),
    ] {
        for more in ["", "GET / HTTP/1.1\r\n", "\r\n", "\x16\x03\x01"] {
            assert_eq!(parse(format!("{line}{more}").as_bytes()), said(source, false, line.len()), "{line:?} {more:?}");
        }
        for cut in 0..line.len() {
            assert_eq!(parse(&line.as_bytes()[..cut]), Ok(FirstBytes::Partial), "{:?}", &line[..cut]);
        }
    }
}

#[test]
fn what_is_no_line_of_version_1_is_refused() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 1\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 \r\n",
        "PROXY TCP4  203.0.113.7 192.0.2.1 56324 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 +56324 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 056324 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n",
        "PROXY TCP4 203.0.113.07 192.0.2.1 1 443\r\n",
        "PROXY TCP4 203.0.113.7\r192.0.2.1 1 443\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 1 443\r\n",
        "PROXY TCP6 203.0.113.7 192.0.2.1 1 443\r\n",
        "PROXY tcp4 203.0.113.7 192.0.2.1 1 443\r\n",
        "PROXY UDP4 203.0.113.7 192.0.2.1 1 443\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN\n",
        "PROXY \u{fffd}\r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(ProxyHeaderError::Malformed), "{line:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(LONGEST_TEXT));
    assert_eq!(parse(endless.as_bytes()), Err(ProxyHeaderError::TooLong));
    assert_eq!(parse(&endless.as_bytes()[..LONGEST_TEXT]), Err(ProxyHeaderError::TooLong));
    assert_eq!(parse(&endless.as_bytes()[..LONGEST_TEXT - 1]), Ok(FirstBytes::Partial));
}

#[test]
fn other_protocols_are_something_else_as_soon_as_it_shows() {
    for bytes in
        [&b"GET / HTTP/1.1\r\n"[..], b"PUT", b"PRI * HTTP/2.0", b"PROXYED", b"\r\nGET", b"\r\n\r\nG", b"\x16\x03\x01"]
    {
        assert_eq!(parse(bytes), Ok(FirstBytes::Other), "{}", bytes.escape_ascii());
    }
    for bytes in [&b""[..], b"P", b"PR", b"PROXY", b"\r", b"\r\n", b"\r\n\r\n"] {
        assert_eq!(parse(bytes), Ok(FirstBytes::Partial), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_probe_is_the_senders_own_and_a_client_without_an_address_is_unnamed() {
    let local = built(Command::Local, Protocol::Stream, "203.0.113.7:1", "192.0.2.1:2", &[(TLS, &[1, 0, 0, 0, 0])]);
    assert_eq!(parse(&local), own(local.len()));
    // As HAProxy sends it, and with a family that is not known.
    for bytes in [&b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\xFF\0\x02ab"] {
        assert_eq!(parse(bytes), own(bytes.len()));
    }
    let unspecified = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\x03abc";
    assert_eq!(parse(unspecified), said(None, false, unspecified.len()));
    let unix = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xD8"[..], &[b'/'; 216]].concat();
    assert_eq!(parse(&unix), said(None, false, unix.len()));
    let datagram = built(Command::Proxy, Protocol::Datagram, "203.0.113.7:1", "192.0.2.1:2", &[]);
    assert_eq!(parse(&datagram), said(None, false, datagram.len()));
}

#[test]
fn what_is_no_header_of_version_2_is_refused_as_soon_as_it_shows() {
    for (rest, why) in [
        (&b"\x11"[..], ProxyHeaderError::Malformed),
        (b"\x22", ProxyHeaderError::Malformed),
        (b"\x21\x41\0\0", ProxyHeaderError::Malformed),
        (b"\x21\x13\0\x0C............", ProxyHeaderError::Malformed),
        // Too short for its addresses, and fields that go past the end.
        (b"\x21\x11\0\x0B...........", ProxyHeaderError::Malformed),
        (b"\x21\x11\0\x0E..............", ProxyHeaderError::Malformed),
        (b"\x21\x11\0\x0F............\x01\0\x01", ProxyHeaderError::Malformed),
        // About TLS and the checksum, too short.
        (b"\x21\x11\0\x10............\x20\0\x01\x01", ProxyHeaderError::Malformed),
        (b"\x21\x11\0\x10............\x03\0\x01\x01", ProxyHeaderError::Malformed),
        (b"\x21\x11\x04\x01", ProxyHeaderError::TooLong),
        (b"\x20\0\xFF\xFF", ProxyHeaderError::TooLong),
    ] {
        let bytes = [v2::PROTOCOL_PREFIX, rest].concat();
        assert_eq!(parse(&bytes), Err(why), "{}", bytes.escape_ascii());
    }
    let longest = proxied(&[(Type::NoOp as u8, &vec![0; LONGEST_REST - 12 - 3])]);
    assert_eq!((longest.len(), parse(&longest)), (LONGEST_HEADER, said(Some(CLIENT), false, LONGEST_HEADER)));
}

#[test]
fn a_balancer_that_ends_tls_says_so() {
    for (flags, over_tls) in [(0x01, true), (0x07, true), (0x00, false), (0x06, false)] {
        let version = [Type::SSLVersion as u8, 0, 7, b'T', b'L', b'S', b'v', b'1', b'.', b'3'];
        let value = [&[flags, 0, 0, 0, 0][..], &version].concat();
        let header = proxied(&[(Type::ALPN as u8, b"h2"), (TLS, &value), (Type::Authority as u8, b"shop.test")]);
        assert_eq!(parse(&header), said(Some(CLIENT), over_tls, header.len()), "{flags}");
    }
}

#[test]
fn a_checksum_must_match_wherever_it_stands() {
    let mut header = checked(&[(Type::Authority as u8, b"shop.test")]);
    assert_eq!(parse(&header), said(Some(CLIENT), false, header.len()));
    // The check value of the algorithm's catalogue.
    assert_eq!(CRC32C.checksum(b"123456789"), 0xE306_9283);
    for at in FIXED..header.len() - 7 {
        header[at] ^= 0x10;
        assert!(matches!(parse(&header), Err(ProxyHeaderError::Checksum | ProxyHeaderError::Malformed)), "{at}");
        header[at] ^= 0x10;
    }
}

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u16; 8]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

/// Two of one family.
fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    (address(), address()).prop_filter("one family", |(one, other)| one.is_ipv4() == other.is_ipv4())
}

proptest! {
    #[test]
    fn what_is_built_is_read_whatever_follows((from, to) in addresses(), fields in fields(), more in any::<Vec<u8>>()) {
        let mut builder = Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, (from, to));
        for (kind, value) in &fields {
            builder = builder.write_tlv(*kind, value).unwrap();
        }
        let binary = builder.build().unwrap();
        let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
        let text = format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()).into_bytes();
        for header in [binary, text] {
            let client = ProxiedClient::At(from.ip().to_canonical());
            let said = ProxyHeader { length: header.len(), client, over_tls: false };
            prop_assert_eq!(parse(&[&header[..], &more].concat()), Ok(FirstBytes::Header(said)));
            for cut in 0..header.len() {
                prop_assert_eq!(parse(&header[..cut]), Ok(FirstBytes::Partial));
            }
        }
    }

    #[test]
    fn garbage_is_never_more_than_it_is(start in start(), bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        let all = [&start[..], &bytes].concat();
        let first = parse(&all);
        if let Ok(FirstBytes::Header(header)) = first {
            prop_assert!(header.length <= all.len() && header.length <= LONGEST_HEADER);
            prop_assert_eq!(parse(&all[..header.length]), first, "what follows makes no difference");
        }
        // What has been said of a beginning is not taken back, and nothing is waited for beyond the limit.
        for cut in [1, 5, 12, 16, 17, 28, 107, 108] {
            let Some(beginning) = all.get(..cut) else { continue };
            match parse(beginning) {
                Ok(FirstBytes::Partial) => {}
                settled => prop_assert_eq!(settled, first),
            }
        }
        if all.len() >= LONGEST_HEADER {
            prop_assert_ne!(first, Ok(FirstBytes::Partial));
        }
    }
}

/// Fields without a meaning here.
fn fields() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let kind = any::<u8>().prop_filter("no meaning", |kind| ![CHECKSUM, TLS].contains(kind));
    prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 0..120)), 0..6)
}

/// Something that garbage makes sense behind.
fn start() -> impl Strategy<Value = Vec<u8>> {
    let binary = |rest: &'static [u8]| [v2::PROTOCOL_PREFIX, rest].concat();
    prop_oneof![
        Just(Vec::new()),
        Just(TEXT.to_vec()),
        Just(b"PROXY TCP4 1.2.3.4 ".to_vec()),
        Just(binary(b"")),
        Just(binary(b"\x21\x11\0\x20")),
        Just(binary(b"\x21\x21\x01\0")),
        Just(binary(b"\x21\x11\0\x20............\x20\0\x08")),
    ]
}
