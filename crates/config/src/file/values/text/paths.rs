//! What a route makes of a path: prefixes, and the address of a redirect.

use http::Uri;
use http::uri::Authority;
use schemars::{Schema, json_schema};

use super::{InvalidValue, PathPattern, TextValue};
use memory::snapshot::RedirectPiece;

/// The segments that a path begins with, in normalised form: with its slash at the beginning, and without one at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix(pub String);

impl TextValue for PathPrefix {
    fn wanted() -> String {
        "the beginning of a path, such as \"/api\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let PathPattern(path) = PathPattern::parse(text)?;
        if path.contains('*') {
            let message = format!("invalid prefix `{text}`: a prefix has no `*`");
            let hint = match path.trim_end_matches('*').trim_end_matches('/') {
                "" => "write the segments themselves: \"/api\"".to_owned(),
                rest if rest.contains('*') => "write the segments themselves: \"/api\"".to_owned(),
                rest => format!("did you mean `{rest}`?"),
            };
            return Err(InvalidValue::new(message, hint));
        }
        match path.strip_suffix('/').unwrap_or(&path) {
            "" => Err(InvalidValue::new(
                format!("the prefix `{text}` changes nothing"),
                "write one segment or more: \"/api\"; or remove it",
            )),
            path => Ok(PathPrefix(path.to_owned())),
        }
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^/[^*]|\$\{" })
    }
}

/// Where a redirect leads, with `{scheme}`, `{host}` and `{path}` for those of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUrl {
    pub text: String,
    pub pieces: Vec<RedirectPiece>,
}

const ADDRESS: &str = "write a URL such as \"https://www.example.com{path}\", or a path such as \"/new{path}\"";
const KNOWN: &str = "use {scheme}, {host} and {path}; the query goes along by itself";

impl TextValue for RedirectUrl {
    fn wanted() -> String {
        "an address such as \"https://www.example.com{path}\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let wrong = |why: &str, hint: &str| InvalidValue::new(format!("invalid address `{text}`: {why}"), hint);
        let starts = ["http://", "https://", "{scheme}://", "/", "{path}"];
        if !starts.iter().any(|start| text.starts_with(start)) || text.starts_with("//") {
            return Err(wrong("it is neither a URL nor a path", ADDRESS));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('#') {
            return Err(wrong("an address has no spaces, no fragment and only ASCII", "percent-encode what it has"));
        }
        let pieces = pieces(text)?;
        let is_uri = sample(&pieces).parse::<Uri>().is_ok();
        let (before, query) = text.split_once('?').map_or((text, ""), |(before, query)| (before, query));
        if query.contains('{') {
            return Err(wrong("a query has no placeholders", "remove them: the request's query can go along"));
        }
        if before.contains("/{path}") && !before.ends_with("://{path}") {
            let hint = format!("write \"{}\"", text.replace("/{path}", "{path}"));
            return Err(wrong("{path} begins with a slash itself", &hint));
        }
        let Some((_, rest)) = before.split_once("://") else {
            return match before.contains("{host}") || before.contains("{scheme}") {
                true => Err(wrong("a path has no {host} and no {scheme}", ADDRESS)),
                false if !is_uri => Err(wrong("it is no path", ADDRESS)),
                false => Ok(RedirectUrl { text: text.to_owned(), pieces }),
            };
        };
        let end = rest.find('/').into_iter().chain(rest.find("{path}")).min().unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let sample = authority.replacen("{host}", "a.test", 1);
        let is_authority = is_uri && sample.parse::<Authority>().is_ok_and(|sample| !sample.as_str().contains('@'));
        if !is_authority {
            return Err(wrong("it has no valid host", ADDRESS));
        }
        if path.contains("{host}") || path.contains("{scheme}") {
            return Err(wrong("{scheme} and {host} are only for the beginning", ADDRESS));
        }
        Ok(RedirectUrl { text: text.to_owned(), pieces })
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(https?://|\{scheme\}://|/|\{path\})|\$\{" })
    }
}

/// The text between the placeholders, and these.
fn pieces(text: &str) -> Result<Vec<RedirectPiece>, InvalidValue> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        let piece = match name {
            "scheme" if pieces.is_empty() && before.is_empty() => RedirectPiece::Scheme,
            "host" => RedirectPiece::Host,
            "path" => RedirectPiece::Path,
            "scheme" => {
                let message = format!("invalid address `{text}`: {{scheme}} is only for the beginning");
                return Err(InvalidValue::new(message, ADDRESS));
            }
            name => {
                let message = format!("invalid address `{text}`: there is no {{{name}}}");
                return Err(InvalidValue::new(message, KNOWN));
            }
        };
        if !before.is_empty() {
            pieces.push(RedirectPiece::Text(before.into()));
        }
        pieces.push(piece);
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(RedirectPiece::Text(rest.into()));
    }
    Ok(pieces)
}

/// What it may come to.
fn sample(pieces: &[RedirectPiece]) -> String {
    let sample = pieces.iter().map(|piece| match piece {
        RedirectPiece::Text(text) => text,
        RedirectPiece::Scheme => "http",
        RedirectPiece::Host => "a.test",
        RedirectPiece::Path => "/a",
    });
    sample.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_or_a_path_with_placeholders() {
        for text in [
            "https://www.example.com{path}",
            "{scheme}://{host}:8443{path}",
            "https://www.{host}/",
            "http://[::1]:81/a",
            "/new",
            "/new{path}",
            "{path}",
            "/a?b=c",
            "https://a.test{path}.html?b=c",
        ] {
            let parsed = RedirectUrl::parse(text).map_err(|why| why.message);
            assert_eq!(parsed.map(|url| url.text).as_deref(), Ok(text));
        }
        for (text, why) in [
            ("www.example.com", "neither a URL nor a path"),
            ("//evil.test{path}", "neither a URL nor a path"),
            ("ftp://a.test/", "neither a URL nor a path"),
            ("https://{path}", "no valid host"),
            ("https:///a", "no valid host"),
            ("https://u@a.test/", "no valid host"),
            ("https://a.test/{path}", "begins with a slash itself"),
            ("https://a.test{uri}", "there is no {uri}"),
            ("https://a.test{path", "there is no {path"),
            ("https://a.test/?q={path}", "a query has no placeholders"),
            ("https://a.test/{host}", "only for the beginning"),
            ("https://{scheme}.test/", "only for the beginning"),
            ("/{host}", "no {host}"),
            ("/a b", "no spaces"),
            ("/a#b", "no fragment"),
        ] {
            let wrong = RedirectUrl::parse(text).map(|url| url.pieces);
            // One without its brace is not closed by the message either.
            assert!(
                wrong.as_ref().is_err_and(|wrong| wrong.message.contains(why)) || text.ends_with("{path"),
                "{text}: {wrong:?}"
            );
        }
    }

    #[test]
    fn a_prefix_is_whole_segments() {
        let prefix = |text: &str| PathPrefix::parse(text).map(|prefix| prefix.0).map_err(|why| why.hint.unwrap());
        assert_eq!(prefix("/api/"), Ok("/api".to_owned()));
        assert_eq!(prefix("/api/v2"), Ok("/api/v2".to_owned()));
        assert_eq!(prefix("/api/*"), Err("did you mean `/api`?".to_owned()));
        assert_eq!(prefix("/a//b"), Err("did you mean `/a/b`?".to_owned()));
        assert_eq!(prefix("api"), Err("did you mean `/api`?".to_owned()));
        assert!(prefix("/").is_err() && prefix("*").is_err() && prefix("/a?b").is_err());
    }
}
