//! Validation: suites, their runs, and the findings of a run. An execution is also the JSON report.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CaseResult, DataResult, LoadResult, ParityResult, Side};

/// The formats of one execution: the full document, a summary, or a report for people or CI.
pub const EXECUTION_FORMATS: [&str; 4] = ["json", "summary", "html", "junit"];

/// All suites.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suites {
    pub suites: Vec<SuiteSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuiteSummary {
    /// The name of the suite's file, without `.toml`.
    pub name: String,
    pub title: String,
    /// `null` if the file names none and there are several.
    pub service: Option<String>,
    pub tags: Vec<String>,
    pub cases: usize,
    pub loads: usize,
    pub parities: usize,
    pub data: usize,
    /// How often it runs on a schedule.
    pub every_ms: Option<u64>,
    pub after_rollback: bool,
    /// Whether it may run.
    pub enabled: bool,
    /// What is wrong with the file, as `check` reports it; such a suite cannot run.
    pub broken: Option<String>,
    /// The latest run.
    pub last: Option<ExecutionSummary>,
}

/// The stored runs, latest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Executions {
    pub executions: Vec<ExecutionSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ExecutionSummary {
    pub id: String,
    pub suite: String,
    pub title: String,
    pub service: String,
    pub target: RunTarget,
    pub state: ExecutionState,
    /// What started it: a token's name, `schedule`, `rollback` or `plan`.
    pub who: String,
    pub began_at_ms: u64,
    pub began_at: String,
    /// The time so far, or in total.
    pub took_ms: u64,
    pub progress: Progress,
    pub counts: Counts,
    /// The outcome in one sentence.
    pub verdict: String,
    /// Why it is not on disk, if it is not; it is lost when the process exits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}

/// The environments that a suite runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunTarget {
    Blue,
    Green,
    Both,
}

impl RunTarget {
    pub fn sides(self) -> &'static [Side] {
        match self {
            RunTarget::Blue => &[Side::Blue],
            RunTarget::Green => &[Side::Green],
            RunTarget::Both => &[Side::Blue, Side::Green],
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            RunTarget::Blue => "blue",
            RunTarget::Green => "green",
            RunTarget::Both => "both",
        }
    }
}

impl From<Side> for RunTarget {
    fn from(side: Side) -> RunTarget {
        match side {
            Side::Blue => RunTarget::Blue,
            Side::Green => RunTarget::Green,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionState {
    /// It is waiting for other runs.
    Queued,
    Running,
    Passed,
    Failed,
    Cancelled,
    /// The process exited in the middle of it.
    Interrupted,
}

impl ExecutionState {
    pub const fn is_over(self) -> bool {
        !matches!(self, ExecutionState::Queued | ExecutionState::Running)
    }

    pub const fn name(self) -> &'static str {
        match self {
            ExecutionState::Queued => "queued",
            ExecutionState::Running => "running",
            ExecutionState::Passed => "passed",
            ExecutionState::Failed => "failed",
            ExecutionState::Cancelled => "cancelled",
            ExecutionState::Interrupted => "interrupted",
        }
    }
}

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Progress {
    /// Units of work done, of `all`. A unit is a case on one side, a second of load, a parity request, or a chunk of a
    /// table.
    pub done: u64,
    pub all: u64,
    /// What it is doing now.
    pub doing: String,
}

/// The outcomes of a run's parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Requests sent, including retries and load.
    pub requests: u64,
}

/// One run of one suite with all its findings. The JSON report is this document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Execution {
    /// The version of this document's format: 1.
    pub format: u32,
    /// The version of Cutover that wrote it.
    pub cutover: String,
    #[serde(flatten)]
    pub summary: ExecutionSummary,
    /// The origins of the sides, by name; URLs contain no secrets.
    pub origins: BTreeMap<String, String>,
    /// In the order of the file; for each case blue first.
    pub parts: Vec<Part>,
}

/// The result of one part of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Part {
    Case(CaseResult),
    Load(LoadResult),
    Parity(ParityResult),
    Data(DataResult),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Passed,
    Failed,
    /// It was not tried; `why` gives the reason.
    Skipped,
}

impl Part {
    pub fn name(&self) -> &str {
        match self {
            Part::Case(part) => &part.name,
            Part::Load(part) => &part.name,
            Part::Parity(part) => &part.name,
            Part::Data(part) => &part.name,
        }
    }

    pub fn outcome(&self) -> Outcome {
        match self {
            Part::Case(part) => part.outcome,
            Part::Load(part) => part.outcome,
            Part::Parity(part) => part.outcome,
            Part::Data(part) => part.outcome,
        }
    }

    /// Why it failed or was skipped, in one sentence.
    pub fn why(&self) -> Option<&str> {
        match self {
            Part::Case(part) => part.why.as_deref(),
            Part::Load(part) => part.why.as_deref(),
            Part::Parity(part) => part.why.as_deref(),
            Part::Data(part) => part.why.as_deref(),
        }
    }

    /// `None` if it concerns both.
    pub fn environment(&self) -> Option<Side> {
        match self {
            Part::Case(part) => Some(part.environment),
            Part::Load(part) => Some(part.environment),
            Part::Parity(_) | Part::Data(_) => None,
        }
    }

    pub fn took_ms(&self) -> f64 {
        match self {
            Part::Case(part) => part.took_ms,
            Part::Load(part) => part.took_ms,
            Part::Parity(part) => part.took_ms,
            Part::Data(part) => part.took_ms,
        }
    }
}

/// A run that was started, cancelled or deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExecutionDone {
    pub action: String,
    pub execution: ExecutionSummary,
}

/// The settings of a suite after a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuiteSet {
    pub action: String,
    pub suite: SuiteSummary,
}
