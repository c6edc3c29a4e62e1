//! The thread that keeps every name's certificate: it orders what is due, one name after another.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::ca_client::CaClient;
use crate::order::OrderDesk;
use crate::schedule::{CertificateOutlook, OrderSchedule};
use crate::store::CertificateStore;
use config::acme::AcmeSettings;
use judgement::rollout::{AnnouncementLevel, AuditRemark, ChangeKind, Component};
use judgement::time::{Millis, rfc3339};
use memory::clock;
use memory::counters::{CertificateStanding, Counters, count};
use memory::snapshot::SnapshotReader;
use relay::proxy::acme_board::AcmeBoard;
use relay::proxy::tls::CertificateInUse;
use sidecar::SidecarHandle;

/// How often it is looked whether something is due.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often names that nobody wants any more are forgotten.
const TIDY: Millis = Millis::seconds(60);
/// How often the CA is asked when a certificate is to be renewed, if it does not say; and the bounds if it does.
const LOOK: Duration = Duration::from_secs(6 * 3600);
const SHORTEST_LOOK: Duration = Duration::from_secs(3600);
const LONGEST_LOOK: Duration = Duration::from_secs(24 * 3600);
/// After so many failures in a row people are told: what passes by itself is nobody's concern.
const TOLD_AFTER: u32 = 3;
/// From then on, with a pause of six hours, once a day.
const TOLD_EVERY: u32 = 4;
const LONG_FAILING: u32 = 8;

/// What the keeper is made of.
pub struct AcmeParts {
    pub settings: AcmeSettings,
    pub board: Arc<AcmeBoard>,
    /// The names that clients ask for.
    pub asked: mpsc::Receiver<String>,
    /// Told when a certificate is there.
    pub issued: watch::Sender<u64>,
    pub published: SnapshotReader,
    /// Those of the names, sorted, whose certificate no file of the operator has.
    pub to_order: Box<dyn Fn(Vec<String>) -> Vec<String> + Send>,
    pub sidecar: SidecarHandle,
    pub counters: Arc<Counters>,
}

/// Keeps certificates, once it is started.
pub struct CertificateKeeper {
    parts: AcmeParts,
    client: CaClient,
    store: CertificateStore,
    schedule: OrderSchedule,
    /// The generation whose hosts are known.
    generation: Option<u64>,
    wanted: Vec<String>,
    tidied: Millis,
    /// When the CA is asked next about a name's certificate, on the monotonic clock.
    looks: HashMap<String, Millis>,
}

/// The running keeper. It ends when this is dropped, in the middle of an order too.
#[derive(Debug)]
pub struct AcmeThread {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn wall() -> i64 {
    (clock::wall_millis() / 1000) as i64
}

impl CertificateKeeper {
    /// # Errors
    /// The folder cannot be created, or TLS not be set up.
    pub fn open(parts: AcmeParts) -> Result<CertificateKeeper, String> {
        let folder = &parts.settings.folder;
        let store = CertificateStore::open(folder)
            .map_err(|error| format!("cannot create the folder of the certificates {}: {error}", folder.display()))?;
        let client = CaClient::new(parts.settings.directory_roots.as_deref())
            .map_err(|error| format!("cannot set up TLS to the CA: {error}"))?;
        let schedule = OrderSchedule::new(parts.settings.first_retry, store.orders(), clock::now(), wall());
        let mut keeper = CertificateKeeper {
            parts,
            client,
            store,
            schedule,
            generation: None,
            wanted: Vec::new(),
            tidied: Millis::ZERO,
            looks: HashMap::new(),
        };
        keeper.take_on_asked_before();
        keeper.refresh();
        Ok(keeper)
    }

    /// # Errors
    /// The thread or its runtime cannot be created.
    pub fn start(self) -> std::io::Result<AcmeThread> {
        let (end, ending) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("acme".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = self.run() => {}
                    _ = ending => {}
                }
            });
            // A name that does not resolve holds a thread of its own.
            runtime.shutdown_background();
        })?;
        Ok(AcmeThread { end: Some(end), thread: Some(thread) })
    }

    async fn run(mut self) {
        loop {
            self.refresh();
            while let Some(name) = self.schedule.due(clock::now(), wall()) {
                self.order(&name).await;
                while let Ok(name) = self.parts.asked.try_recv() {
                    self.hear(&name);
                }
                self.refresh();
            }
            self.look().await;
            tokio::select! {
                () = sleep(INTERVAL) => {}
                Some(name) = self.parts.asked.recv() => self.hear(&name),
            }
        }
    }

    /// The names that clients have asked for in an earlier process, and that are still allowed.
    fn take_on_asked_before(&mut self) {
        for name in self.store.names() {
            if self.parts.settings.on_demand.iter().any(|allowed| allowed.matches(&name)) {
                let outlook = self.outlook(&name);
                self.schedule.add(&name, outlook, true, clock::now(), wall());
            }
        }
    }

    fn hear(&mut self, name: &str) {
        if !self.schedule.ask_for(name, clock::now(), wall()) {
            tracing::warn!(name, "no certificate is ordered: too many names are asked for by clients");
        }
    }

    /// Takes the hosts of a new routing file, and forgets what nobody wants any more.
    fn refresh(&mut self) {
        let snapshot = self.parts.published.load();
        let now = clock::now();
        if self.generation == Some(snapshot.generation) && now.since(self.tidied) < TIDY {
            return;
        }
        (self.generation, self.tidied) = (Some(snapshot.generation), now);
        let hosts = || snapshot.table.exact_hosts().filter(|host| config::check::acme::is_certifiable(host));
        let names = self.parts.settings.names.clone().unwrap_or_else(|| hosts().map(str::to_owned).collect());
        self.wanted = (self.parts.to_order)(names);
        for name in self.wanted.clone() {
            if !self.schedule.contains(&name) {
                let outlook = self.outlook(&name);
                self.schedule.add(&name, outlook, false, now, wall());
            }
        }
        self.schedule.retain(&self.wanted, now, wall());
        self.looks.retain(|name, _| self.schedule.contains(name));
        self.remove_what_has_ended();
        self.show();
    }

    fn outlook(&self, name: &str) -> Option<CertificateOutlook> {
        self.store.certificate(name).map(|read| CertificateOutlook::new(read.begin, read.end, fastrand::f64()))
    }

    /// Certificates of names that nobody wants any more, once no client can use them.
    fn remove_what_has_ended(&self) {
        for name in self.store.names() {
            let is_used = self.schedule.contains(&name);
            if !is_used && self.store.certificate(&name).is_none_or(|certificate| certificate.end < wall()) {
                self.store.remove(&name);
                self.parts.counters.forget_certificate(&self.store.file(&name));
                self.parts.issued.send_modify(|number| *number += 1);
            }
        }
    }

    /// Asks the CA about one certificate: it may want it to be renewed before its time, as when it has to revoke it.
    async fn look(&mut self) {
        let now = clock::now();
        let names = self.schedule.names().iter().filter(|(_, standing)| standing.certificate.is_some());
        let due = |name: &&String| self.looks.get(*name).is_none_or(|next| *next <= now);
        let Some(name) = names.map(|(name, _)| name).find(due).cloned() else { return };
        let Some(certificate) = self.store.certificate(&name) else { return };
        let leaf = certificate.key.cert.first().map(|leaf| leaf.to_vec()).unwrap_or_default();
        let AcmeParts { settings, board, .. } = &self.parts;
        let desk = OrderDesk { settings, client: &self.client, store: &self.store, board };
        let again = match desk.suggestion(&leaf, fastrand::f64()).await {
            Ok(Some((renew, again))) => {
                self.schedule.suggest(&name, renew);
                again.clamp(SHORTEST_LOOK, LONGEST_LOOK)
            }
            Ok(None) => LONGEST_LOOK,
            Err(error) => {
                tracing::debug!(name, error, "cannot ask when to renew");
                LOOK
            }
        };
        // Of orders alone is a CA left alone.
        self.client.take_rest();
        self.looks.insert(name, Millis(now.0 + again.as_millis() as u64));
    }

    async fn order(&mut self, name: &str) {
        let failures = self.schedule.names().get(name).map_or(0, |standing| standing.failures as usize);
        let ways = &self.parts.settings.challenges;
        let Some(way) = ways.get(failures % ways.len().max(1)).copied() else { return };
        self.schedule.begin(name, clock::now());
        // Before it goes out: a process that is started again and again counts them too.
        self.keep_record();
        let AcmeParts { settings, board, .. } = &self.parts;
        let desk = OrderDesk { settings, client: &self.client, store: &self.store, board };
        let ordered = desk.order(name, way).await;
        match ordered.and_then(|pem| self.store.keep(name, &pem)) {
            Ok(certificate) => self.succeeded(name, &certificate),
            Err(error) => self.failed(name, error),
        }
        self.keep_record();
        self.show();
    }

    fn succeeded(&mut self, name: &str, certificate: &CertificateInUse) {
        let outlook = CertificateOutlook::new(certificate.begin, certificate.end, fastrand::f64());
        let until = rfc3339(certificate.end.max(0) as u64 * 1000);
        count(&self.parts.counters.process.acme_issued);
        self.schedule.succeed(name, outlook);
        // Whatever the CA says of the new one, it is not ordered again at once.
        self.looks.insert(name.to_owned(), Millis(clock::now().0 + SHORTEST_LOOK.as_millis() as u64));
        self.parts.issued.send_modify(|number| *number += 1);
        tracing::info!(name, until, "certificate issued");
        self.remark(ChangeKind::Certificate, format!("{name}: certificate issued, valid until {until}"), None);
        if outlook.renew <= wall() {
            self.failed(name, "the certificate is due for renewal as it comes: is the clock right?".to_owned());
        }
    }

    fn failed(&mut self, name: &str, error: String) {
        count(&self.parts.counters.process.acme_failed);
        let rest = self.client.take_rest();
        let failed = self.schedule.fail(name, error.clone(), rest, fastrand::f64(), clock::now());
        let Some((failures, pause)) = failed else { return };
        tracing::warn!(name, failures, again_in = %pause, error, "no certificate");
        if failures == TOLD_AFTER || failures > LONG_FAILING && failures.is_multiple_of(TOLD_EVERY) {
            let certificate = self.schedule.names().get(name).and_then(|standing| standing.certificate);
            let now = match certificate {
                Some(certificate) if certificate.end > wall() => {
                    format!("its certificate ends {}", rfc3339(certificate.end.max(0) as u64 * 1000))
                }
                Some(_) => "its certificate has expired".to_owned(),
                None => "it has none".to_owned(),
            };
            let why = format!("{name}: no certificate after {failures} orders, {now}: {error}");
            self.remark(ChangeKind::CertificateFailed, why, Some(AnnouncementLevel::Warning));
        }
    }

    fn remark(&self, kind: ChangeKind, why: String, announced: Option<AnnouncementLevel>) {
        let who = Component::Acme.name().to_owned();
        self.parts.sidecar.remark(AuditRemark { kind, service: String::new(), who, from: None, why, announced });
    }

    fn keep_record(&self) {
        if let Err(error) = self.store.keep_orders(&self.schedule.record(clock::now(), wall())) {
            tracing::warn!(%error, "cannot keep what is known about orders");
        }
    }

    /// For the status and the metrics.
    fn show(&self) {
        let wanted: HashSet<&str> = self.wanted.iter().map(String::as_str).collect();
        let names = self.schedule.names().iter();
        let shown = names.map(|(name, standing)| {
            let end = standing.certificate.map(|certificate| certificate.end);
            let on_demand = !wanted.contains(name.as_str());
            (
                name.clone(),
                CertificateStanding { end, failures: standing.failures, error: standing.error.clone(), on_demand },
            )
        });
        self.parts.counters.set_certificate_standings(shown.collect());
    }
}

impl Drop for AcmeThread {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.end.take().map(|end| end.send(()));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
