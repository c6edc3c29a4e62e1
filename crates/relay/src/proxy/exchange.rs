//! One request, from its head to its record: where it goes, the attempts that it takes, and what the client is told.

mod admission;
mod copy;
mod forward_auth;
mod hold;

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http1::{Framing, KnownField, RequestKind, encode};
use tokio::time::timeout;

use crate::head::{self, Arrival, ConnectionField, Front, PageVersion, Pin, RequestChange, ResponseChange};
use crate::origin::OriginError;
use crate::origin::connect::HttpVersions;
use crate::proxy::access_line;
use crate::proxy::acme_board::ChallengeAnswers;
use crate::proxy::answers::{self, ALLOWED_METHODS};
use crate::proxy::context::{ClientConnection, RequestContext};
use crate::proxy::exchange::admission::{Admission, Waited};
use crate::proxy::passage::{AttemptError, ClientFault, Passage, PassageTerms, RESPONSE_HEAD, Upload, request_framing};
use crate::proxy::pool::OriginConnection;
use crate::proxy::routed_request::RoutedRequest;
use crate::proxy::side::{Channel, ExchangeSide, Http2OriginStream, SideError};
use crate::proxy::timer::LazyTimer;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::turn;
use crate::proxy::upstream_try::UpstreamTry;
use crate::proxy::worker::Worker;
use config::EarlyHints;
use judgement::guard::shape::{BodyShape, MediaKind};
use judgement::time::Millis;
use judgement::traffic::head::HttpVersion;
use judgement::traffic::sticky::StickyBy;
use memory::clock;
use memory::counters::{AttemptFailure, RefusalReason};
use memory::snapshot::{Endpoint, OriginTimeouts};

/// How long a request that usually has no body may leave open whether it has one, over HTTP/2. Then it is forwarded with
/// whatever comes. Some clients end an empty body with a frame of its own; forwarded before that, such a GET would reach an
/// HTTP/1.1 origin as a body in chunks, which some refuse.
const UNDECIDED: Duration = Duration::from_secs(1);
/// An origin that closes a kept connection at the same time as a request is sent on it does so about as soon as that arrives.
const CLOSING: Millis = Millis::seconds(1);
/// The media type of gRPC's messages. gRPC-Web has its trailers in the body.
const GRPC: &[u8] = b"application/grpc";

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRequest {
    /// It waits for the next request.
    Keep,
    Close,
    /// It is closed, although the client may still be sending.
    Linger,
    /// It is dropped without a goodbye: the response is not whole.
    CutOff,
}

/// An attempt that has failed before its response.
struct FailedAttempt {
    error: AttemptError,
    /// Nothing of the request has left.
    unsent: bool,
    /// Nothing came back, on a connection that had been used before, and soon: the origin may have closed it at the same
    /// time.
    stale: bool,
}

/// Serves the request whose head has come from the client.
pub async fn exchange(
    worker: &Rc<Worker>,
    connection: &ClientConnection,
    client: &mut ExchangeSide,
    timer: &mut LazyTimer,
) -> AfterRequest {
    let ctx = RequestContext::new(worker, connection, client);
    connection.requests.set(connection.requests.get() + 1);
    client.expect_body(client.head().request_framing(), worker.head_limits);
    let mut exchange = Exchange { worker, connection, client, timer, ctx, framing: Framing::None, is_own: false };
    let after = exchange.run().await;
    exchange.record();
    after
}

struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    connection: &'a ClientConnection,
    client: &'a mut ExchangeSide,
    timer: &'a mut LazyTimer,
    ctx: RequestContext,
    /// Of the request's body, towards an origin that speaks HTTP/1.
    framing: Framing,
    /// The origin's connection is this client's alone.
    is_own: bool,
}

impl Exchange<'_> {
    async fn run(&mut self) -> AfterRequest {
        // HTTP/2 connections have many requests at once, and trusted proxies many clients.
        let is_alone = !self.client.is_http2() && !self.connection.trusted;
        let permit = self.worker.request_limits.admit(self.ctx.client, is_alone);
        if permit.is_ok()
            && let Some(challenges) = &self.worker.proxy.challenges
            && let Some(token) = ChallengeAnswers::token(self.client.view().path())
            && let Some(answered) = Box::pin(self.answer_challenge(challenges, token.to_owned())).await
        {
            return answered;
        }
        let mut admitted = permit.as_ref().map_err(|refused| *refused).and_then(|_| self.admit());
        while let Ok(Admission::Hold(_) | Admission::ForwardAuth) = &admitted {
            let waited = match admitted {
                Ok(Admission::Hold(hold)) => Box::pin(self.wait_while_held(hold)).await,
                _ => Box::pin(self.ask_auth_service()).await,
            };
            admitted = match waited {
                Waited::GoesOn => self.admit(),
                Waited::Ended(after) => return after,
            };
        }
        match admitted {
            // What no origin answers is on the heap for its short life, so that other requests have no room for it.
            Err(refused) => Box::pin(self.refuse(refused)).await,
            Ok(Admission::Redirect(status, location)) => {
                let keep = self.may_keep();
                Box::pin(self.answer((status, ""), &[("Location", location.as_bytes())], keep)).await
            }
            Ok(Admission::Hold(_) | Admission::ForwardAuth) => AfterRequest::Close,
            Ok(Admission::Maintenance) => Box::pin(self.maintain()).await,
            Ok(Admission::RateLimited(wait)) => Box::pin(self.refuse_for(wait)).await,
            Ok(Admission::Options) => {
                let keep = self.may_keep();
                Box::pin(self.answer((200, ""), &[("Allow", ALLOWED_METHODS.as_bytes())], keep)).await
            }
            Ok(Admission::Forward) => self.forward().await,
        }
    }

    async fn forward(&mut self) -> AfterRequest {
        if self.may_have_no_body() && !Box::pin(self.decide_on_body()).await {
            return Box::pin(self.end_for(ClientFault::Gone)).await;
        }
        self.framing = request_framing(self.client);
        let mut upload = Upload::new(self.ctx.routed.as_ref().map_or(0, |routed| routed.max_body()));
        let asked = self.attempts(&mut upload).await;
        if asked.is_err() {
            self.leave_endpoint();
        }
        match asked {
            Ok(origin) => self.respond(origin, &mut upload).await,
            Err(AttemptError::Client(fault)) => Box::pin(self.end_for(fault)).await,
            Err(AttemptError::Origin(error)) => {
                let failure = self.ctx.routed.as_ref().and_then(|routed| routed.current.failure);
                let answer = answers::to_failure(failure.unwrap_or(error.failure()));
                Box::pin(self.answer(answer, &[NO_STORE], false)).await
            }
        }
    }

    /// Whether it is open if a body follows: that of an HTTP/2 request which says neither that one does nor that none does,
    /// and usually has none.
    fn may_have_no_body(&self) -> bool {
        let request = self.client.view();
        let is_open = self.client.is_http2() && !self.client.has_come() && request.head().content_length().is_none();
        is_open && matches!(request.method(), "GET" | "HEAD" | "OPTIONS" | "DELETE")
    }

    /// Waits for the end of an HTTP/2 request, or for the first piece of its body. False if the client has given it up.
    async fn decide_on_body(&mut self) -> bool {
        let first_piece = timeout(UNDECIDED, async {
            while self.client.piece().is_empty() && !self.client.has_come() {
                poll_fn(|cx| self.client.poll_more(cx)).await?;
            }
            Ok::<(), SideError>(())
        });
        !matches!(first_piece.await, Ok(Err(_)))
    }

    /// Asks origins until one answers: another address, another connection, or the active environment.
    async fn attempts(&mut self, upload: &mut Upload) -> Result<ExchangeSide, AttemptError> {
        loop {
            let Some(routed) = &mut self.ctx.routed else { return Err(AttemptError::Origin(OriginError::Connect)) };
            let snapshot = routed.snapshot.clone();
            let (service, environment) = (routed.decision.service, routed.environment());
            let own = self.connection.own.borrow().as_ref().map(|(key, _)| *key);
            let mut place = routed.next_endpoint(self.worker.proxy.shard, own);
            if routed.needs_slot() {
                match Box::pin(self.take_turn()).await {
                    Ok(taken) => place = Some(taken),
                    Err(AttemptError::Origin(busy)) if self.fail(busy.failure(), true, upload) => continue,
                    Err(error) => return Err(error),
                }
            }
            let endpoint = place.and_then(|place| snapshot.endpoints(service, environment).get(place));
            let Some(endpoint) = endpoint else {
                // No address counts as a refused connection.
                if self.fail(AttemptFailure::Connect, true, upload) {
                    continue;
                }
                return Err(AttemptError::Origin(OriginError::Connect));
            };
            match self.connect(endpoint).await {
                Ok((connection, reused)) => match self.ask(endpoint, connection, reused, upload).await {
                    Ok(origin) => {
                        if self.accept(&origin, upload) {
                            return Ok(origin);
                        }
                        self.give_back(origin);
                    }
                    Err(failed) => self.after_failure(failed, upload)?,
                },
                Err(AttemptError::Origin(error)) => self.after_no_connection(error, upload)?,
                Err(client) => return Err(client),
            }
            upload.restart();
        }
    }

    /// Waits until an endpoint takes the request, where each takes only so many at once. Which one it is.
    async fn take_turn(&mut self) -> Result<usize, AttemptError> {
        let Some(routed) = &mut self.ctx.routed else { return Err(AttemptError::Origin(OriginError::Busy)) };
        let patience = routed.endpoint().map_or(Millis::ZERO, |endpoint| endpoint.timeouts.queue);
        let half_close = self.worker.proxy.limits.half_close;
        let (place, slot) = turn::wait(routed.limits(), patience, half_close, self.client, self.timer).await?;
        routed.take(place, slot);
        Ok(place)
    }

    /// A connection to an endpoint, and whether it was open before.
    async fn connect(&mut self, endpoint: &Endpoint) -> Result<(OriginConnection, bool), AttemptError> {
        let own = self.connection.own.borrow_mut().take_if(|(key, _)| *key == endpoint.connection_key);
        self.is_own = own.is_some();
        if let Some((_, transport)) = own {
            return Ok((OriginConnection::Http1(transport), true));
        }
        let upgrade = self.ctx.routed.as_ref().is_some_and(|routed| routed.upgrade);
        let must_be_new = upgrade
            || self.ctx.routed.as_ref().is_some_and(RoutedRequest::needs_a_new_connection)
            || endpoint.rest.may_close_kept(clock::now) && !head::is_repeatable(self.client.view());
        if !must_be_new && let Some(open) = self.worker.origins.reuse(endpoint.connection_key).await {
            return Ok((open, true));
        }
        let versions = if upgrade { HttpVersions::Http1 } else { HttpVersions::AsSet };
        // On the heap for its short life, so that requests on kept connections have no room for it.
        let mut opening = Box::pin(self.worker.origins.open(endpoint, versions));
        let half_close = self.worker.proxy.limits.half_close;
        poll_fn(|cx| match opening.as_mut().poll(cx) {
            Poll::Ready(opened) => Poll::Ready(opened.map(|new| (new, false)).map_err(AttemptError::Origin)),
            // Nobody waits for it any more.
            Poll::Pending => {
                self.client.poll_gone(cx, half_close).map(|()| Err(AttemptError::Client(ClientFault::Gone)))
            }
        })
        .await
    }

    /// There was no connection: returns if there is to be another attempt.
    fn after_no_connection(&mut self, error: OriginError, upload: &Upload) -> Result<(), AttemptError> {
        let Some(routed) = &mut self.ctx.routed else { return Err(AttemptError::Origin(error)) };
        let failure = error.failure();
        // A kept connection that accepts no more streams does not mean that the origin accepts no connections.
        let sent_away = error == OriginError::Untouched && upload.is_kept() && routed.retries_after_stale_connection();
        let mut elsewhere = || upload.is_kept() && routed.retries_after_connect_failure(failure, &error);
        if sent_away || elsewhere() {
            return Ok(());
        }
        let failure = routed.connect_failure().unwrap_or(failure);
        if self.fail(failure, true, upload) { Ok(()) } else { Err(AttemptError::Origin(error)) }
    }

    /// There was no answer: returns if there is to be another attempt.
    fn after_failure(&mut self, failed: FailedAttempt, upload: &Upload) -> Result<(), AttemptError> {
        let FailedAttempt { error: AttemptError::Origin(error), unsent, stale } = failed else {
            return Err(failed.error);
        };
        let untouched = error == OriginError::Untouched;
        let repeatable = head::is_repeatable(self.client.view());
        let Some(routed) = &mut self.ctx.routed else { return Err(AttemptError::Origin(error)) };
        let may_repeat = upload.is_kept() && (untouched || unsent || repeatable);
        // The origin had closed a kept connection, or takes no more streams: neither is a failure.
        if may_repeat && (stale || untouched) && routed.retries_after_stale_connection() {
            return Ok(());
        }
        if !stale && !untouched {
            routed.broke_off();
        }
        if let OriginError::Invalid(_) = &error {
            routed.log_invalid(&error);
        }
        if may_repeat && routed.retries_elsewhere() {
            return Ok(());
        }
        if stale && let Some(endpoint) = routed.endpoint() {
            endpoint.rest.close_kept(clock::now());
        }
        // Whether the origin has seen it, nobody knows.
        let failure = if stale { AttemptFailure::Stale } else { error.failure() };
        if self.fail(failure, untouched, upload) { Ok(()) } else { Err(AttemptError::Origin(error)) }
    }

    /// Records a failed attempt and returns whether the request is rescued. The failed attempt is counted here if active will
    /// answer the client, and at the end otherwise.
    fn fail(&mut self, failure: AttemptFailure, unsent: bool, upload: &Upload) -> bool {
        let mut now = Context::from_waker(Waker::noop());
        let gone =
            self.client.poll_gone(&mut now, self.worker.proxy.limits.half_close).is_ready() || self.client.has_closed();
        let repeatable = head::is_repeatable(self.client.view());
        let Some(routed) = &mut self.ctx.routed else { return false };
        if gone {
            // The client is gone: a second attempt is of no use, and a timeout is not evidence of slowness.
            routed.aborted = failure == AttemptFailure::Timeout;
            routed.current.failure = (!routed.aborted).then_some(failure);
            routed.unseen = true;
            return false;
        }
        routed.current.failure = Some(failure);
        let now = clock::micros();
        if !routed.may_rescue(now, repeatable, unsent, upload.is_kept()) {
            return false;
        }
        routed.rescue(&self.worker.proxy.counters, self.worker.proxy.shard, &self.worker.proxy.sidecar, now);
        true
    }

    /// Sends the request and waits for the head of the final response.
    async fn ask(
        &mut self,
        endpoint: &Endpoint,
        connection: OriginConnection,
        reused: bool,
        upload: &mut Upload,
    ) -> Result<ExchangeSide, FailedAttempt> {
        let mut origin = match self.begin(endpoint, connection) {
            Ok(origin) => origin,
            Err(error) => {
                return Err(FailedAttempt { error: AttemptError::Origin(error), unsent: true, stale: false });
            }
        };
        match self.wait_for_answer(endpoint, &mut origin, upload).await {
            Ok(()) => Ok(origin),
            Err(error) => {
                distrust(&origin, &error);
                let lost = matches!(error, AttemptError::Origin(OriginError::Closed | OriginError::Reset));
                let sent_at = self.ctx.routed.as_ref().map_or(0, |routed| routed.current.sent_at);
                let soon = clock::micros().saturating_sub(sent_at) < CLOSING.0 * 1000;
                let stale = lost && reused && soon && origin.received == 0;
                Err(FailedAttempt { error, unsent: origin.sent == 0, stale })
            }
        }
    }

    /// Writes the request's head.
    fn begin(&mut self, endpoint: &Endpoint, connection: OriginConnection) -> Result<ExchangeSide, OriginError> {
        if let Some(routed) = &mut self.ctx.routed {
            routed.current = UpstreamTry::begin(clock::micros());
        }
        let http2 = matches!(connection, OriginConnection::Http2(..));
        let change = self.request_change(endpoint, http2).ok_or(OriginError::Connect)?;
        let mut buffers = self.worker.origin_buffers.take();
        head::write_request(&mut buffers.output, self.client.view(), &change);
        let is_bodiless = !self.framing.has_body();
        let channel = match connection {
            OriginConnection::Http1(transport) => Channel::Http1(transport),
            OriginConnection::Http2(mut requests, lease) => {
                let request = head::to_http2_request(&buffers.output, endpoint.tls.is_some());
                buffers.output.clear();
                let sent = requests.send_request(request.ok_or(OriginError::Http2)?, is_bodiless);
                let (response, send) = sent.map_err(|error| OriginError::of_http2(&error))?;
                Channel::Http2Origin(Http2OriginStream { response, body: None, send, lease })
            }
        };
        let mut origin = ExchangeSide::new(channel, buffers);
        origin.begin_body(self.framing, origin.is_http2() && is_bodiless);
        if self.ctx.grant.as_ref().is_some_and(|grant| grant.says_anything()) {
            // What a client says behind its body, an origin might take for what only the auth service may say.
            origin.leave_out_trailers();
        }
        Ok(origin)
    }

    /// What becomes of the request's head on its way to an endpoint; `None` before it is routed.
    fn request_change<'c>(&'c self, endpoint: &'c Endpoint, http2: bool) -> Option<RequestChange<'c>> {
        let routed = self.ctx.routed.as_ref()?;
        let ClientConnection { peer, trusted, https, .. } = *self.connection;
        let host = head::host_as_sent(self.client.view());
        Some(RequestChange {
            endpoint,
            arrival: Arrival { peer, client: self.ctx.client, trusted, host, tls: https },
            strip: routed.stripping_rule(),
            ids: &self.ctx.ids,
            hop: self.worker.proxy.hop,
            rewrite: routed.rewrite(),
            grant: self.ctx.grant.as_deref(),
            edits: routed.edits().map_or(&[][..], |edits| &edits.request),
            websocket: routed.upgrade,
            http2,
            framing: self.framing,
        })
    }

    /// Sends the request; interim responses go on to the client.
    async fn wait_for_answer(
        &mut self,
        endpoint: &Endpoint,
        origin: &mut ExchangeSide,
        upload: &mut Upload,
    ) -> Result<(), AttemptError> {
        let (mut interims, mut expects_continue) = (0, self.client.head().expects_continue());
        loop {
            let worker = self.worker.clone();
            let slot = self.ctx.routed.as_ref().and_then(RoutedRequest::slot);
            let (limits, times) = (&worker.proxy.limits, &endpoint.timeouts);
            let terms = PassageTerms { limits, times, expects_continue, slot, withheld: None };
            let mut passage = Passage::new(self.client, origin, upload, self.timer, terms);
            poll_fn(|cx| passage.poll_answer(cx)).await?;
            let upgrade = self.ctx.routed.as_ref().is_some_and(|routed| routed.upgrade);
            if !head::is_sane(origin.view(), interims, upgrade) {
                return Err(AttemptError::Origin(OriginError::Invalid(None)));
            }
            // 100 and 103 announce a response; 101 is one.
            if !matches!(origin.head().status(), 100 | 102..=199) {
                return Ok(());
            }
            interims += 1;
            expects_continue &= origin.head().status() != 100;
            if self.passes_interim(origin.head().status()) {
                let rules = self.ctx.routed.as_ref().and_then(RoutedRequest::failure_rules);
                let withheld = rules.and_then(|rules| rules.header.as_ref());
                head::write_interim(self.client.output(), origin.view(), withheld);
                self.client.send_interim().map_err(|_| AttemptError::Client(ClientFault::Gone))?;
            }
            origin.next_response();
        }
    }

    /// Whether the client gets an interim response. HTTP/1.0 has none.
    fn passes_interim(&self, status: u16) -> bool {
        match (self.client.head().version(), self.worker.proxy.early_hints) {
            (HttpVersion::Http10, _) => false,
            _ if status != 103 => true,
            (version, EarlyHints::Http2) => version == HttpVersion::Http2,
            (_, choice) => choice == EarlyHints::All,
        }
    }

    /// Counts the response; false if the active environment is asked instead.
    fn accept(&mut self, origin: &ExchangeSide, upload: &Upload) -> bool {
        let status = origin.head().status();
        let shard = self.worker.proxy.shard;
        let Some(routed) = &mut self.ctx.routed else { return true };
        let failure = routed.answer(status, shard);
        // Looked for only where the route has such a header.
        let header = routed.failure_rules().and_then(|rules| rules.header.as_ref());
        if let Some(reason) = header.and_then(|name| head::reported_failure(origin.view(), name)) {
            // The origin has done its work: what it has declined, it must not be asked again.
            routed.current.report(reason);
            return true;
        }
        let Some(failure) = failure else { return true };
        // 501 and the like are the origin's considered response, as is a 429; a second origin would say the same.
        if matches!(status, 500 | 502 | 503 | 504) && self.fail(failure, false, upload) {
            return false;
        }
        if let Some(routed) = &mut self.ctx.routed {
            routed.current.failure.get_or_insert(failure);
        }
        true
    }

    /// Passes the response on.
    async fn respond(&mut self, mut origin: ExchangeSide, upload: &mut Upload) -> AfterRequest {
        let kind = RequestKind::of(self.client.view().method().as_bytes());
        let incoming = origin.head().response_framing(kind);
        origin.expect_body(incoming, RESPONSE_HEAD);
        let status = origin.head().status();
        let switches = status == 101;
        let outgoing = self.outgoing_framing(&origin, incoming);
        let keep = self.may_keep() && upload.is_sent() && outgoing != Framing::UntilClose && !switches;
        self.write_head(&origin, kind, outgoing, keep);
        let is_bodiless = origin.has_come();
        self.ctx.told = Some(status);
        if self.client.send_head(outgoing, is_bodiless).is_err() {
            return Box::pin(self.end_for(ClientFault::Gone)).await;
        }
        let Some(times) = self.endpoint_times() else { return AfterRequest::Close };
        let worker = self.worker.clone();
        if switches {
            for side in [&mut *self.client, &mut origin] {
                side.expect_body(Framing::UntilClose, worker.head_limits);
                side.begin_body(Framing::UntilClose, false);
            }
        }
        let (passed, waited) = if switches {
            // Boxed: few requests become tunnels.
            Box::pin(self.pass_through(&mut origin)).await;
            (Ok(()), Millis::ZERO)
        } else {
            self.pass_body(&mut origin, upload, &times).await
        };
        self.leave_endpoint();
        self.note_shape(&origin, kind, (passed.is_ok(), waited));
        match passed {
            Ok(()) => {
                self.judge_grpc(&origin);
                self.judge_trailers(&origin);
                let sent = upload.is_sent();
                self.keep_origin(origin, incoming, sent);
                if keep {
                    return AfterRequest::Keep;
                }
                self.leave(sent)
            }
            Err(AttemptError::Client(fault)) => {
                self.ctx.aborted = true;
                self.ctx.refused = fault.refusal();
                self.ctx.refused.into_iter().for_each(|refused| worker.proxy.counters.process.refuse(refused));
                self.client.cut_off();
                AfterRequest::CutOff
            }
            Err(error) => {
                distrust(&origin, &error);
                if let Some(routed) = &mut self.ctx.routed {
                    routed.current.break_off();
                }
                // What has come is the client's; then its connection ends in the middle.
                Box::pin(self.finish(b"")).await;
                self.client.cut_off();
                AfterRequest::CutOff
            }
        }
    }

    /// Passes on the response's body, and what is left of the request's. Also returns how long the origin was waited for.
    async fn pass_body(
        &mut self,
        origin: &mut ExchangeSide,
        upload: &mut Upload,
        times: &OriginTimeouts,
    ) -> (Result<(), AttemptError>, Millis) {
        let limits = &self.worker.proxy.limits;
        let slot = self.ctx.routed.as_ref().and_then(RoutedRequest::slot);
        let rules = self.ctx.routed.as_ref().and_then(RoutedRequest::failure_rules);
        let withheld = rules.and_then(|rules| rules.header.as_ref());
        let terms = PassageTerms { limits, times, expects_continue: false, slot, withheld };
        // An origin that answers before it has all of the request may be waiting for its client.
        let had_all = upload.is_sent();
        let mut passage = Passage::new(self.client, origin, upload, self.timer, terms);
        let passed = poll_fn(|cx| passage.poll_body(cx)).await;
        (passed, if had_all { passage.waited_for_origin() } else { Millis::ZERO })
    }

    /// Passes on what both sides of a tunnel send, until it ends.
    async fn pass_through(&mut self, origin: &mut ExchangeSide) {
        let worker = self.worker.clone();
        let Some(routed) = &mut self.ctx.routed else { return };
        let open = routed.open_tunnel(worker.proxy.shard);
        let stay = routed.service().and_then(|service| service.terms.tunnels_stay);
        // A rule may send somebody where nobody else goes.
        let stay = stay.filter(|_| open.gets_traffic(&routed.snapshot));
        let mut tunnel = Tunnel::new(self.client, origin, self.timer, (worker.proxy.limits.tunnel_idle, stay));
        poll_fn(|cx| tunnel.poll(cx, || open.gets_traffic(&worker.snapshot()))).await;
    }

    /// Takes the outcome of a gRPC call, which is in the trailers, or in the head of a response without a body.
    fn judge_grpc(&mut self, origin: &ExchangeSide) {
        let head = origin.view();
        let kind = head.first(KnownField::ContentType).and_then(|kind| kind.split_at_checked(GRPC.len()));
        let is_grpc = |(kind, rest): (&[u8], &[u8])| {
            kind.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';'))
        };
        if !kind.is_some_and(is_grpc) {
            return;
        }
        let status = origin.trailer("grpc-status").or_else(|| head.first(KnownField::GrpcStatus));
        let status = status.and_then(|status| std::str::from_utf8(status).ok()?.trim().parse::<u8>().ok());
        // One that is missing, or is none of the sixteen, is UNKNOWN.
        let status = status.filter(|status| *status <= 16).unwrap_or(2);
        if let Some(routed) = &mut self.ctx.routed
            && routed.service().is_some_and(|service| service.terms.grpc_failures.has(status))
        {
            routed.current.failure.get_or_insert(AttemptFailure::of_grpc(status));
        }
    }

    /// Takes the shape of the response. `is_whole`: all of it has come. `waited`: how long the origin was waited for.
    fn note_shape(&mut self, origin: &ExchangeSide, kind: RequestKind, (is_whole, waited): (bool, Millis)) {
        let (request, response) = (self.client.view(), origin.view());
        let Some(routed) = &mut self.ctx.routed else { return };
        if !routed.failure_rules().is_some_and(|rules| rules.compares_shape) {
            return;
        }
        match origin.head().status() {
            // A part of a body says nothing of the whole.
            200..=205 | 207..=299 if kind != RequestKind::Head => {
                let media = MediaKind::of(response.first(KnownField::ContentType).unwrap_or_default());
                let coding = response.first(KnownField::ContentEncoding);
                let is_coded = coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
                let length = is_whole.then_some(origin.body_received);
                routed.current.body = Some(BodyShape { media, length, is_coded, waited });
            }
            301..=303 | 307 | 308 if matches!(request.method(), "GET" | "HEAD") => {
                let ClientConnection { trusted, https, .. } = *self.connection;
                let https = head::came_by_https(https, trusted, request);
                let host = head::host_as_sent(request);
                let front = routed.endpoint().map(|endpoint| Front { endpoint, host, https });
                routed.current.is_loop = front.is_some_and(|front| head::leads_back(&front, request, response));
            }
            _ => {}
        }
    }

    /// Takes the failure that the origin reports behind the body.
    fn judge_trailers(&mut self, origin: &ExchangeSide) {
        let Some(routed) = &mut self.ctx.routed else { return };
        let header = routed.failure_rules().and_then(|rules| rules.header.as_ref());
        if let Some(reason) = header.and_then(|name| origin.failure_behind_body(name)) {
            routed.current.report(reason);
        }
    }

    /// How the response's body is delimited towards an HTTP/1 client.
    fn outgoing_framing(&self, origin: &ExchangeSide, incoming: Framing) -> Framing {
        let incoming = match incoming {
            Framing::UntilClose if origin.has_come() => Framing::Length(0),
            incoming => incoming,
        };
        match incoming {
            // HTTP/1.0 has no chunks (RFC 9112 6.1): its response ends with the connection.
            Framing::Chunked | Framing::UntilClose => match self.client.head().version() {
                HttpVersion::Http10 => Framing::UntilClose,
                _ => Framing::Chunked,
            },
            length => length,
        }
    }

    fn write_head(&mut self, origin: &ExchangeSide, kind: RequestKind, framing: Framing, keep: bool) {
        let Some(routed) = &mut self.ctx.routed else { return };
        let snapshot = routed.snapshot.clone();
        let Some(serving) = snapshot.serving(routed.decision.service) else { return };
        routed.current.origin_request_id = head::origin_request_id(origin.view(), serving).map(Box::from);
        let key = routed.pin();
        let (rules, _) = snapshot.table.service(routed.decision.service);
        let ClientConnection { trusted, https, .. } = *self.connection;
        let https = head::came_by_https(https, trusted, self.client.view());
        // It names the client's host, which is in the buffers of the same connection.
        let mut output = std::mem::take(self.client.output());
        let endpoint = routed.endpoint().filter(|_| head::may_name_origin(origin.view()));
        let front = endpoint.map(|endpoint| Front { endpoint, host: head::host_as_sent(self.client.view()), https });
        let pin = match (&key, &rules.sticky) {
            (Some(key), StickyBy::Cookie(cookie)) => Some(Pin { cookie, key, https }),
            _ => None,
        };
        let fields = self.client.view();
        let cookie = rules.skew.as_ref().and_then(|skew| skew.cookie_for(&fields, routed.page_version()));
        let page = cookie.map(|(cookie, version)| PageVersion { cookie, version, https });
        let connection = match (origin.head().status(), keep) {
            (101, _) => ConnectionField::Upgrade,
            (_, false) => ConnectionField::Close,
            // HTTP/1.0 has to be told; others are as by nginx. HTTP/2 has no such field.
            (_, true) => ConnectionField::KeepAlive,
        };
        let (route, side) = (routed.decision.route, routed.environment());
        let ids = &self.ctx.ids;
        // Nobody needs the time of an answer that has one.
        let date = (!origin.head().has(KnownField::Date)).then(|| self.worker.date());
        let date = date.as_ref().map_or(&[][..], |date| &date[..]);
        let change = ResponseChange { serving, route, side, ids, front, pin, page, kind, framing, connection, date };
        head::write_response(&mut output, origin.view(), &change);
        *self.client.output() = output;
    }

    fn endpoint_times(&self) -> Option<OriginTimeouts> {
        self.ctx.routed.as_ref()?.endpoint().map(|endpoint| endpoint.timeouts)
    }

    /// Keeps the origin's connection for the next request, if it can have one. `sent`: it has had the whole request.
    fn keep_origin(&mut self, origin: ExchangeSide, incoming: Framing, sent: bool) {
        let is_clean = sent && origin.has_come() && !origin.has_more() && incoming != Framing::UntilClose;
        let Some(endpoint) = self.ctx.routed.as_ref().and_then(|routed| routed.endpoint()) else { return };
        let view = origin.view();
        let asked = view.keep_alive_seconds().map_or(Millis(u64::MAX), |seconds| Millis::seconds(seconds.into()));
        let idle = endpoint.timeouts.idle.min(asked);
        let is_kept = is_clean && origin.head().keep_alive() && idle > Millis::ZERO && origin.head().status() != 101;
        // Once a client has identified itself by a connection, later requests on it need not say so.
        let asks = head::needs_own_connection(self.client.view()) || head::needs_own_connection(view);
        let is_own = self.is_own || asks;
        let key = endpoint.connection_key;
        let ExchangeSide { channel, buffers, .. } = origin;
        self.worker.origin_buffers.give_back(buffers);
        let Channel::Http1(transport) = channel else { return };
        if is_kept && is_own {
            *self.connection.own.borrow_mut() = Some((key, transport));
        } else if is_kept {
            self.worker.origins.keep(key, transport, idle);
        }
    }

    /// The origin has done its part: other requests may take this one's place.
    fn leave_endpoint(&mut self) {
        if let Some(routed) = &mut self.ctx.routed {
            routed.leave_endpoint();
        }
    }

    /// Closes an origin's connection whose response nobody needs.
    fn give_back(&self, origin: ExchangeSide) {
        self.worker.origin_buffers.give_back(origin.buffers);
    }

    /// Whether the client's connection may have another request, as far as is known from this one's head.
    fn may_keep(&self) -> bool {
        let worker = self.worker;
        self.client.head().keep_alive()
            && !worker.connections.is_leaving()
            && self.connection.requests.get() < worker.proxy.limits.requests
    }

    /// Answers without an origin.
    async fn refuse(&mut self, refused: RefusalReason) -> AfterRequest {
        self.ctx.refused = Some(refused);
        self.worker.proxy.counters.process.refuse(refused);
        let answer = answers::to_refusal(refused);
        let allow = [NO_STORE, ("Allow", ALLOWED_METHODS.as_bytes())];
        let fields = if answer.0 == 405 { &allow[..] } else { &[NO_STORE][..] };
        self.answer(answer, fields, false).await
    }

    /// Ends a request for what its client did, or left undone.
    async fn end_for(&mut self, fault: ClientFault) -> AfterRequest {
        self.ctx.aborted = true;
        match fault.refusal() {
            Some(refused) => self.refuse(refused).await,
            None => AfterRequest::Close,
        }
    }

    /// Answers a CA that wants to know whose the name is, if there is an answer.
    async fn answer_challenge(&mut self, challenges: &ChallengeAnswers, token: String) -> Option<AfterRequest> {
        if !matches!(self.client.view().method(), "GET" | "HEAD") {
            return None;
        }
        let answer = challenges.find(&token).await?;
        let keep = self.may_keep();
        Some(self.answer((200, &answer), &[NO_STORE], keep).await)
    }

    /// Writes a response of Cutover's own.
    async fn answer(&mut self, answer: (u16, &str), fields: &[(&str, &[u8])], keep: bool) -> AfterRequest {
        let (status, text) = answer;
        let page = if status < 400 { None } else { self.ctx.error_page(status) };
        let (media, whole) = match &page {
            Some(page) => (page.media, &*page.body),
            None => ("text/plain; charset=utf-8", text.as_bytes()),
        };
        self.answer_with(status, (media.as_bytes(), whole), fields, keep).await
    }

    /// Writes a response that no origin has sent: its media type, if that is known, and its body.
    async fn answer_with(
        &mut self,
        status: u16,
        (media, whole): (&[u8], &[u8]),
        fields: &[(&str, &[u8])],
        keep: bool,
    ) -> AfterRequest {
        let keep = keep && self.client.has_come();
        let body = if self.client.view().method() == "HEAD" { &[][..] } else { whole };
        let date = self.worker.date();
        let out = self.client.output();
        encode::status_line(out, status, answers::reason(status));
        encode::field(out, "Date", &date);
        if !whole.is_empty() && !media.is_empty() {
            encode::field(out, "Content-Type", media);
        }
        encode::content_length(out, whole.len() as u64);
        fields.iter().for_each(|(name, value)| encode::field(out, name, value));
        if !keep {
            encode::field(out, "Connection", b"close");
        }
        encode::end_of_fields(out);
        self.ctx.told = Some(status);
        if self.client.send_head(Framing::Length(body.len() as u64), body.is_empty()).is_err() {
            return AfterRequest::Close;
        }
        self.finish(body).await;
        if keep { AfterRequest::Keep } else { self.leave(false) }
    }

    /// Writes what waits and these last bytes of a body, as far as the client takes them in time: an HTTP/2 client may have no
    /// window for a single byte.
    async fn finish(&mut self, mut rest: &[u8]) {
        let deadline = clock::now().plus(self.worker.proxy.limits.write_idle);
        poll_fn(|cx| {
            let written = loop {
                if rest.is_empty() {
                    break self.client.poll_flush(cx);
                }
                match self.client.poll_body(cx, rest, true) {
                    Poll::Ready(Ok(taken)) => rest = rest.get(taken..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                    Poll::Pending => break Poll::Pending,
                }
            };
            match written {
                // Whether it was taken or the client is gone: there is nobody else to tell.
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => self.timer.poll(clock::now(), deadline, cx),
            }
        })
        .await;
    }

    /// The client has its response; what it still sends is not read. `sent`: all of it went to the origin.
    fn leave(&self, sent: bool) -> AfterRequest {
        if sent || self.client.has_come() { AfterRequest::Close } else { AfterRequest::Linger }
    }

    /// The request is over.
    fn record(&mut self) {
        let now = clock::micros();
        let took = now.saturating_sub(self.ctx.started).max(1);
        if self.ctx.aborted && self.ctx.told.is_none() {
            self.connection.given_up.set(self.connection.given_up.get() + 1);
        }
        if let Some(routed) = &mut self.ctx.routed {
            routed.aborted |= self.ctx.aborted;
            routed.record(&self.worker.proxy.counters, self.worker.proxy.shard, &self.worker.proxy.sidecar, now, true);
        }
        if self.ctx.routed.as_ref().is_some_and(RoutedRequest::is_shadowed) {
            self.copy_for_candidate();
        }
        if let Some(log) = &self.worker.proxy.access {
            access_line::record(log, self.connection, &self.ctx, self.client, took);
        }
    }
}

/// An origin's HTTP/2 connection on which a request has waited in vain may be dead, and gets no more of them.
fn distrust(origin: &ExchangeSide, error: &AttemptError) {
    if let (
        Channel::Http2Origin(stream),
        AttemptError::Origin(OriginError::ResponseTimeout | OriginError::SendTimeout),
    ) = (&origin.channel, error)
    {
        stream.lease.distrust();
    }
}

/// Nobody keeps an answer that is about one request.
const NO_STORE: (&str, &[u8]) = ("Cache-Control", b"no-store");
