//! A running house in front of two origins, in a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::{ClientLimits, MainConfig};
use cutover::serve::{self, Running};
use judgement::rollout::ChangeKind;
use judgement::time::Millis;
use judgement::traffic::Environment;
use judgement::traffic::split::TrafficSplit;
use memory::counters::RouteTotals;
use sidecar::journal::{JournalEntry, JournalReader};

use super::client::{Answer, Client};
use super::origin::Origin;
use super::{SOON, wait_until};

/// Two origins and a proxy before them.
pub struct House {
    pub blue: Origin,
    pub green: Origin,
    pub running: Running,
    pub settings: MainConfig,
    /// Gone with the house.
    pub dir: tempfile::TempDir,
}

/// The routing file of a service `shop`: its origins, a split, and whatever else.
pub fn shop(blue: &str, green: &str, split: &str, rest: &str) -> String {
    format!(
        "[service.shop]\n[service.shop.blue]\nurl = \"{blue}\"\n[service.shop.green]\nurl = \"{green}\"\n\
         [service.shop.split]\n{split}\n{rest}\n"
    )
}

pub fn settings(dir: &std::path::Path) -> MainConfig {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    MainConfig {
        routing: dir.join("routing.toml"),
        listen: vec![any.into()],
        tls: vec![],
        acme: None,
        acme_challenges: None,
        plain_http2: true,
        redirect_to_https: None,
        limits: ClientLimits { connections_per_address: 0, ..ClientLimits::default() },
        threads: 2,
        trusted_proxies: vec![],
        hop: config::HopHeaders::default(),
        early_hints: config::EarlyHints::default(),
        drain: Millis::seconds(5),
        drain_delay: Millis::ZERO,
        access_log: None,
        admin: any,
        admin_access: config::admin::AdminAccess::default(),
        state: dir.join("cutover.db"),
        keep: config::JournalRetention::default(),
        tick: Millis(50),
        notify: vec![],
        suites: dir.join("suites"),
        validation: config::ValidationSettings::default(),
        warnings: Vec::new(),
    }
}

impl House {
    pub fn start(split: &str, rest: &str) -> House {
        House::with(split, rest, |_| {})
    }

    pub fn with(split: &str, rest: &str, change: impl FnOnce(&mut MainConfig)) -> House {
        let (blue, green) = (Origin::start("blue"), Origin::start("green"));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("routing.toml"), shop(&blue.url(), &green.url(), split, rest)).unwrap();
        let mut settings = settings(dir.path());
        change(&mut settings);
        let running = serve::start(&settings).unwrap();
        House { blue, green, running, settings, dir }
    }

    pub fn address(&self) -> SocketAddr {
        self.running.addresses[0]
    }

    pub fn client(&self) -> Client {
        Client::to(self.address())
    }

    pub fn routing_path(&self) -> PathBuf {
        self.settings.routing.clone()
    }

    /// Writes the routing file in place.
    pub fn write(&self, split: &str, rest: &str) {
        std::fs::write(self.routing_path(), shop(&self.blue.url(), &self.green.url(), split, rest)).unwrap();
    }

    /// Adds a key to the service's own table, and waits until it is in force.
    pub fn set(&self, line: &str) {
        let text = std::fs::read_to_string(self.routing_path()).unwrap();
        let before = self.running.published.load().generation;
        std::fs::write(self.routing_path(), text.replacen("[service.shop]\n", &format!("[service.shop]\n{line}\n"), 1))
            .unwrap();
        wait_until(line, SOON, || self.running.published.load().generation > before);
    }

    pub fn split(&self) -> TrafficSplit {
        let snapshot = self.running.published.load();
        snapshot.table.services().next().map(|(_, _, split)| split.clone()).unwrap()
    }

    pub fn fails_over_both(&self) -> bool {
        let snapshot = self.running.published.load();
        snapshot.table.services().next().is_some_and(|(_, rules, _)| rules.failover_both)
    }

    pub fn weight(&self) -> u16 {
        self.split().weight.basis_points()
    }

    #[track_caller]
    pub fn wait_for_weight(&self, points: u16) -> Duration {
        wait_until(&format!("the weight is {points}"), SOON, || self.weight() == points)
    }

    /// Everything counted of an environment, over all routes.
    pub fn seen(&self, side: Environment) -> RouteTotals {
        let mut all = RouteTotals::default();
        for (_, route) in self.running.counters.routes() {
            let Some(seen) = route.seen(side) else { continue };
            all.classes.iter_mut().zip(seen.classes).for_each(|(sum, part)| *sum += part);
            all.failures.iter_mut().zip(seen.failures).for_each(|(sum, part)| *sum += part);
            all.rescued += seen.rescued;
            all.hurt += seen.hurt;
            all.turned_away += seen.turned_away;
        }
        all
    }

    pub fn history(&self) -> Vec<JournalEntry> {
        JournalReader::open(&self.settings.state).unwrap().latest(None, 1000).unwrap()
    }

    /// The latest entry of a kind, if it is on the disk.
    pub fn find(&self, kind: ChangeKind) -> Option<JournalEntry> {
        self.history().into_iter().find(|entry| entry.change.kind == kind)
    }

    /// The latest entry of a kind. What is in force is on the disk a moment later.
    #[track_caller]
    pub fn entry(&self, kind: ChangeKind) -> JournalEntry {
        let mut entry = None;
        wait_until(&format!("the journal has a {kind:?}"), SOON, || {
            entry = self.find(kind);
            entry.is_some()
        });
        entry.unwrap()
    }

    /// How many were refused for this reason.
    pub fn refused(&self, reason: &str) -> u64 {
        let line = format!("cutover_refused_total{{reason=\"{reason}\"}} ");
        let metrics = self.metrics();
        let value = metrics.lines().find_map(|l| l.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {line} in\n{metrics}")).parse().unwrap()
    }

    /// The house's own token, as the CLI on the same host finds it.
    pub fn token(&self) -> String {
        let path = cutover::admin::tokens::beside(&self.settings.state);
        cutover::admin::tokens::read(&path).unwrap().expect("the house made one").text().to_owned()
    }

    pub fn metrics(&self) -> String {
        super::client::admin(self.running.admin, "/metrics").body
    }
}

/// What a load of clients saw.
#[derive(Debug, Default)]
pub struct Book {
    pub requests: AtomicU64,
    pub failed: AtomicU64,
    pub green: AtomicU64,
    pub first_failures: Mutex<Vec<String>>,
}

/// Clients that ask as fast as told until they are stopped, each on a connection of its own.
pub struct Load {
    pub book: Arc<Book>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    /// `clients` threads that GET, each with `pause` between its requests.
    pub fn start(address: SocketAddr, clients: usize, pause: Duration) -> Load {
        Load::asking(address, clients, pause, |client, _| client.try_request("GET", "/", &[], ""))
    }

    /// The same, with whatever `ask` asks. It is told the turn, which is another one for each client at first.
    pub fn asking(
        address: SocketAddr,
        clients: usize,
        pause: Duration,
        ask: impl Fn(&mut Client, usize) -> Result<Answer, String> + Clone + Send + 'static,
    ) -> Load {
        let book: Arc<Book> = Arc::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let threads = (0..clients)
            .map(|number| {
                let (book, stop, ask) = (book.clone(), stop.clone(), ask.clone());
                std::thread::spawn(move || {
                    let mut client = Client::to(address);
                    let mut turn = number;
                    while !stop.load(SeqCst) {
                        turn += 1;
                        let answer = ask(&mut client, turn);
                        book.requests.fetch_add(1, SeqCst);
                        match answer {
                            Ok(answer) if answer.is_good() => {
                                book.green.fetch_add(u64::from(answer.body == "green"), SeqCst);
                                if answer.header("connection") == Some("close") {
                                    client = Client::to(address);
                                }
                            }
                            other => {
                                book.failed.fetch_add(1, SeqCst);
                                let mut first = book.first_failures.lock().unwrap();
                                if first.len() < 3 {
                                    first.push(format!("{other:?}"));
                                }
                                client = Client::to(address);
                            }
                        }
                        std::thread::sleep(pause);
                    }
                })
            })
            .collect();
        Load { book, stop, threads }
    }

    pub fn requests(&self) -> u64 {
        self.book.requests.load(SeqCst)
    }

    /// Stops, and gives the requests and the failures.
    #[track_caller]
    pub fn stop(self) -> (u64, u64) {
        self.stop.store(true, SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a client thread"));
        let failed = self.book.failed.load(SeqCst);
        if failed > 0 {
            eprintln!("first failures: {:?}", self.book.first_failures.lock().unwrap());
        }
        (self.book.requests.load(SeqCst), failed)
    }
}
