//! `request_headers` and `response_headers` as they are typed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::{At, OneOrMany};

/// Changes to the headers of a message.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EditsFile {
    /// Replace every line of the header with this value.
    pub set: BTreeMap<String, At<String>>,
    /// Add one or more lines to the existing ones.
    pub add: BTreeMap<String, OneOrMany<String>>,
    /// Remove every line of these headers.
    pub remove: Vec<At<String>>,
}
