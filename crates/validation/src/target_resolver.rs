//! Resolves a service's name to the targets of its sides. Only what the routing file (or a deploy) names can
//! be reached: a suite cannot name another host.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};

use crate::target::TestTarget;
use config::suite::Via;
use judgement::traffic::rule::{RoutingRule, RuleCondition, RuleTarget, ValueTest};
use judgement::traffic::split::TrafficSplit;
use judgement::traffic::{Environment, ServiceId};
use memory::snapshot::{Endpoint, Endpoints, RoutingSnapshot, SnapshotReader};
use relay::origin::Connector;
use wire::Side;

/// Finds the targets of runs. Cheap to clone.
#[derive(Clone)]
pub struct TargetResolver {
    published: SnapshotReader,
    /// Where the proxy listens without TLS.
    proxy: Option<SocketAddr>,
    connector: Arc<Connector>,
}

impl std::fmt::Debug for TargetResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TargetResolver")
    }
}

impl TargetResolver {
    pub fn new(published: SnapshotReader, proxy: Option<SocketAddr>) -> TargetResolver {
        // An unspecified address is reached by loopback.
        let proxy = proxy.map(|address| match address {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
                SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), v6.port())
            }
            other => other,
        });
        TargetResolver { published, proxy, connector: Arc::default() }
    }

    /// The service that a run is for: the named one, or the only one.
    ///
    /// # Errors
    /// There is none of that name, or several and none is named.
    pub fn service(&self, named: Option<&str>) -> Result<String, String> {
        let snapshot = self.published.load();
        let names: Vec<&str> = snapshot.services.iter().map(|serving| serving.name.as_str()).collect();
        match (named, names.as_slice()) {
            (Some(named), names) if names.contains(&named) => Ok(named.to_owned()),
            (Some(named), names) => {
                Err(format!("there is no service `{named}`: {}", config::read::did_you_mean(named, names)))
            }
            (None, [only]) => Ok((*only).to_owned()),
            (None, []) => Err("the routing file names no service".to_owned()),
            (None, several) => {
                Err(format!("there are several services: set `service` in the suite to one of {}", several.join(", ")))
            }
        }
    }

    /// The side of the service that is active now.
    pub fn active(&self, service: &str) -> Option<Side> {
        let snapshot = self.published.load();
        let mut services = snapshot.table.services();
        services.find(|(_, rules, _)| rules.name == service).map(|(_, _, split)| split.active.into())
    }

    /// The current target of a side of the service.
    ///
    /// # Errors
    /// It has no address, or no rule selects it through the proxy.
    pub fn target(&self, service: &str, side: Side, via: Via) -> Result<TestTarget, String> {
        let snapshot = self.published.load();
        let place = snapshot.services.iter().position(|serving| serving.name == service);
        let id = ServiceId(place.ok_or_else(|| format!("there is no service `{service}`"))? as u32);
        let environment = Environment::from(side);
        match via {
            Via::Origin => self.direct(&snapshot, id, side, environment),
            Via::Proxy => self.through(&snapshot, id, side, environment),
        }
    }

    fn direct(
        &self,
        snapshot: &RoutingSnapshot,
        id: ServiceId,
        side: Side,
        of: Environment,
    ) -> Result<TestTarget, String> {
        let endpoints = Some(origin_of(snapshot, id, of)).filter(|endpoints| !endpoints.is_empty());
        let url = snapshot.serving(id).map(|serving| of.of(&serving.origins).urls()).unwrap_or_default();
        let endpoints = endpoints.ok_or_else(|| format!("{of} has no address: {url} does not resolve"))?;
        let origin = endpoints.clone();
        Ok(TestTarget { side, url, endpoints, origin, headers: Vec::new(), connector: self.connector.clone() })
    }

    fn through(
        &self,
        snapshot: &RoutingSnapshot,
        id: ServiceId,
        side: Side,
        of: Environment,
    ) -> Result<TestTarget, String> {
        let address = self.proxy.ok_or("`via = \"proxy\"` needs a proxy listener without TLS")?;
        let (rules, split) = snapshot.table.service(id);
        let headers = rules.overrides.iter().filter(|rule| leads_to(rule, split, of)).find_map(lines);
        let headers = headers.ok_or_else(|| {
            format!(
                "no override rule selects {of} by headers or cookies alone: add one to the routing file, such as \
                 header = {{ name = \"x-environment\", equals = \"{of}\" }}, to = \"{of}\", override = true"
            )
        })?;
        let host = snapshot.table.host_of(id).ok_or("the service has no host name")?;
        let endpoint = Endpoint::plain(address, &host);
        let url = format!("http://{address} (Host: {host}, via the override rule)");
        let (endpoints, origin) = (Arc::new([endpoint]), origin_of(snapshot, id, of));
        Ok(TestTarget { side, url, endpoints, origin, headers, connector: self.connector.clone() })
    }
}

/// Where the origin itself is; empty while its names do not resolve.
fn origin_of(snapshot: &RoutingSnapshot, id: ServiceId, of: Environment) -> Endpoints {
    snapshot.endpoints.get(id.0 as usize).map(|pair| of.of(pair).clone()).unwrap_or_else(|| Arc::new([]))
}

fn leads_to(rule: &RoutingRule, split: &TrafficSplit, of: Environment) -> bool {
    match rule.answer {
        RuleTarget::Environment(environment) => environment == of,
        RuleTarget::Active => split.active == of,
        RuleTarget::Candidate => split.active != of,
        RuleTarget::Share(_) => false,
    }
}

/// The header lines that satisfy every condition of a rule; `None`: headers are not enough.
fn lines(rule: &RoutingRule) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let value = |test: &ValueTest| match test {
        ValueTest::Equals(text) | ValueTest::Prefix(text) | ValueTest::Suffix(text) | ValueTest::Contains(text) => {
            Some(text.clone())
        }
        ValueTest::Present => Some(b"validation".to_vec()),
        ValueTest::Regex(_) | ValueTest::Absent => None,
    };
    let line = |condition: &RuleCondition| match condition {
        RuleCondition::Header { name, test } => {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(&value(test)?).ok()?))
        }
        RuleCondition::Cookie { name, test } => {
            let pair = [name.as_bytes(), b"=", &value(test)?].concat();
            Some((header::COOKIE, HeaderValue::from_bytes(&pair).ok()?))
        }
        _ => None,
    };
    rule.conditions.iter().map(line).collect()
}
