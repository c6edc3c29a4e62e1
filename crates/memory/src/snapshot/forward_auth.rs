//! Who is asked whether a route's requests may go on.

use std::sync::Arc;

use http::HeaderName;

use crate::snapshot::OriginSettings;
use judgement::time::Millis;

/// The auth service of a route, and what goes to it and comes from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuthTerms {
    /// It has one target.
    pub origin: Arc<OriginSettings>,
    /// Path and query that are asked for.
    pub target: Box<str>,
    /// The client's headers that the auth service is sent; `None` for all that say something of the client.
    pub request_headers: Option<Box<[HeaderName]>>,
    /// Those of its answer that origins are sent. The client's own of these names never are.
    pub response_headers: Box<[HeaderPattern]>,
    /// For its whole answer.
    pub timeout: Millis,
}

impl ForwardAuthTerms {
    /// Whether a header is the auth service's to say.
    pub fn says(&self, name: &[u8]) -> bool {
        self.response_headers.iter().any(|pattern| pattern.covers(name))
    }
}

/// A header's name, or the beginning of some names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderPattern {
    Name(HeaderName),
    /// In lower case.
    Prefix(Box<str>),
}

impl HeaderPattern {
    /// Whether it is this name, in any case.
    pub fn covers(&self, name: &[u8]) -> bool {
        match self {
            HeaderPattern::Name(own) => name.eq_ignore_ascii_case(own.as_str().as_bytes()),
            HeaderPattern::Prefix(prefix) => {
                name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_covered_in_any_case_and_by_their_beginning() {
        let name = HeaderPattern::Name(HeaderName::from_static("remote-user"));
        assert!(name.covers(b"Remote-User") && !name.covers(b"remote-users") && !name.covers(b"remote"));
        let prefix = HeaderPattern::Prefix("x-auth-".into());
        assert!(prefix.covers(b"X-Auth-Email") && prefix.covers(b"x-auth-") && !prefix.covers(b"x-auth"));
    }
}
