//! Recordings as browsers and the access log write them, and as nobody should.

use std::net::IpAddr;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use relay::access::format;

fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recording");
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

fn reading(content: &[u8], most: usize, unsafe_methods: bool) -> Result<Recording, String> {
    let (_dir, path) = file(content);
    read(&path, most, unsafe_methods)
}

fn asked(recording: &Recording) -> Vec<&str> {
    recording.requests.iter().map(|step| step.name.as_str()).collect()
}

fn left(recording: &Recording) -> Vec<(&str, u64)> {
    recording.left_out.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
}

fn har(requests: &[Value]) -> Vec<u8> {
    let entries: Vec<Value> = requests
        .iter()
        .map(|request| json!({"startedDateTime": "2026-01-01T00:00:00Z", "request": request, "response": {"status": 200}}))
        .collect();
    let log = json!({"version": "1.2", "creator": {"name": "x"}, "pages": [], "entries": entries});
    format!("\u{feff}{:#}", json!({"log": log})).into_bytes()
}

fn get(url: &str) -> Value {
    json!({"method": "GET", "url": url, "headers": [], "queryString": [], "bodySize": 0})
}

#[test]
fn a_har_file_is_its_different_requests_in_their_order() {
    let content = har(&[
        get("https://shop.example.com/b?x=1&y=${z}#part"),
        get("https://elsewhere.example.com/a"),
        get("http://shop.example.com/b?x=1&y=${z}"),
        get("https://shop.example.com/b?x=2"),
        json!({"method": "POST", "url": "https://shop.example.com/a", "headers": []}),
        get("wss://shop.example.com/live"),
        get("data:text/plain,hello"),
        get("no url"),
        json!({"method": "CONNECT", "url": "https://shop.example.com/"}),
        json!({"method": 5}),
        json!("nothing"),
    ]);
    let recording = reading(&content, 2, false).unwrap();
    assert_eq!(asked(&recording), ["GET /b?x=1&y=${z}", "GET /a"]);
    assert_eq!(recording.requests[0].path, "/b?x=1&y=$${z}", "a text that names no variable");
    assert_eq!(
        left(&recording),
        [
            ("a URL that is not HTTP", 2),
            ("a WebSocket", 1),
            ("a repeat of an earlier request", 1),
            ("an entry without a request", 2),
            ("an invalid method", 1),
            ("an unsafe method (`unsafe_methods = true` sends them)", 1),
            ("beyond the first 2", 1),
        ]
    );
}

#[test]
fn third_parties_are_left_out_and_counted() {
    let of = |first: &str, others: &[&str]| {
        let all: Vec<Value> = std::iter::once(&first).chain(others).map(|url| get(url)).collect();
        let recording = reading(&har(&all), 100, false).unwrap();
        let names: Vec<String> = recording.requests.iter().map(|step| step.path.clone()).collect();
        (names.join(" "), left(&recording).into_iter().map(|(why, count)| (why.to_owned(), count)).collect::<Vec<_>>())
    };
    let others = ["https://api.shop.co.uk/api", "https://cdn.co.uk/x", "https://WWW.shop.co.uk:8443/b"];
    let reason = "a request to a third party (the recording is of shop.co.uk)".to_owned();
    assert_eq!(of("https://www.shop.co.uk/a", &others), ("/a /api /b".to_owned(), vec![(reason, 1)]));
    let others =
        ["https://www.google-analytics.com/collect?v=1", "https://fonts.example.net/f", "http://127.0.0.1:2/i"];
    let reason = "a request to a third party (the recording is of shop.example)".to_owned();
    assert_eq!(of("https://shop.example/a", &others), ("/a".to_owned(), vec![(reason, 3)]));
    // Everybody can have a domain under these.
    for (own, other) in [
        ("shop.co.uk", "tracker.co.uk"),
        ("shop.com.au", "tracker.com.au"),
        ("shop.github.io", "tracker.github.io"),
        ("shop.netlify.app", "tracker.netlify.app"),
        ("shop.de", "ads.de"),
    ] {
        let reason = format!("a request to a third party (the recording is of {own})");
        let others = [format!("https://api.{own}/b"), format!("https://{other}/c"), format!("https://www.{own}./d")];
        let others = others.each_ref().map(String::as_str);
        assert_eq!(of(&format!("https://www.{own}/a"), &others), ("/a /b /d".to_owned(), vec![(reason, 1)]));
    }
    assert_eq!(of("https://a.b.de/a", &["https://x.b.de/b"]), ("/a /b".to_owned(), vec![]));
    assert_eq!(of("http://shop/a", &["http://shop:81/b"]), ("/a /b".to_owned(), vec![]));
    assert_eq!(of("http://127.0.0.1:1/a", &["http://127.0.0.1:2/b"]), ("/a /b".to_owned(), vec![]));
    assert_eq!(of("http://[::1]:1/a", &["http://[::1]:2/b"]), ("/a /b".to_owned(), vec![]));
    assert_eq!(of("http://localhost:3000/a", &["http://localhost:8080/b"]), ("/a /b".to_owned(), vec![]));
}

#[test]
fn a_recording_is_of_the_site_whose_document_is_the_first_in_it() {
    let entry = |url: &str, kind: &str| json!({"request": get(url), "response": {"content": {"mimeType": kind}}});
    let entries = [
        entry("https://ads.example.net/pixel", "image/gif"),
        entry("https://shop.example/", "text/html; charset=utf-8"),
        entry("https://ads.example.net/frame", "text/html"),
        json!({"request": get("https://shop.example/b"), "response": {"content": 5}}),
    ];
    let recording = reading(json!({"log": {"entries": entries}}).to_string().as_bytes(), 9, false).unwrap();
    assert_eq!(asked(&recording), ["GET /"]);
    let chromium = |url: &str, kind: &str| json!({"_resourceType": kind, "request": get(url)});
    let entries = [chromium("https://a.example/x", "script"), chromium("https://b.example/y", "document")];
    let recording = reading(json!({"log": {"entries": entries}}).to_string().as_bytes(), 9, false).unwrap();
    assert_eq!(asked(&recording), ["GET /y"]);
    assert_eq!(left(&recording), [("a request to a third party (the recording is of b.example)", 1)]);
}

#[test]
fn what_is_the_clients_own_or_the_connections_is_not_sent_again() {
    let pair = |name: &str, value: &str| json!({"name": name, "value": value});
    let request = json!({"method": "GET", "url": "https://a/", "headers": [
        pair(":authority", "a"), pair("Host", "a"), pair("Cookie", "sid=1"), pair("Authorization", "Basic x"),
        pair("Connection", "keep-alive"), pair("Accept-Encoding", "br"), pair("If-None-Match", "\"1\""),
        pair("Accept-Language", "de"), pair("X-Odd", "${name}"), pair("X-Bad\n", "1"), pair("X-Line", "a\nb"),
    ]});
    let recording = reading(&har(&[request]), 10, false).unwrap();
    let headers: Vec<(&str, &str)> =
        recording.requests[0].headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("accept-language", "de"), ("x-odd", "$${name}")]);
    assert_eq!(left(&recording), [(BARE, 1)]);
}

#[test]
fn bodies_are_sent_as_they_were() {
    let post = |data: Value, size: i64| json!({"method": "POST", "url": "https://a/p", "headers": [], "postData": data, "bodySize": size});
    let recording = reading(
        &har(&[
            post(json!({"mimeType": "application/json", "text": "{\"a\":\"${b}\"}"}), 12),
            post(json!({"mimeType": "application/json", "text": "{\"a\":2}"}), 7),
            post(json!({"mimeType": "x", "params": [{"name": "q", "value": "${b}"}]}), 3),
            post(json!({"mimeType": "x", "params": [{"name": "f", "fileName": "a.png"}]}), 3),
            post(Value::Null, 3),
            post(Value::Null, -1),
            post(json!({"mimeType": "x", "text": "x".repeat(MOST_BODY + 1)}), 3),
        ]),
        10,
        true,
    )
    .unwrap();
    assert_eq!(asked(&recording), ["POST /p"; 4]);
    let Body::Bytes(bytes) = &recording.requests[0].body else { panic!("{recording:?}") };
    assert_eq!(&**bytes, br#"{"a":"${b}"}"#);
    assert_eq!(recording.requests[0].headers, [(header::CONTENT_TYPE, "application/json".to_owned())]);
    let Body::Form(fields) = &recording.requests[2].body else { panic!("{recording:?}") };
    assert_eq!(fields, &[("q".to_owned(), "$${b}".to_owned())]);
    assert_eq!(
        left(&recording),
        [("a body over 1 MiB", 1), ("a body that was not recorded", 1), ("a form with file uploads", 1)]
    );
}

fn line<'l>(method: &'l str, path: &'l [u8], change: impl FnOnce(&mut format::AccessLine<'l>)) -> Vec<u8> {
    let local = IpAddr::from([127, 0, 0, 1]);
    let mut line = format::AccessLine {
        time_micros: 0,
        client: local,
        peer: local,
        method: method.as_bytes(),
        host: Some(b"shop.example.com"),
        path,
        protocol: "HTTP/1.1",
        status: Some(200),
        bytes_in: 0,
        bytes_out: 5,
        took_micros: 9,
        referer: None,
        user_agent: Some(b"curl/8"),
        service: None,
        route: None,
        environment: None,
        rule: None,
        generation: None,
        rescued: false,
        turned_away: false,
        skewed: false,
        attempts: 1,
        upstream_address: None,
        upstream_micros: None,
        upstream_status: None,
        failure: None,
        failure_reason: None,
        refused: None,
        aborted: false,
        tls: None,
        request_id: None,
        trace_id: None,
        origin_request_id: None,
    };
    change(&mut line);
    let mut out = Vec::new();
    format::json(&mut out, &line);
    out
}

#[test]
fn an_access_log_is_read_as_it_was_written() {
    let long = format!("/{}", "x".repeat(3000));
    let agent = "a".repeat(2000);
    let content = [
        line("GET", b"/a?b=c", |_| {}),
        line("GET", b"/a?b=c", |_| {}),
        line("GET", long.as_bytes(), |_| {}),
        line("GET", b"/bytes\xff", |_| {}),
        line("GET", b"/refused", |line| line.refused = Some("host")),
        line("POST", b"/p", |line| line.bytes_in = 3),
        line("DELETE", b"/d", |_| {}),
        line("GET", b"*", |_| {}),
        line("GET", b"/agent", |line| line.user_agent = Some(agent.as_bytes())),
        b"half a li".to_vec(),
    ]
    .concat();
    let recording = reading(&content, 100, false).unwrap();
    assert_eq!(asked(&recording), ["GET /a?b=c", "GET /agent"]);
    assert_eq!(recording.requests[0].headers, [(header::USER_AGENT, "curl/8".to_owned())]);
    assert_eq!(recording.requests[1].headers, [], "an agent that was cut is nobody's");
    assert_eq!(
        left(&recording),
        [
            ("a body that was not recorded", 1),
            ("a line that is not a request", 1),
            ("a path that the log truncated", 1),
            ("a repeat of an earlier request", 1),
            ("a request that the proxy refused", 1),
            ("an invalid path", 2),
            ("an unsafe method (`unsafe_methods = true` sends them)", 1),
        ]
    );
    assert_eq!(asked(&reading(&content, 100, true).unwrap()), ["GET /a?b=c", "DELETE /d", "GET /agent"]);
    // One that was cut off at its beginning, as rotation does.
    assert_eq!(asked(&reading(&content[5..], 100, false).unwrap()), ["GET /a?b=c", "GET /agent"]);
}

#[test]
fn what_is_no_recording_says_so() {
    let whole = har(&[get("https://a/")]);
    let broken = reading(&whole[..whole.len() - 10], 10, false).unwrap_err();
    assert!(broken.contains("is a broken HAR file: EOF while parsing"), "{broken}");
    for content in [&b""[..], b"{}", b"[]", b"hello", b"{\"log\": {}}", b"{\"log\": 5}", b"\xff\xfe\x00"] {
        let why = reading(content, 10, false).unwrap_err();
        assert!(why.ends_with("it is neither a HAR file nor an access log with `format = \"json\"`"), "{why}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path(), 10, false).unwrap_err().ends_with("is not a file"));
    assert!(read(&dir.path().join("none"), 10, false).unwrap_err().ends_with("does not exist"));
    let big = dir.path().join("big");
    std::fs::File::create(&big).unwrap().set_len(MOST_BYTES + 1).unwrap();
    assert!(read(&big, 10, false).unwrap_err().ends_with("is larger than 64 MiB: use part of it"));
    let deep = format!("{{\"log\":{{\"entries\":[{}", "[".repeat(100_000));
    assert!(reading(deep.as_bytes(), 10, false).unwrap_err().contains("recursion limit"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_in_a_recording_makes_it_fall(at in 0_usize..700, byte: u8, cut in 0_usize..700, junk: Vec<u8>) {
        let recorded = json!({"method": "POST", "url": "https://a/b?c=d", "headers": [{"name": "a", "value": "b"}],
            "postData": {"mimeType": "x", "params": [{"name": "q", "value": "v"}]}});
        for mut content in [har(&[get("https://a/"), recorded.clone()]), line("GET", b"/a", |_| {}).repeat(2), junk.clone()] {
            if let Some(place) = content.get_mut(at) {
                *place = byte;
            }
            content.truncate(content.len().saturating_sub(cut));
            if let Ok(recording) = reading(&content, 10, true) {
                for step in &recording.requests {
                    let is_asked = is_path(&step.path.replace("$${", "${"));
                    prop_assert!(is_asked);
                }
            }
        }
    }
}
