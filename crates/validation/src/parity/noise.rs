//! Where an environment differs from itself.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::expect::kind;
use crate::parity::compare::AnswerPair;
use wire::Finding;

/// A comparison names only so many differences; what is behind them shows when those are gone.
const MOST_ROUNDS: usize = 20;
/// Of one request; a document with more has no two answers alike.
const MOST_PLACES: usize = 200;
/// Places listed in a result.
const MOST_TOLD: usize = 100;

/// How a place differs from itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseKind {
    /// It is there, and of one kind, with another value: that much the other side must have too.
    Value,
    /// It comes and goes, or is now of this kind and now of that.
    Anyhow,
}

/// The noise of one request: `status`, `header etag`, `body`, `json $.items[*].at`.
#[derive(Debug, Default)]
pub struct Noise {
    places: BTreeMap<String, NoiseKind>,
    values: Vec<JsonPath>,
    anyhow: Vec<JsonPath>,
}

impl Noise {
    pub fn of(&self, place: &str) -> Option<NoiseKind> {
        self.places.get(place).copied()
    }

    /// Places of JSON documents that say nothing at all.
    pub fn ignored(&self) -> impl Iterator<Item = &JsonPath> {
        self.anyhow.iter()
    }

    /// Puts their kinds in the place of values that are never the same.
    pub fn level(&self, document: &mut Value) {
        for path in &self.values {
            let located = path.query_located(document);
            let pointers: Vec<String> = located.locations().map(|place| place.to_json_pointer()).collect();
            for pointer in pointers {
                if let Some(node) = document.pointer_mut(&pointer) {
                    *node = Value::String(format!("({}, never the same)", kind(node)));
                }
            }
        }
    }

    /// Takes over where two answers of one side differ.
    pub fn learn(&mut self, pair: &AnswerPair<'_>) {
        for _ in 0..MOST_ROUNDS {
            let mut more = false;
            for finding in pair.findings(self, false) {
                let (place, how) = place(&finding);
                more |= self.add(place, how);
            }
            if !more {
                return;
            }
        }
    }

    /// Whether it is news.
    fn add(&mut self, place: String, how: NoiseKind) -> bool {
        // A document that is noise all over is so as a whole.
        let (place, how) =
            if self.places.len() < MOST_PLACES { (place, how) } else { ("body".to_owned(), NoiseKind::Anyhow) };
        if self.places.get(&place).is_some_and(|known| *known == NoiseKind::Anyhow || *known == how) {
            return false;
        }
        match (place.strip_prefix("json ").map(JsonPath::parse), how) {
            (Some(Ok(path)), NoiseKind::Value) => self.values.push(path),
            (Some(Ok(path)), NoiseKind::Anyhow) => self.anyhow.push(path),
            // A key that no path can name.
            (Some(Err(_)), _) => drop(self.places.insert("body".to_owned(), NoiseKind::Anyhow)),
            (None, _) => {}
        }
        self.places.insert(place, how);
        true
    }
}

/// Where a finding is, for every item of a list alike. Where a list is longer than another, its items have no places that
/// could be compared: the list is noise as a whole.
fn place(finding: &Finding) -> (String, NoiseKind) {
    let place = general(&finding.what);
    let kinds = [&finding.expected, &finding.found].map(|shown| shown_kind(shown));
    match (place.strip_suffix("[*]"), kinds) {
        (Some(list), [None, _] | [_, None]) => (list.to_owned(), NoiseKind::Value),
        (_, [Some(left), Some(right)]) if left == right => (place, NoiseKind::Value),
        _ if place.starts_with("json ") => (place, NoiseKind::Anyhow),
        (_, [None, _] | [_, None]) => (place, NoiseKind::Anyhow),
        _ => (place, NoiseKind::Value),
    }
}

/// The kind of a value by the first character that shows it; `None`: there is none.
fn shown_kind(shown: &str) -> Option<char> {
    match shown.chars().next() {
        _ if shown == "nothing" => None,
        Some('-' | '0'..='9') => Some('0'),
        Some('t' | 'f') => Some('t'),
        first => first,
    }
}

/// `json $.items[3].at` as `json $.items[*].at`; an index in a quoted key is none.
fn general(what: &str) -> String {
    let mut out = String::with_capacity(what.len());
    let mut rest = what;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        out.push('[');
        rest = after;
        if let Some(quoted) = after.strip_prefix('"') {
            let end = end_of_text(quoted) + 1;
            out.push_str(after.get(..end).unwrap_or(after));
            rest = after.get(end..).unwrap_or_default();
        } else if let Some((index, behind)) = after.split_once(']')
            && !index.is_empty()
            && index.bytes().all(|byte| byte.is_ascii_digit())
        {
            out.push_str("*]");
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

/// The length of a JSON text up to its closing quote, with it.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The noise of all requests.
#[derive(Debug, Default)]
pub struct NoiseSummary(BTreeMap<String, (u64, String)>);

impl NoiseSummary {
    pub fn note(&mut self, request: &str, noise: &Noise) {
        for place in noise.places.keys() {
            let (count, _) = self.0.entry(place.clone()).or_insert_with(|| (0, request.to_owned()));
            *count += 1;
        }
    }

    /// Place by place: in how many of the requests, and what that means.
    pub fn in_words(&self, requests: u64) -> Vec<String> {
        let words = self.0.iter().map(|(place, (count, first))| {
            let whole = matches!(place.as_str(), "body" | "json $");
            let (wherein, meaning) = match *count {
                1 => (format!("in {first}"), "nothing of that body is compared"),
                count if count == requests => ("in every request".to_owned(), "no body is compared at all"),
                count => (format!("in {count} of {requests} requests, as in {first}"), "no body of those is compared"),
            };
            if whole { format!("{place}: {wherein}: {meaning}") } else { format!("{place}: {wherein}") }
        });
        let mut all: Vec<String> = words.take(MOST_TOLD).collect();
        let more = self.0.len().saturating_sub(MOST_TOLD);
        if more > 0 {
            all.push(format!("and {more} places more"));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_generalised_and_quoted_keys_are_not() {
        for (what, place) in [
            ("json $.items[3].at[12]", "json $.items[*].at[*]"),
            (r#"json $["a[3]"][4]["\"]["]"#, r#"json $["a[3]"][*]["\"]["]"#),
            ("json $[0]", "json $[*]"),
            ("status", "status"),
            ("json $[\"open", "json $[\"open"),
            ("json $[ä", "json $[ä"),
        ] {
            assert_eq!(general(what), place);
        }
    }
}
