//! The proxy: pingora's phases around the pure decision.
//!
//! A request loads the snapshot once, asks [`decide`], goes to an endpoint of the environment that was chosen, and is
//! counted; a failed candidate request may be served again by the active environment before the client has seen
//! anything. Nothing here waits for the sidecar, takes a lock or looks up a label.

mod attempt;
mod error;
mod headers;
pub mod listen;
mod record;
mod rescue;
mod stream;
mod target;

use std::net::{IpAddr, Ipv4Addr};
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

use crate::access;
use crate::clock;
use crate::counters::{Counters, Failure, Shard, Turns, count, is_raised};
use crate::proxy::attempt::{Attempt, Next};
use crate::proxy::error::{Blame, answer_to_failure, answer_to_refusal, blame};
use crate::proxy::headers::Arrival;
use crate::sidecar::Handle;
use crate::snapshot::Published;
use crate::traffic::sticky::Sticky;
use crate::traffic::{Head, Refusal, decide, host, sticky};

/// An idle keep-alive connection is closed after so many seconds.
const KEEP_ALIVE_SECONDS: u64 = 60;
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
    /// Where this worker's sticky keys come from: nobody else's, and no two alike.
    key_seed: u64,
    keys: Turns,
    access: Option<access::Log>,
}

/// One request on its way.
#[derive(Debug)]
pub struct Ctx {
    /// On the monotonic clock, in microseconds.
    started: u64,
    attempt: Option<Attempt>,
    /// Why no origin was asked.
    refused: Option<&'static str>,
}

impl Proxy {
    pub fn new(
        shard: Shard,
        published: Published,
        counters: Arc<Counters>,
        sidecar: Handle,
        trusted: Arc<[IpNet]>,
    ) -> Proxy {
        use std::hash::{BuildHasher, Hasher};
        let key_seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Proxy { shard, published, counters, sidecar, trusted, key_seed, keys: Turns::new(shard.0 + 1), access: None }
    }

    /// With a log that it writes a line a request to.
    pub fn with_access_log(self, access: Option<access::Log>) -> Proxy {
        Proxy { access, ..self }
    }

    fn route(&self, session: &Session, started: u64) -> Result<Attempt, Refusal> {
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

fn peer_of(session: &Session) -> IpAddr {
    let peer = session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Whether the client has closed its side. It may still read; most have hung up.
fn is_gone(session: &Session) -> bool {
    session.as_downstream().as_http1().is_some_and(|http1| http1.is_half_closed())
}

/// Whether the head of a final answer has gone to the client: a 100 or 103 is no answer yet.
fn has_answered(session: &Session) -> bool {
    session.response_written().is_some_and(|head| !head.status.is_informational())
}

/// Writes a plain answer of our own, and closes the connection after it.
async fn answer(session: &mut Session, status: u16, text: &'static str) -> Result<()> {
    session.set_keepalive(None);
    let mut head = ResponseHeader::build(status, Some(4))?;
    head.insert_header(http::header::CONTENT_TYPE, "text/plain; charset=utf-8")?;
    head.insert_header(http::header::CONTENT_LENGTH, text.len())?;
    head.insert_header(http::header::CACHE_CONTROL, "no-store")?;
    session.write_response_header(Box::new(head), false).await?;
    session.write_response_body(Some(Bytes::from_static(text.as_bytes())), true).await
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx { started: clock::micros(), attempt: None, refused: None }
    }

    // The default adds a compression module that is off, and still costs allocations in every phase.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        if is_raised(&self.counters.process.draining) {
            session.set_keepalive(None);
        } else if session.get_keepalive() == Some(0) {
            // Some(0) is "keep for ever". Anything else is pingora's own will, and "close" must never be undone.
            session.set_keepalive(Some(KEEP_ALIVE_SECONDS));
        }
        // Off, a second request in the pipe kills the first one in flight.
        session.as_downstream_mut().set_pipelining_enabled(true);
        // On, a client that has sent its request and closes its side gets no answer.
        session.as_downstream_mut().set_abort_on_close(false);
        let routed = match target::in_origin_form(session.req_header_mut()) {
            Ok(()) => self.route(session, ctx.started),
            Err(refusal) => Err(refusal),
        };
        match routed {
            Ok(attempt) => {
                ctx.attempt = Some(attempt);
                Ok(false)
            }
            Err(refusal) => {
                ctx.refused = Some(record::name_of(refusal));
                let process = &self.counters.process;
                count(match refusal {
                    Refusal::UnknownHost => &process.refused_unknown_host,
                    Refusal::BadHost => &process.refused_bad_host,
                    Refusal::BadPath => &process.refused_bad_path,
                    Refusal::BadTarget => &process.refused_bad_target,
                });
                let (status, text) = answer_to_refusal(refusal);
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
        let trusted = self.trusted.iter().any(|net| net.contains(&peer.to_canonical()));
        // Checked by `decide` already.
        let host = host::as_sent(session.req_header()).ok().flatten();
        let arrival = Arrival { peer, trusted, host, tls: false };
        match attempt.endpoint() {
            Some(endpoint) => headers::to_origin(request, endpoint, arrival, attempt.stripping_rule()),
            None => Ok(()),
        }
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let Some(attempt) = &mut ctx.attempt else { return Ok(()) };
        // 100 and 103 announce an answer; 101 is one.
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        let status = response.status.as_u16();
        attempt.answered(status);
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
        let stale = client_reused && e.retry();
        let mut again = false;
        match (&mut ctx.attempt, blame(&e)) {
            (Some(attempt), Blame::Origin(failure)) => {
                let answered = has_answered(session);
                let kept = !session.as_ref().retry_buffer_truncated();
                let idempotent = session.req_header().method.is_idempotent();
                again = if answered {
                    attempt.broke_off();
                    false
                } else if stale && kept && idempotent && attempt.stale() == Next::Endpoint {
                    // The origin had closed a connection that we kept: nobody's failure.
                    true
                } else {
                    self.fall(session, attempt, failure, false)
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
        let (status, text) = match (ctx.attempt.as_ref().and_then(|attempt| attempt.failure), e.esource()) {
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
        let took = clock::micros().saturating_sub(ctx.started).max(1);
        if let Some(attempt) = &mut ctx.attempt {
            if e.is_some_and(|e| *e.esource() == ErrorSource::Downstream) {
                attempt.aborted = true;
            }
            attempt.record(&self.counters, self.shard, &self.sidecar, attempt.rescued, took);
        }
        if let Some(log) = &self.access {
            record::record(log, session, ctx, e, &self.trusted, took);
        }
    }
}
