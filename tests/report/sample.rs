//! Executions to draw: one with everything in it, one that is a hostile origin's, a long one, and every state.

use std::collections::BTreeMap;

use cutover::wire::{
    CaseResult, Counts, DataResult, DataSide, Execution, ExecutionState, ExecutionSummary, Finding, LoadResult,
    Message, Outcome, ParityDifference, ParityResult, Part, Progress, RowDifference, RowHow, RunTarget, Side,
    StepResult,
};

use super::curves::{self, Course};

const BLUE: &str = "https://main--shop.example.net";
const GREEN: &str = "https://next--shop.example.net";

/// A run on both sides in which each kind of part has passed and failed.
pub fn rich() -> Execution {
    let mut parts = vec![
        case("setup", Side::Blue, vec![good("log in", "POST", "/api/sessions", "201 Created")]),
        case("setup", Side::Green, vec![good("log in", "POST", "/api/sessions", "201 Created")]),
        case("home page", Side::Blue, vec![good("home", "GET", "/", "200 OK")]),
        case("home page", Side::Green, vec![good("home", "GET", "/", "200 OK")]),
        case("attempts are listed", Side::Blue, vec![good("list", "GET", "/api/attempts?limit=2", "200 OK")]),
        attempts(),
        case("an order is placed", Side::Blue, order_steps("201 Created")),
        order(),
        case("images are served", Side::Blue, vec![good("logo", "GET", "/logo.svg", "200 OK")]),
        silent(),
        retried(case(
            "search finds what is there",
            Side::Blue,
            vec![good("search", "GET", "/search?q=lamp", "200 OK")],
        )),
        case("search finds what is there", Side::Green, vec![good("search", "GET", "/search?q=lamp", "200 OK")]),
        skipped("refunds", Side::Blue),
        skipped("refunds", Side::Green),
    ];
    parts.extend(loads());
    parts.extend([Part::Parity(parity()), Part::Parity(same()), Part::Data(orders()), Part::Data(prices())]);
    parts.extend([integrity(), Part::Data(catalogue())]);
    execution(
        parts,
        ExecutionState::Failed,
        "7 of 24 parts failed: on green 3 cases and a load; the sides differ in an answer and in data.",
    )
}

/// What an origin may send to hurt whoever reads the report.
pub const HOSTILE: &str = "</code></pre></details></style><script>alert(document.domain)</script><img src=x \
                           onerror=alert(1)> ${7*7} {{7*7}} {% if %} \0\x01\x07\x1b[31;5mred\x1b]0;title\x07 \u{9b}2J \
                           \u{202e}gpj.exe\u{202c} שלום עולם مرحبا بالعالم \u{2028}\u{ffff} ]]> --> &lt;&amp;";

pub fn hostile() -> Execution {
    let big = format!("{{\"a\": \"{}\"}}", "<&>\"'".repeat(200_000));
    let step = StepResult {
        name: HOSTILE.to_owned(),
        request: message("GET https://next--shop.example.net/<b>", &[("x-<i>", HOSTILE)], ""),
        response: Some(message("200 <u>OK</u>", &[("x-evil", HOSTILE), ("content-type", "text/html")], HOSTILE)),
        error: None,
        took_ms: f64::NAN,
        failures: vec![
            finding("body", HOSTILE, &big),
            Finding { diff: Some(format!("-{HOSTILE}\n+{big}")), ..finding(HOSTILE, "", "") },
        ],
        captured: [(HOSTILE.to_owned(), HOSTILE.to_owned())].into(),
    };
    let large = StepResult { response: Some(message("200 OK", &[], &big)), name: "large".to_owned(), ..step.clone() };
    let mut first = failed(HOSTILE, Side::Green, HOSTILE, vec![large, step]);
    if let Part::Case(case) = &mut first {
        case.tags = vec![HOSTILE.to_owned()];
    }
    let pair = ParityDifference {
        request: message(HOSTILE, &[], HOSTILE),
        findings: vec![finding(HOSTILE, HOSTILE, HOSTILE)],
        blue: Some(message(HOSTILE, &[(HOSTILE, HOSTILE)], &big)),
        green: None,
    };
    let parity = ParityResult {
        name: HOSTILE.to_owned(),
        differences: vec![pair],
        noise: vec![HOSTILE.to_owned()],
        left_out: [(HOSTILE.to_owned(), 3)].into(),
        ..parity()
    };
    let row = RowDifference {
        key: HOSTILE.to_owned(),
        how: RowHow::Differs,
        columns: vec![finding(HOSTILE, HOSTILE, HOSTILE)],
    };
    let data = DataResult {
        name: HOSTILE.to_owned(),
        rows: vec![row],
        findings: vec![finding(HOSTILE, HOSTILE, HOSTILE)],
        ..orders()
    };
    let mut load = curves::load(HOSTILE, Side::Green, Course { seconds: 2, ..Course::default() });
    load.outcome = Outcome::Failed;
    load.why = Some(HOSTILE.to_owned());
    load.answers = [(HOSTILE.to_owned(), 3)].into();
    load.examples = vec![HOSTILE.to_owned(); 3];
    let mut parts = vec![first, Part::Parity(parity), Part::Data(data), Part::Load(load)];
    parts.push(case(HOSTILE, Side::Blue, vec![good(HOSTILE, "GET", HOSTILE, HOSTILE)]));
    let mut execution = execution(parts, ExecutionState::Failed, HOSTILE);
    let summary = &mut execution.summary;
    for text in [&mut summary.title, &mut summary.service, &mut summary.who, &mut summary.suite, &mut summary.id] {
        *text = HOSTILE.to_owned();
    }
    execution
}

/// So many cases, each with a body of 64 KiB, of which every third fails on green.
pub fn long(cases: usize) -> Execution {
    let parts = (0..cases).flat_map(|at| {
        let name = format!("case {at} of a suite that somebody generated");
        let blue = case(&name, Side::Blue, vec![good("ask", "GET", &format!("/api/things/{at}"), "200 OK")]);
        let mut step = good("ask", "GET", &format!("/api/things/{at}"), "500 Internal Server Error");
        step.failures = vec![finding("status", "200 to 399", "500")];
        step.response = Some(message("500 Internal Server Error", &[], &"<p>Internal error</p>\n".repeat(3_000)));
        let green = match at % 3 {
            0 => failed(&name, Side::Green, "ask: status: expected 200 to 399, found 500", vec![step]),
            _ => case(&name, Side::Green, vec![good("ask", "GET", &format!("/api/things/{at}"), "200 OK")]),
        };
        [blue, green]
    });
    let parts: Vec<Part> = parts.collect();
    execution(parts, ExecutionState::Failed, "A third of it fails on green.")
}

/// Everything that there is, hundreds of times.
pub fn endless() -> Execution {
    let mut all = hostile();
    let parts = all.parts.clone();
    (0..100).for_each(|_| all.parts.extend(parts.iter().cloned()));
    all.parts.extend(long(2_000).parts);
    let loads = loads();
    all.parts.extend((0..100).flat_map(|_| loads.clone()));
    all
}

/// As many small things as there can be: steps, headers, findings, rows and lines of diffs.
pub fn splinters() -> Execution {
    let finding = Finding { diff: Some("+\n".repeat(2_000)), ..finding("", "", "") };
    let step = StepResult {
        request: message("", &[("", ""); 500], ""),
        response: Some(message("", &[("", ""); 500], "[[1],[2]]")),
        failures: vec![finding.clone(); 40],
        ..good("", "GET", "", "")
    };
    let row = RowDifference { key: String::new(), how: RowHow::Differs, columns: vec![finding.clone(); 40] };
    let pair = ParityDifference {
        request: step.request.clone(),
        findings: vec![finding.clone(); 40],
        blue: step.response.clone(),
        green: step.response.clone(),
    };
    let data = DataResult { rows: vec![row; 60], findings: vec![finding; 40], ..orders() };
    let parity = ParityResult { differences: vec![pair; 12], noise: vec![String::new(); 1_000], ..parity() };
    let loads = loads();
    let mut parts = Vec::new();
    for _ in 0..5 {
        parts.push(failed("", Side::Green, "", vec![step.clone(); 20]));
        parts.extend([Part::Data(data.clone()), Part::Parity(parity.clone())]);
    }
    parts.extend((0..2_000).map(|_| case("", Side::Blue, vec![good("", "GET", "", ""); 30])));
    parts.extend((0..100).flat_map(|_| loads.clone()));
    execution(parts, ExecutionState::Failed, "It is in splinters.")
}

/// What there is of a run that has not come to its end.
pub fn in_state(state: ExecutionState) -> Execution {
    let mut execution = execution(rich().parts.into_iter().take(7).collect(), state, "");
    execution.parts.retain(|part| part.outcome() == Outcome::Passed);
    execution.summary.counts = counts(&execution.parts);
    execution.summary.progress = Progress { done: 34, all: 120, doing: "browse, on green".to_owned() };
    execution
}

pub fn empty(state: ExecutionState) -> Execution {
    Execution { origins: BTreeMap::new(), ..execution(Vec::new(), state, "") }
}

/// A run on one side, and all of it good.
pub fn passed() -> Execution {
    let parts = rich().parts.into_iter().filter(|part| part.environment() == Some(Side::Blue));
    let parts: Vec<Part> = parts.filter(|part| part.outcome() == Outcome::Passed).collect();
    let mut execution = execution(parts, ExecutionState::Passed, "All 8 parts passed on blue.");
    execution.summary.target = RunTarget::Blue;
    execution.origins.remove("green");
    execution
}

fn execution(parts: Vec<Part>, state: ExecutionState, verdict: &str) -> Execution {
    let summary = ExecutionSummary {
        id: "20260706-140312-7c1f".to_owned(),
        suite: "shop".to_owned(),
        title: "Shop, before a release".to_owned(),
        service: "shop".to_owned(),
        target: RunTarget::Both,
        state,
        who: "ci".to_owned(),
        began_at_ms: 1_783_346_592_000,
        began_at: "2026-07-06T14:03:12Z".to_owned(),
        took_ms: 134_210,
        progress: Progress { done: 120, all: 120, doing: String::new() },
        counts: counts(&parts),
        verdict: verdict.to_owned(),
        not_kept: None,
    };
    let origins = [("blue".to_owned(), BLUE.to_owned()), ("green".to_owned(), GREEN.to_owned())].into();
    Execution { format: 1, cutover: "0.1.0".to_owned(), summary, origins, parts }
}

fn counts(parts: &[Part]) -> Counts {
    let of = |outcome| parts.iter().filter(|part| part.outcome() == outcome).count() as u64;
    let requests = parts.iter().map(|part| match part {
        Part::Case(case) => case.steps.len() as u64,
        Part::Load(load) => load.requests,
        Part::Parity(parity) => parity.compared * 2,
        Part::Data(_) => 0,
    });
    Counts {
        passed: of(Outcome::Passed),
        failed: of(Outcome::Failed),
        skipped: of(Outcome::Skipped),
        requests: requests.sum(),
    }
}

fn message(line: &str, headers: &[(&str, &str)], body: &str) -> Message {
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

fn finding(what: &str, expected: &str, found: &str) -> Finding {
    Finding { what: what.to_owned(), expected: expected.to_owned(), found: found.to_owned(), diff: None }
}

fn good(name: &str, method: &str, path: &str, answer: &str) -> StepResult {
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

fn case(name: &str, environment: Side, steps: Vec<StepResult>) -> Part {
    let took_ms = steps.iter().map(|step| step.took_ms).sum();
    let (name, tags) = (name.to_owned(), vec!["smoke".to_owned()]);
    Part::Case(CaseResult { name, environment, tags, outcome: Outcome::Passed, why: None, took_ms, attempts: 1, steps })
}

fn failed(name: &str, environment: Side, why: &str, steps: Vec<StepResult>) -> Part {
    match case(name, environment, steps) {
        Part::Case(case) => {
            Part::Case(CaseResult { outcome: Outcome::Failed, why: Some(why.to_owned()), attempts: 3, ..case })
        }
        other => other,
    }
}

fn retried(part: Part) -> Part {
    match part {
        Part::Case(case) => Part::Case(CaseResult { attempts: 2, ..case }),
        other => other,
    }
}

fn skipped(name: &str, environment: Side) -> Part {
    match failed(name, environment, "the tag `payments` was left out of this run", Vec::new()) {
        Part::Case(case) => Part::Case(CaseResult { outcome: Outcome::Skipped, attempts: 0, took_ms: 0.0, ..case }),
        other => other,
    }
}

fn attempts() -> Part {
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
            finding("latency", "at most 250 ms", "311 ms"),
        ],
        took_ms: 311.4,
        ..good("list", "GET", "/api/attempts?limit=2", "200 OK")
    };
    let why = "list: json $.items[0].score: expected 75, found 0.75; and 2 more";
    failed("attempts are listed", Side::Green, why, vec![step])
}

fn order_steps(last: &str) -> Vec<StepResult> {
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

fn order() -> Part {
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

fn silent() -> Part {
    let step = StepResult {
        response: None,
        error: Some("gives no whole answer within 5s".to_owned()),
        took_ms: 5_000.3,
        ..good("logo", "GET", "/logo.svg", "")
    };
    failed("images are served", Side::Green, "logo: green gives no whole answer within 5s", vec![step])
}

fn loads() -> Vec<Part> {
    let browse = |side, course| curves::load("browse the catalogue", side, course);
    let blue = browse(Side::Blue, Course { seconds: 60, rate: 200.0, middle: 14.0, spread: 0.32, ..Course::default() });
    let ill = Course { ill: Some((31, 39)), seconds: 60, rate: 200.0, middle: 17.0, spread: 0.4, second_hump: 0.22 };
    let green = limited(browse(Side::Green, ill));
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

fn parity() -> ParityResult {
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

fn same() -> ParityResult {
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

fn orders() -> DataResult {
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
        rows: Vec::new(),
        findings: Vec::new(),
    }
}

fn prices() -> DataResult {
    good_data("prices a day", "query")
}

fn integrity() -> Part {
    let side = || DataSide { engine: "postgres".to_owned(), violations: Some(0), ..DataSide::default() };
    Part::Data(DataResult { blue: side(), green: side(), ..good_data("no order without a customer", "integrity") })
}

fn catalogue() -> DataResult {
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
