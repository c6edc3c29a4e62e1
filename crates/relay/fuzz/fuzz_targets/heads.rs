//! What both targets share: a head that passed the parser is written to an origin, and read again.

use std::sync::{Arc, LazyLock};

use config::HopHeaders;
use cutover_http1::{Framing, Head, HeadLimits, HeadView, KnownField, Parsed, parse_request};
use memory::counters::Counters;
use memory::snapshot::{Endpoint, ServedService};
use relay::head::{Arrival, CorrelationIds, IdGenerator, RequestChange, host_as_sent, to_http2_request, write_request};
use sidecar::{CurrentRouting, ResolvedRouting};

use crate::strict;

static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(|| {
    let plain = Endpoint::plain("127.0.0.1:1".parse().unwrap(), "origin.test");
    Endpoint { base_path: "/base".into(), ..plain }
});

/// A service with edits of both heads that says who serves, or one with neither.
#[allow(dead_code)]
pub fn serving(edited: bool) -> &'static ServedService {
    static PLAIN: LazyLock<Arc<ServedService>> = LazyLock::new(|| service(""));
    static EDITED: LazyLock<Arc<ServedService>> = LazyLock::new(|| {
        service(
            "expose = true\nresponse_headers = { set = { cache-control = \"no-store\" }, add = { set-cookie = \"a=b\" }, \
             remove = [\"server\", \"x-a\"] }",
        )
    });
    if edited { &EDITED } else { &PLAIN }
}

fn service(more: &str) -> Arc<ServedService> {
    let sides = "[service.shop.blue]\nurl = \"http://127.0.0.1:1\"\n[service.shop.green]\nurl = \"http://127.0.0.1:2\"\n";
    let routing = config::routing_text("routing.toml", &format!("[service.shop]\n{more}\n{sides}")).unwrap();
    let mut placed = CurrentRouting::default();
    placed.replace(ResolvedRouting { routing, ..ResolvedRouting::default() }, &Counters::new(1));
    placed.services()[0].clone()
}

/// Writes a request whose head is `request`, and reads what was written. The bits of `how` say how it came.
pub fn forward(request: HeadView<'_>, how: u8) {
    let bit = |at: u8| how >> at & 1 == 1;
    let hop = HopHeaders { forwarded: bit(0), via: bit(1), trace_context: bit(2) };
    static IDS: LazyLock<Ids> = LazyLock::new(|| Ids(std::sync::Mutex::new(IdGenerator::new())));
    let ids = CorrelationIds::of(request, bit(3), hop, &IDS.0.lock().unwrap());
    let peer = "10.0.0.1".parse().unwrap();
    let arrival = Arrival { peer, client: peer, trusted: bit(3), host: host_as_sent(request), tls: bit(4) };
    let websocket = bit(5) && request.asks_for_websocket();
    let framing = request.head().request_framing();
    let (strip, rewrite, grant, edits, http2) = (None, None, None, &[][..], bit(6));
    let endpoint = &*ENDPOINT;
    let change =
        RequestChange { endpoint, arrival, strip, ids: &ids, hop, rewrite, grant, edits, websocket, http2, framing };
    let mut out = Vec::new();
    write_request(&mut out, request, &change);
    let shown = || out.escape_ascii().to_string();
    let mut again = Head::default();
    // Ours are added to what was at the limit.
    let limits = HeadLimits { head_bytes: 1 << 20, fields: 1 << 10, target_bytes: 1 << 20 };
    let parsed = parse_request(&out, &mut again, &limits);
    assert_eq!(parsed, Ok(Parsed::Complete { head_len: out.len() }), "{}", shown());
    let sent = again.view(&out);
    assert_eq!(sent.method(), request.method());
    assert_eq!(sent.query(), request.query());
    assert_eq!(sent.all(KnownField::Host).collect::<Vec<_>>(), [b"origin.test"], "{}", shown());
    let none = framing == Framing::None && matches!(request.method(), "POST" | "PUT" | "PATCH");
    assert_eq!(again.request_framing(), if none { Framing::Length(0) } else { framing }, "{}", shown());
    assert_eq!(again.upgrades(), websocket, "{}", shown());
    match strict::request(&out, &["connection", "upgrade", "trailer", "te"]) {
        Ok(read) => assert_eq!(read.length, out.len(), "{}", shown()),
        Err(why) => assert!(why.starts_with(strict::CUT) && again.request_framing().has_body(), "{why}: {}", shown()),
    }
    // What cannot be said in HTTP/2 is refused; what can has no line of a connection.
    if let Some(second) = to_http2_request(&out, bit(4)) {
        let of_connections = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host"];
        assert!(of_connections.iter().all(|name| !second.headers().contains_key(*name)), "{}", shown());
    }
}

/// Fuzzing is one thread's work.
struct Ids(std::sync::Mutex<IdGenerator>);
