//! Every folder of `examples/` is a configuration that Cutover accepts.

use std::process::Command;

use super::path;

#[test]
fn every_example_passes_check() {
    let mut checked = 0;
    for entry in std::fs::read_dir(path("examples")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let output = Command::new(env!("CARGO_BIN_EXE_cutover")).current_dir(&folder).args(["check"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.starts_with("ok: "), "{}: {said}", folder.display());
        checked += 1;
    }
    assert!(checked >= 2, "the examples are where they are looked for");
}
