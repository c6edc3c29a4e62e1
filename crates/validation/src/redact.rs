//! Redacts secrets: they are removed from every text of a report, in all the encodings in which they appear.
//!
//! An encoding that an origin invents (a hash of a secret, the base64 of a text that contains it) is not known here.
//! The headers that carry such things are hidden whatever they contain.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::{HeaderName, header};
use memchr::memmem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::text::CUT;
use config::suite::text::{NO_PATH, UNRESERVED};
use wire::{DataResult, Finding, RowDifference, StepResult};

/// Replaces what is hidden.
pub const HIDDEN: &str = "***";
/// In characters; a shorter text would black out half the report, and is no secret.
const SHORTEST: usize = 3;
/// In a secret of several lines, such as a key, each line of at least this many characters is a secret by itself.
const SHORTEST_LINE: usize = 16;
/// In bytes; only the beginning of a longer value is shown.
const LONGEST_HEADER: usize = 2048;
/// Their values are never shown, whether they are known secrets or not.
const HIDDEN_HEADERS: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    HeaderName::from_static("x-api-key"),
];
/// What `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');

/// The secrets of a run. Cloned when a case learns one of its own.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Every secret in every shape.
    shapes: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Secrets of less than three characters are ignored: every text contains them.
    pub fn new(secrets: Vec<String>) -> Redactor {
        let mut redactor = Redactor::default();
        secrets.iter().for_each(|secret| redactor.hide(secret));
        redactor
    }

    /// Adds a secret, such as a token from an answer.
    pub fn hide(&mut self, secret: &str) {
        for shape in shapes(secret) {
            if shape.chars().count() >= SHORTEST && !self.shapes.contains(&shape) {
                self.shapes.push(shape);
            }
        }
    }

    /// The secrets of both.
    pub fn and(&self, other: &Redactor) -> Redactor {
        let mut both = self.clone();
        both.shapes.extend(other.shapes.iter().filter(|shape| !self.shapes.contains(shape)).cloned());
        both
    }

    /// The text with `***` for every secret.
    pub fn text(&self, text: &str) -> String {
        self.cut(text, usize::MAX)
    }

    /// The first `most` bytes, and `…` if there are more. A secret that crosses the end is hidden completely.
    pub fn cut(&self, text: &str, most: usize) -> String {
        let reach = self.shapes.iter().map(String::len).max().unwrap_or(0);
        let window = text.get(..text.floor_char_boundary(most.saturating_add(reach))).unwrap_or(text);
        let end = window.floor_char_boundary(most);
        let mut out = String::with_capacity(end);
        let mut at = 0;
        for (from, to) in self.spans(window) {
            if from >= end {
                break;
            }
            out.push_str(window.get(at..from).unwrap_or_default());
            out.push_str(HIDDEN);
            at = to;
        }
        out.push_str(window.get(at..end).unwrap_or_default());
        if end < text.len() && at < text.len() {
            out.push(CUT);
        }
        out
    }

    /// A header's value as it is shown: `***` if the header is always hidden or contains a secret.
    pub fn header(&self, name: &HeaderName, value: &[u8]) -> String {
        if is_hidden(name) {
            return HIDDEN.to_owned();
        }
        let text = String::from_utf8_lossy(value);
        if self.text(&text) == text { self.cut(&text, LONGEST_HEADER) } else { HIDDEN.to_owned() }
    }

    pub fn finding(&self, finding: Finding) -> Finding {
        Finding {
            what: self.text(&finding.what),
            expected: self.text(&finding.expected),
            found: self.text(&finding.found),
            diff: finding.diff.map(|diff| self.text(&diff)),
        }
    }

    /// All texts of a data check.
    pub fn data(&self, result: DataResult) -> DataResult {
        let findings = |all: Vec<Finding>| all.into_iter().map(|finding| self.finding(finding)).collect();
        let row =
            |row: RowDifference| RowDifference { key: self.text(&row.key), columns: findings(row.columns), ..row };
        DataResult {
            why: result.why.map(|why| self.text(&why)),
            rows: result.rows.into_iter().map(row).collect(),
            findings: findings(result.findings),
            ..result
        }
    }

    /// Every text of a JSON value.
    pub fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Value::Object(fields) => {
                Value::Object(fields.into_iter().map(|(key, value)| (self.text(&key), self.json(value))).collect())
            }
            scalar => scalar,
        }
    }

    /// Redacts again what was shown before the last secret was known.
    pub fn step(&self, step: &mut StepResult) {
        for message in [Some(&mut step.request), step.response.as_mut()].into_iter().flatten() {
            message.line = self.text(&message.line);
            message.body = self.text(&message.body);
            for (_, value) in &mut message.headers {
                if self.text(value) != *value {
                    *value = HIDDEN.to_owned();
                }
            }
        }
        step.error = step.error.take().map(|error| self.text(&error));
        step.failures = std::mem::take(&mut step.failures).into_iter().map(|finding| self.finding(finding)).collect();
        step.captured.values_mut().for_each(|value| *value = self.text(value));
    }

    /// The ranges of secrets, in order; overlapping ones are merged.
    fn spans(&self, text: &str) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        for shape in &self.shapes {
            all.extend(memmem::find_iter(text.as_bytes(), shape).map(|at| (at, at + shape.len())));
        }
        for (mark, _) in text.match_indices(CUT) {
            let before = text.get(..mark).unwrap_or_default();
            all.extend(self.shapes.iter().filter_map(|shape| begun(shape, before)).map(|from| (from, mark)));
        }
        all.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::with_capacity(all.len());
        for (from, to) in all {
            match merged.last_mut() {
                Some(last) if from < last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        merged
    }
}

/// Whether a header is one of those that are never shown.
pub fn is_hidden(name: &HeaderName) -> bool {
    HIDDEN_HEADERS.contains(name)
}

/// Where a text ends in the middle of a secret.
fn begun(shape: &str, text: &str) -> Option<usize> {
    let ends = shape.char_indices().skip(SHORTEST).filter_map(|(at, _)| shape.get(..at));
    let said = ends.filter(|start| text.ends_with(start)).last()?;
    text.len().checked_sub(said.len())
}

/// The encodings in which a secret appears.
fn shapes(secret: &str) -> Vec<String> {
    let mut plain = vec![secret, secret.trim()];
    plain.extend(secret.lines().map(str::trim).filter(|line| line.chars().count() >= SHORTEST_LINE));
    if secret.chars().count() < SHORTEST {
        plain.clear();
    }
    let mut all = Vec::new();
    for text in plain {
        let quoted = Value::String(text.to_owned()).to_string();
        let escaped = quoted.get(1..quoted.len() - 1).unwrap_or(&quoted);
        let percent =
            [NON_ALPHANUMERIC, UNRESERVED, COMPONENT, NO_PATH].map(|set| utf8_percent_encode(text, set).to_string());
        let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        all.push(text.to_owned());
        all.extend([escaped.to_owned(), escaped.replace('/', "\\/"), ascii(escaped), for_pages(escaped)]);
        // JSON within a JSON string, or in a message that quotes it.
        all.extend([quoted_again(escaped), quoted_again(&ascii(escaped))]);
        all.extend(percent.iter().chain([&form]).map(|text| lower_escapes(text)));
        all.extend(percent);
        all.push(form);
        all.extend([STANDARD_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(text)]);
        all.push(html(text));
    }
    all
}

/// As ASCII-only JSON writes it: `\u00e9`.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

/// As JSON that is safe in HTML writes it: `\u003c`. Go does so by default.
fn for_pages(text: &str) -> String {
    text.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

fn quoted_again(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// `%3D` as `%3d`.
fn lower_escapes(text: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| {
        let is_digit = digits > 0;
        digits = if c == '%' { 2 } else { digits - i32::from(is_digit) };
        if is_digit { c.to_ascii_lowercase() } else { c }
    };
    text.chars().map(lower).collect()
}

/// As HTML writes it.
fn html(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_shape() {
        let secret = "p@ss/wörd \"7\"";
        let redactor = Redactor::new(vec![secret.to_owned()]);
        let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
        let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for shape in [
            secret.to_owned(),
            serde_json::json!(secret).to_string(),
            r#"p@ss\/wörd \"7\""#.to_owned(),
            r#"p@ss/w\u00f6rd \"7\""#.to_owned(),
            "p%40ss%2Fw%C3%B6rd%20%227%22".to_owned(),
            "p%40ss%2fw%c3%b6rd%20%227%22".to_owned(),
            form,
            base64,
            "p@ss/wörd &quot;7&quot;".to_owned(),
        ] {
            let told = redactor.text(&format!("before {shape} after"));
            assert!(told.starts_with("before ") && told.ends_with(" after"), "{told}");
            let left = told.trim_start_matches("before ").trim_end_matches(" after");
            assert!(left.replace(['"', '='], "") == "***", "{shape}: {told}");
        }
        assert_eq!(format!("{redactor:?}"), "Redactor");
        assert_eq!(Redactor::new(vec!["ab".to_owned(), String::new()]).text("ab and cab"), "ab and cab");
    }

    #[test]
    fn a_secret_in_a_path_is_hidden_as_it_is_written_there() {
        assert_eq!(Redactor::new(vec!["p@ss w".to_owned()]).text("GET /u/p@ss%20w"), "GET /u/***");
    }

    #[test]
    fn json_for_pages_hides_it_too() {
        let redactor = Redactor::new(vec!["a&b<c>d".to_owned()]);
        assert_eq!(redactor.text(r#"{"token":"a\u0026b\u003cc\u003ed"}"#), r#"{"token":"***"}"#);
    }

    #[test]
    fn secrets_that_overlap_leave_nothing_of_either() {
        let redactor = Redactor::new(vec!["abcdef".to_owned(), "defghi".to_owned()]);
        assert_eq!(redactor.text("1abcdefghi2abcdef3"), "1***2***3");
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END KEY-----\n";
        assert_eq!(Redactor::new(vec![key.to_owned()]).text("-MIIEvQIBADANBgkqhkiG\n+"), "-***\n+");
    }

    #[test]
    fn a_secret_that_was_cut_in_two_is_hidden() {
        let redactor = Redactor::new(vec!["correct-horse".to_owned()]);
        assert_eq!(redactor.cut("12345 correct-horse 67890", 9), "12345 ***…");
        assert_eq!(redactor.cut("12345 correct-horse", 9), "12345 ***");
        assert_eq!(redactor.cut("12345 correct-horse 67890", 20), "12345 *** …");
        assert_eq!(redactor.cut("ää", 3), "ä…");
        assert_eq!(redactor.text("begins `correct-ho…`"), "begins `***…`");
        assert_eq!(redactor.text("co…"), "co…");
    }

    #[test]
    fn some_headers_are_hidden_whatever_is_in_them() {
        let redactor = Redactor::new(vec!["hunter22".to_owned()]);
        assert_eq!(redactor.header(&header::SET_COOKIE, b"a=b"), "***");
        assert_eq!(redactor.header(&HeaderName::from_static("x-api-key"), b"7"), "***");
        assert_eq!(redactor.header(&HeaderName::from_static("x-mine"), b"id hunter22"), "***");
        assert_eq!(redactor.header(&header::ACCEPT, b"*/*"), "*/*");
    }
}
