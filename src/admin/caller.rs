//! Who asks: what the gate has found out, for the handlers.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::admin::error::ApiError;
use crate::admin::role::{Role, Verb, allows};

/// Whoever has come in with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name.
    pub name: String,
    pub role: Role,
    /// The address that it came from.
    pub from: String,
}

impl Caller {
    /// Whether the caller may do it.
    ///
    /// # Errors
    /// The answer that says who may. The gate journals it.
    pub fn may(&self, action: Verb) -> Result<(), ApiError> {
        if allows(self.role, action) {
            return Ok(());
        }
        let least = if allows(Role::Operator, action) { "an operator or an admin" } else { "an admin" };
        let message = format!("`{}` is {} and may not {}", self.name, self.role.with_article(), action.words());
        Err(ApiError::new(403, "forbidden", message).hint(format!("{least} may: ask for a token with that role")))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        // The gate lets nobody in without, but where everybody may.
        parts.extensions.get::<Caller>().cloned().ok_or_else(no_token)
    }
}

/// Nothing was shown.
pub(super) fn no_token() -> ApiError {
    ApiError::new(401, "no_token", "this takes a token")
        .hint("send `Authorization: Bearer TOKEN`; without configured tokens it lies beside the state, in STATE.token")
}
