//! `skew`: where requests carry the version of their page, and for how long a side that was replaced serves its pages.

use crate::check::length;
use crate::file::values::HeaderField;
use crate::file::{At, EnvironmentFile, ServiceFile, SkewFile};
use crate::read::SourceFile;
use judgement::time::Millis;
use judgement::traffic::skew::SkewBy;

/// What platforms allow where nothing is said: long enough for a working day with one page.
const KEEP: Millis = Millis::seconds(12 * 3600);

/// Headers that clients and proxies send by themselves, or that end at the proxy.
const NO_VERSION: [&str; 24] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "proxy-authorization",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
/// Families of them.
const NO_VERSION_IN: [&str; 4] = ["if-", "proxy-", "sec-", "x-forwarded-"];

/// A version is only in a header that the site's own pages add.
fn without_version(source: &mut SourceFile, at: &At<HeaderField>) {
    let name = at.value.0.as_str();
    if !NO_VERSION.contains(&name) && !NO_VERSION_IN.iter().any(|family| name.starts_with(family)) {
        return;
    }
    let hint = match name {
        "cookie" => "write { cookie = \"release\" } with the name of the cookie",
        _ => "write a header of your own that pages add to their calls: { header = \"x-deployment-id\" }",
    };
    let message = format!("`{name}` never carries the version of a page: browsers or proxies set it");
    source.problem(at.span.clone(), message, Some(hint.to_owned()));
}

/// Where the version is, and how long one that was replaced counts.
pub fn check(source: &mut SourceFile, file: &ServiceFile) -> Option<(SkewBy, Millis)> {
    let At { value, span } = file.skew.as_ref()?;
    let SkewFile { header, query, cookie, keep } = value;
    let by = SkewBy {
        header: header.as_ref().map(|at| at.value.0.clone()),
        query: query.as_ref().map(|at| at.value.0.clone()),
        cookie: cookie.as_ref().map(|at| at.value.0.clone()),
    };
    if by == SkewBy::default() {
        let hint = "write { header = \"x-deployment-id\" }, { query = \"dpl\" } or { cookie = \"release\" }, or several of them";
        source.missing(span.clone(), "`skew` does not say where a request carries the version of its page", hint);
        return None;
    }
    if let Some(at) = header {
        without_version(source, at);
    }
    let sticky = file.split.as_ref().and_then(|split| split.value.sticky.as_ref());
    if let (Some(skew), Some(sticky)) = (cookie, sticky.and_then(|at| at.value.table.cookie.as_ref()))
        && skew.value.0 == sticky.value.0
    {
        let hint =
            Some("give it another name: one says who the client is, the other which version its page has".to_owned());
        source.problem(skew.span.clone(), format!("`sticky` has a cookie `{}` too", skew.value.0), hint);
    }
    let is_named = |typed: &Option<At<EnvironmentFile>>| typed.as_ref().is_some_and(|at| at.value.version.is_some());
    if !is_named(&file.blue) && !is_named(&file.green) {
        let hint = "write `version` beside the `url` of the active side; `cutover deploy VERSION` names the next ones";
        source.warning(span.clone(), "`skew` does nothing until both sides have a version", hint);
    }
    if sticky.is_none_or(|at| at.value.none) {
        let hint = "add sticky = { cookie = \"cutover\" } to the split, so that a client's pages and calls are mostly drawn alike";
        source.warning(span.clone(), "with `skew` and without `sticky`, many calls of pages are not judged", hint);
    }
    Some((by, length(keep, KEEP)))
}
