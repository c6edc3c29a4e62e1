//! Where clients are sent instead: from http to https, or as a route says.

use http1::HeadView;

use crate::head::path_rewrite::{RewrittenPath, rewrite};
use crate::head::{ClientScheme, host_as_sent};
use memory::snapshot::{PathRewrite, RedirectPiece, RedirectTarget};

/// The address that a route sends its clients to; `None` if it names the request's host, and the request names none.
/// `https`: how the client came. `how`: what the route makes of paths.
pub fn redirect_target(
    head: HeadView<'_>,
    target: &RedirectTarget,
    how: Option<&PathRewrite>,
    https: bool,
) -> Option<String> {
    let mut location = String::with_capacity(128);
    let path = head.path();
    // `OPTIONS *` is about the whole server.
    let path = if path == "*" { "/" } else { path };
    for piece in &target.pieces {
        match piece {
            RedirectPiece::Text(text) => location.push_str(text),
            RedirectPiece::Scheme => location.push_str(ClientScheme::of_connection(https).name()),
            RedirectPiece::Host => location.push_str(without_port(host_as_sent(head).filter(|host| !host.is_empty())?)),
            RedirectPiece::Path => match how.map(|how| rewrite(path, how)) {
                Some(RewrittenPath { added, rest, .. }) => {
                    location.push_str(added);
                    location.push_str(&rest);
                }
                None => location.push_str(path),
            },
        }
    }
    // Two slashes at the beginning would be another host, for browsers also a slash and a backslash.
    if location.starts_with("//") || location.starts_with("/\\") {
        location.insert_str(0, "/.");
    }
    if let (Some(join), Some(query)) = (target.query, head.query()) {
        location.push(join);
        location.push_str(query);
    }
    Some(location)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The same URL by https on this port; `None` if the request names no host, or no path of it.
pub fn redirect_to_https(head: HeadView<'_>, port: u16) -> Option<String> {
    let host = host_as_sent(head).filter(|host| !host.is_empty())?;
    let path = head.path();
    let target = match head.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    path.starts_with('/').then(|| location(host, port, &target))
}

fn location(host: &str, port: u16, path: &str) -> String {
    // The port that the client used was the plain one's.
    let name = without_port(host);
    if port == 443 { format!("https://{name}{path}") } else { format!("https://{name}:{port}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::{request, request_in};

    #[test]
    fn the_same_url_by_https() {
        assert_eq!(location("shop.test:8080", 443, "/a?b=c"), "https://shop.test/a?b=c");
        assert_eq!(location("shop.test", 8443, "/"), "https://shop.test:8443/");
        assert_eq!(location("[::1]:8080", 443, "/"), "https://[::1]/");
        assert_eq!(location("[::1]", 443, "/"), "https://[::1]/");
    }

    #[test]
    fn a_routes_address_is_put_together_from_the_request() {
        let text = |text: &str| RedirectPiece::Text(text.into());
        let how = PathRewrite { strip: "/old".into(), add: "/new".into() };
        let to = |line: &str, pieces: &[RedirectPiece], query| {
            let target = RedirectTarget { status: 302, pieces: pieces.into(), query };
            redirect_target(request(line, &["Host: Shop.test:8080"]).view(), &target, Some(&how), true)
        };
        let (scheme, host, path) = (RedirectPiece::Scheme, RedirectPiece::Host, RedirectPiece::Path);
        let whole = [scheme, text("://"), host, text(":81"), path.clone()];
        assert_eq!(to("GET /old/a%2Fb?c=d", &whole, Some('?')).as_deref(), Some("https://Shop.test:81/new/a%2Fb?c=d"));
        assert_eq!(
            to("GET /x?c", &[text("https://a.test"), path.clone()], None).as_deref(),
            Some("https://a.test/new/x")
        );
        assert_eq!(to("GET /?c", &[text("/a?b")], Some('&')).as_deref(), Some("/a?b&c"));
        assert_eq!(
            to("OPTIONS *", &[text("https://a.test"), path.clone()], None).as_deref(),
            Some("https://a.test/new/")
        );
        let plain = PathRewrite { strip: "/old".into(), add: "".into() };
        let target = RedirectTarget { status: 302, pieces: [path].into(), query: None };
        for (line, location) in [
            ("GET /old//evil.test", "/evil.test"),
            ("GET //evil.test", "/.//evil.test"),
            ("GET /\\evil.test", "/./\\evil.test"),
        ] {
            let sample = request(line, &[]);
            let to = redirect_target(sample.view(), &target, Some(&plain), false);
            assert_eq!(to.as_deref(), Some(location), "no other host is named");
        }
    }

    #[test]
    fn a_target_of_any_form_has_its_url() {
        let to = |line: &str, port| redirect_to_https(request(line, &[]).view(), port);
        assert_eq!(to("GET /a?b=c", 443).as_deref(), Some("https://shop.test/a?b=c"));
        assert_eq!(to("GET http://www.test:80?b", 8443).as_deref(), Some("https://www.test:8443/?b"));
        assert_eq!(to("OPTIONS *", 443), None);
        assert_eq!(
            redirect_to_https(request_in("HTTP/1.0", "GET http://a.test", &[]).view(), 443).as_deref(),
            Some("https://a.test/")
        );
    }
}
