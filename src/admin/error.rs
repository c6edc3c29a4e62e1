//! What an admin's request gets where it gets no answer: `{"error":{"code","message","hint"}}` with the right status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::time::Millis;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: StatusCode,
    /// For programs: it does not change.
    pub code: &'static str,
    /// For people: a sentence.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
    wait: Option<Millis>,
    audit: bool,
}

/// On an answer whose refusal belongs into the journal.
#[derive(Clone, Debug)]
pub(super) struct Audited(pub String);

impl Failure {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Failure {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let audit = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        Failure { status, code, message: message.into(), hint: None, wait: None, audit }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// When to come again.
    #[must_use]
    pub fn wait(self, wait: Millis) -> Failure {
        Failure { wait: Some(wait), ..self }
    }

    /// Has it journalled, or not: 401 and 403 are by themselves.
    #[must_use]
    pub(super) fn audit(self, audit: bool) -> Failure {
        Failure { audit, ..self }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure { status, code, message, hint, wait, audit } = self;
        let mut error = json!({ "code": code, "message": message });
        if let (Some(hint), Some(error)) = (hint, error.as_object_mut()) {
            error.insert("hint".to_owned(), hint.into());
        }
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750 3: who sent no token is not told what is wrong with it.
            let challenge = match code {
                "no_token" => "Bearer realm=\"cutover\"",
                _ => "Bearer realm=\"cutover\", error=\"invalid_token\"",
            };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.0.div_ceil(1000).max(1)));
        }
        if audit {
            response.extensions_mut().insert(Audited(message));
        }
        response
    }
}
