//! Whether both origins respond to the same request with the same JSON or the same bytes.

use serde_json_path::JsonPath;

use crate::consistency::{blank, fail, json, side};
use crate::diff::unified;
use config::suite::Json;
use relay::origin::exchange::OriginResponse;
use wire::{DataResult, DataSide, Finding};

/// Compares two answers. An error says why there is none, in words that follow a side's name: `refused the connection`.
pub fn http(
    name: &str,
    blue: Result<&OriginResponse, String>,
    green: Result<&OriginResponse, String>,
    ignore: &[JsonPath],
    tolerance: f64,
    took_ms: f64,
) -> DataResult {
    let mut result = blank(name, "http", ["http", "http"]);
    result.took_ms = took_ms;
    let whole = |answer: Result<&OriginResponse, String>, side: &str| match answer {
        Err(why) => Err(format!("{side} {why}")),
        Ok(answer) if answer.length > answer.body.len() as u64 => {
            let (length, most) = (answer.length, answer.body.len());
            Err(format!("{side} returned {length} bytes, more than the {most} that can be compared"))
        }
        Ok(answer) => Ok(answer.clone()),
    };
    let answers = match (whole(blue, "blue"), whole(green, "green")) {
        (Ok(blue), Ok(green)) => Ok((blue, green)),
        (blue, green) => {
            let words: Vec<String> = [blue.err(), green.err()].into_iter().flatten().collect();
            Err(words.join("; "))
        }
    };
    match answers {
        Ok((blue, green)) => compare(&mut result, &blue, &green, ignore, tolerance),
        Err(why) => fail(&mut result, format!("{name}: {why}")),
    }
    result
}

fn compare(
    result: &mut DataResult,
    blue: &OriginResponse,
    green: &OriginResponse,
    ignore: &[JsonPath],
    tolerance: f64,
) {
    let mut findings = Vec::new();
    if blue.status != green.status {
        findings.push(finding("status", blue.status.to_string(), green.status.to_string()));
    }
    if blue.status == green.status && blue.status >= 400 {
        let good = "a status below 400".to_owned();
        findings.push(finding("status", good, format!("{} on both sides", green.status)));
    }
    let (left, right) = (parsed(blue), parsed(green));
    let with = |checksum: String| DataSide { checksum: Some(checksum), ..side("http") };
    if let (Some(left), Some(right)) = (&left, &right) {
        result.blue = with(json::hash(json::canonical(left, ignore).as_bytes()));
        result.green = with(json::hash(json::canonical(right, ignore).as_bytes()));
        findings.extend(json::differences(left, right, json::CompareOptions { ignore, tolerance }));
    } else {
        result.blue = with(json::hash(&blue.body));
        result.green = with(json::hash(&green.body));
        if blue.body != green.body {
            let told = |answer: &OriginResponse, json: bool| {
                let kind = if json { "JSON" } else { "not JSON" };
                format!("{} bytes, {kind}", answer.body.len())
            };
            let mut finding = finding("body", told(blue, left.is_some()), told(green, right.is_some()));
            finding.diff = diff(&blue.body, &green.body);
            findings.push(finding);
        }
    }
    if let Some(first) = findings.first() {
        let (what, left, right) = (&first.what, &first.expected, &first.found);
        let more = match findings.len() {
            1 => String::new(),
            number => format!(", and {} more", number - 1),
        };
        let why = match what.as_str() {
            "status" if blue.status == green.status => {
                format!("{}: both sides return {}{more}", result.name, green.status)
            }
            _ => format!("{}: {what} differs: blue has {left}, green has {right}{more}", result.name),
        };
        fail(result, why);
    }
    result.findings = findings;
}

fn finding(what: &str, expected: String, found: String) -> Finding {
    Finding { what: what.to_owned(), expected, found, diff: None }
}

fn parsed(answer: &OriginResponse) -> Option<Json> {
    Json::parse(&answer.body).ok()
}

/// Line by line, where both are texts.
fn diff(blue: &[u8], green: &[u8]) -> Option<String> {
    let (Ok(blue), Ok(green)) = (std::str::from_utf8(blue), std::str::from_utf8(green)) else { return None };
    unified(blue, green, ["blue", "green"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Outcome;

    fn answer(status: u16, body: &[u8]) -> OriginResponse {
        let body = bytes::Bytes::copy_from_slice(body);
        OriginResponse { status, headers: http::HeaderMap::new(), length: body.len() as u64, body }
    }

    #[test]
    fn json_is_compared_by_what_it_means() {
        let (blue, green) =
            (answer(200, br#"{"b":1,"a":[1,2],"at":5}"#), answer(200, br#"{"a":[1,2], "at":9, "b":1}"#));
        let ignore = [JsonPath::parse("$.at").unwrap()];
        let result = http("users", Ok(&blue), Ok(&green), &ignore, 0.0, 1.5);
        assert_eq!((result.outcome, result.why.as_deref()), (Outcome::Passed, None));
        assert_eq!((result.blue.checksum.as_ref(), result.took_ms), (result.green.checksum.as_ref(), 1.5));
        let result = http("users", Ok(&blue), Ok(&green), &[], 0.0, 1.5);
        assert_eq!(result.why.as_deref(), Some("users: json $.at differs: blue has 5, green has 9"));
        assert_ne!(result.blue.checksum, result.green.checksum);
        let near = http("users", Ok(&blue), Ok(&green), &[], 0.5, 1.5);
        assert_eq!(near.outcome, Outcome::Passed);
    }

    #[test]
    fn other_bodies_are_compared_byte_by_byte_and_texts_line_by_line() {
        let (blue, green) = (answer(200, b"one\ntwo\nthree\n"), answer(404, b"one\n2\nthree\n"));
        let result = http("page", Ok(&blue), Ok(&green), &[], 0.0, 0.0);
        let what: Vec<&str> = result.findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(what, ["status", "body"]);
        assert_eq!(result.why.as_deref(), Some("page: status differs: blue has 200, green has 404, and 1 more"));
        let diff = result.findings[1].diff.as_deref().unwrap();
        assert!(diff.contains("-two\n+2\n"), "{diff}");
        let binary = http("page", Ok(&answer(200, b"\xff\x00")), Ok(&answer(200, b"\xff\x01")), &[], 0.0, 0.0);
        assert_eq!((binary.outcome, binary.findings[0].diff.as_deref()), (Outcome::Failed, None));
        let same = http("page", Ok(&answer(200, b"\xff\x00")), Ok(&answer(200, b"\xff\x00")), &[], 0.0, 0.0);
        assert_eq!(same.outcome, Outcome::Passed);
    }

    #[test]
    fn without_two_whole_answers_there_is_nothing_to_compare() {
        let good = answer(200, b"{}");
        let result = http("users", Err("refused the connection".to_owned()), Ok(&good), &[], 0.0, 0.0);
        assert_eq!(result.why.as_deref(), Some("users: blue refused the connection"));
        let long = OriginResponse { length: 9_000_000, ..answer(200, b"{}") };
        let result = http("users", Ok(&good), Ok(&long), &[], 0.0, 0.0);
        assert_eq!(
            result.why.as_deref(),
            Some("users: green returned 9000000 bytes, more than the 2 that can be compared")
        );
    }

    #[test]
    fn long_texts_without_a_line_in_common_take_no_time_and_no_space() {
        let lines = |word: &str| (0..20_000).map(|at| format!("{word}{at}\n")).collect::<String>();
        let (blue, green) = (answer(200, lines("a").as_bytes()), answer(200, lines("b").as_bytes()));
        let result = http("page", Ok(&blue), Ok(&green), &[], 0.0, 0.0);
        assert!(result.findings[0].diff.as_ref().unwrap().len() < 32 << 10);
    }
}
