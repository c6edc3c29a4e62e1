//! Signals, restarts and `kill -9`, with the real binary.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use judgement::rollout::ChangeKind;
use sidecar::journal::{ChainCheck, JournalEntry, JournalReader};

use crate::faults::TlsOrigin;
use crate::support::client::{Client, admin, get};
use crate::support::house::{Load, shop};
use crate::support::origin::{Do, Origin};
use crate::support::tls::Authority;
use crate::support::{SOON, wait_until};

/// A process of its own. Killed when dropped.
pub struct Process {
    pub child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    log: std::thread::JoinHandle<String>,
}

impl Process {
    pub fn start(dir: &std::path::Path) -> Process {
        Process::start_with(dir, &[])
    }

    fn start_with(dir: &std::path::Path, env: &[(&str, &str)]) -> Process {
        Process::start_to(dir, env, Stdio::inherit())
    }

    pub fn start_to(dir: &std::path::Path, env: &[(&str, &str)], stdout: Stdio) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .current_dir(dir)
            .args(["--log-json", "run"])
            .envs(env.iter().copied())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut address, mut admin, mut log) = (None, None, String::new());
        while admin.is_none() {
            let line = lines.next().unwrap_or_else(|| panic!("ended before it was ready:\n{log}")).unwrap();
            log.push_str(&line);
            log.push('\n');
            let fields = &serde_json::from_str::<serde_json::Value>(&line).unwrap()["fields"];
            if let Some(listening) = fields["address"].as_str() {
                address = Some(listening.parse().unwrap());
            }
            admin = fields["admin"].as_str().map(|admin| admin.parse().unwrap());
        }
        let log = std::thread::spawn(move || {
            lines.for_each(|line| log.push_str(&format!("{}\n", line.unwrap_or_default())));
            log
        });
        Process { child, address: address.unwrap(), admin: admin.unwrap(), log }
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; gives the exit code and the log.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        (code, std::mem::replace(&mut self.log, std::thread::spawn(String::new)).join().unwrap())
    }

    fn weight(&self) -> f64 {
        let metrics = admin(self.admin, "/metrics").body;
        let line = "cutover_weight_ratio{environment=\"green\",service=\"shop\"} ";
        let other = "cutover_weight_ratio{service=\"shop\",environment=\"green\"} ";
        let value = metrics.lines().find_map(|l| l.strip_prefix(line).or_else(|| l.strip_prefix(other)));
        value.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn folder(blue: &str, green: &str, split: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let main = "version = 1\n[proxy]\nlisten = [\"127.0.0.1:0\"]\nthreads = 2\ndrain = \"3s\"\ndrain_delay = \"2s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(dir.path().join("cutover.toml"), main).unwrap();
    std::fs::write(dir.path().join("routing.toml"), shop(blue, green, split, "")).unwrap();
    dir
}

fn origins() -> (Origin, Origin) {
    (Origin::start("blue"), Origin::start("green"))
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_goes() {
    let (blue, green) = origins();
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    let process = Process::start(dir.path());
    assert_eq!(get(process.admin, "/readyz", &[]).status, 200);
    blue.always(Do::Slow(Duration::from_millis(700)));
    let mut idle = Client::to(process.address);
    let mut busy = Client::to(process.address);
    busy.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    wait_until("the request is with the origin", SOON, || blue.requests() == 1);
    process.signal("TERM");
    let answer = busy.answer();
    assert_eq!((answer.status, answer.body.as_str()), (200, "blue"));
    // It is not ready any more, but who comes is still served, and told that it is the last time.
    assert_eq!(get(process.admin, "/readyz", &[]).status, 503);
    for client in [&mut idle, &mut Client::to(process.address)] {
        let answer = client.get("/", &[]);
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert!(client.try_request("GET", "/", &[], "").is_err(), "and it was the last time");
    }
    let (code, log) = process.ended();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn sigterm_waits_no_longer_than_it_was_told_and_sigint_not_at_all() {
    let (blue, green) = origins();
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    blue.always(Do::Hang);
    for (signal, at_least, at_most) in [("TERM", 2900, 20_000), ("INT", 0, 2900)] {
        let before = blue.requests();
        let process = Process::start(dir.path());
        let mut client = Client::to(process.address);
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        wait_until("the request is with the origin", SOON, || blue.requests() > before);
        let began = Instant::now();
        process.signal(signal);
        let (code, log) = process.ended();
        let took = began.elapsed().as_millis();
        assert!(code == Some(0) && (at_least..at_most).contains(&took), "{signal}: {code:?} after {took} ms\n{log}");
    }
}

#[test]
fn a_second_sigterm_ends_the_drain() {
    let (blue, green) = origins();
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    let main = std::fs::read_to_string(dir.path().join("cutover.toml")).unwrap().replace("3s", "10m");
    std::fs::write(dir.path().join("cutover.toml"), main).unwrap();
    blue.always(Do::Hang);
    let process = Process::start(dir.path());
    let mut client = Client::to(process.address);
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    wait_until("the request is with the origin", SOON, || blue.requests() == 1);
    process.signal("TERM");
    wait_until("it takes no more connections", SOON, || std::net::TcpStream::connect(process.address).is_err());
    process.signal("TERM");
    assert_eq!(process.ended().0, Some(0));
}

#[test]
fn sighup_reads_the_file_again_and_says_what_is_wrong_with_it() {
    let (blue, green) = origins();
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    let process = Process::start(dir.path());
    process.signal("HUP");
    wait_until("it has been read again", SOON, || {
        admin(process.admin, "/metrics").body.contains("cutover_config_reload_total{result=\"taken\"} 2")
    });
    std::fs::write(dir.path().join("routing.toml"), shop(&blue.url(), &green.url(), "weight = \"ten\"", "")).unwrap();
    wait_until("it is refused", SOON, || admin(process.admin, "/metrics").body.contains("result=\"refused\"} 1"));
    process.signal("INT");
    let (_, log) = process.ended();
    assert!(
        log.contains("routing file refused") && log.contains("routing.toml:7:10") && log.contains("^^^^^"),
        "{log}"
    );
}

#[test]
fn kill_9_at_any_moment_leaves_a_state_that_an_entry_explains() {
    kill_again_and_again(15);
}

#[test]
#[ignore = "takes minutes: .ci/run runs it alone"]
fn two_hundred_times_kill_9_leaves_a_state_that_an_entry_explains() {
    kill_again_and_again(200);
}

fn kill_again_and_again(rounds: u32) {
    let (blue, green) = origins();
    let dir = folder(&blue.url(), &green.url(), "weight = 10");
    let path = dir.path().join("routing.toml");
    for round in 0..rounds {
        let process = Process::start(dir.path());
        let before = process.weight();
        let weight = 20 + round % 70;
        std::fs::write(&path, shop(&blue.url(), &green.url(), &format!("weight = {weight}"), "")).unwrap();
        // Sometimes before it is in force, sometimes after.
        if round % 3 == 0 {
            wait_until("the weight is shown", SOON, || process.weight() == f64::from(weight) / 100.0);
        } else {
            std::thread::sleep(Duration::from_millis(u64::from(round % 15) * 25));
        }
        process.signal("KILL");
        drop(process);
        let next = Process::start(dir.path());
        let after = next.weight();
        assert!(
            after == f64::from(weight) / 100.0,
            "round {round}: the file asks for {weight}, {before} before, {after} after"
        );
        let state = dir.path().join("cutover.db");
        wait_until("every change is in the chain", SOON, || {
            // Of some of them the reload is in it too.
            let least = u64::from(round) + 2;
            matches!(JournalReader::open(&state).unwrap().verify().unwrap(), ChainCheck::Whole(entries) if entries >= least)
        });
    }
}

#[test]
fn a_rollback_outlives_kill_9_before_the_first_request() {
    let (blue, green) = origins();
    let dir = folder(&blue.url(), &green.url(), "weight = 50\nsticky = { cookie = \"c\" }");
    let process = Process::start(dir.path());
    green.always(Do::Status(500));
    let mut client = Client::to(process.address);
    wait_until("it is rolled back", SOON, || {
        client.get("/", &[]);
        process.weight() == 0.0
    });
    let state = dir.path().join("cutover.db");
    let is_rollback = |entry: &JournalEntry| entry.change.kind == ChangeKind::Rollback;
    wait_until("it is written", SOON, || {
        JournalReader::open(&state).unwrap().latest(None, 9).unwrap().iter().any(is_rollback)
    });
    process.signal("KILL");
    drop(process);
    let restarted = Process::start(dir.path());
    let asked = green.requests();
    let mut client = Client::to(restarted.address);
    assert!((0..100).all(|n| client.get("/", &[&format!("Cookie: c=client{n}")]).body == "blue"));
    assert_eq!((green.requests(), restarted.weight()), (asked, 0.0));
}

#[test]
fn a_certificate_that_ends_soon_is_warned_of_and_its_end_is_a_metric() {
    let (blue, green) = origins();
    for (days, said) in [(5, "certificate expires soon"), (-1, "certificate has expired"), (30, "")] {
        let dir = folder(&blue.url(), &green.url(), "weight = 0");
        let day = Duration::from_secs(24 * 3600);
        let end = match days {
            ..0 => SystemTime::now() - day,
            days => SystemTime::now() + day * days as u32 + day / 2,
        };
        Authority::new().sign_until(&["shop.test"], end).write(dir.path(), "shop");
        let mut main = std::fs::read_to_string(dir.path().join("cutover.toml")).unwrap();
        main.push_str("[[proxy.tls]]\nlisten = \"127.0.0.1:0\"\ncert_file = \"shop.pem\"\nkey_file = \"shop.key\"\n");
        std::fs::write(dir.path().join("cutover.toml"), main).unwrap();
        let process = Process::start(dir.path());
        let metrics = admin(process.admin, "/metrics").body;
        let shown = metrics.lines().find(|line| line.starts_with("cutover_certificate_end_seconds{")).unwrap();
        let shown: f64 = shown.rsplit(' ').next().unwrap().parse().unwrap();
        let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((shown - end).abs() < 2.0, "{shown} instead of {end}");
        std::thread::sleep(Duration::from_millis(500));
        process.signal("INT");
        let (_, log) = process.ended();
        let warnings = log.lines().filter(|line| line.contains("certificate ")).count();
        assert!(warnings == usize::from(!said.is_empty()) && log.contains(said), "{days} days: {log}");
    }
}

#[test]
fn a_second_process_on_the_same_port_is_refused() {
    let (blue, green) = origins();
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    let process = Process::start(dir.path());
    let other = folder(&blue.url(), &green.url(), "weight = 0");
    let main = std::fs::read_to_string(other.path().join("cutover.toml")).unwrap();
    let main = main.replacen("127.0.0.1:0", &process.address.to_string(), 1);
    std::fs::write(other.path().join("cutover.toml"), main).unwrap();
    let output = crate::cli::cutover(other.path(), &["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen on"), "{output:?}");
    assert_eq!(get(process.address, "/", &[]).status, 200);
}

#[test]
fn drains_under_load_end_in_time() {
    let (blue, green) = origins();
    let dir = folder(&blue.url(), &green.url(), "weight = 10");
    let process = Process::start(dir.path());
    let load = Load::start(process.address, 8, Duration::from_millis(1));
    wait_until("traffic flows", SOON, || load.requests() > 500);
    let began = Instant::now();
    process.signal("TERM");
    let (code, log) = process.ended();
    assert!(
        code == Some(0) && began.elapsed() < Duration::from_secs(10),
        "{code:?} after {:?}\n{log}",
        began.elapsed()
    );
    // The clients find nobody any more: what they see after that is not the drain's failure.
    drop(load);
}

#[test]
fn https_origins_are_verified_by_name_and_get_their_own_host() {
    let origin = TlsOrigin::start();
    let green = Origin::start("green");
    let dir = folder(&format!("https://localhost:{}", origin.port), &green.url(), "weight = 0");
    let (roots, routing) = (dir.path().join("roots.pem"), dir.path().join("routing.toml"));
    std::fs::write(&roots, &origin.certificate).unwrap();
    let text = std::fs::read_to_string(&routing).unwrap();
    std::fs::write(&routing, text.replacen("[service.shop]\n", "[service.shop]\nhost = \"origin\"\n", 1)).unwrap();
    let process = Process::start_with(dir.path(), &[("SSL_CERT_FILE", roots.to_str().unwrap())]);
    let answer = get(process.address, "/", &[]);
    assert_eq!((answer.status, answer.body), (200, format!("localhost:{}", origin.port)));
}
