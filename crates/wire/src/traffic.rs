//! Traffic figures by service, route and environment, for the last minute and since the start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Side;

/// The traffic of every service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    pub traffic: Vec<ServiceTraffic>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceTraffic {
    pub service: String,
    /// The candidate's configured share, in percent.
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

/// What one environment served. Latencies are measured from sending the request to receiving the response head, for
/// responses that did not fail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Numbers)]
pub struct TrafficNumbers {
    pub requests: u64,
    /// Its part of both environments' requests, in percent.
    pub share: Option<f64>,
    /// By class: `1xx` to `5xx`, `none` (no response) and `aborted` (the client hung up).
    pub classes: BTreeMap<String, u64>,
    pub failed: u64,
    /// In percent of the requests that were not aborted.
    pub error_rate: Option<f64>,
    pub rescued: u64,
    /// Requests whose client saw a failure.
    pub hurt: u64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// The period that the figures cover: less than a minute if the process is younger than that.
    pub over_ms: u64,
}
