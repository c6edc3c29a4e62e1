//! The admin listener: metrics and health. Loopback only; it changes nothing.

pub mod api;
pub mod caller;
pub mod changes;
mod deployment;
pub mod error;
mod events;
mod history;
mod minute;
mod numbers;
mod order;
mod read;
mod refusal;
mod repeat;
mod report;
pub mod role;
mod rollback;
mod shelf;
mod validation;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::clock;
use crate::counters::{Counters, is_raised, read};
use crate::metrics;
use crate::snapshot::Published;
use crate::time::Millis;

/// A sidecar that has not looked for so long is not well.
const SIDECAR_LATE: Millis = Millis::seconds(30);

/// What the admin reads.
#[derive(Clone, Debug)]
pub struct Admin {
    pub counters: Arc<Counters>,
    pub published: Published,
}

pub fn app(admin: Admin) -> Router {
    Router::new()
        .route("/", get(|| async { "cutover: see /metrics, /livez and /readyz\n" }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(admin)
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
