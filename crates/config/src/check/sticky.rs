//! The attributes of a sticky cookie: what browsers would ignore is a problem.

use std::ops::Range;

use crate::check::{length, word};
use crate::file::{SameSite, ServiceFile, StickyTable};
use crate::read::SourceFile;
use judgement::time::Millis;
use judgement::traffic::host::HostPattern;
use memory::snapshot::PinCookie;

/// A year, which a rollback voids without touching the cookie.
const MAX_AGE: Millis = Millis::seconds(365 * 86_400);

pub fn cookie(source: &mut SourceFile, file: &ServiceFile) -> PinCookie {
    let none = StickyTable::default();
    let sticky = file.split.as_ref().and_then(|split| split.value.sticky.as_ref());
    let table = sticky.map_or(&none, |at| &at.value.table);
    if table.cookie.is_none() {
        for (key, span) in attributes(table) {
            let hint = Some("remove it, or write cookie = \"cutover\"".to_owned());
            source.problem(span, format!("`{key}` has no effect without `cookie`"), hint);
        }
    }
    let same_site = word(&table.same_site).unwrap_or(SameSite::Lax);
    let partitioned = table.partitioned.as_ref().is_some_and(|at| at.value);
    let must = must_be_secure(source, table, same_site, partitioned);
    covers_hosts(source, file, table);
    let domain = table.domain.as_ref().map(|at| format!("; Domain={}", at.value.0)).unwrap_or_default();
    let path = table.path.as_ref().map_or("/", |at| at.value.0.as_str());
    let max_age = length(&table.max_age, MAX_AGE).0 / 1000;
    let partitioned = if partitioned { "; Partitioned" } else { "" };
    PinCookie {
        attributes: format!("; Path={path}{domain}; Max-Age={max_age}; HttpOnly; SameSite={same_site:?}{partitioned}")
            .into(),
        secure: table.secure.as_ref().map(|at| at.value).or(must.then_some(true)),
    }
}

/// The keys that only a cookie has.
fn attributes(table: &StickyTable) -> impl Iterator<Item = (&'static str, Range<usize>)> {
    let all = [
        ("domain", table.domain.as_ref().map(|at| &at.span)),
        ("path", table.path.as_ref().map(|at| &at.span)),
        ("max_age", table.max_age.as_ref().map(|at| &at.span)),
        ("same_site", table.same_site.as_ref().map(|at| &at.span)),
        ("secure", table.secure.as_ref().map(|at| &at.span)),
        ("partitioned", table.partitioned.as_ref().map(|at| &at.span)),
    ];
    all.into_iter().filter_map(|(key, span)| Some((key, span?.clone())))
}

/// Whether browsers ignore the cookie without `Secure` (RFC 6265bis 4.1.3 and 5.7, CHIPS). Notes what contradicts that.
fn must_be_secure(source: &mut SourceFile, table: &StickyTable, same_site: SameSite, partitioned: bool) -> bool {
    let name = table.cookie.as_ref().map(|at| at.value.0.to_ascii_lowercase()).unwrap_or_default();
    let is_host = name.starts_with("__host-");
    let why = match (same_site, partitioned) {
        (SameSite::None, _) => "with `same_site = \"none\"`",
        (_, true) => "with `partitioned`",
        _ if is_host => "whose name begins with `__Host-`",
        _ if name.starts_with("__secure-") => "whose name begins with `__Secure-`",
        _ => return false,
    };
    if let Some(at) = table.secure.as_ref().filter(|at| !at.value) {
        let hint = Some("remove it, or write secure = true".to_owned());
        source.problem(at.span.clone(), format!("browsers ignore a cookie {why} that is not secure"), hint);
    }
    let domain = table.domain.as_ref().map(|at| ("domain", &at.span));
    let path = table.path.as_ref().filter(|at| at.value.0 != "/").map(|at| ("path", &at.span));
    for (key, span) in domain.into_iter().chain(path).filter(|_| is_host) {
        let message = format!("browsers ignore a cookie whose name begins with `__Host-` and that has a `{key}`");
        source.problem(span.clone(), message, Some("remove it, or give the cookie another name".to_owned()));
    }
    true
}

/// Warns of hosts whose clients ignore the cookie, so that nothing keeps them on one side.
fn covers_hosts(source: &mut SourceFile, file: &ServiceFile, table: &StickyTable) {
    let Some(domain) = &table.domain else { return };
    let name = domain.value.0.as_str();
    let is_below = |host: &str| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let hosts = file.hosts.iter().flat_map(|list| &list.0);
    let outside = hosts.filter(|at| match &at.value.pattern {
        HostPattern::Exact(host) | HostPattern::Under(host) => !is_below(host),
    });
    let outside: Vec<&str> = outside.map(|at| at.value.text.as_str()).collect();
    if !outside.is_empty() {
        let message = format!("browsers ignore the cookie on {}, which is not part of {name}", outside.join(", "));
        let hint = "remove `domain`: the cookie then belongs to the host that sets it";
        source.warning(domain.span.clone(), message, hint);
    }
}
