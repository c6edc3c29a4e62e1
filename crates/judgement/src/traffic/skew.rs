//! Skew: a page that a browser has open is of one version, and what it calls should be of the same one.
//!
//! The page says its version with each request, in a header, the query or a cookie. The split says which versions may be
//! asked for, see [`TrafficSplit::pages`]; a value that is neither is as if it were absent.

use crate::traffic::Environment;
use crate::traffic::head::{HeaderSource, NameMask};
use crate::traffic::names::FieldName;
use crate::traffic::retry::is_safe;
use crate::traffic::rule::{self, RequestFacts};
use crate::traffic::split::TrafficSplit;

/// Where a request carries the version of its page. The first that is there counts: header, query, cookie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkewBy {
    /// A header that the page adds to its calls.
    pub header: Option<FieldName>,
    /// A parameter of the query, for what a page does not call but loads, such as scripts.
    pub query: Option<String>,
    /// A cookie, which says nothing of a request that opens a new page.
    pub cookie: Option<String>,
}

impl SkewBy {
    /// The version that the request carries, as sent. An empty one is none.
    fn version<'a>(&self, facts: &RequestFacts<'_, 'a>) -> Option<&'a [u8]> {
        let is_there = |value: &&[u8]| !value.is_empty();
        let header = || {
            let name = self.header.as_ref().filter(|name| facts.names.may_have(name.mask()))?;
            facts.head.fields.find(name.as_str(), |value| !value.is_empty())
        };
        let query = || facts.query(self.query.as_deref()?).filter(is_there);
        let cookie = || {
            let value = facts.cookie(self.cookie.as_deref()?, |value| !value.is_empty())?;
            // Or nobody would ever leave an old version. What is sent to a page's own version is no new page, such as a form.
            let is_new_page = is_safe(facts.head.method) && opens_page(facts.head.fields);
            (!is_new_page).then_some(value)
        };
        header().or_else(query).or_else(cookie)
    }

    /// The cookie, and its new value, for the answer to a request if that opens a page of this version and the browser says
    /// another one. Empty where the page has no version that a cookie can hold: the last page's is not its own.
    pub fn cookie_for<'v>(&self, fields: &dyn HeaderSource, version: Option<&'v str>) -> Option<(&str, &'v str)> {
        let name = self.cookie.as_deref().filter(|_| opens_page(fields))?;
        let version = version.filter(|version| version.bytes().all(is_cookie_octet)).unwrap_or("");
        let said = rule::cookie(fields, name, |value| !value.is_empty()).unwrap_or(b"");
        (said != version.as_bytes()).then_some((name, version))
    }

    /// The side that the request's page came from, if it may be asked for.
    #[inline]
    pub(super) fn side(&self, split: &TrafficSplit, facts: &RequestFacts<'_, '_>) -> Option<Environment> {
        // Nothing is looked up while there is nothing to be found.
        if split.pages.iter().all(Option::is_none) {
            return None;
        }
        let version = self.version(facts)?;
        let is_of = |side: &Environment| side.of(&split.pages).as_ref().is_some_and(|own| own.as_bytes() == version);
        Environment::BOTH.into_iter().find(is_of)
    }
}

/// Whether what is asked for will be the page in the window, and not a part of one or a call.
///
/// Browsers say so (Fetch Metadata), but not over plain HTTP, and old ones never: of those it is taken for a page if HTML
/// is what they would like best.
pub fn opens_page(fields: &dyn HeaderSource) -> bool {
    let names = fields.names();
    let first = |name: &str| fields.first(name).filter(|_| names.may_have(NameMask::of(name)));
    match first("sec-fetch-dest") {
        Some(goal) => goal == b"document",
        None => first("accept").is_some_and(|accept| accept.starts_with(b"text/html")),
    }
}

/// RFC 6265 4.1.1.
const fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::head::FieldList;

    #[test]
    fn the_cookie_is_set_where_a_page_has_another_version_than_the_browser_says() {
        let by = SkewBy { cookie: Some("release".into()), ..SkewBy::default() };
        let page: (&str, &[u8]) = ("sec-fetch-dest", b"document");
        let set = |fields: &[(&str, &[u8])], version| {
            by.cookie_for(&FieldList(fields), version).map(|(_, value)| value.to_owned())
        };
        assert_eq!(set(&[page], Some("2.0.0")).as_deref(), Some("2.0.0"));
        assert_eq!(set(&[page, ("cookie", b"release=1.9.4")], Some("2.0.0")).as_deref(), Some("2.0.0"));
        assert_eq!(set(&[page, ("cookie", b"a=b; release=2.0.0")], Some("2.0.0")), None, "it says so already");
        assert_eq!(set(&[("cookie", b"release=1.9.4")], Some("2.0.0")), None, "a call");
        assert_eq!(set(&[page, ("cookie", b"release=1.9.4")], None).as_deref(), Some(""), "it is no longer so");
        assert_eq!(set(&[page, ("cookie", b"release=1.9.4")], Some("a;b")).as_deref(), Some(""));
        assert_eq!(set(&[page], None), None);
        let by_header = SkewBy { header: FieldName::parse("x-v").ok(), ..SkewBy::default() };
        assert_eq!(by_header.cookie_for(&FieldList(&[page]), Some("2.0.0")), None);
    }

    #[test]
    fn a_page_is_what_a_window_shows_and_no_part_of_one() {
        for (fields, opens) in [
            (&[("sec-fetch-dest", "document"), ("accept", "*/*")][..], true),
            (&[("sec-fetch-dest", "iframe"), ("accept", "text/html,*/*")], false),
            (&[("sec-fetch-dest", "empty"), ("accept", "text/html")], false),
            (&[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], true),
            (&[("accept", "application/json, text/html")], false),
            (&[("accept", "*/*")], false),
            (&[], false),
        ] {
            let listed: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            assert_eq!(opens_page(&FieldList(&listed)), opens, "{fields:?}");
        }
    }
}
