//! `[[service.NAME.rule]]`.

use crate::check::main::networks;
use crate::check::one_of;
use crate::check::service::{hosts, pattern, weight};
use crate::file::{At, OneOrMany, PathFile, RuleFile, ValueFile};
use crate::read::{SourceFile, did_you_mean};
use judgement::traffic::Environment;
use judgement::traffic::names::{FieldName, MethodName, is_token};
use judgement::traffic::path::Glob;
use judgement::traffic::route::{DEFAULT_ROUTE, RouteIndex, Routes};
use judgement::traffic::rule::{PathTest, RoutingRule, RuleCondition, RuleTarget, ValueTest, whole_regex};

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
    conditions.extend(file.method.as_ref().map(|list| RuleCondition::Method(methods(source, list))));
    conditions.extend(file.host.as_ref().map(|list| RuleCondition::Host(hosts(source, list))));
    conditions
        .extend(file.client_address.as_ref().map(|list| RuleCondition::ClientAddress(networks(source, list.0.iter()))));
    conditions.extend(file.route.as_ref().map(|list| RuleCondition::Route(route_names(source, list, routes))));
    let answer = answer(source, typed);

    if source.problems.len() > problems_before {
        return None;
    }
    if conditions.is_empty() {
        let hint = "name a header, cookie, query, path, method, host, client_address or route; for a share of all, set split.weight";
        source.problem(span.clone(), "the rule has no condition: it would match every request", Some(hint.to_owned()));
        return None;
    }
    let name = file.name.as_ref().map_or_else(|| format!("rule {}", place + 1), |at| at.value.clone());
    let (overrides, strip) = (file.overrides.unwrap_or(false), file.strip.unwrap_or(false));
    Some(RoutingRule { name, conditions, answer: answer?, overrides, strip, share: 0 })
}

fn answer(source: &mut SourceFile, typed: &At<RuleFile>) -> Option<RuleTarget> {
    let words = [
        ("blue", RuleTarget::Environment(Environment::Blue)),
        ("green", RuleTarget::Environment(Environment::Green)),
        ("active", RuleTarget::Active),
        ("candidate", RuleTarget::Candidate),
    ];
    match (&typed.value.to, &typed.value.candidate) {
        (Some(to), None) => one_of(source, to, &words),
        (None, Some(share)) => Some(RuleTarget::Share(weight(source, share)?)),
        (Some(_), Some(share)) => {
            source.problem(share.span.clone(), "a rule has `to` or `candidate`, not both", None);
            None
        }
        (None, None) => {
            let hint = "write `to = \"candidate\"`, or `candidate = 25` for a share";
            source.missing(typed.span.clone(), "the rule does not say where to", hint);
            None
        }
    }
}

fn named<'t>(source: &mut SourceFile, value: &'t At<ValueFile>) -> Option<&'t At<String>> {
    let name = value.value.name.as_ref().filter(|name| !name.value.is_empty());
    if name.is_none() {
        source.problem(
            value.span.clone(),
            "the condition has no name",
            Some("write { name = \"x-canary\", equals = \"always\" }".to_owned()),
        );
    }
    name
}

fn operator(source: &mut SourceFile, typed: &At<ValueFile>) -> Option<ValueTest> {
    let file = &typed.value;
    let bytes = |at: &At<String>| at.value.clone().into_bytes();
    let mut tests = Vec::new();
    tests.extend(file.equals.as_ref().map(|at| ValueTest::Equals(bytes(at))));
    tests.extend(file.prefix.as_ref().map(|at| ValueTest::Prefix(bytes(at))));
    tests.extend(file.suffix.as_ref().map(|at| ValueTest::Suffix(bytes(at))));
    tests.extend(file.contains.as_ref().map(|at| ValueTest::Contains(bytes(at))));
    for (flag, test, word) in
        [(&file.present, ValueTest::Present, "present"), (&file.absent, ValueTest::Absent, "absent")]
    {
        match flag {
            Some(At { value: true, .. }) => tests.push(test),
            Some(At { span, .. }) => {
                let other = if word == "present" { "absent" } else { "present" };
                let hint = Some(format!("write `{other} = true` for the contrary"));
                source.problem(span.clone(), format!("`{word}` can only be true"), hint);
                return None;
            }
            None => {}
        }
    }
    if let Some(at) = &file.regex {
        tests.push(ValueTest::Regex(regex(source, at)?));
    }
    let operators = "equals, prefix, suffix, contains, regex, present, absent";
    match tests.len() {
        1 => tests.pop(),
        0 => {
            source.problem(typed.span.clone(), "the condition has no operator", Some(format!("one of {operators}")));
            None
        }
        _ => {
            let hint = Some(format!("only one of {operators}; for more, write a list of conditions"));
            source.problem(typed.span.clone(), "the condition has more than one operator", hint);
            None
        }
    }
}

fn regex(source: &mut SourceFile, typed: &At<String>) -> Option<regex::bytes::Regex> {
    whole_regex(&typed.value)
        .map_err(|e| {
            // The crate draws the pattern over several lines; its last line says what is wrong.
            let text = e.to_string();
            let why = text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
            source.problem(typed.span.clone(), format!("not a regular expression: {why}"), None);
        })
        .ok()
}

fn header(source: &mut SourceFile, name: &At<String>, test: ValueTest) -> Option<RuleCondition> {
    if name.value.contains('_') {
        let hint = Some(format!("did you mean `{}`?", name.value.replace('_', "-")));
        source.problem(
            name.span.clone(),
            format!("`{}`: header names with `_` are not forwarded safely", name.value),
            hint,
        );
        return None;
    }
    match FieldName::parse(&name.value) {
        Ok(name) => Some(RuleCondition::Header { name, test }),
        Err(_) => {
            source.problem(name.span.clone(), format!("`{}` is not a header name", name.value), None);
            None
        }
    }
}

fn cookie(source: &mut SourceFile, name: &At<String>, test: ValueTest) -> Option<RuleCondition> {
    if !is_token(&name.value) {
        source.problem(name.span.clone(), format!("`{}` is not a cookie name", name.value), None);
        return None;
    }
    Some(RuleCondition::Cookie { name: name.value.clone(), test })
}

fn query(_: &mut SourceFile, name: &At<String>, test: ValueTest) -> Option<RuleCondition> {
    Some(RuleCondition::Query { name: name.value.clone(), test })
}

fn path(source: &mut SourceFile, typed: &At<PathFile>) -> Option<PathTest> {
    let PathFile { glob, exact, prefix, regex: pattern_typed } = &typed.value;
    let given =
        [exact.is_some(), prefix.is_some(), pattern_typed.is_some(), glob.is_some()].iter().filter(|g| **g).count();
    if given != 1 {
        let hint = "write \"/api/*\", or a table with one of `exact`, `prefix`, `regex`".to_owned();
        source.problem(typed.span.clone(), "a path condition has one operator", Some(hint));
        return None;
    }
    let absolute = |source: &mut SourceFile, text: &str, span: &std::ops::Range<usize>| {
        pattern(source, text, span.clone()).map(str::to_owned)
    };
    if let Some(at) = exact {
        return absolute(source, &at.value, &at.span).map(PathTest::Exact);
    }
    if let Some(at) = prefix {
        let prefix = absolute(source, &at.value, &at.span)?;
        return Some(PathTest::Prefix(prefix.trim_end_matches('/').to_owned()));
    }
    if let Some(at) = pattern_typed {
        return regex(source, at).map(PathTest::Regex);
    }
    let glob = absolute(source, glob.as_deref().unwrap_or(""), &typed.span)?;
    Some(if glob.contains('*') { PathTest::Glob(Glob::new(&glob)) } else { PathTest::Exact(glob) })
}

fn methods(source: &mut SourceFile, typed: &OneOrMany<String>) -> Vec<MethodName> {
    let mut methods = Vec::new();
    for At { value, span } in &typed.0 {
        match MethodName::parse(value) {
            Ok(method) if value.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') => methods.push(method),
            _ => {
                let hint = Some(format!("did you mean `{}`?", value.to_ascii_uppercase()));
                source.problem(span.clone(), format!("`{value}` is not a method: methods are in upper case"), hint);
            }
        }
    }
    methods
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
