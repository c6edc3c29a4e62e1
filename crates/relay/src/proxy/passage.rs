//! Bodies on their way: a request to the origin and its response back, both at once, with the time limits of each.
//!
//! Whoever does not move is the one whose time runs. A client that does not send or does not read is told so, or cut off;
//! an origin that does not read or does not answer has failed. So the one is never counted as the other's failure.

use std::task::{Context, Poll, ready};

use http::HeaderName;
use http1::{Framing, HeadLimits};

use crate::origin::OriginError;
use crate::proxy::side::{BodyError, BodyTerms, ExchangeSide, HeldUpBy, SideError, poll_forward};
use crate::proxy::timer::LazyTimer;
use config::ClientLimits;
use judgement::time::Millis;
use judgement::traffic::retry::MAX_REPLAYED_BODY;
use memory::clock;
use memory::counters::{EndpointSlot, RefusalReason};
use memory::snapshot::OriginTimeouts;

/// How long the head of a response may be: origins send more than clients, such as many cookies.
pub const RESPONSE_HEAD: HeadLimits = HeadLimits { head_bytes: 256 << 10, fields: 256, target_bytes: 16 << 10 };
/// A rate is checked only after this much time was spent waiting.
const GRACE: Millis = Millis::seconds(10);

/// What the client did, or left undone, that ends its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFault {
    /// It closed its connection, or reset its stream.
    Gone,
    /// It did not send its body, or did not read the response.
    TooSlow,
    /// Its body ended too early, or is not what its framing says.
    BadBody,
    /// Its body is longer than the service allows.
    TooLarge,
}

impl ClientFault {
    /// Why its request is refused; `None` if there is nobody left to tell.
    pub const fn refusal(self) -> Option<RefusalReason> {
        match self {
            ClientFault::Gone => None,
            ClientFault::TooSlow => Some(RefusalReason::TooSlow),
            ClientFault::BadBody => Some(RefusalReason::BadBody),
            ClientFault::TooLarge => Some(RefusalReason::BodyTooLarge),
        }
    }
}

/// Why an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptError {
    Client(ClientFault),
    Origin(OriginError),
}

fn from_client(error: &SideError) -> AttemptError {
    AttemptError::Client(match error {
        SideError::Malformed(_) | SideError::Ended => ClientFault::BadBody,
        SideError::Io | SideError::Http2(_) => ClientFault::Gone,
    })
}

fn from_origin(error: &SideError, answered: bool) -> AttemptError {
    AttemptError::Origin(match error {
        SideError::Malformed(refused) => OriginError::Invalid(Some(*refused)),
        SideError::Ended if answered => OriginError::CutShort,
        SideError::Ended => OriginError::Closed,
        SideError::Io => OriginError::Reset,
        SideError::Http2(error) => OriginError::of_http2(error),
    })
}

/// How far the request's body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UploadState {
    Open,
    /// The origin has all of it.
    Sent,
    /// The origin reads no more; it may have answered.
    Abandoned,
}

/// A request's body, over all attempts.
#[derive(Debug)]
pub struct Upload {
    state: UploadState,
    /// What has been sent so far, for another attempt; only while `is_whole`.
    kept: Vec<u8>,
    is_whole: bool,
    /// How much of `kept` the current attempt has sent.
    replayed: usize,
    /// The longest that the service allows, in bytes.
    most: u64,
    /// When the whole request had been sent.
    sent_at: Millis,
}

impl Upload {
    pub fn new(most: u64) -> Upload {
        Upload { state: UploadState::Open, kept: Vec::new(), is_whole: true, replayed: 0, most, sent_at: Millis::ZERO }
    }

    /// Whether all that was taken from the client can be sent again.
    pub fn is_kept(&self) -> bool {
        self.is_whole
    }

    /// Whether the origin has the whole request.
    pub fn is_sent(&self) -> bool {
        self.state == UploadState::Sent
    }

    /// Begins anew, for another attempt.
    pub fn restart(&mut self) {
        (self.state, self.replayed) = (UploadState::Open, 0);
    }

    fn poll(
        &mut self,
        client: &mut ExchangeSide,
        origin: &mut ExchangeSide,
        cx: &mut Context<'_>,
        held_up: &mut HeldUpBy,
    ) -> Poll<Result<(), BodyError>> {
        *held_up = HeldUpBy::Writing;
        while let Some(left) = self.kept.get(self.replayed..).filter(|left| !left.is_empty()) {
            self.replayed += ready!(origin.poll_body(cx, left, false)).map_err(|_| BodyError::Receiver)?;
        }
        let Upload { kept, is_whole, replayed, most, .. } = self;
        poll_forward(client, origin, cx, held_up, BodyTerms { most: *most, withheld: None }, |piece| {
            *is_whole &= kept.len() + piece.len() <= MAX_REPLAYED_BODY;
            if *is_whole {
                kept.extend_from_slice(piece);
            } else {
                *kept = Vec::new();
            }
            *replayed = kept.len();
        })
    }
}

/// How long a body has been held up, and by whom.
#[derive(Debug)]
struct Wait {
    /// By what the client holds up this body: by what it sends, or by what it does not read.
    by_client: HeldUpBy,
    on: Option<HeldUpBy>,
    since: Millis,
    moved: u64,
    /// All waits for the client together.
    for_client: Millis,
    /// All waits for the origin together.
    for_origin: Millis,
}

impl Wait {
    const fn new(by_client: HeldUpBy) -> Wait {
        Wait { by_client, on: None, since: Millis::ZERO, moved: 0, for_client: Millis::ZERO, for_origin: Millis::ZERO }
    }

    /// Since when it lasts. `moved`: bytes that the one who is waited for has sent or taken so far.
    fn hold(&mut self, on: HeldUpBy, moved: u64, now: Millis) -> Millis {
        if self.on != Some(on) || self.moved != moved {
            // A silent origin is not its client's slowness.
            if self.on == Some(on) && on == self.by_client {
                self.for_client = self.for_client.plus(now.since(self.since));
            }
            if self.on.is_some_and(|on| on != self.by_client) {
                self.for_origin = self.for_origin.plus(now.since(self.since));
            }
            (self.on, self.moved, self.since) = (Some(on), moved, now);
        }
        self.since
    }

    /// Whether so many bytes are too few for the time that the client was waited for. `rate`: bytes a second.
    fn is_below(&self, rate: u64, bytes: u64) -> bool {
        self.for_client > GRACE && bytes.saturating_mul(1000) < rate.saturating_mul(self.for_client.0)
    }
}

/// What a request is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Answer,
    Body,
}

/// What holds for an attempt.
#[derive(Clone, Copy, Debug)]
pub struct PassageTerms<'a> {
    pub limits: &'a ClientLimits,
    pub times: &'a OriginTimeouts,
    /// The client waits for a 100 before it sends its body.
    pub expects_continue: bool,
    /// The request's place at its endpoint, if those are limited.
    pub slot: Option<&'a EndpointSlot>,
    /// The trailer of the response that no client sees.
    pub withheld: Option<&'a HeaderName>,
}

/// One attempt, with everything that moves it.
#[derive(Debug)]
pub struct Passage<'a> {
    pub client: &'a mut ExchangeSide,
    pub origin: &'a mut ExchangeSide,
    pub upload: &'a mut Upload,
    pub timer: &'a mut LazyTimer,
    pub terms: PassageTerms<'a>,
    uploading: Wait,
    downloading: Wait,
}

impl<'a> Passage<'a> {
    pub fn new(
        client: &'a mut ExchangeSide,
        origin: &'a mut ExchangeSide,
        upload: &'a mut Upload,
        timer: &'a mut LazyTimer,
        terms: PassageTerms<'a>,
    ) -> Passage<'a> {
        Passage {
            client,
            origin,
            upload,
            timer,
            terms,
            uploading: Wait::new(HeldUpBy::Reading),
            downloading: Wait::new(HeldUpBy::Writing),
        }
    }

    /// Sends the request, and reads the head of its response, interim or final.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        let held_up = self.poll_upload(cx)?;
        if let Poll::Ready(came) = self.origin.poll_response(cx, &RESPONSE_HEAD) {
            return Poll::Ready(came.map_err(|error| from_origin(&error, false)));
        }
        // What an interim response has left to be written.
        if let Poll::Ready(Err(error)) = self.client.poll_flush(cx) {
            return Poll::Ready(Err(from_client(&error)));
        }
        self.look_after_client(cx, held_up)?;
        self.poll_too_late(cx, Stage::Answer, held_up, None).map(Err)
    }

    /// How long the origin was waited for while its response's body came.
    pub fn waited_for_origin(&self) -> Millis {
        let Wait { on, since, for_origin, .. } = self.downloading;
        let is_waiting = on == Some(HeldUpBy::Reading);
        if is_waiting { for_origin.plus(clock::now().since(since)) } else { for_origin }
    }

    /// Passes on the response's body, and what is left of the request's.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        let uploading = self.poll_upload(cx)?;
        let mut held_up = HeldUpBy::Reading;
        let terms = BodyTerms { most: u64::MAX, withheld: self.terms.withheld };
        match poll_forward(self.origin, self.client, cx, &mut held_up, terms, |_| {}) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(BodyError::Receiver | BodyError::TooLong)) => {
                return Poll::Ready(Err(AttemptError::Client(ClientFault::Gone)));
            }
            Poll::Ready(Err(BodyError::Sender(error))) => return Poll::Ready(Err(from_origin(&error, true))),
            Poll::Pending => {}
        }
        self.look_after_client(cx, uploading)?;
        self.poll_too_late(cx, Stage::Body, uploading, Some(held_up)).map(Err)
    }

    /// Sends what there is of the request's body. What holds it up; `None` if it is on its way, as far as it will ever be.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<Option<HeldUpBy>, AttemptError> {
        if self.upload.state != UploadState::Open {
            return Ok(None);
        }
        let mut held_up = HeldUpBy::Reading;
        match self.upload.poll(self.client, self.origin, cx, &mut held_up) {
            Poll::Pending => return Ok(Some(held_up)),
            Poll::Ready(Ok(())) => self.upload.state = UploadState::Sent,
            // It may have answered before it closed.
            Poll::Ready(Err(BodyError::Receiver)) => self.upload.state = UploadState::Abandoned,
            Poll::Ready(Err(BodyError::TooLong)) => return Err(AttemptError::Client(ClientFault::TooLarge)),
            Poll::Ready(Err(BodyError::Sender(error))) => return Err(from_client(&error)),
        }
        self.upload.sent_at = clock::now();
        Ok(None)
    }

    /// Whether the client is still there, once nothing more of its request is read; this task is woken if it leaves.
    fn look_after_client(&mut self, cx: &mut Context<'_>, uploading: Option<HeldUpBy>) -> Result<(), AttemptError> {
        if uploading.is_none() && self.client.poll_gone(cx, self.terms.limits.half_close).is_ready() {
            return Err(AttemptError::Client(ClientFault::Gone));
        }
        Ok(())
    }

    /// Ready when somebody has been waited for too long.
    fn poll_too_late(
        &mut self,
        cx: &mut Context<'_>,
        stage: Stage,
        uploading: Option<HeldUpBy>,
        downloading: Option<HeldUpBy>,
    ) -> Poll<AttemptError> {
        let now = clock::now();
        let up = match stage {
            Stage::Answer => Some(self.answer_deadline(uploading, now)),
            // While a response comes, either side may take its time with the rest of the request.
            Stage::Body => None,
        };
        let down = downloading.map(|held_up| self.body_deadline(uploading, held_up, now));
        if let Some(slot) = self.terms.slot {
            let on_client = |error: &AttemptError| matches!(error, AttemptError::Client(_));
            slot.wait_for_client([&up, &down].into_iter().flatten().any(|(_, error)| on_client(error)));
        }
        let first = [up, down].into_iter().flatten().min_by_key(|(deadline, _)| *deadline);
        let Some((deadline, error)) = first else { return Poll::Pending };
        let look_again = if self.client.is_full() { now.plus(Millis::seconds(1)) } else { deadline };
        self.timer.poll(now, deadline.min(look_again), cx).map(|()| error)
    }

    /// Until when the head of the response is waited for, and whose fault it is then.
    fn answer_deadline(&mut self, uploading: Option<HeldUpBy>, now: Millis) -> (Millis, AttemptError) {
        let PassageTerms { limits, times, expects_continue, .. } = self.terms;
        match uploading {
            Some(HeldUpBy::Writing) => {
                let since = self.uploading.hold(HeldUpBy::Writing, self.origin.sent, now);
                (since.plus(times.write), AttemptError::Origin(OriginError::SendTimeout))
            }
            Some(HeldUpBy::Reading) => {
                let since = self.uploading.hold(HeldUpBy::Reading, self.client.received, now);
                if self.uploading.is_below(limits.body_rate, self.client.body_received) {
                    return (now, SLOW_CLIENT);
                }
                // It waits for the origin's word.
                match expects_continue && self.client.body_received == 0 {
                    true => (since.plus(times.first_byte), SLOW_ORIGIN),
                    false => (since.plus(limits.body_idle), SLOW_CLIENT),
                }
            }
            None => (self.upload.sent_at.plus(times.first_byte), SLOW_ORIGIN),
        }
    }

    /// Until when the response's body is waited for, and whose fault it is then.
    fn body_deadline(
        &mut self,
        uploading: Option<HeldUpBy>,
        downloading: HeldUpBy,
        now: Millis,
    ) -> (Millis, AttemptError) {
        let PassageTerms { limits, times, .. } = self.terms;
        if downloading == HeldUpBy::Writing {
            let since = self.downloading.hold(HeldUpBy::Writing, self.client.sent, now);
            if self.downloading.is_below(limits.body_rate, self.client.body_sent) {
                return (now, SLOW_CLIENT);
            }
            return (since.plus(limits.write_idle), SLOW_CLIENT);
        }
        let since = self.downloading.hold(HeldUpBy::Reading, self.origin.received, now);
        match uploading {
            // The origin may be waiting for the rest of the request, as one that echoes it does.
            Some(HeldUpBy::Reading) => {
                let silent = self.uploading.hold(HeldUpBy::Reading, self.client.received, now);
                (since.max(silent).plus(times.between_bytes), SLOW_CLIENT)
            }
            Some(HeldUpBy::Writing) => (since.plus(times.between_bytes), SLOW_ORIGIN),
            None => (since.max(self.upload.sent_at).plus(times.between_bytes), SLOW_ORIGIN),
        }
    }
}

const SLOW_CLIENT: AttemptError = AttemptError::Client(ClientFault::TooSlow);
const SLOW_ORIGIN: AttemptError = AttemptError::Origin(OriginError::ResponseTimeout);

/// How a request's body goes to an origin that speaks HTTP/1.
pub fn request_framing(client: &ExchangeSide) -> Framing {
    let head = client.head();
    match (client.is_http2(), client.has_come()) {
        (false, _) => head.request_framing(),
        (true, true) => head.content_length().map_or(Framing::None, Framing::Length),
        (true, false) => head.content_length().map_or(Framing::Chunked, Framing::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_client_is_waited_for_makes_it_slow() {
        let at = |seconds: u64| Millis::seconds(seconds);
        let mut events = Wait::new(HeldUpBy::Writing);
        // Events of a silent origin, one in a minute, of fifty bytes each.
        for minute in 0..60 {
            events.hold(HeldUpBy::Reading, minute * 50, at(minute * 60));
        }
        events.hold(HeldUpBy::Writing, 3000, at(3600));
        events.hold(HeldUpBy::Writing, 3050, at(3601));
        assert!(!events.is_below(240, 3050), "the client has read all of it at once");

        let mut reader = Wait::new(HeldUpBy::Writing);
        for turn in 0..10 {
            reader.hold(HeldUpBy::Writing, turn * 100, at(turn * 5));
        }
        assert!(reader.is_below(240, 1000), "a hundred bytes in five seconds");
        assert!(!reader.is_below(0, 1000), "without a limit");
        assert!(!reader.is_below(240, 1 << 20));
    }

    #[test]
    fn only_what_the_origin_is_waited_for_makes_it_slow() {
        let at = |seconds: u64| Millis::seconds(seconds);
        let mut wait = Wait::new(HeldUpBy::Writing);
        wait.hold(HeldUpBy::Reading, 0, at(0));
        wait.hold(HeldUpBy::Reading, 10, at(2));
        wait.hold(HeldUpBy::Writing, 10, at(5));
        wait.hold(HeldUpBy::Writing, 20, at(60));
        wait.hold(HeldUpBy::Reading, 20, at(70));
        assert_eq!(wait.for_origin, at(5), "what the client takes is its own");
    }

    #[test]
    fn a_wait_begins_anew_when_something_moves() {
        let mut wait = Wait::new(HeldUpBy::Reading);
        assert_eq!(wait.hold(HeldUpBy::Reading, 1, Millis(10)), Millis(10));
        assert_eq!(wait.hold(HeldUpBy::Reading, 1, Millis(20)), Millis(10));
        assert_eq!(wait.hold(HeldUpBy::Reading, 2, Millis(30)), Millis(30));
        assert_eq!(wait.hold(HeldUpBy::Writing, 2, Millis(40)), Millis(40));
    }
}
