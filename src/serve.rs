//! Assembly: from the configuration to running parts, and back down.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::access;
use crate::admin;
use crate::admin::api::Api;
use crate::admin::auth::{self, Local};
use crate::admin::gate::Gate;
use crate::config::watch::{INTERVAL, Look, Watch};
use crate::config::{self, Routing, Settings};
use crate::counters::{Counters, Shard, count, raise};
use crate::journal::Journal;
use crate::origin::Resolver;
use crate::proxy::Proxy;
use crate::proxy::door::Door;
use crate::proxy::listen::{Drain, End, Listener, Shared, bind, start_worker};
use crate::proxy::tls::Keeper;
use crate::sidecar::{Handle, Load, Sidecar};
use crate::snapshot::{Published, Publisher};

/// A running Cutover. Dropping it ends it at once.
#[derive(Debug)]
pub struct Running {
    /// Where the proxy listens: the configured addresses, with ports filled in.
    pub addresses: Vec<SocketAddr>,
    /// The same of the listeners with TLS.
    pub tls_addresses: Vec<SocketAddr>,
    pub admin: SocketAddr,
    /// The house's own token, where none is configured.
    pub local_token: Option<Local>,
    pub sidecar: Handle,
    pub published: Published,
    pub counters: Arc<Counters>,
    access: Option<access::Log>,
    /// Behind the log: it ends when nobody can write any more.
    access_writer: Option<access::Writer>,
    reload: mpsc::Sender<()>,
    end: watch::Sender<End>,
    workers: Vec<JoinHandle<()>>,
    sidecar_thread: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// Starts everything. Nothing listens before the state is restored and the routing file is in force.
///
/// # Errors
/// [`config::Refused`] for a routing file with problems; otherwise what could not be started.
pub fn start(settings: &Settings) -> anyhow::Result<Running> {
    // Two crates bring a provider each into reach; rustls must not have to choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let workers = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let look = Look::at(&settings.routing);
    let routing = config::routing(&settings.routing)?;
    let (sockets, addresses) = bind(&settings.listen, workers)?;
    let on_tls: Vec<SocketAddr> = settings.tls.iter().map(|tls| tls.listen).collect();
    let (tls_sockets, tls_addresses) = bind(&on_tls, workers)?;
    let admin_socket = std::net::TcpListener::bind(settings.admin)
        .with_context(|| format!("cannot listen on {} for the admin", settings.admin))?;
    let admin_address = admin_socket.local_addr()?;

    let counters = Arc::new(Counters::new(workers));
    let (access, access_writer) = open_access_log(settings, &counters)?.unzip();
    let (journal, restored) =
        Journal::keeping(&settings.state, settings.keep, counters.clone()).with_context(|| {
            format!("cannot go on from the state {}; move it away to begin without", settings.state.display())
        })?;
    // Behind the state's lock: of two that start at once, one makes the token.
    let (keyring, local_token) = auth::first_run(&settings.admin_access, admin_address, &settings.state)?;
    let shelf = journal.shelf();
    let (publisher, published) = Publisher::new();
    let mut sidecar = Sidecar::new(restored, publisher, counters.clone(), journal);

    // Look-ups and the admin: nothing that a request waits for.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("house").enable_all().build()?;
    let resolver = runtime.block_on(async { Arc::new(Resolver::new(counters.clone())) });
    let load = runtime.block_on(resolve(&resolver, routing));
    sidecar.load(load, crate::clock::now())?;
    count(&counters.process.reloads_taken);
    let (sidecar, sidecar_thread) = sidecar.start(settings.tick)?;
    runtime.spawn(resolver.clone().keep(sidecar.clone()));

    let gate = Gate::new(keyring, &settings.admin_access, admin_address, sidecar.clone());
    let api = Api::new(sidecar.clone(), counters.clone(), published.clone(), shelf, settings.routing.clone());
    runtime.spawn(api.minutes.clone().keep());
    listen_for_admin(&runtime, admin_socket, settings, &counters, admin::app(api, gate))?;
    let (reload, reloads) = mpsc::channel(1);
    let reloader =
        Reloader { path: settings.routing.clone(), resolver, sidecar: sidecar.clone(), counters: counters.clone() };
    runtime.spawn(reloader.run(Watch::from(look), reloads));

    let mut currents = Vec::new();
    for listener in &settings.tls {
        let (keeper, current) = Keeper::open(listener, counters.clone())
            .map_err(|why| anyhow::anyhow!("cannot listen with TLS on {}: {why}", listener.listen))?;
        runtime.spawn(keeper.keep());
        currents.push(current);
    }
    let (end, ending) = watch::channel(End::NotYet);
    let door = Arc::new(Door::new(&settings.limits, counters.clone()));
    let shared = Shared { counters: counters.clone(), limits: settings.limits, door, end: ending };
    let mut threads = Vec::new();
    for (at, (plain, tls)) in sockets.into_iter().zip(tls_sockets).enumerate() {
        let proxy = Proxy::new(Shard(at), published.clone(), counters.clone(), sidecar.clone(), settings)
            .with_access_log(access.clone());
        let plain = plain.into_iter().map(|socket| Listener { socket, tls: None });
        let tls = tls.into_iter().zip(&currents);
        let tls = tls.map(|(socket, current)| Listener { socket, tls: Some(current.clone()) });
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
        counters,
        access,
        access_writer,
        reload,
        end,
        workers: threads,
        sidecar_thread: Some(sidecar_thread),
        runtime: Some(runtime),
    })
}

fn open_access_log(
    settings: &Settings,
    counters: &Arc<Counters>,
) -> anyhow::Result<Option<(access::Log, access::Writer)>> {
    let Some(log) = &settings.access_log else { return Ok(None) };
    let started = access::start(log, counters.clone());
    started.map(Some).with_context(|| match &log.target {
        access::Target::File(path) => format!("cannot write the access log {}", path.display()),
        access::Target::Stdout => "cannot write the access log to stdout".to_owned(),
    })
}

fn listen_for_admin(
    runtime: &Runtime,
    socket: std::net::TcpListener,
    settings: &Settings,
    counters: &Arc<Counters>,
    app: axum::Router,
) -> anyhow::Result<()> {
    let address = socket.local_addr()?;
    let tls = match &settings.admin_access.tls {
        None => None,
        Some(listener) => {
            let (keeper, current) = Keeper::open(listener, counters.clone())
                .map_err(|why| anyhow::anyhow!("cannot listen with TLS on {address} for the admin: {why}"))?;
            runtime.spawn(keeper.keep());
            Some(current)
        }
    };
    if !address.ip().is_loopback() && tls.is_none() {
        tracing::warn!(%address, "the admin listens beyond loopback without TLS: tokens can be read on the way to it");
    }
    socket.set_nonblocking(true)?;
    let _in_runtime = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(socket)?;
    runtime.spawn(admin::listen::serve(listener, tls, app));
    Ok(())
}

async fn resolve(resolver: &Resolver, routing: Routing) -> Load {
    let origins = routing.services.iter().flat_map(|service| service.origins.iter().cloned()).collect();
    let endpoints = resolver.resolve(origins).await;
    Load { routing, endpoints }
}

/// Takes changed routing files, or says why not.
struct Reloader {
    path: PathBuf,
    resolver: Arc<Resolver>,
    sidecar: Handle,
    counters: Arc<Counters>,
}

impl Reloader {
    async fn run(self, mut watch: Watch, mut asked: mpsc::Receiver<()>) {
        loop {
            let now = tokio::select! {
                asked = asked.recv() => match asked {
                    Some(()) => true,
                    None => return,
                },
                () = tokio::time::sleep(INTERVAL) => false,
            };
            if watch.has_changed(Look::at(&self.path)) || now {
                self.reload().await;
            }
        }
    }

    async fn reload(&self) {
        let path = self.path.clone();
        // Reading and checking a thousand services takes a moment: not on the thread that answers scrapes.
        // So is drawing what is wrong with it.
        let read = move || config::routing(&path).map_err(|refused| (refused.problems().count(), refused.to_string()));
        let Ok(read) = tokio::task::spawn_blocking(read).await else { return };
        let path = self.path.display();
        match read {
            Ok(routing) => {
                let services = routing.services.len();
                let load = resolve(&self.resolver, routing).await;
                let sidecar = self.sidecar.clone();
                match tokio::task::spawn_blocking(move || sidecar.load(load)).await {
                    Ok(Ok(Ok(()))) => {
                        count(&self.counters.process.reloads_taken);
                        tracing::info!(%path, services, "routing reloaded");
                    }
                    Ok(Ok(Err(refused))) => {
                        count(&self.counters.process.reloads_refused);
                        tracing::error!(%path, %refused, "routing refused, the last good one stays in force");
                    }
                    // The house is closing.
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            Err((problems, refused)) => {
                count(&self.counters.process.reloads_refused);
                tracing::error!(%path, problems, "routing refused, the last good one stays in force:\n{refused}");
            }
        }
    }
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

    /// Is no longer ready, finishes what is in flight, and ends.
    pub fn drain(self, drain: Drain) {
        raise(&self.counters.process.draining, true);
        self.end.send_replace(End::Drain(drain));
        self.finish();
    }

    /// A way to end the drain early, from another thread.
    pub fn ender(&self) -> watch::Sender<End> {
        self.end.clone()
    }

    /// Ends at once.
    pub fn stop(self) {
        drop(self);
    }

    fn finish(mut self) {
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        raise(&self.counters.process.draining, true);
        if !self.workers.is_empty() {
            self.end.send_replace(End::Now);
            for worker in self.workers.drain(..) {
                let _ = worker.join();
            }
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
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
