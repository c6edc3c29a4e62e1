//! Host names: as requests carry them, and as services and rules name them.

use std::borrow::Cow;
use std::fmt;

use crate::traffic::RoutingError;
use crate::traffic::head::RequestHead;

/// A host of a service or of a rule, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Exact(String),
    /// `*.example.com`, kept as `example.com`: any name that ends in `.example.com`.
    Under(String),
}

impl HostPattern {
    /// Reads `shop.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// Why the text is neither, as a sentence for the user.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Err(
                "`*` is not a host: leave `hosts` out to catch every host that no other service names".to_owned()
            );
        }
        let (under, name) = text.strip_prefix("*.").map_or((false, text.as_str()), |rest| (true, rest));
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.contains(':') && !name.starts_with('[') {
            return Err(format!("`{text}` has a port: hosts are compared without one"));
        }
        if name.is_empty() || name.contains('*') || !is_host(name.as_bytes()) {
            return Err(format!("`{text}` is not a host name: write `shop.example.com` or `*.example.com`"));
        }
        let name = name.to_owned();
        Ok(if under { HostPattern::Under(name) } else { HostPattern::Exact(name) })
    }

    pub fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Exact(name) => name == host,
            HostPattern::Under(name) => {
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Under(name) => write!(f, "*.{name}"),
        }
    }
}

/// The request's host in lower case, without port and without one trailing dot; `None` if the request names none.
///
/// An absolute-form target is the host, whatever the Host line says (RFC 9112 3.2.2).
///
/// # Errors
/// [`RoutingError::BadHost`] for two Host lines or an invalid value.
pub fn of_request<'a>(head: &RequestHead<'a>) -> Result<Option<Cow<'a, str>>, RoutingError> {
    // Bytes that cannot be in a host are refused below.
    only_line(head.authority, head.host_lines)?
        .map(|sent| {
            let host = without_port(sent).ok_or(RoutingError::BadHost)?;
            let host = host.strip_suffix('.').unwrap_or(host);
            // Almost every client sends the name in lower case, and one pass over its bytes confirms that.
            if is_plain_name(host.as_bytes()) {
                return Ok(Cow::Borrowed(host));
            }
            if is_host(host.as_bytes()) {
                Ok(Cow::Owned(host.to_ascii_lowercase()))
            } else {
                Err(RoutingError::BadHost)
            }
        })
        .transpose()
}

/// The request's authority as the client sent it, port included: the target's own, or the only Host line. The first two
/// Host lines are enough to tell.
///
/// # Errors
/// [`RoutingError::BadHost`] for two Host lines, an empty one, or bytes that are not visible ASCII.
pub fn as_sent<'a>(
    authority: Option<&'a str>,
    host_lines: [Option<&'a [u8]>; 2],
) -> Result<Option<&'a str>, RoutingError> {
    let sent = only_line(authority, host_lines)?;
    let is_visible = |text: &str| text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    if sent.is_none_or(is_visible) { Ok(sent) } else { Err(RoutingError::BadHost) }
}

#[inline]
fn only_line<'a>(
    authority: Option<&'a str>,
    [first, second]: [Option<&'a [u8]>; 2],
) -> Result<Option<&'a str>, RoutingError> {
    if authority.is_some() {
        return Ok(authority);
    }
    match (first, second) {
        (None, _) => Ok(None),
        (Some(b""), _) | (_, Some(_)) => Err(RoutingError::BadHost),
        (Some(line), None) => std::str::from_utf8(line).map(Some).map_err(|_| RoutingError::BadHost),
    }
}

fn without_port(authority: &str) -> Option<&str> {
    let port_at = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(port_at)?;
    match port.strip_prefix(':') {
        None if port.is_empty() => Some(host),
        None => None,
        Some(digits)
            if digits.is_empty() || digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok() =>
        {
            Some(host)
        }
        Some(_) => None,
    }
}

/// A valid host, as [`is_host`] defines it, in lower case.
fn is_plain_name(host: &[u8]) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
    matches!(host.len(), 1..=253) && !host.starts_with(b".") && host.iter().all(is_plain)
}

/// Letters, digits, `-`, `.`, `_`, or an address in brackets: what DNS and certificates know. RFC 3986 allows more in a
/// reg-name, but no browser sends it, and every extra byte is one that two programs may read differently.
fn is_host(host: &[u8]) -> bool {
    match host {
        [b'[', inside @ .., b']'] => {
            !inside.is_empty() && inside.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        _ => {
            !host.is_empty()
                && host.len() <= 253
                && !host.starts_with(b".")
                && host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::head::{FieldList, HttpVersion};

    fn host_of(authority: Option<&str>, lines: &[&str]) -> Result<Option<String>, RoutingError> {
        let host_lines = [0, 1].map(|at| lines.get(at).map(|line| line.as_bytes()));
        let fields = &FieldList(&[]);
        let (method, version, path, query) = ("GET", HttpVersion::Http11, "/", None);
        let client = std::net::IpAddr::from([192, 0, 2, 1]);
        let head = RequestHead { method, version, authority, host_lines, path, query, fields, client };
        of_request(&head).map(|host| host.map(Cow::into_owned))
    }

    #[test]
    fn hosts_lose_port_case_and_trailing_dot() {
        for (line, host) in [
            ("shop.example.com", "shop.example.com"),
            ("Shop.Example.COM:8080", "shop.example.com"),
            ("shop.example.com.", "shop.example.com"),
            ("[::1]:80", "[::1]"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(host_of(None, &[line]), Ok(Some(host.to_owned())), "{line}");
        }
        assert_eq!(host_of(Some("a.test:1"), &["b.test"]), Ok(Some("a.test".to_owned())));
        assert_eq!(host_of(None, &[]), Ok(None));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for line in ["", "a b", "a/b", "user@a", "a:port", "a:99999", "[::1", "[::1]x", "a..b/", ".", "a%41"] {
            assert_eq!(host_of(None, &[line]), Err(RoutingError::BadHost), "{line}");
        }
        assert_eq!(host_of(None, &["a.test", "a.test"]), Err(RoutingError::BadHost));
    }

    #[test]
    fn a_wildcard_wants_at_least_one_label() {
        let pattern = HostPattern::parse("*.Example.com").unwrap();
        assert!(pattern.matches("a.example.com") && pattern.matches("a.b.example.com"));
        assert!(
            !pattern.matches("example.com") && !pattern.matches("notexample.com") && !pattern.matches(".example.com")
        );
        for text in ["*", "", "a.*.com", "shop.example.com:80", "http://a", "*."] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
