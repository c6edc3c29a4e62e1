//! Paths: normalised once for routes and rules. What is forwarded keeps the client's bytes.

use std::borrow::Cow;

use crate::traffic::RoutingError;

/// A request's path as routes and rules read it.
#[derive(Debug, PartialEq, Eq)]
pub struct NormalizedPath<'a>(Cow<'a, str>);

impl<'a> NormalizedPath<'a> {
    /// Decodes unreserved escapes, puts the others in upper case, resolves dot segments (RFC 3986 5.2.4) and merges
    /// slashes; a trailing slash stays. Copies only if there is something to change.
    ///
    /// # Errors
    /// [`RoutingError::BadPath`] for a malformed escape or `%00`.
    pub fn normalised(raw: &'a str) -> Result<NormalizedPath<'a>, RoutingError> {
        let bytes = raw.as_bytes();
        let plain = !bytes.contains(&b'%') && !bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
        if plain {
            return Ok(NormalizedPath(Cow::Borrowed(raw)));
        }
        Ok(NormalizedPath(Cow::Owned(merge_slashes(&remove_dot_segments(&decode_unreserved(raw)?)))))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The client's own bytes are the normal ones.
    pub const fn is_as_sent(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }
}

fn decode_unreserved(raw: &str) -> Result<String, RoutingError> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let digits = escape.get(1..3).ok_or(RoutingError::BadPath)?;
        // from_str_radix alone would accept a sign.
        let byte = match digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => u8::from_str_radix(digits, 16).map_err(|_| RoutingError::BadPath)?,
            false => return Err(RoutingError::BadPath),
        };
        match byte {
            0 => return Err(RoutingError::BadPath),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = escape.get(3..).unwrap_or("");
    }
    out.push_str(rest);
    Ok(out)
}

fn remove_dot_segments(path: &str) -> String {
    let Some(inner) = path.strip_prefix('/') else {
        return path.to_owned();
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = inner.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// A glob: `*` matches any run of bytes, including slashes and the empty run. Linear in the text for each piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// The literal pieces between the stars, so `"/a*b"` is `["/a", "b"]`; at least two.
    pieces: Vec<String>,
}

impl Glob {
    pub fn new(pattern: &str) -> Glob {
        Glob { pieces: pattern.split('*').map(str::to_owned).collect() }
    }

    pub fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|whole| whole == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else { return false };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
        // The leftmost match is enough: it leaves the most text for the remaining pieces.
        for piece in middle {
            match rest.find(piece.as_str()) {
                Some(at) => rest = rest.get(at + piece.len()..).unwrap_or(""),
                None => return false,
            }
        }
        true
    }
}

/// Whether `path` is `prefix` or lies under it, by whole segments; `prefix` without trailing slash.
pub fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_once_and_for_all() {
        for (raw, path) in [
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/%61%2Fb", "/a%2Fb"),
            ("/%2fb", "/%2Fb"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/../../b", "/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("//a///b//", "/a/b/"),
            ("/a//../b", "/a/b"),
            ("/.hidden", "/.hidden"),
            ("/a/...", "/a/..."),
            ("*", "*"),
        ] {
            assert_eq!(NormalizedPath::normalised(raw).unwrap().as_str(), path, "{raw}");
            assert_eq!(NormalizedPath::normalised(path).unwrap().as_str(), path, "{path} is stable");
        }
        for raw in ["/%", "/%4", "/%zz", "/%00", "/a%0", "/%+1", "/%é1"] {
            assert_eq!(NormalizedPath::normalised(raw), Err(RoutingError::BadPath), "{raw}");
        }
    }

    #[test]
    fn globs_cross_slashes() {
        for (pattern, yes, no) in [
            ("/x/*", vec!["/x/", "/x/a/b"], vec!["/x", "/xa"]),
            ("*.png", vec![".png", "/a/b.png"], vec!["/a.png/"]),
            ("/a*b*c", vec!["/abc", "/a/b/b/c"], vec!["/ac", "/acb"]),
            ("/aa*aa", vec!["/aaaa"], vec!["/aaa"]),
            ("*", vec!["", "/"], vec![]),
        ] {
            let glob = Glob::new(pattern);
            yes.iter().for_each(|text| assert!(glob.matches(text), "{pattern} {text}"));
            no.iter().for_each(|text| assert!(!glob.matches(text), "{pattern} {text}"));
        }
    }

    #[test]
    fn a_prefix_is_whole_segments() {
        assert!(under("/api", "/api") && under("/api/", "/api") && under("/api/x", "/api") && under("/x", ""));
        assert!(!under("/apis", "/api") && !under("/ap", "/api"));
    }
}
