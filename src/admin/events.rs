//! `/api/admin/events`: what happens, as server-sent events, starting after the entry that the caller saw last. A caller
//! whose last entry is not known gets everything that there is, and is told so.
//!
//! A slow reader loses nothing: what the channel has dropped is replayed from the journal.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::admin::api::{Api, visible};
use crate::admin::caller::Caller;
use crate::admin::error::ApiError;
use crate::admin::input::{brief, query};
use crate::admin::verb::{EVENTS, Verb};
use memory::counters::is_raised;
use sidecar::RecordedAnnouncement;
use sidecar::journal::{JournalEntry, JournalQuery, MAX_PAGE};
use wire;

/// Proxies on the way close connections that are silent for a minute, often for half of one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often an idle stream checks whether Cutover is shutting down.
const LOOK: Duration = Duration::from_millis(500);
/// In seconds: a closed dashboard frees its place at once.
const RETRY_AFTER: &str = "5";
/// Entries that are replayed: a caller who missed more reads the history.
const MOST_MISSED: usize = MAX_PAGE;

pub fn routes() -> Router<Api> {
    Router::new().route(EVENTS, axum::routing::get(listen))
}

async fn listen(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(text): RawQuery,
) -> Result<Response, ApiError> {
    caller.may(Verb::Events)?;
    let query = query(text.as_deref(), &["service", "last_event_id"])?;
    let service = query.text("service").map(|named| api.service(Some(named))).transpose()?;
    let seen = match headers.get("last-event-id") {
        Some(typed) => Some(LastSeen::of(typed.to_str().unwrap_or("?"))),
        None => query.text("last_event_id").map(LastSeen::of),
    };
    let Ok(place) = Semaphore::try_acquire_owned(Arc::clone(&api.streams)) else {
        let message = "too many event streams are open";
        let failure =
            ApiError::of(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", message, "close one, or try again later");
        return Ok(([(header::RETRY_AFTER, RETRY_AFTER)], failure).into_response());
    };
    // First of all, so that nothing falls between what is replayed and what is new.
    let news = api.sidecar.listen();
    let last_entry = api.show().await?.last_entry;
    let runs = api.runs.listen();
    let mut stream =
        Stream { api, service, news, runs, last: last_entry, word: None, waiting: VecDeque::new(), _place: place };
    if let Some(seen) = seen {
        stream.resume(&seen, last_entry).await;
    }
    let events = unfold(stream, |mut stream| async move { stream.next().await.map(|event| (event, stream)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("")).into_response())
}

/// What a caller says that it saw last.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LastSeen {
    Entry(u64),
    /// Not a number: no entry of this journal.
    Unknown(String),
}

impl LastSeen {
    fn of(typed: &str) -> LastSeen {
        typed.parse().map_or_else(|_| LastSeen::Unknown(brief(typed)), LastSeen::Entry)
    }
}

struct Stream {
    api: Api,
    /// Only events of this service.
    service: Option<String>,
    news: Receiver<RecordedAnnouncement>,
    /// Progress of validation runs: what is lost is repeated by the next one.
    runs: Receiver<wire::ExecutionSummary>,
    /// The last entry that was sent, or skipped because it belongs to another service.
    last: u64,
    /// Said before everything else.
    word: Option<Event>,
    waiting: VecDeque<wire::JournalEvent>,
    /// Returned when the stream ends.
    _place: OwnedSemaphorePermit,
}

impl Stream {
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        loop {
            if let Some(word) = self.word.take() {
                return Some(Ok(word));
            }
            if let Some(news) = self.waiting.pop_front() {
                return Some(Ok(event(&news)));
            }
            let heard = tokio::select! {
                news = timeout(LOOK, self.news.recv()) => news,
                run = self.runs.recv() => match run {
                    Ok(run) if self.service.as_ref().is_none_or(|service| *service == run.service) => {
                        return Some(Ok(progress(&run)));
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return None,
                },
            };
            match heard {
                Err(_) if is_raised(&self.api.counters.process.draining) => return None,
                Err(_) => {}
                Ok(Ok(news)) => self.take(&news).await,
                // What was dropped is in the journal, or about to be.
                Ok(Err(RecvError::Lagged(_))) => {
                    let _ = self.catch_up(u64::MAX).await;
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }

    /// Replays what the caller has missed. If that is not all of it, or it names an entry that there is not, a word
    /// says so first: what it knows may be of another journal.
    async fn resume(&mut self, seen: &LastSeen, last_entry: u64) {
        let (from, known) = match seen {
            LastSeen::Entry(entry) if *entry <= last_entry => (*entry, Some(*entry)),
            _ => (0, None),
        };
        self.last = from;
        let first = self.catch_up(u64::MAX).await;
        let why = match known {
            None => "no such entry: every entry that there is follows",
            Some(seen) if first.is_some_and(|first| first > seen + 1) => {
                "entries are missing before the first that follows: read the history"
            }
            Some(_) => return,
        };
        let seen = match seen {
            LastSeen::Entry(entry) => entry.to_string(),
            LastSeen::Unknown(text) => text.clone(),
        };
        let data = serde_json::json!({ "last_event_id": seen, "message": why });
        self.word = Some(Event::default().event("reset").data(data.to_string()));
    }

    async fn take(&mut self, news: &RecordedAnnouncement) {
        let id = news.announcement.entry;
        if id <= self.last {
            return;
        }
        if id > self.last + 1 {
            let _ = self.catch_up(id).await;
        }
        if let Some(entry) = &news.entry {
            self.tell(entry);
        }
        self.last = self.last.max(id);
    }

    /// Replays what the journal has after the last entry and before `end`. Returns the first of it.
    async fn catch_up(&mut self, end: u64) -> Option<u64> {
        let missed =
            JournalQuery { after: Some(self.last), before: Some(end), limit: MOST_MISSED, ..JournalQuery::default() };
        let read = self.api.journal(move |reader| reader.page(&missed)).await;
        // The log has said why it cannot be read; whatever comes from here on is sent all the same.
        let page = read.ok()?;
        for entry in page.entries.iter().rev() {
            self.tell(entry);
            self.last = self.last.max(entry.change.id);
        }
        page.entries.last().map(|entry| entry.change.id)
    }

    fn tell(&mut self, entry: &JournalEntry) {
        if self.service.as_ref().is_none_or(|service| *service == entry.change.service) {
            self.waiting.push_back(wire::JournalEvent::of(entry));
        }
    }
}

fn event(news: &wire::JournalEvent) -> Event {
    let data = visible(news).unwrap_or_default();
    Event::default().id(news.id.to_string()).event(&news.kind).data(data)
}

/// The progress of a run. It has no id: a caller who reconnects fetches the run itself.
fn progress(run: &wire::ExecutionSummary) -> Event {
    Event::default().event("execution").data(visible(run).unwrap_or_default())
}
