//! A step of a suite as a request, with its variables filled in.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, header};
use percent_encoding::utf8_percent_encode;

use crate::target::TestTarget;
use crate::variables::Variables;
use config::suite::text::{NO_PATH, UNRESERVED, with_query};
use config::suite::{Body, SuiteRequest};
use relay::origin::exchange::OriginRequest;

/// Tells validation from clients in an origin's log.
const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"), " (validation)");

/// Builds the request that a step sends to a target.
///
/// # Errors
/// A variable has no value, or makes the request invalid.
pub fn prepare(step: &SuiteRequest, target: &TestTarget, variables: &Variables) -> Result<OriginRequest, String> {
    let path = variables.expand_with(&step.path, |value| utf8_percent_encode(value, NO_PATH).to_string())?;
    let path = with_query(path, &step.query, |text| {
        Ok::<_, String>(utf8_percent_encode(&variables.expand(text)?, UNRESERVED).to_string())
    })?;
    if !path.starts_with('/') || path.parse::<PathAndQuery>().is_err() {
        return Err(format!("invalid path `{path}`"));
    }
    let mut headers = target.headers.clone();
    for (name, text) in &step.headers {
        let value = variables.expand(text)?;
        let value = HeaderValue::from_str(&value);
        headers.push((name.clone(), value.map_err(|_| format!("invalid value for header `{name}`"))?));
    }
    let (body, kind) = body(&step.body, variables)?;
    if let Some(kind) = kind {
        add(&mut headers, header::CONTENT_TYPE, kind);
    }
    add(&mut headers, header::USER_AGENT, USER_AGENT);
    add(&mut headers, header::ACCEPT, "*/*");
    Ok(OriginRequest { method: step.method.clone(), target: path, headers, body })
}

/// Adds a header unless the suite sets it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{step, target};

    #[test]
    fn what_is_put_into_paths_and_queries_is_encoded() {
        let mut variables = Variables::default();
        for (name, value) in [("id", "a b<\"é"), ("next", "/orders?page=2"), ("q", "R&D = 7%"), ("line", "a\nb")] {
            variables.set(name, value);
        }
        let target = target(wire::Side::Blue, "127.0.0.1:1".parse().unwrap());
        let asked = |path: &str, query: &[(&str, &str)]| {
            let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let step = SuiteRequest { path: path.to_owned(), query, ..step("GET /") };
            prepare(&step, &target, &variables).map(|request| request.target)
        };
        assert_eq!(asked("/a/${id}", &[]).unwrap(), "/a/a%20b%3C%22%C3%A9");
        assert_eq!(asked("${next}", &[("q", "${q}")]).unwrap(), "/orders?page=2&q=R%26D%20%3D%207%25");
        assert_eq!(
            asked("/s", &[("a b", "${id}!"), ("x", "$${q}")]).unwrap(),
            "/s?a%20b=a%20b%3C%22%C3%A9%21&x=%24%7Bq%7D"
        );
        assert_eq!(asked("/${line}", &[]).unwrap(), "/a%0Ab");
        assert_eq!(asked("${q}", &[]).unwrap_err(), "invalid path `R&D%20=%207%`");
        assert_eq!(asked("/s", &[("q", "${gone}")]).unwrap_err(), "`${gone}` has no value here");
    }
}
