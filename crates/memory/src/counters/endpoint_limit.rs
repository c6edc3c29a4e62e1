//! How many requests an endpoint takes at once, and how many may wait for it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use judgement::traffic::Environment;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// The limits of every environment that ever had one, by its service.
#[derive(Debug, Default)]
pub struct EndpointLimits(Mutex<BTreeMap<(String, Environment), Arc<EnvironmentLimits>>>);

#[derive(Debug, Default)]
struct EnvironmentLimits {
    queue: Arc<RequestQueue>,
    endpoints: Mutex<Vec<(SocketAddr, Weak<EndpointLimit>)>>,
}

/// The requests that wait for any endpoint of one environment.
#[derive(Debug, Default)]
struct RequestQueue {
    waiting: AtomicUsize,
    most: AtomicUsize,
}

/// The requests that an endpoint takes at once, over all workers. It outlives a reload for as long as anything uses it.
#[derive(Debug)]
pub struct EndpointLimit {
    free: Semaphore,
    size: Mutex<usize>,
    /// Slots that are taken, and will not be free again: the limit was lowered meanwhile.
    owed: AtomicUsize,
    /// Slots of requests that wait for their clients.
    with_clients: AtomicUsize,
    queue: Arc<RequestQueue>,
}

/// One of the requests at an endpoint, until this is dropped.
#[derive(Debug)]
pub struct EndpointSlot {
    limit: Arc<EndpointLimit>,
    waits_for_client: Cell<bool>,
}

/// One of the requests that wait, until this is dropped.
#[derive(Debug)]
pub struct QueuePlace(Arc<RequestQueue>);

impl EndpointLimits {
    /// The limit of an address, from now on of this size. `queue`: how many requests may wait for the environment.
    pub fn limit(
        &self,
        service: &str,
        side: Environment,
        address: SocketAddr,
        size: usize,
        queue: usize,
    ) -> Arc<EndpointLimit> {
        let environment = self.0.lock().entry((service.to_owned(), side)).or_default().clone();
        environment.queue.most.store(queue, Relaxed);
        let mut endpoints = environment.endpoints.lock();
        endpoints.retain(|(_, limit)| limit.strong_count() > 0);
        let known = endpoints.iter().find(|(known, _)| *known == address).and_then(|(_, limit)| limit.upgrade());
        if let Some(limit) = known {
            limit.resize(size);
            return limit;
        }
        let limit = Arc::new(EndpointLimit {
            free: Semaphore::new(size),
            size: Mutex::new(size),
            owed: AtomicUsize::new(0),
            with_clients: AtomicUsize::new(0),
            queue: environment.queue.clone(),
        });
        endpoints.push((address, Arc::downgrade(&limit)));
        limit
    }
}

impl EndpointLimit {
    pub fn has_room(&self) -> bool {
        self.free.available_permits() > 0
    }

    /// A slot, if one is free and nobody waits for it.
    pub fn try_take(self: &Arc<EndpointLimit>) -> Option<EndpointSlot> {
        let permit = self.free.try_acquire().ok()?;
        permit.forget();
        Some(EndpointSlot::new(self.clone()))
    }

    /// A slot, in the order of arrival.
    pub async fn take(self: Arc<EndpointLimit>) -> EndpointSlot {
        // It is never closed.
        if let Ok(permit) = self.free.acquire().await {
            permit.forget();
        }
        EndpointSlot::new(self)
    }

    /// Whether half of its slots or more are those of requests that wait for their clients.
    pub fn is_held_by_clients(&self) -> bool {
        self.with_clients.load(Relaxed) * 2 >= *self.size.lock()
    }

    /// A place in the environment's queue, unless that is full.
    pub fn queue(&self) -> Option<QueuePlace> {
        let one_more = |waiting| (waiting < self.queue.most.load(Relaxed)).then_some(waiting + 1);
        self.queue.waiting.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(QueuePlace(self.queue.clone()))
    }

    fn resize(&self, size: usize) {
        let mut now = self.size.lock();
        if size > *now {
            (*now..size).for_each(|_| self.give_back());
        } else {
            let more = *now - size;
            self.owed.fetch_add(more - self.free.forget_permits(more), Relaxed);
        }
        *now = size;
    }

    fn give_back(&self) {
        let is_owed =
            self.owed.load(Relaxed) > 0 && self.owed.fetch_update(Relaxed, Relaxed, |owed| owed.checked_sub(1)).is_ok();
        if !is_owed {
            self.free.add_permits(1);
        }
    }
}

impl EndpointSlot {
    fn new(limit: Arc<EndpointLimit>) -> EndpointSlot {
        EndpointSlot { limit, waits_for_client: Cell::new(false) }
    }

    /// Says whether the request waits for its client: the endpoint can do nothing about that.
    pub fn wait_for_client(&self, waits: bool) {
        if self.waits_for_client.replace(waits) != waits {
            let many = &self.limit.with_clients;
            if waits {
                many.fetch_add(1, Relaxed)
            } else {
                many.fetch_sub(1, Relaxed)
            };
        }
    }
}

impl Drop for EndpointSlot {
    fn drop(&mut self) {
        self.wait_for_client(false);
        self.limit.give_back();
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn limit(limits: &EndpointLimits, size: usize) -> Arc<EndpointLimit> {
        limits.limit("shop", Environment::Green, "127.0.0.1:80".parse().unwrap(), size, 1)
    }

    #[test]
    fn a_limit_outlives_a_reload_that_changes_it() {
        let limits = EndpointLimits::default();
        let first = limit(&limits, 3);
        let mut taken: Vec<EndpointSlot> = (0..3).filter_map(|_| first.try_take()).collect();
        assert!(taken.len() == 3 && !first.has_room());
        let lower = limit(&limits, 1);
        assert!(Arc::ptr_eq(&first, &lower));
        drop(taken.split_off(1));
        assert!(!lower.has_room(), "the one that is left is the one that may be");
        let higher = limit(&limits, 2);
        assert!(higher.try_take().is_some());
        drop(taken);
        assert_eq!(higher.free.available_permits(), 2);
        drop((first, lower, higher));
        assert_eq!(limit(&limits, 7).free.available_permits(), 7);
    }

    #[test]
    fn a_limit_that_is_raised_while_slots_are_owed_is_the_size_that_it_says() {
        let limits = EndpointLimits::default();
        let slots = limit(&limits, 3);
        let taken: Vec<EndpointSlot> = (0..3).filter_map(|_| slots.try_take()).collect();
        limit(&limits, 1);
        limit(&limits, 4);
        assert_eq!(slots.free.available_permits(), 1);
        drop(taken);
        assert_eq!((slots.free.available_permits(), slots.owed.load(Relaxed)), (4, 0));
    }

    #[test]
    fn slots_of_slow_clients_are_counted_while_they_are_taken() {
        let limits = EndpointLimits::default();
        let slots = limit(&limits, 3);
        let taken: Vec<EndpointSlot> = (0..3).filter_map(|_| slots.try_take()).collect();
        taken[0].wait_for_client(true);
        assert!(!slots.is_held_by_clients(), "one of three");
        (0..2).for_each(|_| taken[1].wait_for_client(true));
        assert!(slots.is_held_by_clients());
        taken[0].wait_for_client(false);
        assert!(!slots.is_held_by_clients());
        taken[2].wait_for_client(true);
        drop(taken);
        assert_eq!(slots.with_clients.load(Relaxed), 0);
    }

    #[test]
    fn slots_go_to_who_waits_longest_and_not_to_who_has_left() {
        let limits = EndpointLimits::default();
        let limit = limit(&limits, 1);
        let mut cx = Context::from_waker(Waker::noop());
        let first = limit.try_take();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(limit.clone().take())).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().poll(&mut cx).is_pending()));
        drop(first);
        assert!(limit.try_take().is_none(), "it is the first one's that waits");
        drop(waiting.remove(0));
        assert!(waiting[1].as_mut().poll(&mut cx).is_pending());
        assert!(waiting[0].as_mut().poll(&mut cx).is_ready());
        assert!(waiting[1].as_mut().poll(&mut cx).is_ready(), "the slot was dropped");
    }

    #[test]
    fn a_queue_has_an_end() {
        let limits = EndpointLimits::default();
        let limit = limit(&limits, 1);
        let place = limit.queue();
        assert!(place.is_some() && limit.queue().is_none());
        drop(place);
        assert!(limit.queue().is_some());
    }
}
