//! Edges of the relay that public bug reports of proxies are about: who leaves, who is silent, and what a kept connection
//! may be used for. The others are in `traps.rs`; docs/src/edges.md is the table of all.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use judgement::traffic::Environment;
use memory::counters::{AttemptFailure, ResponseClass};

use crate::support::client::Client;
use crate::support::front::{Front, NOBODY, at, block_on, routing};
use crate::support::h2::H2Origin;
use crate::support::house::House;
use crate::support::origin::{Do, Origin};
use crate::support::raw_origin::{before, head, raw};
use crate::support::{SOON, wait_until};

#[test]
fn a_client_that_leaves_is_noticed_while_the_origin_is_silent() {
    for reset in [false, true] {
        let (asked, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (heard, seen) = (asked.clone(), ended.clone());
        let house = before(
            raw(move |mut tcp, _| {
                head(&mut tcp);
                heard.fetch_add(1, SeqCst);
                // Silent, until the connection ends.
                while tcp.read(&mut [0; 16]).is_ok_and(|read| read > 0) {}
                seen.fetch_add(1, SeqCst);
            }),
            "",
        );
        let mut client = house.client();
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        wait_until("the origin is asked", SOON, || asked.load(SeqCst) == 1);
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        wait_until("the origin is told", SOON, || ended.load(SeqCst) == 1);
        wait_until("it is counted", SOON, || {
            house.seen(Environment::Blue).classes[ResponseClass::Aborted as usize] == 1
        });
        assert_eq!(house.seen(Environment::Blue).failures.iter().sum::<u64>(), 0, "and blue has done nothing wrong");
    }
}

#[test]
fn a_client_that_does_not_send_its_body_is_told_so_and_nobody_else_is_blamed() {
    let house = House::with("weight = 100", "[service.shop.timeouts]\nfirst_byte = \"300ms\"\n", |settings| {
        settings.limits.body_idle = judgement::time::Millis(900);
    });
    let mut client = house.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(client.answer().status, 408, "longer than an origin may take, which has not got the request");
    let green = || house.seen(Environment::Green);
    wait_until("it is counted", SOON, || green().classes[ResponseClass::Aborted as usize] == 1);
    assert_eq!(green().failures.iter().sum::<u64>(), 0);
}

#[test]
fn silence_within_an_answer_has_a_limit_of_its_own() {
    let timeouts = "[service.shop.timeouts]\nfirst_byte = \"20s\"\nbetween_bytes = \"300ms\"\n";
    let house = House::start("weight = 0", timeouts);
    house.blue.always(Do::Raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_owned()));
    let answer = house.client().get("/", &[]);
    assert!(answer.truncated && answer.body == "half", "{answer:?}");
    let blue = house.seen(Environment::Blue);
    assert_eq!(blue.failures[AttemptFailure::Truncated as usize], 1);
}

#[test]
fn a_kept_connection_that_was_closed_is_not_blamed_on_anybody() {
    // Every second request on a connection finds it closed.
    let house = before(
        raw(|mut tcp, _| {
            if head(&mut tcp) {
                let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                head(&mut tcp);
            }
        }),
        "",
    );
    let mut client = house.client();
    assert!((0..5).all(|_| client.get("/", &[]).status == 200), "sent again on a new connection");
    assert_eq!(client.request("POST", "/", &["Idempotency-Key: k"], "body").status, 200, "this may be sent again too");
    assert_eq!(house.client().get("/", &[]).status, 200);
    let stale = house.client().request("POST", "/", &[], "body");
    assert!([200, 502].contains(&stale.status), "nobody knows whether the origin has seen it");
    let failures = || house.seen(Environment::Blue).failures;
    let expected = u64::from(stale.status == 502);
    wait_until("it is counted", SOON, || failures()[AttemptFailure::Stale as usize] == expected);
    assert_eq!(failures().iter().sum::<u64>(), expected, "and nothing else");
}

#[test]
fn an_origins_keep_alive_is_heeded() {
    let house = House::start("weight = 0", "");
    let short = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok";
    house.blue.always(Do::Raw(short.to_owned()));
    let mut client = house.client();
    client.get("/", &[]);
    client.get("/", &[]);
    assert_eq!(house.blue.connections(), 1);
    std::thread::sleep(Duration::from_millis(1100));
    client.get("/", &[]);
    assert_eq!(house.blue.connections(), 2, "the old one may be closing");
}

#[test]
fn a_connection_that_a_client_has_identified_itself_by_is_its_own() {
    let house = before(
        raw(|mut tcp, number| {
            while head(&mut tcp) {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{number}", number.to_string().len());
                if tcp.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }),
        "",
    );
    let mut alice = house.client();
    let own = alice.get("/", &["Authorization: NTLM TlRMTVNTUAAB"]).body;
    // From now on she need not say who she is.
    assert!((0..3).all(|_| alice.get("/", &[]).body == own));
    let mut others: Vec<Client> = (0..4).map(|_| house.client()).collect();
    for other in &mut others {
        assert_ne!(other.get("/", &[]).body, own, "answered as alice");
    }
    assert_eq!(alice.get("/", &[]).body, own);
}

#[test]
fn a_request_of_active_goes_to_another_address_when_the_first_breaks_off() {
    let (good, bad) = (Origin::start("good"), Origin::start("bad"));
    bad.always(Do::Reset);
    let text = format!(
        "[service.shop]\n[service.shop.blue]\nurls = [\"{}\", \"{}\"]\n[service.shop.green]\nurl = \"{}\"\n\
         [service.shop.split]\nweight = 0\n",
        bad.url(),
        good.url(),
        good.url()
    );
    let house = House::start("weight = 0", "");
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("the file is in force", SOON, || house.running.published.load().generation > 1);
    let mut client = house.client();
    assert!((0..20).all(|_| client.get("/", &[]).body == "good"));
    // One that fails most of its requests rests, and the others are asked.
    let before = bad.requests();
    assert!((5..20).contains(&before), "{before}");
    assert!((0..20).all(|_| client.request("POST", "/", &[], "body").body == "good"));
    assert!(bad.requests() <= before + 2, "tried now and then");
}

#[test]
fn requests_at_once_have_a_limit_whatever_their_protocol() {
    let origin = H2Origin::clear();
    let front = Front::with(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[], |settings| {
        settings.limits.requests_in_flight_per_address = 3
    });
    let (open, opened) = tokio::sync::watch::channel(false);
    origin.does(move |mut exchange| {
        let mut opened = opened.clone();
        async move {
            let _ = opened.wait_for(|open| *open).await;
            exchange.say(200, "late");
        }
    });
    let address = front.house.address();
    let statuses = block_on(async move {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut send, connection) = h2::client::handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        let mut answers = Vec::new();
        for _ in 0..4 {
            send = send.ready().await.unwrap();
            let request = http::Request::get("http://shop.test/").body(()).unwrap();
            answers.push(send.send_request(request, true).unwrap().0);
        }
        let last = answers.pop().unwrap().await.unwrap().status().as_u16();
        open.send_replace(true);
        let mut statuses = vec![last];
        for answer in answers {
            statuses.push(answer.await.unwrap().status().as_u16());
        }
        statuses
    });
    assert_eq!(statuses, [503, 200, 200, 200], "over HTTP/2 by prior knowledge");
}

#[test]
fn the_outcome_of_a_grpc_call_is_in_its_trailers() {
    let origin = H2Origin::clear();
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    let call = |kind: &'static str, status: Option<&'static str>| {
        origin.does(move |mut exchange| async move {
            let head = http::Response::builder().header("content-type", kind).body(()).unwrap();
            let Ok(mut stream) = exchange.answer.send_response(head, false) else { return };
            let trailers = status.map(|status| ("grpc-status".parse().unwrap(), status.parse().unwrap()));
            let _ = stream.send_trailers(trailers.into_iter().collect());
        });
        front.get().0
    };
    let counts = || {
        let seen = front.house.seen(Environment::Blue);
        (seen.classes.iter().sum::<u64>(), seen.failures.iter().sum::<u64>())
    };
    for (kind, status, failed) in [
        ("application/grpc", Some("0"), false),
        ("application/grpc+proto", Some("5"), false),
        ("application/grpc", Some("14"), true),
        ("application/grpc", Some("13"), true),
        ("application/grpc; x", None, true),
        ("Application/GRPC+proto", Some("14"), true),
        ("application/grpc", Some("99"), true),
        ("application/grpc-web", None, false),
        ("text/plain", Some("14"), false),
    ] {
        let (requests, before) = counts();
        assert_eq!(call(kind, status), 200);
        wait_until("it is counted", SOON, || counts().0 > requests);
        assert_eq!(counts().1 - before, u64::from(failed), "{kind} {status:?}");
    }
}

#[test]
fn an_http_1_client_gets_trailers_if_it_takes_them() {
    let house = House::start("weight = 0", "");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n";
    house.blue.always(Do::Raw(chunked.to_owned()));
    for (te, trailers) in [("TE: trailers\r\n", "X-Sum: 1\r\n"), ("", "")] {
        let mut client = house.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{te}Connection: close\r\n\r\n"));
        let (answer, _) = client.rest();
        assert!(answer.ends_with(&format!("\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n")), "{answer}");
    }
}

#[test]
fn an_answer_of_our_own_waits_no_longer_for_a_window_than_any_other() {
    let house = House::with("weight = 0", "", |settings| settings.limits.write_idle = judgement::time::Millis(300));
    house.blue.always(Do::Close);
    let (address, process) = (house.address(), house.running.counters.clone());
    let in_flight = move || memory::counters::read(&process.process.requests_in_flight);
    block_on(async {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        // Not a single byte.
        let (send, connection) = builder.initial_window_size(0).handshake::<_, bytes::Bytes>(tcp).await.unwrap();
        tokio::spawn(connection);
        let mut send = send.ready().await.unwrap();
        let request = http::Request::get("http://shop.test/").body(()).unwrap();
        let answer = send.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!((answer.status().as_u16(), in_flight()), (502, 1), "its text waits for a window");
        while in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}
