//! Where a message ends (RFC 9112 6.3), and what becomes of its connection (RFC 9112 9.3).

use judgement::traffic::head::HttpVersion;

use crate::head::Head;
use crate::known_field::KnownField;

/// How the body behind a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, and the head says nothing of one.
    None,
    /// Content-Length, in bytes. 0 where the head says so.
    Length(u64),
    /// Chunks, for a [`ChunkReader`](crate::ChunkReader).
    Chunked,
    /// All that comes before the connection is closed. Only responses.
    UntilClose,
}

impl Framing {
    /// Whether at least one byte follows the head.
    pub fn has_body(self) -> bool {
        !matches!(self, Framing::None | Framing::Length(0))
    }
}

/// What a request was: a response to HEAD has no body, whatever it says (RFC 9110 9.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    Head,
    Other,
}

impl RequestKind {
    /// Methods are case-sensitive.
    pub fn of(method: &[u8]) -> RequestKind {
        if method == b"HEAD" { RequestKind::Head } else { RequestKind::Other }
    }
}

impl Head {
    /// Of a request: neither a length nor a coding is no body.
    pub fn request_framing(&self) -> Framing {
        self.announced().unwrap_or(Framing::None)
    }

    /// Of a response to a request of this kind. An interim response, 204 and 304 have no body.
    pub fn response_framing(&self, request: RequestKind) -> Framing {
        match (request, self.start.status) {
            (RequestKind::Head, _) | (_, 100..=199 | 204 | 304) => Framing::None,
            _ => self.announced().unwrap_or(Framing::UntilClose),
        }
    }

    #[inline]
    fn announced(&self) -> Option<Framing> {
        if self.facts.chunked { Some(Framing::Chunked) } else { self.facts.length.map(Framing::Length) }
    }

    /// What Content-Length says, in bytes. It frames nothing in an answer to HEAD and in a 304, and is passed on all the same.
    pub fn content_length(&self) -> Option<u64> {
        self.facts.length
    }

    /// Whether the connection may carry another message behind this one, as far as its sender says: `close` always counts,
    /// and HTTP/1.0 must ask for it.
    pub fn keep_alive(&self) -> bool {
        !self.facts.close && (self.version != HttpVersion::Http10 || self.facts.keep_alive)
    }

    /// Whether a request's client waits for a 100 before it sends its body. RFC 9110 10.1.1: no expectation without a body,
    /// and none from HTTP/1.0. An origin that waits for the body which it has just allowed would take the next request for
    /// it; so where this is false, Expect must not be forwarded.
    pub fn expects_continue(&self) -> bool {
        self.has(KnownField::Expect) && self.version != HttpVersion::Http10 && self.request_framing().has_body()
    }

    /// Whether another protocol is asked for or, in a 101, switched to: Upgrade, and Connection names it (RFC 9110 7.8).
    /// HTTP/1.0 has no upgrades.
    pub fn upgrades(&self) -> bool {
        self.has(KnownField::Upgrade) && self.facts.names_upgrade && self.version != HttpVersion::Http10
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{HeadLimits, parse_request, parse_response};

    fn request(fields: &str, version: &str) -> Head {
        let mut head = Head::default();
        let text = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        parse_request(text.as_bytes(), &mut head, &HeadLimits::default()).unwrap();
        head
    }

    fn response(status: u16, fields: &str) -> Head {
        let mut head = Head::default();
        let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
        parse_response(text.as_bytes(), &mut head, &HeadLimits::default()).unwrap();
        head
    }

    #[test]
    fn a_message_ends_where_its_head_says() {
        assert_eq!(request("", "1.1").request_framing(), Framing::None);
        assert_eq!(request("Content-Length: 0\r\n", "1.1").request_framing(), Framing::Length(0));
        assert_eq!(request("Content-Length: 007\r\n", "1.0").request_framing(), Framing::Length(7));
        assert_eq!(request("Transfer-Encoding: Chunked\r\n", "1.1").request_framing(), Framing::Chunked);
        for (status, kind, fields, framing) in [
            (200, RequestKind::Other, "", Framing::UntilClose),
            (200, RequestKind::Other, "Content-Length: 3, 3\r\nContent-Length: 3\r\n", Framing::Length(3)),
            (200, RequestKind::Other, "Transfer-Encoding: chunked\r\n", Framing::Chunked),
            (200, RequestKind::Head, "Content-Length: 3\r\n", Framing::None),
            (100, RequestKind::Other, "", Framing::None),
            (204, RequestKind::Other, "Content-Length: 3\r\n", Framing::None),
            (304, RequestKind::Other, "Transfer-Encoding: chunked\r\n", Framing::None),
        ] {
            assert_eq!(response(status, fields).response_framing(kind), framing, "{status} {fields:?}");
        }
        assert_eq!(response(304, "Content-Length: 9\r\n").content_length(), Some(9));
    }

    #[test]
    fn a_connection_is_kept_where_both_versions_say_so() {
        for (version, fields, kept) in [
            ("1.1", "", true),
            ("1.1", "Connection: x, Close\r\n", false),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ] {
            assert_eq!(request(fields, version).keep_alive(), kept, "{version} {fields:?}");
        }
    }

    #[test]
    fn an_expectation_goes_with_a_body_and_an_upgrade_with_its_name() {
        let expect = "Expect: 100-Continue\r\n";
        assert!(request(&format!("{expect}Content-Length: 30\r\n"), "1.1").expects_continue());
        assert!(request(&format!("{expect}Transfer-Encoding: chunked\r\n"), "1.1").expects_continue());
        assert!(!request(expect, "1.1").expects_continue());
        assert!(!request(&format!("{expect}Content-Length: 00\r\n"), "1.1").expects_continue());
        assert!(!request(&format!("{expect}Content-Length: 30\r\n"), "1.0").expects_continue());
        assert!(request("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", "1.1").upgrades());
        assert!(!request("Upgrade: websocket\r\nConnection: keep-alive\r\n", "1.1").upgrades());
        assert!(!request("Connection: upgrade\r\n", "1.1").upgrades());
        assert!(!request("Upgrade: websocket\r\nConnection: upgrade\r\n", "1.0").upgrades());
    }
}
