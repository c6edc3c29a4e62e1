//! JSON comparison: canonical texts, hashes, and the differences between two values by their place.

use serde_json::Value;
use serde_json_path::{JsonPath, LocatedNode, PathElement};
use sha2::{Digest, Sha256};

use crate::text::truncated;
use config::suite::{Json, JsonNumber, JsonStep};
use wire::Finding;

/// Further differences of one pair say nothing new.
const MOST: usize = 50;
/// A finding shows the beginning of a value; the report has the whole body beside it.
const LONGEST: usize = 300;

/// How two values are compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompareOptions<'t> {
    /// Places that are ignored on both sides.
    pub ignore: &'t [JsonPath],
    /// Numbers may differ by this much, relative to the larger one.
    pub tolerance: f64,
}

/// What differs between two values: at most 50 places, in the order of the document.
pub fn differences(expected: &Json, found: &Json, terms: CompareOptions<'_>) -> Vec<Finding> {
    let (left, right) = (without(expected, terms.ignore), without(found, terms.ignore));
    let mut all = Vec::new();
    compare("$", Some(&left), Some(&right), terms.tolerance, &mut all);
    all
}

/// One text for all values that mean the same, without what is ignored: keys are sorted, and 1.0 is 1.
pub fn canonical(value: &Json, ignore: &[JsonPath]) -> String {
    without(value, ignore).normal().to_string()
}

/// SHA-256 in hexadecimal digits.
pub fn hash(bytes: &[u8]) -> String {
    judgement::hex::text(&Sha256::digest(bytes))
}

/// The place of a node that a JSONPath has found.
pub fn place_of(node: &LocatedNode<'_>) -> Vec<JsonStep> {
    let step = |element: &PathElement<'_>| match element {
        PathElement::Name(name) => JsonStep::Key((*name).to_owned()),
        PathElement::Index(at) => JsonStep::Index(*at),
    };
    node.location().iter().map(step).collect()
}

/// The value without every node of the paths: a key is dropped, an item of a list becomes null, so that the others keep
/// their places.
pub fn without(value: &Json, ignore: &[JsonPath]) -> Json {
    let mut left = value.clone();
    if ignore.is_empty() {
        return left;
    }
    let rounded = value.rounded();
    for path in ignore {
        for node in path.query_located(&rounded).iter() {
            left.put(&place_of(node), None);
        }
    }
    left
}

fn compare(place: &str, expected: Option<&Json>, found: Option<&Json>, tolerance: f64, all: &mut Vec<Finding>) {
    if all.len() >= MOST {
        return;
    }
    match (expected, found) {
        (Some(Json::Object(left)), Some(Json::Object(right))) => {
            for (key, value) in left {
                compare(&member(place, key), Some(value), right.get(key), tolerance, all);
            }
            for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
                compare(&member(place, key), None, Some(value), tolerance, all);
            }
        }
        (Some(Json::Array(left)), Some(Json::Array(right))) => {
            for at in 0..left.len().max(right.len()) {
                compare(&format!("{place}[{at}]"), left.get(at), right.get(at), tolerance, all);
            }
        }
        (Some(left), Some(right)) if is_same(left, right, tolerance) => {}
        (left, right) => {
            all.push(Finding { what: format!("json {place}"), expected: shown(left), found: shown(right), diff: None })
        }
    }
}

/// Whether two values are the same, to the last digit if there is no tolerance; 1 and 1.0 are.
pub fn is_same(left: &Json, right: &Json, tolerance: f64) -> bool {
    let all = |left: &[Json], right: &[Json]| {
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right, tolerance))
    };
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left.is_same(right) || is_near(left, right, tolerance),
        (Json::Array(left), Json::Array(right)) | (Json::Repeated(left), Json::Repeated(right)) => all(left, right),
        (Json::Object(left), Json::Object(right)) => {
            let same =
                |(key, value): (&String, &Json)| right.get(key).is_some_and(|other| is_same(value, other, tolerance));
            left.len() == right.len() && left.iter().all(same)
        }
        (left, right) => left == right,
    }
}

fn is_near(left: &JsonNumber, right: &JsonNumber, tolerance: f64) -> bool {
    let (a, b) = (left.as_f64(), right.as_f64());
    tolerance > 0.0 && (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

/// A value on one line.
pub fn shown(value: Option<&Json>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    truncated(&value.to_string(), LONGEST)
}

/// A key as JSONPath writes it.
pub fn member(place: &str, key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { format!("{place}.{key}") } else { format!("{place}[{}]", Value::String(key.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(left: Value, right: Value, ignore: &[&str], tolerance: f64) -> Vec<String> {
        let ignore: Vec<JsonPath> = ignore.iter().map(|path| JsonPath::parse(path).unwrap()).collect();
        let found = differences(&left.into(), &right.into(), CompareOptions { ignore: &ignore, tolerance });
        found.into_iter().map(|f| format!("{}: {} / {}", f.what, f.expected, f.found)).collect()
    }

    #[test]
    fn what_differs_is_named_by_its_place() {
        let (left, right) = (json!({"a": [1, {"b": "x"}], "c": null}), json!({"a": [1, {"b": "y"}, 3], "d e": true}));
        assert_eq!(
            told(left, right, &[], 0.0),
            [
                "json $.a[1].b: \"x\" / \"y\"",
                "json $.a[2]: nothing / 3",
                "json $.c: null / nothing",
                "json $[\"d e\"]: nothing / true"
            ]
        );
    }

    #[test]
    fn numbers_have_a_tolerance_and_places_can_be_left_out() {
        assert!(told(json!({"n": 100}), json!({"n": 101.0}), &[], 0.01).is_empty());
        assert_eq!(told(json!({"n": 100}), json!({"n": 102}), &[], 0.01).len(), 1);
        assert!(told(json!([1]), json!([1.0]), &[], 0.0).is_empty());
        let (left, right) = (json!({"at": 1, "l": [{"id": 1, "v": 1}]}), json!({"l": [{"id": 2, "v": 1}]}));
        assert!(told(left, right, &["$.at", "$.l[*].id"], 0.0).is_empty());
        let big = (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_993_u64));
        assert!(told(big.0, big.1, &[], 0.0).is_empty());
        let (id, next) = (json!(1_541_815_603_606_036_480_u64), json!(1_541_815_603_606_036_481_u64));
        assert_eq!(told(id.clone(), next.clone(), &[], 0.0).len(), 1, "one float stands for both");
        assert!(told(id, next, &[], 1e-9).is_empty());
        assert!(told(json!({"a": 1}), json!([]), &["$"], 0.0).is_empty());
    }

    #[test]
    fn the_canonical_text_knows_no_order_of_keys() {
        let ignore = [JsonPath::parse("$..at").unwrap()];
        let (a, b) = (json!({"b": 1, "a": {"at": 5, "x": 2}}), json!({"a": {"x": 2, "at": 9}, "b": 1}));
        assert_eq!(canonical(&a.into(), &ignore), canonical(&b.into(), &ignore));
        assert_eq!(hash(b"abc").len(), 64);
    }

    #[test]
    fn numbers_beyond_a_double_and_equal_keys_are_compared_to_the_last_digit() {
        let differs = |left: &str, right: &str| {
            let [left, right] = [left, right].map(|text| Json::parse(text.as_bytes()).unwrap());
            differences(&left, &right, CompareOptions::default()).pop().map(|f| format!("{} / {}", f.expected, f.found))
        };
        let told = differs(r#"{"n":18446744073709551617}"#, r#"{"n":18446744073709551616}"#);
        assert_eq!(told.as_deref(), Some("18446744073709551617 / 18446744073709551616"));
        assert!(differs(r#"[0.1234567890123456789]"#, r#"[0.1234567890123456788]"#).is_some());
        assert_eq!(differs(r#"[1e400, 1.0]"#, r#"[10e399, 1]"#), None);
        let told = differs(r#"{"n":1,"n":2}"#, r#"{"n":3,"n":2}"#);
        assert_eq!(told.as_deref(), Some("1, then 2 / 3, then 2"));
        assert_eq!(differs(r#"{"n":1,"n":2}"#, r#"{"n":2}"#).as_deref(), Some("1, then 2 / 2"));
        assert_eq!(differs(r#"{"n":1,"n":2}"#, r#"{"n":1.0,"n":2}"#), None);
        let [left, right] = ["[1.0,20000000000000000001]", "[1, 20000000000000000001.0]"]
            .map(|text| canonical(&Json::parse(text.as_bytes()).unwrap(), &[]));
        assert_eq!(left, right);
    }
}
