//! `failures`, `ignore`, `failure_header` and `compare_shape`: what counts against an environment, for a service and for its
//! routes.

use http::HeaderName;

use crate::file::values::{HeaderField, StatusRange};
use crate::file::{At, OneOrMany, ServiceFile};
use crate::read::SourceFile;
use memory::snapshot::{FailureRules, HeaderEdit, HeaderEdits, StatusSet};

/// Headers of responses that mean something to clients, or to the proxy.
const TAKEN: [&str; 29] = [
    "age",
    "allow",
    "alt-svc",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "etag",
    "expires",
    "grpc-message",
    "grpc-status",
    "host",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "pragma",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "www-authenticate",
    "x-request-id",
];
const TAKEN_PREFIXES: [&str; 6] = ["access-control-", "content-", "proxy-", "sec-", "x-cutover-", "x-forwarded-"];

type Statuses = Option<OneOrMany<StatusRange, true>>;

/// The four keys, as the service or a route has them.
#[derive(Clone, Copy)]
struct TypedKeys<'f> {
    failures: &'f Statuses,
    ignore: &'f Statuses,
    header: &'f Option<At<HeaderField>>,
    shape: Option<bool>,
}

impl TypedKeys<'static> {
    const NONE: TypedKeys<'static> = TypedKeys { failures: &None, ignore: &None, header: &None, shape: None };
}

/// What counts on every route, `default` first. A key of a route replaces the service's. `edits`: in the same order.
pub fn of_routes(source: &mut SourceFile, file: &ServiceFile, edits: &[HeaderEdits]) -> Vec<FailureRules> {
    let of_service = TypedKeys {
        failures: &file.failures,
        ignore: &file.ignore,
        header: &file.failure_header,
        shape: file.compare_shape,
    };
    let service = rules(source, of_service, TypedKeys::NONE);
    let is_sent = |rules: &FailureRules, at: usize| edits.get(at).is_some_and(|edits| sets(edits, &rules.header));
    let sent_by_service = is_sent(&service, 0);
    if let Some(typed) = file.failure_header.as_ref().filter(|_| sent_by_service) {
        refuse_sent(source, typed, "`response_headers`");
    }
    let mut all = vec![service];
    for (at, route) in file.route.iter().enumerate() {
        let route = &route.value;
        let own = TypedKeys {
            failures: &route.failures,
            ignore: &route.ignore,
            header: &route.failure_header,
            shape: route.compare_shape,
        };
        let rules = rules(source, own, of_service);
        // What the service sends itself has been told.
        let is_told = sent_by_service && own.header.is_none();
        if let Some(typed) = own.header.as_ref().or(of_service.header.as_ref())
            && !is_told
            && is_sent(&rules, at + 1)
        {
            let name = route.name.as_ref().map_or("", |name| &name.value);
            refuse_sent(source, typed, &format!("`response_headers` of the route `{name}`"));
        }
        all.push(rules);
    }
    all
}

/// `own`: the keys of a route or of the service. `around`: those of what it is in.
fn rules(source: &mut SourceFile, own: TypedKeys<'_>, around: TypedKeys<'_>) -> FailureRules {
    let failures = own.failures.as_ref().or(around.failures.as_ref());
    let failures = failures.map_or(StatusSet::SERVER_ERRORS, set);
    let ignored = own.ignore.as_ref().or(around.ignore.as_ref()).map_or(StatusSet::NONE, set);
    match (own.failures, own.ignore, around.failures) {
        (Some(_), Some(_), _) => refuse_both(source, own.ignore, &failures, "take it out of one of the two lists"),
        (None, Some(_), Some(_)) => {
            let others = less("failures", &failures, &ignored);
            let hint = format!("the service's `failures` hold here too: give the route its own, {others}");
            refuse_both(source, own.ignore, &failures, &hint);
        }
        (None, Some(_), None) => {
            let hint = format!("5xx are failures by default: write {}", less("failures", &failures, &ignored));
            refuse_both(source, own.ignore, &failures, &hint);
        }
        (Some(_), None, _) => {
            let others = less("ignore", &ignored, &failures);
            let hint = format!("the service's `ignore` holds here too: give the route its own, {others}");
            refuse_both(source, own.failures, &ignored, &hint);
        }
        (None, None, _) => {}
    }
    let header = own.header.as_ref().and_then(|typed| header(source, typed));
    let header = header.or_else(|| around.header.as_ref().and_then(|typed| name(&typed.value)));
    let compares_shape = own.shape.or(around.shape).unwrap_or(true);
    FailureRules { failures, ignored, header, compares_shape }
}

/// `by`: what sends the header to clients.
fn refuse_sent(source: &mut SourceFile, typed: &At<HeaderField>, by: &str) {
    let hint = Some("no client is to see it: give one of the two another name".to_owned());
    let message = format!("{by} sends clients `{}` too", typed.value.0.as_str());
    source.problem(typed.span.clone(), message, hint);
}

/// Refuses the first status of a list that is in another one too.
fn refuse_both(source: &mut SourceFile, list: &Statuses, other: &StatusSet, hint: &str) {
    for At { value, span } in list.iter().flat_map(|list| &list.0) {
        if let Some(status) = value.0.clone().find(|status| other.has(*status)) {
            let message = format!("{status} is in both `failures` and `ignore`");
            return source.problem(span.clone(), message, Some(hint.to_owned()));
        }
    }
}

fn set(list: &OneOrMany<StatusRange, true>) -> StatusSet {
    let statuses = list.0.iter().flat_map(|at| at.value.0.clone());
    statuses.fold(StatusSet::NONE, StatusSet::with)
}

/// The key with a set less another one, as it is written.
fn less(key: &str, set: &StatusSet, other: &StatusSet) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for status in (200..600).filter(|status| set.has(*status) && !other.has(*status)) {
        match ranges.last_mut() {
            // A class is a range of its own.
            Some((_, last)) if *last + 1 == status && status % 100 != 0 => *last = status,
            _ => ranges.push((status, status)),
        }
    }
    let written = ranges.iter().map(|(first, last)| match (first % 100, last - first) {
        (0, 99) => format!("\"{}xx\"", first / 100),
        (_, 0) => format!("\"{first}\""),
        _ => format!("\"{first}-{last}\""),
    });
    format!("{key} = [{}]", written.collect::<Vec<_>>().join(", "))
}

fn sets(edits: &HeaderEdits, header: &Option<HeaderName>) -> bool {
    let is_it = |edit: &HeaderEdit| matches!(edit, HeaderEdit::Set(name, _) | HeaderEdit::Add(name, _) if Some(name) == header.as_ref());
    edits.response.iter().any(is_it)
}

fn name(typed: &HeaderField) -> Option<HeaderName> {
    HeaderName::from_bytes(typed.0.as_str().as_bytes()).ok()
}

fn header(source: &mut SourceFile, typed: &At<HeaderField>) -> Option<HeaderName> {
    let name = name(&typed.value)?;
    let text = name.as_str();
    if !TAKEN.contains(&text) && !TAKEN_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return Some(name);
    }
    let message = format!("`{text}` has a meaning of its own, and clients would not get it any more");
    let hint = match text {
        "grpc-status" => "name the statuses of gRPC that are failures in `grpc_failures`",
        _ => "use a name of your own, such as \"x-release-failure\"",
    };
    source.problem(typed.span.clone(), message, Some(hint.to_owned()));
    None
}
