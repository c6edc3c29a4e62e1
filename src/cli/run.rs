//! `cutover run`: the proxy, until a signal ends it or another process takes its place.
//!
//! SIGTERM drains, SIGINT exits at once except for the teardown of validation runs (a second signal ends that too), SIGHUP
//! reloads the routing file and reopens the access log, and SIGUSR2 upgrades as `cutover upgrade` does.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinError, JoinHandle};

use crate::admin::tokens::LocalToken;
use crate::cli::Exit;
use crate::serve::{self, Running};
use crate::service_manager;
use crate::upgrade::door::{AskedUpgrade, UpgradeAnswer, UpgradeCaller, UpgradeDoor, UpgradeRequest};
use crate::upgrade::{
    OpenSockets, Predecessor, Successor, UpgradeError, UpgradeGivingUp, UpgradeOrder, upgrade_remark,
};
use config::MainConfig;
use config::watch::{FileStamps, FileWatch, INTERVAL};
use judgement::rollout::AnnouncementLevel;
use judgement::time::Millis;
use relay::origin::OriginResolver;
use relay::proxy::listen::{DrainSettings, ShutdownSignal};

/// Whoever sends SIGINT is watching, so running validation runs get no longer than this to be torn down.
const TEARDOWN: Millis = Millis::seconds(5);
/// A process that is starting sees in this time that it is not wanted any more.
const GIVING_UP: Duration = Duration::from_secs(1);
/// After an upgrade, tunnels and long responses of the old process go on for so long.
const AFTER_UPGRADE: Millis = Millis::seconds(3600);

/// Why the process ends.
enum Ending {
    Drain,
    Interrupt,
    Replaced(Successor),
}

/// `log_json`: a machine reads stderr. `take_over`: in the place of the process at standard input.
pub fn run(path: &Path, log_json: bool, take_over: bool) -> anyhow::Result<Exit> {
    // Signals first: one that arrives during startup must not kill a half-started process silently.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _in_runtime = runtime.enter();
        Signals::new()?
    };
    // Before its file is replaced by that of a new version.
    let binary = own_program().context("cannot tell which program this is")?;
    let seen = FileStamps::at(path);
    let mut running = match take_over {
        false => started(path, OpenSockets::of_service_manager()?, None)?,
        true => in_place_of_another(path)?,
    };
    let door = {
        let _in_runtime = runtime.enter();
        UpgradeDoor::open(&running.settings.state)
    };
    let door = door.inspect_err(|error| tracing::warn!(%error, "`cutover upgrade` cannot ask; SIGUSR2 can")).ok();
    tell_ready(&running, log_json);
    let ending = runtime.block_on(async {
        let counters = running.counters.clone();
        let main = MainFile { path, watch: FileWatch::from(seen) };
        tokio::select! {
            ending = signals.until_the_end(&mut running, door, &binary, main) => ending,
            never = service_manager::keep_watchdog(&counters) => match never {},
        }
    });
    ending.tell(&running);
    let ender = running.ender();
    // Dropped with the process; a second signal ends the drain.
    let impatient = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = signals.term.recv() => {}
                _ = signals.int.recv() => {}
                () = ender.closed() => {}
            }
            ender.send_replace(ShutdownSignal::Now);
        });
    });
    match ending {
        Ending::Drain => {
            let MainConfig { drain, drain_delay, .. } = running.settings;
            running.drain(DrainSettings { patience: drain, delay: drain_delay });
        }
        Ending::Interrupt => {
            let patience = running.settings.drain.min(TEARDOWN);
            running.interrupt(patience);
        }
        Ending::Replaced(successor) => running.leave(successor, AFTER_UPGRADE),
    }
    drop(impatient);
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

/// The program by the name that it was started with: where that leads is what an upgrade changes, be it a file or a link.
fn own_program() -> std::io::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let Some(name) = std::env::args_os().next().map(PathBuf::from) else { return Ok(here) };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = match name.components().count() {
        1 => std::env::split_paths(&folders).map(|folder| folder.join(&name)).find(|file| file.is_file()),
        _ => std::path::absolute(&name).ok(),
    };
    // A name that leads elsewhere was given by whoever started it.
    let is_this = |file: &PathBuf| file.canonicalize().is_ok_and(|file| file == here);
    Ok(found.filter(is_this).unwrap_or(here))
}

/// Says where it listens, and that it is ready.
fn tell_ready(running: &Running, log_json: bool) {
    if let Some(local) = running.local_token.as_ref().filter(|local| local.made) {
        show_token(local, log_json);
    }
    for address in &running.addresses {
        tracing::info!(%address, "listening");
    }
    for address in &running.tls_addresses {
        tracing::info!(%address, "listening with TLS");
    }
    let settings = &running.settings;
    tracing::info!(admin = %running.admin, routing = %settings.routing.display(), state = %settings.state.display(), "ready");
    service_manager::tell_ready();
}

impl Ending {
    fn tell(&self, running: &Running) {
        match self {
            Ending::Drain => {
                service_manager::tell_stopping();
                tracing::info!(drain = %running.settings.drain, "SIGTERM: finishing requests in flight");
            }
            Ending::Interrupt => tracing::info!("SIGINT: exiting at once"),
            Ending::Replaced(successor) => {
                service_manager::tell_successor(successor.process);
                tracing::info!(process = successor.process, version = %successor.version, "another process serves: finishing requests in flight");
            }
        }
    }
}

fn started(path: &Path, open: OpenSockets, before: Option<&mut Predecessor>) -> anyhow::Result<Running> {
    let settings = config::load_main_with_certificates(path)?;
    serve::start_with(&settings, open, before)
}

/// Starts with everything that the process at standard input has, or tells it why not.
fn in_place_of_another(path: &Path) -> anyhow::Result<Running> {
    let (mut before, open) = Predecessor::meet()?;
    match started(path, open, Some(&mut before)) {
        Ok(mut running) => {
            running.take_over(before)?;
            Ok(running)
        }
        Err(error) => {
            before.refuse(&error);
            Err(error)
        }
    }
}

struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    usr1: Signal,
    usr2: Signal,
}

/// `cutover.toml`, which takes effect when it is saved.
struct MainFile<'p> {
    path: &'p Path,
    watch: FileWatch,
}

impl MainFile<'_> {
    fn has_changed(&mut self) -> bool {
        self.watch.has_changed(FileStamps::at(self.path))
    }

    fn reload(&self, running: &mut Running) {
        running.reload_main(config::load_main_with_certificates(self.path));
    }
}

/// An upgrade that is under way, and who waits for it.
struct Upgrading {
    outcome: JoinHandle<Result<Successor, UpgradeError>>,
    giving_up: UpgradeGivingUp,
    caller: Option<UpgradeCaller>,
    asked_by: String,
}

impl Signals {
    /// Must be called in a runtime.
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn until_the_end(
        &mut self,
        running: &mut Running,
        door: Option<UpgradeDoor>,
        binary: &Path,
        mut main: MainFile<'_>,
    ) -> Ending {
        let mut upgrading: Option<Upgrading> = None;
        let mut asked = door.map(UpgradeDoor::watched);
        loop {
            let (request, caller) = tokio::select! {
                _ = self.term.recv() => return drain_or_pass_on(upgrading).await,
                _ = self.int.recv() => {
                    upgrading.iter().for_each(|upgrading| upgrading.giving_up.end());
                    return Ending::Interrupt;
                }
                _ = self.hup.recv() => {
                    service_manager::tell_reloading();
                    running.reopen_access_log();
                    running.reload();
                    // A process that takes over reads it anyway, and until then the sidecar stands still.
                    if upgrading.is_none() {
                        main.reload(running);
                    }
                    service_manager::tell_ready();
                    continue;
                }
                () = tokio::time::sleep(INTERVAL) => {
                    if upgrading.is_none() && main.has_changed() {
                        main.reload(running);
                    }
                    continue;
                }
                // As in nginx. Without a handler, the process would end.
                _ = self.usr1.recv() => {
                    running.reopen_access_log();
                    continue;
                }
                done = outcome(&mut upgrading) => {
                    let Some(Upgrading { caller, asked_by, .. }) = upgrading.take() else { continue };
                    match tell(done, caller, (running, asked_by)).await {
                        Some(successor) => return Ending::Replaced(successor),
                        None => continue,
                    }
                }
                _ = self.usr2.recv() => (UpgradeRequest::default(), None),
                Some((request, caller)) = knock(&mut asked) => (request, Some(caller)),
            };
            let busy = upgrading.is_some();
            match caller {
                Some(caller) if busy => {
                    caller.answer(&UpgradeAnswer::Refused { why: "an upgrade is under way".to_owned() }).await;
                }
                _ if busy => tracing::warn!("an upgrade is under way already"),
                caller => upgrading = Some(begin(running, request.binary.unwrap_or_else(|| binary.to_owned()), caller)),
            }
        }
    }
}

/// The next request at the door, if there is one.
async fn knock(asked: &mut Option<Receiver<AskedUpgrade>>) -> Option<AskedUpgrade> {
    match asked {
        Some(asked) => asked.recv().await,
        None => std::future::pending().await,
    }
}

fn begin(running: &Running, binary: PathBuf, caller: Option<UpgradeCaller>) -> Upgrading {
    service_manager::tell_reloading();
    tracing::info!(binary = %binary.display(), "starting a process in this one's place");
    let start = running.upgrade();
    let asked_by = caller.as_ref().map_or_else(|| "SIGUSR2".to_owned(), |caller| caller.who.clone());
    let (giving_up, state) = (UpgradeGivingUp::default(), running.settings.state.clone());
    let addresses = OriginResolver::addresses_in_use(&running.published.load());
    let order = UpgradeOrder { binary, asked_by: asked_by.clone(), state, addresses, giving_up: giving_up.clone() };
    Upgrading { outcome: tokio::task::spawn_blocking(move || start(&order)), giving_up, caller, asked_by }
}

type Outcome = Result<Result<Successor, UpgradeError>, JoinError>;

/// What comes of the upgrade that is under way.
async fn outcome(upgrading: &mut Option<Upgrading>) -> Outcome {
    match upgrading {
        Some(Upgrading { outcome, .. }) => outcome.await,
        None => std::future::pending().await,
    }
}

/// After SIGTERM: an upgrade that is under way is given up, and if the new process serves already, that is to end.
async fn drain_or_pass_on(upgrading: Option<Upgrading>) -> Ending {
    let Some(Upgrading { mut outcome, giving_up, .. }) = upgrading else { return Ending::Drain };
    giving_up.say_no_more();
    let outcome = match tokio::time::timeout(GIVING_UP, &mut outcome).await {
        Ok(outcome) => outcome,
        Err(_) => {
            giving_up.end();
            outcome.await
        }
    };
    match outcome {
        Ok(Ok(successor)) => {
            successor.end(rustix::process::Signal::TERM);
            Ending::Replaced(successor)
        }
        _ => Ending::Drain,
    }
}

/// Tells who waits for it, and the journal if there was none, what came of an upgrade.
async fn tell(
    outcome: Outcome,
    caller: Option<UpgradeCaller>,
    (running, asked_by): (&Running, String),
) -> Option<Successor> {
    let (answer, successor) = match outcome {
        Ok(Ok(successor)) => {
            let Successor { process, version, .. } = &successor;
            (UpgradeAnswer::Serves { process: *process, version: version.clone() }, Some(successor))
        }
        Ok(Err(error)) => {
            service_manager::tell_ready();
            let said = in_one_line(&error.to_string());
            tracing::error!(error = %said, "no upgrade: this process goes on");
            let why = format!("no upgrade, this process goes on: {said}");
            running.sidecar.remark(upgrade_remark(asked_by, why, Some(AnnouncementLevel::Warning)));
            (UpgradeAnswer::Refused { why: error.to_string() }, None)
        }
        // It has panicked, and was told of.
        Err(_) => (UpgradeAnswer::Refused { why: "it broke off; see the log".to_owned() }, None),
    };
    if let Some(caller) = caller {
        caller.answer(&answer).await;
    }
    successor
}

/// What is wrong and where, without the lines of the file.
fn in_one_line(error: &str) -> String {
    let mut lines = error.lines().map(str::trim);
    let what = lines.next().unwrap_or_default();
    match lines.next().and_then(|line| line.strip_prefix("--> ")) {
        Some(place) => format!("{what} ({place})"),
        None => what.to_owned(),
    }
}

/// Shows a new token once, to a person. What is no terminal is stored, and secrets must not be stored with it.
fn show_token(local: &LocalToken, log_json: bool) {
    let path = local.path.display();
    match (std::io::stderr().is_terminal() && !log_json, local.stored) {
        (true, true) => {
            crate::cli::output::complain!("cutover: created a token for the admin API, kept in {path}:");
            crate::cli::output::complain!("{}", local.secret.text());
        }
        (true, false) => {
            let until = "which is valid until this process exits";
            crate::cli::output::complain!("cutover: created a token for the admin API, {until}:");
            crate::cli::output::complain!("{}", local.secret.text());
        }
        (false, true) => tracing::info!(%path, "created a token for the admin API"),
        (false, false) => {
            tracing::error!(%path, "the admin API has a token that nobody knows, because it cannot be written: make room and restart");
        }
    }
}
