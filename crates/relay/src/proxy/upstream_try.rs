//! One attempt at a request: its head sent to one endpoint, and what came back.

use crate::access::LONGEST_FAILURE_REASON;
use judgement::guard::shape::BodyShape;
use memory::counters::AttemptFailure;

/// The state of the current attempt. A new attempt starts afresh.
#[derive(Debug)]
pub struct UpstreamTry {
    /// When the head was sent, in microseconds on the monotonic clock.
    pub sent_at: u64,
    /// When the head of the final response arrived; 0 before that.
    head_at: u64,
    /// The status of the final response; 0 before that.
    status: u16,
    pub failure: Option<AttemptFailure>,
    /// The response refuses the client or sends it elsewhere.
    pub is_refusal: bool,
    /// What can be compared of the response, once it has come; of a client that left, how long its body had taken by then.
    pub body: Option<BodyShape>,
    /// The response leads back to the address that was asked for.
    pub is_loop: bool,
    /// Interim responses (100, 103) so far.
    pub interims: u8,
    /// The origin's id for the request, from the header that the preset names; at most 128 bytes, which
    /// few origins send: an allocation then, so that no other request holds room for it.
    pub origin_request_id: Option<Box<[u8]>>,
    /// What the origin says of the failure that it reports, cut; on the heap for the same reason.
    pub failure_reason: Option<Box<[u8]>>,
}

impl UpstreamTry {
    pub const fn begin(now: u64) -> UpstreamTry {
        UpstreamTry {
            sent_at: now,
            head_at: 0,
            status: 0,
            failure: None,
            is_refusal: false,
            body: None,
            is_loop: false,
            interims: 0,
            origin_request_id: None,
            failure_reason: None,
        }
    }

    /// The final response's head arrived at `now`.
    pub const fn answer(&mut self, status: u16, now: u64) {
        (self.status, self.head_at) = (status, now);
    }

    pub const fn status(&self) -> u16 {
        self.status
    }

    /// From dispatch to the response's head; 0 if there was none.
    pub const fn upstream_micros(&self) -> u64 {
        self.head_at.saturating_sub(self.sent_at)
    }

    /// The origin itself says that the request has failed, and why.
    pub fn report(&mut self, reason: &[u8]) {
        self.failure.get_or_insert(AttemptFailure::Reported);
        self.is_refusal = false;
        // A byte more than is shown, so that it shows that something is missing.
        let shown = reason.get(..=LONGEST_FAILURE_REASON).unwrap_or(reason);
        self.failure_reason = Some(shown.into());
    }

    /// The response was cut off. A tunnel cannot be: it ends when either side leaves.
    pub fn break_off(&mut self) {
        if self.status != 101 {
            self.failure = Some(AttemptFailure::Truncated);
        }
    }
}
