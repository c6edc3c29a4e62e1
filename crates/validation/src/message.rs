//! Requests and responses as the report shows them.

use http::StatusCode;

use crate::redact::Redactor;
use crate::target::TestTarget;
use config::suite::Json;
use relay::origin::exchange::{OriginRequest, OriginResponse};
use wire::Message;

/// In bytes. A report has hundreds of bodies, and people read the beginning.
const MOST_SHOWN: usize = 16 << 10;
/// In bytes: enough to see what kind of file it is.
const MOST_BINARY: usize = 256;
/// In bytes. A longer body is not indented: that takes longer than it is worth.
const MOST_PRETTY: usize = 1 << 20;
/// In bytes.
const LONGEST_LINE: usize = 8 << 10;

pub fn request(redactor: &Redactor, target: &TestTarget, request: &OriginRequest) -> Message {
    // An origin with several addresses has several URLs in a row.
    let url = target.url.split(' ').next().unwrap_or_default().trim_end_matches('/');
    Message {
        line: redactor.cut(&format!("{} {url}{}", request.method, request.target), LONGEST_LINE),
        headers: headers(redactor, request.headers.iter().map(|(name, value)| (name, value))),
        body: body(redactor, &request.body, true),
        body_bytes: request.body.len() as u64,
    }
}

pub fn answer(redactor: &Redactor, answer: &OriginResponse) -> Message {
    Message {
        line: status(answer.status),
        headers: headers(redactor, answer.headers.iter()),
        body: body(redactor, &answer.body, answer.length <= answer.body.len() as u64),
        body_bytes: answer.length,
    }
}

/// `404 Not Found`.
pub fn status(code: u16) -> String {
    let reason = StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason());
    reason.map_or_else(|| code.to_string(), |reason| format!("{code} {reason}"))
}

fn headers<'h>(
    redactor: &Redactor,
    all: impl Iterator<Item = (&'h http::HeaderName, &'h http::HeaderValue)>,
) -> Vec<(String, String)> {
    all.map(|(name, value)| (name.as_str().to_owned(), redactor.header(name, value.as_bytes()))).collect()
}

/// `whole`: it was read completely.
fn body(redactor: &Redactor, bytes: &[u8], whole: bool) -> String {
    match text(bytes, whole) {
        Some(text) if text.len() <= MOST_PRETTY => match json(text) {
            Some(value) => redactor.cut(&format!("{value:#}"), MOST_SHOWN),
            None => redactor.cut(text, MOST_SHOWN),
        },
        Some(text) => redactor.cut(text, MOST_SHOWN),
        None => {
            let shown = String::from_utf8_lossy(bytes.get(..MOST_SHOWN).unwrap_or(bytes));
            format!("({} bytes, not UTF-8) {}", bytes.len(), redactor.cut(&shown, MOST_BINARY))
        }
    }
}

/// The body as text, if it is text, even if it was cut in the middle of a character.
pub fn text(bytes: &[u8], whole: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if !whole && error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()
        }
        Err(_) => None,
    }
}

/// Only a list or an object; a text that happens to be a number stays as it is.
fn json(text: &str) -> Option<Json> {
    let begins = text.trim_start().starts_with(['{', '[']);
    begins.then(|| Json::parse(text.as_bytes()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn shown(body: &'static [u8]) -> String {
        let answer = OriginResponse {
            status: 200,
            headers: http::HeaderMap::new(),
            body: Bytes::from_static(body),
            length: body.len() as u64,
        };
        super::answer(&Redactor::new(vec!["hunter22".to_owned()]), &answer).body
    }

    #[test]
    fn bodies_are_shown_so_that_people_can_read_them() {
        assert_eq!(shown(br#"{"b":"\u0068unter22","a":[1]}"#), "{\n  \"a\": [\n    1\n  ],\n  \"b\": \"***\"\n}");
        assert_eq!(shown(b"plain hunter22"), "plain ***");
        assert_eq!(shown(b"\xff\xfehunter22"), "(10 bytes, not UTF-8) \u{fffd}\u{fffd}***");
        let long: &'static [u8] = Vec::leak(b"a".repeat(20_000));
        assert_eq!(shown(long).len(), MOST_SHOWN + "…".len());
        assert_eq!(text("aä".as_bytes().get(..2).unwrap(), false), Some("a"));
        assert_eq!(status(404), "404 Not Found");
        assert_eq!(status(799), "799");
    }
}
