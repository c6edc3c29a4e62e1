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
    /// CIDRs whose X-Forwarded-*, Forwarded, X-Request-Id, traceparent and tracestate are believed.
    pub trusted_proxies: Option<Vec<At<String>>>,
    /// Send Forwarded (RFC 7239) beside X-Forwarded-*. Default false.
    pub forwarded: Option<bool>,
    /// Send Via to origins (RFC 9110 7.6.3). Default false: some origins, nginx among them, do not compress then.
    pub via: Option<bool>,
    /// Send traceparent, and check tracestate (W3C Trace Context). Default true; false: they pass as they came.
    pub trace_context: Option<bool>,
    /// How long SIGTERM waits for requests in flight. Default "30s".
    pub drain: Option<At<String>>,
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
