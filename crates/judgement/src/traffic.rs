//! Which environment serves a request: the routing truth as one immutable [`RoutingTable`], and [`decide`] over it.
//!
//! Pure: no clock, no randomness, no lock, no log. Chance comes in as `draw`, the ordinal of a request without a key in
//! its [`DrawSequence`]; everything else is in the request's head. So the order of decisions can be read here from top
//! to bottom, and tested without a socket.

pub mod head;
pub mod host;
pub mod names;
pub mod path;
pub mod retry;
pub mod route;
pub mod rule;
pub mod skew;
pub mod split;
pub mod sticky;
mod table;

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::traffic::head::{HttpVersion, RequestHead};
use crate::traffic::host::HostPattern;
use crate::traffic::path::NormalizedPath;
use crate::traffic::route::{RouteIndex, Routes};
use crate::traffic::rule::{RequestFacts, RoutingRule, RuleTarget};
use crate::traffic::skew::SkewBy;
use crate::traffic::split::{KeyBucket, TrafficSplit};
use crate::traffic::sticky::{StickyBy, StickyKey};

pub use crate::traffic::table::{RoutingTable, ServiceRules};

/// One of the two copies of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Blue,
    Green,
}

impl Environment {
    pub const BOTH: [Environment; 2] = [Environment::Blue, Environment::Green];

    pub const fn other(self) -> Environment {
        match self {
            Environment::Blue => Environment::Green,
            Environment::Green => Environment::Blue,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Environment::Blue => "blue",
            Environment::Green => "green",
        }
    }

    /// 0 for blue, 1 for green: the index in every pair.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// This environment's part of a pair.
    pub const fn of<T>(self, pair: &[T; 2]) -> &T {
        let [blue, green] = pair;
        match self {
            Environment::Blue => blue,
            Environment::Green => green,
        }
    }

    /// This environment's part of a pair, mutable.
    pub const fn of_mut<T>(self, pair: &mut [T; 2]) -> &mut T {
        let [blue, green] = pair;
        match self {
            Environment::Blue => blue,
            Environment::Green => green,
        }
    }
}

impl std::fmt::Display for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A service's index in the table of one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceId(pub u32);

/// A route's index in the table of one generation, over all services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteId(pub u32);

/// The sequence that a draw comes from: requests without a key are counted one by one in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawSequence {
    /// The split of the service.
    Split(ServiceId),
    /// A rule with a share, by its index among the service's share rules.
    Share(ServiceId, u32),
}

/// Where a request goes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub service: ServiceId,
    pub route: RouteId,
    pub environment: Environment,
    /// Whether the environment is the candidate.
    pub candidate: bool,
    /// Whether the guard counts the response. False for override rules, for what its page's version has sent elsewhere, and
    /// for what could not be rescued during caution.
    pub judged: bool,
    /// The client had no sticky cookie and the split decided: pin it to this result.
    pub pin: bool,
    /// The hash of the client's key, from which its bucket is derived; `None` if it has no key or nobody looked.
    pub key: Option<u64>,
    pub why: DecisionReason,
    /// The weight alone decided, and would have been followed either way: what both sides get of such requests is the
    /// share that the weight promises.
    pub by_weight: bool,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionReason {
    /// The emergency stop.
    Stopped,
    /// The override rule at this index in the service's file order.
    Override(u32),
    /// The candidate has no share.
    NoWeight,
    /// The rollout is limited to other routes.
    OtherRoute,
    /// The rule at this index in the service's file order.
    Rule(u32),
    /// The bucket of the client's key.
    Bucket,
    /// The draw for a request without a key.
    Draw,
    /// The version of the request's page, although something else chose the other side or would have turned it away.
    Skew,
    /// The candidate was chosen, but for now it only gets what could be rescued.
    Caution,
    /// Health checks report the chosen environment as down.
    Failover,
}

/// Why a request cannot be routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutingError {
    /// No service has this host: 404.
    UnknownHost,
    /// No Host on HTTP/1.1, or an invalid one: 400.
    BadHost,
    /// A malformed escape or an encoded NUL in the path: 400.
    BadPath,
    /// A request line whose target is not a path: 400.
    BadTarget,
}

/// A request whose service and route are known, while no environment is chosen yet: whoever answers it now has drawn
/// nothing, and its split stays exact.
#[derive(Debug)]
pub struct FoundRoute<'a> {
    table: &'a RoutingTable,
    head: &'a RequestHead<'a>,
    host: Option<Cow<'a, str>>,
    path: NormalizedPath<'a>,
    pub service: ServiceId,
    pub route: RouteId,
    index: Option<RouteIndex>,
}

impl<'a> FoundRoute<'a> {
    /// Finds the service by the host, and the route by the path.
    ///
    /// # Errors
    /// A [`RoutingError`] if the request names no service or cannot be read.
    #[inline]
    pub fn find(table: &'a RoutingTable, head: &'a RequestHead<'a>) -> Result<FoundRoute<'a>, RoutingError> {
        let host = host::of_request(head)?;
        if host.is_none() && head.version == HttpVersion::Http11 {
            // Even if a catch-all would take it (RFC 9112 3.2).
            return Err(RoutingError::BadHost);
        }
        let service = table.service_of(host.as_deref().unwrap_or("")).ok_or(RoutingError::UnknownHost)?;
        let path = NormalizedPath::normalised(head.path)?;
        let (rules, _) = table.service(service);
        let index = rules.routes.find(path.as_str());
        Ok(FoundRoute { table, head, host, path, service, route: rules.route_id(index), index })
    }

    pub const fn client(&self) -> IpAddr {
        self.head.client
    }

    /// The request's key, where it has one.
    pub fn key(&self, by: &StickyBy) -> Option<StickyKey<'a>> {
        RequestFacts::new(self.head, self.host.as_deref().unwrap_or(""), self.path.as_str(), self.index).key(by)
    }

    /// Chooses the environment.
    ///
    /// `draw` gives the ordinal of this request in a sequence, counted from 0. It is called at most once, and only for
    /// requests that nothing else decides, so that the split stays exact.
    #[inline]
    pub fn decide(&self, draw: impl FnOnce(DrawSequence) -> u64) -> Decision {
        let FoundRoute { head, service: service_id, index: route, .. } = *self;
        let (rules, split) = self.table.service(service_id);
        let facts = RequestFacts::new(head, self.host.as_deref().unwrap_or(""), self.path.as_str(), route);

        let choice = choose(rules, split, &facts, route, service_id, draw);
        let page = choice.page(rules, split, &facts);
        let choice = choice.with_page(page).in_doubt(split, page, || !retry::could_be_rescued(head));
        let mut environment = choice.environment;
        let mut why = choice.why;
        // The roles as health checks leave them: a candidate that is down gives way even to an override; an active that is
        // down gives way only if the service says so.
        let may_fail_over = environment != split.active || rules.failover_both;
        if may_fail_over && !environment.of(&split.up) && *environment.other().of(&split.up) {
            environment = environment.other();
            why = DecisionReason::Failover;
        }
        let is_divided = matches!(why, DecisionReason::Bucket | DecisionReason::Draw);
        // A page's version would have sent it to one side only, so what it leaves on the other is no share.
        let by_weight = is_divided && choice.judged && page.is_none() && split.divides_freely();
        Decision {
            service: service_id,
            route: self.route,
            environment,
            candidate: environment != split.active,
            judged: choice.judged,
            pin: choice.pin && why != DecisionReason::Failover,
            key: choice.key,
            why,
            by_weight,
        }
    }
}

/// Finds the service and the route, and chooses the environment.
///
/// # Errors
/// A [`RoutingError`] if the request names no service or cannot be read.
#[inline]
pub fn decide(
    table: &RoutingTable,
    head: &RequestHead<'_>,
    draw: impl FnOnce(DrawSequence) -> u64,
) -> Result<Decision, RoutingError> {
    Ok(FoundRoute::find(table, head)?.decide(draw))
}

struct Choice {
    environment: Environment,
    judged: bool,
    pin: bool,
    key: Option<u64>,
    why: DecisionReason,
}

impl Choice {
    /// The side that the request's page came from, where that is stronger than what has chosen.
    #[inline]
    fn page(&self, service: &ServiceRules, split: &TrafficSplit, facts: &RequestFacts<'_, '_>) -> Option<Environment> {
        let skew = service.skew.as_ref()?;
        match self.why {
            // What a rollout is limited to is said of routes whatever calls them.
            DecisionReason::Stopped | DecisionReason::Override(_) | DecisionReason::OtherRoute => None,
            _ => skew.side(split, facts),
        }
    }

    /// A page's call goes to the side that the page came from. It is judged on neither: nothing has drawn it there, and where
    /// it was drawn it would not have been understood.
    fn with_page(self, page: Option<Environment>) -> Choice {
        match page {
            Some(side) if side != self.environment => {
                Choice { environment: side, judged: false, pin: false, why: DecisionReason::Skew, ..self }
            }
            _ => self,
        }
    }

    /// What could not be rescued is judged on neither side, so that like is compared with like, and is kept from a candidate
    /// in doubt. An override is not judged anyway, and stands.
    ///
    /// A call of the candidate's own page stands too: active does not have the function that it calls, or has another one
    /// of that name. But a candidate that answers nobody is no help to it.
    fn in_doubt(self, split: &TrafficSplit, page: Option<Environment>, unsafe_to_try: impl FnOnce() -> bool) -> Choice {
        let to_candidate = self.environment != split.active;
        let spared = split.standing && to_candidate && *split.active.of(&split.up);
        let asks = self.judged || self.why == DecisionReason::Skew;
        if !(spared && asks || self.judged && split.cautious && unsafe_to_try()) {
            return self;
        }
        match to_candidate {
            false => Choice { judged: false, ..self },
            true if !spared && page == Some(self.environment) => {
                Choice { judged: false, pin: false, why: DecisionReason::Skew, ..self }
            }
            true => {
                let (environment, why) = (split.active, DecisionReason::Caution);
                Choice { environment, judged: false, pin: false, why, ..self }
            }
        }
    }
}

fn choose(
    service: &ServiceRules,
    split: &TrafficSplit,
    facts: &RequestFacts<'_, '_>,
    route: Option<RouteIndex>,
    id: ServiceId,
    draw: impl FnOnce(DrawSequence) -> u64,
) -> Choice {
    if split.stopped {
        return Choice { environment: split.active, judged: true, pin: false, key: None, why: DecisionReason::Stopped };
    }
    // One lazy read of the key, because rules with a share need it as much as the split does.
    let key = facts.key(&service.sticky).map(|key| sticky::hash(service.salt, split.epoch, key));
    let bucket = key.map(KeyBucket::of).map(|bucket| if split.mirrored { bucket.mirrored() } else { bucket });
    let plainly = |environment, why| Choice { environment, judged: true, pin: false, key, why };
    let mut draw = Some(draw);
    let mut share = |weight, rule: &RoutingRule| match bucket {
        Some(bucket) => weight > bucket,
        None => draw.take().is_some_and(|draw| split::turn(weight, draw(DrawSequence::Share(id, rule.share)))),
    };

    if let Some((at, rule)) = service.overrides.first(facts) {
        let environment = answer(rule, split, &mut share);
        return Choice { environment, judged: false, pin: false, key, why: DecisionReason::Override(at) };
    }
    if split.weight.is_zero() && !split.live {
        return plainly(split.active, DecisionReason::NoWeight);
    }
    if split.only.as_ref().is_some_and(|only| !only.contains(&RouteIndex::place(route))) {
        return plainly(split.active, DecisionReason::OtherRoute);
    }
    // What is kept on the old side after a promotion is not a rollout in the sense of the rules.
    let rule = if split.mirrored { None } else { service.rules.first(facts) };
    if let Some((at, rule)) = rule {
        return plainly(answer(rule, split, &mut share), DecisionReason::Rule(at));
    }
    if split.weight.is_zero() {
        return plainly(split.active, DecisionReason::NoWeight);
    }
    let (candidate, pin, why) = match bucket {
        Some(bucket) => (split.weight > bucket, false, DecisionReason::Bucket),
        None => {
            let turn = draw.take().is_some_and(|draw| split::turn(split.weight, draw(DrawSequence::Split(id))));
            (turn, matches!(service.sticky, StickyBy::Cookie(_)), DecisionReason::Draw)
        }
    };
    let environment = if candidate { split.active.other() } else { split.active };
    Choice { environment, judged: true, pin, key, why }
}

fn answer(
    rule: &RoutingRule,
    split: &TrafficSplit,
    share: &mut impl FnMut(split::Weight, &RoutingRule) -> bool,
) -> Environment {
    match rule.answer {
        RuleTarget::Environment(environment) => environment,
        RuleTarget::Active => split.active,
        RuleTarget::Candidate => split.active.other(),
        RuleTarget::Share(weight) if share(weight, rule) => split.active.other(),
        RuleTarget::Share(_) => split.active,
    }
}

/// A service as the configuration defines it: valid, but not yet compiled.
#[derive(Clone, Debug)]
pub struct ServiceDefinition {
    pub name: String,
    /// Empty for the catch-all.
    pub hosts: Vec<HostPattern>,
    pub sticky: StickyBy,
    /// Where requests carry the version of their page, if that counts.
    pub skew: Option<SkewBy>,
    pub routes: Routes,
    pub rules: Vec<RoutingRule>,
    /// An active environment that is down gives way to the candidate.
    pub failover_both: bool,
}

#[cfg(test)]
mod tests;
