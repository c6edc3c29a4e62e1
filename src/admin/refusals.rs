//! Every reason for which an action is refused, with its status, its code, and a hint about what to do.

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

    /// As one result among several.
    pub fn body(&self) -> ErrorBody {
        ErrorBody { code: self.code.to_owned(), message: self.message.clone(), hint: self.hint.clone() }
    }

    /// The request is malformed.
    pub fn bad(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::BAD_REQUEST, code, message, hint)
    }

    pub fn unsupported(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, message, hint)
    }

    /// The state has changed since the caller looked.
    pub fn stale(message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::PRECONDITION_FAILED, "stale", message, hint)
    }

    pub fn missing(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::NOT_FOUND, code, message, hint)
    }

    pub fn conflict(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::CONFLICT, code, message, hint)
    }

    /// The request is well formed, but not valid here.
    pub fn senseless(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::UNPROCESSABLE_ENTITY, code, message, hint)
    }

    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::of(StatusCode::INTERNAL_SERVER_ERROR, "internal", message, "see the log")
    }
}

impl From<SidecarStopped> for ApiError {
    fn from(gone: SidecarStopped) -> ApiError {
        ApiError::of(StatusCode::SERVICE_UNAVAILABLE, "closing", gone.to_string(), "try again after the restart")
    }
}

impl From<RolloutError> for ApiError {
    fn from(refused: RolloutError) -> ApiError {
        let message = refused.to_string();
        let post = |action: &str| format!("`cutover {}`, or POST {{\"action\":\"{action}\"}}", command_of(action));
        let conflict = |code, hint: String| ApiError::conflict(code, message.clone(), hint);
        match refused {
            RolloutError::NoSuchService(_) => {
                ApiError::missing("no_such_service", message, "GET /api/admin/deployment lists the services")
            }
            RolloutError::Stale { now, .. } => {
                ApiError::stale(message, format!("read the status again; the current one is If-Match: \"{now}\""))
            }
            RolloutError::Stopped { .. } => conflict("stopped", format!("to clear it: {}", post("emergency_clear"))),
            RolloutError::NotStopped { .. } => conflict("not_stopped", NO_STOP.to_owned()),
            RolloutError::Frozen { .. } => conflict("frozen", frozen_hint(&post("unfreeze"))),
            RolloutError::NotFrozen { .. } => conflict("not_frozen", NO_FREEZE.to_owned()),
            RolloutError::NothingToRollBack { .. } => conflict(
                "nothing_to_roll_back",
                "all traffic is already on active; to keep it there, use an emergency stop".to_owned(),
            ),
            RolloutError::NoRollout { .. } => conflict(
                "no_rollout",
                "start one: `cutover deploy VERSION`, or POST {\"action\":\"deploy\",\"version\":…}".to_owned(),
            ),
            RolloutError::UnderWay { .. } => conflict(
                "under_way",
                format!(
                    "wait until it ends, replace it with `cutover deploy --replace` or \"replace\":true, or abort it: {}",
                    post("abort")
                ),
            ),
            RolloutError::HasShare { .. } => conflict("has_share", HAS_SHARE.to_owned()),
            RolloutError::Quarantined { entry, .. } => conflict(
                "quarantined",
                format!(
                    "`cutover explain {entry}` shows why; to let it have clients anyway, use `--force` of `cutover deploy` or `cutover shift`, or \"force\":true"
                ),
            ),
            RolloutError::AlreadyActive { .. } => conflict("already_active", ALREADY_ACTIVE.to_owned()),
            RolloutError::BadVersion { .. } => ApiError::senseless(
                "bad_version",
                message,
                "a version is 1 to 128 printable characters without spaces, such as 2.0.0",
            ),
            RolloutError::NoSuchRoute { .. } => {
                ApiError::senseless("no_such_route", message, "a rollout is limited to routes of the routing file")
            }
            RolloutError::Paused { .. } => conflict("paused", format!("to continue: {}", post("resume"))),
            RolloutError::NotPaused { .. } => conflict("not_paused", format!("to pause it: {}", post("pause"))),
            RolloutError::Reached { .. } => {
                conflict("reached", "go further with `cutover shift PERCENT --gradual` or `cutover promote`".to_owned())
            }
            RolloutError::NothingToApprove { .. } => {
                conflict("nothing_to_approve", "`cutover status` shows what it is waiting for".to_owned())
            }
            RolloutError::InPreflight { .. } => {
                conflict("in_preflight", format!("wait until the preflight ends, or abort it: {}", post("abort")))
            }
            RolloutError::AsAsked { .. } => conflict("as_asked", "nothing to do".to_owned()),
            RolloutError::FileDuringFreeze { .. }
            | RolloutError::FileDuringStop { .. }
            | RolloutError::FileDuringRollout { .. }
            | RolloutError::FileQuarantined { .. }
            | RolloutError::RouteInUse { .. }
            | RolloutError::ServiceInUse { .. }
            | RolloutError::ServiceHeld { .. } => refused_file(&refused, message.clone()),
        }
    }
}

const HAS_SHARE: &str = "set it to 0 first with `cutover shift 0`, or promote the candidate with `cutover promote`";
const ALREADY_ACTIVE: &str = "there is nothing to roll out; to send clients to another build of that name on the other \
                              side, use `--force` of `cutover deploy`, or \"force\":true";
const NO_FREEZE: &str = "there is no freeze to lift";
const NO_STOP: &str = "there is no emergency stop to clear";

fn frozen_hint(unfreeze: &str) -> String {
    format!(
        "wait, or lift a person's freeze: {unfreeze}; an admin may pass any with `cutover deploy --pass-freeze` or \"pass_freeze\":true; rollbacks are not affected"
    )
}

/// Why the routing file on disk cannot be loaded together with a change.
fn refused_file(refused: &RolloutError, message: String) -> ApiError {
    let (code, hint) = match refused {
        RolloutError::FileDuringFreeze { .. } => {
            ("frozen", "wait until the freeze is over, or lift it; in the routing file, restore what was there")
        }
        RolloutError::FileDuringStop { .. } => {
            ("stopped", "restore the previous weight in the routing file, or clear the emergency: `cutover clear`")
        }
        RolloutError::FileQuarantined { .. } => (
            "quarantined",
            "restore the previous value in the routing file, put another version there, or `cutover shift --force`",
        ),
        RolloutError::ServiceHeld { .. } => ("in_use", "restore it in the routing file until that is over"),
        RolloutError::RouteInUse { .. } | RolloutError::ServiceInUse { .. } => {
            ("in_use", "restore it in the routing file, or abort the rollout: `cutover abort`")
        }
        _ => ("file_during_rollout", "set weight = 0 in the routing file, or restore the previous value"),
    };
    ApiError::conflict(code, message, hint.to_owned())
}

/// The name of the command.
fn command_of(action: &str) -> &str {
    match action {
        "emergency_stop" => "stop",
        "emergency_clear" => "clear",
        other => other,
    }
}
