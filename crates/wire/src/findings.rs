//! What the parts of a run have found: cases, loads, parity and data.

use std::collections::BTreeMap;

use super::{Outcome, Side};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// That were to be sent; without those of the warm-up.
    pub requests: u64,
    pub failed: u64,
    /// In percent.
    pub error_rate: f64,
    /// Of whole answers, and of requests that were given up. From the moment when a request was to be sent, whether or not
    /// a user was free then: no coordinated omission.
    pub latency: Latencies,
    /// From the moment when it was sent: what the origin alone took. Without requests that were cut off at the load's end.
    pub service_time: Latencies,
    /// Answers by status, and failures by kind (`connect`, `tls`, `timeout`, `reset`, `protocol`, and `unsent`: no user was
    /// free to send it before the load was over).
    pub answers: BTreeMap<String, u64>,
    /// The first few failures, in words.
    pub examples: Vec<String>,
    /// Second by second; of a load over an hour, 3,600 stretches of several seconds at the most.
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
    /// Well. What is intended is answered or failed in the end.
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
