//! Whatever passes the parser is written so that it passes the parser: one Host, one length, nothing of the connection.

use http::{HeaderName, HeaderValue};
use http1::{FieldSet, Framing, RequestKind};
use memory::snapshot::HeaderEdit;
use proptest::prelude::*;

use super::requests::{arrival, change, endpoint};
use super::responses::{self, serving};
use super::*;
use config::HopHeaders;

/// What no HTTP/2 head has.
const NEVER: FieldSet = FieldSet::of(&[
    KnownField::Connection,
    KnownField::KeepAlive,
    KnownField::ProxyConnection,
    KnownField::TransferEncoding,
    KnownField::Upgrade,
]);

/// Field lines of any name that matters here, with values that matter somewhere.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let known = (0..KnownField::ALL.len()).prop_map(|at| KnownField::ALL[at].text().to_owned());
    let name = prop_oneof![
        6 => known,
        1 => "x-forwarded-[a-z]{1,3}",
        2 => "[Xx]-[a-c]",
        // Those that frame something, or are edited below.
        3 => prop_oneof!["Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "TE", "Cookie", "Trailer"]
            .prop_map(|name| name.to_owned()),
    ];
    let value = prop_oneof![
        Just("chunked"),
        Just("5"),
        Just("x-a, keep-alive, upgrade"),
        Just("100-continue"),
        Just("trailers, gzip"),
        Just("websocket"),
        Just(""),
        Just("a=b; c=d"),
        Just("10.0.0.9, unknown"),
        Just("https"),
        Just("0;url='http://origin.test/base//x"),
        Just("http://origin.test/base\t/x; Path=/base; domain=origin.test"),
        Just("\u{e4}: \" , "),
    ];
    let line = (name, value).prop_map(|(name, value)| format!("{name}: {value}"));
    prop::collection::vec(line, 0..12)
}

fn edits() -> [HeaderEdit; 3] {
    let (name, value) = (HeaderName::from_static, HeaderValue::from_static);
    [
        HeaderEdit::Remove(name("x-a")),
        HeaderEdit::Set(name("cookie"), value("ours=1")),
        HeaderEdit::Add(name("via"), value("1.1 file")),
    ]
}

/// How often a field is there.
fn count(head: HeadView<'_>, field: KnownField) -> usize {
    head.all(field).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_request_that_was_accepted_is_acceptable(
        lines in lines(),
        method in prop_oneof![Just("GET"), Just("POST"), Just("OPTIONS")],
        trusted: bool, websocket: bool, edited: bool, tls: bool, http2: bool,
    ) {
        let text = format!("{method} /a?b HTTP/1.1\r\nHost: shop.test\r\n{}\r\n", lines.iter().map(|line| line.clone() + "\r\n").collect::<String>());
        let mut head = Head::default();
        prop_assume!(parse_request(text.as_bytes(), &mut head, &HeadLimits::default()).is_ok());
        let request = head.view(text.as_bytes());
        let (endpoint, generator, edits) = (endpoint("origin.test", "/base"), IdGenerator::new(), edits());
        let hop = HopHeaders { forwarded: true, via: true, trace_context: true };
        let ids = CorrelationIds::of(request, trusted, hop, &generator);
        let framing = head.request_framing();
        let edits = if edited { &edits[..] } else { &[] };
        let arrival = arrival(trusted);
        let change = RequestChange { arrival, hop, edits, websocket, http2, framing, ..change(&endpoint, &ids) };
        let mut out = Vec::new();
        write_request(&mut out, request, &change);
        let mut again = Head::default();
        let parsed = parse_request(&out, &mut again, &HeadLimits::default());
        prop_assert_eq!(parsed, Ok(Parsed::Complete { head_len: out.len() }), "{}", out.escape_ascii());
        let sent = again.view(&out);
        prop_assert_eq!((sent.method(), sent.path(), sent.query()), (method, "/base/a", Some("b")));
        prop_assert_eq!(sent.first(KnownField::Host), Some(&b"origin.test"[..]));
        let none = framing == Framing::None && method == "POST";
        prop_assert_eq!(again.request_framing(), if none { Framing::Length(0) } else { framing });
        prop_assert_eq!((again.upgrades(), again.expects_continue()), (websocket, head.expects_continue()));
        prop_assert_eq!(sent.accepts_trailers(), http2 && request.accepts_trailers());
        for field in [KnownField::XForwardedFor, KnownField::XRealIp, KnownField::XRequestId, KnownField::Traceparent] {
            prop_assert_eq!(count(sent, field), 1, "{:?}", field);
        }
        prop_assert!(count(sent, KnownField::Cookie) <= 1 && (!edited || sent.find("x-a").is_none()));
        if !trusted {
            prop_assert_eq!(sent.walk().filter(FieldLine::is_forwarding).count(), 3);
        }
        let second = to_http2_request(&out, tls).unwrap();
        prop_assert!(second.headers().keys().all(|name| !NEVER.has(KnownField::of(name.as_str().as_bytes()))));
        let mut text = Vec::new();
        prop_assert_eq!(from_http2_request(&mut text, &second.into_parts().0), Ok(()));
        prop_assert!(parse_request(&text, &mut again, &HeadLimits::default()).is_ok(), "{}", text.escape_ascii());
    }

    #[test]
    fn a_response_that_was_accepted_is_acceptable(
        lines in lines(),
        status in prop_oneof![Just(200_u16), Just(204), Just(304), Just(101), Just(500)],
        head_only: bool, exposed: bool, pinned: bool, fronted: bool,
    ) {
        let text = format!("HTTP/1.1 {status} \r\n{}\r\n", lines.iter().map(|line| line.clone() + "\r\n").collect::<String>());
        let mut head = Head::default();
        prop_assume!(parse_response(text.as_bytes(), &mut head, &HeadLimits::default()).is_ok());
        let response = head.view(text.as_bytes());
        let kind = if head_only { RequestKind::Head } else { RequestKind::Other };
        let (serving, ids) = (serving(if exposed { "expose = true" } else { "" }), CorrelationIds::default());
        let framing = head.response_framing(kind);
        let connection = if status == 101 { ConnectionField::Upgrade } else { ConnectionField::KeepAlive };
        let pin = pinned.then_some(Pin { cookie: "side", key: b"0123456789abcdef", https: true });
        let endpoint = endpoint("origin.test", "/base");
        let front = fronted.then_some(Front { endpoint: &endpoint, host: Some("shop.test"), https: false });
        let change = ResponseChange { front, pin, kind, framing, connection, ..responses::change(&serving, &ids) };
        let mut out = Vec::new();
        write_response(&mut out, response, &change);
        let mut again = Head::default();
        let parsed = parse_response(&out, &mut again, &HeadLimits::default());
        prop_assert_eq!(parsed, Ok(Parsed::Complete { head_len: out.len() }), "{}", out.escape_ascii());
        let sent = again.view(&out);
        prop_assert_eq!((again.status(), again.response_framing(kind)), (status, framing));
        prop_assert_eq!(count(sent, KnownField::Connection), 1);
        prop_assert!(count(sent, KnownField::ContentLength) <= 1 && count(sent, KnownField::TransferEncoding) <= 1);
        let pins = response.all(KnownField::SetCookie).count() + usize::from(pinned);
        prop_assert!(count(sent, KnownField::SetCookie) <= pins);
        let second = to_http2_response(&out).unwrap();
        prop_assert!(second.headers().keys().all(|name| !NEVER.has(KnownField::of(name.as_str().as_bytes()))));
        let mut text = Vec::new();
        from_http2_response(&mut text, &second.into_parts().0);
        prop_assert!(parse_response(&text, &mut again, &HeadLimits::default()).is_ok(), "{}", text.escape_ascii());
    }
}
