//! What the handlers of the API stand on, and the one way in which every change goes.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::admin::caller::Caller;
use crate::admin::changes::Changes;
use crate::admin::error::ApiError;
use crate::admin::idempotency::{IdempotencyKeys, KeyState, RequestDigest, StoredReply};
use crate::admin::input;
use crate::admin::recent_traffic::RecentTraffic;
use crate::admin::role::Verb;
use health::HealthBoard;
use judgement::rollout::view::ServiceView;
use memory::clock;
use memory::counters::Counters;
use memory::snapshot::SnapshotReader;
use sidecar::journal::{JournalReader, NamedSnapshots};
use sidecar::{SidecarHandle, SidecarStatus, SidecarStopped};
use validation::runs::Runs;

/// Streams of events at a time. The listener has 64 connections for one address, and somebody there may want to act, too.
const MOST_STREAMS: usize = 48;

const UNREADABLE: &str = "journal_unreadable";

#[derive(Clone, Debug)]
pub struct Api {
    pub sidecar: SidecarHandle,
    pub counters: Arc<Counters>,
    pub published: SnapshotReader,
    pub shelf: NamedSnapshots,
    /// The routing file.
    pub routing: PathBuf,
    pub changes: Changes,
    pub board: HealthBoard,
    pub runs: Runs,
    pub minutes: RecentTraffic,
    pub repeats: IdempotencyKeys,
    pub streams: Arc<Semaphore>,
    /// When this process began to count, in milliseconds since 1970: known by it from the ones before and after.
    pub began_ms: u64,
}

/// What `serve` hands over.
#[derive(Debug)]
pub struct ApiParts {
    pub sidecar: SidecarHandle,
    pub counters: Arc<Counters>,
    pub published: SnapshotReader,
    pub shelf: NamedSnapshots,
    pub routing: PathBuf,
    pub changes: Changes,
    pub board: HealthBoard,
    pub runs: Runs,
}

impl Api {
    pub fn new(parts: ApiParts) -> Api {
        let ApiParts { sidecar, counters, published, shelf, routing, changes, board, runs } = parts;
        Api {
            sidecar,
            minutes: RecentTraffic::new(counters.clone()),
            counters,
            published,
            shelf,
            routing,
            changes,
            board,
            runs,
            repeats: IdempotencyKeys::default(),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            began_ms: clock::wall_millis(),
        }
    }

    /// The names of the services in force.
    pub fn services(&self) -> Vec<String> {
        self.published.load().services.iter().map(|serving| serving.name.clone()).collect()
    }

    /// The service that is meant.
    ///
    /// # Errors
    /// There is no such service, or several and none is named.
    pub fn service(&self, named: Option<&str>) -> Result<String, ApiError> {
        let names = self.services();
        match (named, names.as_slice()) {
            (Some(named), names) => {
                let found = names.iter().find(|name| *name == named).cloned();
                found.ok_or_else(|| no_such_service(named, names))
            }
            (None, [only]) => Ok(only.clone()),
            (None, []) => Err(ApiError::missing("no_such_service", "the routing file names no service", "")),
            (None, several) => {
                let hint = format!("one of {}", several.join(", "));
                Err(ApiError::bad("service_missing", "there are several services: `service` says which", hint))
            }
        }
    }

    /// What the sidecar shows, without a wait on the runtime's thread.
    ///
    /// # Errors
    /// The house is closing.
    pub async fn show(&self) -> Result<SidecarStatus, ApiError> {
        let sidecar = self.sidecar.clone();
        blocking(move || sidecar.status()).await?.map_err(ApiError::from)
    }

    /// How these services stand: the named one, or all.
    ///
    /// # Errors
    /// There is no such service.
    pub async fn views(&self, named: Option<&str>) -> Result<(u64, Vec<ServiceView>), ApiError> {
        let SidecarStatus { generation, services, .. } = self.show().await?;
        let Some(named) = named else { return Ok((generation, services)) };
        let names: Vec<String> = services.iter().map(|view| view.service.clone()).collect();
        let found = services.into_iter().find(|view| view.service == named);
        Ok((generation, vec![found.ok_or_else(|| no_such_service(named, &names))?]))
    }

    /// Reads the journal.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn journal<T: Send + 'static>(
        &self,
        read: impl FnOnce(&JournalReader) -> Result<T, sidecar::journal::Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        let shelf = self.shelf.clone();
        let read = blocking(move || shelf.reader().and_then(|reader| read(&reader))).await?;
        read.map_err(|error| {
            tracing::warn!(%error, "the admin cannot read the journal");
            let message = format!("the journal cannot be read: {error}");
            ApiError::of(
                StatusCode::SERVICE_UNAVAILABLE,
                UNREADABLE,
                message,
                "the state in force is not touched by it",
            )
        })
    }
}

fn no_such_service(named: &str, names: &[String]) -> ApiError {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = config::read::did_you_mean(named, &known);
    ApiError::missing("no_such_service", format!("there is no service `{}`", input::brief(named)), hint)
}

/// Does what may take a moment where nobody else waits for it.
///
/// # Errors
/// It panicked, or the house is closing.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::from(SidecarStopped))
}

/// Who asks for a change, and under which conditions.
#[derive(Clone, Debug)]
pub struct Asking {
    pub who: String,
    pub from: Option<String>,
    pub key: Option<String>,
    /// `If-Match`.
    pub generation: Option<u64>,
}

impl Asking {
    /// # Errors
    /// A header makes no sense, or the caller may not.
    pub fn new(caller: &Caller, needs: Verb, headers: &HeaderMap) -> Result<Asking, ApiError> {
        caller.may(needs)?;
        let (key, generation) = (input::key(headers)?, input::if_match(headers)?);
        Ok(Asking { who: caller.name.clone(), from: Some(caller.from.clone()), key, generation })
    }
}

/// Carries something out once for an Idempotency-Key. `what`: path, method and body, to tell another request under the
/// same key. `earlier`: what the journal has of a time before this process. The work goes on if the caller hangs up.
///
/// # Errors
/// Those of the work, and those of the key.
pub async fn once<W, E>(
    api: &Api,
    asking: &Asking,
    what: (&str, &Value),
    earlier: E,
    work: W,
) -> Result<Response, ApiError>
where
    W: Future<Output = Result<StoredReply, ApiError>> + Send + 'static,
    E: Future<Output = Result<Option<StoredReply>, ApiError>>,
{
    let mut ticket = None;
    if let Some(key) = &asking.key {
        match api.repeats.begin((asking.who.clone(), key.clone()), print(what), clock::now()) {
            KeyState::Again(reply) => return Ok(answer(reply, true)),
            KeyState::First(first) => ticket = Some(first),
            KeyState::Other => return Err(other_request()),
            KeyState::UnderWay => {
                let hint = "wait for its answer, or ask again in a moment";
                return Err(ApiError::conflict(
                    "under_way_already",
                    "the same Idempotency-Key is being worked on",
                    hint,
                ));
            }
            KeyState::Full => {
                let message = "too many requests with an Idempotency-Key are under way";
                return Err(ApiError::of(StatusCode::SERVICE_UNAVAILABLE, "busy", message, "ask again in a moment"));
            }
        }
        let earlier = match earlier.await {
            // A disk that cannot be read keeps nobody from taking a service back.
            Err(failure) if failure.code == UNREADABLE => None,
            other => other?,
        };
        if let Some(reply) = earlier {
            if let Some(ticket) = ticket {
                ticket.done(&reply);
            }
            return Ok(answer(reply, true));
        }
    }
    let task = tokio::spawn(async move {
        let reply = work.await?;
        if let Some(ticket) = ticket {
            ticket.done(&reply);
        }
        Ok(reply)
    });
    let reply: Result<StoredReply, ApiError> = task.await.map_err(|_| ApiError::from(SidecarStopped))?;
    Ok(answer(reply?, false))
}

/// The key was used for something else.
pub fn other_request() -> ApiError {
    let message = "this Idempotency-Key was used for another request";
    ApiError::senseless("idempotency_key_reused", message, "every request has a key of its own")
}

fn print((what, body): (&str, &Value)) -> RequestDigest {
    let mut hash = Sha256::new();
    hash.update(what.as_bytes());
    hash.update([0]);
    hash.update(body.to_string().as_bytes());
    hash.finalize().into()
}

fn answer(reply: StoredReply, replayed: bool) -> Response {
    let mut response = text(reply.body, reply.generation);
    if replayed {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// An answer in JSON; `generation` is its ETag.
pub fn json(body: &impl Serialize, generation: Option<u64>) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => text(body, generation),
        Err(error) => ApiError::internal(error.to_string()).into_response(),
    }
}

fn text(body: String, generation: Option<u64>) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(tag) = generation.and_then(|generation| HeaderValue::from_str(&etag(generation)).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

pub fn etag(generation: u64) -> String {
    format!("\"{generation}\"")
}

/// What a body becomes when it is carried out.
pub fn reply(body: &impl Serialize, generation: Option<u64>) -> Result<StoredReply, ApiError> {
    let body = serde_json::to_string(body).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(StoredReply { body, generation })
}
