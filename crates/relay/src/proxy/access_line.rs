//! A request's line in the access log, assembled when the request is over.

use http1::{HeadView, KnownField};

use crate::access::{AccessLine, AccessLogger};
use crate::head;
use crate::proxy::context::{ClientConnection, FoundPlace, RequestContext};
use crate::proxy::routed_request::RoutedRequest;
use crate::proxy::side::ExchangeSide;
use judgement::traffic::DecisionReason;
use judgement::traffic::head::HttpVersion;
use memory::clock;
use memory::counters::{AttemptFailure, RefusalReason};

/// Writes the request's line, unless sampling leaves it out.
pub fn record(
    log: &AccessLogger,
    connection: &ClientConnection,
    ctx: &RequestContext,
    client: &ExchangeSide,
    took: u64,
) {
    let request = client.view();
    let mut line = AccessLine {
        client: ctx.client,
        method: request.method().as_bytes(),
        host: head::host_as_sent(request).map(str::as_bytes).or_else(|| request.first(KnownField::Host)),
        path: path(request),
        protocol: protocol(request.head().version()),
        status: ctx.told,
        bytes_in: client.body_received,
        bytes_out: client.body_sent,
        referer: request.first(KnownField::Referer),
        user_agent: request.first(KnownField::UserAgent),
        refused: ctx.refused.map(RefusalReason::name),
        aborted: ctx.aborted,
        request_id: ctx.ids.request_id(),
        trace_id: ctx.ids.trace_id().map(str::as_bytes),
        ..empty(connection, took)
    };
    if let Some(place) = &ctx.found {
        found(&mut line, place);
    }
    if let Some(request) = &ctx.routed {
        routed(&mut line, request);
    }
    if log.wants(line.is_failure()) {
        log.write(&line);
    }
}

/// Writes the line of a request whose head was refused. `line`: what came of its first line.
pub fn record_unread(
    log: &AccessLogger,
    connection: &ClientConnection,
    refused: RefusalReason,
    status: u16,
    line: &[u8],
) {
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\r' | b'\n')).filter(|word| !word.is_empty());
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let protocol = "HTTP/1.1";
    let refused = Some(refused.name());
    log.write(&AccessLine { method, path, protocol, status: Some(status), refused, ..empty(connection, 0) });
}

fn empty<'a>(connection: &ClientConnection, took_micros: u64) -> AccessLine<'a> {
    AccessLine {
        time_micros: clock::wall_micros().saturating_sub(took_micros),
        client: connection.peer.to_canonical(),
        peer: connection.peer.to_canonical(),
        method: b"",
        host: None,
        path: b"",
        protocol: "",
        status: None,
        bytes_in: 0,
        bytes_out: 0,
        took_micros,
        referer: None,
        user_agent: None,
        service: None,
        route: None,
        environment: None,
        rule: None,
        generation: None,
        rescued: false,
        turned_away: false,
        skewed: false,
        attempts: 0,
        upstream_address: None,
        upstream_micros: None,
        upstream_status: None,
        failure: None,
        failure_reason: None,
        refused: None,
        aborted: false,
        tls: connection.tls,
        request_id: None,
        trace_id: None,
        origin_request_id: None,
    }
}

fn found<'a>(line: &mut AccessLine<'a>, place: &'a FoundPlace) {
    let (rules, _) = place.snapshot.table.service(place.service);
    line.service = Some(&rules.name);
    line.route = Some(rules.route_name(place.route));
    line.generation = Some(place.snapshot.generation);
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
    line.skewed = decision.why == DecisionReason::Skew;
    line.attempts = routed.tries;
    let asked = routed.endpoint().filter(|_| routed.tries > 0);
    line.upstream_address = asked.map(|endpoint| endpoint.address);
    let answered = routed.current.status() > 0;
    line.upstream_status = answered.then_some(routed.current.status());
    line.upstream_micros = answered.then_some(routed.current.upstream_micros());
    line.failure = routed.current.failure.or(routed.rescued_from).map(AttemptFailure::name);
    line.failure_reason = routed.current.failure_reason.as_deref();
    line.origin_request_id = routed.current.origin_request_id.as_deref();
    line.aborted |= routed.aborted;
}

/// The target with its query, as sent; of one in absolute form, what follows the authority.
fn path<'a>(request: HeadView<'a>) -> &'a [u8] {
    let target = request.target();
    let Some(authority) = request.authority() else { return target.as_bytes() };
    let after = target.split_once("://").and_then(|(_, rest)| rest.get(authority.len()..)).unwrap_or_default();
    if after.is_empty() { b"/" } else { after.as_bytes() }
}

fn protocol(version: HttpVersion) -> &'static str {
    match version {
        HttpVersion::Http10 => "HTTP/1.0",
        HttpVersion::Http11 => "HTTP/1.1",
        HttpVersion::Http2 => "HTTP/2.0",
        HttpVersion::Http3 => "HTTP/3.0",
    }
}
