//! `[[service.NAME.health]]` as it is typed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::{At, Number, OneOrMany};

/// What is asked of the origins when nobody else asks them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthFile {
    /// What it is called in metrics and notices. Default: its kind, "http", "sql" or "redis".
    pub name: Option<At<String>>,
    /// "blue" or "green"; left out: both.
    pub environment: Option<At<String>>,
    /// A request to every address.
    pub http: Option<At<HttpFile>>,
    /// A query to PostgreSQL, MySQL, MariaDB or SQLite.
    pub sql: Option<At<SqlFile>>,
    /// A write to Redis, and reading it back.
    pub redis: Option<At<RedisFile>>,
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
    /// What follows: "eject" (default) keeps requests away, "rollback" takes a new side back, "webhook" tells `webhook`.
    pub on_down: Option<OneOrMany<String>>,
    /// Where a JSON object is posted when an environment goes down.
    pub webhook: Option<At<String>>,
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

/// Which database, and what it is asked. One of the three keys says where it is.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SqlFile {
    /// "postgres://…", "mysql://…" or "sqlite:PATH", without a password.
    pub url: Option<At<String>>,
    /// A file with the URL in it, relative to this one; read again at each load.
    pub url_file: Option<At<String>>,
    /// The environment variable with the URL in it.
    pub url_env: Option<At<String>>,
    /// Default "select 1".
    pub query: Option<At<String>>,
}

/// Which Redis. One of the three keys says where it is.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedisFile {
    /// "redis://HOST/0" or "rediss://HOST/0", without a password.
    pub url: Option<At<String>>,
    /// A file with the URL in it, relative to this one; read again at each load.
    pub url_file: Option<At<String>>,
    /// The environment variable with the URL in it.
    pub url_env: Option<At<String>>,
}

// A URL that should not be there may hold a password all the same.
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
