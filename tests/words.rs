//! What people read, in one place to read it aloud: the help of every command, and every text of the source.
//!
//! `UPDATE_DOCS=1 cargo test --test all words::` writes both; read the difference before you commit it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::docs::is_up_to_date;
use crate::support::rust::{Kind, source};

/// The help of a command and of those below it.
fn help(command: &[String], page: &mut String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cutover"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CUTOVER_")) {
        program.env_remove(name);
    }
    let output = program.args(command).arg("--help").env("COLUMNS", "100").env("NO_COLOR", "1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.is_empty(), "{command:?} has a help");
    let name: Vec<&str> = ["cutover"].into_iter().chain(command.iter().map(String::as_str)).collect();
    page.push_str(&format!("$ {} --help\n{}\n\n", name.join(" "), text.trim_end()));
    let below = text.split_once("Commands:\n").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap());
    for line in below.lines() {
        let name = line.split_whitespace().next().filter(|_| line.starts_with("  ") && !line.starts_with("   "));
        if let Some(name) = name.filter(|name| *name != "help") {
            help(&[command, &[name.to_owned()]].concat(), page);
        }
    }
}

#[test]
fn the_help_of_every_command_is_in_the_snapshot() {
    let mut page = String::new();
    help(&[], &mut page);
    assert!(page.matches("--help\n").count() > 25, "the commands are found");
    let page: Vec<&str> = page.lines().map(str::trim_end).collect();
    is_up_to_date("tests/snapshots/words/help.txt", &(page.join("\n").trim_end().to_owned() + "\n"));
}

/// Whether a person reads this: words with spaces between them, and no SQL, markup or pattern.
fn is_prose(text: &str) -> bool {
    let code =
        ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ", "PRAGMA ", "DROP ", "ALTER ", "BEGIN ", "<", "(?"];
    let words = text.split_whitespace().filter(|word| word.chars().filter(|c| c.is_alphabetic()).count() > 1);
    words.count() > 1 && !code.iter().any(|start| text.trim_start().to_uppercase().starts_with(start))
}

#[test]
fn every_text_of_the_source_is_in_the_snapshot() {
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in source() {
        for token in file.tokens.iter().filter(|token| token.kind == Kind::Text && is_prose(&token.text)) {
            texts.entry(file.krate.clone()).or_default().insert(token.text.replace('\n', "\\n"));
        }
    }
    assert!(texts.values().map(BTreeSet::len).sum::<usize>() > 500, "the texts are found");
    let mut page = String::new();
    for (krate, texts) in texts {
        page.push_str(&format!("# {krate}\n\n{}\n\n", texts.into_iter().collect::<Vec<_>>().join("\n")));
    }
    is_up_to_date("tests/snapshots/words/texts.txt", &(page.trim_end().to_owned() + "\n"));
}
