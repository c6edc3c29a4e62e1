//! A path without its prefix, or with another one, as a route says.
//!
//! A route knows its requests by the normalised path, and so does what is taken away here: `/%61pi/x` and `//api/x` begin
//! with `/api` as well. What is left keeps the client's bytes, unless there are dot segments in it, which could lead back
//! behind what was taken away.

use std::borrow::Cow;

use judgement::traffic::path::{NormalizedPath, under};
use memory::snapshot::PathRewrite;

/// A path as an origin is sent it: two pieces.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RewrittenPath<'a> {
    pub added: &'a str,
    /// Begins with a slash, unless it is empty; then `added` is not.
    pub rest: Cow<'a, str>,
    /// What was taken away, if it was there.
    pub stripped: Option<&'a str>,
}

/// `path`: as the client sent it.
pub(super) fn rewrite<'a>(path: &'a str, how: &'a PathRewrite) -> RewrittenPath<'a> {
    let added = &*how.add;
    if !path.starts_with('/') {
        // `*` is no path.
        return RewrittenPath { added: "", rest: Cow::Borrowed(path), stripped: None };
    }
    let stripped = (!how.strip.is_empty()).then(|| without_prefix(path, &how.strip)).flatten();
    let Some(rest) = stripped else { return RewrittenPath { added, rest: Cow::Borrowed(path), stripped: None } };
    // A request always has a path, and as in Gateway API `/foo` without `/foo` and behind `/bar` is `/bar`.
    let rest = if rest.is_empty() && added.is_empty() { Cow::Borrowed("/") } else { rest };
    RewrittenPath { added, rest, stripped: Some(&how.strip) }
}

/// What follows the prefix; `None` if the path does not begin with it.
fn without_prefix<'a>(path: &'a str, prefix: &str) -> Option<Cow<'a, str>> {
    // What cannot be read has not been routed.
    let normal = NormalizedPath::normalised(path).ok()?;
    if !under(normal.as_str(), prefix) {
        return None;
    }
    if normal.is_as_sent() {
        return path.strip_prefix(prefix).map(Cow::Borrowed);
    }
    let rest = match path.split('/').any(is_dots) {
        true => Cow::Owned(normal.as_str().strip_prefix(prefix)?.to_owned()),
        false => Cow::Borrowed(behind(path, prefix)?),
    };
    // Two slashes at the beginning would be another host to whoever reads it as a reference (RFC 3986 4.2).
    Some(match rest {
        Cow::Borrowed(rest) => Cow::Borrowed(one_slash(rest)),
        rest @ Cow::Owned(_) => rest,
    })
}

/// What follows as many segments as the prefix has. Empty segments are none.
fn behind<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let mut rest = path;
    for _ in prefix.split('/').skip(1) {
        rest = rest.trim_start_matches('/');
        rest = rest.find('/').map_or(Some(""), |end| rest.get(end..))?;
    }
    Some(rest)
}

fn one_slash(rest: &str) -> &str {
    let slashes = rest.len() - rest.trim_start_matches('/').len();
    rest.get(slashes.saturating_sub(1)..).unwrap_or(rest)
}

/// Whether a segment is one of dots, escaped or not.
fn is_dots(segment: &str) -> bool {
    let plain = NormalizedPath::normalised(segment);
    plain.is_ok_and(|segment| matches!(segment.as_str(), "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(path: &str, strip: &str, add: &str) -> String {
        let how = PathRewrite { strip: strip.into(), add: add.into() };
        let RewrittenPath { added, rest, .. } = rewrite(path, &how);
        format!("{added}{rest}")
    }

    #[test]
    fn whole_segments_are_taken_away_and_a_path_is_never_empty() {
        for (path, rest) in [
            ("/api/x", "/x"),
            ("/api/", "/"),
            ("/api", "/"),
            ("/apis/x", "/apis/x"),
            ("/x/api", "/x/api"),
            ("*", "*"),
            ("/api/a%2Fb%c3%a4", "/a%2Fb%c3%a4"),
            ("/%61pi/%7ex", "/%7ex"),
            ("//api//x//y", "/x//y"),
            ("/api//evil.test", "/evil.test"),
            ("/api/../x", "/api/../x"),
            ("/api/../../api/x", "/x"),
            ("/x/../api/y", "/y"),
            ("/api/%2e%2e/api/x/..", "/"),
            ("/api%2Fx", "/api%2Fx"),
        ] {
            assert_eq!(rewritten(path, "/api", ""), rest, "{path}");
        }
    }

    #[test]
    fn segments_are_put_in_front_and_in_the_place_of_others() {
        assert_eq!(rewritten("/x", "", "/v2"), "/v2/x");
        assert_eq!(rewritten("/", "", "/v2"), "/v2/");
        assert_eq!(rewritten("*", "", "/v2"), "*");
        // Gateway API: ReplacePrefixMatch.
        for (path, sent) in [("/foo/bar", "/xyz/bar"), ("/foo", "/xyz"), ("/foo/", "/xyz/"), ("/food", "/xyz/food")] {
            assert_eq!(rewritten(path, "/foo", "/xyz"), sent, "{path}");
        }
    }

    proptest::proptest! {
        /// Who compares the rest with the route's own path finds what the prefix was taken from.
        #[test]
        fn what_is_left_is_what_the_normalised_path_has_behind_its_prefix(path in "(/|/api|/%61pi|/%2e%2e|/\\.|/x|/%2F){1,6}/?") {
            let whole = NormalizedPath::normalised(&path).unwrap();
            let rest = rewritten(&path, "/api", "");
            let normal = NormalizedPath::normalised(&rest).unwrap();
            let expected = match whole.as_str().strip_prefix("/api") {
                Some("") => "/",
                Some(behind) if behind.starts_with('/') => behind,
                _ => whole.as_str(),
            };
            proptest::prop_assert_eq!(normal.as_str(), expected);
        }
    }
}
