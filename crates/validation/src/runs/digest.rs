//! A digest of the data on both sides, for named snapshots.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use serde_json_path::JsonPath;
use tokio::task::JoinSet;

use crate::cases::context::RunContext;
use crate::consistency;
use crate::consistency::json::{canonical, hash};
use crate::request::prepare;
use crate::request_numbers::RequestNumbers;
use crate::runs::{RunRefusal, Runs};
use crate::target::TestTarget;
use crate::variables::Variables;
use config::suite::{DataCheck, DataCheckKind, Json, Suite, SuiteRequest};
use wire::Side;

/// Only the hash of a longer answer is kept: a snapshot is no backup.
const LONGEST_BODY: usize = 32 << 10;

/// By check, then by environment.
pub type DataDigest = BTreeMap<String, BTreeMap<String, Value>>;

impl Runs {
    /// The digests of a suite's data checks, by check and environment.
    ///
    /// # Errors
    /// There is no such suite, or it has no data checks.
    pub async fn digest(&self, suite: &str, service: &str) -> Result<DataDigest, RunRefusal> {
        let suite = self.suite(suite)?;
        if suite.data.is_empty() {
            return Err(RunRefusal::NoData(suite.name));
        }
        let (runs, service) = (self.clone(), service.to_owned());
        // On the runtime of runs, as whole tables are read; aborted with this future.
        let mut reading = JoinSet::new();
        reading.spawn_on(async move { runs.read(&suite, &service).await }, &self.0.runtime);
        let read = reading.join_next().await.and_then(Result::ok);
        read.ok_or_else(|| RunRefusal::Unreadable("the data could not be read: see Cutover's log".to_owned()))
    }

    async fn read(&self, suite: &Suite, service: &str) -> DataDigest {
        let numbers = RequestNumbers::default();
        let mut all = BTreeMap::new();
        for data in &suite.data {
            let sides = match &data.check {
                DataCheckKind::Http { request, ignore, .. } => {
                    let mut sides = BTreeMap::new();
                    for side in [Side::Blue, Side::Green] {
                        let (context, stuck) = RunContext::of(suite, side, "snapshot", &numbers);
                        let found = match (stuck, self.0.targets.target(service, side, suite.via)) {
                            (Some(why), _) | (None, Err(why)) => Err(why),
                            (None, Ok(target)) => answer(&target, request, ignore, &context.variables).await,
                        };
                        let found = found.unwrap_or_else(|why| json!({ "error": why }));
                        sides.insert(side.name().to_owned(), context.redactor.json(found));
                    }
                    sides
                }
                _ => digested(data).await,
            };
            all.insert(data.name.clone(), sides);
        }
        all
    }
}

async fn answer(
    target: &TestTarget,
    request: &SuiteRequest,
    ignore: &[JsonPath],
    variables: &Variables,
) -> Result<Value, String> {
    let prepared = prepare(request, target, variables)?;
    let answer = target.ask(&prepared, request.timeout.as_duration(), 0).await.map_err(|gone| gone.why)?;
    let parsed = Json::parse(&answer.body).ok();
    let text = parsed.as_ref().map(|value| canonical(value, ignore));
    let checksum = hash(text.as_deref().map_or(&answer.body, str::as_bytes));
    let short = text.filter(|text| text.len() <= LONGEST_BODY);
    let body: Option<Value> = short.map(|text| match Json::parse(text.as_bytes()).map(|value| value.rounded()) {
        Ok(value) if canonical(&value.clone().into(), &[]) == text => value,
        // Beyond a double: as a text it keeps every digit.
        _ => Value::String(text),
    });
    Ok(json!({ "status": answer.status, "checksum": checksum, "body": body }))
}

async fn digested(data: &DataCheck) -> BTreeMap<String, Value> {
    let [blue, green] = consistency::digest(data).await;
    let value = |side: &wire::DataSide| serde_json::to_value(side).unwrap_or_default();
    BTreeMap::from([("blue".to_owned(), value(&blue)), ("green".to_owned(), value(&green))])
}
