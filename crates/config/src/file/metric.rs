//! `[[service.NAME.guard.metric]]` as it is typed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::At;
use crate::file::values::{Duration, FiniteNumber, Word, one_of};
use judgement::guard::trigger::TriggerAction;

/// A figure of another system, and what it must be. In `query` and in the path and query of `url`, `{{environment}}`,
/// `{{version}}`, `{{service}}`, `{{active}}` and `{{candidate}}` stand for what is on trial.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"], "oneOf" = one_of(&["prometheus", "url"])))]
pub struct MetricFile {
    /// The name in status, metrics and the journal. Up to 64 letters, digits, `-`, `_` and `.`.
    pub name: Option<At<String>>,
    /// The URL of a Prometheus server, or of one with its API. Either this or `url` is needed.
    pub prometheus: Option<At<String>>,
    /// For `prometheus`: the query. Its result must be one number.
    pub query: Option<At<String>>,
    /// A URL that is asked with GET, and answers a number or pass or fail: as text, or as JSON such as 0.3, true,
    /// {"value": 0.3} or {"pass": true}.
    pub url: Option<At<String>>,
    /// Headers of the request. Values may come from the environment: "Bearer ${METRICS_TOKEN}".
    pub headers: BTreeMap<String, At<String>>,
    /// A file that contains a token, which is sent as `Authorization: Bearer`. Relative to this file, and read again at each
    /// reload.
    pub token_file: Option<At<String>>,
    /// Time from one question to the next, from "1s" to "1h".
    #[schemars(extend("default" = "30s"))]
    pub every: Option<At<Duration<1_000, 3_600_000>>>,
    /// Time for one answer, up to "1m".
    #[schemars(extend("default" = "5s"))]
    pub timeout: Option<At<Duration<1, 60_000>>>,
    /// Bad above this number.
    pub above: Option<At<FiniteNumber>>,
    /// Bad below this number.
    pub below: Option<At<FiniteNumber>>,
    /// Ask for active too, and compare the two.
    pub compare: Option<At<CompareFile>>,
    /// How long it must be bad, without a good answer between, before anything happens. "0s" for one answer.
    #[serde(rename = "for")]
    #[schemars(extend("default" = "0s"))]
    pub hold: Option<At<Duration<0>>>,
    /// What happens when it is bad.
    #[schemars(extend("default" = "rollback"))]
    pub action: Option<At<Word<TriggerAction>>>,
}

/// The limit as active sets it: its figure times `ratio`, plus `difference`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompareFile {
    /// Above 1, more than so many times active's is bad; below 1, less than this part of it.
    #[schemars(extend("default" = 1))]
    pub ratio: Option<At<FiniteNumber>>,
    /// Above 0, so much more than active's is bad; below 0, so much less.
    #[schemars(extend("default" = 0))]
    pub difference: Option<At<FiniteNumber>>,
}
