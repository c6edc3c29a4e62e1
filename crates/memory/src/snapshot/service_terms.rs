//! A service's settings for heads and bodies, prepared so that a request only has to copy them.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use judgement::time::Millis;

use crate::snapshot::{ErrorPages, MaintenanceTerms, OriginSettings, RouteTerms, ServedService};
use judgement::traffic::split::Weight;
use judgement::traffic::{Environment, RouteId};

/// A set of gRPC statuses (<https://grpc.io/docs/guides/status-codes>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcStatuses(u32);

impl GrpcStatuses {
    /// None of them.
    pub const NONE: GrpcStatuses = GrpcStatuses(0);

    /// Those that are the server's fault: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
    pub const SERVERS: GrpcStatuses = GrpcStatuses(1 << 2 | 1 << 4 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15);

    pub const fn with(self, status: u8) -> GrpcStatuses {
        GrpcStatuses(self.0 | 1 << (status & 31))
    }

    pub const fn has(self, status: u8) -> bool {
        status < 32 && self.0 >> status & 1 == 1
    }
}

/// What a service allows its clients, tells them, and changes in their heads.
#[derive(Clone, Debug)]
pub struct ServiceTerms {
    /// The most bytes of a request body; `u64::MAX` for no limit.
    pub max_body: u64,
    /// The response header in which the origin names the request.
    pub origin_request_id: Option<HeaderName>,
    /// The gRPC statuses that are failures of the environment.
    pub grpc_failures: GrpcStatuses,
    /// Whether clients are told which environment and version served them.
    pub expose: bool,
    /// The version that the file gives for an environment, by [`Environment::index`].
    pub versions: [Option<HeaderValue>; 2],
    /// By route, `default` first.
    pub edits: Box<[HeaderEdits]>,
    pub pin: PinCookie,
    /// How long a tunnel may stay on a side that gets no traffic any more; `None`: as long as it likes.
    pub tunnels_stay: Option<Millis>,
    pub mirror: MirrorTerms,
    pub error_pages: ErrorPages,
    /// Set while nobody is served.
    pub maintenance: Option<MaintenanceTerms>,
    /// By route, `default` first; empty where no route has any.
    pub routes: Box<[RouteTerms]>,
}

/// Which requests are copied to the candidate before its first client, and what is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorTerms {
    /// At weight 0 as long as no rollout steers, and not only where a step asks for it.
    pub always: bool,
    /// Of the requests that change nothing.
    pub share: Weight,
    /// JSONPaths, which the file's check has read.
    pub ignore: Box<[Box<str>]>,
}

/// How the cookie is set that keeps a client on one side.
#[derive(Clone, Debug)]
pub struct PinCookie {
    /// What follows its value in Set-Cookie, with the semicolon, except `Secure`.
    pub attributes: Box<str>,
    /// Whether it has `Secure`; `None`: if its client came by https.
    pub secure: Option<bool>,
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

    /// The auth services of its routes; the same one several times if several routes ask it.
    pub fn auth_origins(&self) -> impl Iterator<Item = &Arc<OriginSettings>> {
        self.routes.iter().filter_map(|route| Some(&route.forward_auth.as_ref()?.origin))
    }
}

impl ServedService {
    pub fn edits(&self, route: RouteId) -> Option<&HeaderEdits> {
        self.terms.edits.get(self.place(route))
    }
}
