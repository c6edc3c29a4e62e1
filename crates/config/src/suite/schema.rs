//! A JSON Schema that responses are checked against. It is compiled once, when the suite is read, because compiling
//! takes far longer than checking a response.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use boon::{CompileError, Compiler, Draft, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

/// The URL by which the compiler knows the schema: nothing is read from it.
const BASE: &str = "cutover:///schema.json";

/// A compiled schema, of draft 4 to 2020-12. It reads nothing: a reference to another document is refused, whatever
/// its URL.
#[derive(Clone)]
pub struct Schema {
    text: Value,
    compiled: Arc<Schemas>,
    root: SchemaIndex,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.text).finish()
    }
}

/// Refuses every document other than the schema itself; those of the drafts are built in.
struct Offline;

impl UrlLoader for Offline {
    fn load(&self, url: &str) -> Result<Value, Box<dyn Error>> {
        Err(format!("{url} is another document").into())
    }
}

impl Schema {
    /// # Errors
    /// Why it is not a valid schema, in words.
    pub fn new(text: Value) -> Result<Schema, String> {
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(Offline));
        // Draft 7 asserts the encoding and the media type of a text; later drafts only annotate them.
        let draft = text.get("$schema").and_then(Value::as_str).and_then(Draft::from_url);
        if draft == Some(Draft::V7) {
            compiler.enable_content_assertions();
        }
        let mut compiled = Schemas::new();
        compiler.add_resource(BASE, text.clone()).map_err(|error| in_words(&error))?;
        let root = compiler.compile(BASE, &mut compiled).map_err(|error| in_words(&error))?;
        Ok(Schema { text, compiled: Arc::new(compiled), root })
    }

    /// The value at a location of the schema, in the compiler's notation, with a keyword after it.
    pub fn rule(&self, location: &str, keyword: &str) -> Option<&Value> {
        let pointer = location.strip_prefix(BASE)?.strip_prefix('#')?;
        let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
        self.text.pointer(&pointer)?.get(keyword)
    }

    /// # Errors
    /// The tree of violations.
    pub fn check<'s, 'v>(&'s self, value: &'v Value) -> Result<(), Box<ValidationError<'s, 'v>>> {
        self.compiled.validate(value, self.root).map_err(Box::new)
    }
}

fn in_words(error: &CompileError) -> String {
    match error {
        CompileError::LoadUrlError { url, .. } => {
            format!("it refers to {}, but other documents are not read", url.replace("cutover:///", ""))
        }
        CompileError::ValidationError { src, .. } => {
            let mut cause = src;
            while let Some(deeper) = cause.causes.first() {
                cause = deeper;
            }
            let place = cause.instance_location.to_string();
            let why = match &cause.kind {
                ErrorKind::Format { got, want: "regex", err } => format!("invalid pattern {got}: {}", last_line(err)),
                other => other.to_string(),
            };
            if place.is_empty() { why } else { format!("{place}: {why}") }
        }
        CompileError::InvalidRegex { regex, src, .. } => format!("invalid pattern {regex:?}: {}", last_line(src)),
        CompileError::JsonPointerNotFound(place) => format!("{} does not exist", place.replace(BASE, "")),
        other => format!("{other:#}").replace(BASE, "the schema"),
    }
}

/// Errors of regular expressions begin with a drawing.
fn last_line(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    text.rsplit("error: ").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_a_schema_says_why() {
        let refused = [
            json!({"type": "strin"}),
            json!({"properties": {"a": {"minLength": -1}}}),
            json!({"pattern": "^(?!x)"}),
            json!({"pattern": "("}),
            json!({"$ref": "other.json"}),
            json!({"$ref": "#/$defs/gone"}),
            json!({"$schema": "https://example.com/draft"}),
        ]
        .map(|text| Schema::new(text).unwrap_err());
        let types = "'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'";
        let expected = [
            &format!("/type: value must be one of {types}"),
            "/properties/a/minLength: must be >=0, but got -1",
            "/pattern: invalid pattern \"^(?!x)\": look-around, including look-ahead and look-behind, is not supported",
            "/pattern: invalid pattern \"(\": unclosed group",
            "it refers to other.json, but other documents are not read",
            "#/$defs/gone does not exist",
            "it refers to https://example.com/draft, but other documents are not read",
        ];
        assert_eq!(refused, expected);
    }

    #[test]
    fn drafts_assert_what_they_say() {
        let holds = |text: Value, value: Value| Schema::new(text).unwrap().check(&value).is_ok();
        let draft7 = "http://json-schema.org/draft-07/schema#";
        assert!(!holds(json!({"$schema": draft7, "format": "ipv4"}), json!("1.2.3")));
        assert!(!holds(json!({"$schema": draft7, "contentEncoding": "base64"}), json!("%")));
        assert!(holds(json!({"format": "ipv4"}), json!("1.2.3")), "2020-12 takes a format for a note");
        assert!(!holds(
            json!({"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 3, "exclusiveMaximum": true}),
            json!(3)
        ));
        assert!(!holds(json!({"prefixItems": [{"type": "integer"}], "items": false}), json!([1, 2])));
        assert!(!holds(json!({"pattern": "^\\d+$"}), json!("٣")), "digits are those of ECMA 262");
    }

    #[test]
    fn a_rule_is_found_by_its_place() {
        let schema = Schema::new(json!({"properties": {"a b/c": {"type": "integer"}}})).unwrap();
        let value = json!({"a b/c": "x"});
        let violation = schema.check(&value).unwrap_err();
        let leaf = violation.causes.first().unwrap();
        assert_eq!(schema.rule(leaf.schema_url, "type"), Some(&json!("integer")), "{}", leaf.schema_url);
    }
}
