//! What is wrong with a text that is not TOML, as its author would see it: the parser says where it gave up, which is
//! seldom what was meant.

use std::ops::Range;

use super::places::written;

/// A mistake, and the way out.
#[derive(Debug)]
pub struct Mistake {
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// A line of the text, with what the parser says of it.
struct Line<'t> {
    start: usize,
    /// Without a comment, and without spaces at its ends.
    text: &'t str,
    error: &'t str,
    span: Range<usize>,
}

/// The mistakes in the order of the text, one a line: a parser that has lost its way complains again and again.
pub fn mistakes(text: &str, errors: &[toml::de::Error]) -> Vec<Mistake> {
    let mut all: Vec<Mistake> = Vec::new();
    let mut seen: Vec<usize> = Vec::new();
    let mut tables: Vec<usize> = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let start = line_start(text, span.start);
        if seen.contains(&start) {
            continue;
        }
        seen.push(start);
        let whole = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let indent = whole.len() - whole.trim_start().len();
        let line = Line { start: start + indent, text: without_comment(whole.trim()), error: error.message(), span };
        if line.error.starts_with("duplicate key") {
            all.extend(twice(text, &line, &mut tables));
            continue;
        }
        if let Some(open) = still_open(text, &line) {
            all.push(open);
            break;
        }
        let error = text.get(line.span.clone()).unwrap_or_default();
        all.push(assignment(&line).unwrap_or_else(|| in_plain_words(&line, error)));
        // Where a string or a list has no end, what follows is read as something else.
        if is_open(line.error) {
            break;
        }
    }
    all
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..text.floor_char_boundary(at)).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
}

/// A comment begins outside of quotes.
fn without_comment(line: &str) -> &str {
    line.get(..unquoted(line, '#').unwrap_or(line.len())).unwrap_or(line).trim_end()
}

/// Where a character stands outside of quotes.
fn unquoted(line: &str, wanted: char) -> Option<usize> {
    let mut quote = None;
    line.char_indices().find_map(|(at, c)| {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == wanted => return Some(at),
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        None
    })
}

fn is_open(error: &str) -> bool {
    ["unclosed", "invalid basic string", "invalid literal string", "invalid multi-line"]
        .iter()
        .any(|start| error.starts_with(start))
}

/// A list or a table that began on a line before, where a line begins with the next key.
fn still_open(text: &str, line: &Line<'_>) -> Option<Mistake> {
    let (open, close) = match line.error {
        error if error.starts_with("missing comma between array") => ('[', ']'),
        error if error.starts_with("missing comma between key") => ('{', '}'),
        _ => return None,
    };
    unquoted(line.text, '=').filter(|_| line.span.start <= line.start && begins_with_key(line.text))?;
    let before = text.get(..line.start)?;
    let at =
        before.rfind(open).filter(|at| before.get(..*at).is_some_and(|before| before.trim_end().ends_with('=')))?;
    let what = if open == '[' { "list" } else { "table" };
    Some(Mistake {
        span: at..at + 1,
        message: format!("this {what} has no `{close}` at its end"),
        hint: Some(format!("add `{close}` before the next key")),
    })
}

const TYPOGRAPHIC: [char; 9] = ['“', '”', '„', '‟', '«', '»', '‘', '’', '‚'];

/// Otherwise it is a header, or an item of a list.
fn begins_with_key(line: &str) -> bool {
    line.starts_with(|c: char| c.is_alphanumeric() || "_-\"'".contains(c))
}

/// What is wrong with `key = value` on a line.
fn assignment(line: &Line<'_>) -> Option<Mistake> {
    let at = |offset: usize, length: usize| line.start + offset..line.start + offset + length;
    if !begins_with_key(line.text) {
        return None;
    }
    let Some(equals) = unquoted(line.text, '=') else { return without_equals(line) };
    let (key, value) = (line.text.get(..equals)?.trim_end(), line.text.get(equals + 1..)?.trim());
    let value_at = at(line.text.len() - value.len(), value.len());
    if key.contains(char::is_whitespace) && !key.contains(['"', '\'', ':', '.']) {
        let message = "a key without quotes has letters, digits, `-` and `_`, and no spaces".to_owned();
        let hint = Some("remove the spaces, or put the key in quotes".to_owned());
        return Some(Mistake { span: at(0, key.len()), message, hint });
    }
    if let Some(colon) = unquoted(key, ':') {
        return Some(colon_for_equals(line, colon));
    }
    if value.is_empty() {
        let message = format!("`{key}` has no value");
        return Some(Mistake {
            span: at(0, key.len()),
            message,
            hint: Some("write one after `=`, or remove the line".to_owned()),
        });
    }
    if let Some(rest) = value.strip_prefix('=') {
        let hint = Some(format!("write {key} = {}", in_quotes(rest.trim_start_matches('=').trim())));
        let span = value_at.start..value_at.start + 1;
        return Some(Mistake { span, message: "there is one `=` too many".to_owned(), hint });
    }
    if value.starts_with(TYPOGRAPHIC) {
        let plain = value.trim_matches(TYPOGRAPHIC).trim_matches('"');
        let message = "typographic quotes are not the quotes of TOML".to_owned();
        return Some(Mistake { span: value_at, message, hint: Some(format!("write {key} = \"{plain}\"")) });
    }
    if value.starts_with(['"', '\'', '[', '{']) || line.span.start < value_at.start {
        return None;
    }
    Some(bare(key, value, value_at))
}

/// A line with a key, and no `=`.
fn without_equals(line: &Line<'_>) -> Option<Mistake> {
    if let Some(colon) = unquoted(line.text, ':') {
        let key = line.text.get(..colon)?;
        // Otherwise it is an item of a list, or the rest of something.
        return key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-. ".contains(&b))
            .then(|| colon_for_equals(line, colon));
    }
    let (key, value) = line.text.split_once(char::is_whitespace).unwrap_or((line.text, ""));
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if !is_key || !line.error.starts_with("key with no value") {
        return None;
    }
    let value = if value.is_empty() { "…".to_owned() } else { in_quotes(value.trim()) };
    let span = line.start..line.start + key.len();
    Some(Mistake {
        span,
        message: format!("there is no `=` after `{key}`"),
        hint: Some(format!("write {key} = {value}")),
    })
}

fn colon_for_equals(line: &Line<'_>, colon: usize) -> Mistake {
    let (key, value) = (line.text.get(..colon).unwrap_or_default(), line.text.get(colon + 1..).unwrap_or_default());
    Mistake {
        span: line.start + colon..line.start + colon + 1,
        message: "a key and its value are joined by `=`, not by `:`".to_owned(),
        hint: Some(format!("write {} = {}", key.trim(), in_quotes(value.trim().trim_start_matches('=').trim_start()))),
    }
}

/// A value as it is written behind `=`: what is not a value by itself is a string.
fn in_quotes(value: &str) -> String {
    let is_value = value.is_empty()
        || value.starts_with(['"', '\'', '[', '{'])
        || matches!(value, "true" | "false")
        || value.parse::<f64>().is_ok();
    if is_value { value.to_owned() } else { format!("\"{value}\"") }
}

/// A value that is neither in quotes nor a number.
fn bare(key: &str, value: &str, span: Range<usize>) -> Mistake {
    let mistake =
        |message: &str, hint: String| Mistake { span: span.clone(), message: message.to_owned(), hint: Some(hint) };
    if value.contains("${") {
        let hint = format!(
            "write {key} = \"{value}\" if it is a string: a number, true or false cannot come from the environment"
        );
        return mistake("`${…}` can only stand in a string, and a string is in quotes", hint);
    }
    if unquoted(value, '=').is_some() {
        return mistake("there are two keys on one line", "put each key on a line of its own".to_owned());
    }
    if let Some(number) = value.strip_suffix('%').filter(|number| number.trim().parse::<f64>().is_ok()) {
        return mistake("a percentage is a number without `%`", format!("write {key} = {}", number.trim()));
    }
    match value.to_ascii_lowercase().as_str() {
        lower @ ("true" | "false") => mistake("true and false are in lower case", format!("write {key} = {lower}")),
        "yes" | "on" => mistake("this is not a value of TOML", format!("write {key} = true")),
        "no" | "off" => mistake("this is not a value of TOML", format!("write {key} = false")),
        _ if value.bytes().all(|b| b.is_ascii_digit()) => {
            mistake("a number does not begin with 0", format!("write {key} = {}", value.trim_start_matches('0')))
        }
        _ => mistake("a string must be in quotes", format!("write {key} = \"{}\"", value.trim_matches(['"', '\'']))),
    }
}

/// A table or a key that is there already. What is in a table that is there twice is not a mistake of its own.
fn twice(text: &str, line: &Line<'_>, tables: &mut Vec<usize>) -> Option<Mistake> {
    let before = text.get(..line_start(text, line.start))?;
    let headers = |text: &str| -> Vec<(usize, String)> {
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, without_comment(line.trim())));
        lines
            .filter(|(_, line)| line.starts_with('[') && line.ends_with(']'))
            .map(|(at, line)| (at, line.replace(' ', "")))
            .collect()
    };
    let all = headers(before);
    if line.text.starts_with('[') {
        let name = line.text.replace(' ', "");
        tables.push(before.lines().count() + 1);
        let first = all.iter().find(|(_, other)| *other == name).map(|(at, _)| *at);
        let message = match first {
            Some(first) => format!("{name} is already in line {first}"),
            None => format!("{name} is already defined"),
        };
        let span = line.start..line.start + line.text.len();
        return Some(Mistake { span, message, hint: Some("merge the two tables, or remove one of them".to_owned()) });
    }
    let (table, _) = all.last().cloned().unwrap_or_default();
    if tables.contains(&table) {
        return None;
    }
    let key = text.get(line.span.clone()).unwrap_or_default();
    let of_table = before.lines().enumerate().skip(table);
    let first = of_table.filter(|(_, line)| line.trim_start().strip_prefix(key).is_some_and(is_rest_of_assignment));
    let message = match first.map(|(at, _)| at + 1).next() {
        Some(first) => format!("`{key}` is already in line {first}"),
        None => format!("`{key}` is there twice"),
    };
    Some(Mistake { span: line.span.clone(), message, hint: Some("remove one of the two".to_owned()) })
}

fn is_rest_of_assignment(rest: &str) -> bool {
    rest.trim_start().starts_with(['=', '.'])
}

/// What the parser says, what we say for it, and the way out.
const WORDS: [(&str, &str, &str); 16] = [
    ("unclosed table", "the name of a table ends with `]`", "write [service.shop]"),
    ("unclosed array table", "the name of a table in a list ends with `]]`", "write [[service.shop.route]]"),
    ("unclosed array", "a list ends with `]`", "add `]` after the last item"),
    ("unclosed inline table", "a table in braces ends with `}`", "add `}` after the last value"),
    ("invalid basic string", "a string ends with `\"`, on the same line", "add `\"` at its end"),
    ("invalid literal string", "a string ends with `'`, on the same line", "add `'` at its end"),
    ("missing comma between array", "there is no comma between two items of the list", "write [\"a\", \"b\"]"),
    ("missing comma between key", "there is no comma between two keys", "write { a = 1, b = 2 }"),
    ("extra comma", "there is one comma too many", "remove it"),
    ("missing key", "there is no key here", "write key = value"),
    ("missing assignment", "there is no `=` after the key", "write key = value"),
    ("missing value", "there is no value here", "write one, or remove the key"),
    (
        "missing escaped value",
        "`\\` begins an escape, and this is none",
        "write `\\\\` for a backslash, or put the string in single quotes",
    ),
    ("string values must be quoted", "a string must be in quotes", "write \"…\""),
    ("unexpected key or value", "there is something after the value", "put it on a line of its own"),
    ("invalid unquoted key", "a key without quotes has letters, digits, `-` and `_`", "put the key in quotes"),
];

/// `raw`: what the parser points at.
fn in_plain_words(line: &Line<'_>, raw: &str) -> Mistake {
    let known = WORDS.iter().filter(|(start, ..)| line.error.starts_with(start)).max_by_key(|(start, ..)| start.len());
    let (message, hint) = match known {
        Some((_, message, hint)) => ((*message).to_owned(), Some((*hint).to_owned())),
        None => (line.error.replace("array", "list").replace("inline table", "table"), None),
    };
    let name = written_path(line.text.trim_matches(['[', ']']));
    let parts: Vec<&str> = raw.split_whitespace().collect();
    let (message, hint) = match line.error {
        error if error.starts_with("unclosed table") => (message, Some(format!("write [{name}]"))),
        error if error.starts_with("unclosed array table") => (message, Some(format!("write [[{name}]]"))),
        // Numbers in a list without a comma between them.
        error if error.starts_with("string values") && parts.len() > 1 => {
            ("there is no comma between two items of the list".to_owned(), Some(format!("write {}", parts.join(", "))))
        }
        error if error.starts_with("string values") => (message, Some(format!("write \"{}\"", raw.trim()))),
        _ => (message, hint),
    };
    Mistake { span: line.span.clone(), message, hint }
}

/// A name of a table, with what is no bare key in quotes.
fn written_path(name: &str) -> String {
    name.trim()
        .split('.')
        .map(|part| if part.starts_with('"') { part.to_owned() } else { written(part.trim()) })
        .collect::<Vec<_>>()
        .join(".")
}
