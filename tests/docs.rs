//! The documentation holds: the tours run, the links lead somewhere, and what is generated is up to date.
//!
//! `UPDATE_DOCS=1 cargo test --test all docs::` writes what is generated; read the difference before you commit it.

mod configuration;
mod examples;
mod metrics;
mod pages;
mod tour;

use std::path::{Path, PathBuf};

/// A file of the repository.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares a file with what is generated, or writes it.
#[track_caller]
pub fn is_up_to_date(name: &str, generated: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), generated).unwrap();
    }
    let committed = std::fs::read_to_string(path(name)).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(generated.lines().count())) + 1;
    assert!(
        committed == generated,
        "{name} is out of date from line {line} on: set UPDATE_DOCS=1 and run this test again"
    );
}
