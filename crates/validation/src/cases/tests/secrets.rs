//! What is secret is in no result, whatever shape it comes in.

use super::*;

#[tokio::test]
async fn no_shape_of_a_secret_is_in_a_result() {
    let mut suite = secretive(suite(vec![]));
    suite.secrets.push("k-8812 ü".to_owned());
    let mut before = step("GET /echo?token=${password}");
    before.path = "/echo?q=tok-5f3c9a77".to_owned();
    let mut wrong = step("POST /echo");
    wrong.body = Body::Form(vec![("password".to_owned(), "${password}".to_owned())]);
    wrong.headers = vec![(http::HeaderName::from_static("x-token"), "${token}".to_owned())];
    wrong.expect.headers = vec![(header::ETAG, Expectation::Equals(json!("${token}x").into()))];
    wrong.expect.body = vec![
        Expectation::Contains("${token} not there".to_owned()),
        Expectation::Equals(json!("k-8812 ü").into()),
        Expectation::Matches(WholeRegex::new("none").unwrap()),
    ];
    let mut equals = log_in();
    equals.expect.equals = Some(json!({"token": "other", "for": "${password}!"}).into());
    equals.expect.json = vec![(path("$.token"), Expectation::Equals(json!("${password}").into()))];
    suite.cases = vec![case("echo", vec![before, log_in(), wrong]), case("equals", vec![equals])];
    let all = run(suite, serve(Side::Blue, Shop::default().app()).await).await;
    let echo = of(&all, "echo");
    assert_eq!((echo.outcome, echo.steps.len()), (Outcome::Failed, 3), "{echo:#?}");
    assert_eq!(echo.steps[2].failures.len(), 4);
    assert!(of(&all, "equals").steps[0].failures.iter().any(|finding| finding.diff.is_some()));
    let shown = format!("{all:?} {}", serde_json::to_string(&all).unwrap());
    let percent = percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC).to_string();
    for secret in [TOKEN, PASSWORD, "w0rd", "k-8812", &percent] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn a_cookie_that_was_captured_is_shown_nowhere() {
    let sign_in = SuiteRequest {
        capture: vec![("sid".to_owned(), Capture::Cookie("sid".to_owned()))],
        ..SuiteRequest { name: "log in".to_owned(), ..log_in() }
    };
    let mut suite = suite(vec![case("a session", vec![sign_in, create()])]);
    suite.variables = vec![("password".to_owned(), PASSWORD.to_owned()), ("token".to_owned(), "none".to_owned())];
    let results = run(suite, serve(Side::Green, Shop::default().app()).await).await;
    let step = &of(&results, "a session").steps[0];
    assert_eq!(step.captured["sid"], "***");
    assert!(!format!("{results:?}").contains(TOKEN), "{results:#?}");
}

#[tokio::test]
async fn what_one_case_learns_to_hide_is_hidden_in_teardown_too() {
    let mut suite = secretive(suite(vec![case("a session", vec![log_in()])]));
    suite.teardown = vec![SuiteRequest { expect: Expect::default(), ..wanting(&format!("GET /{TOKEN}"), 200) }];
    let results = run(suite, serve(Side::Green, Shop::default().app()).await).await;
    let line = &of(&results, "teardown").steps[0].request.line;
    assert!(line.ends_with("/***"), "{line}");
}
