//! Where a request goes, before anything of it is sent anywhere.

use crate::head;
use crate::proxy::context::{ClientConnection, FoundPlace};
use crate::proxy::exchange::Exchange;
use judgement::traffic::FoundRoute;
use memory::counters::{OwnAnswer, RefusalReason};

/// Where a request goes.
pub(super) enum Admission {
    Forward,
    /// To another address, by the client: with this status.
    Redirect(u16, String),
    /// No further: OPTIONS that may not be forwarded.
    Options,
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
        let ClientConnection { tls, trusted, .. } = *self.connection;
        if let Some(port) = worker.proxy.redirect_to_https
            && !head::came_by_https(tls.is_some(), trusted, request)
        {
            let location = head::redirect_to_https(request, port).ok_or(RefusalReason::BadHost)?;
            return Ok(Admission::Redirect(308, location));
        }
        if forwards == Some(0) {
            return Ok(Admission::Options);
        }
        let serving = snapshot.serving(found.service).ok_or(RefusalReason::UnknownHost)?;
        // Most services have no route that asks for anything.
        if let Some(terms) = serving.route_terms(found.route)
            && let Some(target) = &terms.redirect
        {
            let https = head::came_by_https(tls.is_some(), trusted, request);
            let location = head::redirect_target(request, target, terms.rewrite.as_ref(), https);
            let location = location.ok_or(RefusalReason::BadHost)?;
            serving.count_own_answer(found.route, OwnAnswer::Redirect);
            self.ctx.found = Some(FoundPlace::of(&snapshot, &found));
            return Ok(Admission::Redirect(target.status, location));
        }
        if request.head().content_length().is_some_and(|length| length > serving.terms.max_body) {
            return Err(RefusalReason::BodyTooLarge);
        }
        let mut routed = worker.decide(&snapshot, &found, self.ctx.client, self.ctx.started);
        routed.upgrade = serving.websocket && !self.client.is_http2() && request.asks_for_websocket();
        self.ctx.routed = Some(routed);
        Ok(Admission::Forward)
    }
}
