//! The reference of the configuration: made from the JSON Schemas that editors use.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;

use serde_json::Value;

use super::is_up_to_date;

const HEAD: &str = r#"<!-- Generated from the JSON Schemas: UPDATE_DOCS=1 cargo test --test all docs::configuration -->

# Configuration reference

`cutover.toml` says how a process listens, who may steer it, and where its state is. The **routing file** holds everything else. Both are read again within half a second of
being saved, or at SIGHUP. **Suites** are read at every run.

- Unknown keys are errors. Every problem is reported at once, with file, line and a hint. A file is accepted or refused as a whole.
- Durations are `"250ms"`, `"30s"`, `"1h 30m"`; sizes `"64KiB"`, `"10MiB"`; weights and shares are percentages with up to two decimals.
- Paths are relative to the file that names them.
- In any string of `cutover.toml` and of a routing file, `${NAME}` stands for an environment variable and `${NAME:-default}` for one with a
  default; `$$` is a dollar. An unset variable without a default is an error. No message shows a value from the environment.
  A variable stands in a string only: numbers, percentages and `true` or `false` cannot come from the environment.
  Suites have variables of their own: `${env.NAME}`.
- `cutover check` checks all files. `cutover check --schema routing`, `main` or `suite` prints a JSON Schema for your editor.
- `config/every-key.toml`, `config/every-main-key.toml` and `config/every-suite-key.toml` show every key in use.
"#;

/// A table of the file: where it may stand, and the schema of its keys.
struct Table {
    name: Option<String>,
    places: Vec<String>,
    schema: Value,
}

/// What a schema leads to: `$ref` followed, alternatives taken apart, `null` left out.
fn alternatives(schema: &Value, root: &Value) -> Vec<(Option<String>, Value)> {
    // `true` takes anything.
    if schema.is_boolean() {
        return vec![(None, Value::Null)];
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        let target = &root["$defs"][name];
        assert!(!target.is_null(), "{reference} leads somewhere");
        return alternatives(target, root)
            .into_iter()
            .map(|(inner, target)| (inner.or_else(|| Some(name.to_owned())), target))
            .collect();
    }
    for several in ["anyOf", "oneOf"] {
        // Beside keys, they say which of the keys are needed.
        if let Some(all) = schema[several].as_array().filter(|_| schema["properties"].is_null()) {
            return all
                .iter()
                .flat_map(|one| alternatives(one, root))
                .filter(|(_, one)| one["type"] != "null" && one["x-variable"].is_null())
                .collect();
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().flat_map(|one| alternatives(one, root)).collect();
    }
    vec![(None, schema.clone())]
}

/// The type of a value, in words.
fn kind(schema: &Value, root: &Value) -> String {
    if let Some(unit) = schema["x-unit"].as_str() {
        return in_words(unit, schema);
    }
    let mut kinds = Vec::new();
    for (_, one) in alternatives(schema, root) {
        for kind in kinds_of(&one, root) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    // One of something, or several of it: said once.
    if let Some((last, one)) = kinds.split_last()
        && last.strip_prefix("list of ").is_some_and(|of| of == plural(&choice(one)))
    {
        return format!("{}, or a list", choice(one));
    }
    choice(&kinds)
}

/// Several of a kind.
fn plural(kind: &str) -> String {
    // Words in quotes and choices have no plural.
    if kind.contains(" or ") {
        return format!("({kind})");
    }
    let (noun, rest) =
        kind.split_once(" from ").map_or((kind, String::new()), |(noun, rest)| (noun, format!(" from {rest}")));
    let ending = match noun {
        _ if noun.starts_with('`') => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{noun}{ending}{rest}")
}

/// `a, b or c`
fn choice(kinds: &[String]) -> String {
    match kinds.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Units of what is counted.
const COUNTED: [&str; 10] =
    ["attempts", "cases", "comparisons", "connections", "lines", "requests", "rounds", "rows", "runs", "threads"];

/// What the schema calls a unit, and the bounds of a number.
fn in_words(unit: &str, schema: &Value) -> String {
    let name = match unit {
        "percent" => "percentage",
        "url" => "URL",
        "suite" => "suite name",
        other => other,
    };
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(least), Some(most)) if least == most => format!("`{least}`"),
        // What is counted comes behind its number.
        (Some(least), Some(most)) if most <= 1e9 && COUNTED.contains(&name) => format!("{least} to {most} {name}"),
        (Some(_), _) if COUNTED.contains(&name) || unit.contains(" per ") => format!("number of {name}"),
        (Some(least), Some(most)) if most <= 1e9 => format!("{name} from {least} to {most}"),
        _ => name.to_owned(),
    }
}

fn kinds_of(schema: &Value, root: &Value) -> Vec<String> {
    if let Some(unit) = schema["x-unit"].as_str() {
        return vec![in_words(unit, schema)];
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().filter(|word| !word.is_null()).map(|word| format!("`{word}`")).collect();
    }
    if !schema["const"].is_null() {
        return vec![format!("`{}`", schema["const"])];
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => return vec!["any value".to_owned()],
    };
    let named = types.into_iter().filter(|name| *name != "null").map(|name| match name {
        "string" => "string".to_owned(),
        "array" => {
            format!("list of {}", plural(&kind(&schema["items"], root)))
        }
        "object" if schema["properties"].is_object() => "table".to_owned(),
        "object" => format!("table of names: {}", kind(&schema["additionalProperties"], root)),
        other => in_words(other, schema),
    });
    named.collect()
}

/// The tables below a value, with how each is written in the file.
fn tables_below(schema: &Value, root: &Value, place: &str, listed: bool) -> Vec<(Option<String>, String, Value)> {
    let mut found = Vec::new();
    for (name, one) in alternatives(schema, root) {
        if one["properties"].is_object() {
            let place = if listed { format!("[[{place}]]") } else { format!("[{place}]") };
            found.push((name, place, one));
        } else if one["items"].is_object() {
            found.extend(tables_below(&one["items"], root, place, true));
        } else if one["additionalProperties"].is_object() {
            found.extend(tables_below(&one["additionalProperties"], root, &format!("{place}.NAME"), false));
        }
    }
    found
}

/// All tables of a file, from the outside in; one that may stand in several places comes once.
fn tables(root: &Value) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut waiting = VecDeque::from([(None, String::new(), root.clone())]);
    while let Some((name, place, schema)) = waiting.pop_front() {
        if name.is_some()
            && let Some(known) = tables.iter_mut().find(|table| table.name == name)
        {
            if !known.places.contains(&place) {
                known.places.push(place);
            }
            continue;
        }
        let inside = place.trim_matches(['[', ']']).to_owned();
        for (key, value) in schema["properties"].as_object().unwrap() {
            let place = if inside.is_empty() { key.clone() } else { format!("{inside}.{key}") };
            waiting.extend(tables_below(value, root, &place, false));
        }
        tables.push(Table { name, places: vec![place], schema });
    }
    tables
}

fn in_cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The description of a key: its own, or that of its type.
fn description(schema: &Value, root: &Value) -> String {
    let own = schema["description"].as_str().map(str::to_owned);
    let of_type = || {
        let reference =
            [schema, &schema["anyOf"][0], &schema["items"]].into_iter().find_map(|at| at["$ref"].as_str())?;
        root["$defs"][reference.rsplit('/').next()?]["description"].as_str().map(str::to_owned)
    };
    in_cell(&own.or_else(of_type).unwrap_or_default())
}

fn default(schema: &Value) -> String {
    match &schema["default"] {
        Value::Null | Value::Object(_) => String::new(),
        Value::Array(list) if list.is_empty() => String::new(),
        value => format!("`{}`", in_cell(&value.to_string())),
    }
}

/// A file's part of the page.
fn write_file(page: &mut String, title: &str, root: &Value) {
    writeln!(page, "\n## {title}").unwrap();
    for table in tables(root) {
        match table.places.split_first() {
            Some((place, _)) if place.is_empty() => {}
            Some((place, others)) => {
                writeln!(page, "\n### `{place}`").unwrap();
                if !others.is_empty() {
                    let others: Vec<String> = others.iter().map(|place| format!("`{place}`")).collect();
                    writeln!(page, "\nAlso {}.", others.join(", ")).unwrap();
                }
            }
            None => unreachable!(),
        }
        if let Some(text) = table.schema["description"].as_str() {
            writeln!(page, "\n{}", in_cell(text)).unwrap();
        }
        let required: BTreeSet<&str> =
            table.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        page.push_str("\n| key | value | default | |\n|---|---|---|---|\n");
        for (key, schema) in table.schema["properties"].as_object().unwrap() {
            let default = if required.contains(key.as_str()) { "required".to_owned() } else { default(schema) };
            let (kind, text) = (kind(schema, root).replace('|', "\\|"), description(schema, root));
            writeln!(page, "| `{key}` | {kind} | {default} | {text} |").unwrap();
        }
    }
}

#[test]
fn the_reference_of_the_configuration_is_up_to_date() {
    let mut page = HEAD.to_owned();
    let schemas = [
        ("`cutover.toml`", serde_json::to_value(config::file::schema::main()).unwrap()),
        ("The routing file", serde_json::to_value(config::file::schema::routing()).unwrap()),
        ("A suite", serde_json::to_value(config::file::schema::suite()).unwrap()),
    ];
    for (title, schema) in &schemas {
        write_file(&mut page, title, schema);
    }
    is_up_to_date("docs/src/configuration.md", &page);
}
