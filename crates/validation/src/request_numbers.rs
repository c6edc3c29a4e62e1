//! The numbers that a run gives out: one for every request, so that each can be told from every other.

use std::sync::{Arc, Mutex, PoisonError};

use memory::clock;

/// Shared by all that sends requests in a run. The lock is held for moments.
#[derive(Clone, Debug)]
pub struct RequestNumbers(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    next: u64,
    sent: u64,
}

impl Default for RequestNumbers {
    /// They begin at the time of day in microseconds: what one run makes in an origin's data is not in the next one's way.
    fn default() -> RequestNumbers {
        RequestNumbers(Arc::new(Mutex::new(State { next: clock::wall_micros(), sent: 0 })))
    }
}

impl RequestNumbers {
    /// One that nobody else has: `${unique}`.
    pub fn unique(&self) -> u64 {
        self.with(|state| {
            state.next += 1;
            state.next
        })
    }

    /// A request goes out.
    pub fn send(&self) {
        self.with(|state| state.sent += 1);
    }

    /// Requests that went out so far.
    pub fn sent(&self) -> u64 {
        self.with(|state| state.sent)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
