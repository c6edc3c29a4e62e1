//! Secrets that are not on the machine that checks the files: a pipeline has neither the key files nor the environment of
//! production.

use std::sync::OnceLock;

/// Set once, by `cutover check --without-secrets`, before any file is read.
static TOLERATED: OnceLock<()> = OnceLock::new();

/// From now on a secret file that is not there, and an environment variable that is not set, is a warning. What depends
/// on it is not checked.
pub fn tolerate_absent_secrets() {
    let _ = TOLERATED.set(());
}

pub(crate) fn are_tolerated() -> bool {
    TOLERATED.get().is_some()
}
