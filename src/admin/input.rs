//! Reading what callers send: bodies, queries and the headers that go with them, with a word on what is wrong where.

use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admin::error::ApiError;
use config::read::did_you_mean;
use wire::LONGEST_WORDS;

/// As RFC 9110 and the drafts of the header have it.
const LONGEST_KEY: usize = 128;
/// The largest whole number that every JSON reader keeps exactly.
pub const MOST_EXACT: u64 = (1 << 53) - 1;
/// Names of services, rules and people are shorter.
pub const LONGEST_VALUE: usize = 128;

/// The action of a body, and what goes with it.
///
/// # Errors
/// It is no JSON object, or asks for no known action.
pub fn asked(headers: &HeaderMap, body: &[u8], known: &[&str]) -> Result<(String, Value), ApiError> {
    let typed = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = typed.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if kind != "application/json" {
        let hint = "send `Content-Type: application/json`";
        return Err(ApiError::unsupported("unsupported_media_type", format!("the body is `{typed}`"), hint));
    }
    let mut value: Value = serde_json::from_slice(body).map_err(|error| {
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or("");
        let message = format!("the body is no JSON: {what} at line {}, column {}", error.line(), error.column());
        ApiError::bad("bad_json", message, "")
    })?;
    let actions = || format!("one of {}", known.join(", "));
    let Some(object) = value.as_object_mut() else {
        return Err(ApiError::bad("bad_body", "the body is no JSON object", "write {\"action\": …}"));
    };
    match object.remove("action") {
        Some(Value::String(action)) if known.contains(&action.as_str()) => Ok((action, value)),
        Some(Value::String(action)) => {
            Err(ApiError::bad("unknown_action", format!("there is no action `{}`", brief(&action)), actions()))
        }
        Some(other) => Err(ApiError::bad("bad_field", format!("`action`: found {other}, expected a text"), actions())),
        None => Err(ApiError::bad("action_missing", "`action` is missing", actions())),
    }
}

/// The fields of an action.
///
/// # Errors
/// One is missing, unknown, or not of its type: which is said.
pub fn fields<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner().to_string();
        in_plain_words(&path, &inner)
    })
}

fn in_plain_words(path: &str, message: &str) -> ApiError {
    let names = |rest: &str| rest.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (field, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let known = names(expected);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = did_you_mean(field, &known);
        return ApiError::bad("unknown_field", format!("unknown field `{}`", brief(field)), hint);
    }
    if let Some(rest) = message.strip_prefix("missing field `") {
        let field = rest.split('`').next().unwrap_or("");
        return ApiError::bad("field_missing", format!("`{field}` is missing"), "");
    }
    let message = message
        .replace("f64", "a number")
        .replace("a sequence", "a list")
        .replace("sequence", "a list")
        .replace("u64", "a whole number");
    let message =
        message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: ")).unwrap_or(&message);
    ApiError::bad("bad_field", format!("`{path}`: found {}", brief(message)), "")
}

/// What a caller wrote, short enough to be said again.
pub fn brief(text: &str) -> String {
    const MOST: usize = 200;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain("…".chars()).collect() }
}

/// A text for people: bounded, and without control characters.
///
/// # Errors
/// It is too long, or has some.
pub fn words(field: &str, text: Option<String>) -> Result<String, ApiError> {
    let text = text.unwrap_or_default();
    if text.chars().count() > LONGEST_WORDS {
        let message = format!("`{field}` has at most {LONGEST_WORDS} characters");
        return Err(ApiError::bad("bad_field", message, ""));
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err(ApiError::bad("bad_field", format!("`{field}` has control characters"), "write one line of text"));
    }
    Ok(text)
}

/// The journal's why: the reason, and on whose wish.
///
/// # Errors
/// One of them is no text for people.
pub fn why(reason: Option<String>, initiator: Option<String>) -> Result<String, ApiError> {
    let (reason, initiator) = (words("reason", reason)?, words("initiator", initiator)?);
    Ok(match (reason.as_str(), initiator.as_str()) {
        (_, "") => reason,
        ("", initiator) => format!("on the wish of {initiator}"),
        (reason, initiator) => format!("{reason} (on the wish of {initiator})"),
    })
}

/// A query, each name once and known.
///
/// # Errors
/// A name is unknown or there twice.
pub fn query(text: Option<&str>, known: &[&str]) -> Result<Query, ApiError> {
    let mut pairs = Vec::new();
    for (name, value) in form_urlencoded::parse(text.unwrap_or("").as_bytes()) {
        if !known.contains(&name.as_ref()) {
            let message = format!("unknown parameter `{}`", brief(&name));
            return Err(ApiError::bad("unknown_parameter", message, did_you_mean(&name, known)));
        }
        if pairs.iter().any(|(before, _)| *before == name) {
            return Err(ApiError::bad("bad_parameter", format!("`{name}` is there twice"), ""));
        }
        let most = if name == "reason" { LONGEST_WORDS } else { LONGEST_VALUE };
        if value.chars().count() > most {
            return Err(ApiError::bad("bad_parameter", format!("`{name}` has at most {most} characters"), ""));
        }
        pairs.push((name.into_owned(), value.into_owned()));
    }
    Ok(Query(pairs))
}

/// A query that was read.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// # Errors
    /// It is no whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number <= MOST_EXACT);
        let wrong = || ApiError::bad("bad_parameter", format!("`{name}`: `{}` is no whole number", brief(text)), "");
        number.ok_or_else(wrong).map(Some)
    }

    /// # Errors
    /// It is neither true nor false.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                let message = format!("`{name}`: `{}` is neither true nor false", brief(other));
                Err(ApiError::bad("bad_parameter", message, ""))
            }
        }
    }

    /// The action, `default` where none is named.
    ///
    /// # Errors
    /// It is not known.
    pub fn action<'k>(&self, known: &[&'k str], default: &'k str) -> Result<&'k str, ApiError> {
        let Some(asked) = self.text("action") else { return Ok(default) };
        known.iter().find(|name| **name == asked).copied().ok_or_else(|| {
            let hint = format!("one of {}", known.join(", "));
            ApiError::bad("unknown_action", format!("there is no action `{}`", brief(asked)), hint)
        })
    }
}

/// The generation that `If-Match` names.
///
/// # Errors
/// It is none of ours, so it is not the state.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(typed) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let typed = typed.to_str().unwrap_or("").trim();
    if typed == "*" {
        return Ok(None);
    }
    let number = typed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|digits| digits.parse().ok());
    let hint = "write the generation in quotes: If-Match: \"17\"; a GET of the status gives it as its ETag";
    number.map(Some).ok_or_else(|| ApiError::stale(format!("`If-Match: {}` names no generation", brief(typed)), hint))
}

/// The `Idempotency-Key`.
///
/// # Errors
/// It is empty, too long, or not of visible characters.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(typed) = headers.get("idempotency-key") else { return Ok(None) };
    let text = typed.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    let text = text.filter(|text| (1..=LONGEST_KEY).contains(&text.len()));
    let message = format!("an Idempotency-Key has 1 to {LONGEST_KEY} visible characters");
    text.map(|text| Some(text.to_owned())).ok_or_else(|| ApiError::bad("bad_idempotency_key", message, ""))
}
