//! The JSON Schemas of the files, for editors and for the configuration page of the book.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::file::{MainFile, RoutingFile, SuiteFile};

/// The schema of the routing file.
pub fn routing() -> Schema {
    with_variables(schema::<RoutingFile>())
}

/// The schema of `cutover.toml`.
pub fn main() -> Schema {
    with_variables(schema::<MainFile>())
}

/// The schema of a validation suite.
pub fn suite() -> Schema {
    without_variables(schema::<SuiteFile>())
}

/// What the pattern of a string has at its end: what an environment variable holds is not known to an editor.
const OR_VARIABLE: &str = r"|\$\{";

/// In these files every string may hold a variable, also one that must be one of a few words.
fn with_variables(mut schema: Schema) -> Schema {
    let words_or_variable = |schema: &mut Schema| {
        let Some(object) = schema.as_object_mut().filter(|object| object.get("type") == Some(&"string".into())) else {
            return;
        };
        if let Some(words) = object.remove("enum") {
            object.remove("type");
            let variable = serde_json::json!({ "type": "string", "pattern": r"\$\{", "x-variable": true });
            object.insert("anyOf".to_owned(), serde_json::json!([{ "enum": words }, variable]));
        }
    };
    RecursiveTransform(words_or_variable).transform(&mut schema);
    schema
}

/// A suite has variables of its own, in some of its strings.
fn without_variables(mut schema: Schema) -> Schema {
    let no_variable = |schema: &mut Schema| {
        if let Some(Value::String(pattern)) = schema.as_object_mut().and_then(|object| object.get_mut("pattern"))
            && let Some(bare) = pattern.strip_suffix(OR_VARIABLE)
        {
            *pattern = bare.to_owned();
        }
    };
    RecursiveTransform(no_variable).transform(&mut schema);
    schema
}

fn schema<T: JsonSchema>() -> Schema {
    let mut schema = SchemaSettings::default().into_generator().into_root_schema_for::<T>();
    RecursiveTransform(as_toml).transform(&mut schema);
    schema
}

/// TOML has no null: an optional key is simply not required. Descriptions are on one line.
fn as_toml(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        let null = serde_json::json!({ "type": "null" });
        choices.retain(|choice| *choice != null);
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}
