//! Whether a request that is over is copied for the candidate, which no client has met yet.

use http1::Framing;

use crate::head::{self, write_request};
use crate::proxy::exchange::Exchange;
use crate::proxy::mirror::{COPY_MARK, RequestCopy};
use crate::proxy::routed_request::RoutedRequest;
use judgement::traffic::split::turn;

/// What a head takes, as a rule, in bytes.
const USUAL_HEAD: usize = 1024;

const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

impl Exchange<'_> {
    /// Copies the request if it changes nothing, active has answered it, and it is drawn.
    pub(super) fn copy_for_candidate(&self) {
        let (Some(routed), Some(queue)) = (&self.ctx.routed, &self.worker.proxy.mirror) else { return };
        let Some(service) = routed.service() else { return };
        if !self.is_copied(routed)
            || !turn(service.terms.mirror.share, service.mirror_turns.next(self.worker.proxy.shard))
        {
            return;
        }
        let Ok(place) = queue.try_reserve() else { return service.mirrored.drop_copy() };
        let Some(endpoint) = routed.endpoint() else { return };
        let Some(change) = self.request_change(endpoint, false) else { return };
        // The one request in so many that is copied pays for its copy.
        let mut text = Vec::with_capacity(USUAL_HEAD);
        write_request(&mut text, self.client.view(), &change);
        let host = head::host_as_sent(self.client.view()).map(Box::from);
        place.send(RequestCopy { service: service.clone(), head: text, base: endpoint.base_path.len(), host });
    }

    /// Whether it is one of those of which some are copied.
    fn is_copied(&self, routed: &RoutedRequest) -> bool {
        let request = self.client.view();
        let is_safe = matches!(request.method(), "GET" | "HEAD") && self.framing == Framing::None && !routed.upgrade;
        let is_answered = self.ctx.told.is_some() && self.ctx.refused.is_none() && !self.ctx.aborted;
        // Who has identified himself by his connection has not done so by another one.
        let is_anybodys = !self.is_own && !head::needs_own_connection(request);
        // Some frameworks take such a GET for what it says here.
        let changes = METHOD_OVERRIDES.iter().any(|name| request.find(name).is_some());
        is_safe && !changes && is_answered && is_anybodys && routed.was_actives() && request.find(COPY_MARK).is_none()
    }
}
