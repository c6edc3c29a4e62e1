//! `/api/admin/validation`: suites against an environment. This version runs none: every action says so.

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::admin::api::Api;
use crate::admin::caller::Caller;
use crate::admin::error::Failure;
use crate::admin::read::{asked, fields, query};
use crate::admin::role::Action;
use crate::wire::{CancelRun, RunSuite, ValidationPost};

pub const PATH: &str = "/api/admin/validation";
pub const VIEWS: [&str; 3] = ["suites", "executions", "execution"];

pub fn routes() -> Router<Api> {
    let methods = axum::routing::get(show).post(act).put(change).delete(remove);
    Router::new().route(PATH, methods)
}

fn not_yet() -> Failure {
    Failure::not_implemented("validating with suites")
}

async fn show(caller: Caller, RawQuery(text): RawQuery) -> Result<Response, Failure> {
    caller.may(Action::Suites)?;
    let query = query(text.as_deref(), &["action", "service", "id"])?;
    query.action(&VIEWS, "suites")?;
    Err(not_yet())
}

async fn act(caller: Caller, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    caller.may(Action::Run)?;
    let (action, rest) = asked(&headers, &body, &ValidationPost::ACTIONS)?;
    match action.as_str() {
        "run" => fields::<RunSuite>(rest).map(drop)?,
        _ => fields::<CancelRun>(rest).map(drop)?,
    }
    Err(not_yet())
}

async fn change(caller: Caller) -> Result<Response, Failure> {
    caller.may(Action::PutSuite)?;
    Err(not_yet())
}

async fn remove(caller: Caller) -> Result<Response, Failure> {
    caller.may(Action::DeleteExecution)?;
    Err(not_yet())
}
