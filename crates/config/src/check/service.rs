//! `[service.NAME]`: hosts, origins, split, routes.

use std::sync::Arc;

use crate::check::origin::Place;
use crate::check::preset::Preset;
use crate::check::{
    failures, gate, guard, health, length, metric, origin, over, rollout, rule, skew, terms, warn_of_fraction, word,
};
use crate::file::{
    At, EnvironmentFile, Failover, RouteFile, RuleFile, ServiceFile, StickyFile, StickyTable, TimeoutsFile,
};
use crate::read::SourceFile;
use crate::{IgnoredOverlay, NamedInFile, RoutingContext, ServiceConfig};
use judgement::guard::GuardPolicy;
use judgement::rollout::freeze_window::FreezeWindow;
use judgement::rollout::{FilePlace, RuntimeOverrides, SplitRequest};
use judgement::time::Millis;
use judgement::traffic::host::HostPattern;
use judgement::traffic::route::{DEFAULT_ROUTE, Routes};
use judgement::traffic::rule::RoutingRule;
use judgement::traffic::sticky::StickyBy;
use judgement::traffic::{Environment, ServiceDefinition};
use memory::snapshot::outside_question::OutsideQuestion;
use memory::snapshot::{OriginSettings, OriginTimeouts};

/// `over`: what was changed at run time.
pub fn check(
    source: &mut SourceFile,
    name: &str,
    typed: &At<ServiceFile>,
    over: &RuntimeOverrides,
    context: &RoutingContext<'_>,
) -> Option<ServiceConfig> {
    let At { value: file, span } = typed;
    let preset = Preset::of(file);
    let timeouts = timeouts(file.timeouts.as_ref(), preset.timeouts);
    let place = Place {
        service: name,
        service_span: span,
        timeouts,
        host: file.host.as_ref().map(|at| &at.value.0).or(preset.host.as_ref()),
        service_host: first_exact_host(file),
        listeners: context.listeners,
    };
    let origins = origins(source, file, &place);
    preset.fits(source, file, origins.each_ref().map(|origin| origin.as_deref()));
    let terms = terms::check(source, file, &preset, context);
    let failures = failures::of_routes(source, file, &terms.edits);
    let (routes, deadlines) = routes(source, &file.route, timeouts.deadline);
    let mut aside = Vec::new();
    let rules = rules(source, &file.rule, over, &routes, &mut aside);
    let (ask, sticky, failover_both) = split(source, file);
    let (policy, questions) = guarded(source, file, over, &mut aside);
    let (skew_by, skew) = skew::check(source, file).unzip();
    let plan = rollout::plan(source, file.rollout.as_ref(), context);
    let (gates, gate_calls) = gate::all(source, file);
    let health = health::checks(source, &file.health, over);
    let [blue, green] = origins;
    let origins = [blue?, green?];
    let urls = origins.each_ref().map(|origin| origin.urls());
    let origins = over::origins(over, origins, &mut aside);
    Some(ServiceConfig {
        traffic: ServiceDefinition {
            name: name.to_owned(),
            hosts: file.hosts.iter().flat_map(|list| &list.0).map(|at| at.value.pattern.clone()).collect(),
            sticky,
            skew: skew_by,
            routes,
            rules,
            failover_both,
        },
        ask,
        lines: lines(source, typed),
        freezes: freezes(file),
        skew,
        policy,
        plan,
        origins,
        health,
        questions,
        gates,
        gate_calls,
        rescue: rescue(file),
        websocket: file.websocket.unwrap_or(false),
        deadlines,
        failures,
        terms,
        urls,
        allowed_origins: file.allowed_origins.iter().flat_map(|list| &list.0).map(|at| at.value.clone()).collect(),
        named: named(file),
        aside,
    })
}

/// What is asked for the split, what keeps a client on one side, and whether active's clients may go to the candidate.
fn split(source: &mut SourceFile, file: &ServiceFile) -> (SplitRequest, StickyBy, bool) {
    let split = &file.split.as_ref().map(|at| at.value.clone()).unwrap_or_default();
    if let Some(at) = &split.weight {
        warn_of_fraction(source, "weight", at);
    }
    let ask = SplitRequest { active: word(&split.active), weight: split.weight.as_ref().map(|at| at.value.0) };
    let sticky = split.sticky.as_ref().map_or(StickyBy::None, |at| sticky(source, at));
    (ask, sticky, word(&split.failover) == Some(Failover::Both))
}

/// Whether failed requests are served again.
fn rescue(file: &ServiceFile) -> bool {
    file.split.as_ref().and_then(|split| split.value.rescue).unwrap_or(true)
}

/// What judges the candidate, and what is asked of other systems for it.
fn guarded(
    source: &mut SourceFile,
    file: &ServiceFile,
    over: &RuntimeOverrides,
    aside: &mut Vec<IgnoredOverlay>,
) -> (GuardPolicy, Vec<OutsideQuestion>) {
    let more = over::triggers(over, file.guard.as_ref(), aside);
    let mut policy = guard::policy(source, file.guard.as_ref(), rescue(file), more);
    let questions = metric::add_all(source, file.guard.as_ref(), &mut policy);
    (policy, questions)
}

/// The lines of what a reload may be refused for. Of the split it is the weight's, or else the active side's, or the
/// service's.
fn lines(source: &SourceFile, typed: &At<ServiceFile>) -> Vec<(FilePlace, usize)> {
    let At { value: file, span } = typed;
    let split = file.split.as_ref().map(|at| &at.value);
    let weight = split.and_then(|split| split.weight.as_ref()).map(|at| &at.span);
    let active = split.and_then(|split| split.active.as_ref()).map(|at| &at.span);
    let mut places = vec![(FilePlace::Split, weight.or(active).unwrap_or(span))];
    for (side, typed) in [(Environment::Blue, &file.blue), (Environment::Green, &file.green)] {
        let Some(At { value, span }) = typed else { continue };
        let url = value.url.as_ref().map(|at| &at.span).or(value.urls.as_ref().map(|at| &at.span));
        places.push((FilePlace::Origin(side), url.unwrap_or(span)));
    }
    for (place, At { value, span }) in file.rule.iter().enumerate() {
        places.push((FilePlace::Rule(rule::name_of(value, place)), span));
    }
    for At { value, span } in &file.route {
        let path = value.path.as_ref().map_or(span, |at| &at.span);
        places.extend(value.name.as_ref().map(|name| (FilePlace::Route(name.value.clone()), path)));
    }
    places.into_iter().map(|(place, span)| (place, source.line(span.start))).collect()
}

fn freezes(file: &ServiceFile) -> Vec<FreezeWindow> {
    let typed = file.rollout.as_ref().and_then(|at| at.value.freeze.as_ref());
    typed.iter().flat_map(|list| &list.0).map(|at| at.value.0.clone()).collect()
}

fn first_exact_host(file: &ServiceFile) -> Option<&str> {
    file.hosts.iter().flat_map(|list| &list.0).find_map(|at| match &at.value.pattern {
        HostPattern::Exact(name) => Some(name.as_str()),
        HostPattern::Under(_) => None,
    })
}

/// Blue and green, by [`Environment::index`].
fn origins(source: &mut SourceFile, file: &ServiceFile, place: &Place<'_>) -> [Option<Arc<OriginSettings>>; 2] {
    let mut origin = |environment, typed: Option<&At<EnvironmentFile>>| {
        origin::check(source, environment, typed, place).map(Arc::new)
    };
    let pair = [origin(Environment::Blue, file.blue.as_ref()), origin(Environment::Green, file.green.as_ref())];
    if let ([Some(blue), Some(green)], Some(typed)) = (&pair, &file.green)
        && (&blue.targets, &blue.host) == (&green.targets, &green.host)
    {
        let urls = typed.value.urls.as_ref().map(|at| &at.span);
        let span = typed.value.url.as_ref().map(|at| &at.span).or(urls).unwrap_or(&typed.span).clone();
        let message = "blue and green are the same origin: a rollout would change nothing";
        source.warning(span, message, "give the new version its own URL");
    }
    pair
}

/// The file's rules, and those of run time behind them.
fn rules(
    source: &mut SourceFile,
    typed: &[At<RuleFile>],
    over: &RuntimeOverrides,
    routes: &Routes,
    aside: &mut Vec<IgnoredOverlay>,
) -> Vec<RoutingRule> {
    names_of_rules(source, typed);
    let rules = typed.iter().enumerate();
    let mut rules: Vec<RoutingRule> =
        rules.filter_map(|(place, typed)| rule::check(source, typed, routes, place)).collect();
    rules.extend(over::rules(over, typed, routes, aside));
    rules
}

fn names_of_rules(source: &mut SourceFile, rules: &[At<RuleFile>]) {
    for (place, typed) in rules.iter().enumerate() {
        let Some(name) = &typed.value.name else { continue };
        let mut before = rules.iter().take(place).filter_map(|other| other.value.name.as_ref());
        if before.any(|other| other.value == name.value) {
            let hint = Some("give each rule its own name: status and the journal show it".to_owned());
            source.problem(name.span.clone(), format!("two rules are named `{}`", name.value), hint);
        }
    }
}

fn named(file: &ServiceFile) -> NamedInFile {
    let rules = file.rule.iter().filter_map(|at| at.value.name.as_ref());
    let triggers = file.guard.iter().flat_map(|at| at.value.names());
    NamedInFile { rules: rules.map(|at| at.value.clone()).collect(), triggers: triggers.map(str::to_owned).collect() }
}

fn sticky(source: &mut SourceFile, typed: &At<StickyFile>) -> StickyBy {
    let StickyFile { none, table: StickyTable { cookie, header, client_address, .. } } = &typed.value;
    match (none, cookie, header, *client_address == Some(true)) {
        (true, ..) => StickyBy::None,
        (_, Some(at), None, false) => StickyBy::Cookie(at.value.0.clone()),
        (_, None, Some(at), false) => StickyBy::Header(at.value.0.clone()),
        (_, None, None, true) => StickyBy::ClientAddress,
        _ => {
            let hint = "write { cookie = \"cutover\" }, { header = \"x-user-id\" } or { client_address = true }";
            source.missing(typed.span.clone(), "`sticky` takes exactly one key", hint);
            StickyBy::None
        }
    }
}

fn timeouts(typed: Option<&TimeoutsFile>, fitting: OriginTimeouts) -> OriginTimeouts {
    let Some(file) = typed else { return fitting };
    OriginTimeouts {
        connect: length(&file.connect, fitting.connect),
        tls: length(&file.tls, fitting.tls),
        first_byte: length(&file.first_byte, fitting.first_byte),
        between_bytes: length(&file.between_bytes, fitting.between_bytes),
        write: length(&file.write, fitting.write),
        idle: length(&file.idle, fitting.idle),
        queue: length(&file.queue, fitting.queue),
        deadline: length(&file.deadline, fitting.deadline),
    }
}

fn routes(source: &mut SourceFile, typed: &[At<RouteFile>], deadline: Millis) -> (Routes, Vec<Millis>) {
    let mut named: Vec<(String, String)> = Vec::new();
    let mut deadlines = vec![deadline];
    for At { value: file, span } in typed {
        let (Some(name), Some(path)) = (&file.name, &file.path) else {
            let what = if file.name.is_none() { "name" } else { "path" };
            let hint = "write name = \"attempts\" and path = \"/api/attempts/*\"";
            source.missing(span.clone(), format!("the route has no `{what}`"), hint);
            continue;
        };
        if name.value == DEFAULT_ROUTE || name.value.is_empty() || name.value.len() > 64 {
            let hint = "use 1 to 64 characters; `default` is the route of every other path".to_owned();
            source.problem(name.span.clone(), format!("invalid route name `{}`", name.value), Some(hint));
        }
        let path_text = &path.value.0;
        for (other_name, other_path) in &named {
            if *other_name == name.value {
                let hint = Some("give each route its own name: status, metrics and the journal show it".to_owned());
                source.problem(name.span.clone(), format!("two routes are named `{other_name}`"), hint);
            }
            if other_path == path_text {
                let hint = Some("a path belongs to one route: change it, or remove one of the routes".to_owned());
                source.problem(path.span.clone(), format!("route `{other_name}` already has this path"), hint);
            }
        }
        named.push((name.value.clone(), path_text.clone()));
        deadlines.push(length(&file.deadline, deadline));
    }
    (Routes::new(named), deadlines)
}
