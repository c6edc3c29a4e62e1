//! From http to https.

use pingora_http::RequestHeader;

use crate::proxy::request_view::host_as_sent;

/// The same URL by https on this port; `None` if the request names no host, or no path of it.
pub fn to_https(request: &RequestHeader, port: u16) -> Option<String> {
    let host = host_as_sent(request).ok().flatten().filter(|host| !host.is_empty())?;
    let path = request.raw_path();
    path.starts_with(b"/").then(|| location(host, port, &String::from_utf8_lossy(path)))
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

    #[test]
    fn the_same_url_by_https() {
        assert_eq!(location("shop.test:8080", 443, "/a?b=c"), "https://shop.test/a?b=c");
        assert_eq!(location("shop.test", 8443, "/"), "https://shop.test:8443/");
        assert_eq!(location("[::1]:8080", 443, "/"), "https://[::1]/");
        assert_eq!(location("[::1]", 443, "/"), "https://[::1]/");
    }
}
