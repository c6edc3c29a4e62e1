//! A validation suite as it is typed.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::Deserializer;

use crate::file::{At, Number, OneOrMany, SqlFile};

/// A suite: `NAME.toml` in the folder that `suites` of cutover.toml names.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Cutover validation suite")]
pub struct SuiteFile {
    /// The version of this format: 1.
    pub version: Option<At<Number>>,
    /// What it proves, in a few words. Default: its name.
    pub title: Option<At<String>>,
    /// The service; may be left out where there is one.
    pub service: Option<At<String>>,
    /// "origin" (default): straight to the environments; "proxy": through Cutover, by the service's override rules.
    pub via: Option<At<String>>,
    pub tags: Vec<String>,
    /// Cases at once. Default 4.
    pub concurrency: Option<At<Number>>,
    /// Of each request, for the whole answer. Default "10s".
    pub timeout: Option<At<String>>,
    /// Attempts of a case after the first one. Default 0.
    pub retries: Option<At<Number>>,
    /// It runs by itself this often.
    pub every: Option<At<String>>,
    /// It runs after every rollback of its service, and the rollback's report shows what came of it. Default false.
    pub after_rollback: Option<bool>,
    /// Captured variables that no report shows.
    pub secret: Vec<At<String>>,
    /// Texts by name: "${name}" stands for one, "${env.NAME}" for a variable of the environment, which no report shows.
    pub variables: BTreeMap<String, At<Scalar>>,
    /// Sent with every request.
    pub headers: BTreeMap<String, At<String>>,
    /// The databases of both environments, by the name that `[[data]]` uses.
    pub database: BTreeMap<String, At<DatabaseFile>>,
    /// Before the cases, on each side; without it nothing is tried there.
    pub setup: Vec<At<RequestFile>>,
    pub case: Vec<At<CaseFile>>,
    /// After the cases, on each side, whatever came of them.
    pub teardown: Vec<At<RequestFile>>,
    pub load: Vec<At<LoadFile>>,
    pub parity: Vec<At<ParityFile>>,
    pub data: Vec<At<DataFile>>,
}

impl SuiteFile {
    /// The JSON Schema of a suite.
    pub fn schema() -> Schema {
        schemars::schema_for!(SuiteFile)
    }
}

/// A request, and what its answer must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestFile {
    /// Default: method and path.
    pub name: Option<At<String>>,
    /// Default "GET".
    pub method: Option<At<String>>,
    /// Behind the origin's own path.
    pub path: Option<At<String>>,
    /// Added to the path, percent-encoded but for "${…}".
    pub query: BTreeMap<String, At<Scalar>>,
    pub headers: BTreeMap<String, At<String>>,
    /// A body of JSON, written as TOML.
    pub json: Option<At<AnyValue>>,
    /// A body as it is.
    pub body: Option<At<String>>,
    /// A file with the body, relative to this one.
    pub body_file: Option<At<String>>,
    /// A body of form fields.
    pub form: BTreeMap<String, At<Scalar>>,
    /// For the whole answer. Default: the suite's.
    pub timeout: Option<At<String>>,
    pub expect: Option<At<ExpectFile>>,
    /// Variables for the steps that follow: "$.path" of the JSON, "header:NAME", "cookie:NAME" or "regex:…".
    pub capture: BTreeMap<String, At<String>>,
    /// Of several requests of a load: how often, relative to the others. Default 1.
    pub weight: Option<At<Number>>,
}

/// A case: one request, or steps one after the other.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaseFile {
    pub name: Option<At<String>>,
    pub tags: Vec<String>,
    /// Attempts after the first one. Default: the suite's.
    pub retries: Option<At<Number>>,
    /// Instead of the keys of a single request, which follow.
    pub step: Vec<At<RequestFile>>,
    /// As in a step; so are those below.
    pub method: Option<At<String>>,
    pub path: Option<At<String>>,
    pub query: BTreeMap<String, At<Scalar>>,
    pub headers: BTreeMap<String, At<String>>,
    pub json: Option<At<AnyValue>>,
    pub body: Option<At<String>>,
    pub body_file: Option<At<String>>,
    pub form: BTreeMap<String, At<Scalar>>,
    pub timeout: Option<At<String>>,
    pub expect: Option<At<ExpectFile>>,
}

impl CaseFile {
    /// Its only request, where it has no steps.
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

    /// Whether a key of a single request is there.
    pub fn has_request(&self) -> bool {
        let texts = [&self.method, &self.path, &self.body, &self.body_file, &self.timeout];
        let maps = self.query.is_empty() && self.headers.is_empty() && self.form.is_empty();
        texts.iter().any(|key| key.is_some()) || self.json.is_some() || self.expect.is_some() || !maps
    }
}

/// What an answer must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectFile {
    /// 200, "2xx", "200-299", or a list of these. Default "200-399".
    pub status: Option<At<AnyValue>>,
    /// From sending the request to the end of the answer.
    pub latency: Option<At<String>>,
    /// By name: a text that it equals, or a table of operators: equals, contains, matches, present, absent, above, below.
    pub headers: BTreeMap<String, At<AnyValue>>,
    /// By JSONPath (`$.items[0].id`): a value that it equals, or a table of operators, also `length` and `type`.
    pub json: BTreeMap<String, At<AnyValue>>,
    /// The whole body as JSON.
    pub equals: Option<At<AnyValue>>,
    /// A file with it, relative to this one.
    pub equals_file: Option<At<String>>,
    /// JSONPaths that `equals` does not look at.
    pub ignore: Vec<At<String>>,
    /// Numbers of `equals` may differ by this much, relative to the larger one. Default 0.
    pub tolerance: Option<At<Number>>,
    /// A file with a JSON Schema, relative to this one.
    pub schema: Option<At<String>>,
    /// A text that is in the body, a table of operators, or a list of these.
    pub body: Option<At<AnyValue>>,
}

/// A load: requests at the times that a profile sets, whatever the answers do.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoadFile {
    pub name: Option<At<String>>,
    /// "steady" (default), "ramp", "spike", "stress" or "soak".
    pub profile: Option<At<String>>,
    /// Requests a second, at the peak.
    pub rate: Option<At<Number>>,
    /// Where a ramp or a stress begins, and what a spike rises from. Default: a tenth of `rate`.
    pub from: Option<At<Number>>,
    #[serde(rename = "for")]
    pub length: Option<At<String>>,
    /// Before that, and not counted. Default "1s".
    pub warm_up: Option<At<String>>,
    /// Requests at once at the most, each on a connection of its own. Default 50.
    pub users: Option<At<Number>>,
    /// The only request's path; `request` for more.
    pub path: Option<At<String>>,
    pub request: Vec<At<RequestFile>>,
    pub limits: Option<At<LoadLimitsFile>>,
}

/// What passes or fails a load.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoadLimitsFile {
    pub p50: Option<At<String>>,
    pub p95: Option<At<String>>,
    pub p99: Option<At<String>>,
    /// In percent. Default 0: no request may fail.
    pub error_rate: Option<At<Number>>,
    /// Requests a second that are answered well, at the least.
    pub throughput: Option<At<Number>>,
}

/// The same requests to both sides.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParityFile {
    pub name: Option<At<String>>,
    /// Paths to GET.
    pub paths: Vec<At<String>>,
    pub request: Vec<At<RequestFile>>,
    /// A HAR file, or an access log of Cutover's in JSON; relative to this file.
    pub recording: Option<At<String>>,
    /// Send POST and the like too, to both sides. Default false.
    pub unsafe_methods: Option<bool>,
    /// Of a recording: so many different requests. Default 500.
    pub most: Option<At<Number>>,
    /// JSONPaths that are not compared.
    pub ignore: Vec<At<String>>,
    /// Headers that are compared. Default ["content-type", "location", "cache-control"].
    pub compare_headers: Option<Vec<At<String>>>,
    /// Numbers may differ by this much, relative to the larger one. Default 0.
    pub tolerance: Option<At<Number>>,
    /// So often blue is compared with itself first; what differs there says nothing of green. Default 2.
    pub noise: Option<At<Number>>,
    /// So many percent of the requests may differ. Default 0.
    pub differing: Option<At<Number>>,
}

/// A database on each side.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseFile {
    pub blue: Option<At<SqlFile>>,
    pub green: Option<At<SqlFile>>,
}

/// One thing that both sides' data must agree on: `table`, `query`, `integrity` or `path`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataFile {
    pub name: Option<At<String>>,
    /// The name of a [database.NAME]; may be left out where there is one.
    pub database: Option<At<String>>,
    /// Its rows are the same on both sides. May be "schema.table".
    pub table: Option<At<String>>,
    /// Of a table: the columns that name a row. Default "id".
    pub key: Option<OneOrMany<String>>,
    /// Of a table: only these. Default: all.
    pub columns: Option<Vec<At<String>>>,
    /// Of a table: columns that are not compared; of a path: JSONPaths.
    pub ignore: Vec<At<String>>,
    /// Of a table: a condition in SQL.
    #[serde(rename = "where")]
    pub filter: Option<At<String>>,
    /// Of a table: rows that are compared in one go. Default 10000.
    pub chunk: Option<At<Number>>,
    /// Of a table: only count its rows. Default false.
    pub rows_only: Option<bool>,
    /// Of a table: so many differing rows are named. Default 100.
    pub most_rows: Option<At<Number>>,
    /// Has the same result on both sides.
    pub query: Option<At<String>>,
    /// Has no row, on either side.
    pub integrity: Option<At<String>>,
    /// Both origins answer the same to a GET of this path.
    pub path: Option<At<String>>,
    /// Of a query or a path: numbers may differ by this much, relative to the larger one. Default 0.
    pub tolerance: Option<At<Number>>,
    /// For one query, or for the answer of a path. Default "60s", of a path the suite's own.
    pub timeout: Option<At<String>>,
}

/// A text, a number or a boolean, as a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Scalar(text)),
            value @ (toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_)) => {
                Ok(Scalar(value.to_string()))
            }
            _ => Err(serde::de::Error::custom("expected a text, a number, true or false")),
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

/// Any value of TOML.
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
