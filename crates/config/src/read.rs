//! From text to typed file, with every problem at once.
//!
//! serde stops at the first thing that it cannot read. So the offending key or value is cut out of the parsed document
//! and the rest is read again, until there are no objections left. The types in [`super::file`] stay plain serde types,
//! and the user sees every mistake at once.

mod absent_secrets;
mod environment;
mod places;
mod shown;
mod syntax;
mod words;

use std::borrow::Cow;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::ConfigError;
use crate::file::At;
use environment::{Expanded, Lookup};
use words::TypedValue;

pub use crate::suggest::did_you_mean;
pub use absent_secrets::tolerate_absent_secrets;
pub use places::written;
pub use shown::{render, without_passwords};

/// Larger files are refused unread.
pub const MAX_BYTES: usize = 4 << 20;
/// The most problems to look for.
const MAX_PROBLEMS: usize = 30;

/// One problem of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileProblem {
    pub file: String,
    /// Bytes.
    #[serde(skip)]
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The lines that `span` touches, without passwords; empty if the problem has no text.
    #[serde(skip)]
    excerpt: String,
    /// Where `span` is within them.
    #[serde(skip)]
    place: Range<usize>,
}

/// A file's text with its name, and the problems found in it so far.
#[derive(Debug)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
    /// Problems that refuse the file.
    pub problems: Vec<FileProblem>,
    /// Settings that are accepted, but probably mistakes.
    pub warnings: Vec<FileProblem>,
    /// The tables that something was cut out of, so that it is not reported as missing there.
    mutilated: Vec<Range<usize>>,
    /// The top-level keys that were cut out.
    cut_keys: Vec<String>,
    /// Where keys stand that the file itself does not take.
    unknown_keys: Vec<usize>,
    /// Nothing is known of the file: not even what it lacks.
    is_unreadable: bool,
    /// The strings that contain environment values.
    expanded: Vec<Expanded>,
}

impl SourceFile {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> SourceFile {
        SourceFile {
            name: name.into(),
            text: text.into(),
            problems: Vec::new(),
            warnings: Vec::new(),
            mutilated: Vec::new(),
            cut_keys: Vec::new(),
            unknown_keys: Vec::new(),
            is_unreadable: false,
            expanded: Vec::new(),
        }
    }

    /// The problems in the order of the file, if there are any.
    pub fn refused(mut self) -> Option<ConfigError> {
        self.problems.sort_by_key(|problem| problem.span.start);
        (!self.problems.is_empty()).then_some(ConfigError { problems: self.problems })
    }

    /// The line of a position, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        self.text.get(..self.text.floor_char_boundary(at)).unwrap_or("").matches('\n').count() + 1
    }

    /// Notes a problem at a position.
    pub fn problem(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let problem = self.noted(span, message.into(), hint);
        self.problems.push(problem);
    }

    /// Notes that a secret is not there: a problem, unless such are tolerated.
    pub fn absent_secret(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let problem = self.noted(span, message.into(), hint);
        if absent_secrets::are_tolerated() {
            self.warnings.push(problem);
        } else {
            self.problems.push(problem);
        }
    }

    /// Whether a secret that is not there is no problem.
    pub fn takes_absent_secrets(&self) -> bool {
        absent_secrets::are_tolerated()
    }

    /// Notes a setting that is accepted, but probably a mistake.
    pub fn warning(&mut self, span: Range<usize>, message: impl Into<String>, hint: &str) {
        let warning = self.noted(span, message.into(), Some(hint.to_owned()));
        self.warnings.push(warning);
    }

    fn noted(&self, span: Range<usize>, message: String, hint: Option<String>) -> FileProblem {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start));
        let before = self.text.get(..start).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.text.get(end..).unwrap_or("");
        let line_end = rest.find('\n').map_or(self.text.len(), |at| end + at);
        let (message, hint) = self.without_environment(start..end, message, hint);
        FileProblem {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            message: without_passwords(&message),
            hint: hint.map(|hint| without_passwords(&hint)),
            // The length is kept, so that positions stay the same.
            excerpt: without_passwords(self.text.get(line_start..line_end).unwrap_or("")),
            place: start - line_start..end - line_start,
            span: start..end,
        }
    }

    /// A message and a hint without environment values.
    fn without_environment(
        &self,
        span: Range<usize>,
        mut message: String,
        mut hint: Option<String>,
    ) -> (String, Option<String>) {
        for expanded in &self.expanded {
            let here = expanded.span.start < span.end && span.start < expanded.span.end;
            if here {
                message = expanded.conceal(&message);
                hint = hint.filter(|hint| !expanded.is_shown_by(hint));
            } else {
                message = expanded.conceal_variables(&message);
                hint = hint.map(|hint| expanded.conceal_variables(&hint));
            }
        }
        (message, hint)
    }

    /// The part of a value that is in the file itself and not from the environment.
    pub fn literal<'t>(&'t self, at: &'t At<String>) -> &'t str {
        let expanded = self.expanded.iter().find(|expanded| expanded.span == at.span);
        expanded.map_or(at.value.as_str(), |expanded| expanded.literal.as_str())
    }

    /// Whether something of a value comes from the environment.
    pub fn is_from_environment(&self, at: &At<String>) -> bool {
        self.expanded.iter().any(|expanded| expanded.span == at.span && expanded.has_variables())
    }

    /// Replaces secrets by stars, before a problem quotes the line.
    pub fn conceal(&mut self, span: &Range<usize>) {
        let place = self.text.floor_char_boundary(span.start)..self.text.ceil_char_boundary(span.end);
        let blots = "*".repeat(place.len());
        self.text.replace_range(place, &blots);
    }

    /// Whether something in the table at `span` could not be read.
    pub fn lacks_part_of(&self, span: &Range<usize>) -> bool {
        self.is_unreadable || self.mutilated.contains(span)
    }

    /// Notes that something is missing in the table at `span`, unless something in the table could not be read.
    pub fn missing(&mut self, span: Range<usize>, message: impl Into<String>, hint: &str) {
        if !self.lacks_part_of(&span) {
            self.problem(span, message, Some(hint.to_owned()));
        }
    }

    /// The same at another place than that of the table.
    pub fn missing_in(&mut self, table: &Range<usize>, at: Range<usize>, message: &str, hint: &str) {
        if !self.lacks_part_of(table) {
            self.problem(at, message, Some(hint.to_owned()));
        }
    }

    /// Notes that the file has nothing of what it is for, unless something in it could not be read.
    pub fn nothing_in_it(&mut self, message: &str, hint: &str) {
        if self.problems.is_empty() {
            self.problem(0..0, message, Some(hint.to_owned()));
        }
    }

    /// Notes that the file lacks a top-level key, unless the file's value could not be read.
    pub fn missing_key(&mut self, key: &str, message: &str, hint: &str) {
        if !self.is_unreadable && !self.cut_keys.iter().any(|cut| cut == key) {
            self.problem(0..0, message, Some(hint.to_owned()));
        }
    }

    /// Reads the text as `T`: as much as could be read, with the problems noted.
    pub fn read<T: DeserializeOwned + Default + JsonSchema>(&mut self) -> T {
        self.read_with(None)
    }

    /// The same, with environment variables expanded in the strings. Only for files that the operator writes: text that
    /// arrives over the API must not read the environment.
    pub fn read_with_environment<T: DeserializeOwned + Default + JsonSchema>(&mut self) -> T {
        self.read_with(Some(&environment::of_process))
    }

    fn read_with<T: DeserializeOwned + Default + JsonSchema>(&mut self, lookup: Option<&Lookup<'_>>) -> T {
        let text = self.text.clone();
        let (mut document, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            // Where a bracket is missing, the meaning of what follows is unknown. What is not TOML at all has as many
            // errors as lines.
            for syntax::Mistake { span, message, hint } in
                syntax::mistakes(&text, &errors).into_iter().take(MAX_PROBLEMS)
            {
                self.problem(span, message, hint);
            }
            self.is_unreadable = true;
            return T::default();
        }
        if let Some(lookup) = lookup {
            self.put_in_environment(document.get_mut(), lookup);
        }
        while self.problems.len() < MAX_PROBLEMS {
            match T::deserialize(toml::de::Deserializer::from(document.clone())) {
                Ok(file) => return file,
                Err(error) => {
                    let cut = error.span().and_then(|span| cut(document.get_mut(), &span));
                    self.note(&error, cut.as_ref(), || schemars::schema_for!(T).to_value());
                    match cut {
                        Some(cut) => self.mutilate(cut),
                        // Nothing to cut: the rest cannot be read.
                        None => break,
                    }
                }
            }
        }
        self.is_unreadable = true;
        T::default()
    }

    /// Expands the variables in every string, and cuts out the strings in which that fails.
    fn put_in_environment(&mut self, document: &mut DeTable<'_>, lookup: &Lookup<'_>) {
        let mut failed = Vec::new();
        for (_, value) in document.iter_mut() {
            expand_in(value, lookup, &mut self.expanded, &mut failed);
        }
        for (span, bad) in failed.into_iter().take(MAX_PROBLEMS) {
            for environment::BadVariable { token, why, is_unset } in bad {
                // The variable itself, if the source has it as it was read: it may be written with escapes.
                let raw = self.text.get(span.clone()).unwrap_or("");
                // Only the last one can lack its end.
                let found = if token == "${" { raw.rfind(&token) } else { raw.find(&token) };
                let place = found.map(|at| span.start + at..span.start + at + token.len());
                let place = place.unwrap_or(span.clone());
                if is_unset {
                    self.absent_secret(place, why.message, why.hint);
                } else {
                    self.problem(place, why.message, why.hint);
                }
            }
            if let Some(cut) = cut(document, &span) {
                self.mutilate(cut);
            }
        }
    }

    fn mutilate(&mut self, cut: Cut) {
        if cut.from.is_empty() {
            self.cut_keys.extend(cut.key);
        }
        self.mutilated.extend(cut.from);
    }

    /// `schema`: of the file.
    fn note(&mut self, error: &toml::de::Error, cut: Option<&Cut>, schema: impl Fn() -> serde_json::Value) {
        let span = error.span().unwrap_or(0..0);
        // A list whose only item was cut out is not empty in the file.
        if error.message().contains("is an empty list") && self.mutilated.contains(&span) {
            return;
        }
        // A parser that has lost its way complains about the same place repeatedly.
        if self.problems.iter().any(|problem| problem.span == span) {
            return;
        }
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let (message, hint) =
            words::plain(error.message(), &TypedValue { key: cut.and_then(|cut| cut.key.as_deref()), raw });
        let wanted = match message.split_once(", not the string ") {
            Some((wanted, _)) => Some(wanted),
            // Only a trigger's limit may be a string too.
            None => message.starts_with("invalid limit").then_some("the limit must be a plain number"),
        };
        if let Some(wanted) = wanted.filter(|_| self.expanded.iter().any(|expanded| expanded.span == span)) {
            let message = format!("{wanted}, which cannot come from the environment: `${{…}}` stands in strings only");
            return self.problem_as_told(span, message, "write the value itself, without quotes");
        }
        let Some(cut) = cut.filter(|_| message.starts_with("unknown key")) else {
            return self.problem(span, message, hint);
        };
        if cut.from.is_empty() {
            self.unknown_keys.push(span.start);
        }
        let hint = hint.map(|hint| elsewhere(cut, hint, schema));
        self.problem(span, message, hint);
    }

    /// Notes a problem whose words are ours alone: nothing in them comes from the file or the environment.
    fn problem_as_told(&mut self, span: Range<usize>, message: String, hint: &str) {
        let mut problem = self.noted(span, String::new(), None);
        (problem.message, problem.hint) = (message, Some(hint.to_owned()));
        self.problems.push(problem);
    }

    /// Says of keys that the file itself does not take that they belong somewhere else.
    pub fn hint_at_unknown_keys(&mut self, keys: &[&str], hint: &str) {
        for problem in self.problems.iter_mut().filter(|problem| self.unknown_keys.contains(&problem.span.start)) {
            let key = problem.message.strip_prefix("unknown key `").and_then(|rest| rest.strip_suffix('`'));
            if key.is_some_and(|key| keys.contains(&key)) {
                problem.hint = Some(hint.to_owned());
            }
        }
    }

    /// The place of the key that the value at `span` belongs to.
    pub fn key_of(&self, span: &Range<usize>) -> Range<usize> {
        places::key_of(&self.text, span)
    }

    /// The place of a part of what stands at `span`, if it is there as it is read.
    pub fn part_of(&self, span: &Range<usize>, part: &str) -> Range<usize> {
        let found = self.text.get(span.clone()).and_then(|raw| raw.find(part)).filter(|_| !part.is_empty());
        found.map_or(span.clone(), |at| span.start + at..span.start + at + part.len())
    }
}

/// Where an unknown key belongs: in another table, unless it is close to a key of its own.
fn elsewhere(cut: &Cut, hint: String, schema: impl Fn() -> serde_json::Value) -> String {
    let Some(key) = cut.key.as_deref().filter(|_| hint.starts_with("expected one of")) else { return hint };
    if key == "query" && cut.path.first().is_some_and(|table| table == "database") {
        return "it belongs in [[data]]: this is only where the database is".to_owned();
    }
    match places::tables_with(&schema(), &cut.path, key).as_slice() {
        [] => hint,
        tables => format!("it belongs in {}", tables.join(" or ")),
    }
}

type Failed = Vec<(Range<usize>, Vec<environment::BadVariable>)>;

fn expand_in(value: &mut Spanned<DeValue<'_>>, lookup: &Lookup<'_>, done: &mut Vec<Expanded>, failed: &mut Failed) {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) => match environment::expand(text, &span, lookup) {
            Ok(None) => {}
            Ok(Some(expanded)) => {
                *text = Cow::Owned(expanded.value.clone());
                done.push(expanded);
            }
            Err(bad) => failed.push((span, bad)),
        },
        DeValue::Array(items) => items.iter_mut().for_each(|item| expand_in(item, lookup, done, failed)),
        DeValue::Table(table) => {
            table.iter_mut().for_each(|(_, value)| expand_in(value, lookup, done, failed));
        }
        _ => {}
    }
}

/// Something that was cut out.
struct Cut {
    /// Its key; for an item of a list, the list's.
    key: Option<String>,
    /// The tables and lists around it.
    from: Vec<Range<usize>>,
    /// Their names, from the outside in.
    path: Vec<String>,
}

/// Cuts the smallest key or value at `span` out of the table.
fn cut(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<Cut> {
    let here = |key: &Spanned<_>, value: &Spanned<DeValue<'_>>| {
        key.span() == *span || value.span() == *span && !holds(value, span)
    };
    let found = table.iter().find(|(key, value)| here(key, value)).map(|(key, _)| key.clone());
    if let Some(key) = found {
        table.remove(&key);
        return Some(Cut { key: Some(key.get_ref().to_string()), from: Vec::new(), path: Vec::new() });
    }
    table.iter_mut().find_map(|(key, value)| {
        let mut cut = cut_inside(value, span)?;
        cut.key.get_or_insert_with(|| key.get_ref().to_string());
        cut.path.insert(0, key.get_ref().to_string());
        Some(cut)
    })
}

fn cut_inside(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<Cut> {
    let around = value.span();
    let mut found = match value.get_mut() {
        DeValue::Table(table) => cut(table, span),
        DeValue::Array(array) => array.iter_mut().find_map(|item| cut_inside(item, span)).or_else(|| {
            let at = array.iter().position(|item| item.span() == *span)?;
            *array = array.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, item)| item.clone()).collect();
            Some(Cut { key: None, from: Vec::new(), path: Vec::new() })
        }),
        _ => None,
    }?;
    found.from.push(around);
    Some(found)
}

/// Whether something inside the value has the very same position, such as a table and its only item.
fn holds(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> bool {
    match value.get_ref() {
        DeValue::Table(table) => {
            table.iter().any(|(key, value)| key.span() == *span || value.span() == *span || holds(value, span))
        }
        DeValue::Array(array) => array.iter().any(|item| item.span() == *span || holds(item, span)),
        _ => false,
    }
}

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemSeverity {
    /// The file is refused.
    Error,
    /// The file is accepted.
    Warning,
}
