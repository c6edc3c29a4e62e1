//! The files as they are typed: every key, its type, and what it is for. Nothing here knows what makes sense; that is
//! [`super::check`]'s business. The JSON Schema that editors use is derived from these types.

mod edits;
mod health;
mod main;
mod notify;
mod rollout;
mod suite;
mod typed;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

pub use edits::EditsFile;
pub use health::{HealthFile, HttpFile, RedisFile, SqlFile};
pub use main::{
    AccessLogFile, AdminFile, CertificateFile, LimitsFile, MainFile, ProxyFile, SidecarFile, StateFile, TlsFile,
    TokenFile, ValidationFile,
};
pub use notify::NotifyFile;
pub use rollout::{RolloutFile, StepFile};
pub use suite::{
    AnyValue, CaseFile, DataFile, DatabaseFile, ExpectFile, LoadFile, LoadLimitsFile, ParityFile, RequestFile, Scalar,
    SuiteFile,
};
pub use typed::{At, Number, OneOrMany, Size, TriggerLimit};

/// A routing file: services, each served by a blue and a green environment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Cutover routing file")]
pub struct RoutingFile {
    /// The services by name.
    pub service: BTreeMap<String, At<ServiceFile>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceFile {
    /// Exact names or "*.example.com"; left out: every host that no other service names.
    pub hosts: Option<OneOrMany<String>>,
    /// Defaults that fit a platform: "netlify", "lambda-url" or "https".
    pub preset: Option<At<String>>,
    /// The longest body of a request: "10MiB" (default), bytes, or "unlimited". Longer ones are answered 413.
    pub max_body: Option<At<Size>>,
    /// Tell clients which environment and version served them, and the request's id. Default false.
    pub expose: Option<bool>,
    /// Edits of every request's head on its way to the origin, before the route's own.
    pub request_headers: Option<At<EditsFile>>,
    /// Edits of the head of every origin's answer, before the route's own.
    pub response_headers: Option<At<EditsFile>>,
    pub blue: Option<At<EnvironmentFile>>,
    pub green: Option<At<EnvironmentFile>>,
    pub split: Option<At<SplitFile>>,
    /// Let clients open WebSockets. Default false.
    pub websocket: Option<bool>,
    pub timeouts: Option<TimeoutsFile>,
    /// Named path patterns, each watched on its own.
    pub route: Vec<At<RouteFile>>,
    /// Conditions on the request that choose where it goes; the first match wins.
    pub rule: Vec<At<RuleFile>>,
    /// Where a deploy may send an environment instead of its url: "https://*--shop.netlify.app". Default nowhere.
    pub allowed_origins: Option<OneOrMany<String>>,
    /// How a version that is deployed gets its share.
    pub rollout: Option<At<RolloutFile>>,
    pub guard: Option<At<GuardFile>>,
    /// What is asked of the origins when nobody else asks them.
    pub health: Vec<At<HealthFile>>,
}

/// One of the two copies of the site.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentFile {
    /// Where requests go: "https://next--shop.netlify.app", with a base path if need be.
    pub url: Option<At<String>>,
    /// Several of them instead, taken in turn.
    pub urls: Option<At<Vec<At<String>>>>,
    /// What is deployed there, for `expose`.
    pub version: Option<At<String>>,
    /// HTTP/2 to the origin: "auto" (default) where TLS agrees on it, "only", or "never".
    pub h2: Option<At<String>>,
    /// Who may sign the origin's certificate, in PEM, instead of whom the system trusts; relative to this file.
    pub ca_file: Option<At<String>>,
    /// What we show to an origin that asks for a certificate, in PEM.
    pub client_cert_file: Option<At<String>>,
    pub client_key_file: Option<At<String>>,
}

/// How traffic is split between the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitFile {
    /// The environment that serves by default: "blue" (default) or "green".
    pub active: Option<At<String>>,
    /// Percent to the other one, the candidate, with up to two decimals. Default 0.
    pub weight: Option<At<Number>>,
    /// What keeps a client on one side. Default "none".
    pub sticky: Option<At<StickyFile>>,
    /// Serve failed candidate requests again from active where that is safe. Default true.
    pub rescue: Option<bool>,
    /// Who gives way when health checks find an environment down: the "candidate" (default) to active, or "both" to
    /// each other.
    pub failover: Option<At<String>>,
}

/// "none", or one of the keys.
#[derive(Clone, Debug, Default)]
pub struct StickyFile {
    pub none: bool,
    pub cookie: Option<At<String>>,
    pub header: Option<At<String>>,
    pub client_address: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct StickyTable {
    /// A cookie of this name, set by the proxy where the client has none.
    cookie: Option<At<String>>,
    /// A header that clients send.
    header: Option<At<String>>,
    /// The client's address.
    client_address: Option<bool>,
}

impl<'de> Deserialize<'de> for StickyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StickyFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StickyFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("{ cookie = \"name\" }, { header = \"name\" }, { client_address = true } or \"none\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<StickyFile, E> {
                if text == "none" {
                    return Ok(StickyFile { none: true, ..StickyFile::default() });
                }
                Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<StickyFile, A::Error> {
                let table = StickyTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let StickyTable { cookie, header, client_address } = table;
                Ok(StickyFile { none: false, cookie, header, client_address })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for StickyFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sticky".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<StickyTable>();
        schemars::json_schema!({ "oneOf": [{ "const": "none" }, table] })
    }
}

/// How long an origin may take, as durations.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsFile {
    /// To connect. Default "2s".
    pub connect: Option<At<String>>,
    /// For the TLS handshake. Default "4s".
    pub tls: Option<At<String>>,
    /// To the answer's first byte, and then between any two. Default "30s".
    pub first_byte: Option<At<String>>,
    /// To take more of a request's body. Default "30s".
    pub write: Option<At<String>>,
    /// A connection that nobody uses is closed after this; keep it under the origin's own. Default "50s".
    pub idle: Option<At<String>>,
    /// From the request's head on: no rescue starts later. Default "60s".
    pub deadline: Option<At<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteFile {
    pub name: Option<At<String>>,
    /// "/exact", "/prefix/*", or a glob in which * crosses slashes.
    pub path: Option<At<String>>,
    /// Overrides the service's.
    pub deadline: Option<At<String>>,
    /// Edits of the request's head, after the service's.
    pub request_headers: Option<At<EditsFile>>,
    /// Edits of the answer's head, after the service's.
    pub response_headers: Option<At<EditsFile>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleFile {
    pub name: Option<At<String>>,
    pub header: Option<OneOrMany<ValueFile>>,
    pub cookie: Option<OneOrMany<ValueFile>>,
    pub query: Option<OneOrMany<ValueFile>>,
    pub path: Option<At<PathFile>>,
    /// In upper case, as in HTTP.
    pub method: Option<OneOrMany<String>>,
    /// As in `hosts`.
    pub host: Option<OneOrMany<String>>,
    /// CIDRs or addresses.
    pub client_address: Option<OneOrMany<String>>,
    /// Names of routes, or "default".
    pub route: Option<OneOrMany<String>>,
    /// "blue", "green", "active" or "candidate".
    pub to: Option<At<String>>,
    /// Instead of `to`: this percentage of the matching requests goes to the candidate.
    pub candidate: Option<At<Number>>,
    /// Holds even at weight 0 and after a rollback; such requests are not judged.
    #[serde(rename = "override")]
    pub overrides: Option<bool>,
    /// Remove the headers that the rule names before forwarding.
    pub strip: Option<bool>,
}

/// A condition on a named value: `name`, and one operator.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ValueFile {
    pub name: Option<At<String>>,
    pub equals: Option<At<String>>,
    pub prefix: Option<At<String>>,
    pub suffix: Option<At<String>>,
    pub contains: Option<At<String>>,
    /// Must match the whole value.
    pub regex: Option<At<String>>,
    pub present: Option<At<bool>>,
    pub absent: Option<At<bool>>,
}

/// A condition on the path: a glob, or a table with one operator.
#[derive(Clone, Debug, Default)]
pub struct PathFile {
    pub glob: Option<String>,
    pub exact: Option<At<String>>,
    pub prefix: Option<At<String>>,
    pub regex: Option<At<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct PathTable {
    exact: Option<At<String>>,
    /// Whole segments.
    prefix: Option<At<String>>,
    /// Must match the whole path.
    regex: Option<At<String>>,
}

impl<'de> Deserialize<'de> for PathFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PathFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PathFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a glob such as \"/api/*\", or a table with `exact`, `prefix` or `regex`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PathFile, E> {
                Ok(PathFile { glob: Some(text.to_owned()), ..PathFile::default() })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<PathFile, A::Error> {
                let table = PathTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let PathTable { exact, prefix, regex } = table;
                Ok(PathFile { glob: None, exact, prefix, regex })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for PathFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Path".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<PathTable>();
        schemars::json_schema!({ "oneOf": [{ "type": "string" }, table] })
    }
}

/// What judges the candidate.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardFile {
    /// Judge the candidate against active over the same seconds, by a test that is valid however often one looks. Default
    /// true; `false` leaves the triggers alone.
    pub evidence: Option<bool>,
    /// Roll a candidate back at once that fails nearly everything, where no evidence can be had: active answers nothing,
    /// or the evidence is switched off and active is well. Default true.
    pub dead_candidate: Option<bool>,
    /// Thresholds; naming one replaces all the defaults.
    pub trigger: Vec<At<TriggerFile>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TriggerFile {
    pub name: Option<At<String>>,
    /// error_rate, availability, latency_p50, latency_p95, latency_p99, throughput_drop or health_failures.
    pub metric: Option<At<String>>,
    /// Fires above this: percent, a duration for a latency, or a count for health_failures.
    pub above: Option<At<TriggerLimit>>,
    /// Fires below this percentage: for availability.
    pub below: Option<At<TriggerLimit>>,
    /// Continuously beyond the limit for this long. Default "0s".
    #[serde(rename = "for")]
    pub hold: Option<At<String>>,
    /// Measured over the last so long. Default "10s", for health_failures "1m".
    pub window: Option<At<String>>,
    /// With fewer answers than this in the window it says nothing. Default 20.
    pub requests: Option<At<Number>>,
    /// "warn", "pause" or "rollback" (default).
    pub action: Option<At<String>>,
}

impl RoutingFile {
    /// The JSON Schema of the routing file.
    pub fn schema() -> Schema {
        schemars::schema_for!(RoutingFile)
    }
}
