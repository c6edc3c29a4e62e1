//! The OpenAPI document: what is served is what is checked in.

use super::{Desk, house};

#[test]
fn the_document_is_the_one_that_is_checked_in() {
    let house = house("weight = 0", "");
    let served = Desk::admin(&house).get("/openapi.json");
    served.is_done();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &served.answer.body).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == served.answer.body,
        "docs/src/openapi.json is old: UPDATE=1 cargo test --test all -- api::document"
    );
}
