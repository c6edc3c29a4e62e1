//! The PROXY protocol: who may send a header, what it makes of a connection, and what becomes of one that is none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{ClientLimits, MainConfig, PlainListener, ProxyProtocol};
use judgement::time::Millis;
use relay::access::{AccessLog, LogFormat, LogTarget, SampleRate};
use serde_json::Value;

use crate::support::client::{Client, get};
use crate::support::front::{Front, routing};
use crate::support::house::House;
use crate::support::origin::Origin;
use crate::support::tls::{Certificate, H2};
use crate::support::{SOON, wait_until};

const CLIENT: [u8; 4] = [203, 0, 113, 7];
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
/// A rule by the client's address.
const TESTERS: &str = "[[service.shop.rule]]\nname = \"testers\"\nclient_address = [\"203.0.113.0/24\", \"2001:db8::/32\"]\n\
                       to = \"green\"\noverride = true\n";

/// A house that takes 127.0.0.1 for a load balancer, and no other address of this host.
fn house(protocol: ProxyProtocol, change: impl FnOnce(&mut MainConfig)) -> House {
    House::with("weight = 0", TESTERS, |settings| {
        settings.listen[0].proxy_protocol = protocol;
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap(), "198.51.100.0/24".parse().unwrap()];
        change(settings);
    })
}

fn required() -> House {
    house(ProxyProtocol::Required, |_| {})
}

fn text(source: &str) -> String {
    let family = if source.contains(':') { ("TCP6", "2001:db8::1") } else { ("TCP4", "192.0.2.1") };
    format!("PROXY {} {source} {} 56324 80\r\n", family.0, family.1)
}

/// A header of version 2 with this command, from this client, with these fields.
fn binary(command: u8, source: [u8; 4], fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut rest = [&source[..], &[192, 0, 2, 1, 0xDC, 4, 0, 80]].concat();
    for (kind, value) in fields {
        rest.push(*kind);
        rest.extend((value.len() as u16).to_be_bytes());
        rest.extend_from_slice(value);
    }
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, 0x11]);
    header.extend((rest.len() as u16).to_be_bytes());
    header.extend(rest);
    header
}

fn proxied(fields: &[(u8, &[u8])]) -> Vec<u8> {
    binary(0x21, CLIENT, fields)
}

/// A connection that begins with these bytes.
fn after(house: &House, header: impl AsRef<[u8]>) -> Client {
    let mut client = house.client();
    client.send(header);
    client
}

#[test]
fn the_client_is_who_the_header_names_in_all_that_is_said_and_decided() {
    let house = house(ProxyProtocol::Required, |settings| {
        settings.hop.forwarded = true;
        let target = LogTarget::File(settings.state.with_file_name("access.log"));
        settings.access_log = Some(AccessLog { target, format: LogFormat::Json, sample: SampleRate::ALL });
    });
    let six = "2001:db8::7";
    for (at, (header, source, element)) in [
        (text("203.0.113.7").into_bytes(), "203.0.113.7", "for=203.0.113.7;"),
        (proxied(&[(4, b"padding")]), "203.0.113.7", "for=203.0.113.7;"),
        (text(six).into_bytes(), six, "for=\"[2001:db8::7]\";"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = after(&house, &header);
        for _ in 0..2 {
            let forged = ["X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6", "X-Forwarded-Proto: https"];
            assert_eq!(client.get("/", &forged).body, "green", "the rule by the client's address");
            let request = house.green.last();
            assert_eq!(request.header("x-forwarded-for"), Some(source));
            assert_eq!(request.header("x-real-ip"), Some(source));
            assert_eq!(request.header("x-forwarded-proto"), Some("http"));
            assert!(request.header("forwarded").unwrap().starts_with(element), "{:?}", request.header("forwarded"));
        }
        let log = house.dir.path().join("access.log");
        let read = || std::fs::read_to_string(&log).unwrap_or_default();
        wait_until("the lines are written", SOON, || read().lines().count() == 2 * (at + 1));
        let line: Value = serde_json::from_str(read().lines().last().unwrap()).unwrap();
        assert_eq!((line["client"].as_str(), line["peer"].as_str()), (Some(source), Some(source)));
    }
}

#[test]
fn an_address_that_is_trusted_itself_is_believed_what_it_forwards() {
    let house = required();
    let mut client = after(&house, text("198.51.100.9"));
    assert_eq!(client.get("/", &["X-Forwarded-For: 203.0.113.8", "X-Forwarded-Proto: https"]).body, "green");
    let request = house.green.last();
    assert_eq!(request.header("x-forwarded-for"), Some("203.0.113.8, 198.51.100.9"));
    assert_eq!(
        (request.header("x-real-ip"), request.header("x-forwarded-proto")),
        (Some("203.0.113.8"), Some("https"))
    );
}

#[test]
fn a_header_may_come_with_the_request_or_byte_by_byte() {
    let house = required();
    for header in [text("203.0.113.7").into_bytes(), proxied(&[(2, b"shop.test")])] {
        let whole = [&header[..], REQUEST.as_bytes(), REQUEST.as_bytes()].concat();
        let mut client = after(&house, &whole);
        assert_eq!((client.answer().body, client.answer().body), ("green".to_owned(), "green".to_owned()));
        let mut client = house.client();
        for byte in whole {
            client.send([byte]);
            // So that most of them are looked at alone.
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((client.answer().body, client.answer().body), ("green".to_owned(), "green".to_owned()));
    }
    assert_eq!((house.green.requests(), house.refused("proxy_header")), (8, 0));
}

#[test]
fn a_probe_of_the_balancer_is_its_own() {
    let house = required();
    for header in [binary(0x20, CLIENT, &[]), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec()] {
        assert_eq!(after(&house, &header).get("/", &[]).body, "blue", "{}", header.escape_ascii());
        assert_eq!(house.blue.last().header("x-forwarded-for"), Some("127.0.0.1"));
        // What it says itself is believed, as from any of `trusted_proxies`.
        assert_eq!(after(&house, &header).get("/", &["X-Forwarded-For: 203.0.113.8"]).body, "green");
        assert_eq!(house.green.last().header("x-forwarded-for"), Some("203.0.113.8, 127.0.0.1"));
    }
    // A balancer that only connects has nothing to say, and nothing is said of it.
    house.client().finish_sending();
    drop(house.client());
    assert_eq!(after(&house, text("203.0.113.7")).get("/", &[]).body, "green");
    assert_eq!((house.refused("proxy_header"), house.refused("too_slow")), (0, 0));
}

#[test]
fn a_client_that_the_balancer_cannot_name_is_not_believed_what_it_forwards() {
    let house = house(ProxyProtocol::Required, |settings| settings.hop.forwarded = true);
    let forged = ["X-Forwarded-For: 203.0.113.8", "X-Forwarded-Proto: https", "X-Request-Id: mine", "Forwarded: for=a"];
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 203.0.113.7 192.0.2.1 1 2\r\n".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0".to_vec(),
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xD8"[..], &[b'/'; 216]].concat(),
    ] {
        let mut client = after(&house, &header);
        for _ in 0..2 {
            // By its X-Forwarded-For it would be one of the testers.
            assert_eq!(client.get("/", &forged).body, "blue", "{}", header.escape_ascii());
            let request = house.blue.last();
            assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
            assert_eq!(request.header("x-forwarded-proto"), Some("http"));
            assert_ne!(request.header("x-request-id"), Some("mine"));
            assert!(request.header("forwarded").unwrap().starts_with("for=127.0.0.1;"));
        }
    }
}

#[test]
fn where_a_header_is_required_nothing_else_is_served() {
    let house = required();
    let long_line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).into_bytes();
    let mut wrong_sum = proxied(&[(3, &[1, 2, 3, 4])]);
    let long = proxied(&[(4, &[0; 1200])]);
    wrong_sum.extend_from_slice(REQUEST.as_bytes());
    let all = [
        REQUEST.as_bytes().to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03".to_vec(),
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 80\n".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0".to_vec(),
        long_line,
        wrong_sum,
        long,
    ];
    for (at, bytes) in all.iter().enumerate() {
        let (got, _) = after(&house, bytes).rest();
        assert_eq!(got, "", "{}", bytes.escape_ascii());
        assert_eq!(house.refused("proxy_header"), at as u64 + 1, "{}", bytes.escape_ascii());
    }
    let cut_short = after(&house, "PROXY TCP4 203.0");
    cut_short.finish_sending();
    wait_until("a header that breaks off is refused", SOON, || house.refused("proxy_header") == all.len() as u64 + 1);
    // Whoever is not a trusted proxy may say what it wants.
    for bytes in [text("203.0.113.7") + REQUEST, REQUEST.to_owned()] {
        let mut client = Client::from_to("127.0.0.2", house.address());
        client.try_send(&bytes);
        assert_eq!(client.rest().0, "");
    }
    assert_eq!(house.refused("untrusted_proxy"), 2);
    assert_eq!((house.blue.requests(), house.green.requests()), (0, 0));
}

#[test]
fn where_a_header_is_optional_only_trusted_proxies_may_send_one() {
    let house = house(ProxyProtocol::Optional, |_| {});
    assert_eq!(after(&house, proxied(&[])).get("/", &[]).body, "green");
    assert_eq!(house.client().get("/", &["X-Forwarded-For: 203.0.113.9"]).body, "green", "as any trusted proxy");
    assert_eq!(house.client().get("/", &[]).body, "blue");
    // What begins as a header does, and is a request.
    let mut client = house.client();
    for part in ["P", "UT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1\r\n\r\nx"] {
        client.send(part);
        std::thread::sleep(Duration::from_millis(30));
    }
    assert_eq!((client.answer().status, house.blue.last().line()), (200, "PUT / HTTP/1.1"));
    let stranger = || Client::from_to("127.0.0.2", house.address());
    assert_eq!(stranger().get("/", &[]).body, "blue");
    let mut client = stranger();
    client.send(text("203.0.113.7") + REQUEST);
    assert_eq!(client.answer().status, 400);
    assert_eq!((house.refused("bad_target"), house.refused("proxy_header")), (1, 0));
    // Half a header is none of HTTP either.
    assert_eq!(after(&house, "PROXY TCP4 what\r\n").rest().0, "");
    assert_eq!(house.refused("proxy_header"), 1);
}

#[test]
fn where_it_is_off_a_header_is_no_request() {
    let house = house(ProxyProtocol::Off, |_| {});
    let mut client = after(&house, text("203.0.113.7") + REQUEST);
    assert_eq!(client.answer().status, 400);
    assert_eq!((house.refused("bad_target"), house.refused("proxy_header")), (1, 0));
}

#[test]
fn a_header_has_its_time_in_total_and_silence_ends_without_a_word() {
    let limits = ClientLimits { header_time: Millis(300), connections_per_address: 0, ..ClientLimits::default() };
    let house = house(ProxyProtocol::Required, |settings| settings.limits = limits);
    let (mut silent, mut slow) = (house.client(), house.client());
    let began = Instant::now();
    for byte in text("203.0.113.7").bytes() {
        if !slow.try_send([byte]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "each byte has not the whole time");
    assert_eq!(silent.rest(), (String::new(), false));
    wait_until("it is counted", SOON, || house.refused("too_slow") == 1);
    assert_eq!((house.refused("proxy_header"), house.green.requests()), (0, 0));
}

#[test]
fn connections_count_for_the_client_that_the_header_names() {
    let limits = ClientLimits { connections_per_address: 2, ..ClientLimits::default() };
    let house = house(ProxyProtocol::Required, |settings| settings.limits = limits);
    let mut greedy: Vec<Client> = (0..2).map(|_| after(&house, proxied(&[]))).collect();
    assert!(greedy.iter_mut().all(|client| client.get("/", &[]).body == "green"));
    assert_eq!(after(&house, proxied(&[])).answer().status, 503);
    assert_eq!(house.refused("too_many_connections"), 1);
    // The balancer's own address has no such limit, and other clients have their own.
    let mut others: Vec<Client> = (0..6).map(|at| after(&house, binary(0x21, [192, 0, 2, at], &[]))).collect();
    others.extend((0..3).map(|_| after(&house, binary(0x20, CLIENT, &[]))));
    assert!(others.iter_mut().all(|client| client.get("/", &[]).body == "blue"));
    drop(greedy);
    wait_until("there is room again", SOON, || {
        after(&house, proxied(&[])).try_request("GET", "/", &[], "").is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn tls_that_has_ended_at_the_balancer_is_https() {
    let house = house(ProxyProtocol::Required, |settings| settings.redirect_to_https = Some(443));
    let tls: &[u8] = &[0x01, 0, 0, 0, 0, 0x21, 0, 7, b'T', b'L', b'S', b'v', b'1', b'.', b'3'];
    let plain: &[u8] = &[0x00, 0, 0, 0, 0];
    assert_eq!(after(&house, proxied(&[(0x20, tls)])).get("/", &["X-Forwarded-Proto: http"]).body, "green");
    assert_eq!(house.green.last().header("x-forwarded-proto"), Some("https"));
    for header in [proxied(&[(0x20, plain)]), proxied(&[]), text("203.0.113.7").into_bytes()] {
        let answer = after(&house, &header).get("/", &["X-Forwarded-Proto: https"]);
        assert_eq!((answer.status, answer.header("location")), (308, Some("https://shop.test/")));
    }
}

/// A house with TLS and HTTP/2 whose listeners require a header.
fn front(blue: &Origin, green: &Origin) -> Front {
    let line = |origin: &Origin| format!("url = \"{}\"", origin.url());
    let rest = format!("split = {{ weight = 0 }}\n{TESTERS}");
    Front::with(&routing(&line(blue), &line(green), &rest), &[], |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        settings.tls[0].proxy_protocol = ProxyProtocol::Required;
        settings.listen[0].proxy_protocol = ProxyProtocol::Required;
    })
}

#[test]
fn tls_and_http_2_come_after_the_header() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let front = front(&blue, &green);
    let address = front.house.running.tls_addresses[0];
    for (header, status) in [(proxied(&[]), " 200 "), (text("203.0.113.7").into_bytes(), " 200 "), (Vec::new(), "")] {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        tcp.write_all(&header).unwrap();
        let name = rustls::pki_types::ServerName::try_from("shop.test").unwrap();
        let mut config = (*front.clients).clone();
        config.alpn_protocols.clear();
        let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tls = rustls::StreamOwned::new(session, tcp);
        let mut got = [0; 256];
        let came = tls.write_all(REQUEST.as_bytes()).and_then(|()| tls.read(&mut got)).unwrap_or(0);
        let line = String::from_utf8_lossy(&got[..came]).into_owned();
        assert_eq!(line.contains(status) && came > 0, !status.is_empty(), "{line}");
    }
    assert_eq!((front.house.refused("proxy_header"), green.requests(), blue.requests()), (1, 2, 0));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let plain = front.house.address();
    runtime.block_on(async {
        let mut tcp = tokio::net::TcpStream::connect(plain).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, &proxied(&[])).await.unwrap();
        let (send, connection) = h2::client::handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..2 {
            let mut send = send.clone().ready().await.unwrap();
            let request = http::Request::get("http://shop.test/").body(()).unwrap();
            assert_eq!(send.send_request(request, true).unwrap().0.await.unwrap().status(), 200);
        }
    });
    assert_eq!((green.requests(), green.last().header("x-forwarded-for")), (4, Some("203.0.113.7")));
}

#[test]
fn a_listener_of_each_kind_may_stand_beside_the_others() {
    let house = house(ProxyProtocol::Required, |settings| {
        settings.listen.push(PlainListener::from(SocketAddr::from(([127, 0, 0, 1], 0))));
    });
    let open = house.running.addresses[1];
    assert_eq!(get(open, "/", &[]).body, "blue");
    assert_eq!(after(&house, proxied(&[])).get("/", &[]).body, "green");
    assert!(house.client().try_request("GET", "/", &[], "").is_err());
}

/// A load balancer before a house. Ended when dropped.
struct Balancer {
    child: Child,
    ports: Vec<u16>,
    _dir: tempfile::TempDir,
}

impl Balancer {
    /// Debian's HAProxy, with a frontend for each: how it is bound, and its server line after the address.
    fn haproxy(fronts: &[(&str, SocketAddr, &str)], files: impl FnOnce(&Path)) -> Balancer {
        let dir = tempfile::tempdir().unwrap();
        files(dir.path());
        let ports = free_ports(fronts.len());
        let mut text =
            "global\n    maxconn 100\ndefaults\n    mode tcp\n    timeout connect 5s\n    timeout client 20s\n    \
                        timeout server 20s\n"
                .to_owned();
        for (at, ((bind, to, how), port)) in fronts.iter().zip(&ports).enumerate() {
            text.push_str(&format!(
                "listen front{at}\n    bind 127.0.0.1:{port} {}\n    server cutover {to} {how}\n",
                bind.replace("DIR", &dir.path().display().to_string())
            ));
        }
        let path = dir.path().join("haproxy.cfg");
        std::fs::write(&path, text).unwrap();
        let mut haproxy = Command::new("haproxy");
        haproxy.args(["-db", "-f"]).arg(&path);
        Balancer::start(haproxy, ports, dir)
    }

    /// Debian's nginx with its module for TCP.
    fn nginx(to: SocketAddr) -> Balancer {
        let dir = tempfile::tempdir().unwrap();
        let ports = free_ports(1);
        let text = format!(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so; daemon off; pid {0}/pid; error_log {0}/error.log;\n\
             worker_processes 1; events {{ worker_connections 100; }}\n\
             stream {{ server {{ listen 127.0.0.1:{1}; proxy_pass {to}; proxy_protocol on; }} }}\n",
            dir.path().display(),
            ports[0],
        );
        let path = dir.path().join("nginx.conf");
        std::fs::write(&path, text).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(&path);
        Balancer::start(nginx, ports, dir)
    }

    fn start(mut command: Command, ports: Vec<u16>, dir: tempfile::TempDir) -> Balancer {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("HAProxy and nginx are installed: .ci/setup does it");
        let balancer = Balancer { child, ports, _dir: dir };
        wait_until("the balancer listens", SOON, || {
            balancer.ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        });
        balancer
    }

    fn address(&self, at: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[at]))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Not at once: nginx has workers, which it ends.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// So many that nobody listens on just now.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

#[test]
#[ignore = "needs nginx's stream module: .ci/setup installs it"]
fn nginx_names_its_clients() {
    let house = required();
    let balancer = Balancer::nginx(house.address());
    assert_eq!(Client::from_to("127.0.0.5", balancer.address(0)).get("/", &[]).status, 200);
    assert_eq!(house.blue.last().header("x-forwarded-for"), Some("127.0.0.5"));
    assert_eq!(house.refused("proxy_header"), 0);
}

#[test]
#[ignore = "needs HAProxy: .ci/setup installs it"]
fn haproxy_names_its_clients_in_both_versions() {
    let house = house(ProxyProtocol::Required, |settings| settings.redirect_to_https = None);
    let options = "proxy-v2-options crc32c,ssl,cert-cn,authority,unique-id";
    let balancer = Balancer::haproxy(
        &[
            ("", house.address(), "send-proxy"),
            ("", house.address(), "send-proxy-v2"),
            ("", house.address(), &format!("send-proxy-v2 {options}")),
            // Its probes are its own: LOCAL.
            ("", house.address(), "send-proxy-v2 check inter 50ms"),
        ],
        |_| {},
    );
    for at in 0..4 {
        // Not the balancer's own address, which is trusted.
        let mut client = Client::from_to("127.0.0.5", balancer.address(at));
        assert_eq!(client.get("/", &["X-Forwarded-For: 6.6.6.6"]).status, 200, "{at}");
        let request = house.blue.last();
        assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.5"), "{at}");
        assert_eq!(request.header("x-forwarded-proto"), Some("http"), "{at}");
    }
    assert_eq!((house.refused("proxy_header"), house.refused("untrusted_proxy")), (0, 0));
}

#[test]
#[ignore = "needs HAProxy: .ci/setup installs it"]
fn haproxy_that_ends_tls_says_so_and_its_probes_are_answered() {
    let house = house(ProxyProtocol::Required, |settings| settings.redirect_to_https = Some(443));
    let certificate = Certificate::of(&["shop.test"]);
    let check = "send-proxy-v2-ssl check check-send-proxy inter 50ms rise 1 fall 1 proxy-v2-options crc32c";
    let balancer = Balancer::haproxy(
        &[
            ("ssl crt DIR/both.pem", house.address(), check),
            ("", house.address(), "send-proxy-v2-ssl"),
            ("ssl crt DIR/both.pem", house.address(), "send-proxy-v2-ssl-cn"),
        ],
        |dir| std::fs::write(dir.join("both.pem"), format!("{}{}", certificate.pem, certificate.key)).unwrap(),
    );
    let clients = crate::support::tls::trusting(&[&certificate], &[]);
    for at in [0, 2] {
        let answer = crate::support::tls::get(balancer.address(at), "shop.test", &clients).unwrap();
        assert_eq!((answer.status, house.blue.last().header("x-forwarded-proto")), (200, Some("https")), "{at}");
    }
    assert_eq!(get(balancer.address(1), "/", &[]).status, 308, "no TLS, so none is claimed");
    // Some probes later the server is still up.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(crate::support::tls::get(balancer.address(0), "shop.test", &clients).unwrap().status, 200);
    assert_eq!((house.refused("proxy_header"), house.refused("too_slow")), (0, 0));
}

#[test]
#[ignore = "needs HAProxy: .ci/setup installs it"]
fn haproxy_passes_tls_and_http_2_through_behind_its_header() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let front = front(&blue, &green);
    let tls = front.house.running.tls_addresses[0];
    let balancer = Balancer::haproxy(&[("", tls, "send-proxy"), ("", tls, "send-proxy-v2")], |_| {});
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for at in 0..2 {
            let mut client = H2::connect(balancer.address(at), "shop.test", &front.clients).await.unwrap();
            assert_eq!(client.get("https://shop.test/").await.unwrap().body, b"blue", "{at}");
        }
    });
    assert_eq!(front.house.refused("proxy_header"), 0);
}
