//! Rules: conditions on a request, and the decision of the rule whose conditions all hold.

use std::ops::ControlFlow;

use ipnet::IpNet;
use regex::bytes::Regex;

use crate::traffic::Environment;
use crate::traffic::head::{HeaderSource, NameMask, RequestHead};
use crate::traffic::host::HostPattern;
use crate::traffic::names::{FieldName, MethodName};
use crate::traffic::path::{Glob, under};
use crate::traffic::route::RouteIndex;
use crate::traffic::split::Weight;
use crate::traffic::sticky::{StickyBy, StickyKey};

/// A rule as the file defines it.
#[derive(Clone, Debug)]
pub struct RoutingRule {
    pub name: String,
    /// All must hold; the check refuses an empty list.
    pub conditions: Vec<RuleCondition>,
    pub answer: RuleTarget,
    /// Applies even at weight 0 and after a rollback; not judged.
    pub overrides: bool,
    /// Remove the headers that the rule names before forwarding, if the rule decided.
    pub strip: bool,
    /// The index among the service's rules with a share; set when the table is compiled.
    pub share: u32,
}

/// Where a rule sends the requests that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleTarget {
    Environment(Environment),
    Active,
    Candidate,
    /// This share of them to the candidate.
    Share(Weight),
}

#[derive(Clone, Debug)]
pub enum RuleCondition {
    Header {
        name: FieldName,
        test: ValueTest,
    },
    Cookie {
        name: String,
        test: ValueTest,
    },
    Query {
        name: String,
        test: ValueTest,
    },
    Path(PathTest),
    Method(Vec<MethodName>),
    Host(Vec<HostPattern>),
    ClientAddress(Vec<IpNet>),
    /// `None` in the list is the default route.
    Route(Vec<Option<RouteIndex>>),
}

/// A test of one value.
#[derive(Clone, Debug)]
pub enum ValueTest {
    Equals(Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
    Contains(Vec<u8>),
    /// Anchored at both ends: the whole value must match.
    Regex(Regex),
    Present,
    Absent,
}

#[derive(Clone, Debug)]
pub enum PathTest {
    Exact(String),
    /// Without trailing slash.
    Prefix(String),
    Regex(Regex),
    Glob(Glob),
}

/// A regular expression over bytes that must match the whole value, in linear time.
///
/// # Errors
/// What the regex crate says of the pattern.
pub fn whole_regex(pattern: &str) -> Result<Regex, regex::Error> {
    // The pattern must be valid on its own, or `a)|(b` would slip through the group around it.
    let build = |pattern: &str| regex::bytes::RegexBuilder::new(pattern).unicode(false).size_limit(1 << 20).build();
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

impl ValueTest {
    /// Whether a value that is present passes.
    fn passes(&self, value: &[u8]) -> bool {
        match self {
            ValueTest::Present | ValueTest::Absent => true,
            ValueTest::Equals(want) => value == want,
            ValueTest::Prefix(want) => value.starts_with(want),
            ValueTest::Suffix(want) => value.ends_with(want),
            ValueTest::Contains(want) => memchr::memmem::find(value, want).is_some(),
            ValueTest::Regex(regex) => regex.is_match(value),
        }
    }

    /// Whether one value passes, given whether any does; `Absent` requires that none does.
    const fn holds(&self, any_passes: bool) -> bool {
        any_passes != matches!(self, ValueTest::Absent)
    }
}

impl RoutingRule {
    pub fn holds(&self, facts: &RequestFacts<'_, '_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(facts))
    }

    /// The headers that the rule names, for `strip`.
    pub fn header_names(&self) -> impl Iterator<Item = &FieldName> {
        self.conditions.iter().filter_map(|condition| match condition {
            RuleCondition::Header { name, .. } => Some(name),
            _ => None,
        })
    }
}

/// The rules of one service that are evaluated together, in file order.
///
/// What every rule needs of the header mask is in a list of its own: twenty rules that do not match are twenty
/// comparisons in three cache lines.
#[derive(Debug, Default)]
pub struct RuleList {
    needs: Vec<NameMask>,
    /// With their index in the file.
    rules: Vec<(u32, RoutingRule)>,
}

impl RuleList {
    pub fn push(&mut self, place: u32, rule: RoutingRule) {
        let mut needs = NameMask::default();
        for condition in &rule.conditions {
            match condition {
                RuleCondition::Header { test: ValueTest::Absent, .. } => {}
                RuleCondition::Header { name, .. } => needs.add(name.mask()),
                _ => {}
            }
        }
        self.needs.push(needs);
        self.rules.push((place, rule));
    }

    /// The first rule that holds.
    #[inline]
    pub fn first(&self, facts: &RequestFacts<'_, '_>) -> Option<(u32, &RoutingRule)> {
        let possible = self.needs.iter().zip(&self.rules).filter(|(needs, _)| facts.names.may_have(**needs));
        possible.map(|(_, rule)| rule).find(|(_, rule)| rule.holds(facts)).map(|(place, rule)| (*place, rule))
    }

    /// In the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &RoutingRule> {
        self.rules.iter().map(|(_, rule)| rule)
    }

    /// The rule at this index in the file.
    pub fn at(&self, place: u32) -> Option<&RoutingRule> {
        self.rules.iter().find(|(at, _)| *at == place).map(|(_, rule)| rule)
    }
}

impl RuleCondition {
    fn holds(&self, facts: &RequestFacts<'_, '_>) -> bool {
        match self {
            RuleCondition::Header { name, test } => {
                // The mask avoids the lookup, so 20 rules on 20 headers stay cheap.
                let possible = facts.names.may_have(name.mask());
                test.holds(possible && facts.head.fields.find(name.as_str(), |value| test.passes(value)).is_some())
            }
            RuleCondition::Cookie { name, test } => {
                test.holds(facts.cookie(name, |value| test.passes(value)).is_some())
            }
            RuleCondition::Query { name, test } => {
                test.holds(facts.query(name).is_some_and(|value| test.passes(value)))
            }
            RuleCondition::Path(PathTest::Exact(path)) => facts.path == path,
            RuleCondition::Path(PathTest::Prefix(prefix)) => under(facts.path, prefix),
            RuleCondition::Path(PathTest::Regex(regex)) => regex.is_match(facts.path.as_bytes()),
            RuleCondition::Path(PathTest::Glob(glob)) => glob.matches(facts.path),
            RuleCondition::Method(methods) => methods.iter().any(|method| method.as_str() == facts.head.method),
            RuleCondition::Host(hosts) => hosts.iter().any(|host| host.matches(facts.host)),
            RuleCondition::ClientAddress(nets) => {
                let client = facts.head.client.to_canonical();
                nets.iter().any(|net| net.contains(&client))
            }
            RuleCondition::Route(routes) => routes.contains(&facts.route),
        }
    }
}

/// A request as rules read it.
pub struct RequestFacts<'f, 'a> {
    pub(super) head: &'f RequestHead<'a>,
    host: &'f str,
    path: &'f str,
    route: Option<RouteIndex>,
    /// Of the header fields.
    pub(super) names: NameMask,
}

impl<'f, 'a> RequestFacts<'f, 'a> {
    #[inline]
    pub fn new(
        head: &'f RequestHead<'a>,
        host: &'f str,
        path: &'f str,
        route: Option<RouteIndex>,
    ) -> RequestFacts<'f, 'a> {
        RequestFacts { names: head.fields.names(), head, host, path, route }
    }

    /// The client's sticky key. An empty value is not a key.
    pub fn key(&self, sticky: &StickyBy) -> Option<StickyKey<'a>> {
        match sticky {
            StickyBy::None => None,
            StickyBy::Cookie(name) => self.cookie(name, |value| !value.is_empty()).map(StickyKey::Bytes),
            StickyBy::Header(name) => {
                self.head.fields.find(name.as_str(), |value| !value.is_empty()).map(StickyKey::Bytes)
            }
            StickyBy::ClientAddress => Some(StickyKey::Address(self.head.client.to_canonical())),
        }
    }

    /// The first value of a cookie that passes, quotes included, from any Cookie line.
    pub(super) fn cookie(&self, name: &str, wanted: impl Fn(&[u8]) -> bool) -> Option<&'a [u8]> {
        if !self.names.may_have(NameMask::of("cookie")) {
            return None;
        }
        cookie(self.head.fields, name, wanted)
    }

    /// The first value of a query parameter, as sent.
    pub(super) fn query(&self, name: &str) -> Option<&'a [u8]> {
        self.head.query?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value.as_bytes())
        })
    }
}

/// The first value of a cookie that passes, quotes included, from any Cookie line.
pub(super) fn cookie<'a>(fields: &'a dyn HeaderSource, name: &str, wanted: impl Fn(&[u8]) -> bool) -> Option<&'a [u8]> {
    let mut found = None;
    fields.visit("cookie", &mut |line| {
        let values = line.split(|byte| *byte == b';').filter_map(|pair| {
            let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"=")
        });
        found = values.into_iter().find(|value| wanted(value));
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}
