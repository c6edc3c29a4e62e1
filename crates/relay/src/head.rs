//! Heads on their way to the origin and back: everything that reads or changes one.
//!
//! A head is read where the parser found it ([`HeadView`]) and written straight into the write buffer. What the other side
//! sent is copied in runs of lines, less what stays here; what is ours is written behind it. Nothing is allocated for a
//! plain request or response, and one set of rules holds for both protocols: an HTTP/2 head is written as HTTP/1 text, and
//! read by the same parser.
//!
//! - Reading: this file, `hop`, `failure_header`, `redirect`, `request_view`, `response_checks`, `client_scheme`,
//!   `correlation` with `trace` and `ids`.
//! - Writing: `request` with `forwarded`, `forward_auth` and `path_rewrite`, `response` with `caching`, `origin_urls` for both, and `written` for what is
//!   changed afterwards.
//! - HTTP/2: `http2`.

mod caching;
mod client_scheme;
mod correlation;
mod failure_header;
mod forward_auth;
mod forwarded;
mod hop;
mod http2;
mod ids;
mod origin_urls;
mod path_rewrite;
mod redirect;
mod request;
mod request_view;
mod response;
mod response_checks;
mod stack_text;
mod trace;
mod written;

use std::net::IpAddr;

use http1::{FieldLine, FieldSet, HeadView, KnownField, Refused};
use ipnet::IpNet;

use judgement::traffic::rule::RoutingRule;
use memory::counters::RefusalReason;

use client_scheme::ClientScheme;
pub use client_scheme::came_by_https;
pub use correlation::CorrelationIds;
pub use failure_header::{reported_failure, says_failure};
pub use forward_auth::{AuthGrant, auth_question, denial_fields};
pub use forwarded::Arrival;
pub use hop::{forwards_left, needs_own_connection, refuses_method};
pub use http2::{
    from_http2_request, from_http2_response, http2_trailers, to_http2_request, to_http2_response, trailers_to_http2,
    write_http2_trailers, write_trailers,
};
pub use ids::IdGenerator;
pub use origin_urls::{Front, leads_back, may_name_origin};
pub use redirect::{redirect_target, redirect_to_https};
pub use request::{RequestChange, write_request};
pub use request_view::{host_as_sent, is_repeatable};
pub use response::{
    ConnectionField, PageVersion, Pin, ResponseChange, origin_request_id, write_interim, write_response,
};
pub use response_checks::is_sane;
pub(crate) use stack_text::StackText;

/// An identifier that is longer, or not visible ASCII, is not passed on. In bytes.
const LONGEST_ID: usize = 128;

/// The client: the peer, or the first hop from the right of X-Forwarded-For that is not a trusted proxy.
pub fn client_of(peer: IpAddr, head: HeadView<'_>, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(trusted, client) {
        return client;
    }
    // All lines are one list (RFC 9110 5.3), read from the right.
    let lines = head.all(KnownField::XForwardedFor).rev();
    for hop in lines.filter_map(visible).flat_map(|line| line.rsplit(',')) {
        match parse_hop(hop.trim()) {
            Some(address) => client = address,
            // An invalid address was not written by a trusted proxy.
            None => return client,
        }
        if !is_trusted(trusted, client) {
            return client;
        }
    }
    client
}

/// Whether an address is one of the trusted proxies.
pub fn is_trusted(trusted: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    bare.or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip())).map(|ip| ip.to_canonical())
}

/// A value of visible ASCII, spaces and tabs; `None` for any other.
fn visible(value: &[u8]) -> Option<&str> {
    let is_visible = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    std::str::from_utf8(value).ok().filter(|_| is_visible)
}

/// Why a request is refused, as it is counted and logged: the parser's reason in our own terms.
pub const fn refusal(refused: Refused) -> RefusalReason {
    match refused {
        Refused::RequestLine => RefusalReason::RequestLine,
        Refused::LongLine => RefusalReason::LongLine,
        Refused::BadTarget => RefusalReason::BadTarget,
        Refused::Method => RefusalReason::Method,
        // Of responses, which are refused in other words.
        Refused::StatusLine => RefusalReason::RequestLine,
        Refused::LargeHead => RefusalReason::LargeHead,
        Refused::ManyFields => RefusalReason::ManyFields,
        Refused::LineEnd => RefusalReason::LineEnd,
        Refused::Field => RefusalReason::Field,
        Refused::Underscore => RefusalReason::Underscore,
        Refused::BadHost => RefusalReason::BadHost,
        Refused::Length => RefusalReason::Length,
        Refused::Encoding => RefusalReason::Encoding,
        Refused::LengthAndEncoding => RefusalReason::LengthAndEncoding,
        Refused::Connection => RefusalReason::Connection,
        Refused::Expectation => RefusalReason::Expectation,
        Refused::ChunkSize
        | Refused::ChunkExtension
        | Refused::ChunkOverhead
        | Refused::ChunkEnd
        | Refused::Trailer => RefusalReason::BadBody,
    }
}

/// A request's head, less the fields that a rule names and has removed before anything else looks at them.
#[derive(Clone, Copy, Debug)]
struct StrippedHead<'a> {
    head: HeadView<'a>,
    rule: Option<&'a RoutingRule>,
    /// The well-known fields that are left.
    known: FieldSet,
}

impl<'a> StrippedHead<'a> {
    /// With all of its fields.
    fn whole(head: HeadView<'a>) -> StrippedHead<'a> {
        StrippedHead { head, rule: None, known: head.head().known_fields() }
    }

    fn of(head: HeadView<'a>, rule: Option<&'a RoutingRule>) -> StrippedHead<'a> {
        let mut gone = FieldSet::EMPTY;
        for name in rule.into_iter().flat_map(RoutingRule::header_names) {
            gone = gone.with(KnownField::of(name.as_str().as_bytes()));
        }
        StrippedHead { head, rule, known: head.head().known_fields().without(gone) }
    }

    #[inline]
    fn has(&self, field: KnownField) -> bool {
        self.known.has(field)
    }

    /// The values of all fields of this name.
    #[inline]
    fn all(&self, field: KnownField) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let field = if self.has(field) { field } else { KnownField::Other };
        self.head.all(field)
    }

    /// The well-known fields that the rule has removed.
    #[inline]
    fn gone(&self) -> FieldSet {
        self.head.head().known_fields().without(self.known)
    }

    /// Appends its Cookie lines as one (RFC 9113 8.2.3), because HTTP/1 allows only one. There is one at least.
    fn write_cookies(&self, out: &mut Vec<u8>) {
        let mut before: &[u8] = b"Cookie: ";
        for line in self.all(KnownField::Cookie) {
            out.extend_from_slice(before);
            out.extend_from_slice(line);
            before = b"; ";
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Whether the rule has removed this line, whose name is not well known.
    #[inline]
    fn strips_other(&self, line: &FieldLine<'_>) -> bool {
        let is_it = |name: &str| name.as_bytes().eq_ignore_ascii_case(line.name);
        self.rule.is_some_and(|rule| rule.header_names().any(|name| is_it(name.as_str())))
    }
}

#[cfg(test)]
mod tests;
