//! What of an answer violates its JSON Schema.

use boon::{ErrorKind, InstanceToken, ValidationError};
use serde_json::Value;

use crate::consistency::json::{self, member};
use crate::text::truncated;
use config::suite::{Json, Schema};
use wire::Finding;

/// More violations of one body say nothing new.
const MOST: usize = 20;
/// In characters: a violation may quote the value.
const LONGEST: usize = 300;

/// Every violation by its place.
pub fn violations(schema: &Schema, found: &Value) -> Vec<Finding> {
    let Err(tree) = schema.check(found) else { return Vec::new() };
    let mut all = Vec::new();
    collect(&tree, &mut all);
    let finding = |violation: &ValidationError<'_, '_>| Finding {
        what: format!("schema {}", place(violation)),
        expected: expected(schema, violation),
        found: truncated(&instead(violation, found), LONGEST),
        diff: None,
    };
    all.into_iter().take(MOST).map(finding).collect()
}

/// The violations that say something by themselves. Where a value must match one of several schemas, why it matches
/// none of them is not listed: mostly it was never meant to match more than one.
fn collect<'e, 's, 'v>(violation: &'e ValidationError<'s, 'v>, all: &mut Vec<&'e ValidationError<'s, 'v>>) {
    let is_choice =
        matches!(violation.kind, ErrorKind::AnyOf | ErrorKind::OneOf(_) | ErrorKind::Contains | ErrorKind::Not);
    if violation.causes.is_empty() || is_choice {
        return all.push(violation);
    }
    violation.causes.iter().for_each(|cause| collect(cause, all));
}

fn place(violation: &ValidationError<'_, '_>) -> String {
    violation.instance_location.tokens.iter().fold("$".to_owned(), |place, token| match token {
        InstanceToken::Prop(name) => member(&place, name),
        InstanceToken::Item(at) => format!("{place}[{at}]"),
    })
}

/// The keyword and what the schema says with it: `type: "integer"`.
fn expected(schema: &Schema, violation: &ValidationError<'_, '_>) -> String {
    let keyword = match &violation.kind {
        ErrorKind::AdditionalProperties { .. } => "additionalProperties",
        ErrorKind::FalseSchema => return "nothing: the schema is false".to_owned(),
        kind => kind.keyword_path().map_or("a valid value", |path| path.keyword),
    };
    match schema.rule(violation.schema_url, keyword) {
        Some(rule) => format!("{keyword}: {}", shown(Some(rule))),
        None => keyword.to_owned(),
    }
}

/// What there is instead.
fn instead(violation: &ValidationError<'_, '_>, document: &Value) -> String {
    let quoted = |names: &mut dyn Iterator<Item = &str>| {
        names.map(|name| Value::String(name.to_owned()).to_string()).collect::<Vec<_>>().join(", ")
    };
    let value = value_at(violation, document);
    match &violation.kind {
        ErrorKind::Required { want } => format!("no {}", quoted(&mut want.iter().copied())),
        ErrorKind::Dependency { missing, .. } | ErrorKind::DependentRequired { missing, .. } => {
            format!("no {}", quoted(&mut missing.iter().copied()))
        }
        ErrorKind::AdditionalProperties { got } => format!("also {}", quoted(&mut got.iter().map(AsRef::as_ref))),
        ErrorKind::Type { got, .. } => format!("{got}: {}", shown(value)),
        ErrorKind::Format { err, .. } => format!("{}: {err}", shown(value)),
        ErrorKind::MinItems { got, .. } | ErrorKind::MaxItems { got, .. } => format!("{got} items"),
        ErrorKind::MinLength { got, .. } | ErrorKind::MaxLength { got, .. } => {
            format!("length {got}: {}", shown(value))
        }
        ErrorKind::UniqueItems { got: [one, other] } => format!("items {one} and {other} are equal"),
        ErrorKind::OneOf(Some((one, other))) => format!("schemas {one} and {other} both match: {}", shown(value)),
        _ => shown(value),
    }
}

/// A value on one line.
fn shown(value: Option<&Value>) -> String {
    json::shown(value.cloned().map(Json::from).as_ref())
}

fn value_at<'v>(violation: &ValidationError<'_, '_>, document: &'v Value) -> Option<&'v Value> {
    violation.instance_location.tokens.iter().try_fold(document, |value, token| match token {
        InstanceToken::Prop(name) => value.get(name.as_ref()),
        InstanceToken::Item(at) => value.get(*at),
    })
}
