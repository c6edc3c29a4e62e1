//! `/api/admin/validation`: suites, their runs, and what they found.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use crate::admin::api::{Api, Call, blocking, json, once, reply};
use crate::admin::caller::Caller;
use crate::admin::error::ApiError;
use crate::admin::history;
use crate::admin::input::{self, brief, query, requested};
use crate::admin::verb::Verb;
use judgement::time::Millis;
use validation::report;
use validation::runs::{RunCause, RunRefusal, RunRequest};
use wire::{
    AfterRollback, CancelRun, EXECUTION_FORMATS, ExecutionDone, PutSuite, RunSuite, VALIDATION, ValidationPost,
    ValidationPut,
};

pub fn routes() -> Router<Api> {
    let methods = axum::routing::get(show).post(act).put(change).delete(remove);
    Router::new().route(VALIDATION, methods)
}

async fn show(State(api): State<Api>, caller: Caller, RawQuery(text): RawQuery) -> Result<Response, ApiError> {
    caller.may_any(VALIDATION, "GET")?;
    let query = query(text.as_deref(), &["action", "service", "suite", "id", "format", "limit"])?;
    let limit = query.number("limit")?.unwrap_or(100);
    if !(1..=history::MOST).contains(&limit) {
        let message = format!("`limit` must be 1 to {}", history::MOST);
        return Err(ApiError::bad("bad_parameter", message, ""));
    }
    let format = query.text("format").unwrap_or("json");
    if !EXECUTION_FORMATS.contains(&format) {
        let hint = format!("one of {}", EXECUTION_FORMATS.join(", "));
        return Err(ApiError::bad("bad_parameter", format!("unknown format `{}`", brief(format)), hint));
    }
    let service = query.text("service").map(|named| api.service(Some(named))).transpose()?;
    match query.verb(&caller, VALIDATION)? {
        Verb::Executions => {
            let suite = query.text("suite");
            let wanted = |run: &wire::ExecutionSummary| {
                service.as_ref().is_none_or(|service| *service == run.service)
                    && suite.is_none_or(|suite| suite == run.suite)
            };
            let executions = api.runs.list().into_iter().filter(wanted).take(limit as usize).collect();
            Ok(json(&wire::Executions { executions }, None))
        }
        Verb::Execution => {
            let hint = "?action=execution&id=ID";
            let missing = || ApiError::bad("parameter_missing", "`id` is missing", hint);
            execution(&api, query.text("id").ok_or_else(missing)?.to_owned(), format).await
        }
        _ => {
            let runs = api.runs.clone();
            let read = blocking(move || runs.suites()).await?;
            let mut suites = read.map_err(|why| ApiError::new(500, "suites_unreadable", why))?;
            suites.retain(|suite| service.is_none() || suite.service == service);
            Ok(json(&wire::Suites { suites }, None))
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
            // It holds responses of origins, and none of their scripts may run here.
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
    let (verb, fields) = requested(&caller, (VALIDATION, "POST"), &headers, &body)?;
    let call = Call::new(&caller, verb, (&headers, api.generation()), &fields)?;
    let RunSuite { service, suite, environment } = match input::body(verb, fields)? {
        ValidationPost::Run(run) => run,
        ValidationPost::Cancel(asked) => return cancel(&api, &call.by.who, &asked),
    };
    let service = service.map(|named| api.service(Some(&named))).transpose()?;
    let (who, from) = (call.by.who.clone(), call.by.from.clone());
    let (runs, target, cause) = (api.runs.clone(), environment, RunCause::Request);
    let asked = RunRequest { suite, service, target, who, from, cause };
    let work = async move {
        let execution = blocking(move || runs.begin(asked)).await??;
        reply(&ExecutionDone { action: "run".to_owned(), execution }, None)
    };
    once(&api, &call, async { Ok(None) }, work).await
}

/// Cancels a run. Cancelling it twice is not an error.
fn cancel(api: &Api, who: &str, asked: &CancelRun) -> Result<Response, ApiError> {
    let execution = api.runs.cancel(&asked.execution, who)?;
    Ok(json(&ExecutionDone { action: "cancel".to_owned(), execution }, None))
}

async fn change(State(api): State<Api>, caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let (verb, fields) = requested(&caller, (VALIDATION, "PUT"), &headers, &body)?;
    let ValidationPut::Suite(PutSuite { suite, enabled, every, after_rollback }) = input::body(verb, fields)?;
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

/// `None`: follow the suite file.
fn every_ms(text: &str) -> Result<Option<u64>, ApiError> {
    match text {
        "file" => Ok(None),
        "off" => Ok(Some(0)),
        _ => match Millis::parse(text) {
            Ok(every) if every >= Millis::seconds(10) => Ok(Some(every.0)),
            Ok(_) => Err(ApiError::senseless("bad_every", "`every`: a suite can run every 10s at most", "")),
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
    let id = id.ok_or_else(|| ApiError::bad("parameter_missing", "`execution` is missing", hint))?;
    let (runs, id) = (api.runs.clone(), id.to_owned());
    let execution = blocking(move || runs.delete(&id)).await??;
    Ok(json(&ExecutionDone { action: "delete".to_owned(), execution }, None))
}

impl From<RunRefusal> for ApiError {
    fn from(refusal: RunRefusal) -> ApiError {
        let message = refusal.to_string();
        match refusal {
            RunRefusal::NoSuchSuite { .. } => {
                ApiError::missing("no_such_suite", message, "GET ?action=suites lists them")
            }
            RunRefusal::NoSuchRun(_) => {
                ApiError::missing("no_such_execution", message, "GET ?action=executions lists them")
            }
            RunRefusal::Broken { .. } => ApiError::senseless("suite_broken", message, "fix the file, then try again"),
            RunRefusal::NeedsBoth(_) => ApiError::senseless("needs_both", message, "\"environment\": \"both\""),
            RunRefusal::NoData(_) => ApiError::senseless("no_data", message, ""),
            RunRefusal::NoService(_) => ApiError::senseless("no_such_service", message, ""),
            RunRefusal::Off(_) => ApiError::conflict(
                "suite_off",
                message,
                "switch it on with `cutover validate enable`, or PUT … \"enabled\":true",
            ),
            RunRefusal::Over { .. } => ApiError::conflict("execution_over", message, ""),
            RunRefusal::UnderWay(_) => ApiError::conflict("execution_under_way", message, ""),
            RunRefusal::Ending => ApiError::new(503, "ending", message).hint("try again after the restart"),
            RunRefusal::Busy(_) => {
                ApiError::new(503, "busy", message).hint("try again when some of them have finished")
            }
            RunRefusal::Unreadable(_) => ApiError::new(503, "record_unreadable", message),
        }
    }
}
