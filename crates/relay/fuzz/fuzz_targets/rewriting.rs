//! Whatever passes the parser is written so that it passes the parser again, and a second reader: requests to an origin,
//! responses to a client. The first byte says which, the second one how.

#![no_main]

mod heads;
#[path = "../../../http1/tests/support/strict.rs"]
mod strict;

use cutover_http1::{Framing, Head, HeadLimits, KnownField, Parsed, RequestKind, parse_request, parse_response};
use judgement::traffic::{Environment, RouteId};
use libfuzzer_sys::fuzz_target;
use relay::head::{
    ConnectionField, CorrelationIds, Pin, ResponseChange, is_sane, to_http2_response, write_interim, write_response,
};

fuzz_target!(|input: &[u8]| {
    let [which, how, bytes @ ..] = input else { return };
    if which % 2 == 0 {
        let mut head = Head::default();
        if let Ok(Parsed::Complete { head_len }) = parse_request(bytes, &mut head, &HeadLimits::default()) {
            heads::forward(head.view(&bytes[..head_len]), *how);
        }
    } else {
        answer(bytes, *how);
    }
});

fn answer(bytes: &[u8], how: u8) {
    let bit = |at: u8| how >> at & 1 == 1;
    let mut head = Head::default();
    let Ok(Parsed::Complete { head_len }) = parse_response(bytes, &mut head, &HeadLimits::default()) else { return };
    let response = head.view(&bytes[..head_len]);
    let status = head.status();
    if !is_sane(response, 0, true) {
        return;
    }
    let mut out = Vec::new();
    let limits = HeadLimits { head_bytes: 1 << 20, fields: 1 << 10, target_bytes: 1 << 20 };
    let mut again = Head::default();
    if matches!(status, 100 | 102..=199) {
        write_interim(&mut out, response, None);
        let parsed = parse_response(&out, &mut again, &limits);
        assert_eq!(parsed, Ok(Parsed::Complete { head_len: out.len() }), "{}", out.escape_ascii());
        let read = strict::response(&out, &["trailer"], false).expect("an interim response");
        assert_eq!(read.length, out.len());
        return;
    }
    let kind = if bit(0) { RequestKind::Head } else { RequestKind::Other };
    // As the exchange decides: what ends with its connection goes on in chunks, unless the client knows none.
    let framing = match head.response_framing(kind) {
        Framing::UntilClose | Framing::Chunked => if bit(5) { Framing::UntilClose } else { Framing::Chunked },
        other => other,
    };
    let connection = match status {
        101 => ConnectionField::Upgrade,
        _ if bit(1) => ConnectionField::Close,
        _ => ConnectionField::KeepAlive,
    };
    let serving = heads::serving(bit(2));
    let pin = bit(3).then_some(Pin { cookie: "side", key: b"0123456789abcdef", https: bit(4) });
    let (route, side, ids) = (RouteId(serving.first_route), Environment::Green, &CorrelationIds::default());
    let (front, date) = (None, &b"Sun, 06 Nov 1994 08:49:37 GMT"[..]);
    let change = ResponseChange { serving, route, side, ids, front, pin, page: None, kind, framing, connection, date };
    write_response(&mut out, response, &change);
    let shown = || out.escape_ascii().to_string();
    let parsed = parse_response(&out, &mut again, &limits);
    assert_eq!(parsed, Ok(Parsed::Complete { head_len: out.len() }), "{}", shown());
    assert_eq!((again.status(), again.response_framing(kind)), (status, framing), "{}", shown());
    assert_eq!(again.view(&out).all(KnownField::Connection).count(), 1, "{}", shown());
    match strict::response(&out, &["connection", "trailer", "upgrade"], bit(0)) {
        Ok(read) => assert_eq!(read.length, out.len(), "{}", shown()),
        Err(why) => assert!(why.starts_with(strict::CUT) && framing.has_body(), "{why}: {}", shown()),
    }
    let second = to_http2_response(&out).expect("what is written can be said in HTTP/2");
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert!(!second.headers().contains_key(name), "{}", shown());
    }
}
