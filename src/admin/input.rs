//! Reads what callers send: bodies, queries and headers. An error says what is wrong, and where.

use axum::http::{HeaderMap, header};
use serde_json::Value;

use crate::admin::caller::Caller;
use crate::admin::error::ApiError;
use crate::admin::unique_keys::UniqueKeys;
use crate::admin::verb::Verb;
use config::read::did_you_mean;
use judgement::printable::without_obeyed;
use wire::{LONGEST_WORDS, RequestBody};

/// As defined by RFC 9110 and the drafts for the header.
const LONGEST_KEY: usize = 128;
/// The largest whole number that every JSON reader represents exactly.
pub const MOST_EXACT: u64 = (1 << 53) - 1;
/// More requests a second than anybody plans for.
pub const MOST_A_SECOND: f64 = 1e6;
/// Names of services, rules and people are shorter.
pub const LONGEST_VALUE: usize = 128;

/// The verb that a body asks for, and the other fields.
///
/// # Errors
/// The body is not a JSON object or names no known action; or the caller may do none of them, which is checked first.
pub fn requested(
    caller: &Caller,
    (path, method): (&str, &str),
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Verb, Value), ApiError> {
    match read_action((path, method), headers, body) {
        Ok((verb, fields)) => caller.may(verb).map(|()| (verb, fields)),
        Err(error) => Err(caller.may_any(path, method).err().unwrap_or(error)),
    }
}

fn read_action((path, method): (&str, &str), headers: &HeaderMap, body: &[u8]) -> Result<(Verb, Value), ApiError> {
    let typed = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = typed.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    // What `curl -d` says of any body, unless it is told otherwise. No page in a browser gains by it: its requests have
    // no token, and those of other origins are refused.
    let is_curls = kind == "application/x-www-form-urlencoded" && body.trim_ascii_start().starts_with(b"{");
    if kind != "application/json" && !is_curls {
        let hint = "send `Content-Type: application/json`";
        return Err(ApiError::unsupported("unsupported_media_type", format!("the body is `{typed}`"), hint));
    }
    let UniqueKeys(mut value) = serde_json::from_slice(body).map_err(|error| {
        let what = error.to_string();
        let what = brief(what.rsplit_once(" at line ").map_or(&*what, |(what, _)| what));
        // Anything else is no JSON at all.
        if error.is_data() {
            let message = format!("{what}: the second time at line {}, column {}", error.line(), error.column());
            return ApiError::bad(
                "duplicate_field",
                message,
                "send each field once: which of the two counts is not said",
            );
        }
        let message = format!("invalid JSON at line {}, column {}: {what}", error.line(), error.column());
        ApiError::bad("bad_json", message, "")
    })?;
    let Some(object) = value.as_object_mut() else {
        return Err(ApiError::bad("bad_body", "the body is not a JSON object", "send {\"action\": …}"));
    };
    let known = || format!("one of {}", Verb::names(path, method).join(", "));
    match object.remove("action") {
        Some(Value::String(action)) => match Verb::find(path, method, &action) {
            Some(verb) => Ok((verb, value)),
            None => Err(ApiError::bad("unknown_action", format!("unknown action `{}`", brief(&action)), known())),
        },
        Some(other) => Err(ApiError::bad("bad_field", format!("`action`: found {other}, expected a string"), known())),
        None => Err(ApiError::bad("action_missing", "`action` is missing", known())),
    }
}

/// The body of a verb.
///
/// # Errors
/// A field is missing, unknown or of the wrong type, and the message says which.
pub fn body<B: RequestBody>(verb: Verb, fields: Value) -> Result<B, ApiError> {
    let mut track = serde_path_to_error::Track::new();
    match B::read(verb.info().name, serde_path_to_error::Deserializer::new(fields, &mut track)) {
        Ok(Some(body)) => Ok(body),
        Ok(None) => Err(ApiError::internal(format!("no body for {verb:?}"))),
        Err(error) => Err(in_plain_words(&track.path().to_string(), &error.to_string())),
    }
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

/// What a caller wrote, shortened so that a message can repeat it.
pub fn brief(text: &str) -> String {
    const MOST: usize = 200;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain("…".chars()).collect() }
}

/// A line of text for people: bounded, and without control characters. What steers a terminal unseen or reverses a line
/// is taken out: it comes with text that is copied from a page, and says nothing.
///
/// # Errors
/// It is too long, or contains ASCII control characters.
pub fn words(field: &str, text: Option<String>) -> Result<String, ApiError> {
    let text = text.unwrap_or_default();
    if text.chars().count() > LONGEST_WORDS {
        let message = format!("`{field}` is longer than {LONGEST_WORDS} characters");
        return Err(ApiError::bad("bad_field", message, ""));
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err(ApiError::bad(
            "bad_field",
            format!("`{field}` contains control characters"),
            "send one line of text",
        ));
    }
    Ok(without_obeyed(&text))
}

/// The reason for the journal: what the caller wrote, and who asked for it.
///
/// # Errors
/// One of them is not a single line of text.
pub fn why(reason: Option<String>, initiator: Option<String>) -> Result<String, ApiError> {
    let (reason, initiator) = (words("reason", reason)?, words("initiator", initiator)?);
    Ok(match (reason.as_str(), initiator.as_str()) {
        (_, "") => reason,
        ("", initiator) => format!("requested by {initiator}"),
        (reason, initiator) => format!("{reason} (requested by {initiator})"),
    })
}

/// The most characters of a parameter of this name.
pub fn longest_value(name: &str) -> usize {
    if matches!(name, "reason" | "functions") { LONGEST_WORDS } else { LONGEST_VALUE }
}

/// A query in which each name is known and occurs once.
///
/// # Errors
/// A name is unknown or given twice.
pub fn query(text: Option<&str>, known: &[&str]) -> Result<Query, ApiError> {
    let mut pairs = Vec::new();
    for (name, value) in form_urlencoded::parse(text.unwrap_or("").as_bytes()) {
        if !known.contains(&name.as_ref()) {
            let message = format!("unknown parameter `{}`", brief(&name));
            return Err(ApiError::bad("unknown_parameter", message, did_you_mean(&name, known)));
        }
        if pairs.iter().any(|(before, _)| *before == name) {
            return Err(ApiError::bad("bad_parameter", format!("`{name}` is given twice"), ""));
        }
        let most = longest_value(&name);
        if value.chars().count() > most {
            return Err(ApiError::bad("bad_parameter", format!("`{name}` is longer than {most} characters"), ""));
        }
        pairs.push((name.into_owned(), value.into_owned()));
    }
    Ok(Query(pairs))
}

/// A parsed query.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// # Errors
    /// It is not a whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number <= MOST_EXACT);
        let wrong = || ApiError::bad("bad_parameter", format!("`{name}`: `{}` is not a whole number", brief(text)), "");
        number.ok_or_else(wrong).map(Some)
    }

    /// # Errors
    /// It is not a number from 0 to a million, such as `2.5`.
    pub fn rate(&self, name: &str) -> Result<Option<f64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let rate = text.parse().ok().filter(|rate| (0.0..=MOST_A_SECOND).contains(rate));
        let wrong = || {
            let message = format!("`{name}`: `{}` is not a number from 0 to a million", brief(text));
            ApiError::bad("bad_parameter", message, "")
        };
        rate.ok_or_else(wrong).map(Some)
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

    /// The verb that `action` names, or the first one of this path.
    ///
    /// # Errors
    /// There is no such action, or the caller lacks the role.
    pub fn verb(&self, caller: &Caller, path: &str) -> Result<Verb, ApiError> {
        let found = match self.text("action") {
            None => Verb::at(path, "GET").next(),
            Some(name) => Verb::find(path, "GET", name),
        };
        let Some(verb) = found else {
            let hint = format!("one of {}", Verb::names(path, "GET").join(", "));
            let message = format!("unknown action `{}`", brief(self.text("action").unwrap_or("")));
            return Err(ApiError::bad("unknown_action", message, hint));
        };
        caller.may(verb).map(|()| verb)
    }
}

/// The generation that `If-Match` asks for, which may be one of a list (RFC 9110 13.1.1): the one that is in force, if
/// it is among them.
///
/// # Errors
/// None of them is a generation, so none can be in force.
pub fn if_match(headers: &HeaderMap, now: u64) -> Result<Option<u64>, ApiError> {
    let mut lines = headers.get_all(header::IF_MATCH).iter().map(|line| line.to_str().unwrap_or("?")).peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let typed = lines.collect::<Vec<_>>().join(", ");
    let mut asked: Vec<u64> = Vec::new();
    for tag in typed.split(',').map(str::trim) {
        if tag == "*" {
            return Ok(None);
        }
        // A weak tag matches nothing here, and neither does what is not ours.
        let number = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        asked.extend(number.and_then(|digits| digits.parse::<u64>().ok()));
    }
    let hint = "send the generation in quotes, If-Match: \"17\"; it is the ETag of a status response";
    let stale = || ApiError::stale(format!("`If-Match: {}` is not a generation", brief(&typed)), hint);
    let wanted = asked.iter().find(|asked| **asked == now).or(asked.first());
    wanted.copied().map(Some).ok_or_else(stale)
}

/// The `Idempotency-Key`.
///
/// # Errors
/// It is empty, too long, or has characters that are not visible ASCII.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(typed) = headers.get("idempotency-key") else { return Ok(None) };
    let text = typed.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    let text = text.filter(|text| (1..=LONGEST_KEY).contains(&text.len()));
    let message = format!("an Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters");
    text.map(|text| Some(text.to_owned())).ok_or_else(|| ApiError::bad("bad_idempotency_key", message, ""))
}
