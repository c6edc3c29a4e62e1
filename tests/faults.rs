//! What goes wrong around the house, and what must hold all the same.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use judgement::rollout::ChangeKind;
use judgement::traffic::Environment;
use memory::counters::AttemptFailure;

use crate::lifecycle::{Process, folder};
use crate::support::client::{Client, admin, get};
use crate::support::house::{House, Load, shop};
use crate::support::origin::{Do, Origin};
use crate::support::raw_origin::{before, head, raw};
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

/// An address at which Linux drops whoever knocks: its queue is full, and nobody accepts.
fn deaf() -> (SocketAddr, Vec<TcpStream>, socket2::Socket) {
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    deaf.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    deaf.listen(0).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let knock = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let queue = std::iter::from_fn(|| knock().ok()).take(100).collect();
    (address, queue, deaf)
}

/// A response's head that never ends, a byte at a time.
fn dripping() -> SocketAddr {
    raw(|mut tcp, _| {
        if head(&mut tcp) && tcp.write_all(b"HTTP/1.1 200 OK\r\nX-Drip: ").is_ok() {
            while tcp.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    })
}

#[test]
fn every_way_of_standing_still_ends_in_the_time_that_is_named_for_it() {
    let (deaf, _queue, _socket) = deaf();
    // Accepts, and reads nothing: a body of megabytes fills what the system holds.
    let unread = raw(|_tcp, _| std::thread::park());
    for (what, origin, timeout, body) in [
        ("no connection", deaf, "connect", 0),
        ("a body that is not read", unread, "write", 16 << 20),
        ("silence", unread, "first_byte", 0),
        ("a head that drips", dripping(), "first_byte", 0),
    ] {
        let others = ["connect", "write", "first_byte"].into_iter().filter(|other| *other != timeout);
        let others: String = others.map(|other| format!("{other} = \"15s\"\n")).collect();
        let house = before(origin, &format!("[service.shop.timeouts]\n{timeout} = \"1s\"\n{others}"));
        house.set("max_body = \"unlimited\"");
        let mut client = house.client();
        let began = Instant::now();
        client.send(format!("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {body}\r\n\r\n"));
        let sender = (body > 0).then(|| client.send_aside(vec![b'x'; body]));
        assert_eq!(client.answer().status, 504, "{what}");
        let took = began.elapsed();
        // A busy machine gets more than the tenth that is promised.
        assert!((Duration::from_millis(950)..Duration::from_millis(2500)).contains(&took), "{what}: {took:?}");
        drop((client, sender));
        wait_for_failures(&house, AttemptFailure::Timeout, 1);
    }
}

#[test]
fn a_candidate_that_flaps_is_taken_back_once_and_stays_so() {
    let house = House::start("weight = 50", "");
    let turn = std::sync::atomic::AtomicU64::new(0);
    house.green.does(move |_| {
        Do::Status(if turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst).is_multiple_of(2) { 500 } else { 200 })
    });
    let load = Load::start(house.address(), 4, Duration::from_millis(2));
    house.wait_for_weight(0);
    let asked = load.requests();
    wait_until("the load goes on", SOON, || load.requests() > asked + 1000);
    assert_eq!(load.stop().1, 0, "every failure is rescued");
    assert_eq!(house.weight(), 0);
    let rollbacks = house.history().into_iter().filter(|entry| entry.change.kind == ChangeKind::Rollback).count();
    assert_eq!(rollbacks, 1);
}

#[test]
fn an_origin_that_throttles_is_passed_on_and_judged_only_where_the_file_says_so() {
    let throttled =
        |status: u16| Do::Raw(format!("HTTP/1.1 {status} Wait\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"));
    let house = House::start("weight = 0", "");
    for (status, failures) in [(429, 0), (503, 1)] {
        house.blue.always(throttled(status));
        let answer = house.client().get("/", &[]);
        assert_eq!((answer.status, answer.header("retry-after")), (status, Some("7")));
        wait_until("it is counted", SOON, || house.seen(Environment::Blue).classes.iter().sum::<u64>() > failures);
        assert_eq!(blue_failures(&house).iter().sum::<u64>(), failures, "{status}");
    }
}

#[test]
fn a_rollback_needs_no_disk_no_admin_and_no_sink() {
    let stuck = Origin::start("stuck");
    stuck.always(Do::Hang);
    let house = House::with("weight = 50", "", |settings| {
        settings.notify = crate::notify::sinks_at(settings.state.parent().unwrap(), &stuck);
        settings.state = settings.state.with_file_name("nowhere").join("cutover.db");
    });
    // As many as there are places, and more.
    let held: Vec<TcpStream> = (0..300).filter_map(|_| TcpStream::connect(house.running.admin).ok()).collect();
    for mut tcp in &held {
        let _ = tcp.write_all(b"GET /metrics HTTP/1.1\r\n");
    }
    house.green.always(Do::Status(500));
    let load = Load::start(house.address(), 4, Duration::from_millis(5));
    let took = house.wait_for_weight(0);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(load.stop().1, 0);
    wait_until("the sink was told, and hangs", SOON, || stuck.requests() > 0);
}

#[test]
fn a_process_without_descriptors_goes_on_and_takes_connections_when_there_are_some() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    let mut process = Process::start(dir.path());
    let id = process.child.id();
    let limit = |most: usize| {
        let said = Command::new("prlimit").args([&format!("--pid={id}"), &format!("--nofile={most}:")]).status();
        assert!(said.unwrap().success());
    };
    let open = || std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let mut kept: Vec<Client> = (0..4).map(|_| Client::to(process.address)).collect();
    kept.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200));
    limit(open() + 2);
    // Linux takes them; who has no descriptor waits there.
    let mut crowd: Vec<Client> = (0..50).map(|_| Client::to(process.address)).collect();
    for client in &mut crowd {
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    }
    // Who is there may meet an origin's connection that cannot be opened, and no more than that.
    for client in &mut kept {
        let status = client.get("/", &[]).status;
        assert!([200, 502, 503].contains(&status), "{status}");
    }
    assert!(process.child.try_wait().unwrap().is_none());
    limit(4096);
    let answered: Vec<u16> = crowd.iter_mut().map(|client| client.answer().status).collect();
    assert!(answered.iter().all(|status| [200, 502, 503].contains(status)), "{answered:?}");
    assert!(answered.iter().filter(|status| **status == 200).count() > 40, "{answered:?}");
    assert_eq!((get(process.address, "/", &[]).status, get(process.admin, "/readyz", &[]).status), (200, 200));
}

#[test]
fn what_this_process_lacks_is_no_environments_failure() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let dir = folder(&blue.url(), &green.url(), "weight = 50");
    let process = Process::start(dir.path());
    let id = process.child.id();
    let limit = |most: usize| {
        let said = Command::new("prlimit").args([&format!("--pid={id}"), &format!("--nofile={most}:")]).status();
        assert!(said.unwrap().success());
    };
    let open = || std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let before = open();
    let mut clients: Vec<Client> = (0..20).map(|_| Client::to(process.address)).collect();
    wait_until("they are there, without a connection to an origin", SOON, || open() >= before + 20);
    // Not one more, whatever is closed meanwhile: the limit is one of numbers.
    limit(3);
    for client in &mut clients {
        let answer = client.get("/", &[]);
        assert_eq!((answer.status, answer.body.as_str()), (503, "503 out of resources, try again later\n"));
    }
    limit(4096);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::to(process.address)).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200, "at once: nobody rests"));
    let metrics = admin(process.admin, "/metrics").body;
    let failed: Vec<&str> = metrics.lines().filter(|line| line.starts_with("cutover_failures_total{")).collect();
    let ours = |line: &&&str| line.contains("cause=\"exhausted\"");
    assert_eq!(failed.iter().filter(ours).count(), 2, "{failed:?}\n{metrics}");
    assert!(failed.iter().all(|line| line.contains("cause=\"exhausted\"") || line.ends_with(" 0")), "{failed:?}");
    let weights: Vec<&str> = metrics.lines().filter(|line| line.starts_with("cutover_weight_ratio{")).collect();
    assert!(
        weights.len() == 2 && weights.iter().all(|line| line.ends_with(" 0.5")),
        "nobody was taken back: {weights:?}"
    );
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
