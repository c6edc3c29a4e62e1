//! The task of one sink: it retries with growing pauses, and then gives up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::delivery::{Delivery, QueuedNotice};
use crate::email::Mailer;
use crate::http::NoticeClient;
use crate::queue::NoticeQueue;
use crate::{pagerduty, slack, webhook};
use config::notify::{NotifyChannel, Sink};
use judgement::time::Millis;
use memory::clock;

/// Attempts at one notice. With the pauses below the last one is some five minutes after the first.
const MAX_ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Millis = Millis::seconds(1);
const GROWTH: u64 = 3;
/// The longest pause, whatever the receiver asks for: newer notices wait behind this one.
const LONGEST_PAUSE: Millis = Millis::seconds(75);
/// No attempt begins later than this after the first.
const RETRY_WINDOW: Millis = Millis::seconds(300);
/// Pauses vary by this much, in percent, so that many proxies do not all retry at once.
const JITTER: u64 = 20;

/// A sink's channel with the client that it needs.
#[derive(Debug)]
pub struct SinkChannel {
    channel: NotifyChannel,
    client: NoticeClient,
    mailer: Option<Mailer>,
}

impl SinkChannel {
    pub fn of(sink: &Sink) -> SinkChannel {
        let mailer = match &sink.door {
            NotifyChannel::Email(email) => Some(Mailer::new(email)),
            _ => None,
        };
        SinkChannel { channel: sink.door.clone(), client: NoticeClient::new(&sink.proxy), mailer }
    }

    async fn deliver(&self, message: &QueuedNotice) -> Delivery {
        match (&self.channel, &self.mailer) {
            (NotifyChannel::Webhook { url, keys }, _) => webhook::send(&self.client, url, keys, message).await,
            (NotifyChannel::Slack { url }, _) => slack::send(&self.client, url, message).await,
            (NotifyChannel::PagerDuty { url, routing_key }, _) => {
                pagerduty::send(&self.client, url, routing_key, message).await
            }
            (NotifyChannel::Email(_), Some(mailer)) => mailer.send(&message.notice).await,
            (NotifyChannel::Email(_), None) => Delivery::Refused("mail is not set up".to_owned()),
        }
    }

    /// Makes one attempt.
    pub async fn once(&self, message: &QueuedNotice) -> Result<(), String> {
        match self.deliver(message).await {
            Delivery::Taken => Ok(()),
            Delivery::Again { why, .. } | Delivery::Refused(why) => Err(why),
        }
    }
}

/// The task of one sink.
#[derive(Debug)]
pub struct SinkWorker {
    name: String,
    channel: SinkChannel,
    queue: Arc<NoticeQueue>,
    close: watch::Receiver<bool>,
}

impl SinkWorker {
    pub fn new(sink: &Sink, queue: Arc<NoticeQueue>, close: watch::Receiver<bool>) -> SinkWorker {
        SinkWorker { name: sink.name.clone(), channel: SinkChannel::of(sink), queue, close }
    }

    /// Sends what is queued, one after the other, until the queue is closed and empty.
    pub async fn run(mut self) {
        while let Some(message) = self.queue.pop().await {
            let sent = self.send(&message).await;
            if let Err(why) = &sent {
                let (sink, kind, service) = (&self.name, message.notice.kind, &message.notice.service);
                tracing::warn!(sink, kind, service, why, "cannot send a notice");
            }
            self.queue.done(sent.is_ok());
        }
    }

    async fn send(&mut self, message: &QueuedNotice) -> Result<(), String> {
        let began = clock::now();
        let mut attempts = 0;
        loop {
            let last = *self.close.borrow() || self.close.has_changed().is_err();
            let (why, pause) = match self.channel.deliver(message).await {
                Delivery::Taken => return Ok(()),
                Delivery::Refused(why) => return Err(why),
                Delivery::Again { why, after } => (why, pause(attempts, after, fastrand::u64(0..=2 * JITTER))),
            };
            attempts += 1;
            if last || attempts >= MAX_ATTEMPTS || clock::now().since(began).plus(pause) > RETRY_WINDOW {
                return Err(format!("{why} (gave up after {attempts} attempts)"));
            }
            tokio::select! {
                () = sleep(Duration::from_millis(pause.0)) => {}
                // At shutdown there is one more attempt, at once.
                _ = self.close.wait_for(|closing| *closing) => {}
            }
        }
    }
}

/// The pause before the next attempt, after `failed` ones. `draw`: 0 to twice the jitter.
fn pause(failed: u32, asked: Option<Millis>, draw: u64) -> Millis {
    let grown = FIRST_PAUSE.0.saturating_mul(GROWTH.saturating_pow(failed)).min(LONGEST_PAUSE.0);
    let own = Millis(grown * (100 - JITTER + draw) / 100);
    asked.map_or(own, |asked| asked.max(own).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_are_spread_and_end_within_patience() {
        assert_eq!([0, 1, 2, 3, 4].map(|failed| pause(failed, None, JITTER).0), [1000, 3000, 9000, 27_000, 75_000]);
        assert_eq!((pause(0, None, 0).0, pause(0, None, 2 * JITTER).0), (800, 1200));
        let all: u64 = (0..MAX_ATTEMPTS - 1).map(|failed| pause(failed, None, JITTER).0).sum();
        assert!((200_000..RETRY_WINDOW.0).contains(&all), "{all}");
    }

    #[test]
    fn a_receiver_that_asks_for_time_gets_it_within_a_limit() {
        assert_eq!(pause(0, Some(Millis::seconds(20)), JITTER), Millis::seconds(20));
        assert_eq!(pause(0, Some(Millis::seconds(86_400)), JITTER), LONGEST_PAUSE);
        assert_eq!(pause(2, Some(Millis::ZERO), JITTER), Millis::seconds(9), "never sooner than without asking");
    }
}
