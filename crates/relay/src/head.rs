//! Changes to heads on their way to the origin and back, and the client's address on its way in.

pub(super) mod caching;
mod client_scheme;
mod forwarded;
mod ids;
mod stack_text;
mod trace;

use std::net::IpAddr;

use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use ipnet::IpNet;
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::proxy::headers::forwarded::FORWARDED_FOR;
use crate::proxy::headers::stack_text::StackText;
use crate::proxy::headers::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use config::HopHeaders;
use judgement::hex;
use judgement::traffic::rule::RoutingRule;
use judgement::traffic::{Environment, RouteId};
use memory::snapshot::{Endpoint, HeaderEdit, ServedService};

pub use client_scheme::ClientScheme;
pub use ids::IdGenerator;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A request id that is longer, or not visible ASCII, is not passed on.
const LONGEST_ID: usize = 128;
/// The number of headers that a request usually gains here.
const ADDED: usize = 8;
/// For anyone who wants to know which side served a request; set if the service has `expose`.
static ENVIRONMENT: HeaderName = HeaderName::from_static("x-cutover-environment");
static VERSION: HeaderName = HeaderName::from_static("x-cutover-version");

/// The client: the peer, or the first hop from the right of X-Forwarded-For that is not a trusted proxy.
pub fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(trusted, client) {
        return client;
    }
    // All lines are one list (RFC 9110 5.3), read from the right.
    let lines = headers.get_all(&FORWARDED_FOR).iter().rev();
    for hop in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(',')) {
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

/// How the client reached Cutover.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub peer: IpAddr,
    /// The result of [`client_of`].
    pub client: IpAddr,
    pub trusted: bool,
    /// As the client sent it, port included.
    pub host: Option<&'a str>,
    pub tls: bool,
    pub version: Version,
}

/// The identifiers of a request: fixed before it is routed, and the same on every attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct CorrelationIds {
    request_id: Option<StackText<LONGEST_ID>>,
    trace: Option<TraceContext>,
}

impl CorrelationIds {
    /// A trusted proxy's own if they are valid, otherwise new ones.
    pub fn of(headers: &HeaderMap, trusted: bool, hop: HopHeaders, ids: &IdGenerator) -> CorrelationIds {
        let is_sane = |id: &&[u8]| !id.is_empty() && id.iter().all(u8::is_ascii_graphic);
        let mut lines = headers.get_all(&REQUEST_ID).iter().filter(|_| trusted);
        let sent = lines.next().filter(|_| lines.next().is_none()).map(HeaderValue::as_bytes).filter(is_sane);
        let kept = sent.and_then(StackText::of);
        let request_id = kept.or_else(|| StackText::of(&hex::digits::<32>(&ids.fresh().to_be_bytes())));
        CorrelationIds { request_id, trace: hop.trace_context.then(|| TraceContext::of(headers, trusted, ids)) }
    }

    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_ref().map(StackText::as_str)
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace.as_ref().map(TraceContext::id)
    }

    fn mark(&self, headers: &mut HeaderMap) {
        if let Some(id) = self.request_id.as_ref().and_then(StackText::as_value) {
            headers.insert(&REQUEST_ID, id);
        }
        if let Some(trace) = &self.trace {
            if let Some(parent) = trace.parent().as_value() {
                headers.insert(&TRACEPARENT, parent);
            }
            if !trace.state {
                headers.remove(&TRACESTATE);
            }
        }
    }
}

/// Turns the client's head into the origin's: its Host, its base path, how the request arrived and its identifiers; and
/// finally the file's own edits, which may change any of it.
pub fn to_origin(
    request: &mut RequestHeader,
    endpoint: &Endpoint,
    arrival: Arrival<'_>,
    strip: Option<&RoutingRule>,
    marks: &CorrelationIds,
    hop: HopHeaders,
    edits: &[HeaderEdit],
) -> Result<()> {
    if !endpoint.base_path.is_empty() && request.raw_path() != b"*" {
        let joined = [endpoint.base_path.as_bytes(), request.raw_path()].concat();
        request.set_raw_path(&joined)?;
    }
    with_headers(request, |headers| {
        headers.reserve(ADDED);
        for name in strip.into_iter().flat_map(RoutingRule::header_names) {
            headers.remove(name.as_str());
        }
        headers.insert(HOST, endpoint.authority.clone());
        forwarded::forward(headers, &arrival, hop);
        marks.mark(headers);
        join_cookies(headers);
        for edit in edits {
            match edit {
                HeaderEdit::Remove(name) => drop(headers.remove(name)),
                HeaderEdit::Set(name, value) => drop(headers.insert(name, value.clone())),
                HeaderEdit::Add(name, value) => drop(headers.append(name, value.clone())),
            }
        }
    })
}

/// Changes the headers of a request in place, which pingora does not allow: each of its own insertions parses the name
/// again, and keeps a second map for the case of names. That map is dropped: names go out as `Host` and `x-name`, and
/// to HTTP they are the same in any case.
///
/// # Errors
/// None in practice: a target that pingora accepted is set again.
fn with_headers(request: &mut RequestHeader, change: impl FnOnce(&mut HeaderMap)) -> Result<()> {
    // A target that the http crate cannot parse as a URI is kept beside it.
    let shown = request.uri.path_and_query().map(|target| target.as_str().as_bytes());
    let odd = (shown != Some(request.raw_path())).then(|| request.raw_path().to_vec());
    let empty = RequestHeader::from(http::Request::new(()).into_parts().0);
    let mut parts: http::request::Parts = std::mem::replace(request, empty).into();
    change(&mut parts.headers);
    *request = parts.into();
    odd.map_or(Ok(()), |target| request.set_raw_path(&target))
}

/// Turns the origin's head into the client's: the file's edits, and what the service reveals about itself, which
/// replaces the origin's own headers of these names. If a service exposes nothing, they pass like any other header.
pub fn to_client(
    response: &mut ResponseHeader,
    serving: &ServedService,
    route: RouteId,
    side: Environment,
    marks: &CorrelationIds,
) -> Result<()> {
    for edit in serving.edits(route).iter().flat_map(|edits| &edits.response) {
        match edit {
            HeaderEdit::Remove(name) => drop(response.remove_header(name)),
            HeaderEdit::Set(name, value) => response.insert_header(name, value.clone())?,
            HeaderEdit::Add(name, value) => {
                response.append_header(name, value.clone())?;
            }
        }
    }
    if serving.terms.expose {
        response.insert_header(&ENVIRONMENT, HeaderValue::from_static(side.name()))?;
        match serving.terms.version(side) {
            Some(version) => response.insert_header(&VERSION, version.clone())?,
            None => drop(response.remove_header(&VERSION)),
        }
        if let Some(id) = &marks.request_id {
            response.insert_header(&REQUEST_ID, id.as_bytes())?;
        }
    }
    Ok(())
}

/// The origin's own id for the request, if its header has one of a reasonable length. Cloning it copies no bytes.
pub fn origin_request_id(response: &ResponseHeader, serving: &ServedService) -> Option<HeaderValue> {
    let name = serving.terms.origin_request_id.as_ref()?;
    response.headers.get(name).filter(|id| id.len() <= LONGEST_ID).cloned()
}

/// Joins several Cookie lines into one (RFC 9113 8.2.3), because HTTP/1 allows only one.
fn join_cookies(headers: &mut HeaderMap) {
    let lines = headers.get_all(COOKIE);
    if lines.iter().nth(1).is_none() {
        return;
    }
    let joined = lines.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, value);
    }
}

/// Pins a client with a cookie for a year, which a rollback voids without touching it.
pub fn pin(response: &mut ResponseHeader, name: &str, key: &[u8; 16], tls: bool) -> Result<()> {
    let key = std::str::from_utf8(key).unwrap_or_default();
    let secure = if tls { "; Secure" } else { "" };
    let value = format!("{name}={key}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}");
    response.append_header(SET_COOKIE, value).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&FORWARDED_FOR, line.parse().unwrap());
        }
        let nets: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client_of(peer.parse().unwrap(), &headers, &nets).to_string()
    }

    #[test]
    fn the_client_is_the_first_untrusted_hop_from_the_right() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(client("192.0.2.1", &["198.51.100.1"], &trusted), "192.0.2.1", "an untrusted peer is the client");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.1", "10.0.0.2"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &trusted), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &["198.51.100.1:4711"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["forged, junk"], &trusted), "10.0.0.1", "what is no address proves nothing");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[], &trusted), "10.0.0.1");
    }

    #[test]
    fn a_request_keeps_a_trusted_proxys_id_if_it_is_sane() {
        let (ids, hop) = (IdGenerator::new(), HopHeaders::default());
        let marked = |lines: &[&str], trusted: bool| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(&REQUEST_ID, HeaderValue::from_str(line).unwrap());
            }
            CorrelationIds::of(&headers, trusted, hop, &ids).request_id().unwrap().to_owned()
        };
        let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
        assert_eq!(marked(&["7b7c-1"], true), "7b7c-1");
        assert_eq!(marked(&[&longest], true), longest);
        for (lines, trusted) in [
            (vec!["7b7c-1"], false),
            (vec![], true),
            (vec![""], true),
            (vec!["two words"], true),
            (vec![&too_long], true),
            (vec!["7b7c-1", "7b7c-1"], true),
        ] {
            let fresh = marked(&lines, trusted);
            let digits = fresh.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
            assert!(fresh.len() == 32 && digits, "{lines:?}: {fresh}");
        }
        assert_ne!(marked(&[], false), marked(&[], false));
    }
}
