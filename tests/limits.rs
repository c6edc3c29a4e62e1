//! What one client may take: time, bytes, connections. Each limit is small here, and large by default.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use config::ClientLimits;
use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::counters::{AttemptFailure, ResponseClass};

use crate::support::client::Client;
use crate::support::house::{House, shop};
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

fn house(limits: ClientLimits) -> House {
    House::with("weight = 0", "", |settings| settings.limits = limits)
}

fn limits() -> ClientLimits {
    ClientLimits { connections_per_address: 0, ..ClientLimits::default() }
}

fn aborted(house: &House) -> u64 {
    house.seen(Environment::Blue).classes[ResponseClass::Aborted as usize]
}

#[test]
fn a_head_that_drips_is_ended_in_total_time() {
    let house = house(ClientLimits { header_time: Millis(300), ..limits() });
    let mut client = house.client();
    let began = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n");
    // Each byte is soon enough for a limit on silence.
    while began.elapsed() < SOON && house.refused("too_slow") == 0 {
        client.try_send("X");
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(280) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(client.answer().status, 408);
    // One that is silent in its middle gets to read why.
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop");
    assert_eq!(client.answer().status, 408);
    assert!(house.refused("too_slow") >= 2);
    // And the second head of a connection has the same limit as the first.
    let mut client = house.client();
    assert_eq!(client.get("/", &[]).status, 200);
    client.send("GET / HTTP/1.1\r\n");
    assert_eq!(client.answer().status, 408);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let house = house(ClientLimits { keep_alive: Millis(200), ..limits() });
    let mut never_spoke = house.client();
    let mut spoke = house.client();
    assert_eq!(spoke.get("/", &[]).status, 200);
    for client in [&mut never_spoke, &mut spoke] {
        assert_eq!(client.rest(), (String::new(), false));
    }
}

#[test]
fn a_body_that_stops_coming_is_a_408_and_nobodys_failure() {
    let house = house(ClientLimits { body_idle: Millis(300), ..limits() });
    let mut client = house.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100\r\n\r\nhalf");
    assert_eq!(client.answer().status, 408);
    wait_until("it is counted as the client's", SOON, || aborted(&house) == 1);
    assert_eq!(house.seen(Environment::Blue).failures, [0; AttemptFailure::ALL.len()]);
    assert_eq!(house.blue.requests(), 0, "the origin got no whole request");
}

#[test]
fn a_body_that_trickles_is_a_408_after_ten_seconds_of_it() {
    let house = house(ClientLimits { body_rate: 240, ..limits() });
    let mut client = house.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000\r\n\r\n");
    let began = Instant::now();
    while began.elapsed() < SOON && client.try_send("x".repeat(10)) && !client.has_come() {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.answer().status, 408);
    assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
    wait_until("it is counted as the client's", SOON, || aborted(&house) == 1);
    assert_eq!(house.seen(Environment::Blue).failures, [0; AttemptFailure::ALL.len()]);
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let house = house(ClientLimits { write_idle: Millis(300), ..limits() });
    let body = "x".repeat(32 << 20);
    house.blue.always(Do::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())));
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    wait_until("it is let go", SOON, || aborted(&house) == 1);
    let (got, _) = client.rest();
    assert!(got.len() < body.len());
}

#[test]
fn heads_that_are_too_large_are_refused_before_they_are_whole() {
    let house = house(ClientLimits { header_bytes: 4096, target_bytes: 1024, ..limits() });
    let mut client = house.client();
    client.send(format!("GET /{} ", "a".repeat(2000)));
    client.try_send("b");
    assert_eq!(client.answer().status, 414);
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n");
    for line in 0..80 {
        client.try_send(format!("X-Filler-{line}: {}\r\n", "f".repeat(50)));
    }
    client.try_send("X-More: ");
    wait_until("it is refused", SOON, || house.refused("large_head") == 1);
    assert_eq!(client.answer().status, 431);
    assert_eq!((house.refused("long_line"), house.blue.requests()), (1, 0));
}

#[test]
fn what_is_no_http_is_refused_in_our_words_and_counted() {
    let house = house(limits());
    for (bytes, status, reason) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400, "request_line"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_host"),
        ("CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\n\r\n", 405, "method"),
    ] {
        let before = house.refused(reason);
        let mut client = house.client();
        client.send(bytes);
        let answer = client.answer();
        assert_eq!(answer.status, status, "{bytes:?}");
        assert!(answer.header("server").is_none() && answer.body.starts_with(&status.to_string()), "{answer:?}");
        assert_eq!(house.refused(reason), before + 1, "{bytes:?}");
    }
}

#[test]
fn one_address_has_so_many_connections_and_is_told_so() {
    let house = house(ClientLimits { connections_per_address: 2, ..ClientLimits::default() });
    let (mut one, mut two) = (house.client(), house.client());
    assert!([&mut one, &mut two].iter_mut().all(|client| client.get("/", &[]).status == 200));
    let mut three = house.client();
    assert_eq!(three.answer().status, 503);
    assert_eq!(house.refused("too_many_connections"), 1);
    drop(one);
    wait_until("there is room again", SOON, || {
        let mut client = house.client();
        client.try_request("GET", "/", &[], "").is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_trusted_proxy_has_as_many_connections_as_there_are() {
    let limits = ClientLimits { connections: 6, connections_per_address: 2, ..ClientLimits::default() };
    let house = House::with("weight = 0", "", |settings| {
        settings.limits = limits;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let mut clients: Vec<Client> = (0..6).map(|_| house.client()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        let line = format!("X-Forwarded-For: 198.51.100.{at}");
        assert_eq!(client.get("/", &[&line]).status, 200, "{at}");
    }
    assert_eq!(house.refused("too_many_connections"), 0);
    assert_eq!(house.client().answer().status, 503, "six in all");
}

#[test]
fn a_connection_has_so_many_requests() {
    let house = house(ClientLimits { requests: 3, ..limits() });
    let mut client = house.client();
    let told = |client: &mut Client| client.get("/", &[]).header("connection").map(str::to_owned);
    let told: Vec<_> = (0..3).map(|_| told(&mut client).unwrap()).collect();
    assert_eq!(told.last().unwrap(), "close", "{told:?}");
    assert!(client.try_request("GET", "/", &[], "").is_err());
}

/// An origin that answers when it has seen a head, and closes without reading the body.
fn hasty_origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let Ok(mut tcp) = tcp else { return };
            let mut head = [0; 1024];
            let _ = std::io::Read::read(&mut tcp, &mut head);
            let _ = tcp.write_all(
                b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large",
            );
            // Long enough for the answer to be read before the reset that unread bytes cause.
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    address
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let house = house(limits());
    let hasty = format!("http://{}", hasty_origin());
    std::fs::write(house.routing_path(), shop(&hasty, &house.green.url(), "weight = 0", "")).unwrap();
    wait_until("it is in force", SOON, || crate::support::client::get(house.address(), "/", &[]).status == 413);
    for (host, status) in [("shop.test", 413), ("@", 400)] {
        let mut client = house.client();
        let length = 64 << 20;
        client.send(format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"));
        let block = vec![b'x'; 64 << 10];
        // Sends on, whatever is answered: as many clients do.
        let mut sent = 0;
        while sent < length && client.try_send(&block) {
            sent += block.len();
        }
        let answer = client.answer();
        assert_eq!(answer.status, status, "after {sent} bytes");
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[test]
fn chunks_that_are_none_are_refused_and_counted() {
    let house = house(limits());
    for (chunk, seen) in [("0x5\r\nhello\r\n0\r\n\r\n", 1), ("-1\r\n\r\n", 2), ("5\r\nhello, and more\r\n0\r\n\r\n", 3)]
    {
        let mut client = house.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"));
        assert_eq!(client.answer().status, 400, "{chunk:?}");
        wait_until("it is counted", SOON, || house.refused("bad_body") == seen);
    }
    assert_eq!(house.blue.requests(), 0);
}
