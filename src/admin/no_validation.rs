//! `/api/admin/validation` in a Cutover that was built without validation.

use axum::Router;
use axum::routing::any;

use crate::admin::api::Api;
use crate::admin::caller::Caller;
use crate::admin::error::ApiError;
use crate::runs::NotBuilt;
use wire::VALIDATION;

pub fn routes() -> Router<Api> {
    Router::new().route(VALIDATION, any(async |_: Caller| ApiError::from(NotBuilt)))
}

impl From<NotBuilt> for ApiError {
    fn from(absent: NotBuilt) -> ApiError {
        ApiError::new(501, "not_built", absent.to_string()).hint("build it with `--features validation`")
    }
}
