//! Questions about a request's head in the judgement's terms.

use http1::{HeadView, KnownField};

use judgement::traffic::{host, retry};

/// The request's authority as the client sent it, port included; `None` if it names none that is text, or two.
pub fn host_as_sent<'a>(head: HeadView<'a>) -> Option<&'a str> {
    let mut lines = head.all(KnownField::Host);
    host::as_sent(head.authority(), [lines.next(), lines.next()]).ok().flatten()
}

/// Whether the request may be sent a second time.
pub fn is_repeatable(head: HeadView<'_>) -> bool {
    retry::is_repeatable(head.method(), head.head().has(KnownField::IdempotencyKey))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::{request, request_in};

    #[test]
    fn a_host_is_the_targets_or_the_only_lines() {
        assert_eq!(host_as_sent(request("GET /", &["Host: Shop.test:8080"]).view()), Some("Shop.test:8080"));
        assert_eq!(host_as_sent(request("GET http://a.test:81/", &["Host: a.test:81"]).view()), Some("a.test:81"));
        assert_eq!(host_as_sent(request("GET /", &["Host: \u{e4}"]).view()), None);
        assert_eq!(host_as_sent(request_in("HTTP/1.0", "GET http://a.test", &[]).view()), Some("a.test"));
    }

    #[test]
    fn safe_methods_are_repeated_and_others_with_a_key() {
        assert!(is_repeatable(request("GET /", &[]).view()) && !is_repeatable(request("POST /", &[]).view()));
        assert!(is_repeatable(request("POST /", &["idempotency-KEY: 1"]).view()));
    }
}
