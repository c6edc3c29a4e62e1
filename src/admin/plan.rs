//! What a deploy would come to, from the requests of the last hour.

use axum::response::Response;

use crate::admin::api::{Api, blocking, json};
use crate::admin::error::ApiError;
use crate::admin::input::Query;
use crate::admin::traffic::routes_of;
use judgement::rollout::RolloutError;
use judgement::rollout::forecast::{ForecastTraffic, forecast};
use judgement::rollout::gates::GateView;
use memory::clock;
use memory::counters::RouteCounters;

pub const PARAMETERS: [&str; 3] = ["version", "functions", "rate"];

/// A deploy that somebody thinks of.
#[derive(Debug)]
pub struct PlanQuery {
    version: Option<String>,
    functions: Vec<String>,
    rate: Option<f64>,
}

/// Reads the parameters. They are checked whatever is shown.
///
/// # Errors
/// The rate is not a number.
pub fn asked(query: &Query) -> Result<PlanQuery, ApiError> {
    let functions = query.text("functions").unwrap_or("").split(',').map(str::trim);
    Ok(PlanQuery {
        version: query.text("version").map(str::to_owned),
        functions: functions.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        rate: query.rate("rate")?,
    })
}

/// The plan of a service's next version.
///
/// # Errors
/// There is no such service or route.
pub async fn show(api: &Api, service: Option<&str>, asked: PlanQuery) -> Result<Response, ApiError> {
    let PlanQuery { version, functions, rate } = asked;
    let name = api.service(service)?;
    let (sidecar, asked) = (api.sidecar.clone(), name.clone());
    let insight = blocking(move || sidecar.insight(asked)).await??;
    let (_, views) = api.views(Some(&name)).await?;
    let snapshot = api.published.load();
    let serving = snapshot.services.iter().find(|serving| serving.name == name);
    let (Some(insight), Some(view), Some(serving)) = (insight, views.into_iter().next(), serving) else {
        return Err(RolloutError::NoSuchService(name).into());
    };
    let routes = routes_of(&snapshot, serving);
    if let Some(route) = functions.iter().find(|function| routes.iter().all(|(known, _)| known != function)) {
        let known: Vec<&str> = routes.iter().map(|(known, _)| *known).collect();
        return Err(RolloutError::NoSuchRoute { service: name, route: route.clone(), known: known.join(", ") }.into());
    }
    let limited = |(route, _): &&(&str, &RouteCounters)| functions.is_empty() || functions.iter().any(|f| f == route);
    let concerned: Vec<(&str, &RouteCounters)> = routes.iter().filter(limited).copied().collect();
    let hour = api.hourly_traffic.answered(&name, &concerned, clock::now());
    let active_fails = hour.fails(insight.active);
    let rate_or_seen = rate.unwrap_or(hour.rate());
    let traffic = ForecastTraffic { rate: rate_or_seen, active_fails, routes: routes.len() > 1 };
    let forecast = forecast(&insight.plan, &insight.policy, traffic);
    let traffic = wire::PlanTraffic {
        rate: rate_or_seen,
        named: rate.is_some(),
        requests: hour.sides.iter().map(|side| side.all).sum(),
        over_ms: hour.over.0,
        error_rate: 100.0 * active_fails,
    };
    let mut plan = wire::DeployPlan::of(name, insight.active.other().into(), traffic, forecast);
    let before = view.quarantine.iter().find(|before| Some(&before.version) == version.as_ref());
    plan.notes.extend(before.map(|before| {
        format!("{} was rolled back before (entry {}): it is deployed only with `force`", before.version, before.entry)
    }));
    plan.notes.extend(waits_for(&view.rollout_gates));
    (plan.version, plan.functions) = (version, functions);
    Ok(json(&plan, None))
}

/// The gates that hold a rollout, in words.
fn waits_for(gates: &[GateView]) -> Option<String> {
    let holds = |gate: &&GateView| gate.hook.confirms() || gate.hook.counts();
    let named = gates.iter().filter(holds).map(|gate| format!("`{}` ({})", gate.name, gate.hook.name()));
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| format!("not counted is how long gates take: {}", named.join(", ")))
}
