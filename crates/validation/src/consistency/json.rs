//! JSON comparison: canonical texts, hashes, and the differences between two values by their place.

use serde_json::Value;
use serde_json_path::JsonPath;
use sha2::{Digest, Sha256};

use crate::text::truncated;
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
pub fn differences(expected: &Value, found: &Value, terms: CompareOptions<'_>) -> Vec<Finding> {
    let (mut left, mut right) = (expected.clone(), found.clone());
    for path in terms.ignore {
        strike(&mut left, path);
        strike(&mut right, path);
    }
    let mut all = Vec::new();
    compare("$", Some(&left), Some(&right), terms.tolerance, &mut all);
    all
}

/// The value as text, with sorted keys and without what is ignored.
pub fn canonical(value: &Value, ignore: &[JsonPath]) -> String {
    let mut value = value.clone();
    ignore.iter().for_each(|path| strike(&mut value, path));
    // serde_json keeps objects in a sorted map.
    value.to_string()
}

/// SHA-256 in hexadecimal digits.
pub fn hash(bytes: &[u8]) -> String {
    judgement::hex::text(&Sha256::digest(bytes))
}

/// Removes every node of the path: a key is dropped, an item of a list becomes null, so that the others keep their
/// places.
fn strike(value: &mut Value, path: &JsonPath) {
    let pointers: Vec<String> = path.query_located(value).locations().map(|place| place.to_json_pointer()).collect();
    for pointer in pointers {
        let Some((parent, last)) = pointer.rsplit_once('/') else {
            *value = Value::Null;
            continue;
        };
        match value.pointer_mut(parent) {
            Some(Value::Object(fields)) => {
                fields.remove(&last.replace("~1", "/").replace("~0", "~"));
            }
            Some(Value::Array(items)) => {
                if let Some(item) = last.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
                    *item = Value::Null;
                }
            }
            _ => {}
        }
    }
}

fn compare(place: &str, expected: Option<&Value>, found: Option<&Value>, tolerance: f64, all: &mut Vec<Finding>) {
    if all.len() >= MOST {
        return;
    }
    match (expected, found) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            for (key, value) in left {
                compare(&member(place, key), Some(value), right.get(key), tolerance, all);
            }
            for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
                compare(&member(place, key), None, Some(value), tolerance, all);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
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

/// Whether two leaves are the same; 1 and 1.0 are.
pub fn is_same(left: &Value, right: &Value, tolerance: f64) -> bool {
    let whole = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    // Beyond 2^53 adjacent integers are the same float.
    if let (Some(a), Some(b)) = (whole(left), whole(right)) {
        return a == b || tolerance > 0.0 && (a - b).abs() as f64 <= tolerance * a.abs().max(b.abs()) as f64;
    }
    match (left.as_f64(), right.as_f64()) {
        (Some(a), Some(b)) => left == right || a == b || (a - b).abs() <= tolerance * a.abs().max(b.abs()),
        _ => left == right,
    }
}

/// A value on one line.
pub fn shown(value: Option<&Value>) -> String {
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
        let found = differences(&left, &right, CompareOptions { ignore: &ignore, tolerance });
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
        assert_eq!(canonical(&a, &ignore), canonical(&b, &ignore));
        assert_eq!(hash(b"abc").len(), 64);
    }
}
