//! What is set at run time on top of the routing file: rules, triggers, health checks, and the origins of deploys.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::admin::api::{Api, Call, once, reply};
use crate::admin::changes::{Change, ChangeError};
use crate::admin::error::ApiError;
use sidecar::CommandReceipt;
use wire::ActionResult;

/// Carries out a change that needs a new routing table.
///
/// # Errors
/// There is no such service, or the change does not fit.
pub async fn apply(api: &Api, call: Call, service: Option<&str>, change: Change) -> Result<Response, ApiError> {
    let service = api.service(service)?;
    let (changes, asked) = (api.changes.clone(), call.clone());
    let work = async move {
        let action = asked.action();
        let receipt = changes.apply(service.clone(), asked.by, change).await?;
        let CommandReceipt { entry, generation, written: durable, weights } = receipt;
        let done = ActionResult { service, action, entry, generation, durable, ..ActionResult::default() };
        reply(&done.weighed(weights), Some(generation))
    };
    once(api, &call, async { Ok(None) }, work).await
}

/// A fragment of the routing file in TOML.
///
/// # Errors
/// It contains something that TOML cannot express.
pub fn toml_of(field: &str, fragment: &Map<String, Value>) -> Result<String, ApiError> {
    let wrong = |error: toml::ser::Error| {
        ApiError::senseless("does_not_fit", format!("`{field}`: {error}"), "TOML has no null")
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
                ApiError::conflict("bad_file", message, "fix the file first; `cutover check` shows what is wrong")
            }
            ChangeError::DoesNotFit { .. } => {
                ApiError::senseless("does_not_fit", message, "write it as in the routing file")
            }
            ChangeError::InTheFile { .. } => {
                ApiError::conflict("in_the_file", message, "edit the routing file, or choose another name")
            }
            ChangeError::NotThere { .. } => {
                ApiError::missing("not_there", message, "`overlay` in the status lists what is set at run time")
            }
            ChangeError::OriginNotAllowed { .. } => ApiError::senseless(
                "origin_not_allowed",
                message,
                "see `allowed_origins` of the service in the routing file",
            ),
            ChangeError::DoesNotAnswer { .. } => ApiError::conflict(
                "does_not_answer",
                message,
                "nothing has changed: start it, or deploy another version",
            ),
            ChangeError::Busy => {
                ApiError::of(StatusCode::SERVICE_UNAVAILABLE, "busy", message, "try again in a moment")
            }
            ChangeError::Closing => sidecar::SidecarStopped.into(),
        }
    }
}
