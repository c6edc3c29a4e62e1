//! Where a request goes, before anything of it is sent anywhere.

use http1::HeadView;

use crate::head;
use crate::proxy::answers;
use crate::proxy::connection_limits::counted_as;
use crate::proxy::context::{ClientConnection, FoundPlace};
use crate::proxy::exchange::{AfterRequest, Exchange, NO_STORE};
use judgement::time::Millis;
use judgement::traffic::FoundRoute;
use judgement::traffic::split::RequestHold;
use judgement::traffic::sticky::StickyKey;
use memory::clock;
use memory::counters::{OwnAnswer, RefusalReason};
use memory::snapshot::{RouteTerms, ServedService};

/// Where a request goes.
pub(super) enum Admission {
    Forward,
    /// To another address, by the client: with this status.
    Redirect(u16, String),
    /// No further: its key has used up what its route allows, for so long.
    RateLimited(Millis),
    /// No further: nobody is served for now.
    Maintenance,
    /// Nowhere yet.
    Hold(RequestHold),
    /// Nowhere before its auth service was asked.
    ForwardAuth,
    /// No further: OPTIONS that may not be forwarded.
    Options,
}

/// What becomes of a request that had to wait for somebody.
pub(super) enum Waited {
    /// It is routed by what is in force now.
    GoesOn,
    Ended(AfterRequest),
}

impl Exchange<'_> {
    pub(super) fn admit(&mut self) -> Result<Admission, RefusalReason> {
        let (worker, request) = (self.worker, self.client.view());
        if head::refuses_method(request.method()) {
            return Err(RefusalReason::Method);
        }
        let forwards = head::forwards_left(request)?;
        let snapshot = worker.snapshot();
        let facts = request.request_head(self.ctx.client);
        let found = FoundRoute::find(&snapshot.table, &facts)?;
        let ClientConnection { https, trusted, .. } = *self.connection;
        let by_https = || head::came_by_https(https, trusted, request);
        if let Some(port) = worker.proxy.redirect_to_https
            && !by_https()
        {
            let location = head::redirect_to_https(request, port).ok_or(RefusalReason::BadHost)?;
            return Ok(Admission::Redirect(308, location));
        }
        if forwards == Some(0) {
            return Ok(Admission::Options);
        }
        let serving = snapshot.serving(found.service).ok_or(RefusalReason::UnknownHost)?;
        if serving.terms.maintenance.is_some() {
            serving.count_own_answer(found.route, OwnAnswer::Maintenance);
            self.ctx.found = Some(FoundPlace::of(&snapshot, &found));
            return Ok(Admission::Maintenance);
        }
        // Most services have no route that asks for anything.
        if let Some(terms) = serving.route_terms(found.route) {
            let started = self.ctx.started;
            // One that was held has been counted before.
            let is_new = self.ctx.found.is_none();
            let limited = || is_new.then(|| rate_limited(serving, terms, &found, started)).flatten();
            let answer = redirected(terms, request, by_https)?.or_else(limited);
            if let Some((admission, kind)) = answer {
                serving.count_own_answer(found.route, kind);
                self.ctx.found = Some(FoundPlace::of(&snapshot, &found));
                return Ok(admission);
            }
        }
        if request.head().content_length().is_some_and(|length| length > serving.terms.max_body) {
            self.ctx.found = Some(FoundPlace::of(&snapshot, &found));
            return Err(RefusalReason::BodyTooLarge);
        }
        let (_, split) = snapshot.table.service(found.service);
        if let Some(hold) = split.hold.filter(|hold| clock::wall_millis() < hold.until) {
            self.ctx.found = Some(FoundPlace::of(&snapshot, &found));
            return Ok(Admission::Hold(hold));
        }
        // What was granted for other terms, which a reload has replaced meanwhile, is asked for again.
        if let Some(terms) = serving.forward_auth(found.route)
            && !self.ctx.grant.as_ref().is_some_and(|grant| grant.is_of(terms))
        {
            self.ctx.found = Some(FoundPlace::of(&snapshot, &found));
            return Ok(Admission::ForwardAuth);
        }
        let mut routed = worker.decide(&snapshot, &found, self.ctx.client, self.ctx.routable);
        routed.upgrade = serving.websocket && !self.client.is_http2() && request.asks_for_websocket();
        self.ctx.routed = Some(routed);
        Ok(Admission::Forward)
    }

    /// Tells a client that nobody is served.
    pub(super) async fn maintain(&mut self) -> AfterRequest {
        let refused = RefusalReason::Maintenance;
        self.ctx.refused = Some(refused);
        self.worker.proxy.counters.process.refuse(refused);
        let retry = self
            .ctx
            .found
            .as_ref()
            .and_then(FoundPlace::serving)
            .and_then(|serving| serving.terms.maintenance.as_ref()?.retry_after.map(|seconds| seconds.to_string()));
        let fields = [NO_STORE, ("Retry-After", retry.as_deref().unwrap_or_default().as_bytes())];
        let fields = if retry.is_some() { &fields[..] } else { &fields[..1] };
        let keep = self.may_keep();
        self.answer(answers::to_refusal(refused), fields, keep).await
    }

    /// Tells a client how long it has to wait for its next request.
    pub(super) async fn refuse_for(&mut self, wait: Millis) -> AfterRequest {
        let refused = RefusalReason::RateLimited;
        self.ctx.refused = Some(refused);
        self.worker.proxy.counters.process.refuse(refused);
        let place = self.ctx.found.as_ref();
        let terms = place.and_then(|place| place.serving()?.route_terms(place.route));
        let policy = terms.and_then(|terms| terms.rate_limit.as_ref()).map_or("", |limit| &limit.policy).to_owned();
        let name = policy.split(';').next().unwrap_or_default();
        // Whoever comes at that time is taken.
        let seconds = wait.0.div_ceil(1000).max(1).to_string();
        let left = format!("{name};r=0;t={seconds}");
        let fields = [
            NO_STORE,
            ("Retry-After", seconds.as_bytes()),
            ("RateLimit-Policy", policy.as_bytes()),
            ("RateLimit", left.as_bytes()),
        ];
        let keep = self.may_keep();
        self.answer(answers::to_refusal(refused), &fields, keep).await
    }
}

fn redirected(
    terms: &RouteTerms,
    request: HeadView<'_>,
    by_https: impl FnOnce() -> bool,
) -> Result<Option<(Admission, OwnAnswer)>, RefusalReason> {
    let Some(target) = &terms.redirect else { return Ok(None) };
    let location = head::redirect_target(request, target, terms.rewrite.as_ref(), by_https());
    let location = location.ok_or(RefusalReason::BadHost)?;
    Ok(Some((Admission::Redirect(target.status, location), OwnAnswer::Redirect)))
}

/// Takes the request from what its key may use. `started`: in microseconds on the monotonic clock.
fn rate_limited(
    serving: &ServedService,
    terms: &RouteTerms,
    found: &FoundRoute<'_>,
    started: u64,
) -> Option<(Admission, OwnAnswer)> {
    let limit = terms.rate_limit.as_ref()?;
    let limiter = serving.rate_limiter(found.route)?;
    let key = match found.key(&limit.by) {
        Some(key @ StickyKey::Bytes(_)) => key,
        _ => StickyKey::Address(counted_as(found.client())),
    };
    let wait = limiter.take(key, limit.rate, started).err()?;
    Some((Admission::RateLimited(wait), OwnAnswer::RateLimited))
}
