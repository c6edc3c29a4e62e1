//! Validation: suites, their runs, and what a run found. The execution is the JSON report too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Side;

/// The suites that there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suites {
    pub suites: Vec<SuiteSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuiteSummary {
    /// The name of its file, without `.toml`.
    pub name: String,
    pub title: String,
    /// `null`: the file does not say, and there are several.
    pub service: Option<String>,
    pub tags: Vec<String>,
    pub cases: usize,
    pub loads: usize,
    pub parities: usize,
    pub data: usize,
    /// How often it runs by itself.
    pub every_ms: Option<u64>,
    pub after_rollback: bool,
    /// May be run at all.
    pub enabled: bool,
    /// What is wrong with the file, as `check` says it; it cannot be run then.
    pub broken: Option<String>,
    /// Its latest run.
    pub last: Option<ExecutionSummary>,
}

/// The runs that are kept, latest first.
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
    /// Who or what began it: a person or token, `schedule`, `rollback` or `plan`.
    pub who: String,
    pub began_at_ms: u64,
    pub began_at: String,
    /// So far, or in all.
    pub took_ms: u64,
    pub progress: Progress,
    pub counts: Counts,
    /// What it came to, in one sentence.
    pub verdict: String,
}

/// Which environments a suite is run against.
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
    /// Others run; it is next.
    Queued,
    Running,
    Passed,
    Failed,
    Cancelled,
    /// The process ended in the middle of it.
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

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Progress {
    /// Of `all` units of work; a unit is a case on a side, a second of load, a pair of parity, or a chunk of a table.
    pub done: u64,
    pub all: u64,
    /// What it does just now.
    pub doing: String,
}

/// What the parts of a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Requests sent, retries and load included.
    pub requests: u64,
}

/// One run of one suite, with everything it found. The JSON report is this document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Execution {
    /// The version of this document: 1.
    pub format: u32,
    /// The program that wrote it.
    pub cutover: String,
    #[serde(flatten)]
    pub summary: ExecutionSummary,
    /// Where the sides were, by name: URLs without anything secret.
    pub origins: BTreeMap<String, String>,
    /// In the order of the file; of each case blue first.
    pub parts: Vec<Part>,
}

/// One thing that was proved, or not.
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
    /// It was not tried: `why` says for what reason.
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

    /// `None`: it is about both.
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

/// A case on one side: its steps one after the other, up to the first that fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct CaseResult {
    /// `setup` and `teardown` are cases too.
    pub name: String,
    pub environment: Side,
    pub tags: Vec<String>,
    pub outcome: Outcome,
    pub why: Option<String>,
    pub took_ms: f64,
    /// 1: it needed no retry.
    pub attempts: u32,
    /// Of the last attempt.
    pub steps: Vec<StepResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct StepResult {
    pub name: String,
    pub request: Message,
    /// `null`: there was no whole answer; `error` says why.
    pub response: Option<Message>,
    pub error: Option<String>,
    pub took_ms: f64,
    /// What was expected, and not found; empty: it passed.
    pub failures: Vec<Finding>,
    /// What later steps know from it; a secret is shown as `***`.
    pub captured: BTreeMap<String, String>,
}

/// A request or a response as the report shows it: secrets are `***`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Message {
    /// `GET https://shop.example.com/a`, or `200 OK`.
    pub line: String,
    /// In the order of the wire.
    pub headers: Vec<(String, String)>,
    /// The first part of it; bytes that are no UTF-8 are replaced.
    pub body: String,
    /// In bytes, of the whole.
    pub body_bytes: u64,
}

/// One expectation that was not met, or one difference between the sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Finding {
    /// `status`, `header content-type`, `json $.items[0].id`, `body`, `latency`, `schema` …
    pub what: String,
    /// As text; of two sides: blue's.
    pub expected: String,
    /// As text; of two sides: green's.
    pub found: String,
    /// Line by line in the unified format, where two longer texts differ.
    pub diff: Option<String>,
}

/// What a load came to, on one side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct LoadResult {
    pub name: String,
    pub environment: Side,
    /// `steady`, `ramp`, `spike`, `stress` or `soak`.
    pub profile: String,
    pub outcome: Outcome,
    pub why: Option<String>,
    pub took_ms: f64,
    /// Requests at once at the most.
    pub users: u32,
    /// A second: as intended at the peak, as sent, as answered well.
    pub rate_intended: f64,
    pub rate_sent: f64,
    pub throughput: f64,
    pub requests: u64,
    pub failed: u64,
    /// In percent.
    pub error_rate: f64,
    /// From the moment when a request was to be sent, whether or not a user was free then: no coordinated omission.
    pub latency: Latencies,
    /// From the moment when it was sent: what the origin alone took.
    pub service_time: Latencies,
    /// Answers by status, and failures by kind (`connect`, `timeout`, `reset`, `protocol`).
    pub answers: BTreeMap<String, u64>,
    /// The first few failures, in words.
    pub examples: Vec<String>,
    /// Second by second.
    pub seconds: Vec<LoadSecond>,
    /// The latencies' distribution: upper bounds in milliseconds, rising, with how many lie in each.
    pub histogram: Vec<(f64, u64)>,
    pub limits: Vec<LimitResult>,
    /// What this process used meanwhile; the proxy's own work is in it.
    pub process: ProcessUse,
    /// Requests that were begun later than intended by over 10 ms, because this machine or the users were busy.
    pub late: u64,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Latencies {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// A second of a load, by when its requests were to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct LoadSecond {
    pub at: u32,
    pub intended: u64,
    pub answered: u64,
    pub failed: u64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    /// At the end of the second.
    pub in_flight: u32,
}

/// A limit of a load, and whether it held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct LimitResult {
    /// `p95`, `error_rate`, `throughput` …
    pub what: String,
    /// In milliseconds, percent or requests a second.
    pub limit: f64,
    pub found: f64,
    pub held: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ProcessUse {
    /// Of one core, in percent, over the whole load.
    pub cpu: f64,
    pub memory_peak_bytes: u64,
    pub open_files_peak: u64,
}

/// Whether both sides answer the same requests the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ParityResult {
    pub name: String,
    pub outcome: Outcome,
    pub why: Option<String>,
    pub took_ms: f64,
    /// Requests that were compared; each went to both sides.
    pub compared: u64,
    pub differing: u64,
    /// Requests of the recording that were left out, by reason: an unsafe method, a host of nobody's …
    pub left_out: BTreeMap<String, u64>,
    /// Places that differ between blue and blue too: they say nothing of green.
    pub noise: Vec<String>,
    /// Of those that differ, the first ones.
    pub differences: Vec<ParityDifference>,
    pub blue: Latencies,
    pub green: Latencies,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ParityDifference {
    pub request: Message,
    pub findings: Vec<Finding>,
    pub blue: Option<Message>,
    pub green: Option<Message>,
}

/// Whether the data of both sides agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct DataResult {
    pub name: String,
    /// `rows`, `table`, `query`, `integrity` or `http`.
    pub check: String,
    pub outcome: Outcome,
    pub why: Option<String>,
    pub took_ms: f64,
    pub blue: DataSide,
    pub green: DataSide,
    /// Of a table: chunks compared, and of those the ones that differ.
    pub chunks: u64,
    pub chunks_differing: u64,
    /// Rows that differ, in all that was looked at.
    pub rows_differing: u64,
    /// The first of them, with their keys.
    pub rows: Vec<RowDifference>,
    /// Of a query or an endpoint.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct DataSide {
    /// `postgres`, `mysql`, `sqlite` or `http`.
    pub engine: String,
    pub rows: Option<u64>,
    /// In hexadecimal digits; equal exactly if the data are.
    pub checksum: Option<String>,
    /// Rows that violate an integrity query.
    pub violations: Option<u64>,
}

/// A row that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct RowDifference {
    /// `id = 42`.
    pub key: String,
    pub how: RowHow,
    /// The columns that differ; empty where a side lacks the row.
    pub columns: Vec<Finding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowHow {
    MissingInGreen,
    MissingInBlue,
    Differs,
}

/// A run that was begun, cancelled or deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExecutionDone {
    pub action: String,
    pub execution: ExecutionSummary,
}
