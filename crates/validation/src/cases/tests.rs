//! Cases against a small shop: workflows, retries, setup and teardown, and what no report may hold.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http::header;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::tests::{case, path, raw, serve, step, suite, target};
use config::suite::{Body, Capture, Expect, Expectation, WholeRegex};
use judgement::time::Millis;
use wire::Side;

mod secrets;

const PASSWORD: &str = "p@ss w0rd/äé";
const TOKEN: &str = "tok-5f3c9a77";

#[derive(Clone, Default)]
struct Shop(Arc<Mutex<Shelf>>);

#[derive(Default)]
struct Shelf {
    items: BTreeMap<u64, Value>,
    /// In order: `GET /items/1`.
    asked: Vec<String>,
    flaky: u32,
}

impl Shop {
    fn shelf<T>(&self, act: impl FnOnce(&mut Shelf) -> T) -> T {
        act(&mut self.0.lock())
    }

    fn asked(&self) -> Vec<String> {
        self.shelf(|shelf| shelf.asked.clone())
    }

    fn app(&self) -> Router {
        let (noting, create) = (self.clone(), self.clone());
        let (read, remove, flaky) = (self.clone(), self.clone(), self.clone());
        let note = move |request: axum::extract::Request, next: axum::middleware::Next| {
            noting.shelf(|shelf| shelf.asked.push(format!("{} {}", request.method(), request.uri())));
            next.run(request)
        };
        Router::new()
            .route("/login", post(login))
            .route(
                "/items",
                post(move |headers: HeaderMap, Json(item): Json<Value>| async move {
                    if headers.get("authorization").is_none_or(|value| value != format!("Bearer {TOKEN}").as_str()) {
                        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "who are you?"})));
                    }
                    let id = create.shelf(|shelf| {
                        let id = 40 + shelf.items.len() as u64;
                        shelf.items.insert(id, item);
                        id
                    });
                    (StatusCode::CREATED, Json(json!({"id": id, "by": TOKEN})))
                }),
            )
            .route(
                "/items/{id}",
                get(move |Path(id): Path<u64>| async move {
                    match read.shelf(|shelf| shelf.items.get(&id).cloned()) {
                        Some(item) => (StatusCode::OK, Json(json!({"id": id, "item": item}))),
                        None => (StatusCode::NOT_FOUND, Json(json!({"error": "none"}))),
                    }
                })
                .delete(move |Path(id): Path<u64>| async move {
                    remove.shelf(|shelf| shelf.items.remove(&id));
                    StatusCode::NO_CONTENT
                }),
            )
            .route(
                "/flaky",
                get(move || async move {
                    let turn = flaky.shelf(|shelf| {
                        shelf.flaky += 1;
                        shelf.flaky
                    });
                    if turn < 3 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
                }),
            )
            .route(
                "/echo",
                any(|headers: HeaderMap, body: String| async move {
                    let mut back = HeaderMap::new();
                    back.extend(headers.get("x-token").map(|value| (header::ETAG, value.clone())));
                    (back, format!("you said {body} {headers:?}"))
                }),
            )
            .route("/moved", get(|| async { (StatusCode::FOUND, [("location", "/never")]) }))
            .route("/slow", get(std::future::pending::<StatusCode>))
            .layer(axum::middleware::from_fn(note))
    }
}

async fn login(Json(body): Json<Value>) -> (StatusCode, HeaderMap, Json<Value>) {
    let mut headers = HeaderMap::new();
    if body["password"] != PASSWORD {
        return (StatusCode::FORBIDDEN, headers, Json(json!({"no": body["password"]})));
    }
    headers.insert("set-cookie", format!("sid={TOKEN}").parse().unwrap());
    (StatusCode::OK, headers, Json(json!({"token": TOKEN, "for": body["password"]})))
}

fn log_in() -> SuiteRequest {
    let body = json!({"user": "ada", "password": "${password}"});
    let capture = vec![("token".to_owned(), Capture::Json(path("$.token")))];
    SuiteRequest { name: "log in".to_owned(), body: Body::Json(body.into()), capture, ..step("POST /login") }
}

fn create() -> SuiteRequest {
    SuiteRequest {
        name: "create".to_owned(),
        headers: vec![(header::AUTHORIZATION, "Bearer ${token}".to_owned())],
        body: Body::Json(json!({"name": "chair of ${run} on ${environment}, ${unique}"}).into()),
        expect: Expect { status: vec![(201, 201)], ..Expect::default() },
        capture: vec![("id".to_owned(), Capture::Json(path("$.id")))],
        ..step("POST /items")
    }
}

fn wanting(asked: &str, status: u16) -> SuiteRequest {
    SuiteRequest { expect: Expect { status: vec![(status, status)], ..Expect::default() }, ..step(asked) }
}

fn secretive(mut suite: Suite) -> Suite {
    suite.variables = vec![("password".to_owned(), PASSWORD.to_owned())];
    suite.secrets = vec![PASSWORD.to_owned()];
    suite.secret_names = vec!["token".to_owned()];
    suite
}

fn runner(suite: Suite, target: TestTarget) -> (Arc<SideRunner>, UnboundedReceiver<Part>) {
    let (found, results) = unbounded_channel();
    let (progress, numbers) = (ProgressTracker::default(), RequestNumbers::default());
    let runner = SideRunner::new(Arc::new(suite), target, "run-1", progress, numbers, found);
    (Arc::new(runner), results)
}

async fn run(suite: Suite, target: TestTarget) -> Vec<CaseResult> {
    let (runner, mut results) = runner(suite, target);
    let run = runner.clone();
    // As whoever runs it does: the future can be sent.
    tokio::spawn(async move { run.run().await }).await.unwrap();
    drop(runner);
    let mut all = Vec::new();
    while let Some(Part::Case(result)) = results.recv().await {
        all.push(result);
    }
    all
}

fn of<'r>(all: &'r [CaseResult], name: &str) -> &'r CaseResult {
    all.iter().find(|result| result.name == name).unwrap()
}

#[tokio::test]
async fn a_workflow_hands_on_what_it_captures_and_shows_no_secret() {
    let shop = Shop::default();
    let mut read = step("GET /items/${id}");
    read.expect.json = vec![
        (path("$.id"), Expectation::Equals(json!("${id}").into())),
        (path("$.item.name"), Expectation::Matches(WholeRegex::new("chair of run-1 on green, [0-9]+").unwrap())),
    ];
    let steps = vec![log_in(), create(), read, wanting("DELETE /items/${id}", 204), wanting("GET /items/${id}", 404)];
    let target = serve(Side::Green, shop.app()).await;
    let all = run(secretive(suite(vec![case("an item's life", steps)])), target).await;
    let [life] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((life.outcome, life.why.as_deref(), life.attempts), (Outcome::Passed, None, 1), "{life:#?}");
    assert_eq!(life.steps.len(), 5);
    assert_eq!(life.steps[0].captured["token"], "***");
    assert_eq!(life.steps[1].captured["id"], "40");
    assert_eq!(life.steps[1].request.headers[0], ("authorization".to_owned(), "***".to_owned()));
    assert_eq!(life.steps[1].response.as_ref().unwrap().line, "201 Created");
    assert_eq!(life.steps[1].response.as_ref().unwrap().body, "{\n  \"by\": \"***\",\n  \"id\": 40\n}");
    assert!(life.steps[2].request.line.ends_with("/items/40"));
    let shown = serde_json::to_string(&all).unwrap();
    assert!(!shown.contains(TOKEN) && !shown.contains("w0rd"), "{shown}");
    assert!(shop.shelf(|shelf| shelf.items.is_empty()));
}

#[tokio::test]
async fn a_case_stops_at_its_first_failing_step() {
    let shop = Shop::default();
    let steps = vec![step("GET /items/1"), step("GET /flaky")];
    let target = serve(Side::Blue, shop.app()).await;
    let all = run(suite(vec![case("two", steps), case("one", vec![step("GET /echo")])]), target).await;
    let two = of(&all, "two");
    assert_eq!(two.why.as_deref(), Some("GET /items/1: status: expected 200 to 399, found 404 Not Found"));
    assert_eq!(two.steps.len(), 1);
    assert_eq!(of(&all, "one").outcome, Outcome::Passed);
    assert!(!shop.asked().contains(&"GET /flaky".to_owned()));
}

#[tokio::test]
async fn a_case_is_tried_again_as_often_as_it_says() {
    for (retries, outcome, attempts) in [(5, Outcome::Passed, 3), (1, Outcome::Failed, 2)] {
        let mut flaky = case("flaky", vec![step("GET /flaky")]);
        flaky.retries = retries;
        let all = run(suite(vec![flaky]), serve(Side::Blue, Shop::default().app()).await).await;
        assert_eq!((all[0].outcome, all[0].attempts, all[0].steps.len()), (outcome, attempts, 1));
    }
}

#[tokio::test]
async fn what_a_case_captures_is_not_anothers_and_what_setup_captures_is_everybodys() {
    let mut suite = secretive(suite(vec![
        case("makes", vec![create()]),
        case("lacks", vec![step("GET /items/${id}")]),
        case("knows", vec![wanting("GET /items/99?token=${token}", 404)]),
    ]));
    (suite.setup, suite.concurrency) = (vec![log_in()], 1);
    suite.teardown = vec![wanting("DELETE /items/1?by=${token}", 204)];
    let all = run(suite, serve(Side::Blue, Shop::default().app()).await).await;
    assert_eq!(
        all.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(),
        ["setup", "makes", "lacks", "knows", "teardown"]
    );
    let lacks = of(&all, "lacks");
    assert_eq!(lacks.why.as_deref(), Some("GET /items/${id}: `${id}` has no value here"));
    assert_eq!(lacks.steps[0].request.line, "GET /items/${id}");
    for name in ["setup", "makes", "knows", "teardown"] {
        assert_eq!(of(&all, name).outcome, Outcome::Passed, "{:#?}", of(&all, name));
    }
    assert!(!format!("{all:?}").contains(TOKEN));
}

#[tokio::test]
async fn where_setup_fails_cases_are_skipped_and_teardown_still_runs() {
    let shop = Shop::default();
    let mut suite = suite(vec![case("never", vec![step("GET /echo")])]);
    suite.setup = vec![step("GET /echo"), step("GET /items/1"), step("GET /flaky")];
    suite.teardown = vec![wanting("GET /items/2", 200), wanting("DELETE /items/7", 204)];
    let all = run(suite, serve(Side::Green, shop.app()).await).await;
    let (setup, never, teardown) = (of(&all, "setup"), of(&all, "never"), of(&all, "teardown"));
    assert_eq!((setup.outcome, setup.steps.len()), (Outcome::Failed, 2));
    assert_eq!((never.outcome, never.attempts, never.environment), (Outcome::Skipped, 0, Side::Green));
    let why = "setup failed: GET /items/1: status: expected 200 to 399, found 404 Not Found";
    assert_eq!(never.why.as_deref(), Some(why));
    // A step of teardown that fails keeps none of the others back.
    assert_eq!((teardown.outcome, teardown.steps.len()), (Outcome::Failed, 2));
    assert_eq!(shop.asked(), ["GET /echo", "GET /items/1", "GET /items/2", "DELETE /items/7"]);
}

#[tokio::test]
async fn teardown_puts_away_what_a_cancelled_run_has_made() {
    let shop = Shop::default();
    let mut suite = secretive(suite(vec![case("hangs", vec![step("GET /slow")])]));
    suite.setup = vec![log_in(), create()];
    suite.teardown = vec![wanting("DELETE /items/${id}", 204)];
    let (runner, mut results) = runner(suite, serve(Side::Blue, shop.app()).await);
    let hangs = async {
        while !shop.asked().contains(&"GET /slow".to_owned()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = runner.run() => panic!("it hangs"),
        () = hangs => {}
    }
    assert_eq!(shop.shelf(|shelf| shelf.items.len()), 1);
    runner.teardown().await;
    runner.teardown().await;
    assert!(shop.shelf(|shelf| shelf.items.is_empty()));
    assert_eq!(shop.asked().iter().filter(|asked| asked.starts_with("DELETE")).count(), 1, "once is enough");
    drop(runner);
    let mut names = Vec::new();
    while let Some(part) = results.recv().await {
        names.push(part.name().to_owned());
    }
    assert_eq!(names, ["setup", "teardown"]);
}

#[tokio::test]
async fn nothing_is_put_away_where_nothing_was_begun() {
    let shop = Shop::default();
    let mut suite = suite(vec![case("a", vec![step("GET /echo")])]);
    suite.teardown = vec![step("GET /echo")];
    let target = serve(Side::Blue, shop.app()).await;
    let (fresh, _results) = runner(suite.clone(), target.clone());
    fresh.teardown().await;
    suite.variables = vec![("a".to_owned(), "${later}".to_owned())];
    let all = run(suite, target).await;
    assert_eq!(of(&all, "a").why.as_deref(), Some("variable `a`: `${later}` has no value here"));
    assert!(shop.asked().is_empty());
}

#[tokio::test]
async fn cases_run_so_many_at_once_and_requests_are_counted() {
    let (most, now) = (Arc::new(Mutex::new((0, 0))), Duration::from_millis(50));
    let seen = most.clone();
    let app = Router::new().route(
        "/",
        get(move || {
            let seen = seen.clone();
            async move {
                {
                    let mut seen = seen.lock();
                    seen.0 += 1;
                    seen.1 = seen.0.max(seen.1);
                }
                tokio::time::sleep(now).await;
                seen.lock().0 -= 1;
            }
        }),
    );
    let mut suite = suite((0..9).map(|n| case(&n.to_string(), vec![step("GET /"), step("GET /")])).collect());
    suite.concurrency = 3;
    let (found, mut results) = unbounded_channel();
    let (progress, numbers) = (ProgressTracker::default(), RequestNumbers::default());
    let target = serve(Side::Blue, app).await;
    let runner = SideRunner::new(suite.into(), target, "r", progress.clone(), numbers.clone(), found);
    runner.run().await;
    assert_eq!(most.lock().1, 3);
    assert_eq!((numbers.sent(), progress.look().done), (18, 9));
    assert!(progress.look().doing.ends_with(" on blue"));
    drop(runner);
    assert!(results.recv().await.is_some());
}

#[tokio::test]
async fn redirects_are_answers() {
    let shop = Shop::default();
    let mut moved = wanting("GET /moved", 302);
    moved.expect.headers = vec![(header::LOCATION, Expectation::Equals(json!("/never").into()))];
    let all = run(suite(vec![case("moved", vec![moved])]), serve(Side::Blue, shop.app()).await).await;
    assert_eq!(all[0].outcome, Outcome::Passed, "{:#?}", all[0]);
    assert_eq!(shop.asked(), ["GET /moved"]);
}

#[tokio::test]
async fn an_origin_that_gives_no_whole_answer_is_told_in_words() {
    let slow = SuiteRequest { timeout: Millis(100), ..step("GET /slow") };
    let app = Shop::default().app();
    let progress = async |target, step| run(suite(vec![case("c", vec![step])]), target).await.remove(0);
    let late = progress(serve(Side::Green, app).await, slow).await;
    assert_eq!(late.why.as_deref(), Some("GET /slow: green gave no complete response within 100ms"));
    assert_eq!((late.steps[0].response.is_none(), late.steps[0].failures.len()), (true, 0));
    assert!(late.steps[0].took_ms >= 100.0);

    let cut = raw(Side::Blue, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let cut = progress(cut, step("GET /")).await;
    assert_eq!(cut.outcome, Outcome::Failed);
    assert!(cut.steps[0].response.is_none() && cut.steps[0].error.is_some(), "{cut:#?}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let gone = progress(target(Side::Blue, address), step("GET /")).await;
    assert_eq!(gone.why.as_deref(), Some("GET /: blue refused the connection"));
}

#[tokio::test]
async fn what_was_begun_without_cases_is_torn_down() {
    let mut suite = suite(vec![]);
    suite.teardown = vec![step("GET /")];
    let (runner, mut results) = runner(suite, serve(Side::Green, Shop::default().app()).await);
    runner.teardown().await;
    assert!(results.try_recv().is_err(), "nothing was begun");
    runner.begin();
    runner.teardown().await;
    assert!(matches!(results.try_recv(), Ok(Part::Case(result)) if result.name == "teardown"));
}
