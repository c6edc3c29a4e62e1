//! Tests of requests on their way to an origin.

use http::{HeaderName, HeaderValue};
use http1::Framing;
use judgement::traffic::names::FieldName;
use judgement::traffic::rule::{RuleCondition, RuleTarget, ValueTest};
use memory::snapshot::{Endpoint, HeaderEdit};

use super::*;
use config::HopHeaders;

pub fn endpoint(authority: &str, base_path: &str) -> Endpoint {
    Endpoint { base_path: base_path.into(), ..Endpoint::plain("127.0.0.1:1".parse().unwrap(), authority) }
}

pub fn arrival(trusted: bool) -> Arrival<'static> {
    let peer = "10.0.0.1".parse().unwrap();
    Arrival { peer, client: peer, trusted, host: Some("shop.test"), tls: false }
}

/// A change that changes as little as any does.
pub fn change<'a>(endpoint: &'a Endpoint, ids: &'a CorrelationIds) -> RequestChange<'a> {
    let (arrival, hop) = (arrival(false), HopHeaders { trace_context: false, ..HopHeaders::default() });
    let framing = Framing::None;
    RequestChange {
        endpoint,
        arrival,
        strip: None,
        ids,
        hop,
        rewrite: None,
        grant: None,
        edits: &[],
        websocket: false,
        http2: false,
        framing,
    }
}

/// What is written, with `|` for line ends.
fn written(sample: &Sample, change: &RequestChange<'_>) -> String {
    let mut out = b"before".to_vec();
    write_request(&mut out, sample.view(), change);
    out.strip_prefix(b"before").unwrap().escape_ascii().to_string().replace("\\r\\n", "|")
}

const OURS: &str = "X-Forwarded-For: 10.0.0.1|X-Real-IP: 10.0.0.1|X-Forwarded-Host: shop.test|X-Forwarded-Proto: http|";

/// What is written of these lines, without what is written of every request.
fn gist(line: &str, fields: &[&str], change: impl FnOnce(&mut RequestChange<'_>)) -> String {
    gist_of(&request(line, fields), change)
}

fn gist_of(sample: &Sample, change: impl FnOnce(&mut RequestChange<'_>)) -> String {
    let (endpoint, ids) = (endpoint("origin.test", ""), CorrelationIds::default());
    let mut changed = self::change(&endpoint, &ids);
    change(&mut changed);
    let whole = written(sample, &changed);
    let (_, fields) = whole.split_once("|Host: origin.test|").expect(&whole);
    fields.replace(OURS, "").strip_suffix('|').expect(&whole).to_owned()
}

#[test]
fn a_request_goes_on_as_it_was_sent_with_our_lines_behind() {
    let (endpoint, ids) = (endpoint("origin.test:81", "/base"), CorrelationIds::default());
    let fields = ["User-Agent: a  b", "Connection: keep-alive, X-Hop", "X-HOP: 1", "SOAPAction: x", "Cookie: a=1"];
    assert_eq!(
        written(&request("GET /a?b=c", &fields), &change(&endpoint, &ids)),
        format!("GET /base/a?b=c HTTP/1.1|Host: origin.test:81|User-Agent: a  b|SOAPAction: x|Cookie: a=1|{OURS}|")
    );
    assert_eq!(
        written(&request("GET http://shop.test?b", &[]), &change(&endpoint, &ids)),
        format!("GET /base/?b HTTP/1.1|Host: origin.test:81|{OURS}|")
    );
    assert!(written(&request("OPTIONS *", &[]), &change(&endpoint, &ids)).starts_with("OPTIONS * HTTP/1.1|"));
}

#[test]
fn an_origin_is_asked_by_its_own_name_or_by_the_clients() {
    let ids = CorrelationIds::default();
    let host = |endpoint: &Endpoint, host: Option<&'static str>| {
        let arrival = Arrival { host, ..arrival(false) };
        let sent = written(&request("GET /", &[]), &RequestChange { arrival, ..change(endpoint, &ids) });
        sent.split('|').nth(1).unwrap().to_owned()
    };
    let own = endpoint("www.origin.test", "");
    let preserving = Endpoint { preserves_host: true, ..own.clone() };
    assert_eq!(host(&own, Some("Shop.test:8080")), "Host: www.origin.test");
    assert_eq!(host(&preserving, Some("Shop.test:8080")), "Host: Shop.test:8080");
    assert_eq!(host(&preserving, None), "Host: www.origin.test", "HTTP/1.0 need not name one");
}

#[test]
fn the_destination_of_a_move_is_the_origins() {
    let own = endpoint("origin.test:81", "/base");
    let preserving = Endpoint { preserves_host: true, base_path: "".into(), ..own.clone() };
    let ids = CorrelationIds::default();
    for (sent, by_own, preserved) in [
        ("http://shop.test/b?c", "http://origin.test:81/base/b?c", "http://shop.test/b?c"),
        ("HTTPS://Shop.Test:443/b", "http://origin.test:81/base/b", "http://shop.test/b"),
        ("/b", "/base/b", "/b"),
        ("http://shop.test:81/b", "http://shop.test:81/b", "http://shop.test:81/b"),
        ("http://evil.test/b", "http://evil.test/b", "http://evil.test/b"),
        ("http://u@shop.test/b", "http://u@shop.test/b", "http://u@shop.test/b"),
        ("b", "b", "b"),
    ] {
        for (endpoint, wanted) in [(&own, by_own), (&preserving, preserved)] {
            let text = written(&request("MOVE /a", &[&format!("destination: {sent}")]), &change(endpoint, &ids));
            assert!(text.contains(&format!("|Destination: {wanted}|")), "{sent}: {text}");
        }
    }
}

#[test]
fn what_belongs_to_the_clients_connection_ends_here() {
    let fields = [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic x",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABk",
        "Connection: Upgrade, HTTP2-Settings",
        "Transfer-Encoding: chunked",
        "Trailer: X-Sum",
        "TE: gzip",
        "Accept: */*",
    ];
    let chunked = |change: &mut RequestChange<'_>| change.framing = Framing::Chunked;
    assert_eq!(gist("PUT /", &fields, chunked), "Accept: */*|Transfer-Encoding: chunked|");
    assert_eq!(gist("GET /", &["TE: gzip, trailers", "Connection: te"], |_| {}), "");
    let http2 = |change: &mut RequestChange<'_>| change.http2 = true;
    assert_eq!(gist("GET /", &["TE: gzip, trailers", "Connection: te"], http2), "TE: trailers|");
}

#[test]
fn cookies_are_one_line() {
    assert_eq!(gist("GET /", &["Cookie: a=1", "X: y", "cookie: b=2"], |_| {}), "X: y|Cookie: a=1; b=2|");
}

#[test]
fn an_expectation_goes_with_a_body() {
    let kept = |version: &str, more: &str| {
        let sample = request_in(version, "PUT /", &["Expect: 100-continue", more]);
        let framing = sample.view().head().request_framing();
        gist_of(&sample, |change| change.framing = framing).starts_with("Expect: 100-continue|")
    };
    assert!(kept("HTTP/1.1", "Content-Length: 30"));
    assert!(kept("HTTP/1.1", "Transfer-Encoding: chunked"));
    assert!(!kept("HTTP/1.1", "X: y"));
    assert!(!kept("HTTP/1.1", "Content-Length: 00"));
    assert!(!kept("HTTP/1.0", "Content-Length: 30"));
}

#[test]
fn an_upgrade_is_to_what_was_allowed() {
    let fields = ["Upgrade: WebSocket", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Version: 13"];
    assert_eq!(gist("GET /", &fields, |_| {}), "Sec-WebSocket-Version: 13|");
    assert_eq!(
        gist("GET /", &fields, |change| change.websocket = true),
        "Sec-WebSocket-Version: 13|Connection: upgrade|Upgrade: websocket|"
    );
}

#[test]
fn a_request_goes_one_hop_less() {
    for (method, lines, sent) in [
        ("OPTIONS", &["Max-Forwards: 007"][..], "Max-Forwards: 6|"),
        ("OPTIONS", &["Max-Forwards: 99999999999999999999999"], "Max-Forwards: 18446744073709551614|"),
        ("OPTIONS", &[], ""),
        ("GET", &["Max-Forwards: 1"], "Max-Forwards: 1|"),
        ("GET", &["Max-Forwards: ten"], "Max-Forwards: ten|"),
    ] {
        assert_eq!(gist(&format!("{method} /"), lines, |_| {}), sent, "{method} {lines:?}");
    }
}

#[test]
fn a_request_says_how_long_its_body_is() {
    for method in ["POST", "PUT", "PATCH"] {
        assert_eq!(gist(&format!("{method} /"), &[], |_| {}), "Content-Length: 0|", "{method}");
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "post"] {
        assert_eq!(gist(&format!("{method} /"), &[], |_| {}), "", "{method}");
    }
    for (framing, sent) in [
        (Framing::Length(0), "Content-Length: 0|"),
        (Framing::Length(12), "Content-Length: 12|"),
        (Framing::Chunked, "Transfer-Encoding: chunked|"),
    ] {
        for fields in [&["Content-Length: 00"][..], &["Transfer-Encoding: chunked"], &[]] {
            assert_eq!(gist("POST /", fields, |change| change.framing = framing), sent, "{fields:?}");
        }
    }
}

#[test]
fn the_file_has_the_last_word_but_not_about_the_framing() {
    let (name, value) = (|text| HeaderName::from_static(text), |text| HeaderValue::from_static(text));
    let edits = [
        HeaderEdit::Remove(name("x-secret")),
        HeaderEdit::Set(name("x-forwarded-proto"), value("https")),
        HeaderEdit::Remove(name("content-length")),
        HeaderEdit::Add(name("x-tag"), value("b")),
    ];
    let (endpoint, ids) = (endpoint("origin.test", ""), CorrelationIds::default());
    let change = RequestChange { edits: &edits, framing: Framing::Length(5), ..change(&endpoint, &ids) };
    assert_eq!(
        written(&request("PUT /", &["X-Secret: 1", "x-secret: 2", "X-Tag: a", "Content-Length: 5"]), &change),
        "PUT / HTTP/1.1|Host: origin.test|X-Tag: a|X-Forwarded-For: 10.0.0.1|X-Real-IP: 10.0.0.1|\
         X-Forwarded-Host: shop.test|x-forwarded-proto: https|x-tag: b|Content-Length: 5||"
    );
}

#[test]
fn what_a_rule_strips_is_gone_before_anything_looks_at_it() {
    let names = ["x-tier", "x-forwarded-for", "cookie", "x-forwarded-proto"];
    let condition = |name| RuleCondition::Header { name: FieldName::parse(name).unwrap(), test: ValueTest::Present };
    let rule = RoutingRule {
        name: "beta".to_owned(),
        conditions: names.iter().map(|name| condition(name)).collect(),
        answer: RuleTarget::Candidate,
        overrides: false,
        strip: true,
        share: 0,
    };
    let fields = [
        "X-TIER: 1",
        "X-Tier-2: 2",
        "Cookie: a=1",
        "Cookie: b=2",
        "X-Forwarded-For: 10.0.0.9",
        "X-Forwarded-Proto: https",
    ];
    let (endpoint, ids) = (endpoint("origin.test", ""), CorrelationIds::default());
    let change = RequestChange { strip: Some(&rule), arrival: arrival(true), ..change(&endpoint, &ids) };
    let sent = written(&request("GET /", &fields), &change);
    assert_eq!(sent, format!("GET / HTTP/1.1|Host: origin.test|X-Tier-2: 2|{OURS}|"));
}

#[test]
fn identifiers_are_ours_or_a_trusted_proxys() {
    const PARENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let sample = request("GET /", &["X-Request-Id: 7b7c-1", PARENT, "tracestate: rojo=1"]);
    let endpoint = endpoint("origin.test", "");
    let sent = |trusted: bool, trace_context: bool| {
        let hop = HopHeaders { trace_context, ..HopHeaders::default() };
        let ids = CorrelationIds::of(sample.view(), trusted, hop, &IdGenerator::new());
        let text = written(&sample, &RequestChange { hop, ..change(&endpoint, &ids) });
        assert_eq!(text.contains("X-Request-Id: 7b7c-1|"), trusted, "{text}");
        assert_eq!(text.contains("rojo=1"), trusted || !trace_context, "{text}");
        assert_eq!(text.contains(PARENT), !trace_context, "with us as the parent: {text}");
        assert_eq!(text.contains(&PARENT[..49]), trusted || !trace_context, "{text}");
        assert_eq!((text.matches("X-Request-Id").count(), text.matches("traceparent").count()), (1, 1), "{text}");
    };
    for trusted in [true, false] {
        sent(trusted, true);
        sent(trusted, false);
    }
}
