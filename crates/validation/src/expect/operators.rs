//! The operators of an expectation.

use crate::consistency::json::{is_same, shown};
use crate::variables::{Piece, Variables, pieces};
use config::suite::{Expectation, Json};

/// A value that does not match.
#[derive(Debug, PartialEq)]
pub struct Mismatch {
    pub expected: String,
    pub found: String,
}

/// A node of a JSON document; `None`: there is none.
pub fn of_json(wanted: &Expectation, found: Option<&Json>, variables: &Variables) -> Option<Mismatch> {
    check(wanted, found, variables, |wanted| {
        let expected = towards(wanted, found, variables)?;
        Ok((found.is_some_and(|found| is_same(&expected, found, 0.0)), shown(Some(&expected))))
    })
}

/// A line of a header, or a body: everything is text, and a number is compared as its text.
pub fn of_text(wanted: &Expectation, found: Option<&Json>, variables: &Variables) -> Option<Mismatch> {
    check(wanted, found, variables, |wanted| {
        let expected = match wanted {
            Json::Text(text) => variables.expand(text)?,
            other => other.to_string(),
        };
        let same = found.is_some_and(|found| text(found).as_deref() == Some(expected.as_str()));
        Ok((same, shown(Some(&Json::Text(expected)))))
    })
}

fn check(
    wanted: &Expectation,
    found: Option<&Json>,
    variables: &Variables,
    equals: impl FnOnce(&Json) -> Result<(bool, String), String>,
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
/// number was found, and a text if a text was: a `7` of the suite or of a header may be either. A text that was captured
/// from JSON stays one.
pub fn towards(wanted: &Json, found: Option<&Json>, variables: &Variables) -> Result<Json, String> {
    Ok(match (wanted, found) {
        (Json::Text(text), Some(Json::Text(_))) if matches!(pieces(text).as_slice(), [Piece::Name(_)]) => {
            Json::Text(variables.expand(text)?)
        }
        (Json::Array(items), found) => {
            let items = items.iter().enumerate();
            let items = items.map(|(at, item)| towards(item, found.and_then(|found| found.item(at)), variables));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        (Json::Object(fields), found) => {
            let fields = fields.iter().map(|(key, value)| {
                let beside = found.and_then(|found| found.get(key));
                Ok((key.clone(), towards(value, beside, variables)?))
            });
            Json::Object(fields.collect::<Result<_, String>>()?)
        }
        (other, _) => variables.expand_json(other)?,
    })
}

/// A text or number by its text, a list by its items, an object by its keys.
fn contains(found: &Json, part: &str) -> bool {
    match found {
        Json::Array(items) => items.iter().any(|item| text(item).as_deref() == Some(part)),
        Json::Object(fields) => fields.contains_key(part),
        scalar => text(scalar).is_some_and(|text| text.contains(part)),
    }
}

/// A text that reads as a number is one: prices are often written as text.
fn number(found: Option<&Json>) -> Option<f64> {
    let found = found?;
    let number = match found {
        Json::Number(number) => Some(number.as_f64()),
        Json::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

/// A scalar as a text.
pub fn text(found: &Json) -> Option<String> {
    match found {
        Json::Text(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) | Json::Null => Some(found.to_string()),
        Json::Array(_) | Json::Object(_) | Json::Repeated(_) => None,
    }
}

fn length(found: &Json) -> Option<u64> {
    let length = match found {
        Json::Text(text) => text.chars().count(),
        Json::Array(items) => items.len(),
        Json::Object(fields) => fields.len(),
        Json::Number(_) | Json::Bool(_) | Json::Null | Json::Repeated(_) => return None,
    };
    Some(length as u64)
}

/// The type by its name in JSON Schema.
pub fn kind(found: &Json) -> &'static str {
    match found.single() {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::Text(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
        Json::Repeated(_) => "nothing",
    }
}
