//! serde's words, as a user would put them, and how a value of the wrong type is written.

use crate::suggest::did_you_mean;

/// Where a value stands.
pub struct TypedValue<'p> {
    pub key: Option<&'p str>,
    /// As it is typed; of a table that has a header, the header.
    pub raw: &'p str,
}

/// What is wrong, and the way out.
pub fn plain(message: &str, place: &TypedValue<'_>) -> (String, Option<String>) {
    let message = message.trim();
    let named = place.key.map_or("this value".to_owned(), |key| format!("`{key}`"));
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (key, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return (format!("unknown key `{key}`"), Some(did_you_mean(key, &known)));
    }
    if message.ends_with("number overflowed") {
        return (format!("{named} is too large a number"), Some("write a smaller number".to_owned()));
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
        if let Some(header) = only_one(found, place) {
            return (format!("{named} is one table, not a list of them"), Some(format!("write {header}")));
        }
        let message = format!("{named} must be {wanted}, not {}", found_in_words(found, place.raw));
        return (message, way_out(place, wanted, found));
    }
    // What our own values say: a message, and the way out.
    let (message, hint) = message.split_once('\n').map_or((message, None), |(message, hint)| (message, Some(hint)));
    let usual = EXAMPLES.iter().find(|(key, _)| Some(*key) == place.key).map(|(_, hint)| *hint);
    let is_word = message.contains("not the string") && !hint.is_some_and(|hint| hint.contains("without quotes"));
    let hint = if is_word { usual.or(hint) } else { hint };
    (message.replace("{key}", &named), hint.map(str::to_owned))
}

/// Numbers for which people write a word, and what to write instead.
const EXAMPLES: [(&str, &str); 2] = [
    ("threads", "write threads = 0 for one thread per core"),
    ("status", "write numbers: status = 204, or status = [200, 204]; by default, 200 to 399 pass"),
];

/// `raw`: the value as it is typed.
fn found_in_words(found: &str, raw: &str) -> String {
    let bare = found.split('`').nth(1).unwrap_or_default();
    match found.split_once(' ') {
        Some(("string", text)) => format!("the string {text}"),
        Some(("integer" | "floating", _)) => format!("the number {bare}"),
        Some(("boolean", value)) => value.trim_matches('`').to_owned(),
        _ if found.contains("sequence") => "a list".to_owned(),
        // A date is a table to serde.
        _ if found.contains("map") && is_date(raw) => format!("the date {raw}"),
        _ if found.contains("map") => "a table".to_owned(),
        _ => found.to_owned(),
    }
}

fn is_date(raw: &str) -> bool {
    raw.starts_with(|c: char| c.is_ascii_digit())
}

/// Tables that people write as the one thing that matters in them, and how that is written.
const TABLES: [(&str, &str); 17] = [
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
    ("maintenance", "{ retry_after = \"10m\" }"),
    ("redirect", "{ to = \"{}\" }"),
    ("rate_limit", "{ requests = 100, per = \"1m\" }"),
];

/// What separates the name of a header, cookie or parameter from its value, as it is sent.
const PAIRS: [(&str, char); 3] = [("header", ':'), ("cookie", '='), ("query", '=')];

/// How a value of another type is written.
fn way_out(place: &TypedValue<'_>, wanted: &str, found: &str) -> Option<String> {
    let (key, raw) = (place.key, place.raw);
    let quoted = found.split_once('`').or_else(|| found.split_once('"')).map(|(_, rest)| rest);
    let bare = quoted.map(|rest| rest.split('`').next().unwrap_or(rest).trim_end_matches('"'));
    match (wanted, bare) {
        ("true or false", Some("true" | "yes" | "on" | "1")) => Some("write true, without quotes".to_owned()),
        ("true or false", Some("false" | "no" | "off" | "0")) => Some("write false, without quotes".to_owned()),
        ("true or false", _) => Some(format!("write {} = true, or false", key.unwrap_or("it"))),
        ("a string in quotes", Some(bare)) => Some(format!("write \"{bare}\"")),
        ("a list", Some(bare)) if key == Some("steps") => Some(steps(bare)),
        ("a list", Some(bare)) if found.starts_with("string") => Some(format!("write [\"{bare}\"]")),
        ("a list", Some(bare)) => Some(format!("write [{bare}]")),
        ("a list", None) if raw.starts_with('[') => Some(format!("write [{raw}]: there may be several of them")),
        ("a list", None) if raw.starts_with('{') => Some("put the table in brackets: [{ … }]".to_owned()),
        ("a table", Some(bare)) => {
            let (name, table) = TABLES.iter().find(|(name, _)| Some(*name) == key)?;
            Some(format!("write {name} = {}", pair(name, bare).unwrap_or_else(|| table.replace("{}", bare))))
        }
        // One of several words.
        (words, _) if words.starts_with('"') => {
            let first = words.split([',', ' ']).next().unwrap_or(words);
            Some(format!("write one of them in quotes, such as {} = {first}", key.unwrap_or("key")))
        }
        (wanted, Some(_)) if wanted.starts_with("{ cookie") => {
            Some("write sticky = { cookie = \"cutover\" }".to_owned())
        }
        ("{ url = \"http://…\" } or \"none\"", Some(url)) => {
            Some(format!("write {} = {{ url = \"{url}\" }}", key.unwrap_or("it")))
        }
        _ if found.contains("128") => Some("write a smaller number".to_owned()),
        (wanted, _) if wanted.starts_with("a percentage") => Some("write a number from 0 to 100".to_owned()),
        (wanted, _) if wanted.contains("number") => Some("write a number".to_owned()),
        _ if found.starts_with("boolean") => Some(format!("write {} = \"…\"", key.unwrap_or("key"))),
        _ => None,
    }
}

/// Tables of which there is only one, beside those above.
const SINGLE: [&str; 10] = [
    "guard",
    "validation",
    "limits",
    "timeouts",
    "request_headers",
    "response_headers",
    "expect",
    "service",
    "sticky",
    "path",
];

/// The header of a table that is written as one of a list: serde reads its items as the values of its keys.
fn only_one<'p>(found: &str, place: &TypedValue<'p>) -> Option<&'p str> {
    let header = place.raw.strip_prefix('[')?.strip_suffix(']').filter(|header| header.starts_with('['))?;
    let key = place.key?;
    let single = SINGLE.contains(&key) || TABLES.iter().any(|(name, _)| *name == key);
    (single && (found.contains("map") || found.contains("sequence"))).then_some(header)
}

/// A list of steps from a single one: a rollout ends at 100.
fn steps(first: &str) -> String {
    match first.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent < 100.0 => format!("write steps = [{first}, 100]"),
        _ => "write steps = [10, 50, 100]".to_owned(),
    }
}

/// The name and the value of a line as it is sent: `x-canary: always`.
fn pair(key: &str, line: &str) -> Option<String> {
    let (_, mark) = PAIRS.iter().find(|(name, _)| *name == key)?;
    let (name, value) = line.split_once(*mark)?;
    Some(format!("{{ name = \"{}\", equals = \"{}\" }}", name.trim(), value.trim()))
}
