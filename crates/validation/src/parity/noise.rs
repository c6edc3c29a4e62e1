//! Noise: where an environment differs from itself.

use std::collections::BTreeMap;

use serde_json_path::JsonPath;

use crate::consistency::json::place_of;
use crate::expect::kind;
use config::suite::Json;
use wire::Finding;

/// Noisy places of one request; a document with more is noise as a whole.
const MOST_PLACES: usize = 200;
/// Places listed in a result.
const MOST_TOLD: usize = 100;

/// How a place varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseKind {
    /// It is always there and of the same type, with another value: the other side must have that much too.
    Value,
    /// It comes and goes, or changes its type.
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

    /// Places of JSON documents that are ignored.
    pub fn ignored(&self) -> impl Iterator<Item = &JsonPath> {
        self.anyhow.iter()
    }

    /// Replaces values that always differ by their types.
    pub fn level(&self, document: &mut Json) {
        if self.values.is_empty() {
            return;
        }
        let rounded = document.rounded();
        for path in &self.values {
            for place in path.query_located(&rounded).iter().map(place_of) {
                let kind = document.at(&place).map_or("nothing", kind);
                document.put(&place, Some(&Json::Text(format!("({kind}, always different)"))));
            }
        }
    }

    /// Adds a place where two answers of one side differ. Returns whether it is new.
    pub fn learn(&mut self, finding: &Finding) -> bool {
        let (place, how) = place(finding);
        // A document with too many noisy places is noise as a whole.
        let (place, how) =
            if self.places.len() < MOST_PLACES { (place, how) } else { ("body".to_owned(), NoiseKind::Anyhow) };
        if self.places.get(&place).is_some_and(|known| *known == NoiseKind::Anyhow || *known == how) {
            return false;
        }
        match (place.strip_prefix("json ").map(JsonPath::parse), how) {
            (Some(Ok(path)), NoiseKind::Value) => self.values.push(path),
            (Some(Ok(path)), NoiseKind::Anyhow) => self.anyhow.push(path),
            // A key that JSONPath cannot name.
            (Some(Err(_)), _) => drop(self.places.insert("body".to_owned(), NoiseKind::Anyhow)),
            (None, _) => {}
        }
        self.places.insert(place, how);
        true
    }
}

/// The place of a finding, the same for every item of a list. If one list is longer than the other, its items have no
/// places that can be compared: the list is noise as a whole.
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

/// The type of a value by its first character; `None`: there is no value.
pub fn shown_kind(shown: &str) -> Option<char> {
    match shown.chars().next() {
        _ if shown == "nothing" => None,
        Some('-' | '0'..='9') => Some('0'),
        Some('t' | 'f') => Some('t'),
        first => first,
    }
}

/// `json $.items[3].at` as `json $.items[*].at`; what looks like an index in a quoted key stays.
pub fn general(what: &str) -> String {
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

/// The length of a JSON string up to and including its closing quote.
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

    /// For each place, in how many requests it is noise, and what that means.
    pub fn in_words(&self, requests: u64) -> Vec<String> {
        let words = self.0.iter().map(|(place, (count, first))| {
            let whole = matches!(place.as_str(), "body" | "json $");
            let (wherein, meaning) = match *count {
                1 => (format!("in {first}"), "that body is not compared"),
                count if count == requests => ("in every request".to_owned(), "no bodies are compared"),
                count => {
                    (format!("in {count} of {requests} requests, such as {first}"), "those bodies are not compared")
                }
            };
            if whole { format!("{place}: {wherein}: {meaning}") } else { format!("{place}: {wherein}") }
        });
        let mut all: Vec<String> = words.take(MOST_TOLD).collect();
        let more = self.0.len().saturating_sub(MOST_TOLD);
        if more > 0 {
            all.push(format!("and {more} more places"));
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
