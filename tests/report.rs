//! The reports of a run, drawn from sample executions: the page, JUnit XML, the terminal's table, and the schema.
//!
//! Each sample's page is written to `target/report`, and so is that of every execution in JSON that `EXECUTIONS` names
//! (a folder): `EXECUTIONS=/tmp/runs cargo test --test all -- report::pages`.

mod browser;
mod curves;
mod documents;
mod page;
mod sample;

use validation::report;
use wire::{Execution, ExecutionState};

/// Every sample with its name.
fn samples() -> Vec<(&'static str, Execution)> {
    vec![
        ("rich", sample::rich()),
        ("passed", sample::passed()),
        ("hostile", sample::hostile()),
        ("long", sample::long(500)),
        ("queued", sample::empty(ExecutionState::Queued)),
        ("running", sample::in_state(ExecutionState::Running)),
        ("cancelled", sample::in_state(ExecutionState::Cancelled)),
        ("interrupted", sample::in_state(ExecutionState::Interrupted)),
        ("empty", sample::empty(ExecutionState::Passed)),
    ]
}

fn folder() -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/report");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn pages_of_every_sample_are_there_to_be_looked_at() {
    let mut all: Vec<(String, Execution)> =
        samples().into_iter().map(|(name, execution)| (name.to_owned(), execution)).collect();
    let named = std::env::var_os("EXECUTIONS").map(|folder| std::fs::read_dir(folder).unwrap());
    for file in named.into_iter().flatten() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let execution = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            all.push((path.file_stem().unwrap().to_string_lossy().into_owned(), execution));
        }
    }
    for (name, execution) in all {
        let page = report::html(&execution);
        assert!(page.ends_with("</html>") || page.ends_with("</html>\n"), "{name}");
        std::fs::write(folder().join(format!("{name}.html")), page).unwrap();
        std::fs::write(folder().join(format!("{name}.xml")), report::junit(&execution).unwrap()).unwrap();
        std::fs::write(folder().join(format!("{name}.txt")), report::text(&execution, true, 120)).unwrap();
    }
}
