//! Snapshots of a service: created, listed, compared and deleted.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::admin::api::{Api, Call, blocking, json, once, reply};
use crate::admin::caller::Caller;
use crate::admin::error::ApiError;
use crate::admin::idempotency::StoredReply;
use crate::admin::input::words;
use crate::admin::traffic;
use crate::admin::verb::Verb;
use judgement::rollout::Requester;
use judgement::time::rfc3339;
use memory::clock;
use sidecar::journal::{NamedSnapshot, SnapshotError};
use wire::{self, SnapshotComparison, SnapshotDifference, SnapshotMade, SnapshotRate, SnapshotSummary, Snapshots};

/// The longest name: it must fit on a line of a list.
const LONGEST_NAME: usize = 128;
/// The most differences to list. Beyond this, everything differs.
const MOST_DIFFERENCES: usize = 500;

/// The contents of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
struct SnapshotBody {
    who: String,
    /// When the process started counting. In another process, counters and uptime start again. 0: written by an older
    /// Cutover.
    #[serde(default)]
    began_ms: u64,
    /// The monotonic clock.
    uptime_ms: u64,
    generation: u64,
    service: Value,
    /// The counts since the start, by environment.
    counters: Vec<wire::EnvironmentTraffic>,
    policy: Value,
    /// SHA-256 of the routing file, or of a folder's files in the order of their names.
    routing_sha256: Option<String>,
    /// By check, then by environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    data: BTreeMap<String, BTreeMap<String, Value>>,
}

/// # Errors
/// There is no such service, or it cannot be written.
pub async fn create(api: &Api, call: Call, asked: wire::CreateSnapshot) -> Result<Response, ApiError> {
    let name = words("name", Some(asked.name))?;
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        let message = format!("`name` must be 1 to {LONGEST_NAME} characters");
        return Err(ApiError::bad("bad_field", message, ""));
    }
    let service = api.service(asked.service.as_deref())?;
    let (api_, by) = (api.clone(), call.by.clone());
    let work = async move { make(&api_, &by, service, name, asked.suite).await };
    once(api, &call, async { Ok(None) }, work).await
}

async fn make(
    api: &Api,
    by: &Requester,
    service: String,
    name: String,
    suite: Option<String>,
) -> Result<StoredReply, ApiError> {
    let data = match suite {
        Some(suite) => api.runs.digest(&suite, &service).await?,
        None => BTreeMap::new(),
    };
    expire(api).await?;
    let (generation, views) = api.views(Some(&service)).await?;
    if let Some(asked) = by.generation.filter(|asked| *asked != generation) {
        return Err(judgement::rollout::RolloutError::Stale { asked, now: generation }.into());
    }
    let (sidecar, named) = (api.sidecar.clone(), service.clone());
    let insight = blocking(move || sidecar.insight(named)).await??;
    let routing = api.routing.clone();
    let mut shown = traffic::services(api, views).into_iter().next();
    let counters = shown.as_mut().map(|service| std::mem::take(&mut service.last_minute)).unwrap_or_default();
    let body = SnapshotBody {
        who: by.who.clone(),
        began_ms: api.began_ms,
        uptime_ms: clock::now().0,
        generation,
        service: shown.and_then(|service| serde_json::to_value(service).ok()).unwrap_or_default(),
        counters,
        policy: insight.and_then(|insight| serde_json::to_value(insight.policy).ok()).unwrap_or_default(),
        routing_sha256: blocking(move || hash_of(&routing)).await?,
        data,
    };
    let body = serde_json::to_string(&body).map_err(|error| ApiError::internal(error.to_string()))?;
    let at = clock::wall_millis();
    let id = id_of(&service, &name, clock::wall_micros());
    let snapshot = NamedSnapshot { id, service, at, name, body };
    let summary = summary(&snapshot);
    let store = api.snapshots.clone();
    blocking(move || store.put(snapshot)).await??;
    reply(&SnapshotMade { action: "create_snapshot".to_owned(), snapshot: summary }, None)
}

/// Deletes snapshots that have been kept long enough.
async fn expire(api: &Api) -> Result<(), ApiError> {
    let oldest = clock::wall_millis().saturating_sub(api.keep_snapshots.0);
    let all = api.journal(|reader| reader.snapshots(None)).await?;
    let store = api.snapshots.clone();
    let old: Vec<String> =
        all.into_iter().filter(|snapshot| snapshot.at < oldest).map(|snapshot| snapshot.id).collect();
    blocking(move || old.iter().for_each(|id| drop(store.delete(id)))).await
}

/// A unique id of twelve hexadecimal digits.
fn id_of(service: &str, name: &str, micros: u64) -> String {
    digest(format!("{service}\n{name}\n{micros}").as_bytes()).chars().take(12).collect()
}

/// `None` if it cannot be read at the moment.
fn hash_of(routing: &std::path::Path) -> Option<String> {
    let mut files = vec![routing.to_owned()];
    if routing.is_dir() {
        let entries = std::fs::read_dir(routing).ok()?.flatten().map(|entry| entry.path());
        files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
        files.sort();
    }
    let all: Option<Vec<Vec<u8>>> = files.iter().map(|file| std::fs::read(file).ok()).collect();
    Some(digest(&all?.concat()))
}

fn summary(snapshot: &NamedSnapshot) -> SnapshotSummary {
    let body: Option<SnapshotBody> = serde_json::from_str(&snapshot.body).ok();
    SnapshotSummary {
        id: snapshot.id.clone(),
        name: snapshot.name.clone(),
        service: snapshot.service.clone(),
        at_ms: snapshot.at,
        at: rfc3339(snapshot.at),
        who: body.map_or(String::new(), |body| body.who),
    }
}

/// # Errors
/// There is no such service, or the journal cannot be read.
pub async fn list(api: &Api, service: Option<&str>) -> Result<Response, ApiError> {
    let service = service.map(|named| api.service(Some(named))).transpose()?;
    expire(api).await?;
    let snapshots = api.journal(move |reader| reader.snapshots(service.as_deref())).await?;
    Ok(json(&Snapshots { snapshots: snapshots.iter().map(summary).collect() }, None))
}

/// # Errors
/// The caller lacks the role, or there is no such snapshot.
pub async fn delete(api: &Api, caller: &Caller, id: String) -> Result<Response, ApiError> {
    caller.may(Verb::DeleteSnapshot)?;
    let store = api.snapshots.clone();
    let found = one(api, id).await?;
    let gone = found.id.clone();
    blocking(move || store.delete(&gone)).await??;
    Ok(json(&SnapshotMade { action: "delete_snapshot".to_owned(), snapshot: summary(&found) }, None))
}

/// # Errors
/// One of the two does not exist.
pub async fn compare(api: &Api, asked: wire::CompareSnapshots) -> Result<Response, ApiError> {
    let (from, to) = (one(api, asked.from).await?, one(api, asked.to).await?);
    let read = |snapshot: &NamedSnapshot| {
        let error = |error: serde_json::Error| ApiError::internal(format!("snapshot {}: {error}", snapshot.id));
        let value: Value = serde_json::from_str(&snapshot.body).map_err(error)?;
        let body: SnapshotBody = serde_json::from_value(value.clone()).map_err(error)?;
        Ok::<_, ApiError>((value, body))
    };
    let ((before, was), (after, is)) = (read(&from)?, read(&to)?);
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    flatten("", &before, &mut left);
    flatten("", &after, &mut right);
    let fields: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let value = |side: &BTreeMap<String, Value>, field: &String| side.get(field).cloned().unwrap_or(Value::Null);
    let differences = fields
        .into_iter()
        .filter(|field| left.get(*field) != right.get(*field))
        .map(|field| SnapshotDifference { field: field.clone(), from: value(&left, field), to: value(&right, field) });
    let comparison = SnapshotComparison {
        differences: differences.take(MOST_DIFFERENCES).collect(),
        apart_ms: to.at.saturating_sub(from.at),
        rates: rates(&was, &is),
        from: summary(&from),
        to: summary(&to),
    };
    Ok(json(&comparison, None))
}

/// Finds a snapshot by its id, or by its name if no other has the same.
async fn one(api: &Api, asked: String) -> Result<NamedSnapshot, ApiError> {
    let id = asked.clone();
    if let Some(found) = api.journal(move |reader| reader.snapshot(&id)).await? {
        return Ok(found);
    }
    let all = api.journal(|reader| reader.snapshots(None)).await?;
    let mut named: Vec<NamedSnapshot> = all.into_iter().filter(|snapshot| snapshot.name == asked).collect();
    let asked = super::input::brief(&asked);
    if named.len() > 1 {
        let ids: Vec<String> = named.into_iter().map(|snapshot| snapshot.id).take(5).collect();
        let message = format!("several snapshots are named `{asked}`");
        return Err(ApiError::conflict(
            "ambiguous_snapshot",
            message,
            format!("use one of the ids {}", ids.join(", ")),
        ));
    }
    named.pop().ok_or_else(|| SnapshotError::Missing(asked).into())
}

/// Every leaf value by its path.
fn flatten(path: &str, value: &Value, all: &mut BTreeMap<String, Value>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(key, value)| flatten(&join(key), value, all));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(at, value)| flatten(&join(&at.to_string()), value, all));
        }
        leaf => {
            all.insert(path.to_owned(), leaf.clone());
        }
    }
}

/// What each environment served between the two; nothing if the counters were reset in between.
fn rates(was: &SnapshotBody, is: &SnapshotBody) -> Vec<SnapshotRate> {
    if was.began_ms != is.began_ms {
        return Vec::new();
    }
    let seconds = is.uptime_ms.saturating_sub(was.uptime_ms) as f64 / 1000.0;
    let pairs = was.counters.iter().zip(&is.counters);
    let rates = pairs.filter_map(|(was, is)| {
        let requests = is.since_start.requests.checked_sub(was.since_start.requests)?;
        let failed = is.since_start.failed.checked_sub(was.since_start.failed)?;
        (seconds > 0.0).then(|| SnapshotRate {
            environment: is.environment,
            requests,
            failed,
            requests_per_second: Some(requests as f64 / seconds),
            error_rate: (requests > 0).then(|| 100.0 * failed as f64 / requests as f64),
        })
    });
    rates.collect()
}

impl From<SnapshotError> for ApiError {
    fn from(why: SnapshotError) -> ApiError {
        let message = why.to_string();
        match why {
            SnapshotError::Missing(_) => {
                ApiError::missing("no_such_snapshot", message, "GET ?action=snapshots lists them")
            }
            SnapshotError::Full { .. } => ApiError::conflict("shelf_full", message, "DELETE ?snapshot=ID"),
            SnapshotError::Taken(_) => ApiError::conflict("snapshot_taken", message, "try again"),
            SnapshotError::TooLarge => ApiError::senseless("snapshot_too_large", message, ""),
            SnapshotError::Disk(_) | SnapshotError::Busy => {
                ApiError::of(StatusCode::SERVICE_UNAVAILABLE, "shelf_unwritable", message, "try again in a moment")
            }
        }
    }
}

/// SHA-256 in hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    judgement::hex::text(&Sha256::digest(bytes))
}
