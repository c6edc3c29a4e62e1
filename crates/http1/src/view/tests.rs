//! Tests of looking things up, and of copying lines.

use std::net::Ipv4Addr;

use super::*;
use crate::parse::{HeadLimits, Parsed, parse_request};

const TEXT: &[u8] = b"GET http://Shop.test?b=c HTTP/1.1\r\nX-Mine: 1\r\nHOST: Shop.test\r\nCookie:  a=1 \r\nConnection: x-mine, Upgrade\r\n\
    Upgrade: websocket\r\ncookie: b=2\r\nX-Empty:\r\nSOAPAction: \"x\"\r\n\r\n";

fn parsed(bytes: &[u8]) -> Head {
    let mut head = Head::default();
    let parsed = parse_request(bytes, &mut head, &HeadLimits::default()).unwrap();
    assert_eq!(parsed, Parsed::Complete { head_len: bytes.len() });
    head
}

#[test]
fn parts_and_fields_are_found_where_they_stand() {
    let head = parsed(TEXT);
    let view = head.view(TEXT);
    assert_eq!((view.method(), view.target()), ("GET", "http://Shop.test?b=c"));
    assert_eq!((view.authority(), view.path(), view.query()), (Some("Shop.test"), "/", Some("b=c")));
    assert_eq!(view.first(KnownField::Host), Some(&b"Shop.test"[..]));
    assert_eq!(view.all(KnownField::Cookie).collect::<Vec<_>>(), [b"a=1", b"b=2"]);
    assert_eq!((view.find("soapaction"), view.find("x-empty")), (Some(&b"\"x\""[..]), Some(&b""[..])));
    assert_eq!(
        (view.find("cookie"), view.find("accept"), view.first(KnownField::Accept)),
        (Some(&b"a=1"[..]), None, None)
    );
    assert_eq!(view.walk().last().map(|line| line.name), Some(&b"SOAPAction"[..]));
}

#[test]
fn the_judgement_reads_it() {
    let head = parsed(TEXT);
    let view = head.view(TEXT);
    let request = view.request_head(Ipv4Addr::LOCALHOST.into());
    assert_eq!((request.authority, request.path, request.query), (Some("Shop.test"), "/", Some("b=c")));
    assert_eq!(request.host_lines, [Some(&b"Shop.test"[..]), None]);
    assert_eq!(request.fields.find("cookie", |value| value.starts_with(b"b")), Some(&b"b=2"[..]));
    assert_eq!(request.fields.first("x-mine"), Some(&b"1"[..]));
    assert!(request.fields.names().may_have(NameMask::of("soapaction")));
    assert_eq!(judgement::traffic::host::of_request(&request).unwrap().as_deref(), Some("shop.test"));
}

#[test]
fn untouched_lines_are_copied_in_runs() {
    let head = parsed(TEXT);
    let view = head.view(TEXT);
    assert_eq!(view.runs(|_| true).count(), 1);
    assert_eq!(view.runs(|_| false).count(), 0);
    let kept: Vec<_> = view.runs(|line| !line.stays).map(|run| TEXT[run].escape_ascii().to_string()).collect();
    assert_eq!(
        kept,
        ["HOST: Shop.test\\r\\nCookie:  a=1 \\r\\n", "cookie: b=2\\r\\nX-Empty:\\r\\nSOAPAction: \\\"x\\\"\\r\\n"]
    );
    let mut out = Vec::new();
    view.copy_lines(&mut out, |line| line.id == KnownField::Cookie);
    assert_eq!(out, b"Cookie:  a=1 \r\ncookie: b=2\r\n");
}
