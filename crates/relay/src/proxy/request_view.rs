//! A request as the judgement reads it, and what is asked of its head in the judgement's terms.

use std::net::IpAddr;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Version};
use judgement::traffic::RoutingError;
use judgement::traffic::head::{HeaderField, HeaderFields, HttpVersion, RequestHead};
use judgement::traffic::{host, retry};
use smallvec::SmallVec;

/// Header fields beyond this many cost an allocation; browsers send about twenty.
const ON_THE_STACK: usize = 32;

/// The header fields of one request, on the stack.
pub struct RequestView<'a> {
    parts: &'a Parts,
    client: IpAddr,
    fields: SmallVec<[HeaderField<'a>; ON_THE_STACK]>,
}

impl<'a> RequestView<'a> {
    #[inline]
    pub fn new(parts: &'a Parts, client: IpAddr) -> RequestView<'a> {
        let fields = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        RequestView { parts, client, fields }
    }

    #[inline]
    pub fn head(&self) -> RequestHead<'_> {
        let uri = &self.parts.uri;
        RequestHead {
            method: self.parts.method.as_str(),
            version: match self.parts.version {
                Version::HTTP_11 => HttpVersion::Http11,
                Version::HTTP_2 => HttpVersion::Http2,
                Version::HTTP_3 => HttpVersion::Http3,
                _ => HttpVersion::Http10,
            },
            authority: uri.authority().map(|authority| authority.as_str()),
            path: uri.path(),
            query: uri.query(),
            fields: HeaderFields::new(&self.fields),
            client: self.client,
        }
    }
}

/// The request's authority as the client sent it, port included.
///
/// # Errors
/// [`RoutingError::BadHost`] for two Host lines, or one that is not text.
pub fn host_as_sent(parts: &Parts) -> Result<Option<&str>, RoutingError> {
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    host::as_sent(authority, parts.headers.get_all(HOST).iter().map(|line| line.as_bytes()))
}

/// The length of the body that the head announces, in bytes.
pub fn announced_length(headers: &HeaderMap) -> u64 {
    retry::announced_length(headers.get(http::header::CONTENT_LENGTH).map(|length| length.as_bytes()))
}

/// Whether the request may be sent a second time.
pub fn is_repeatable(parts: &Parts) -> bool {
    retry::is_repeatable(parts.method.as_str(), parts.headers.contains_key(retry::IDEMPOTENCY_KEY))
}
