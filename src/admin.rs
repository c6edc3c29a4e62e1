//! The admin listener: metrics, health and the API, behind authentication.

pub mod api;
pub mod authentication;
pub mod caller;
pub mod changes;
mod commands;
mod deployment;
mod earlier_version;
pub mod error;
mod events;
mod history;
mod host;
mod hourly_traffic;
mod idempotency;
mod input;
pub mod listen;
mod mirror;
#[cfg(not(feature = "validation"))]
mod no_validation;
pub mod openapi;
mod overlay;
pub mod places;
mod plan;
mod rate_limits;
mod recent_traffic;
mod refusals;
mod rollback;
mod safety_report;
mod snapshots;
pub mod tokens;
mod traffic;
mod unique_keys;
#[cfg(feature = "validation")]
mod validation;
pub mod verb;
#[cfg(not(feature = "validation"))]
use no_validation as validation;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::{Value, json};

use crate::admin::api::Api;
use crate::admin::authentication::Authenticator;
use crate::admin::caller::Caller;
use crate::admin::error::ApiError;
use crate::metrics;
use judgement::time::Millis;
use memory::clock;
use memory::counters::{is_raised, read};

/// A sidecar that has not run for this long is unhealthy.
const SIDECAR_LATE: Millis = Millis::seconds(30);

/// Everything that the admin listener serves.
pub fn app(api: Api, authenticator: Authenticator) -> Router {
    Router::new()
        .route("/", get(|| async { "cutover: see /openapi.json, /metrics, /livez and /readyz\n" }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .route("/openapi.json", get(openapi::serve))
        .route("/api/admin/whoami", get(whoami))
        .merge(deployment::routes())
        .merge(rollback::routes())
        .merge(validation::routes())
        .merge(events::routes())
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::new(authenticator), authentication::authenticate))
        .with_state(api)
}

/// The owner of the token.
async fn whoami(caller: Caller) -> Json<Value> {
    Json(json!({ "name": caller.name, "role": caller.role }))
}

async fn nothing(uri: Uri) -> ApiError {
    ApiError::new(404, "not_found", format!("no such path: {}", uri.path()))
}

async fn wrong_method() -> ApiError {
    ApiError::new(405, "method_not_allowed", "this path does not support this method")
}

async fn scrape(State(api): State<Api>) -> impl IntoResponse {
    let text = metrics::render(&api.counters, &api.published.load());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// Whether it is ready to take traffic: the listeners are open, no shutdown was requested, and the sidecar is healthy.
async fn ready(State(api): State<Api>) -> impl IntoResponse {
    let process = &api.counters.process;
    let late = clock::now().since(Millis(read(&process.sidecar_seen))) > SIDECAR_LATE;
    let unready = [
        (!is_raised(&process.ready), "starting\n"),
        (is_raised(&process.draining), "draining\n"),
        (
            read(&process.sidecar_panics) > 0,
            "the sidecar has panicked: weights are frozen until Cutover is restarted\n",
        ),
        (late, "the sidecar is not responding\n"),
    ];
    match unready.iter().find(|(so, _)| *so) {
        Some((_, why)) => (StatusCode::SERVICE_UNAVAILABLE, *why),
        None => (StatusCode::OK, "ready\n"),
    }
}
