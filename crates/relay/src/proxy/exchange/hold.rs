//! Requests that wait because a person holds their service.

use std::future::poll_fn;
use std::task::Poll;

use crate::proxy::answers;
use crate::proxy::context::FoundPlace;
use crate::proxy::exchange::admission::Waited;
use crate::proxy::exchange::{AfterRequest, Exchange, NO_STORE};
use crate::proxy::passage::ClientFault;
use judgement::time::Millis;
use judgement::traffic::split::RequestHold;
use memory::clock;
use memory::counters::{OwnAnswer, RefusalReason};

/// The longest that a request waits. Clients and what stands between wait a minute, as a rule.
const PATIENCE: Millis = Millis::seconds(30);
/// A request looks this often whether it may go. A hold that is released is looked for, and not told of: so it ends at its
/// time, whatever has become of who publishes.
const LOOK: Millis = Millis(50);

impl Exchange<'_> {
    /// Waits until the hold is over, for as long as a request waits, and while there is a place to wait in.
    pub(super) async fn wait_while_held(&mut self, hold: RequestHold) -> Waited {
        let line = self.ctx.found.as_ref().and_then(FoundPlace::serving).map(|serving| serving.held.clone());
        let Some(_place) = line.and_then(|line| line.take(hold.most as usize)) else {
            return Waited::Ended(self.refuse_held(hold).await);
        };
        let (worker, half_close) = (self.worker.clone(), self.worker.proxy.limits.half_close);
        let deadline = clock::now().plus(PATIENCE);
        let mut look = clock::now().plus(LOOK);
        let left = poll_fn(|cx| {
            if self.client.poll_gone(cx, half_close).is_ready() {
                return Poll::Ready(None);
            }
            loop {
                let now = clock::now();
                let held = self.ctx.found.as_ref().is_some_and(|place| place.hold(&worker.snapshot()).is_some());
                if !held || now >= deadline {
                    return Poll::Ready(Some(held));
                }
                if self.timer.poll(now, look, cx).is_pending() {
                    return Poll::Pending;
                }
                look = now.plus(LOOK);
            }
        });
        match left.await {
            None => Waited::Ended(self.end_for(ClientFault::Gone).await),
            Some(true) => Waited::Ended(self.refuse_held(hold).await),
            Some(false) => {
                // What it has waited is no origin's time.
                self.ctx.routable = clock::micros();
                Waited::GoesOn
            }
        }
    }

    /// There is no place to wait in, or it has waited for too long.
    async fn refuse_held(&mut self, hold: RequestHold) -> AfterRequest {
        let refused = RefusalReason::Held;
        self.ctx.refused = Some(refused);
        self.worker.proxy.counters.process.refuse(refused);
        if let Some(place) = &self.ctx.found
            && let Some(serving) = place.serving()
        {
            serving.count_own_answer(place.route, OwnAnswer::Held);
        }
        let left = hold.until.saturating_sub(clock::wall_millis()).div_ceil(1000).max(1).to_string();
        let keep = self.may_keep();
        self.answer(answers::to_refusal(refused), &[NO_STORE, ("Retry-After", left.as_bytes())], keep).await
    }
}
