//! The clock of a task, and the one timer of a connection or of an HTTP/2 stream.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use judgement::time::Millis;
use memory::clock;

pin_project! {
    /// A task for which time [stands still](clock::hold) while it is polled.
    pub struct HeldClock<F> {
        #[pin]
        task: F,
    }
}

impl<F> HeldClock<F> {
    pub fn new(task: F) -> HeldClock<F> {
        HeldClock { task }
    }
}

impl<F: Future> Future for HeldClock<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        clock::hold(|| self.project().task.poll(cx))
    }
}

/// A timer that is set once, and moved only when it has to be: one that rings too early is set again, so that a request on
/// a busy connection touches no timer at all.
#[derive(Debug, Default)]
pub struct LazyTimer {
    at: Millis,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl LazyTimer {
    /// Ready once `deadline` has passed.
    pub fn poll(&mut self, now: Millis, deadline: Millis, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if deadline <= now {
                return Poll::Ready(());
            }
            let rest = || sleep(deadline.since(now).as_duration());
            match &mut self.sleep {
                // Once for a connection.
                None => (self.sleep, self.at) = (Some(Box::pin(rest())), deadline),
                // It would ring too late.
                Some(set) if self.at > deadline => {
                    set.set(rest());
                    self.at = deadline;
                }
                Some(_) => {}
            }
            let Some(set) = &mut self.sleep else { return Poll::Pending };
            match set.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                // It rang for a wait that is over.
                Poll::Ready(()) => {
                    set.set(rest());
                    self.at = deadline;
                }
            }
        }
    }
}

/// Timers that a worker keeps for later.
const KEPT: usize = 1024;

/// A worker's timers that no stream uses. One that is set already is moved only where a stream waits for less.
#[derive(Debug, Default)]
pub struct FreeTimers(RefCell<Vec<LazyTimer>>);

impl FreeTimers {
    pub fn take(&self) -> LazyTimer {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    pub fn give_back(&self, timer: LazyTimer) {
        let mut free = self.0.borrow_mut();
        if free.len() < KEPT {
            free.push(timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn it_rings_in_time_whatever_it_was_set_for_before() {
        let mut timer = LazyTimer::default();
        let began = clock::now();
        let far = began.plus(Millis::seconds(60));
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(clock::now(), far, cx))).await.is_pending());
        // Moved to ring earlier.
        poll_fn(|cx| timer.poll(clock::now(), began.plus(Millis(40)), cx)).await;
        assert!(clock::now().since(began) >= Millis(40));
        // Set for 60 ms, it rings once too early for 90, and goes on.
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(clock::now(), began.plus(Millis(60)), cx))).await.is_pending());
        poll_fn(|cx| timer.poll(clock::now(), began.plus(Millis(90)), cx)).await;
        assert!(clock::now().since(began) >= Millis(90));
    }
}
