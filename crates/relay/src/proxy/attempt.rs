//! One request's way through endpoints and environments, and what is counted of it.

use std::sync::Arc;

use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;

use crate::origin::cause::cause;
use crate::proxy::request_view::is_repeatable;
use crate::proxy::rescue::{FailedTry, is_safe};
use judgement::time::Millis;
use judgement::traffic::rule::RoutingRule;
use judgement::traffic::{Decision, DecisionReason, Environment};
use memory::clock;
use memory::counters::{AttemptFailure, AttemptOutcome, Counters, ResponseClass, RouteCounters, Shard};
use memory::snapshot::{Endpoint, HeaderEdits, RoutingSnapshot, ServedService};
use sidecar::SidecarHandle;

/// Endpoints of one environment that a request tries to connect to.
const CONNECTS: u8 = 3;
/// Kept connections that turn out to be closed, before it counts as a failure.
const STALE: u8 = 2;

/// What comes after a failed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Another endpoint, or another connection, of the same environment.
    Endpoint,
    GiveUp,
}

/// A routed request. Keeps its snapshot: however often it is tried, it sees one generation.
#[derive(Debug)]
pub struct Attempt {
    pub snapshot: Arc<RoutingSnapshot>,
    pub decision: Decision,
    /// Where the current try goes: the decision's, or active after a rescue.
    side: Environment,
    /// The endpoint of the current try.
    at: usize,
    first: Option<usize>,
    connects: u8,
    /// The endpoints of this side that took no connection, by their place; past 64 they may be asked twice.
    tried: u64,
    /// Why the first of them did not: the last may only be the address that nobody listens on.
    pub connect_failure: Option<AttemptFailure>,
    stales: u8,
    started: u64,
    /// When the current try's head was sent, in microseconds on the monotonic clock.
    pub sent_at: u64,
    head_at: u64,
    status: u16,
    pub failure: Option<AttemptFailure>,
    pub rescued: bool,
    /// The request asks for a WebSocket, and may.
    pub upgrade: bool,
    /// Interim answers of the current try.
    pub interims: u8,
    /// Why it had to be rescued.
    pub fell: Option<AttemptFailure>,
    /// How often an endpoint was chosen: another address, another connection, a rescue.
    pub tries: u16,
    /// The client hung up: counts for nobody.
    pub aborted: bool,
    /// The client had left before its request failed: it saw nothing of that.
    pub unseen: bool,
    /// It is in its cohort as sent, and not yet as ended.
    out: bool,
    pin: Option<[u8; 16]>,
}

impl Attempt {
    pub fn new(snapshot: Arc<RoutingSnapshot>, decision: Decision, pin: Option<[u8; 16]>, started: u64) -> Attempt {
        Attempt {
            snapshot,
            side: decision.environment,
            decision,
            at: 0,
            first: None,
            connects: 0,
            tried: 0,
            connect_failure: None,
            stales: 0,
            started,
            sent_at: started,
            head_at: 0,
            status: 0,
            failure: None,
            rescued: false,
            upgrade: false,
            interims: 0,
            fell: None,
            tries: 0,
            aborted: false,
            unseen: false,
            out: false,
            pin,
        }
    }

    pub fn allows_websockets(&self) -> bool {
        self.serving().is_some_and(|serving| serving.websocket)
    }

    pub fn serving(&self) -> Option<&Arc<ServedService>> {
        self.snapshot.serving(self.decision.service)
    }

    fn counters(&self) -> Option<&RouteCounters> {
        self.serving().and_then(|serving| serving.counters(self.decision.route))
    }

    /// Bytes of a body that the service takes.
    pub fn max_body(&self) -> u64 {
        self.serving().map_or(0, |serving| serving.terms.max_body)
    }

    /// The route's changes to heads.
    pub fn edits(&self) -> Option<&HeaderEdits> {
        self.serving().and_then(|serving| serving.edits(self.decision.route))
    }

    fn endpoints(&self) -> &[Endpoint] {
        self.snapshot.endpoints(self.decision.service, self.side)
    }

    /// The endpoint of the current try.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoints().get(self.at)
    }

    /// Chooses the endpoint of the next try: in turn, those that rest last. `None`: the environment has no address.
    pub fn next_peer(&mut self, shard: Shard) -> Option<Box<HttpPeer>> {
        if self.tries == 0 && !self.rescued {
            self.dispatch(shard);
        }
        let many = self.endpoints().len();
        if many > 1 {
            let first = match self.first {
                Some(first) => first,
                None => {
                    let turns = self.serving().map(|serving| self.side.of(&serving.endpoint_turns));
                    turns.map_or(0, |turns| turns.next(shard) as usize) % many
                }
            };
            self.first = Some(first);
            let new = (first..first + many).map(|at| at % many).filter(|at| self.tried >> (at % 64) & 1 == 0);
            let awake = |at: &usize| self.endpoints().get(*at).is_some_and(|endpoint| !endpoint.rest.is_on(clock::now));
            self.at = new.clone().find(awake).or_else(|| new.clone().next()).unwrap_or(first);
        } else {
            self.at = 0;
        }
        self.tries = self.tries.saturating_add(u16::from(many > 0));
        // pingora wants a peer of its own for every try.
        let mut peer = Box::new(self.endpoint()?.peer.clone());
        if self.upgrade {
            // WebSockets are HTTP/1.1's, and silent for as long as they like: the client's side sees to that.
            (peer.options.alpn, peer.options.read_timeout) = (ALPN::H1, None);
        }
        Some(peer)
    }

    /// Counts that the request goes out, before a connection is made: one that hangs is out, too.
    fn dispatch(&mut self, shard: Shard) {
        let Decision { service, route, judged, candidate, key, why, .. } = self.decision;
        let Some(serving) = self.snapshot.serving(service) else { return };
        let Some(counters) = serving.counters(route) else { return };
        if judged {
            counters.send(shard, self.side, self.started);
            self.out = true;
        } else if why == DecisionReason::Caution {
            counters.record_turned_away(shard, self.side.other());
        }
        if let (true, true, Some(key)) = (candidate, judged, key) {
            serving.keys.note(self.snapshot.table.service(service).1.rollout, key);
        }
    }

    /// Counts that the request is out no more. `now`: microseconds on the monotonic clock.
    fn come_back(&mut self, shard: Shard, now: u64) {
        if std::mem::take(&mut self.out)
            && let Some(counters) = self.counters()
        {
            counters.end(shard, self.side, self.started, now);
        }
    }

    /// Whether the current try must not be made in this version of HTTP. pingora falls back to HTTP/1.1 where an origin
    /// takes no part in the negotiation.
    pub fn must_not_be(&self, version: http::Version) -> bool {
        let only = self.endpoint().is_some_and(|endpoint| endpoint.peer.options.alpn.get_min_http_version() == 2);
        only && !self.upgrade && version != http::Version::HTTP_2
    }

    /// The endpoint of the current try took no connection: it rests, and another one is tried if there is one.
    pub fn refused(&mut self, failure: AttemptFailure, error: &pingora_error::Error) -> AfterFailure {
        if let (Some(endpoint), Some(serving)) = (self.endpoint(), self.serving()) {
            // Said once a rest, not once a request.
            if endpoint.rest.begin(clock::now()) {
                let (service, environment, address) = (&serving.name, self.side, &endpoint.peer._address);
                tracing::warn!(%service, %environment, %address, cause = cause(error), "cannot connect to an origin");
            }
        }
        self.connect_failure.get_or_insert(failure);
        self.tried |= 1 << (self.at % 64);
        self.connects += 1;
        let others = usize::from(self.connects) < self.endpoints().len().min(usize::from(CONNECTS));
        if others && self.elapsed() < self.deadline() { AfterFailure::Endpoint } else { AfterFailure::GiveUp }
    }

    /// The kept connection of the current try was closed already.
    pub fn stale(&mut self) -> AfterFailure {
        self.stales += 1;
        if self.stales <= STALE && self.elapsed() < self.deadline() {
            AfterFailure::Endpoint
        } else {
            AfterFailure::GiveUp
        }
    }

    /// The final head of an answer is here.
    pub fn answered(&mut self, status: u16, shard: Shard) {
        self.status = status;
        self.head_at = clock::micros();
        self.come_back(shard, self.head_at);
        if let Some(endpoint) = self.endpoint() {
            endpoint.rest.end();
        }
    }

    /// Status and time, in microseconds from dispatch to head, of the current try's answer, if one came.
    pub fn answer(&self) -> Option<(u16, u64)> {
        (self.status > 0).then(|| (self.status, self.head_at.saturating_sub(self.sent_at)))
    }

    /// Where the current try goes.
    pub const fn side(&self) -> Environment {
        self.side
    }

    /// The answer broke off in its middle. A tunnel has no middle: it ends when either side leaves.
    pub fn broke_off(&mut self) {
        if self.status != 101 {
            self.failure = Some(AttemptFailure::Truncated);
        }
    }

    fn elapsed(&self) -> Millis {
        Millis(clock::micros().saturating_sub(self.started) / 1000)
    }

    fn deadline(&self) -> Millis {
        self.serving().map_or(Millis::ZERO, |serving| serving.deadline(self.decision.route))
    }

    /// The active environment, as this request's generation has it.
    fn active(&self) -> Environment {
        self.snapshot.table.service(self.decision.service).1.active
    }

    /// Whether the request that failed at `now` may go to the active environment; if so, the budget has been charged for it.
    pub fn may_rescue(&self, now: u64, request: &RequestHeader, unsent: bool, body_kept: bool, answered: bool) -> bool {
        let Some(serving) = self.serving() else { return false };
        let (active, service) = (self.active(), self.decision.service);
        if !serving.rescue || self.rescued || self.side == active || self.snapshot.endpoints(service, active).is_empty()
        {
            return false;
        }
        let fallen = FailedTry {
            repeatable: is_repeatable(request),
            unsent,
            body_kept,
            answered,
            elapsed: Millis(now.saturating_sub(self.started) / 1000),
            deadline: self.deadline(),
        };
        let answers = || serving.routes.iter().map(|route| route.answers(active)).sum();
        is_safe(fallen) && serving.budget.take(Millis(now / 1000), answers)
    }

    /// Counts the try that failed at `now`, and turns to the active environment.
    pub fn rescue(&mut self, counters: &Counters, shard: Shard, sidecar: &SidecarHandle, now: u64) {
        self.record(counters, shard, sidecar, now, false);
        if let Some(counters) = self.counters() {
            counters.record_rescue(shard, self.side, self.decision.judged);
        }
        self.side = self.active();
        (self.rescued, self.fell) = (true, self.failure);
        (self.first, self.connects, self.tried, self.connect_failure, self.stales) = (None, 0, 0, None, 0);
        (self.status, self.head_at, self.failure, self.interims) = (0, 0, None, 0);
    }

    /// The key that the client is to be pinned by. A rescued client draws again.
    pub fn pin(&self) -> Option<[u8; 16]> {
        self.pin.filter(|_| !self.rescued)
    }

    /// The rule that decided, if it wants the headers removed that it names.
    pub fn stripping_rule(&self) -> Option<&RoutingRule> {
        let (DecisionReason::Override(place) | DecisionReason::Rule(place)) = self.decision.why else { return None };
        self.snapshot.table.service(self.decision.service).0.rule(place).filter(|rule| rule.strip)
    }

    /// Counts the current try, at its end. `last`: the client has been answered by it, or not at all. The second try of a
    /// rescued request is not judged: it was chosen by a failure.
    pub fn record(&mut self, counters: &Counters, shard: Shard, sidecar: &SidecarHandle, now: u64, last: bool) {
        self.come_back(shard, now);
        let (class, failure) = match (self.aborted, self.failure, self.status) {
            // An origin that broke off is to blame even if the client noticed first.
            (true, None, _) => (ResponseClass::Aborted, None),
            (_, failure, 0) => (ResponseClass::None, failure.or(Some(AttemptFailure::Reset))),
            (_, failure, status) => (ResponseClass::of_status(status), failure),
        };
        let Decision { environment: first, judged: is_judged, .. } = self.decision;
        let judged = is_judged && !self.rescued;
        let upstream_micros = self.head_at.saturating_sub(self.sent_at);
        let request_micros = if last { now.saturating_sub(self.started).max(1) } else { 0 };
        let Some(route) = self.counters() else { return };
        route.record(shard, self.side, judged, AttemptOutcome { class, failure, upstream_micros, request_micros });
        if failure.is_some() {
            if last && !self.unseen {
                route.record_hurt(shard, first, is_judged);
            }
            if judged && counters.alarm.ring() {
                sidecar.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::IpAddr;

    use super::*;
    use crate::proxy::request_view::{self, HeaderLookup};
    use judgement::guard::window::{ClientImpact, Cohorts};
    use judgement::traffic::decide;
    use judgement::traffic::split::{TrafficSplit, Weight};
    use sidecar::{CurrentRouting, ResolvedRouting};

    /// A snapshot of a service `shop` whose split is this, with one address a side.
    fn snapshot(counters: &Counters, split: &TrafficSplit) -> Arc<RoutingSnapshot> {
        let text = "[service.shop]\n[service.shop.blue]\nurl = \"http://127.0.0.1:1\"\n[service.shop.green]\n\
                    url = \"http://127.0.0.1:2\"\n[service.shop.split]\nsticky = { header = \"x-user\" }\n";
        let mut placed = CurrentRouting::default();
        let routing = config::routing_text("routing.toml", text).unwrap();
        placed.replace(ResolvedRouting { routing, endpoints: HashMap::new() }, counters);
        let table = placed.table(|_| split.clone());
        Arc::new(RoutingSnapshot { generation: 1, table, services: placed.services(), endpoints: placed.endpoints() })
    }

    /// Routes and dispatches a request of user 17, and tells why it went where.
    fn ask(snapshot: &Arc<RoutingSnapshot>, method: &str) -> DecisionReason {
        let request = http::Request::builder().method(method).header("host", "x").header("x-user", "17");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let fields = HeaderLookup(&parts.headers);
        let head = request_view::head(&parts, &fields, "192.0.2.1".parse::<IpAddr>().unwrap());
        let decision = decide(&snapshot.table, &head, |_| 0).unwrap();
        let mut attempt = Attempt::new(snapshot.clone(), decision, None, 0);
        assert!(attempt.next_peer(Shard(0)).is_none(), "nothing is resolved here");
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
