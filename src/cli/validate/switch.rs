//! What can be switched of a suite while the process runs. It holds until it is switched back, over restarts too.

use crate::cli::Exit;
use crate::cli::admin::{AdminArg, VALIDATION};
use crate::cli::orders::answered;
use crate::time::Millis;
use crate::wire::{PutSuite, SuiteSet, SuiteSummary, ValidationPut};

pub fn enable(suite: &str, enabled: bool, admin: &AdminArg) -> anyhow::Result<Exit> {
    put(
        PutSuite { suite: suite.to_owned(), enabled: Some(enabled), every: None, after_rollback: None },
        admin,
        |suite| {
            let now = if suite.enabled { "can be run" } else { "is switched off: nobody can run it" };
            format!("suite {} {now}", suite.name)
        },
    )
}

pub fn schedule(suite: &str, every: &str, admin: &AdminArg) -> anyhow::Result<Exit> {
    let every = Some(every.to_owned());
    put(PutSuite { suite: suite.to_owned(), enabled: None, every, after_rollback: None }, admin, |suite| {
        let every = suite.every_ms.map(|every| format!("runs every {}", Millis(every)));
        let off = if suite.enabled { "" } else { ", once it is switched on: `cutover validate enable`" };
        match every {
            Some(every) => format!("suite {} {every}{off}", suite.name),
            // Of a broken one nobody knows what its file says.
            None if suite.broken.is_some() => format!("suite {} cannot be run: `cutover validate check`", suite.name),
            None => format!("suite {} does not run by itself", suite.name),
        }
    })
}

fn put(asked: PutSuite, admin: &AdminArg, words: impl FnOnce(&SuiteSummary) -> String) -> anyhow::Result<Exit> {
    let body = ValidationPut::Suite(asked);
    answered(admin.client()?.put(VALIDATION, &body), admin.output, |set: &SuiteSet| words(&set.suite))
}
