//! Which host names a request may use, and which pages may send one.
//!
//! A page anywhere on the web can make its own name resolve to a loopback address, and a browser then lets it read the
//! responses; so the Host must be one of the listener's names. A page can also make a browser send requests whose
//! responses it cannot read; so requests that change something must not come from another origin.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method, header};

use crate::admin::error::ApiError;

/// The names of the admin listener, in lower case.
#[derive(Clone, Debug)]
pub struct Hosts {
    own: Vec<String>,
    /// The names from the file, each with a certain port or with any.
    more: Vec<String>,
    /// It listens on every address. An address, unlike a name, cannot be made to resolve to another one.
    any_address: bool,
}

impl Hosts {
    pub fn new(listen: SocketAddr, more: &[String]) -> Hosts {
        let port = listen.port();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned(), bare(listen.ip())];
        let mut own: Vec<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
        // The ports that clients leave out.
        if matches!(port, 80 | 443) {
            own.extend(names);
        }
        Hosts { own, more: more.to_vec(), any_address: listen.ip().is_unspecified() }
    }

    pub fn has(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let without_port = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host.as_str(),
        };
        let is_address = || without_port.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        self.own.contains(&host)
            || self.more.iter().any(|more| *more == host || *more == without_port)
            || self.any_address && is_address()
    }
}

fn bare(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The host that the request asks for: the authority of an absolute target takes precedence over Host (RFC 9112 3.2.2).
/// If there are two Hosts, there is none.
pub fn asked<'r>(uri: &'r http::Uri, headers: &'r HeaderMap) -> &'r str {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| host.to_str().ok());
    match uri.authority() {
        Some(authority) => authority.as_str(),
        None => host.unwrap_or(""),
    }
}

/// # Errors
/// A browser reports that the request comes from a page of another origin.
pub fn same_origin(method: &Method, host: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = text("origin").is_none_or(|origin| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    });
    if site && origin {
        return Ok(());
    }
    Err(ApiError::new(403, "cross_site", "requests from pages of another site are refused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_answered() {
        let hosts = Hosts::new("127.0.0.1:9700".parse().unwrap(), &["cutover.internal".into(), "ops:1234".into()]);
        for host in ["127.0.0.1:9700", "localhost:9700", "LOCALHOST:9700", "[::1]:9700", "cutover.internal"] {
            assert!(hosts.has(host), "{host}");
        }
        for host in ["cutover.internal:443", "Cutover.Internal:9700", "ops:1234"] {
            assert!(hosts.has(host), "{host}");
        }
        for host in
            ["", "evil.test", "evil.test:9700", "localhost", "127.0.0.1", "10.0.0.1:9700", "ops", "ops:9", "x.ops:1234"]
        {
            assert!(!hosts.has(host), "{host}");
        }
        let everywhere = Hosts::new("0.0.0.0:9700".parse().unwrap(), &[]);
        for (host, has) in [
            ("10.0.0.1:80", true),
            ("[2001:db8::1]:9700", true),
            ("evil.test:9700", false),
            ("10.0.0.1.evil.test", false),
        ] {
            assert_eq!(everywhere.has(host), has, "{host}");
        }
        assert!(Hosts::new("127.0.0.1:443".parse().unwrap(), &[]).has("localhost"));
    }

    #[test]
    fn what_changes_something_comes_from_no_other_page() {
        for (method, name, value, good) in [
            (Method::POST, "accept", "*/*", true),
            (Method::POST, "sec-fetch-site", "same-origin", true),
            (Method::POST, "sec-fetch-site", "none", true),
            (Method::POST, "sec-fetch-site", "cross-site", false),
            (Method::PUT, "sec-fetch-site", "same-site", false),
            (Method::DELETE, "origin", "http://evil.test", false),
            (Method::POST, "origin", "null", false),
            (Method::POST, "origin", "http://localhost:9700", true),
            (Method::POST, "origin", "https://LOCALHOST:9700", true),
            (Method::GET, "origin", "http://evil.test", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::HeaderName::from_static(name), value.parse().unwrap());
            assert_eq!(same_origin(&method, "localhost:9700", &headers).is_ok(), good, "{method} {name}: {value}");
        }
    }
}
