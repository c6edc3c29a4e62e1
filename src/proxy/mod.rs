//! The proxy: pingora's phases around the pure decision.
//!
//! A request loads the snapshot once, asks [`decide`], goes to an endpoint of the environment that was chosen, and is
//! counted; a failed candidate request may be served again by the active environment before the client has seen
//! anything. Nothing here waits for the sidecar, takes a lock or looks up a label.

mod attempt;
pub mod door;
mod error;
mod headers;
mod hop;
pub mod hygiene;
pub mod listen;
mod patience;
mod redirect;
mod rescue;
mod session;
mod stream;
mod strict;
mod target;
pub mod tls;
mod transport;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use ipnet::IpNet;
use pingora_core::modules::http::HttpModules;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::clock;
use crate::config::{Limits, Settings};
use crate::counters::{Counters, Failure, Phase, Refused, Shard, Turns, is_raised};
use crate::proxy::attempt::{Attempt, Next};
use crate::proxy::error::{Blame, answer_to_failure, answer_to_refusal, blame, was_untouched};
use crate::proxy::headers::Arrival;
use crate::proxy::hop::asks_for_websocket;
use crate::proxy::session::{answer, connection_of, has_answered, is_gone, is_tls, leave, peer_of, send_away};
use crate::sidecar::Handle;
use crate::snapshot::Published;
use crate::traffic::sticky::Sticky;
use crate::traffic::{Head, decide, host, sticky};

/// Carried by the error that makes pingora try again on the active side: never seen outside.
const RESCUE: ErrorType = ErrorType::Custom("Rescue");

/// One worker's proxy: its shard of the counters, and what all workers share.
#[derive(Debug)]
pub struct Proxy {
    shard: Shard,
    published: Published,
    counters: Arc<Counters>,
    sidecar: Handle,
    trusted: Arc<[IpNet]>,
    redirect_to_https: Option<u16>,
    limits: Limits,
    /// Where this worker's sticky keys come from: nobody else's, and no two alike.
    key_seed: u64,
    keys: Turns,
}

/// One request on its way.
#[derive(Debug)]
pub struct Ctx {
    /// On the monotonic clock, in microseconds.
    started: u64,
    attempt: Option<Attempt>,
}

impl Proxy {
    pub fn new(
        shard: Shard,
        published: Published,
        counters: Arc<Counters>,
        sidecar: Handle,
        settings: &Settings,
    ) -> Proxy {
        use std::hash::{BuildHasher, Hasher};
        let key_seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Proxy {
            shard,
            published,
            counters,
            sidecar,
            trusted: settings.trusted_proxies.as_slice().into(),
            limits: settings.limits,
            redirect_to_https: settings.redirect_to_https,
            key_seed,
            keys: Turns::new(shard.0 + 1),
        }
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        !self.trusted.is_empty() && self.trusted.iter().any(|net| net.contains(&peer.to_canonical()))
    }

    /// To us, or to a proxy that we trust and that says so.
    fn came_by_https(&self, session: &Session) -> bool {
        let says_so = || session.req_header().headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        is_tls(session) || says_so() && self.trusts(peer_of(session))
    }

    fn route(&self, session: &Session, started: u64) -> Result<Attempt, Refused> {
        let snapshot = self.published.load();
        let parts: &http::request::Parts = session.req_header();
        let client = headers::client_of(peer_of(session), &parts.headers, &self.trusted);
        let draw = |sequence| snapshot.turns(sequence).map_or(0, |turns| turns.next(self.shard));
        let decision = decide(&snapshot.table, Head { parts, client }, draw)?;
        let pin = decision.pin.then(|| {
            let (rules, split) = snapshot.table.service(decision.service);
            let seed = self.key_seed ^ self.keys.next(self.shard);
            sticky::fresh_key(rules.salt, split.epoch, split.weight, decision.candidate, seed)
        });
        Ok(Attempt::new(snapshot, decision, pin, started))
    }

    /// The checks at the door, on the bytes that came: what pingora has read may be a repaired copy.
    fn is_clean(&self, session: &Session) -> Result<(), Refused> {
        match session.as_downstream().as_http1() {
            Some(http1) => hygiene::head(&http1.get_headers_raw_bytes(), &self.limits),
            None => hygiene::parsed(session.req_header(), &self.limits),
        }
    }

    /// Notes a failed attempt and says whether the request gets another one. The failing answer is counted here if
    /// somebody else will answer the client, and in `logging` if nobody will.
    fn fall(&self, session: &mut Session, attempt: &mut Attempt, failure: Failure, unsent: bool) -> bool {
        if is_gone(session) {
            // Nobody waits for a second try, and an answer that nobody waited for is no evidence of slowness.
            attempt.aborted = failure == Failure::Timeout;
            attempt.failure = (!attempt.aborted).then_some(failure);
            return false;
        }
        attempt.failure = Some(failure);
        let body_kept = !session.as_ref().retry_buffer_truncated();
        let answered = has_answered(session);
        if !attempt.may_rescue(session.req_header(), unsent, body_kept, answered) {
            return false;
        }
        attempt.record(&self.counters, self.shard, &self.sidecar, false, 0);
        attempt.rescue(self.shard);
        true
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx { started: clock::micros(), attempt: None }
    }

    // The default adds a compression module that is off, and still costs allocations in every phase.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        if is_raised(&self.counters.process.draining) {
            session.set_keepalive(None);
        }
        if session.req_header().version < http::Version::HTTP_11 {
            // HTTP/1.0 knows no interim answers.
            session.as_downstream_mut().set_ignore_info_resp(true);
        }
        // The connection has its own limits on time; pingora's would start a timer for every read.
        session.set_read_timeout(None);
        if let Some(connection) = connection_of(session) {
            let phase = if session.as_downstream_mut().is_body_empty() { Phase::Answer } else { Phase::Body };
            connection.enter_alone(phase);
        }
        // Off, a second request in the pipe kills the first one in flight.
        session.as_downstream_mut().set_pipelining_enabled(true);
        // On, a client that has sent its request and closes its side gets no answer.
        session.as_downstream_mut().set_abort_on_close(false);
        let clean = self.is_clean(session);
        if clean.is_ok()
            && let Some(port) = self.redirect_to_https
            && !self.came_by_https(session)
        {
            return match redirect::to_https(session.req_header(), port) {
                Some(location) => send_away(session, location).await,
                None => answer(session, 400, "400 the request needs one valid Host\n").await,
            }
            .map(|()| true);
        }
        let formed = clean.and_then(|()| target::in_origin_form(session.req_header_mut()).map_err(Refused::from));
        match formed.and_then(|()| self.route(session, ctx.started)) {
            Ok(mut attempt) => {
                attempt.upgrade = attempt.allows_websockets() && asks_for_websocket(session.req_header());
                ctx.attempt = Some(attempt);
                Ok(false)
            }
            Err(refused) => {
                self.counters.process.refuse(refused);
                let (status, text) = answer_to_refusal(refused);
                answer(session, status, text).await.map(|()| true)
            }
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let Some(attempt) = &mut ctx.attempt else { return Err(Error::new(ErrorType::InternalError)) };
        loop {
            if let Some(peer) = attempt.next_peer(self.shard) {
                return Ok(peer);
            }
            // No address: as good as a refused connection.
            if !self.fall(session, attempt, Failure::Connect, true) {
                return Err(Error::new_up(ErrorType::ConnectError));
            }
        }
    }

    fn fail_to_connect(&self, session: &mut Session, _peer: &HttpPeer, ctx: &mut Ctx, mut e: Box<Error>) -> Box<Error> {
        e.as_up();
        let mut again = false;
        if let (Some(attempt), Blame::Origin(failure)) = (&mut ctx.attempt, blame(&e)) {
            let body_kept = !session.as_ref().retry_buffer_truncated();
            again = body_kept && attempt.refused(failure, &e) == Next::Endpoint
                || self.fall(session, attempt, attempt.connect_failure.unwrap_or(failure), true);
        }
        e.set_retry(again);
        e
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let Some(attempt) = &mut ctx.attempt else { return Ok(()) };
        attempt.sent_at = clock::micros();
        let peer = peer_of(session);
        let trusted = self.trusts(peer);
        hop::clean(request, session.req_header(), attempt.upgrade);
        if attempt.upgrade
            && let Some(connection) = connection_of(session)
        {
            connection.enter(Phase::Upgrading);
        }
        // Checked by `decide` already.
        let host = host::as_sent(session.req_header()).ok().flatten();
        let arrival = Arrival { peer, trusted, host, tls: is_tls(session) };
        match attempt.endpoint() {
            Some(endpoint) => headers::to_origin(request, endpoint, arrival, attempt.stripping_rule()),
            None => Ok(()),
        }
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end: bool,
        _ctx: &mut Ctx,
    ) -> Result<()> {
        if end
            && let Some(connection) = connection_of(session)
            && connection.phase() == Phase::Body
        {
            connection.enter(Phase::Answer);
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let Some(attempt) = &mut ctx.attempt else { return Ok(()) };
        let status = response.status.as_u16();
        if !strict::is_sane(status, attempt.interims, attempt.upgrade) {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "no answer that a client could use").into_up());
        }
        // 100 and 103 announce an answer; 101 is one.
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            attempt.interims += 1;
            return Ok(());
        }
        attempt.answered(status);
        if attempt.upgrade
            && let Some(connection) = connection_of(session)
        {
            connection.enter(if status == 101 { Phase::Tunnel } else { Phase::Answer });
        }
        if let Some(failure) = Failure::of_status(status) {
            // 501 and the like are the origin's considered word; a second origin would say the same.
            let worth_rescuing = matches!(status, 500 | 502 | 503 | 504);
            if worth_rescuing && self.fall(session, attempt, failure, false) {
                let mut again = Error::new_up(RESCUE);
                again.set_retry(true);
                return Err(again);
            }
            attempt.failure = Some(failure);
        }
        if let Some(key) = attempt.pin() {
            let (rules, _) = attempt.snapshot.table.service(attempt.decision.service);
            if let Sticky::Cookie(name) = &rules.sticky {
                headers::pin(response, name, &key, false)?;
            }
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _ctx: &mut Ctx,
    ) -> Result<()> {
        if response.status == StatusCode::NO_CONTENT {
            // RFC 9110 8.6: a client might wait for what this announces.
            response.remove_header(&CONTENT_LENGTH);
            response.remove_header(&TRANSFER_ENCODING);
        }
        if session.req_header().version < http::Version::HTTP_11 && !response.headers.contains_key(CONTENT_LENGTH) {
            // A client of HTTP/1.0 knows no chunks (RFC 9112 6.1): its answer ends with the connection.
            response.remove_header(&TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut e: Box<Error>,
        ctx: &mut Ctx,
        client_reused: bool,
    ) -> Box<Error> {
        // Every path out of here must have decided on a retry, or pingora panics.
        e.retry.decide_reuse(client_reused);
        if *e.etype() == RESCUE {
            return e;
        }
        let stale = e.retry();
        let untouched = was_untouched(&e);
        let mut again = false;
        let late = connection_of(session)
            .is_some_and(|connection| connection.has_timed_out() && connection.phase() == Phase::Upgrading);
        match (&mut ctx.attempt, if late { Blame::Origin(Failure::Timeout) } else { blame(&e) }) {
            (Some(attempt), Blame::Origin(failure)) => {
                let answered = has_answered(session);
                let kept = !session.as_ref().retry_buffer_truncated();
                let idempotent = session.req_header().method.is_idempotent();
                again = if answered {
                    attempt.broke_off();
                    false
                } else if (stale && idempotent || untouched) && kept && attempt.stale() == Next::Endpoint {
                    // The origin had closed a connection that we kept, or wants HTTP/1.1: nobody's failure.
                    true
                } else {
                    self.fall(session, attempt, failure, untouched)
                };
            }
            (Some(attempt), Blame::Client) => attempt.aborted = true,
            (Some(attempt), Blame::House) => {
                attempt.aborted = true;
                tracing::error!(error = %e, "a request failed inside the proxy");
            }
            (None, _) => {}
        }
        e.set_retry(again);
        e
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut Ctx) -> FailToProxy {
        let gone = matches!(e.etype(), ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed);
        let slow = connection_of(session).is_some_and(|connection| connection.has_timed_out());
        let (status, text) = match (ctx.attempt.as_ref().and_then(|attempt| attempt.failure), e.esource()) {
            (Some(failure), _) if slow => answer_to_failure(failure),
            (_, ErrorSource::Downstream) if slow => (408, "408 the request did not come in time\n"),
            (_, ErrorSource::Downstream) if gone => (0, ""),
            (_, ErrorSource::Downstream) => (400, "400 the request broke off or is no HTTP\n"),
            (Some(failure), _) => answer_to_failure(failure),
            (None, ErrorSource::Upstream) => answer_to_failure(Failure::Reset),
            (None, _) => (500, "500 the proxy failed\n"),
        };
        if status > 0 && !has_answered(session) {
            // The client may be gone; there is nobody else to tell.
            let _ = answer(session, status, text).await;
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    // Counted instead: a line a failing request is a flood just when an origin is down.
    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Ctx,
        _e: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _e: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, e: Option<&Error>, ctx: &mut Ctx) {
        let gone = e.is_some_and(|e| *e.esource() == ErrorSource::Downstream);
        leave(session, gone);
        let Some(attempt) = &mut ctx.attempt else { return };
        if gone {
            attempt.aborted = true;
        }
        let took = clock::micros().saturating_sub(ctx.started).max(1);
        attempt.record(&self.counters, self.shard, &self.sidecar, attempt.rescued, took);
    }
}
