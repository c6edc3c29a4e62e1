//! Differences in words, and what is shown of a request that differs.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};

use crate::mirror::comparing::{Difference, DifferenceKind};
use crate::mirror::paths;
use crate::redact::{HIDDEN, Redactor, is_hidden};
use crate::text::truncated;
use relay::proxy::mirror::CopiedRequest;
use wire::MirrorExample;

/// In characters: the beginning of a value is enough to see what it is.
const LONGEST_VALUE: usize = 80;
/// In bytes. A value of a query that is shorter is not hidden where a response repeats it.
const SHORTEST_VALUE: usize = 4;
/// In characters. A place that is deeper is shown up to there.
const LONGEST_PLACE: usize = 120;
/// Members whose values are nobody's business, by a part of their names.
const SECRETS: [&str; 12] = [
    "token",
    "secret",
    "passw",
    "session",
    "auth",
    "cookie",
    "apikey",
    "api_key",
    "csrf",
    "jwt",
    "credential",
    "private",
];

/// What the candidate does, as in `lacks total`.
pub fn predicate(difference: &Difference) -> String {
    let Difference { kind, place, active, candidate } = difference;
    let place = truncated(place, LONGEST_PLACE);
    let place = place.as_str();
    let list = place.strip_suffix("[*]");
    match kind {
        DifferenceKind::NoAnswer => "gets no answer".to_owned(),
        DifferenceKind::Status => format!("answers {candidate} instead of {active}"),
        DifferenceKind::MediaType => format!("is {candidate} instead of {active}"),
        DifferenceKind::Location => "redirects elsewhere".to_owned(),
        DifferenceKind::NotJson if active == "JSON" => "is not JSON".to_owned(),
        DifferenceKind::NotJson => "is JSON".to_owned(),
        DifferenceKind::Empty if candidate == "an empty body" => "has an empty body".to_owned(),
        DifferenceKind::Empty => "has a body".to_owned(),
        DifferenceKind::Missing => match list {
            Some(list) => format!("has fewer items in {}", quoted(list)),
            None => format!("lacks {}", quoted(place)),
        },
        DifferenceKind::Extra => match list {
            Some(list) => format!("has more items in {}", quoted(list)),
            None => format!("has {}, which active lacks", quoted(place)),
        },
        DifferenceKind::Type => {
            format!("has {} as {} instead of {}", quoted(place), type_of(candidate), type_of(active))
        }
        DifferenceKind::Value => format!("has another {}", quoted(place)),
        DifferenceKind::Body => "has another body".to_owned(),
    }
}

fn quoted(place: &str) -> String {
    if place.is_empty() { "the whole document".to_owned() } else { format!("`{place}`") }
}

/// The type of a value as it is shown.
fn type_of(shown: &str) -> &'static str {
    match shown.bytes().next() {
        Some(b'"') => "a text",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// What is shown of a difference: without what the client has identified itself by, and without values that look secret.
pub fn example(request: &CopiedRequest, difference: &Difference, redactor: &Redactor) -> MirrorExample {
    let is_secret = looks_secret(&difference.place);
    let shown = |value: &str| match difference.kind {
        // The beginning of a page may hold anything: only its size is shown.
        DifferenceKind::Body | DifferenceKind::NotJson | DifferenceKind::Empty => {
            value.split(": ").next().unwrap_or_default().to_owned()
        }
        DifferenceKind::Location if value != "nothing" => redactor.text(&location(value)),
        _ if is_secret && value != "nothing" => HIDDEN.to_owned(),
        // What else is in a document is no part of the difference.
        _ if value.starts_with(['{', '[']) => type_of(value).to_owned(),
        _ => truncated(&redactor.text(value), LONGEST_VALUE),
    };
    MirrorExample {
        request: redactor.text(&format!("{} {}", request.method, paths::shown(&request.target))),
        active: shown(&difference.active),
        candidate: shown(&difference.candidate),
    }
}

/// Where a redirect leads: its host, and its path as paths are shown.
fn location(value: &str) -> String {
    let scheme = value.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let authority = scheme.map(|(scheme, _)| scheme.len() + 3).or_else(|| value.starts_with("//").then_some(2));
    let host = authority.map_or(0, |begin| {
        let rest = value.get(begin..).unwrap_or_default();
        begin + rest.find(['/', '?', '#']).unwrap_or(rest.len())
    });
    let (host, path) = value.split_at(host);
    let shown = paths::shown(&format!("/{}", path.trim_start_matches('/')));
    if path.starts_with('/') { format!("{host}{shown}") } else { format!("{host}{}", shown.trim_start_matches('/')) }
}

fn looks_secret(place: &str) -> bool {
    let place = place.to_ascii_lowercase();
    SECRETS.iter().any(|secret| place.contains(secret))
}

/// What the client has sent that is its own: cookies, credentials, and the values in its query.
pub fn redactor(request: &CopiedRequest) -> Redactor {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let values = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    // A shorter one is in every text.
    let mut secrets: Vec<String> = values.filter(|value| value.len() >= SHORTEST_VALUE).map(str::to_owned).collect();
    for (name, value) in request.headers.iter().filter(|(name, _)| is_hidden(name)) {
        let Ok(value) = value.to_str() else { continue };
        secrets.push(value.to_owned());
        if *name == COOKIE {
            secrets.extend(value.split(';').filter_map(|pair| Some(pair.split_once('=')?.1.trim().to_owned())));
        } else if [AUTHORIZATION, PROXY_AUTHORIZATION].contains(name) {
            secrets.extend(value.split_once(' ').map(|(_, token)| token.trim().to_owned()));
        }
    }
    Redactor::new(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_shown_with_its_host_and_without_the_values_of_its_query() {
        for (value, shown) in [
            ("http://shop.example/in?token=abc", "http://shop.example/in?token=***"),
            ("https://shop.example", "https://shop.example"),
            ("//shop.example/orders/1042", "//shop.example/orders/{id}"),
            ("/login?next=http://x/", "/login?next=***"),
            ("signin", "signin"),
            ("", ""),
        ] {
            assert_eq!(location(value), shown);
        }
    }
}
