//! What an origin calls itself, and what its clients call it.
//!
//! An origin that is asked by another name or path than the client has used writes these into its answers: redirects,
//! cookies. They are mapped back, so that a browser stays at the front, as nginx does with `proxy_redirect`,
//! `proxy_cookie_domain` and `proxy_cookie_path`. Whatever does not name the origin passes byte for byte.

use http1::{FieldLine, FieldSet, HeadView, KnownField};

use crate::head::client_scheme::ClientScheme;
use crate::head::path_rewrite::{RewrittenPath, rewrite};
use memory::snapshot::{Endpoint, PathRewrite};
use url::Url;

/// The fields of a response in which an origin names itself.
const NAMING: FieldSet =
    FieldSet::of(&[KnownField::ContentLocation, KnownField::Location, KnownField::Refresh, KnownField::SetCookie]);

/// An origin, and what the client has called it.
#[derive(Clone, Copy, Debug)]
pub struct Front<'a> {
    /// Who has answered.
    pub endpoint: &'a Endpoint,
    /// As the client sent it, port included.
    pub host: Option<&'a str>,
    /// The client came by https.
    pub https: bool,
}

/// Whether a redirect leads its client to the address that it has just asked for.
pub fn leads_back(front: &Front<'_>, request: HeadView<'_>, response: HeadView<'_>) -> bool {
    let Some(location) = response.first(KnownField::Location) else { return false };
    // Few responses redirect, so these may allocate, and the rules for relative addresses are a library's.
    let mut url = Vec::new();
    front.write_url(&mut url, location);
    let scheme = ClientScheme::of_connection(front.https).name();
    // A client of HTTP/1.0 may name no host; then a redirect that names one leads elsewhere.
    let host = front.host.unwrap_or("unnamed.invalid");
    let query = request.query().map_or(String::new(), |query| format!("?{query}"));
    let asked = Url::parse(&format!("{scheme}://{host}{}{query}", request.path())).ok();
    let told = std::str::from_utf8(&url).ok().zip(asked.as_ref()).and_then(|(url, asked)| asked.join(url).ok());
    let Some((asked, mut told)) = asked.zip(told) else { return false };
    told.set_fragment(None);
    asked == told
}

/// A value in pieces, most of them empty.
type Pieces<'v> = [&'v [u8]; 5];

/// A URL with a scheme and an authority, or with the latter alone.
#[derive(Clone, Copy)]
struct AbsoluteUrl<'v> {
    scheme: Option<ClientScheme>,
    authority: &'v [u8],
    /// Path, query and fragment.
    target: &'v [u8],
}

impl<'v> AbsoluteUrl<'v> {
    fn parse(text: &'v [u8]) -> Option<AbsoluteUrl<'v>> {
        let (scheme, rest) = if let Some(rest) = without_prefix(text, b"https:") {
            (Some(ClientScheme::Https), rest)
        } else if let Some(rest) = without_prefix(text, b"http:") {
            (Some(ClientScheme::Http), rest)
        } else {
            (None, text)
        };
        let rest = rest.strip_prefix(b"//")?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end)?;
        Some(AbsoluteUrl { scheme, authority, target })
    }
}

impl<'a> Front<'a> {
    /// Appends a field of the response as its client is to read it.
    fn write(&self, out: &mut Vec<u8>, line: &FieldLine<'_>) {
        out.extend_from_slice(line.name);
        out.extend_from_slice(b": ");
        match line.id {
            KnownField::SetCookie => self.write_cookie(out, line.value),
            KnownField::Refresh => {
                let (before, url, after) = refreshed(line.value);
                out.extend_from_slice(before);
                self.write_url(out, url);
                out.extend_from_slice(after);
            }
            _ => self.write_url(out, line.value),
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_url(&self, out: &mut Vec<u8>, url: &[u8]) {
        match self.mapped(url) {
            Some(pieces) => pieces.iter().for_each(|piece| out.extend_from_slice(piece)),
            None => out.extend_from_slice(url),
        }
    }

    /// The URL by which the client finds this one; `None` if it is not the origin's, or not below its base path.
    fn mapped<'v>(&self, text: &'v [u8]) -> Option<Pieces<'v>>
    where
        'a: 'v,
    {
        let base = self.endpoint.base_path.as_bytes();
        let Some(url) = AbsoluteUrl::parse(text) else {
            if base.is_empty() || !text.starts_with(b"/") {
                return None;
            }
            let (root, target) = without_base(text, base)?;
            return Some([b"", b"", b"", root_of_path(root, target), target]);
        };
        if !self.is_own(&url) {
            return None;
        }
        let (root, target) = without_base(url.target, base)?;
        let Some(host) = self.host else {
            let root = if target.is_empty() { b"/" } else { root };
            return Some([b"", b"", b"", root_of_path(root, target), target]);
        };
        let Some(says) = url.scheme else { return Some([b"", b"//", host.as_bytes(), root, target]) };
        // An origin that says https although neither it nor its client is asked so sends the client there: to map that back
        // would be a circle. One with an https URL of its own may mean nothing but that.
        let is_meant = self.endpoint.tls.is_none() || self.endpoint.preserves_host;
        let upgrades = says == ClientScheme::Https && !self.https && is_meant;
        if upgrades {
            return Some([b"https", b"://", split_port(host.as_bytes()).0, root, target]);
        }
        let scheme = ClientScheme::of_connection(self.https).name().as_bytes();
        Some([scheme, b"://", host.as_bytes(), root, target])
    }

    /// Whether a URL names the origin: by the host that it was asked by or the one it is reached at, and by no other port.
    fn is_own(&self, url: &AbsoluteUrl<'_>) -> bool {
        let (host, port) = split_port(url.authority);
        let default: &[u8] = match url.scheme {
            Some(ClientScheme::Https) => b"443",
            Some(ClientScheme::Http) => b"80",
            None => b"",
        };
        let port = port.filter(|port| *port != default);
        if self.endpoint.preserves_host {
            let Some((front, front_port)) = self.host.map(|host| split_port(host.as_bytes())) else { return false };
            let default: &[u8] = if self.https { b"443" } else { b"80" };
            let front_port = front_port.filter(|port| *port != default);
            // nginx adds the port that it listens on itself.
            return host.eq_ignore_ascii_case(front)
                && (port == front_port || port.is_some_and(|port| self.listens(port)));
        }
        self.names().any(|(own, own_port)| {
            let is_port = |port: &[u8]| own_port == Some(port) || self.listens(port);
            host.eq_ignore_ascii_case(own) && port.is_none_or(is_port)
        })
    }

    /// What the origin is called besides what its clients call it: host and port.
    fn names(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        [&self.endpoint.authority, &self.endpoint.url_authority].into_iter().map(|name| split_port(name.as_bytes()))
    }

    fn listens(&self, port: &[u8]) -> bool {
        std::str::from_utf8(port).is_ok_and(|port| port.parse() == Ok(self.endpoint.address.port()))
    }

    /// Appends a cookie's attributes as they are, but for the origin's own domain, without which the cookie is the front's,
    /// and its base path.
    fn write_cookie(&self, out: &mut Vec<u8>, value: &[u8]) {
        for (place, part) in value.split(|byte| *byte == b';').enumerate() {
            let (name, attribute) = attribute(part);
            let is = |wanted: &[u8]| place > 0 && name.eq_ignore_ascii_case(wanted);
            if is(b"domain") && self.is_own_domain(attribute) {
                continue;
            }
            if place > 0 {
                out.push(b';');
            }
            let base = self.endpoint.base_path.as_bytes();
            let path = attribute.strip_prefix(base).filter(|_| is(b"path") && !base.is_empty());
            match path.filter(|path| path.is_empty() || path.starts_with(b"/")) {
                Some(path) => {
                    let end = part.trim_ascii_end().len();
                    out.extend_from_slice(part.get(..end - attribute.len()).unwrap_or_default());
                    out.extend_from_slice(if path.is_empty() { b"/" } else { path });
                    out.extend_from_slice(part.get(end..).unwrap_or_default());
                }
                None => out.extend_from_slice(part),
            }
        }
    }

    /// Whether a cookie's domain is the origin's, or a parent of it, and no browser at the front would take it.
    fn is_own_domain(&self, domain: &[u8]) -> bool {
        let domain = domain.strip_prefix(b".").unwrap_or(domain);
        let front = self.host.map(|host| split_port(host.as_bytes()).0);
        !self.endpoint.preserves_host
            && !domain.is_empty()
            && self.names().any(|(own, _)| is_under(own, domain))
            && !front.is_some_and(|front| is_under(front, domain))
    }
}

/// Appends the Destination of a WebDAV request (RFC 4918 10.3) as the origin knows it, which compares it with its own name
/// and refuses any other. One that does not name the front passes as it is.
/// `how`: what its path becomes.
pub(super) fn write_destination(
    out: &mut Vec<u8>,
    endpoint: &Endpoint,
    front: Option<&str>,
    how: Option<&PathRewrite>,
    value: &[u8],
) {
    out.extend_from_slice(b"Destination: ");
    let base = endpoint.base_path.as_bytes();
    match (AbsoluteUrl::parse(value), front) {
        (Some(url), Some(front)) if is_same_host(url, front) => {
            let scheme = ClientScheme::of_connection(endpoint.tls.is_some()).name();
            for piece in [scheme, "://", sent_host(endpoint, Some(front))] {
                out.extend_from_slice(piece.as_bytes());
            }
            out.extend_from_slice(base);
            write_target(out, url.target, how);
        }
        (None, _) if value.starts_with(b"/") => {
            out.extend_from_slice(base);
            write_target(out, value, how);
        }
        _ => out.extend_from_slice(value),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends path and query as the origin is sent those of requests.
fn write_target(out: &mut Vec<u8>, target: &[u8], how: Option<&PathRewrite>) {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
    let (path, query) = target.split_at_checked(end).unwrap_or((target, b""));
    let path = std::str::from_utf8(path).ok();
    let Some(RewrittenPath { added, rest, .. }) = how.zip(path).map(|(how, path)| rewrite(path, how)) else {
        return out.extend_from_slice(target);
    };
    for piece in [added.as_bytes(), rest.as_bytes(), query] {
        out.extend_from_slice(piece);
    }
}

/// The Host that an origin is sent. `front`: the client's.
pub(super) fn sent_host<'a>(endpoint: &'a Endpoint, front: Option<&'a str>) -> &'a str {
    front.filter(|_| endpoint.preserves_host).unwrap_or(&endpoint.authority)
}

/// Whether a response has a field in which origins name themselves: most have none.
#[inline]
pub fn may_name_origin(response: HeadView<'_>) -> bool {
    let present = response.head().known_fields();
    present.without(NAMING) != present
}

/// Appends the lines of a response that are wanted, as they were sent but for those that name the origin.
pub(super) fn copy_lines<F: Fn(&FieldLine<'_>) -> bool>(
    out: &mut Vec<u8>,
    response: HeadView<'_>,
    front: Option<&Front<'_>>,
    wanted: F,
) {
    let Some(front) = front.filter(|_| may_name_origin(response)) else {
        return response.copy_lines(out, wanted);
    };
    for line in response.walk().filter(wanted) {
        if NAMING.has(line.id) {
            front.write(out, &line);
        } else {
            response.copy_line(out, &line);
        }
    }
}

/// With or without the port that is the scheme's own.
fn is_same_host(url: AbsoluteUrl<'_>, front: &str) -> bool {
    let is_default = |port: &[u8]| {
        matches!((url.scheme, port), (Some(ClientScheme::Https), b"443") | (Some(ClientScheme::Http), b"80"))
    };
    let parts = |authority| {
        let (host, port) = split_port(authority);
        (host, port.filter(|port| !is_default(port)))
    };
    let ((host, port), (front, front_port)) = (parts(url.authority), parts(front.as_bytes()));
    host.eq_ignore_ascii_case(front) && port == front_port
}

/// What follows the base path, and what a path without it begins with instead: a slash where none follows.
fn without_base<'v>(target: &'v [u8], base: &[u8]) -> Option<(&'static [u8], &'v [u8])> {
    let rest = target.strip_prefix(base)?;
    match rest.first() {
        Some(b'/') => Some((b"", rest)),
        None | Some(b'?' | b'#') if base.is_empty() => Some((b"", rest)),
        None | Some(b'?' | b'#') => Some((b"/", rest)),
        Some(_) => None,
    }
}

/// Two slashes at the beginning would be another host, for browsers also a slash and a backslash, or with a tab between.
fn root_of_path(root: &'static [u8], target: &[u8]) -> &'static [u8] {
    match target {
        [b'/', b'/' | b'\\' | b'\t', ..] => b"/.",
        _ => root,
    }
}

/// Host, with its brackets, and port of an authority.
fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    match colon.and_then(|colon| Some((authority.get(..colon)?, authority.get(colon + 1..)?))) {
        Some((host, port)) if port.iter().all(u8::is_ascii_digit) => (host, Some(port).filter(|port| !port.is_empty())),
        _ => (authority, None),
    }
}

/// Whether a host is this domain or one of its names.
fn is_under(host: &[u8], domain: &[u8]) -> bool {
    let Some(end) = host.len().checked_sub(domain.len()) else { return false };
    let (before, name) = host.split_at(end);
    name.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with(b"."))
}

/// Name and value of a cookie's attribute, without white space.
fn attribute(part: &[u8]) -> (&[u8], &[u8]) {
    let equals = part.iter().position(|byte| *byte == b'=').unwrap_or(part.len());
    let (name, value) = part.split_at(equals);
    (name.trim_ascii(), value.strip_prefix(b"=").unwrap_or_default().trim_ascii())
}

/// A value of Refresh: the time with what introduces the URL, the URL, and what follows it. It is no standard's; browsers
/// read it as HTML says (4.2.5.3, "shared declarative refresh steps").
fn refreshed(value: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let whole = (value, &b""[..], &b""[..]);
    let Some(end) = value.iter().position(|byte| matches!(byte, b';' | b',')) else { return whole };
    let mut rest = value.get(end + 1..).unwrap_or_default().trim_ascii_start();
    if let Some(url) = without_prefix(rest, b"url").and_then(|rest| rest.trim_ascii_start().strip_prefix(b"=")) {
        rest = url.trim_ascii_start();
    }
    let url = match rest {
        [quote @ (b'"' | b'\''), quoted @ ..] => quoted.split(|byte| byte == quote).next().unwrap_or(quoted),
        bare => bare,
    };
    let quote = usize::from(matches!(rest, [b'"' | b'\'', ..]));
    let start = value.len() - rest.len() + quote;
    let after = value.get(start + url.len()..).unwrap_or_default();
    (value.get(..start).unwrap_or_default(), url, after)
}

fn without_prefix<'v>(text: &'v [u8], prefix: &[u8]) -> Option<&'v [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
