//! schemathesis reads the OpenAPI and asks everything that it allows, and much that it does not.

use std::process::Command;

use super::{Desk, SLOW, house};

const SCHEMATHESIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci-venv/bin/schemathesis");
/// Every request from an address of its own, or the gate would answer 429 where it is asked for its 401.
const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api");
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/schemathesis.toml");

#[test]
#[ignore = "needs schemathesis: .ci/setup installs it"]
fn nothing_that_the_document_allows_is_refused_and_nothing_breaks_it() {
    let house = house("weight = 10", SLOW);
    let desk = Desk::admin(&house);
    let scratch = tempfile::tempdir().unwrap();
    let out = Command::new(SCHEMATHESIS)
        .args(["--config-file", CONFIG, "run", &format!("http://{}/openapi.json", desk.admin)])
        .args(["--header", &format!("Authorization: Bearer {}", desk.token)])
        .args(["--header", "Connection: close"])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--max-examples", "50", "--seed", "17", "--workers", "1", "--no-color"])
        .env("PYTHONPATH", HOOKS)
        .env("SCHEMATHESIS_HOOKS", "addresses")
        .current_dir(scratch.path())
        .output()
        .expect(".ci/setup installs it");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(house.running.sidecar.status().is_ok());
}
