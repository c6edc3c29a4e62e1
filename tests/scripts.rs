//! The scripts of the book, run as a reader would, with this build: they show what the book says.

use std::path::Path;
use std::process::Command;

/// What a script of `examples` prints, with this build first in the path.
fn printed(script: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_cutover"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(script);
    let output = Command::new("bash").arg(script).env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// These lines are there, in this order.
fn has(said: &str, lines: &[&str]) {
    let mut rest = said.lines();
    for line in lines {
        // The names of HTTP's fields have no case.
        let fits = |other: &str| other.trim().to_lowercase().starts_with(&line.to_lowercase());
        assert!(rest.any(fits), "no `{line}`, or too early, in:\n{said}");
    }
}

/// Under `requests by status`, there is one status.
fn all_good(said: &str) {
    let (_, statuses) = said.split_once("requests by status").unwrap();
    let statuses: Vec<&str> = statuses.lines().skip(1).collect();
    assert!(matches!(*statuses, [one] if one.ends_with(" 200")), "{said}");
}

#[test]
#[ignore = "needs curl: .ci/setup installs it"]
fn upgrades() {
    let said = printed("upgrade.sh");
    assert_eq!(said.matches("serves now").count(), 3, "{said}");
    all_good(&said);
}

#[test]
#[ignore = "needs curl: .ci/setup installs it"]
fn the_main_file() {
    let said = printed("reload.sh");
    has(
        &said,
        &[
            "ann's token: 200, the second port: 000",
            "ann's token: 401, the second port: 200",
            "after a typo, the second port: 200",
            "error: cannot listen on `127.0.0.1:port`",
        ],
    );
    all_good(&said);
}

#[test]
#[ignore = "needs curl and pebble: .ci/setup installs them"]
fn certificates() {
    let said = printed("certificates.sh");
    has(
        &said,
        &[
            "HTTPS: 200",
            "issuer=CN = Pebble",
            "DNS:shop.example.com",
            "certificate of shop.example.com: valid until",
            "700 cutover.db.acme",
        ],
    );
}

#[test]
#[ignore = "needs curl: .ci/setup installs it"]
fn the_proxy_protocol() {
    let said = printed("proxy-protocol.sh");
    has(
        &said,
        &[
            "from 203.0.113.7, by its header: client 203.0.113.7",
            "by curl's own header: client 127.0.0.1",
            "without one, where it is required: 000",
            "without one, on the other port: client 127.0.0.1",
        ],
    );
}

#[test]
#[ignore = "needs curl: .ci/setup installs it"]
fn the_front_door() {
    let said = printed("front-door.sh");
    has(
        &said,
        &[
            "HTTP/1.1 308",
            "Location: https://www.example.com/old/page?from=here",
            "users",
            "HTTP/1.1 429",
            "Retry-After: ",
            "RateLimit: \"api\";r=0;t=",
            "HTTP/1.1 302",
            "Location: https://login.example.com/",
            "users",
            "200 after 1.",
            "HTTP/1.1 503",
            "Retry-After: 600",
            "<h1>Back soon</h1>",
        ],
    );
}

#[test]
#[ignore = "needs curl and sqlite3: .ci/setup installs them"]
fn the_journals_integrity() {
    let said = printed("integrity.sh");
    has(
        &said,
        &[
            "entry 4 has this hash",
            "intact: 4 entries",
            "broken: entry 3 does not follow from the one before it",
            "gone: no entry has this hash",
        ],
    );
}
