//! Values of `forward_auth`: what is asked for, and which headers of the answer are copied.

use http::{HeaderName, Uri};
use schemars::{Schema, json_schema};

use super::{InvalidValue, TextValue, header, origin};
use memory::snapshot::{HeaderPattern, OriginTarget};

/// A URL with a path and a query, which is asked for as it is.
#[derive(Clone, Debug)]
pub struct AuthUrl {
    /// Without its path.
    pub server: OriginTarget,
    pub path_and_query: String,
}

impl TextValue for AuthUrl {
    fn wanted() -> String {
        "a URL such as \"http://127.0.0.1:9091/verify\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        const USUAL: &str = "write a URL such as \"http://127.0.0.1:9091/verify\"";
        let wrong = |why: &str, hint: String| InvalidValue::new(format!("invalid URL `{text}`: {why}"), hint);
        if text.contains('#') {
            let bare = text.split('#').next().unwrap_or(text);
            return Err(wrong("it has a fragment", format!("remove it: write \"{bare}\"")));
        }
        // A server is named as an origin is; only that one has no query.
        let server = origin(text.split('?').next().unwrap_or(text))?;
        let Ok(uri) = text.parse::<Uri>() else { return Err(wrong("it is not a URL", USUAL.to_owned())) };
        let path_and_query = uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned();
        Ok(AuthUrl { server: OriginTarget { base_path: String::new(), ..server }, path_and_query })
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^https?://[^/?#@]|\$\{", "x-unit": "url" })
    }
}

/// The name of a header, or its beginning and `*`.
#[derive(Clone, Debug)]
pub struct CopiedHeader(pub HeaderPattern);

impl TextValue for CopiedHeader {
    fn wanted() -> String {
        "the name of a header, or its beginning such as \"x-auth-*\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let start = text.strip_suffix('*');
        if start == Some("") {
            let hint = "write their names, or the beginning that they share: \"x-auth-*\"";
            return Err(InvalidValue::new("`*` would copy every header", hint));
        }
        if start.unwrap_or(text).contains('*') {
            let message = format!("invalid header name `{text}`: `*` stands at the end");
            return Err(InvalidValue::new(message, "write the beginning that the names share: \"x-auth-*\""));
        }
        let name = header(start.unwrap_or(text))?;
        let pattern = match (start, HeaderName::from_bytes(name.as_str().as_bytes())) {
            (Some(_), _) => HeaderPattern::Prefix(name.as_str().to_ascii_lowercase().into()),
            (None, Ok(name)) => HeaderPattern::Name(name),
            (None, Err(_)) => return Err(InvalidValue::bare(format!("invalid header name `{text}`"))),
        };
        Ok(CopiedHeader(pattern))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[!#$%&'+.^`|~0-9A-Za-z-]+\*?$|\$\{" })
    }
}
