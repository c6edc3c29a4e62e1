//! Where a Cutover lives: its files, its small disk, its clock and its name server, and the process that serves.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::names::NameServer;
use super::sites::Sites;
use crate::clocks::{faketime, forget};
use crate::support::client::{Client, admin};
use crate::support::tls::Certificate;
use crate::support::{SOON, SmallDisk, wait_until};

/// Gone with everything that was started in it.
pub struct Place {
    pub plain: SocketAddr,
    pub secure: SocketAddr,
    pub admin: SocketAddr,
    pub names: NameServer,
    pub certificate: Certificate,
    /// The one that serves now.
    pub process: u32,
    /// Those that were started, but for some that have ended.
    processes: Vec<u32>,
    /// All that were ever started.
    ever: Vec<u32>,
    children: Vec<Child>,
    disk: SmallDisk,
    dir: tempfile::TempDir,
    ports: [u16; 2],
}

/// What a process takes up.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    pub kib: u64,
    pub files: usize,
    pub threads: usize,
}

impl Footprint {
    pub fn larger(self, other: Footprint) -> Footprint {
        let Footprint { kib, files, threads } = other;
        Footprint { kib: self.kib.max(kib), files: self.files.max(files), threads: self.threads.max(threads) }
    }
}

impl Place {
    pub fn start(sites: &Sites) -> Place {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = [free(), free(), free()];
        let [plain, secure, admin] = taken.each_ref().map(|listener| listener.local_addr().unwrap());
        drop(taken);
        let mut place = Place {
            plain,
            secure,
            admin,
            names: NameServer::start(),
            certificate: Certificate::of(&["soak.test"]),
            process: 0,
            processes: Vec::new(),
            ever: Vec::new(),
            children: Vec::new(),
            disk: SmallDisk::of("8m"),
            dir: tempfile::tempdir().unwrap(),
            ports: [sites.blue, sites.green],
        };
        place.certificate.write(place.dir(), "soak");
        std::fs::write(place.dir().join("resolv.conf"), format!("nameserver {}\n", place.names.address)).unwrap();
        place.set_clock("+0");
        place.write_main(0);
        place.write_routing(0);
        place.run();
        place
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a process, and waits until it is ready.
    fn run(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.dir().join("log")).unwrap();
        // A name server of its own, for it and for who takes its place.
        let script = "mount --bind resolv.conf /etc/resolv.conf && LD_PRELOAD=\"$1\" exec \"$0\" run";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_cutover")]).arg(faketime());
        command.env("FAKETIME_TIMESTAMP_FILE", self.dir().join("clock"));
        // The monotonic clock of a machine does not jump.
        command.envs([("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("FAKETIME_CACHE_DURATION", "1")]);
        command.current_dir(self.dir()).process_group(0).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        self.process = child.id();
        self.processes.push(child.id());
        self.ever.push(child.id());
        self.children.push(child);
        self.wait_until("it is ready", |place| place.ask("/readyz").is_some_and(|(status, _)| status == 200));
    }

    /// Waits, and shows the log if it is in vain.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut so: impl FnMut(&Place) -> bool) {
        let began = Instant::now();
        while !so(self) {
            let serves = self.is_alive(self.process);
            assert!(
                serves && began.elapsed() < SOON,
                "waited in vain until {what} (serves: {serves}):\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The end of the log of all processes.
    pub fn log(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(self.dir().join("log")).unwrap()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Asks the admin's listener; none if nobody answers.
    pub fn ask(&self, path: &str) -> Option<(u16, String)> {
        std::net::TcpStream::connect(self.admin).ok()?;
        let host = format!("Host: {}", self.admin);
        let answer = Client::to(self.admin).try_request("GET", path, &[&host], "").ok()?;
        Some((answer.status, answer.body))
    }

    /// The sum of a metric over the lines that have this label.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let text = admin(self.admin, "/metrics").body;
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.split(' ').next_back()?.parse::<f64>().ok()).sum()
    }

    /// In percent.
    pub fn weight(&self) -> u64 {
        (self.metric("cutover_weight_ratio", "\"green\"") * 100.0).round() as u64
    }

    /// A command of an operator.
    pub fn command(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_cutover")).current_dir(self.dir()).args(arguments).output().unwrap()
    }

    /// Whether another process serves now, and what was said.
    pub fn try_upgrade(&mut self) -> (bool, String) {
        let output = self.command(&["upgrade"]);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if let Some(process) = said.strip_prefix("process ").and_then(|rest| rest.split(' ').next()) {
            self.process = process.parse().unwrap();
            self.processes.push(self.process);
            self.ever.push(self.process);
        }
        (output.status.success(), said)
    }

    /// `kill -9`, and started again.
    pub fn kill(&mut self) {
        kill(self.process);
        wait_until("it is gone", SOON, || !self.running().contains(&self.process));
        self.run();
    }

    /// Those that still run: the one that serves, and those that finish what they have begun.
    pub fn running(&mut self) -> Vec<u32> {
        self.children.iter_mut().for_each(|child| _ = child.try_wait());
        let alive = self.processes.iter().copied().filter(|process| self.is_alive(*process)).collect();
        self.processes.clone_from(&alive);
        alive
    }

    /// Whether this is one of ours, and no zombie: numbers of processes come again.
    fn is_alive(&self, process: u32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let is_zombie = status.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'));
        !is_zombie && std::fs::read_link(format!("/proc/{process}/cwd")).is_ok_and(|folder| folder == self.dir())
    }

    pub fn footprint(&self) -> Footprint {
        let of = |what: &str| format!("/proc/{}/{what}", self.process);
        let status = std::fs::read_to_string(of("status")).unwrap();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        Footprint {
            kib: field("VmRSS:").split(' ').next().unwrap().parse().unwrap(),
            files: std::fs::read_dir(of("fd")).unwrap().count(),
            threads: field("Threads:").parse().unwrap(),
        }
    }

    /// The wall clock's distance from the real one, as libfaketime reads it.
    pub fn set_clock(&self, offset: &str) {
        replace(&self.dir().join("clock"), &format!("{offset}\n"));
    }

    pub fn fill_disk(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.filler()).unwrap();
        while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    }

    pub fn free_disk(&self) {
        let _ = std::fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.disk.path().join("filler")
    }

    /// `cutover.toml`; each turn has another one, which is the same for who is served.
    pub fn write_main(&self, turn: u64) {
        let Place { plain, secure, admin, .. } = self;
        let main = format!(
            "version = 1\n[proxy]\nlisten = [\"{plain}\"]\nthreads = 2\n[[proxy.tls]]\nlisten = \"{secure}\"\n\
             cert_file = \"soak.pem\"\nkey_file = \"soak.key\"\n[proxy.limits]\nconnections_per_address = 0\n\
             requests_in_flight_per_address = 0\nkeep_alive = \"{}s\"\n[admin]\nlisten = \"{admin}\"\n[state]\npath = {:?}\n",
            60 + turn % 997,
            self.disk.path().join("cutover.db"),
        );
        replace(&self.dir().join("cutover.toml"), &main);
    }

    pub fn write_routing(&self, turn: u64) {
        replace(&self.dir().join("routing.toml"), &self.routing(turn));
    }

    /// One that is refused.
    pub fn break_routing(&self, turn: u64) {
        let broken = [self.routing(turn).replace("expose", "exspose"), "[service.soak".to_owned(), String::new()];
        replace(&self.dir().join("routing.toml"), &broken[turn as usize % broken.len()]);
    }

    fn routing(&self, turn: u64) -> String {
        let [blue, green] = self.ports;
        format!(
            "[service.soak]\nexpose = {}\n[service.soak.blue]\nurl = \"http://blue.soak.test:{blue}\"\n\
             [service.soak.green]\nurl = \"http://green.soak.test:{green}\"\n[service.soak.guard]\nevidence = false\n\
             dead_candidate = false\n[[service.soak.guard.trigger]]\nname = \"broken\"\nmetric = \"error_rate\"\n\
             above = 30\nfor = \"1s\"\naction = \"rollback\"\n",
            turn % 2 == 1
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for process in self.running() {
            kill(process);
        }
        self.children.iter_mut().for_each(|child| _ = child.wait());
        self.ever.iter().copied().for_each(forget);
    }
}

/// In one step, so that nobody reads the half of it.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn kill(process: u32) {
    let _ = Command::new("kill").args(["-9", &process.to_string()]).stderr(Stdio::null()).status();
}
