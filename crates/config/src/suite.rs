//! A validation suite as its file means it: what is asked of an environment, and what must come back.
//!
//! Texts may hold `${name}`: a variable of the suite, what an earlier step captured, or one of [`BUILT_IN`]. What came from
//! the environment (`${env.NAME}`) is put in when the file is read, and is in [`Suite::secrets`], so that no report shows it.

mod schema;
pub mod text;

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderName, Method};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;

use judgement::time::Millis;
use memory::snapshot::health_check::SqlEngine;

pub use schema::Schema;

/// What every text may name: the run's id, `blue` or `green`, and a number that no other request of the run has.
pub const BUILT_IN: [&str; 3] = ["run", "environment", "unique"];

/// A suite: its name is its file's, without `.toml`.
#[derive(Clone, Debug)]
pub struct Suite {
    pub name: String,
    pub title: String,
    /// `None`: the only one.
    pub service: Option<String>,
    pub via: Via,
    pub tags: Vec<String>,
    /// Cases at once.
    pub concurrency: usize,
    /// It runs by itself this often.
    pub every: Option<Millis>,
    /// And after every rollback of its service.
    pub after_rollback: bool,
    /// In the order of the file; each may name those before it.
    pub variables: Vec<(String, String)>,
    /// Blue first, then green; after `setup` of the same side.
    pub setup: Vec<SuiteRequest>,
    pub cases: Vec<Case>,
    /// Runs whatever came of the rest.
    pub teardown: Vec<SuiteRequest>,
    pub loads: Vec<LoadTest>,
    pub parities: Vec<Parity>,
    pub data: Vec<DataCheck>,
    /// Texts that no report shows: they came from the environment.
    pub secrets: Vec<String>,
    /// Captured variables that no report shows.
    pub secret_names: Vec<String>,
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
    /// Attempts after the first one.
    pub retries: u32,
    /// One after the other; what one captures the next ones know.
    pub steps: Vec<SuiteRequest>,
}

/// A request, and what its answer must be.
#[derive(Clone, Debug)]
pub struct SuiteRequest {
    pub name: String,
    pub method: Method,
    /// Behind the origin's own path, percent-encoded, perhaps with a query; may hold `${…}`.
    pub path: String,
    /// More of the query, as it is meant: it is encoded when it is sent. Values may hold `${…}`.
    pub query: Vec<(String, String)>,
    /// The suite's own come first; values may hold `${…}`.
    pub headers: Vec<(HeaderName, String)>,
    pub body: Body,
    /// For the whole answer.
    pub timeout: Millis,
    pub expect: Expect,
    pub capture: Vec<(String, Capture)>,
}

#[derive(Clone, Debug, Default)]
pub enum Body {
    #[default]
    None,
    /// May hold `${…}`.
    Text(String),
    /// Its texts may hold `${…}`. Sent as `application/json`.
    Json(Value),
    /// Sent as `application/x-www-form-urlencoded`.
    Form(Vec<(String, String)>),
    /// A file's bytes, as they are.
    Bytes(Arc<[u8]>),
}

/// Where a variable comes from.
#[derive(Clone, Debug)]
pub enum Capture {
    /// The first node of the body.
    Json(JsonPath),
    Header(HeaderName),
    /// A cookie that the answer sets.
    Cookie(String),
    /// The first group, or the whole match, in the body.
    Regex(Regex),
}

#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// Empty: 200 to 399. Both ends included.
    pub status: Vec<(u16, u16)>,
    pub latency: Option<Millis>,
    pub headers: Vec<(HeaderName, Expectation)>,
    pub json: Vec<(JsonPath, Expectation)>,
    /// The whole body as JSON; texts may hold `${…}`.
    pub equals: Option<Value>,
    /// Places of the body that `equals` does not look at.
    pub ignore: Vec<JsonPath>,
    /// Numbers of `equals` may differ by this much, relative to the larger one.
    pub tolerance: f64,
    pub schema: Option<Arc<Schema>>,
    pub body: Vec<Expectation>,
}

/// What one value must be. Texts may hold `${…}`.
#[derive(Clone, Debug)]
pub enum Expectation {
    Equals(Value),
    Contains(String),
    /// The whole value.
    Matches(WholeRegex),
    Present,
    Absent,
    /// Numbers.
    Above(f64),
    Below(f64),
    /// Of a text in characters, of a list in items, of an object in keys.
    Length(u64),
    /// `string`, `number`, `boolean`, `array`, `object` or `null`.
    Type(String),
}

/// A regular expression for the whole of a value.
#[derive(Clone, Debug)]
pub struct WholeRegex {
    regex: Regex,
    /// As it was typed.
    pub text: String,
}

impl WholeRegex {
    /// # Errors
    /// The text is not a regular expression.
    pub fn new(text: &str) -> Result<WholeRegex, regex::Error> {
        // By itself first: its errors speak of what was typed.
        Regex::new(text)?;
        // The longest match is not what a search finds: `a|ab` finds the `a` of `ab`.
        Ok(WholeRegex { regex: Regex::new(&format!(r"\A(?:{text})\z"))?, text: text.to_owned() })
    }

    pub fn is_match(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

/// Requests at the times that a profile sets, whatever the answers do: an open loop.
#[derive(Clone, Debug)]
pub struct LoadTest {
    pub name: String,
    pub profile: Profile,
    /// Requests a second, at the peak.
    pub rate: f64,
    /// Where a ramp or a stress begins, and what a spike rises from.
    pub from: f64,
    pub length: Millis,
    /// Before that, at the first rate, and not counted.
    pub warm_up: Millis,
    /// The most requests at once. Each has a connection of its own.
    pub users: u32,
    /// Drawn by their weights.
    pub requests: Vec<(u32, SuiteRequest)>,
    pub limits: LoadLimits,
}

/// The course of a load's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// `rate` throughout.
    Steady,
    /// Straight from `from` to `rate`.
    Ramp,
    /// `from`, and `rate` in the middle third.
    Spike,
    /// From `from` to `rate` in ten stairs: where does it break?
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

/// What passes or fails a load. Latencies are those from the intended start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadLimits {
    pub p50: Option<Millis>,
    pub p95: Option<Millis>,
    pub p99: Option<Millis>,
    /// In percent; without one, no request may fail.
    pub error_rate: Option<f64>,
    /// Answered well, a second.
    pub throughput: Option<f64>,
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
    /// POST and the like of a recording are sent too.
    pub unsafe_methods: bool,
    /// The most different requests of a recording.
    pub most: usize,
    pub ignore: Vec<JsonPath>,
    /// The headers that are compared.
    pub headers: Vec<HeaderName>,
    /// Relative, as in [`Expect::tolerance`].
    pub tolerance: f64,
    /// So often blue is compared with itself first.
    pub noise: u32,
    /// The percentage of requests that may differ.
    pub differing: f64,
    pub timeout: Millis,
}

/// One thing that both sides' data must agree on.
#[derive(Clone, Debug)]
pub struct DataCheck {
    pub name: String,
    pub check: DataCheckKind,
}

#[derive(Clone, Debug)]
pub enum DataCheckKind {
    /// The rows of a table. Blue's database, then green's.
    Table { databases: [SqlEngine; 2], table: TableCheck },
    /// The same rows on both sides, in the order that they come in. `timeout`: for the whole answer, here and below.
    Query { databases: [SqlEngine; 2], query: String, tolerance: f64, timeout: Millis },
    /// No row, on either side.
    Integrity { databases: [SqlEngine; 2], query: String, timeout: Millis },
    /// The same JSON (or bytes) from both origins.
    Http { request: Box<SuiteRequest>, ignore: Vec<JsonPath>, tolerance: f64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCheck {
    /// May be `schema.table`.
    pub name: String,
    /// Columns that name a row, and by which the table is walked through; an index over them is what makes it fast.
    pub key: Vec<String>,
    /// `None`: all of them.
    pub columns: Option<Vec<String>>,
    /// Left out of all.
    pub ignore: Vec<String>,
    /// A condition in SQL.
    pub filter: Option<String>,
    /// Rows a chunk.
    pub chunk: u64,
    /// Only count.
    pub rows_only: bool,
    /// How many differing rows the report names.
    pub most_rows: usize,
    /// For one query.
    pub timeout: Millis,
}
