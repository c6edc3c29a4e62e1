//! A changed main file: what it changes is built beside what is there, and then takes its place. If anything cannot be built,
//! nothing has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::admin::api::Api;
use crate::admin::tokens;
use crate::mirror::AS_BUILT;
use crate::serve::acme::{self, PreparedAcme};
use crate::serve::{
    Front, Running, Sockets, certificates, listen_for_admin, number_of_workers, open_access_log, reload, shared,
};
use crate::upgrade::{OpenSockets, SocketPurpose};
use config::{ConfigError, MainConfig, OwnListeners, RoutingContext};
use judgement::rollout::{AnnouncementLevel, AuditRemark, ChangeKind, Component};
use memory::counters::{count, raise};
use notify::Notifier;
use relay::access::{AccessLogWriter, AccessLogger};
use relay::proxy::listen::ListenerTls;
use relay::proxy::mirror::CopyQueue;
use relay::proxy::tls::CertificateWatcher;

/// What a changed main file builds on.
#[derive(Debug)]
pub(super) struct ReloadBase {
    pub api: Api,
    pub copies: Option<CopyQueue>,
    /// What the routing file is checked against.
    pub own_listeners: Arc<Mutex<OwnListeners>>,
    /// Tells the present listeners that others have taken their place.
    pub replaced: watch::Sender<bool>,
    /// The tasks that look after the certificates of the TLS listeners.
    pub keepers: Vec<AbortHandle>,
}

/// A setting by its name in the file, and whether two files agree on it.
type Setting = (&'static str, fn(&MainConfig, &MainConfig) -> bool);

/// What clients meet.
const FRONT: [Setting; 11] = [
    ("proxy.listen", |a, b| a.listen == b.listen),
    ("[[proxy.tls]]", |a, b| a.tls == b.tls),
    ("[acme]", |a, b| a.acme == b.acme),
    ("proxy.acme_challenges", |a, b| a.acme_challenges == b.acme_challenges),
    ("proxy.redirect_to_https", |a, b| a.redirect_to_https == b.redirect_to_https),
    ("proxy.http2", |a, b| a.plain_http2 == b.plain_http2),
    ("[proxy.limits]", |a, b| a.limits == b.limits),
    ("proxy.trusted_proxies", |a, b| a.trusted_proxies == b.trusted_proxies),
    ("proxy.forwarded, proxy.via or proxy.trace_context", |a, b| a.hop == b.hop),
    ("proxy.early_hints", |a, b| a.early_hints == b.early_hints),
    ("[proxy.access_log]", |a, b| a.access_log == b.access_log),
];

const ADMIN: [Setting; 2] =
    [("admin.listen", |a, b| a.admin == b.admin), ("[admin]", |a, b| a.admin_access == b.admin_access)];

const OTHERS: [Setting; 4] = [
    ("proxy.drain", |a, b| a.drain == b.drain),
    ("proxy.drain_delay", |a, b| a.drain_delay == b.drain_delay),
    ("[[notify]]", |a, b| a.notify == b.notify),
    ("suites", |a, b| a.suites == b.suites),
];

/// What only another process can have.
const OF_PROCESS: [Setting; 5] = [
    ("proxy.threads", |a, b| a.threads == b.threads),
    ("routing", |a, b| a.routing == b.routing),
    ("state.keep", |a, b| a.keep == b.keep),
    ("guard.tick", |a, b| a.tick == b.tick),
    ("[validation]", |a, b| a.validation == b.validation),
];

fn differences(settings: &[Setting], old: &MainConfig, new: &MainConfig) -> Vec<&'static str> {
    settings.iter().filter(|(_, agree)| !agree(old, new)).map(|(name, _)| *name).collect()
}

/// Another access log, which may be none.
enum AccessChange {
    Same,
    Other(Option<(AccessLogger, AccessLogWriter)>),
}

/// What clients meet from now on.
struct NewFront {
    sockets: Sockets,
    certificates: Vec<CertificateWatcher>,
    currents: Vec<ListenerTls>,
    acme: Option<PreparedAcme>,
    access: AccessChange,
}

impl Running {
    /// Takes a main file that was read anew, or says why not.
    pub fn reload_main(&mut self, read: Result<MainConfig, ConfigError>) {
        let Err(refused) = read.map_err(anyhow::Error::from).and_then(|new| self.take_main(new)) else { return };
        count(&self.counters.process.reloads_refused);
        let refused = match refused.downcast_ref::<ConfigError>() {
            Some(refused) => refused.render(false),
            None => format!("{refused:#}"),
        };
        tracing::error!("main file refused, going on with the last valid one:\n{refused}\n");
    }

    fn take_main(&mut self, new: MainConfig) -> anyhow::Result<()> {
        let of_process = differences(&OF_PROCESS, &self.settings, &new);
        let new_state = new.state.clone();
        // What it cannot have stays as it is.
        let new = MainConfig {
            threads: self.settings.threads,
            routing: self.settings.routing.clone(),
            state: self.settings.state.clone(),
            keep: self.settings.keep,
            tick: self.settings.tick,
            validation: self.settings.validation,
            ..new
        };
        let front = differences(&FRONT, &self.settings, &new);
        let admin = differences(&ADMIN, &self.settings, &new);
        let others = differences(&OTHERS, &self.settings, &new);
        let changed = [front.as_slice(), &admin, &others].concat();
        if self.settings.state != new_state {
            tracing::warn!(
                "main file: state.path stays as it was; to change it, stop Cutover, move the state with the files beside it, and start it"
            );
        }
        if !of_process.is_empty() {
            let waiting = of_process.join(", ");
            tracing::warn!("main file: {waiting} take effect with `cutover upgrade`, and stay as they were until then");
        }
        if changed.is_empty() {
            return Ok(());
        }
        let built = self.build(&new, !front.is_empty() || admin.contains(&"admin.listen"))?;
        self.admit(&new, built.as_ref(), !admin.is_empty())?;
        // Nothing can fail from here on.
        if let Some(built) = built {
            self.put_in_front(&new, built);
        }
        if others.contains(&"[[notify]]") {
            self.tell_others(&new);
        }
        self.runs.move_to(new.suites.clone());
        new.warnings.iter().for_each(reload::warn);
        self.settings = new;
        count(&self.counters.process.reloads_taken);
        let why = format!("the main file changes {}", changed.join(", "));
        let (who, announced) = (Component::File.name().to_owned(), Some(AnnouncementLevel::Info));
        let kind = ChangeKind::Reload;
        self.sidecar.remark(AuditRemark { kind, service: String::new(), who, from: None, why, announced });
        Ok(())
    }

    /// Builds what clients meet, beside what they meet now.
    fn build(&self, new: &MainConfig, differs: bool) -> anyhow::Result<Option<NewFront>> {
        if !differs {
            return Ok(None);
        }
        // An origin must not be one of the new listeners.
        let overs = self.sidecar.status()?.overs;
        let listeners = new.listeners();
        let context = RoutingContext { listeners: Some(&listeners), overlays: Some(&overs), ..AS_BUILT };
        config::load_routing(&new.routing, &context)?;
        let mut open = OpenSockets::default();
        self.held.iter().try_for_each(|held| held.lend(&mut open))?;
        let sockets = Sockets::open(new, number_of_workers(new), open)?;
        let acme = PreparedAcme::open(new, (&self.published, &self.counters, &self.sidecar))?;
        let (certificates, currents) = certificates(new, acme.as_ref(), &self.counters)?;
        let access = match new.access_log == self.settings.access_log {
            true => AccessChange::Same,
            false => AccessChange::Other(open_access_log(new, &self.counters)?),
        };
        Ok(Some(NewFront { sockets, certificates, currents, acme, access }))
    }

    /// Listens for the admin API with the new tokens, and ends what came with the old ones.
    fn admit(&mut self, new: &MainConfig, built: Option<&NewFront>, differs: bool) -> anyhow::Result<()> {
        if !differs {
            return Ok(());
        }
        let socket = match built {
            Some(built) => built.sockets.admin.try_clone()?,
            None => {
                let mut open = OpenSockets::default();
                self.held.iter().try_for_each(|held| held.lend(&mut open))?;
                let admin = open.take(SocketPurpose::Admin, new.admin).into_iter().next();
                admin.ok_or_else(|| anyhow::anyhow!("the admin API listens nowhere"))?
            }
        };
        let address = socket.local_addr()?;
        let (keyring, local_token) = tokens::first_run(&new.admin_access, address, &new.state)?;
        let Some(runtime) = self.runtimes.last().map(Runtime::handle) else { return Ok(()) };
        self.admin_listener = listen_for_admin(runtime, socket, new, self.base.api.clone(), keyring)?;
        (self.local_token, self.admin) = (local_token, address);
        Ok(())
    }

    fn put_in_front(&mut self, new: &MainConfig, built: NewFront) {
        let NewFront { sockets, certificates, currents, acme, access } = built;
        // An order that is under way is given up: the next one begins anew, by the new file.
        drop(self.acme.take());
        *self.base.own_listeners.lock() = sockets.listeners();
        let Sockets { of_workers, addresses, tls_addresses, held, .. } = sockets;
        if let AccessChange::Other(other) = access {
            let (logger, writer) = other.unzip();
            self.access = logger;
            self.access_writers.extend(writer);
        }
        let (shared, replaced, has_room) = shared(new, &self.counters, self.end.subscribe());
        let (access, copies) = (self.access.as_ref(), self.base.copies.as_ref());
        let challenges = acme::challenges(new, acme.as_ref());
        let front = Front { settings: new, certificates: &currents, access, copies, challenges };
        let parts = (&self.published, &self.counters, &self.sidecar);
        for (worker, generation) in self.workers.iter().zip(front.generations(of_workers, parts, &shared)) {
            worker.go_on_with(generation);
        }
        std::mem::replace(&mut self.base.replaced, replaced).send_replace(true);
        self.held = Arc::new(held);
        (self.addresses, self.tls_addresses) = (addresses, tls_addresses);
        self.base.keepers.drain(..).for_each(|keeper| keeper.abort());
        if let Some(runtime) = self.runtimes.last() {
            let keepers = certificates.into_iter().map(|watcher| runtime.spawn(watcher.keep()).abort_handle());
            self.base.keepers.extend(keepers);
        }
        raise(&self.counters.process.ready, has_room);
        if acme.is_none() {
            self.counters.set_certificate_standings(BTreeMap::new());
        }
        match acme.map(PreparedAcme::start).transpose() {
            Ok(acme) => self.acme = acme,
            Err(error) => tracing::error!(error = format!("{error:#}"), "no certificates are ordered"),
        }
    }

    /// Sends notices to the new receivers, and what waits for the old ones to those.
    fn tell_others(&mut self, new: &MainConfig) {
        let Some(runtime) = self.runtimes.last() else { return };
        let news = self.sidecar.listen();
        let before = std::mem::replace(
            &mut self.announcer,
            Notifier::start(&new.notify, news, &self.counters, runtime.handle()),
        );
        // They may take their time.
        let finish =
            before.map(|before| std::thread::Builder::new().name("notices".to_owned()).spawn(|| before.finish()));
        drop(finish);
    }
}
