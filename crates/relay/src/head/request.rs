//! A request's head on its way to an origin.

use http1::{FieldSet, Framing, HeadView, KnownField, encode};

use crate::head::forwarded::{Arrival, HopRecord};
use crate::head::path_rewrite::{RewrittenPath, rewrite};
use crate::head::{AuthGrant, CorrelationIds, StrippedHead, forwards_left, origin_urls, written};
use config::HopHeaders;
use judgement::traffic::rule::RoutingRule;
use memory::snapshot::{Endpoint, HeaderEdit, PathRewrite};

/// What is never copied, because we write it ourselves or leave it out.
const OURS: FieldSet = FieldSet::of(&[KnownField::Host, KnownField::ContentLength]);

/// What becomes of a request's head.
#[derive(Clone, Copy, Debug)]
pub struct RequestChange<'a> {
    /// Its base path is put in front; its Host is sent unless the client's is.
    pub endpoint: &'a Endpoint,
    /// How it came, which the origin is told.
    pub arrival: Arrival<'a>,
    /// The rule whose fields are removed.
    pub strip: Option<&'a RoutingRule>,
    /// Fixed before the first attempt.
    pub ids: &'a CorrelationIds,
    /// What else the origin is told.
    pub hop: HopHeaders,
    /// What becomes of its path.
    pub rewrite: Option<&'a PathRewrite>,
    /// What an auth service has said of it.
    pub grant: Option<&'a AuthGrant>,
    /// The file's changes, which have the last word about everything but the framing.
    pub edits: &'a [HeaderEdit],
    /// The request asks for a WebSocket, and may have it.
    pub websocket: bool,
    /// The origin is asked over HTTP/2.
    pub http2: bool,
    /// Of the body as it will be sent, whatever the client has said of it.
    pub framing: Framing,
}

/// Appends the head that the origin is sent, blank line included: the client's lines as it sent them, less what stays here
/// and what is replaced, and behind them ours.
pub fn write_request(out: &mut Vec<u8>, request: HeadView<'_>, change: &RequestChange<'_>) {
    let prefix = write_request_line(out, request, change);
    let start = out.len();
    encode::field(out, "Host", origin_urls::sent_host(change.endpoint, change.arrival.host).as_bytes());
    let stripped = StrippedHead::of(request, change.strip);
    let record = HopRecord::of(&stripped, &change.arrival);
    let cookies = stripped.all(KnownField::Cookie).nth(1).is_some();
    let left = forwards_left(request).ok().flatten().filter(|_| stripped.has(KnownField::MaxForwards));
    let replaced = OURS.and(stripped.gone()).and(record.replaces()).and(change.ids.replaces());
    let replaced = match request.head().expects_continue() {
        true => replaced,
        false => replaced.with(KnownField::Expect),
    };
    let replaced = if cookies { replaced.with(KnownField::Cookie) } else { replaced };
    let replaced = if left.is_some() { replaced.with(KnownField::MaxForwards) } else { replaced };
    let replaced = replaced.with(KnownField::Destination);
    request.copy_lines(out, |line| match line.id {
        KnownField::Other => !line.stays && !record.replaces_other(line) && !stripped.strips_other(line),
        // Origins need not be told which fields come behind the body (RFC 9110 6.6.2), and some take them for fields.
        KnownField::Trailer => false,
        field => !line.stays && !replaced.has(field),
    });
    for destination in stripped.all(KnownField::Destination) {
        origin_urls::write_destination(out, change.endpoint, change.arrival.host, change.rewrite, destination);
    }
    record.write(out, change.hop);
    if let Some(prefix) = prefix {
        encode::field(out, "X-Forwarded-Prefix", prefix.as_bytes());
    }
    change.ids.write(out);
    if cookies {
        stripped.write_cookies(out);
    }
    if let Some(left) = left {
        encode::number_field(out, "Max-Forwards", left.saturating_sub(1));
    }
    if let Some(grant) = change.grant {
        grant.write(out, start);
    }
    written::edit(out, start, change.edits);
    write_connection(out, &stripped, change);
    encode::end_of_fields(out);
}

/// Appends the request line. Returns what was taken from the path.
#[inline]
fn write_request_line<'a>(out: &mut Vec<u8>, request: HeadView<'_>, change: &RequestChange<'a>) -> Option<&'a str> {
    let base = &*change.endpoint.base_path;
    let Some(how) = change.rewrite else {
        encode::forwarded_request_line(out, request, base);
        return None;
    };
    let RewrittenPath { added, rest, stripped } = rewrite(request.path(), how);
    let base = if rest == "*" { "" } else { base };
    encode::rewritten_request_line(out, request, &[base, added, &rest]);
    stripped.map(|_| &*how.strip)
}

/// What holds for the connection to the origin and for the body, which no edit can damage.
fn write_connection(out: &mut Vec<u8>, request: &StrippedHead<'_>, change: &RequestChange<'_>) {
    if change.http2 && request.has(KnownField::Te) && request.head.accepts_trailers() {
        // RFC 9110 10.1.4 wants it named in Connection too, for proxies that do not know it. HAProxy sends it alone, as here;
        // the next one is an origin.
        out.extend_from_slice(b"TE: trailers\r\n");
    }
    if change.websocket {
        out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: websocket\r\n");
    }
    match change.framing {
        Framing::Length(length) => encode::content_length(out, length),
        // A request does not end with its connection.
        Framing::Chunked | Framing::UntilClose => encode::chunked(out),
        // RFC 9110 8.6: these methods usually have a body, and some origins answer 411 to one that does not say that it has
        // none, or wait for it.
        Framing::None if matches!(request.head.method(), "POST" | "PUT" | "PATCH") => encode::content_length(out, 0),
        Framing::None => {}
    }
}
