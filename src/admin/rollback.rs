//! `/api/admin/rollback`: rolling back, the guard, and snapshots.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use crate::admin::api::{Api, Call, blocking, json};
use crate::admin::caller::Caller;
use crate::admin::changes::Change;
use crate::admin::commands::ServiceCommand;
use crate::admin::error::ApiError;
use crate::admin::input::{self, query, requested, why};
use crate::admin::verb::Verb;
use crate::admin::{earlier_version, history, overlay, safety_report, snapshots};
use judgement::rollout::release::RolloutPhase;
use judgement::rollout::view::ServiceView;
use judgement::rollout::{ChangeKind, OperatorAction};
use sidecar::journal::JournalQuery;
use wire::{ActionBody, ROLLBACK, RollbackPost, RollbackPut};

pub fn routes() -> Router<Api> {
    let methods = axum::routing::get(show).post(act).put(change).delete(remove);
    Router::new().route(ROLLBACK, methods)
}

async fn show(State(api): State<Api>, caller: Caller, RawQuery(text): RawQuery) -> Result<Response, ApiError> {
    let known = [&["action"][..], &history::PARAMETERS].concat();
    let query = query(text.as_deref(), &known)?;
    let service = query.text("service");
    let wanted = history::wanted(&query, Some(ChangeKind::Rollback))?;
    match query.verb(&caller, ROLLBACK)? {
        Verb::RollbackHistory => history::page(&api, wanted).await,
        Verb::Report => report(&api, service).await,
        Verb::Snapshots => snapshots::list(&api, service).await,
        _ => {
            let (generation, views) = api.views(service).await?;
            let mut safety = Vec::new();
            for view in views {
                safety.push(safety_of(&api, view).await?);
            }
            Ok(json(&wire::Safety { generation, safety }, Some(generation)))
        }
    }
}

async fn report(api: &Api, service: Option<&str>) -> Result<Response, ApiError> {
    let service = api.service(service)?;
    let (sidecar, asked) = (api.sidecar.clone(), service.clone());
    let insight = blocking(move || sidecar.insight(asked)).await??;
    let (_, views) = api.views(Some(&service)).await?;
    match (insight, views.into_iter().next()) {
        (Some(insight), Some(view)) => {
            Ok(json(&safety_report::report(&insight, view, after_rollback(api, &service)), None))
        }
        _ => Err(judgement::rollout::RolloutError::NoSuchService(service).into()),
    }
}

/// The runs that the last rollback started: the latest of each suite.
fn after_rollback(api: &Api, service: &str) -> Vec<wire::ExecutionSummary> {
    let mut latest: Vec<wire::ExecutionSummary> = Vec::new();
    for run in api.runs.list().into_iter().filter(|run| run.who == "rollback" && run.service == service) {
        if latest.iter().all(|other| other.suite != run.suite) {
            latest.push(run);
        }
    }
    latest
}

async fn safety_of(api: &Api, view: ServiceView) -> Result<wire::ServiceSafety, ApiError> {
    let service = Some(view.service.clone());
    let query = JournalQuery { service, kind: Some(ChangeKind::Rollback), limit: 1, ..JournalQuery::default() };
    let page = api.journal(move |reader| reader.page(&query)).await?;
    let last_rollback = page.entries.first().map(|entry| wire::HistoryEntry::of(entry, false));
    let rollout = view.rollout.as_ref();
    let promoted =
        rollout.is_some_and(|rollout| rollout.phase == RolloutPhase::Promoted && rollout.environment == view.active);
    let under_way = rollout.is_some_and(|rollout| rollout.phase.is_under_way());
    let can_roll_back = view.weight > 0.0 || promoted || under_way;
    let latch = view.latch.map(|latch| wire::Latched { reason: latch.reason, entry: latch.entry });
    Ok(wire::ServiceSafety {
        service: view.service,
        latch,
        stopped: view.stopped,
        guard: view.guard.into(),
        alerting: view.alerting,
        can_roll_back,
        ledger: view.ledger.map(wire::RolloutCost::from),
        last_rollback,
    })
}

async fn act(State(api): State<Api>, caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let (verb, fields) = requested(&caller, (ROLLBACK, "POST"), &headers, &body)?;
    let call = Call::new(&caller, verb, (&headers, api.generation()), &fields)?;
    let command = match input::body(verb, fields)? {
        RollbackPost::ManualRollback(body) => return earlier_version::roll_back(&api, call, body).await,
        RollbackPost::StartMonitoring(body) => ServiceCommand::new(call, body, OperatorAction::Monitoring(true)),
        RollbackPost::StopMonitoring(body) => ServiceCommand::new(call, body, OperatorAction::Monitoring(false)),
        RollbackPost::CreateSnapshot(create) => return snapshots::create(&api, call, create).await,
        RollbackPost::CompareSnapshots(compare) => return snapshots::compare(&api, compare).await,
    };
    command?.carry_out(&api).await
}

async fn change(State(api): State<Api>, caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let (verb, fields) = requested(&caller, (ROLLBACK, "PUT"), &headers, &body)?;
    let call = Call::new(&caller, verb, (&headers, api.generation()), &fields)?;
    match input::body(verb, fields)? {
        RollbackPut::Trigger(wire::PutTrigger { service, name, trigger, reason }) => {
            let change = Change::PutTrigger { name, trigger: overlay::toml_of("trigger", &trigger)? };
            overlay::apply(&api, call.because(why(reason, None)?), service.as_deref(), change).await
        }
        RollbackPut::Alerting(wire::PutAlerting { service, enabled, reason }) => {
            let body = ActionBody { service, reason, initiator: None };
            ServiceCommand::new(call, body, OperatorAction::Alerting(enabled))?.carry_out(&api).await
        }
    }
}

/// `?snapshot=ID`, or `?trigger=NAME`.
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(text): RawQuery,
) -> Result<Response, ApiError> {
    caller.may_delete(ROLLBACK, text.as_deref())?;
    let query = query(text.as_deref(), &["service", "snapshot", "trigger", "reason"])?;
    let why = why(query.text("reason").map(str::to_owned), None)?;
    match (query.text("snapshot"), query.text("trigger")) {
        (Some(id), None) => snapshots::delete(&api, &caller, id.to_owned()).await,
        (None, Some(name)) => {
            let call =
                Call::new(&caller, Verb::DeleteTrigger, (&headers, api.generation()), &Value::from(text.as_deref()))?;
            let change = Change::DeleteTrigger { name: name.to_owned() };
            overlay::apply(&api, call.because(why), query.text("service"), change).await
        }
        _ => {
            let hint = "?snapshot=ID, or ?trigger=NAME";
            Err(ApiError::bad("bad_parameter", "set either `snapshot` or `trigger`", hint))
        }
    }
}
