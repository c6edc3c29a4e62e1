//! No dirty forwards: whatever a client sends, what reaches an origin is RFC 9112 to the letter, and as many requests as
//! the client was answered.
//!
//! A raw origin keeps every byte and parses it without mercy; it answers with the target it has read. So the targets that
//! clients heard of and those that the origin has seen must be the same: a smuggled request is one too many.

#[path = "desync/corpus.rs"]
mod corpus;
#[path = "desync/mutants.rs"]
mod mutants;
#[path = "desync/raw.rs"]
mod raw;
#[path = "desync/strict.rs"]
mod strict;

use std::net::SocketAddr;

use cutover::serve::{self, Running};
use memory::counters::RefusalReason;

use crate::support::client::get;
use crate::support::house::{House, settings, shop};
use crate::support::{SOON, wait_until};
use raw::{Heard, RawOrigin, drive, pair};

/// A proxy before a raw origin.
struct Desk {
    origin: RawOrigin,
    running: Running,
    /// The targets that clients have heard of.
    heard: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Desk {
    fn start() -> Desk {
        let origin = RawOrigin::start();
        let dir = tempfile::tempdir().unwrap();
        let url = origin.url();
        std::fs::write(dir.path().join("routing.toml"), shop(&url, &url, "weight = 0", "")).unwrap();
        let mut settings = settings(dir.path());
        // Its clients close their side when they have sent everything.
        settings.limits.half_close = true;
        let running = serve::start(&settings).unwrap();
        Desk { origin, running, heard: Vec::new(), _dir: dir }
    }

    fn address(&self) -> SocketAddr {
        self.running.addresses[0]
    }

    /// Sends the pieces, and a request of its own for `{mark}/after` behind them.
    fn drive(&mut self, pieces: &[&[u8]], mark: &str) -> Vec<Heard> {
        let after = after(mark);
        let pieces: Vec<&[u8]> = pieces.iter().copied().chain([after.as_bytes()]).collect();
        let answers = drive(self.address(), &pieces, &format!("{mark}/after"));
        self.heard.extend(answers.iter().filter_map(|answer| answer.target.clone()));
        answers
    }

    fn pair(&mut self, first: &[u8], second: &[u8]) -> Vec<Heard> {
        let answers = pair(self.address(), first, second);
        self.heard.extend(answers.iter().filter_map(|answer| answer.target.clone()));
        answers
    }

    /// What the origin has to say after everything: dirt, and requests that nobody was answered for.
    fn complaints(mut self) -> Vec<String> {
        let log = self.origin.log.clone();
        let settled = |log: &raw::Log| log.pending.is_empty() && log.targets.len() >= self.heard.len();
        wait_until("no piece of a request is left at the origin", SOON, || settled(&log.lock().unwrap()));
        let mut log = log.lock().unwrap();
        let mut complaints: Vec<String> = log.dirty.drain(..).map(|dirt| format!("dirty: {dirt}")).collect();
        log.targets.sort();
        self.heard.sort();
        for target in log.targets.iter().filter(|target| !self.heard.contains(target) || target.contains("hidden")) {
            complaints.push(format!("a request that no client was answered for: {target}"));
        }
        if log.targets != self.heard {
            complaints.push(format!("{} requests, {} answers", log.targets.len(), self.heard.len()));
        }
        eprintln!(
            "{} whole requests, {} cut in their body, {} complaints",
            log.targets.len(),
            log.cut,
            complaints.len()
        );
        complaints
    }
}

fn after(mark: &str) -> String {
    format!("GET {mark}/after HTTP/1.1\r\nHost: shop.test\r\n\r\n")
}

/// Requests that the corpus calls compliant and the house refuses, each with the reason.
const REFUSED_ALL_THE_SAME: [(&str, &str); 12] = [
    ("Correct TE OK", CODINGS),
    ("Transfer-Encoding: identity and chunked OK", CODINGS),
    ("Multiple transfer encoding headers in a single request OK", CODINGS),
    ("TE with custom parameters OK", CODINGS),
    ("Different Transfer-Encoding headers", CODINGS),
    ("Different Transfer-Encoding headers combined", CODINGS),
    ("Transfer-Encoding with a param: chunked;custom_param", CODINGS),
    ("Valid custom header with tchar in name and obs-text", UNDERSCORE),
    ("Valid custom header with underscore in name", UNDERSCORE),
    ("Compliant URL", "its target has a fragment, which no request line may have"),
    ("International in URI", "a target is ASCII (RFC 3986): browsers escape the rest"),
    ("Empty URI", "a target is never empty (RFC 9112 3.2)"),
];
const CODINGS: &str = "no browser and no library sends another transfer coding than chunked, and few origins read one";
const UNDERSCORE: &str = "CGI and its heirs read `_` as `-`: X_Forwarded_For would be X-Forwarded-For";

/// Reasons that are not hygiene's: each has its case elsewhere, beside what it is about.
const OTHERS: [&str; 17] = [
    "unknown_host",
    "too_slow",
    "method",
    "reset_flood",
    "too_many_connections",
    "too_many_requests",
    "tls_handshake",
    "body_too_large",
    "bad_body",
    "rate_limited",
    "maintenance",
    "held",
    "forward_auth_denied",
    "forward_auth_failed",
    "unrecognized_name",
    "proxy_header",
    "untrusted_proxy",
];

#[test]
fn the_158_requests_of_http_desync_guardian_leave_nothing_dirty() {
    let mut desk = Desk::start();
    let cases = corpus::all();
    assert_eq!(cases.len(), 158);
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        for (host, way) in [(true, "h"), (false, "n")] {
            let mark = format!("/{way}{number}");
            let mut request = case.head(&mark, host);
            request.extend_from_slice(&case.body(&format!("{mark}/hidden")));
            let answers = desk.drive(&[&request], &mark);
            let served = answers.first().is_some_and(|answer| answer.target.is_some());
            if !host && served && case.version != b"HTTP/1.0" {
                wrong.push(format!("{}: served without a Host", case.name));
            }
            if host && case.tier == "Compliant" {
                let listed = REFUSED_ALL_THE_SAME.iter().any(|(name, _)| *name == case.name);
                if served == listed {
                    wrong.push(format!("{}: compliant, listed {listed}: {answers:?}", case.name));
                }
            }
            if served {
                let mark = format!("/p{way}{number}");
                let mut request = case.head(&mark, host);
                request.extend_from_slice(&case.body(&format!("{mark}/hidden")));
                let answers = desk.pair(&request, after(&mark).as_bytes());
                let second = answers.get(1).map(|answer| answer.target.clone());
                if second.is_some_and(|target| target != Some(format!("{mark}/after"))) {
                    wrong.push(format!("{}: the next request got {answers:?}", case.name));
                }
            }
        }
    }
    wrong.extend(desk.complaints());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// More than the corpus: well-formed requests, damaged. The seed is in the name of every complaint.
#[test]
fn damaged_requests_leave_nothing_dirty() {
    let mut desk = Desk::start();
    let mut answered = 0;
    for seed in 0..700 {
        let mark = format!("/m{seed}");
        let mutant = mutants::mutant(seed, &mark);
        let (first, second) = mutant.split_at(mutants::cut(seed, mutant.len()));
        let answers = desk.drive(&[first, second], &mark);
        answered += usize::from(answers.iter().any(|answer| answer.target.is_some()));
    }
    assert!((100..600).contains(&answered), "{answered} of 700: the damage is too little or too much");
    let wrong = desk.complaints();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn refusals(house: &House, reason: &str) -> u64 {
    let start = format!("cutover_refused_total{{reason=\"{reason}\"}} ");
    let metrics = house.metrics();
    metrics.lines().find_map(|line| line.strip_prefix(&start)).expect("the reason is shown").parse().unwrap()
}

#[test]
fn every_reason_of_hygiene_is_answered_and_counted() {
    let host = "Host: shop.test\r\n";
    let get = |fields: &str| format!("GET / HTTP/1.1\r\n{host}{fields}\r\n");
    let post = |fields: &str| format!("POST / HTTP/1.1\r\n{host}{fields}\r\n5\r\nhello\r\n0\r\n\r\n");
    let line = |line: &str| format!("{line}\r\n{host}\r\n");
    let cases = [
        ("bad_host", 400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("bad_host", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned()),
        ("bad_host", 400, get("Host: shop.test\r\n")),
        ("bad_path", 400, line("GET /%00 HTTP/1.1")),
        ("bad_target", 400, line("GET shop.test HTTP/1.1")),
        ("bad_target", 400, line("GET * HTTP/1.1")),
        ("bad_target", 400, line("GET /a#b HTTP/1.1")),
        ("bad_target", 400, line("GET /\u{e4} HTTP/1.1")),
        ("request_line", 400, line("PRI / HTTP/1.1")),
        ("request_line", 400, line("GET / HTTP/1.2")),
        ("line_end", 400, line("GET /\n HTTP/1.1")),
        ("request_line", 400, line("GET  / HTTP/1.1")),
        ("request_line", 400, line("GET /a b HTTP/1.1")),
        ("bad_target", 400, line("GET /a\tb HTTP/1.1")),
        ("bad_target", 400, line("GET /\u{1} HTTP/1.1")),
        ("bad_target", 400, line("GET /a\rb HTTP/1.1")),
        ("method", 405, line("CONNECT shop.test:80 HTTP/1.1")),
        ("method", 405, line("TRACE / HTTP/1.1")),
        ("field", 400, format!("OPTIONS / HTTP/1.1\r\n{host}Max-Forwards: 1, 2\r\n\r\n")),
        ("long_line", 414, line(&format!("GET /{} HTTP/1.1", "a".repeat(16 * 1024)))),
        ("large_head", 431, get(&format!("X-A: {}\r\n", "a".repeat(1000)).repeat(66))),
        ("many_fields", 431, get(&"X-A: b\r\n".repeat(100))),
        ("line_end", 400, "GET / HTTP/1.1\nHost: shop.test\n\n".to_owned()),
        ("line_end", 400, get("X-A: b\nX-B: c\r\n")),
        ("field", 400, get("X-A: b\rc\r\n")),
        ("field", 400, get("X-A : b\r\n")),
        ("field", 400, get("X-A: b\r\n folded\r\n")),
        ("field", 400, get("X-A: \0\r\n")),
        ("underscore", 400, get("X_A: b\r\n")),
        ("length", 400, post("Content-Length: 5\r\nContent-Length: 5\r\n")),
        ("length", 400, post("Content-Length: 5, 5\r\n")),
        ("length", 400, post("Content-Length: +5\r\n")),
        ("encoding", 400, post("Transfer-Encoding: gzip, chunked\r\n")),
        ("encoding", 400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("length_and_encoding", 400, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        ("connection", 400, get("Connection: close, X-Forwarded-For\r\n")),
        ("connection", 400, get("Connection: cookie\r\n")),
        ("expectation", 417, post("Content-Length: 5\r\nExpect: a miracle\r\n")),
    ];
    let house = House::start("weight = 0", "");
    for (reason, status, request) in &cases {
        let before = refusals(&house, reason);
        let answers = drive(house.address(), &[request.as_bytes(), after("").as_bytes()], "");
        let shown = request.chars().take(80).collect::<String>();
        assert_eq!(answers, [Heard { status: *status, target: None, closes: true }], "{reason}: {shown:?}");
        assert_eq!(refusals(&house, reason), before + 1, "{reason}: {shown:?}");
    }
    for name in RefusalReason::ALL.iter().map(|reason| reason.name()).filter(|name| !OTHERS.contains(name)) {
        assert!(cases.iter().any(|(reason, ..)| *reason == name), "{name} has no case");
    }
    assert_eq!(house.blue.requests() + house.green.requests(), 0, "nothing was forwarded");
}

#[test]
fn rules_read_a_normalised_path_and_the_origin_gets_the_clients_bytes() {
    let rule = "[[service.shop.rule]]\npath = { prefix = \"/admin\" }\nto = \"green\"\noverride = true\n";
    let house = House::start("weight = 0", rule);
    for (target, side) in [
        ("/admin/x", "green"),
        ("/%61dmin/x?y=%00", "green"),
        ("/x/../admin/y", "green"),
        ("/x/%2e%2E/admin", "green"),
        ("//admin//x", "green"),
        ("/./admin", "green"),
        ("/admin/..%2fx", "green"),
        ("/admin/../x", "blue"),
        ("/admin%2Fx", "blue"),
        ("/%2561dmin", "blue"),
        ("/admin;x", "blue"),
        ("/..;/admin", "blue"),
        ("/admin\\..\\x", "blue"),
        ("/ADMIN", "blue"),
    ] {
        assert_eq!(get(house.address(), target, &[]).body, side, "{target}");
        let origin = if side == "green" { &house.green } else { &house.blue };
        assert_eq!(origin.last().line(), format!("GET {target} HTTP/1.1"));
    }
    for target in ["/%00", "/a%00b", "/%", "/%4", "/%zz/admin", "/%u0041"] {
        assert_eq!(get(house.address(), target, &[]).status, 400, "{target}");
    }
}

#[test]
fn the_strict_parser_is_strict() {
    let parse = |request: &str| strict::request(request.as_bytes());
    let whole =
        |request: &str| matches!(parse(request), Ok(strict::Found::Whole(found)) if found.length == request.len());
    let get = |fields: &str| format!("GET /a HTTP/1.1\r\nHost: a:80\r\n{fields}\r\n");
    let chunks = |body: &str| get("Transfer-Encoding: chunked\r\n") + body;
    for clean in [
        get(""),
        get("Content-Length: 5\r\n") + "hello",
        chunks("5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"),
        get("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    ] {
        assert!(whole(&clean), "{clean:?}: {:?}", parse(&clean));
    }
    for dirty in [
        get("").replace("/a", "/a b"),
        get("").replace("/a", "a"),
        get("").replace("/a", "/%zz"),
        get("").replace("HTTP/1.1", "HTTP/1.0"),
        get("").replace("Host: a:80\r\n", ""),
        get("Host: b\r\n"),
        get("A : b\r\n"),
        get(" folded\r\n"),
        get("A: b\nC: d\r\n"),
        get("A: b\rc\r\n"),
        get("A: \0\r\n"),
        get("Content-Length: +5\r\n"),
        get("Content-Length: 5\r\nContent-Length: 5\r\n"),
        get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        get("Transfer-Encoding: gzip, chunked\r\n"),
        get("Connection: keep-alive\r\n"),
        get("Upgrade: websocket\r\n"),
        get("TE: trailers\r\n"),
        get("Expect: 100-continue\r\n"),
        chunks("5;a=b\r\nhello\r\n"),
        chunks("0x5\r\nhello\r\n"),
        chunks("5\nhello\r\n"),
        chunks("5\r\nhello!\r\n"),
        chunks("\r\n"),
        chunks("0\r\nA: b\r\n\r\n"),
    ] {
        assert!(parse(&dirty).is_err(), "{dirty:?}: {:?}", parse(&dirty));
    }
    let cut = |request: &str| matches!(parse(request), Ok(strict::Found::CutBody));
    assert!(cut(&(get("Content-Length: 5\r\n") + "hell")) && cut(&chunks("5\r\nhel")) && cut(&chunks("5")));
    assert!(matches!(parse("GET /a HTT"), Ok(strict::Found::CutHead)));
}
