//! The findings of a run's parts: cases, loads, parity and data.

use std::collections::BTreeMap;

use super::{Outcome, Side};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A case on one side: its steps in order, up to the first one that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct CaseResult {
    /// `setup` and `teardown` count as cases too.
    pub name: String,
    pub environment: Side,
    pub tags: Vec<String>,
    pub outcome: Outcome,
    pub why: Option<String>,
    pub took_ms: f64,
    /// 1 if it needed no retry.
    pub attempts: u32,
    /// The steps of the last attempt.
    pub steps: Vec<StepResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct StepResult {
    pub name: String,
    pub request: Message,
    /// `null` if there was no complete response; `error` says why.
    pub response: Option<Message>,
    pub error: Option<String>,
    pub took_ms: f64,
    /// The expectations that were not met; empty if it passed.
    pub failures: Vec<Finding>,
    /// Variables captured for later steps; secrets are shown as `***`.
    pub captured: BTreeMap<String, String>,
}

/// A request or response as the report shows it: secrets are shown as `***`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Message {
    /// Such as `GET https://shop.example.com/a` or `200 OK`.
    pub line: String,
    /// In the order in which they were sent.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// The size of the whole body, in bytes.
    pub body_bytes: u64,
}

/// One expectation that was not met, or one difference between the sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Finding {
    /// Such as `status`, `header content-type`, `json $.items[0].id`, `body`, `latency` or `schema`.
    pub what: String,
    /// As text. When two sides are compared, blue's value.
    pub expected: String,
    /// As text. When two sides are compared, green's value.
    pub found: String,
    /// A unified diff, if two longer texts differ.
    pub diff: Option<String>,
}

/// The result of a load test on one side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct LoadResult {
    pub name: String,
    pub environment: Side,
    /// `steady`, `ramp`, `spike`, `stress` or `soak`.
    pub profile: String,
    pub outcome: Outcome,
    pub why: Option<String>,
    pub took_ms: f64,
    /// The most requests at once.
    pub users: u32,
    /// Rates per second: the intended peak, the rate sent, and the rate of successful responses.
    pub rate_intended: f64,
    pub rate_sent: f64,
    pub throughput: f64,
    /// Requests that were due, not counting the warm-up.
    pub requests: u64,
    pub failed: u64,
    /// In percent.
    pub error_rate: f64,
    /// Latencies of complete responses and of requests that were given up, measured from when each request was due,
    /// whether or not a user was free to send it then (no coordinated omission).
    pub latency: Latencies,
    /// The same measured from when each request was sent: the origin's own time. Requests cut off at the end of the
    /// load are not included.
    pub service_time: Latencies,
    /// Responses by status, and failures by kind: `connect`, `tls`, `timeout`, `reset`, `protocol`, and `unsent` if no
    /// user was free to send the request before the load ended.
    pub answers: BTreeMap<String, u64>,
    /// The first few failures, as text.
    pub examples: Vec<String>,
    /// Second by second. For a load of over an hour, at most 3,600 intervals of several seconds each.
    pub seconds: Vec<LoadSecond>,
    /// The distribution of latencies: upper bounds in milliseconds, ascending, each with its count.
    pub histogram: Vec<(f64, u64)>,
    pub limits: Vec<LimitResult>,
    /// Limits that were not judged: they compare with active, and this is active itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unjudged: Vec<String>,
    /// Resources that this process used meanwhile, including the proxy's own work.
    pub process: ProcessUse,
    /// Requests that started more than 10 ms late because this machine or the users were busy.
    pub late: u64,
    /// The active side under the same load in the same seconds, for limits that are compared with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Box<ActiveLoad>>,
    /// What the origin's process used meanwhile, if the suite has this measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Box<OriginResources>>,
}

/// What the processes of an origin on this machine used during a load, each with its descendants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct OriginResources {
    /// The ids of the processes. Their descendants are not listed. Empty if none was found.
    pub pids: Vec<u32>,
    /// `null` if it could not be measured throughout; `why` says why.
    pub used: Option<OriginUse>,
    pub why: Option<String>,
}

/// Figures of the load without its warm-up, sampled four times a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct OriginUse {
    pub cpu_seconds: f64,
    /// Cores in use on average: the CPU seconds per second.
    pub cores: f64,
    /// Resident. Pages that processes share count for each of them.
    pub memory_peak_bytes: u64,
    /// `null` if this process may not read them: they belong to another user.
    pub open_files_peak: Option<u64>,
    pub threads_peak: u64,
}

/// What the active side made of a load whose limits are compared with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ActiveLoad {
    pub environment: Side,
    pub requests: u64,
    pub failed: u64,
    pub latency: Latencies,
    /// What its origin's process used, if the suite has this measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<OriginResources>,
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

/// One second of a load, by when its requests were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct LoadSecond {
    pub at: u32,
    pub intended: u64,
    /// Successful responses. Every intended request is answered or failed in the end.
    pub answered: u64,
    pub failed: u64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    /// Requests in flight at the end of the second.
    pub in_flight: u32,
}

/// A limit of a load test, and whether it held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct LimitResult {
    /// Such as `p95`, `error_rate`, `throughput`, `origin_cpu` or `origin_memory`.
    pub what: String,
    /// In milliseconds, percent, requests per second, cores or bytes.
    pub limit: f64,
    /// 0 if it is not known, and then `held` is false.
    pub found: f64,
    pub held: bool,
    /// For a limit that is compared with the active side's figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<RelativeLimit>,
}

/// A limit that is a multiple of the active side's figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct RelativeLimit {
    pub times: f64,
    /// In the unit of the limit; 0 if active's figure is not known.
    pub active: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ProcessUse {
    /// In percent of one core, over the whole load.
    pub cpu: f64,
    pub memory_peak_bytes: u64,
    pub open_files_peak: u64,
}

/// Whether both sides give the same responses to the same requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ParityResult {
    pub name: String,
    pub outcome: Outcome,
    pub why: Option<String>,
    pub took_ms: f64,
    /// Requests that were compared; each was sent to both sides.
    pub compared: u64,
    pub differing: u64,
    /// Requests of the recording that were omitted, by reason, such as an unsafe method or an unknown host.
    pub left_out: BTreeMap<String, u64>,
    /// Places where blue also differs from itself, which say nothing about green.
    pub noise: Vec<String>,
    /// The first requests that differed.
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

/// Whether the data of both sides agrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct DataResult {
    pub name: String,
    /// The kind of check: `rows`, `table`, `query`, `integrity` or `http`.
    pub check: String,
    pub outcome: Outcome,
    pub why: Option<String>,
    pub took_ms: f64,
    pub blue: DataSide,
    pub green: DataSide,
    /// For a table: the chunks compared, and how many of them differ.
    pub chunks: u64,
    pub chunks_differing: u64,
    /// The total number of rows that differ.
    pub rows_differing: u64,
    /// Rows that differed at first, and agreed when they were read again within `settle`.
    #[serde(default)]
    pub rows_settled: u64,
    /// The first rows that differ, with their keys.
    pub rows: Vec<RowDifference>,
    /// Findings of a query or an endpoint.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct DataSide {
    /// One of `postgres`, `mysql`, `sqlite` and `http`.
    pub engine: String,
    pub rows: Option<u64>,
    /// In hexadecimal digits; equal if and only if the data is.
    pub checksum: Option<String>,
    /// Rows that violate an integrity query.
    pub violations: Option<u64>,
}

/// A row that differs between the sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct RowDifference {
    /// Such as `id = 42`.
    pub key: String,
    pub how: RowHow,
    /// The columns that differ; empty if one side lacks the row.
    pub columns: Vec<Finding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowHow {
    MissingInGreen,
    MissingInBlue,
    Differs,
}
