//! What the API's handlers share, and the single way in which every change is carried out.

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
use crate::admin::hourly_traffic::HourlyTraffic;
use crate::admin::idempotency::{IdempotencyKeys, KeyState, RequestDigest, StoredReply};
use crate::admin::input;
use crate::admin::recent_traffic::RecentTraffic;
use crate::admin::verb::Verb;
use crate::mirror::MirrorBoard;
use crate::runs::Runs;
use health::HealthBoard;
use judgement::printable::visible_json;
use judgement::rollout::Requester;
use judgement::rollout::view::ServiceView;
use judgement::time::Millis;
use memory::clock;
use memory::counters::Counters;
use memory::snapshot::SnapshotReader;
use sidecar::journal::{JournalReader, NamedSnapshots};
use sidecar::{SidecarHandle, SidecarStatus, SidecarStopped};

/// The most event streams at once. The listener accepts 64 connections from one address, and some must be left for
/// commands.
const MOST_STREAMS: usize = 48;

const UNREADABLE: &str = "journal_unreadable";

#[derive(Clone, Debug)]
pub struct Api {
    pub sidecar: SidecarHandle,
    pub counters: Arc<Counters>,
    pub published: SnapshotReader,
    pub snapshots: NamedSnapshots,
    /// The routing file.
    pub routing: PathBuf,
    pub changes: Changes,
    pub board: HealthBoard,
    pub runs: Runs,
    /// What copies of requests have shown.
    pub mirror: MirrorBoard,
    /// How long snapshots are kept.
    pub keep_snapshots: Millis,
    pub recent_traffic: RecentTraffic,
    pub hourly_traffic: HourlyTraffic,
    pub keys: IdempotencyKeys,
    pub streams: Arc<Semaphore>,
    /// When this process started counting, in milliseconds since 1970. It distinguishes this process from earlier and
    /// later ones.
    pub began_ms: u64,
}

/// The parts of [`Api`].
#[derive(Debug)]
pub struct ApiParts {
    pub sidecar: SidecarHandle,
    pub counters: Arc<Counters>,
    pub published: SnapshotReader,
    pub snapshots: NamedSnapshots,
    pub routing: PathBuf,
    pub changes: Changes,
    pub board: HealthBoard,
    pub runs: Runs,
    pub mirror: MirrorBoard,
    pub keep_snapshots: Millis,
}

impl Api {
    /// Keeps a record of the traffic from now on.
    pub fn keep(&self, runtime: &tokio::runtime::Runtime) {
        runtime.spawn(self.recent_traffic.clone().keep());
        runtime.spawn(self.hourly_traffic.clone().keep());
    }

    pub fn new(parts: ApiParts) -> Api {
        let ApiParts { sidecar, counters, published, snapshots, routing, changes, board, runs, mirror, keep_snapshots } =
            parts;
        Api {
            sidecar,
            recent_traffic: RecentTraffic::new(counters.clone()),
            hourly_traffic: HourlyTraffic::new(counters.clone()),
            counters,
            published,
            snapshots,
            routing,
            changes,
            board,
            runs,
            mirror,
            keep_snapshots,
            keys: IdempotencyKeys::default(),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            began_ms: clock::wall_millis(),
        }
    }

    /// The generation in force.
    pub fn generation(&self) -> u64 {
        self.published.load().generation
    }

    /// The names of the services in the routing table.
    pub fn services(&self) -> Vec<String> {
        self.published.load().services.iter().map(|serving| serving.name.clone()).collect()
    }

    /// The service that a request is about.
    ///
    /// # Errors
    /// There is no such service, or there are several and none is named.
    pub fn service(&self, named: Option<&str>) -> Result<String, ApiError> {
        let names = self.services();
        match (named, names.as_slice()) {
            (Some(named), names) => {
                let found = names.iter().find(|name| *name == named).cloned();
                found.ok_or_else(|| no_such_service(named, names))
            }
            (None, [only]) => Ok(only.clone()),
            (None, []) => Err(ApiError::missing("no_such_service", "the routing file has no services", "")),
            (None, several) => {
                let hint = format!("one of {}; on the command line, --service", several.join(", "));
                Err(ApiError::bad("service_missing", "there are several services: set `service`", hint))
            }
        }
    }

    /// The sidecar's current status, without blocking a thread of the runtime.
    ///
    /// # Errors
    /// Cutover is shutting down.
    pub async fn show(&self) -> Result<SidecarStatus, ApiError> {
        let sidecar = self.sidecar.clone();
        blocking(move || sidecar.status()).await?.map_err(ApiError::from)
    }

    /// The state of the named service, or of all.
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
        let snapshots = self.snapshots.clone();
        let read = blocking(move || snapshots.reader().and_then(|reader| read(&reader))).await?;
        read.map_err(|error| {
            tracing::warn!(%error, "cannot read the journal for the admin API");
            let message = format!("cannot read the journal: {error}");
            ApiError::of(StatusCode::SERVICE_UNAVAILABLE, UNREADABLE, message, "routing is not affected")
        })
    }
}

fn no_such_service(named: &str, names: &[String]) -> ApiError {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = config::read::did_you_mean(named, &known);
    ApiError::missing("no_such_service", format!("no service named `{}`", input::brief(named)), hint)
}

/// Runs blocking work on its own thread.
///
/// # Errors
/// It panicked, or Cutover is shutting down.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::from(SidecarStopped))
}

/// A call that changes something: what is requested, by whom, and how a repetition is recognised.
#[derive(Clone, Debug)]
pub struct Call {
    pub verb: Verb,
    pub by: Requester,
    digest: RequestDigest,
}

impl Call {
    /// `now`: the generation in force. `body`: what was sent, to detect a different request under the same
    /// Idempotency-Key.
    ///
    /// # Errors
    /// A header is invalid, or the caller lacks the role.
    pub fn new(caller: &Caller, verb: Verb, (headers, now): (&HeaderMap, u64), body: &Value) -> Result<Call, ApiError> {
        caller.may(verb)?;
        let by = Requester {
            who: caller.name.clone(),
            from: Some(caller.from.clone()),
            key: input::key(headers)?,
            generation: input::if_match(headers, now)?,
            why: String::new(),
        };
        Ok(Call { verb, by, digest: digest(verb, body) })
    }

    /// Adds the call's reason.
    #[must_use]
    pub fn because(mut self, why: String) -> Call {
        self.by.why = why;
        self
    }

    /// What the verb is called in responses.
    pub fn action(&self) -> String {
        self.verb.info().name.to_owned()
    }
}

/// Carries a call out, once per Idempotency-Key. `earlier`: what the journal says about the time before this process.
/// The work continues if the caller hangs up.
///
/// # Errors
/// Those of the work, and those of the key.
pub async fn once<W, E>(api: &Api, call: &Call, earlier: E, work: W) -> Result<Response, ApiError>
where
    W: Future<Output = Result<StoredReply, ApiError>> + Send + 'static,
    E: Future<Output = Result<Option<StoredReply>, ApiError>>,
{
    let mut pending = None;
    if let Some(key) = &call.by.key {
        match api.keys.begin((call.by.who.clone(), key.clone()), call.digest, clock::now()) {
            KeyState::Again(reply) => return Ok(answer(reply, true)),
            KeyState::First(first) => pending = Some(first),
            KeyState::Other => return Err(other_request()),
            KeyState::UnderWay => {
                let message = "a request with this Idempotency-Key is still in progress";
                return Err(ApiError::conflict("under_way_already", message, "wait for its response, then try again"));
            }
            KeyState::Full => {
                let message = "too many requests with an Idempotency-Key are in progress";
                return Err(ApiError::of(StatusCode::SERVICE_UNAVAILABLE, "busy", message, "try again in a moment"));
            }
        }
        let earlier = match earlier.await {
            // An unreadable journal must not keep anyone from rolling back.
            Err(error) if error.code == UNREADABLE => None,
            other => other?,
        };
        if let Some(reply) = earlier {
            if let Some(pending) = pending {
                pending.done(&reply);
            }
            return Ok(answer(reply, true));
        }
    }
    let task = tokio::spawn(async move {
        let reply = work.await?;
        if let Some(pending) = pending {
            pending.done(&reply);
        }
        Ok(reply)
    });
    let reply: Result<StoredReply, ApiError> = task.await.map_err(|_| ApiError::from(SidecarStopped))?;
    Ok(answer(reply?, false))
}

/// The key was used for a different request.
pub fn other_request() -> ApiError {
    let message = "this Idempotency-Key was already used for a different request";
    ApiError::senseless("idempotency_key_reused", message, "use a new key for every request")
}

fn digest(verb: Verb, body: &Value) -> RequestDigest {
    let info = verb.info();
    let mut hash = Sha256::new();
    hash.update(format!("{} {} {}\n{body}", info.method, info.path, info.name));
    hash.finalize().into()
}

fn answer(reply: StoredReply, replayed: bool) -> Response {
    let mut response = text(reply.body, reply.generation);
    if replayed {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// JSON in which what a terminal would obey is escaped: `curl` prints it as it comes.
pub fn visible(body: &impl Serialize) -> serde_json::Result<String> {
    Ok(visible_json(&serde_json::to_string(body)?).into_owned())
}

/// A JSON response; `generation` is its ETag.
pub fn json(body: &impl Serialize, generation: Option<u64>) -> Response {
    match visible(body) {
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

/// The response of a call that was carried out.
pub fn reply(body: &impl Serialize, generation: Option<u64>) -> Result<StoredReply, ApiError> {
    let body = visible(body).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(StoredReply { body, generation })
}
