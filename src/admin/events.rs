//! `/api/admin/events`: what happens, as server-sent events, starting after the entry that the caller saw last.
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

use crate::admin::api::Api;
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
        Some(typed) => {
            let text = typed.to_str().unwrap_or("");
            let wrong = || ApiError::bad("bad_last_event_id", format!("`{}` is not an entry number", brief(text)), "");
            Some(text.parse().map_err(|_| wrong())?)
        }
        None => query.number("last_event_id")?,
    };
    let Ok(place) = Semaphore::try_acquire_owned(Arc::clone(&api.streams)) else {
        let message = "too many event streams are open";
        let failure =
            ApiError::of(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", message, "close one, or try again later");
        return Ok(([(header::RETRY_AFTER, RETRY_AFTER)], failure).into_response());
    };
    // First of all, so that nothing falls between what is replayed and what is new.
    let news = api.sidecar.listen();
    let last = match seen {
        Some(seen) => seen,
        None => api.show().await?.last_entry,
    };
    let runs = api.runs.listen();
    let mut stream = Stream { api, service, news, runs, last, waiting: VecDeque::new(), _place: place };
    if seen.is_some() {
        stream.catch_up(u64::MAX).await;
    }
    let events = unfold(stream, |mut stream| async move { stream.next().await.map(|event| (event, stream)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("")).into_response())
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
    waiting: VecDeque<wire::JournalEvent>,
    /// Returned when the stream ends.
    _place: OwnedSemaphorePermit,
}

impl Stream {
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        loop {
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
                Ok(Err(RecvError::Lagged(_))) => self.catch_up(u64::MAX).await,
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }

    async fn take(&mut self, news: &RecordedAnnouncement) {
        let id = news.announcement.entry;
        if id <= self.last {
            return;
        }
        if id > self.last + 1 {
            self.catch_up(id).await;
        }
        if let Some(entry) = &news.entry {
            self.tell(entry);
        }
        self.last = self.last.max(id);
    }

    /// Replays what the journal has after the last entry and before `end`.
    async fn catch_up(&mut self, end: u64) {
        let missed =
            JournalQuery { after: Some(self.last), before: Some(end), limit: MOST_MISSED, ..JournalQuery::default() };
        let read = self.api.journal(move |reader| reader.page(&missed)).await;
        // The log has said why it cannot be read; whatever comes from here on is sent all the same.
        let Ok(page) = read else { return };
        for entry in page.entries.iter().rev() {
            self.tell(entry);
            self.last = self.last.max(entry.change.id);
        }
    }

    fn tell(&mut self, entry: &JournalEntry) {
        if self.service.as_ref().is_none_or(|service| *service == entry.change.service) {
            self.waiting.push_back(wire::JournalEvent::of(entry));
        }
    }
}

fn event(news: &wire::JournalEvent) -> Event {
    let data = serde_json::to_string(news).unwrap_or_default();
    Event::default().id(news.id.to_string()).event(&news.kind).data(data)
}

/// The progress of a run. It has no id: a caller who reconnects fetches the run itself.
fn progress(run: &wire::ExecutionSummary) -> Event {
    Event::default().event("execution").data(serde_json::to_string(run).unwrap_or_default())
}
