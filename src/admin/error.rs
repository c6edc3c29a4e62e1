//! Errors of the admin API: `{"error":{"code","message","hint"}}` with the right status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use wire::{ErrorBody, ErrorResponse};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    /// For programs: it never changes.
    pub code: &'static str,
    /// For people: a sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Marks a response whose refusal must be journalled.
#[derive(Clone, Debug)]
pub(super) struct Audited(pub String);

impl ApiError {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> ApiError {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        ApiError { status, code, message: message.into(), hint: None }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> ApiError {
        ApiError { hint: Some(hint.into()), ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let ApiError { status, code, message, hint } = self;
        let error = ErrorBody { code: code.to_owned(), message: message.clone(), hint };
        let mut response = (status, Json(ErrorResponse { error })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750 3: a caller who sent no token is not told what is wrong with it.
            let challenge = match code {
                "no_token" => "Bearer realm=\"cutover\"",
                _ => "Bearer realm=\"cutover\", error=\"invalid_token\"",
            };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            response.extensions_mut().insert(Audited(message));
        }
        response
    }
}
