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

use crate::check::suite::request::Known;
use crate::check::{one_of, positive, whole};
use crate::file::{At, CaseFile, Number, RequestFile, SuiteFile};
use crate::read::{SourceFile, did_you_mean};
use crate::suite::text::{Piece, literal, pieces};
use crate::suite::{BUILT_IN, Case, Suite, SuiteRequest, Via};
use judgement::time::Millis;

/// A suite that nobody can read through proves little.
const MOST_CASES: usize = 500;
const MOST_STEPS: usize = 50;
const MOST_CONCURRENT: u64 = 64;
const MOST_RETRIES: u64 = 10;
/// A file that is sent or compared with is at hand, not a database.
pub const MOST_FILE: u64 = 8 << 20;
/// A run by itself is no load.
const SHORTEST_EVERY: Millis = Millis::seconds(10);

/// A file of suites while it is read.
struct Reading<'s> {
    source: &'s mut SourceFile,
    secrets: BTreeSet<String>,
    /// The suite's own headers.
    headers: Vec<(HeaderName, String)>,
    timeout: Millis,
}

/// Checks a suite; problems are noted. `name`: its file's, without `.toml`.
pub fn suite(source: &mut SourceFile, name: &str, file: &SuiteFile) -> Suite {
    match &file.version {
        Some(At { value: Number(version), .. }) if *version == 1.0 => {}
        Some(At { value: Number(version), span }) => {
            let message = format!("this is a suite of version {version}; this program reads version 1");
            source.problem(span.clone(), message, None);
        }
        None => source.missing(0..0, "the suite does not say its version", "begin with `version = 1`"),
    }
    let via = [("origin", Via::Origin), ("proxy", Via::Proxy)];
    let via = file.via.as_ref().and_then(|at| one_of(source, at, &via)).unwrap_or(Via::Origin);
    let retries = whole(source, file.retries.as_ref(), 0..=MOST_RETRIES, 0) as u32;
    let concurrency = whole(source, file.concurrency.as_ref(), 1..=MOST_CONCURRENT, 4) as usize;
    let timeout = positive(source, file.timeout.as_ref(), Millis::seconds(10));
    let every = file.every.as_ref().map(|at| {
        let every = positive(source, Some(at), SHORTEST_EVERY);
        if every < SHORTEST_EVERY {
            source.problem(at.span.clone(), format!("a suite runs by itself every {SHORTEST_EVERY} at the most"), None);
        }
        every
    });
    let mut reading = Reading { source, secrets: BTreeSet::new(), headers: Vec::new(), timeout };
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
    if cases.is_empty() && loads.is_empty() && parities.is_empty() && data.is_empty() {
        let hint = "write a [[case]], [[load]], [[parity]] or [[data]]";
        reading.source.missing(0..0, "the suite proves nothing", hint);
    }
    Suite {
        name: name.to_owned(),
        title: file.title.as_ref().map_or(name, |at| at.value.as_str()).to_owned(),
        service: file.service.as_ref().map(|at| at.value.clone()),
        via,
        tags: file.tags.clone(),
        concurrency,
        every,
        after_rollback: file.after_rollback.unwrap_or(false),
        variables,
        setup,
        cases,
        teardown,
        loads,
        parities,
        data,
        secrets: reading.secrets.into_iter().collect(),
        secret_names: file.secret.iter().map(|at| at.value.clone()).collect(),
    }
}

/// What a variable may be called.
const NAMES: &str = "letters, digits and `_`; not run, environment or unique, which are there already";

impl Reading<'_> {
    /// In the order of the file.
    fn variables(&mut self, file: &SuiteFile, known: &mut Known) -> Vec<(String, String)> {
        let mut typed: Vec<_> = file.variables.iter().collect();
        typed.sort_by_key(|(_, at)| at.span.start);
        let mut all = Vec::new();
        for (name, at) in typed {
            if known.contains(name) || !is_name(name) {
                let message = format!("`{name}` cannot be the name of a variable");
                self.source.problem(at.span.clone(), message, Some(NAMES.to_owned()));
            }
            let text = self.text(&at.value.0, &at.span, known);
            known.insert(name.clone());
            all.push((name.clone(), text));
        }
        all
    }

    /// A text with what it names of the environment put in; what it names besides has to be known.
    fn text(&mut self, text: &str, span: &Range<usize>, known: &Known) -> String {
        self.text_with(text, span, known, str::to_owned)
    }

    /// The same, with what is of the environment as `write` writes it.
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
                            let message = format!("`${{{name}}}` is no variable that is known here");
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
                let hint = "it is the environment of the process that runs the suite: Cutover's own";
                self.source.problem(span.clone(), message, Some(hint.to_owned()));
                String::new()
            }
        }
    }

    fn cases(&mut self, typed: &[At<CaseFile>], retries: u32, known: &Known) -> Vec<Case> {
        if let Some(at) = typed.get(MOST_CASES) {
            self.source.problem(at.span.clone(), format!("a suite has at most {MOST_CASES} cases"), None);
        }
        let mut all: Vec<Case> = Vec::new();
        for At { value: file, span } in typed.iter().take(MOST_CASES) {
            let steps = if file.step.is_empty() {
                let at = At { value: file.request(), span: span.clone() };
                self.step(&at, &mut known.clone()).into_iter().collect()
            } else {
                if file.has_request() {
                    let hint = "move it into a [[case.step]]".to_owned();
                    let message = "a case is one request, or has steps, not both";
                    self.source.problem(span.clone(), message, Some(hint));
                }
                self.steps(&file.step, &mut known.clone())
            };
            let first = steps.first().map_or("case", |step| step.name.as_str());
            let name = file.name.as_ref().map_or(first, |at| at.value.as_str()).to_owned();
            self.new_name(all.iter().map(|case| &case.name), &name, file.name.as_ref(), span);
            if matches!(name.as_str(), "setup" | "teardown") {
                let hint = Some("call it otherwise: reports call the suite's own setup and teardown so".to_owned());
                let span = file.name.as_ref().map_or(span, |at| &at.span).clone();
                self.source.problem(span, format!("a case cannot be called `{name}`"), hint);
            }
            let retries = whole(self.source, file.retries.as_ref(), 0..=MOST_RETRIES, u64::from(retries)) as u32;
            all.push(Case { name, tags: file.tags.clone(), retries, steps });
        }
        all
    }

    fn steps(&mut self, typed: &[At<RequestFile>], known: &mut Known) -> Vec<SuiteRequest> {
        if let Some(at) = typed.get(MOST_STEPS) {
            self.source.problem(at.span.clone(), format!("there are at most {MOST_STEPS} steps"), None);
        }
        typed.iter().take(MOST_STEPS).filter_map(|at| self.step(at, known)).collect()
    }

    /// Parts are known by their names.
    fn new_name<'n>(
        &mut self,
        mut others: impl Iterator<Item = &'n String>,
        name: &str,
        typed: Option<&At<String>>,
        span: &Range<usize>,
    ) {
        let span = typed.map_or(span, |at| &at.span).clone();
        if others.any(|other| other == name) {
            let hint = Some("give it a `name` of its own".to_owned());
            self.source.problem(span.clone(), format!("two of them are called `{name}`"), hint);
        }
        if name.trim().is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            self.source.problem(span, "a name has 1 to 200 printable characters", None);
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
        match JsonPath::parse(text) {
            Ok(path) => Some(path),
            Err(why) => {
                let hint = Some("JSONPath as in RFC 9535: \"$.items[0].id\", \"$..updated_at\"".to_owned());
                self.source.problem(span.clone(), format!("`{text}` is no JSONPath: {why}"), hint);
                None
            }
        }
    }

    /// The bytes of a file beside this one.
    fn file(&mut self, at: &At<String>) -> Option<Vec<u8>> {
        match bytes_of(&super::origin::beside(self.source, &at.value)) {
            Ok(bytes) => Some(bytes),
            Err(why) => {
                self.source.problem(at.span.clone(), format!("`{}` cannot be used: {why}", at.value), None);
                None
            }
        }
    }

    /// A file beside this one as JSON.
    fn json_file(&mut self, at: &At<String>) -> Option<serde_json::Value> {
        let bytes = self.file(at)?;
        let read = serde_json::from_slice(&bytes);
        if let Err(why) = &read {
            self.source.problem(at.span.clone(), format!("`{}` is no JSON: {why}", at.value), None);
        }
        read.ok()
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot read it: {error}");
    // Opening a pipe would wait for its other end.
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if !kind.is_file() || kind.len() > MOST_FILE {
        return Err(format!("it is no file of at most {} MiB", MOST_FILE >> 20));
    }
    std::fs::read(path).map_err(unreadable)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
