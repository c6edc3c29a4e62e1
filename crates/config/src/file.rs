//! The files as written: every key, its type, and its meaning. Values are parsed here (see [`values`]); combinations
//! that make no sense are found by [`super::check`]. The JSON Schemas for editors and the configuration page of the
//! book are derived from these types, so every key states its meaning, default and unit.

mod acme;
mod edits;
mod forward_auth;
mod gate;
mod health;
mod listener;
mod main;
mod metric;
mod mirror;
mod notify;
mod pages;
mod rollout;
mod route_terms;
pub mod schema;
mod service;
mod suite;
pub mod values;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use acme::{AcmeFile, EabFile, OnDemandFile};
pub use edits::EditsFile;
pub use forward_auth::{ForwardAuthFile, ForwardAuthTable};
pub use gate::GateFile;
pub use health::{HealthAction, HealthFile, HttpFile, ProbeMethod, RedisFile, SqlFile};
pub use listener::PlainListenerFile;
pub use main::{
    AccessLogFile, AdminFile, CertificateFile, LimitsFile, MainFile, ProxyFile, SidecarFile, StateFile, TlsFile,
    TokenFile, ValidationFile,
};
pub use metric::{CompareFile, MetricFile};
pub use mirror::MirrorFile;
pub use notify::{NotifyFile, NotifyKind};
pub use pages::MaintenanceFile;
pub use rollout::{RolloutFile, StepFile};
pub use route_terms::{RateLimitFile, RateLimitKeyFile, RateLimitKeyTable, RedirectFile};
pub use service::{
    EnvironmentFile, Failover, GuardFile, Http2Choice, PathFile, PresetName, RouteFile, RuleFile, RuleTargetWord,
    SameSite, ServiceFile, SkewFile, SplitFile, StickyFile, StickyTable, TimeoutsFile, TriggerFile, ValueFile,
};
pub use suite::{
    AnyValue, CaseFile, DataFile, DatabaseFile, ExpectFile, LoadFile, LoadLimitsFile, ParityFile, RequestFile, Scalar,
    SuiteDatabaseFile, SuiteFile,
};
pub use values::{At, ColumnToleranceFile, DataToleranceFile, OneOrMany};

/// A routing file: services, each served by a blue and a green environment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Cutover routing file")]
pub struct RoutingFile {
    /// The services, by name. A name has up to 64 letters, digits, `-`, `_` and `.`.
    pub service: BTreeMap<String, At<ServiceFile>>,
}
