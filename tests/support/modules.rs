//! Which modules of a crate need which, read off the paths that its files name.

use std::collections::{BTreeMap, BTreeSet};

use super::rust::{File, Kind, Token, closing};

/// The modules of one crate, each with those that it needs.
pub fn needs(files: &[&File]) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let modules: BTreeSet<Vec<String>> = files.iter().map(|file| file.module.clone()).collect();
    // What `pub use` shows under a second path.
    let mut shown = BTreeMap::new();
    for file in files {
        for at in (1..file.tokens.len()).filter(|at| file.tokens[*at].is("use")) {
            let mut found = Vec::new();
            paths(&file.tokens[at + 1..], &[], &mut found);
            for path in found.iter().filter(|_| file.tokens[at - 1].is("pub") || file.tokens[at - 1].is(")")) {
                let name = [file.module.clone(), vec![path.last().unwrap().clone()]].concat();
                shown.insert(name, absolute(file, path));
            }
        }
    }
    files.iter().map(|file| (file.module.clone(), needs_of(file, &modules, &shown))).collect()
}

/// The paths that a file names, each as its parts: `use a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(tokens: &[Token], prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let separated =
            tokens.get(at + 1).is_some_and(|next| next.is(":")) && tokens.get(at + 2).is_some_and(|next| next.is(":"));
        if token.kind == Kind::Word {
            path.push(token.text.clone());
            at += 1;
        } else if token.is("{") {
            let end = at + closing(&tokens[at..], 0);
            at += 1;
            while at < end {
                at += paths(&tokens[at..end], &path, found).max(1);
            }
            return end + 1;
        } else {
            break;
        }
        if !separated {
            break;
        }
        at += 2;
    }
    found.push(path);
    at
}

/// Which modules of its crate a file needs: where the things that it names are written, not where they are shown again.
fn needs_of(
    file: &File,
    modules: &BTreeSet<Vec<String>>,
    shown: &BTreeMap<Vec<String>, Vec<String>>,
) -> BTreeSet<Vec<String>> {
    let mut found = Vec::new();
    for (at, token) in file.tokens.iter().enumerate() {
        let starts = ["crate", "super", "self"].iter().any(|word| token.is(word));
        if starts && !file.tokens[..at].last().is_some_and(|last| last.is(":")) {
            paths(&file.tokens[at..], &[], &mut found);
        }
    }
    found.into_iter().filter_map(|path| home(&absolute(file, &path), modules, shown)).collect()
}

fn absolute(file: &File, path: &[String]) -> Vec<String> {
    let mut base = if path[0] == "crate" { vec![] } else { file.module.clone() };
    base.truncate(base.len() - path.iter().filter(|part| *part == "super").count().min(base.len()));
    base.into_iter()
        .chain(path.iter().filter(|part| !["crate", "super", "self"].contains(&part.as_str())).cloned())
        .collect()
}

fn home(
    path: &[String],
    modules: &BTreeSet<Vec<String>>,
    shown: &BTreeMap<Vec<String>, Vec<String>>,
) -> Option<Vec<String>> {
    let inside = (0..=path.len()).rev().map(|end| &path[..end]).find(|start| modules.contains(*start))?;
    let name = path.get(..inside.len() + 1).unwrap_or(path);
    match shown.get(name) {
        Some(original) if original != name => home(original, modules, shown),
        _ => Some(inside.to_vec()),
    }
}
