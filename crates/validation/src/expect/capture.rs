//! What a step captures from a response for later steps.

use crate::consistency::json::place_of;
use crate::expect::{json_of, operators};
use crate::variables::VariableValue;
use config::suite::{Capture, Json};
use relay::origin::exchange::OriginResponse;
use wire::Finding;

/// In bytes. Captured values are inserted into requests.
const LONGEST: usize = 16 << 10;

/// The captured values by name, and a finding for each that is missing.
pub fn all(wanted: &[(String, Capture)], answer: &OriginResponse) -> (Vec<(String, VariableValue)>, Vec<Finding>) {
    let json = wanted.iter().any(|(_, capture)| matches!(capture, Capture::Json(_))).then(|| json_of(answer));
    let json = json.map(|read| {
        read.map(|body| {
            let rounded = body.rounded();
            (body, rounded)
        })
    });
    let (mut values, mut missing) = (Vec::new(), Vec::new());
    for (name, capture) in wanted {
        let found = match capture {
            Capture::Json(path) => match &json {
                Some(Ok((body, rounded))) => {
                    let node = path.query_located(rounded).first().and_then(|node| body.at(&place_of(node)));
                    node.map(|node| variable(node.single())).ok_or("nothing".to_owned())
                }
                Some(Err(instead)) => Err(instead.clone()),
                None => Err("nothing".to_owned()),
            },
            Capture::Header(name) => header(name, answer).map(VariableValue::from).ok_or("nothing".to_owned()),
            Capture::Cookie(name) => cookie(name, answer).map(VariableValue::from).ok_or("nothing".to_owned()),
            Capture::Regex(regex) => {
                let body = String::from_utf8_lossy(&answer.body);
                let found = regex.captures(&body).and_then(|groups| groups.get(1).or_else(|| groups.get(0)));
                found.map(|group| VariableValue::from(group.as_str())).ok_or("nothing".to_owned())
            }
        };
        let found = found.and_then(|value| match value.text.len() {
            length if length > LONGEST => Err(format!("{length} bytes, more than {LONGEST}")),
            _ => Ok(value),
        });
        match found {
            Ok(value) => values.push((name.clone(), value)),
            Err(found) => {
                missing.push(Finding { what: format!("capture {name}"), expected: place(capture), found, diff: None })
            }
        }
    }
    (values, missing)
}

fn place(capture: &Capture) -> String {
    match capture {
        Capture::Json(path) => format!("json {path}"),
        Capture::Header(name) => format!("header {name}"),
        Capture::Cookie(name) => format!("cookie {name}"),
        Capture::Regex(regex) => format!("a match for `{regex}`"),
    }
}

fn variable(node: &Json) -> VariableValue {
    VariableValue {
        text: operators::text(node).unwrap_or_else(|| node.to_string()),
        is_text: matches!(node, Json::Text(_)),
    }
}

fn header(name: &http::HeaderName, answer: &OriginResponse) -> Option<String> {
    answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// If a cookie is set more than once the last one counts, as in a browser.
fn cookie(name: &str, answer: &OriginResponse) -> Option<String> {
    let lines = answer.headers.get_all(http::header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.filter_map(|line| line.split(';').next()?.split_once('='));
    pairs.rfind(|(set, _)| set.trim() == name).map(|(_, value)| value.trim().to_owned())
}
