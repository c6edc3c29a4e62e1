//! Routes: named path patterns of a service, each watched on its own.

use std::collections::HashMap;

use crate::traffic::path::Glob;
use crate::traffic::table::RouteRef;

/// The name of the route of requests that no pattern matches.
pub const DEFAULT_ROUTE: &str = "default";

/// The routes of one service, ready to be searched: exact, then longest prefix, then longest glob.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    names: Vec<String>,
    exact: HashMap<String, RouteRef>,
    /// With their final slash, longest first.
    prefixes: Vec<(String, RouteRef)>,
    /// Longest pattern first.
    globs: Vec<(Glob, usize, RouteRef)>,
}

impl Routes {
    /// Routes of `(name, pattern)`, in file order. Of two equal patterns the first counts; the check refuses such files.
    pub fn new(routes: impl IntoIterator<Item = (String, String)>) -> Routes {
        let mut all = Routes::default();
        for (name, pattern) in routes {
            let at = RouteRef(all.names.len() as u32);
            all.names.push(name);
            match pattern.strip_suffix('*').filter(|rest| rest.ends_with('/') && !rest.contains('*')) {
                Some(prefix) => all.prefixes.push((prefix.to_owned(), at)),
                None if pattern.contains('*') => all.globs.push((Glob::new(&pattern), pattern.len(), at)),
                None => {
                    all.exact.entry(pattern).or_insert(at);
                }
            }
        }
        all.prefixes.sort_by_key(|(prefix, at)| (usize::MAX - prefix.len(), at.0));
        all.globs.sort_by_key(|(_, length, at)| (usize::MAX - length, at.0));
        all
    }

    /// The route of a normalised path; `None`: the default route.
    #[inline]
    pub fn find(&self, path: &str) -> Option<RouteRef> {
        if let Some(at) = self.exact.get(path) {
            return Some(*at);
        }
        let prefix = self.prefixes.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()));
        if let Some((_, at)) = prefix {
            return Some(*at);
        }
        self.globs.iter().find(|(glob, _, _)| glob.matches(path)).map(|(_, _, at)| *at)
    }

    /// The names in file order, without the default route.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A route by its name; `Some(None)` for `default`.
    pub fn by_name(&self, name: &str) -> Option<Option<RouteRef>> {
        match self.names.iter().position(|n| n == name) {
            Some(at) => Some(Some(RouteRef(at as u32))),
            None => (name == DEFAULT_ROUTE).then_some(None),
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
        let globs = Routes::new(["*.json", "/api*.json"].map(|p| (p.to_owned(), p.to_owned())));
        assert_eq!(globs.find("/api/x.json"), Some(RouteRef(1)), "the longer glob");
        assert_eq!(globs.find("/x.json"), Some(RouteRef(0)));
        assert_eq!(globs.by_name("default"), Some(None));
        assert_eq!(globs.by_name("x"), None);
    }
}
