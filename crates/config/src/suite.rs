//! A validation suite as its file defines it: the requests to an environment, and what must come back.
//!
//! Texts may contain `${name}`: a variable of the suite, a value captured by an earlier step, or one of [`BUILT_IN`].
//! Values from the environment (`${env.NAME}`) are inserted when the file is read and added to [`Suite::secrets`], so
//! that no report shows them.

mod json;
mod schema;
pub mod text;

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderName, Method};
use regex::Regex;
use serde::Deserialize;
use serde_json_path::JsonPath;

use crate::read::FileProblem;
use judgement::time::Millis;
use memory::snapshot::health_check::SqlEngine;

pub use json::{Json, JsonNumber, JsonStep};
pub use schema::Schema;

/// Names available in every text: the run's id, `blue` or `green`, and a number that no other request of the run has.
pub const BUILT_IN: [&str; 3] = ["run", "environment", "unique"];

/// A suite, named after its file.
#[derive(Clone, Debug)]
pub struct Suite {
    pub name: String,
    pub title: String,
    /// `None` for the only one.
    pub service: Option<String>,
    pub via: Via,
    pub tags: Vec<String>,
    /// Cases at once.
    pub concurrency: usize,
    /// How often it runs on a schedule.
    pub every: Option<Millis>,
    /// Whether it also runs after every rollback of its service.
    pub after_rollback: bool,
    /// In the order of the file; each may use those before it.
    pub variables: Vec<(String, String)>,
    /// Blue first, then green; after `setup` of the same side.
    pub setup: Vec<SuiteRequest>,
    pub cases: Vec<Case>,
    /// Runs whatever the outcome of the rest.
    pub teardown: Vec<SuiteRequest>,
    pub loads: Vec<LoadTest>,
    pub parities: Vec<Parity>,
    pub data: Vec<DataCheck>,
    /// Texts that no report shows, because they came from the environment.
    pub secrets: Vec<String>,
    /// Captured variables that no report shows.
    pub secret_names: Vec<String>,
    /// Secrets that are not here. Only where such are tolerated.
    pub warnings: Vec<FileProblem>,
}

/// How an environment is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Straight to its origin.
    Origin,
    /// Through the proxy, by the override rule that leads there.
    Proxy,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub tags: Vec<String>,
    /// Retries after the first attempt.
    pub retries: u32,
    /// Run in order; what one captures, the later ones can use.
    pub steps: Vec<SuiteRequest>,
}

/// A request, and what its response must be.
#[derive(Clone, Debug)]
pub struct SuiteRequest {
    pub name: String,
    pub method: Method,
    /// Appended to the origin's base path, percent-encoded, perhaps with a query; may contain `${…}`.
    pub path: String,
    /// More query parameters, unencoded: they are encoded when sent. Values may contain `${…}`.
    pub query: Vec<(String, String)>,
    /// The suite's own come first; values may contain `${…}`.
    pub headers: Vec<(HeaderName, String)>,
    pub body: Body,
    /// For the complete response.
    pub timeout: Millis,
    pub expect: Expect,
    pub capture: Vec<(String, Capture)>,
}

#[derive(Clone, Debug, Default)]
pub enum Body {
    #[default]
    None,
    /// May contain `${…}`.
    Text(String),
    /// Its texts may contain `${…}`. Sent as `application/json`.
    Json(Json),
    /// Sent as `application/x-www-form-urlencoded`.
    Form(Vec<(String, String)>),
    /// A file's bytes, unchanged.
    Bytes(Arc<[u8]>),
}

/// Where a variable comes from.
#[derive(Clone, Debug)]
pub enum Capture {
    /// The first node of the body.
    Json(JsonPath),
    Header(HeaderName),
    /// A cookie that the response sets.
    Cookie(String),
    /// The first group, or the whole match, in the body.
    Regex(Regex),
}

#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// Empty for 200 to 399. Both ends are included.
    pub status: Vec<(u16, u16)>,
    pub latency: Option<Millis>,
    pub headers: Vec<(HeaderName, Expectation)>,
    pub json: Vec<(JsonPath, Expectation)>,
    /// The whole body as JSON; texts may contain `${…}`.
    pub equals: Option<Json>,
    /// Places of the body that `equals` ignores.
    pub ignore: Vec<JsonPath>,
    /// Numbers of `equals` may differ by this much, relative to the larger one.
    pub tolerance: f64,
    pub schema: Option<Arc<Schema>>,
    pub body: Vec<Expectation>,
}

/// The conditions on one value. Texts may contain `${…}`.
#[derive(Clone, Debug)]
pub enum Expectation {
    Equals(Json),
    Contains(String),
    /// The whole value.
    Matches(WholeRegex),
    Present,
    Absent,
    /// Numbers.
    Above(f64),
    Below(f64),
    /// Counted in characters for a text, items for a list, keys for an object.
    Length(u64),
    /// `string`, `number`, `boolean`, `array`, `object` or `null`.
    Type(String),
}

/// A regular expression that a whole value must match.
#[derive(Clone, Debug)]
pub struct WholeRegex {
    regex: Regex,
    /// As written in the file.
    pub text: String,
}

impl WholeRegex {
    /// # Errors
    /// The text is not a regular expression.
    pub fn new(text: &str) -> Result<WholeRegex, regex::Error> {
        // On its own first, so that its errors refer to what was written.
        Regex::new(text)?;
        // A search does not find the longest match: `a|ab` finds the `a` of `ab`.
        Ok(WholeRegex { regex: Regex::new(&format!(r"\A(?:{text})\z"))?, text: text.to_owned() })
    }

    pub fn is_match(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

/// Requests at the times that a profile sets, whatever the responses do: an open loop.
#[derive(Clone, Debug)]
pub struct LoadTest {
    pub name: String,
    pub profile: Profile,
    /// Requests per second, at the peak.
    pub rate: f64,
    /// Where a ramp or stress begins, and what a spike rises from.
    pub from: f64,
    pub length: Millis,
    /// The warm-up, at the first rate, which is not counted.
    pub warm_up: Millis,
    /// The most requests at once, each on its own connection.
    pub users: u32,
    /// Chosen in proportion to their weights.
    pub requests: Vec<(u32, SuiteRequest)>,
    /// The processes whose resources are measured meanwhile: blue's, then green's.
    pub resources: Option<[OriginProcess; 2]>,
    pub limits: LoadLimits,
}

/// How the process of an origin on this machine is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginProcess {
    /// It listens on the origin's port.
    Port,
    Pid(u32),
    /// A file that contains its id.
    PidFile(PathBuf),
}

/// The shape of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// `rate` throughout.
    Steady,
    /// Straight from `from` to `rate`.
    Ramp,
    /// `from`, and `rate` in the middle third.
    Spike,
    /// From `from` to `rate` in ten steps: where does it break?
    Stress,
    /// `rate` throughout, for long: the second half must be as good as the first.
    Soak,
}

impl Profile {
    pub const ALL: [(&'static str, Profile); 5] = [
        ("steady", Profile::Steady),
        ("ramp", Profile::Ramp),
        ("spike", Profile::Spike),
        ("stress", Profile::Stress),
        ("soak", Profile::Soak),
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Profile::Steady => "steady",
            Profile::Ramp => "ramp",
            Profile::Spike => "spike",
            Profile::Stress => "stress",
            Profile::Soak => "soak",
        }
    }
}

/// The longest that a latency may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LatencyLimit {
    Fixed(Millis),
    /// So many times that of the active side under the same load in the same seconds.
    OfActive(f64),
}

/// The largest share of requests that may fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ErrorLimit {
    /// In percent.
    Fixed(f64),
    /// So many times that of the active side under the same load in the same seconds, but see [`ErrorLimit::FLOOR`].
    OfActive(f64),
}

impl ErrorLimit {
    /// In percent: a limit that is compared with active's is never below this, nor below one request.
    pub const FLOOR: f64 = 0.1;
}

/// The most that an origin's process may use: cores on average, or bytes at any time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResourceLimit {
    Fixed(f64),
    /// So many times that of the active side's process under the same load in the same seconds.
    OfActive(f64),
}

impl ResourceLimit {
    /// In cores: a limit that is compared with active's is never below this.
    pub const CPU_FLOOR: f64 = 0.05;
}

impl LoadLimits {
    /// Whether a limit is compared with the active side.
    pub fn need_active(&self) -> bool {
        let latencies = [self.p50, self.p95, self.p99];
        latencies.iter().any(|limit| matches!(limit, Some(LatencyLimit::OfActive(_))))
            || matches!(self.error_rate, Some(ErrorLimit::OfActive(_)))
            || self.need_resources_of_active()
    }

    /// Whether the resources of both sides' processes are compared.
    pub fn need_resources_of_active(&self) -> bool {
        [self.cpu, self.memory].iter().any(|limit| matches!(limit, Some(ResourceLimit::OfActive(_))))
    }
}

/// What decides whether a load passes. Latencies are measured from the intended start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadLimits {
    pub p50: Option<LatencyLimit>,
    pub p95: Option<LatencyLimit>,
    pub p99: Option<LatencyLimit>,
    /// If there is none, no request may fail.
    pub error_rate: Option<ErrorLimit>,
    /// Successful responses per second.
    pub throughput: Option<f64>,
    /// In cores, on average.
    pub cpu: Option<ResourceLimit>,
    /// In bytes, at most.
    pub memory: Option<ResourceLimit>,
}

/// The same requests to both sides.
#[derive(Clone, Debug)]
pub struct Parity {
    pub name: String,
    pub requests: Vec<SuiteRequest>,
    /// A HAR file or an access log in JSON.
    pub recording: Option<PathBuf>,
    /// The suite's own headers, which recorded requests get too.
    pub sent: Vec<(HeaderName, String)>,
    /// Also send POST and similar requests of a recording.
    pub unsafe_methods: bool,
    /// The most distinct requests of a recording.
    pub most: usize,
    pub ignore: Vec<JsonPath>,
    /// The headers that are compared.
    pub headers: Vec<HeaderName>,
    /// Relative, as in [`Expect::tolerance`].
    pub tolerance: f64,
    /// How often blue is first compared with itself.
    pub noise: u32,
    /// The percentage of requests that may differ.
    pub differing: f64,
    pub timeout: Millis,
}

/// One thing on which both sides' data must agree.
#[derive(Clone, Debug)]
pub struct DataCheck {
    pub name: String,
    pub check: DataCheckKind,
}

#[derive(Clone, Debug)]
pub enum DataCheckKind {
    /// The rows of a table. Blue's database, then green's.
    Table { databases: [SqlEngine; 2], table: TableCheck },
    /// The same rows on both sides, in the order returned. `timeout`: for the complete response, here and below.
    Query { databases: [SqlEngine; 2], query: String, tolerance: DataTolerance, settle: Millis, timeout: Millis },
    /// No rows, on either side.
    Integrity { databases: [SqlEngine; 2], query: String, timeout: Millis },
    /// The same JSON (or bytes) from both origins.
    Http { request: Box<SuiteRequest>, ignore: Vec<JsonPath>, tolerance: f64, settle: Millis },
}

/// By how much values may differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataTolerance {
    /// Numbers in all other columns, relative to the larger one.
    pub relative: f64,
    /// By the name of a column.
    pub columns: Vec<(String, ColumnTolerance)>,
}

impl DataTolerance {
    /// Ignoring case, as columns are found.
    pub fn of_column(&self, name: &str) -> Option<ColumnTolerance> {
        self.columns.iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, tolerance)| *tolerance)
    }
}

/// By how much the values of one column may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColumnTolerance {
    /// The difference of two numbers, or of two times in seconds.
    Number(f64),
    /// The difference of two times.
    Time(Millis),
}

#[derive(Clone, Debug, PartialEq)]
pub struct TableCheck {
    /// May be `schema.table`.
    pub name: String,
    /// Columns that identify a row and by which the table is traversed; an index over them makes it fast.
    pub key: Vec<String>,
    /// `None` for all of them.
    pub columns: Option<Vec<String>>,
    /// Columns that are not compared.
    pub ignore: Vec<String>,
    /// A condition in SQL.
    pub filter: Option<String>,
    /// Rows per chunk.
    pub chunk: u64,
    /// Only count the rows.
    pub rows_only: bool,
    /// How many differing rows the report lists.
    pub most_rows: usize,
    pub tolerance: DataTolerance,
    /// How long rows that differ may take to agree.
    pub settle: Millis,
    /// For one query.
    pub timeout: Millis,
}
