//! The rules of the house that Cargo cannot see, read off the tokens of the source.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::modules::needs;
use crate::support::rust::{File, Kind, Token, closing, source};

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} times:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_none_is_called_mod() {
    let files = source();
    assert!(files.len() > 150, "the source is where it is looked for");
    none(
        &files
            .iter()
            .filter(|file| !file.whole.starts_with("//!") || file.path.ends_with("/mod.rs"))
            .map(|file| format!("{}: opens without `//!`, or is a mod.rs", file.path))
            .collect::<Vec<_>>(),
    );
}

/// Where the body of the function at `at` opens, if it has one.
fn body(tokens: &[Token], mut at: usize) -> Option<usize> {
    while !tokens.get(at)?.is("{") {
        at = match &tokens[at] {
            end if end.is(";") => return None,
            group if group.is("(") || group.is("[") => closing(tokens, at) + 1,
            _ => at + 1,
        };
    }
    Some(at)
}

#[test]
fn functions_stay_under_seventy_lines() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in source() {
        for (at, _) in file.tokens.iter().enumerate().filter(|(_, token)| token.is("fn")) {
            let Some(open) = body(&file.tokens, at) else { continue };
            let lines = file.tokens[closing(&file.tokens, open)].line - file.tokens[at].line + 1;
            seen += 1;
            if lines >= 70 {
                wrong.push(format!("{}:{}: {lines} lines", file.path, file.tokens[at].line));
            }
        }
    }
    assert!(seen > 1000, "the functions are found");
    none(&wrong);
}

#[test]
fn what_has_one_place_stays_there() {
    let places = [
        ("Instant :: now", &["crates/memory/src/clock.rs"][..]),
        ("SystemTime :: now", &["crates/memory/src/clock.rs"]),
        ("sync :: atomic", &["crates/memory/src/counters/"]),
        ("ArcSwap", &["crates/memory/src/snapshot.rs"]),
        (". publish (", &["crates/sidecar/src/"]),
    ];
    let (mut wrong, mut found) = (Vec::new(), BTreeSet::new());
    for file in source() {
        let words: Vec<&str> =
            file.tokens.iter().filter(|token| token.kind != Kind::Text).map(|token| token.text.as_str()).collect();
        let code = format!(" {} ", words.join(" ").replace(": :", "::"));
        for (what, allowed) in places.iter().filter(|(what, _)| code.contains(&format!(" {what} "))) {
            found.insert(*what);
            if !allowed.iter().any(|place| file.path.starts_with(place)) {
                wrong.push(format!("{} has `{what}`", file.path));
            }
        }
    }
    assert_eq!(found.len(), places.len(), "each is found in its place");
    none(&wrong);
}

/// Names that mean something with their path alone, and may be used again: the error of a crate or a module, as everywhere
/// in Rust.
const COMMON: [&str; 1] = ["Error"];

#[test]
fn a_public_type_has_a_name_of_its_own() {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in source() {
        for three in file.tokens.windows(3).filter(|three| three[0].is("pub")) {
            if ["struct", "enum", "trait", "type", "union"].iter().any(|word| three[1].is(word)) {
                types.entry(three[2].text.clone()).or_default().push(format!("{}:{}", file.path, three[2].line));
            }
        }
    }
    assert!(types.len() > 300, "the types are found");
    let again = types.iter().filter(|(name, places)| places.len() > 1 && !COMMON.contains(&name.as_str()));
    none(&again.map(|(name, places)| format!("{name}: {}", places.join(", "))).collect::<Vec<_>>());
}

#[test]
fn no_modules_of_a_crate_need_each_other() {
    let files = source();
    let mut wrong = Vec::new();
    for krate in files.iter().map(|file| &file.krate).collect::<BTreeSet<_>>() {
        let files: Vec<&File> = files.iter().filter(|file| file.krate == *krate).collect();
        let needs = needs(&files);
        // A module and those inside it are one thing; a circle is between two that are beside each other.
        let apart = |a: &[String], b: &[String]| !a.starts_with(b) && !b.starts_with(a);
        for module in needs.keys() {
            let (mut reached, mut waiting) = (BTreeSet::new(), vec![module]);
            while let Some(next) = waiting.pop() {
                for need in needs.get(next).into_iter().flatten().filter(|need| apart(next, need)) {
                    if need == module {
                        let (this, other) = (module.join("::"), next.join("::"));
                        wrong.push(format!("{krate}::{this} needs {other}, and is needed by it"));
                    }
                    if reached.insert(need) {
                        waiting.push(need);
                    }
                }
            }
        }
    }
    none(&wrong);
}
