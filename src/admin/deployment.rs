//! `/api/admin/deployment`: the state of the services, and every action that moves traffic.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::admin::api::blocking;
use crate::admin::api::{Api, Call, etag, json};
use crate::admin::caller::Caller;
use crate::admin::changes::Change;
use crate::admin::commands::ServiceCommand;
use crate::admin::error::ApiError;
use crate::admin::input::{self, query, requested, why};
use crate::admin::verb::Verb;
use crate::admin::{earlier_version, history, mirror, overlay, plan, traffic};
use judgement::rollout::{DeployRequest, OperatorAction};
use judgement::time::{Millis, rfc3339};
use judgement::traffic::split::RequestHold;
use memory::clock;
use memory::counters::CertificateStanding;
use wire::{ActionBody, DEPLOYMENT, DeploymentPost, DeploymentPut};

pub fn routes() -> Router<Api> {
    let methods = axum::routing::get(show).post(act).put(change).delete(remove);
    Router::new().route(DEPLOYMENT, methods)
}

async fn show(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(text): RawQuery,
) -> Result<Response, ApiError> {
    let known = [&["action"][..], &history::PARAMETERS, &plan::PARAMETERS].concat();
    let query = query(text.as_deref(), &known)?;
    let service = query.text("service");
    let wanted = history::wanted(&query, None)?;
    let asked = plan::asked(&query)?;
    match query.verb(&caller, DEPLOYMENT)? {
        Verb::Health => Ok(json(&traffic::health(&api, service)?, None)),
        Verb::Traffic => Ok(json(&traffic::traffic(&api, service)?, None)),
        Verb::History => history::page(&api, wanted).await,
        Verb::Plan => plan::show(&api, service, asked).await,
        Verb::Mirror => mirror::show(&api, service).await,
        _ => {
            let (generation, views) = api.views(service).await?;
            if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| is_known(tag, generation)) {
                return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag(generation))]).into_response());
            }
            let services = traffic::services(&api, views);
            let certificates = certificates(&api);
            Ok(json(&wire::Status { generation, services, certificates }, Some(generation)))
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
    let (verb, fields) = requested(&caller, (DEPLOYMENT, "POST"), &headers, &body)?;
    let call = Call::new(&caller, verb, (&headers, api.generation()), &fields)?;
    let command = match input::body(verb, fields)? {
        DeploymentPost::Deploy(body) => return deploy(&api, &caller, call, body).await,
        DeploymentPost::HealthCheck(body) => return check_health(&api, body).await,
        DeploymentPost::TrafficShift(shift) => ServiceCommand::shift(call, shift),
        DeploymentPost::Freeze(body) => freeze(call, body),
        DeploymentPost::Pause(body) => ServiceCommand::new(call, body, OperatorAction::Pause),
        DeploymentPost::Resume(body) => ServiceCommand::new(call, body, OperatorAction::Resume),
        DeploymentPost::Approve(body) => ServiceCommand::new(call, body, OperatorAction::Approve),
        DeploymentPost::Promote(body) => ServiceCommand::new(call, body, OperatorAction::Promote),
        DeploymentPost::Abort(body) => ServiceCommand::new(call, body, OperatorAction::Abort),
        DeploymentPost::Rollback(body) => return earlier_version::roll_back(&api, call, body).await,
        DeploymentPost::Unfreeze(body) => ServiceCommand::new(call, body, OperatorAction::Unfreeze),
        DeploymentPost::Hold(body) => hold(call, body),
        DeploymentPost::Release(body) => ServiceCommand::new(call, body, OperatorAction::Release),
        DeploymentPost::EmergencyStop(body) => ServiceCommand::new(call, body, OperatorAction::Stop),
        DeploymentPost::EmergencyClear(body) => ServiceCommand::new(call, body, OperatorAction::Clear),
    };
    command?.carry_out(&api).await
}

async fn deploy(api: &Api, caller: &Caller, call: Call, deploy: wire::Deploy) -> Result<Response, ApiError> {
    let wire::Deploy { service, version, functions, origin, force, replace, rescue, pass_freeze, reason, initiator } =
        deploy;
    if pass_freeze {
        caller.may(Verb::PassFreeze)?;
    }
    suites_can_run(api, service.as_deref()).await?;
    let deploy = DeployRequest { version, functions, origin: None, force, replace, rescue, pass_freeze };
    if origin.is_some() {
        caller.may(Verb::DeployOrigin)?;
    } else if !is_sent_elsewhere(api, service.as_deref()).await? {
        let body = ActionBody { service, reason, initiator };
        return ServiceCommand::new(call, body, OperatorAction::Deploy(deploy))?.carry_out(api).await;
    }
    let call = call.because(why(reason, initiator)?);
    overlay::apply(api, call, service.as_deref(), Change::Deploy { deploy, origin, checked: false }).await
}

fn freeze(call: Call, freeze: wire::Freeze) -> Result<ServiceCommand, ApiError> {
    let wire::Freeze { service, reason, until, initiator } = freeze;
    if reason.trim().is_empty() {
        return Err(ApiError::bad("bad_field", "`reason` is empty", "tell others why deploys are frozen"));
    }
    let until = until.map(|until| moment(&until, clock::wall_millis())).transpose()?;
    let body = ActionBody { service, reason: Some(reason), initiator };
    ServiceCommand::new(call, body, OperatorAction::Freeze { until })
}

fn hold(call: Call, hold: wire::Hold) -> Result<ServiceCommand, ApiError> {
    let wire::Hold { service, length, max, reason, initiator } = hold;
    let shown = input::brief(&length);
    let parsed = Millis::parse(&length).ok().filter(|length| (Millis(1000)..=RequestHold::LONGEST).contains(length));
    let length = parsed.ok_or_else(|| {
        let message = format!("`for`: `{shown}` is not a duration from 1s to {}", RequestHold::LONGEST);
        ApiError::senseless(
            "bad_for",
            message,
            "write a duration such as \"30s\"; hold again before it is over if it takes longer",
        )
    })?;
    let most = max.unwrap_or(RequestHold::MOST);
    if !(1..=RequestHold::LIMIT).contains(&most) {
        let message = format!("`max`: {most} is not from 1 to {}", RequestHold::LIMIT);
        return Err(ApiError::senseless("bad_max", message, "leave it out for 1000 requests"));
    }
    let until = clock::wall_millis().saturating_add(length.0);
    let body = ActionBody { service, reason, initiator };
    ServiceCommand::new(call, body, OperatorAction::Hold(RequestHold { until, most }))
}

/// Whether the candidate is where an earlier deploy sent it, and not where the file does.
async fn is_sent_elsewhere(api: &Api, service: Option<&str>) -> Result<bool, ApiError> {
    let service = api.service(service)?;
    let (_, views) = api.views(Some(&service)).await?;
    Ok(views.iter().any(|view| view.candidate.of(&view.origins).is_some()))
}

/// Whether every suite in the plan can be run: a deploy should not fail halfway.
async fn suites_can_run(api: &Api, service: Option<&str>) -> Result<(), ApiError> {
    let service = api.service(service)?;
    let (_, views) = api.views(Some(&service)).await?;
    let (runs, suites) = (api.runs.clone(), views.into_iter().flat_map(|view| view.gates).collect::<Vec<_>>());
    let found = blocking(move || runs.can_gate(suites.iter())).await?;
    found.map_err(|why| {
        ApiError::conflict("no_such_suite", why, "fix the suite or the plan; see `cutover validate list`")
    })
}

/// A future time, given as RFC 3339 or as a duration from now.
fn moment(text: &str, now: u64) -> Result<u64, ApiError> {
    let wrong = |message: String| {
        let hint = "write a duration such as \"2h\", or a time with its offset such as \"2026-12-24T18:00:00Z\"";
        ApiError::senseless("bad_until", message, hint)
    };
    let shown = super::input::brief(text);
    let at = match (Millis::parse(text), judgement::time::parse_rfc3339(text)) {
        (Ok(length), _) => now.saturating_add(length.0),
        (_, Some(at)) => at,
        _ => return Err(wrong(format!("`until`: `{shown}` is neither a duration nor a time"))),
    };
    if at <= now { Err(wrong(format!("`until`: {shown} is in the past"))) } else { Ok(at) }
}

/// Runs the checks of a service now.
async fn check_health(api: &Api, body: ActionBody) -> Result<Response, ApiError> {
    why(body.reason, body.initiator)?;
    let service = api.service(body.service.as_deref())?;
    let (board, named) = (api.board.clone(), service.clone());
    // A round must complete even if the caller hangs up.
    let round = tokio::spawn(async move { board.check_now(&named).await });
    round.await.map_err(|_| ApiError::from(sidecar::SidecarStopped))?;
    Ok(json(&traffic::health(api, Some(&service))?, None))
}

async fn change(State(api): State<Api>, caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let (verb, fields) = requested(&caller, (DEPLOYMENT, "PUT"), &headers, &body)?;
    let call = Call::new(&caller, verb, (&headers, api.generation()), &fields)?;
    let (service, reason, change) = match input::body(verb, fields)? {
        DeploymentPut::Rule(wire::PutRule { service, name, rule, reason }) => {
            (service, reason, Change::PutRule { name, rule: overlay::toml_of("rule", &rule)? })
        }
        DeploymentPut::HealthCheck(wire::PutHealthCheck { service, check, enabled, reason }) => {
            (service, reason, Change::PutHealth { check, on: enabled })
        }
    };
    overlay::apply(&api, call.because(why(reason, None)?), service.as_deref(), change).await
}

/// `?rule=NAME`, or `?overlay=true` for everything that was set at run time.
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(text): RawQuery,
) -> Result<Response, ApiError> {
    caller.may_delete(DEPLOYMENT, text.as_deref())?;
    let query = query(text.as_deref(), &["service", "rule", "overlay", "reason"])?;
    let (verb, change) = match (query.text("rule"), query.flag("overlay")?) {
        (Some(name), false) => (Verb::DeleteRule, Change::DeleteRule { name: name.to_owned() }),
        (None, true) => (Verb::ClearOverlay, Change::ClearOverlay),
        _ => {
            let hint = "?rule=NAME, or ?overlay=true for everything that was set at run time";
            return Err(ApiError::bad("bad_parameter", "set either `rule` or `overlay`", hint));
        }
    };
    let call = Call::new(&caller, verb, (&headers, api.generation()), &Value::from(text.as_deref()))?;
    let call = call.because(why(query.text("reason").map(str::to_owned), None)?);
    overlay::apply(&api, call, query.text("service"), change).await
}

fn certificates(api: &Api) -> Vec<wire::OrderedCertificate> {
    let standings = api.counters.certificate_standings().into_iter();
    let of = |(name, CertificateStanding { end, failures, error, on_demand }): (String, CertificateStanding)| {
        let until_ms = end.map(|end| end.max(0) as u64 * 1000);
        wire::OrderedCertificate { name, until_ms, until: until_ms.map(rfc3339), failures, error, on_demand }
    };
    standings.map(of).collect()
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
}
