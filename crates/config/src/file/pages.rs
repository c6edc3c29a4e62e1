//! `maintenance` of a service as it is typed.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::At;
use crate::file::values::Duration;

/// While it is there, every request of the service is answered with 503, and no origin is asked.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaintenanceFile {
    /// A file with the page that clients see, relative to this file: *.html, *.json, *.txt or *.svg of up to 64 KiB. Default:
    /// the page of `error_pages` for 503, or a line of text.
    pub page: Option<At<String>>,
    /// When clients should come again, as Retry-After says it. Default: it says nothing.
    pub retry_after: Option<At<Duration<1000>>>,
}
