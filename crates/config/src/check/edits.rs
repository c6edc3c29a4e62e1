//! `request_headers` and `response_headers`: edits of heads, for a service and for its routes.

use std::ops::Range;

use http::{HeaderName, HeaderValue};

use crate::file::{At, EditsFile, ServiceFile, values};
use crate::read::SourceFile;
use memory::snapshot::{HeaderEdit, HeaderEdits};

/// A longer value is a mistake.
const LONGEST_VALUE: usize = 4096;
/// Headers that frame a message or belong to one connection are left to the proxy (RFC 9110 7.6.1).
const OURS: [&str; 9] =
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// The edits of every route, `default` first: the service's, then its own.
pub fn of_routes(source: &mut SourceFile, file: &ServiceFile) -> Box<[HeaderEdits]> {
    let of_service =
        [list(source, file.request_headers.as_ref()), list(source, file.response_headers.as_ref())].map(Vec::from);
    let mut all = vec![of_service.clone()];
    for route in &file.route {
        let [mut request, mut response] = of_service.clone();
        request.extend(list(source, route.value.request_headers.as_ref()));
        response.extend(list(source, route.value.response_headers.as_ref()));
        all.push([request, response]);
    }
    all.into_iter()
        .map(|[request, response]| HeaderEdits { request: request.into(), response: response.into() })
        .collect()
}

fn list(source: &mut SourceFile, typed: Option<&At<EditsFile>>) -> Vec<HeaderEdit> {
    let Some(At { value: file, span }) = typed else { return Vec::new() };
    if file.remove.is_empty() && file.set.is_empty() && file.add.is_empty() {
        source.missing(
            span.clone(),
            "this does not change any header",
            "write set = { x-a = \"b\" }, add = { … } or remove = [\"x-a\"]",
        );
    }
    let mut edits = Vec::new();
    let mut seen: Vec<(HeaderName, &str)> = Vec::new();
    let mut named = |source: &mut SourceFile, text: &str, span: &Range<usize>, list: &'static str| {
        let name = name(source, text, span)?;
        match seen.iter().find(|(other, _)| *other == name) {
            // Either order would surprise someone.
            Some((_, other)) if *other == list => {
                let hint = Some("remove one of the two: names of headers ignore case".to_owned());
                source.problem(span.clone(), format!("`{name}` is listed twice in `{list}`"), hint);
                None
            }
            Some((_, other)) => {
                let hint = Some("`set` replaces all lines of a header, `add` leaves those that are there".to_owned());
                source.problem(span.clone(), format!("`{name}` is in both `{other}` and `{list}`"), hint);
                None
            }
            None => {
                seen.push((name.clone(), list));
                Some(name)
            }
        }
    };
    for At { value, span } in &file.remove {
        edits.extend(named(source, value, span, "remove").map(HeaderEdit::Remove));
    }
    for (text, typed) in &file.set {
        let key = source.key_of(&typed.span);
        let name = named(source, text, &key, "set");
        let value = value(source, typed);
        edits.extend(name.zip(value).map(|(name, value)| HeaderEdit::Set(name, value)));
    }
    for (text, lines) in &file.add {
        let Some(first) = lines.0.first() else { continue };
        let key = source.key_of(&first.span);
        let name = named(source, text, &key, "add");
        for line in &lines.0 {
            let value = value(source, line);
            edits.extend(name.clone().zip(value).map(|(name, value)| HeaderEdit::Add(name, value)));
        }
    }
    edits
}

fn name(source: &mut SourceFile, text: &str, span: &Range<usize>) -> Option<HeaderName> {
    let name = match values::header(text) {
        Ok(name) => HeaderName::from_bytes(name.as_str().as_bytes()).ok()?,
        Err(why) => {
            source.problem(span.clone(), why.message, why.hint);
            return None;
        }
    };
    if OURS.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
        let message = format!("`{name}` is set by the proxy, and cannot be changed");
        let hint = match name == http::header::HOST {
            true => "use the key `host` of the service or the environment: \"origin\", \"preserve\" or a name",
            false => "remove it",
        };
        source.problem(span.clone(), message, Some(hint.to_owned()));
        return None;
    }
    Some(name)
}

/// A value that a header can have; problems are noted.
pub fn value(source: &mut SourceFile, typed: &At<String>) -> Option<HeaderValue> {
    let At { value: text, span } = typed;
    let wrong = if text.len() > LONGEST_VALUE {
        "it is over 4096 bytes long"
    } else if text.trim() != text {
        "it begins or ends with whitespace"
    } else if !text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        "a header can only contain visible ASCII, spaces and tabs"
    } else if let Ok(value) = HeaderValue::from_str(text) {
        return Some(value);
    } else {
        "it is malformed"
    };
    // The text itself may be unsafe to show on a terminal.
    let hint = "write visible ASCII of at most 4096 bytes; what is not ASCII is percent-encoded".to_owned();
    source.problem(span.clone(), format!("invalid header value: {wrong}"), Some(hint));
    None
}
