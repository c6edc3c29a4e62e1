//! Settings of suites that can be changed at run time. They hold until they are changed back, even across restarts.

use crate::cli::Exit;
use crate::cli::client::AdminArg;
use crate::cli::commands::answered;
use judgement::time::Millis;
use wire::{AfterRollback, PutSuite, SuiteSet, SuiteSummary, ValidationPut};

pub fn enable(suite: &str, enabled: bool, admin: &AdminArg) -> anyhow::Result<Exit> {
    put(PutSuite { enabled: Some(enabled), ..PutSuite::of(suite) }, admin, |suite| {
        let now = if suite.enabled { "is enabled" } else { "is disabled" };
        format!("suite {} {now}", suite.name)
    })
}

pub fn schedule(suite: &str, every: &str, admin: &AdminArg) -> anyhow::Result<Exit> {
    put(PutSuite { every: Some(every.to_owned()), ..PutSuite::of(suite) }, admin, |suite| {
        let every = suite.every_ms.map(|every| format!("runs every {}", Millis(every)));
        let off = if suite.enabled { "" } else { ", once it is enabled: `cutover validate enable`" };
        match every {
            Some(every) => format!("suite {} {every}{off}", suite.name),
            // For a broken suite, nobody knows what its file says.
            None if suite.broken.is_some() => cannot_be_run(suite),
            None => format!("suite {} does not run on a schedule", suite.name),
        }
    })
}

pub fn after_rollback(suite: &str, when: AfterRollback, admin: &AdminArg) -> anyhow::Result<Exit> {
    put(PutSuite { after_rollback: Some(when), ..PutSuite::of(suite) }, admin, |suite| {
        let off = if suite.enabled { "" } else { ", once it is enabled: `cutover validate enable`" };
        match (&suite.broken, suite.after_rollback) {
            (Some(_), _) => cannot_be_run(suite),
            (None, true) => format!("suite {} runs after every rollback{off}", suite.name),
            (None, false) => format!("suite {} does not run after rollbacks", suite.name),
        }
    })
}

fn cannot_be_run(suite: &SuiteSummary) -> String {
    format!("suite {} cannot run: see `cutover validate check`", suite.name)
}

fn put(asked: PutSuite, admin: &AdminArg, words: impl FnOnce(&SuiteSummary) -> String) -> anyhow::Result<Exit> {
    let body = ValidationPut::Suite(asked);
    answered(admin.client()?.put(&body), admin.output, |set: &SuiteSet| words(&set.suite))
}
