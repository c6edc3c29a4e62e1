//! TLS and HTTP/2 for clients: certificates by name, their rotation, redirects, handshakes that do not end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use config::{CertificateFiles, ClientLimits, ProxyProtocol, TlsListener};
use judgement::time::Millis;

use crate::support::client::get;
use crate::support::house::House;
use crate::support::origin::Do;
use crate::support::tls::{self, Certificate, H2, trusting};
use crate::support::{SOON, wait_until};
use crate::traps;

/// Has a client of its own talk HTTP/2 to the house.
fn over_http2<T>(house: &House, certificate: &Certificate, talk: impl AsyncFnOnce(&mut H2) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = trusting(&[certificate], &["h2"]);
        let mut client = H2::connect(tls_address(house), "shop.test", &config).await.unwrap();
        talk(&mut client).await
    })
}

/// A house with a TLS listener whose certificates are `first` and then `more`.
pub fn house(first: &Certificate, more: &[(&str, &Certificate)], limits: ClientLimits) -> House {
    House::with("weight = 0", "", |settings| {
        let dir = settings.state.parent().unwrap().to_owned();
        first.write(&dir, "first");
        more.iter().for_each(|(name, certificate)| certificate.write(&dir, name));
        let files = |name: &str| CertificateFiles {
            cert: dir.join(format!("{name}.pem")),
            key: dir.join(format!("{name}.key")),
        };
        let certificates = std::iter::once("first").chain(more.iter().map(|(name, _)| *name)).map(files).collect();
        settings.tls = vec![TlsListener {
            listen: "127.0.0.1:0".parse().unwrap(),
            proxy_protocol: ProxyProtocol::Off,
            http2: true,
            certificates,
            acme: false,
        }];
        settings.limits = ClientLimits { connections_per_address: 0, ..limits };
    })
}

fn tls_address(house: &House) -> SocketAddr {
    house.running.tls_addresses[0]
}

#[test]
fn a_client_gets_the_certificate_that_names_its_host() {
    let first = Certificate::of(&["first.test"]);
    let shop = Certificate::of(&["shop.test", "*.shop.test"]);
    let house = house(&first, &[("shop", &shop)], ClientLimits::default());
    let only = |certificate: &Certificate| trusting(&[certificate], &[]);
    for (name, certificate) in
        [("first.test", &first), ("shop.test", &shop), ("SHOP.test", &shop), ("api.shop.test", &shop)]
    {
        let answer = tls::get(tls_address(&house), name, &only(certificate)).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "blue"), "{name}");
        assert_eq!(house.blue.last().header("x-forwarded-proto"), Some("https"));
    }
    // One label only, and a name that nobody has gets the first.
    for name in ["a.b.shop.test", "other.test"] {
        let refused = tls::get(tls_address(&house), name, &only(&shop)).unwrap_err();
        assert!(refused.contains("certificate"), "{name}: {refused}");
    }
}

#[test]
fn certificates_are_read_again_without_a_failed_handshake() {
    let old = Certificate::of(&["shop.test"]);
    let new = Certificate::of(&["shop.test"]);
    let house = house(&old, &[], ClientLimits::default());
    let address = tls_address(&house);
    let both = trusting(&[&old, &new], &[]);
    let stop = Arc::new(AtomicBool::new(false));
    let handshakes = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (both, stop, handshakes) = (both.clone(), stop.clone(), handshakes.clone());
            std::thread::spawn(move || {
                while !stop.load(SeqCst) {
                    assert_eq!(tls::get(address, "shop.test", &both).unwrap().status, 200);
                    handshakes.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    wait_until("clients come", SOON, || handshakes.load(SeqCst) > 20);
    // The certificate first: for a while the pair does not fit, and the old one goes on.
    std::fs::write(house.dir.path().join("first.pem"), &new.pem).unwrap();
    let seen = handshakes.load(SeqCst);
    wait_until("half of the pair was looked at", SOON, || handshakes.load(SeqCst) > seen + 50);
    std::fs::write(house.dir.path().join("first.key"), &new.key).unwrap();
    wait_until("the new one answers", SOON, || tls::get(address, "shop.test", &trusting(&[&new], &[])).is_ok());
    std::fs::write(house.dir.path().join("first.pem"), "no certificate").unwrap();
    let seen = handshakes.load(SeqCst);
    wait_until("garbage changes nothing", SOON, || handshakes.load(SeqCst) > seen + 50);
    stop.store(true, SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(house.metrics().contains("cutover_certificate_end_seconds{cert_file="));
}

#[test]
fn files_that_are_no_certificate_are_refused_at_the_start() {
    let good = Certificate::of(&["shop.test"]);
    let other = Certificate::of(&["shop.test"]);
    for (cert, key, words) in [
        ("", good.key.as_str(), "first.pem"),
        (good.pem.as_str(), "no key", "first.key"),
        (good.pem.as_str(), other.key.as_str(), "does not match"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("first.pem"), cert).unwrap();
        std::fs::write(dir.path().join("first.key"), key).unwrap();
        std::fs::write(
            dir.path().join("routing.toml"),
            crate::support::house::shop("http://127.0.0.1:1", "http://127.0.0.1:2", "", ""),
        )
        .unwrap();
        let mut settings = crate::support::house::settings(dir.path());
        let certificates =
            vec![CertificateFiles { cert: dir.path().join("first.pem"), key: dir.path().join("first.key") }];
        settings.tls = vec![TlsListener {
            listen: "127.0.0.1:0".parse().unwrap(),
            proxy_protocol: ProxyProtocol::Off,
            http2: true,
            certificates,
            acme: false,
        }];
        let refused = cutover::serve::start(&settings).unwrap_err().to_string();
        assert!(refused.contains(words) && refused.contains("cannot listen with TLS"), "{refused}");
    }
}

#[test]
fn http2_is_agreed_on_and_http1_is_left_to_who_wants_it() {
    let certificate = Certificate::of(&["shop.test"]);
    let house = house(&certificate, &[], ClientLimits::default());
    let answer =
        over_http2(&house, &certificate, async |client| client.get("https://shop.test/path?query").await.unwrap());
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"blue".as_slice()));
    let seen = house.blue.last();
    assert_eq!(seen.line(), "GET /path?query HTTP/1.1");
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.test"));
    let old = tls::get(tls_address(&house), "shop.test", &trusting(&[&certificate], &["http/1.1"])).unwrap();
    assert_eq!(old.status, 200);
}

#[test]
fn cookie_crumbs_of_http2_are_one_line_for_the_origin() {
    let certificate = Certificate::of(&["shop.test"]);
    let house = house(&certificate, &[], ClientLimits::default());
    over_http2(&house, &certificate, async |client| {
        let request = http::Request::get("https://shop.test/").header("cookie", "a=1").header("cookie", "b=2");
        assert_eq!(client.request(request.body(()).unwrap(), &[]).await.unwrap().status, 200);
    });
    assert_eq!(house.blue.last().header("cookie"), Some("a=1; b=2"));
}

#[test]
fn what_belongs_to_the_origins_connection_does_not_break_an_answer_over_http2() {
    let certificate = Certificate::of(&["shop.test"]);
    let house = house(&certificate, &[], ClientLimits::default());
    house.blue.always(Do::Raw(traps::HOPS.to_owned()));
    over_http2(&house, &certificate, async |client| {
        let request = http::Request::get("https://shop.test/").body(()).unwrap();
        let answer = client.open(request, true).await.unwrap().0.await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-stays"]), (200, &"yes".parse().unwrap()));
        let left = traps::HOP_NAMES.iter().filter(|name| answer.headers().contains_key(**name)).count();
        assert!(left == 0 && !answer.headers().contains_key("connection"), "{answer:?}");
    });
}

#[test]
fn http2_has_the_same_methods_and_the_same_empty_bodies() {
    let certificate = Certificate::of(&["shop.test"]);
    let house = house(&certificate, &[], ClientLimits::default());
    over_http2(&house, &certificate, async |client| {
        let mut ask = async |method: &str, forwards: &str| {
            let request = http::Request::builder().method(method).uri("https://shop.test/");
            let request = request.header("max-forwards", forwards).body(()).unwrap();
            let answer = client.open(request, true).await.unwrap().0.await.unwrap();
            (answer.status().as_u16(), answer.headers().contains_key("allow"))
        };
        assert_eq!(ask("TRACE", "5").await, (405, true));
        assert_eq!(ask("OPTIONS", "0").await, (200, true));
        assert_eq!(ask("OPTIONS", "none").await, (400, false));
        assert_eq!(house.blue.requests(), 0);
        assert_eq!(ask("OPTIONS", "3").await, (200, false));
        assert_eq!(house.blue.last().header("max-forwards"), Some("2"));
        for (method, length) in [("POST", Some("0")), ("GET", None)] {
            assert_eq!(ask(method, "3").await.0, 200);
            let seen = house.blue.last();
            assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (length, None), "{method}");
        }
    });
    assert_eq!((house.refused("method"), house.refused("field")), (1, 1));
}

#[test]
fn a_get_that_ends_in_a_frame_of_its_own_has_no_body() {
    let certificate = Certificate::of(&["shop.test"]);
    let house = house(&certificate, &[], ClientLimits::default());
    over_http2(&house, &certificate, async |client| {
        let request =
            |method: &str| http::Request::builder().method(method).uri("https://shop.test/").body(()).unwrap();
        for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
            assert_eq!(client.request(request(method), &[Bytes::new()]).await.unwrap().status, 200);
            let seen = house.blue.last();
            assert_eq!((seen.header("transfer-encoding"), seen.body.len()), (None, 0), "{method}");
        }
        // One that has a body has all of it, in order.
        for pieces in [&["all"][..], &["first ", "second ", "third"], &["", "after nothing"]] {
            let body: Vec<Bytes> = pieces.iter().map(|piece| Bytes::from(*piece)).collect();
            assert_eq!(client.request(request("DELETE"), &body).await.unwrap().status, 200);
            let seen = house.blue.last();
            assert_eq!(seen.header("transfer-encoding"), Some("chunked"), "{pieces:?}");
            assert_eq!(unchunked(&seen.body), pieces.concat());
        }
        // One that leaves it open is forwarded after a while, on a connection of its own.
        house
            .blue
            .always(Do::RawAndClose("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()));
        client.get("https://shop.test/").await.unwrap();
        let connections = house.blue.connections();
        let (answer, mut stream) = client.open(request("GET"), false).await.unwrap();
        wait_until("it is forwarded", SOON, || house.blue.connections() > connections);
        stream.send_data(Bytes::from("late"), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        assert_eq!(unchunked(&house.blue.last().body), "late");
        // One that is given up before that is not.
        let asked = house.blue.requests();
        let (answer, mut stream) = client.open(request("GET"), false).await.unwrap();
        stream.send_reset(h2::Reason::CANCEL);
        assert!(answer.await.is_err());
        assert_eq!(client.get("https://shop.test/").await.unwrap().status, 200);
        assert_eq!(house.blue.requests(), asked + 1);
    });
}

/// The body that is in these chunks.
fn unchunked(mut chunks: &[u8]) -> String {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return String::from_utf8(body).unwrap();
        }
        body.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 4 + size..];
    }
}

#[test]
fn too_large_a_body_over_http2_gets_its_413_and_no_reset() {
    let certificate = Certificate::of(&["shop.test"]);
    let house = house(&certificate, &[], ClientLimits::default());
    house.set("max_body = 1000");
    over_http2(&house, &certificate, async |client| {
        let block = bytes::Bytes::from(vec![b'x'; 16 << 10]);
        for says_its_length in [true, false] {
            let mut request = http::Request::post("https://shop.test/");
            if says_its_length {
                request = request.header("content-length", (block.len() * 12).to_string());
            }
            let body = vec![block.clone(); 12];
            let answer = client.request(request.body(()).unwrap(), &body).await.unwrap();
            assert_eq!(answer.status, 413);
            assert!(answer.body.starts_with(b"413 "));
        }
    });
    assert_eq!(house.refused("body_too_large"), 2);
}

#[test]
fn too_large_a_head_over_http2_gets_its_431_and_is_counted() {
    let certificate = Certificate::of(&["shop.test"]);
    let house = house(&certificate, &[], ClientLimits::default());
    let of_bytes = |bytes: usize, lines: usize| {
        let request = http::Request::get("https://shop.test/");
        let value = "x".repeat(bytes / lines);
        (0..lines).fold(request, |request, at| request.header(format!("x-{at}"), &value)).body(()).unwrap()
    };
    over_http2(&house, &certificate, async |client| {
        for (at, (bytes, lines)) in [(70_000, 1), (70_000, 50), (120_000, 2)].into_iter().enumerate() {
            assert_eq!(client.request(of_bytes(60_000, lines), &[]).await.unwrap().status, 200);
            let answer = client.request(of_bytes(bytes, lines), &[]).await.unwrap();
            assert_eq!(answer.status, 431, "{bytes} bytes in {lines} lines");
            assert!(answer.body.starts_with(b"431 "), "{answer:?}");
            assert_eq!(house.refused("large_head"), at as u64 + 1);
        }
        // Beyond that the library has the word: an answer or an end, and nothing reaches an origin.
        let before = house.blue.requests();
        let answer = client.request(of_bytes(200_000, 2), &[]).await;
        assert!(answer.is_err() || answer.as_ref().is_ok_and(|answer| answer.status == 431), "{answer:?}");
        assert_eq!(house.blue.requests(), before);
    });
}

#[test]
fn a_cookie_that_pins_a_client_stays_on_https_where_it_was_set() {
    let certificate = Certificate::of(&["shop.test"]);
    let house = house(&certificate, &[], ClientLimits::default());
    house.write("weight = 50\nsticky = { cookie = \"side\" }", "");
    house.wait_for_weight(5000);
    let pinned = tls::get(tls_address(&house), "shop.test", &trusting(&[&certificate], &[])).unwrap();
    assert!(pinned.header("set-cookie").unwrap().ends_with("; Secure"));
    assert!(!get(house.address(), "/", &[]).header("set-cookie").unwrap().contains("Secure"));
}

#[test]
fn a_handshake_that_does_not_end_is_ended_and_plain_words_are_no_handshake() {
    let certificate = Certificate::of(&["shop.test"]);
    let limits = ClientLimits { tls_handshake: Millis(200), ..ClientLimits::default() };
    let house = house(&certificate, &[], limits);
    let mut silent = TcpStream::connect(tls_address(&house)).unwrap();
    silent.set_read_timeout(Some(SOON)).unwrap();
    assert!(matches!(silent.read(&mut [0; 16]), Ok(0)), "closed");
    wait_until("it is counted", SOON, || house.refused("tls_handshake") == 1);
    let mut plain = TcpStream::connect(tls_address(&house)).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").unwrap();
    wait_until("it is counted", SOON, || house.refused("tls_handshake") == 2);
}

#[test]
fn http2_that_says_nothing_after_its_handshake_is_closed() {
    let certificate = Certificate::of(&["shop.test"]);
    let limits = ClientLimits { header_time: Millis(200), keep_alive: Millis(300), ..ClientLimits::default() };
    let house = house(&certificate, &[], limits);
    let config = trusting(&[&certificate], &["h2"]);
    let mut silent = tls::connect(tls_address(&house), "shop.test", &config).unwrap();
    assert_eq!(silent.conn.alpn_protocol(), Some(b"h2".as_slice()));
    let ended = silent.read_to_end(&mut Vec::new());
    assert!(!matches!(&ended, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "it stays open");
    // And one that has spoken, and has nothing more to say.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = H2::connect(tls_address(&house), "shop.test", &config).await.unwrap();
        assert_eq!(client.get("https://shop.test/").await.unwrap().status, 200);
        let gone = async {
            while client.get("https://shop.test/").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(900)).await;
            }
        };
        tokio::time::timeout(SOON, gone).await.expect("an idle connection is closed");
    });
}

#[test]
fn plain_listeners_send_clients_to_https_if_they_are_told_to() {
    let house = House::with("weight = 0", "", |settings| {
        settings.redirect_to_https = Some(443);
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let answer = get(house.address(), "/a?b=c", &["Host: shop.test:8080"]);
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://shop.test/a?b=c")));
    let behind = get(house.address(), "/", &["X-Forwarded-Proto: https"]);
    assert_eq!(behind.status, 200, "a trusted proxy has taken it by https");
    assert_eq!(house.blue.requests(), 1);
}

#[test]
fn what_came_by_https_to_a_trusted_proxy_is_not_sent_to_https_again() {
    let house = House::with("weight = 50\nsticky = { cookie = \"side\" }", "", |settings| {
        settings.redirect_to_https = Some(443);
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    for lines in [
        &["X-Forwarded-Proto: HTTPS"][..],
        &["X-Forwarded-Proto: https, http"],
        &["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"],
        &["X-Forwarded-Proto: wss"],
        &["Forwarded: for=192.0.2.1;proto=https"],
        &["X-Forwarded-Ssl: on"],
        &["Front-End-Https: on"],
        &["CloudFront-Forwarded-Proto: https"],
        &["Cf-Visitor: {\"scheme\":\"https\"}"],
    ] {
        let before = (house.blue.requests(), house.green.requests());
        let answer = get(house.address(), "/", lines);
        assert_eq!(answer.status, 200, "{lines:?}");
        assert!(answer.header("set-cookie").unwrap().ends_with("; Secure"), "{lines:?}: {}", answer.head);
        let served = if house.blue.requests() > before.0 { &house.blue } else { &house.green };
        assert_eq!(served.last().header("x-forwarded-proto"), Some("https"), "{lines:?}");
    }
    for lines in [
        &["X-Forwarded-Proto: http"][..],
        &["X-Forwarded-Proto: http", "X-Forwarded-Ssl: on"],
        &["X-Forwarded-Proto: ws"],
        &["Forwarded: for=192.0.2.1;proto=http"],
        &["X-Forwarded-Ssl: off"],
        &["X-Forwarded-Port: 443"],
        &[],
    ] {
        assert_eq!(get(house.address(), "/", lines).status, 308, "{lines:?}");
    }
}

#[test]
fn a_client_that_is_no_trusted_proxy_is_sent_to_https_whatever_it_says() {
    let house = House::with("weight = 0", "", |settings| settings.redirect_to_https = Some(443));
    for line in ["X-Forwarded-Proto: https", "Forwarded: proto=https", "X-Forwarded-Ssl: on", "Front-End-Https: on"] {
        assert_eq!(get(house.address(), "/", &[line]).status, 308, "{line}");
    }
}

#[test]
fn a_flood_of_given_up_streams_ends_its_connection() {
    let certificate = Certificate::of(&["shop.test"]);
    let house = house(&certificate, &[], ClientLimits::default());
    house.blue.always(Do::Hang);
    let config = trusting(&[&certificate], &["h2"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(tls_address(&house)).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("shop.test").unwrap();
        let tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
        let (send, connection) = h2::client::handshake(tls).await.unwrap();
        let driven = tokio::spawn(connection);
        let mut given_up = 0;
        let flood = async {
            while let Ok(mut ready) = send.clone().ready().await {
                let request = http::Request::get("https://shop.test/").body(()).unwrap();
                let Ok((answer, mut stream)) = ready.send_request(request, true) else { break };
                stream.send_reset(h2::Reason::CANCEL);
                drop((answer, stream));
                given_up += 1;
                // Slower than what HTTP/2 itself calls a flood.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(SOON, flood).await.expect("the connection is ended");
        assert!(given_up >= 20, "{given_up}");
        let _ = driven.await;
        drop(send);
    });
    assert_eq!(get(house.running.admin, "/livez", &[]).status, 200);
}
