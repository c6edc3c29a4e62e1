//! Where keys are, and where they belong.

use std::ops::Range;

use serde_json::Value;

/// More tables than this are no answer to where a key belongs.
const MOST_TABLES: usize = 2;
/// How far below a table a key is looked for.
const DEEPEST: usize = 2;

/// The key of the value at `value`, as it is typed; the value itself where it has none.
pub fn key_of(text: &str, value: &Range<usize>) -> Range<usize> {
    let before = text.get(..value.start).unwrap_or_default();
    // An item of a list has the list's key.
    let before = before.trim_end_matches(|c: char| c.is_whitespace() || c == '[');
    let Some(before) = before.strip_suffix('=').map(str::trim_end) else { return value.clone() };
    let start = match before.chars().next_back() {
        Some(quote @ ('"' | '\'')) => before.get(..before.len() - 1).and_then(|inside| inside.rfind(quote)),
        _ => {
            let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            Some(before.trim_end_matches(bare).len())
        }
    };
    start.filter(|start| *start < before.len()).map_or(value.clone(), |start| start..before.len())
}

/// A key as it is written in TOML.
pub fn written(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare { key.to_owned() } else { format!("{key:?}") }
}

/// A table of the file: its header, and its schema.
type Table<'s> = (Vec<String>, bool, &'s Value);

/// The headers of the tables that take `key`, nearest to the table at `path`; none if that is no answer.
pub fn tables_with(root: &Value, path: &[String], key: &str) -> Vec<String> {
    for length in (0..=path.len()).rev() {
        let around = path.get(..length).unwrap_or_default();
        let mut level: Vec<Table<'_>> = vec![(Vec::new(), false, root)];
        for name in around {
            level = level.iter().flat_map(|table| inside(table, root, Some(name))).collect();
        }
        // The table itself does not take the key, and the file as a whole is not a place to name.
        if length == path.len() || length == 0 {
            level = level.iter().flat_map(|table| inside(table, root, None)).collect();
        }
        for _ in 0..=DEEPEST {
            let takes =
                |(_, _, table): &&Table<'_>| table.pointer("/properties").is_some_and(|all| all.get(key).is_some());
            let mut found: Vec<String> = level.iter().filter(takes).map(header).collect();
            found.dedup();
            if !found.is_empty() {
                return if found.len() <= MOST_TABLES { found } else { Vec::new() };
            }
            level = level.iter().flat_map(|table| inside(table, root, None)).collect();
        }
    }
    Vec::new()
}

fn header((path, listed, _): &Table<'_>) -> String {
    let path = path.iter().map(|name| written(name)).collect::<Vec<_>>().join(".");
    if *listed { format!("[[{path}]]") } else { format!("[{path}]") }
}

/// The tables right inside a table: all of them, or the one of a name.
fn inside<'s>((path, _, table): &Table<'s>, root: &'s Value, name: Option<&str>) -> Vec<Table<'s>> {
    let named = table.get("properties").and_then(Value::as_object).into_iter().flatten();
    let named = named.filter(|(key, _)| name.is_none_or(|name| name == *key));
    let mut found = Vec::new();
    let mut add = |key: &str, value: &'s Value| {
        below(value, root, false, &mut |listed, table| {
            let mut path = path.clone();
            path.push(key.to_owned());
            found.push((path, listed, table));
        });
    };
    for (key, value) in named {
        add(key, value);
    }
    // A table of names takes any.
    if let Some(value) = table.get("additionalProperties") {
        add(name.unwrap_or("NAME"), value);
    }
    found
}

/// The tables that a value may be.
fn below<'s>(value: &'s Value, root: &'s Value, listed: bool, found: &mut impl FnMut(bool, &'s Value)) {
    if let Some(target) = value.get("$ref").and_then(Value::as_str).and_then(|at| root.pointer(at.strip_prefix('#')?)) {
        return below(target, root, listed, found);
    }
    for choices in ["anyOf", "oneOf", "allOf"] {
        for choice in value.get(choices).and_then(Value::as_array).into_iter().flatten() {
            below(choice, root, listed, &mut *found);
        }
    }
    if let Some(items) = value.get("items") {
        return below(items, root, true, found);
    }
    let is_table = value.get("properties").is_some() || value.get("additionalProperties").is_some_and(Value::is_object);
    if is_table {
        found(listed, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_value_is_what_stands_before_it() {
        for (text, key) in [
            ("a = 1", "a"),
            ("set = { x_a = 1 }", "x_a"),
            ("set.x-a = 1", "x-a"),
            ("json = { \"$.[\" = 1 }", "\"$.[\""),
            ("add = { 'x a' = [ 1, 2] }", "'x a'"),
            ("a = [2, 1]", "1"),
        ] {
            let at = text.rfind('1').unwrap();
            assert_eq!(&text[key_of(text, &(at..at + 1))], key, "{text}");
        }
    }

    #[test]
    fn a_key_is_known_by_the_tables_that_take_it() {
        let root = serde_json::to_value(crate::file::schema::routing()).unwrap();
        let path = |path: &str| path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        for (at, key, tables) in [
            ("service.shop", "weight", &["[service.shop.split]"][..]),
            ("service.shop.guard", "steps", &["[service.shop.rollout]"]),
            ("service.shop.split", "hosts", &["[service.shop]"]),
            ("service.my shop", "connect", &["[service.\"my shop\".timeouts]"]),
            ("", "weight", &["[service.NAME.split]"]),
            ("service.shop", "metric", &["[service.shop.guard]"]),
            ("service.shop", "window", &["[[service.shop.guard.trigger]]"]),
            ("service.shop", "nothing", &[]),
        ] {
            assert_eq!(tables_with(&root, &path(at), key), tables, "{at} {key}");
        }
        let root = serde_json::to_value(crate::file::schema::suite()).unwrap();
        assert_eq!(tables_with(&root, &path("case"), "capture"), ["[[case.step]]"]);
    }
}
