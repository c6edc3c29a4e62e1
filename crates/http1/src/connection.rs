//! What a head asks of its connection, beyond whether it is kept: upgrades, trailers, and how long an origin waits.

use crate::known_field::KnownField;
use crate::view::HeadView;

impl HeadView<'_> {
    /// Whether a request asks for a WebSocket and for nothing else: by a GET without a body, in two headers (RFC 9110 7.8,
    /// RFC 6455 4.1).
    pub fn asks_for_websocket(self) -> bool {
        let is_websocket = || {
            let mut lines = self.all(KnownField::Upgrade);
            lines.next().is_some_and(|name| name.eq_ignore_ascii_case(b"websocket")) && lines.next().is_none()
        };
        self.head().upgrades() && self.method() == "GET" && !self.head().request_framing().has_body() && is_websocket()
    }

    /// Whether a request says that trailers are read (RFC 9110 10.1.4).
    pub fn accepts_trailers(self) -> bool {
        let mut members = self.all(KnownField::Te).flat_map(|value| value.split(|byte| *byte == b','));
        members.any(|member| member.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    }

    /// How long a response's sender keeps the connection when nothing is sent, in seconds: `Keep-Alive: timeout=5`
    /// (RFC 2068 19.7.1.1). `None` if it does not say so, or not in digits.
    pub fn keep_alive_seconds(self) -> Option<u32> {
        let mut members = self.all(KnownField::KeepAlive).flat_map(|value| value.split(|byte| *byte == b','));
        members.find_map(|member| {
            let (name, value) = member.trim_ascii().split_at_checked("timeout=".len())?;
            if !name.eq_ignore_ascii_case(b"timeout=") || !value.iter().all(u8::is_ascii_digit) {
                return None;
            }
            std::str::from_utf8(value).ok()?.parse().ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::head::Head;
    use crate::parse::{HeadLimits, parse_request, parse_response};

    #[test]
    fn an_upgrade_is_a_get_that_says_so_twice() {
        let asks = |method: &str, fields: &str| {
            let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            let mut head = Head::default();
            parse_request(text.as_bytes(), &mut head, &HeadLimits::default()).unwrap();
            head.view(text.as_bytes()).asks_for_websocket()
        };
        assert!(asks("GET", "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade"));
        assert!(!asks("GET", "Upgrade: h2c\r\nConnection: keep-alive, Upgrade"));
        assert!(!asks("GET", "Upgrade: websocket, h2c\r\nConnection: Upgrade"));
        assert!(!asks("GET", "Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: Upgrade"));
        assert!(!asks("GET", "Upgrade: websocket\r\nConnection: keep-alive"));
        assert!(!asks("POST", "Upgrade: websocket\r\nConnection: Upgrade"));
        assert!(!asks("GET", "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5"));
    }

    #[test]
    fn trailers_are_accepted_by_those_who_say_so() {
        for (fields, accepted) in [
            ("TE: trailers", true),
            ("TE: gzip;q=0.5,  Trailers", true),
            ("TE: gzip\r\nTE: trailers", true),
            ("TE: trailers;q=0", false),
            ("X: trailers", false),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            let mut head = Head::default();
            parse_request(text.as_bytes(), &mut head, &HeadLimits::default()).unwrap();
            assert_eq!(head.view(text.as_bytes()).accepts_trailers(), accepted, "{fields:?}");
        }
    }

    #[test]
    fn an_origin_says_how_long_it_waits() {
        for (value, seconds) in [
            ("timeout=5", Some(5)),
            ("max=100, Timeout=15", Some(15)),
            ("timeout=+5", None),
            ("timeout=", None),
            ("timeout=99999999999", None),
            ("max=5", None),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\n\r\n");
            let mut head = Head::default();
            parse_response(text.as_bytes(), &mut head, &HeadLimits::default()).unwrap();
            assert_eq!(head.view(text.as_bytes()).keep_alive_seconds(), seconds, "{value:?}");
        }
    }
}
