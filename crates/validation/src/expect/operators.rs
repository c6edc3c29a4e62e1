//! The operators of an expectation.

use serde_json::Value;

use crate::consistency::json::{is_same, shown};
use crate::variables::{Piece, Variables, pieces};
use config::suite::Expectation;

/// A value that does not match.
#[derive(Debug, PartialEq)]
pub struct Mismatch {
    pub expected: String,
    pub found: String,
}

/// A node of a JSON document; `None`: there is none.
pub fn of_json(wanted: &Expectation, found: Option<&Value>, variables: &Variables) -> Option<Mismatch> {
    check(wanted, found, variables, |wanted| {
        let expected = towards(wanted, found, variables)?;
        Ok((found.is_some_and(|found| is_equal(&expected, found)), shown(Some(&expected))))
    })
}

/// A line of a header, or a body: everything is text, and a number is compared as its text.
pub fn of_text(wanted: &Expectation, found: Option<&Value>, variables: &Variables) -> Option<Mismatch> {
    check(wanted, found, variables, |wanted| {
        let expected = match wanted {
            Value::String(text) => variables.expand(text)?,
            other => other.to_string(),
        };
        let same = found.is_some_and(|found| text(found).as_deref() == Some(expected.as_str()));
        Ok((same, shown(Some(&Value::String(expected)))))
    })
}

fn check(
    wanted: &Expectation,
    found: Option<&Value>,
    variables: &Variables,
    equals: impl FnOnce(&Value) -> Result<(bool, String), String>,
) -> Option<Mismatch> {
    let told = shown(found);
    let (holds, expected, found) = match wanted {
        Expectation::Present => (found.is_some(), "a value".to_owned(), told),
        Expectation::Absent => (found.is_none(), "nothing".to_owned(), told),
        Expectation::Equals(value) => match equals(value) {
            Ok((holds, expected)) => (holds, expected, told),
            Err(why) => (false, why, told),
        },
        Expectation::Contains(part) => match variables.expand(part) {
            Ok(part) => {
                (found.is_some_and(|found| contains(found, &part)), format!("a value containing `{part}`"), told)
            }
            Err(why) => (false, why, told),
        },
        Expectation::Matches(whole) => {
            let holds = found.and_then(text).is_some_and(|text| whole.is_match(&text));
            (holds, format!("a value matching `{}`", whole.text), told)
        }
        Expectation::Above(limit) => {
            (number(found).is_some_and(|n| n > *limit), format!("a number above {limit}"), told)
        }
        Expectation::Below(limit) => {
            (number(found).is_some_and(|n| n < *limit), format!("a number below {limit}"), told)
        }
        Expectation::Length(wanted) => {
            let length = found.and_then(length);
            let told = length.map(|length| format!("{length}: {told}")).unwrap_or(told);
            (length == Some(*wanted), format!("a length of {wanted}"), told)
        }
        Expectation::Type(name) => {
            let kind = found.map(kind);
            let told = kind.map(|kind| format!("{kind}: {told}")).unwrap_or(told);
            (kind == Some(name.as_str()), name.clone(), told)
        }
    };
    (!holds).then_some(Mismatch { expected, found })
}

/// Expands a value of the suite with a view to what was found. A text that is only `${name}` becomes a number if a
/// number was found, and a text if a text was: a captured `7` may be either.
pub fn towards(wanted: &Value, found: Option<&Value>, variables: &Variables) -> Result<Value, String> {
    Ok(match (wanted, found) {
        (Value::String(text), Some(Value::String(_))) if matches!(pieces(text).as_slice(), [Piece::Name(_)]) => {
            Value::String(variables.expand(text)?)
        }
        (Value::Array(items), found) => {
            let items = items.iter().enumerate();
            let items = items.map(|(at, item)| towards(item, found.and_then(|found| found.get(at)), variables));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        (Value::Object(fields), found) => {
            let fields = fields.iter().map(|(key, value)| {
                let beside = found.and_then(|found| found.get(key));
                Ok((key.clone(), towards(value, beside, variables)?))
            });
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
        (other, _) => variables.expand_json(other)?,
    })
}

/// As for whole documents: 1 and 1.0 are equal at any depth.
fn is_equal(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same = |(key, value): (&String, &Value)| right.get(key).is_some_and(|other| is_equal(value, other));
            left.len() == right.len() && left.iter().all(same)
        }
        (left, right) => is_same(left, right, 0.0),
    }
}

/// A text or number by its text, a list by its items, an object by its keys.
fn contains(found: &Value, part: &str) -> bool {
    match found {
        Value::Array(items) => items.iter().any(|item| text(item).as_deref() == Some(part)),
        Value::Object(fields) => fields.contains_key(part),
        scalar => text(scalar).is_some_and(|text| text.contains(part)),
    }
}

/// A text that reads as a number is one: prices are often written as text.
fn number(found: Option<&Value>) -> Option<f64> {
    let found = found?;
    let said = || found.as_str().and_then(|text| text.trim().parse().ok());
    found.as_f64().or_else(said).filter(|number: &f64| number.is_finite())
}

/// A scalar as a text.
pub fn text(found: &Value) -> Option<String> {
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) | Value::Null => Some(found.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn length(found: &Value) -> Option<u64> {
    let length = match found {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        Value::Number(_) | Value::Bool(_) | Value::Null => return None,
    };
    Some(length as u64)
}

/// The type by its name in JSON Schema.
pub fn kind(found: &Value) -> &'static str {
    match found {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
