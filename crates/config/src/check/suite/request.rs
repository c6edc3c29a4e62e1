//! A request of a suite: what is sent, and what later steps capture from its response.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use http::{HeaderName, Method};
use percent_encoding::utf8_percent_encode;
use regex::Regex;

use super::{BUILT_IN, NAMES, Reading, is_name};
use crate::check::length;
use crate::file::values::{REGEX, regex_in_words};
use crate::file::{AnyValue, At, RequestFile, Scalar};
use crate::suite::text::{NO_PATH, Piece, UNRESERVED, pieces, with_query};
use crate::suite::{Body, Capture, Json, SuiteRequest};

/// The names of the variables known at one place.
pub type Known = BTreeSet<String>;

/// Headers that frame a message are left to the connection.
const OURS: [&str; 7] = ["connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade"];
impl Reading<'_> {
    /// A request; what it captures is known from then on.
    pub(super) fn step(&mut self, typed: &At<RequestFile>, known: &mut Known) -> Option<SuiteRequest> {
        let At { value: file, span } = typed;
        let method = self.method(file);
        let path = self.path(file, span, known);
        let mut headers = self.headers.clone();
        for (name, value) in self.header_lines(&file.headers, known) {
            // A request's own header replaces the suite's.
            headers.retain(|(other, _)| *other != name);
            headers.push((name, value));
        }
        let body = self.body(file, known);
        let expect = self.expect(file.expect.as_ref(), known);
        let timeout = length(&file.timeout, self.timeout);
        let capture = self.captures(&file.capture);
        known.extend(capture.iter().map(|(name, _)| name.clone()));
        let path = path?;
        let query = self.pairs(&file.query, known);
        // As written in the file, because environment values are secret.
        let typed: Vec<_> = file.query.iter().map(|(name, at)| (name.clone(), at.value.0.clone())).collect();
        let Ok(shown) = with_query(file.path.as_ref()?.value.clone(), &typed, encoded);
        let shown = format!("{method} {shown}");
        let name = file.name.as_ref().map_or(shown.as_str(), |at| at.value.as_str()).to_owned();
        Some(SuiteRequest { name, method, path, query, headers, body, timeout, expect, capture })
    }

    fn method(&mut self, file: &RequestFile) -> Method {
        let Some(at) = &file.method else {
            let bare = file.json.is_none() && file.body.is_none() && file.body_file.is_none() && file.form.is_empty();
            return if bare { Method::GET } else { Method::POST };
        };
        let read = Method::from_bytes(at.value.as_bytes()).ok();
        match read.filter(|method| *method != Method::CONNECT && !at.value.bytes().any(|b| b.is_ascii_lowercase())) {
            Some(method) => method,
            None => {
                let hint =
                    format!("methods are written in upper case: did you mean `{}`?", at.value.to_ascii_uppercase());
                self.source.problem(at.span.clone(), format!("invalid method `{}`", at.value), Some(hint));
                Method::GET
            }
        }
    }

    fn path(&mut self, file: &RequestFile, span: &Range<usize>, known: &Known) -> Option<String> {
        let Some(at) = &file.path else {
            self.source.missing(span.clone(), "the request has no `path`", "write path = \"/api/attempts\"");
            return None;
        };
        self.request_path(at, known)
    }

    /// The pairs of a query or a form.
    fn pairs(&mut self, typed: &BTreeMap<String, At<Scalar>>, known: &Known) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (name, at) in typed {
            let key = self.source.key_of(&at.span);
            self.fixed(name, &key);
            all.push((name.clone(), self.text(&at.value.0, &at.span, known)));
        }
        all
    }

    /// A name, in which variables are not expanded.
    fn fixed(&mut self, name: &str, span: &Range<usize>) {
        if pieces(name).iter().any(|piece| matches!(piece, Piece::Name(_))) {
            let hint = "variables are only expanded in values".to_owned();
            self.source.problem(span.clone(), format!("the name `{name}` has a variable in it"), Some(hint));
        }
    }

    /// A path by itself.
    pub(super) fn request_path(&mut self, at: &At<String>, known: &Known) -> Option<String> {
        let first_is_name = matches!(pieces(&at.value).first(), Some(Piece::Name(_)));
        let bad = |b: u8| !b.is_ascii_graphic() || b"#\"<>`".contains(&b);
        if !first_is_name && !at.value.starts_with('/') || at.value.bytes().any(bad) {
            let hint =
                "a path begins with `/`; percent-encode spaces, quotes, `<`, `>`, `#` and what is not ASCII".to_owned();
            self.source.problem(at.span.clone(), format!("invalid path `{}`", at.value), Some(hint));
            return None;
        }
        let encoded = |value: &str| utf8_percent_encode(value, NO_PATH).to_string();
        Some(self.text_with(&at.value, &at.span, known, encoded))
    }

    pub(super) fn header_lines(
        &mut self,
        typed: &BTreeMap<String, At<String>>,
        known: &Known,
    ) -> Vec<(HeaderName, String)> {
        let mut all = Vec::new();
        for (name, at) in typed {
            let value = self.text(&at.value, &at.span, known);
            let key = self.source.key_of(&at.span);
            if let Some(name) = self.header_name(name, &key) {
                if OURS.contains(&name.as_str()) {
                    let message = format!("`{name}` is set by the proxy, and cannot be set");
                    let hint = match name == http::header::HOST {
                        true => "remove it: the origin's Host comes from its `url`",
                        false => "remove it",
                    };
                    self.source.problem(key, message, Some(hint.to_owned()));
                }
                all.push((name, value));
            }
        }
        all
    }

    pub(super) fn header_name(&mut self, name: &str, span: &Range<usize>) -> Option<HeaderName> {
        let read = HeaderName::from_bytes(name.as_bytes()).ok();
        if read.is_none() {
            let hint = Some("letters, digits and `-`, without spaces: \"x-request-id\"".to_owned());
            self.source.problem(span.clone(), format!("invalid header name `{name}`"), hint);
        }
        read
    }

    fn body(&mut self, file: &RequestFile, known: &Known) -> Body {
        let form = file.form.values().next();
        let places = [
            file.json.as_ref().map(|at| &at.span),
            file.body.as_ref().map(|at| &at.span),
            file.body_file.as_ref().map(|at| &at.span),
            form.map(|at| &at.span),
        ];
        if let Some(second) = places.into_iter().flatten().nth(1) {
            let message = "a request has one of `json`, `body`, `body_file` and `form`";
            self.source.problem(second.clone(), message, Some("keep one of them".to_owned()));
        }
        if let Some(at) = &file.json {
            return Body::Json(self.json(at, known));
        }
        if let Some(at) = &file.body {
            return Body::Text(self.text(&at.value, &at.span, known));
        }
        if let Some(at) = &file.body_file {
            return self.file(at).map_or(Body::None, |bytes| Body::Bytes(Arc::from(bytes)));
        }
        if form.is_some() {
            return Body::Form(self.pairs(&file.form, known));
        }
        Body::None
    }

    /// A TOML value as JSON, with its texts read.
    pub(super) fn json(&mut self, at: &At<AnyValue>, known: &Known) -> Json {
        self.json_of(&at.value.0, &at.span, known)
    }

    pub(super) fn json_of(&mut self, value: &toml::Value, span: &Range<usize>, known: &Known) -> Json {
        match value {
            toml::Value::String(text) => Json::Text(self.text(text, span, known)),
            toml::Value::Integer(number) => Json::from(serde_json::Value::from(*number)),
            toml::Value::Float(number) => {
                if !number.is_finite() {
                    let hint = Some("write a finite number, or a string".to_owned());
                    self.source.problem(span.clone(), format!("JSON has no {number}"), hint);
                }
                Json::from(serde_json::Value::from(*number))
            }
            toml::Value::Boolean(value) => Json::Bool(*value),
            toml::Value::Datetime(at) => Json::Text(at.to_string()),
            toml::Value::Array(items) => {
                Json::Array(items.iter().map(|item| self.json_of(item, span, known)).collect())
            }
            toml::Value::Table(fields) => {
                let mut object = BTreeMap::new();
                for (key, value) in fields {
                    self.fixed(key, span);
                    object.insert(key.clone(), self.json_of(value, span, known));
                }
                Json::Object(object)
            }
        }
    }

    fn captures(&mut self, typed: &BTreeMap<String, At<String>>) -> Vec<(String, Capture)> {
        let mut all = Vec::new();
        for (name, at) in typed {
            if !is_name(name) || BUILT_IN.contains(&name.as_str()) {
                let hint = Some(NAMES.to_owned());
                let key = self.source.key_of(&at.span);
                self.source.problem(key, format!("invalid variable name `{name}`"), hint);
            }
            let text = at.value.as_str();
            let capture = if let Some(name) = text.strip_prefix("header:") {
                self.header_name(name, &at.span).map(Capture::Header)
            } else if let Some(name) = text.strip_prefix("cookie:") {
                Some(Capture::Cookie(name.to_owned()))
            } else if let Some(text) = text.strip_prefix("regex:") {
                self.regex(Regex::new, text, &at.span).map(Capture::Regex)
            } else if text.starts_with('$') {
                self.json_path(text, &at.span).map(Capture::Json)
            } else {
                let hint = "write \"$.id\", \"header:location\", \"cookie:session\" or \"regex:id=(\\\\d+)\"";
                self.source.problem(at.span.clone(), format!("invalid capture `{text}`"), Some(hint.to_owned()));
                None
            };
            all.extend(capture.map(|capture| (name.clone(), capture)));
        }
        all
    }

    pub(super) fn regex<T>(
        &mut self,
        read: impl Fn(&str) -> Result<T, regex::Error>,
        text: &str,
        span: &Range<usize>,
    ) -> Option<T> {
        match read(text) {
            Ok(regex) => Some(regex),
            Err(why) => {
                self.source.problem(span.clone(), regex_in_words(&why), Some(REGEX.to_owned()));
                None
            }
        }
    }
}

/// Percent-encoded, except for the names of variables, as reports show it.
fn encoded(text: &str) -> Result<String, Infallible> {
    let encode = |piece: Piece<'_>| match piece {
        Piece::Text(text) => utf8_percent_encode(text, UNRESERVED).to_string(),
        Piece::Name(name) => format!("${{{name}}}"),
    };
    Ok(pieces(text).into_iter().map(encode).collect())
}
