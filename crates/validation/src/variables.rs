//! Texts that contain `${name}`, and the variables that these name.

use std::collections::BTreeMap;

use serde_json::Value;

pub use config::suite::text::{Piece, pieces};

/// Variables with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
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
    /// if the variable reads as one: `"${id}"` asks for the number 7 where 7 was captured.
    ///
    /// # Errors
    /// As for [`Variables::expand`].
    pub fn expand_json(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => {
                let expanded = self.expand(text)?;
                let alone = matches!(pieces(text).as_slice(), [Piece::Name(_)]);
                let scalar = serde_json::from_str(&expanded)
                    .ok()
                    .filter(|value: &Value| value.is_number() || value.is_boolean() || value.is_null());
                scalar.filter(|_| alone).unwrap_or(Value::String(expanded))
            }
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.expand_json(item)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| Ok((key.clone(), self.expand_json(value)?)));
                Value::Object(fields.collect::<Result<_, String>>()?)
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
        assert_eq!(variables.expand_json(&value).unwrap(), json!({"id": 7, "text": "7 of Ada", "n": [1, "Ada"]}));
    }
}
