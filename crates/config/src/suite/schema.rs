//! A JSON Schema that answers are held against. It is built once, when the suite is read: building takes far longer than
//! looking at an answer.

use jsonschema::Validator;
use serde_json::Value;

/// A schema that can be used. It reads nothing: a reference to another document is refused, whatever its URL.
#[derive(Clone, Debug)]
pub struct Schema {
    text: Value,
    validator: Validator,
}

impl Schema {
    /// # Errors
    /// In words, why it is no schema.
    pub fn new(text: Value) -> Result<Schema, String> {
        let validator = jsonschema::options().offline().build(&text).map_err(|error| error.to_string())?;
        Ok(Schema { text, validator })
    }

    /// As it was written.
    pub fn text(&self) -> &Value {
        &self.text
    }

    pub fn validator(&self) -> &Validator {
        &self.validator
    }
}
