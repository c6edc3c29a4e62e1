//! Resolves origins to endpoints, and keeps them resolved by the time to live of their names' addresses.

mod names;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::origin::resolve::names::{NameLookups, NameResolver, ResolvedName};
use crate::origin::tls::OriginTls;
use judgement::time::Millis;
use memory::clock;
use memory::counters::{Counters, count};
use memory::snapshot::{Endpoint, Endpoints, OriginSettings, RoutingSnapshot};
use sidecar::SidecarHandle;

/// The pause after a failed lookup.
const AGAIN: Millis = Millis::seconds(5);

/// Addresses by name.
pub type KnownAddresses = BTreeMap<String, BTreeSet<IpAddr>>;

/// Resolves origins, and keeps them resolved.
#[derive(Debug)]
pub struct OriginResolver {
    names: NameResolver,
    /// Of the process before this one: used where a name does not resolve.
    known: KnownAddresses,
    tls: OriginTls,
    /// The origins in force, for the task that keeps them resolved.
    wanted: watch::Sender<Vec<Arc<OriginSettings>>>,
    counters: Arc<Counters>,
}

impl OriginResolver {
    /// Must be called within the runtime that will do the lookups.
    pub fn new(counters: Arc<Counters>, known: KnownAddresses) -> OriginResolver {
        OriginResolver {
            names: NameResolver::of_system(),
            known,
            tls: OriginTls::default(),
            wanted: watch::Sender::new(Vec::new()),
            counters,
        }
    }

    /// Resolves origins now, all at once. An origin that neither resolves nor is known is left out.
    pub async fn resolve(&self, origins: Vec<Arc<OriginSettings>>) -> HashMap<Arc<OriginSettings>, Endpoints> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        names.extend(origins.iter().flat_map(|origin| origin.targets.iter().map(|target| target.host.clone())));
        let mut lookups = NameLookups::new(self.names.clone());
        names.into_iter().for_each(|name| lookups.ask(name));
        let mut found: HashMap<String, ResolvedName> = HashMap::new();
        while let Some((name, result)) = lookups.next().await {
            match result {
                Ok(addresses) => drop(found.insert(name, addresses)),
                Err(error) => self.failed(&name, &error),
            }
        }
        let resolved = origins.iter().filter_map(|origin| {
            let endpoints = self.endpoints(origin, &found);
            (!endpoints.is_empty()).then(|| (origin.clone(), endpoints))
        });
        resolved.collect()
    }

    /// Asks the background task to keep these origins resolved: those that are in force.
    pub fn follow(&self, origins: Vec<Arc<OriginSettings>>) {
        self.wanted.send_replace(origins);
    }

    /// The names of the origins in force, with the addresses in use, for the process that takes this one's place.
    pub fn addresses_in_use(snapshot: &RoutingSnapshot) -> KnownAddresses {
        let mut known = KnownAddresses::new();
        for (service, endpoints) in snapshot.services.iter().zip(&*snapshot.endpoints) {
            for (origin, endpoints) in service.origins.iter().zip(endpoints) {
                let named = origin.targets.iter().filter(|target| target.host.parse::<IpAddr>().is_err());
                for target in named {
                    let its = endpoints.iter().filter(|endpoint| *endpoint.url_authority == *target.authority);
                    known.entry(target.host.clone()).or_default().extend(its.map(|endpoint| endpoint.address.ip()));
                }
            }
        }
        known
    }

    fn failed(&self, name: &str, error: &str) {
        count(&self.counters.process.resolve_errors);
        tracing::warn!(name, error, "cannot resolve a name; addresses from an earlier look-up stay in use");
    }

    /// Keeps the origins in force resolved; ends when the resolver is gone.
    pub async fn keep(self: Arc<OriginResolver>, sidecar: SidecarHandle) {
        let mut wanted = self.wanted.subscribe();
        let mut names: HashMap<String, ResolvedName> = HashMap::new();
        let mut lookups = NameLookups::new(self.names.clone());
        loop {
            let origins = wanted.borrow_and_update().clone();
            let hosts = origins.iter().flat_map(|origin| origin.targets.iter().map(|target| target.host.as_str()));
            // An address needs no lookup.
            let hosts: BTreeSet<&str> = hosts.filter(|host| host.parse::<IpAddr>().is_err()).collect();
            names.retain(|name, _| hosts.contains(name.as_str()));
            let now = clock::now();
            let due = hosts.iter().filter(|host| names.get(**host).is_none_or(|found| found.until <= now));
            due.for_each(|host| lookups.ask((*host).to_owned()));
            let waiting = names.iter().filter(|(name, _)| !lookups.is_asked(name));
            let next = waiting.map(|(_, found)| found.until).min();
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                Some((host, found)) = lookups.next() => self.refresh(&host, found, &mut names, &origins, &sidecar),
                () = sleep(next.unwrap_or_default().since(clock::now()).as_duration()), if next.is_some() => {}
            }
        }
    }

    /// Takes the result of a lookup: a change is sent to the sidecar.
    fn refresh(
        &self,
        host: &str,
        found: Result<ResolvedName, String>,
        names: &mut HashMap<String, ResolvedName>,
        origins: &[Arc<OriginSettings>],
        sidecar: &SidecarHandle,
    ) {
        match found {
            Ok(found) => {
                let before = names.insert(host.to_owned(), found).map(|found| found.addresses);
                let now = names.get(host).map(|found| &found.addresses);
                if before.as_ref() == now {
                    return;
                }
                for origin in origins.iter().filter(|origin| origin.targets.iter().any(|target| target.host == host)) {
                    let endpoints = self.endpoints(origin, names);
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

    /// The endpoints of an origin: every address of every target, in file order.
    fn endpoints(&self, origin: &OriginSettings, found: &HashMap<String, ResolvedName>) -> Endpoints {
        let endpoint = |target, address| super::endpoint(origin, target, address, &self.tls, &self.counters.limits);
        let mut all: Vec<Endpoint> = Vec::new();
        for target in &origin.targets {
            match target.host.parse::<IpAddr>() {
                Ok(address) => all.extend(endpoint(target, address)),
                Err(_) => {
                    let found = found.get(&target.host).map(|found| &found.addresses);
                    let addresses = found.filter(|found| !found.is_empty()).or_else(|| self.known.get(&target.host));
                    all.extend(addresses.into_iter().flatten().filter_map(|address| endpoint(target, *address)));
                }
            }
        }
        all.into()
    }
}
