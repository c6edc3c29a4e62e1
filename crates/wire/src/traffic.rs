//! Traffic in numbers: by service, route and environment, in the last minute and since the start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Side;

/// Every service's traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    pub traffic: Vec<ServiceTraffic>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceTraffic {
    pub service: String,
    /// The candidate's share as set, in percent.
    pub weight: f64,
    /// All routes together: blue, then green.
    pub environments: Vec<EnvironmentTraffic>,
    pub routes: Vec<RouteTraffic>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteTraffic {
    pub route: String,
    pub environments: Vec<EnvironmentTraffic>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentTraffic {
    pub environment: Side,
    pub last_minute: TrafficNumbers,
    pub since_start: TrafficNumbers,
}

/// What an environment was asked and how it answered. Latencies are from dispatch to the answer's head, of answers that
/// did not fail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Numbers)]
pub struct TrafficNumbers {
    pub requests: u64,
    /// Of both environments' requests, in percent.
    pub share: Option<f64>,
    /// `1xx` to `5xx`, `none` (no answer came), `aborted` (the client hung up).
    pub classes: BTreeMap<String, u64>,
    pub failed: u64,
    /// Of what was not aborted, in percent.
    pub error_rate: Option<f64>,
    pub rescued: u64,
    /// Requests whose client saw the failure.
    pub hurt: u64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// How long this is the number of: a process that is younger than a minute has not seen one.
    pub over_ms: u64,
}
