//! Whose fault it is: what a client does or leaves undone is never the environment's, and what an environment does is not
//! hidden behind it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use judgement::traffic::Environment;
use memory::counters::{AttemptFailure, ResponseClass};

use crate::support::client::Client;
use crate::support::front::{Front, NOBODY, at, block_on, routing};
use crate::support::h2::H2Origin;
use crate::support::house::{House, shop};
use crate::support::origin::Do;
use crate::support::raw_origin::{before, head, raw};
use crate::support::{SOON, wait_until};

fn failures(house: &House, failure: AttemptFailure) -> u64 {
    house.seen(Environment::Blue).failures[failure as usize]
}

fn aborted(house: &House) -> u64 {
    house.seen(Environment::Blue).classes[ResponseClass::Aborted as usize]
}

/// Reads until the other side ends.
fn until_the_end(tcp: &mut TcpStream) {
    while tcp.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn an_origin_that_waits_for_the_rest_of_a_request_is_not_late_with_its_answer() {
    let echo = raw(|mut tcp, _| {
        head(&mut tcp);
        let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        until_the_end(&mut tcp);
    });
    let house = before(echo, "[service.shop.timeouts]\nbetween_bytes = \"300ms\"\n");
    let mut client = house.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 20\r\n\r\n01234");
    assert!(client.answer().truncated, "its silence has lasted long enough");
    wait_until("it is counted", SOON, || aborted(&house) == 1);
    // With the whole request there, the silence is the origin's.
    let mut client = house.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\n01234");
    assert!(client.answer().truncated);
    wait_until("it is counted", SOON, || failures(&house, AttemptFailure::Truncated) == 1);
    assert_eq!(house.seen(Environment::Blue).failures.iter().sum::<u64>(), 1);
}

#[test]
fn clients_that_do_not_read_hold_an_environments_places_and_it_is_not_blamed_for_that() {
    let house = House::with("weight = 0", "[service.shop.timeouts]\nqueue = \"200ms\"\n", |settings| {
        let text = std::fs::read_to_string(&settings.routing).unwrap();
        let limited = text.replacen("[service.shop.blue]\n", "[service.shop.blue]\nmax_connections = 1\n", 1);
        std::fs::write(&settings.routing, limited).unwrap();
    });
    let body = "x".repeat(16 << 20);
    house.blue.always(Do::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())));
    let mut idle = house.client();
    idle.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    wait_until("its response is on its way", SOON, || house.blue.requests() == 1);
    assert_eq!(house.client().get("/", &[]).status, 503);
    wait_until("it is counted", SOON, || failures(&house, AttemptFailure::Held) == 1);
    assert_eq!((failures(&house, AttemptFailure::Busy), aborted(&house)), (0, 1));
}

#[test]
fn an_origin_that_fails_at_every_post_does_not_hide_behind_closing_connections() {
    let crashing = raw(|mut tcp, _| {
        let mut first = [0; 4];
        while tcp.peek(&mut first).is_ok_and(|read| read == 4) && head(&mut tcp) {
            if &first == b"POST" {
                return;
            }
            let _ = tcp.write_all(OK);
        }
    });
    let house = before(crashing, "");
    assert_eq!(house.client().get("/", &[]).status, 200);
    for _ in 0..3 {
        assert_eq!(house.client().request("POST", "/", &[], "").status, 502);
        assert_eq!(house.client().get("/", &[]).status, 200);
    }
    // Which worker has a kept connection is for the kernel to say.
    let counts = || [AttemptFailure::Reset, AttemptFailure::Stale].map(|failure| failures(&house, failure));
    wait_until("they are counted", SOON, || counts().iter().sum::<u64>() == 3);
    assert!(counts()[1] <= 1, "only the first may have been one");
}

#[test]
fn an_origin_that_takes_its_time_before_it_closes_had_not_closed_before() {
    let slow = raw(|mut tcp, _| {
        let mut first = [0; 4];
        while tcp.peek(&mut first).is_ok_and(|read| read == 4) && head(&mut tcp) {
            if &first == b"POST" {
                return std::thread::sleep(Duration::from_millis(1200));
            }
            let _ = tcp.write_all(OK);
        }
    });
    let house = before(slow, "");
    assert_eq!(house.client().get("/", &[]).status, 200);
    assert_eq!(house.client().request("POST", "/", &[], "").status, 502);
    wait_until("it is counted", SOON, || failures(&house, AttemptFailure::Reset) == 1);
}

#[test]
fn a_silent_http2_connection_gets_no_more_requests() {
    let origin = H2Origin::clear();
    let timeouts = "[service.shop.timeouts]\nfirst_byte = \"300ms\"\n";
    // Each worker has connections of its own.
    let one_worker = |settings: &mut config::MainConfig| settings.threads = 1;
    let front = Front::with(&routing(&at(&origin, "h2 = \"only\""), NOBODY, timeouts), &[], one_worker);
    origin.does(|exchange| async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(exchange);
    });
    assert_eq!(front.get().0, 504);
    origin.does(|mut exchange| async move { exchange.say(200, "there") });
    assert_eq!((front.get().0, origin.connections()), (200, 2));
    assert_eq!((front.get().0, origin.connections()), (200, 2), "the new one is kept");
}

#[test]
fn a_failure_is_counted_when_it_has_been_told_however_long_its_client_goes_on_sending() {
    let failing = raw(|mut tcp, _| {
        head(&mut tcp);
        let _ = tcp.write_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
        until_the_end(&mut tcp);
    });
    let house = before(failing, "");
    let address = house.address();
    block_on(async {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let (send, connection) = h2::client::handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        let mut send = send.ready().await.unwrap();
        let request = http::Request::post("http://shop.test/").header("content-length", 100).body(()).unwrap();
        let (answer, mut body) = send.send_request(request, false).unwrap();
        body.send_data(bytes::Bytes::from_static(b"1"), false).unwrap();
        assert_eq!(answer.await.unwrap().status(), 500);
        // It reads on for five seconds, for the client's sake.
        let soon = tokio::time::Instant::now() + Duration::from_secs(3);
        while failures(&house, AttemptFailure::Error) == 0 {
            assert!(tokio::time::Instant::now() < soon, "it is not counted yet");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn a_client_that_has_identified_itself_by_a_connection_stays_with_its_origin() {
    let told = |name: &'static str| {
        raw(move |mut tcp, number| {
            while head(&mut tcp) {
                let said = format!("{name}{number}");
                let _ = write!(tcp, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len());
            }
        })
    };
    let urls = format!("http://{}\", \"http://{}", told("a"), told("b"));
    let house = House::start("weight = 0", "");
    let text = shop("http://127.0.0.1:1", &house.green.url(), "weight = 0", "");
    let text = text.replacen("url = \"http://127.0.0.1:1\"", &format!("urls = [\"{urls}\"]"), 1);
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("the file is in force", SOON, || house.running.published.load().generation > 1);
    let mut alice = house.client();
    let own = alice.get("/", &["Authorization: Negotiate YII="]).body;
    for _ in 0..4 {
        assert_ne!(house.client().get("/", &[]).body, own);
        assert_eq!(alice.get("/", &[]).body, own);
    }
}

#[test]
fn a_client_that_has_sent_far_ahead_is_noticed_when_it_leaves() {
    let (asked, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (heard, seen) = (asked.clone(), ended.clone());
    let silent = raw(move |mut tcp, _| {
        head(&mut tcp);
        heard.fetch_add(1, SeqCst);
        until_the_end(&mut tcp);
        seen.fetch_add(1, SeqCst);
    });
    let house = before(silent, "");
    let request = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    for (times, reset) in [(1, false), (2, true)] {
        let mut client: Client = house.client();
        client.send(request.repeat(2000));
        wait_until("the origin is asked", SOON, || asked.load(SeqCst) == times);
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        wait_until("the origin is told", SOON, || ended.load(SeqCst) == times);
        wait_until("it is counted", SOON, || aborted(&house) == times);
    }
    assert_eq!(house.seen(Environment::Blue).failures.iter().sum::<u64>(), 0);
}

#[test]
fn an_origin_that_hints_and_then_says_nothing_is_late_itself() {
    let hints = raw(|mut tcp, _| {
        head(&mut tcp);
        let _ = tcp.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        until_the_end(&mut tcp);
    });
    let house = before(hints, "[service.shop.timeouts]\nfirst_byte = \"300ms\"\n");
    let mut client = house.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.answer().status, 504, "the client waits for its 100");
    wait_until("it is counted", SOON, || failures(&house, AttemptFailure::Timeout) == 1);
}

#[test]
fn a_client_that_leaves_while_a_connection_is_being_opened_is_noticed() {
    // A queue of length 0 that is full: what connects further is not answered.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let full: Vec<_> = (0..2).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(300))).collect();
    let house = before(address, "[service.shop.timeouts]\nconnect = \"30s\"\n");
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    let in_flight = || memory::counters::read(&house.running.counters.process.requests_in_flight);
    wait_until("it is asked", SOON, || in_flight() == 1);
    drop(client);
    // Long before the connection is: `SOON` is less than its thirty seconds.
    wait_until("it is given up", SOON, || in_flight() == 0 && aborted(&house) == 1);
    drop(full);
}

#[test]
fn every_answer_of_our_own_has_a_date() {
    let house = House::start("weight = 0", "");
    for request in ["GARBAGE\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let mut client = house.client();
        client.send(request);
        let answer = client.answer();
        assert!(answer.status == 400 && answer.header("date").is_some(), "{request:?}: {answer:?}");
    }
}
