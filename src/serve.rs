//! Assembly: from the configuration to running parts, and back down.

mod candidate_checks;
mod reload;
mod shutdown;
mod validation_runs;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::admin;
use crate::admin::api::{self, Api};
use crate::admin::authentication::Authenticator;
use crate::admin::changes::Changes;
use crate::admin::tokens::{self, LocalToken};
use crate::runs::Runs;
use crate::serve::reload::{Reloader, resolve};
use config::watch::{FileStamps, FileWatch};
use config::{self, MainConfig, RoutingContext};
use health::{self, HealthBoard};
use memory::counters::{Counters, Shard, count, raise};
use memory::snapshot::{SnapshotPublisher, SnapshotReader};
use notify::{self, Notifier};
use relay::access;
use relay::origin::OriginResolver;
use relay::proxy::Proxy;
use relay::proxy::connection_limits::ConnectionLimits;
use relay::proxy::listen::{ListenerContext, ShutdownSignal, WorkerListener, bind, start_worker};
use relay::proxy::tls::{CertificateWatcher, CurrentTls};
use sidecar::journal::Journal;
use sidecar::{Sidecar, SidecarHandle};

/// Preflights that wait in line: nobody starts more deploys at one moment.
const PREFLIGHTS: usize = 16;

/// A running Cutover. Dropping it ends it at once.
#[derive(Debug)]
pub struct Running {
    /// Where the proxy listens: the configured addresses, with ports filled in.
    pub addresses: Vec<SocketAddr>,
    /// The same of the listeners with TLS.
    pub tls_addresses: Vec<SocketAddr>,
    pub admin: SocketAddr,
    /// The house's own token, where none is configured.
    pub local_token: Option<LocalToken>,
    pub sidecar: SidecarHandle,
    pub published: SnapshotReader,
    /// Changes of what is laid over the routing file.
    pub changes: Changes,
    pub health: HealthBoard,
    pub runs: Runs,
    pub counters: Arc<Counters>,
    access: Option<access::AccessLogger>,
    /// Behind the log: it ends when nobody can write any more.
    access_writer: Option<access::AccessLogWriter>,
    announcer: Option<Notifier>,
    reload: mpsc::Sender<()>,
    end: watch::Sender<ShutdownSignal>,
    workers: Vec<JoinHandle<()>>,
    sidecar_thread: Option<JoinHandle<()>>,
    runtimes: Vec<Runtime>,
}

/// Starts everything. Nothing listens before the state is restored and the routing file is in force.
///
/// # Errors
/// [`config::ConfigError`] for a routing file with problems; otherwise what could not be started.
pub fn start(settings: &MainConfig) -> anyhow::Result<Running> {
    // Two crates bring a provider each into reach; rustls must not have to choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let workers = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let listeners = settings.listeners();
    let context = RoutingContext { listeners: &listeners, ..RoutingContext::default() };
    let look = FileStamps::at(&settings.routing);
    let routing = config::load_routing(&settings.routing, &context)?;
    let (sockets, addresses) = bind(&settings.listen, workers)?;
    let on_tls: Vec<SocketAddr> = settings.tls.iter().map(|tls| tls.listen).collect();
    let (tls_sockets, tls_addresses) = bind(&on_tls, workers)?;
    let admin_socket = std::net::TcpListener::bind(settings.admin)
        .with_context(|| format!("cannot listen on {} for the admin API", settings.admin))?;
    let admin_address = admin_socket.local_addr()?;

    let counters = Arc::new(Counters::new(workers));
    let (access, access_writer) = open_access_log(settings, &counters)?.unzip();
    let (journal, restored) = Journal::start_with_retention(&settings.state, settings.keep, counters.clone())
        .with_context(|| {
            format!("cannot open the state {}; move it away to start without it", settings.state.display())
        })?;
    // Behind the state's lock: of two that start at once, one makes the token.
    let (keyring, local_token) = tokens::first_run(&settings.admin_access, admin_address, &settings.state)?;
    let snapshots = journal.snapshots();
    let (publisher, published) = SnapshotPublisher::new();
    let (preflights, orders) = mpsc::channel(PREFLIGHTS);
    let (validations, gates) = mpsc::channel(PREFLIGHTS);
    let mut sidecar = Sidecar::new(restored, publisher, counters.clone(), journal)
        .with_preflights(preflights)
        .with_validations(validations);
    // Again, under what people had laid over it when the process ended.
    let overs = sidecar.overs();
    let routing = if overs.is_empty() {
        routing
    } else {
        config::load_routing(&settings.routing, &RoutingContext { overlays: Some(&overs), ..context })?
    };

    // Look-ups and the admin: nothing that a request waits for.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("admin").enable_all().build()?;
    let resolver = runtime.block_on(async { Arc::new(OriginResolver::new(counters.clone())) });
    settings.warnings.iter().chain(&routing.warnings).for_each(reload::warn);
    let load = runtime.block_on(resolve(&resolver, routing));
    notify::warn_of_unknown_services(&settings.notify, &load.routing.services);
    // Before anything is announced.
    let announcer = Notifier::start(&settings.notify, sidecar.listen(), &counters, runtime.handle());
    sidecar.load(load, memory::clock::now())?;
    count(&counters.process.reloads_taken);
    let (sidecar, sidecar_thread) = sidecar.start(settings.tick)?;
    let health = HealthBoard::new(published.clone(), counters.clone());
    runtime.spawn(health::run(health.clone(), sidecar.clone()));
    runtime.spawn(resolver.clone().keep(sidecar.clone()));

    let authenticator = Authenticator::new(keyring, &settings.admin_access, admin_address, sidecar.clone());
    let (changes, changes_asked) = Changes::new();
    let (validation, runs) = validation_runs::start(settings, &published, addresses.first().copied(), &sidecar)?;
    validation.spawn(candidate_checks::keep(gates, runs.clone(), sidecar.clone()));
    let tries =
        candidate_checks::PreflightContext { published: published.clone(), health: health.clone(), runs: runs.clone() };
    runtime.spawn(candidate_checks::try_all(orders, tries, sidecar.clone()));
    let api = Api::new(api::ApiParts {
        sidecar: sidecar.clone(),
        counters: counters.clone(),
        published: published.clone(),
        snapshots,
        routing: settings.routing.clone(),
        changes: changes.clone(),
        board: health.clone(),
        runs: runs.clone(),
        keep_snapshots: settings.validation.snapshots,
    });
    runtime.spawn(api.recent_traffic.clone().keep());
    listen_for_admin(&runtime, admin_socket, settings, &counters, admin::app(api, authenticator))?;
    let (reload, reloads) = mpsc::channel(1);
    let reloader = Reloader {
        path: settings.routing.clone(),
        listeners,
        resolver,
        sidecar: sidecar.clone(),
        counters: counters.clone(),
    };
    runtime.spawn(reloader.run(FileWatch::from(look), reloads, changes_asked));

    let (end, ending) = watch::channel(ShutdownSignal::NotYet);
    let connection_limits = Arc::new(ConnectionLimits::new(&settings.limits, counters.clone()));
    let shared =
        ListenerContext { counters: counters.clone(), limits: settings.limits, connection_limits, end: ending };
    let currents = certificates(&runtime, settings, &counters)?;
    let mut threads = Vec::new();
    for (at, (plain, tls)) in sockets.into_iter().zip(tls_sockets).enumerate() {
        let proxy = Proxy::new(Shard(at), published.clone(), counters.clone(), sidecar.clone(), settings)
            .with_access_log(access.clone());
        let plain = plain.into_iter().map(|socket| WorkerListener { socket, tls: None });
        let tls = tls.into_iter().zip(&currents);
        let tls = tls.map(|(socket, current)| WorkerListener { socket, tls: Some(current.clone()) });
        threads.push(start_worker(format!("worker {at}"), proxy, plain.chain(tls).collect(), shared.clone())?);
    }
    raise(&counters.process.ready, true);
    Ok(Running {
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
        access_writer,
        announcer,
        runs,
        reload,
        end,
        workers: threads,
        sidecar_thread: Some(sidecar_thread),
        runtimes: vec![validation, runtime],
    })
}

/// The certificates of the listeners with TLS, and the tasks that renew them from their files.
fn certificates(runtime: &Runtime, settings: &MainConfig, counters: &Arc<Counters>) -> anyhow::Result<Vec<CurrentTls>> {
    let mut currents = Vec::new();
    for listener in &settings.tls {
        let (watcher, current) = CertificateWatcher::open(listener, counters.clone())
            .map_err(|why| anyhow::anyhow!("cannot listen with TLS on {}: {why}", listener.listen))?;
        runtime.spawn(watcher.keep());
        currents.push(current);
    }
    Ok(currents)
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

fn listen_for_admin(
    runtime: &Runtime,
    socket: std::net::TcpListener,
    settings: &MainConfig,
    counters: &Arc<Counters>,
    app: axum::Router,
) -> anyhow::Result<()> {
    let address = socket.local_addr()?;
    let tls = match &settings.admin_access.tls {
        None => None,
        Some(listener) => {
            let (keeper, current) = CertificateWatcher::open(listener, counters.clone())
                .map_err(|why| anyhow::anyhow!("cannot listen with TLS on {address} for the admin API: {why}"))?;
            runtime.spawn(keeper.keep());
            Some(current)
        }
    };
    if !address.ip().is_loopback() && tls.is_none() {
        tracing::warn!(%address, "the admin API listens beyond loopback without TLS: tokens can be read in transit");
    }
    socket.set_nonblocking(true)?;
    let _in_runtime = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(socket)?;
    runtime.spawn(admin::listen::serve(listener, tls, app));
    Ok(())
}

impl Running {
    /// Reads the routing file now, changed or not.
    pub fn reload(&self) {
        // One that is already asked for will see what we see.
        let _ = self.reload.try_send(());
    }

    /// Opens the access log anew, after it was moved away.
    pub fn reopen_access_log(&self) {
        if let Some(log) = &self.access {
            log.reopen();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        raise(&self.counters.process.draining, true);
        if !self.workers.is_empty() {
            self.end.send_replace(ShutdownSignal::Now);
            for worker in self.workers.drain(..) {
                let _ = worker.join();
            }
        }
        if let Some(announcer) = self.announcer.take() {
            announcer.finish();
        }
        self.runtimes.drain(..).for_each(Runtime::shutdown_background);
        // The workers have let go of it: this was the last one who could write, and the writer finishes.
        drop(self.access.take());
        drop(self.access_writer.take());
        // Last: the journal is written when the sidecar lets go of it.
        self.sidecar.end();
        if let Some(thread) = self.sidecar_thread.take() {
            let _ = thread.join();
        }
    }
}
