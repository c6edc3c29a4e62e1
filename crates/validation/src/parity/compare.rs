//! Compares two responses to one request: status, the named headers, and bodies, as JSON if they are JSON.

use http::{HeaderName, header};

use crate::consistency::json::{self, CompareOptions};
use crate::diff::unified;
use crate::expect::{diff, glance, json_of};
use crate::message;
use crate::parity::noise::{Noise, NoiseKind};
use crate::redact::{HIDDEN, is_hidden};
use crate::target::MOST_BODY;
use config::suite::{Json, Parity};
use relay::origin::exchange::OriginResponse;
use wire::Finding;

/// The names of the two sides in a diff.
const NAMES: [&str; 2] = ["blue", "green"];
/// A comparison reports a limited number of differences; further ones appear when those have become noise.
const MOST_ROUNDS: usize = 20;
/// Digits of a hash that are shown.
const DIGITS: usize = 16;

/// What is compared.
pub struct AnswerPair<'p> {
    pub answers: [&'p OriginResponse; 2],
    /// The authority of each side: a `Location` that leads back to it is equal on both.
    pub authorities: [&'p [u8]; 2],
    pub parity: &'p Parity,
}

impl AnswerPair<'_> {
    /// What differs, without noise; with `diffs`, which takes time, the first difference of a document has a diff.
    pub fn findings(&self, noise: &Noise, diffs: bool) -> Vec<Finding> {
        let [left, right] = self.answers;
        let mut all = Vec::new();
        if left.status != right.status && noise.of("status").is_none() {
            all.push(finding("status", message::status(left.status), message::status(right.status)));
        }
        for name in &self.parity.headers {
            all.extend(self.header(name, noise.of(&format!("header {name}"))));
        }
        if (left.body != right.body || left.length != right.length) && noise.of("body").is_none() {
            all.extend(self.bodies(noise, diffs));
        }
        all
    }

    /// Adds to the noise where the two answers differ: both are of one side.
    pub fn teach(&self, noise: &mut Noise) {
        for _ in 0..MOST_ROUNDS {
            let mut is_news = false;
            for finding in self.findings(noise, false) {
                is_news |= noise.learn(&finding);
            }
            if !is_news {
                return;
            }
        }
    }

    /// A body of which only the beginning is kept cannot be compared.
    pub fn too_long(&self) -> Option<Finding> {
        let answer = self.answers.into_iter().find(|answer| answer.length > answer.body.len() as u64)?;
        let most = format!("at most {} MiB, to be compared in full", MOST_BODY >> 20);
        Some(finding("body", most, format!("{} bytes", answer.length)))
    }

    fn header(&self, name: &HeaderName, noise: Option<NoiseKind>) -> Option<Finding> {
        let [left, right] = [0, 1].map(|side| self.lines(name, side));
        let is_same = match noise {
            None => left == right,
            Some(NoiseKind::Value) => left.is_empty() == right.is_empty(),
            Some(NoiseKind::Anyhow) => true,
        };
        if is_same {
            return None;
        }
        let shown = |lines: Vec<String>| match lines.as_slice() {
            [] => "nothing".to_owned(),
            _ if is_hidden(name) => HIDDEN.to_owned(),
            lines => lines.join(", "),
        };
        Some(finding(format!("header {name}"), shown(left), shown(right)))
    }

    fn lines(&self, name: &HeaderName, side: usize) -> Vec<String> {
        let (Some(answer), Some(authority)) = (self.answers.get(side), self.authorities.get(side)) else {
            return Vec::new();
        };
        let authority = String::from_utf8_lossy(authority);
        let lines = answer.headers.get_all(name).iter();
        let lines = lines.map(|line| own(&String::from_utf8_lossy(line.as_bytes()), &authority));
        lines.collect()
    }

    fn bodies(&self, noise: &Noise, diffs: bool) -> Vec<Finding> {
        let [left, right] = self.answers;
        match (document(left), document(right)) {
            (Some(mut blue), Some(mut green)) => {
                noise.level(&mut blue);
                noise.level(&mut green);
                let ignore: Vec<_> = self.parity.ignore.iter().chain(noise.ignored()).cloned().collect();
                let terms = CompareOptions { ignore: &ignore, tolerance: self.parity.tolerance };
                let mut all = json::differences(&blue, &green, terms);
                if let Some(first) = all.first_mut().filter(|_| diffs) {
                    first.diff = diff(&blue, &green, terms, NAMES);
                }
                all
            }
            (Some(_), None) => vec![finding("body", "JSON", words(right))],
            (None, Some(_)) => vec![finding("body", words(left), "JSON")],
            (None, None) => vec![bytes(left, right)],
        }
    }
}

/// A list or an object, or whatever is declared as JSON and is.
fn document(answer: &OriginResponse) -> Option<Json> {
    let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let begins = answer.body.trim_ascii_start().first().is_some_and(|byte| matches!(byte, b'{' | b'['));
    (begins || kind.contains("json")).then(|| json_of(answer).ok()).flatten()
}

fn bytes(left: &OriginResponse, right: &OriginResponse) -> Finding {
    let texts = [left, right].map(|answer| message::text(&answer.body, answer.length <= answer.body.len() as u64));
    let diff = match texts {
        [Some(left), Some(right)] => unified(left, right, NAMES),
        _ => None,
    };
    Finding { diff, ..finding("body", words(left), words(right)) }
}

/// `12 bytes, SHA-256 0123456789abcdef: ` and the beginning of it, where it is a text.
fn words(answer: &OriginResponse) -> String {
    if answer.body.is_empty() {
        return "an empty body".to_owned();
    }
    let hash: String = json::hash(&answer.body).chars().take(DIGITS).collect();
    let text = message::text(&answer.body, answer.length <= answer.body.len() as u64);
    let begins = text.map(|text| format!(": {}", glance(text))).unwrap_or_default();
    format!("{} bytes, SHA-256 {hash}{begins}", answer.length)
}

/// A URL of the side itself, without its host.
fn own(line: &str, authority: &str) -> String {
    let rest = line.strip_prefix("https://").or_else(|| line.strip_prefix("http://"));
    let rest = rest.and_then(|rest| rest.strip_prefix(authority)).filter(|_| !authority.is_empty());
    match rest {
        Some("") => "/".to_owned(),
        Some(rest) if rest.starts_with(['/', '?', '#']) => rest.to_owned(),
        _ => line.to_owned(),
    }
}

fn finding(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding { what: what.into(), expected: expected.into(), found: found.into(), diff: None }
}
