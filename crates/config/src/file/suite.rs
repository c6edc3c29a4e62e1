//! A validation suite as it is typed.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::Deserializer;

use crate::file::values::{
    CpuBound, DataToleranceFile, Duration, ErrorBound, LatencyBound, MemoryBound, Percent, Rate, ResourcesFile,
    Tolerance, Whole, Word, one_of,
};
use crate::file::{At, OneOrMany};
use crate::suite::{Profile, Via};

/// A validation suite: `NAME.toml` in the folder that `suites` of cutover.toml names.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["version"]))]
#[schemars(title = "Cutover validation suite")]
pub struct SuiteFile {
    /// The version of this format.
    pub version: Option<At<Whole<1, 1>>>,
    /// What the suite proves, in a few words. Default: its name.
    pub title: Option<At<String>>,
    /// The service. Not needed if there is only one.
    pub service: Option<At<String>>,
    /// How the environments are reached: "origin" sends requests to them directly, "proxy" through Cutover by the
    /// service's override rules.
    #[schemars(extend("default" = "origin"))]
    pub via: Option<At<Word<Via>>>,
    /// Tags by which runs select suites and cases.
    pub tags: Vec<String>,
    /// How many cases run at once.
    #[schemars(extend("default" = 4, "x-unit" = "cases"))]
    pub concurrency: Option<At<Whole<1, 64>>>,
    /// Time for the complete response to each request.
    #[schemars(extend("default" = "10s"))]
    pub timeout: Option<At<Duration>>,
    /// Retries of a case after the first attempt.
    #[schemars(extend("default" = 0, "x-unit" = "attempts"))]
    pub retries: Option<At<Whole<0, 10>>>,
    /// The `settle` of every `[[data]]` that has none of its own.
    #[schemars(extend("default" = "5s"))]
    pub settle: Option<At<Duration<0, 600_000>>>,
    /// Run the suite on a schedule, this often. At least "10s".
    pub every: Option<At<Duration<10_000, 316_224_000_000>>>,
    /// Run the suite after every rollback of its service. The rollback's report shows the result.
    #[schemars(extend("default" = false))]
    pub after_rollback: Option<bool>,
    /// Captured variables that reports must not show.
    pub secret: Vec<At<String>>,
    /// Variables. "${name}" inserts one; "${env.NAME}" inserts an environment variable, which no report shows.
    pub variables: BTreeMap<String, At<Scalar>>,
    /// Headers of every request.
    pub headers: BTreeMap<String, At<String>>,
    /// The databases of both environments, under the names that `[[data]]` uses.
    pub database: BTreeMap<String, At<DatabaseFile>>,
    /// Requests to each environment before the cases. If one fails, no case runs there.
    pub setup: Vec<At<RequestFile>>,
    /// The cases.
    pub case: Vec<At<CaseFile>>,
    /// Requests to each environment after the cases, whatever their outcome.
    pub teardown: Vec<At<RequestFile>>,
    /// Load tests.
    pub load: Vec<At<LoadFile>>,
    /// Comparisons of the responses of both environments.
    pub parity: Vec<At<ParityFile>>,
    /// Comparisons of the data of both environments.
    pub data: Vec<At<DataFile>>,
}

/// A request, and what its response must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["path"]))]
pub struct RequestFile {
    /// The name in reports. Default: the method and the path.
    pub name: Option<At<String>>,
    /// The method. Default: "GET", or "POST" if there is a body.
    pub method: Option<At<String>>,
    /// The path, appended to the origin's base path.
    #[schemars(extend("pattern" = r"^(/|\$\{)"))]
    pub path: Option<At<String>>,
    /// Parameters to add to the path, percent-encoded except for "${…}".
    pub query: BTreeMap<String, At<Scalar>>,
    /// Headers of the request.
    pub headers: BTreeMap<String, At<String>>,
    /// A JSON body, written as TOML.
    pub json: Option<At<AnyValue>>,
    /// A body as plain text.
    pub body: Option<At<String>>,
    /// A file that contains the body. Relative to this file.
    pub body_file: Option<At<String>>,
    /// A body of form fields.
    pub form: BTreeMap<String, At<Scalar>>,
    /// Time for the complete response. Default: the suite's.
    pub timeout: Option<At<Duration>>,
    /// What the response must be.
    pub expect: Option<At<ExpectFile>>,
    /// Variables for the steps that follow: "$.path" of the JSON body, "header:NAME", "cookie:NAME" or "regex:…".
    pub capture: BTreeMap<String, At<String>>,
    /// In a load test with several requests: how often this one is sent, relative to the others.
    #[schemars(extend("default" = 1))]
    pub weight: Option<At<Whole<1, 1000>>>,
}

/// A case: one request, or several steps in order.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaseFile {
    /// The name in reports. Default: that of its first request.
    pub name: Option<At<String>>,
    /// Tags by which runs select cases.
    pub tags: Vec<String>,
    /// Retries after the first attempt. Default: the suite's.
    #[schemars(extend("x-unit" = "attempts"))]
    pub retries: Option<At<Whole<0, 10>>>,
    /// Requests to send in order, instead of the keys of a single request.
    pub step: Vec<At<RequestFile>>,
    /// The method. Default: "GET", or "POST" if there is a body.
    pub method: Option<At<String>>,
    /// The path, appended to the origin's base path.
    #[schemars(extend("pattern" = r"^(/|\$\{)"))]
    pub path: Option<At<String>>,
    /// Parameters to add to the path, percent-encoded except for "${…}".
    pub query: BTreeMap<String, At<Scalar>>,
    /// Headers of the request.
    pub headers: BTreeMap<String, At<String>>,
    /// A JSON body, written as TOML.
    pub json: Option<At<AnyValue>>,
    /// A body as plain text.
    pub body: Option<At<String>>,
    /// A file that contains the body. Relative to this file.
    pub body_file: Option<At<String>>,
    /// A body of form fields.
    pub form: BTreeMap<String, At<Scalar>>,
    /// Time for the complete response. Default: the suite's.
    pub timeout: Option<At<Duration>>,
    /// What the response must be.
    pub expect: Option<At<ExpectFile>>,
}

impl CaseFile {
    /// Its only request, if it has no steps.
    pub fn request(&self) -> RequestFile {
        let CaseFile { name, method, path, query, headers, json, body, body_file, form, timeout, expect, .. } =
            self.clone();
        RequestFile {
            name,
            method,
            path,
            query,
            headers,
            json,
            body,
            body_file,
            form,
            timeout,
            expect,
            ..RequestFile::default()
        }
    }

    /// Whether any key of a single request is present.
    pub fn has_request(&self) -> bool {
        let texts = [&self.method, &self.path, &self.body, &self.body_file];
        let maps = self.query.is_empty() && self.headers.is_empty() && self.form.is_empty();
        texts.iter().any(|key| key.is_some())
            || self.json.is_some()
            || self.timeout.is_some()
            || self.expect.is_some()
            || !maps
    }
}

/// What a response must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectFile {
    /// The status: 200, "2xx", "200-299", or a list of these.
    #[schemars(schema_with = "status", extend("default" = "200-399"))]
    pub status: Option<At<AnyValue>>,
    /// The longest time from sending the request to the end of the response.
    pub latency: Option<At<Duration>>,
    /// By header name: the exact value, or a table of operators: equals, contains, matches, present, absent, above,
    /// below.
    pub headers: BTreeMap<String, At<AnyValue>>,
    /// By JSONPath (`$.items[0].id`): the exact value, or a table of operators, which may include `length` and `type`.
    pub json: BTreeMap<String, At<AnyValue>>,
    /// The whole body, as JSON.
    pub equals: Option<At<AnyValue>>,
    /// A file that contains the whole body as JSON. Relative to this file.
    pub equals_file: Option<At<String>>,
    /// JSONPaths that `equals` ignores.
    pub ignore: Vec<At<String>>,
    /// How much numbers may differ from `equals`, relative to the larger one.
    #[schemars(extend("default" = 0))]
    pub tolerance: Option<At<Tolerance>>,
    /// A file that contains a JSON Schema for the body. Relative to this file.
    pub schema: Option<At<String>>,
    /// Text that the body contains, a table of operators, or a list of these.
    pub body: Option<At<AnyValue>>,
}

/// What [`ExpectFile::status`] may be.
fn status(_: &mut SchemaGenerator) -> Schema {
    let range = r"^([1-5]xx|[1-5][0-9]{2}( *- *[1-5][0-9]{2})?)$";
    let one = [
        serde_json::json!({ "type": "integer", "minimum": 100, "maximum": 599 }),
        serde_json::json!({ "type": "string", "pattern": range }),
    ];
    let [number, text] = &one;
    let list = serde_json::json!({ "type": "array", "items": { "anyOf": one }, "minItems": 1 });
    schemars::json_schema!({ "anyOf": [number, text, list], "x-unit": "status, or a list" })
}

/// A load test: requests are sent at the times that a profile sets, whatever the responses do.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["rate", "for"]))]
pub struct LoadFile {
    /// The name in reports. Default: the profile's name.
    pub name: Option<At<String>>,
    /// The shape of the load: "steady" throughout, "ramp" from `from` to `rate`, "spike" to `rate` in the middle third,
    /// "stress" up in ten steps, or "soak" for a long steady load.
    #[schemars(extend("default" = "steady"))]
    pub profile: Option<At<Word<Profile>>>,
    /// The highest rate.
    pub rate: Option<At<Rate>>,
    /// The rate at which a ramp or stress begins, and around the peak of a spike. Default: a tenth of `rate`.
    pub from: Option<At<Rate>>,
    /// How long the load lasts, from "1s" to "12h".
    #[serde(rename = "for")]
    pub length: Option<At<Duration<1000, 43_200_000>>>,
    /// A warm-up before the load, which is not counted, up to "5m".
    #[schemars(extend("default" = "1s"))]
    pub warm_up: Option<At<Duration<0, 300_000>>>,
    /// The most requests at once, each on its own connection.
    #[schemars(extend("default" = 50, "x-unit" = "requests"))]
    pub users: Option<At<Whole<1, 5000>>>,
    /// The path, if there is only one request. Use `request` for more.
    #[schemars(extend("pattern" = r"^(/|\$\{)"))]
    pub path: Option<At<String>>,
    /// The requests, chosen in proportion to their `weight`.
    pub request: Vec<At<RequestFile>>,
    /// Measure what the processes of the origins on this machine use meanwhile: "port" for the process that listens on the
    /// origin's port, or by side `{ pid = 1234 }` or `{ pid_file = "green.pid" }`. Linux only.
    pub resources: Option<At<ResourcesFile>>,
    /// What decides whether the load test passes.
    pub limits: Option<At<LoadLimitsFile>>,
}

/// What decides whether a load test passes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoadLimitsFile {
    /// The median latency: a duration, or so many times that of the active side under
    /// the same load in the same seconds, such as "1.2 x active".
    pub p50: Option<At<LatencyBound>>,
    /// The 95th percentile of the latency, like p50.
    pub p95: Option<At<LatencyBound>>,
    /// The 99th percentile of the latency, like p50.
    pub p99: Option<At<LatencyBound>>,
    /// The percentage of requests that may fail, or so many times that of the active side under the same load in the same
    /// seconds, such as "1.2 x active": at least 0.1 %, and at least one request.
    #[schemars(extend("default" = 0))]
    pub error_rate: Option<At<ErrorBound>>,
    /// The lowest rate of successful responses.
    pub throughput: Option<At<Rate>>,
    /// The most cores that the origin's process may use on average, or so many times active's, such as "1.2 x active":
    /// at least 0.05 cores. Needs `resources`.
    pub cpu: Option<At<CpuBound>>,
    /// The most memory that the origin's process may have at any time, or so many times active's, such as
    /// "1.2 x active". Needs `resources`.
    pub memory: Option<At<MemoryBound>>,
}

/// The same requests to both environments, whose responses are compared.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParityFile {
    /// The name in reports.
    #[schemars(extend("default" = "parity"))]
    pub name: Option<At<String>>,
    /// Paths to GET.
    pub paths: Vec<At<String>>,
    /// Requests to send.
    pub request: Vec<At<RequestFile>>,
    /// A HAR file, or one of Cutover's access logs in JSON. Relative to this file.
    pub recording: Option<At<String>>,
    /// Also send POST and other methods that change data, to both environments.
    #[schemars(extend("default" = false))]
    pub unsafe_methods: Option<bool>,
    /// The most distinct requests to take from a recording.
    #[schemars(extend("default" = 500, "x-unit" = "requests"))]
    pub most: Option<At<Whole<1, 10_000>>>,
    /// JSONPaths that are not compared.
    pub ignore: Vec<At<String>>,
    /// The headers that are compared.
    #[schemars(extend("default" = ["content-type", "location", "cache-control"]))]
    pub compare_headers: Option<Vec<At<String>>>,
    /// How much numbers may differ, relative to the larger one.
    #[schemars(extend("default" = 0))]
    pub tolerance: Option<At<Tolerance>>,
    /// How often blue is first compared with itself. What differs there says nothing about green.
    #[schemars(extend("default" = 2, "x-unit" = "comparisons"))]
    pub noise: Option<At<Whole<0, 10>>>,
    /// The percentage of requests that may differ.
    #[schemars(extend("default" = 0))]
    pub differing: Option<At<Percent>>,
}

/// A database of each environment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["blue", "green"]))]
pub struct DatabaseFile {
    /// The database of blue.
    pub blue: Option<At<SuiteDatabaseFile>>,
    /// The database of green.
    pub green: Option<At<SuiteDatabaseFile>>,
}

/// Where a database is. Exactly one of the keys is needed.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = one_of(&["url", "url_file", "url_env"])))]
pub struct SuiteDatabaseFile {
    /// "postgres://…", "mysql://…" or "sqlite:PATH", without a password and without variables.
    pub url: Option<At<String>>,
    /// A file that contains the URL, which may have a password. Relative to this file.
    pub url_file: Option<At<String>>,
    /// The environment variable that contains the URL, which may have a password.
    pub url_env: Option<At<String>>,
}

// A URL may hold a password, although it should not.
impl std::fmt::Debug for SuiteDatabaseFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SuiteDatabaseFile")
    }
}

/// One thing that the data of both environments must agree on: `table`, `query`, `integrity` or `path`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataFile {
    /// The name in reports. Default: the table, the path or "query".
    pub name: Option<At<String>>,
    /// The name of a [database.NAME]. Not needed if there is only one.
    pub database: Option<At<String>>,
    /// A table whose rows are the same in both environments. May be "schema.table".
    pub table: Option<At<String>>,
    /// For a table: the columns that identify a row.
    #[schemars(extend("default" = "id"))]
    pub key: Option<OneOrMany<String>>,
    /// For a table: the columns to compare. Default: all.
    pub columns: Option<Vec<At<String>>>,
    /// For a table: columns not to compare. For a path: JSONPaths not to compare.
    pub ignore: Vec<At<String>>,
    /// For a table: an SQL condition that selects its rows.
    #[serde(rename = "where")]
    pub filter: Option<At<String>>,
    /// For a table: how many rows one query compares.
    #[schemars(extend("default" = 10_000, "x-unit" = "rows"))]
    pub chunk: Option<At<Whole<100, 1_000_000>>>,
    /// For a table: only count the rows.
    #[schemars(extend("default" = false))]
    pub rows_only: Option<bool>,
    /// For a table: how many differing rows the report lists.
    #[schemars(extend("default" = 100, "x-unit" = "rows"))]
    pub most_rows: Option<At<Whole<1, 1000>>>,
    /// A query that must return the same rows in both environments.
    pub query: Option<At<String>>,
    /// A query that must return no rows in either environment.
    pub integrity: Option<At<String>>,
    /// A path for which both origins must return the same response.
    #[schemars(extend("pattern" = r"^(/|\$\{)"))]
    pub path: Option<At<String>>,
    /// For a query or a path: how much numbers may differ, relative to the larger one. For a table or a query: how far
    /// apart the values of some columns may be: { price = 0.01, seen_at = "2s" }. Times as a duration, or in seconds.
    #[schemars(extend("default" = 0))]
    pub tolerance: Option<At<DataToleranceFile>>,
    /// For a table, a query or a path: how long what differs may take to agree, up to "10m". It is looked at again after
    /// a second, and at the end. "0s": not at all. Default: the suite's.
    pub settle: Option<At<Duration<0, 600_000>>>,
    /// Time for one query, or for the response of a path, where the default is the suite's.
    #[schemars(extend("default" = "60s"))]
    pub timeout: Option<At<Duration>>,
}

/// A string, number or boolean, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Scalar(text)),
            value @ (toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_)) => {
                Ok(Scalar(value.to_string()))
            }
            _ => Err(serde::de::Error::custom("expected a string, a number, true or false")),
        }
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Word".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Any TOML value.
#[derive(Clone, Debug, PartialEq)]
pub struct AnyValue(pub toml::Value);

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AnyValue, D::Error> {
        toml::Value::deserialize(deserializer).map(AnyValue)
    }
}

impl JsonSchema for AnyValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Anything".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!(true)
    }
}
