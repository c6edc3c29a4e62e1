//! `forward_auth`: who is asked whether a route's requests may go on.

use std::path::Path;
use std::sync::Arc;

use http::HeaderName;

use crate::RoutingContext;
use crate::check::tls::certificates;
use crate::file::values::{CopiedHeader, HeaderField};
use crate::file::{At, ForwardAuthFile, RouteFile};
use crate::read::SourceFile;
use judgement::time::Millis;
use memory::snapshot::{ForwardAuthTerms, HeaderPattern, OriginHttp2, OriginSettings, OriginTimeouts, SentHost};

const TIMEOUT: Millis = Millis::seconds(5);
/// What frames a message, belongs to one connection, or is the proxy's own word, in either direction.
const OURS: [&str; 28] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-real-ip",
    "x-request-id",
];

/// What a service or a route says; `None` for nobody.
pub fn check(
    source: &mut SourceFile,
    typed: Option<&At<ForwardAuthFile>>,
    context: &RoutingContext<'_>,
) -> Option<Arc<ForwardAuthTerms>> {
    let At { value: ForwardAuthFile { none, table: file }, span } = typed?;
    if *none {
        return None;
    }
    let Some(url) = &file.url else {
        let hint = "write forward_auth = { url = \"http://127.0.0.1:9091/verify\" }";
        source.missing(span.clone(), "`forward_auth` has no `url`", hint);
        return None;
    };
    if let Some(Err(why)) = context.listeners.map(|own| own.differ_from(&url.value.server)) {
        source.problem(url.span.clone(), why, Some("name the auth service itself".to_owned()));
    }
    if let (Some(at), false) = (&file.ca_file, url.value.server.tls) {
        let hint = Some("remove it, or write https:// in `url`".to_owned());
        source.problem(at.span.clone(), "`ca_file` has no effect without an https `url`", hint);
    }
    let base = Path::new(&source.name).parent().unwrap_or(Path::new("")).to_owned();
    let authorities = file.ca_file.as_ref().map_or(Some(Vec::new()), |at| certificates(source, at, &base));
    let request_headers = file.request_headers.as_ref().map(|list| names(source, &list.0));
    let response_headers = patterns(source, file.response_headers.iter().flat_map(|list| &list.0));
    let timeout = file.timeout.as_ref().map_or(TIMEOUT, |at| at.value.0);
    let origin = OriginSettings {
        targets: vec![url.value.server.clone()],
        timeouts: OriginTimeouts {
            connect: OriginTimeouts::DEFAULT.connect.min(timeout),
            tls: OriginTimeouts::DEFAULT.tls.min(timeout),
            ..OriginTimeouts::DEFAULT
        },
        h2: OriginHttp2::Auto,
        host: Some(SentHost::Origin),
        service_host: None,
        authorities: authorities?,
        identity: None,
        limit: None,
    };
    let target = url.value.path_and_query.as_str().into();
    Some(Arc::new(ForwardAuthTerms { origin: Arc::new(origin), target, request_headers, response_headers, timeout }))
}

/// What a route says, or its service.
pub fn of_route(
    source: &mut SourceFile,
    route: &RouteFile,
    of_service: Option<&Arc<ForwardAuthTerms>>,
    context: &RoutingContext<'_>,
) -> Option<Arc<ForwardAuthTerms>> {
    let Some(own) = &route.forward_auth else { return of_service.cloned() };
    if let (false, Some(redirect)) = (own.value.none, &route.redirect) {
        let hint = "remove one of the two: a redirect asks nobody";
        source.problem(redirect.span.clone(), "a route with `forward_auth` cannot redirect", Some(hint.to_owned()));
    }
    check(source, Some(own), context)
}

fn names(source: &mut SourceFile, typed: &[At<HeaderField>]) -> Box<[HeaderName]> {
    let mut all = Vec::new();
    for at in typed {
        let Ok(name) = HeaderName::from_bytes(at.value.0.as_str().as_bytes()) else { continue };
        if OURS.contains(&name.as_str()) {
            let message = format!("`{name}` is set by the proxy, or ends at it");
            source.problem(
                at.span.clone(),
                message,
                Some("remove it: the auth service is told anyway what may be told".to_owned()),
            );
        }
        all.push(name);
    }
    all.into()
}

fn patterns<'t>(source: &mut SourceFile, typed: impl Iterator<Item = &'t At<CopiedHeader>>) -> Box<[HeaderPattern]> {
    let mut all = Vec::new();
    for At { value: CopiedHeader(pattern), span } in typed {
        if let Some(own) = OURS.iter().find(|own| pattern.covers(own.as_bytes())) {
            let message = format!("`{own}` is the proxy's to say, and not the auth service's");
            let hint = "write the names themselves, or a longer beginning: \"x-auth-*\"";
            source.problem(span.clone(), message, Some(hint.to_owned()));
        }
        all.push(pattern.clone());
    }
    all.into()
}
