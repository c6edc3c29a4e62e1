//! Whether a response is what a step expects, and what later steps capture from it.

pub mod capture;
mod operators;
mod schema;

use std::time::Duration;

use serde_json::Value;
use serde_json_path::JsonPath;
use serde_json_path::PathElement;

use crate::consistency::json::{self, CompareOptions};
use crate::diff::unified;
use crate::message;
use crate::redact::{HIDDEN, is_hidden};
use crate::text::CUT;
use crate::variables::Variables;
use config::suite::{Expect, Expectation, Json};
use judgement::time::Millis;
use relay::origin::exchange::OriginResponse;
use wire::Finding;

pub use operators::kind;

/// The default if a step names no status.
const GOOD: [(u16, u16); 1] = [(200, 399)];
/// How many nodes of one path are reported.
const MOST_NODES: usize = 5;
/// In characters: what is not JSON is shown by its beginning; mostly it is an error page.
const GLANCE: usize = 80;

/// The expectations that do not hold, in the order of the file; empty: it passes. Secrets are not redacted yet.
///
/// If a JSON path names several nodes, all of them must match. If an answer has several lines of
/// a header, one match is enough.
pub fn judge(expect: &Expect, answer: &OriginResponse, took: Duration, variables: &Variables) -> Vec<Finding> {
    let mut all = Vec::new();
    all.extend(status(expect, answer.status));
    all.extend(expect.latency.and_then(|most| latency(most, took)));
    for (name, wanted) in &expect.headers {
        all.extend(header(name, wanted, answer, variables));
    }
    if !expect.json.is_empty() || expect.equals.is_some() || expect.schema.is_some() {
        match json_of(answer) {
            Ok(value) => {
                let rounded = value.rounded();
                let document = ParsedBody { value: &value, rounded: &rounded };
                expect.json.iter().for_each(|(path, wanted)| nodes(path, wanted, document, variables, &mut all));
                all.extend(equals(expect, &value, variables));
                all.extend(expect.schema.iter().flat_map(|schema| schema::violations(schema, &rounded)));
            }
            Err(found) => all.push(finding("body", "JSON", found)),
        }
    }
    if !expect.body.is_empty() {
        let text = Json::Text(String::from_utf8_lossy(&answer.body).into_owned());
        let there = Some(&text).filter(|_| !answer.body.is_empty());
        for wanted in &expect.body {
            // An empty body is an empty text, except for `present` and `absent`.
            let looked_at =
                if matches!(wanted, Expectation::Present | Expectation::Absent) { there } else { Some(&text) };
            let miss = operators::of_text(wanted, looked_at, variables);
            let kept = answer.body.len();
            let cut = if answer.length > kept as u64 { format!(" (in the first {kept} bytes)") } else { String::new() };
            all.extend(miss.map(|miss| finding("body", miss.expected + &cut, miss.found)));
        }
    }
    all
}

/// The complete body as JSON, or a description of what it is instead.
pub fn json_of(answer: &OriginResponse) -> Result<Json, String> {
    if answer.length > answer.body.len() as u64 {
        return Err(format!("{} bytes, of which only the first {} are kept", answer.length, answer.body.len()));
    }
    if answer.body.is_empty() {
        return Err("an empty body".to_owned());
    }
    Json::parse(&answer.body).map_err(|_| {
        let coded = answer.headers.get(http::header::CONTENT_ENCODING).and_then(|coding| coding.to_str().ok());
        let coded = coded.map(|coding| format!(", encoded as {coding}")).unwrap_or_default();
        match message::text(&answer.body, true) {
            Some(text) => format!("not JSON{coded}: {}", glance(text)),
            None => format!("not JSON{coded}: {} bytes of binary data", answer.body.len()),
        }
    })
}

/// The beginning of a text, on one line.
pub fn glance(text: &str) -> String {
    let line: String = text.chars().take(GLANCE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mark = if text.chars().nth(GLANCE).is_some() { CUT.to_string() } else { String::new() };
    format!("`{line}{mark}`")
}

fn finding(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding { what: what.into(), expected: expected.into(), found: found.into(), diff: None }
}

fn status(expect: &Expect, found: u16) -> Option<Finding> {
    Some(finding("status", instead_of(expect, found)?, message::status(found)))
}

/// Which status was expected; `None`: it is as expected.
pub fn instead_of(expect: &Expect, found: u16) -> Option<String> {
    let wanted = if expect.status.is_empty() { &GOOD[..] } else { &expect.status };
    if wanted.iter().any(|(from, to)| (*from..=*to).contains(&found)) {
        return None;
    }
    let range = |(from, to): &(u16, u16)| if from == to { from.to_string() } else { format!("{from} to {to}") };
    let words: Vec<String> = wanted.iter().map(range).collect();
    Some(words.join(" or "))
}

fn latency(most: Millis, took: Duration) -> Option<Finding> {
    let found = || format!("{:.1}ms", took.as_secs_f64() * 1000.0);
    (took > most.as_duration()).then(|| finding("latency", format!("at most {most}"), found()))
}

fn header(
    name: &http::HeaderName,
    wanted: &Expectation,
    answer: &OriginResponse,
    variables: &Variables,
) -> Option<Finding> {
    let lines = answer.headers.get_all(name).iter();
    let lines: Vec<Json> =
        lines.map(|line| Json::Text(String::from_utf8_lossy(line.as_bytes()).into_owned())).collect();
    let misses: Vec<operators::Mismatch> = match lines.as_slice() {
        [] => operators::of_text(wanted, None, variables).into_iter().collect(),
        lines => lines.iter().filter_map(|line| operators::of_text(wanted, Some(line), variables)).collect(),
    };
    // One matching line is enough; `absent` must hold for all.
    if misses.is_empty() || (misses.len() < lines.len() && !matches!(wanted, Expectation::Absent)) {
        return None;
    }
    let expected = misses.first().map(|miss| miss.expected.clone()).unwrap_or_default();
    let found = misses.into_iter().map(|miss| miss.found).collect::<Vec<_>>().join(", ");
    let found = if is_hidden(name) && !lines.is_empty() { HIDDEN.to_owned() } else { found };
    Some(finding(format!("header {name}"), expected, found))
}

/// A body, and the same for JSONPath.
#[derive(Clone, Copy)]
struct ParsedBody<'b> {
    value: &'b Json,
    rounded: &'b Value,
}

fn nodes(path: &JsonPath, wanted: &Expectation, body: ParsedBody<'_>, variables: &Variables, all: &mut Vec<Finding>) {
    let nodes = path.query_located(body.rounded);
    if nodes.is_empty() {
        let miss = operators::of_json(wanted, None, variables);
        all.extend(miss.map(|miss| finding(format!("json {path}"), miss.expected, miss.found)));
        return;
    }
    let misses = nodes.iter().filter_map(|node| {
        let found = body.value.at(&json::place_of(node)).map(Json::single);
        let miss = operators::of_json(wanted, found, variables)?;
        Some(finding(format!("json {}", place(node.location().iter())), miss.expected, miss.found))
    });
    all.extend(misses.take(MOST_NODES));
}

/// A place in a document, as findings write it.
fn place<'e>(elements: impl Iterator<Item = &'e PathElement<'e>>) -> String {
    elements.fold("$".to_owned(), |place, element| match element {
        PathElement::Name(name) => json::member(&place, name),
        PathElement::Index(at) => format!("{place}[{at}]"),
    })
}

fn equals(expect: &Expect, found: &Json, variables: &Variables) -> Vec<Finding> {
    let Some(wanted) = &expect.equals else { return Vec::new() };
    let expected = match operators::towards(wanted, Some(found), variables) {
        Ok(expected) => expected,
        Err(why) => return vec![finding("json $", why, json::shown(Some(found)))],
    };
    let terms = CompareOptions { ignore: &expect.ignore, tolerance: expect.tolerance };
    let mut all = json::differences(&expected, found, terms);
    if let Some(first) = all.first_mut() {
        first.diff = diff(&expected, found, terms, ["expected", "found"]);
    }
    all
}

/// A diff of two values without what is ignored.
pub fn diff(old: &Json, new: &Json, terms: CompareOptions<'_>, names: [&str; 2]) -> Option<String> {
    let [old, mut new] = [old, new].map(|value| json::without(value, terms.ignore));
    align(&old, &mut new, terms.tolerance);
    unified(&format!("{old:#}\n"), &format!("{new:#}\n"), names)
}

/// Makes numbers within the tolerance equal, so that they are no lines of the diff.
fn align(old: &Json, new: &mut Json, tolerance: f64) {
    match (old, new) {
        (Json::Object(old), Json::Object(new)) => {
            for (key, value) in new {
                if let Some(old) = old.get(key) {
                    align(old, value, tolerance);
                }
            }
        }
        (Json::Array(old), Json::Array(new)) => {
            old.iter().zip(new).for_each(|(old, value)| align(old, value, tolerance));
        }
        (old @ Json::Number(_), new) if json::is_same(old, new, tolerance) => *new = old.clone(),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
