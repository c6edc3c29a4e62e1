//! Redacts secrets: they are removed from every text of a report, in all the encodings in which they appear: as URLs,
//! JSON, pages and logs escape them, in base64 and hexadecimal digits, as a part of what is encoded, and over line ends.
//!
//! A hash of a secret is not known here, nor what an origin makes of it otherwise. The headers that carry such things
//! are hidden whatever they contain.

mod needle;

use http::{HeaderName, header};
use serde_json::Value;

use crate::redact::needle::{Needle, NeedleMatch};
use crate::text::CUT;
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
/// The secrets of a run. Cloned when a case learns one of its own.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Vec<Needle>,
    /// By the first byte of a text, which of them may be there.
    begins: Vec<Vec<usize>>,
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
        for needle in needles(secret) {
            self.add(needle);
        }
    }

    fn add(&mut self, needle: Needle) {
        if needle.length() < SHORTEST || self.needles.contains(&needle) {
            return;
        }
        self.begins.resize(256, Vec::new());
        let at = self.needles.len();
        for byte in needle.begins() {
            if let Some(all) = self.begins.get_mut(usize::from(byte))
                && all.last() != Some(&at)
            {
                all.push(at);
            }
        }
        self.needles.push(needle);
    }

    /// The secrets of both.
    pub fn and(&self, other: &Redactor) -> Redactor {
        let mut both = self.clone();
        other.needles.iter().for_each(|needle| both.add(needle.clone()));
        both
    }

    /// The text with `***` for every secret.
    pub fn text(&self, text: &str) -> String {
        self.cut(text, usize::MAX)
    }

    /// The first `most` bytes, and `…` if there are more. A secret that crosses the end is hidden completely.
    pub fn cut(&self, text: &str, most: usize) -> String {
        let reach = self.needles.iter().map(Needle::reach).max().unwrap_or(0);
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
        if self.needles.is_empty() {
            return all;
        }
        for (from, byte) in text.bytes().enumerate() {
            let here = self.begins.get(usize::from(byte)).into_iter().flatten();
            for needle in here.filter_map(|at| self.needles.get(*at)) {
                if let Some(NeedleMatch::To(to)) = needle.find_at(text, from) {
                    all.push(needle.widened(text, from, to));
                }
            }
        }
        for (mark, _) in text.match_indices(CUT) {
            let before = text.get(..mark).unwrap_or_default();
            all.extend(self.needles.iter().filter_map(|needle| begun(needle, before)).map(|from| (from, mark)));
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

/// Where a secret begins within which the text ends.
fn begun(needle: &Needle, text: &str) -> Option<usize> {
    let last = text.len().checked_sub(SHORTEST)?;
    let first = text.ceil_char_boundary(text.len().saturating_sub(needle.reach()));
    (first..=last).find(|from| needle.find_at(text, *from) == Some(NeedleMatch::Cut))
}

/// What is looked for.
fn needles(secret: &str) -> Vec<Needle> {
    let mut plain = vec![secret, secret.trim()];
    plain.extend(secret.lines().map(str::trim).filter(|line| line.chars().count() >= SHORTEST_LINE));
    if secret.chars().count() < SHORTEST {
        plain.clear();
    }
    let each = plain.into_iter().filter(|text| !text.is_empty()).flat_map(|text| {
        let encoded = Needle::base64(text).into_iter().chain([Needle::hex(text)]);
        std::iter::once(Needle::plain(text)).chain(encoded)
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;

    #[track_caller]
    fn hides(secret: &str, shape: &str) {
        let told = Redactor::new(vec![secret.to_owned()]).text(&format!("before {shape} after"));
        assert_eq!(told, "before *** after", "{shape}");
    }

    const SECRET: &str = "q83vEjRW+Jq/rze4ab~!*'()&<é>\"\\ @:w==";

    /// Every byte but those of `kept` as `%2F`.
    fn percent(text: &str, kept: &str, lower: bool) -> String {
        let each = text.bytes().map(|byte| match char::from(byte) {
            c if c.is_ascii_alphanumeric() || kept.contains(c) => c.to_string(),
            _ if lower => format!("%{byte:02x}"),
            _ => format!("%{byte:02X}"),
        });
        each.collect()
    }

    #[test]
    fn a_secret_is_hidden_as_urls_have_it() {
        let sets = [
            ("Python's quote", "_.-~/"),
            ("RFC 3986", "_.-~"),
            ("encodeURIComponent", "-_.!~*'()"),
            ("encodeURI", ";/?:@&=+$,#-_.!~*'()"),
            ("escape", "@*_+-./"),
            ("Go's PathEscape", "$&+=:@-_.~"),
            ("a path", "!$%&'()*+,-./:;=?@[\\]^_{|}~"),
            ("everything", ""),
        ];
        for (name, kept) in sets {
            for lower in [false, true] {
                let once = percent(SECRET, kept, lower);
                assert!(once.contains('%'), "{name}");
                for shape in [once.clone(), once.replace("%20", "+"), percent(&once, "", lower)] {
                    hides(SECRET, &shape);
                }
            }
        }
        hides("naïve€token", "na%EFve%u20ACtoken");
        hides("100%25-sure", "100%2525-sure");
        hides("100%25-sure", "100%25-sure");
    }

    #[test]
    fn a_secret_is_hidden_as_json_pages_and_logs_have_it() {
        let json = |text: &str| {
            let quoted = serde_json::json!(text).to_string();
            quoted.get(1..quoted.len() - 1).unwrap().to_owned()
        };
        let ascii = json(SECRET).replace('é', "\\u00e9");
        let html = SECRET.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        for shape in [
            SECRET.to_owned(),
            json(SECRET),
            json(SECRET).replace('/', "\\/"),
            json(&json(SECRET)),
            json(&json(&json(SECRET))),
            ascii.replace("\\u00e9", "\\u00E9"),
            json(&ascii),
            json(SECRET).replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003E"),
            html.replace('\'', "&#39;"),
            html.replace('\'', "&#x27;").replace('+', "&plus;").replace('=', "&#61;").replace('/', "&#x2F;"),
            html.replace('&', "&amp;"),
            html.replace('é', "&#233;"),
            SECRET.replace('é', "\\xc3\\xa9").replace('\'', "\\'"),
            SECRET.replace('é', "=C3=A9").replace("==", "=3D=3D"),
        ] {
            hides(SECRET, &shape);
        }
        hides("a😀bcd", "a\\ud83d\\ude00bcd");
        hides("a😀bcd", "a\\u{1f600}bcd");
    }

    #[test]
    fn a_secret_is_hidden_in_base64_and_hexadecimal_digits() {
        use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
        // With a `+` and a `/` in base64.
        let secret = "k~~~?>?>ÿþ-token";
        for shape in [
            STANDARD.encode(secret),
            STANDARD_NO_PAD.encode(secret),
            URL_SAFE.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
            percent(&STANDARD.encode(secret), "", false),
            STANDARD.encode(secret).replace('/', "\\/"),
            judgement::hex::text(secret.as_bytes()),
            judgement::hex::text(secret.as_bytes()).to_uppercase(),
        ] {
            hides(secret, &shape);
        }
        let redactor = Redactor::new(vec![secret.to_owned()]);
        for before in ["", "u", "us", "use", "user:", "a longer user:"] {
            for behind in ["", "\n", "ab", "abc", "\"}"] {
                let whole = format!("{before}{secret}{behind}");
                for encoded in [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                    let told = redactor.text(&encoded);
                    let (left, right) = told.split_once("***").unwrap_or_else(|| panic!("{whole:?} {told}"));
                    // Only whole bytes of what is around it are left.
                    assert!(left.len() * 6 <= before.len() * 8, "{whole:?} {told}");
                    assert!(right.trim_end_matches('=').len() <= (behind.len() * 8).div_ceil(6), "{whole:?} {told}");
                }
            }
        }
        assert_eq!(redactor.text("a3h4eHg_Pj4_"), "a3h4eHg_Pj4_", "another text");
    }

    #[test]
    fn a_secret_is_hidden_over_line_ends() {
        let secret = "correct-horse-battery+staple/0123456789";
        let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
        for end in ["\n", "\r\n", "\r\n ", "\n+", "\n-    ", "\\n", "\\r\\n", "=\r\n", "\\\n", "%0A", "&#10;"] {
            for text in [secret, &encoded] {
                let broken = text.as_bytes().chunks(16).map(|line| std::str::from_utf8(line).unwrap());
                hides(secret, &broken.collect::<Vec<_>>().join(end));
            }
        }
        // So short a one is as likely to be something else.
        assert_eq!(Redactor::new(vec!["abc".to_owned()]).text("a\nb\nc abc"), "a\nb\nc ***");
    }

    #[test]
    fn debug_shows_nothing_and_the_shortest_secrets_are_none() {
        assert_eq!(format!("{:?}", Redactor::new(vec![SECRET.to_owned()])), "Redactor");
        assert_eq!(Redactor::new(vec!["ab".to_owned(), String::new()]).text("ab and cab"), "ab and cab");
    }

    #[test]
    fn a_cut_within_an_escape_hides_the_secret() {
        let redactor = Redactor::new(vec!["correct/horse".to_owned()]);
        assert_eq!(redactor.text("begins correct%2…"), "begins ***…");
        assert_eq!(redactor.text("begins correct&#x2…"), "begins ***…");
        assert_eq!(redactor.cut("12345 correct%2Fhorse", 14), "12345 ***");
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
