//! `[[service.NAME.rule]]`.

use crate::check::warn_of_fraction;
use crate::file::values;
use crate::file::{At, OneOrMany, PathFile, RuleFile, RuleTargetWord, ValueFile};
use crate::read::{SourceFile, did_you_mean};
use judgement::traffic::Environment;
use judgement::traffic::names::is_token;
use judgement::traffic::path::Glob;
use judgement::traffic::route::{DEFAULT_ROUTE, RouteIndex, Routes};
use judgement::traffic::rule::{PathTest, RoutingRule, RuleCondition, RuleTarget, ValueTest};

pub fn check(source: &mut SourceFile, typed: &At<RuleFile>, routes: &Routes, place: usize) -> Option<RoutingRule> {
    let At { value: file, span } = typed;
    let problems_before = source.problems.len();
    let mut conditions = Vec::new();
    for (list, make) in [
        (&file.header, header as fn(&mut SourceFile, &At<String>, ValueTest) -> Option<RuleCondition>),
        (&file.cookie, cookie),
        (&file.query, query),
    ] {
        for value in list.iter().flat_map(|list| &list.0) {
            let name = named(source, value);
            let test = operator(source, value);
            if let (Some(name), Some(test)) = (name, test) {
                conditions.extend(make(source, name, test));
            }
        }
    }
    conditions.extend(file.path.as_ref().and_then(|at| path(source, at)).map(RuleCondition::Path));
    let methods = file.method.as_ref().map(|list| list.0.iter().map(|at| at.value.0.clone()).collect());
    conditions.extend(methods.map(RuleCondition::Method));
    let hosts = file.host.as_ref().map(|list| list.0.iter().map(|at| at.value.pattern.clone()).collect());
    conditions.extend(hosts.map(RuleCondition::Host));
    let networks = file.client_address.as_ref().map(|list| list.0.iter().map(|at| at.value.0).collect());
    conditions.extend(networks.map(RuleCondition::ClientAddress));
    conditions.extend(file.route.as_ref().map(|list| RuleCondition::Route(route_names(source, list, routes))));
    let answer = answer(source, typed);

    if source.problems.len() > problems_before {
        return None;
    }
    if conditions.is_empty() {
        let hint = "name a header, cookie, query, path, method, host, client_address or route; \
                    for a share of all requests set split.weight";
        source.missing(span.clone(), "the rule has no condition: it would match every request", hint);
        return None;
    }
    let name = name_of(file, place);
    let (overrides, strip) = (file.overrides.unwrap_or(false), file.strip.unwrap_or(false));
    Some(RoutingRule { name, conditions, answer: answer?, overrides, strip, share: 0 })
}

/// The name of the rule at this index of the file.
pub fn name_of(file: &RuleFile, place: usize) -> String {
    file.name.as_ref().map_or_else(|| format!("rule {}", place + 1), |at| at.value.clone())
}

fn answer(source: &mut SourceFile, typed: &At<RuleFile>) -> Option<RuleTarget> {
    match (&typed.value.to, &typed.value.candidate) {
        (Some(to), None) => Some(match to.value.0 {
            RuleTargetWord::Blue => RuleTarget::Environment(Environment::Blue),
            RuleTargetWord::Green => RuleTarget::Environment(Environment::Green),
            RuleTargetWord::Active => RuleTarget::Active,
            RuleTargetWord::Candidate => RuleTarget::Candidate,
        }),
        (None, Some(share)) => {
            warn_of_fraction(source, "candidate", share);
            Some(RuleTarget::Share(share.value.0))
        }
        (Some(_), Some(share)) => {
            let hint = "keep `to` for every matching request, or `candidate` for a share of them".to_owned();
            source.problem(share.span.clone(), "`to` and `candidate` cannot be used together", Some(hint));
            None
        }
        (None, None) => {
            let hint = "write to = \"candidate\", or candidate = 25 for a share";
            source.missing(typed.span.clone(), "the rule does not say where requests go", hint);
            None
        }
    }
}

fn named<'t>(source: &mut SourceFile, value: &'t At<ValueFile>) -> Option<&'t At<String>> {
    let name = value.value.name.as_ref().filter(|name| !name.value.is_empty());
    if name.is_none() {
        let hint = "write { name = \"x-canary\", equals = \"always\" }";
        source.missing(value.span.clone(), "the condition has no `name`", hint);
    }
    name
}

const OPERATORS: &str = "`equals`, `prefix`, `suffix`, `contains`, `regex`, `present` or `absent`";

fn operator(source: &mut SourceFile, typed: &At<ValueFile>) -> Option<ValueTest> {
    let file = &typed.value;
    let bytes = |at: &At<String>| at.value.clone().into_bytes();
    let mut tests = Vec::new();
    tests.extend(file.equals.as_ref().map(|at| ValueTest::Equals(bytes(at))));
    tests.extend(file.prefix.as_ref().map(|at| ValueTest::Prefix(bytes(at))));
    tests.extend(file.suffix.as_ref().map(|at| ValueTest::Suffix(bytes(at))));
    tests.extend(file.contains.as_ref().map(|at| ValueTest::Contains(bytes(at))));
    tests.extend(file.regex.as_ref().map(|at| ValueTest::Regex(at.value.0.clone())));
    for (flag, test, word, other) in [
        (&file.present, ValueTest::Present, "present", "absent"),
        (&file.absent, ValueTest::Absent, "absent", "present"),
    ] {
        match flag {
            Some(At { value: true, .. }) => tests.push(test),
            Some(At { span, .. }) => {
                let hint = Some(format!("write {other} = true for the opposite"));
                source.problem(span.clone(), format!("`{word}` can only be true"), hint);
                return None;
            }
            None => {}
        }
    }
    match tests.len() {
        1 => tests.pop(),
        0 => {
            source.missing(typed.span.clone(), "the condition has no operator", &format!("add {OPERATORS}"));
            None
        }
        _ => {
            let hint = Some(format!("keep one of {OPERATORS}; for more, write a list of conditions"));
            source.problem(typed.span.clone(), "the condition has more than one operator", hint);
            None
        }
    }
}

fn header(source: &mut SourceFile, name: &At<String>, test: ValueTest) -> Option<RuleCondition> {
    match values::header(&name.value) {
        Ok(name) => Some(RuleCondition::Header { name, test }),
        Err(why) => {
            source.problem(name.span.clone(), why.message, why.hint);
            None
        }
    }
}

fn cookie(source: &mut SourceFile, name: &At<String>, test: ValueTest) -> Option<RuleCondition> {
    if !is_token(&name.value) {
        let hint = Some("letters, digits, `-` and `_`, without spaces".to_owned());
        source.problem(name.span.clone(), format!("invalid cookie name `{}`", name.value), hint);
        return None;
    }
    Some(RuleCondition::Cookie { name: name.value.clone(), test })
}

fn query(_: &mut SourceFile, name: &At<String>, test: ValueTest) -> Option<RuleCondition> {
    Some(RuleCondition::Query { name: name.value.clone(), test })
}

fn path(source: &mut SourceFile, typed: &At<PathFile>) -> Option<PathTest> {
    let PathFile { glob, exact, prefix, regex } = &typed.value;
    match (glob, exact, prefix, regex) {
        (Some(glob), None, None, None) if glob.0.contains('*') => Some(PathTest::Glob(Glob::new(&glob.0))),
        (Some(glob), None, None, None) => Some(PathTest::Exact(glob.0.clone())),
        (None, Some(at), None, None) => Some(PathTest::Exact(at.value.0.clone())),
        (None, None, Some(at), None) => Some(PathTest::Prefix(at.value.0.trim_end_matches('/').to_owned())),
        (None, None, None, Some(at)) => Some(PathTest::Regex(at.value.0.clone())),
        _ => {
            let hint = "write \"/api/*\", or a table with one of `exact`, `prefix`, `regex`";
            source.missing(typed.span.clone(), "a condition on the path has one operator", hint);
            None
        }
    }
}

fn route_names(source: &mut SourceFile, typed: &OneOrMany<String>, routes: &Routes) -> Vec<Option<RouteIndex>> {
    let mut found = Vec::new();
    for At { value, span } in &typed.0 {
        match routes.by_name(value) {
            Some(route) => found.push(route),
            None => {
                let mut known: Vec<&str> = routes.names().iter().map(String::as_str).collect();
                known.push(DEFAULT_ROUTE);
                source.problem(span.clone(), format!("there is no route `{value}`"), Some(did_you_mean(value, &known)));
            }
        }
    }
    found
}
