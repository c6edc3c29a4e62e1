//! A routed request from its decision to its end: where it is tried, whether it is rescued, and what is counted.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use crate::origin::OriginError;
use crate::proxy::endpoint_choice::EndpointChoice;
use crate::proxy::rescue::{FailedTry, is_safe};
use crate::proxy::upstream_try::UpstreamTry;
use judgement::time::Millis;
use judgement::traffic::rule::RoutingRule;
use judgement::traffic::{Decision, DecisionReason, Environment, RouteId};
use memory::clock;
use memory::counters::{
    AttemptFailure, AttemptOutcome, Counters, EndpointLimit, EndpointSlot, ResponseClass, RouteCounters, Shard,
    SplitArrival, client_group,
};
use memory::snapshot::{
    Endpoint, FailureRules, HeaderEdits, PathRewrite, RoutingSnapshot, ServedService, SharedSnapshot, StatusMeaning,
};
use sidecar::SidecarHandle;

/// A routed request. It keeps its snapshot: however many attempts it takes, it sees one generation.
#[derive(Debug)]
pub struct RoutedRequest {
    pub snapshot: SharedSnapshot,
    pub decision: Decision,
    /// When its head arrived, in microseconds on the monotonic clock.
    started: u64,
    /// The group that its client falls into by its address.
    client_group: u8,
    /// The key by which a newly sticky client will be pinned.
    pin: Option<[u8; 16]>,
    /// The request asks for a WebSocket, and the service allows it.
    pub upgrade: bool,
    /// The decision's environment, or the other one after a rescue.
    endpoints: EndpointChoice,
    /// How often an endpoint was chosen, including other addresses, other connections and a rescue.
    pub tries: u16,
    pub current: UpstreamTry,
    /// Why the candidate's attempt failed, for a request that active serves instead.
    pub rescued_from: Option<AttemptFailure>,
    /// The client hung up, so this counts for no environment.
    pub aborted: bool,
    /// The client left before its request failed, and saw nothing of the failure.
    pub unseen: bool,
    /// Its cohort has counted it as sent, and not yet as ended.
    in_flight: bool,
    /// As what the split has counted it, until it has ended.
    arrival: Option<SplitArrival>,
}

/// A tunnel that is counted.
#[derive(Debug)]
pub struct OpenTunnel {
    service: Option<Arc<ServedService>>,
    route: RouteId,
    environment: Environment,
    shard: Shard,
    judged: bool,
    /// The generation that was last looked at, and whether its environment got traffic there.
    seen: Cell<(u64, bool)>,
}

impl OpenTunnel {
    /// Whether its environment still gets any of its service's traffic.
    pub fn gets_traffic(&self, now: &RoutingSnapshot) -> bool {
        let (generation, gets) = self.seen.get();
        if generation == now.generation {
            return gets;
        }
        let Some(service) = &self.service else { return true };
        // A service that left the file keeps its tunnels.
        let split = now.table.services().find(|(_, rules, _)| rules.name == service.name).map(|(_, _, split)| split);
        let gets = split.is_none_or(|split| {
            let has_pages = self.environment.of(&split.pages).is_some();
            let has_clients = has_pages || split.live || !split.weight.is_zero();
            split.active == self.environment || !split.stopped && has_clients
        });
        self.seen.set((now.generation, gets));
        gets
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        if let Some(counters) = self.service.as_ref().and_then(|service| service.counters(self.route)) {
            counters.close_tunnel(self.shard, self.environment, self.judged);
        }
    }
}

impl RoutedRequest {
    pub fn new(
        snapshot: SharedSnapshot,
        decision: Decision,
        pin: Option<[u8; 16]>,
        started: u64,
        client: IpAddr,
    ) -> RoutedRequest {
        RoutedRequest {
            snapshot,
            endpoints: EndpointChoice::new(decision.environment),
            decision,
            started,
            client_group: client_group(client),
            pin,
            upgrade: false,
            tries: 0,
            current: UpstreamTry::begin(started),
            rescued_from: None,
            aborted: false,
            unseen: false,
            in_flight: false,
            arrival: None,
        }
    }

    pub fn service(&self) -> Option<&Arc<ServedService>> {
        self.snapshot.serving(self.decision.service)
    }

    fn counters(&self) -> Option<&RouteCounters> {
        self.service().and_then(|service| service.counters(self.decision.route))
    }

    /// The longest request body that the service allows, in bytes.
    pub fn max_body(&self) -> u64 {
        self.service().map_or(0, |service| service.terms.max_body)
    }

    /// The route's changes to heads.
    pub fn edits(&self) -> Option<&HeaderEdits> {
        self.service().and_then(|service| service.edits(self.decision.route))
    }

    /// What becomes of its path, whichever environment it goes to.
    pub fn rewrite(&self) -> Option<&PathRewrite> {
        self.service()
            .and_then(|service| service.route_terms(self.decision.route))
            .and_then(|terms| terms.rewrite.as_ref())
    }

    /// Where the current attempt goes.
    pub const fn environment(&self) -> Environment {
        self.endpoints.environment()
    }

    fn all_endpoints(&self) -> &[Endpoint] {
        self.snapshot.endpoints(self.decision.service, self.environment())
    }

    /// The endpoint of the current attempt.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoints.current(self.all_endpoints())
    }

    /// Whether the endpoint of the current attempt takes only so many requests at once, and has not taken this one.
    pub fn needs_slot(&self) -> bool {
        !self.endpoints.has_slot() && self.endpoint().is_some_and(|endpoint| endpoint.limit.is_some())
    }

    /// The limits of the endpoints that may serve the current attempt, by place.
    pub fn limits(&self) -> Vec<(usize, Arc<EndpointLimit>)> {
        let all = self.all_endpoints();
        let limit = |at: usize| Some((at, all.get(at)?.limit.clone()?));
        self.endpoints.equals(all).into_iter().filter_map(limit).collect()
    }

    /// An endpoint has taken the request.
    pub fn take(&mut self, place: usize, slot: EndpointSlot) {
        self.endpoints.take(place, slot);
    }

    /// Counts the request as a tunnel, for as long as what is returned is there.
    pub fn open_tunnel(&self, shard: Shard) -> OpenTunnel {
        let (environment, judged) = (self.environment(), self.decision.judged);
        if let Some(counters) = self.counters() {
            counters.open_tunnel(shard, environment, judged);
        }
        let service = self.service().cloned();
        // No generation is the first.
        let seen = Cell::new((u64::MAX, true));
        OpenTunnel { service, route: self.decision.route, environment, shard, judged, seen }
    }

    /// No endpoint has anything more to do with the request.
    pub fn leave_endpoint(&mut self) {
        self.endpoints.leave();
    }

    pub const fn is_rescued(&self) -> bool {
        self.rescued_from.is_some()
    }

    /// Chooses the endpoint of the next attempt, by its place among those of the environment; `None` if it has no address.
    /// `own`: the key of the connection that is the client's alone, if it has one.
    pub fn next_endpoint(&mut self, shard: Shard, own: Option<u64>) -> Option<usize> {
        if self.tries == 0 && !self.is_rescued() {
            self.dispatch(shard);
        }
        let (service, environment) = (self.decision.service, self.environment());
        let all = self.snapshot.endpoints(service, environment);
        let turns = || self.snapshot.serving(service).map(|service| environment.of(&service.endpoint_turns));
        let own = own.and_then(|own| all.iter().position(|endpoint| endpoint.connection_key == own));
        self.endpoints.advance(all, own, || turns().map_or(0, |turns| turns.next(shard) as usize));
        self.tries = self.tries.saturating_add(u16::from(!all.is_empty()));
        self.endpoints.place(all)
    }

    /// Counts the request as sent before a connection is made: one that hangs while connecting counts too.
    fn dispatch(&mut self, shard: Shard) {
        let Decision { service, route, judged, candidate, key, why, .. } = self.decision;
        let Some(serving) = self.snapshot.serving(service) else { return };
        let Some(counters) = serving.counters(route) else { return };
        if judged {
            counters.send(shard, self.endpoints.environment(), self.started);
            self.in_flight = true;
        } else if why == DecisionReason::Caution {
            counters.record_turned_away(shard, self.endpoints.environment().other());
        } else if why == DecisionReason::Skew {
            counters.record_skew(shard, self.endpoints.environment());
        }
        if let (true, true, Some(key)) = (candidate, judged, key) {
            serving.keys.note(self.snapshot.table.service(service).1.rollout, key);
        }
        if let Some(tally) = self.snapshot.tally(service).filter(|_| self.decision.by_weight) {
            self.arrival = tally.sent(shard, candidate, key);
        }
    }

    /// Counts the request as ended, once. `now`: microseconds on the monotonic clock.
    fn end_flight(&mut self, shard: Shard, now: u64) {
        if std::mem::take(&mut self.in_flight)
            && let Some(counters) = self.counters()
        {
            counters.end(shard, self.environment(), self.started, now);
        }
    }

    /// The current attempt's endpoint accepted no connection, and rests from now on, unless this process lacks what it takes. Returns whether another endpoint
    /// should be tried.
    pub fn retries_after_connect_failure(&mut self, failure: AttemptFailure, error: &OriginError) -> bool {
        let (service, environment) = (self.decision.service, self.environment());
        if let (Some(endpoint), Some(serving)) = (self.endpoint(), self.service()) {
            // Logged once per rest, or now and then, not once per request.
            let is_news = match error {
                OriginError::Exhausted => endpoint.rest.is_news(clock::now()),
                _ => endpoint.rest.begin(clock::now()),
            };
            if is_news {
                let (service, address) = (&serving.name, endpoint.address);
                tracing::warn!(%service, %environment, %address, cause = error.cause(), "cannot connect to an origin");
            }
        }
        let all = self.snapshot.endpoints(service, environment);
        self.endpoints.connect_failed(failure, all) && self.has_time()
    }

    /// The current attempt's kept connection was already closed. Returns whether another connection should be tried.
    pub fn retries_after_stale_connection(&mut self) -> bool {
        self.endpoints.stale_connection() && self.has_time()
    }

    /// Whether the next attempt must not use a kept connection.
    pub const fn needs_a_new_connection(&self) -> bool {
        self.endpoints.needs_a_new_connection()
    }

    /// The current attempt broke off on active, and may be repeated. Returns whether another endpoint should be tried, which
    /// happens once. A candidate's request goes to active instead.
    pub fn retries_elsewhere(&mut self) -> bool {
        let (service, environment) = (self.decision.service, self.environment());
        let all = self.snapshot.endpoints(service, environment);
        environment == self.active() && self.endpoints.broke_off(all) && self.has_time()
    }

    /// Why the environment's first endpoint accepted no connection.
    pub const fn connect_failure(&self) -> Option<AttemptFailure> {
        self.endpoints.connect_failure
    }

    /// The final response's head has arrived. Whether its status is a failure.
    pub fn answer(&mut self, status: u16, shard: Shard) -> Option<AttemptFailure> {
        let now = clock::micros();
        self.current.answer(status, now);
        self.end_flight(shard, now);
        let meaning = self.failure_rules().map_or(StatusMeaning::Neither, |rules| rules.meaning(status));
        self.current.is_refusal = meaning == StatusMeaning::Refusal;
        let StatusMeaning::Failure(failure) = meaning else {
            self.endpoint().into_iter().for_each(|endpoint| endpoint.rest.succeed());
            return None;
        };
        // Another address would not answer a 429 in any other way.
        match status {
            500.. => self.broke_off(),
            _ => self.endpoint().into_iter().for_each(|endpoint| endpoint.rest.succeed()),
        }
        Some(failure)
    }

    /// What counts as a failure on the route.
    pub fn failure_rules(&self) -> Option<&FailureRules> {
        self.service().map(|service| service.failure_rules(self.decision.route))
    }

    /// The current attempt's endpoint has failed: one that does so most of the time rests.
    pub fn broke_off(&self) {
        if let (Some(endpoint), Some(serving)) = (self.endpoint(), self.service())
            && endpoint.rest.fail(clock::now)
            && self.all_endpoints().len() > 1
        {
            let (service, environment, address) = (&serving.name, self.environment(), endpoint.address);
            tracing::warn!(%service, %environment, %address, "an origin's address fails most of its requests; others are tried first");
        }
    }

    /// The current attempt's endpoint has sent what is no response. Logged now and then, not once per request.
    pub fn log_invalid(&self, error: &OriginError) {
        if let (Some(endpoint), Some(serving)) = (self.endpoint(), self.service())
            && endpoint.rest.is_news(clock::now())
        {
            let (service, environment, address) = (&serving.name, self.environment(), endpoint.address);
            tracing::warn!(%service, %environment, %address, cause = error.cause(), "an origin's response was not passed on");
        }
    }

    /// Where the request takes one of so many places at its endpoint.
    pub const fn slot(&self) -> Option<&EndpointSlot> {
        self.endpoints.slot()
    }

    fn has_time(&self) -> bool {
        Millis(clock::micros().saturating_sub(self.started) / 1000) < self.deadline()
    }

    fn deadline(&self) -> Millis {
        self.service().map_or(Millis::ZERO, |service| service.deadline(self.decision.route))
    }

    /// Whether copies of its service's requests go to the candidate.
    pub fn is_shadowed(&self) -> bool {
        self.snapshot.table.service(self.decision.service).1.shadow.is_some()
    }

    /// Whether active has answered what the candidate is to answer alike: no rule has sent it there, and its route takes
    /// part.
    pub fn was_actives(&self) -> bool {
        let split = self.snapshot.table.service(self.decision.service).1;
        let route = || self.service().map(|service| service.index_of(self.decision.route));
        let takes_part = split.only.as_ref().is_none_or(|only| route().is_some_and(|route| only.contains(&route)));
        takes_part && self.environment() == split.active && !self.is_rescued()
    }

    /// The active environment in this request's generation.
    fn active(&self) -> Environment {
        self.snapshot.table.service(self.decision.service).1.active
    }

    /// Who serves again what this environment fails: active for a candidate, and for an active that was just promoted
    /// the side that it replaced.
    fn rescuer(&self) -> Option<Environment> {
        let split = self.snapshot.table.service(self.decision.service).1;
        let rescuer = self.environment().other();
        (rescuer == split.active || split.warm && *rescuer.of(&split.up)).then_some(rescuer)
    }

    /// Whether the request that failed at `now` may go to the other environment; if so, the budget has been charged.
    /// `repeatable`: by its method, or because its client says so.
    pub fn may_rescue(&self, now: u64, repeatable: bool, unsent: bool, body_kept: bool) -> bool {
        let Some(service) = self.service() else { return false };
        let rescuer = self.rescuer().filter(|_| service.rescue && !self.is_rescued());
        if rescuer.is_none_or(|rescuer| self.snapshot.endpoints(self.decision.service, rescuer).is_empty()) {
            return false;
        }
        let failed = FailedTry {
            repeatable,
            unsent,
            body_kept,
            elapsed: Millis(now.saturating_sub(self.started) / 1000),
            deadline: self.deadline(),
        };
        let active = self.active();
        let answers = || service.routes.iter().map(|route| route.answers(active)).sum();
        // Nobody else is on a side that was replaced, and it had all of the traffic a moment ago: nothing is to be spared.
        is_safe(failed) && (rescuer != Some(active) || service.budget.take(Millis(now / 1000), answers))
    }

    /// Counts the attempt that failed at `now`, and turns to the other environment.
    pub fn rescue(&mut self, counters: &Counters, shard: Shard, sidecar: &SidecarHandle, now: u64) {
        self.record(counters, shard, sidecar, now, false);
        if let Some(counters) = self.counters() {
            counters.record_rescue(shard, self.environment(), self.decision.judged);
        }
        self.rescued_from = self.current.failure.or(Some(AttemptFailure::Reset));
        self.endpoints = EndpointChoice::new(self.environment().other());
        self.current = UpstreamTry::begin(now);
    }

    /// The key by which the client will be pinned. A rescued client is not pinned, and draws again.
    pub fn pin(&self) -> Option<[u8; 16]> {
        self.pin.filter(|_| !self.is_rescued())
    }

    /// The version that the environment serves pages of, if those may ask for it.
    pub fn page_version(&self) -> Option<&str> {
        self.environment().of(&self.snapshot.table.service(self.decision.service).1.pages).as_deref()
    }

    /// The rule that decided, if the headers that it names are to be removed.
    pub fn stripping_rule(&self) -> Option<&RoutingRule> {
        let (DecisionReason::Override(place) | DecisionReason::Rule(place)) = self.decision.why else { return None };
        self.snapshot.table.service(self.decision.service).0.rule(place).filter(|rule| rule.strip)
    }

    /// Counts the current attempt when it ends. `last`: it has answered the client, or nothing has. The second attempt
    /// of a rescued request is not judged, because a failure selected it.
    pub fn record(&mut self, counters: &Counters, shard: Shard, sidecar: &SidecarHandle, now: u64, last: bool) {
        self.end_flight(shard, now);
        let (class, failure) = match (self.aborted, self.current.failure, self.current.status()) {
            // An origin that broke off is to blame even if the client noticed first.
            (true, None, _) => (ResponseClass::Aborted, None),
            // A request that met a closing connection, or others' clients, is nobody's failure, although its client is told
            // of one.
            (_, Some(failure), 0) if !failure.is_judged() => (ResponseClass::Aborted, Some(failure)),
            (_, failure, 0) => (ResponseClass::None, failure.or(Some(AttemptFailure::Reset))),
            (_, failure, status) => (ResponseClass::of_status(status), failure),
        };
        // The first attempt that ends is the one that the split has sent.
        if let Some(arrival) = self.arrival.take()
            && class == ResponseClass::Aborted
            && let Some(tally) = self.snapshot.tally(self.decision.service)
        {
            tally.left(shard, arrival);
        }
        let Decision { environment: first, judged: is_judged, .. } = self.decision;
        let judged = is_judged && !self.is_rescued();
        let upstream_micros = self.current.upstream_micros();
        let request_micros = if last { now.saturating_sub(self.started).max(1) } else { 0 };
        let Some(route) = self.counters() else { return };
        let UpstreamTry { is_refusal, is_loop, body, .. } = self.current;
        // What has failed is nothing else besides.
        let (body, is_loop) = if failure.is_none() { (body, is_loop) } else { (None, false) };
        let client = self.client_group;
        let outcome =
            AttemptOutcome { class, failure, is_refusal, body, is_loop, client, upstream_micros, request_micros };
        route.record(shard, self.environment(), judged, outcome);
        if failure.is_some_and(AttemptFailure::is_judged) {
            if last && !self.unseen {
                route.record_hurt(shard, first, is_judged);
            }
            if judged && counters.alarm.ring() {
                sidecar.wake();
            }
        } else if last && self.is_rescued() && failure.is_none() && !self.aborted {
            route.record_saved(shard, first, is_judged);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use http1::{Head, HeadLimits, parse_request};
    use judgement::guard::window::{ClientImpact, Cohorts};
    use judgement::traffic::decide;
    use judgement::traffic::split::{TrafficSplit, Weight};
    use memory::snapshot::RoutingSnapshot;
    use sidecar::{CurrentRouting, ResolvedRouting};

    /// A snapshot of a service `shop` with this split and one address per side.
    fn snapshot(counters: &Counters, split: &TrafficSplit) -> SharedSnapshot {
        let text = "[service.shop]\n[service.shop.blue]\nurl = \"http://127.0.0.1:1\"\n[service.shop.green]\n\
                    url = \"http://127.0.0.1:2\"\n[service.shop.split]\nsticky = { header = \"x-user\" }\n";
        let mut placed = CurrentRouting::default();
        let routing = config::routing_text("routing.toml", text).unwrap();
        placed.replace(ResolvedRouting { routing, ..ResolvedRouting::default() }, counters);
        let table = placed.table(|_| split.clone());
        Rc::new(Arc::new(RoutingSnapshot {
            generation: 1,
            tallies: Box::from([counters.split_tally("shop", split)]),
            table,
            services: placed.services(),
            endpoints: placed.endpoints(),
            auth_endpoints: placed.auth_endpoints(),
        }))
    }

    /// Routes and dispatches a request of user 17, and tells why it went where.
    fn ask(snapshot: &SharedSnapshot, method: &str) -> DecisionReason {
        let text = format!("{method} / HTTP/1.1\r\nHost: x\r\nX-User: 17\r\n\r\n");
        let mut head = Head::default();
        parse_request(text.as_bytes(), &mut head, &HeadLimits::default()).unwrap();
        let view = head.view(text.as_bytes());
        let client = "192.0.2.1".parse::<IpAddr>().unwrap();
        let decision = decide(&snapshot.table, &view.request_head(client), |_| 0).unwrap();
        let mut routed = RoutedRequest::new(snapshot.clone(), decision, None, 0, client);
        assert!(routed.next_endpoint(Shard(0), None).is_none(), "nothing is resolved here");
        decision.why
    }

    #[test]
    fn what_caution_turns_away_counts_for_the_candidate_and_is_in_no_cohort() {
        let counters = Counters::new(1);
        let split = TrafficSplit { weight: Weight::FULL, cautious: true, ..TrafficSplit::resting(Environment::Blue) };
        let snapshot = snapshot(&counters, &split);
        (0..3).for_each(|_| assert_eq!(ask(&snapshot, "POST"), DecisionReason::Caution));
        let route = counters.route("shop", "default");
        let [blue, green] = Environment::BOTH.map(|side| route.totals(side));
        assert_eq!(green.tally, ClientImpact { turned_away: 3, ..ClientImpact::default() });
        assert_eq!((blue.tally, green.cohorts, blue.cohorts), Default::default());
        assert_eq!(counters.keys("shop").estimate(0), 0, "it has not met the candidate");

        assert_eq!(ask(&snapshot, "GET"), DecisionReason::Bucket);
        let green = route.totals(Environment::Green);
        assert_eq!((green.tally.turned_away, green.cohorts.sent[0]), (3, 1));
    }

    #[test]
    fn a_key_is_noted_for_the_rollout_that_the_snapshot_is_of() {
        let counters = Counters::new(1);
        let split = TrafficSplit { weight: Weight::FULL, rollout: 5, ..TrafficSplit::resting(Environment::Blue) };
        ask(&snapshot(&counters, &split), "GET");
        let keys = counters.keys("shop");
        assert_eq!((keys.estimate(4), keys.estimate(5), keys.estimate(6)), (0, 1, 0));
        let home = TrafficSplit { rollout: 6, ..TrafficSplit::resting(Environment::Blue) };
        ask(&snapshot(&counters, &home), "GET");
        assert_eq!(keys.estimate(6), 0, "active is no news to anybody");
        assert_ne!(counters.route("shop", "default").totals(Environment::Blue).cohorts, Cohorts::default());
    }
}
