//! What every request must pass before its handler: checks of the host, the origin, the token, the rate and the body.
//! Refusals are audited.
//!
//! The checks run in this order so that the cheapest comes first, and so that a page in a browser learns nothing about
//! tokens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::admin::caller::{Caller, no_token};
use crate::admin::error::{ApiError, Audited};
use crate::admin::host::{self, Hosts};
use crate::admin::places::AdminPlace;
use crate::admin::rate_limits::{AuditBudget, FailedAttempt, FailedAttempts, TokenBucket};
use crate::admin::tokens::{Keyring, TokenLookup};
use config::admin::AdminAccess;
use judgement::rollout::{AuditRemark, ChangeKind};
use judgement::time::Millis;
use memory::clock;
use sidecar::SidecarHandle;

/// Paths that need no token.
const OPEN: [&str; 4] = ["/", "/livez", "/readyz", "/openapi.json"];
/// Paths for health probes, under any host name, because they reveal nothing.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// The largest body: a plan with fifty steps is a few kilobytes.
const MOST_BODY: usize = 64 << 10;
const BODY_TIME: Duration = Duration::from_secs(10);
/// The longest path that an entry stores.
const MOST_OF_A_PATH: usize = 120;
/// A token has 47 characters; anything much longer is not even hashed.
const LONGEST_TOKEN: usize = 256;

/// The peer of a connection, which the listener attaches to each request.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    place: Arc<AdminPlace>,
}

impl Peer {
    pub fn new(address: SocketAddr, place: AdminPlace) -> Peer {
        Peer { address, place: Arc::new(place) }
    }
}

/// Why a request is refused.
#[derive(Debug)]
struct Rejection {
    failure: ApiError,
    /// How long to wait before trying again.
    wait: Option<Millis>,
    /// Whether it is written to the journal, as every 401 and 403 is.
    audit: bool,
}

impl From<ApiError> for Rejection {
    fn from(failure: ApiError) -> Rejection {
        Rejection { failure, wait: None, audit: false }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let Rejection { failure, wait, audit } = self;
        let audited = Audited(failure.message.clone());
        let mut response = failure.into_response();
        if audit {
            response.extensions_mut().insert(audited);
        }
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.0.div_ceil(1000).max(1)));
        }
        response
    }
}

#[derive(Debug)]
pub struct Authenticator {
    keyring: Keyring,
    hosts: Hosts,
    open_metrics: bool,
    sidecar: SidecarHandle,
    book: Mutex<Ledger>,
}

/// What is remembered about callers.
#[derive(Debug)]
struct Ledger {
    tries: FailedAttempts,
    /// By token.
    buckets: Vec<TokenBucket>,
    seen: Vec<bool>,
    ration: AuditBudget,
}

impl Authenticator {
    /// `listen`: with its port filled in.
    pub fn new(keyring: Keyring, access: &AdminAccess, listen: SocketAddr, sidecar: SidecarHandle) -> Authenticator {
        let book = Ledger {
            tries: FailedAttempts::default(),
            buckets: vec![TokenBucket::full(clock::now()); keyring.len()],
            seen: vec![false; keyring.len()],
            ration: AuditBudget::default(),
        };
        Authenticator {
            hosts: Hosts::new(listen, &access.hosts),
            open_metrics: access.open_metrics || listen.ip().is_loopback(),
            keyring,
            sidecar,
            book: Mutex::new(book),
        }
    }

    /// The caller, or none on a path that needs no token.
    fn admit(&self, request: &Request, from: IpAddr, now: Millis) -> Result<Option<Caller>, Rejection> {
        let (path, headers) = (request.uri().path(), request.headers());
        let host = host::asked(request.uri(), headers);
        if !PROBES.contains(&path) && !self.hosts.has(host) {
            let message = "unknown host name for the admin listener";
            let hint = "use its address, or add the name to `hosts` under [admin] in the main file";
            return Err(ApiError::new(421, "misdirected", message).hint(hint).into());
        }
        host::same_origin(request.method(), host, headers)?;
        if OPEN.contains(&path) || path == "/metrics" && self.open_metrics {
            return Ok(None);
        }
        let known = match bearer(headers) {
            Some(text) => self.keyring.know(text, clock::wall_millis() / 1000),
            None => TokenLookup::Nobody,
        };
        let mut book = self.book.lock();
        let TokenLookup::As(place) = known else {
            let failure = match (book.tries.fail(from, now), known) {
                (FailedAttempt::Over { first, wait }, _) => {
                    let failure = ApiError::new(429, "too_many_tries", "too many failed attempts from this address");
                    return Err(Rejection { failure, wait: Some(wait), audit: first });
                }
                (FailedAttempt::Counted, TokenLookup::Expired) => {
                    ApiError::new(401, "expired_token", "the token has expired")
                        .hint("create a new one with `cutover token new`")
                }
                (FailedAttempt::Counted, _) if headers.contains_key(header::AUTHORIZATION) => {
                    ApiError::new(401, "unknown_token", "unknown token").hint("create one with `cutover token new`")
                }
                (FailedAttempt::Counted, _) => no_token(),
            };
            return Err(failure.into());
        };
        let Some(token) = self.keyring.get(place) else { return Err(no_token().into()) };
        if let Some(Err(wait)) = book.buckets.get_mut(place).map(|bucket| bucket.take(now)) {
            let failure = ApiError::new(429, "too_many_requests", format!("too many requests from `{}`", token.name));
            return Err(Rejection { failure, wait: Some(wait), audit: false });
        }
        let caller = Caller { name: token.name.clone(), role: token.role, from: from.to_string() };
        let first = book.seen.get_mut(place).is_some_and(|seen| !std::mem::replace(seen, true));
        drop(book);
        if first {
            let why = format!("first use since startup, as {}", caller.role.with_article());
            self.remark(ChangeKind::Token, &caller.name, from, why);
        }
        Ok(Some(caller))
    }

    /// Records a refusal, up to a limit.
    fn audit(&self, who: &str, from: IpAddr, what: &str, now: Millis) {
        let ration = self.book.lock().ration.take(now);
        let Some(left_out) = ration else { return };
        let missing = match left_out {
            0 => String::new(),
            n => format!("; {n} refusals before this one were not recorded"),
        };
        tracing::warn!(%who, %from, "admin request refused: {what}");
        self.remark(ChangeKind::Refused, who, from, format!("{what}{missing}"));
    }

    fn remark(&self, kind: ChangeKind, who: &str, from: IpAddr, why: String) {
        let from = Some(from.to_string());
        let remark = AuditRemark { kind, service: String::new(), who: who.to_owned(), from, why, announced: None };
        if !self.sidecar.remark(remark) {
            tracing::error!("the queue of the sidecar is full: an audit entry was lost");
        }
    }
}

/// Every request passes through here.
pub async fn authenticate(State(gate): State<Arc<Authenticator>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions_mut().remove::<Peer>();
    let from = peer.as_ref().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip());
    let from = from.to_canonical();
    let what = format!("{} {}", request.method(), shown(request.uri().path()));
    let now = clock::now();
    let (who, mut response) = match gate.admit(&request, from, now) {
        Err(turned) => (None, unread(&request, turned.into_response())),
        Ok(caller) => {
            let who = caller.as_ref().map(|caller| caller.name.clone());
            if let Some(caller) = caller {
                peer.iter().for_each(|peer| peer.place.is_known());
                request.extensions_mut().insert(caller);
            }
            let response = match whole(request).await {
                Ok(request) => next.run(request).await,
                Err(failure) => closing(failure.into_response()),
            };
            (who, response)
        }
    };
    if let Some(Audited(why)) = response.extensions_mut().remove::<Audited>() {
        gate.audit(who.as_deref().unwrap_or("unknown"), from, &format!("{what}: {why}"), now);
    }
    harden(response.headers_mut());
    response
}

/// A response to a request whose body was not read: what is left of it would be taken for the next request, so the
/// connection ends, and the client is told (RFC 9112 9.6).
fn unread(request: &Request, response: Response) -> Response {
    if request.body().is_end_stream() { response } else { closing(response) }
}

fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The token that was sent (RFC 6750 2.1), if it was sent once.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= LONGEST_TOKEN).then_some(token)
}

/// A path for an entry: shortened, and without any token that a caller may have put in it.
fn shown(path: &str) -> String {
    let path = path.split(crate::admin::tokens::PREFIX).next().unwrap_or("");
    path.chars().take(MOST_OF_A_PATH).collect()
}

/// The request with its whole body in memory, so that no handler has to deal with slow or large bodies.
async fn whole(request: Request) -> Result<Request, ApiError> {
    let (parts, body) = request.into_parts();
    let too_large = || {
        let message = format!("the body is larger than {} KiB or incomplete", MOST_BODY >> 10);
        ApiError::new(413, "body_too_large", message)
    };
    // What says so itself is not waited for.
    if body.size_hint().lower() > MOST_BODY as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIME, to_bytes(body, MOST_BODY)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(ApiError::new(408, "body_too_slow", "the body was not received in time")),
    }
}

/// Security headers of every response, unless its handler set them.
fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
