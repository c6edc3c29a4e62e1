//! A validation suite: `NAME.toml` in the folder of the suites.

mod data;
mod load;
mod request;
mod wanted;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use http::HeaderName;
use serde_json_path::JsonPath;

use crate::check::files::why_unreadable;
use crate::check::suite::request::Known;
use crate::check::{beside, json_path, length, whole, word};
use crate::file::{At, CaseFile, RequestFile, SuiteFile};
use crate::read::{SourceFile, did_you_mean};
use crate::suite::text::{Piece, literal, pieces};
use crate::suite::{BUILT_IN, Case, Json, Suite, SuiteRequest, Via};
use judgement::time::Millis;

/// A longer suite is more than a person can read through.
const MOST_CASES: usize = 500;
const MOST_STEPS: usize = 50;
const SETTLE: Millis = Millis::seconds(5);
/// The limit of a file that is sent or compared with.
pub const MOST_FILE: u64 = 8 << 20;

/// A suite file while it is being read.
struct Reading<'s> {
    source: &'s mut SourceFile,
    secrets: BTreeSet<String>,
    /// The suite's own headers.
    headers: Vec<(HeaderName, String)>,
    timeout: Millis,
    /// How long what differs in data may take to agree.
    settle: Millis,
}

/// Checks a suite; problems are noted. `name`: the file's name without `.toml`.
pub fn suite(source: &mut SourceFile, name: &str, file: &SuiteFile) -> Suite {
    if file.version.is_none() {
        source.missing_key("version", "the suite has no `version`", "begin with version = 1");
    }
    let retries = whole(&file.retries, 0) as u32;
    let (timeout, settle) = (length(&file.timeout, Millis::seconds(10)), length(&file.settle, SETTLE));
    let mut reading = Reading { source, secrets: BTreeSet::new(), headers: Vec::new(), timeout, settle };
    let mut known: Known = BUILT_IN.iter().map(|name| (*name).to_owned()).collect();
    let variables = reading.variables(file, &mut known);
    reading.headers = reading.header_lines(&file.headers, &known);
    let mut in_setup = known.clone();
    let setup = reading.steps(&file.setup, &mut in_setup);
    let cases = reading.cases(&file.case, retries, &in_setup);
    let teardown = reading.steps(&file.teardown, &mut in_setup.clone());
    let loads = reading.loads(&file.load, &in_setup);
    let parities = reading.parities(&file.parity, &in_setup);
    let data = reading.data(file, &known);
    for at in &file.secret {
        let captured = reading.captured(file);
        if !captured.contains(&at.value) {
            let names: Vec<&str> = captured.iter().map(String::as_str).collect();
            let hint = match names.as_slice() {
                [] => "write capture = { token = \"$.token\" } in a step".to_owned(),
                names => did_you_mean(&at.value, names),
            };
            reading.source.problem(at.span.clone(), format!("no step captures `{}`", at.value), Some(hint));
        }
    }
    // As the file has them: what a check needs may be a secret that is not here.
    if file.case.is_empty() && file.load.is_empty() && file.parity.is_empty() && file.data.is_empty() {
        let hint = "add a [[case]], [[load]], [[parity]] or [[data]]";
        reading.source.nothing_in_it("the suite is empty", hint);
    }
    let secrets = reading.secrets.into_iter().collect();
    Suite {
        name: name.to_owned(),
        title: file.title.as_ref().map_or(name, |at| at.value.as_str()).to_owned(),
        service: file.service.as_ref().map(|at| at.value.clone()),
        via: word(&file.via).unwrap_or(Via::Origin),
        tags: file.tags.clone(),
        concurrency: whole(&file.concurrency, 4) as usize,
        every: file.every.as_ref().map(|at| at.value.0),
        after_rollback: file.after_rollback.unwrap_or(false),
        variables,
        setup,
        cases,
        teardown,
        loads,
        parities,
        data,
        secrets,
        secret_names: file.secret.iter().map(|at| at.value.clone()).collect(),
        warnings: std::mem::take(&mut source.warnings),
    }
}

/// The way out of too many of something.
fn split() -> Option<String> {
    Some("move some of them to another suite".to_owned())
}

/// The characters of a variable's name.
const NAMES: &str = "use letters, digits, `_` and `-`; `run`, `environment` and `unique` are built in";

impl Reading<'_> {
    /// In the order of the file.
    fn variables(&mut self, file: &SuiteFile, known: &mut Known) -> Vec<(String, String)> {
        let mut typed: Vec<_> = file.variables.iter().collect();
        typed.sort_by_key(|(_, at)| at.span.start);
        let mut all = Vec::new();
        for (name, at) in typed {
            if known.contains(name) || !is_name(name) {
                let message = format!("invalid variable name `{name}`");
                let key = self.source.key_of(&at.span);
                self.source.problem(key, message, Some(NAMES.to_owned()));
            }
            let text = self.text(&at.value.0, &at.span, known);
            known.insert(name.clone());
            all.push((name.clone(), text));
        }
        all
    }

    /// A text with environment variables inserted; everything else it names must be known.
    fn text(&mut self, text: &str, span: &Range<usize>, known: &Known) -> String {
        self.text_with(text, span, known, str::to_owned)
    }

    /// The same, with environment values written by `write`.
    fn text_with(&mut self, text: &str, span: &Range<usize>, known: &Known, write: impl Fn(&str) -> String) -> String {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => out.push_str(&literal(text)),
                Piece::Name(name) => match name.strip_prefix("env.") {
                    Some(variable) => out.push_str(&literal(&write(&self.environment(variable, span)))),
                    None => {
                        if !known.contains(name) {
                            let names: Vec<&str> = known.iter().map(String::as_str).collect();
                            let hint = did_you_mean(name, &names);
                            let message = format!("unknown variable `${{{name}}}`");
                            self.source.problem(span.clone(), message, Some(hint));
                        }
                        out.push_str(&format!("${{{name}}}"));
                    }
                },
            }
        }
        out
    }

    fn environment(&mut self, variable: &str, span: &Range<usize>) -> String {
        match std::env::var(variable) {
            Ok(value) if !value.is_empty() => {
                self.secrets.insert(value.clone());
                value
            }
            _ => {
                let message = format!("the environment variable `{variable}` is not set");
                let hint = "set it for the process that runs the suite, which is Cutover";
                self.source.absent_secret(span.clone(), message, Some(hint.to_owned()));
                String::new()
            }
        }
    }

    fn cases(&mut self, typed: &[At<CaseFile>], retries: u32, known: &Known) -> Vec<Case> {
        if let Some(at) = typed.get(MOST_CASES) {
            self.source.problem(at.span.clone(), format!("a suite has at most {MOST_CASES} cases"), split());
        }
        let mut all: Vec<Case> = Vec::new();
        for At { value: file, span } in typed.iter().take(MOST_CASES) {
            let steps = if file.step.is_empty() {
                let at = At { value: file.request(), span: span.clone() };
                self.step(&at, &mut known.clone()).into_iter().collect()
            } else {
                if file.has_request() {
                    let hint = "move the request into a [[case.step]]".to_owned();
                    let message = "a case is one request or a list of steps, not both";
                    self.source.problem(span.clone(), message, Some(hint));
                }
                self.steps(&file.step, &mut known.clone())
            };
            let first = steps.first().map_or("case", |step| step.name.as_str());
            let name = file.name.as_ref().map_or(first, |at| at.value.as_str()).to_owned();
            self.new_name(all.iter().map(|case| &case.name), &name, file.name.as_ref(), span);
            if matches!(name.as_str(), "setup" | "teardown") {
                let hint = Some("choose another name: reports use this one for the suite's own requests".to_owned());
                let span = file.name.as_ref().map_or(span, |at| &at.span).clone();
                self.source.problem(span, format!("`{name}` is a reserved name"), hint);
            }
            let retries = whole(&file.retries, u64::from(retries)) as u32;
            all.push(Case { name, tags: file.tags.clone(), retries, steps });
        }
        all
    }

    fn steps(&mut self, typed: &[At<RequestFile>], known: &mut Known) -> Vec<SuiteRequest> {
        if let Some(at) = typed.get(MOST_STEPS) {
            self.source.problem(at.span.clone(), format!("a case has at most {MOST_STEPS} steps"), split());
        }
        typed.iter().take(MOST_STEPS).filter_map(|at| self.step(at, known)).collect()
    }

    /// Parts are identified by their names.
    fn new_name<'n>(
        &mut self,
        mut others: impl Iterator<Item = &'n String>,
        name: &str,
        typed: Option<&At<String>>,
        span: &Range<usize>,
    ) {
        let span = typed.map_or(span, |at| &at.span).clone();
        if others.any(|other| other == name) {
            let hint = Some("give it its own `name`".to_owned());
            self.source.problem(span.clone(), format!("the name `{name}` is already used"), hint);
        }
        if name.trim().is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            let hint = Some("write a short name: name = \"sign in\"".to_owned());
            self.source.problem(span, "a name has 1 to 200 printable characters", hint);
        }
    }

    /// Every variable that a step captures.
    fn captured(&self, file: &SuiteFile) -> BTreeSet<String> {
        let of_cases = file.case.iter().flat_map(|case| &case.value.step);
        let steps = file.setup.iter().chain(&file.teardown).chain(of_cases);
        steps.flat_map(|step| step.value.capture.keys().cloned()).collect()
    }

    fn paths(&mut self, typed: &[At<String>]) -> Vec<JsonPath> {
        typed.iter().filter_map(|at| self.json_path(&at.value, &at.span)).collect()
    }

    fn json_path(&mut self, text: &str, span: &Range<usize>) -> Option<JsonPath> {
        json_path(self.source, text, span)
    }

    /// The bytes of a file beside this one.
    fn file(&mut self, at: &At<String>) -> Option<Vec<u8>> {
        match bytes_of(&beside(self.source, &at.value)) {
            Ok(bytes) => Some(bytes),
            Err(why) => {
                let hint = Some("name a file, with a path relative to this file".to_owned());
                self.source.problem(at.span.clone(), format!("cannot use `{}`: {why}", at.value), hint);
                None
            }
        }
    }

    /// A file beside this one as JSON.
    fn json_file(&mut self, at: &At<String>) -> Option<Json> {
        let bytes = self.file(at)?;
        let read = Json::parse(&bytes);
        if let Err(why) = &read {
            let hint = Some(format!("see its line {}, column {}", why.line(), why.column()));
            self.source.problem(at.span.clone(), format!("`{}` is not JSON", at.value), hint);
        }
        read.ok()
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| why_unreadable(&error);
    // Opening a pipe would wait for its other end.
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if !kind.is_file() || kind.len() > MOST_FILE {
        return Err(format!("it is not a file of at most {} MiB", MOST_FILE >> 20));
    }
    std::fs::read(path).map_err(unreadable)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
