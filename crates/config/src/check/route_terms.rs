//! What routes do besides forwarding: `redirect`, `rate_limit`, `forward_auth`, `strip_prefix`, `add_prefix`.

use crate::RoutingContext;
use crate::check::forward_auth;
use crate::file::values::PathPrefix;
use crate::file::{At, RateLimitKeyFile, RateLimitKeyTable, RedirectFile, RouteFile, ServiceFile};
use crate::read::SourceFile;
use judgement::traffic::path::Glob;
use judgement::traffic::sticky::StickyBy;
use memory::counters::RequestRate;
use memory::snapshot::{PathRewrite, RateLimitTerms, RedirectPiece, RedirectTarget, RouteTerms};

/// The status where none is said: no browser remembers it.
const FOUND: u64 = 302;

/// What every route asks for, `default` first; nothing if none asks for anything.
pub fn of_routes(source: &mut SourceFile, file: &ServiceFile, context: &RoutingContext<'_>) -> Box<[RouteTerms]> {
    let asked = forward_auth::check(source, file.forward_auth.as_ref(), context);
    let mut all = vec![RouteTerms { forward_auth: asked.clone(), ..RouteTerms::default() }];
    for At { value: route, .. } in &file.route {
        let forward_auth = forward_auth::of_route(source, route, asked.as_ref(), context);
        all.push(RouteTerms { forward_auth, ..of_route(source, route) });
    }
    if all.iter().all(|terms| *terms == RouteTerms::default()) { Box::default() } else { all.into() }
}

fn of_route(source: &mut SourceFile, route: &RouteFile) -> RouteTerms {
    let prefix =
        |typed: &Option<At<PathPrefix>>| typed.as_ref().map(|at| at.value.0.as_str()).unwrap_or_default().into();
    let rewrite = PathRewrite { strip: prefix(&route.strip_prefix), add: prefix(&route.add_prefix) };
    if let (Some(at), Some(path)) = (&route.strip_prefix, &route.path)
        && !can_begin_with(&path.value.0, &at.value.0)
    {
        let hint = format!("no path of the route begins with it: its path is `{}`", path.value.0);
        source.problem(at.span.clone(), format!("`{}` is never there to be stripped", at.value.0), Some(hint));
    }
    RouteTerms {
        redirect: route.redirect.as_ref().and_then(|at| redirect(source, route, at)),
        rate_limit: rate_limit(source, route),
        forward_auth: None,
        rewrite: (rewrite != PathRewrite::default()).then_some(rewrite),
    }
}

/// Whether a path that fits the pattern can begin with the prefix.
fn can_begin_with(pattern: &str, prefix: &str) -> bool {
    let fixed = pattern.split('*').next().unwrap_or(pattern);
    match pattern.contains('*') {
        true => prefix.starts_with(fixed) || judgement::traffic::path::under(fixed, prefix),
        false => judgement::traffic::path::under(pattern, prefix),
    }
}

fn redirect(source: &mut SourceFile, route: &RouteFile, typed: &At<RedirectFile>) -> Option<RedirectTarget> {
    let At { value: file, span } = typed;
    let Some(to) = &file.to else {
        let hint = "write redirect = { to = \"https://www.example.com{path}\", status = 308 }";
        source.missing(span.clone(), "the redirect has no `to`", hint);
        return None;
    };
    let status = file.status.as_ref().map_or(FOUND, |at| at.value.0);
    if let Some(at) = &file.status
        && !matches!(status, 301..=303 | 307 | 308)
    {
        let hint = "write 301 or 308 for ever, 302 or 307 for now, or 303 for a page that answers a form";
        source.problem(at.span.clone(), format!("{status} is not the status of a redirect"), Some(hint.to_owned()));
    }
    let has_query = to.value.text.contains('?');
    let keeps = file.keep_query.unwrap_or(!has_query);
    let pieces: Box<[RedirectPiece]> = to.value.pieces.as_slice().into();
    if leads_to_itself(route, &pieces) {
        let hint = match &*pieces {
            [_, RedirectPiece::Text(text), RedirectPiece::Host, ..]
            | [RedirectPiece::Text(text), RedirectPiece::Host, ..]
                if text.ends_with("://") =>
            {
                "name another host or path; `redirect_to_https` in cutover.toml sends clients to https"
            }
            _ => "name another host or path, or change the path by `strip_prefix` or `add_prefix`",
        };
        let message = "the redirect leads back to its own route";
        source.problem(to.span.clone(), message, Some(hint.to_owned()));
    }
    let query = keeps.then_some(if has_query { '&' } else { '?' });
    Some(RedirectTarget { status: status as u16, pieces, query })
}

/// Whether its requests would come again: a path of the route leads to one of the same host that the route takes as well.
fn leads_to_itself(route: &RouteFile, pieces: &[RedirectPiece]) -> bool {
    let same_host = match pieces {
        [RedirectPiece::Text(scheme), RedirectPiece::Host, path @ ..] if scheme.ends_with("://") => path,
        [RedirectPiece::Scheme, RedirectPiece::Text(rest), RedirectPiece::Host, path @ ..] if &**rest == "://" => path,
        [RedirectPiece::Path, ..] => pieces,
        [RedirectPiece::Text(text), ..] if text.starts_with('/') => pieces,
        _ => return false,
    };
    let Some(pattern) = route.path.as_ref().map(|at| at.value.0.as_str()) else { return false };
    let sample = rewritten(route, &pattern.replace('*', "x"));
    let target = same_host.iter().map(|piece| match piece {
        RedirectPiece::Text(text) => Some(&**text),
        RedirectPiece::Path => Some(sample.as_str()),
        RedirectPiece::Host | RedirectPiece::Scheme => None,
    });
    let target: Option<String> = target.collect();
    target.is_some_and(|target| Glob::new(pattern).matches(target.split('?').next().unwrap_or_default()))
}

/// A path less `strip_prefix` and behind `add_prefix`.
fn rewritten(route: &RouteFile, path: &str) -> String {
    let strip = route.strip_prefix.as_ref().map(|at| at.value.0.trim_end_matches('/'));
    let rest = strip
        .filter(|prefix| judgement::traffic::path::under(path, prefix))
        .and_then(|prefix| path.strip_prefix(prefix));
    let add = route.add_prefix.as_ref().map_or("", |at| at.value.0.trim_end_matches('/'));
    format!("{add}{}", rest.unwrap_or(path))
}

fn rate_limit(source: &mut SourceFile, route: &RouteFile) -> Option<RateLimitTerms> {
    let At { value: file, span } = route.rate_limit.as_ref()?;
    if let Some(redirect) = &route.redirect {
        let hint = "remove one of the two: a redirect asks no origin";
        source.problem(redirect.span.clone(), "a route with `rate_limit` cannot redirect", Some(hint.to_owned()));
    }
    let (Some(requests), Some(per)) = (&file.requests, &file.per) else {
        let what = if file.requests.is_none() { "requests" } else { "per" };
        let hint = "write rate_limit = { requests = 100, per = \"1m\" }";
        source.missing(span.clone(), format!("the limit has no `{what}`"), hint);
        return None;
    };
    let burst = file.burst.as_ref().map_or(requests.value.0, |at| at.value.0);
    let by = file.by.as_ref().map_or(Some(StickyBy::ClientAddress), |at| {
        let RateLimitKeyFile { client_address, table: RateLimitKeyTable { header, cookie } } = &at.value;
        match (client_address, header, cookie) {
            (true, ..) => Some(StickyBy::ClientAddress),
            (_, Some(header), None) => Some(StickyBy::Header(header.value.0.clone())),
            (_, None, Some(cookie)) => Some(StickyBy::Cookie(cookie.value.0.clone())),
            _ => {
                let hint = "write \"client_address\", { header = \"x-api-key\" } or { cookie = \"session\" }";
                source.missing(at.span.clone(), "`by` takes exactly one key", hint);
                None
            }
        }
    })?;
    let rate = RequestRate { requests: requests.value.0, per: per.value.0, burst };
    let name = route.name.as_ref().map(|at| at.value.as_str()).unwrap_or_default();
    Some(RateLimitTerms { rate, by, policy: policy_of(name, rate) })
}

/// The limit as clients read it in RateLimit-Policy: a name, a quota and its time in seconds (a structured field).
fn policy_of(route: &str, rate: RequestRate) -> Box<str> {
    let name: String = route.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect();
    format!("\"{name}\";q={};w={}", rate.requests, rate.per.0.div_ceil(1000)).into()
}
