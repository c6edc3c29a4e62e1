//! The caller, as authenticated, for the handlers.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::admin::error::ApiError;
use crate::admin::verb::{Role, Verb, allows};

/// The owner of the token that a request carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name.
    pub name: String,
    pub role: Role,
    /// The address that the request came from.
    pub from: String,
}

impl Caller {
    /// Whether the caller may do it.
    ///
    /// # Errors
    /// The response that says which role may. The gate journals it.
    pub fn may(&self, verb: Verb) -> Result<(), ApiError> {
        if allows(self.role, verb) { Ok(()) } else { Err(self.refused(verb.info().role, verb.info().words)) }
    }

    /// Whether the caller may do anything with this method here. Checked before the request itself.
    ///
    /// # Errors
    /// As for [`Caller::may`].
    pub fn may_any(&self, path: &str, method: &str) -> Result<(), ApiError> {
        let least = Verb::at(path, method).map(|verb| verb.info().role).min();
        match least {
            Some(role) if self.role < role => Err(self.refused(role, "change anything here")),
            _ => Ok(()),
        }
    }

    /// The same for a `DELETE`, whose verb is the parameter that names what is deleted.
    ///
    /// # Errors
    /// As for [`Caller::may`].
    pub fn may_delete(&self, path: &str, query: Option<&str>) -> Result<(), ApiError> {
        let parameters = query.unwrap_or("").split('&').filter_map(|pair| pair.split('=').next());
        let verb = parameters.filter_map(|name| Verb::find(path, "DELETE", name)).next();
        verb.map_or_else(|| self.may_any(path, "DELETE"), |verb| self.may(verb))
    }

    fn refused(&self, least: Role, what: &str) -> ApiError {
        let message = format!("`{}` is {} and may not {what}", self.name, self.role.with_article());
        let who = if least <= Role::Operator { "operator or admin" } else { "admin" };
        ApiError::new(403, "forbidden", message).hint(format!("use a token with the role {who}"))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        // Only paths that are open to everyone get here without a caller.
        parts.extensions.get::<Caller>().cloned().ok_or_else(no_token)
    }
}

/// The request came without a token.
pub(super) fn no_token() -> ApiError {
    ApiError::new(401, "no_token", "a token is required")
        .hint("send `Authorization: Bearer TOKEN`; if no tokens are configured, it is in the file STATE.token, next to the state file")
}
