//! Certificates from a CA, with Pebble in its place: challenges, renewals, failures, restarts.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ::cutover::serve;
use config::acme::AcmeChallenge::{self, Http, TlsAlpn};
use config::acme::{AcmeSettings, ExternalAccount};
use config::notify::Secret;
use config::{CertificateFiles, MainConfig, TlsListener};
use judgement::rollout::ChangeKind;
use judgement::time::Millis;
use judgement::traffic::host::HostPattern;

use crate::cli::cutover;
use crate::support::client::{Client, get};
use crate::support::house::House;
use crate::support::pebble::{EAB_KEY, Pebble, PebbleTerms, free_address};
use crate::support::tls;
use crate::support::{SOON, wait_until};

/// For a whole order, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has the listeners where the CA looks, and the certificates from it.
fn with_acme(settings: &mut MainConfig, terms: &PebbleTerms, acme: AcmeSettings) {
    settings.listen = vec![terms.http.into()];
    settings.tls = vec![TlsListener {
        listen: terms.tls,
        proxy_protocol: config::ProxyProtocol::Off,
        http2: true,
        certificates: vec![],
        acme: true,
    }];
    settings.redirect_to_https = Some(443);
    settings.acme = Some(acme);
}

fn house(
    terms: &PebbleTerms,
    pebble: &Pebble,
    names: Option<&[&str]>,
    challenges: &[AcmeChallenge],
    change: impl FnOnce(&mut AcmeSettings),
) -> House {
    House::with("weight = 0", "", |settings| {
        let mut acme = pebble.settings(settings.state.parent().unwrap(), names, challenges);
        change(&mut acme);
        with_acme(settings, terms, acme);
    })
}

fn tls_address(house: &House) -> SocketAddr {
    house.running.tls_addresses[0]
}

/// Orders by result.
fn orders(house: &House, result: &str) -> u64 {
    let line = format!("cutover_acme_orders_total{{result=\"{result}\"}} ");
    house.metrics().lines().find_map(|text| text.strip_prefix(&line)?.parse().ok()).unwrap()
}

/// What `cutover status` shows.
fn shown(house: &House) -> String {
    let admin = format!("http://{}", house.running.admin);
    let token = ::cutover::admin::tokens::beside(&house.settings.state).display().to_string();
    let output = cutover(house.dir.path(), &["status", "--admin-url", &admin, "--token-file", &token]);
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

fn certified(house: &House, pebble: &Pebble, name: &str) {
    let trusting = pebble.trusting(&[]);
    let began = Instant::now();
    while !tls::get(tls_address(house), name, &trusting).is_ok_and(|answer| answer.body == "blue") {
        let standings = house.running.counters.certificate_standings();
        assert!(began.elapsed() < PATIENCE, "{name} has no certificate: {standings:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_first_start_answers_over_http_until_there_is_a_certificate_and_then_with_tls() {
    let terms = PebbleTerms::default();
    let pebble = Pebble::start(&terms);
    let house = house(&terms, &pebble, None, &[Http], |_| {});
    let trusting = pebble.trusting(&[]);
    let error = tls::get(tls_address(&house), "shop.test", &trusting).unwrap_err();
    assert!(error.contains("Unrecogni"), "{error}");
    assert_eq!(house.refused("unrecognized_name"), 1);
    assert_eq!(get(house.address(), "/", &[]).status, 308, "clients over HTTP are redirected meanwhile");
    assert_eq!(orders(&house, "issued") + orders(&house, "failed"), 0, "no service has a host");
    house.set("hosts = [\"shop.test\", \"www.shop.test\", \"*.all.test\", \"localhost\", \"127.0.0.1\"]");
    for name in ["shop.test", "www.shop.test"] {
        certified(&house, &pebble, name);
    }
    let http2 = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut client = tls::H2::connect(tls_address(&house), "shop.test", &pebble.trusting(&["h2"])).await.unwrap();
        client.get("https://shop.test/").await.unwrap()
    });
    assert_eq!((http2.status, &http2.body[..]), (200, &b"blue"[..]));
    assert_eq!((orders(&house, "issued"), orders(&house, "failed")), (2, 0), "one for each, and none for the others");
    assert!(house.metrics().contains("cutover_acme_names{state=\"valid\"} 2"));
    assert!(house.metrics().contains("shop.test.pem"), "the end of the certificate is known");
    let status = shown(&house);
    assert!(status.contains("certificate of shop.test: valid until 20"), "{status}");
    let entry = house.entry(ChangeKind::Certificate);
    assert!(entry.change.why.contains("shop.test: certificate issued, valid until 20"), "{}", entry.change.why);
    let refused = house.refused("unrecognized_name");
    assert!(tls::get(tls_address(&house), "other.test", &trusting).is_err());
    assert_eq!(house.refused("unrecognized_name"), refused + 1, "an unknown name gets no certificate of another");
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_challenge_over_tls_is_answered_by_the_handshake_alone() {
    let terms = PebbleTerms { eab: true, ..PebbleTerms::default() };
    let pebble = Pebble::start(&terms);
    let key = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, EAB_KEY).unwrap();
    let eab = ExternalAccount { kid: "kid-1".to_owned(), key: Secret::new(key) };
    let house = house(&terms, &pebble, Some(&["shop.test"]), &[TlsAlpn], |acme| acme.eab = Some(eab));
    certified(&house, &pebble, "shop.test");
    assert_eq!((orders(&house, "issued"), orders(&house, "failed")), (1, 0));
    assert_eq!(house.refused("tls_handshake"), 0, "the CA's handshake was whole");
    // Whoever asks like a CA, without a challenge, gets nothing.
    assert!(tls::get(tls_address(&house), "shop.test", &pebble.trusting(&["acme-tls/1"])).is_err());
    assert_eq!(house.blue.requests(), 1, "the request that got the certificate");
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_ca_that_forgets_half_of_its_nonces_is_asked_again() {
    let terms = PebbleTerms { bad_nonces: 50, ..PebbleTerms::default() };
    let pebble = Pebble::start(&terms);
    let names = ["a.test", "b.test", "c.test", "d.test"];
    let house = house(&terms, &pebble, Some(&names), &[Http], |_| {});
    names.iter().for_each(|name| certified(&house, &pebble, name));
    assert_eq!((orders(&house, "issued"), orders(&house, "failed")), (4, 0));
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_refused_validation_is_told_and_tried_again_ever_more_rarely() {
    // Nobody listens where the CA looks.
    let terms = PebbleTerms::default();
    let pebble = Pebble::start(&terms);
    let elsewhere = PebbleTerms::default();
    let house = house(&elsewhere, &pebble, Some(&["shop.test"]), &[Http], |_| {});
    let began = Instant::now();
    wait_until("three orders have failed", PATIENCE, || orders(&house, "failed") == 3);
    // 0.5 s, 1 s, and then 2 s.
    assert!(began.elapsed() > Duration::from_millis(1200), "{:?}", began.elapsed());
    let standing = &house.running.counters.certificate_standings()["shop.test"];
    let error = standing.error.clone().unwrap();
    assert!(error.starts_with("the CA could not check the name by http-01 (port 80): "), "{error}");
    assert!(error.contains("connection refused") || error.contains("connect"), "{error}");
    let told = house.entry(ChangeKind::CertificateFailed).change.why;
    assert!(told.starts_with("shop.test: no certificate after 3 orders, it has none: the CA could not"), "{told}");
    std::thread::sleep(Duration::from_secs(8));
    let later = orders(&house, "failed");
    assert!((4..=6).contains(&later), "{later} orders: no storm");
    assert_eq!(get(house.address(), "/", &[]).status, 308, "requests go on");
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn the_other_challenge_is_tried_when_one_has_failed() {
    let ours = PebbleTerms::default();
    let pebble =
        Pebble::start(&PebbleTerms { http: free_address(), ..PebbleTerms { tls: ours.tls, ..PebbleTerms::default() } });
    let house = house(&ours, &pebble, Some(&["shop.test"]), &[Http, TlsAlpn], |_| {});
    certified(&house, &pebble, "shop.test");
    assert_eq!((orders(&house, "issued"), orders(&house, "failed")), (1, 1));
    assert_eq!(house.running.counters.certificate_standings()["shop.test"].failures, 0);
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_certificate_is_renewed_in_time_without_a_failed_handshake() {
    let terms = PebbleTerms { validity: 15, ..PebbleTerms::default() };
    let pebble = Pebble::start(&terms);
    let house = house(&terms, &pebble, Some(&["shop.test"]), &[Http, TlsAlpn], |_| {});
    certified(&house, &pebble, "shop.test");
    let refused = house.refused("unrecognized_name");
    let (stop, handshakes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, trusting) = (tls_address(&house), pebble.trusting(&[]));
            let (stop, handshakes) = (stop.clone(), handshakes.clone());
            std::thread::spawn(move || {
                while !stop.load(SeqCst) {
                    assert_eq!(tls::get(address, "shop.test", &trusting).unwrap().status, 200);
                    handshakes.fetch_add(1, SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                }
            })
        })
        .collect();
    // The first ends after fifteen seconds, the second begins after ten.
    wait_until("it was renewed twice", PATIENCE, || orders(&house, "issued") >= 3);
    stop.store(true, SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(handshakes.load(SeqCst) > 500, "{handshakes:?}");
    assert_eq!((orders(&house, "failed"), house.refused("unrecognized_name")), (0, refused));
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_restart_asks_for_nothing_anew() {
    let terms = PebbleTerms::default();
    let pebble = Pebble::start(&terms);
    let house = house(&terms, &pebble, Some(&["shop.test"]), &[Http], |_| {});
    certified(&house, &pebble, "shop.test");
    let trusting = pebble.trusting(&[]);
    let House { running, settings, dir, blue, green } = house;
    running.stop();
    let folder = settings.acme.as_ref().unwrap().folder.clone();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let before = ["account.json", "shop.test.pem"].map(read);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|file| file.metadata().unwrap().permissions().mode() & 0o777 == 0o600));
    // It needs no CA either.
    drop(pebble);
    let house = House { running: serve::start(&settings).unwrap(), settings, dir, blue, green };
    assert_eq!(tls::get(tls_address(&house), "shop.test", &trusting).unwrap().body, "blue", "at once");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!((orders(&house, "issued"), orders(&house, "failed")), (0, 0));
    assert_eq!(before, ["account.json", "shop.test.pem"].map(read));
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_certificate_is_renewed_early_when_the_ca_wants_that_and_only_once() {
    let terms = PebbleTerms::default();
    let pebble = Pebble::start(&terms);
    let (front, asked) = pebble.with_renewal_info(86_401);
    let house = house(&terms, &pebble, Some(&["shop.test"]), &[Http], |acme| {
        acme.directory = format!("https://{front}/dir").parse().unwrap();
    });
    certified(&house, &pebble, "shop.test");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((orders(&house, "issued"), asked.load(SeqCst)), (1, 0), "a new one is not asked about for an hour");
    let House { running, settings, dir, blue, green } = house;
    running.stop();
    let house = House { running: serve::start(&settings).unwrap(), settings, dir, blue, green };
    wait_until("it is renewed, long before its time", PATIENCE, || orders(&house, "issued") == 1);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((orders(&house, "issued"), orders(&house, "failed"), asked.load(SeqCst)), (1, 0, 1));
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_name_that_clients_ask_for_is_ordered_only_if_it_is_allowed() {
    let terms = PebbleTerms::default();
    let pebble = Pebble::start(&terms);
    let allowed = HostPattern::parse("*.shops.test").unwrap();
    let house = house(&terms, &pebble, Some(&["own.test"]), &[Http], |acme| acme.on_demand = vec![allowed]);
    certified(&house, &pebble, "own.test");
    let trusting = pebble.trusting(&[]);
    for name in ["evil.test", "shops.test", "a.shops.test.evil.test"] {
        assert!(tls::get(tls_address(&house), name, &trusting).is_err());
    }
    certified(&house, &pebble, "a.shops.test");
    assert_eq!((orders(&house, "issued"), orders(&house, "failed")), (2, 0), "none for the others");
    let standings = house.running.counters.certificate_standings();
    assert_eq!(
        standings.iter().map(|(name, all)| (name.as_str(), all.on_demand)).collect::<Vec<_>>(),
        [("a.shops.test", true), ("own.test", false)]
    );
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_name_that_a_file_is_for_is_not_ordered() {
    let terms = PebbleTerms::default();
    let pebble = Pebble::start(&terms);
    let brought = tls::Certificate::of(&["shop.test", "*.shop.test"]);
    let house = House::with("weight = 0", "", |settings| {
        let dir = settings.state.parent().unwrap().to_owned();
        brought.write(&dir, "shop");
        let names = ["shop.test", "www.shop.test", "other.test"];
        let acme = pebble.settings(&dir, Some(&names), &[Http]);
        with_acme(settings, &terms, acme);
        settings.tls[0].certificates = vec![CertificateFiles { cert: dir.join("shop.pem"), key: dir.join("shop.key") }];
    });
    certified(&house, &pebble, "other.test");
    for name in ["shop.test", "www.shop.test"] {
        assert_eq!(tls::get(tls_address(&house), name, &tls::trusting(&[&brought], &[])).unwrap().body, "blue");
    }
    assert_eq!((orders(&house, "issued"), orders(&house, "failed")), (1, 0));
    let first = tls::get(tls_address(&house), "nobody.test", &tls::trusting(&[&brought], &[])).unwrap_err();
    assert!(first.contains("not valid for name"), "an unknown name gets the first of the files: {first}");
}

#[test]
fn a_ca_that_hangs_holds_neither_requests_nor_the_end() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let terms = PebbleTerms::default();
    let house = House::with("weight = 0", "", |settings| {
        let acme = AcmeSettings {
            email: None,
            directory: format!("https://{}/dir", hanging.local_addr().unwrap()).parse().unwrap(),
            directory_roots: Some(vec![]),
            names: Some(vec!["shop.test".to_owned()]),
            challenges: vec![Http],
            eab: None,
            on_demand: vec![],
            folder: settings.state.with_extension("acme"),
            first_retry: Millis(500),
        };
        with_acme(settings, &terms, acme);
        settings.redirect_to_https = None;
    });
    let (connection, _) = hanging.accept().unwrap();
    for _ in 0..100 {
        assert_eq!(get(house.address(), "/", &[]).body, "blue");
    }
    assert!(tls::get(tls_address(&house), "shop.test", &tls::trusting(&[], &[])).is_err());
    let began = Instant::now();
    drop(house);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(connection);
}

#[test]
fn challenges_of_other_programs_are_answered_from_their_folder_before_any_redirect() {
    let webroot = tempfile::tempdir().unwrap();
    let folder = webroot.path().join(".well-known/acme-challenge");
    std::fs::create_dir_all(folder.join("deeper")).unwrap();
    std::fs::write(folder.join("aB-_9"), "aB-_9.thumbprint").unwrap();
    std::fs::write(folder.join("large"), "x".repeat(2000)).unwrap();
    std::fs::write(webroot.path().join("secret"), "secret").unwrap();
    let house = House::with("weight = 0", "", |settings| {
        settings.redirect_to_https = Some(443);
        settings.acme_challenges = Some(webroot.path().to_owned());
    });
    let path = |token: &str| format!("/.well-known/acme-challenge/{token}");
    let answer = get(house.address(), &path("aB-_9"), &["Host: shop.test"]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "aB-_9.thumbprint"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let mut client = Client::to(house.address());
    let head = client.request("HEAD", &path("aB-_9"), &[], "");
    assert_eq!((head.status, head.header("content-length")), (200, Some("16")));
    assert_eq!(client.get(&path("aB-_9"), &[]).status, 200, "the connection goes on");
    for token in ["none", "large", "deeper", "../../secret", "%2e%2e/%2e%2e/secret", "", "deeper/none"] {
        assert_eq!(get(house.address(), &path(token), &[]).status, 308, "{token} is a request as any other");
    }
    assert_eq!(client.request("POST", &path("aB-_9"), &[], "").status, 308);
    let http2 = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let tcp = tokio::net::TcpStream::connect(house.address()).await.unwrap();
        let (send, connection) = h2::client::handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("http://shop.test{}", path("aB-_9"))).body(()).unwrap();
        let (answer, _) = send.ready().await.unwrap().send_request(request, true).unwrap();
        let mut answer = answer.await.unwrap();
        (answer.status().as_u16(), answer.body_mut().data().await.unwrap().unwrap())
    });
    assert_eq!((http2.0, &http2.1[..]), (200, &b"aB-_9.thumbprint"[..]), "over HTTP/2 too");
    assert_eq!(house.blue.requests(), 0);
    wait_until("nothing is in flight", SOON, || house.metrics().contains("cutover_requests_in_flight 0"));
}

#[test]
#[ignore = "needs pebble: .ci/setup installs it"]
fn a_main_file_that_is_read_anew_begins_and_ends_the_orders() {
    let terms = PebbleTerms::default();
    let pebble = Pebble::start(&terms);
    let mut house = House::with("weight = 0", "", |settings| settings.listen = vec![terms.http.into()]);
    let before = house.settings.clone();
    let mut settings = before.clone();
    let acme = pebble.settings(house.dir.path(), Some(&["shop.test"]), &[Http]);
    with_acme(&mut settings, &terms, acme);
    house.running.reload_main(Ok(settings));
    assert_eq!(house.running.tls_addresses, [terms.tls]);
    certified(&house, &pebble, "shop.test");
    let status = house.running.counters.certificate_standings();
    assert!(status["shop.test"].end.is_some());
    house.running.reload_main(Ok(before));
    assert!(house.running.counters.certificate_standings().is_empty());
    assert!(house.metrics().contains("cutover_acme_names{state=\"valid\"} 0"));
    assert_eq!(get(house.address(), "/", &[]).body, "blue");
}
