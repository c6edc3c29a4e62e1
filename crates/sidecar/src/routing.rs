//! A loaded routing file, compiled: the table that decides, and what else the proxy needs.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use config::{RoutingConfig, ServiceConfig};
use judgement::rollout::{FilePremises, LoadedRule, LoadedService, SilentActive};
use judgement::traffic::split::TrafficSplit;
use judgement::traffic::sticky::StickyBy;
use judgement::traffic::{Environment, RoutingTable};
use memory::counters::Counters;
use memory::snapshot::{Endpoints, FailureRules, OriginSettings, RouteTerms, SentHost, ServedService};

/// A valid routing file, with the addresses of those origins that resolve.
#[derive(Clone, Debug, Default)]
pub struct ResolvedRouting {
    pub routing: RoutingConfig,
    pub endpoints: HashMap<Arc<OriginSettings>, Endpoints>,
    /// The services whose active side did not answer when Cutover started.
    pub silent: HashMap<String, SilentActive>,
}

/// The routing in force: everything in a snapshot except the splits.
#[derive(Debug)]
pub struct CurrentRouting {
    table: RoutingTable,
    services: Arc<[Arc<ServedService>]>,
    endpoints: Arc<[[Endpoints; 2]]>,
    auth_endpoints: Arc<[Box<[Endpoints]>]>,
    by_name: HashMap<String, usize>,
    resolved: HashMap<Arc<OriginSettings>, Endpoints>,
}

impl Default for CurrentRouting {
    fn default() -> CurrentRouting {
        CurrentRouting {
            table: RoutingTable::compile(Vec::new()),
            services: Arc::from([]),
            endpoints: Arc::from([]),
            auth_endpoints: Arc::from([]),
            by_name: HashMap::new(),
            resolved: HashMap::new(),
        }
    }
}

impl ResolvedRouting {
    /// What the file asks of the state.
    pub fn asks(&self) -> Vec<LoadedService> {
        let services = self.routing.services.iter();
        services
            .map(|config| LoadedService {
                service: config.traffic.name.clone(),
                routes: routes_of(config),
                ask: config.ask,
                policy: config.policy.clone(),
                plan: config.plan.clone(),
                premises: premises_of(config),
                freezes: config.freezes.clone(),
                gates: config.gates.clone(),
                failure_rules: digest_of(&config.failures),
                mirrors: config.terms.mirror.always,
                silent: self.silent.get(&config.traffic.name).cloned(),
            })
            .collect()
    }
}

/// A number that differs if what counts as a failure does.
fn digest_of(failures: &[FailureRules]) -> u64 {
    let mut digest = DefaultHasher::new();
    failures.hash(&mut digest);
    digest.finish()
}

/// Where the file sends a service's clients.
fn premises_of(config: &ServiceConfig) -> FilePremises {
    let ServiceConfig { traffic, origins, urls, health, terms, skew, .. } = config;
    let version = |side: Environment| Some(terms.version(side)?.to_str().ok()?.to_owned());
    FilePremises {
        served: traffic.hosts.clone(),
        choice: format!("{:?} {} {:?}", traffic.sticky, traffic.failover_both, traffic.skew),
        versions: Environment::BOTH.map(version),
        skew: *skew,
        failover: traffic.failover_both.then(|| format!("{health:?}")),
        urls: urls.clone(),
        hosts: origins.each_ref().map(|origin| sent_host(origin)),
        paths: traffic.routes.named_patterns().map(|(name, path)| (name.to_owned(), path.to_owned())).collect(),
        rules: traffic.rules.iter().map(LoadedRule::of).collect(),
    }
}

/// Which Host an environment is sent, in words.
fn sent_host(origin: &OriginSettings) -> String {
    match origin.targets.first().map(|target| origin.sent_host(target)) {
        Some(SentHost::Preserve) => "the client's".to_owned(),
        Some(SentHost::Name(name)) => name,
        Some(SentHost::Origin) | None => "its URL's".to_owned(),
    }
}

/// The names of a service's routes in the order of their ids.
fn routes_of(config: &ServiceConfig) -> Vec<String> {
    let named = config.traffic.routes.names().iter().cloned();
    std::iter::once(judgement::traffic::route::DEFAULT_ROUTE.to_owned()).chain(named).collect()
}

impl CurrentRouting {
    /// Puts a new routing in force.
    pub fn replace(&mut self, load: ResolvedRouting, counters: &Counters) {
        let ResolvedRouting { routing, endpoints, silent: _ } = load;
        let mut compiled = Vec::new();
        let mut services = Vec::new();
        let mut first_route = 0;
        for config in routing.services {
            let name = config.traffic.name.clone();
            // The real splits are filled in when a snapshot is published.
            let resting = TrafficSplit::resting(Environment::Blue);
            let shares = config.traffic.rules.iter();
            let shares = shares.filter(|rule| matches!(rule.answer, judgement::traffic::rule::RuleTarget::Share(_)));
            let share_turns = shares.map(|rule| counters.turns(&name, &format!("rule {}", rule.name))).collect();
            let routes = routes_of(&config);
            let ServiceConfig { traffic, origins, health, questions, gate_calls, rescue, websocket, .. } = config;
            let ServiceConfig { deadlines, failures, terms, .. } = config;
            let limited = |(terms, route): (&RouteTerms, &String)| {
                let limit = terms.rate_limit.as_ref()?;
                Some(counters.rate_limits.limiter(&name, route, format!("{:?}", limit.by)))
            };
            services.push(Arc::new(ServedService {
                held: counters.held(&name),
                auth_answers: counters.auth_answers(&name),
                rate_limiters: terms.routes.iter().zip(&routes).map(limited).collect(),
                budget: counters.budget(&name),
                keys: counters.keys(&name),
                routes: routes.iter().map(|route| counters.route(&name, route)).collect(),
                own_answers: routes.iter().map(|route| counters.own_answers(&name, route)).collect(),
                first_route,
                deadlines: deadlines.into(),
                failures: failures.into(),
                terms,
                split_turns: counters.turns(&name, "split"),
                share_turns,
                endpoint_turns: Environment::BOTH.map(|side| counters.turns(&name, side.name())),
                mirror_turns: counters.turns(&name, "mirror"),
                mirrored: counters.mirrored(&name),
                origins,
                checks: health.into_iter().map(Arc::new).collect(),
                questions: questions.into_iter().map(Arc::new).collect(),
                gates: gate_calls.into_iter().map(Arc::new).collect(),
                rescue,
                websocket,
                name: name.clone(),
            }));
            first_route += routes.len() as u32;
            compiled.push((traffic, resting));
        }
        self.table = RoutingTable::compile(compiled);
        self.by_name = services.iter().enumerate().map(|(at, serving)| (serving.name.clone(), at)).collect();
        self.services = services.into();
        // Known addresses survive a load during which the name did not resolve.
        let known = std::mem::take(&mut self.resolved);
        let origins =
            self.services.iter().flat_map(|serving| serving.origins.iter().chain(serving.terms.auth_origins()));
        self.resolved = origins
            .filter_map(|origin| {
                let new = endpoints.get(origin).filter(|endpoints| !endpoints.is_empty());
                new.or_else(|| known.get(origin)).map(|endpoints| (origin.clone(), endpoints.clone()))
            })
            .collect();
        self.place_endpoints();
    }

    /// Stores an origin's new addresses; false if no service uses it any more.
    pub fn resolved(&mut self, origin: Arc<OriginSettings>, endpoints: Endpoints) -> bool {
        let asks = |serving: &ServedService| serving.terms.auth_origins().any(|known| *known == origin);
        let wanted = self.services.iter().any(|serving| serving.origins.contains(&origin) || asks(serving));
        if wanted {
            self.resolved.insert(origin, endpoints);
            self.place_endpoints();
        }
        wanted
    }

    fn place_endpoints(&mut self) {
        let of = |origin: &Arc<OriginSettings>| self.resolved.get(origin).cloned().unwrap_or_else(|| Arc::from([]));
        self.endpoints =
            self.services.iter().map(|serving| [of(&serving.origins[0]), of(&serving.origins[1])]).collect();
        let asked =
            |terms: &RouteTerms| terms.forward_auth.as_ref().map_or_else(Endpoints::default, |auth| of(&auth.origin));
        let of_routes = |serving: &Arc<ServedService>| match serving.terms.auth_origins().next() {
            Some(_) => serving.terms.routes.iter().map(asked).collect(),
            None => Box::default(),
        };
        self.auth_endpoints = self.services.iter().map(of_routes).collect();
    }

    pub fn table(&self, split_of: impl Fn(&str) -> TrafficSplit) -> RoutingTable {
        self.table.with_splits(split_of)
    }

    pub fn services(&self) -> Arc<[Arc<ServedService>]> {
        self.services.clone()
    }

    pub fn endpoints(&self) -> Arc<[[Endpoints; 2]]> {
        self.endpoints.clone()
    }

    pub fn auth_endpoints(&self) -> Arc<[Box<[Endpoints]>]> {
        self.auth_endpoints.clone()
    }

    /// Where a service finds its clients' keys.
    pub fn sticky(&self, service: &str) -> Option<&StickyBy> {
        let place = *self.by_name.get(service)?;
        self.table.services().nth(place).map(|(_, rules, _)| &rules.sticky)
    }

    pub fn serving(&self, service: &str) -> Option<&Arc<ServedService>> {
        self.by_name.get(service).and_then(|at| self.services.get(*at))
    }
}
