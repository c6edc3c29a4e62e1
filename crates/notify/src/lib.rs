//! Notices: what the sidecar announces, told to people and programs elsewhere.
//!
//! One task listens, and gives each sink what it wants to hear; each sink has a bounded queue and a task of its own, so
//! that one that hangs holds up nobody: not another sink, and never a rollback. A queue that is full loses its oldest
//! notice, a listener that is too slow the oldest news; both are counted.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod email;
mod evidence;
mod http;
mod incidents;
mod notice;
mod pagerduty;
mod queue;
mod sink;
mod slack;
mod webhook;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use crate::incidents::OpenIncidents;
use crate::notice::Notice;
use crate::queue::NoticeQueue;
use config::ServiceConfig;
use config::notify::{NotifyChannel, Sink};
use judgement::rollout::ChangeKind;
use memory::counters::Counters;
use sidecar::RecordedAnnouncement;

pub use http::NoticeClient;
pub use sink::Delivery;

/// What waits when the house closes has this long to go out: a restart must not wait for a sink that is gone.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is put into a queue.
#[derive(Clone, Debug)]
struct QueuedNotice {
    notice: Arc<Notice>,
    /// Of PagerDuty: not an incident, but the end of the service's incident of this kind.
    ends: Option<&'static str>,
}

/// The tasks that tell.
#[derive(Debug)]
pub struct Notifier {
    closing: watch::Sender<bool>,
    ended: Receiver<()>,
}

/// A sink as the listener sees it.
struct SinkListener {
    sink: Sink,
    queue: Arc<NoticeQueue>,
    /// Of PagerDuty.
    incidents: Option<OpenIncidents>,
}

impl Notifier {
    /// Starts the tasks; without sinks there are none.
    pub fn start(
        sinks: &[Sink],
        news: broadcast::Receiver<RecordedAnnouncement>,
        counters: &Counters,
        runtime: &Handle,
    ) -> Option<Notifier> {
        if sinks.is_empty() {
            return None;
        }
        let (closing, close) = watch::channel(false);
        let (ends, ended) = sync_channel(1);
        let mut tasks = JoinSet::new();
        let mut ears = Vec::new();
        for sink in sinks {
            let queue = Arc::new(NoticeQueue::new(counters.notices(&sink.name)));
            let incidents = matches!(sink.door, NotifyChannel::PagerDuty { .. }).then(OpenIncidents::default);
            tasks.spawn_on(sink::SinkWorker::new(sink, queue.clone(), close.clone()).run(), runtime);
            ears.push(SinkListener { sink: sink.clone(), queue, incidents });
        }
        runtime.spawn(async move {
            listen(news, &mut ears, close).await;
            ears.iter().for_each(|ear| ear.queue.close());
            if tokio::time::timeout(LAST_WORDS, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
                tasks.abort_all();
                ears.iter().for_each(|ear| ear.queue.give_up());
            }
            let _ = ends.try_send(());
        });
        Some(Notifier { closing, ended })
    }

    /// Lets what waits go out, for a short time.
    pub fn finish(self) {
        self.closing.send_replace(true);
        // A little longer than the tasks have: they are ended first.
        let _ = self.ended.recv_timeout(LAST_WORDS + Duration::from_millis(500));
    }
}

/// Hands the news on until the house closes.
async fn listen(
    mut news: broadcast::Receiver<RecordedAnnouncement>,
    ears: &mut [SinkListener],
    mut close: watch::Receiver<bool>,
) {
    loop {
        let heard = tokio::select! {
            // What was announced is handed on first.
            biased;
            heard = news.recv() => heard,
            _ = close.wait_for(|closing| *closing) => return,
        };
        match heard {
            Ok(news) => {
                let notice = Arc::new(Notice::of(&news));
                ears.iter_mut().for_each(|ear| ear.hear(&news, &notice));
            }
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                tracing::warn!(lost, "announcements came faster than they could be sent; some notices are lost");
                ears.iter().for_each(|ear| ear.queue.lost(lost));
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

impl SinkListener {
    fn hear(&mut self, news: &RecordedAnnouncement, notice: &Arc<Notice>) {
        if self.sink.services.as_ref().is_some_and(|services| !services.contains(&news.announcement.service)) {
            return;
        }
        let ended = self.incidents.as_mut().and_then(|incidents| incidents.ended_by(&news.announcement));
        match ended {
            // What ends an incident is none.
            Some(kinds) => {
                for ends in kinds {
                    self.queue.push(QueuedNotice { notice: notice.clone(), ends: Some(ends) });
                }
            }
            None if self.wants(news) => {
                if let Some(incidents) = &mut self.incidents {
                    incidents.begin(&news.announcement);
                }
                self.queue.push(QueuedNotice { notice: notice.clone(), ends: None });
            }
            None => {}
        }
    }

    fn wants(&self, news: &RecordedAnnouncement) -> bool {
        let announcement = &news.announcement;
        let after = news.entry.as_ref().and_then(|entry| entry.change.after.as_ref());
        // That it was silenced is the last thing that is told.
        let is_silent = after.is_some_and(|after| after.silent) && announcement.kind != ChangeKind::Alerting;
        let kinds = self.sink.kinds.as_ref();
        !is_silent
            && announcement.level >= self.sink.level
            && kinds.is_none_or(|kinds| kinds.contains(&announcement.kind))
    }
}

/// Warns of sinks that wait for a service that is not there: it may come with a reload, or be misspelt.
pub fn warn_of_strangers(sinks: &[Sink], known: &[ServiceConfig]) {
    for sink in sinks {
        let named = sink.services.iter().flatten();
        for service in named.filter(|name| known.iter().all(|known| known.traffic.name != **name)) {
            tracing::warn!(sink = sink.name, service, "notification settings name an unknown service");
        }
    }
}

/// Sends a test message to each sink, once, and tells what came of it.
pub async fn test(sinks: &[Sink]) -> Vec<(String, Result<(), String>)> {
    let notice = Arc::new(Notice::test());
    let mut tasks = JoinSet::new();
    for (place, sink) in sinks.iter().enumerate() {
        let (door, notice) = (sink::SinkChannel::of(sink), notice.clone());
        let ends = matches!(sink.door, NotifyChannel::PagerDuty { .. }).then_some(notice::TEST);
        tasks.spawn(async move {
            let mut done = door.once(&QueuedNotice { notice: notice.clone(), ends: None }).await;
            // A test leaves no incident behind.
            if done.is_ok() && ends.is_some() {
                done = door.once(&QueuedNotice { notice, ends }).await;
            }
            (place, done)
        });
    }
    let mut told: Vec<(usize, Result<(), String>)> = Vec::new();
    while let Some(done) = tasks.join_next().await {
        told.extend(done.ok());
    }
    told.sort_by_key(|(place, _)| *place);
    told.into_iter().filter_map(|(place, done)| Some((sinks.get(place)?.name.clone(), done))).collect()
}
