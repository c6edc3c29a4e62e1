//! The safety report: how far each metric is from its limits, and what one would do about it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ExecutionSummary, Side};

/// The safety report of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Report)]
pub struct SafetyReport {
    pub service: String,
    pub at_ms: u64,
    pub at: String,
    /// The worst of all levels.
    pub level: ReportLevel,
    pub active: Side,
    /// Who is judged: the candidate, or what was promoted and is still watched.
    pub subject: Side,
    /// Somebody has to be judged now; without, the levels are `unknown`.
    pub judged: bool,
    /// The whole service first, then its routes.
    pub places: Vec<ReportPlace>,
    pub evidence: ReportEvidence,
    pub recommendations: Vec<Recommendation>,
    /// What was validated by itself since the last rollback, latest first: whether the data of both sides agree.
    #[serde(default)]
    pub validations: Vec<ExecutionSummary>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportLevel {
    /// Too few requests to say.
    Unknown,
    Ok,
    Warn,
    Critical,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportPlace {
    /// `null`: the whole service.
    pub route: Option<String>,
    pub metrics: Vec<ReportMetric>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportMetric {
    /// `error_rate`, `latency_p95` …
    pub metric: String,
    /// In percent, or in milliseconds for a latency.
    pub value: Option<f64>,
    /// The same of the other environment, over the same time.
    pub baseline: Option<f64>,
    pub trend: Trend,
    /// By its value now.
    pub now: ReportLevel,
    /// By what has lasted for as long as its trigger says.
    pub lasting: ReportLevel,
    /// In words, as the guard would say it.
    pub says: String,
    pub window_ms: u64,
    pub requests: u64,
    pub warn_at: Option<f64>,
    pub critical_at: Option<f64>,
}

/// Against the other environment.
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
    /// That the new side is worse, as odds to one.
    pub odds: f64,
    /// So much of it brings a rollback; `null`: only the triggers judge.
    pub threshold: Option<f64>,
    pub level: ReportLevel,
    /// A fault of this rate would have shown by now, in percent.
    pub resolution: Option<f64>,
    pub caution: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recommendation {
    pub text: String,
    /// What does it.
    pub command: Option<String>,
}
