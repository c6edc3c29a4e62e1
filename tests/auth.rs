//! The admin's door: tokens and roles, who is refused and how, what slow and foreign clients get.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Json, Router, middleware};
use serde_json::Value;

use config::admin::{AdminAccess, Role, Token};
use config::{CertificateFiles, ProxyProtocol, TlsListener};
use cutover::admin::authentication::{self, Authenticator};
use cutover::admin::caller::Caller;
use cutover::admin::tokens::{Keyring, TokenText};
use cutover::admin::verb::Verb;
use cutover::serve;
use judgement::rollout::ChangeKind;
use sidecar::journal::{ChainCheck, JournalEntry, JournalQuery, JournalReader};

use crate::cli::cutover;
use crate::support::client::{Answer, Client};
use crate::support::house::{House, settings, shop};
use crate::support::tls::{self, Certificate, trusting};
use crate::support::{SOON, wait_until};

const WHOAMI: &str = "/api/admin/whoami";

fn token(name: &str, role: Role) -> (TokenText, Token) {
    let secret = TokenText::make().unwrap();
    let token = Token { name: name.to_owned(), role, sha256: secret.sha256(), expires: None };
    (secret, token)
}

fn ask(address: SocketAddr, method: &str, path: &str, secret: &str, lines: &[&str]) -> Answer {
    let host = format!("Host: {address}");
    let bearer = format!("Authorization: Bearer {secret}");
    let mut all = vec![host.as_str()];
    if !secret.is_empty() {
        all.push(&bearer);
    }
    all.extend(lines);
    Client::to(address).request(method, path, &all, "")
}

fn whoami(house: &House, secret: &str) -> Answer {
    ask(house.running.admin, "GET", WHOAMI, secret, &[])
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"))
}

/// The status and the code of an error of the right shape.
#[track_caller]
fn error(answer: &Answer) -> (u16, String) {
    let body = json(answer);
    assert!(body["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{body}");
    (answer.status, body["error"]["code"].as_str().unwrap().to_owned())
}

fn entries(house: &House, kind: ChangeKind) -> Vec<JournalEntry> {
    let query = JournalQuery { kind: Some(kind), limit: 1000, ..JournalQuery::default() };
    JournalReader::open(&house.settings.state).unwrap().page(&query).unwrap().entries
}

#[test]
fn the_first_run_makes_a_token_in_a_file_that_only_its_owner_reads() {
    let house = House::start("weight = 0", "");
    let token = house.token();
    let path = house.dir.path().join("cutover.db.token");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let answer = whoami(&house, &token);
    assert_eq!((answer.status, json(&answer)), (200, serde_json::json!({ "name": "local", "role": "admin" })));
    wait_until("its first use is in the journal", SOON, || entries(&house, ChangeKind::Token).len() == 1);
    whoami(&house, &token);
    let used = entries(&house, ChangeKind::Token);
    let change = &used[0].change;
    assert_eq!(
        (change.who.as_str(), change.from.as_deref(), change.service.as_str()),
        ("local", Some("127.0.0.1"), "")
    );
    assert_eq!(change.why, "first use since startup, as an admin");
    assert!(!format!("{:?}", house.running).contains(&token), "nothing shows it");
    assert_eq!(whoami(&house, &format!("{token}x")).status, 401);
    wait_until("the refusal is in the journal", SOON, || entries(&house, ChangeKind::Refused).len() == 1);
    // The journal and its WAL, byte by byte.
    for name in ["cutover.db", "cutover.db-wal"] {
        let bytes = std::fs::read(house.dir.path().join(name)).unwrap();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "{name}");
    }
    assert_eq!(JournalReader::open(&house.settings.state).unwrap().verify().unwrap(), ChainCheck::Whole(3));

    drop(house.running);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = serve::start(&house.settings).unwrap_err().to_string();
    assert!(refused.contains("can be read by others (its mode is 644)"), "{refused}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let again = serve::start(&house.settings).unwrap();
    assert_eq!(ask(again.admin, "GET", WHOAMI, &token, &[]).status, 200, "the same token after a restart");
}

#[test]
fn each_token_has_its_role_until_it_expires() {
    let ((viewer, a), (operator, b), (old, mut c)) =
        (token("grafana", Role::Viewer), token("ci", Role::Operator), token("old", Role::Admin));
    c.expires = Some(1_700_000_000);
    let house = House::with("weight = 0", "", |settings| settings.admin_access.tokens = vec![a, b, c]);
    for (secret, name, role) in [(&viewer, "grafana", "viewer"), (&operator, "ci", "operator")] {
        let answer = whoami(&house, secret.text());
        assert_eq!((json(&answer)["name"].as_str(), json(&answer)["role"].as_str()), (Some(name), Some(role)));
    }
    assert_eq!(error(&whoami(&house, old.text())), (401, "expired_token".to_owned()));
    assert!(!house.dir.path().join("cutover.db.token").exists(), "none is made where some are configured");
    // The scheme ignores case (RFC 9110 11.1); two headers are none.
    let (address, secret) = (house.running.admin, viewer.text());
    assert_eq!(ask(address, "GET", WHOAMI, "", &[&format!("authorization: bearer {secret}")]).status, 200);
    assert_eq!(ask(address, "GET", WHOAMI, secret, &[&format!("Authorization: Bearer {secret}")]).status, 401);
    assert_eq!(ask(address, "GET", WHOAMI, "", &[&format!("Authorization: Basic {secret}")]).status, 401);
    assert_eq!(ask(address, "GET", &format!("{WHOAMI}?access_token={secret}"), "", &[]).status, 401);
}

#[test]
fn a_role_that_may_not_is_told_so_and_the_journal_knows_who_it_was() {
    let house = House::start("weight = 0", "");
    let ((viewer, a), (operator, b)) = (token("grafana", Role::Viewer), token("ci", Role::Operator));
    let may = |action: Verb| post(async move |caller: Caller| caller.may(action).map(|()| Json(true)));
    // A door of its own with handlers of its own, and the house's journal.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let gate =
        Authenticator::new(Keyring::new(vec![a, b]), &AdminAccess::default(), address, house.running.sidecar.clone());
    let app = Router::new()
        .route("/stop", may(Verb::EmergencyStop))
        .route("/freeze", may(Verb::Freeze))
        .layer(middleware::from_fn_with_state(Arc::new(gate), authentication::authenticate));
    let (_stays, leaving) = tokio::sync::watch::channel(false);
    runtime.spawn(cutover::admin::listen::serve(listener, None, app, house.running.counters.clone(), leaving));
    let status = |path: &str, secret: &TokenText| ask(address, "POST", path, secret.text(), &[]).status;
    assert_eq!([status("/stop", &operator), status("/stop", &viewer), status("/freeze", &operator)], [200, 403, 403]);
    let answer = ask(address, "POST", "/freeze", operator.text(), &[]);
    assert_eq!(error(&answer), (403, "forbidden".to_owned()));
    assert_eq!(json(&answer)["error"]["message"], "`ci` is an operator and may not freeze deploys");
    assert_eq!(json(&answer)["error"]["hint"], "use a token with the role admin");
    wait_until("the refusals are in the journal", SOON, || entries(&house, ChangeKind::Refused).len() == 3);
    let last = &entries(&house, ChangeKind::Refused)[0].change;
    assert_eq!((last.who.as_str(), last.from.as_deref()), ("ci", Some("127.0.0.1")));
    assert_eq!(last.why, "POST /freeze: `ci` is an operator and may not freeze deploys");
    assert!(last.after.is_none() && last.before.is_none());
}

#[test]
fn who_guesses_is_stopped_and_who_has_a_token_is_not() {
    let house = House::start("weight = 0", "");
    let answer = whoami(&house, "");
    assert_eq!(error(&answer), (401, "no_token".to_owned()));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"cutover\""));
    for _ in 0..4 {
        let answer = whoami(&house, "cut_guess");
        assert_eq!(error(&answer), (401, "unknown_token".to_owned()));
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    for _ in 0..20 {
        let answer = whoami(&house, "cut_guess");
        assert_eq!(error(&answer), (429, "too_many_tries".to_owned()));
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((30..=60).contains(&wait), "{wait}");
    }
    assert_eq!(whoami(&house, &house.token()).status, 200, "behind the same address");
    // In order: what comes after the refusals is written after them.
    wait_until("the use is in the journal", SOON, || entries(&house, ChangeKind::Token).len() == 1);
    let refused = entries(&house, ChangeKind::Refused);
    assert_eq!(refused.len(), 6, "five tries, and one entry for all the rest of the minute");
    assert_eq!(refused[5].change.who, "unknown");
    assert_eq!(refused[5].change.why, "GET /api/admin/whoami: a token is required");
    assert!(refused[0].change.why.contains("too many failed attempts"));

    let history = |args: &[&str]| {
        let state = house.settings.state.to_string_lossy().into_owned();
        let output = cutover(house.dir.path(), &[&["history", "--state", &state], args].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = history(&["--kind", "refused", "--who", "unknown", "--since", "1h", "-n", "2"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines.len() == 4 && lines[0].contains("TIME (UTC)") && lines[1].contains("unknown from 127.0.0.1:"),
        "{shown}"
    );
    let before = lines[3].strip_prefix("for older entries: --before ").unwrap();
    let older = history(&["--kind", "refused", "--before", before, "--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&older).unwrap().as_array().unwrap().len(), 4);
    assert_eq!(history(&["--until", "2020-01-01"]), "no matching entries\n");
}

#[test]
fn foreign_hosts_pages_and_bodies_are_refused() {
    let house = House::start("weight = 0", "");
    let (address, token) = (house.running.admin, house.token());
    let token = token.as_str();
    let by_name = |path: &str, host: &str| {
        Client::to(address).get(path, &[&format!("Host: {host}"), &format!("Authorization: Bearer {token}")])
    };
    for path in [WHOAMI, "/metrics", "/"] {
        assert_eq!(error(&by_name(path, "evil.test")), (421, "misdirected".to_owned()), "{path}");
        assert_eq!(by_name(path, &format!("localhost:{}", address.port())).status, 200, "{path}");
    }
    assert_eq!([by_name("/livez", "evil.test").status, by_name("/readyz", "evil.test").status], [200, 200]);
    for line in ["Origin: http://evil.test", "Sec-Fetch-Site: cross-site"] {
        let answer = ask(address, "POST", WHOAMI, token, &[line]);
        assert_eq!(error(&answer), (403, "cross_site".to_owned()));
        assert_eq!(error(&ask(address, "POST", WHOAMI, "", &[line])).0, 403, "before any token is looked at");
    }
    assert_eq!(error(&ask(address, "POST", WHOAMI, token, &[])), (405, "method_not_allowed".to_owned()));
    assert_eq!(error(&ask(address, "GET", "/nothing", token, &[])), (404, "not_found".to_owned()));
    assert_eq!(error(&ask(address, "GET", "/nothing", "", &[])).0, 401, "what is there is nobody's business");
    let (host, bearer) = (format!("Host: {address}"), format!("Authorization: Bearer {token}"));
    let large = "x".repeat((64 << 10) + 1);
    let answer = Client::to(address).request("POST", WHOAMI, &[&host, &bearer], &large);
    assert_eq!(error(&answer), (413, "body_too_large".to_owned()));
    for answer in [whoami(&house, token), whoami(&house, "no"), by_name("/livez", "x")] {
        for (name, value) in [
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
    }
}

#[test]
fn one_token_has_its_rate() {
    let house = House::start("weight = 0", "");
    let (host, bearer) = (format!("Host: {}", house.running.admin), format!("Authorization: Bearer {}", house.token()));
    let mut client = Client::to(house.running.admin);
    let began = Instant::now();
    let answers: Vec<Answer> = (0..400).map(|_| client.get(WHOAMI, &[&host, &bearer])).collect();
    let most = 101 + (began.elapsed().as_secs_f64() * 50.0) as usize;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((100..=most).contains(&good), "{good} of at most {most}");
    if let Some(refused) = answers.iter().find(|answer| answer.status != 200) {
        assert_eq!(error(refused), (429, "too_many_requests".to_owned()));
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
}

/// A connection from another loopback address.
fn from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[test]
fn slow_clients_take_neither_the_door_nor_anybody_elses_place() {
    use std::io::Write;
    let house = House::start("weight = 0", "");
    let address = house.running.admin;
    let began = Instant::now();
    // Half a head each, and half a body.
    let mut slow: Vec<TcpStream> = (0..63).map(|_| from("127.0.0.2", address)).collect();
    slow.iter_mut().for_each(|stream| stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n").unwrap());
    let mut body = from("127.0.0.2", address);
    write!(
        body,
        "POST {WHOAMI} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: 9\r\n\r\nhalf",
        house.token()
    )
    .unwrap();
    // All places of that address are taken, and the oldest gives way.
    let mut one_more = from("127.0.0.2", address);
    one_more.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(matches!(one_more.read(&mut [0; 64]), Ok(1..)));
    assert_eq!(ask(address, "GET", "/livez", "", &[]).status, 200, "others are answered");
    let mut told = [0; 64];
    let got = body.read(&mut told).unwrap();
    assert!(told[..got].starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&told[..got]));
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(18)).contains(&took), "all are gone after {took:?}");
    drop((slow, body));
    wait_until("there is room again", SOON, || {
        let mut again = from("127.0.0.2", address);
        let _ = again.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
        matches!(again.read(&mut [0; 64]), Ok(1..))
    });
}

#[test]
fn with_tls_tokens_travel_under_it_and_nothing_else_is_answered() {
    use std::io::Write;
    let certificate = Certificate::of(&["localhost"]);
    let house = House::with("weight = 0", "", |settings| {
        let dir = settings.state.parent().unwrap().to_owned();
        certificate.write(&dir, "admin");
        let files = CertificateFiles { cert: dir.join("admin.pem"), key: dir.join("admin.key") };
        let listen = settings.admin;
        settings.admin_access.tls = Some(TlsListener {
            listen,
            proxy_protocol: ProxyProtocol::Off,
            http2: false,
            certificates: vec![files],
            acme: false,
        });
    });
    let address = house.running.admin;
    let mut stream = tls::connect(address, "localhost", &trusting(&[&certificate], &["http/1.1"])).unwrap();
    let host = format!("localhost:{}", address.port());
    let token = house.token();
    write!(
        stream,
        "GET {WHOAMI} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"local\""), "{answer}");
    let plain = Client::to(address).try_request("GET", "/livez", &[], "");
    assert!(plain.is_err(), "{plain:?}");
}

#[test]
fn beyond_loopback_nothing_is_open_but_probes() {
    let everywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("routing.toml"), shop("http://127.0.0.1:1", "http://127.0.0.1:2", "", "")).unwrap();
    let mut open = settings(dir.path());
    open.admin = everywhere;
    let refused = serve::start(&open).unwrap_err().to_string();
    assert!(refused.contains("without tokens"), "{refused}");

    for open_metrics in [false, true] {
        let (viewer, a) = token("prometheus", Role::Viewer);
        let house = House::with("weight = 0", "", |settings| {
            settings.admin = everywhere;
            settings.admin_access =
                AdminAccess { tokens: vec![a], insecure: true, open_metrics, ..AdminAccess::default() };
        });
        let address = SocketAddr::new([127, 0, 0, 1].into(), house.running.admin.port());
        assert_eq!(ask(address, "GET", "/readyz", "", &[]).status, 200);
        assert_eq!(ask(address, "GET", "/metrics", "", &[]).status, if open_metrics { 200 } else { 401 });
        assert_eq!(ask(address, "GET", "/metrics", viewer.text(), &[]).status, 200);
        assert_eq!(ask(address, "GET", WHOAMI, viewer.text(), &["Host: evil.test"]).status, 421, "two hosts");
    }
}

#[test]
fn a_new_token_is_shown_once_and_its_lines_fit_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let output = cutover(dir.path(), &["token", "new", "--name", "ci", "--role", "operator"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let secret = TokenText::parse(text.lines().next().unwrap()).unwrap();
    let (_, lines) = text.split_once("[[admin.token]]").unwrap();
    assert_eq!(text.matches(secret.text()).count(), 1);
    let file = dir.path().join("cutover.toml");
    std::fs::write(
        &file,
        format!("version = 1\n[admin]\nlisten = \"0.0.0.0:9700\"\ninsecure = true\n[[admin.token]]{lines}"),
    )
    .unwrap();
    let access = config::load_main(&file).unwrap().admin_access;
    let [token] = &access.tokens[..] else { panic!("{access:?}") };
    assert_eq!((token.name.as_str(), token.role, token.sha256), ("ci", Role::Operator, secret.sha256()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is kept");
    let wrong = cutover(dir.path(), &["token", "new", "--name", "guard"]);
    assert_eq!(wrong.status.code(), Some(2));
    let twice = cutover(dir.path(), &["token", "new", "--output", "json"]);
    let told: Value = serde_json::from_slice(&twice.stdout).unwrap();
    assert!(told["token"].as_str() != Some(secret.text()) && told["sha256"].as_str().unwrap().len() == 64);
}

#[test]
fn run_shows_the_token_it_made_once_to_a_person_and_no_log_has_it() {
    use std::io::BufRead;
    let dir = crate::lifecycle::folder("http://127.0.0.1:1", "http://127.0.0.1:2", "weight = 0");
    let stderr_of = |args: &[&str]| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"))
            .current_dir(dir.path())
            .args(args)
            .env("NO_COLOR", "1")
            .stderr(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut told = Vec::new();
        for line in lines {
            told.push(line);
            if told.last().unwrap().contains("ready") {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        told.join("\n")
    };
    let file = dir.path().join("cutover.db.token");
    // A terminal by `script`, which is there on every Debian.
    let at_terminal = || {
        let command = format!("timeout 2 {} run", env!("CARGO_BIN_EXE_cutover"));
        let output =
            std::process::Command::new("script").current_dir(dir.path()).args(["-qc", &command, "/dev/null"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let first = at_terminal();
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(first.lines().any(|line| line.trim() == kept.trim()), "{first}");
    assert!(!at_terminal().contains("cut_"), "once");
    for args in [&["run"][..], &["--log-json", "run"]] {
        std::fs::remove_file(&file).unwrap();
        let logged = stderr_of(args);
        assert!(logged.contains("created a token for the admin API") && !logged.contains("cut_"), "{logged}");
    }
}

#[test]
fn slow_connections_lock_nobody_out() {
    let house = House::start("weight = 0", "");
    let secret = house.token();
    let mut kept = Client::to(house.running.admin);
    let lines = [format!("Host: {}", house.running.admin), format!("Authorization: Bearer {secret}")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(kept.get(WHOAMI, &lines).status, 200);
    // More than there are places for this address; each has sent half of a head.
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(house.running.admin).unwrap();
            std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost:").unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        assert_eq!(whoami(&house, &secret).status, 200);
        assert_eq!(ask(house.running.admin, "GET", "/readyz", "", &[]).status, 200);
    }
    assert_eq!(kept.get(WHOAMI, &lines).status, 200, "who has shown a token keeps its connection");
    let metrics = house.metrics();
    let ended = metrics.lines().find_map(|line| line.strip_prefix("cutover_admin_ended_total ")).unwrap();
    assert!(ended.parse::<u64>().unwrap() >= 136, "{ended}");
    drop(slow);
}
