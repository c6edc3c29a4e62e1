//! `[[service.NAME.health]]` as it is typed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::values::{Duration, Whole, Word, one_of};
use crate::file::{At, OneOrMany};
use judgement::traffic::Environment;

/// A health check of the origins.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthFile {
    /// The name in status, metrics and notifications. Default: its kind, "http", "sql" or "redis".
    pub name: Option<At<String>>,
    /// The environment that is checked. Default: both.
    pub environment: Option<At<Word<Environment>>>,
    /// A request to every origin.
    pub http: Option<At<HttpFile>>,
    /// A query to PostgreSQL, MySQL, MariaDB or SQLite.
    pub sql: Option<At<SqlFile>>,
    /// A write to Redis, which is read back.
    pub redis: Option<At<RedisFile>>,
    /// Time from one round to the next, from "100ms" to "1h".
    #[schemars(extend("default" = "10s"))]
    pub interval: Option<At<Duration<100, 3_600_000>>>,
    /// Time for one attempt, up to "1m".
    #[schemars(extend("default" = "10s"))]
    pub timeout: Option<At<Duration<1, 60_000>>>,
    /// Retries within a round, after the first attempt.
    #[schemars(extend("default" = 3, "x-unit" = "attempts"))]
    pub retries: Option<At<Whole<0, 10>>>,
    /// Failed rounds in a row until the environment counts as down.
    #[schemars(extend("default" = 2, "x-unit" = "rounds"))]
    pub fall: Option<At<Whole<1, 100>>>,
    /// Successful rounds in a row until the environment counts as up again.
    #[schemars(extend("default" = 2, "x-unit" = "rounds"))]
    pub rise: Option<At<Whole<1, 100>>>,
    /// What happens when the environment goes down: "eject" sends it no requests, "rollback" rolls a new version back,
    /// "webhook" calls `webhook`.
    #[schemars(extend("default" = ["eject"]))]
    pub on_down: Option<OneOrMany<Word<HealthAction>>>,
    /// The URL to which a JSON object is posted when an environment goes down.
    pub webhook: Option<At<String>>,
}

/// What happens when an environment goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthAction {
    Eject,
    Rollback,
    Webhook,
}

/// A request, and what its response must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpFile {
    /// The path, with a query if needed.
    #[schemars(extend("default" = "/"))]
    pub path: Option<At<String>>,
    /// The method. It must not change anything.
    #[schemars(extend("default" = "GET"))]
    pub method: Option<At<Word<ProbeMethod>>>,
    /// Headers of the request.
    pub headers: BTreeMap<String, At<String>>,
    /// The status codes that pass, from 200 to 599. Default: 200 to 399.
    pub status: Option<OneOrMany<Whole<200, 599>>>,
    /// Text that must occur in the first 64 KiB of the body.
    pub body: Option<At<String>>,
}

/// A method that changes nothing, because checks run every few seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProbeMethod {
    Get,
    Head,
    Options,
}

/// A database and a query. Exactly one of the keys `url`, `url_file` and `url_env` is needed.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = one_of(&["url", "url_file", "url_env"])))]
pub struct SqlFile {
    /// "postgres://…", "mysql://…" or "sqlite:PATH". A password may come from the environment: "${DB_PASSWORD}".
    pub url: Option<At<String>>,
    /// A file that contains the URL. Relative to this file, and read again at each reload.
    pub url_file: Option<At<String>>,
    /// The environment variable that contains the URL.
    pub url_env: Option<At<String>>,
    /// The query.
    #[schemars(extend("default" = "select 1"))]
    pub query: Option<At<String>>,
}

/// A Redis server. Exactly one of the keys is needed.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = one_of(&["url", "url_file", "url_env"])))]
pub struct RedisFile {
    /// "redis://HOST/0" or "rediss://HOST/0". A password may come from the environment: "${REDIS_PASSWORD}".
    pub url: Option<At<String>>,
    /// A file that contains the URL. Relative to this file, and read again at each reload.
    pub url_file: Option<At<String>>,
    /// The environment variable that contains the URL.
    pub url_env: Option<At<String>>,
}

// A URL may hold a password, although it should not.
impl std::fmt::Debug for SqlFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqlFile")
    }
}

impl std::fmt::Debug for RedisFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisFile")
    }
}
