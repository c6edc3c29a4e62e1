//! What a service's file says of heads and bodies, prepared so that a request only has to copy it.

use http::{HeaderName, HeaderValue};

use crate::snapshot::ServedService;
use judgement::traffic::{Environment, RouteId};

/// What a service grants its clients, tells them, and changes in their heads.
#[derive(Clone, Debug)]
pub struct ServiceTerms {
    /// Bytes of a request's body; `u64::MAX`: as many as they like.
    pub max_body: u64,
    /// The response header by which the origin names the request.
    pub origin_request_id: Option<HeaderName>,
    /// Clients are told which environment served them, and which version.
    pub expose: bool,
    /// What the file calls the version of an environment, by [`Environment::index`].
    pub versions: [Option<HeaderValue>; 2],
    /// By route, `default` first.
    pub edits: Box<[HeaderEdits]>,
}

/// A route's changes to heads, the service's before its own. Empty ones cost nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    pub request: Box<[HeaderEdit]>,
    pub response: Box<[HeaderEdit]>,
}

/// One change to a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Every line of this name goes.
    Remove(HeaderName),
    /// This line instead of all of this name.
    Set(HeaderName, HeaderValue),
    /// This line beside those of this name.
    Add(HeaderName, HeaderValue),
}

impl ServiceTerms {
    pub fn version(&self, side: Environment) -> Option<&HeaderValue> {
        side.of(&self.versions).as_ref()
    }
}

impl ServedService {
    pub fn edits(&self, route: RouteId) -> Option<&HeaderEdits> {
        self.terms.edits.get(self.place(route))
    }
}
