//! Refusals: every reason why an action is not carried out, with its status, its code and the way out.

use axum::http::StatusCode;

use crate::admin::error::ApiError;
use judgement::rollout::RolloutError;
use sidecar::SidecarStopped;
use wire::ErrorBody;

impl ApiError {
    pub fn of(status: StatusCode, code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        let hint = Some(hint.into()).filter(|hint: &String| !hint.is_empty());
        ApiError { status, code, message: message.into(), hint }
    }

    /// As one result of several.
    pub fn problem(&self) -> ErrorBody {
        ErrorBody { code: self.code.to_owned(), message: self.message.clone(), hint: self.hint.clone() }
    }

    /// The caller has to write something else.
    pub fn bad(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::BAD_REQUEST, code, message, hint)
    }

    pub fn unsupported(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, message, hint)
    }

    /// What the caller knows is not the state any more.
    pub fn stale(message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::PRECONDITION_FAILED, "stale", message, hint)
    }

    pub fn missing(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::NOT_FOUND, code, message, hint)
    }

    pub fn conflict(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::CONFLICT, code, message, hint)
    }

    /// It is understood, and makes no sense here.
    pub fn senseless(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::UNPROCESSABLE_ENTITY, code, message, hint)
    }

    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::INTERNAL_SERVER_ERROR, "internal", message, "the log says more")
    }
}

impl From<SidecarStopped> for ApiError {
    fn from(gone: SidecarStopped) -> ApiError {
        ApiError::of(
            StatusCode::SERVICE_UNAVAILABLE,
            "closing",
            gone.to_string(),
            "Cutover is shutting down: try the next one",
        )
    }
}

impl From<RolloutError> for ApiError {
    fn from(refused: RolloutError) -> ApiError {
        let message = refused.to_string();
        let post = |action: &str| format!("POST {{\"action\":\"{action}\"}}, or `cutover {}`", command_of(action));
        let conflict = |code, hint: String| ApiError::conflict(code, message.clone(), hint);
        match refused {
            RolloutError::NoSuchService(_) => {
                ApiError::missing("no_such_service", message, "GET /api/admin/deployment lists the services")
            }
            RolloutError::Stale { now, .. } => {
                ApiError::stale(message, format!("look again; now it is If-Match: \"{now}\""))
            }
            RolloutError::Stopped { .. } => conflict("stopped", post("emergency_clear")),
            RolloutError::NotStopped { .. } => conflict("not_stopped", "there is nothing to clear".to_owned()),
            RolloutError::Frozen { .. } => {
                conflict("frozen", format!("wait, or {}; a rollback needs no thaw", post("unfreeze")))
            }
            RolloutError::NotFrozen { .. } => conflict("not_frozen", "there is nothing to unfreeze".to_owned()),
            RolloutError::NothingToRollBack { .. } => conflict(
                "nothing_to_roll_back",
                "everything is on the active side already; an emergency stop also holds what comes".to_owned(),
            ),
            RolloutError::NoRollout { .. } => conflict(
                "no_rollout",
                "begin one: POST {\"action\":\"deploy\",\"version\":…}, or `cutover deploy VERSION`".to_owned(),
            ),
            RolloutError::UnderWay { .. } => conflict("under_way", format!("wait for its end, or {}", post("abort"))),
            RolloutError::HasShare { .. } => conflict(
                "has_share",
                "take it back to 0 first: `cutover shift 0`, or go on from it with `cutover promote`".to_owned(),
            ),
            RolloutError::Quarantined { entry, .. } => conflict(
                "quarantined",
                format!(
                    "`cutover explain {entry}` says why; if that is over: \"force\":true, or `cutover deploy --force`"
                ),
            ),
            RolloutError::BadVersion { .. } => ApiError::senseless(
                "bad_version",
                message,
                "a version is 1 to 128 printable characters without spaces: 2.0.0",
            ),
            RolloutError::NoSuchRoute { .. } => {
                ApiError::senseless("no_such_route", message, "`functions` names routes of the routing file")
            }
            RolloutError::Paused { .. } => conflict("paused", post("resume")),
            RolloutError::NotPaused { .. } => conflict("not_paused", post("pause")),
            RolloutError::Reached { .. } => {
                conflict("reached", "shift further: `cutover shift PERCENT --gradual`, or `cutover promote`".to_owned())
            }
            RolloutError::NothingToApprove { .. } => {
                conflict("nothing_to_approve", "the status says what it waits for: `cutover status`".to_owned())
            }
            RolloutError::InPreflight { .. } => {
                conflict("in_preflight", format!("wait for its first share, or {}", post("abort")))
            }
            RolloutError::AsAsked { .. } => conflict("as_asked", "nothing is left to do".to_owned()),
            RolloutError::FileDuringRollout { .. } => conflict(
                "file_during_rollout",
                "write weight = 0 in the routing file, or leave it as it was".to_owned(),
            ),
        }
    }
}

/// As it is typed.
fn command_of(action: &str) -> &str {
    match action {
        "emergency_stop" => "stop",
        "emergency_clear" => "clear",
        other => other,
    }
}
