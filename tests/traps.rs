//! What a proxy on this framework gets wrong unless somebody sees to it; `docs/src/traps.md` has the table.

use judgement::traffic::Environment;
use memory::counters::AttemptFailure;

use crate::support::client::Client;
use crate::support::house::House;
use crate::support::origin::Do;
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
fn interim_answers_are_few() {
    let house = House::start("weight = 0", "");
    let hints = |count: usize| "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n".repeat(count);
    house.blue.always(Do::Raw(hints(2) + &ok("two")));
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    client.wait_for("103 Early Hints");
    assert_eq!(client.answer().body, "two");
    house.blue.always(Do::Raw(hints(100) + &ok("hundred")));
    assert_eq!(house.client().get("/", &[]).status, 502);
    // HTTP/1.0 knows none of them.
    house.blue.always(Do::Raw(hints(2) + &ok("old")));
    let mut old = house.client();
    old.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n");
    let (rest, _) = old.rest();
    assert!(rest.starts_with("HTTP/1.1 200 ") && rest.ends_with("old"), "{rest}");
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
