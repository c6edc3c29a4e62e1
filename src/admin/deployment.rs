//! `/api/admin/deployment`: how the services stand, and every way to move them.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::admin::api::{Api, blocking, etag, json};
use crate::admin::caller::Caller;
use crate::admin::changes::Change;
use crate::admin::commands::{self, Order};
use crate::admin::error::ApiError;
use crate::admin::input::{asked, fields, query, why};
use crate::admin::overlay::{self, OverlayRequest};
use crate::admin::role::Verb;
use crate::admin::{history, traffic};
use judgement::rollout::{DeployRequest, OperatorAction};
use judgement::time::Millis;
use judgement::traffic::Environment;
use judgement::traffic::split::Weight;
use memory::clock;
use wire::{self, DeploymentPost, DeploymentPut};

pub const PATH: &str = "/api/admin/deployment";
pub const VIEWS: [&str; 4] = ["status", "health", "traffic", "history"];

pub fn routes() -> Router<Api> {
    let methods = axum::routing::get(show).post(act).put(change).delete(remove);
    Router::new().route(PATH, methods)
}

async fn show(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(text): RawQuery,
) -> Result<Response, ApiError> {
    let known = [&["action"][..], &history::PARAMETERS].concat();
    let query = query(text.as_deref(), &known)?;
    let service = query.text("service");
    let action = query.action(&VIEWS, "status")?;
    let wanted = history::wanted(&query, None)?;
    caller.may(match action {
        "health" => Verb::Health,
        "traffic" => Verb::Traffic,
        "history" => Verb::History,
        _ => Verb::Status,
    })?;
    match action {
        "health" => Ok(json(&traffic::health(&api, service)?, None)),
        "traffic" => Ok(json(&traffic::traffic(&api, service)?, None)),
        "history" => history::page(&api, wanted).await,
        _ => {
            let (generation, views) = api.views(service).await?;
            if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| is_known(tag, generation)) {
                return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag(generation))]).into_response());
            }
            let services = traffic::services(&api, views);
            Ok(json(&wire::Status { generation, services }, Some(generation)))
        }
    }
}

/// Whether `If-None-Match` names the generation.
fn is_known(tag: &HeaderValue, generation: u64) -> bool {
    let own = etag(generation);
    let text = tag.to_str().unwrap_or("");
    text.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
}

async fn act(State(api): State<Api>, caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    // Whoever may nothing of it is told so before what is wrong with the body.
    caller.may(Verb::Rollback)?;
    let (action, rest) = asked(&headers, &body, &DeploymentPost::ACTIONS)?;
    let what = (format!("POST {PATH} {action}"), rest.clone());
    let what = (what.0.as_str(), &what.1);
    let asked = post(&action, rest)?;
    if let DeploymentPost::Deploy(deploy) = &asked {
        gates_are_there(&api, deploy.service.as_deref()).await?;
    }
    let order = match asked {
        DeploymentPost::Deploy(deploy) if deploy.origin.is_some() => {
            return deploy_elsewhere(&api, &caller, &headers, what, deploy).await;
        }
        DeploymentPost::HealthCheck(plain) => return check_health(&api, &caller, plain).await,
        other => command(other)?,
    };
    order.carry_out(&api, &caller, &headers, what).await
}

/// Whether every suite that the plan names can be run: a version should not find out at half its traffic.
async fn gates_are_there(api: &Api, service: Option<&str>) -> Result<(), ApiError> {
    let service = api.service(service)?;
    let (_, views) = api.views(Some(&service)).await?;
    let (runs, suites) = (api.runs.clone(), views.into_iter().flat_map(|view| view.gates).collect::<Vec<_>>());
    let found = blocking(move || runs.can_gate(suites.iter())).await?;
    found
        .map_err(|why| ApiError::conflict("no_such_suite", why, "mend the suite, or the plan: `cutover validate list`"))
}

fn post(action: &str, rest: Value) -> Result<DeploymentPost, ApiError> {
    Ok(match action {
        "deploy" => DeploymentPost::Deploy(fields(rest)?),
        "traffic_shift" => DeploymentPost::TrafficShift(fields(rest)?),
        "pause" => DeploymentPost::Pause(fields(rest)?),
        "resume" => DeploymentPost::Resume(fields(rest)?),
        "approve" => DeploymentPost::Approve(fields(rest)?),
        "promote" => DeploymentPost::Promote(fields(rest)?),
        "abort" => DeploymentPost::Abort(fields(rest)?),
        "rollback" => DeploymentPost::Rollback(fields(rest)?),
        "freeze" => DeploymentPost::Freeze(fields(rest)?),
        "unfreeze" => DeploymentPost::Unfreeze(fields(rest)?),
        "emergency_stop" => DeploymentPost::EmergencyStop(fields(rest)?),
        "emergency_clear" => DeploymentPost::EmergencyClear(fields(rest)?),
        _ => DeploymentPost::HealthCheck(fields(rest)?),
    })
}

fn command(post: DeploymentPost) -> Result<Order, ApiError> {
    match post {
        DeploymentPost::Deploy(deploy) => {
            let wire::Deploy { service, version, functions, force, reason, initiator, .. } = deploy;
            let act = OperatorAction::Deploy(DeployRequest { version, functions, origin: None, force });
            Order::new("deploy", Verb::Deploy, wire::ActionBody { service, reason, initiator }, act)
        }
        DeploymentPost::TrafficShift(shift) => share(shift),
        DeploymentPost::Freeze(freeze) => {
            let wire::Freeze { service, reason, until, initiator } = freeze;
            if reason.trim().is_empty() {
                let hint = "whoever meets the freeze reads it";
                return Err(ApiError::bad("bad_field", "`reason` is empty", hint));
            }
            let until = until.map(|until| moment(&until, clock::wall_millis())).transpose()?;
            let plain = wire::ActionBody { service, reason: Some(reason), initiator };
            Order::new("freeze", Verb::Freeze, plain, OperatorAction::Freeze { until })
        }
        DeploymentPost::Pause(plain) => Order::new("pause", Verb::Pause, plain, OperatorAction::Pause),
        DeploymentPost::Resume(plain) => Order::new("resume", Verb::Resume, plain, OperatorAction::Resume),
        DeploymentPost::Approve(plain) => Order::new("approve", Verb::Approve, plain, OperatorAction::Approve),
        DeploymentPost::Promote(plain) => Order::new("promote", Verb::Promote, plain, OperatorAction::Promote),
        DeploymentPost::Abort(plain) => Order::new("abort", Verb::Abort, plain, OperatorAction::Abort),
        DeploymentPost::Rollback(plain) | DeploymentPost::HealthCheck(plain) => {
            Order::new("rollback", Verb::Rollback, plain, OperatorAction::Rollback)
        }
        DeploymentPost::Unfreeze(plain) => Order::new("unfreeze", Verb::Unfreeze, plain, OperatorAction::Unfreeze),
        DeploymentPost::EmergencyStop(plain) => {
            Order::new("emergency_stop", Verb::EmergencyStop, plain, OperatorAction::Stop)
        }
        DeploymentPost::EmergencyClear(plain) => {
            Order::new("emergency_clear", Verb::EmergencyClear, plain, OperatorAction::Clear)
        }
    }
}

fn share(shift: wire::TrafficShift) -> Result<Order, ApiError> {
    let wire::TrafficShift { service, from_environment, to_environment, percentage, gradual, reason, initiator } =
        shift;
    let to = Environment::from(to_environment);
    if from_environment == Some(to_environment) {
        let message = format!("`from_environment` and `to_environment` are both {to}");
        return Err(ApiError::bad("same_environment", message, format!("from {} to {to}", to.other())));
    }
    // As it was typed: a weight that only rounds to it is another one.
    let weight = Weight::from_percent(percentage).and_then(|weight| match weight.percent() == percentage {
        true => Ok(weight),
        false => Err("a weight has at most two decimals (steps of 0.01 percent)"),
    });
    let share = weight.map_err(|why| ApiError::bad("bad_field", format!("`percentage` is {percentage}: {why}"), ""))?;
    let why = why(reason, initiator)?;
    let wanted = commands::Wanted::Share { to, share, gradual };
    Ok(Order { action: "traffic_shift", service, wanted, why, needs: Verb::TrafficShift })
}

/// A time to come, as RFC 3339 or as a duration from now.
fn moment(text: &str, now: u64) -> Result<u64, ApiError> {
    let wrong = |message: String| {
        let hint = "write a duration, \"2h\", or a time with its offset, \"2026-12-24T18:00:00Z\"";
        ApiError::senseless("bad_until", message, hint)
    };
    let shown = super::input::brief(text);
    let at = match (Millis::parse(text), judgement::time::parse_rfc3339(text)) {
        (Ok(length), _) => now.saturating_add(length.0),
        (_, Some(at)) => at,
        _ => return Err(wrong(format!("`until`: `{shown}` is neither a duration nor a time"))),
    };
    if at <= now { Err(wrong(format!("`until`: {shown} is over already"))) } else { Ok(at) }
}

/// Runs the checks of a service now.
async fn check_health(api: &Api, caller: &Caller, plain: wire::ActionBody) -> Result<Response, ApiError> {
    caller.may(Verb::HealthCheck)?;
    why(plain.reason, plain.initiator)?;
    let service = api.service(plain.service.as_deref())?;
    let (board, named) = (api.board.clone(), service.clone());
    // Whoever hangs up leaves no round half done.
    let round = tokio::spawn(async move { board.check_now(&named).await });
    round.await.map_err(|_| ApiError::from(sidecar::SidecarStopped))?;
    Ok(json(&traffic::health(api, Some(&service))?, None))
}

async fn deploy_elsewhere(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    what: (&str, &Value),
    deploy: wire::Deploy,
) -> Result<Response, ApiError> {
    let wire::Deploy { service, version, functions, origin, force, reason, initiator } = deploy;
    let why = why(reason, initiator)?;
    let deploy = DeployRequest { version, functions, origin: None, force };
    let change = Change::Deploy { deploy, origin: origin.unwrap_or_default() };
    overlay::apply(
        api,
        caller,
        headers,
        what,
        OverlayRequest { action: "deploy", needs: Verb::DeployOrigin, service, why, change },
    )
    .await
}

async fn change(State(api): State<Api>, caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    caller.may(Verb::PutRule)?;
    let (action, rest) = asked(&headers, &body, &DeploymentPut::ACTIONS)?;
    let what = (format!("PUT {PATH} {action}"), rest.clone());
    let put = match action.as_str() {
        "rule" => DeploymentPut::Rule(fields(rest)?),
        _ => DeploymentPut::HealthCheck(fields(rest)?),
    };
    let wanted = match put {
        DeploymentPut::Rule(wire::PutRule { service, name, rule, reason }) => {
            let change = Change::PutRule { name, rule: overlay::toml_of("rule", &rule)? };
            OverlayRequest { action: "rule", needs: Verb::PutRule, service, why: why(reason, None)?, change }
        }
        DeploymentPut::HealthCheck(wire::PutHealthCheck { service, check, enabled, reason }) => {
            let change = Change::PutHealth { check, on: enabled };
            OverlayRequest { action: "health_check", needs: Verb::PutHealth, service, why: why(reason, None)?, change }
        }
    };
    overlay::apply(&api, &caller, &headers, (&what.0, &what.1), wanted).await
}

/// `?rule=NAME`, or `?overlay=true` for everything that was laid over the file.
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(text): RawQuery,
) -> Result<Response, ApiError> {
    caller.may(Verb::DeleteRule)?;
    let query = query(text.as_deref(), &["service", "rule", "overlay", "reason"])?;
    let why = why(query.text("reason").map(str::to_owned), None)?;
    let (action, needs, change) = match (query.text("rule"), query.flag("overlay")?) {
        (Some(name), false) => ("rule", Verb::DeleteRule, Change::DeleteRule { name: name.to_owned() }),
        (None, true) => ("overlay", Verb::ClearOverlay, Change::ClearOverlay),
        _ => {
            let hint = "?rule=NAME, or ?overlay=true for everything that was laid over the file";
            return Err(ApiError::bad("bad_parameter", "what is to be deleted is `rule` or `overlay`", hint));
        }
    };
    let service = query.text("service").map(str::to_owned);
    let what = (format!("DELETE {PATH} {}", text.unwrap_or_default()), Value::Null);
    overlay::apply(&api, &caller, &headers, (&what.0, &what.1), OverlayRequest { action, needs, service, why, change })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_duration_from_now_or_a_time_to_come() {
        let now = 1_790_000_000_000;
        assert_eq!(moment("2h", now), Ok(now + 7_200_000));
        assert_eq!(moment("2026-09-21T16:13:20+02:00", now - 1), Ok(now));
        for over in ["2026-09-21T14:13:20Z", "0s", "tomorrow", "-1h", ""] {
            assert_eq!(moment(over, now).unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY, "{over}");
        }
    }

    #[test]
    fn a_share_has_two_decimals_and_two_sides() {
        let shift = |percentage, from| wire::TrafficShift {
            service: None,
            from_environment: from,
            to_environment: wire::Side::Green,
            percentage,
            gradual: false,
            reason: None,
            initiator: None,
        };
        assert!(share(shift(0.07, Some(wire::Side::Blue))).is_ok() && share(shift(100.0, None)).is_ok());
        for wrong in [100.01, -0.01, 1.001, 1e-9, f64::NAN] {
            assert_eq!(share(shift(wrong, None)).unwrap_err().code, "bad_field", "{wrong}");
        }
        assert_eq!(share(shift(1.0, Some(wire::Side::Green))).unwrap_err().code, "same_environment");
    }
}
