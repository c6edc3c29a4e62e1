//! The edges of the relay, over real sockets; `docs/src/edges.md` has the table.

use std::future::poll_fn;

use config::EarlyHints;
use judgement::traffic::Environment;
use memory::counters::AttemptFailure;

use crate::support::client::Client;
use crate::support::front::{Front, NOBODY, block_on, routing};
use crate::support::house::House;
use crate::support::origin::{Do, Origin};
use crate::support::{SOON, wait_until};

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_second_request_in_the_pipe_does_not_end_the_first() {
    let house = House::start("weight = 0", "");
    house.blue.does(|request| match request.line().contains("/slow") {
        true => Do::Slow(std::time::Duration::from_millis(200)),
        false => Do::Status(200),
    });
    let mut client = house.client();
    client.send("GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    wait_until("the first is with the origin", SOON, || house.blue.requests() == 1);
    client.send("GET /next HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    assert_eq!((client.answer().status, client.answer().status), (200, 200));
    assert_eq!(house.blue.requests(), 2);
}

#[test]
fn a_switch_of_protocols_that_nobody_asked_for_is_a_502() {
    let house = House::start("weight = 0", "");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    house.blue.always(Do::Raw(switch.to_owned()));
    let mut client = house.client();
    assert_eq!(client.get("/", &[]).status, 502);
    // Nor one that was asked for, where the service allows none: the origin is not even asked.
    let mut client = house.client();
    let asked = client.get("/", &["Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13"]);
    assert_eq!(asked.status, 502);
    assert_eq!(house.blue.last().header("upgrade"), None);
    wait_until("both are the origin's failures", SOON, || {
        house.seen(Environment::Blue).failures[AttemptFailure::Reset as usize] == 2
    });
}

#[test]
fn a_switch_is_to_the_protocol_that_was_asked_for_and_for_who_knows_switches() {
    let house = House::start("weight = 0", "");
    house.set("websocket = true");
    let switch =
        |lines: &str| Do::Raw(format!("HTTP/1.1 101 Switching Protocols\r\n{lines}Connection: upgrade\r\n\r\n"));
    let ask = ["Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13"];
    for lines in ["", "Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n"] {
        house.blue.always(switch(lines));
        assert_eq!(house.client().get("/", &ask).status, 502, "{lines:?}");
    }
    // Its Connection is ours to write, and what the origin's names goes with it.
    house.blue.always(Do::Raw(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\n"
            .to_owned(),
    ));
    let mut client = house.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{}\r\n\r\n", ask.join("\r\n")));
    let head = client.head().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(!head.contains("x-hop") && !head.contains("keep-alive"), "{head}");
    // HTTP/1.0 has no upgrades: the origin is not asked for one, and its 101 goes no further.
    let mut old = house.client();
    old.send(format!("GET / HTTP/1.0\r\nHost: shop.test\r\n{}\r\n\r\n", ask.join("\r\n")));
    assert!(old.rest().0.starts_with("HTTP/1.1 502 "));
    assert_eq!(house.blue.last().header("upgrade"), None);
}

/// An answer with all that belongs to the connection between the origin and Cutover.
pub const HOPS: &str = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nconnection: x-second\r\nX-Hop: 1\r\n\
    X-Second: 2\r\nX-Second: 3\r\nKeep-Alive: timeout=5\r\nUpgrade: h2,h2c\r\nProxy-Connection: keep-alive\r\nTE: x\r\n\
    X-Stays: yes\r\nContent-Length: 2\r\n\r\nok";
pub const HOP_NAMES: [&str; 6] = ["x-hop", "x-second", "keep-alive", "upgrade", "proxy-connection", "te"];

#[test]
fn what_belongs_to_the_origins_connection_reaches_no_client() {
    let house = House::with("weight = 0", "", |settings| settings.early_hints = EarlyHints::All);
    house.blue.always(Do::Raw(HOPS.to_owned()));
    let mut client = house.client();
    for _ in 0..2 {
        let answer = client.get("/", &[]);
        assert_eq!((answer.body.as_str(), answer.header("x-stays")), ("ok", Some("yes")));
        assert_eq!(answer.header("connection"), Some("keep-alive"), "Cutover's own");
        assert!(HOP_NAMES.iter().all(|name| answer.header(name).is_none()), "{}", answer.head);
    }
    assert_eq!(house.blue.connections(), 1, "the origin's connection is kept");
    // An origin that closes its connection does not close the client's, nor can it have the length removed.
    let closing = "HTTP/1.1 200 OK\r\nConnection: close, Content-Length\r\nContent-Length: 2\r\n\r\nok";
    house.blue.always(Do::RawAndClose(closing.to_owned()));
    for _ in 0..2 {
        let answer = client.get("/", &[]);
        assert_eq!((answer.header("connection"), answer.header("content-length")), (Some("keep-alive"), Some("2")));
    }
    let hints =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\n";
    house.blue.always(Do::Raw(hints.to_owned() + &ok("hinted")));
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    let head = client.head().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 103 ") && head.contains("link: "), "{head}");
    assert!(!head.contains("x-hop") && !head.contains("keep-alive"), "{head}");
    assert_eq!(client.answer().body, "hinted");
}

#[test]
fn an_options_goes_as_far_as_it_says_and_trace_nowhere() {
    let house = House::start("weight = 0", "");
    let mut client = house.client();
    for (says, left) in [("1", "0"), ("007", "6"), (" 10 ", "9"), ("99999999999999999999", "18446744073709551614")] {
        assert_eq!(client.request("OPTIONS", "/", &[&format!("Max-Forwards: {says}")], "").body, "blue");
        assert_eq!(house.blue.last().header("max-forwards"), Some(left), "{says}");
    }
    assert_eq!(client.request("OPTIONS", "/", &[], "").body, "blue");
    assert_eq!(house.blue.last().header("max-forwards"), None);
    assert_eq!(client.get("/", &["Max-Forwards: 0"]).body, "blue", "to a GET it means nothing");
    assert_eq!(house.blue.last().header("max-forwards"), Some("0"));
    let asked = house.blue.requests();
    for target in ["/", "*"] {
        let here = client.request("OPTIONS", target, &["Max-Forwards: 0"], "");
        assert_eq!((here.status, here.header("content-length")), (200, Some("0")), "{target}");
        assert!(here.header("allow").is_some_and(|allow| allow.contains("POST") && !allow.contains("TRACE")));
    }
    assert_eq!(client.get("/", &[]).status, 200, "its connection goes on");
    for odd in ["Max-Forwards:", "Max-Forwards: -1", "Max-Forwards: x", "Max-Forwards: 1\r\nMax-Forwards: 1"] {
        assert_eq!(house.client().request("OPTIONS", "/", &[odd], "").status, 400, "{odd}");
    }
    assert_eq!(house.refused("field"), 4);
    for method in ["TRACE", "trace"] {
        let refused = house.client().request(method, "/", &["Max-Forwards: 5", "Cookie: a=b"], "");
        assert_eq!((refused.status, refused.body.as_str()), (405, "405 method not supported\n"), "{method}");
        assert!(refused.header("allow").is_some_and(|allow| allow.contains("GET") && !allow.contains("TRACE")));
    }
    assert_eq!((house.refused("method"), house.blue.requests()), (2, asked + 1), "none of them went on");
}

#[test]
fn a_post_without_a_body_says_so() {
    let house = House::start("weight = 0", "");
    let mut client = house.client();
    for (method, says) in
        [("POST", Some("0")), ("PUT", Some("0")), ("PATCH", Some("0")), ("GET", None), ("DELETE", None)]
    {
        assert_eq!(client.request(method, "/", &[], "").status, 200);
        let seen = house.blue.last();
        assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (says, None), "{method}");
    }
    client.request("POST", "/", &[], "body");
    assert_eq!(house.blue.last().header("content-length"), Some("4"));
    client.request("POST", "/", &["Transfer-Encoding: chunked", "", "0"], "");
    let seen = house.blue.last();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, Some("chunked")));
}

#[test]
fn interim_answers_are_few() {
    let house = House::with("weight = 0", "", |settings| settings.early_hints = EarlyHints::All);
    let hints = |count: usize| "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n".repeat(count);
    house.blue.always(Do::Raw(hints(2) + &ok("two")));
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    client.wait_for("103 Early Hints");
    assert_eq!(client.answer().body, "two");
    house.blue.always(Do::Raw(hints(101) + &ok("many")));
    assert_eq!(house.client().get("/", &[]).status, 502);
    // HTTP/1.0 knows none of them.
    house.blue.always(Do::Raw(hints(2) + &ok("old")));
    let mut old = house.client();
    old.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n");
    let (rest, _) = old.rest();
    assert!(rest.starts_with("HTTP/1.1 200 ") && rest.ends_with("old"), "{rest}");
}

#[test]
fn early_hints_go_to_who_knows_them_and_a_100_to_everybody() {
    use EarlyHints::{All, Http2, Never};
    let interims = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    for (choice, old, new) in [(Http2, false, true), (All, true, true), (Never, false, false)] {
        let origin = Origin::start("blue");
        origin.always(Do::Raw(interims.to_owned() + &ok("hinted")));
        let blue = format!("url = \"{}\"", origin.url());
        let front = Front::with(&routing(&blue, NOBODY, ""), &[], |settings| settings.early_hints = choice);
        let mut client = front.house.client();
        // What a browser says, and a proxy in front of this passes on.
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nSec-Fetch-Mode: navigate\r\nConnection: close\r\n\r\n");
        let (text, _) = client.rest();
        assert!(text.starts_with("HTTP/1.1 100 ") && text.ends_with("hinted"), "{text}");
        assert_eq!(text.contains("HTTP/1.1 103 "), old, "{choice:?}");
        let seen = block_on(async {
            let request = http::Request::get("https://shop.test/").body(()).unwrap();
            let (mut answer, _body) = front.client().await.open(request, true).await.unwrap();
            let mut seen = Vec::new();
            while let Some(interim) = poll_fn(|cx| answer.poll_informational(cx)).await {
                seen.push(interim.unwrap().status().as_u16());
            }
            assert_eq!(answer.await.unwrap().status(), 200);
            seen
        });
        assert_eq!(seen, if new { vec![100, 103] } else { vec![100] }, "{choice:?}");
    }
}

#[test]
fn a_status_that_is_none_is_a_502() {
    let house = House::start("weight = 0", "");
    for status in ["600", "999", "099", "20", "abc", "-1"] {
        house.blue.always(Do::RawAndClose(format!("HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n")));
        assert_eq!(house.client().get("/", &[]).status, 502, "{status}");
    }
    house.blue.always(Do::Raw("HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n".to_owned()));
    assert_eq!(house.client().get("/", &[]).status, 599);
}

#[test]
fn answers_without_a_body_leave_the_connection_whole() {
    let house = House::start("weight = 0", "");
    house.blue.does(|request| match request.line().split(' ').nth(1) {
        Some("/204") => Do::Status(204),
        Some("/204-with-length") => Do::Raw("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n".to_owned()),
        Some("/304") => Do::Raw("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n".to_owned()),
        _ => Do::Status(200),
    });
    let mut client = house.client();
    for (method, path, status) in [
        ("GET", "/204", 204),
        ("GET", "/204-with-length", 204),
        ("GET", "/304", 304),
        ("HEAD", "/", 200),
        ("GET", "/", 200),
    ] {
        let answer = client.request(method, path, &[], "");
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.status != 204 || answer.header("content-length").is_none(), "{method} {path}");
    }
    assert_eq!(client.get("/", &[]).body, "blue", "what followed was read as what it is");
    assert_eq!(house.blue.connections(), 1);
}

#[test]
fn continue_is_the_origins_to_say() {
    let house = House::start("weight = 0", "");
    // The scripted origin reads the body first: no 100 comes from it, and the client sends after a while, as it should.
    let mut client = house.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    client.send("body");
    assert_eq!(client.answer().status, 200);
    assert_eq!(house.blue.last().body, b"body");
    let origin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = origin.local_addr().unwrap();
    let served = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut tcp, _) = origin.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tcp.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        tcp.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut body = [0; 4];
        tcp.read_exact(&mut body).unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").unwrap();
        tcp.write_all(&body).unwrap();
    });
    let text = crate::support::house::shop(&format!("http://{address}"), &house.green.url(), "weight = 0", "");
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("the new origin is in force", SOON, || {
        house
            .running
            .published
            .load()
            .serving(judgement::traffic::ServiceId(0))
            .is_some_and(|serving| serving.origins[0].targets[0].port == address.port())
    });
    let mut client: Client = house.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    client.wait_for("HTTP/1.1 100 ");
    client.send("body");
    assert_eq!(client.answer().body, "body");
    served.join().unwrap();
}

#[test]
fn a_websocket_is_a_tunnel_where_the_service_allows_it() {
    let house = House::start("weight = 0", "");
    house.set("websocket = true");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nfrom the origin";
    house.blue.always(Do::Raw(switch.to_owned()));
    let ask = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: eA==", "Sec-WebSocket-Version: 13"];
    let mut client = house.client();
    client.send(format!("GET /chat HTTP/1.1\r\nHost: shop.test\r\n{}\r\n\r\n", ask.join("\r\n")));
    client.wait_for("from the origin");
    client.finish_sending();
    assert!(client.rest().0.starts_with("HTTP/1.1 101 "));
    assert_eq!(house.blue.last().header("upgrade"), Some("websocket"));
    assert_eq!(house.blue.last().header("sec-websocket-key"), Some("eA=="));
    // Never another protocol.
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n");
    assert_eq!(client.answer().status, 502, "the origin switches nonetheless, and that goes no further");
    assert_eq!(house.blue.last().header("upgrade"), None);
}

#[test]
fn an_answer_goes_out_in_our_version_and_is_framed_in_one_way() {
    let house = House::start("weight = 0", "");
    house.blue.always(Do::RawAndClose("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold".to_owned()));
    let answer = house.client().get("/", &[]);
    assert!(answer.head.starts_with("HTTP/1.1 200 ") && answer.body == "old", "{answer:?}");
    house.blue.always(Do::RawAndClose("HTTP/1.0 200 OK\r\n\r\nuntil the end".to_owned()));
    let answer = house.client().get("/", &[]);
    assert!(answer.head.starts_with("HTTP/1.1 200 ") && answer.body == "until the end", "{answer:?}");
    house.blue.always(Do::Raw("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\none".to_owned()));
    assert_eq!(house.client().get("/", &[]).header("content-length"), Some("3"));
    for codings in ["chunked\r\nTransfer-Encoding: chunked", "identity", "gzip, chunked"] {
        house.blue.always(Do::RawAndClose(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: {codings}\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        )));
        assert_eq!(house.client().get("/", &[]).status, 502, "{codings}");
    }
}
