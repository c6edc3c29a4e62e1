//! `[[service.NAME.health]]` as it is typed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::file::{At, Number, Some1};

/// What is asked of the origins when nobody else asks them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthFile {
    /// What it is called in metrics and notices. Default: its kind, "http".
    pub name: Option<At<String>>,
    /// "blue" or "green"; left out: both.
    pub environment: Option<At<String>>,
    /// A request to every address.
    pub http: Option<At<HttpFile>>,
    /// From one round to the next. Default "10s".
    pub interval: Option<At<String>>,
    /// Of one attempt. Default "10s".
    pub timeout: Option<At<String>>,
    /// Attempts of a round after the first one. Default 3.
    pub retries: Option<At<Number>>,
    /// So many failed rounds in a row, and it is down. Default 2.
    pub fall: Option<At<Number>>,
    /// So many good rounds in a row, and it is up again. Default 2.
    pub rise: Option<At<Number>>,
    /// What follows: "eject" (default) keeps requests away, "rollback" takes a new side back.
    pub on_down: Option<Some1<String>>,
}

/// A request, and what its answer must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpFile {
    /// Default "/".
    pub path: Option<At<String>>,
    /// Default "GET".
    pub method: Option<At<String>>,
    pub headers: BTreeMap<String, At<String>>,
    /// The statuses that are good. Default 200 to 399.
    pub status: Option<At<Vec<Number>>>,
    /// Must be somewhere in the first 64 KiB of the body.
    pub body: Option<At<String>>,
}
