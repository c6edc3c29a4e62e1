//! Assembly: from the configuration to running parts, and shutdown.

mod acme;
mod candidate_checks;
mod figure_answers;
mod file_changes;
mod main_reload;
mod outside_figures;
mod reload;
mod rollout_gates;
mod shutdown;
mod silent_sides;
mod validation_runs;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::admin;
use crate::admin::api::{Api, ApiParts};
use crate::admin::authentication::Authenticator;
use crate::admin::changes::Changes;
use crate::admin::tokens::{self, Keyring, LocalToken};
use crate::mirror::{self, AS_BUILT, MirrorBoard};
use crate::runs::Runs;
use crate::serve::acme::PreparedAcme;
use crate::serve::candidate_checks::PreflightContext;
use crate::serve::file_changes::LoadedFile;
use crate::serve::main_reload::ReloadBase;
use crate::serve::reload::{Reloader, resolve};
use crate::serve::silent_sides::ActiveSides;
use crate::upgrade::{
    EarlierProcesses, HeldSocket, OpenSockets, Predecessor, SocketPurpose, Successor, UpgradeError, UpgradeOrder,
    start_successor,
};
use ::acme::AcmeThread;
use config::watch::{FileStamps, FileWatch};
use config::{self, MainConfig, OwnListeners, RoutingConfig, RoutingContext, TlsListener};
use health::{self, HealthBoard};
use judgement::rollout::gates::GateRequest;
use judgement::rollout::{HandedWatch, MetricRequest, PreflightRequest, ProbeRequest, SuiteRun};
use memory::clock;
use memory::counters::{Counters, Shard, count, raise};
use memory::snapshot::{SnapshotPublisher, SnapshotReader};
use notify::{self, Notifier};
use relay::access;
use relay::origin::{KnownAddresses, OriginResolver};
use relay::proxy::Proxy;
use relay::proxy::acme_board::ChallengeAnswers;
use relay::proxy::connection_limits::ConnectionLimits;
use relay::proxy::descriptors::DescriptorBudget;
use relay::proxy::listen::{
    ListenerContext, ListenerTls, ShutdownSignal, WorkerGeneration, WorkerListener, WorkerThread, bind, bind_more,
    start_worker,
};
use relay::proxy::mirror::CopyQueue;
use relay::proxy::request_limits::RequestLimits;
use relay::proxy::tls::CertificateWatcher;
use sidecar::journal::{Journal, NamedSnapshots};
use sidecar::{Sidecar, SidecarHandle};

/// Preflights that may wait in line: nobody starts more deploys at once.
const PREFLIGHTS: usize = 16;
/// Questions to other systems that may wait in line: in one tick, each service orders four at most.
const QUESTIONS: usize = 4096;

/// A running Cutover. Dropping it stops it at once.
#[derive(Debug)]
pub struct Running {
    /// The addresses that the proxy listens on: the configured ones, with ports filled in.
    pub addresses: Vec<SocketAddr>,
    /// The same for the TLS listeners.
    pub tls_addresses: Vec<SocketAddr>,
    pub admin: SocketAddr,
    /// The local token, if no token is configured.
    pub local_token: Option<LocalToken>,
    pub sidecar: SidecarHandle,
    pub published: SnapshotReader,
    /// Changes to what is set at run time.
    pub changes: Changes,
    pub health: HealthBoard,
    pub runs: Runs,
    /// What copies of requests have shown.
    pub mirror: MirrorBoard,
    pub counters: Arc<Counters>,
    access: Option<access::AccessLogger>,
    /// Declared after `access`, because it finishes once nobody can write any more.
    access_writers: Vec<access::AccessLogWriter>,
    announcer: Option<Notifier>,
    reload: mpsc::Sender<()>,
    end: watch::Sender<ShutdownSignal>,
    workers: Vec<WorkerThread>,
    sidecar_thread: Option<JoinHandle<()>>,
    runtimes: Vec<Runtime>,
    /// Every listening socket once more, for the process that takes this one's place.
    held: Arc<Vec<HeldSocket>>,
    admin_listener: AdminListener,
    earlier: EarlierProcesses,
    /// The main file that is in force.
    pub settings: MainConfig,
    /// What a changed main file builds on.
    base: ReloadBase,
    /// Ends with the first sign of a shutdown: another process may order then.
    acme: Option<AcmeThread>,
}

/// Starts everything. Nothing listens before the state is restored and the routing file is in force.
///
/// # Errors
/// [`config::ConfigError`] for a routing file with problems; otherwise what could not be started.
pub fn start(settings: &MainConfig) -> anyhow::Result<Running> {
    start_with(settings, OpenSockets::default(), None)
}

/// The same with sockets that are open already, or in the place of a running process: until that has given its state away,
/// nothing changes for it.
///
/// # Errors
/// As [`start`], or the running process has changed its mind.
pub fn start_with(
    settings: &MainConfig,
    open: OpenSockets,
    before: Option<&mut Predecessor>,
) -> anyhow::Result<Running> {
    let listeners = settings.listeners();
    let context = RoutingContext { listeners: Some(&listeners), ..AS_BUILT };
    let Foundation { files, routing, sockets, counters, access, access_writers, restored, known } =
        Foundation::lay(settings, &context, open, before)?;
    let runtime = admin_runtime()?;
    let Restored { published, snapshots, keyring, local_token, preflights, suite_runs, probes, others, .. } = restored;
    let started = StartedSidecar::start(settings, restored.sidecar, (routing, context), (&runtime, known), &counters)?;
    let StartedSidecar { sidecar, sidecar_thread, resolver, announcer, loaded } = started;
    let health = look_after_health(&runtime, (&published, &counters, &sidecar), (probes, others));
    let (validation, runs) = validation_runs::start(settings, &published, &sockets.addresses, (&sidecar, &counters))?;
    let tries = PreflightContext { published: published.clone(), health: health.clone(), runs: runs.clone() };
    candidate_checks::start((&runtime, &validation), (preflights, suite_runs), tries, &sidecar);
    let (changes, changes_asked) = Changes::new();
    let (copies, mirror) = mirror::start(published.clone(), sidecar.clone())?;
    let api = Api::new(ApiParts {
        sidecar: sidecar.clone(),
        counters: counters.clone(),
        published: published.clone(),
        snapshots,
        routing: settings.routing.clone(),
        changes: changes.clone(),
        board: health.clone(),
        runs: runs.clone(),
        mirror: mirror.clone(),
        keep_snapshots: settings.validation.snapshots,
    });
    let (reload, reloads) = mpsc::channel(1);
    let own_listeners = Arc::new(Mutex::new(sockets.listeners()));
    let reloader = Reloader::new(settings, own_listeners.clone(), resolver, &sidecar, (&counters, &health));
    runtime.spawn(reloader.run(loaded, FileWatch::from(files), reloads, changes_asked));
    let Sockets { of_workers, addresses, tls_addresses, admin, admin_address, held } = sockets;
    api.keep(&runtime);
    let admin_listener = listen_for_admin(runtime.handle(), admin, settings, api.clone(), keyring)?;
    let parts = (&published, &counters, &sidecar);
    let StartedFront { workers, keepers, replaced, end, acme } =
        StartedFront::start(settings, of_workers, (access.as_ref(), copies.as_ref()), parts, &runtime)?;
    Ok(Running {
        settings: settings.clone(),
        base: ReloadBase { api, copies, own_listeners, replaced, keepers },
        addresses,
        tls_addresses,
        admin: admin_address,
        local_token,
        sidecar,
        published,
        changes,
        health,
        counters,
        access,
        access_writers,
        announcer,
        runs,
        mirror,
        reload,
        end,
        workers,
        sidecar_thread,
        runtimes: vec![validation, runtime],
        held: Arc::new(held),
        admin_listener,
        acme,
        earlier: EarlierProcesses::default(),
    })
}

/// What everything else is built on, and what fails if the files, the sockets or the state are not as they must be.
struct Foundation {
    files: FileStamps,
    routing: RoutingConfig,
    sockets: Sockets,
    counters: Arc<Counters>,
    access: Option<access::AccessLogger>,
    access_writers: Vec<access::AccessLogWriter>,
    restored: Restored,
    /// Where the process before this one sent its requests.
    known: KnownAddresses,
}

impl Foundation {
    fn lay(
        settings: &MainConfig,
        context: &RoutingContext<'_>,
        open: OpenSockets,
        before: Option<&mut Predecessor>,
    ) -> anyhow::Result<Foundation> {
        install_crypto_provider();
        let workers = number_of_workers(settings);
        let files = FileStamps::at(&settings.routing);
        let routing = config::load_routing(&settings.routing, context)?;
        let sockets = Sockets::open(settings, workers, open)?;
        let counters = Arc::new(Counters::new(workers));
        let (access, writer) = open_access_log(settings, &counters)?.unzip();
        before.as_ref().map(|before| before.has_state(&settings.state)).transpose()?;
        let known = before.as_ref().map(|before| before.addresses()).unwrap_or_default();
        let watches = before.map(|before| before.take_state(&counters)).transpose()?;
        let restored = Restored::open(settings, &counters, sockets.admin_address)?;
        let restored = restored.going_on_from(watches.unwrap_or_default());
        let access_writers = writer.into_iter().collect();
        Ok(Foundation { files, routing, sockets, counters, access, access_writers, restored, known })
    }
}

/// Starts the checks, and what answers the sidecar's questions: about a side, and to other systems.
fn look_after_health(
    runtime: &Runtime,
    (published, counters, sidecar): (&SnapshotReader, &Arc<Counters>, &SidecarHandle),
    (probes, others): (mpsc::Receiver<ProbeRequest>, OutsideQuestions),
) -> HealthBoard {
    let health = HealthBoard::new(published.clone(), counters.clone());
    runtime.spawn(health::run(health.clone(), sidecar.clone()));
    runtime.spawn(silent_sides::answer_all(probes, health.clone(), sidecar.clone()));
    runtime.spawn(outside_figures::ask_all(others.figures, health.published().clone(), sidecar.clone()));
    runtime.spawn(rollout_gates::ask_all(others.gates, health.published().clone(), sidecar.clone()));
    health
}

/// The sidecar's questions to other systems.
struct OutsideQuestions {
    figures: mpsc::Receiver<MetricRequest>,
    gates: mpsc::Receiver<GateRequest>,
}

/// Two of the dependencies each bring a crypto provider, so rustls must be told which one to use.
pub fn install_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// For lookups and the admin API: no request waits for it.
fn admin_runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name("admin").enable_all().build()
}

fn number_of_workers(settings: &MainConfig) -> usize {
    match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

/// The listening sockets, bound or taken over before anything is started.
#[derive(Debug)]
struct Sockets {
    of_workers: Vec<WorkerSockets>,
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    admin: TcpListener,
    admin_address: SocketAddr,
    held: Vec<HeldSocket>,
}

/// What one worker listens on.
#[derive(Debug, Default)]
struct WorkerSockets {
    /// Each with the place of its listener in the file.
    plain: Vec<(usize, TcpListener)>,
    tls: Vec<(usize, TcpListener)>,
}

impl Sockets {
    /// Every address that is bound.
    fn listeners(&self) -> OwnListeners {
        OwnListeners { proxy: [&self.addresses[..], &self.tls_addresses].concat(), admin: self.admin_address }
    }

    fn open(settings: &MainConfig, workers: usize, mut open: OpenSockets) -> anyhow::Result<Sockets> {
        let mut of_workers: Vec<WorkerSockets> = (0..workers).map(|_| WorkerSockets::default()).collect();
        let (mut addresses, mut tls_addresses, mut held) = (Vec::new(), Vec::new(), Vec::new());
        let plain = settings.listen.iter().map(|listener| (SocketPurpose::Plain, listener.listen));
        let tls = settings.tls.iter().map(|listener| (SocketPurpose::Tls, listener.listen));
        for (purpose, asked) in plain.chain(tls) {
            let sockets = match open.take(purpose, asked) {
                none if none.is_empty() => bind(asked, workers)?,
                mut some => {
                    bind_more(&mut some, workers)?;
                    some
                }
            };
            let bound = match purpose {
                SocketPurpose::Tls => &mut tls_addresses,
                SocketPurpose::Plain | SocketPurpose::Admin => &mut addresses,
            };
            let place = bound.len();
            bound.extend(sockets.first().map(TcpListener::local_addr).transpose()?);
            for (socket, at) in sockets.into_iter().zip((0..workers).cycle()) {
                held.push(HeldSocket::of(purpose, asked, &socket)?);
                let Some(worker) = of_workers.get_mut(at) else { continue };
                match purpose {
                    SocketPurpose::Tls => worker.tls.push((place, socket)),
                    SocketPurpose::Plain | SocketPurpose::Admin => worker.plain.push((place, socket)),
                }
            }
        }
        let admin = match open.take(SocketPurpose::Admin, settings.admin).into_iter().next() {
            Some(taken) => taken,
            None => TcpListener::bind(settings.admin)
                .with_context(|| format!("cannot listen on {} for the admin API", settings.admin))?,
        };
        open.all_taken()?;
        held.push(HeldSocket::of(SocketPurpose::Admin, settings.admin, &admin)?);
        let admin_address = admin.local_addr()?;
        Ok(Sockets { of_workers, addresses, tls_addresses, admin, admin_address, held })
    }
}

/// The state from the journal, and what is built on it.
struct Restored {
    sidecar: Sidecar,
    published: SnapshotReader,
    snapshots: NamedSnapshots,
    keyring: Keyring,
    local_token: Option<LocalToken>,
    /// What the sidecar orders from others.
    preflights: mpsc::Receiver<PreflightRequest>,
    suite_runs: mpsc::Receiver<SuiteRun>,
    probes: mpsc::Receiver<ProbeRequest>,
    others: OutsideQuestions,
}

impl Restored {
    /// Goes on from what another process knew of each candidate.
    fn going_on_from(self, watches: BTreeMap<String, HandedWatch>) -> Restored {
        Restored { sidecar: self.sidecar.going_on_from(watches), ..self }
    }

    fn open(settings: &MainConfig, counters: &Arc<Counters>, admin: SocketAddr) -> anyhow::Result<Restored> {
        may_keep(&settings.state)?;
        let started = Journal::start_with_retention(&settings.state, settings.keep, counters.clone());
        let (journal, restored) = started.with_context(|| {
            format!("cannot open the state {}; move it away to start without it", settings.state.display())
        })?;
        // Under the state's lock, so that if two processes start at once, only one creates the token.
        let (keyring, local_token) = tokens::first_run(&settings.admin_access, admin, &settings.state)?;
        let snapshots = journal.snapshots();
        let (publisher, published) = SnapshotPublisher::new();
        let (to_preflights, preflights) = mpsc::channel(PREFLIGHTS);
        let (to_suites, suite_runs) = mpsc::channel(PREFLIGHTS);
        let (to_probes, probes) = mpsc::channel(PREFLIGHTS);
        let (to_figures, figures) = mpsc::channel(QUESTIONS);
        let (to_gates, gates) = mpsc::channel(QUESTIONS);
        let sidecar = Sidecar::new(restored, publisher, counters.clone(), journal)
            .with_preflights(to_preflights)
            .with_validations(to_suites)
            .with_probes(to_probes)
            .with_questions(to_figures)
            .with_gates(to_gates);
        let others = OutsideQuestions { figures, gates };
        Ok(Restored { sidecar, published, snapshots, keyring, local_token, preflights, suite_runs, probes, others })
    }
}

/// A state that could never be kept is no promise to make. A full disk may have room later.
fn may_keep(state: &Path) -> anyhow::Result<()> {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    if state.exists() {
        return Ok(());
    }
    let trial = sidecar::journal::beside(state, ".trial");
    let made = File::options().write(true).create_new(true).open(&trial);
    let _ = std::fs::remove_file(&trial);
    match made {
        Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => Err(error).with_context(|| {
            format!("cannot create the state {}; let this user write to its folder, or set state.path", state.display())
        }),
        _ => Ok(()),
    }
}

/// The running sidecar, with the routing file in force.
struct StartedSidecar {
    sidecar: SidecarHandle,
    sidecar_thread: Option<JoinHandle<()>>,
    resolver: Arc<OriginResolver>,
    announcer: Option<Notifier>,
    loaded: LoadedFile,
}

impl StartedSidecar {
    fn start(
        settings: &MainConfig,
        mut sidecar: Sidecar,
        (mut routing, context): (RoutingConfig, RoutingContext<'_>),
        (runtime, known): (&Runtime, KnownAddresses),
        counters: &Arc<Counters>,
    ) -> anyhow::Result<StartedSidecar> {
        let overs = sidecar.overs();
        if !overs.is_empty() {
            // Load again, with what was set at run time when the process ended.
            routing = config::load_routing(&settings.routing, &RoutingContext { overlays: Some(&overs), ..context })?;
        }
        let resolver = runtime.block_on(async { Arc::new(OriginResolver::new(counters.clone(), known)) });
        settings.warnings.iter().chain(&routing.warnings).for_each(reload::warn);
        let mut load = runtime.block_on(resolve(&resolver, routing));
        // At the very first start nothing can have been switched off since. Who is active is known, and only told of, unless
        // the state is lost.
        let sides = sidecar.has_past().then(|| ActiveSides::of(&load, |service| sidecar.active_of(service)));
        let (deciding, telling) = if sidecar.is_forgotten() { (sides, None) } else { (None, sides) };
        load.silent = deciding.map(|sides| runtime.block_on(sides.silent())).unwrap_or_default();
        notify::warn_of_unknown_services(&settings.notify, &load.routing.services);
        // Before anything is announced.
        let announcer = Notifier::start(&settings.notify, sidecar.listen(), counters, runtime.handle());
        let mut loaded = LoadedFile::of(&settings.routing, &load.routing);
        let context = RoutingContext { overlays: Some(&overs), ..context };
        let is_known = sidecar.has_past() && !sidecar.is_forgotten();
        let before = is_known.then(|| loaded.of_last_run(&settings.state, &context)).flatten();
        let before = before.map(|(file, routing)| (file, runtime.block_on(resolve(&resolver, routing))));
        let remark = reload::start((&mut sidecar, &resolver), load, &mut loaded, before, &settings.routing)?;
        count(&counters.process.reloads_taken);
        let (sidecar, thread) = sidecar.start(settings.tick)?;
        remark.map(|remark| sidecar.remark(remark));
        loaded.keep(&settings.state);
        telling.map(|sides| runtime.spawn(sides.report(sidecar.clone())));
        runtime.spawn(resolver.clone().keep(sidecar.clone()));
        Ok(StartedSidecar { sidecar, sidecar_thread: Some(thread), resolver, announcer, loaded })
    }
}

/// A service whose requests a person holds.
fn held_service(published: &SnapshotReader) -> Option<String> {
    let snapshot = published.load();
    let now = clock::wall_millis();
    let mut services = snapshot.table.services();
    let held = services.find(|(_, _, split)| split.hold.is_some_and(|hold| now < hold.until));
    held.map(|(_, rules, _)| rules.name.to_string())
}

/// Whether the process may open enough files to be of use. If not, it says so, and is not ready.
fn has_enough_descriptors(budget: &DescriptorBudget) -> bool {
    let DescriptorBudget { descriptors, connections, requests } = *budget;
    if !budget.is_enough() {
        let advice = "raise it with `ulimit -n` or LimitNOFILE, to 1024 or more";
        tracing::error!(descriptors, connections, requests, advice, "not ready: too few file descriptors");
        return false;
    }
    if budget.is_exceeded() {
        tracing::warn!(
            descriptors,
            connections,
            requests,
            "limits.connections and limits.requests_in_flight allow more than there are file descriptors for"
        );
    }
    true
}

/// What all listeners of the proxy share, and whether there are enough file descriptors.
fn shared(
    settings: &MainConfig,
    counters: &Arc<Counters>,
    end: watch::Receiver<ShutdownSignal>,
) -> (ListenerContext, watch::Sender<bool>, bool) {
    let (replaced, replacing) = watch::channel(false);
    let budget = DescriptorBudget::of_process(&settings.limits);
    let (limits, trusted) = (&settings.limits, &settings.trusted_proxies);
    let connection_limits = ConnectionLimits::new(budget.connections, limits, trusted, counters.clone());
    let request_limits = RequestLimits::new(budget.requests, limits.requests_in_flight_per_address, counters.clone());
    let context = ListenerContext {
        connection_limits: Arc::new(connection_limits),
        request_limits: Arc::new(request_limits),
        end,
        replaced: replacing,
    };
    (context, replaced, has_enough_descriptors(&budget))
}

/// What clients meet, as the main file has it.
struct Front<'a> {
    settings: &'a MainConfig,
    certificates: &'a [ListenerTls],
    access: Option<&'a access::AccessLogger>,
    copies: Option<&'a CopyQueue>,
    /// What a CA may ask for.
    challenges: Option<ChallengeAnswers>,
}

impl Front<'_> {
    /// What each worker works with, by its sockets, plain and TLS.
    fn generations(
        &self,
        sockets: Vec<WorkerSockets>,
        (published, counters, sidecar): (&SnapshotReader, &Arc<Counters>, &SidecarHandle),
        shared: &ListenerContext,
    ) -> Vec<WorkerGeneration> {
        let of = |(at, WorkerSockets { plain, tls }): (usize, WorkerSockets)| {
            let plain_protocol = |place: usize| self.settings.listen.get(place).map(|listener| listener.proxy_protocol);
            let tls_protocol = |place: usize| self.settings.tls.get(place).map(|listener| listener.proxy_protocol);
            let plain = plain.into_iter().map(|(place, socket)| WorkerListener {
                socket,
                tls: None,
                proxy_protocol: plain_protocol(place).unwrap_or_default(),
            });
            let current = |place: usize| self.certificates.get(place).cloned();
            let tls = tls.into_iter().map(|(place, socket)| WorkerListener {
                socket,
                tls: current(place),
                proxy_protocol: tls_protocol(place).unwrap_or_default(),
            });
            let (counters, sidecar) = (counters.clone(), sidecar.clone());
            let proxy = Proxy::new(Shard(at), published.clone(), counters, sidecar, self.settings)
                .with_access_log(self.access.cloned())
                .with_mirror(self.copies.cloned())
                .with_challenges(self.challenges.clone());
            WorkerGeneration { proxy, listeners: plain.chain(tls).collect(), shared: shared.clone() }
        };
        sockets.into_iter().enumerate().map(of).collect()
    }
}

/// The running workers.
struct StartedFront {
    workers: Vec<WorkerThread>,
    /// What looks after the certificates.
    keepers: Vec<AbortHandle>,
    replaced: watch::Sender<bool>,
    end: watch::Sender<ShutdownSignal>,
    acme: Option<AcmeThread>,
}

impl StartedFront {
    fn start(
        settings: &MainConfig,
        sockets: Vec<WorkerSockets>,
        (access, copies): (Option<&access::AccessLogger>, Option<&CopyQueue>),
        parts: (&SnapshotReader, &Arc<Counters>, &SidecarHandle),
        runtime: &Runtime,
    ) -> anyhow::Result<StartedFront> {
        let (_, counters, _) = parts;
        let (end, ending) = watch::channel(ShutdownSignal::NotYet);
        let acme = PreparedAcme::open(settings, parts)?;
        let (certificates, currents) = certificates(settings, acme.as_ref(), counters)?;
        let challenges = acme::challenges(settings, acme.as_ref());
        let front = Front { settings, certificates: &currents, access, copies, challenges };
        let (shared, replaced, has_room) = shared(settings, counters, ending);
        let workers = start_workers(front.generations(sockets, parts, &shared))?;
        let keepers = certificates.into_iter().map(|watcher| runtime.spawn(watcher.keep()).abort_handle()).collect();
        raise(&counters.process.ready, has_room);
        let acme = acme.map(PreparedAcme::start).transpose()?;
        Ok(StartedFront { workers, keepers, replaced, end, acme })
    }
}

fn start_workers(generations: Vec<WorkerGeneration>) -> anyhow::Result<Vec<WorkerThread>> {
    let workers = generations.into_iter().enumerate();
    Ok(workers.map(|(at, first)| start_worker(format!("worker {at}"), first)).collect::<std::io::Result<_>>()?)
}

/// The certificates of the TLS listeners, and what reloads them from their files.
fn certificates(
    settings: &MainConfig,
    acme: Option<&PreparedAcme>,
    counters: &Arc<Counters>,
) -> anyhow::Result<(Vec<CertificateWatcher>, Vec<ListenerTls>)> {
    let open = |listener: &TlsListener| {
        let (board, issued) = acme.filter(|_| listener.acme).map(PreparedAcme::for_listener).unzip();
        CertificateWatcher::open(listener, issued, counters.clone())
            .map(|(watcher, current)| (watcher, ListenerTls { current, board }))
            .map_err(|why| anyhow::anyhow!("cannot listen with TLS on {}: {why}", listener.listen))
    };
    settings.tls.iter().map(open).collect()
}

fn open_access_log(
    settings: &MainConfig,
    counters: &Arc<Counters>,
) -> anyhow::Result<Option<(access::AccessLogger, access::AccessLogWriter)>> {
    let Some(log) = &settings.access_log else { return Ok(None) };
    let started = access::start(log, counters.clone());
    started.map(Some).with_context(|| match &log.target {
        access::LogTarget::File(path) => format!("cannot write the access log {}", path.display()),
        access::LogTarget::Stdout => "cannot write the access log to stdout".to_owned(),
    })
}

/// The task that listens for the admin API, until this is dropped.
#[derive(Debug)]
struct AdminListener {
    leaving: watch::Sender<bool>,
    certificate: Option<AbortHandle>,
}

impl AdminListener {
    /// Accepts no more, and ends what is there.
    fn leave(&self) {
        self.leaving.send_replace(true);
    }
}

impl Drop for AdminListener {
    fn drop(&mut self) {
        self.leave();
        self.certificate.iter().for_each(AbortHandle::abort);
    }
}

fn listen_for_admin(
    runtime: &Handle,
    socket: TcpListener,
    settings: &MainConfig,
    api: Api,
    keyring: Keyring,
) -> anyhow::Result<AdminListener> {
    let address = socket.local_addr()?;
    let tls = settings.admin_access.tls.as_ref().map(|listener| {
        CertificateWatcher::open(listener, None, api.counters.clone())
            .map_err(|why| anyhow::anyhow!("cannot listen with TLS on {address} for the admin API: {why}"))
    });
    let (keeper, tls) = tls.transpose()?.unzip();
    if !address.ip().is_loopback() && tls.is_none() {
        tracing::warn!(%address, "the admin API listens outside loopback without TLS: tokens can be read in transit");
    }
    socket.set_nonblocking(true)?;
    let _in_runtime = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let authenticator = Authenticator::new(keyring, &settings.admin_access, address, api.sidecar.clone());
    let (leaving, leave) = watch::channel(false);
    let counters = api.counters.clone();
    runtime.spawn(admin::listen::serve(listener, tls, admin::app(api, authenticator), counters, leave));
    let certificate = keeper.map(|keeper| runtime.spawn(keeper.keep()).abort_handle());
    Ok(AdminListener { leaving, certificate })
}

impl Running {
    /// Reads the routing file now, changed or not.
    pub fn reload(&self) {
        // A reload that is already queued will see the same file.
        let _ = self.reload.try_send(());
    }

    /// What starts a program in this process's place, and may take a minute. Once it serves, this process is to
    /// [`leave`](Running::leave); if it does not come up, this one goes on.
    pub fn upgrade(&self) -> impl FnOnce(&UpgradeOrder) -> Result<Successor, UpgradeError> + Send + use<> {
        let (held, sidecar, counters) = (self.held.clone(), self.sidecar.clone(), self.counters.clone());
        let published = self.published.clone();
        move |order| match held_service(&published) {
            Some(service) => Err(UpgradeError::Held(service)),
            None => start_successor(order, &held, &sidecar, &counters),
        }
    }

    /// Tells the process that was replaced that this one serves, and hears what it counts until it ends.
    ///
    /// # Errors
    /// It has given up in the meantime, and goes on.
    pub fn take_over(&mut self, before: Predecessor) -> anyhow::Result<()> {
        let remark = before.remark();
        self.earlier = before.replace(&self.counters)?;
        self.sidecar.remark(remark);
        Ok(())
    }

    /// Reopens the access log, after it was moved away.
    pub fn reopen_access_log(&self) {
        if let Some(log) = &self.access {
            log.reopen();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        raise(&self.counters.process.draining, true);
        drop(self.acme.take());
        if !self.workers.is_empty() {
            self.end.send_replace(ShutdownSignal::Now);
            for worker in self.workers.drain(..) {
                worker.join();
            }
        }
        if let Some(announcer) = self.announcer.take() {
            announcer.finish();
        }
        self.runtimes.drain(..).for_each(Runtime::shutdown_background);
        // The workers have released it: this was the last handle that could write, so the writer finishes.
        drop(self.access.take());
        self.access_writers.clear();
        // Last: the journal is written when the sidecar releases it.
        self.sidecar.end();
        if let Some(thread) = self.sidecar_thread.take() {
            let _ = thread.join();
        }
    }
}
