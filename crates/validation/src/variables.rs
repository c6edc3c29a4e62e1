//! Texts that contain `${name}`, and the variables that these name.

use std::collections::BTreeMap;

pub use config::suite::text::{Piece, pieces};
use config::suite::{Json, JsonNumber};

/// A variable's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariableValue {
    pub text: String,
    /// It was a text where it was captured, and is never taken for a number.
    pub is_text: bool,
}

impl<T: Into<String>> From<T> for VariableValue {
    fn from(text: T) -> VariableValue {
        VariableValue { text: text.into(), is_text: false }
    }
}

impl VariableValue {
    /// As JSON: a number, a boolean or null if it is written as one.
    fn json(&self) -> Json {
        match self.text.as_str() {
            _ if self.is_text => Json::Text(self.text.clone()),
            "null" => Json::Null,
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            text if is_plain_number(text) => Json::Number(JsonNumber::written(text)),
            text => Json::Text(text.to_owned()),
        }
    }
}

/// What looks like a number and has an exponent is more often an id, such as `1e5`.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(all)
}

/// Variables with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, VariableValue>);

impl Variables {
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<VariableValue>) {
        self.0.insert(name.into(), value.into());
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|variable| variable.text.as_str())
    }

    /// The text with its variables filled in; `$${` stands for `${`.
    ///
    /// # Errors
    /// A variable has no value: an earlier step has failed, or captures it only sometimes.
    pub fn expand(&self, text: &str) -> Result<String, String> {
        self.expand_with(text, str::to_owned)
    }

    /// The same, with each value as `write` writes it.
    ///
    /// # Errors
    /// As for [`Variables::expand`].
    pub fn expand_with(&self, text: &str, write: impl Fn(&str) -> String) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Name(name) => match self.get(name) {
                    Some(value) => out.push_str(&write(value)),
                    None => return Err(format!("`${{{name}}}` has no value here")),
                },
            }
        }
        Ok(out)
    }

    /// The same for every text of a JSON value. A text that is only `${name}` becomes a number, a boolean or null
    /// if the variable is written as one: `"${id}"` asks for the number 7 where 7 was captured. What was captured from
    /// JSON is what it was there, with every digit.
    ///
    /// # Errors
    /// As for [`Variables::expand`].
    pub fn expand_json(&self, value: &Json) -> Result<Json, String> {
        Ok(match value {
            Json::Text(text) => match pieces(text).as_slice() {
                [Piece::Name(name)] if self.0.contains_key(*name) => {
                    self.0.get(*name).map_or(Json::Null, VariableValue::json)
                }
                _ => Json::Text(self.expand(text)?),
            },
            Json::Array(items) => {
                Json::Array(items.iter().map(|item| self.expand_json(item)).collect::<Result<_, _>>()?)
            }
            Json::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| Ok((key.clone(), self.expand_json(value)?)));
                Json::Object(fields.collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_put_in() {
        let mut variables = Variables::default();
        variables.set("id", "7");
        variables.set("name", "Ada");
        assert_eq!(variables.expand("/a/${id}/${name}?x=$1").unwrap(), "/a/7/Ada?x=$1");
        assert_eq!(variables.expand("$${id} ${open").unwrap(), "${id} ${open");
        assert_eq!(variables.expand("${gone}").unwrap_err(), "`${gone}` has no value here");
        let value = json!({"id": "${id}", "text": "${id} of ${name}", "n": [1, "${name}"]});
        let expanded = variables.expand_json(&value.into()).unwrap();
        assert_eq!(expanded.rounded(), json!({"id": 7, "text": "7 of Ada", "n": [1, "Ada"]}));
    }

    #[test]
    fn a_text_stays_a_text_and_a_number_keeps_its_digits() {
        let mut variables = Variables::default();
        let mut expanded = |variable: VariableValue| {
            variables.set("v", variable);
            variables.expand_json(&json!(["${v}"]).into()).unwrap().to_string()
        };
        for text in ["007", "1e5", "7", "true", "null", "-", "1.", ".5", "0x1"] {
            assert_eq!(expanded(VariableValue { text: text.to_owned(), is_text: true }), format!("[\"{text}\"]"));
        }
        for text in ["18446744073709551617", "12345678901234567.89", "-0.10", "7", "0", "true", "null"] {
            assert_eq!(expanded(text.into()), format!("[{text}]"));
        }
        // From a header or an expression: only what can be nothing else is a number.
        for text in ["007", "1e5", "1.", "-", "", "+1", "1_000"] {
            assert_eq!(expanded(text.into()), format!("[\"{text}\"]"));
        }
    }
}
