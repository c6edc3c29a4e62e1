//! JSON as it was written: a number keeps every digit, and a key that occurs twice keeps both values.
//!
//! serde_json reads numbers into 64 bits, so that two ids of 20 digits may become one, and of two equal keys it keeps
//! the last. Its feature `arbitrary_precision` would change how every crate of the program reads numbers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{Error as _, IgnoredAny};
use serde_json::{Error, Number, Value};

/// As deep as serde_json goes.
const DEEPEST: usize = 127;
/// A number with more zeros before or behind its digits is written with an exponent.
const MOST_ZEROS: i64 = 400;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(JsonNumber),
    Text(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
    /// The values of a key that its object has more than once, in their order.
    Repeated(Vec<Json>),
}

/// A step from a value to one within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonStep {
    Key(String),
    Index(usize),
}

/// A number by its text.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonNumber {
    text: String,
    /// It is a double, such as TOML has, and stands for every number that is rounded to it.
    is_rounded: bool,
}

impl JsonNumber {
    /// `text`: a number as JSON writes it.
    pub fn written(text: &str) -> JsonNumber {
        JsonNumber { text: text.to_owned(), is_rounded: false }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The nearest double; infinite if there is none.
    pub fn as_f64(&self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }

    /// Whether both have the same value, to the last digit: 1 and 1.0 do.
    pub fn is_same(&self, other: &JsonNumber) -> bool {
        let rounded = self.is_rounded || other.is_rounded;
        self.text == other.text || self.exact() == other.exact() || rounded && self.as_f64() == other.as_f64()
    }

    /// Negative or not, the digits without zeros at either end, and the power of ten that the last one counts;
    /// the text itself if that power has no 64 bits.
    fn exact(&self) -> (bool, String, i64) {
        let read = || {
            let (mantissa, exponent) = match self.text.split_once(['e', 'E']) {
                Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
                None => (self.text.as_str(), 0),
            };
            let digits = mantissa.strip_prefix('-');
            let (is_negative, digits) = (digits.is_some(), digits.unwrap_or(mantissa));
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let all = format!("{whole}{fraction}");
            let shortened = all.trim_end_matches('0');
            let cut = i64::try_from(all.len() - shortened.len()).ok()?;
            let power = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(cut)?;
            let digits = shortened.trim_start_matches('0');
            // Zero has no sign.
            Some(if digits.is_empty() { (false, String::new(), 0) } else { (is_negative, digits.to_owned(), power) })
        };
        read().unwrap_or_else(|| (false, self.text.clone(), 0))
    }

    /// One text for all numbers of the same value.
    fn normal(&self) -> String {
        let (is_negative, digits, power) = self.exact();
        let sign = if is_negative { "-" } else { "" };
        if digits.is_empty() {
            return "0".to_owned();
        }
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let zeros = |number: i64| "0".repeat(usize::try_from(number).unwrap_or(0));
        if (0..=MOST_ZEROS).contains(&power) {
            return format!("{sign}{digits}{}", zeros(power));
        }
        let before = length.saturating_add(power);
        if power < 0 && before > 0 {
            let at = usize::try_from(before).unwrap_or(0);
            let (whole, fraction) = (digits.get(..at).unwrap_or_default(), digits.get(at..).unwrap_or_default());
            return format!("{sign}{whole}.{fraction}");
        }
        if power < 0 && before.saturating_neg() <= MOST_ZEROS {
            return format!("{sign}0.{}{digits}", zeros(-before));
        }
        format!("{sign}{digits}e{power}")
    }
}

impl Json {
    /// # Errors
    /// It is not JSON, or too deep.
    pub fn parse(bytes: &[u8]) -> Result<Json, Error> {
        let text = std::str::from_utf8(bytes).map_err(Error::custom)?;
        // This looks at the whole grammar, and not at the size of numbers.
        serde_json::from_str::<IgnoredAny>(text)?;
        JsonReader { rest: text }.value(0)
    }

    /// A member of an object; the last one of those with this key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self.single() {
            Json::Object(fields) => fields.get(key),
            _ => None,
        }
    }

    /// An item of a list.
    pub fn item(&self, at: usize) -> Option<&Json> {
        match self.single() {
            Json::Array(items) => items.get(at),
            _ => None,
        }
    }

    /// Of the values of a repeated key the last one, which counts for most readers.
    pub fn single(&self) -> &Json {
        match self {
            Json::Repeated(values) => values.last().map_or(self, Json::single),
            one => one,
        }
    }

    /// What is at a place.
    pub fn at(&self, place: &[JsonStep]) -> Option<&Json> {
        place.iter().try_fold(self, |value, step| match step {
            JsonStep::Key(key) => value.get(key),
            JsonStep::Index(at) => value.item(*at),
        })
    }

    /// Replaces what is at a place. `None` removes it: a key is dropped, an item of a list becomes null, so that the
    /// others keep their places.
    pub fn put(&mut self, place: &[JsonStep], value: Option<&Json>) {
        let Some((step, rest)) = place.split_first() else {
            *self = value.cloned().unwrap_or(Json::Null);
            return;
        };
        match (self, step) {
            (Json::Repeated(values), _) => {
                if let Some(last) = values.last_mut() {
                    last.put(place, value);
                }
            }
            (Json::Object(fields), JsonStep::Key(key)) => {
                if rest.is_empty() && value.is_none() {
                    fields.remove(key);
                } else if let Some(member) = fields.get_mut(key) {
                    member.put(rest, value);
                }
            }
            (Json::Array(items), JsonStep::Index(at)) => {
                if let Some(item) = items.get_mut(*at) {
                    item.put(rest, value);
                }
            }
            _ => {}
        }
    }

    /// For those that only look at the structure and the texts: numbers are rounded, and of equal keys the last counts.
    pub fn rounded(&self) -> Value {
        match self {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Text(text) => Value::String(text.clone()),
            Json::Number(number) => Value::Number(rounded(number)),
            Json::Array(items) => items.iter().map(Json::rounded).collect(),
            Json::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value.rounded())).collect(),
            Json::Repeated(values) => values.last().map_or(Value::Null, Json::rounded),
        }
    }

    /// With one text for all numbers of the same value.
    pub fn normal(&self) -> Json {
        match self {
            Json::Number(number) => Json::Number(JsonNumber::written(&number.normal())),
            Json::Array(items) => Json::Array(items.iter().map(Json::normal).collect()),
            Json::Repeated(values) => Json::Repeated(values.iter().map(Json::normal).collect()),
            Json::Object(fields) => {
                Json::Object(fields.iter().map(|(key, value)| (key.clone(), value.normal())).collect())
            }
            other => other.clone(),
        }
    }
}

fn rounded(number: &JsonNumber) -> Number {
    let text = number.text();
    let whole = || text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    let double = || Number::from_f64(number.as_f64().clamp(f64::MIN, f64::MAX));
    whole().or_else(double).unwrap_or_else(|| Number::from(0))
}

impl From<Value> for Json {
    fn from(value: Value) -> Json {
        match value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(value),
            Value::String(text) => Json::Text(text),
            Value::Number(number) => Json::Number(JsonNumber { text: number.to_string(), is_rounded: number.is_f64() }),
            Value::Array(items) => Json::Array(items.into_iter().map(Json::from).collect()),
            Value::Object(fields) => {
                Json::Object(fields.into_iter().map(|(key, value)| (key, Json::from(value))).collect())
            }
        }
    }
}

/// On one line; with `#` indented, as serde_json does both.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write(self, f.alternate().then_some(0), &mut out);
        f.write_str(&out)
    }
}

fn write(value: &Json, depth: Option<usize>, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => out.push_str(number.text()),
        Json::Text(text) => out.push_str(&quoted(text)),
        Json::Array(items) => list(['[', ']'], items.iter().map(|item| (None, item)), depth, out),
        Json::Object(fields) => {
            let each = fields.iter().flat_map(|(key, value)| {
                let values = if let Json::Repeated(values) = value { values } else { std::slice::from_ref(value) };
                values.iter().map(move |value| (Some(key), value))
            });
            list(['{', '}'], each, depth, out);
        }
        Json::Repeated(values) => {
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", then " });
                write(value, depth, out);
            }
        }
    }
}

fn list<'j>(
    [open, close]: [char; 2],
    items: impl Iterator<Item = (Option<&'j String>, &'j Json)>,
    depth: Option<usize>,
    out: &mut String,
) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    out.push(open);
    let mut is_empty = true;
    for (key, value) in items {
        if !std::mem::take(&mut is_empty) {
            out.push(',');
        }
        if let Some(depth) = depth {
            line(depth + 1, out);
        }
        if let Some(key) = key {
            out.push_str(&quoted(key));
            out.push_str(if depth.is_some() { ": " } else { ":" });
        }
        write(value, depth.map(|depth| depth + 1), out);
    }
    if let (Some(depth), false) = (depth, is_empty) {
        line(depth, out);
    }
    out.push(close);
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// Reads a text whose grammar is known to be right.
struct JsonReader<'t> {
    rest: &'t str,
}

impl<'t> JsonReader<'t> {
    fn value(&mut self, depth: usize) -> Result<Json, Error> {
        if depth > DEEPEST {
            return Err(Error::custom("recursion limit exceeded"));
        }
        Ok(match self.next() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Json::Text(self.text()?),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => {
                let number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
                let end = self.rest.find(|c| !number(c)).unwrap_or(self.rest.len());
                if end == 0 {
                    return Err(Error::custom("expected value"));
                }
                Json::Number(JsonNumber::written(self.take(end)))
            }
        })
    }

    fn word(&mut self, word: &str, value: Json) -> Json {
        self.take(word.len());
        value
    }

    fn object(&mut self, depth: usize) -> Result<Json, Error> {
        let mut fields = BTreeMap::new();
        self.take(1);
        loop {
            match self.next() {
                Some(b'"') => {
                    let key = self.text()?;
                    self.next();
                    self.take(1);
                    insert(&mut fields, key, self.value(depth + 1)?);
                }
                Some(b',') => drop(self.take(1)),
                _ => {
                    self.take(1);
                    return Ok(Json::Object(fields));
                }
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, Error> {
        let mut items = Vec::new();
        self.take(1);
        loop {
            match self.next() {
                Some(b',') => drop(self.take(1)),
                Some(b']') | None => {
                    self.take(1);
                    return Ok(Json::Array(items));
                }
                Some(_) => items.push(self.value(depth + 1)?),
            }
        }
    }

    fn text(&mut self) -> Result<String, Error> {
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let is_end = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            is_end
        });
        serde_json::from_str(self.take(end.map_or(self.rest.len(), |end| end + 2)))
    }

    /// The first byte after white space.
    fn next(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest.bytes().next()
    }

    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

fn insert(fields: &mut BTreeMap<String, Json>, key: String, value: Json) {
    match fields.entry(key) {
        Entry::Vacant(place) => drop(place.insert(value)),
        Entry::Occupied(mut place) => match place.get_mut() {
            Json::Repeated(values) => values.push(value),
            first => *first = Json::Repeated(vec![std::mem::replace(first, Json::Null), value]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    fn number(text: &str) -> JsonNumber {
        JsonNumber::written(text)
    }

    #[test]
    fn numbers_are_the_same_by_value_to_the_last_digit() {
        for (left, right) in [
            ("1", "1.0"),
            ("-0", "0.0"),
            ("1e3", "1000"),
            ("1.50", "15E-1"),
            ("0.00", "0e9"),
            ("1e400", "10e399"),
            ("18446744073709551617.0", "18446744073709551617"),
        ] {
            assert!(number(left).is_same(&number(right)), "{left} {right}");
            assert_eq!(number(left).normal(), number(right).normal(), "{left} {right}");
        }
        for (left, right) in [
            ("18446744073709551617", "18446744073709551616"),
            ("9007199254740993", "9007199254740992"),
            ("0.1234567890123456789", "0.1234567890123456788"),
            ("1e400", "1e401"),
            ("1", "-1"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ] {
            assert!(!number(left).is_same(&number(right)), "{left} {right}");
        }
        for (text, normal) in [("1.50", "1.5"), ("-0.0020", "-0.002"), ("1e401", "1e401"), ("12e2", "1200")] {
            assert_eq!(number(text).normal(), normal);
        }
    }

    #[test]
    fn a_double_of_toml_stands_for_what_is_rounded_to_it() {
        let Json::Number(double) = Json::from(serde_json::json!(12_345_678_901_234_567.89)) else { panic!() };
        assert!(double.is_same(&number("12345678901234567.89")));
        assert!(!double.is_same(&number("12345678901234560")));
        let Json::Number(whole) = Json::from(serde_json::json!(9_007_199_254_740_993_u64)) else { panic!() };
        assert!(!whole.is_same(&number("9007199254740992")));
    }

    #[test]
    fn what_is_written_comes_back_sorted_and_with_every_digit() {
        let text = r#" { "b" : [ 1.50 , {} , [ ] , "a\"\u00e9\\" ], "a":123456789012345678901234567890, "c":null,
            "d":true,"e":-1e-7 } "#;
        let expected = r#"{"a":123456789012345678901234567890,"b":[1.50,{},[],"a\"é\\"],"c":null,"d":true,"e":-1e-7}"#;
        assert_eq!(parsed(text).to_string(), expected);
        let value = serde_json::json!({"a": [1, {"b": []}], "c": {}});
        assert_eq!(format!("{:#}", Json::from(value.clone())), format!("{value:#}"));
        for text in ["", "{", "[1,]", "{\"a\":1,}", "01", "1 2", "\"\\ud800\"", "nul", "{1:2}", "\"a\nb\""] {
            assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(deep(127).as_bytes()).is_ok() && Json::parse(deep(200_000).as_bytes()).is_err());
    }

    #[test]
    fn a_key_that_occurs_twice_has_both_values() {
        let twice = parsed(r#"{"n":1,"n":2,"m":0,"n":3}"#);
        assert_eq!(twice.to_string(), r#"{"m":0,"n":1,"n":2,"n":3}"#);
        assert_ne!(twice, parsed(r#"{"n":3,"m":0}"#));
        assert_eq!(twice.get("n").unwrap().to_string(), "1, then 2, then 3");
        assert_eq!(twice.get("n").unwrap().single(), &Json::Number(number("3")));
        assert_eq!(twice.rounded(), serde_json::json!({"n": 3, "m": 0}));
    }

    #[test]
    fn a_place_is_found_replaced_and_removed() {
        let key = |name: &str| JsonStep::Key(name.to_owned());
        let mut value = parsed(r#"{"a":[1,{"b":2}],"n":1,"n":{"m":5}}"#);
        let place = [key("a"), JsonStep::Index(1), key("b")];
        assert_eq!(value.at(&place).unwrap().to_string(), "2");
        value.put(&place, Some(&Json::Null));
        value.put(&[key("a"), JsonStep::Index(0)], None);
        value.put(&[key("n"), key("m")], None);
        assert_eq!(value.to_string(), r#"{"a":[null,{"b":null}],"n":1,"n":{}}"#);
        value.put(&[key("n")], None);
        value.put(&[key("gone"), key("m")], Some(&Json::Null));
        assert_eq!(value.to_string(), r#"{"a":[null,{"b":null}]}"#);
        value.put(&[], None);
        assert_eq!(value, Json::Null);
    }

    #[test]
    fn what_is_rounded_is_what_serde_json_reads() {
        let text = r#"{"a":[1,-2,18446744073709551615,1.5,1e300],"b":"x"}"#;
        assert_eq!(parsed(text).rounded(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(parsed("1e999").rounded(), serde_json::json!(f64::MAX));
    }
}
