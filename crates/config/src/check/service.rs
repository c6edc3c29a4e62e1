//! `[service.NAME]`: hosts, origins, split, routes.

use std::ops::Range;
use std::sync::Arc;

use crate::allowed::AllowedOrigin;
use crate::check::preset::Preset;
use crate::check::{guard, health, one_of, origin, over, positive, rollout, rule, terms};
use crate::file::{
    At, EnvironmentFile, Number, OneOrMany, RouteFile, ServiceFile, SplitFile, StickyFile, TimeoutsFile,
};
use crate::read::SourceFile;
use crate::{NamedInFile, ServiceConfig};
use judgement::rollout::{RuntimeOverrides, SplitRequest};
use judgement::time::Millis;
use judgement::traffic::host::HostPattern;
use judgement::traffic::names::{FieldName, is_token};
use judgement::traffic::path::NormalizedPath;
use judgement::traffic::route::{DEFAULT_ROUTE, Routes};
use judgement::traffic::rule::RoutingRule;
use judgement::traffic::split::Weight;
use judgement::traffic::sticky::StickyBy;
use judgement::traffic::{Environment, ServiceDefinition};
use memory::snapshot::OriginTimeouts;

/// `over`: what was laid over it at run time.
pub fn check(
    source: &mut SourceFile,
    name: &str,
    typed: &At<ServiceFile>,
    over: &RuntimeOverrides,
) -> Option<ServiceConfig> {
    let file = &typed.value;
    let name_is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if name.is_empty() || name.len() > 64 || !name_is_plain {
        let hint = "letters, digits, `-`, `_` and `.`, at most 64 of them".to_owned();
        source.problem(typed.span.clone(), format!("`{name}` is not a name for a service"), Some(hint));
    }
    let patterns = file.hosts.as_ref().map(|list| hosts(source, list)).unwrap_or_default();
    let preset = Preset::of(source, file);
    let timeouts = timeouts(source, file.timeouts.as_ref(), preset.timeouts);
    let mut origin = |environment, given: Option<&At<EnvironmentFile>>| {
        origin::check(source, name, environment, given, &typed.span, timeouts).map(Arc::new)
    };
    let (blue, green) =
        (origin(Environment::Blue, file.blue.as_ref()), origin(Environment::Green, file.green.as_ref()));
    preset.fits(source, file, [blue.as_deref(), green.as_deref()]);
    let terms = terms::check(source, file, &preset);
    let (routes, deadlines) = routes(source, &file.route, timeouts.deadline);
    for (place, typed) in file.rule.iter().enumerate() {
        let Some(name) = &typed.value.name else { continue };
        let before = file.rule.iter().take(place).filter_map(|other| other.value.name.as_ref());
        if before.clone().any(|other| other.value == name.value) {
            source.problem(name.span.clone(), format!("two rules are called `{}`", name.value), None);
        }
    }
    let rules = file.rule.iter().enumerate();
    let mut rules: Vec<RoutingRule> =
        rules.filter_map(|(place, typed)| rule::check(source, typed, &routes, place)).collect();
    let mut aside = Vec::new();
    rules.extend(over::rules(over, &file.rule, &routes, &mut aside));
    let default_split = SplitFile::default();
    let split = file.split.as_ref().map_or(&default_split, |at| &at.value);
    let ask = ask(source, split);
    let sticky = split.sticky.as_ref().map_or(StickyBy::None, |at| sticky(source, at));
    let rescue = split.rescue.unwrap_or(true);
    let more = over::triggers(over, file.guard.as_ref(), &mut aside);
    let policy = guard::policy(source, file.guard.as_ref(), rescue, more);
    let plan = rollout::plan(source, file.rollout.as_ref());
    let health = health::checks(source, &file.health, over);
    let failover_both = failover_both(source, split);
    let allowed_origins = allowed(source, file);
    let origins = [blue?, green?];
    let urls = origins.each_ref().map(|origin| origin.urls());
    let origins = over::origins(over, origins, &mut aside);
    Some(ServiceConfig {
        traffic: ServiceDefinition { name: name.to_owned(), hosts: patterns, sticky, routes, rules, failover_both },
        ask,
        policy,
        plan,
        origins,
        health,
        rescue,
        websocket: file.websocket.unwrap_or(false),
        deadlines,
        terms,
        urls,
        allowed_origins,
        named: named(file),
        aside,
    })
}

fn named(file: &ServiceFile) -> NamedInFile {
    let rules = file.rule.iter().filter_map(|at| at.value.name.as_ref());
    let triggers = file.guard.iter().flat_map(|at| &at.value.trigger).filter_map(|at| at.value.name.as_ref());
    NamedInFile {
        rules: rules.map(|at| at.value.clone()).collect(),
        triggers: triggers.map(|at| at.value.clone()).collect(),
    }
}

fn allowed(source: &mut SourceFile, file: &ServiceFile) -> Vec<AllowedOrigin> {
    let mut all = Vec::new();
    for At { value, span } in file.allowed_origins.iter().flat_map(|list| &list.0) {
        match AllowedOrigin::parse(value) {
            Ok(allowed) => all.push(allowed),
            Err(why) => {
                let hint = Some("write \"https://*--shop.netlify.app\"".to_owned());
                source.problem(span.clone(), format!("`{value}` is not a pattern for origins: {why}"), hint);
            }
        }
    }
    all
}

fn ask(source: &mut SourceFile, split: &SplitFile) -> SplitRequest {
    let words = [("blue", Environment::Blue), ("green", Environment::Green)];
    let active = split.active.as_ref().and_then(|at| one_of(source, at, &words));
    let weight = split.weight.as_ref().and_then(|at| weight(source, at));
    SplitRequest { active, weight }
}

fn failover_both(source: &mut SourceFile, split: &SplitFile) -> bool {
    let words = [("candidate", false), ("both", true)];
    split.failover.as_ref().and_then(|at| one_of(source, at, &words)).unwrap_or(false)
}

/// A percentage as a weight; problems are noted.
pub fn weight(source: &mut SourceFile, typed: &At<Number>) -> Option<Weight> {
    Weight::from_percent(typed.value.0)
        .map_err(|why| source.problem(typed.span.clone(), format!("{}: {why}", typed.value.0), None))
        .ok()
}

/// Host patterns; problems are noted.
pub fn hosts(source: &mut SourceFile, list: &OneOrMany<String>) -> Vec<HostPattern> {
    let mut patterns = Vec::new();
    for At { value, span } in &list.0 {
        match HostPattern::parse(value) {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => source.problem(span.clone(), why, None),
        }
    }
    patterns
}

fn sticky(source: &mut SourceFile, typed: &At<StickyFile>) -> StickyBy {
    let StickyFile { none, cookie, header, client_address } = &typed.value;
    let address = *client_address == Some(true);
    match (none, cookie, header, address) {
        (true, ..) => StickyBy::None,
        (_, Some(at), None, false) if is_token(&at.value) => StickyBy::Cookie(at.value.clone()),
        (_, Some(at), None, false) => {
            source.problem(at.span.clone(), format!("`{}` is not a cookie name", at.value), None);
            StickyBy::None
        }
        (_, None, Some(at), false) if at.value.contains('_') => {
            let hint = Some(format!("did you mean `{}`?", at.value.replace('_', "-")));
            source.problem(
                at.span.clone(),
                format!("`{}`: header names with `_` are not forwarded safely", at.value),
                hint,
            );
            StickyBy::None
        }
        (_, None, Some(at), false) => match FieldName::parse(&at.value) {
            Ok(name) => StickyBy::Header(name),
            Err(_) => {
                source.problem(at.span.clone(), format!("`{}` is not a header name", at.value), None);
                StickyBy::None
            }
        },
        (_, None, None, true) => StickyBy::ClientAddress,
        _ => {
            let hint = "{ cookie = \"cutover\" }, { header = \"x-user-id\" } or { client_address = true }".to_owned();
            source.missing(typed.span.clone(), "`sticky` has exactly one key", &hint);
            StickyBy::None
        }
    }
}

fn timeouts(source: &mut SourceFile, typed: Option<&TimeoutsFile>, fitting: OriginTimeouts) -> OriginTimeouts {
    let default = TimeoutsFile::default();
    let file = typed.unwrap_or(&default);
    OriginTimeouts {
        connect: positive(source, file.connect.as_ref(), fitting.connect),
        tls: positive(source, file.tls.as_ref(), fitting.tls),
        first_byte: positive(source, file.first_byte.as_ref(), fitting.first_byte),
        write: positive(source, file.write.as_ref(), fitting.write),
        idle: positive(source, file.idle.as_ref(), fitting.idle),
        deadline: positive(source, file.deadline.as_ref(), fitting.deadline),
    }
}

fn routes(source: &mut SourceFile, typed: &[At<RouteFile>], deadline: Millis) -> (Routes, Vec<Millis>) {
    let mut named: Vec<(String, String)> = Vec::new();
    let mut deadlines = vec![deadline];
    for At { value: file, span } in typed {
        let (Some(name), Some(path)) = (&file.name, &file.path) else {
            let what = if file.name.is_none() { "name" } else { "path" };
            source.missing(
                span.clone(),
                format!("the route has no {what}"),
                "write name = \"attempts\" and path = \"/api/attempts/*\"",
            );
            continue;
        };
        if name.value == DEFAULT_ROUTE || name.value.is_empty() || name.value.len() > 64 {
            let message = format!("a route cannot be called `{}`", name.value);
            source.problem(
                name.span.clone(),
                message,
                Some("`default` is the route of what no other matches".to_owned()),
            );
        }
        for (other_name, other_path) in &named {
            if *other_name == name.value {
                source.problem(name.span.clone(), format!("two routes are called `{other_name}`"), None);
            }
            if *other_path == path.value {
                source.problem(path.span.clone(), format!("route `{other_name}` has this path already"), None);
            }
        }
        if pattern(source, &path.value, path.span.clone()).is_some() {
            named.push((name.value.clone(), path.value.clone()));
            deadlines.push(positive(source, file.deadline.as_ref(), deadline));
        }
    }
    (Routes::new(named), deadlines)
}

/// A path or glob that a normalised path can match; problems are noted.
pub fn pattern<'t>(source: &mut SourceFile, text: &'t str, span: Range<usize>) -> Option<&'t str> {
    if !text.starts_with('/') && !text.starts_with('*') {
        source.problem(span, format!("`{text}` does not begin with `/`"), Some(format!("did you mean `/{text}`?")));
        return None;
    }
    if text.contains(['?', '#']) {
        let hint = "a condition on the query is `query = { name = …, equals = … }`".to_owned();
        source.problem(span, format!("`{text}` holds more than a path"), Some(hint));
        return None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let hint = "write such bytes as a client sends them: a space is %20, é is %C3%A9".to_owned();
        source.problem(
            span,
            format!("`{text}` can match no request: a path is plain ASCII without spaces"),
            Some(hint),
        );
        return None;
    }
    let normal = NormalizedPath::normalised(text).ok().map(|path| path.as_str().to_owned());
    if normal.as_deref() != Some(text) {
        let hint = normal.map(|normal| format!("did you mean `{normal}`?"));
        source.problem(span, format!("`{text}` can match no request: paths are compared normalised"), hint);
        return None;
    }
    Some(text)
}
