//! Numbers for the requests of a run: each request has its own, and they are counted.

use std::sync::Arc;

use memory::clock;
use parking_lot::Mutex;

/// Shared by everything that sends requests in a run. The lock is held only briefly.
#[derive(Clone, Debug)]
pub struct RequestNumbers(Arc<Mutex<RequestCounts>>);

#[derive(Debug)]
struct RequestCounts {
    next: u64,
    sent: u64,
}

impl Default for RequestNumbers {
    /// They begin at the current time in microseconds, so that what one run creates in an origin's data does not
    /// collide with the next run.
    fn default() -> RequestNumbers {
        RequestNumbers(Arc::new(Mutex::new(RequestCounts { next: clock::wall_micros(), sent: 0 })))
    }
}

impl RequestNumbers {
    /// A number that is given out once: `${unique}`.
    pub fn unique(&self) -> u64 {
        self.with(|state| {
            state.next += 1;
            state.next
        })
    }

    /// Counts a request.
    pub fn send(&self) {
        self.with(|state| state.sent += 1);
    }

    /// Requests that were sent so far.
    pub fn sent(&self) -> u64 {
        self.with(|state| state.sent)
    }

    fn with<T>(&self, act: impl FnOnce(&mut RequestCounts) -> T) -> T {
        act(&mut self.0.lock())
    }
}
