//! `/api/admin/validation`: suites, their runs, and what they found.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::admin::api::{Api, Asking, blocking, json, once, reply};
use crate::admin::caller::Caller;
use crate::admin::error::ApiError;
use crate::admin::history;
use crate::admin::input::{asked, brief, fields, query};
use crate::admin::role::Verb;
use judgement::time::Millis;
use validation::report;
use validation::runs::{RunRefusal, RunRequest};
use wire::{self, AfterRollback, CancelRun, ExecutionDone, PutSuite, RunSuite, ValidationPost, ValidationPut};

pub const PATH: &str = "/api/admin/validation";
pub const VIEWS: [&str; 3] = ["suites", "executions", "execution"];
/// Of one execution: the document, or a report for people or for CI.
pub const FORMATS: [&str; 4] = ["json", "summary", "html", "junit"];

pub fn routes() -> Router<Api> {
    let methods = axum::routing::get(show).post(act).put(change).delete(remove);
    Router::new().route(PATH, methods)
}

async fn show(State(api): State<Api>, caller: Caller, RawQuery(text): RawQuery) -> Result<Response, ApiError> {
    caller.may(Verb::Suites)?;
    let query = query(text.as_deref(), &["action", "service", "suite", "id", "format", "limit"])?;
    let limit = query.number("limit")?.unwrap_or(100);
    if !(1..=history::MOST).contains(&limit) {
        let message = format!("`limit` is from 1 to {}", history::MOST);
        return Err(ApiError::bad("bad_parameter", message, ""));
    }
    let format = query.text("format").unwrap_or("json");
    if !FORMATS.contains(&format) {
        let hint = format!("one of {}", FORMATS.join(", "));
        return Err(ApiError::bad("bad_parameter", format!("there is no format `{}`", brief(format)), hint));
    }
    let service = query.text("service").map(|named| api.service(Some(named))).transpose()?;
    match query.action(&VIEWS, "suites")? {
        "suites" => {
            let runs = api.runs.clone();
            let read = blocking(move || runs.suites()).await?;
            let mut suites = read.map_err(|why| ApiError::new(500, "suites_unreadable", why))?;
            suites.retain(|suite| service.is_none() || suite.service == service);
            Ok(json(&wire::Suites { suites }, None))
        }
        "executions" => {
            let suite = query.text("suite");
            let wanted = |run: &wire::ExecutionSummary| {
                service.as_ref().is_none_or(|service| *service == run.service)
                    && suite.is_none_or(|suite| suite == run.suite)
            };
            let executions = api.runs.list().into_iter().filter(wanted).take(limit as usize).collect();
            Ok(json(&wire::Executions { executions }, None))
        }
        _ => {
            let id = query.text("id").ok_or_else(|| {
                ApiError::bad("parameter_missing", "`id` says which execution", "?action=execution&id=ID")
            })?;
            execution(&api, id.to_owned(), format).await
        }
    }
}

async fn execution(api: &Api, id: String, format: &str) -> Result<Response, ApiError> {
    if format == "summary" {
        let summary = api.runs.summary(&id).ok_or_else(|| ApiError::from(RunRefusal::NoSuchRun(brief(&id))))?;
        return Ok(json(&summary, None));
    }
    let runs = api.runs.clone();
    let execution = blocking(move || runs.get(&id)).await??;
    match format {
        "html" => {
            let page = blocking(move || report::html(&execution)).await?;
            // What origins have answered is in it: nothing of it may run here.
            let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'";
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            Ok((headers, page).into_response())
        }
        "junit" => {
            let text = blocking(move || report::junit(&execution)).await?.map_err(ApiError::internal)?;
            Ok(([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], text).into_response())
        }
        _ => Ok(json(&execution, None)),
    }
}

async fn act(State(api): State<Api>, caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    caller.may(Verb::Run)?;
    let (action, rest) = asked(&headers, &body, &ValidationPost::ACTIONS)?;
    let needs = if action == "run" { Verb::Run } else { Verb::Cancel };
    let asking = Asking::new(&caller, needs, &headers)?;
    let what = (format!("POST {PATH} {action}"), rest.clone());
    let what = (what.0.as_str(), &what.1);
    let (runs, who, from) = (api.runs.clone(), asking.who.clone(), asking.from.clone());
    let work = match action.as_str() {
        "run" => {
            let RunSuite { service, suite, environment } = fields(rest)?;
            let service = service.map(|named| api.service(Some(&named))).transpose()?;
            let order = RunRequest { suite, service, target: environment, who, from };
            blocking(move || runs.begin(order))
        }
        _ => return cancel(&api, &who, fields(rest)?),
    };
    let work = async move {
        let execution = work.await??;
        reply(&ExecutionDone { action: "run".to_owned(), execution }, None)
    };
    once(&api, &asking, what, async { Ok(None) }, work).await
}

/// Cancelled twice is cancelled.
fn cancel(api: &Api, who: &str, asked: CancelRun) -> Result<Response, ApiError> {
    let execution = api.runs.cancel(&asked.execution, who)?;
    Ok(json(&ExecutionDone { action: "cancel".to_owned(), execution }, None))
}

async fn change(State(api): State<Api>, caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    caller.may(Verb::PutSuite)?;
    let (_, rest): (_, Value) = asked(&headers, &body, &ValidationPut::ACTIONS)?;
    let PutSuite { suite, enabled, every, after_rollback } = fields(rest)?;
    let every = every.map(|text| every_ms(&text)).transpose()?;
    let runs = api.runs.clone();
    let shown = blocking(move || {
        runs.set(&suite, |setting| {
            setting.enabled = enabled.unwrap_or(setting.enabled);
            setting.every_ms = every.unwrap_or(setting.every_ms);
            setting.after_rollback = match after_rollback {
                Some(AfterRollback::On) => Some(true),
                Some(AfterRollback::Off) => Some(false),
                Some(AfterRollback::File) => None,
                None => setting.after_rollback,
            };
        })?;
        let all = runs.suites().map_err(RunRefusal::Unreadable)?;
        all.into_iter().find(|shown| shown.name == suite).ok_or(RunRefusal::NoSuchRun(suite))
    });
    Ok(json(&wire::SuiteSet { action: "suite".to_owned(), suite: shown.await?? }, None))
}

/// `None`: what the file says.
fn every_ms(text: &str) -> Result<Option<u64>, ApiError> {
    match text {
        "file" => Ok(None),
        "off" => Ok(Some(0)),
        _ => match Millis::parse(text) {
            Ok(every) if every >= Millis::seconds(10) => Ok(Some(every.0)),
            Ok(_) => Err(ApiError::senseless("bad_every", "`every`: a suite runs by itself every 10s at the most", "")),
            Err(why) => Err(ApiError::senseless("bad_every", format!("`every`: {why}"), "\"1h\", \"off\" or \"file\"")),
        },
    }
}

/// `?execution=ID`.
async fn remove(State(api): State<Api>, caller: Caller, RawQuery(text): RawQuery) -> Result<Response, ApiError> {
    caller.may(Verb::DeleteExecution)?;
    let query = query(text.as_deref(), &["execution"])?;
    let hint = "?execution=ID";
    let id = query.text("execution");
    let id = id.ok_or_else(|| ApiError::bad("parameter_missing", "`execution` says what is to be deleted", hint))?;
    let (runs, id) = (api.runs.clone(), id.to_owned());
    let execution = blocking(move || runs.delete(&id)).await??;
    Ok(json(&ExecutionDone { action: "delete".to_owned(), execution }, None))
}

impl From<RunRefusal> for ApiError {
    fn from(refusal: RunRefusal) -> ApiError {
        let message = refusal.to_string();
        match refusal {
            RunRefusal::NoSuchSuite { .. } => {
                ApiError::missing("no_such_suite", message, "GET ?action=suites lists those that there are")
            }
            RunRefusal::NoSuchRun(_) => {
                ApiError::missing("no_such_execution", message, "GET ?action=executions lists those that there are")
            }
            RunRefusal::Broken { .. } => ApiError::senseless("suite_broken", message, "mend the file, and ask again"),
            RunRefusal::NeedsBoth(_) => ApiError::senseless("needs_both", message, "\"environment\": \"both\""),
            RunRefusal::NoData(_) => ApiError::senseless("no_data", message, ""),
            RunRefusal::NoService(_) => ApiError::senseless("no_such_service", message, ""),
            RunRefusal::Off(_) => {
                ApiError::conflict("suite_off", message, "`cutover validate enable`, or PUT … \"enabled\":true")
            }
            RunRefusal::Over { .. } => ApiError::conflict("execution_over", message, ""),
            RunRefusal::UnderWay(_) => ApiError::conflict("execution_under_way", message, ""),
            RunRefusal::Ending => ApiError::new(503, "ending", message).hint("ask the process that comes after it"),
            RunRefusal::Busy(_) => ApiError::new(503, "busy", message).hint("ask again when some of them are over"),
            RunRefusal::Unreadable(_) => ApiError::new(503, "record_unreadable", message),
        }
    }
}
