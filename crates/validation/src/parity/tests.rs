//! Two origins that differ in known ways, and what parity says of them.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request as AskResult;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, header};
use serde_json::{Value, json};

use super::*;
use crate::tests::{parity, path, raw, serve, step};
use config::suite::{Body, SuiteRequest};
use judgement::time::Millis;
use wire::Side;

/// An origin that answers by the path and by how often it was asked.
async fn origin(side: Side, answer: impl Fn(&str, u64) -> Response + Clone + Send + Sync + 'static) -> TestTarget {
    let turns = Arc::new(Mutex::new(0));
    let app = Router::new().fallback(move |asked: AskResult| {
        let turn = {
            let mut turns = turns.lock();
            *turns += 1;
            *turns
        };
        let answer = answer(asked.uri().path(), turn);
        async move { answer }
    });
    serve(side, app).await
}

fn document(value: Value) -> Response {
    axum::Json(value).into_response()
}

async fn compared(parity: &Parity, blue: &TestTarget, green: &TestTarget) -> ParityResult {
    let known = RunContext::default();
    let (numbers, told) = (RequestNumbers::default(), ProgressTracker::default());
    let (blue, green) = (ParitySide { target: blue, context: &known }, ParitySide { target: green, context: &known });
    // As whoever runs it does: the future can be sent.
    let run: std::pin::Pin<Box<dyn Future<Output = ParityResult> + Send + '_>> =
        Box::pin(run(parity, blue, green, &numbers, &told));
    let result = run.await;
    assert_eq!(told.look().done, result.compared);
    assert!(numbers.sent() <= result.compared * u64::from(3 + parity.noise));
    result
}

fn told(result: &ParityResult) -> Vec<String> {
    let findings = result.differences.iter().flat_map(|difference| &difference.findings);
    findings.map(|f| format!("{}: {} | {}", f.what, f.expected, f.found)).collect()
}

fn gets(paths: &[&str]) -> Parity {
    parity(paths.iter().map(|path| step(&format!("GET {path}"))).collect())
}

#[tokio::test]
async fn a_field_that_is_missing_is_named_by_its_place() {
    let answer = |side| {
        move |path: &str, _| match (path, side) {
            ("/a", Side::Green) => document(json!({"items": [{"id": 1, "price": 5}, {"id": 2}]})),
            ("/a", Side::Blue) => document(json!({"items": [{"id": 1, "price": 5}, {"id": 2, "price": 7}]})),
            _ => document(json!([1, 2])),
        }
    };
    let (blue, green) = (origin(Side::Blue, answer(Side::Blue)).await, origin(Side::Green, answer(Side::Green)).await);
    let result = compared(&gets(&["/same", "/a"]), &blue, &green).await;
    assert_eq!((result.compared, result.differing, result.outcome), (2, 1, Outcome::Failed));
    assert_eq!(told(&result), ["json $.items[1].price: 7 | nothing"]);
    assert_eq!(
        result.why.as_deref(),
        Some("1 of 2 requests differs: GET /a: json $.items[1].price: blue 7, green nothing")
    );
    let difference = &result.differences[0];
    assert!(difference.request.line.ends_with("/a"));
    assert!(difference.findings[0].diff.as_deref().unwrap().contains("-      \"price\": 7\n"));
    assert!(difference.blue.as_ref().unwrap().body.contains("\"price\": 7"));
    assert_eq!(difference.green.as_ref().unwrap().line, "200 OK");
    assert!(result.blue.max > 0.0 && result.green.p50 > 0.0);

    let half = Parity { differing: 50.0, ..gets(&["/same", "/a"]) };
    let result = compared(&half, &blue, &green).await;
    assert_eq!((result.differing, result.outcome, result.why), (1, Outcome::Passed, None));
    let less = compared(&Parity { differing: 49.0, ..half }, &blue, &green).await;
    assert!(less.why.unwrap().starts_with("1 of 2 requests differs (50.0 %, over the limit of 49 %): GET /a"));
}

#[tokio::test]
async fn what_blue_never_says_twice_says_nothing_of_green() {
    let answer = |total: u64, first: u64| {
        move |_: &str, turn: u64| {
            let at = first + turn;
            let mut answer = document(json!({
                "at": at, "id": format!("r-{at}"), "total": total,
                "items": [{"n": 1, "seen": at}, {"n": 2, "seen": at + 1}],
                "tags": vec!["t"; at as usize % 3],
            }));
            answer.headers_mut().insert(header::ETAG, at.to_string().parse().unwrap());
            answer
        }
    };
    let blue = origin(Side::Blue, answer(5, 0)).await;
    let noisy = Parity { noise: 2, headers: vec![header::ETAG], ..gets(&["/a"]) };
    let result = compared(&noisy, &blue, &origin(Side::Green, answer(5, 100)).await).await;
    assert_eq!((result.outcome, told(&result)), (Outcome::Passed, vec![]), "{result:#?}");
    assert_eq!(
        result.noise,
        [
            "header etag: in GET /a",
            "json $.at: in GET /a",
            "json $.id: in GET /a",
            "json $.items[*].seen: in GET /a",
            "json $.tags: in GET /a",
        ]
    );
    let result = compared(&noisy, &blue, &origin(Side::Green, answer(6, 100)).await).await;
    assert_eq!(told(&result), ["json $.total: 5 | 6"]);
    let diff = result.differences[0].findings[0].diff.as_deref().unwrap();
    assert!(!diff.contains("-  \"at\"") && diff.contains("-  \"total\": 5"), "{diff}");
    // Without asking twice, all of it differs.
    let blunt = compared(&Parity { noise: 0, ..noisy }, &blue, &origin(Side::Green, answer(5, 100)).await).await;
    assert!(told(&blunt).len() > 4 && blunt.noise.is_empty());
}

#[tokio::test]
async fn a_field_that_is_never_the_same_must_still_be_there() {
    let blue = origin(Side::Blue, |_, turn| document(json!({"at": turn, "id": turn.to_string(), "n": 1}))).await;
    let green = origin(Side::Green, |_, turn| document(json!({"at": turn.to_string(), "n": 1}))).await;
    let result = compared(&Parity { noise: 1, ..gets(&["/a"]) }, &blue, &green).await;
    assert_eq!(
        told(&result),
        [
            "json $.at: \"(number, always different)\" | \"(string, always different)\"",
            "json $.id: \"(string, always different)\" | nothing",
        ]
    );
}

#[tokio::test]
async fn a_clock_of_whole_seconds_is_noise_too() {
    // Blue says the same twice, and another thing a second later; green says it already.
    let blue = origin(Side::Blue, |_, turn| document(json!({"at": turn / 3, "n": 1}))).await;
    let green = origin(Side::Green, |_, _| document(json!({"at": 1, "n": 1}))).await;
    let result = compared(&Parity { noise: 1, ..gets(&["/a"]) }, &blue, &green).await;
    assert_eq!((result.outcome, result.noise), (Outcome::Passed, vec!["json $.at: in GET /a".to_owned()]));
}

#[tokio::test]
async fn noise_behind_much_noise_is_found_and_noise_all_over_is_said_plainly() {
    let list = |turn: u64, last: u64| {
        let items: Vec<Value> = (0..200).map(|at| json!({"at": turn * 1000 + at})).collect();
        document(json!({"items": items, "z": turn, "zz": last}))
    };
    let (blue, green) = (
        origin(Side::Blue, move |_, turn| list(turn, 1)).await,
        origin(Side::Green, move |_, turn| list(turn + 9, 2)).await,
    );
    let result = compared(&Parity { noise: 1, ..gets(&["/a"]) }, &blue, &green).await;
    assert_eq!(told(&result), ["json $.zz: 1 | 2"]);

    let text = |side: &'static str| move |_: &str, turn: u64| format!("{side} {turn}").into_response();
    let (blue, green) = (origin(Side::Blue, text("blue")).await, origin(Side::Green, text("green")).await);
    let result = compared(&Parity { noise: 1, ..gets(&["/a", "/b"]) }, &blue, &green).await;
    assert_eq!(result.outcome, Outcome::Passed);
    assert_eq!(result.noise, ["body: in every request: no bodies are compared"]);
}

#[tokio::test]
async fn places_can_be_left_out_and_numbers_may_be_near() {
    let answer = |n: f64, at: u64| move |_: &str, _: u64| document(json!({"n": n, "o": {"at": at}, "x": [1]}));
    let (blue, green) = (origin(Side::Blue, answer(100.0, 1)).await, origin(Side::Green, answer(101.0, 2)).await);
    let strict = gets(&["/a"]);
    assert_eq!(told(&compared(&strict, &blue, &green).await), ["json $.n: 100.0 | 101.0", "json $.o.at: 1 | 2"]);
    let lenient = Parity { ignore: vec![path("$..at")], tolerance: 0.01, ..strict };
    assert_eq!(compared(&lenient, &blue, &green).await.outcome, Outcome::Passed);
}

#[tokio::test]
async fn status_headers_and_other_bodies_are_compared() {
    let blue = origin(Side::Blue, |path, _| match path {
        "/status" => StatusCode::OK.into_response(),
        "/headers" => [("x-a", "1"), ("set-cookie", "a=secret1"), ("x-same", "s")].into_response(),
        "/json" => document(json!({"a": 1})),
        _ => "one\ntwo\n".into_response(),
    });
    let green = origin(Side::Green, |path, _| match path {
        "/status" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/headers" => [("x-a", "2"), ("set-cookie", "a=secret2"), ("x-same", "s")].into_response(),
        "/json" => "<html>".into_response(),
        _ => "one\nzwei\n".into_response(),
    });
    let (blue, green) = (blue.await, green.await);
    let mut all = gets(&["/status", "/headers", "/json", "/text"]);
    all.headers = ["x-a", "set-cookie", "x-same", "x-none"].map(HeaderName::from_static).to_vec();
    let result = compared(&all, &blue, &green).await;
    let hash = |text: &str| crate::consistency::json::hash(text.as_bytes())[..16].to_owned();
    assert_eq!(
        told(&result),
        [
            "status: 200 OK | 500 Internal Server Error".to_owned(),
            "header x-a: 1 | 2".to_owned(),
            "header set-cookie: *** | ***".to_owned(),
            format!("body: JSON | 6 bytes, SHA-256 {}: `<html>`", hash("<html>")),
            format!(
                "body: 8 bytes, SHA-256 {}: `one two ` | 9 bytes, SHA-256 {}: `one zwei `",
                hash("one\ntwo\n"),
                hash("one\nzwei\n")
            ),
        ]
    );
    assert!(result.differences[3].findings[0].diff.as_deref().unwrap().contains("-two\n+zwei\n"));
    assert!(!format!("{result:?}").contains("secret"));
}

#[tokio::test]
async fn a_way_back_to_oneself_is_the_same_way() {
    let app = |side| async move {
        let answer = |asked: AskResult| async move {
            let host = asked.headers()["host"].to_str().unwrap().to_owned();
            (StatusCode::FOUND, [(header::LOCATION, format!("http://{host}/next?a=1"))])
        };
        serve(side, Router::new().fallback(answer)).await
    };
    let parity = Parity { headers: vec![header::LOCATION], ..gets(&["/a"]) };
    let result = compared(&parity, &app(Side::Blue).await, &app(Side::Green).await).await;
    assert_eq!(result.outcome, Outcome::Passed, "{result:#?}");
}

#[tokio::test]
async fn a_side_that_gives_no_whole_answer_differs() {
    let blue = origin(Side::Blue, |_, _| "fine".into_response()).await;
    let cut = raw(Side::Green, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let result = compared(&gets(&["/a"]), &blue, &cut).await;
    assert_eq!(result.differing, 1);
    assert!(told(&result)[0].starts_with("answer: 200 OK | none: it "), "{result:#?}");
    assert!(result.differences[0].green.is_none() && result.green == Latencies::default());

    let slow = serve(Side::Green, Router::new().fallback(std::future::pending::<StatusCode>)).await;
    let hasty = parity(vec![SuiteRequest { timeout: Millis(100), ..step("GET /a") }]);
    let result = compared(&hasty, &blue, &slow).await;
    assert_eq!(told(&result), ["answer: 200 OK | none: it gave no complete response within 100ms"]);
}

#[tokio::test]
async fn what_changes_something_is_asked_once_and_each_side_knows_its_own() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let app = |side: &'static str| {
        let asked = asked.clone();
        Router::new().fallback(move |request: AskResult| {
            asked.lock().push(format!("{side} {} {}", request.method(), request.uri()));
            std::future::ready("")
        })
    };
    let (blue, green) = (serve(Side::Blue, app("blue")).await, serve(Side::Green, app("green")).await);
    let mut post = step("POST /a?id=${id}&key=${key}");
    post.body = Body::Text("${key}".to_owned());
    let known = |id: &str, key: &str| {
        let mut known = RunContext::default();
        known.variables.set("id", id);
        known.learn(true, "key", key.to_owned());
        known
    };
    let (of_blue, of_green) = (known("1", "secret-b"), known("2", "secret-g"));
    let parity = Parity { noise: 3, ..parity(vec![post, step("GET /${gone}")]) };
    let (numbers, told) = (RequestNumbers::default(), ProgressTracker::default());
    let blue = ParitySide { target: &blue, context: &of_blue };
    let green = ParitySide { target: &green, context: &of_green };
    let result = run(&parity, blue, green, &numbers, &told).await;
    let mut all = asked.lock().clone();
    all.sort();
    assert_eq!(all, ["blue POST /a?id=1&key=secret-b", "green POST /a?id=2&key=secret-g"]);
    assert_eq!((result.differing, numbers.sent()), (1, 2));
    let finding = &result.differences[0].findings[0];
    assert_eq!((finding.what.as_str(), finding.found.as_str()), ("request", "none: `${gone}` has no value here"));
    assert!(!format!("{result:?}").contains("secret-"));
}

#[tokio::test]
async fn a_recording_is_asked_of_both_and_only_so_much_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let lines: String = (0..40).map(|n| format!("{{\"method\":\"GET\",\"path\":\"/{n}\"}}\n")).collect();
    std::fs::write(&file, format!("{lines}{{\"method\":\"POST\",\"path\":\"/p\"}}\n")).unwrap();
    let answer = |side: &'static str| move |path: &str, _: u64| format!("{side}{path}").into_response();
    let (blue, green) = (origin(Side::Blue, answer("b")).await, origin(Side::Green, answer("g")).await);
    let recorded = Parity { recording: Some(file.clone()), most: 30, ..parity(vec![step("GET /first")]) };
    let result = compared(&recorded, &blue, &green).await;
    assert_eq!((result.compared, result.differing, result.differences.len()), (31, 31, MOST_SHOWN));
    assert!(result.differences[0].request.line.ends_with("/first"));
    assert!(result.differences[19].request.line.ends_with("/18"));
    assert_eq!(result.left_out["beyond the first 30"], 10);
    assert_eq!(result.left_out.len(), 2);

    std::fs::write(&file, "{\"method\":\"POST\",\"path\":\"/p\"}\n").unwrap();
    let result = compared(&Parity { requests: vec![], ..recorded.clone() }, &blue, &green).await;
    assert_eq!(result.why.as_deref(), Some("nothing was compared: there is no request that can be sent"));
    std::fs::remove_file(&file).unwrap();
    let result = compared(&recorded, &blue, &green).await;
    assert!(result.why.unwrap().ends_with("does not exist"));
}

#[test]
fn latencies_are_those_that_were() {
    let all = latencies((1..=100).map(f64::from).collect());
    assert_eq!((all.min, all.mean, all.p50, all.p90, all.p99, all.max), (1.0, 50.5, 50.0, 90.0, 99.0, 100.0));
    assert_eq!(latencies(vec![]), Latencies::default());
}

#[tokio::test]
async fn recorded_requests_are_sent_with_the_headers_of_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.har");
    let headers = json!([{"name": "authorization", "value": "Bearer old"}, {"name": "x-lang", "value": "de"}]);
    let request = json!({"method": "GET", "url": "https://shop.example/a", "headers": headers});
    std::fs::write(&path, json!({"log": {"entries": [{"request": request}]}}).to_string()).unwrap();
    let answer = |side: Side| async move {
        let app = Router::new().fallback(move |asked: AskResult| {
            let of =
                |name: &str| asked.headers().get_all(name).iter().map(|v| v.to_str().unwrap().to_owned()).collect();
            let (proof, language): (Vec<String>, Vec<String>) = (of("authorization"), of("x-lang"));
            async move { document(json!({"proof": proof, "language": language, "side": side.name()})) }
        });
        serve(side, app).await
    };
    let recorded = Parity {
        recording: Some(path),
        sent: vec![
            (header::AUTHORIZATION, "Bearer new".to_owned()),
            (HeaderName::from_static("x-lang"), "en".to_owned()),
        ],
        ..gets(&[])
    };
    let result = compared(&recorded, &answer(Side::Blue).await, &answer(Side::Green).await).await;
    assert_eq!(told(&result), ["json $.side: \"blue\" | \"green\""]);
    let body = &result.differences[0].blue.as_ref().unwrap().body;
    assert!(
        body.contains("Bearer new") && !body.contains("old") && body.contains("en") && !body.contains("\"de\""),
        "{body}"
    );
}

#[tokio::test]
async fn of_a_body_that_is_too_long_nobody_says_that_it_is_the_same() {
    let answer = |_: &str, _| "x".repeat(5 << 20).into_response();
    let (blue, green) = (origin(Side::Blue, answer).await, origin(Side::Green, answer).await);
    for noise in [0, 2] {
        let result = compared(&Parity { noise, ..gets(&["/export"]) }, &blue, &green).await;
        assert_eq!(told(&result), ["body: at most 4 MiB, to be compared in full | 5242880 bytes"]);
    }
}
