//! Notices: what the sidecar announces, sent to people and programs elsewhere.
//!
//! One task listens to announcements and queues for each sink those that it wants. Each sink has a bounded queue and a
//! task of its own, so that a sink that hangs delays neither the others nor a rollback. A full queue loses its oldest
//! notice and a slow listener its oldest announcement; both are counted.
//!
//! - `notice`: a notice, with its facts; `evidence`: what the guard saw, in words.
//! - `queue` and `sink`: what waits for one sink, and the task that sends it and retries.
//! - `webhook`, `slack`, `pagerduty`, `email`: how each kind of sink is told, by `http` or SMTP.
//! - `incidents`: which PagerDuty incidents are open.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod delivery;
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

use crate::delivery::QueuedNotice;
use crate::incidents::OpenIncidents;
use crate::notice::Notice;
use crate::queue::NoticeQueue;
use config::ServiceConfig;
use config::notify::{NotifyChannel, Sink};
use judgement::rollout::ChangeKind;
use memory::counters::Counters;
use sidecar::RecordedAnnouncement;

pub use delivery::Delivery;
pub use http::{NoticeClient, harmless, is_temporary};
pub use notice::plain_text;
pub use webhook::signed;

/// How long waiting notices may take at shutdown: a restart must not wait for a sink that is gone.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The running tasks.
#[derive(Debug)]
pub struct Notifier {
    closing: watch::Sender<bool>,
    ended: Receiver<()>,
}

/// A sink as the listener sees it.
struct SinkListener {
    sink: Sink,
    queue: Arc<NoticeQueue>,
    /// Only of a PagerDuty sink.
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
        let mut listeners = Vec::new();
        for sink in sinks {
            let queue = Arc::new(NoticeQueue::new(counters.notices(&sink.name)));
            let incidents = matches!(sink.door, NotifyChannel::PagerDuty { .. }).then(OpenIncidents::default);
            tasks.spawn_on(sink::SinkWorker::new(sink, queue.clone(), close.clone()).run(), runtime);
            listeners.push(SinkListener { sink: sink.clone(), queue, incidents });
        }
        runtime.spawn(async move {
            listen(news, &mut listeners, close).await;
            listeners.iter().for_each(|listener| listener.queue.close());
            if tokio::time::timeout(SHUTDOWN_TIMEOUT, async { while tasks.join_next().await.is_some() {} })
                .await
                .is_err()
            {
                tasks.abort_all();
                listeners.iter().for_each(|listener| listener.queue.give_up());
            }
            let _ = ends.try_send(());
        });
        Some(Notifier { closing, ended })
    }

    /// Sends what is waiting, for a short time, and ends the tasks.
    pub fn finish(self) {
        self.closing.send_replace(true);
        // A little longer than the tasks have, which are ended first.
        let _ = self.ended.recv_timeout(SHUTDOWN_TIMEOUT + Duration::from_millis(500));
    }
}

/// Queues announcements for the sinks until Cutover shuts down.
async fn listen(
    mut news: broadcast::Receiver<RecordedAnnouncement>,
    listeners: &mut [SinkListener],
    mut close: watch::Receiver<bool>,
) {
    loop {
        let heard = tokio::select! {
            // What was already announced is queued first.
            biased;
            heard = news.recv() => heard,
            _ = close.wait_for(|closing| *closing) => return,
        };
        match heard {
            Ok(news) => {
                let notice = Arc::new(Notice::of(&news));
                listeners.iter_mut().for_each(|listener| listener.hear(&news, &notice));
            }
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                tracing::warn!(lost, "announcements came faster than they could be sent; some notices were lost");
                listeners.iter().for_each(|listener| listener.queue.lost(lost));
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
            // What ends an incident begins none.
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
        // That alerting was switched off is the last notice.
        let is_silent = after.is_some_and(|after| after.silent) && announcement.kind != ChangeKind::Alerting;
        let kinds = self.sink.kinds.as_ref();
        !is_silent
            && announcement.level >= self.sink.level
            && (self.incidents.is_none() || OpenIncidents::takes(announcement))
            && kinds.is_none_or(|kinds| kinds.contains(&announcement.kind))
    }
}

/// Warns of sinks that name an unknown service: it may come with a reload, or be misspelt.
pub fn warn_of_unknown_services(sinks: &[Sink], known: &[ServiceConfig]) {
    for sink in sinks {
        let named = sink.services.iter().flatten();
        for service in named.filter(|name| known.iter().all(|known| known.traffic.name != **name)) {
            tracing::warn!(sink = sink.name, service, "notification settings name an unknown service");
        }
    }
}

/// Sends a test notice to each sink once, and returns the results.
pub async fn test(sinks: &[Sink]) -> Vec<(String, Result<(), String>)> {
    let notice = Arc::new(Notice::test());
    let mut tasks = JoinSet::new();
    for (place, sink) in sinks.iter().enumerate() {
        let (channel, notice) = (sink::SinkChannel::of(sink), notice.clone());
        let ends = matches!(sink.door, NotifyChannel::PagerDuty { .. }).then_some(notice::TEST);
        tasks.spawn(async move {
            let mut done = channel.once(&QueuedNotice { notice: notice.clone(), ends: None }).await;
            // A test leaves no incident behind.
            if done.is_ok() && ends.is_some() {
                done = channel.once(&QueuedNotice { notice, ends }).await;
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
