//! How long a client may take for each part of a request, and the one timer that enforces it.
//!
//! pingora would start a timer for every read. Here each connection has one timer, which is moved only when it fires
//! too early, so that a request on a busy connection touches no timer at all.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Sleep, sleep};

use config::ClientLimits;
use judgement::time::Millis;
use memory::clock;
use memory::counters::ConnectionPhase;

/// The rate of a body is checked only after this much time was spent waiting for it.
const GRACE: Millis = Millis::seconds(10);

/// How long an origin may take to accept a WebSocket; a tunnel has no timeout for the first byte.
const UPGRADE: Millis = Millis::seconds(30);

/// What a connection is waiting for, and since when.
#[derive(Debug)]
pub struct ClientTimeouts {
    limits: ClientLimits,
    phase: ConnectionPhase,
    since: Millis,
    /// Something was received or sent, or another phase began, so that the next wait starts anew.
    fresh: bool,
    /// When the first byte of the head arrived.
    head_began: Millis,
    /// The total time spent waiting for the body.
    waited_for_body: Millis,
    body_bytes: u64,
    timer: LazyTimer,
}

impl ClientTimeouts {
    pub fn new(limits: ClientLimits, phase: ConnectionPhase) -> ClientTimeouts {
        ClientTimeouts {
            limits,
            phase,
            since: Millis::ZERO,
            fresh: true,
            head_began: Millis::ZERO,
            waited_for_body: Millis::ZERO,
            body_bytes: 0,
            timer: LazyTimer::default(),
        }
    }

    /// The first byte of a head has arrived.
    pub fn head_begins(&mut self) {
        self.head_began = clock::now();
        (self.waited_for_body, self.body_bytes) = (Millis::ZERO, 0);
        self.fresh = true;
    }

    /// Bytes arrived. Returns whether the body is too slow.
    pub fn received(&mut self, phase: ConnectionPhase, bytes: usize) -> bool {
        let waited = !self.fresh && self.phase == phase && phase == ConnectionPhase::Body;
        self.fresh = true;
        if phase != ConnectionPhase::Body {
            return false;
        }
        self.body_bytes += bytes as u64;
        if !waited {
            return false;
        }
        self.waited_for_body = self.waited_for_body.plus(clock::now().since(self.since));
        self.waited_for_body > GRACE
            && self.body_bytes.saturating_mul(1000) < self.limits.body_rate.saturating_mul(self.waited_for_body.0)
    }

    /// Bytes were sent: a tunnel is in use while either side sends.
    pub fn sent(&mut self, phase: ConnectionPhase) {
        if phase == ConnectionPhase::Tunnel {
            (self.since, self.fresh, self.phase) = (clock::now(), false, phase);
        }
    }

    /// Nothing arrived: ready once the timeout of the phase has passed.
    pub fn poll_too_late(&mut self, phase: ConnectionPhase, cx: &mut Context<'_>) -> Poll<()> {
        // While an origin works, nothing is expected of the client.
        if matches!(phase, ConnectionPhase::Answer | ConnectionPhase::Streams) {
            return Poll::Pending;
        }
        let now = clock::now();
        if self.fresh || self.phase != phase {
            (self.phase, self.since, self.fresh) = (phase, now, false);
        }
        let limits = &self.limits;
        let deadline = match phase {
            ConnectionPhase::Idle => self.since.plus(limits.keep_alive),
            ConnectionPhase::Head => self.head_began.plus(limits.header_time),
            ConnectionPhase::Preface => self.since.plus(limits.header_time),
            ConnectionPhase::Upgrading => self.since.plus(UPGRADE),
            ConnectionPhase::Tunnel => self.since.plus(limits.tunnel_idle),
            ConnectionPhase::Body | ConnectionPhase::Leaving | ConnectionPhase::Answer | ConnectionPhase::Streams => {
                self.since.plus(limits.body_idle)
            }
        };
        self.timer.poll(now, deadline, cx)
    }
}

/// A timer that is set once, and moved only when it has to be.
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
                None => (self.sleep, self.at) = (Some(Box::pin(rest())), deadline),
                // It would fire too late.
                Some(set) if self.at > deadline => {
                    set.set(rest());
                    self.at = deadline;
                }
                Some(_) => {}
            }
            let Some(set) = &mut self.sleep else { return Poll::Pending };
            match set.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                // It fired for a wait that is over.
                Poll::Ready(()) => {
                    set.set(rest());
                    self.at = deadline;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn limits() -> ClientLimits {
        ClientLimits {
            keep_alive: Millis(40),
            header_time: Millis(60),
            body_idle: Millis(80),
            ..ClientLimits::default()
        }
    }

    #[tokio::test]
    async fn each_part_of_a_request_has_its_own_limit_and_a_timer_that_rings_early_is_moved() {
        let mut waiting = ClientTimeouts::new(limits(), ConnectionPhase::Idle);
        let began = clock::now();
        // Set for the longest wait first, so that the shorter one must move it.
        let poll = poll_fn(|cx| Poll::Ready(waiting.poll_too_late(ConnectionPhase::Body, cx))).await;
        assert!(poll.is_pending());
        poll_fn(|cx| waiting.poll_too_late(ConnectionPhase::Idle, cx)).await;
        let idle = clock::now().since(began);
        assert!(idle >= Millis(40), "{idle}");
        waiting.head_begins();
        let began = clock::now();
        poll_fn(|cx| waiting.poll_too_late(ConnectionPhase::Head, cx)).await;
        assert!(clock::now().since(began) >= Millis(59));
    }

    #[tokio::test]
    async fn nothing_is_waited_for_while_the_origin_works() {
        let mut waiting = ClientTimeouts::new(limits(), ConnectionPhase::Idle);
        let poll = poll_fn(|cx| Poll::Ready(waiting.poll_too_late(ConnectionPhase::Answer, cx))).await;
        assert!(poll.is_pending() && waiting.timer.sleep.is_none());
    }

    #[test]
    fn a_body_is_too_slow_only_by_the_time_that_was_waited_for_it() {
        let mut waiting = ClientTimeouts::new(limits(), ConnectionPhase::Idle);
        assert!(!waiting.received(ConnectionPhase::Body, 1), "the first bytes came with the head");
        (waiting.phase, waiting.fresh) = (ConnectionPhase::Body, false);
        waiting.waited_for_body = Millis::seconds(20);
        waiting.since = clock::now();
        assert!(waiting.received(ConnectionPhase::Body, 100), "101 bytes in twenty seconds");
        (waiting.fresh, waiting.body_bytes) = (false, 1 << 20);
        assert!(!waiting.received(ConnectionPhase::Body, 100), "a megabyte in twenty seconds");
    }
}
