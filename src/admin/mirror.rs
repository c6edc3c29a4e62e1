//! What copies of clients' requests have shown of a candidate.

use axum::http::StatusCode;
use axum::response::Response;

use crate::admin::api::{Api, json};
use crate::admin::error::ApiError;

/// # Errors
/// There is no such service, or this Cutover was built without validation.
pub async fn show(api: &Api, service: Option<&str>) -> Result<Response, ApiError> {
    let name = api.service(service)?;
    let mut report = api.mirror.report(&api.published.load(), &name).ok_or_else(|| {
        let message = "this Cutover was built without validation, so it compares no answers";
        ApiError::of(StatusCode::NOT_IMPLEMENTED, "not_built", message, "build it with `--features validation`")
    })?;
    let (_, views) = api.views(Some(&name)).await?;
    report.why = views.into_iter().next().and_then(|view| view.no_copies);
    Ok(json(&report, None))
}
