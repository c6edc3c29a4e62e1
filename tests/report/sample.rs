//! Executions to draw: one with everything in it, one that is a hostile origin's, a long one, and every state.

mod parts;

use std::collections::BTreeMap;

use wire::{
    Counts, DataResult, Execution, ExecutionState, ExecutionSummary, Finding, Outcome, ParityDifference, ParityResult,
    Part, Progress, RowDifference, RowHow, RunTarget, Side, StepResult,
};

use self::parts::{
    attempts, case, catalogue, failed, finding, good, integrity, loads, message, order, order_steps, orders, parity,
    prices, retried, same, silent, skipped,
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
    execution.summary.progress = Progress { done: 34, all: 120, doing: "browse on green".to_owned() };
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
