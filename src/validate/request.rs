//! A step of a suite as a request, with its variables put in.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use crate::config::suite::{Body, Step};
use crate::origin::exchange::Request;
use crate::validate::target::Target;
use crate::validate::text::Variables;

/// Who asks, so that an origin's log tells validation from clients.
const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"), " (validation)");

/// What a step sends to a target.
///
/// # Errors
/// A variable has no value, or makes something that is no request.
pub fn prepare(step: &Step, target: &Target, variables: &Variables) -> Result<Request, String> {
    let path = variables.expand(&step.path)?;
    if !path.starts_with('/') || path.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#') {
        return Err(format!("`{path}` is no path to ask for"));
    }
    let mut headers = target.headers.clone();
    for (name, text) in &step.headers {
        let value = variables.expand(text)?;
        let value = HeaderValue::from_str(&value);
        headers.push((name.clone(), value.map_err(|_| format!("the value of `{name}` is none for a header"))?));
    }
    let (body, kind) = body(&step.body, variables)?;
    if let Some(kind) = kind {
        add(&mut headers, header::CONTENT_TYPE, kind);
    }
    add(&mut headers, header::USER_AGENT, USER_AGENT);
    add(&mut headers, header::ACCEPT, "*/*");
    Ok(Request { method: step.method.clone(), target: path, headers, body })
}

/// Unless the suite names it.
fn add(headers: &mut Vec<(HeaderName, HeaderValue)>, name: HeaderName, value: &'static str) {
    if headers.iter().all(|(other, _)| *other != name) {
        headers.push((name, HeaderValue::from_static(value)));
    }
}

fn body(body: &Body, variables: &Variables) -> Result<(Bytes, Option<&'static str>), String> {
    Ok(match body {
        Body::None => (Bytes::new(), None),
        Body::Text(text) => (variables.expand(text)?.into(), None),
        Body::Json(value) => (variables.expand_json(value)?.to_string().into(), Some("application/json")),
        Body::Bytes(bytes) => (Bytes::copy_from_slice(bytes), None),
        Body::Form(fields) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, text) in fields {
                form.append_pair(name, &variables.expand(text)?);
            }
            (form.finish().into(), Some("application/x-www-form-urlencoded"))
        }
    })
}
