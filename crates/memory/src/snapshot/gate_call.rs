//! How a gate of a rollout is asked, as the file defines it.

use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderName, HeaderValue};

use crate::snapshot::secret_url::SecretUrl;
use judgement::time::Millis;

/// A gate's address and what is sent there. Its Debug output shows only the name: values may come from the environment.
#[derive(Clone, PartialEq, Eq)]
pub struct GateCall {
    /// The gate's name.
    pub gate: String,
    pub url: SecretUrl,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The requests are signed with each of them: while they are being rotated, the receiver knows the old or the new one.
    pub keys: Vec<Vec<u8>>,
    pub metadata: BTreeMap<String, String>,
    /// For each attempt.
    pub timeout: Millis,
    /// Further attempts.
    pub retries: u32,
}

impl fmt::Debug for GateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GateCall({})", self.gate)
    }
}
