//! A rule decides as a slow and simple reading of it does, from the text of the file to the decision.

#![no_main]

use config::routing_text;
use judgement::traffic::head::{FieldList, HttpVersion, RequestHead};
use judgement::traffic::path::NormalizedPath;
use judgement::traffic::split::TrafficSplit;
use judgement::traffic::{Environment, RoutingTable, decide};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case {
    conditions: Vec<Condition>,
    path: Text,
    query: Option<Text>,
    fields: Vec<(Name, Text)>,
}

#[derive(Arbitrary, Debug)]
enum Condition {
    Header(Name, Test),
    Cookie(Name, Test),
    Query(Name, Test),
    ExactPath(Text),
    UnderPath(Text),
    GlobPath(Text),
}

/// Few names, so that rules and requests meet; some differ in case alone, or are the beginning of another.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Canary,
    CanaryInCapitals,
    Can,
    Cookie,
}

#[derive(Arbitrary, Debug)]
enum Test {
    Equals(Text),
    Prefix(Text),
    Suffix(Text),
    Contains(Text),
    Present,
    Absent,
}

/// Few letters, for the same reason.
#[derive(Arbitrary, Debug)]
struct Text(Vec<Letter>);

#[derive(Arbitrary, Debug)]
enum Letter {
    A,
    B,
    Can,
    Pair,
    Assign,
    Semicolon,
    Space,
    Quote,
    And,
    Slash,
    Dot,
    Star,
    EscapedSlash,
    EscapedA,
    EscapedDot,
    Accent,
}

/// What a request says, as text.
struct Request {
    path: String,
    query: Option<String>,
    fields: Vec<(Name, String)>,
}

impl Name {
    fn written(self) -> &'static str {
        match self {
            Name::Canary => "canary",
            Name::CanaryInCapitals => "CANARY",
            Name::Can => "can",
            Name::Cookie => "cookie",
        }
    }
}

impl Text {
    fn written(&self) -> String {
        self.0.iter().map(Letter::written).collect()
    }

    /// As paths begin in a file and in a request.
    fn as_path(&self) -> String {
        format!("/{}", self.written())
    }
}

impl Letter {
    fn written(&self) -> &'static str {
        match self {
            Letter::A => "a",
            Letter::B => "b",
            Letter::Can => "can",
            Letter::Pair => ";can=",
            Letter::Assign => "=",
            Letter::Semicolon => ";",
            Letter::Space => " ",
            Letter::Quote => "\"",
            Letter::And => "&",
            Letter::Slash => "/",
            Letter::Dot => ".",
            Letter::Star => "*",
            Letter::EscapedSlash => "%2f",
            Letter::EscapedA => "%61",
            Letter::EscapedDot => "%2E",
            Letter::Accent => "é",
        }
    }
}

impl Test {
    /// As a table of the file has it, without the name.
    fn written(&self) -> String {
        match self {
            Test::Equals(value) => format!("equals = {}", quoted(&value.written())),
            Test::Prefix(value) => format!("prefix = {}", quoted(&value.written())),
            Test::Suffix(value) => format!("suffix = {}", quoted(&value.written())),
            Test::Contains(value) => format!("contains = {}", quoted(&value.written())),
            Test::Present => "present = true".to_owned(),
            Test::Absent => "absent = true".to_owned(),
        }
    }

    fn holds(&self, values: &[String]) -> bool {
        let any = |passes: &dyn Fn(&str) -> bool| values.iter().any(|value| passes(value));
        match self {
            Test::Equals(want) => any(&|value| value == want.written()),
            Test::Prefix(want) => any(&|value| value.starts_with(&want.written())),
            Test::Suffix(want) => any(&|value| value.ends_with(&want.written())),
            Test::Contains(want) => any(&|value| value.contains(&want.written())),
            Test::Present => !values.is_empty(),
            Test::Absent => values.is_empty(),
        }
    }
}

impl Condition {
    fn is_path(&self) -> bool {
        matches!(self, Condition::ExactPath(_) | Condition::UnderPath(_) | Condition::GlobPath(_))
    }

    fn written(&self) -> String {
        let list = |kind: &str, name: &Name, test: &Test| {
            format!("[[service.s.rule.{kind}]]\nname = {}\n{}\n", quoted(name.written()), test.written())
        };
        match self {
            Condition::Header(name, test) => list("header", name, test),
            Condition::Cookie(name, test) => list("cookie", name, test),
            Condition::Query(name, test) => list("query", name, test),
            Condition::ExactPath(path) => format!("path = {{ exact = {} }}\n", quoted(&path.as_path())),
            Condition::UnderPath(path) => format!("path = {{ prefix = {} }}\n", quoted(&path.as_path())),
            Condition::GlobPath(path) => format!("path = {}\n", quoted(&path.as_path())),
        }
    }

    /// `path`: the request's, normalised.
    fn holds(&self, request: &Request, path: &str) -> bool {
        match self {
            Condition::Header(name, test) => test.holds(&request.headers(&name.written().to_lowercase())),
            Condition::Cookie(name, test) => test.holds(&request.cookies(name.written())),
            Condition::Query(name, test) => test.holds(&request.parameter(name.written())),
            Condition::ExactPath(want) => path == want.as_path(),
            Condition::UnderPath(want) => {
                let want = want.as_path();
                let want = want.trim_end_matches('/');
                path == want || path.starts_with(&format!("{want}/"))
            }
            Condition::GlobPath(pattern) => glob(pattern.as_path().as_bytes(), path.as_bytes()),
        }
    }
}

impl Request {
    fn headers(&self, name: &str) -> Vec<String> {
        let same = self.fields.iter().filter(|(own, _)| own.written().to_lowercase() == name);
        same.map(|(_, value)| value.clone()).collect()
    }

    fn cookies(&self, name: &str) -> Vec<String> {
        let begins = format!("{name}=");
        let lines = self.headers("cookie");
        let pairs = lines.iter().flat_map(|line| line.split(';')).map(str::trim);
        pairs.filter_map(|pair| pair.strip_prefix(&begins)).map(str::to_owned).collect()
    }

    /// Of several parameters of a name, the first counts.
    fn parameter(&self, name: &str) -> Vec<String> {
        let pairs = self.query.iter().flat_map(|query| query.split('&'));
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(own, _)| *own == name).map(|(_, value)| value.to_owned()).take(1).collect()
    }
}

fn quoted(text: &str) -> String {
    let escaped: String = text.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}

/// By trying every length for every star; whoever calls it bounds the texts.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        Some((byte, rest)) => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

/// A rule has one path at most, and the slow glob must end.
fn is_small(case: &Case) -> bool {
    let paths = case.conditions.iter().filter(|condition| condition.is_path()).count();
    let stars = |condition: &Condition| match condition {
        Condition::GlobPath(pattern) => pattern.written().matches('*').count(),
        _ => 0,
    };
    (1..=3).contains(&case.conditions.len())
        && paths <= 1
        && case.conditions.iter().all(|condition| stars(condition) <= 3)
        && case.path.0.len() <= 20
}

/// The rule's own keys come first, then its lists.
fn file_of(case: &Case) -> String {
    let mut text = "[service.s]\nblue.url = \"http://127.0.0.1:1\"\ngreen.url = \"http://127.0.0.1:2\"\nsplit.active = \"blue\"\n\
                    [[service.s.rule]]\noverride = true\nto = \"green\"\n"
        .to_owned();
    let (paths, lists): (Vec<_>, Vec<_>) = case.conditions.iter().partition(|condition| condition.is_path());
    paths.into_iter().chain(lists).for_each(|condition| text.push_str(&condition.written()));
    text
}

fuzz_target!(|case: Case| {
    if !is_small(&case) {
        return;
    }
    let text = file_of(&case);
    let file = match routing_text("routing.toml", &text) {
        Ok(file) => file,
        // A value may be refused; a key that is not known would mean that nothing is tried here.
        Err(refused) => return assert!(!refused.render(false).contains("unknown key"), "{}", refused.render(false)),
    };
    let service = file.services[0].traffic.clone();
    let table = RoutingTable::compile(vec![(service, TrafficSplit::resting(Environment::Blue))]);

    let request = Request {
        path: case.path.as_path(),
        query: case.query.as_ref().map(Text::written),
        fields: case.fields.iter().map(|(name, value)| (*name, value.written())).collect(),
    };
    let lower: Vec<String> = request.fields.iter().map(|(name, _)| name.written().to_lowercase()).collect();
    let values = request.fields.iter().map(|(_, value)| value.as_bytes());
    let fields: Vec<(&str, &[u8])> = lower.iter().map(String::as_str).zip(values).collect();
    let head = RequestHead {
        method: "GET",
        version: HttpVersion::Http11,
        authority: None,
        host_lines: [Some(b"shop.test"), None],
        path: &request.path,
        query: request.query.as_deref(),
        fields: &FieldList(&fields),
        client: [192, 0, 2, 1].into(),
    };
    let path = NormalizedPath::normalised(&request.path).unwrap();
    // A path that is normal is left as it is.
    assert_eq!(NormalizedPath::normalised(path.as_str()).unwrap().as_str(), path.as_str());
    let holds = case.conditions.iter().all(|condition| condition.holds(&request, path.as_str()));
    let decided = decide(&table, &head, |_| 0).unwrap();
    assert_eq!(decided.environment == Environment::Green, holds, "{text}\n{case:?}");
});
