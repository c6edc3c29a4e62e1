//! A service's settings for heads and bodies, prepared so that a request only has to copy them.

use http::{HeaderName, HeaderValue};

use crate::snapshot::ServedService;
use judgement::traffic::{Environment, RouteId};

/// What a service allows its clients, tells them, and changes in their heads.
#[derive(Clone, Debug)]
pub struct ServiceTerms {
    /// The most bytes of a request body; `u64::MAX` for no limit.
    pub max_body: u64,
    /// The response header in which the origin names the request.
    pub origin_request_id: Option<HeaderName>,
    /// Whether clients are told which environment and version served them.
    pub expose: bool,
    /// The version that the file gives for an environment, by [`Environment::index`].
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
    /// Remove every line of this name.
    Remove(HeaderName),
    /// Replace every line of this name with this one.
    Set(HeaderName, HeaderValue),
    /// Add this line to those of this name.
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
