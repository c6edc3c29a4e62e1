//! The notices that wait for one sink. The queue is bounded and drops the oldest, because the newest matter most: the
//! oldest of the service that has the most, so that a storm in one service does not cost another its notices. Services
//! take turns, so that its notices are not behind the storm either.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::delivery::QueuedNotice;
use memory::counters::{NoticeCounters, count, set};

/// As many as the sidecar keeps for its listeners. That covers a storm in every service at once, and at a few kilobytes
/// each takes little memory.
pub const MAX_WAITING: usize = 256;

#[derive(Debug)]
pub struct NoticeQueue {
    inside: Mutex<Inside>,
    changed: Notify,
    notices: Arc<NoticeCounters>,
}

#[derive(Debug, Default)]
struct Inside {
    /// In the order in which they came.
    waiting: VecDeque<QueuedNotice>,
    /// The services that had their turn, the latest last.
    turns: VecDeque<String>,
    /// One was taken out and is being sent.
    sending: bool,
    closed: bool,
}

impl Inside {
    /// Takes out the oldest notice of the service whose last turn is the longest ago.
    fn take(&mut self) -> Option<QueuedNotice> {
        let turn = |message: &QueuedNotice| {
            self.turns.iter().position(|service| *service == message.notice.service).map_or(0, |turn| turn + 1)
        };
        // Of several with the same turn, the first is the oldest.
        let (at, _) = self.waiting.iter().enumerate().min_by_key(|(_, message)| turn(message))?;
        let message = self.waiting.remove(at)?;
        let service = &message.notice.service;
        self.turns.retain(|other| other != service);
        // Without others that wait there are no turns.
        self.turns.retain(|other| self.waiting.iter().any(|message| message.notice.service == *other));
        self.turns.push_back(service.clone());
        Some(message)
    }

    /// Drops the oldest notice of the service that has the most.
    fn drop_one(&mut self) {
        let count = |service: &str| self.waiting.iter().filter(|message| message.notice.service == service).count();
        let services: BTreeSet<&str> = self.waiting.iter().map(|message| message.notice.service.as_str()).collect();
        let Some(most) = services.into_iter().max_by_key(|service| count(service)).map(str::to_owned) else { return };
        if let Some(at) = self.waiting.iter().position(|message| message.notice.service == most) {
            self.waiting.remove(at);
        }
    }
}

impl NoticeQueue {
    pub fn new(notices: Arc<NoticeCounters>) -> NoticeQueue {
        NoticeQueue { inside: Mutex::default(), changed: Notify::new(), notices }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }

    fn show(&self, inside: &Inside) {
        set(&self.notices.waiting, inside.waiting.len() as u64 + u64::from(inside.sending));
    }

    /// Adds a notice; a full queue drops one.
    pub fn push(&self, message: QueuedNotice) {
        let mut inside = self.inside();
        if inside.waiting.len() >= MAX_WAITING {
            inside.drop_one();
            count(&self.notices.dropped);
        }
        inside.waiting.push_back(message);
        self.show(&inside);
        self.changed.notify_one();
    }

    /// Waits for the oldest notice. `None` once the queue is closed and empty.
    pub async fn pop(&self) -> Option<QueuedNotice> {
        loop {
            {
                let mut inside = self.inside();
                if let Some(message) = inside.take() {
                    inside.sending = true;
                    return Some(message);
                }
                if inside.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Counts the result of the notice that was taken out.
    pub fn done(&self, taken: bool) {
        count(if taken { &self.notices.sent } else { &self.notices.failed });
        let mut inside = self.inside();
        inside.sending = false;
        self.show(&inside);
    }

    /// Nothing more will be added.
    pub fn close(&self) {
        self.inside().closed = true;
        self.changed.notify_one();
    }

    /// Drops what is left: nothing takes notices out any more.
    pub fn give_up(&self) {
        let mut inside = self.inside();
        let left = inside.waiting.len() as u64 + u64::from(inside.sending);
        *inside = Inside { closed: true, ..Inside::default() };
        self.show(&inside);
        if left > 0 {
            tracing::warn!(left, "some notices were not sent before shutdown");
        }
        self.notices.drop_many(left);
    }

    /// News were lost before they could be put in.
    pub fn lost(&self, lost: u64) {
        self.notices.drop_many(lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Notice;
    use memory::counters::read;

    fn message(entry: u64) -> QueuedNotice {
        QueuedNotice { notice: Arc::new(Notice { entry: Some(entry), ..Notice::test() }), ends: None }
    }

    #[tokio::test]
    async fn a_full_queue_loses_the_oldest_and_counts_it() {
        let queue = NoticeQueue::new(Arc::default());
        (0..MAX_WAITING as u64 + 3).for_each(|entry| queue.push(message(entry)));
        assert_eq!((read(&queue.notices.dropped), read(&queue.notices.waiting)), (3, MAX_WAITING as u64));
        assert_eq!(queue.pop().await.unwrap().notice.entry, Some(3), "0, 1 and 2 were the oldest");
        assert_eq!(read(&queue.notices.waiting), MAX_WAITING as u64, "one of them is under way");
        queue.done(true);
        assert_eq!((read(&queue.notices.sent), read(&queue.notices.waiting)), (1, MAX_WAITING as u64 - 1));
    }

    fn of(service: &str, entry: u64) -> QueuedNotice {
        let service = service.to_owned();
        QueuedNotice { notice: Arc::new(Notice { entry: Some(entry), service, ..Notice::test() }), ends: None }
    }

    #[tokio::test]
    async fn a_storm_in_one_service_neither_drops_nor_delays_the_notices_of_another() {
        let queue = NoticeQueue::new(Arc::default());
        queue.push(of("quiet", 1));
        (0..MAX_WAITING as u64 + 50).for_each(|entry| queue.push(of("noisy", 1000 + entry)));
        queue.push(of("quiet", 2));
        assert_eq!(read(&queue.notices.dropped), 52);
        let mut order = Vec::new();
        for _ in 0..5 {
            order.push(queue.pop().await.unwrap().notice.entry.unwrap());
            queue.done(true);
        }
        assert_eq!(order, [1, 1052, 2, 1053, 1054], "the services take turns, each in its own order");
    }

    #[tokio::test]
    async fn a_closed_queue_is_emptied_first() {
        let queue = NoticeQueue::new(Arc::default());
        queue.push(message(1));
        queue.close();
        assert!(queue.pop().await.is_some());
        assert!(queue.pop().await.is_none());
    }
}
