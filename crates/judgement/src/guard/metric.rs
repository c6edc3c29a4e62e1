//! The figures that triggers watch.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::guard::window::Quantile;

/// What a trigger measures on the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Metric {
    /// Failed responses, in percent of all.
    ErrorRate,
    /// Responses from the origin itself other than 502, 503 and 504, in percent of all.
    Availability,
    /// In milliseconds, for responses that did not fail.
    #[strum(serialize = "latency_p50")]
    LatencyP50,
    #[strum(serialize = "latency_p95")]
    LatencyP95,
    #[strum(serialize = "latency_p99")]
    LatencyP99,
    /// How much of its share by weight the candidate does not answer, in percent.
    ThroughputDrop,
    /// Failed rounds of its health checks: a count, for the whole service only.
    HealthFailures,
}

impl Metric {
    pub const ALL: &'static [Metric] = Metric::VARIANTS;

    /// The name in the routing file and the API.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    pub const fn is_latency(self) -> bool {
        self.quantile().is_some()
    }

    pub(super) const fn quantile(self) -> Option<Quantile> {
        match self {
            Metric::LatencyP50 => Some(Quantile::P50),
            Metric::LatencyP95 => Some(Quantile::P95),
            Metric::LatencyP99 => Some(Quantile::P99),
            Metric::ErrorRate | Metric::Availability | Metric::ThroughputDrop | Metric::HealthFailures => None,
        }
    }

    /// Whether it is a number of events rather than a share of the responses.
    pub const fn is_count(self) -> bool {
        matches!(self, Metric::HealthFailures)
    }

    /// Whether small values are the bad ones.
    pub const fn is_bad_below(self) -> bool {
        matches!(self, Metric::Availability)
    }

    /// A value of this metric for human readers.
    pub fn show(self, value: f64) -> String {
        match self {
            _ if self.is_latency() => format!("{value:.0} ms"),
            _ if self.is_count() => format!("{value:.0}"),
            _ => format!("{value:.1} %").replace(".0 %", " %"),
        }
    }
}
