//! pingora's phases, a few lines each.

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora_core::modules::http::HttpModules;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::origin::cause::cause;
use crate::proxy::error::{Blame, NO_HTTP2, answer_to_failure, answer_to_refusal, blame, was_untouched};
use crate::proxy::headers::{Arrival, caching};
use crate::proxy::hop::asks_for_websocket;
use crate::proxy::request_view::{announced_length, host_as_sent};
use crate::proxy::session::{answer, answer_options, connection_of, has_answered, is_tls, leave, peer_of, send_away};
use crate::proxy::upstream_try::UpstreamTry;
use crate::proxy::{
    Proxy, RESCUE, RequestContext, access_line, body, came_by_https, headers, hop, redirect, response_checks, target,
};
use judgement::traffic::sticky::StickyBy;
use memory::clock;
use memory::counters::{AttemptFailure, ConnectionPhase, RefusalReason, is_raised};

#[async_trait]
impl ProxyHttp for Proxy {
    // On the heap: pingora moves it from one future into the next.
    type CTX = Box<RequestContext>;

    fn new_ctx(&self) -> Box<RequestContext> {
        Box::new(RequestContext::new())
    }

    // The default adds a compression module that is disabled, but still costs allocations in every phase.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Box<RequestContext>) -> Result<bool> {
        if is_raised(&self.counters.process.draining) {
            session.set_keepalive(None);
        }
        if session.req_header().version < http::Version::HTTP_11 {
            // HTTP/1.0 has no interim responses.
            session.as_downstream_mut().set_ignore_info_resp(true);
        }
        // The connection has its own limits on time; pingora's would start a timer for every read.
        session.set_read_timeout(None);
        ctx.connection = connection_of(session);
        ctx.enter(if session.as_downstream_mut().is_body_empty() {
            ConnectionPhase::Answer
        } else {
            ConnectionPhase::Body
        });
        // If off, a second pipelined request kills the first one in flight.
        session.as_downstream_mut().set_pipelining_enabled(true);
        // If on, a client that sends its request and closes its side gets no response.
        session.as_downstream_mut().set_abort_on_close(false);
        ctx.note(peer_of(session), &session.req_header().headers, &self.trusted, self.hop, &self.ids);
        let clean = self.is_clean(session);
        let formed = clean.and_then(|()| target::in_origin_form(session.req_header_mut()).map_err(RefusalReason::from));
        let routed = formed.and_then(|()| self.route(session, ctx.client, ctx.started));
        if let (Ok(_), Some(port)) = (&routed, self.redirects(session, ctx.trusted)) {
            return match redirect::to_https(session.req_header(), port) {
                Some(location) => send_away(session, location).await.map(|()| true),
                None => self.refuse(session, ctx, RefusalReason::BadHost).await,
            };
        }
        if routed.is_ok() && hop::forwards_left(session.req_header()) == Ok(Some(0)) {
            return answer_options(session).await.map(|()| true);
        }
        match routed {
            Ok(routed) if announced_length(&session.req_header().headers) > routed.max_body() => {
                self.refuse(session, ctx, RefusalReason::BodyTooLarge).await
            }
            Ok(mut routed) => {
                routed.upgrade = routed.allows_websockets() && asks_for_websocket(session.req_header());
                ctx.routed = Some(routed);
                body::decide_on_body(session).await.map(|()| false)
            }
            Err(refused) => self.refuse(session, ctx, refused).await,
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Box<RequestContext>) -> Result<Box<HttpPeer>> {
        let Some(routed) = &mut ctx.routed else { return Err(Error::new(ErrorType::InternalError)) };
        loop {
            if let Some(peer) = routed.next_peer(self.shard) {
                return Ok(peer);
            }
            // No address counts as a refused connection.
            if !self.fail(session, routed, AttemptFailure::Connect, true) {
                return Err(Error::new_up(ErrorType::ConnectError));
            }
        }
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Box<RequestContext>,
        mut e: Box<Error>,
    ) -> Box<Error> {
        e.as_up();
        let mut again = false;
        if let (Some(routed), Blame::Origin(failure)) = (&mut ctx.routed, blame(&e)) {
            let body_kept = !session.as_ref().retry_buffer_truncated();
            // A kept connection that accepts no more streams does not mean that the origin accepts no connections.
            let sent_away = was_untouched(&e) && body_kept && routed.retries_after_stale_connection();
            again = sent_away
                || body_kept && routed.retries_after_connect_failure(failure, &e)
                || self.fail(session, routed, routed.connect_failure().unwrap_or(failure), true);
        }
        e.set_retry(again);
        e
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<RequestContext>,
    ) -> Result<()> {
        let Some(routed) = &mut ctx.routed else { return Ok(()) };
        routed.current = UpstreamTry::begin(clock::micros());
        if routed.must_not_be(request.version) {
            return Err(Error::new_up(NO_HTTP2));
        }
        let empty = session.as_downstream_mut().is_body_empty();
        hop::clean(request, session.req_header(), routed.upgrade, empty)?;
        if routed.upgrade
            && let Some(connection) = &ctx.connection
        {
            connection.enter_alone(ConnectionPhase::Upgrading);
        }
        // Checked by `decide` already.
        let host = host_as_sent(session.req_header()).ok().flatten();
        let version = session.req_header().version;
        let (peer, client, trusted) = (peer_of(session), ctx.client, ctx.trusted);
        let arrival = Arrival { peer, client, trusted, host, tls: is_tls(session), version };
        let edits = routed.edits().map_or(&[][..], |edits| &edits.request);
        match routed.endpoint() {
            Some(endpoint) => {
                let strip = routed.stripping_rule();
                headers::to_origin(request, endpoint, arrival, strip, &ctx.ids, self.hop, edits)
            }
            None => Ok(()),
        }
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<RequestContext>,
    ) -> Result<()> {
        if end && ctx.phase() == Some(ConnectionPhase::Body) {
            ctx.enter(ConnectionPhase::Answer);
        }
        // What goes through a tunnel is not a body.
        if session.was_upgraded() || ctx.takes(body.as_ref().map_or(0, Bytes::len)) {
            return Ok(());
        }
        ctx.refused = Some(RefusalReason::BodyTooLarge);
        self.counters.process.refuse(RefusalReason::BodyTooLarge);
        Err(body::too_large())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<RequestContext>,
    ) -> Result<()> {
        let Some(routed) = &mut ctx.routed else { return Ok(()) };
        let status = response.status.as_u16();
        if !response_checks::is_sane(response, routed.current.interims, routed.upgrade) {
            return Err(
                Error::explain(ErrorType::InvalidHTTPHeader, "not a response that a client could use").into_up()
            );
        }
        hop::clean_answer(response)?;
        // 100 and 103 announce a response; 101 is one.
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            routed.current.interims += 1;
            return Ok(());
        }
        if !response_checks::is_framed(response) {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "response with ambiguous length").into_up());
        }
        response_checks::make_ours(response)?;
        routed.answer(status, self.shard);
        if routed.upgrade
            && let Some(connection) = &ctx.connection
        {
            connection.enter_alone(if status == 101 { ConnectionPhase::Tunnel } else { ConnectionPhase::Answer });
        }
        if let Some(failure) = AttemptFailure::of_status(status) {
            // 501 and the like are the origin's considered response; a second origin would say the same.
            let worth_rescuing = matches!(status, 500 | 502 | 503 | 504);
            if worth_rescuing && self.fail(session, routed, failure, false) {
                let mut again = Error::new_up(RESCUE);
                again.set_retry(true);
                return Err(again);
            }
            routed.current.failure = Some(failure);
        }
        if let Some(service) = routed.service() {
            let origin_request_id = headers::origin_request_id(response, service);
            headers::to_client(response, service, routed.decision.route, routed.environment(), &ctx.ids)?;
            routed.current.origin_request_id = origin_request_id;
        }
        if let Some(key) = routed.pin()
            && !caching::is_shared(&response.headers)
        {
            let (rules, _) = routed.snapshot.table.service(routed.decision.service);
            if let StickyBy::Cookie(name) = &rules.sticky {
                headers::pin(response, name, &key, came_by_https(session, ctx.trusted))?;
                caching::make_private(response)?;
            }
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _ctx: &mut Box<RequestContext>,
    ) -> Result<()> {
        if response.status == StatusCode::NO_CONTENT {
            // RFC 9110 8.6: a client might wait for what this announces.
            response.remove_header(&CONTENT_LENGTH);
            response.remove_header(&TRANSFER_ENCODING);
        }
        if session.req_header().version < http::Version::HTTP_11 && !response.headers.contains_key(CONTENT_LENGTH) {
            // An HTTP/1.0 client does not understand chunks (RFC 9112 6.1): its response ends with the connection.
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
        ctx: &mut Box<RequestContext>,
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
        let late = ctx.has_timed_out() && ctx.phase() == Some(ConnectionPhase::Upgrading);
        match (&mut ctx.routed, if late { Blame::Origin(AttemptFailure::Timeout) } else { blame(&e) }) {
            (Some(routed), Blame::Origin(failure)) => {
                let answered = has_answered(session);
                let kept = !session.as_ref().retry_buffer_truncated();
                let idempotent = session.req_header().method.is_idempotent();
                again = if answered {
                    routed.current.break_off();
                    false
                } else if (stale && idempotent || untouched && *e.etype() != NO_HTTP2)
                    && kept
                    && routed.retries_after_stale_connection()
                {
                    // The origin had closed a kept connection, or requires HTTP/1.1: neither is a failure.
                    true
                } else {
                    self.fail(session, routed, failure, untouched)
                };
            }
            (Some(routed), Blame::Client) => routed.aborted = true,
            (Some(routed), Blame::Proxy) => {
                routed.aborted = true;
                tracing::error!(cause = cause(&e), "request failed inside the proxy");
            }
            (None, _) => {}
        }
        e.set_retry(again);
        e
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut Box<RequestContext>) -> FailToProxy {
        let gone = matches!(e.etype(), ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed);
        let slow = ctx.has_timed_out();
        let (status, text) = match (ctx.routed.as_ref().and_then(|routed| routed.current.failure), e.esource()) {
            (Some(failure), _) if slow => answer_to_failure(failure),
            (_, ErrorSource::Downstream) if slow => (408, "408 request timed out\n"),
            (_, ErrorSource::Downstream) if gone => (0, ""),
            (_, ErrorSource::Downstream) if *e.etype() == body::TOO_LARGE => {
                answer_to_refusal(RefusalReason::BodyTooLarge)
            }
            (_, ErrorSource::Downstream) => answer_to_refusal(RefusalReason::BadBody),
            (Some(failure), _) => answer_to_failure(failure),
            (None, ErrorSource::Upstream) => answer_to_failure(AttemptFailure::Reset),
            (None, _) => (500, "500 internal proxy error\n"),
        };
        if status == 400 && ctx.refused.is_none() {
            ctx.refused = Some(RefusalReason::BadBody);
            self.counters.process.refuse(RefusalReason::BadBody);
        }
        if status > 0 && !has_answered(session) {
            // The client may be gone, and there is nobody else to tell.
            let _ = answer(session, status, text).await;
            if *e.etype() == body::TOO_LARGE {
                body::linger(session).await;
            }
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    // Counted instead: one line per failing request becomes a flood exactly when an origin is down.
    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Box<RequestContext>,
        _e: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Box<RequestContext>, _e: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, e: Option<&Error>, ctx: &mut Box<RequestContext>) {
        let gone = e.is_some_and(|e| *e.esource() == ErrorSource::Downstream);
        leave(session, ctx, gone);
        let now = clock::micros();
        let took = now.saturating_sub(ctx.started).max(1);
        if let Some(routed) = &mut ctx.routed {
            if gone {
                routed.aborted = true;
            }
            routed.record(&self.counters, self.shard, &self.sidecar, now, true);
        }
        if let Some(log) = &self.access {
            access_line::record(log, session, ctx, e, took);
        }
    }
}
