//! Upgrades, with the real binary: another process takes the place of the running one, or does not come up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use judgement::rollout::ChangeKind;
use sidecar::journal::{ChainCheck, JournalEntry, JournalReader};

use crate::drain::{Directory, http1, http2};
use crate::support::client::{Client, admin, get};
use crate::support::house::Load;
use crate::support::raw_origin::{head, raw};
use crate::support::tls::{self, Certificate, trusting};
use crate::support::{SOON, SmallDisk, wait_until};

/// A process that is replaced by others. All of them are killed in the end.
pub struct Succession {
    pub dir: tempfile::TempDir,
    pub first: Child,
    others: Vec<String>,
    pub plain: SocketAddr,
    tls: Option<SocketAddr>,
    pub admin: SocketAddr,
}

impl Succession {
    pub fn start(dir: tempfile::TempDir) -> Succession {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(["--log-json", "run"]);
        Succession::of(dir, &mut command)
    }

    fn of(dir: tempfile::TempDir, command: &mut Command) -> Succession {
        let mut first = command.current_dir(dir.path()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
        let (mut plain, mut tls, mut admin) = (None, None, None);
        while admin.is_none() {
            let line = lines.next().expect("it becomes ready").unwrap();
            let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            let fields = &line["fields"];
            let address = |field: &str| fields[field].as_str().and_then(|text| text.parse().ok());
            match fields["message"].as_str() {
                Some("listening") => plain = plain.or(address("address")),
                Some("listening with TLS") => tls = address("address"),
                _ => admin = address("admin"),
            }
        }
        // The log of all of them is shown if the test fails.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Succession { dir, first, others: Vec::new(), plain: plain.unwrap(), tls, admin: admin.unwrap() }
    }

    /// Asks for an upgrade: whether there was one, and what was said.
    pub fn try_upgrade(&mut self, binary: Option<&Path>) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(self.dir.path()).arg("upgrade");
        if let Some(binary) = binary {
            command.arg("--binary").arg(binary);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        if let Some(process) = said.strip_prefix("process ").and_then(|rest| rest.split(' ').next()) {
            self.others.push(process.to_owned());
        }
        (output.status.success(), said)
    }

    pub fn upgrade(&mut self) {
        let (done, said) = self.try_upgrade(None);
        assert!(done, "{said}");
    }

    /// The sum of a metric over the lines that have this label.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let text = admin(self.admin, "/metrics").body;
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        let values = lines.filter_map(|line| line.split(' ').next_back());
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    }

    fn journal(&self) -> JournalReader {
        JournalReader::open(&self.dir.path().join("cutover.db")).unwrap()
    }

    pub fn newest_entry(&self) -> u64 {
        self.journal().newest().unwrap().id
    }

    pub fn entries_after(&self, id: u64) -> Vec<JournalEntry> {
        let mut entries = self.journal().latest(None, 1000).unwrap();
        entries.retain(|entry| entry.change.id > id);
        entries
    }
}

impl Drop for Succession {
    fn drop(&mut self) {
        let _ = self.first.kill();
        let _ = self.first.wait();
        for process in &self.others {
            let _ = Command::new("kill").args(["-9", process]).stderr(Stdio::null()).status();
        }
    }
}

pub fn folder(origin: SocketAddr, main: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_main(dir.path(), main);
    let sides =
        format!("[service.shop.blue]\nurl = \"http://{origin}\"\n[service.shop.green]\nurl = \"http://{origin}\"\n");
    let routing = format!("[service.shop]\nwebsocket = true\n{sides}[service.shop.split]\nweight = 10\n");
    std::fs::write(dir.path().join("routing.toml"), routing).unwrap();
    dir
}

pub fn write_main(dir: &Path, main: &str) {
    let main = format!("version = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n{main}");
    std::fs::write(dir.join("cutover.toml"), main).unwrap();
}

pub const PLAIN: &str = "[proxy]\nlisten = [\"127.0.0.1:0\"]\nthreads = 2\n";

/// An origin that answers, and echoes what comes through a tunnel.
pub fn origin() -> SocketAddr {
    raw(|mut tcp, _| {
        let mut text = Vec::new();
        let mut byte = [0];
        loop {
            while !text.ends_with(b"\r\n\r\n") {
                if tcp.read(&mut byte).unwrap_or(0) == 0 {
                    return;
                }
                text.push(byte[0]);
            }
            if String::from_utf8_lossy(&text).to_ascii_lowercase().contains("upgrade: websocket") {
                let _ = tcp.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                );
                let mut copy = tcp.try_clone().unwrap();
                let _ = std::io::copy(&mut tcp, &mut copy);
                return;
            }
            text.clear();
            if tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok").is_err() {
                return;
            }
        }
    })
}

/// A tunnel through the proxy, and what comes back through it.
pub struct Tunnel(TcpStream);

impl Tunnel {
    pub fn open(address: SocketAddr) -> Tunnel {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        let ask = b"GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        tcp.write_all(ask).unwrap();
        assert!(head(&mut tcp), "the tunnel opens");
        Tunnel(tcp)
    }

    pub fn echoes(&mut self, text: &[u8]) -> bool {
        let mut back = vec![0; text.len()];
        self.0.write_all(text).is_ok() && self.0.read_exact(&mut back).is_ok() && back == text
    }
}

#[test]
fn twenty_upgrades_under_load_fail_no_request_over_three_protocols_and_end_no_tunnel() {
    let certificate = Certificate::of(&["shop.test"]);
    let files = "[[proxy.tls]]\nlisten = \"127.0.0.1:0\"\ncert_file = \"shop.pem\"\nkey_file = \"shop.key\"\n";
    let dir = folder(origin(), &format!("{PLAIN}{files}"));
    certificate.write(dir.path(), "shop");
    let mut running = Succession::start(dir);
    let (plain, secure) = (running.plain, running.tls.unwrap());
    let mut tunnels = [(); 3].map(|()| Tunnel::open(plain));
    let directory = Arc::new(Directory::of(plain, secure));
    let stop = Arc::new(AtomicBool::new(false));
    let done: [Arc<AtomicU64>; 4] = Default::default();
    let mut clients: Vec<std::thread::JoinHandle<Vec<String>>> = Vec::new();
    for _ in 0..4 {
        let (stop, done) = (stop.clone(), done[0].clone());
        clients.push(std::thread::spawn(move || {
            http1(&stop, &done, || {
                let tcp = TcpStream::connect(plain).unwrap();
                tcp.set_read_timeout(Some(SOON)).unwrap();
                tcp
            })
        }));
    }
    for _ in 0..2 {
        let (stop, done, config) = (stop.clone(), done[1].clone(), trusting(&[&certificate], &[]));
        clients.push(std::thread::spawn(move || {
            http1(&stop, &done, || tls::connect(secure, "shop.test", &config).expect("somebody listens"))
        }));
    }
    for _ in 0..2 {
        let (stop, done, directory) = (stop.clone(), done[2].clone(), directory.clone());
        let config = trusting(&[&certificate], &["h2"]);
        clients.push(std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(http2(&stop, &directory, &done, &config))
        }));
    }
    // And those that connect anew each time.
    for _ in 0..2 {
        let (stop, done) = (stop.clone(), done[3].clone());
        clients.push(std::thread::spawn(move || {
            let mut failed = Vec::new();
            while !stop.load(SeqCst) {
                match Client::to(plain).try_request("GET", "/", &[], "") {
                    Ok(answer) if answer.is_good() => _ = done.fetch_add(1, SeqCst),
                    other => failed.push(format!("a new connection: {other:?}")),
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            failed
        }));
    }
    let entries = running.newest_entry();
    for turn in 1..=20 {
        let before = done.each_ref().map(|done| done.load(SeqCst));
        wait_until("all kinds are served", SOON, || {
            done.iter().zip(before).all(|(done, before)| done.load(SeqCst) > before + 20)
        });
        running.upgrade();
        assert!(tunnels.iter_mut().all(|tunnel| tunnel.echoes(format!("turn {turn}").as_bytes())), "turn {turn}");
    }
    stop.store(true, SeqCst);
    let failed: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(failed.is_empty(), "of {done:?} requests: {failed:#?}");
    assert!(tunnels.iter_mut().all(|tunnel| tunnel.echoes(b"at the end")));
    drop(tunnels);
    let asked = done.iter().map(|done| done.load(SeqCst)).sum::<u64>() + 3;
    let counted = || running.metric("cutover_requests_total", "") as u64;
    let start = Instant::now();
    while counted() != asked && start.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(counted(), asked, "every request is counted by who serves now");
    assert_eq!(running.metric("cutover_weight_ratio", "\"green\""), 0.1, "no weight has moved");
    let said = |entry: &JournalEntry| entry.change.why.contains("took the place of process");
    wait_until("each upgrade is in the journal", SOON, || {
        running.entries_after(entries).iter().filter(|entry| said(entry)).count() == 20
    });
    let entries = running.entries_after(entries);
    assert!(entries.iter().all(|entry| entry.change.kind == ChangeKind::Upgrade), "nothing was decided: {entries:#?}");
    assert_eq!(running.metric("cutover_rollbacks_total", ""), 0.0);
}

/// A program that is no Cutover.
fn program(dir: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_process_that_does_not_come_up_changes_nothing() {
    let mut running = Succession::start(folder(origin(), PLAIN));
    let dir = running.dir.path().to_owned();
    let load = Load::start(running.plain, 2, Duration::from_millis(5));
    // A header of another architecture, and no more.
    let mut foreign = std::fs::read(env!("CARGO_BIN_EXE_cutover")).unwrap()[..4096].to_vec();
    foreign[18] = 0xf3;
    let cases = [
        (dir.join("nothing"), "cannot start"),
        (program(&dir, "foreign", &foreign), "Exec format error"),
        (program(&dir, "exits", b"#!/bin/sh\nexit 7\n"), "ended (exit status: 7)"),
        (program(&dir, "hangs", b"#!/bin/sh\nexec sleep 600\n"), "was not prepared within 30s, and was ended"),
    ];
    for (binary, said) in cases {
        let (done, text) = running.try_upgrade(Some(&binary));
        assert!(!done && text.contains(said) && text.contains("goes on as before"), "{}: {text}", binary.display());
    }
    let good = std::fs::read_to_string(dir.join("routing.toml")).unwrap();
    std::fs::write(dir.join("routing.toml"), good.replace("weight = 10", "weight = 1000")).unwrap();
    let (done, text) = running.try_upgrade(None);
    assert!(!done && text.contains("routing.toml:") && text.contains("weight"), "{text}");
    std::fs::write(dir.join("routing.toml"), &good).unwrap();
    write_main(&dir, &PLAIN.replace("threads", "treads"));
    let (done, text) = running.try_upgrade(None);
    assert!(!done && text.contains("treads"), "{text}");
    write_main(&dir, PLAIN);
    // The one that runs has its state, and is asked as before.
    let shift = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .current_dir(&dir)
        .args(["shift", "25", "--admin-url", &format!("http://{}", running.admin)])
        .output()
        .unwrap();
    assert!(shift.status.success(), "{}", String::from_utf8_lossy(&shift.stderr));
    let chain = JournalReader::open(&dir.join("cutover.db")).unwrap().verify().unwrap();
    assert!(matches!(chain, ChainCheck::Whole(_)), "{chain:?}");
    let failed = |entry: &JournalEntry| entry.change.why.starts_with("no upgrade, this process goes on: ");
    let entries = running.entries_after(0);
    assert_eq!(entries.iter().filter(|entry| failed(entry)).count(), 5, "{entries:#?}");
    assert!(entries.iter().any(|entry| entry.change.why.ends_with("not 1000 (routing.toml:8:10)")), "{entries:#?}");
    running.upgrade();
    assert_eq!(running.metric("cutover_weight_ratio", "\"green\""), 0.25);
    let (requests, failed) = load.stop();
    assert!(requests > 100 && failed == 0, "{failed} of {requests}");
}

#[test]
fn an_upgrade_changes_workers_and_listeners_without_losing_who_waits() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [first, second, third] = [free(), free(), free()];
    let main = |threads: usize, listen: &[SocketAddr]| {
        let listen: Vec<String> = listen.iter().map(|address| format!("\"{address}\"")).collect();
        format!("[proxy]\nlisten = [{}]\nthreads = {threads}\n", listen.join(", "))
    };
    let mut running = Succession::start(folder(origin(), &main(2, &[first, second])));
    let load = Load::asking(first, 4, Duration::from_millis(2), move |_, _| {
        Client::to(first).try_request("GET", "/", &[], "")
    });
    for (threads, listen) in [(1, &[first, second][..]), (4, &[first, third]), (2, &[first]), (3, &[third, first])] {
        write_main(running.dir.path(), &main(threads, listen));
        running.upgrade();
        for address in [first, second, third] {
            let answers = || TcpStream::connect(address).is_ok() && get(address, "/", &[]).status == 200;
            match listen.contains(&address) {
                true => assert!(answers(), "{address} of {listen:?}"),
                // The old process closes it as it leaves.
                false => _ = wait_until("nobody listens", SOON, || TcpStream::connect(address).is_err()),
            }
        }
    }
    let (requests, failed) = load.stop();
    assert!(requests > 50 && failed == 0, "{failed} of {requests}");
}

/// What a service manager is told, each message by its lines.
struct Manager(UnixDatagram);

impl Manager {
    fn next(&self, wanted: &str) -> String {
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            let mut buffer = [0; 4096];
            let Ok(length) = self.0.recv(&mut buffer) else { break };
            let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if said.lines().any(|line| line.starts_with(wanted)) {
                return said;
            }
            assert!(said == "WATCHDOG=1\n", "{said:?} instead of {wanted}");
        }
        panic!("it is never told {wanted}");
    }
}

#[test]
fn a_service_manager_is_told_what_happens_and_that_all_is_well() {
    let dir = folder(origin(), PLAIN);
    let path = dir.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    manager.0.set_read_timeout(Some(SOON)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["--log-json", "run"]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000");
    let mut running = Succession::of(dir, &mut command);
    manager.next("READY=1");
    manager.next("WATCHDOG=1");
    let broken = program(running.dir.path(), "broken", b"#!/bin/sh\nexit 3\n");
    assert!(!running.try_upgrade(Some(&broken)).0);
    assert!(manager.next("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.next("READY=1");
    running.upgrade();
    manager.next("RELOADING=1");
    // The new process says that it is ready, too, before or after; only one of the two is the service in the manager's eyes.
    let mut told = [manager.next("READY=1"), manager.next("READY=1")];
    told.sort();
    assert_eq!(told, [format!("MAINPID={}\nREADY=1\n", running.others[0]), "READY=1\n".to_owned()]);
    wait_until("the first process has ended", SOON, || running.first.try_wait().unwrap().is_some());
    while manager.0.set_nonblocking(true).is_ok() && manager.0.recv(&mut [0; 64]).is_ok() {}
    manager.0.set_nonblocking(false).unwrap();
    manager.next("WATCHDOG=1");
    assert!(Command::new("kill").arg(&running.others[0]).status().unwrap().success());
    manager.next("STOPPING=1");
}

#[test]
#[ignore = "needs systemd-socket-activate: .ci/setup installs it"]
fn a_service_manager_opens_the_sockets_and_an_upgrade_hands_them_on() {
    let [public, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let main = |threads: usize, admin: SocketAddr| {
        format!("version = 1\n[admin]\nlisten = \"{admin}\"\n[proxy]\nlisten = [\"{public}\"]\nthreads = {threads}\n")
    };
    let dir = folder(origin(), "");
    let file = dir.path().join("cutover.toml");
    std::fs::write(&file, main(2, admin)).unwrap();
    let activate = |dir: &Path| {
        let mut command = Command::new("systemd-socket-activate");
        command.current_dir(dir).args(["-l", &public.to_string(), "-l", &admin.to_string()]);
        command.args([env!("CARGO_BIN_EXE_cutover"), "--log-json", "run"]);
        command
    };
    // Somebody waits in the queue before there is a Cutover; it is started for them.
    let waiting = std::thread::spawn(move || {
        wait_until("the manager listens", SOON, || TcpStream::connect(public).is_ok());
        get(public, "/", &[]).status
    });
    let mut running = Succession::of(dir, &mut activate(Path::new(".")));
    assert_eq!(waiting.join().unwrap(), 200);
    let load = Load::asking(public, 2, Duration::from_millis(2), move |_, _| {
        Client::to(public).try_request("GET", "/", &[], "")
    });
    for threads in [4, 1, 3] {
        std::fs::write(&file, main(threads, admin)).unwrap();
        running.upgrade();
    }
    let (requests, failed) = load.stop();
    assert!(requests > 50 && failed == 0, "{failed} of {requests}");

    let dir = folder(origin(), "");
    std::fs::write(dir.path().join("cutover.toml"), main(1, "127.0.0.1:0".parse().unwrap())).unwrap();
    drop(running);
    let mut refused = activate(dir.path()).stderr(Stdio::piped()).spawn().unwrap();
    // It is started for the first connection; one may still have found a socket of before.
    wait_until("it has ended", SOON, || {
        drop(TcpStream::connect(public));
        refused.try_wait().unwrap().is_some()
    });
    let mut said = String::new();
    refused.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!refused.wait().unwrap().success());
    assert!(said.contains(&format!("has opened {admin}, and no listener is there")), "{said}");
}

#[test]
#[ignore = "needs root, to mount a small disk: .ci/run is root"]
fn on_a_full_disk_nothing_is_lost_and_an_upgrade_works_when_there_is_room_again() {
    let mount = SmallDisk::of("8m");
    let source = folder(origin(), PLAIN);
    for file in ["cutover.toml", "routing.toml"] {
        std::fs::copy(source.path().join(file), mount.path().join(file)).unwrap();
    }
    let state = format!(
        "version = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n{PLAIN}[state]\npath = {:?}\n",
        mount.path().join("cutover.db")
    );
    std::fs::write(source.path().join("cutover.toml"), state).unwrap();
    let mut running = Succession::start(source);
    let load = Load::start(running.plain, 2, Duration::from_millis(5));
    let filler = mount.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    // An open file goes on to take up its room when it is removed.
    drop(file);
    let entries = JournalReader::open(&mount.path().join("cutover.db")).unwrap().newest().unwrap().id;
    for _ in 0..3 {
        // It may succeed: what is there can be read.
        let (done, said) = running.try_upgrade(None);
        assert!(done || said.contains("goes on as before"), "{said}");
    }
    std::fs::remove_file(&filler).unwrap();
    wait_until("there is room again", SOON, || running.try_upgrade(None).0);
    let reader = JournalReader::open(&mount.path().join("cutover.db")).unwrap();
    assert!(matches!(reader.verify().unwrap(), ChainCheck::Whole(_)));
    assert!(reader.newest().unwrap().id > entries);
    let (requests, failed) = load.stop();
    assert!(requests > 100 && failed == 0, "{failed} of {requests}");
}

#[test]
fn an_upgrade_is_asked_for_by_the_owner_and_follows_the_link_that_was_started() {
    let dir = folder(origin(), PLAIN);
    let link = dir.path().join("current");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cutover"), &link).unwrap();
    let mut command = Command::new(&link);
    command.args(["--log-json", "run"]);
    let mut running = Succession::of(dir, &mut command);
    let door = running.dir.path().join("cutover.db.upgrade");
    assert_eq!(std::fs::symlink_metadata(&door).unwrap().permissions().mode() & 0o777, 0o600);
    // Who asks slowly is heard to the end, though the file is looked at several times meanwhile.
    let mut slow = UnixStream::connect(&door).unwrap();
    slow.write_all(b"{\"binary\":").unwrap();
    std::thread::sleep(Duration::from_millis(400));
    slow.write_all(b"\"/bin/false\"}\n").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("ended (exit status: 1)"), "{answer}");
    // Where the link leads now is no Cutover.
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/bin/false", &link).unwrap();
    let (done, said) = running.try_upgrade(None);
    assert!(!done && said.contains("ended (exit status: 1)"), "{said}");
    assert_eq!(get(running.plain, "/", &[]).status, 200);
}

#[test]
fn sigterm_gives_up_an_upgrade_that_is_under_way_and_drains() {
    let mut running = Succession::start(folder(origin(), PLAIN));
    let hangs = program(running.dir.path(), "hangs", b"#!/bin/sh\nexec sleep 600\n");
    let (main, dir) = (env!("CARGO_BIN_EXE_cutover"), running.dir.path().to_owned());
    let mut asking = Command::new(main).current_dir(dir).arg("upgrade").arg("--binary").arg(hangs).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    assert!(Command::new("kill").arg(running.first.id().to_string()).status().unwrap().success());
    wait_until("it has ended", SOON, || running.first.try_wait().unwrap().is_some());
    // It waits for half a minute otherwise.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(asking.wait().unwrap().code(), Some(1));
}

#[test]
fn an_upgrade_goes_on_with_the_same_state_and_waits_for_who_is_held() {
    let mut running = Succession::start(folder(origin(), PLAIN));
    let dir = running.dir.path().to_owned();
    let url = format!("http://{}", running.admin);
    let hold = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .current_dir(&dir)
            .args(arguments)
            .args(["--admin-url", &url])
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    hold(&["hold", "--for", "60s"]);
    let (done, said) = running.try_upgrade(None);
    assert!(!done && said.contains("shop is held"), "{said}");
    hold(&["hold", "--release"]);
    write_main(&dir, &format!("{PLAIN}[state]\npath = \"other.db\"\n"));
    // The command looks for the process by its state; a signal needs no file.
    let newest = running.newest_entry();
    assert!(Command::new("kill").args(["-USR2", &running.first.id().to_string()]).status().unwrap().success());
    let refused = |entry: &JournalEntry| entry.change.why.contains("state.path is");
    wait_until("it is refused", SOON, || running.entries_after(newest).iter().any(refused));
    write_main(&dir, PLAIN);
    running.upgrade();
}

#[test]
fn a_step_goes_on_where_it_was() {
    let dir = folder(origin(), PLAIN);
    let routing = dir.path().join("routing.toml");
    let mut text = std::fs::read_to_string(&routing).unwrap().replace("weight = 10", "weight = 0");
    text.push_str("[service.shop.rollout]\nsteps = [{ weight = 10, bake = \"5m\" }, 100]\n");
    std::fs::write(&routing, text).unwrap();
    let mut running = Succession::start(dir);
    let url = format!("http://{}", running.admin);
    let folder = running.dir.path().to_owned();
    let cutover = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        let output = command.current_dir(&folder).args(arguments).args(["--admin-url", &url]).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
        said
    };
    let spent = || -> u64 {
        let status: serde_json::Value = serde_json::from_str(&cutover(&["status", "--output", "json"])).unwrap();
        status["services"][0]["rollout"]["spent_ms"].as_u64().unwrap_or(0)
    };
    cutover(&["deploy", "2.0.0"]);
    wait_until("the step is under way", SOON, || spent() > 0);
    for _ in 0..4 {
        let begun = spent();
        wait_until("it goes on", SOON, || spent() > begun + 700);
        let before = spent();
        running.upgrade();
        assert!(spent() >= before, "back from {before} ms to {} ms", spent());
    }
}
