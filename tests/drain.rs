//! Drains: readiness fails first, clients are told to go, nobody sees an error.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use config::{CertificateFiles, MainConfig, ProxyProtocol, TlsListener};
use cutover::serve;
use judgement::time::Millis;
use relay::proxy::listen::DrainSettings;

use crate::support::client::get;
use crate::support::house::{House, settings};
use crate::support::tls::{self, Certificate, H2, trusting};
use crate::support::{SOON, wait_until};

/// Where clients are to go: what a load balancer that watches `/readyz` would tell them.
#[derive(Default)]
pub struct Directory {
    plain: std::sync::Mutex<Option<SocketAddr>>,
    tls: std::sync::Mutex<Option<SocketAddr>>,
}

impl Directory {
    pub fn of(plain: SocketAddr, tls: SocketAddr) -> Directory {
        Directory { plain: Some(plain).into(), tls: Some(tls).into() }
    }
}

fn another(house: &House, at: usize) -> MainConfig {
    MainConfig { state: house.dir.path().join(format!("state-{at}.db")), ..settings(house.dir.path()) }
}

#[test]
fn twenty_drains_under_load_lose_no_request_over_three_protocols() {
    let house = House::start("weight = 10", "");
    let certificate = Certificate::of(&["shop.test"]);
    certificate.write(house.dir.path(), "shop");
    let start = |at: usize| {
        let mut settings = another(&house, at);
        settings.tls = vec![TlsListener {
            listen: "127.0.0.1:0".parse().unwrap(),
            proxy_protocol: ProxyProtocol::Off,
            http2: true,
            certificates: vec![CertificateFiles {
                cert: house.dir.path().join("shop.pem"),
                key: house.dir.path().join("shop.key"),
            }],
            acme: false,
        }];
        serve::start(&settings).unwrap()
    };
    let directory = Arc::new(Directory::default());
    let send_to = |running: &serve::Running| {
        *directory.plain.lock().unwrap() = Some(running.addresses[0]);
        *directory.tls.lock().unwrap() = Some(running.tls_addresses[0]);
    };
    let mut running = start(0);
    send_to(&running);
    let stop = Arc::new(AtomicBool::new(false));
    let done: [Arc<AtomicU64>; 3] = Default::default();
    let [done1, done1_tls, done2] = &done;
    let mut clients: Vec<std::thread::JoinHandle<Vec<String>>> = Vec::new();
    for _ in 0..4 {
        let (stop, directory, done) = (stop.clone(), directory.clone(), done1.clone());
        let connect = move || {
            let tcp = TcpStream::connect(directory.plain.lock().unwrap().unwrap()).unwrap();
            tcp.set_read_timeout(Some(SOON)).unwrap();
            tcp
        };
        clients.push(std::thread::spawn(move || http1(&stop, &done, connect)));
    }
    for _ in 0..2 {
        let (stop, directory, done) = (stop.clone(), directory.clone(), done1_tls.clone());
        let config = trusting(&[&certificate], &[]);
        let connect = move || {
            let address = directory.tls.lock().unwrap().unwrap();
            tls::connect(address, "shop.test", &config).expect("a connection while somebody listens")
        };
        clients.push(std::thread::spawn(move || http1(&stop, &done, connect)));
    }
    for _ in 0..2 {
        let (stop, directory, done) = (stop.clone(), directory.clone(), done2.clone());
        let config = trusting(&[&certificate], &["h2"]);
        clients.push(std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(http2(&stop, &directory, &done, &config))
        }));
    }
    for at in 1..=20 {
        let before = done.each_ref().map(|done| done.load(SeqCst));
        wait_until("all kinds are served", SOON, || {
            done.iter().zip(before).all(|(done, before)| done.load(SeqCst) > before + 20)
        });
        let next = start(at);
        let old = std::mem::replace(&mut running, next);
        let admin = old.admin;
        let ready = get(admin, "/readyz", &[]).status;
        // The balancer takes a moment to see that the old one is not ready: until then new connections still come to it.
        let drained = std::thread::spawn(move || {
            old.drain(DrainSettings { patience: Millis::seconds(10), delay: Millis(300) });
        });
        wait_until("it is not ready", SOON, || get(admin, "/readyz", &[]).status == 503);
        assert_eq!(ready, 200);
        send_to(&running);
        drained.join().unwrap();
    }
    stop.store(true, SeqCst);
    let failed: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(failed.is_empty(), "of {done:?} requests: {failed:#?}");
}

/// A client that keeps its connection until it is told to go.
pub fn http1<C: Read + Write>(stop: &AtomicBool, done: &AtomicU64, connect: impl Fn() -> C) -> Vec<String> {
    let mut failed = Vec::new();
    let mut client = connect();
    while !stop.load(SeqCst) {
        match exchange(&mut client) {
            Ok(head) if head.starts_with("HTTP/1.1 200 ") => {
                done.fetch_add(1, SeqCst);
                if head.to_ascii_lowercase().contains("connection: close") {
                    client = connect();
                }
            }
            other => {
                failed.push(format!("HTTP/1.1: {other:?}"));
                client = connect();
            }
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    failed
}

/// A request, and the head of its answer, whose body was all there.
fn exchange(client: &mut (impl Read + Write)) -> std::io::Result<String> {
    client.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let said = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    client.read_exact(&mut vec![0; said.expect("the origin says how long its body is")])?;
    Ok(head)
}

/// The same over HTTP/2: a GOAWAY tells it to go, and a request that it says was not looked at goes to the next one.
pub async fn http2(
    stop: &AtomicBool,
    directory: &Directory,
    done: &AtomicU64,
    config: &Arc<rustls::ClientConfig>,
) -> Vec<String> {
    let mut failed = Vec::new();
    let connect = || async {
        let address = directory.tls.lock().unwrap().unwrap();
        H2::connect(address, "shop.test", config).await.expect("a connection while somebody listens")
    };
    let mut client = connect().await;
    while !stop.load(SeqCst) {
        match client.get("https://shop.test/").await {
            Ok(answer) if answer.status == 200 => {
                done.fetch_add(1, SeqCst);
            }
            // Told to go before the request was sent.
            Err(error) if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) => {
                client = connect().await;
            }
            other => {
                failed.push(format!("HTTP/2: {other:?}"));
                client = connect().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    failed
}
