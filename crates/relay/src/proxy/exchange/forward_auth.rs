//! Requests that go on only if another service says so.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::head::{self, Arrival, AuthGrant, auth_question, denial_fields};
use crate::origin::exchange::{ConnectionReuse, OriginRequest, OriginResponse, exchange};
use crate::origin::{Connector, OriginError};
use crate::proxy::answers;
use crate::proxy::context::{ClientConnection, FoundPlace};
use crate::proxy::exchange::admission::Waited;
use crate::proxy::exchange::{AfterRequest, Exchange, NO_STORE};
use crate::proxy::passage::ClientFault;
use memory::clock;
use memory::counters::{AttemptFailure, ForwardAuthOutcome, OwnAnswer, RefusalReason};
use memory::snapshot::{Endpoint, ForwardAuthTerms};

/// The longest body that a client is sent of an auth service's answer, in bytes.
const LONGEST_BODY: usize = 64 << 10;

/// What an auth service says.
enum AuthAnswer {
    GoOn(AuthGrant),
    Denied(OriginResponse),
}

impl Exchange<'_> {
    /// Asks the auth service of the request's route, while the client is there and for as long as the route says.
    pub(super) async fn ask_auth_service(&mut self) -> Waited {
        let asks = |place: &FoundPlace| place.serving()?.forward_auth(place.route).cloned();
        let Some(terms) = self.ctx.found.as_ref().and_then(asks) else { return Waited::GoesOn };
        let began = clock::micros();
        let answered = self.wait_for_auth_service(&terms).await;
        let (outcome, judged) = match answered {
            None => (ForwardAuthOutcome::Aborted, None),
            Some(Ok(answer)) => match judge(&terms, answer) {
                Ok(answer @ AuthAnswer::GoOn(_)) => (ForwardAuthOutcome::Allowed, Some(Ok(answer))),
                Ok(answer @ AuthAnswer::Denied(_)) => (ForwardAuthOutcome::Denied, Some(Ok(answer))),
                Err(why) => (ForwardAuthOutcome::Invalid, Some(Err(why.to_owned()))),
            },
            Some(Err(error)) => (outcome_of(&error), Some(Err(error.cause()))),
        };
        let serving = self.ctx.found.as_ref().and_then(FoundPlace::serving);
        serving
            .into_iter()
            .for_each(|serving| serving.auth_answers.count(outcome, clock::micros().saturating_sub(began)));
        match judged {
            Some(Ok(AuthAnswer::GoOn(grant))) => {
                self.ctx.grant = Some(Box::new(grant));
                // What it has waited is no origin's time.
                self.ctx.routable = clock::micros();
                Waited::GoesOn
            }
            Some(Ok(AuthAnswer::Denied(answer))) => Waited::Ended(self.deny(&answer).await),
            Some(Err(cause)) => Waited::Ended(self.fail_closed(&cause).await),
            None => Waited::Ended(self.end_for(ClientFault::Gone).await),
        }
    }

    /// `None` if the client has gone.
    async fn wait_for_auth_service(&mut self, terms: &ForwardAuthTerms) -> Option<Result<OriginResponse, OriginError>> {
        let worker = self.worker.clone();
        let place = self.ctx.found.as_ref()?;
        let snapshot = place.snapshot.clone();
        let endpoints = snapshot.auth_endpoints(place.service, place.route);
        let request = self.auth_request(terms);
        let deadline = clock::now().plus(terms.timeout);
        // Dropped with this future: nobody waits for an answer that nobody needs.
        let mut asking = Box::pin(ask(&worker.auth_services, endpoints, &request));
        let half_close = worker.proxy.limits.half_close;
        poll_fn(|cx| {
            if let Poll::Ready(answered) = asking.as_mut().poll(cx) {
                return Poll::Ready(Some(answered));
            }
            if self.client.poll_gone(cx, half_close).is_ready() {
                return Poll::Ready(None);
            }
            self.timer.poll(clock::now(), deadline, cx).map(|()| Some(Err(OriginError::ResponseTimeout)))
        })
        .await
    }

    fn auth_request(&self, terms: &ForwardAuthTerms) -> OriginRequest {
        let ClientConnection { peer, trusted, https, .. } = *self.connection;
        let request = self.client.view();
        let arrival = Arrival { peer, client: self.ctx.client, trusted, host: head::host_as_sent(request), tls: https };
        let headers = auth_question(request, terms, &arrival, &self.ctx.ids);
        OriginRequest { method: Method::GET, target: terms.target.to_string(), headers, body: Bytes::new() }
    }

    /// Tells the client what the auth service says.
    async fn deny(&mut self, answer: &OriginResponse) -> AfterRequest {
        self.refuse_by_auth(RefusalReason::ForwardAuthDenied, OwnAnswer::ForwardAuthDenied);
        let mut fields: Vec<_> =
            denial_fields(&answer.headers).filter(|(name, _)| *name != CONTENT_TYPE.as_str()).collect();
        if !answer.headers.contains_key(CACHE_CONTROL) {
            fields.push(NO_STORE);
        }
        let media = answer.headers.get(CONTENT_TYPE).map_or(&b""[..], |media| media.as_bytes());
        let keep = self.may_keep();
        self.answer_with(answer.status, (media, &answer.body), &fields, keep).await
    }

    /// Nobody has said that the request may go on.
    async fn fail_closed(&mut self, cause: &str) -> AfterRequest {
        let refused = RefusalReason::ForwardAuthFailed;
        self.refuse_by_auth(refused, OwnAnswer::ForwardAuthFailed);
        if let Some(place) = &self.ctx.found
            && let Some(serving) = place.serving()
        {
            let (service, url) = (&serving.name, serving.forward_auth(place.route).map(|terms| terms.origin.urls()));
            let endpoints = place.snapshot.auth_endpoints(place.service, place.route);
            // Logged now and then, not once per request; of a name without an address the resolver speaks.
            if endpoints.first().is_some_and(|endpoint| endpoint.rest.is_news(clock::now())) {
                tracing::warn!(%service, url, cause, "an auth service gave no answer: requests that need one get 503");
            }
        }
        let keep = self.may_keep();
        self.answer(answers::to_refusal(refused), &[NO_STORE], keep).await
    }

    fn refuse_by_auth(&mut self, refused: RefusalReason, answer: OwnAnswer) {
        self.ctx.refused = Some(refused);
        self.worker.proxy.counters.process.refuse(refused);
        if let Some(place) = &self.ctx.found
            && let Some(serving) = place.serving()
        {
            serving.count_own_answer(place.route, answer);
        }
    }
}

/// Asks one address after the other until there is a connection; those that had none last.
async fn ask(
    connector: &Connector,
    endpoints: &[Endpoint],
    request: &OriginRequest,
) -> Result<OriginResponse, OriginError> {
    let (resting, ready): (Vec<_>, Vec<_>) = endpoints.iter().partition(|endpoint| endpoint.rest.is_on(clock::now));
    let mut failed = OriginError::Connect;
    for endpoint in ready.into_iter().chain(resting) {
        match exchange(connector, endpoint, request, ConnectionReuse::Bounded, LONGEST_BODY).await {
            Ok(answer) => {
                endpoint.rest.succeed();
                return Ok(answer);
            }
            Err(error) if is_unconnected(&error) => {
                endpoint.rest.begin(clock::now());
                failed = error;
            }
            Err(error) => return Err(error),
        }
    }
    Err(failed)
}

fn is_unconnected(error: &OriginError) -> bool {
    matches!(error.failure(), AttemptFailure::Connect | AttemptFailure::Tls)
        || matches!(error, OriginError::ConnectTimeout | OriginError::TlsTimeout)
}

fn outcome_of(error: &OriginError) -> ForwardAuthOutcome {
    match error.failure() {
        AttemptFailure::Timeout => ForwardAuthOutcome::Timeout,
        AttemptFailure::Connect | AttemptFailure::Exhausted | AttemptFailure::Tls => ForwardAuthOutcome::Unreachable,
        _ => ForwardAuthOutcome::Invalid,
    }
}

/// What an answer means.
///
/// # Errors
/// It means nothing.
fn judge(terms: &Arc<ForwardAuthTerms>, answer: OriginResponse) -> Result<AuthAnswer, &'static str> {
    match answer.status {
        200..=299 => {
            let grant = AuthGrant::new(terms.clone(), &answer.headers);
            grant.map(AuthAnswer::GoOn).ok_or("the headers to copy are over 32 KiB")
        }
        // A 304 is about a copy that nobody has asked of it.
        300..=303 | 305..=599 if answer.length <= LONGEST_BODY as u64 => Ok(AuthAnswer::Denied(answer)),
        300..=303 | 305..=599 => Err("the body is over 64 KiB"),
        _ => Err("unexpected status"),
    }
}
