//! Resolves names to addresses, by their time to live.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use judgement::time::Millis;
use memory::clock;
use memory::counters::{Counters, count};
use memory::snapshot::{Endpoint, Endpoints, OriginSettings};
use sidecar::SidecarHandle;

/// The bounds of a TTL: 0 must not become a busy loop, and a day must not outlast a move.
const SHORTEST: Millis = Millis::seconds(1);
const LONGEST: Millis = Millis::seconds(300);
/// The pause after a failed lookup.
const AGAIN: Millis = Millis::seconds(5);
/// How long to use an answer of the system's resolver, which reports no TTL.
const SYSTEM_TTL: Millis = Millis::seconds(30);
/// The timeout of one lookup, all attempts together.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most addresses of a name that are used.
const MOST_ADDRESSES: usize = 16;

/// Resolves origins, and keeps them resolved.
#[derive(Debug)]
pub struct OriginResolver {
    names: Names,
    /// The origins in force, for the task that keeps them resolved.
    wanted: watch::Sender<Vec<Arc<OriginSettings>>>,
    counters: Arc<Counters>,
}

#[derive(Clone, Debug)]
enum Names {
    Dns(Box<TokioResolver>),
    /// Without a resolv.conf: the C library, which reports no TTLs.
    System,
}

/// The addresses of a name, and when to look it up again.
struct ResolvedName {
    addresses: BTreeSet<IpAddr>,
    /// On the monotonic clock.
    until: Millis,
}

impl OriginResolver {
    /// Must be called within the runtime that will do the lookups.
    pub fn new(counters: Arc<Counters>) -> OriginResolver {
        let dns = TokioResolver::builder_tokio().and_then(|mut builder| {
            builder.options_mut().timeout = Duration::from_millis(800);
            builder.options_mut().attempts = 2;
            builder.build()
        });
        let names = match dns {
            Ok(resolver) => Names::Dns(Box::new(resolver)),
            Err(error) => {
                tracing::warn!(%error, "cannot read resolv.conf; using the system resolver");
                Names::System
            }
        };
        OriginResolver { names, wanted: watch::Sender::new(Vec::new()), counters }
    }

    /// Resolves origins now, all at once, and asks the background task to keep them so. An origin that does not resolve
    /// is left out.
    pub async fn resolve(&self, origins: Vec<Arc<OriginSettings>>) -> HashMap<Arc<OriginSettings>, Endpoints> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        names.extend(origins.iter().flat_map(|origin| origin.targets.iter().map(|target| target.host.clone())));
        let mut tasks = tokio::task::JoinSet::new();
        for name in names {
            let resolver = self.names.clone();
            tasks.spawn(async move { (look_up(&resolver, &name).await, name) });
        }
        let mut found = HashMap::new();
        while let Some(result) = tasks.join_next().await {
            match result {
                Ok((Ok(addresses), name)) => {
                    found.insert(name, addresses);
                }
                Ok((Err(error), name)) => self.failed(&name, &error),
                Err(_) => {}
            }
        }
        let resolved = origins.iter().filter_map(|origin| {
            let endpoints = endpoints(origin, |name| found.get(name).map(|found| &found.addresses));
            (!endpoints.is_empty()).then(|| (origin.clone(), endpoints))
        });
        let resolved = resolved.collect();
        self.wanted.send_replace(origins);
        resolved
    }

    fn failed(&self, name: &str, error: &str) {
        count(&self.counters.process.resolve_errors);
        tracing::warn!(name, error, "cannot resolve a name; addresses from an earlier look-up stay in use");
    }

    /// Keeps the origins in force resolved; ends when the resolver is gone.
    pub async fn keep(self: Arc<OriginResolver>, sidecar: SidecarHandle) {
        let mut wanted = self.wanted.subscribe();
        let mut names: HashMap<String, ResolvedName> = HashMap::new();
        loop {
            let origins = wanted.borrow_and_update().clone();
            let hosts = origins.iter().flat_map(|origin| origin.targets.iter().map(|target| target.host.as_str()));
            // An address needs no lookup.
            let hosts: BTreeSet<&str> = hosts.filter(|host| host.parse::<IpAddr>().is_err()).collect();
            names.retain(|name, _| hosts.contains(name.as_str()));
            for host in hosts {
                self.refresh(host, &mut names, &origins, &sidecar).await;
            }
            let next = names.values().map(|found| found.until).min();
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = sleep(next.unwrap_or_default().since(clock::now()).as_duration()), if next.is_some() => {}
            }
        }
    }

    async fn refresh(
        &self,
        host: &str,
        names: &mut HashMap<String, ResolvedName>,
        origins: &[Arc<OriginSettings>],
        sidecar: &SidecarHandle,
    ) {
        if names.get(host).is_some_and(|found| found.until > clock::now()) {
            return;
        }
        match look_up(&self.names, host).await {
            Ok(found) => {
                let before = names.insert(host.to_owned(), found).map(|found| found.addresses);
                let now = names.get(host).map(|found| &found.addresses);
                if before.as_ref() == now {
                    return;
                }
                for origin in origins.iter().filter(|origin| origin.targets.iter().any(|target| target.host == host)) {
                    let endpoints = endpoints(origin, |name| names.get(name).map(|found| &found.addresses));
                    if !endpoints.is_empty() && (before.is_some() || now.is_some()) {
                        sidecar.resolved(origin.clone(), endpoints);
                    }
                }
            }
            Err(error) => {
                self.failed(host, &error);
                let found = names
                    .entry(host.to_owned())
                    .or_insert(ResolvedName { addresses: BTreeSet::new(), until: Millis::ZERO });
                found.until = clock::now().plus(AGAIN);
            }
        }
    }
}

/// The endpoints of an origin: every address of every target, in file order.
fn endpoints<'f>(origin: &OriginSettings, addresses: impl Fn(&str) -> Option<&'f BTreeSet<IpAddr>>) -> Endpoints {
    let mut all: Vec<Endpoint> = Vec::new();
    for target in &origin.targets {
        match target.host.parse::<IpAddr>() {
            Ok(address) => all.extend(super::endpoint(origin, target, address)),
            Err(_) => {
                let addresses = addresses(&target.host).into_iter().flatten();
                all.extend(addresses.filter_map(|address| super::endpoint(origin, target, *address)));
            }
        }
    }
    all.into()
}

/// Why a name has no addresses, without the resolver's own dump of its query.
fn cause(error: &NetError) -> String {
    let words = match error {
        NetError::Timeout => "the name servers did not answer in time",
        _ if error.is_nx_domain() => "no such name",
        _ if error.is_no_records_found() => "the name has no addresses",
        _ => return error.to_string(),
    };
    words.to_owned()
}

async fn look_up(names: &Names, name: &str) -> Result<ResolvedName, String> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(ResolvedName { addresses: BTreeSet::from([address]), until: clock::now().plus(LONGEST) });
    }
    let asked = async {
        match names {
            Names::Dns(resolver) => {
                // A trailing dot makes the name absolute, so that it is not tried with every search domain.
                let found = resolver.lookup_ip(format!("{name}.")).await.map_err(|error| cause(&error))?;
                let until = clock::at(found.valid_until());
                Ok((found.iter().collect::<Vec<_>>(), until))
            }
            Names::System => {
                let found = tokio::net::lookup_host((name, 0)).await.map_err(|e| e.to_string())?;
                Ok((found.map(|address| address.ip()).collect(), clock::now().plus(SYSTEM_TTL)))
            }
        }
    };
    let (addresses, until) = timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("timed out".to_owned()))?;
    if addresses.is_empty() {
        return Err("no addresses".to_owned());
    }
    let now = clock::now();
    // Sorted by address, so that an answer in a different order is not a change.
    let addresses = addresses.into_iter().take(MOST_ADDRESSES).collect();
    Ok(ResolvedName { addresses, until: until.clamp(now.plus(SHORTEST), now.plus(LONGEST)) })
}
