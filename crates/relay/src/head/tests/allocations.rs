//! A plain request and its response are written without a single allocation.

use http1::{Framing, RequestKind};

use super::requests::{arrival, endpoint};
use super::responses::serving;
use super::*;
use config::HopHeaders;
use judgement::traffic::{Environment, RouteId};

/// What a browser sends.
const BROWSER: [&str; 15] = [
    "Host: shop.test",
    "Connection: keep-alive",
    "sec-ch-ua: \"Chromium\";v=\"141\", \"Not?A_Brand\";v=\"8\"",
    "sec-ch-ua-mobile: ?0",
    "sec-ch-ua-platform: \"Linux\"",
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
    "Referer: https://shop.test/",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.9",
    "Cookie: session=0123456789abcdef; side=fedcba9876543210",
];

const ANSWER: [&str; 8] = [
    "Server: nginx",
    "Date: Sat, 28 Nov 2026 00:00:00 GMT",
    "Content-Type: text/html; charset=utf-8",
    "Connection: keep-alive",
    "Cache-Control: no-cache",
    "Set-Cookie: session=0123456789abcdef; Domain=origin.test; Path=/base; HttpOnly",
    "Location: https://origin.test/base/cart",
    "Content-Length: 109",
];

#[test]
fn a_browsers_request_and_its_answer_allocate_nothing() {
    let (browser, answer) = (request("GET /cart?item=1", &BROWSER), response(200, &ANSWER));
    let (endpoint, serving) = (endpoint("origin.test", "/base"), serving("expose = true"));
    let (generator, hop) = (IdGenerator::new(), HopHeaders { forwarded: true, via: true, trace_context: true });
    let (peer, trusted) = ("192.0.2.1".parse().unwrap(), ["10.0.0.0/8".parse().unwrap()]);
    let exchange = |out: &mut Vec<u8>| {
        let request = browser.view();
        out.clear();
        let client = client_of(peer, request, &trusted);
        let ids = CorrelationIds::of(request, false, hop, &generator);
        let arrival = Arrival { peer, client, host: host_as_sent(request), ..arrival(false) };
        assert!(!came_by_https(false, true, request) && !needs_own_connection(request) && is_repeatable(request));
        let (strip, edits, websocket, framing) = (None, &[][..], false, Framing::None);
        let change = RequestChange {
            endpoint: &endpoint,
            arrival,
            strip,
            ids: &ids,
            hop,
            rewrite: None,
            grant: None,
            edits,
            websocket,
            http2: false,
            framing,
        };
        write_request(out, request, &change);
        let change = ResponseChange {
            serving: &serving,
            route: RouteId(serving.first_route),
            side: Environment::Blue,
            ids: &ids,
            front: Some(Front { endpoint: &endpoint, host: host_as_sent(request), https: true }),
            pin: None,
            page: None,
            kind: RequestKind::Other,
            framing: Framing::Length(109),
            connection: ConnectionField::KeepAlive,
            date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        };
        assert!(is_sane(answer.view(), 0, false) && origin_request_id(answer.view(), &serving).is_none());
        write_response(out, answer.view(), &change);
    };
    let mut out = Vec::new();
    let first = allocation_counter::measure(|| exchange(&mut out));
    assert!(first.count_total > 0, "the counter counts");
    assert!(out.len() > 300, "{}", out.escape_ascii());
    let warm = allocation_counter::measure(|| (0..100).for_each(|_| exchange(&mut out)));
    assert_eq!((warm.count_total, warm.bytes_total), (0, 0));
}
