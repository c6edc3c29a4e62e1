//! A side whose pages are still open in browsers although the other one has taken its place.

use serde::{Deserialize, Serialize};

use crate::traffic::Environment;

/// A side that was active until the other one took its place. Pages of it are still open in browsers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedSide {
    pub environment: Environment,
    /// What it was then: what is there later under another name has no pages.
    pub version: String,
    pub url: String,
    /// When it was replaced, in milliseconds since 1970.
    pub at: u64,
}

/// A side that still serves the pages that came from it, although it is not active any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenPages {
    pub environment: Environment,
    pub version: String,
    /// In milliseconds since 1970.
    pub until: u64,
}
