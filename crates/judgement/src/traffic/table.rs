//! The compiled routing truth: hosts by hash, routes, rules, and one [`TrafficSplit`] per service.

use std::collections::HashMap;
use std::sync::Arc;

use crate::traffic::host::HostPattern;
use crate::traffic::route::{RouteIndex, Routes};
use crate::traffic::rule::{RoutingRule, RuleList, RuleTarget};
use crate::traffic::skew::SkewBy;
use crate::traffic::split::TrafficSplit;
use crate::traffic::sticky::{BucketSalt, StickyBy};
use crate::traffic::{RouteId, ServiceDefinition, ServiceId};

/// The part of a service that comes from the file: compiled once per load, shared by the generations that only move
/// weights.
#[derive(Debug)]
pub struct ServiceRules {
    pub name: String,
    pub salt: BucketSalt,
    pub sticky: StickyBy,
    /// Where requests carry the version of their page, if that counts.
    pub skew: Option<SkewBy>,
    pub routes: Routes,
    /// Rules that hold even at weight 0.
    pub overrides: RuleList,
    pub rules: RuleList,
    /// How many rules have a share, and therefore a sequence, of their own.
    pub shares: u32,
    /// An active environment that is down gives way to the candidate.
    pub failover_both: bool,
    first_route: u32,
}

impl ServiceRules {
    /// A route's index over all services; the default route comes first.
    #[inline]
    pub fn route_id(&self, route: Option<RouteIndex>) -> RouteId {
        RouteId(self.first_route + RouteIndex::place(route))
    }

    /// The names of the service's routes in the order of their ids, `default` first.
    pub fn route_names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(crate::traffic::route::DEFAULT_ROUTE).chain(self.routes.names().iter().map(String::as_str))
    }

    /// The name of a route of this service.
    pub fn route_name(&self, route: RouteId) -> &str {
        let place = route.0.checked_sub(self.first_route + 1);
        let named = place.and_then(|place| self.routes.names().get(place as usize));
        named.map_or(crate::traffic::route::DEFAULT_ROUTE, String::as_str)
    }

    /// The rule at this index in the file.
    pub fn rule(&self, place: u32) -> Option<&RoutingRule> {
        self.overrides.at(place).or_else(|| self.rules.at(place))
    }
}

#[derive(Debug, Default)]
struct Hosts {
    exact: HashMap<String, ServiceId>,
    /// By the name after `*.`.
    under: HashMap<String, ServiceId>,
    catch_all: Option<ServiceId>,
}

/// The routing truth of one generation. Cloning it copies only the splits.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    hosts: Arc<Hosts>,
    services: Arc<[ServiceRules]>,
    splits: Box<[TrafficSplit]>,
}

impl RoutingTable {
    /// Compiles services. Their hosts must not clash, which the check of the file guarantees (otherwise the first one
    /// wins).
    pub fn compile(services: Vec<(ServiceDefinition, TrafficSplit)>) -> RoutingTable {
        let mut hosts = Hosts::default();
        let mut compiled = Vec::with_capacity(services.len());
        let mut splits = Vec::with_capacity(services.len());
        let mut first_route = 0;
        for (at, (service, split)) in services.into_iter().enumerate() {
            let id = ServiceId(at as u32);
            for host in &service.hosts {
                match host {
                    HostPattern::Exact(name) => hosts.exact.entry(name.clone()).or_insert(id),
                    HostPattern::Under(name) => hosts.under.entry(name.clone()).or_insert(id),
                };
            }
            if service.hosts.is_empty() {
                hosts.catch_all.get_or_insert(id);
            }
            let rules = compile_service(service, first_route);
            first_route += rules.routes.names().len() as u32 + 1;
            compiled.push(rules);
            splits.push(split);
        }
        RoutingTable { hosts: Arc::new(hosts), services: compiled.into(), splits: splits.into() }
    }

    /// The hosts that services name without a `*`.
    pub fn exact_hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.exact.keys().map(String::as_str)
    }

    /// The service of a host in lower case: exact, then the longest wildcard, then the catch-all.
    #[inline]
    pub fn service_of(&self, host: &str) -> Option<ServiceId> {
        if let Some(id) = self.hosts.exact.get(host) {
            return Some(*id);
        }
        let mut rest = if self.hosts.under.is_empty() { "" } else { host };
        while let Some((_, tail)) = rest.split_once('.') {
            if let Some(id) = self.hosts.under.get(tail) {
                return Some(*id);
            }
            rest = tail;
        }
        self.hosts.catch_all
    }

    /// A host name that leads to the service, for callers that need one.
    pub fn host_of(&self, id: ServiceId) -> Option<String> {
        let of = |hosts: &HashMap<String, ServiceId>| {
            hosts.iter().filter(|(_, service)| **service == id).map(|(name, _)| name.clone()).min()
        };
        let under = of(&self.hosts.under).map(|name| format!("validation.{name}"));
        let any = Some("validation.invalid".to_owned());
        [of(&self.hosts.exact), under, any].into_iter().flatten().find(|host| self.service_of(host) == Some(id))
    }

    /// A service's rules and split. Ids come from the table itself, so they are always in range.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a ServiceId is only made by this table, for its own services")]
    pub fn service(&self, id: ServiceId) -> (&ServiceRules, &TrafficSplit) {
        (&self.services[id.0 as usize], &self.splits[id.0 as usize])
    }

    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &ServiceRules, &TrafficSplit)> {
        self.services
            .iter()
            .zip(&self.splits)
            .enumerate()
            .map(|(at, (rules, split))| (ServiceId(at as u32), rules, split))
    }

    /// The same rules with other splits, in the order of the services.
    pub fn with_splits(&self, split_of: impl Fn(&str) -> TrafficSplit) -> RoutingTable {
        let splits = self.services.iter().map(|service| split_of(&service.name)).collect();
        RoutingTable { hosts: self.hosts.clone(), services: self.services.clone(), splits }
    }
}

fn compile_service(service: ServiceDefinition, first_route: u32) -> ServiceRules {
    let mut shares = 0;
    let (mut overrides, mut rules) = (RuleList::default(), RuleList::default());
    for (place, mut rule) in service.rules.into_iter().enumerate() {
        if matches!(rule.answer, RuleTarget::Share(_)) {
            rule.share = shares;
            shares += 1;
        }
        let list = if rule.overrides { &mut overrides } else { &mut rules };
        list.push(place as u32, rule);
    }
    ServiceRules {
        salt: BucketSalt::of_service(&service.name),
        name: service.name,
        sticky: service.sticky,
        skew: service.skew,
        routes: service.routes,
        overrides,
        rules,
        shares,
        failover_both: service.failover_both,
        first_route,
    }
}
