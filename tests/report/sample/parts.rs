//! The parts of a sample, and what they are made of.

use std::collections::BTreeMap;

use wire::{
    ActiveLoad, CaseResult, DataResult, DataSide, Finding, LoadResult, Message, OriginResources, OriginUse, Outcome,
    ParityDifference, ParityResult, Part, RowDifference, RowHow, Side, StepResult,
};

use super::{BLUE, GREEN};
use crate::report::curves::{self, Course};

pub fn message(line: &str, headers: &[(&str, &str)], body: &str) -> Message {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Message { line: line.to_owned(), headers, body: body.to_owned(), body_bytes: body.len() as u64 }
}

fn json(line: &str, body: &str) -> Message {
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "no-store"),
        ("set-cookie", "session=***; Path=/; HttpOnly; Secure; SameSite=Lax"),
        ("x-request-id", "01J2Q8K4D9VZ3W7M5N6P8R0T2X"),
        ("content-length", &body.len().to_string()),
    ];
    message(line, &headers, body)
}

pub fn finding(what: &str, expected: &str, found: &str) -> Finding {
    Finding { what: what.to_owned(), expected: expected.to_owned(), found: found.to_owned(), diff: None }
}

pub fn good(name: &str, method: &str, path: &str, answer: &str) -> StepResult {
    let headers = [("user-agent", "cutover/0.1.0 (validation)"), ("accept", "*/*"), ("authorization", "***")];
    StepResult {
        name: name.to_owned(),
        request: message(&format!("{method} {BLUE}{path}"), &headers, ""),
        response: Some(json(answer, "{\"ok\":true,\"items\":[],\"total\":0}")),
        error: None,
        took_ms: 18.0 + name.len() as f64 * 1.37,
        failures: Vec::new(),
        captured: BTreeMap::new(),
    }
}

pub fn case(name: &str, environment: Side, steps: Vec<StepResult>) -> Part {
    let took_ms = steps.iter().map(|step| step.took_ms).sum();
    let (name, tags) = (name.to_owned(), vec!["smoke".to_owned()]);
    Part::Case(CaseResult { name, environment, tags, outcome: Outcome::Passed, why: None, took_ms, attempts: 1, steps })
}

pub fn failed(name: &str, environment: Side, why: &str, steps: Vec<StepResult>) -> Part {
    match case(name, environment, steps) {
        Part::Case(case) => {
            Part::Case(CaseResult { outcome: Outcome::Failed, why: Some(why.to_owned()), attempts: 3, ..case })
        }
        other => other,
    }
}

pub fn retried(part: Part) -> Part {
    match part {
        Part::Case(case) => Part::Case(CaseResult { attempts: 2, ..case }),
        other => other,
    }
}

pub fn skipped(name: &str, environment: Side) -> Part {
    match failed(name, environment, "the tag `payments` was left out of this run", Vec::new()) {
        Part::Case(case) => Part::Case(CaseResult { outcome: Outcome::Skipped, attempts: 0, took_ms: 0.0, ..case }),
        other => other,
    }
}

pub fn attempts() -> Part {
    let body = r#"{"items":[{"id":42,"state":"done","score":0.75,"answers":[3,1,4,1,5],"student":{"id":7,"name":"Ada Lovelace","email":"ada@example.org"}},{"id":43,"state":"open","score":null,"answers":[],"student":null}],"total":2,"next":null}"#;
    let step = StepResult {
        response: Some(json("200 OK", body)),
        request: message(
            &format!("GET {GREEN}/api/attempts?limit=2"),
            &[("user-agent", "cutover/0.1.0 (validation)"), ("accept", "application/json"), ("authorization", "***")],
            "",
        ),
        failures: vec![
            finding("json $.items[0].score", "75", "0.75"),
            finding("json $.items[1].student", "of type object", "null"),
            finding("latency", "at most 250ms", "311ms"),
        ],
        took_ms: 311.4,
        ..good("list", "GET", "/api/attempts?limit=2", "200 OK")
    };
    let why = "list: json $.items[0].score: expected 75, found 0.75; and 2 more";
    failed("attempts are listed", Side::Green, why, vec![step])
}

pub fn order_steps(last: &str) -> Vec<StepResult> {
    let body = r#"{"items":[{"sku":"lamp-3","count":2}],"voucher":null}"#;
    let mut steps = vec![
        good("open a basket", "POST", "/api/baskets", "201 Created"),
        good("put two lamps in", "PUT", "/api/baskets/81/items", "200 OK"),
        good("order", "POST", "/api/baskets/81/order", last),
    ];
    if let Some(step) = steps.get_mut(1) {
        step.request.body = body.to_owned();
        step.request.body_bytes = body.len() as u64;
    }
    steps
}

pub fn order() -> Part {
    let mut steps = order_steps("409 Conflict");
    let diff = "--- expected\n+++ found\n@@ -1,7 +1,8 @@\n {\n   \"order\": {\n-    \"state\": \"placed\",\n-    \
                \"total\": \"49.90\",\n+    \"state\": \"refused\",\n+    \"total\": \"49.9\",\n+    \"why\": \"stock\",\n     \
                \"currency\": \"EUR\"\n   }\n }";
    if let Some(step) = steps.last_mut() {
        step.response = Some(json(
            "409 Conflict",
            r#"{"order":{"state":"refused","total":"49.9","why":"stock","currency":"EUR"}}"#,
        ));
        step.failures = vec![
            finding("status", "201", "409"),
            Finding {
                diff: Some(diff.to_owned()),
                ..finding("body", "the whole JSON of the suite", "3 lines that differ")
            },
        ];
    }
    failed("an order is placed", Side::Green, "order: status: expected 201, found 409; and 1 more", steps)
}

pub fn silent() -> Part {
    let step = StepResult {
        response: None,
        error: Some("gave no complete response within 5s".to_owned()),
        took_ms: 5_000.3,
        ..good("logo", "GET", "/logo.svg", "")
    };
    failed("images are served", Side::Green, "logo: green gave no complete response within 5s", vec![step])
}

pub fn loads() -> Vec<Part> {
    let browse = |side, course| curves::load("browse the catalogue", side, course);
    let mut blue =
        browse(Side::Blue, Course { seconds: 60, rate: 200.0, middle: 14.0, spread: 0.32, ..Course::default() });
    let ill = Course { ill: Some((31, 39)), seconds: 60, rate: 200.0, middle: 17.0, spread: 0.4, second_hump: 0.22 };
    let mut green = limited(browse(Side::Green, ill));
    let use_of = |cores, memory_peak_bytes| OriginUse {
        cpu_seconds: cores * 60.0,
        cores,
        memory_peak_bytes,
        open_files_peak: Some(212),
        threads_peak: 18,
    };
    let resources = |pid, used, why| OriginResources { pids: vec![pid], used, why };
    blue.resources = Some(Box::new(resources(4121, Some(use_of(0.84, 131_072_000)), None)));
    let ended = "process 4188 ended while the load ran".to_owned();
    green.resources = Some(Box::new(resources(4188, None, Some(ended))));
    green.active = Some(Box::new(ActiveLoad {
        environment: Side::Blue,
        requests: blue.requests,
        failed: blue.failed,
        latency: blue.latency,
        resources: Some(resources(4121, Some(use_of(0.81, 129_000_000)), None)),
    }));
    let spike = |side, middle| {
        let course = Course { seconds: 30, rate: 400.0, middle, spread: 0.25, ..Course::default() };
        curves::spike(curves::load("a mail goes out", side, course))
    };
    [limited(blue), green, spike(Side::Blue, 11.0), spike(Side::Green, 10.2)].map(Part::Load).into()
}

fn limited(mut load: LoadResult) -> LoadResult {
    load.limits = vec![
        curves::limit("p95", 60.0, load.latency.p95),
        curves::limit("p99", 250.0, load.latency.p99),
        curves::limit("error_rate", 0.1, load.error_rate),
        curves::limit("throughput", 190.0, load.throughput),
    ];
    let broken: Vec<&str> = load.limits.iter().filter(|limit| !limit.held).map(|limit| limit.what.as_str()).collect();
    if !broken.is_empty() {
        load.outcome = Outcome::Failed;
        load.why = Some(format!("{} of 4 limits broken: {}", broken.len(), broken.join(", ")));
    }
    load
}

pub fn parity() -> ParityResult {
    let asked = |path: &str| message(&format!("GET {path}"), &[("accept", "application/json")], "");
    let blue =
        r#"{"id":3,"name":"Desk lamp","price":{"amount":"24.95","currency":"EUR"},"stock":12,"tags":["lamp","desk"]}"#;
    let green =
        r#"{"id":3,"name":"Desk lamp","price":{"amount":24.95,"currency":"EUR"},"stock":12,"tags":["desk","lamp"]}"#;
    let first = ParityDifference {
        request: asked("/api/products/3"),
        findings: vec![
            finding("json $.price.amount", "\"24.95\"", "24.95"),
            finding("json $.tags[0]", "\"lamp\"", "\"desk\""),
            finding("json $.tags[1]", "\"desk\"", "\"lamp\""),
        ],
        blue: Some(json("200 OK", blue)),
        green: Some(json("200 OK", green)),
    };
    let second = ParityDifference {
        request: asked("/api/products/9999"),
        findings: vec![
            finding("status", "404", "500"),
            finding("header content-type", "application/json", "text/html"),
        ],
        blue: Some(json("404 Not Found", r#"{"error":{"code":"not_found","message":"there is no product 9999"}}"#)),
        green: Some(message(
            "500 Internal Server Error",
            &[("content-type", "text/html")],
            "<!doctype html><title>Error</title><h1>Internal Server Error</h1>",
        )),
    };
    ParityResult {
        name: "yesterday's requests".to_owned(),
        outcome: Outcome::Failed,
        why: Some("2 of 1,204 requests are answered differently; none may be".to_owned()),
        took_ms: 21_340.0,
        compared: 1_204,
        differing: 2,
        left_out: [("an unsafe method".to_owned(), 311), ("another host's".to_owned(), 12)].into(),
        noise: vec!["json $.served_at".to_owned(), "header x-request-id".to_owned()],
        differences: vec![first, second],
        blue: curves::latencies(14.0),
        green: curves::latencies(15.1),
    }
}

pub fn same() -> ParityResult {
    let none = (Vec::new(), BTreeMap::new());
    ParityResult {
        name: "static files".to_owned(),
        outcome: Outcome::Passed,
        why: None,
        compared: 48,
        differing: 0,
        differences: Vec::new(),
        noise: none.0,
        left_out: none.1,
        took_ms: 812.0,
        ..parity()
    }
}

fn side(rows: u64, checksum: &str) -> DataSide {
    let engine = "postgres".to_owned();
    DataSide { engine, rows: Some(rows), checksum: Some(checksum.repeat(8)), violations: None }
}

pub fn orders() -> DataResult {
    let row = |key: &str, how, columns| RowDifference { key: key.to_owned(), how, columns };
    DataResult {
        name: "orders".to_owned(),
        check: "table".to_owned(),
        outcome: Outcome::Failed,
        why: Some("4 of 181,204 rows of orders differ".to_owned()),
        took_ms: 3_412.0,
        blue: side(181_204, "9f2c61ab"),
        green: side(181_203, "41d07e55"),
        chunks: 182,
        chunks_differing: 3,
        rows_differing: 4,
        rows_settled: 1,
        rows: vec![
            row(
                "id = 90112",
                RowHow::Differs,
                vec![
                    finding("total", "49.90", "49.9"),
                    finding("changed_at", "2026-07-05 22:14:03.211", "2026-07-06 00:14:03.211"),
                ],
            ),
            row("id = 90113", RowHow::Differs, vec![finding("note", "'Klingel defekt'", "NULL")]),
            row("id = 181204", RowHow::MissingInGreen, Vec::new()),
            row("id = 181207", RowHow::MissingInBlue, Vec::new()),
        ],
        findings: Vec::new(),
    }
}

fn good_data(name: &str, check: &str) -> DataResult {
    DataResult {
        name: name.to_owned(),
        check: check.to_owned(),
        outcome: Outcome::Passed,
        why: None,
        took_ms: 41.0,
        blue: side(512, "77aa01cd"),
        green: side(512, "77aa01cd"),
        chunks: 0,
        chunks_differing: 0,
        rows_differing: 0,
        rows_settled: 0,
        rows: Vec::new(),
        findings: Vec::new(),
    }
}

pub fn prices() -> DataResult {
    good_data("prices a day", "query")
}

pub fn integrity() -> Part {
    let side = || DataSide { engine: "postgres".to_owned(), violations: Some(0), ..DataSide::default() };
    Part::Data(DataResult { blue: side(), green: side(), ..good_data("no order without a customer", "integrity") })
}

pub fn catalogue() -> DataResult {
    let side = |sum: &str| DataSide { engine: "http".to_owned(), checksum: Some(sum.repeat(8)), ..DataSide::default() };
    DataResult {
        outcome: Outcome::Failed,
        why: Some("the catalogue differs in 2 places".to_owned()),
        blue: side("0b1c2d3e"),
        green: side("9e8d7c6b"),
        findings: vec![
            finding("json $.products[17].price", "\"24.95\"", "24.95"),
            finding("json $.products[31]", "{\"id\":32,\"name\":\"Floor lamp\"}", "nothing"),
        ],
        ..good_data("the catalogue", "http")
    }
}
