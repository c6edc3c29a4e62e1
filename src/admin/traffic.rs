//! What the counters and the current snapshot show: traffic, and which side is up.

use crate::admin::api::Api;
use crate::admin::error::ApiError;
use health::CheckStatus;
use judgement::rollout::view::ServiceView;
use judgement::traffic::route::DEFAULT_ROUTE;
use judgement::traffic::split::TrafficSplit;
use judgement::traffic::{Environment, ServiceId};
use memory::clock;
use memory::counters::RouteCounters;
use memory::snapshot::{RoutingSnapshot, ServedService};
use wire;

/// # Errors
/// There is no such service.
pub fn traffic(api: &Api, named: Option<&str>) -> Result<wire::Traffic, ApiError> {
    let snapshot = api.published.load();
    let (before, now) = (api.recent_traffic.before(), clock::now());
    let traffic = chosen(api, &snapshot, named)?.into_iter().map(|(_, serving, split)| {
        let routes = routes_of(&snapshot, serving);
        let every = routes.iter().map(|(route, counters)| wire::RouteTraffic {
            route: (*route).to_owned(),
            environments: before.traffic(&serving.name, &[(route, counters)], now),
        });
        wire::ServiceTraffic {
            service: serving.name.clone(),
            weight: split.weight.percent(),
            environments: before.traffic(&serving.name, &routes, now),
            routes: every.collect(),
        }
    });
    Ok(wire::Traffic { traffic: traffic.collect() })
}

/// # Errors
/// There is no such service.
pub fn health(api: &Api, named: Option<&str>) -> Result<wire::HealthReport, ApiError> {
    let snapshot = api.published.load();
    let checks = api.board.show();
    let health = chosen(api, &snapshot, named)?.into_iter().map(|(id, serving, split)| {
        let environments = Environment::BOTH.map(|side| wire::EnvironmentHealth {
            environment: side.into(),
            up: *side.of(&split.up),
            endpoints: snapshot.endpoints(id, side).len(),
            checks: checks
                .iter()
                .filter(|at| at.service == serving.name && at.environment == side)
                .map(check)
                .collect(),
        });
        wire::ServiceHealth { service: serving.name.clone(), environments: environments.into() }
    });
    Ok(wire::HealthReport { health: health.collect() })
}

fn check(shown: &CheckStatus) -> wire::CheckHealth {
    wire::CheckHealth {
        check: shown.check.clone(),
        kind: shown.kind.to_owned(),
        on: shown.on,
        up: shown.up,
        flapping: shown.flapping,
        since_ms: shown.since_ms.0,
        rounds: shown.rounds,
        failures: shown.failures,
        last_error: shown.last_error.clone(),
    }
}

/// Gives the environments the versions that the file names, where none was deployed.
pub fn name_versions(serving: &ServedService, view: &mut ServiceView) {
    for side in Environment::BOTH {
        let of_file = || serving.terms.version(side).and_then(|version| version.to_str().ok());
        let version = side.of_mut(&mut view.versions);
        *version = version.take().or_else(|| of_file().map(str::to_owned));
    }
}

/// The services with their last minute.
pub fn services(api: &Api, views: Vec<ServiceView>) -> Vec<wire::Service> {
    let snapshot = api.published.load();
    let (before, now) = (api.recent_traffic.before(), clock::now());
    let show = |mut view: ServiceView| {
        let serving = snapshot.services.iter().find(|serving| serving.name == view.service);
        let Some(serving) = serving else { return wire::Service::of(view, Vec::new()) };
        name_versions(serving, &mut view);
        let mirror = api.mirror.report(&snapshot, &serving.name).and_then(|report| report.summary());
        let old = view.pages.as_ref().map(|pages| pages.environment);
        let mut service = wire::Service::of(view, before.traffic(&serving.name, &routes_of(&snapshot, serving), now));
        if let (Some(pages), Some(old)) = (&mut service.pages, old) {
            pages.requests = serving.routes.iter().map(|route| route.skewed(old)).sum();
        }
        wire::Service { mirror, ..service }
    };
    views.into_iter().map(show).collect()
}

fn chosen<'s>(
    api: &Api,
    snapshot: &'s RoutingSnapshot,
    named: Option<&str>,
) -> Result<Vec<(ServiceId, &'s ServedService, &'s TrafficSplit)>, ApiError> {
    if let Some(named) = named {
        api.service(Some(named))?;
    }
    let all = snapshot.table.services().filter_map(|(id, _, split)| Some((id, &**snapshot.serving(id)?, split)));
    Ok(all.filter(|(_, serving, _)| named.is_none_or(|named| serving.name == named)).collect())
}

/// A service's routes by name, in the order of their ids.
pub fn routes_of<'s>(snapshot: &'s RoutingSnapshot, serving: &'s ServedService) -> Vec<(&'s str, &'s RouteCounters)> {
    let rules = snapshot.table.services().map(|(_, rules, _)| rules).find(|rules| rules.name == serving.name);
    let named = rules.into_iter().flat_map(|rules| rules.routes.names()).map(String::as_str);
    std::iter::once(DEFAULT_ROUTE).chain(named).zip(serving.routes.iter().map(|counters| &**counters)).collect()
}
