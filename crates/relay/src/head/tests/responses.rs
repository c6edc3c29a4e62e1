//! Tests of responses on their way to a client.

use std::sync::Arc;

use http1::{Framing, RequestKind};
use judgement::traffic::{Environment, RouteId};
use memory::counters::Counters;
use memory::snapshot::ServedService;
use sidecar::{CurrentRouting, ResolvedRouting};

use super::*;
use config::HopHeaders;

/// A service of this file: what follows `[service.shop]`.
pub fn serving(more: &str) -> Arc<ServedService> {
    let text = format!(
        "[service.shop]\n{more}\n[service.shop.blue]\nurl = \"http://127.0.0.1:1\"\n[service.shop.green]\n\
         url = \"http://127.0.0.1:2\"\nversion = \"2.0.0\"\n"
    );
    let mut placed = CurrentRouting::default();
    let routing = config::routing_text("routing.toml", &text).unwrap();
    placed.replace(ResolvedRouting { routing, ..ResolvedRouting::default() }, &Counters::new(1));
    placed.services()[0].clone()
}

/// Now.
const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// A change that changes nothing.
pub fn change<'a>(serving: &'a ServedService, ids: &'a CorrelationIds) -> ResponseChange<'a> {
    let (route, side) = (RouteId(serving.first_route), Environment::Green);
    let (kind, framing, connection) = (RequestKind::Other, Framing::None, ConnectionField::Nothing);
    ResponseChange {
        serving,
        route,
        side,
        ids,
        front: None,
        pin: None,
        page: None,
        kind,
        framing,
        connection,
        date: DATE,
    }
}

/// What is written, with `|` for line ends, and without our Date.
fn written(sample: &Sample, change: &ResponseChange<'_>) -> String {
    let mut out = b"before".to_vec();
    write_response(&mut out, sample.view(), change);
    let text = out.strip_prefix(b"before").unwrap().escape_ascii().to_string().replace("\\r\\n", "|");
    text.replace("Date: Sun, 06 Nov 1994 08:49:37 GMT|", "")
}

/// The lines that are written of these, the first one left out.
fn fields(status: u16, fields: &[&str], more: &str, change: impl FnOnce(&mut ResponseChange<'_>)) -> String {
    let (serving, ids) = (serving(more), CorrelationIds::default());
    let mut changed = self::change(&serving, &ids);
    change(&mut changed);
    let whole = written(&response(status, fields), &changed);
    let fields = whole.strip_prefix(&format!("HTTP/1.1 {status} Said|")).expect(&whole);
    fields.strip_suffix('|').expect(&whole).to_owned()
}

/// What of an answer belongs to the origin's connection, and what does not.
const HOPS: [&str; 14] = [
    "Connection: keep-alive, X-Hop,, x-two",
    "connection: \tX-THREE , \"quoted\", not a token, Content-Length, transfer-encoding",
    "x-hop: 1",
    "X-Hop: 2",
    "x-two: 1",
    "X-Three: 1",
    "keep-alive: timeout=5",
    "Upgrade: h2,h2c",
    "proxy-connection: keep-alive",
    "te: x",
    "te: trailers",
    "content-length: 2",
    "x-hopper: stays",
    "Date: Sat, 28 Nov 2026 00:00:00 GMT",
];

#[test]
fn what_belongs_to_the_origins_connection_ends_here() {
    let left = "x-hopper: stays|Date: Sat, 28 Nov 2026 00:00:00 GMT|";
    for status in [200, 426, 500] {
        let sent = fields(status, &HOPS, "", |change| change.framing = Framing::Length(2));
        assert_eq!(sent, format!("{left}Content-Length: 2|"), "{status}");
    }
    assert_eq!(fields(304, &HOPS, "", |_| {}), format!("{left}Content-Length: 2|"));
    let mut out = Vec::new();
    write_interim(&mut out, response(103, &HOPS).view(), None);
    assert_eq!(out.escape_ascii().to_string().replace("\\r\\n", "|"), format!("HTTP/1.1 103 Said|{left}|"));
    let upgrade = [
        "Upgrade: WebSocket",
        "Connection: Upgrade, X-Hop",
        "x-hop: 1",
        "keep-alive: timeout=5",
        "Sec-WebSocket-Accept: eA==",
    ];
    assert_eq!(
        fields(101, &upgrade, "", |change| change.connection = ConnectionField::Upgrade),
        "Sec-WebSocket-Accept: eA==|Connection: upgrade|Upgrade: WebSocket|"
    );
}

#[test]
fn a_response_is_framed_in_one_way() {
    let of = |status, kind, framing, origins: &str| {
        fields(status, &[origins], "", |change| (change.kind, change.framing) = (kind, framing))
    };
    let (length, chunked) = ("Content-Length: 2", "Transfer-Encoding: chunked");
    for (status, kind, framing, origins, sent) in [
        (200, RequestKind::Other, Framing::Length(2), "Content-Length: 2, 2", "Content-Length: 2|"),
        (200, RequestKind::Other, Framing::Chunked, length, "Transfer-Encoding: chunked|"),
        (200, RequestKind::Other, Framing::UntilClose, chunked, ""),
        (200, RequestKind::Head, Framing::None, length, "Content-Length: 2|"),
        (200, RequestKind::Head, Framing::None, chunked, ""),
        (304, RequestKind::Other, Framing::None, length, "Content-Length: 2|"),
        (204, RequestKind::Other, Framing::None, length, ""),
        (204, RequestKind::Head, Framing::None, length, ""),
        (204, RequestKind::Other, Framing::Length(0), length, ""),
        (200, RequestKind::Other, Framing::None, length, ""),
    ] {
        assert_eq!(of(status, kind, framing, origins), sent, "{status} {framing:?} {origins}");
    }
    assert_eq!(
        fields(200, &["Trailer: X-Sum"], "", |change| change.framing = Framing::Chunked),
        "Trailer: X-Sum|Transfer-Encoding: chunked|"
    );
}

#[test]
fn a_client_is_told_of_its_connection() {
    let of = |connection| fields(200, &["Connection: close"], "", |change| change.connection = connection);
    assert_eq!(of(ConnectionField::Nothing), "");
    assert_eq!(of(ConnectionField::Close), "Connection: close|");
    assert_eq!(of(ConnectionField::KeepAlive), "Connection: keep-alive|");
}

#[test]
fn heads_are_edited_and_say_who_served_where_the_service_exposes_it() {
    let forged = ["X-Cutover-Environment: mars", "X-Cutover-Version: 9", "X-Request-Id: theirs", "X-A: 1"];
    assert_eq!(fields(200, &forged, "", |_| {}), forged.join("|") + "|", "fields like any others");
    let sample = request("GET /", &["X-Request-Id: ours"]);
    let ids = CorrelationIds::of(sample.view(), true, HopHeaders::default(), &IdGenerator::new());
    let told = "X-Cutover-Environment: green|X-Cutover-Version: 2.0.0|X-Request-Id: ours|";
    let exposed = |more: &str| {
        let serving = self::serving(more);
        written(&response(200, &forged), &change(&serving, &ids))
    };
    assert_eq!(exposed("expose = true"), format!("HTTP/1.1 200 Said|X-A: 1|{told}|"));
    let edits = "expose = true\nresponse_headers = { set = { x-a = \"2\", x-request-id = \"file\" } }";
    assert_eq!(exposed(edits), format!("HTTP/1.1 200 Said|x-a: 2|{told}|"));
    let blue = fields(200, &forged, "expose = true", |change| change.side = Environment::Blue);
    assert_eq!(blue, "X-A: 1|X-Cutover-Environment: blue|");
}

#[test]
fn a_client_is_pinned_by_what_is_its_own() {
    let key = b"0123456789abcdef";
    let pinned = |lines: &[&str], https| {
        let more = "response_headers = { set = { x-frame-options = \"DENY\" } }";
        fields(200, lines, more, |change| change.pin = Some(Pin { cookie: "side", key, https }))
    };
    let cookie = "Set-Cookie: side=0123456789abcdef; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax";
    let edited = "x-frame-options: DENY|";
    assert_eq!(pinned(&[], false), format!("{edited}{cookie}|Cache-Control: private|"));
    assert_eq!(
        pinned(&["Set-Cookie: a=b"], true),
        format!("Set-Cookie: a=b|{edited}{cookie}; Secure|Cache-Control: private|")
    );
    assert_eq!(pinned(&["Cache-Control: no-store"], false), format!("Cache-Control: no-store|{edited}{cookie}|"));
    assert_eq!(
        pinned(&["cache-control: public, no-cache"], false),
        format!("{edited}{cookie}|Cache-Control: private, no-cache|")
    );
    let shared = "Cache-Control: max-age=60";
    assert_eq!(pinned(&[shared], false), format!("{shared}|{edited}"), "its client draws again");
}

#[test]
fn the_origins_id_is_taken_from_the_field_that_the_preset_names() {
    let serving = serving("preset = \"netlify\"");
    let id_of = |line: &str| origin_request_id(response(200, &[line]).view(), &serving).map(<[u8]>::to_vec);
    assert_eq!(id_of("X-Nf-Request-Id: 01JABC"), Some(b"01JABC".to_vec()));
    assert_eq!(id_of("x-amzn-requestid: 01JABC"), None);
    assert!(id_of(&format!("x-nf-request-id: {}", "x".repeat(128))).is_some());
    assert_eq!(id_of(&format!("x-nf-request-id: {}", "x".repeat(129))), None, "too long for a line of a log");
}

#[test]
fn an_answer_without_a_date_gets_ours_and_any_other_keeps_its_own() {
    let (serving, ids) = (serving(""), CorrelationIds::default());
    let dated = |fields: &[&str]| {
        let mut out = Vec::new();
        write_response(&mut out, response(200, fields).view(), &change(&serving, &ids));
        String::from_utf8(out).unwrap().lines().find_map(|line| line.strip_prefix("Date: ").map(str::to_owned))
    };
    assert_eq!(dated(&[]).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(dated(&["Date: Sat, 28 Nov 2026 00:00:00 GMT"]).as_deref(), Some("Sat, 28 Nov 2026 00:00:00 GMT"));
}

#[test]
fn the_header_of_failures_and_what_announces_it_are_no_clients() {
    const HEADER: &str = "failure_header = \"X-Release-Failure\"";
    let lines = [
        "X-A: 1",
        "x-release-failure: declined",
        "X-RELEASE-FAILURE: 0",
        "Trailer: X-Sum, x-Release-failure,,",
        "Trailer: x-release-failure",
        "trailer: X-Other",
        "Date: Sat, 28 Nov 2026 00:00:00 GMT",
        "X-Release-Failures: 1",
    ];
    let left = "X-A: 1|trailer: X-Other|Date: Sat, 28 Nov 2026 00:00:00 GMT|X-Release-Failures: 1|";
    for status in [200, 503] {
        assert_eq!(fields(status, &lines, HEADER, |_| {}), format!("{left}Trailer: X-Sum|"), "{status}");
        assert!(fields(status, &lines, "", |_| {}).contains("x-release-failure: declined|X-RELEASE-FAILURE: 0|"));
    }
    let sample = response(103, &lines);
    let serving = serving(HEADER);
    let header = serving.failure_rules(RouteId(serving.first_route)).header.as_ref();
    assert!(header.is_some());
    let mut out = Vec::new();
    write_interim(&mut out, sample.view(), header);
    let sent = out.escape_ascii().to_string().replace("\\r\\n", "|");
    assert_eq!(sent, format!("HTTP/1.1 103 Said|{left}|"));
}
