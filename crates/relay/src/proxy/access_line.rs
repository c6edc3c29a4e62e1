//! A request's line in the access log, assembled when the request is over.

use http::header::{HOST, REFERER, USER_AGENT};
use pingora_error::{Error, ErrorSource};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use crate::access::{AccessLine, AccessLogger};
use crate::proxy::RequestContext;
use crate::proxy::error::{Blame, blame};
use crate::proxy::request_view::host_as_sent;
use crate::proxy::routed_request::RoutedRequest;
use crate::proxy::session::peer_of;
use judgement::traffic::DecisionReason;
use memory::clock;
use memory::counters::{AttemptFailure, RefusalReason};

/// Writes the request's line, unless sampling leaves it out.
pub fn record(log: &AccessLogger, session: &Session, ctx: &RequestContext, e: Option<&Error>, took_micros: u64) {
    let request: &RequestHeader = session.req_header();
    let header = |name| request.headers.get(name).map(http::HeaderValue::as_bytes);
    let peer = peer_of(session);
    let told = session.response_written().map(|head| head.status.as_u16());
    let mut line = AccessLine {
        time_micros: clock::wall_micros().saturating_sub(took_micros),
        client: ctx.client,
        peer: peer.to_canonical(),
        method: request.method.as_str().as_bytes(),
        host: host_as_sent(request).ok().flatten().map(str::as_bytes).or_else(|| header(HOST)),
        path: request.raw_path(),
        protocol: protocol(request.version),
        // 100 and 103 announce a response that never came; 101 is one.
        status: told.filter(|status| *status >= 200 || *status == 101),
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        took_micros,
        referer: header(REFERER),
        user_agent: header(USER_AGENT),
        service: None,
        route: None,
        environment: None,
        rule: None,
        generation: None,
        rescued: false,
        turned_away: false,
        attempts: 0,
        upstream_address: None,
        upstream_micros: None,
        upstream_status: None,
        failure: None,
        refused: ctx.refused.map(RefusalReason::name),
        aborted: e.is_some_and(|e| *e.esource() == ErrorSource::Downstream),
        tls: session.digest().and_then(|digest| digest.ssl_digest.as_ref()).map(|tls| &*tls.version),
        request_id: ctx.request_id().map(str::as_bytes),
        trace_id: ctx.trace_id().map(str::as_bytes),
        origin_request_id: ctx.origin_request_id().map(http::HeaderValue::as_bytes),
    };
    if let Some(request) = &ctx.routed {
        routed(&mut line, request);
        // An error of Cutover's own is marked as aborted so that it counts for no environment, but the client did not
        // hang up.
        line.aborted &= !e.is_some_and(|e| blame(e) == Blame::Proxy);
    }
    if log.wants(line.is_failure()) {
        log.write(&line);
    }
}

fn routed<'a>(line: &mut AccessLine<'a>, routed: &'a RoutedRequest) {
    let decision = &routed.decision;
    let (rules, _) = routed.snapshot.table.service(decision.service);
    line.service = Some(&rules.name);
    line.route = Some(rules.route_name(decision.route));
    line.environment = Some(routed.environment().name());
    if let DecisionReason::Override(place) | DecisionReason::Rule(place) = decision.why {
        line.rule = rules.rule(place).map(|rule| rule.name.as_str());
    }
    line.generation = Some(routed.snapshot.generation);
    line.rescued = routed.is_rescued();
    line.turned_away = decision.why == DecisionReason::Caution;
    line.attempts = routed.tries;
    let asked = routed.endpoint().filter(|_| routed.tries > 0);
    line.upstream_address = asked.and_then(|endpoint| endpoint.peer._address.as_inet()).copied();
    let answered = routed.current.status() > 0;
    line.upstream_status = answered.then_some(routed.current.status());
    line.upstream_micros = answered.then_some(routed.current.upstream_micros());
    line.failure = routed.current.failure.or(routed.rescued_from).map(AttemptFailure::name);
    line.aborted |= routed.aborted;
}

fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_09 => "HTTP/0.9",
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_11 => "HTTP/1.1",
        http::Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/3.0",
    }
}
