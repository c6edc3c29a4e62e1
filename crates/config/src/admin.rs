//! Who may come in by the admin's door, and what each may do there: as the main file means it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::TlsListener;

/// What somebody is to the house. Each may what the ones before may.
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

    /// For a sentence.
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

/// A token that opens the door. Only what it hashes to is known.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub name: String,
    pub role: Role,
    pub sha256: [u8; 32],
    /// In seconds since 1970: from here on it opens nothing.
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

/// How the admin's door is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminAccess {
    /// None: one is made, on loopback.
    pub tokens: Vec<Token>,
    /// What a request's Host may say beside the listener's own names, in lower case; without a port, with any.
    pub hosts: Vec<String>,
    pub tls: Option<TlsListener>,
    /// Off loopback without TLS, by the operator's own word.
    pub insecure: bool,
    /// Off loopback, /metrics without a token.
    pub open_metrics: bool,
}
