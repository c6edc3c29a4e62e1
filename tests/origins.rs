//! Origins: which HTTP they are spoken to in, whom we trust, who we say we are, gRPC, and what their failures do to clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use config::ClientLimits;
use h2::Reason;
use http::{HeaderMap, Request, Response};
use judgement::traffic::Environment;
use memory::counters::AttemptFailure;

use crate::support::front::{Front, NOBODY, at, block_on, routing};
use crate::support::h2::{Exchange, H2Origin};
use crate::support::origin::Do;
use crate::support::tls::{Authority, Certificate, H2, serving};
use crate::support::{SOON, wait_until};
use judgement::rollout::ChangeKind;

fn post(path: &str) -> Request<()> {
    Request::post(format!("https://shop.test{path}")).body(()).unwrap()
}

#[test]
fn an_origin_is_spoken_to_in_the_http_that_the_file_and_the_origin_agree_on() {
    let certificate = Certificate::of(&["127.0.0.1"]);
    let tls = |alpn: &[&str]| H2Origin::tls(serving(&certificate, alpn, None));
    let ca = "ca_file = \"ca.pem\"\n";
    for (origin, lines, said) in [
        (tls(&["h2", "http/1.1"]), format!("{ca}h2 = \"auto\""), "HTTP/2"),
        (tls(&["h2", "http/1.1"]), ca.to_owned(), "HTTP/2"),
        (tls(&["h2"]), ca.to_owned(), "HTTP/2"),
        (tls(&["http/1.1"]), ca.to_owned(), "HTTP/1.1"),
        (tls(&[]), ca.to_owned(), "HTTP/1.1"),
        (H2Origin::clear(), "h2 = \"auto\"".to_owned(), "HTTP/1.1"),
        (tls(&["h2", "http/1.1"]), format!("{ca}h2 = \"never\""), "HTTP/1.1"),
        (tls(&["h2", "http/1.1"]), format!("{ca}h2 = \"only\""), "HTTP/2"),
        (H2Origin::clear(), "h2 = \"only\"".to_owned(), "HTTP/2"),
    ] {
        let front = Front::start(&routing(&at(&origin, &lines), NOBODY, ""), &[("ca.pem", &certificate.pem)]);
        for _ in 0..2 {
            assert_eq!(front.get(), (200, said.to_owned()), "{lines}");
        }
        let over_http2 = block_on(async { front.client().await.get("https://shop.test/").await.unwrap() });
        assert_eq!(over_http2.body, said.as_bytes(), "{lines}");
    }
}

#[test]
fn an_origin_that_must_speak_http2_and_cannot_is_a_502_and_counted() {
    let certificate = Certificate::of(&["127.0.0.1"]);
    let tls = |alpn: &[&str]| H2Origin::tls(serving(&certificate, alpn, None));
    for (origin, alpn) in [(tls(&["http/1.1"]), "http/1.1"), (tls(&[]), "none")] {
        let lines = at(&origin, "ca_file = \"ca.pem\"\nh2 = \"only\"");
        let front = Front::start(&routing(&lines, NOBODY, ""), &[("ca.pem", &certificate.pem)]);
        assert_eq!(front.get().0, 502, "{alpn}");
        front.wait_for_failures(Environment::Blue, AttemptFailure::Tls, 1);
        assert_eq!(origin.requests(), 0, "{alpn}: it is not asked in another way");
    }
    // Nothing of the request has left: a candidate's is rescued, whatever its method.
    let (good, old) = (H2Origin::clear(), tls(&[]));
    let text = routing(
        &at(&good, "h2 = \"only\""),
        &at(&old, "ca_file = \"ca.pem\"\nh2 = \"only\""),
        "[service.shop.split]\nweight = 100\n[service.shop.guard]\ndead_candidate = false",
    );
    let front = Front::start(&text, &[("ca.pem", &certificate.pem)]);
    let posted = block_on(async { front.client().await.request(post("/"), &[Bytes::from_static(b"x")]).await });
    assert_eq!((posted.unwrap().status, old.requests()), (200, 0));
    front.wait_for_failures(Environment::Green, AttemptFailure::Tls, 1);
    // In the clear it only shows when the origin answers.
    let front = Front::start(&routing(NOBODY, NOBODY, ""), &[]);
    front.route(&routing(&format!("url = \"{}\"\nh2 = \"only\"", front.house.blue.url()), NOBODY, ""));
    assert_eq!(front.get().0, 502);
    front.wait_for_failures(Environment::Blue, AttemptFailure::Reset, 1);
}

#[test]
fn an_origin_is_trusted_by_the_authorities_of_its_file_alone() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let alpn = ["h2", "http/1.1"];
    let good = H2Origin::tls(serving(&ours.sign(&["127.0.0.1"]), &alpn, None));
    let foreign = H2Origin::tls(serving(&theirs.sign(&["127.0.0.1"]), &alpn, None));
    let own = H2Origin::tls(serving(&Certificate::of(&["127.0.0.1"]), &alpn, None));
    let misnamed = H2Origin::tls(serving(&ours.sign(&["localhost"]), &alpn, None));
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(24 * 3600);
    let expired = H2Origin::tls(serving(&ours.sign_until(&["127.0.0.1"], yesterday), &alpn, None));
    let files = [("ca.pem", ours.certificate.pem.as_str())];
    let ca = "ca_file = \"ca.pem\"";
    for (origin, lines, status) in [
        (&good, ca, 200),
        (&good, "", 502),
        (&foreign, ca, 502),
        (&own, ca, 502),
        (&misnamed, ca, 502),
        (&expired, ca, 502),
    ] {
        let front = Front::start(&routing(&at(origin, lines), NOBODY, ""), &files);
        assert_eq!(front.get().0, status);
        front.wait_for_failures(Environment::Blue, AttemptFailure::Tls, u64::from(status == 502));
    }
}

#[test]
fn a_connection_made_under_other_authorities_is_not_used_again() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for alpn in [["h2"], ["http/1.1"]] {
        let origin = H2Origin::tls(serving(&ours.sign(&["127.0.0.1"]), &alpn, None));
        let text = routing(&at(&origin, "ca_file = \"ca.pem\""), NOBODY, "");
        let front = Front::with(&text, &[("ca.pem", &ours.certificate.pem)], |settings| settings.threads = 1);
        assert_eq!((front.get().0, front.get().0), (200, 200));
        assert_eq!(origin.handshakes(), 1, "{alpn:?}: it is kept");
        let ca = front.house.dir.path().join("ca.pem");
        std::fs::write(&ca, &theirs.certificate.pem).unwrap();
        front.route(&text);
        assert_eq!(front.get().0, 502, "{alpn:?}");
        std::fs::write(&ca, &ours.certificate.pem).unwrap();
        front.route(&text);
        assert_eq!(front.get().0, 200, "{alpn:?}");
    }
}

#[test]
fn an_origin_that_asks_who_we_are_is_told() {
    let (authority, ours) = (Authority::new(), Certificate::of(&["127.0.0.1"]));
    let (known, unknown) = (authority.sign(&["proxy.test"]), Certificate::of(&["proxy.test"]));
    let files = [
        ("ca.pem", ours.pem.as_str()),
        ("known.pem", &known.pem),
        ("known.key", &known.key),
        ("unknown.pem", &unknown.pem),
        ("unknown.key", &unknown.key),
    ];
    for alpn in [["h2"], ["http/1.1"]] {
        let origin = H2Origin::tls(serving(&ours, &alpn, Some(&authority)));
        for (name, status) in [("", 502), ("unknown", 502), ("known", 200)] {
            let identity = match name {
                "" => String::new(),
                name => format!("client_cert_file = \"{name}.pem\"\nclient_key_file = \"{name}.key\""),
            };
            let lines = at(&origin, &format!("ca_file = \"ca.pem\"\n{identity}"));
            let front = Front::start(&routing(&lines, NOBODY, ""), &files);
            assert_eq!(front.get().0, status, "{alpn:?}, {name:?}");
        }
        assert_eq!((origin.client_certificates(), origin.requests()), (1, 1), "{alpn:?}");
    }
}

fn grpc(status: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status.parse().unwrap())])
}

fn call(path: &str) -> Request<()> {
    let call = Request::post(format!("https://shop.test{path}")).header("content-type", "application/grpc");
    call.header("te", "trailers").header("grpc-timeout", "5S").body(()).unwrap()
}

/// Answers with what it got, piece by piece, and ends with a status in the trailers.
async fn echo(mut exchange: Exchange) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = exchange.answer.send_response(head, false).unwrap();
    while let Some(piece) = exchange.next().await {
        let _ = stream.send_data(piece, false);
    }
    let _ = stream.send_trailers(grpc("0"));
}

#[test]
fn a_call_of_grpc_has_its_body_in_pieces_and_its_status_in_trailers() {
    let origin = H2Origin::clear();
    origin.does(|mut exchange: Exchange| async move {
        let whole = exchange.whole().await;
        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut stream = exchange.answer.send_response(head, false).unwrap();
        stream.send_data(whole.into(), false).unwrap();
        let mut trailers = grpc("5");
        trailers.insert("grpc-message", "no such thing".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
    });
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    block_on(async {
        let mut client = front.client().await;
        let pieces = [Bytes::from_static(b"one "), Bytes::from_static(b"two "), Bytes::from_static(b"three")];
        let answer = client.request(call("/shop.Orders/Get"), &pieces).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"one two three".as_slice()));
        let trailers = answer.trailers.expect("the status is in the trailers");
        assert!(trailers["grpc-status"] == "5" && trailers["grpc-message"] == "no such thing", "{trailers:?}");
    });
    let seen = origin.last();
    assert!(seen.headers["te"] == "trailers" && seen.headers["grpc-timeout"] == "5S", "{seen:?}");
    assert_eq!((seen.method.as_str(), seen.uri), ("POST", "http://shop.test/shop.Orders/Get".to_owned()));
}

#[test]
fn a_client_of_http1_gets_the_whole_body_and_no_trailers() {
    let origin = H2Origin::clear();
    origin.does(echo);
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    let mut client = front.house.client();
    for _ in 0..2 {
        let answer = client.request("POST", "/", &[], "the whole");
        assert!(
            answer.body == "the whole" && !answer.truncated && answer.header("grpc-status").is_none(),
            "{answer:?}"
        );
    }
}

#[test]
fn an_answer_that_is_all_trailers_is_one_head() {
    let origin = H2Origin::clear();
    origin.does(|mut exchange: Exchange| async move {
        let head = Response::builder().header("content-type", "application/grpc").header("grpc-status", "7");
        exchange.answer.send_response(head.body(()).unwrap(), true).unwrap();
    });
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    block_on(async {
        let mut client = front.client().await;
        for end in [true, false] {
            let (answer, mut stream) = client.open(call("/shop.Orders/Get"), end).await.unwrap();
            let answer = answer.await.unwrap();
            assert!(answer.status() == 200 && answer.headers()["grpc-status"] == "7", "{answer:?}");
            assert!(answer.headers().get("transfer-encoding").is_none(), "{answer:?}");
            let mut body = answer.into_body();
            assert!(body.data().await.is_none() && body.trailers().await.unwrap().is_none());
            let _ = stream.send_data(Bytes::new(), true);
        }
    });
}

#[test]
fn a_stream_goes_both_ways_at_once() {
    let origin = H2Origin::clear();
    origin.does(echo);
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    block_on(async {
        let mut client = front.client().await;
        let (answer, mut stream) = client.open(call("/shop.Orders/Chat"), false).await.unwrap();
        // The answer's head comes before the first message is sent, and each message's echo before the next one.
        let mut body = answer.await.unwrap().into_body();
        for message in ["first", "second", "third"] {
            stream.send_data(Bytes::from_static(message.as_bytes()), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), message);
            let _ = body.flow_control().release_capacity(message.len());
        }
        stream.send_data(Bytes::new(), true).unwrap();
        while body.data().await.is_some() {}
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
}

#[test]
fn a_large_body_goes_through_windows_that_are_smaller() {
    let origin = H2Origin::clear();
    origin.does(echo);
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    const PIECES: usize = 64;
    const PIECE: usize = 64 << 10;
    block_on(async {
        let mut client = front.client().await;
        let (answer, mut stream) = client.open(call("/shop.Orders/Chat"), false).await.unwrap();
        for at in 0..PIECES {
            stream.send_data(Bytes::from(vec![at as u8; PIECE]), at + 1 == PIECES).unwrap();
        }
        let mut body = answer.await.unwrap().into_body();
        let mut got = 0;
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap();
            assert!(piece.iter().enumerate().all(|(at, byte)| usize::from(*byte) == (got + at) / PIECE));
            got += piece.len();
            let _ = body.flow_control().release_capacity(piece.len());
        }
        assert_eq!(got, PIECES * PIECE);
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
}

#[test]
fn a_client_that_gives_up_its_stream_ends_the_origins_and_is_nobodys_failure() {
    let origin = H2Origin::clear();
    let given_up = Arc::new(AtomicU64::new(0));
    let count = given_up.clone();
    origin.does(move |mut exchange: Exchange| {
        let count = count.clone();
        async move {
            let reason = std::future::poll_fn(|cx| exchange.answer.poll_reset(cx)).await;
            assert_eq!(reason.unwrap(), Reason::CANCEL);
            count.fetch_add(1, SeqCst);
        }
    });
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    block_on(async {
        let mut client = front.client().await;
        let (answer, mut stream) = client.open(call("/slow"), true).await.unwrap();
        while origin.requests() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stream.send_reset(Reason::CANCEL);
        assert!(answer.await.is_err());
        while given_up.load(SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert_eq!(front.house.seen(Environment::Blue).failures, [0; AttemptFailure::ALL.len()]);
}

#[test]
fn a_stream_that_the_origin_has_not_looked_at_is_sent_again_whatever_its_method() {
    let body = [Bytes::from_static(b"half "), Bytes::from_static(b"and half")];
    let ask = async |client: &mut H2| {
        let got = client.get("https://shop.test/").await.unwrap();
        let posted = client.request(post("/"), &body).await.unwrap();
        [got.status, posted.status]
    };
    // RST_STREAM, once for each.
    let origin = H2Origin::clear();
    let turns = Arc::new(AtomicU64::new(0));
    let turn = turns.clone();
    origin.does(move |mut exchange: Exchange| {
        let refused = turn.fetch_add(1, SeqCst).is_multiple_of(2);
        async move {
            if refused {
                return exchange.reset(Reason::REFUSED_STREAM);
            }
            let whole = exchange.whole().await;
            exchange.say(if whole.is_empty() || whole == b"half and half" { 200 } else { 400 }, "");
        }
    });
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    block_on(async {
        assert_eq!(ask(&mut front.client().await).await, [200, 200]);
    });
    assert_eq!(turns.load(SeqCst), 4);
    // GOAWAY, with and without an error, for a stream beyond the last that it has looked at.
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let origin = H2Origin::clear();
        let text = routing(&at(&origin, "h2 = \"only\""), NOBODY, "");
        let front = Front::with(&text, &[], |settings| settings.threads = 1);
        block_on(async {
            origin.sends_away_next(reason);
            let mut client = front.client().await;
            assert_eq!(client.request(post("/"), &body).await.unwrap().status, 200, "{reason:?}");
            origin.kill_connections();
            origin.sends_away_next(reason);
            assert_eq!(client.get("https://shop.test/").await.unwrap().status, 200, "{reason:?}");
        });
        assert_eq!(front.house.seen(Environment::Blue).failures, [0; AttemptFailure::ALL.len()]);
    }
}

#[test]
fn a_candidate_that_refuses_every_stream_is_rescued_even_from_posts() {
    let (blue, green) = (H2Origin::clear(), H2Origin::clear());
    green.does(|exchange: Exchange| async move { exchange.reset(Reason::REFUSED_STREAM) });
    let split = "[service.shop.split]\nweight = 100\n[service.shop.guard]\ndead_candidate = false";
    let front = Front::start(&routing(&at(&blue, "h2 = \"only\""), &at(&green, "h2 = \"only\""), split), &[]);
    block_on(async {
        let mut client = front.client().await;
        assert_eq!(client.get("https://shop.test/").await.unwrap().status, 200);
        assert_eq!(client.request(post("/"), &[Bytes::from_static(b"body")]).await.unwrap().status, 200);
    });
    assert_eq!((blue.requests(), green.requests()), (2, 6), "three tries each, then the rescue");
    front.wait_for_failures(Environment::Green, AttemptFailure::Reset, 2);
}

#[test]
fn a_candidate_that_resets_every_stream_is_rolled_back_and_no_client_sees_it() {
    let (blue, green) = (H2Origin::clear(), H2Origin::clear());
    green.does(|exchange: Exchange| async move { exchange.reset(Reason::INTERNAL_ERROR) });
    let split = "[service.shop.split]\nweight = 50";
    let front = Front::start(&routing(&at(&blue, "h2 = \"only\""), &at(&green, "h2 = \"only\""), split), &[]);
    block_on(async {
        let mut client = front.client().await;
        let mut asked = 0;
        while front.house.weight() > 0 {
            assert_eq!(client.get("https://shop.test/").await.unwrap().status, 200, "after {asked}");
            asked += 1;
            // A verdict takes 0.15 s of failures, however many they are, and a side without a past allows 100 rescues.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = green.requests();
        assert!(before > 0);
        for _ in 0..20 {
            assert_eq!(client.get("https://shop.test/").await.unwrap().status, 200);
        }
        assert_eq!(green.requests(), before, "nobody goes there any more");
    });
    wait_until("the rollback is in the journal", SOON, || front.house.find(ChangeKind::Rollback).is_some());
}

#[test]
fn an_answer_that_breaks_off_is_a_reset_stream_and_the_environments_failure() {
    let origin = H2Origin::clear();
    origin.does(|mut exchange: Exchange| async move {
        if exchange.request.uri().path() == "/whole" {
            return exchange.say(200, "whole");
        }
        let head = Response::builder().body(()).unwrap();
        let mut stream = exchange.answer.send_response(head, false).unwrap();
        stream.send_data(Bytes::from_static(b"half of it"), false).unwrap();
        // Goes on until its connection is gone.
        let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
    });
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    block_on(async {
        let mut client = front.client().await;
        let (answer, _stream) = client.open(Request::get("https://shop.test/").body(()).unwrap(), true).await.unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "half of it");
        origin.kill_connections();
        let end = body.data().await.expect("no clean end").unwrap_err();
        assert!(end.is_reset(), "{end}");
        assert_eq!(client.get("https://shop.test/whole").await.unwrap().body, b"whole", "the connection goes on");
    });
    front.wait_for_failures(Environment::Blue, AttemptFailure::Truncated, 1);
    // And over HTTP/1.1 the last chunk never comes.
    let front = Front::start(&routing(&at(&origin, "h2 = \"only\""), NOBODY, ""), &[]);
    let mut client = front.house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    client.wait_for("half of it");
    origin.kill_connections();
    assert!(client.answer().truncated);
    front.wait_for_failures(Environment::Blue, AttemptFailure::Truncated, 1);
}

#[test]
fn an_http1_origin_that_breaks_off_is_a_reset_stream_too() {
    let front = Front::start(&routing(NOBODY, NOBODY, ""), &[]);
    front.route(&routing(&format!("url = \"{}\"", front.house.blue.url()), NOBODY, ""));
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        front.house.blue.always(Do::RawAndClose(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nhalf\r\n")));
        block_on(async {
            let broken = front.client().await.get("https://shop.test/").await.unwrap_err();
            assert!(broken.is_reset(), "{head}: {broken}");
        });
    }
    front.wait_for_failures(Environment::Blue, AttemptFailure::Truncated, 2);
}

#[test]
fn three_hundred_requests_at_once_are_all_answered() {
    let certificate = Certificate::of(&["127.0.0.1"]);
    let origin = H2Origin::tls(serving(&certificate, &["h2"], None));
    // All of them are there before any is answered.
    let all = Arc::new(tokio::sync::Barrier::new(300));
    origin.does(move |mut exchange: Exchange| {
        let all = all.clone();
        async move {
            let body = exchange.whole().await;
            all.wait().await;
            exchange.say(200, body);
        }
    });
    let lines = at(&origin, "h2 = \"only\"\nca_file = \"ca.pem\"");
    let front = Front::start(&routing(&lines, NOBODY, ""), &[("ca.pem", &certificate.pem)]);
    block_on(async {
        // A connection takes a hundred streams at once.
        let mut tasks = tokio::task::JoinSet::new();
        for connection in 0..3 {
            let client = front.client().await;
            for at in 0..100 {
                let (mut client, body) = (client.clone(), format!("{connection} {at}"));
                tasks.spawn(async move {
                    let answer = client.request(post("/"), &[Bytes::from(body.clone())]).await.unwrap();
                    assert_eq!((answer.status, answer.body.as_slice()), (200, body.as_bytes()));
                });
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
    assert_eq!(origin.requests(), 300);
}

#[test]
fn requests_at_once_share_a_connection_that_is_there() {
    let origin = H2Origin::clear();
    let text = routing(&at(&origin, "h2 = \"only\""), NOBODY, "");
    let front = Front::with(&text, &[], |settings| settings.threads = 1);
    block_on(async {
        let client = front.client().await;
        assert_eq!(client.clone().get("https://shop.test/").await.unwrap().status, 200);
        let all = Arc::new(tokio::sync::Barrier::new(90));
        origin.does(move |mut exchange: Exchange| {
            let all = all.clone();
            async move {
                all.wait().await;
                exchange.say(200, "");
            }
        });
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..90 {
            let mut client = client.clone();
            tasks.spawn(async move { client.get("https://shop.test/").await.unwrap().status });
        }
        while let Some(done) = tasks.join_next().await {
            assert_eq!(done.unwrap(), 200);
        }
    });
    assert_eq!((origin.requests(), origin.connections()), (91, 1));
}

#[test]
fn a_connection_that_takes_no_more_streams_fails_no_request() {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let origin = H2Origin::clear();
        // Its first stream stays open; then it says that it takes no more.
        origin.goes_after_first(reason);
        let text = routing(&at(&origin, "h2 = \"only\""), NOBODY, "");
        let front = Front::with(&text, &[], |settings| settings.threads = 1);
        block_on(async {
            let mut client = front.client().await;
            let (_open, _stream) = client.open(call("/open"), false).await.unwrap();
            origin.gone().await;
            for _ in 0..5 {
                assert_eq!(client.request(post("/"), &[Bytes::from_static(b"x")]).await.unwrap().status, 200);
            }
        });
        assert_eq!(front.house.seen(Environment::Blue).failures, [0; AttemptFailure::ALL.len()], "{reason:?}");
    }
}

#[test]
fn a_refused_stream_leaves_the_others_of_its_connection_alone() {
    let origin = H2Origin::clear();
    origin.does(echo);
    let service = "hosts = [\"shop.test\"]\nmax_body = 1000";
    let limits = ClientLimits { connections_per_address: 0, header_fields: 20, ..ClientLimits::default() };
    let text = routing(&at(&origin, "h2 = \"only\""), NOBODY, service);
    let front = Front::with(&text, &[], |settings| settings.limits = limits);
    block_on(async {
        let mut client = front.client().await;
        let (answer, mut stream) = client.open(call("/shop.Orders/Chat"), false).await.unwrap();
        let mut open = answer.await.unwrap().into_body();
        let announced = Request::post("https://shop.test/").header("content-length", "2000").body(()).unwrap();
        let too_large = [Bytes::from(vec![b'x'; 2000])];
        let mut fields = Request::get("https://shop.test/");
        for at in 0..30 {
            fields = fields.header(format!("x-{at}"), "y");
        }
        let long = Request::get("https://shop.test/").header("x-long", "l".repeat(70 << 10)).body(()).unwrap();
        for (request, body, status) in [
            (announced, too_large.as_slice(), 413),
            (Request::get("https://other.test/").body(()).unwrap(), &[], 404),
            (fields.body(()).unwrap(), &[], 431),
            (long, &[], 431),
            (Request::get("https://shop.test/a%00b").body(()).unwrap(), &[], 400),
        ] {
            let what = format!("{request:?}").chars().take(200).collect::<String>();
            let (answer, mut sending) = client.open(request, body.is_empty()).await.unwrap();
            for piece in body {
                let _ = sending.send_data(piece.clone(), true);
            }
            assert_eq!(answer.await.unwrap().status().as_u16(), status, "{what}");
            stream.send_data(Bytes::from_static(b"still here"), false).unwrap();
            assert_eq!(open.data().await.unwrap().unwrap(), "still here", "after {what}");
        }
        // One that did not say how much it would send.
        let (answer, mut sending) = client.open(post("/"), false).await.unwrap();
        sending.send_data(Bytes::from(vec![b'x'; 2000]), false).unwrap();
        let end = answer.await.map(|answer| answer.status().as_u16());
        assert!(matches!(end, Ok(413)) || end.is_err(), "{end:?}");
        stream.send_data(Bytes::from_static(b"and now"), true).unwrap();
        assert_eq!(open.data().await.unwrap().unwrap(), "and now");
        while open.data().await.is_some() {}
        assert_eq!(open.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
    for (reason, count) in
        [("body_too_large", 2), ("unknown_host", 1), ("many_fields", 1), ("bad_path", 1), ("large_head", 1)]
    {
        assert_eq!(front.house.refused(reason), count, "{reason}");
    }
}
