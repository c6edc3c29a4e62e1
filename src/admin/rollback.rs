//! `/api/admin/rollback`: taking back, what the guard watches, and what it would say.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use crate::admin::api::{Api, blocking, json};
use crate::admin::caller::Caller;
use crate::admin::changes::Change;
use crate::admin::commands::Order;
use crate::admin::error::ApiError;
use crate::admin::input::{asked, fields, query, why};
use crate::admin::overlay::{self, OverlayRequest};
use crate::admin::role::Verb;
use crate::admin::{history, safety_report, snapshots};
use judgement::rollout::release::RolloutPhase;
use judgement::rollout::view::ServiceView;
use judgement::rollout::{ChangeKind, OperatorAction};
use sidecar::journal::JournalQuery;
use wire::{self, RollbackPost, RollbackPut};

pub const PATH: &str = "/api/admin/rollback";
pub const VIEWS: [&str; 4] = ["status", "history", "report", "snapshots"];

pub fn routes() -> Router<Api> {
    let methods = axum::routing::get(show).post(act).put(change).delete(remove);
    Router::new().route(PATH, methods)
}

async fn show(State(api): State<Api>, caller: Caller, RawQuery(text): RawQuery) -> Result<Response, ApiError> {
    let known = [&["action"][..], &history::PARAMETERS].concat();
    let query = query(text.as_deref(), &known)?;
    let service = query.text("service");
    let action = query.action(&VIEWS, "status")?;
    let wanted = history::wanted(&query, Some(ChangeKind::Rollback))?;
    caller.may(match action {
        "history" => Verb::RollbackHistory,
        "report" => Verb::Report,
        "snapshots" => Verb::Snapshots,
        _ => Verb::RollbackStatus,
    })?;
    match action {
        "history" => history::page(&api, wanted).await,
        "report" => {
            let service = api.service(service)?;
            let sidecar = api.sidecar.clone();
            let asked = service.clone();
            let insight = blocking(move || sidecar.insight(asked)).await??;
            let (_, views) = api.views(Some(&service)).await?;
            match (insight, views.into_iter().next()) {
                (Some(insight), Some(view)) => {
                    let validations = after_rollback(&api, &service);
                    Ok(json(&safety_report::report(&insight, view, validations), None))
                }
                _ => Err(judgement::rollout::RolloutError::NoSuchService(service).into()),
            }
        }
        "snapshots" => snapshots::list(&api, service).await,
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

/// The runs that the last rollback began: the latest of each suite.
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
    let (action, rest) = asked(&headers, &body, &RollbackPost::ACTIONS)?;
    // Before what is wrong with the body.
    caller.may(if action == "compare_snapshots" { Verb::CompareSnapshots } else { Verb::ManualRollback })?;
    let what = (format!("POST {PATH} {action}"), rest.clone());
    let what = (what.0.as_str(), &what.1);
    let order = match post(&action, rest)? {
        RollbackPost::ManualRollback(plain) => {
            Order::new("manual_rollback", Verb::ManualRollback, plain, OperatorAction::Rollback)?
        }
        RollbackPost::StartMonitoring(plain) => {
            Order::new("start_monitoring", Verb::StartMonitoring, plain, OperatorAction::Monitoring(true))?
        }
        RollbackPost::StopMonitoring(plain) => {
            Order::new("stop_monitoring", Verb::StopMonitoring, plain, OperatorAction::Monitoring(false))?
        }
        RollbackPost::CreateSnapshot(create) => return snapshots::create(&api, &caller, &headers, what, create).await,
        RollbackPost::CompareSnapshots(compare) => return snapshots::compare(&api, &caller, compare).await,
    };
    order.carry_out(&api, &caller, &headers, what).await
}

fn post(action: &str, rest: Value) -> Result<RollbackPost, ApiError> {
    Ok(match action {
        "manual_rollback" => RollbackPost::ManualRollback(fields(rest)?),
        "start_monitoring" => RollbackPost::StartMonitoring(fields(rest)?),
        "stop_monitoring" => RollbackPost::StopMonitoring(fields(rest)?),
        "create_snapshot" => RollbackPost::CreateSnapshot(fields(rest)?),
        _ => RollbackPost::CompareSnapshots(fields(rest)?),
    })
}

async fn change(State(api): State<Api>, caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    caller.may(Verb::PutTrigger)?;
    let (action, rest) = asked(&headers, &body, &RollbackPut::ACTIONS)?;
    let what = (format!("PUT {PATH} {action}"), rest.clone());
    let what = (what.0.as_str(), &what.1);
    let put = match action.as_str() {
        "trigger" => RollbackPut::Trigger(fields(rest)?),
        _ => RollbackPut::Alerting(fields(rest)?),
    };
    match put {
        RollbackPut::Trigger(wire::PutTrigger { service, name, trigger, reason }) => {
            let change = Change::PutTrigger { name, trigger: overlay::toml_of("trigger", &trigger)? };
            let why = why(reason, None)?;
            let wanted = OverlayRequest { action: "trigger", needs: Verb::PutTrigger, service, why, change };
            overlay::apply(&api, &caller, &headers, what, wanted).await
        }
        RollbackPut::Alerting(wire::PutAlerting { service, enabled, reason }) => {
            let plain = wire::ActionBody { service, reason, initiator: None };
            let order = Order::new("alerting", Verb::PutAlerting, plain, OperatorAction::Alerting(enabled))?;
            order.carry_out(&api, &caller, &headers, what).await
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
    caller.may(Verb::DeleteSnapshot)?;
    let query = query(text.as_deref(), &["service", "snapshot", "trigger", "reason"])?;
    let why = why(query.text("reason").map(str::to_owned), None)?;
    match (query.text("snapshot"), query.text("trigger")) {
        (Some(id), None) => snapshots::delete(&api, &caller, id.to_owned()).await,
        (None, Some(name)) => {
            let (service, change) =
                (query.text("service").map(str::to_owned), Change::DeleteTrigger { name: name.to_owned() });
            let wanted = OverlayRequest { action: "trigger", needs: Verb::DeleteTrigger, service, why, change };
            let what = (format!("DELETE {PATH} {}", text.as_deref().unwrap_or("")), Value::Null);
            overlay::apply(&api, &caller, &headers, (&what.0, &what.1), wanted).await
        }
        _ => {
            let hint = "?snapshot=ID, or ?trigger=NAME";
            Err(ApiError::bad("bad_parameter", "what is to be deleted is `snapshot` or `trigger`", hint))
        }
    }
}
