//! The house rules, read off the source: floors, purity, file sizes, openings, and who may do what where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The floors, from the bottom up. A room imports from its own floor's rooms on its left, and from every floor below.
const FLOORS: [&[&str]; 8] = [
    &["time", "traffic", "guard", "rollout"],
    &["clock", "counters", "snapshot"],
    &["access", "config", "journal", "metrics", "wire"],
    &["sidecar"],
    &["origin", "proxy", "notify", "health", "consistency", "validate", "admin"],
    &[],
    &["serve"],
    &["cli"],
];

/// The rooms that know no IO, clock, randomness, async, lock or log.
const PURE: [&str; 4] = ["time", "traffic", "guard", "rollout"];

const MOST_LINES: usize = 400;

struct File {
    path: PathBuf,
    room: String,
    /// Without its tests.
    code: String,
    whole: String,
}

fn source() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(files.len() > 30, "the source is where it is looked for");
    files
        .into_iter()
        .map(|path| {
            let whole = std::fs::read_to_string(&path).unwrap();
            let code = whole.split("#[cfg(test)]").next().unwrap().to_owned();
            let inside = path.strip_prefix(&root).unwrap();
            let room = inside.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
            File { path: inside.to_owned(), room, code, whole }
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn is_test(file: &File) -> bool {
    let named = file.path.file_name().is_some_and(|name| name == "tests.rs");
    named || file.path.components().any(|part| part.as_os_str() == "tests")
}

/// The code without comments: prose may name what code may not.
fn code_only(file: &File) -> String {
    let lines = file.code.lines().map(|line| line.split("//").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_go_down() {
    let place: BTreeMap<&str, usize> =
        FLOORS.iter().flat_map(|rooms| rooms.iter()).enumerate().map(|(at, room)| (*room, at)).collect();
    let mut wrong = Vec::new();
    for file in source().iter().filter(|file| !is_test(file) && !["main", "lib"].contains(&file.room.as_str())) {
        let Some(own) = place.get(file.room.as_str()) else {
            panic!("{} is in no room of tests/tidy.rs", file.path.display());
        };
        for (at, _) in code_only(file).match_indices("crate::") {
            let code = code_only(file);
            let rest = &code[at + "crate::".len()..];
            let room: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if let Some(other) = place.get(room.as_str())
                && other > own
            {
                wrong.push(format!("{} imports {room}", file.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pure_rooms_are_pure() {
    let forbidden = [
        "std::fs",
        "std::net::Tcp",
        "std::thread",
        "std::time",
        "std::sync::atomic",
        "Mutex",
        "RwLock",
        "Instant",
        "SystemTime",
        "tokio",
        "async ",
        "tracing",
        "println!",
        "rand::",
        "rusqlite",
        "pingora",
        "crate::clock",
        "std::env",
        "ArcSwap",
    ];
    let mut wrong = Vec::new();
    for file in source().iter().filter(|file| PURE.contains(&file.room.as_str()) && !is_test(file)) {
        for word in forbidden {
            // std::time::Duration is a value; the clock is not.
            let code = code_only(file).replace("std::time::Duration", "");
            if code.contains(word) {
                wrong.push(format!("{} has {word}", file.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_has_one_place_stays_there() {
    let mut wrong = Vec::new();
    for (word, places) in [
        (
            "sync::atomic",
            &[
                "counters/cells.rs",
                "counters/connection.rs",
                "counters/keys.rs",
                "counters/notices.rs",
                "counters/process.rs",
                "counters/ring.rs",
                "counters/turns.rs",
            ][..],
        ),
        ("ArcSwap", &["snapshot.rs"]),
        ("Instant::now", &["clock.rs", "origin/resolve.rs"]),
        ("SystemTime::now", &["clock.rs"]),
        (
            "thread::Builder",
            &["sidecar/mod.rs", "access/writer.rs", "journal/writer.rs", "proxy/listen.rs", "cli/run.rs"],
        ),
        (".publish(", &["sidecar/mod.rs"]),
        ("unsafe {", &[]),
        ("unsafe fn", &[]),
        ("unsafe impl", &[]),
        ("todo!", &[]),
        ("dbg!", &[]),
    ] {
        for file in source().iter().filter(|file| !is_test(file)) {
            let path = file.path.to_string_lossy().into_owned();
            if code_only(file).contains(word) && !places.contains(&path.as_str()) {
                wrong.push(format!("{path} has {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_and_stays_small() {
    let mut wrong = Vec::new();
    for file in source() {
        if !file.whole.starts_with("//!") {
            wrong.push(format!("{} does not open with //!", file.path.display()));
        }
        let lines = file.code.lines().count();
        if lines > MOST_LINES && !is_test(&file) {
            wrong.push(format!("{} has {lines} lines of code", file.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_map_in_lib_names_every_room() {
    let files = source();
    let lib = &files.iter().find(|file| file.path == Path::new("lib.rs")).unwrap().whole;
    for room in FLOORS.iter().flat_map(|rooms| rooms.iter()) {
        assert!(lib.contains(&format!("pub mod {room};")), "{room} is no module");
        assert!(lib.contains(&format!("`{room}`")), "lib.rs does not say what {room} is");
    }
}
