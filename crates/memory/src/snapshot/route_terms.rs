//! What a route does with its requests before an environment is chosen, and with their paths on the way to one.

use std::sync::Arc;

use judgement::traffic::RouteId;
use judgement::traffic::sticky::StickyBy;

use crate::counters::{OwnAnswer, RateLimiter, RequestRate};
use crate::snapshot::{ForwardAuthTerms, ServedService};

/// What is asked of a route besides forwarding. Most routes have nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTerms {
    /// Its requests are answered with another address.
    pub redirect: Option<RedirectTarget>,
    /// How many requests of one client it takes.
    pub rate_limit: Option<RateLimitTerms>,
    /// Who is asked whether its requests may go on.
    pub forward_auth: Option<Arc<ForwardAuthTerms>>,
    /// The path that origins are sent.
    pub rewrite: Option<PathRewrite>,
}

impl RouteTerms {
    /// Whether the route can answer so, whatever its service does.
    pub const fn may_answer(&self, answer: OwnAnswer) -> bool {
        match answer {
            OwnAnswer::Redirect => self.redirect.is_some(),
            OwnAnswer::Maintenance | OwnAnswer::Held => false,
            OwnAnswer::RateLimited => self.rate_limit.is_some(),
            OwnAnswer::ForwardAuthDenied | OwnAnswer::ForwardAuthFailed => self.forward_auth.is_some(),
        }
    }
}

/// How many requests of one key a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitTerms {
    pub rate: RequestRate,
    /// Where the key is; requests without one count for their client's address.
    pub by: StickyBy,
    /// As clients read it in RateLimit-Policy.
    pub policy: Box<str>,
}

/// A part of the path that is taken away, and one that is put in front of what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathRewrite {
    /// Normalised, without a trailing slash; empty for nothing.
    pub strip: Box<str>,
    /// In the same form.
    pub add: Box<str>,
}

/// Where clients are sent, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectTarget {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The new address, piece by piece.
    pub pieces: Box<[RedirectPiece]>,
    /// What joins the request's query to it; `None` to leave that out.
    pub query: Option<char>,
}

/// A piece of a redirect's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectPiece {
    Text(Box<str>),
    /// `http` or `https`, as the client came.
    Scheme,
    /// The host that the client has asked for, without its port.
    Host,
    /// The request's path, as its route rewrites it.
    Path,
}

impl ServedService {
    /// What the route asks for besides forwarding; `None` where no route of the service asks for anything.
    #[inline]
    pub fn route_terms(&self, route: RouteId) -> Option<&RouteTerms> {
        self.terms.routes.get(self.place(route))
    }

    /// Whom a route asks whether its requests may go on.
    #[inline]
    pub fn forward_auth(&self, route: RouteId) -> Option<&Arc<ForwardAuthTerms>> {
        self.route_terms(route)?.forward_auth.as_ref()
    }

    /// What the keys of a route's limit have used.
    pub fn rate_limiter(&self, route: RouteId) -> Option<&Arc<RateLimiter>> {
        self.rate_limiters.get(self.place(route))?.as_ref()
    }
}
