//! A request as the judgement reads it, and questions about its head in the judgement's terms.

use std::net::IpAddr;
use std::ops::ControlFlow;

use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::request::Parts;
use http::{HeaderMap, Version};
use judgement::traffic::RoutingError;
use judgement::traffic::head::{HeaderSource, HttpVersion, NameMask, RequestHead};
use judgement::traffic::{host, retry};

/// A header map in which the judgement looks up fields.
#[derive(Debug)]
pub struct HeaderLookup<'a>(pub &'a HeaderMap);

impl HeaderSource for HeaderLookup<'_> {
    #[inline]
    fn names(&self) -> NameMask {
        let mut names = NameMask::default();
        self.0.keys().for_each(|name| names.add(NameMask::of(name.as_str())));
        names
    }

    #[inline]
    fn visit<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8]) -> ControlFlow<()>) {
        // The fields that most requests are asked for are looked up without parsing their names.
        let values = match name {
            "cookie" => self.0.get_all(&COOKIE),
            _ => self.0.get_all(name),
        };
        // Whether it was enough is the visitor's business.
        let _ = values.iter().map(|value| value.as_bytes()).try_for_each(each);
    }
}

/// The head as the judgement reads it.
#[inline]
pub fn head<'a>(parts: &'a Parts, fields: &'a HeaderLookup<'a>, client: IpAddr) -> RequestHead<'a> {
    RequestHead {
        method: parts.method.as_str(),
        version: match parts.version {
            Version::HTTP_11 => HttpVersion::Http11,
            Version::HTTP_2 => HttpVersion::Http2,
            Version::HTTP_3 => HttpVersion::Http3,
            _ => HttpVersion::Http10,
        },
        authority: parts.uri.authority().map(|authority| authority.as_str()),
        host_lines: host_lines(parts),
        path: parts.uri.path(),
        query: parts.uri.query(),
        fields,
        client,
    }
}

/// The request's authority as the client sent it, port included.
///
/// # Errors
/// [`RoutingError::BadHost`] for two Host lines, or one that is not text.
pub fn host_as_sent(parts: &Parts) -> Result<Option<&str>, RoutingError> {
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    host::as_sent(authority, host_lines(parts))
}

#[inline]
fn host_lines(parts: &Parts) -> [Option<&[u8]>; 2] {
    let mut lines = parts.headers.get_all(&HOST).iter().map(|line| line.as_bytes());
    [lines.next(), lines.next()]
}

/// The length of the body that the head announces, in bytes.
pub fn announced_length(headers: &HeaderMap) -> u64 {
    retry::announced_length(headers.get(CONTENT_LENGTH).map(|length| length.as_bytes()))
}

/// Whether the request may be sent a second time.
pub fn is_repeatable(parts: &Parts) -> bool {
    retry::is_repeatable(parts.method.as_str(), parts.headers.contains_key(retry::IDEMPOTENCY_KEY))
}
