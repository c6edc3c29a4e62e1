//! The safety report: how far each metric is from its limits, with recommendations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ComparedSides, ExecutionSummary, Side};

/// The safety report of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Report)]
pub struct SafetyReport {
    pub service: String,
    pub at_ms: u64,
    pub at: String,
    /// The worst level of any metric.
    pub level: ReportLevel,
    pub active: Side,
    /// The environment that is judged: the candidate, or a promoted one that is still being watched.
    pub subject: Side,
    /// Whether a side is being judged now; if not, the levels are `unknown`.
    pub judged: bool,
    /// The whole service first, then each route.
    pub places: Vec<ReportPlace>,
    pub evidence: ReportEvidence,
    pub recommendations: Vec<Recommendation>,
    /// Validation runs that the last rollback started, latest first: they show whether the data of both sides agrees.
    #[serde(default)]
    pub validations: Vec<ExecutionSummary>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportLevel {
    /// Too few requests to tell.
    Unknown,
    Ok,
    Warn,
    Critical,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportPlace {
    /// `null` for the whole service.
    pub route: Option<String>,
    pub metrics: Vec<ReportMetric>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportMetric {
    /// Such as `error_rate` or `latency_p95`.
    pub metric: String,
    /// In percent, or in milliseconds for a latency.
    pub value: Option<f64>,
    /// The other environment's value over the same time.
    pub baseline: Option<f64>,
    pub trend: Trend,
    /// The level of the current value.
    pub now: ReportLevel,
    /// The level that has lasted for as long as its trigger requires.
    pub lasting: ReportLevel,
    /// The same in words, as the guard would put it.
    pub says: String,
    pub window_ms: u64,
    pub requests: u64,
    pub warn_at: Option<f64>,
    pub critical_at: Option<f64>,
}

/// Compared with the other environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    Unknown,
    Better,
    Same,
    Worse,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportEvidence {
    /// The odds, to one, that the new side is worse.
    pub odds: f64,
    /// The odds that cause a rollback; `null` if only the triggers judge.
    pub threshold: Option<f64>,
    pub level: ReportLevel,
    /// The smallest failure rate that would have been detected by now, in percent.
    pub resolution: Option<f64>,
    pub caution: bool,
    /// How the two sides differ at the present weight.
    #[serde(default)]
    pub compared: Option<ComparedSides>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recommendation {
    pub text: String,
    /// A command that does this.
    pub command: Option<String>,
}
