//! Who may use the admin API and what each may do, as the main file defines it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::TlsListener;

/// What the holder of a token may do. Each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Operator,
    Admin,
}

impl Role {
    pub const ALL: [(&'static str, Role); 3] =
        [("viewer", Role::Viewer), ("operator", Role::Operator), ("admin", Role::Admin)];

    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// With its article, for a sentence.
    pub fn with_article(self) -> &'static str {
        match self {
            Role::Viewer => "a viewer",
            Role::Operator => "an operator",
            Role::Admin => "an admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A token for the API. Only its hash is known.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub name: String,
    pub role: Role,
    pub sha256: [u8; 32],
    /// In seconds since 1970, the time from which it is refused.
    pub expires: Option<u64>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Token { name, role, expires, .. } = self;
        f.debug_struct("Token")
            .field("name", name)
            .field("role", role)
            .field("expires", expires)
            .finish_non_exhaustive()
    }
}

/// Who may use the admin listener, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminAccess {
    /// If there are none, one is created on loopback.
    pub tokens: Vec<Token>,
    /// Other names that a request's Host may have, in lower case; without a port, any port matches.
    pub hosts: Vec<String>,
    pub tls: Option<TlsListener>,
    /// Listen outside loopback without TLS, because the operator says so.
    pub insecure: bool,
    /// Serve /metrics without a token outside loopback.
    pub open_metrics: bool,
}
