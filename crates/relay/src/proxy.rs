//! The proxy: pingora's phases around the pure decision.
//!
//! A request loads the snapshot once, asks [`decide`], goes to an endpoint of the environment that was chosen, and is
//! counted; a failed candidate request may be served again by the active environment before the client has seen
//! anything. Nothing here waits for the sidecar, takes a lock or looks up a label.
//!
//! - Connections: `listen`, [`connection_limits`], [`tls`], `transport`, `stream`, `timeouts`.
//! - A request: `phases` in their order, with [`request_checks`], `target`, `redirect`, [`headers`], `hop`, `body`, `session`.
//! - Its routing and its attempts: `context`, `routed_request`, `endpoint_choice`, `upstream_try`, `rescue`.
//! - Its end: `response_checks`, `error`, `access_line`.

mod access_line;
mod body;
pub mod connection_limits;
mod context;
mod endpoint_choice;
mod error;
pub mod headers;
mod hop;
pub mod listen;
mod phases;
mod redirect;
pub mod request_checks;
pub mod request_view;
mod rescue;
mod response_checks;
mod routed_request;
mod session;
mod stream;
mod target;
mod timeouts;
pub mod tls;
mod transport;
mod upstream_try;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use pingora_error::{ErrorType, Result};
use pingora_proxy::Session;

use crate::access;
use crate::proxy::error::answer_to_refusal;
use crate::proxy::headers::{ClientScheme, IdGenerator};
use crate::proxy::request_view::HeaderLookup;
use crate::proxy::routed_request::RoutedRequest;
use crate::proxy::session::{answer, has_answered, is_gone, is_tls};
use config::{ClientLimits, HopHeaders, MainConfig};
use judgement::traffic::{decide, sticky};
use memory::clock;
use memory::counters::{AttemptFailure, Counters, OrdinalCounter, RefusalReason, Shard};
use memory::snapshot::SnapshotReader;
use sidecar::SidecarHandle;

pub use context::RequestContext;

/// The error that makes pingora try again in the active environment. No client sees it.
const RESCUE: ErrorType = ErrorType::Custom("Rescue");

/// One worker's proxy: its shard of the counters, and what all workers share.
#[derive(Debug)]
pub struct Proxy {
    shard: Shard,
    published: SnapshotReader,
    counters: Arc<Counters>,
    sidecar: SidecarHandle,
    trusted: Arc<[IpNet]>,
    redirect_to_https: Option<u16>,
    limits: ClientLimits,
    hop: HopHeaders,
    ids: IdGenerator,
    /// The seed of this worker's sticky keys, so that no two keys are alike.
    key_seed: u64,
    keys: OrdinalCounter,
    access: Option<access::AccessLogger>,
}

impl Proxy {
    pub fn new(
        shard: Shard,
        published: SnapshotReader,
        counters: Arc<Counters>,
        sidecar: SidecarHandle,
        settings: &MainConfig,
    ) -> Proxy {
        use std::hash::{BuildHasher, Hasher};
        let key_seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Proxy {
            shard,
            published,
            counters,
            sidecar,
            trusted: settings.trusted_proxies.as_slice().into(),
            hop: settings.hop,
            ids: IdGenerator::new(),
            limits: settings.limits,
            redirect_to_https: settings.redirect_to_https,
            key_seed,
            keys: OrdinalCounter::new(shard.0 + 1),
            access: None,
        }
    }

    /// Adds an access log.
    pub fn with_access_log(self, access: Option<access::AccessLogger>) -> Proxy {
        Proxy { access, ..self }
    }

    /// The HTTPS port that this request is to be redirected to, if any.
    fn redirects(&self, session: &Session, trusted: bool) -> Option<u16> {
        self.redirect_to_https.filter(|_| !came_by_https(session, trusted))
    }

    fn route(&self, session: &Session, client: IpAddr, started: u64) -> Result<RoutedRequest, RefusalReason> {
        let snapshot = self.published.load();
        let parts: &http::request::Parts = session.req_header();
        let draw = |sequence| snapshot.turns(sequence).map_or(0, |turns| turns.next(self.shard));
        let mut decision =
            decide(&snapshot.table, &request_view::head(parts, &HeaderLookup(&parts.headers), client), draw)?;
        let pin = decision.pin.then(|| {
            let (rules, split) = snapshot.table.service(decision.service);
            let seed = self.key_seed ^ self.keys.next(self.shard);
            let (key, hash) = sticky::fresh_key(rules.salt, split.epoch, split.weight, decision.candidate, seed);
            decision.key = Some(hash);
            key
        });
        Ok(RoutedRequest::new(snapshot, decision, pin, started))
    }

    /// Checks the bytes as received, because what pingora has read may be a repaired copy.
    fn is_clean(&self, session: &Session) -> Result<(), RefusalReason> {
        match session.as_downstream().as_http1() {
            Some(http1) => request_checks::head(&http1.get_headers_raw_bytes(), &self.limits)?,
            None => request_checks::parsed(session.req_header(), &self.limits)?,
        }
        request_checks::method(&session.req_header().method)?;
        hop::forwards_left(session.req_header()).map(|_| ())
    }

    /// Answers without an origin. Returns `true`, by which pingora knows that the request is done.
    async fn refuse(&self, session: &mut Session, ctx: &mut RequestContext, refused: RefusalReason) -> Result<bool> {
        ctx.refused = Some(refused);
        self.counters.process.refuse(refused);
        let (status, text) = answer_to_refusal(refused);
        answer(session, status, text).await?;
        if refused == RefusalReason::BodyTooLarge {
            body::linger(session).await;
        }
        Ok(true)
    }

    /// Records a failed attempt and returns whether the request is rescued. The failed attempt is counted here if
    /// active will answer the client, and in `logging` otherwise.
    fn fail(&self, session: &mut Session, routed: &mut RoutedRequest, failure: AttemptFailure, unsent: bool) -> bool {
        if is_gone(session) {
            // The client is gone: a second attempt is of no use, and a timeout is not evidence of slowness.
            routed.aborted = failure == AttemptFailure::Timeout;
            routed.current.failure = (!routed.aborted).then_some(failure);
            routed.unseen = true;
            return false;
        }
        routed.current.failure = Some(failure);
        let body_kept = !session.as_ref().retry_buffer_truncated();
        let answered = has_answered(session);
        let now = clock::micros();
        if !routed.may_rescue(now, session.req_header(), unsent, body_kept, answered) {
            return false;
        }
        routed.rescue(&self.counters, self.shard, &self.sidecar, now);
        true
    }
}

/// Whether the request came by HTTPS: to Cutover, or to a trusted proxy that says so. `trusted`: the peer is one.
fn came_by_https(session: &Session, trusted: bool) -> bool {
    let says_so = || ClientScheme::as_told(&session.req_header().headers) == Some(ClientScheme::Https);
    is_tls(session) || trusted && says_so()
}
