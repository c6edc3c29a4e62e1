//! `cutover.toml` as it is typed.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::file::{At, Number};

/// `cutover.toml`: what needs a restart to change.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MainFile {
    /// The version of this format: 1.
    pub version: Option<At<Number>>,
    /// The routing file, or a folder of them; relative to this file.
    pub routing: Option<At<String>>,
    pub proxy: Option<At<ProxyFile>>,
    pub admin: Option<At<AdminFile>>,
    pub state: Option<At<StateFile>>,
    pub guard: Option<At<SidecarFile>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyFile {
    /// Addresses with port. Default ["0.0.0.0:8080"].
    pub listen: Option<At<Vec<At<String>>>>,
    /// Workers; 0: one per core (default).
    pub threads: Option<At<Number>>,
    /// CIDRs whose X-Forwarded-* are believed.
    pub trusted_proxies: Option<Vec<At<String>>>,
    /// How long SIGTERM waits for requests in flight. Default "30s".
    pub drain: Option<At<String>>,
    /// A line a request. Left out: none.
    pub access_log: Option<At<AccessLogFile>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLogFile {
    /// A file, relative to this one, or "stdout".
    pub path: Option<At<String>>,
    /// "json" (default), or "combined" for Apache's.
    pub format: Option<At<String>>,
    /// Percent of the requests that are written, with up to two decimals; failures always are. Default 100.
    pub sample: Option<At<Number>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminFile {
    /// Address with port. Default "127.0.0.1:9700".
    pub listen: Option<At<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StateFile {
    /// The embedded journal and state; relative to this file. Default "cutover.db".
    pub path: Option<At<String>>,
}

/// The sidecar.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SidecarFile {
    /// How often it looks, beside at failures. Default "100ms".
    pub tick: Option<At<String>>,
}
