//! Every expectation fails with words that a person understands, and passes where it should.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use regex::Regex;
use serde_json::json;

use super::*;
use crate::tests::path;
use crate::variables::VariableValue;
use config::suite::WholeRegex;
use config::suite::{Capture, Schema};

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: impl Into<Bytes>) -> OriginResponse {
    let body = body.into();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    OriginResponse { status, headers: map, length: body.len() as u64, body }
}

fn told(expect: Expect, answer: &OriginResponse) -> Vec<String> {
    let mut variables = Variables::default();
    variables.set("id", "7");
    variables.set("name", "Ada");
    let all = judge(&expect, answer, Duration::from_millis(20), &variables);
    all.into_iter().map(|f| format!("{}: {} | {}", f.what, f.expected, f.found)).collect()
}

fn of_json(at: &str, wanted: Expectation, body: Value) -> Vec<String> {
    let expect = Expect { json: vec![(path(at), wanted)], ..Expect::default() };
    told(expect, &answer(200, &[], body.to_string()))
}

#[test]
fn status_and_latency() {
    let none: [String; 0] = [];
    assert_eq!(told(Expect::default(), &answer(302, &[], "")), none);
    assert_eq!(told(Expect::default(), &answer(404, &[], "")), ["status: 200 to 399 | 404 Not Found"]);
    let expect = Expect { status: vec![(201, 201), (400, 499)], ..Expect::default() };
    assert_eq!(told(expect.clone(), &answer(200, &[], "")), ["status: 201 or 400 to 499 | 200 OK"]);
    assert_eq!(told(expect, &answer(499, &[], "")), none);
    let expect = Expect { latency: Some(Millis(20)), ..Expect::default() };
    assert_eq!(told(expect, &answer(200, &[], "")), none);
    let expect = Expect { latency: Some(Millis(19)), ..Expect::default() };
    assert_eq!(told(expect, &answer(200, &[], "")), ["latency: at most 19ms | 20.0ms"]);
}

#[test]
fn every_operator_on_every_kind_of_value() {
    let all =
        json!({"n": 7, "f": 7.0, "t": "seven 7", "p": "12.50", "l": ["a", 2], "o": {"k": 1}, "z": null, "b": true});
    let re = |text: &str| Expectation::Matches(WholeRegex::new(text).unwrap());
    let text = |text: &str| Expectation::Equals(json!(text).into());
    for (at, wanted) in [
        ("$.n", Expectation::Equals(json!(7.0).into())),
        ("$.n", text("${id}")),
        ("$.t", text("seven ${id}")),
        ("$.o", Expectation::Equals(json!({"k": 1.0}).into())),
        ("$.l", Expectation::Equals(json!(["a", 2]).into())),
        ("$.t", Expectation::Contains("n ${id}".to_owned())),
        ("$.n", Expectation::Contains("7".to_owned())),
        ("$.l", Expectation::Contains("2".to_owned())),
        ("$.o", Expectation::Contains("k".to_owned())),
        ("$.t", re("s|seven [0-9]")),
        ("$.n", re("[0-9]")),
        ("$.z", Expectation::Present),
        ("$.none", Expectation::Absent),
        ("$.n", Expectation::Above(6.9)),
        ("$.p", Expectation::Below(12.6)),
        ("$.t", Expectation::Length(7)),
        ("$.l", Expectation::Length(2)),
        ("$.o", Expectation::Length(1)),
        ("$.z", Expectation::Type("null".to_owned())),
        ("$.b", Expectation::Type("boolean".to_owned())),
        ("$.o", Expectation::Type("object".to_owned())),
        ("$.l[*]", Expectation::Present),
    ] {
        assert!(of_json(at, wanted.clone(), all.clone()).is_empty(), "{at} {wanted:?}");
    }
    for (at, wanted, words) in [
        ("$.n", Expectation::Equals(json!(8).into()), "json $.n: 8 | 7"),
        ("$.n", text("7"), "json $.n: \"7\" | 7"),
        ("$.none", text("x"), "json $.none: \"x\" | nothing"),
        ("$.t", text("${gone}"), "json $.t: `${gone}` has no value here | \"seven 7\""),
        ("$.l", Expectation::Contains("b".to_owned()), "json $.l: a value containing `b` | [\"a\",2]"),
        ("$.t", re("even [0-9]"), "json $.t: a value matching `even [0-9]` | \"seven 7\""),
        ("$.none", Expectation::Present, "json $.none: a value | nothing"),
        ("$.z", Expectation::Absent, "json $.z: nothing | null"),
        ("$.n", Expectation::Above(7.0), "json $.n: a number above 7 | 7"),
        ("$.t", Expectation::Below(9.0), "json $.t: a number below 9 | \"seven 7\""),
        ("$.l", Expectation::Length(3), "json $.l: a length of 3 | 2: [\"a\",2]"),
        ("$.n", Expectation::Length(1), "json $.n: a length of 1 | 7"),
        ("$.n", Expectation::Type("string".to_owned()), "json $.n: string | number: 7"),
        ("$['o'].k", Expectation::Equals(json!(2).into()), "json $.o.k: 2 | 1"),
        ("$.l[*]", Expectation::Type("string".to_owned()), "json $.l[1]: string | number: 2"),
    ] {
        assert_eq!(of_json(at, wanted, all.clone()), [words]);
    }
}

#[test]
fn headers_are_texts_and_one_line_will_do() {
    let found = answer(200, &[("x-a", "1"), ("x-a", "22"), ("content-length", "5"), ("set-cookie", "sid=abc")], "");
    let name = HeaderName::from_static;
    let judged = |header, wanted| told(Expect { headers: vec![(header, wanted)], ..Expect::default() }, &found);
    assert!(judged(name("x-a"), Expectation::Equals(json!("22").into())).is_empty());
    assert!(judged(name("x-a"), Expectation::Equals(json!(22).into())).is_empty());
    assert!(judged(name("content-length"), Expectation::Above(4.0)).is_empty());
    assert!(judged(name("x-b"), Expectation::Absent).is_empty());
    assert_eq!(judged(name("x-a"), Expectation::Absent), ["header x-a: nothing | \"1\", \"22\""]);
    assert_eq!(
        judged(name("x-a"), Expectation::Equals(json!("${name}").into())),
        ["header x-a: \"Ada\" | \"1\", \"22\""]
    );
    assert_eq!(judged(name("x-b"), Expectation::Present), ["header x-b: a value | nothing"]);
    assert_eq!(
        judged(header::SET_COOKIE, Expectation::Contains("x".to_owned())),
        ["header set-cookie: a value containing `x` | ***"]
    );
}

#[test]
fn a_whole_document_is_compared_with_a_diff() {
    let equals = json!({"id": "${id}", "price": 100, "at": 0, "tags": ["a", "${name}"]});
    let expect = |ignore: &[&str], tolerance| Expect {
        equals: Some(equals.clone().into()),
        ignore: ignore.iter().map(|at| path(at)).collect(),
        tolerance,
        ..Expect::default()
    };
    let found = json!({"id": "7", "price": 101, "at": 5, "tags": ["a", "Ada"]});
    assert!(told(expect(&["$.at"], 0.01), &answer(200, &[], found.to_string())).is_empty());
    let found = json!({"id": 7, "price": 101, "at": 5, "tags": ["a", "Bob"]});
    let mut variables = Variables::default();
    variables.set("id", "7");
    variables.set("name", "Ada");
    let judged = judge(&expect(&["$.at"], 0.01), &answer(200, &[], found.to_string()), Duration::ZERO, &variables);
    assert_eq!(judged.len(), 1, "{judged:?}");
    assert_eq!(judged[0].what, "json $.tags[1]");
    let diff = judged[0].diff.as_deref().unwrap();
    assert!(diff.starts_with("--- expected\n+++ found\n"), "{diff}");
    assert!(diff.contains("-    \"Ada\"\n+    \"Bob\"\n"), "{diff}");
    assert!(!diff.contains("101") && !diff.contains("\"at\""), "what is near enough, or ignored, is no line: {diff}");
}

#[test]
fn a_schema_names_every_violation_by_its_place_and_fetches_nothing() {
    let schema = json!({
        "type": "object",
        "required": ["total"],
        "properties": {"items": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "integer"}}}}}
    });
    let judged = |schema: Value| {
        let expect = Expect { schema: Some(Arc::new(Schema::new(schema).unwrap())), ..Expect::default() };
        told(expect, &answer(200, &[], json!({"items": [{"id": 1}, {"id": "2"}]}).to_string()))
    };
    assert_eq!(
        judged(schema),
        ["schema $: required: [\"total\"] | no \"total\"", "schema $.items[1].id: type: \"integer\" | string: \"2\"",]
    );
    // A listener that hears of any attempt to fetch.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    for there in [format!("http://{}/s.json", listener.local_addr().unwrap()), "file:///etc/hostname".to_owned()] {
        let remote = json!({"properties": {"items": {"$ref": there}}});
        let refused = Schema::new(remote).unwrap_err();
        assert!(refused.contains(&there), "{refused}");
    }
    assert!(listener.accept().is_err(), "nobody came");
    assert!(judged(json!({"$defs": {"a": {}}, "$ref": "#/$defs/a"})).is_empty());
}

#[test]
fn a_schema_is_built_once_for_all_answers() {
    let fields = |at: usize| (format!("f{at}"), json!({"type": "object", "properties": {"id": {"type": "integer"}}}));
    let schema = json!({ "properties": (0..3_000).map(fields).collect::<serde_json::Map<_, _>>() });
    let began = memory::clock::micros();
    let expect = Expect { schema: Some(Arc::new(Schema::new(schema).unwrap())), ..Expect::default() };
    let building = memory::clock::micros() - began;
    let (answer, variables) = (answer(200, &[], r#"{"f1": {"id": 1}}"#), Variables::default());
    let began = memory::clock::micros();
    for _ in 0..100 {
        assert!(judge(&expect, &answer, Duration::ZERO, &variables).is_empty());
    }
    let judging = memory::clock::micros() - began;
    assert!(judging < building * 20, "100 answers take {judging} µs, building takes {building} µs");
}

#[test]
fn what_is_no_json_says_what_it_is() {
    let expect = || Expect { json: vec![(path("$.a"), Expectation::Present)], ..Expect::default() };
    let page = format!("<html>\n{}", "x".repeat(200));
    let told_of = |answer: &OriginResponse| told(expect(), answer);
    assert_eq!(told_of(&answer(200, &[], page)), [format!("body: JSON | not JSON: `<html> {}…`", "x".repeat(73))]);
    assert_eq!(told_of(&answer(200, &[], "")), ["body: JSON | an empty body"]);
    let zipped = answer(200, &[("content-encoding", "gzip")], &b"\x1f\x8b"[..]);
    assert_eq!(told_of(&zipped), ["body: JSON | not JSON, encoded as gzip: 2 bytes of binary data"]);
    let cut = OriginResponse { length: 9, ..answer(200, &[], "{}") };
    assert_eq!(told_of(&cut), ["body: JSON | 9 bytes, of which only the first 2 are kept"]);
}

#[test]
fn a_body_is_a_text() {
    let judged =
        |wanted, body: &'static str| told(Expect { body: vec![wanted], ..Expect::default() }, &answer(200, &[], body));
    assert!(judged(Expectation::Equals(json!("pong").into()), "pong").is_empty());
    assert!(judged(Expectation::Matches(WholeRegex::new("p.*g").unwrap()), "pong").is_empty());
    assert!(judged(Expectation::Absent, "").is_empty());
    assert!(judged(Expectation::Length(0), "").is_empty());
    assert!(judged(Expectation::Above(41.0), "42\n").is_empty());
    assert_eq!(
        judged(Expectation::Contains("${name}".to_owned()), "pong"),
        ["body: a value containing `Ada` | \"pong\""]
    );
    assert_eq!(judged(Expectation::Present, ""), ["body: a value | nothing"]);
}

#[test]
fn values_are_captured_or_named_as_missing() {
    let found = answer(
        200,
        &[("location", "/items/9"), ("set-cookie", "sid=old; Path=/"), ("set-cookie", "sid=a=b; HttpOnly")],
        r#"{"token":"t","ids":[3,4],"o":{"a":1}}"#,
    );
    let wanted = |capture: Capture| vec![("x".to_owned(), capture)];
    for (from, value) in [
        (Capture::Json(path("$.ids[*]")), "3"),
        (Capture::Json(path("$.o")), r#"{"a":1}"#),
        (Capture::Header(header::LOCATION), "/items/9"),
        (Capture::Cookie("sid".to_owned()), "a=b"),
        (Capture::Regex(Regex::new("\"tok(.)n\"").unwrap()), "e"),
        (Capture::Regex(Regex::new("tok.n").unwrap()), "token"),
    ] {
        let (values, missing) = capture::all(&wanted(from), &found);
        assert_eq!((values, missing.len()), (vec![("x".to_owned(), value.into())], 0));
    }
    let body = r#"{"n": 18446744073709551617, "price": 12345678901234567.89, "code": "007", "e": "1e5", "n": 18446744073709551618}"#;
    for (from, text, is_text) in [
        ("$.n", "18446744073709551618", false),
        ("$.price", "12345678901234567.89", false),
        ("$.code", "007", true),
        ("$.e", "1e5", true),
    ] {
        let (values, _) = capture::all(&wanted(Capture::Json(path(from))), &answer(200, &[], body));
        assert_eq!(values, [("x".to_owned(), VariableValue { text: text.to_owned(), is_text })]);
    }
    for (from, place) in [
        (Capture::Json(path("$.gone")), "json $.gone"),
        (Capture::Header(header::ETAG), "header etag"),
        (Capture::Cookie("none".to_owned()), "cookie none"),
        (Capture::Regex(Regex::new("nope").unwrap()), "a match for `nope`"),
    ] {
        let (values, missing) = capture::all(&wanted(from), &found);
        assert!(values.is_empty());
        assert_eq!(
            (missing[0].what.as_str(), missing[0].expected.as_str(), missing[0].found.as_str()),
            ("capture x", place, "nothing")
        );
    }
    let (_, missing) = capture::all(&wanted(Capture::Json(path("$"))), &answer(200, &[], "oops"));
    assert_eq!(missing[0].found, "not JSON: `oops`");
}

#[test]
fn numbers_are_expected_to_the_last_digit_and_texts_stay_texts() {
    let mut variables = Variables::default();
    let judged = |found: &str, wanted: &str, variables: &Variables| {
        let json = vec![(path("$.id"), Expectation::Equals(json!(wanted).into()))];
        let equals = Some(json!({"id": wanted}).into());
        let each = [Expect { json, ..Expect::default() }, Expect { equals, ..Expect::default() }].map(|expect| {
            judge(&expect, &answer(200, &[], format!("{{\"id\": {found}}}")), Duration::ZERO, variables).is_empty()
        });
        assert_eq!(each[0], each[1]);
        each[0]
    };
    variables.set("id", VariableValue { text: "18446744073709551617".to_owned(), is_text: false });
    assert!(judged("18446744073709551617", "${id}", &variables));
    assert!(judged("18446744073709551617.0", "${id}", &variables));
    assert!(!judged("18446744073709551616", "${id}", &variables));
    variables.set("id", VariableValue { text: "7".to_owned(), is_text: true });
    assert!(judged("\"7\"", "${id}", &variables) && !judged("7", "${id}", &variables));
    variables.set("id", "7");
    assert!(judged("\"7\"", "${id}", &variables) && judged("7", "${id}", &variables));
}
