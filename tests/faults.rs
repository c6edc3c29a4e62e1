//! What goes wrong around the house, and what must hold all the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use judgement::traffic::Environment;
use memory::counters::AttemptFailure;

use crate::support::client::get;
use crate::support::house::{House, shop};
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

fn blue_failures(house: &House) -> [u64; AttemptFailure::ALL.len()] {
    house.seen(Environment::Blue).failures
}

/// A request is counted when it is over, which may be after its client has read the answer.
#[track_caller]
fn wait_for_failures(house: &House, cause: AttemptFailure, count: u64) {
    wait_until(&format!("{count} failures by {cause:?}"), SOON, || blue_failures(house)[cause as usize] >= count);
}

#[test]
fn an_origin_that_does_not_answer_is_a_504_in_its_time() {
    let house = House::start("weight = 0", "[service.shop.timeouts]\nfirst_byte = \"300ms\"\n");
    house.blue.always(Do::Hang);
    let began = Instant::now();
    let answer = house.client().get("/", &[]);
    assert_eq!((answer.status, answer.header("connection")), (504, Some("close")));
    assert!((Duration::from_millis(290)..Duration::from_secs(3)).contains(&began.elapsed()), "{:?}", began.elapsed());
    wait_for_failures(&house, AttemptFailure::Timeout, 1);
}

#[test]
fn an_origin_that_breaks_off_is_a_502_and_its_connection_is_not_used_again() {
    let house = House::start("weight = 0", "");
    for (what, status) in [(Do::Close, 502), (Do::Reset, 502), (Do::Raw("SSH-2.0-whatever\r\n\r\n".to_owned()), 502)] {
        house.blue.always(what.clone());
        assert_eq!(house.client().get("/", &[]).status, status, "{what:?}");
        house.blue.always(Do::Status(200));
        assert_eq!(house.client().get("/", &[]).status, 200, "after {what:?}");
    }
    wait_for_failures(&house, AttemptFailure::Reset, 3);
}

#[test]
fn a_kept_connection_that_the_origin_has_closed_is_nobodys_failure() {
    let house = House::with("weight = 0", "", |settings| settings.threads = 1);
    let mut client = house.client();
    for round in 0..20 {
        // Answers, and then closes without having said so.
        house.blue.always(Do::RawAndClose("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned()));
        assert_eq!(client.get("/", &[]).body, "ok", "round {round}");
    }
    assert_eq!(blue_failures(&house), [0; AttemptFailure::ALL.len()]);
}

#[test]
fn a_certificate_that_is_not_trusted_is_a_502_of_class_tls() {
    let house = House::start("weight = 0", "");
    let origin = TlsOrigin::start();
    let text = shop(&format!("https://127.0.0.1:{}", origin.port), &house.green.url(), "weight = 0", "");
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("the TLS origin is in force", SOON, || get(house.address(), "/", &[]).status == 502);
    wait_for_failures(&house, AttemptFailure::Tls, 1);
}

/// An HTTPS origin with a certificate for this host that nobody has heard of.
pub struct TlsOrigin {
    pub port: u16,
    pub certificate: String,
    _runtime: tokio::runtime::Runtime,
}

impl TlsOrigin {
    pub fn start() -> TlsOrigin {
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = key.cert.pem();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![key.cert.der().clone()],
                rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap(),
            )
            .unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    use tokio::io::{AsyncReadExt, AsyncWriteExt};
                    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        if tls.read_buf(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let host = String::from_utf8_lossy(&head).to_lowercase();
                    let host = host
                        .lines()
                        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
                        .unwrap_or_default();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{host}", host.len());
                    let _ = tls.write_all(answer.as_bytes()).await;
                    let _ = tls.shutdown().await;
                });
            }
        });
        TlsOrigin { port, certificate, _runtime: runtime }
    }
}

#[test]
fn a_disk_that_takes_nothing_stops_neither_routing_nor_rollback() {
    // A folder that is not there: SQLite cannot make the file, root or not.
    let house = House::with("weight = 50", "", |settings| {
        settings.state = settings.state.with_file_name("nowhere").join("cutover.db");
    });
    house.green.always(Do::Status(500));
    let mut client = house.client();
    wait_until("it is rolled back", SOON, || {
        assert_eq!(client.get("/", &[]).status, 200);
        house.weight() == 0
    });
    wait_until("it is counted", SOON, || {
        let metrics = house.metrics();
        !metrics.contains("cutover_journal_errors_total 0\n") && !metrics.contains("cutover_journal_waiting 0\n")
    });
}

#[test]
fn a_sidecar_that_hears_nothing_more_leaves_routing_as_it_is() {
    let house = House::start("weight = 10", "");
    house.running.sidecar.end();
    wait_until("it has ended", SOON, || house.running.sidecar.load(empty()).is_err());
    let mut client = house.client();
    assert!((0..100).all(|_| client.get("/", &[]).status == 200));
    assert_eq!(house.weight(), 1000);
}

fn empty() -> sidecar::ResolvedRouting {
    sidecar::ResolvedRouting::default()
}
