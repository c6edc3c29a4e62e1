//! `request_headers` and `response_headers` as they are typed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::{At, OneOrMany};

/// Edits of a head.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EditsFile {
    /// Replaces every line of the header by this one.
    pub set: BTreeMap<String, At<String>>,
    /// Adds a line, or several, to those that are there.
    pub add: BTreeMap<String, OneOrMany<String>>,
    /// Removes every line of these headers.
    pub remove: Vec<At<String>>,
}
