//! What a routing file says of where clients are sent, besides the split: what a rollout and a freeze are about.

use std::collections::BTreeMap;

use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::host::HostPattern;
use crate::traffic::rule::{RoutingRule, RuleTarget};

/// Where a service's clients are sent, as its file says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePremises {
    /// The hosts whose requests are its own; none for all that no other service has.
    pub served: Vec<HostPattern>,
    /// Where the file sends the environments, by [`Environment::index`]: URLs with a space between them.
    pub urls: [String; 2],
    /// The Host that they are sent, as a text that differs if that does.
    pub hosts: [String; 2],
    /// The paths of the routes by the names of the routes.
    pub paths: BTreeMap<String, String>,
    pub rules: Vec<LoadedRule>,
    /// What else decides who goes where, as a text that differs if that does: stickiness, and what is done if a side is
    /// down.
    pub choice: String,
    /// The versions that the file names, by [`Environment::index`].
    pub versions: [Option<String>; 2],
    /// How long pages of a side that was replaced may ask for it; `None` if no page may ask for its side.
    pub skew: Option<Millis>,
    /// The candidate gets the clients of an active that is down; with the health checks that say so.
    pub failover: Option<String>,
}

/// A rule of the file, or one set at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedRule {
    pub name: String,
    to: RuleTarget,
    overrides: bool,
    /// Differs if what it matches does.
    matches: String,
}

/// Where in a routing file something is said of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePlace {
    /// Its weight, or what else says most about its split.
    Split,
    Origin(Environment),
    /// A rule, by its name.
    Rule(String),
    /// A route, by its name.
    Route(String),
}

/// What a file may not change now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForbiddenChange {
    pub place: FilePlace,
    /// As a sentence.
    pub what: String,
}

impl LoadedRule {
    pub fn of(rule: &RoutingRule) -> LoadedRule {
        let RoutingRule { name, conditions, answer, overrides, strip: _, share: _ } = rule;
        LoadedRule { name: name.clone(), to: *answer, overrides: *overrides, matches: format!("{conditions:?}") }
    }

    /// Whether it sends clients to `side`, which is the candidate or not. `has_share`: the candidate has one.
    fn sends_to(&self, side: Environment, has_share: bool) -> bool {
        let sends = match self.to {
            RuleTarget::Environment(to) => to == side,
            RuleTarget::Candidate => true,
            RuleTarget::Share(share) => !share.is_zero(),
            RuleTarget::Active => false,
        };
        sends && (self.overrides || has_share)
    }
}

impl FilePremises {
    /// Its hosts; none for all that no other service has.
    pub(super) fn served_in_words(&self) -> Vec<String> {
        self.served.iter().map(HostPattern::to_string).collect()
    }

    /// Whether another version is where an environment was: an address more or less is the same version.
    pub(super) fn has_moved(&self, side: Environment, before: &FilePremises) -> bool {
        !share_a_url(side.of::<String>(&self.urls), side.of::<String>(&before.urls))
    }

    /// Whether the candidate may have clients: by its share, by a rule, or because active is down.
    fn reaches(&self, candidate: Environment, has_share: bool) -> bool {
        has_share || self.failover.is_some() || self.rules.iter().any(|rule| rule.sends_to(candidate, has_share))
    }

    /// What of `after` changes where clients go although no weight has changed; `None` if nothing does.
    pub(super) fn diverted_by(
        &self,
        after: &FilePremises,
        active: Environment,
        has_share: bool,
    ) -> Option<ForbiddenChange> {
        let candidate = active.other();
        let candidate_counts = self.reaches(candidate, has_share) || after.reaches(candidate, has_share);
        let sides = [Some(active), Some(candidate).filter(|_| candidate_counts)].into_iter().flatten();
        for side in sides {
            let place = FilePlace::Origin(side);
            let (url, host) = (side.of(&after.urls), side.of(&after.hosts));
            if url != side.of(&self.urls) {
                let what = format!("the routing file may not send the clients of {side} to {url}");
                return Some(ForbiddenChange { place, what });
            }
            if host != side.of(&self.hosts) {
                let what = format!("the routing file may not change the Host that {side} is sent to {host}");
                return Some(ForbiddenChange { place, what });
            }
        }
        let new = after.rules.iter().find(|rule| !self.rules.contains(rule));
        let gone = self.rules.iter().find(|rule| !after.rules.contains(rule));
        if let Some(rule) = new.or(gone) {
            let what = format!("rule `{}` may not change who goes where", rule.name);
            return Some(ForbiddenChange { place: FilePlace::Rule(rule.name.clone()), what });
        }
        let what = match () {
            () if self.served != after.served => "its hosts",
            () if self.rules != after.rules => "the order of its rules",
            () if self.paths != after.paths => "its routes",
            () if self.choice != after.choice => "how clients stay where they are, or what is done if a side is down",
            () if self.failover != after.failover => "the health checks by which clients are sent to the other side",
            () => return None,
        };
        let what = format!("the routing file may not change {what}");
        Some(ForbiddenChange { place: FilePlace::Split, what })
    }
}

/// The service that a host belongs to: by its name, by the longest pattern, or as all others.
pub(super) fn owner<'s>(
    services: impl Iterator<Item = (&'s str, &'s FilePremises)>,
    host: &HostPattern,
) -> Option<&'s str> {
    let name = match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Under(name) => format!("*.{name}"),
    };
    let fits = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(exact) => (*exact == name).then_some(usize::MAX),
        HostPattern::Under(under) => {
            name.strip_suffix(under.as_str()).is_some_and(|rest| rest.ends_with('.')).then_some(under.len())
        }
    };
    let fit = |premises: &FilePremises| match premises.served.as_slice() {
        [] => Some(0),
        patterns => patterns.iter().filter_map(fits).max(),
    };
    let all = services.filter_map(|(service, premises)| Some((fit(premises)?, service)));
    all.max_by_key(|(fit, _)| *fit).map(|(_, service)| service)
}

/// Whether two lists of URLs have one in common.
pub fn share_a_url(one: &str, other: &str) -> bool {
    one.split(' ').any(|url| other.split(' ').any(|other| url == other))
}
