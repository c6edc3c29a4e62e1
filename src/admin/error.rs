//! What the admin says when it does not do something.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::wire::{Failed, Problem};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure { status, code, message, hint } = self;
        let body = Failed { error: Problem { code: code.to_owned(), message, hint } };
        let text = serde_json::to_string(&body).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
    }
}
