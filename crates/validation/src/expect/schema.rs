//! What of an answer is not as its JSON Schema says.

use jsonschema::paths::{Location, LocationSegment};
use serde_json::Value;

use crate::consistency::json::{member, shown};
use crate::redact::CUT;
use config::suite::Schema;
use wire::Finding;

/// More violations of one body say nothing new.
const MOST: usize = 20;
/// In characters: the words of a violation hold the value.
const LONGEST: usize = 300;

/// Every violation by its place.
pub fn violations(schema: &Schema, found: &Value) -> Vec<Finding> {
    let violations = schema.validator().iter_errors(found).take(MOST).map(|error| {
        let rule = schema.text().pointer(error.schema_path().as_str());
        Finding {
            what: format!("schema {}", place(error.instance_path())),
            expected: format!("{}: {}", error.kind().keyword(), shown(rule)),
            found: short(&error.to_string()),
            diff: None,
        }
    });
    violations.collect()
}

fn place(location: &Location) -> String {
    location.segments().fold("$".to_owned(), |place, segment| match segment {
        LocationSegment::Property(name) => member(&place, &name),
        LocationSegment::Index(at) => format!("{place}[{at}]"),
    })
}

fn short(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    format!("{}{CUT}", text.chars().take(LONGEST).collect::<String>())
}
