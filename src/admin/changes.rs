//! Changes that are laid over the routing file at run time: rules, triggers, checks, and where a version is.
//!
//! They need the file read and checked again with them, which only `serve` can do.

use serde_json::{Map, Value};

use crate::admin::error::Failure;
use crate::wire::Done;

/// What is to be changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    PutRule {
        name: String,
        rule: Map<String, Value>,
    },
    DeleteRule {
        name: String,
    },
    PutTrigger {
        name: String,
        trigger: Map<String, Value>,
    },
    DeleteTrigger {
        name: String,
    },
    PutHealth {
        check: String,
        on: bool,
    },
    /// The routing file alone holds again.
    ClearOverlay,
    Deploy {
        version: String,
        functions: Vec<String>,
        origin: String,
        force: bool,
    },
    /// Has the checks of a service run now.
    CheckHealth,
}

/// A change, and who wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub service: String,
    pub who: String,
    pub from: Option<String>,
    pub key: Option<String>,
    pub why: String,
    /// Only if the state is still of this generation.
    pub generation: Option<u64>,
    pub change: Change,
}

/// Who carries changes out.
#[derive(Clone, Debug, Default)]
pub struct Changes;

impl Changes {
    /// # Errors
    /// Why not.
    pub async fn apply(&self, wish: Wish) -> Result<Done, Failure> {
        let what = match wish.change {
            Change::PutRule { .. } | Change::DeleteRule { .. } => "changing a rule",
            Change::PutTrigger { .. } | Change::DeleteTrigger { .. } => "changing a trigger",
            Change::PutHealth { .. } => "switching a health check",
            Change::ClearOverlay => "clearing what was laid over the file",
            Change::Deploy { .. } => "deploying to another origin",
            Change::CheckHealth => "running the health checks",
        };
        Err(Failure::not_implemented(what))
    }
}
