//! What is laid over the routing file at run time, and deploys to another origin: as the API asks for them.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};

use crate::admin::api::{Api, Asking, once, reply};
use crate::admin::caller::Caller;
use crate::admin::changes::{self, Change, ChangeError};
use crate::admin::error::ApiError;
use crate::admin::role::Verb;
use sidecar::CommandReceipt;
use wire;

/// A change, and what it is called in its answer.
pub struct OverlayRequest {
    pub action: &'static str,
    pub needs: Verb,
    pub service: Option<String>,
    pub why: String,
    pub change: Change,
}

/// Has a change carried out that goes with the routing file.
///
/// # Errors
/// The caller may not, or it cannot be done.
pub async fn apply(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    what: (&str, &Value),
    wanted: OverlayRequest,
) -> Result<Response, ApiError> {
    let OverlayRequest { action, needs, service, why, change } = wanted;
    let asking = Asking::new(caller, needs, headers)?;
    let service = api.service(service.as_deref())?;
    let Asking { who, from, key, generation } = asking.clone();
    let asked = changes::Caller { who, from, key, why, generation };
    let changes = api.changes.clone();
    let work = async move {
        let CommandReceipt { entry, generation, written } = changes.apply(service.clone(), asked, change).await?;
        let done = wire::ActionResult { service, action: action.to_owned(), entry, generation, durable: written };
        reply(&done, Some(generation))
    };
    once(api, &asking, what, async { Ok(None) }, work).await
}

/// A fragment of the routing file as the file has it.
///
/// # Errors
/// It has what TOML has not.
pub fn toml_of(field: &str, fragment: &Map<String, Value>) -> Result<String, ApiError> {
    let wrong = |error: toml::ser::Error| {
        ApiError::senseless("does_not_fit", format!("`{field}`: {error}"), "TOML knows no null")
    };
    toml::to_string(fragment).map_err(wrong)
}

impl From<ChangeError> for ApiError {
    fn from(failed: ChangeError) -> ApiError {
        let message = failed.to_string();
        match failed {
            ChangeError::Refused(refused) => refused.into(),
            ChangeError::BadFile { problems } => {
                let message = format!("{message}: {problems}");
                ApiError::conflict("bad_file", message, "`cutover check` shows it: mend the file first")
            }
            ChangeError::DoesNotFit { .. } => {
                ApiError::senseless("does_not_fit", message, "it is written as in the routing file")
            }
            ChangeError::InTheFile { .. } => {
                ApiError::conflict("in_the_file", message, "edit the routing file, or take another name")
            }
            ChangeError::NotThere { .. } => {
                ApiError::missing("not_there", message, "the status names what is laid over the file, in `overlay`")
            }
            ChangeError::OriginNotAllowed { .. } => ApiError::senseless(
                "origin_not_allowed",
                message,
                "the service's `allowed_origins` says which may be named",
            ),
            ChangeError::Busy => {
                ApiError::of(StatusCode::SERVICE_UNAVAILABLE, "busy", message, "ask again in a moment")
            }
            ChangeError::Closing => sidecar::SidecarStopped.into(),
        }
    }
}
