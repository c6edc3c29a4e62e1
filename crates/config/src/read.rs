//! From text to typed file, with every problem at once.
//!
//! serde stops at the first thing that it cannot read. So the offending key or value is cut out of the parsed document
//! and the rest is read again, until nothing is left to object to: the types in [`super::file`] stay plain serde types,
//! and the user hears of every mistake in one go.

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Larger files are refused unread.
pub const MAX_BYTES: usize = 4 << 20;
/// More problems than this are not looked for.
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
}

/// A file's text with its name, and the problems found in it so far.
#[derive(Debug)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
    pub problems: Vec<FileProblem>,
    /// The tables that something was cut out of: nobody needs to hear that it is missing there.
    mutilated: Vec<Range<usize>>,
}

impl SourceFile {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> SourceFile {
        SourceFile { name: name.into(), text: text.into(), problems: Vec::new(), mutilated: Vec::new() }
    }

    /// Notes a problem at a place.
    pub fn problem(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start));
        let before = self.text.get(..start).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        self.problems.push(FileProblem {
            file: self.name.clone(),
            span: start..end,
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            message: without_passwords(&message.into()),
            hint,
        });
    }

    /// Blots out what must not be shown, where a problem quotes it.
    pub fn conceal(&mut self, span: &Range<usize>) {
        let place = self.text.floor_char_boundary(span.start)..self.text.ceil_char_boundary(span.end);
        let blots = "*".repeat(place.len());
        self.text.replace_range(place, &blots);
    }

    /// Notes that something is missing in the table at `span`, unless something there could not be read.
    pub fn missing(&mut self, span: Range<usize>, message: impl Into<String>, hint: &str) {
        if !self.mutilated.contains(&span) {
            self.problem(span, message, Some(hint.to_owned()));
        }
    }

    /// Reads the text as `T`: what could be read of it, with the problems noted.
    pub fn read<T: DeserializeOwned + Default>(&mut self) -> T {
        let text = self.text.clone();
        let (mut document, errors) = DeTable::parse_recoverable(&text);
        // What is no TOML at all has as many errors as lines.
        for error in errors.iter().take(MAX_PROBLEMS) {
            self.note(error, None);
        }
        if !errors.is_empty() {
            // Where a bracket is missing, what follows is anybody's guess.
            return T::default();
        }
        while self.problems.len() < MAX_PROBLEMS {
            match T::deserialize(toml::de::Deserializer::from(document.clone())) {
                Ok(file) => return file,
                Err(error) => {
                    let cut = error.span().and_then(|span| cut(document.get_mut(), &span));
                    self.note(&error, cut.as_ref().and_then(|cut| cut.key.as_deref()));
                    match cut {
                        Some(cut) => self.mutilated.extend(cut.from),
                        // Nothing to cut: the rest cannot be read.
                        None => return T::default(),
                    }
                }
            }
        }
        T::default()
    }

    fn note(&mut self, error: &toml::de::Error, key: Option<&str>) {
        let span = error.span().unwrap_or(0..0);
        let (message, hint) = in_plain_words(error.message(), key);
        // A parser that has lost its way complains again and again of one place.
        if !self.problems.iter().any(|problem| problem.span == span) {
            self.problem(span, message, hint);
        }
    }
}

/// What was cut out.
struct Cut {
    /// Its key; none for an item of a list.
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
    table.iter_mut().find_map(|(_, value)| cut_inside(value, span))
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

/// Whether something inside the value stands at the very same place: a table and its only item, say.
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
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (key, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return (format!("unknown key `{key}`"), Some(did_you_mean(key, &known)));
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        let rest = rest
            .replace("floating point ", "number ")
            .replace("a sequence", "a list")
            .replace("sequence", "a list")
            .replace("map", "a table");
        let what = key.map_or(String::new(), |key| format!("`{key}`: "));
        let wanted = |wanted: &str| match wanted {
            "a string" | "string" => "a text in quotes".to_owned(),
            "a boolean" => "true or false".to_owned(),
            _ if wanted.starts_with("struct ") => "a table".to_owned(),
            _ => wanted.to_owned(),
        };
        return match rest.split_once(", expected ") {
            Some((found, expected)) => (format!("{what}found {found}, expected {}", wanted(expected)), None),
            None => (format!("{what}{rest}"), None),
        };
    }
    (message.to_owned(), None)
}

/// The closest of the known names, or all of them.
pub fn did_you_mean(given: &str, known: &[&str]) -> String {
    let close = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&given.to_lowercase(), name), *name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= 0.8);
    match close {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The same text with stars where URLs have passwords: what is wrong with a file is shown to more people than the file.
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

/// The problems as a terminal shows them: file, line, the text underlined, a hint.
pub fn render(sources: &[&SourceFile], colour: bool) -> String {
    use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for source in sources {
        // As long as it was: the places stay where they are.
        let text = without_passwords(&source.text);
        for problem in &source.problems {
            let title = Level::ERROR.primary_title(&problem.message);
            // Of a file without a text there is nothing to underline.
            let mut group: Group<'_> = if source.text.trim().is_empty() {
                title.element(Origin::path(&source.name))
            } else {
                let place = AnnotationKind::Primary.span(problem.span.clone());
                title.element(Snippet::source(&text).path(&source.name).annotation(place))
            };
            if let Some(hint) = &problem.hint {
                group = group.element(Level::HELP.message(hint));
            }
            out.push_str(&renderer.render(&[group]));
            out.push_str("\n\n");
        }
    }
    out.truncate(out.trim_end().len());
    out
}
