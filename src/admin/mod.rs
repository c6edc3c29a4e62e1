//! The admin listener: metrics and health, and the gate that whoever wants more comes through.

pub mod auth;
mod bounds;
pub mod caller;
pub mod error;
pub mod gate;
mod host;
pub mod listen;
pub mod role;

pub mod changes;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::{Value, json};

use crate::admin::caller::Caller;
use crate::admin::error::Failure;
use crate::admin::gate::Gate;
use crate::clock;
use crate::counters::{Counters, is_raised, read};
use crate::journal::Shelf;
use crate::metrics;
use crate::sidecar::Handle;
use crate::snapshot::Published;
use crate::time::Millis;

/// A sidecar that has not looked for so long is not well.
const SIDECAR_LATE: Millis = Millis::seconds(30);

/// What the admin reads, and whom it asks.
#[derive(Clone, Debug)]
pub struct Admin {
    pub counters: Arc<Counters>,
    pub published: Published,
    pub sidecar: Handle,
    pub shelf: Shelf,
}

/// Everything that the listener answers, behind the gate.
pub fn app(admin: Admin, gate: Gate) -> Router {
    Router::new()
        .route("/", get(|| async { "cutover: see /metrics, /livez and /readyz\n" }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .route("/api/admin/whoami", get(whoami))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::new(gate), gate::enter))
        .with_state(admin)
}

/// Whose token it is.
async fn whoami(caller: Caller) -> Json<Value> {
    Json(json!({ "name": caller.name, "role": caller.role }))
}

async fn nothing(uri: Uri) -> Failure {
    Failure::new(404, "not_found", format!("there is nothing at {}", uri.path()))
}

async fn wrong_method() -> Failure {
    Failure::new(405, "method_not_allowed", "this is not asked in this way")
}

async fn scrape(State(admin): State<Admin>) -> impl IntoResponse {
    let text = metrics::render(&admin.counters, &admin.published.load());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// Ready to take traffic: the listeners are open, nobody has asked to end, and the sidecar is well.
async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let process = &admin.counters.process;
    let late = clock::now().since(Millis(read(&process.sidecar_seen))) > SIDECAR_LATE;
    let unready = [
        (!is_raised(&process.ready), "starting\n"),
        (is_raised(&process.draining), "draining\n"),
        (read(&process.sidecar_panics) > 0, "the sidecar has panicked: weights are frozen until a restart\n"),
        (late, "the sidecar does not answer\n"),
    ];
    match unready.iter().find(|(so, _)| *so) {
        Some((_, why)) => (StatusCode::SERVICE_UNAVAILABLE, *why),
        None => (StatusCode::OK, "ready\n"),
    }
}
