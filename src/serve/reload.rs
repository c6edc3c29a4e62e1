//! The one task that changes the routing table: when the file changes, and when someone changes something at run time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::admin::changes::{Change, ChangeError, ChangeRequest};
use crate::mirror::AS_BUILT;
use crate::serve::file_changes::LoadedFile;
use config::check::permalink;
use config::read::FileProblem;
use config::watch::{FileStamps, FileWatch, INTERVAL};
use config::{self, MainConfig, Overlays, OwnListeners, RoutingConfig, RoutingContext, ServiceConfig};
use health::{HealthBoard, probe};
use judgement::rollout::{
    AnnouncementLevel, AuditRemark, ChangeKind, Component, DeployRequest, DeployedOrigin, FilePlace, OperatorAction,
    OperatorCommand, Requester, RolloutError, RuntimeOverlay, RuntimeOverrides,
};
use judgement::traffic::Environment;
use memory::clock;
use memory::counters::{Counters, count};
use memory::snapshot::OriginSettings;
use relay::origin::{Connector, OriginResolver};
use sidecar::{CommandReceipt, ResolvedRouting, Sidecar, SidecarHandle, SidecarStatus};

/// Loads changed routing files, or reports why not.
pub struct Reloader {
    path: PathBuf,
    /// A copy of the routing file is kept beside it.
    state: PathBuf,
    /// The addresses that this process listens on, which must not be used as origins.
    listeners: Arc<Mutex<OwnListeners>>,
    resolver: Arc<OriginResolver>,
    sidecar: SidecarHandle,
    counters: Arc<Counters>,
    connector: Arc<Connector>,
}

/// All origins of all services, and those that their routes ask whether a request may go on.
pub fn origins_of(routing: &RoutingConfig) -> Vec<Arc<OriginSettings>> {
    routing
        .services
        .iter()
        .flat_map(|service| service.origins.iter().chain(service.terms.auth_origins()).cloned())
        .collect()
}

pub async fn resolve(resolver: &OriginResolver, routing: RoutingConfig) -> ResolvedRouting {
    let endpoints = resolver.resolve(origins_of(&routing)).await;
    ResolvedRouting { routing, endpoints, ..ResolvedRouting::default() }
}

/// Where a file says what each service may not: the service, the place and the line.
type Lines = BTreeMap<String, Vec<(FilePlace, usize)>>;

fn lines_of(routing: &RoutingConfig) -> Lines {
    let of = |config: &ServiceConfig| (config.traffic.name.clone(), config.lines.clone());
    routing.services.iter().map(of).collect()
}

/// The line of what a file was refused for.
fn line_of(refused: &RolloutError, lines: &Lines) -> Option<usize> {
    let (service, place) = refused.place()?;
    let lines = lines.get(service)?;
    let line_of = |place: &FilePlace| lines.iter().find(|(other, _)| other == place).map(|(_, line)| *line);
    line_of(&place).or_else(|| line_of(&FilePlace::Split))
}

/// A reload, for the journal and those who want to hear of it.
pub fn remark(why: String) -> AuditRemark {
    let (who, announced) = (Component::File.name().to_owned(), Some(AnnouncementLevel::Info));
    AuditRemark { kind: ChangeKind::Reload, service: String::new(), who, from: None, why, announced }
}

/// Puts the file on disk in force at a start, as a reload of the one that was in force when the process before this one
/// ended: what may not be changed while it runs may not be changed by ending it. `before`: that file; `loaded`: the one on
/// disk, and then the one in force. Returns what the journal says of it.
///
/// # Errors
/// The file on disk cannot be put in force, and there is none before it.
pub fn start(
    (sidecar, resolver): (&mut Sidecar, &OriginResolver),
    load: ResolvedRouting,
    loaded: &mut LoadedFile,
    before: Option<(LoadedFile, ResolvedRouting)>,
    path: &Path,
) -> Result<Option<AuditRemark>, RolloutError> {
    let lines = lines_of(&load.routing);
    let origins = [&load.routing, before.as_ref().map_or(&load.routing, |(_, last)| &last.routing)].map(origins_of);
    let [origins, origins_before] = origins;
    let Some((file, last)) = before else {
        resolver.follow(origins);
        return sidecar.load(load, clock::now()).map(|()| None);
    };
    let was_taken = sidecar.load(last, clock::now()).is_ok();
    match sidecar.load(load, clock::now()) {
        Ok(()) => {
            resolver.follow(origins);
            Ok(Some(remark(loaded.since_last_run(&file))))
        }
        Err(refused) if was_taken => {
            let place = place_of(path, &refused, &lines);
            tracing::error!(%refused, "{place}: routing file refused, starting with the last one that was in force");
            resolver.follow(origins_before);
            *loaded = file;
            let why = format!(
                "{place}: refused at the start: {refused}; the file before is in force: save it again afterwards"
            );
            let (who, announced) = (Component::File.name().to_owned(), Some(AnnouncementLevel::Warning));
            let service = refused.place().map_or(String::new(), |(service, _)| service.to_owned());
            Ok(Some(AuditRemark { kind: ChangeKind::Waiting, service, who, from: None, why, announced }))
        }
        Err(refused) => Err(refused),
    }
}

/// The line of what a file was refused for, or else its path.
fn place_of(path: &Path, refused: &RolloutError, lines: &Lines) -> String {
    line_of(refused, lines).map_or(path.display().to_string(), |line| format!("{}:{line}", path.display()))
}

/// Logs something that a file says but probably does not mean.
pub fn warn(warning: &FileProblem) {
    let FileProblem { file, line, message, hint, .. } = warning;
    tracing::warn!(%file, line, hint = hint.as_deref().unwrap_or_default(), "{message}");
}

impl Reloader {
    pub fn new(
        settings: &MainConfig,
        listeners: Arc<Mutex<OwnListeners>>,
        resolver: Arc<OriginResolver>,
        sidecar: &SidecarHandle,
        (counters, board): (&Arc<Counters>, &HealthBoard),
    ) -> Reloader {
        let (path, state) = (settings.routing.clone(), settings.state.clone());
        let (counters, connector) = (counters.clone(), board.connector().clone());
        Reloader { path, state, listeners, resolver, sidecar: sidecar.clone(), counters, connector }
    }

    pub async fn run(
        self,
        mut loaded: LoadedFile,
        mut watch: FileWatch,
        mut asked: mpsc::Receiver<()>,
        mut changes: mpsc::Receiver<ChangeRequest>,
    ) {
        loop {
            let now = tokio::select! {
                asked = asked.recv() => match asked {
                    Some(()) => true,
                    None => return,
                },
                Some(asked) = changes.recv() => {
                    let made = self.change(&mut loaded, asked.service, asked.by, asked.change).await;
                    // The caller may have hung up.
                    let _ = asked.answer.send(made);
                    false
                }
                () = tokio::time::sleep(INTERVAL) => false,
            };
            if watch.has_changed(FileStamps::at(&self.path)) || now {
                self.reload(&mut loaded).await;
            }
        }
    }

    async fn reload(&self, loaded: &mut LoadedFile) {
        let Ok(SidecarStatus { overs, .. }) = self.shown().await else { return };
        let path = self.path.display();
        match self.read(overs).await {
            Ok((routing, next)) => {
                let services = routing.services.len();
                routing.warnings.iter().for_each(warn);
                for config in &routing.services {
                    for aside in &config.aside {
                        let (service, what, name, why) = (&config.traffic.name, aside.what, &aside.name, &aside.why);
                        tracing::warn!(%service, what, %name, %why, "set at run time, but no longer valid: ignored");
                    }
                }
                let lines = lines_of(&routing);
                let origins = origins_of(&routing);
                let load = resolve(&self.resolver, routing).await;
                let sidecar = self.sidecar.clone();
                match tokio::task::spawn_blocking(move || sidecar.load(load)).await {
                    Ok(Ok(Ok(()))) => {
                        self.resolver.follow(origins);
                        count(&self.counters.process.reloads_taken);
                        tracing::info!(%path, services, "routing reloaded");
                        if let Some(why) = next.since(loaded) {
                            self.sidecar.remark(remark(why));
                        }
                        *loaded = self.kept(next).await;
                    }
                    Ok(Ok(Err(refused))) => {
                        count(&self.counters.process.reloads_refused);
                        let place = place_of(&self.path, &refused, &lines);
                        tracing::error!(%refused, "{place}: routing file refused, keeping the last valid one");
                    }
                    // Cutover is shutting down.
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            Err((problems, refused)) => {
                count(&self.counters.process.reloads_refused);
                tracing::error!(%path, problems, "routing file refused, keeping the last valid one:\n{refused}\n");
            }
        }
    }

    /// Reads the file together with the overlay; on failure returns how many problems it has, and how to show them.
    async fn read(&self, overs: Overlays) -> Result<(RoutingConfig, LoadedFile), (usize, String)> {
        let (path, listeners) = (self.path.clone(), self.listeners.lock().clone());
        // Reading and checking a thousand services takes a moment, and so does rendering their problems: not on the
        // thread that answers scrapes.
        let read = move || {
            let context = RoutingContext { overlays: Some(&overs), listeners: Some(&listeners), ..AS_BUILT };
            let read = config::load_routing(&path, &context);
            let routing = read.map_err(|refused| (refused.problems().count(), refused.to_string()))?;
            let loaded = LoadedFile::of(&path, &routing);
            Ok((routing, loaded))
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err((1, error.to_string())))
    }

    async fn kept(&self, file: LoadedFile) -> LoadedFile {
        let state = self.state.clone();
        let keep = move || {
            file.keep(&state);
            file
        };
        tokio::task::spawn_blocking(keep).await.unwrap_or_default()
    }

    async fn shown(&self) -> Result<SidecarStatus, ChangeError> {
        let sidecar = self.sidecar.clone();
        let shown = tokio::task::spawn_blocking(move || sidecar.status()).await;
        shown.ok().and_then(Result::ok).ok_or(ChangeError::Closing)
    }

    /// Whether a side answers where these settings send it, and no worse than the other one.
    async fn answers(&self, load: &ResolvedRouting, service: &str, side: Environment) -> Result<String, String> {
        let config = load.routing.services.iter().find(|config| config.traffic.name == service);
        let config = config.ok_or("is not in the routing file")?;
        let pair = config.origins.each_ref().map(|origin| load.endpoints.get(origin).cloned().unwrap_or_default());
        probe::can_serve(&self.connector, &pair, side, &config.plan.warm_up.path).await
    }

    /// Applies a change on top of the file on disk, and has the sidecar take both or neither.
    async fn change(
        &self,
        loaded: &mut LoadedFile,
        service: String,
        by: Requester,
        change: Change,
    ) -> Result<CommandReceipt, ChangeError> {
        let shown = self.shown().await?;
        let view = shown.services.iter().find(|view| view.service == service);
        let view = view.ok_or_else(|| RolloutError::NoSuchService(service.clone()))?;
        let file = |problems| ChangeError::BadFile { problems };
        let (before, _) = self.read(shown.overs.clone()).await.map_err(|(_, problems)| file(problems))?;
        let config = before.services.iter().find(|config| config.traffic.name == service);
        let config = config.ok_or_else(|| RolloutError::NoSuchService(service.clone()))?;

        let mut overs = shown.overs.clone();
        let over = overs.entry(service.clone()).or_default();
        let side = view.candidate;
        let checked = match &change {
            Change::Deploy { deploy, checked: true, .. } => Some(deploy.version.clone()),
            _ => None,
        };
        let (act, added) = match change {
            Change::Deploy { deploy, origin, .. } => {
                let instead_of = side.of(&config.urls).clone();
                // The file's own is no other.
                let origin = origin.filter(|origin| *origin != instead_of);
                let listeners = self.listeners.lock().clone();
                let link = origin.map(|origin| allowed(config, &origin, &listeners)).transpose()?;
                let link = link.map(|url| DeployedOrigin { url, instead_of });
                let added = link.as_ref().map(|_| ("origin", side.name().to_owned()));
                side.of_mut(&mut over.origins).clone_from(&link);
                (OperatorAction::Deploy(DeployRequest { origin: link, ..deploy }), added)
            }
            change => {
                let added = lay(over, config, change)?;
                (OperatorAction::Overlay(Box::new(over.overlay.clone())), added)
            }
        };
        let (routing, next) = self.read(overs).await.map_err(|(_, problems)| file(problems))?;
        let aside = routing.services.iter().filter(|config| config.traffic.name == service);
        let unfit = aside.flat_map(|config| &config.aside);
        if let Some((what, name)) = added
            && let Some(aside) = unfit.clone().find(|aside| aside.what == what && aside.name == name)
        {
            return Err(ChangeError::DoesNotFit { what, name, why: aside.why.clone() });
        }
        let origins = origins_of(&routing);
        let load = resolve(&self.resolver, routing).await;
        if let Some(version) = checked {
            self.answers(&load, &service, side).await.map_err(|why| ChangeError::DoesNotAnswer {
                version,
                side,
                why,
            })?;
        }
        let command = OperatorCommand { service, by, act };
        let sidecar = self.sidecar.clone();
        let done = tokio::task::spawn_blocking(move || sidecar.command_with(command, load)).await;
        let receipt = done.map_err(|_| ChangeError::Closing)?.map_err(|_| ChangeError::Closing)??;
        self.resolver.follow(origins);
        // The journal has it already.
        *loaded = self.kept(next).await;
        Ok(receipt)
    }
}

/// Changes a service's overlay; returns what was added, to check that it is valid.
fn lay(
    over: &mut RuntimeOverrides,
    config: &ServiceConfig,
    change: Change,
) -> Result<Option<(&'static str, String)>, ChangeError> {
    let overlay = &mut over.overlay;
    let in_file = |what: &'static str, name: &str, named: &[String]| match named.iter().any(|other| other == name) {
        true => Err(ChangeError::InTheFile { what, name: name.to_owned() }),
        false => Ok(()),
    };
    let (what, name) = match change {
        Change::PutRule { name, rule } => {
            in_file("rule", &name, &config.named.rules)?;
            overlay.rules.insert(name.clone(), rule);
            return Ok(Some(("rule", name)));
        }
        Change::PutTrigger { name, trigger } => {
            in_file("trigger", &name, &config.named.triggers)?;
            overlay.triggers.insert(name.clone(), trigger);
            return Ok(Some(("trigger", name)));
        }
        Change::DeleteRule { name } if overlay.rules.remove(&name).is_some() => return Ok(None),
        Change::DeleteRule { name } => {
            in_file("rule", &name, &config.named.rules)?;
            ("rule", name)
        }
        Change::DeleteTrigger { name } if overlay.triggers.remove(&name).is_some() => return Ok(None),
        Change::DeleteTrigger { name } => {
            in_file("trigger", &name, &config.named.triggers)?;
            ("trigger", name)
        }
        Change::PutHealth { check, on: false } if !config.health.iter().any(|other| other.name == check) => {
            ("health check", check)
        }
        Change::PutHealth { check, on } => {
            let _ = if on { overlay.health_off.remove(&check) } else { overlay.health_off.insert(check) };
            return Ok(None);
        }
        Change::ClearOverlay => {
            *overlay = RuntimeOverlay::default();
            return Ok(None);
        }
        Change::Deploy { .. } => return Ok(None),
    };
    Err(ChangeError::NotThere { what, name })
}

/// A deploy's origin in its normalised form, if the file allows deploys to use it.
fn allowed(config: &ServiceConfig, url: &str, listeners: &OwnListeners) -> Result<String, ChangeError> {
    let refused = |why: String| {
        let service = config.traffic.name.clone();
        ChangeError::OriginNotAllowed { service, url: url.to_owned(), why }
    };
    let target = permalink(url).map_err(refused)?;
    if config.allowed_origins.is_empty() {
        return Err(refused("the routing file has no `allowed_origins`".to_owned()));
    }
    if !config.allowed_origins.iter().any(|allowed| allowed.matches(&target)) {
        return Err(refused("it matches none of `allowed_origins` in the routing file".to_owned()));
    }
    listeners.differ_from(&target).map_err(refused)?;
    Ok(url.to_owned())
}
