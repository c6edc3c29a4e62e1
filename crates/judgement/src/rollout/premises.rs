//! What a routing file says of where clients are sent, besides the split: what a rollout and a freeze are about.

use std::collections::BTreeMap;

use crate::traffic::Environment;
use crate::traffic::rule::{RoutingRule, RuleTarget};

/// Where a service's clients are sent, as its file says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePremises {
    /// Where the file sends the environments, by [`Environment::index`]: URLs with a space between them.
    pub urls: [String; 2],
    /// The Host that they are sent, as a text that differs if that does.
    pub hosts: [String; 2],
    /// The paths of the routes by the names of the routes.
    pub paths: BTreeMap<String, String>,
    pub rules: Vec<LoadedRule>,
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

    fn does_as(&self, other: &LoadedRule) -> bool {
        (self.to, self.overrides, &self.matches) == (other.to, other.overrides, &other.matches)
    }
}

impl FilePremises {
    /// Whether another version is where an environment was: an address more or less is the same version.
    pub(super) fn has_moved(&self, side: Environment, before: &FilePremises) -> bool {
        !share_a_url(side.of::<String>(&self.urls), side.of::<String>(&before.urls))
    }

    /// The first rule that was not there before and sends clients to the candidate.
    pub(super) fn new_rule_to(
        &self,
        candidate: Environment,
        has_share: bool,
        before: &FilePremises,
    ) -> Option<&LoadedRule> {
        let is_new = |rule: &&LoadedRule| !before.rules.iter().any(|other| rule.does_as(other));
        self.rules.iter().filter(|rule| rule.sends_to(candidate, has_share)).find(is_new)
    }
}

/// Whether two lists of URLs have one in common.
pub(super) fn share_a_url(one: &str, other: &str) -> bool {
    one.split(' ').any(|url| other.split(' ').any(|other| url == other))
}
