//! From http to https.

use http1::HeadView;

use crate::head::host_as_sent;

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
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
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
