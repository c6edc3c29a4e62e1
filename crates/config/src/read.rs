//! From text to typed file, with every problem at once.
//!
//! serde stops at the first thing that it cannot read. So the offending key or value is cut out of the parsed document
//! and the rest is read again, until there are no objections left. The types in [`super::file`] stay plain serde types,
//! and the user sees every mistake at once.

mod environment;

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::ConfigError;
use crate::file::At;
use environment::{Expanded, Lookup};

pub use crate::suggest::did_you_mean;

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
            expanded: Vec::new(),
        }
    }

    /// The problems in the order of the file, if there are any.
    pub fn refused(mut self) -> Option<ConfigError> {
        self.problems.sort_by_key(|problem| problem.span.start);
        (!self.problems.is_empty()).then_some(ConfigError { problems: self.problems })
    }

    /// Notes a problem at a position.
    pub fn problem(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let problem = self.noted(span, message.into(), hint);
        self.problems.push(problem);
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

    /// Notes that something is missing in the table at `span`, unless something in the table could not be read.
    pub fn missing(&mut self, span: Range<usize>, message: impl Into<String>, hint: &str) {
        if !self.mutilated.contains(&span) {
            self.problem(span, message, Some(hint.to_owned()));
        }
    }

    /// Notes that the file lacks a top-level key, unless the file's value could not be read.
    pub fn missing_key(&mut self, key: &str, message: &str, hint: &str) {
        if !self.cut_keys.iter().any(|cut| cut == key) {
            self.problem(0..0, message, Some(hint.to_owned()));
        }
    }

    /// Reads the text as `T`: as much as could be read, with the problems noted.
    pub fn read<T: DeserializeOwned + Default>(&mut self) -> T {
        self.read_with(None)
    }

    /// The same, with environment variables expanded in the strings. Only for files that the operator writes: text that
    /// arrives over the API must not read the environment.
    pub fn read_with_environment<T: DeserializeOwned + Default>(&mut self) -> T {
        self.read_with(Some(&environment::of_process))
    }

    fn read_with<T: DeserializeOwned + Default>(&mut self, lookup: Option<&Lookup<'_>>) -> T {
        let text = self.text.clone();
        let (mut document, errors) = DeTable::parse_recoverable(&text);
        // Text that is not TOML at all has as many errors as lines.
        for error in errors.iter().take(MAX_PROBLEMS) {
            self.note(error, None);
        }
        if !errors.is_empty() {
            // If a bracket is missing, the meaning of what follows is unknown.
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
                    self.note(&error, cut.as_ref().and_then(|cut| cut.key.as_deref()));
                    match cut {
                        Some(cut) => self.mutilate(cut),
                        // Nothing to cut: the rest cannot be read.
                        None => return T::default(),
                    }
                }
            }
        }
        T::default()
    }

    /// Expands the variables in every string, and cuts out the strings in which that fails.
    fn put_in_environment(&mut self, document: &mut DeTable<'_>, lookup: &Lookup<'_>) {
        let mut failed = Vec::new();
        for (_, value) in document.iter_mut() {
            expand_in(value, lookup, &mut self.expanded, &mut failed);
        }
        for (span, bad) in failed.into_iter().take(MAX_PROBLEMS) {
            for environment::BadVariable { token, why } in bad {
                // The variable itself, if the source has it as it was read: it may be written with escapes.
                let raw = self.text.get(span.clone()).unwrap_or("");
                // Only the last one can lack its end.
                let found = if token == "${" { raw.rfind(&token) } else { raw.find(&token) };
                let place = found.map(|at| span.start + at..span.start + at + token.len());
                self.problem(place.unwrap_or(span.clone()), why.message, why.hint);
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

    fn note(&mut self, error: &toml::de::Error, key: Option<&str>) {
        let span = error.span().unwrap_or(0..0);
        // A list whose only item was cut out is not empty in the file.
        if error.message().contains("is an empty list") && self.mutilated.contains(&span) {
            return;
        }
        let (message, hint) = in_plain_words(error.message(), key);
        // A parser that has lost its way complains about the same place repeatedly.
        if !self.problems.iter().any(|problem| problem.span == span) {
            self.problem(span, message, hint);
        }
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
}

/// Cuts the smallest key or value at `span` out of the table.
fn cut(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<Cut> {
    let here = |key: &Spanned<_>, value: &Spanned<DeValue<'_>>| {
        key.span() == *span || value.span() == *span && !holds(value, span)
    };
    let found = table.iter().find(|(key, value)| here(key, value)).map(|(key, _)| key.clone());
    if let Some(key) = found {
        table.remove(&key);
        return Some(Cut { key: Some(key.get_ref().to_string()), from: Vec::new() });
    }
    table.iter_mut().find_map(|(key, value)| {
        let mut cut = cut_inside(value, span)?;
        cut.key.get_or_insert_with(|| key.get_ref().to_string());
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
            Some(Cut { key: None, from: Vec::new() })
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

/// serde's words, as a user would put them.
fn in_plain_words(message: &str, key: Option<&str>) -> (String, Option<String>) {
    let message = message.trim();
    let named = key.map_or("this value".to_owned(), |key| format!("`{key}`"));
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (key, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return (format!("unknown key `{key}`"), Some(did_you_mean(key, &known)));
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        let wanted = match expected {
            "a string" | "string" => "a string in quotes",
            "a boolean" => "true or false",
            "a sequence" | "sequence" => "a list",
            _ if expected.starts_with("struct ") || expected.contains("map") => "a table",
            _ => expected,
        };
        return (format!("{named} must be {wanted}, not {}", found_in_words(found)), way_out(key, wanted, found));
    }
    // Errors of Cutover's own values: a message and a hint.
    let (message, hint) = message.split_once('\n').map_or((message, None), |(message, hint)| (message, Some(hint)));
    (message.replace("{key}", &named), hint.map(str::to_owned))
}

fn found_in_words(found: &str) -> String {
    match found.split_once(' ') {
        Some(("string", text)) => format!("the string {text}"),
        Some(("integer", number)) => format!("the number {}", number.trim_matches('`')),
        Some(("floating", rest)) => format!("the number {}", rest.trim_start_matches("point ").trim_matches('`')),
        Some(("boolean", value)) => value.trim_matches('`').to_owned(),
        _ if found.contains("sequence") => "a list".to_owned(),
        _ if found.contains("map") => "a table".to_owned(),
        _ => found.to_owned(),
    }
}

/// Tables that people often write as their main value, and how to write them.
const TABLES: [(&str, &str); 14] = [
    ("header", "{ name = \"{}\", present = true }"),
    ("cookie", "{ name = \"{}\", present = true }"),
    ("query", "{ name = \"{}\", present = true }"),
    ("blue", "{ url = \"{}\" }"),
    ("green", "{ url = \"{}\" }"),
    ("http", "{ path = \"{}\" }"),
    ("sql", "{ url = \"postgres://shop@db/shop\" }"),
    ("redis", "{ url = \"redis://cache/0\" }"),
    ("access_log", "{ path = \"{}\" }"),
    ("state", "{ path = \"{}\" }"),
    ("admin", "{ listen = \"{}\" }"),
    ("proxy", "{ listen = [\"{}\"] }"),
    ("split", "{ weight = {} }"),
    ("rollout", "{ steps = [10, 50, 100] }"),
];

/// How a value of another type is written.
fn way_out(key: Option<&str>, wanted: &str, found: &str) -> Option<String> {
    let bare =
        found.split_once('`').or_else(|| found.split_once('"')).map(|(_, rest)| rest.trim_end_matches(['`', '"']));
    match (wanted, bare) {
        ("true or false", Some("true" | "yes" | "on" | "1")) => Some("write true, without quotes".to_owned()),
        ("true or false", Some("false" | "no" | "off" | "0")) => Some("write false, without quotes".to_owned()),
        ("a string in quotes", Some(bare)) => Some(format!("write \"{bare}\"")),
        ("a list", Some(bare)) if found.starts_with("string") => Some(format!("write [\"{bare}\"]")),
        ("a list", Some(bare)) => Some(format!("write [{bare}]")),
        ("a table", Some(bare)) => {
            let (name, table) = TABLES.iter().find(|(name, _)| Some(*name) == key)?;
            Some(format!("write {name} = {}", table.replace("{}", bare)))
        }
        _ => None,
    }
}

/// The same text with stars in place of the passwords in URLs: a file's problems are shown to more people than the
/// file.
fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        // A password that was not encoded may hold anything but what ends a text in TOML.
        let end = url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        let from = url.find(':').map_or(url.len(), |colon| colon + 1);
        let userinfo = url.rfind('@').map(|to| from..to);
        let named = url.find("password=").map(|at| at + "password=".len());
        let named =
            named.map(|from| from..url.get(from..).and_then(|rest| rest.find('&')).map_or(url.len(), |at| from + at));
        let hidden = |at: usize| [&userinfo, &named].into_iter().flatten().any(|range| range.contains(&at));
        for (at, c) in url.char_indices() {
            if hidden(at) {
                out.push_str(&"*".repeat(c.len_utf8()));
            } else {
                out.push(c);
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemSeverity {
    /// The file is refused.
    Error,
    /// The file is accepted.
    Warning,
}

/// The problems as a terminal shows them: file, line, the underlined text, a hint.
pub fn render<'p>(problems: impl Iterator<Item = &'p FileProblem>, severity: ProblemSeverity, colour: bool) -> String {
    use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for problem in problems {
        let level = match severity {
            ProblemSeverity::Error => Level::ERROR,
            ProblemSeverity::Warning => Level::WARNING,
        };
        let title = level.primary_title(&problem.message);
        // Of a file without a text there is nothing to underline.
        let mut group: Group<'_> = if problem.excerpt.trim().is_empty() {
            title.element(Origin::path(&problem.file))
        } else {
            let place = AnnotationKind::Primary.span(problem.place.clone());
            let lines = Snippet::source(&problem.excerpt).line_start(problem.line).path(&problem.file);
            title.element(lines.annotation(place))
        };
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    out.truncate(out.trim_end().len());
    out
}
