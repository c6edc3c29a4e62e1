//! Routes: named path patterns of a service, each watched on its own.

use std::collections::HashMap;

use crate::traffic::path::Glob;

/// A route's index within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteIndex(pub u32);

impl RouteIndex {
    /// The index among all routes of the service, of which `default` is the first.
    #[inline]
    pub fn place(route: Option<RouteIndex>) -> u32 {
        route.map_or(0, |at| at.0 + 1)
    }
}

/// The name of the route for requests that no pattern matches.
pub const DEFAULT_ROUTE: &str = "default";

/// The routes of one service, ready to be searched: exact, then longest prefix, then longest glob.
#[derive(Clone, Default)]
pub struct Routes {
    names: Vec<String>,
    /// By route, as the file says them.
    patterns: Vec<String>,
    exact: HashMap<String, RouteIndex>,
    prefixes: Prefixes,
    /// Longest pattern first.
    globs: Vec<(Glob, usize, RouteIndex)>,
}

impl std::fmt::Debug for Routes {
    /// What the file says, in its order: the same for the same file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.named_patterns()).finish()
    }
}

impl Routes {
    /// Routes as `(name, pattern)`, in file order. Of two equal patterns the first counts; the check refuses such
    /// files.
    pub fn new(routes: impl IntoIterator<Item = (String, String)>) -> Routes {
        let mut all = Routes::default();
        let mut prefixes = Vec::new();
        for (name, pattern) in routes {
            let at = RouteIndex(all.names.len() as u32);
            all.names.push(name);
            all.patterns.push(pattern.clone());
            match pattern.strip_suffix('*').filter(|rest| rest.ends_with('/') && !rest.contains('*')) {
                Some(prefix) => prefixes.push((prefix.to_owned(), at)),
                None if pattern.contains('*') => all.globs.push((Glob::new(&pattern), pattern.len(), at)),
                None => {
                    all.exact.entry(pattern).or_insert(at);
                }
            }
        }
        all.prefixes = Prefixes::new(prefixes);
        all.globs.sort_by_key(|(_, length, at)| (usize::MAX - length, at.0));
        all
    }

    /// The route of a normalised path; `None` for the default route.
    #[inline]
    pub fn find(&self, path: &str) -> Option<RouteIndex> {
        if let Some(at) = self.exact.get(path) {
            return Some(*at);
        }
        if let Some(at) = self.prefixes.longest(path) {
            return Some(at);
        }
        self.globs.iter().find(|(glob, _, _)| glob.matches(path)).map(|(_, _, at)| *at)
    }

    /// The names in file order, without the default route.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Every name with its path as the file says it, in file order.
    pub fn named_patterns(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().zip(&self.patterns).map(|(name, path)| (name.as_str(), path.as_str()))
    }

    /// A route by its name; `Some(None)` for `default`.
    pub fn by_name(&self, name: &str) -> Option<Option<RouteIndex>> {
        match self.names.iter().position(|n| n == name) {
            Some(at) => Some(Some(RouteIndex(at as u32))),
            None => (name == DEFAULT_ROUTE).then_some(None),
        }
    }
}

/// Path prefixes with their final slash, searched by bisection.
///
/// In sorted order, everything that begins with a prefix follows it. So the longest prefix of a path is the last entry
/// that is not after the path, or one of that entry's own prefixes.
#[derive(Clone, Debug, Default)]
struct Prefixes(Vec<Prefix>);

#[derive(Clone, Debug)]
struct Prefix {
    text: String,
    route: RouteIndex,
    /// The index of the longest other prefix that this one begins with.
    parent: Option<usize>,
}

impl Prefixes {
    fn new(mut prefixes: Vec<(String, RouteIndex)>) -> Prefixes {
        prefixes.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.0.cmp(&b.1.0)));
        prefixes.dedup_by(|later, first| later.0 == first.0);
        let mut all: Vec<Prefix> = Vec::with_capacity(prefixes.len());
        for (text, route) in prefixes {
            let parent = Prefixes::walk(&all, all.len().checked_sub(1), &text);
            all.push(Prefix { text, route, parent });
        }
        Prefixes(all)
    }

    fn longest(&self, path: &str) -> Option<RouteIndex> {
        let after = self.0.partition_point(|prefix| prefix.text.as_str() <= path);
        let at = Prefixes::walk(&self.0, after.checked_sub(1), path)?;
        self.0.get(at).map(|prefix| prefix.route)
    }

    /// From an entry up through its parents to the first one that the text begins with.
    fn walk(all: &[Prefix], mut at: Option<usize>, text: &str) -> Option<usize> {
        loop {
            let prefix = all.get(at?)?;
            if text.starts_with(prefix.text.as_str()) {
                return at;
            }
            at = prefix.parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_beats_prefix_beats_glob_and_longer_beats_shorter() {
        let patterns = ["/api/*", "/api/v2/*", "/api/v2/users", "*.json", "/api/*.json", "/", "/*"];
        let routes = Routes::new(patterns.map(|p| (p.to_owned(), p.to_owned())));
        for (path, pattern) in [
            ("/api/v2/users", Some("/api/v2/users")),
            ("/api/v2/users/", Some("/api/v2/*")),
            ("/api/x", Some("/api/*")),
            ("/api", Some("/*")),
            ("/", Some("/")),
            ("/x.json", Some("/*")),
            ("*", None),
        ] {
            assert_eq!(routes.find(path).map(|at| patterns[at.0 as usize]), pattern, "{path}");
        }
        let nested = Routes::new(["/a/b/c/*", "/a/*", "/a/b/*", "/b/*"].map(|p| (p.to_owned(), p.to_owned())));
        for (path, at) in
            [("/a/b/c/d", Some(0)), ("/a/b/d", Some(2)), ("/a/z", Some(1)), ("/b/", Some(3)), ("/c/x", None)]
        {
            assert_eq!(nested.find(path).map(|at| at.0), at, "{path}");
        }
        let globs = Routes::new(["*.json", "/api*.json"].map(|p| (p.to_owned(), p.to_owned())));
        assert_eq!(globs.find("/api/x.json"), Some(RouteIndex(1)), "the longer glob");
        assert_eq!(globs.find("/x.json"), Some(RouteIndex(0)));
        assert_eq!(globs.by_name("default"), Some(None));
        assert_eq!(globs.by_name("x"), None);
    }

    proptest::proptest! {
        #[test]
        fn bisection_finds_what_a_search_through_all_would(
            prefixes in proptest::collection::vec("(/[ab]{1,2}){0,3}", 1..12),
            path in "(/[abc]{1,2}){1,4}/?",
        ) {
            let patterns: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}/*")).collect();
            let routes = Routes::new(patterns.iter().map(|pattern| (pattern.clone(), pattern.clone())));
            let by_hand = prefixes.iter().filter(|prefix| path.starts_with(&format!("{prefix}/"))).map(String::len).max();
            let found = routes.find(&path).map(|at| patterns[at.0 as usize].len() - 2);
            proptest::prop_assert_eq!(found, by_hand);
        }
    }
}
