//! The commands that are one call: shift, pause, resume, approve, promote, abort, rollback, stop, clear, freeze,
//! unfreeze, hold.

use serde::Serialize;

use crate::cli::client::{AdminArg, CallError};
use crate::cli::output::say;
use crate::cli::{Exit, Output};
use wire::{
    ActionAnswer, ActionBody, ActionResult, DeploymentPost, Freeze, Hold, RequestBody, Rollback, RollbackPost,
    ServiceResult, TrafficShift,
};

/// Stands for every service.
const EVERY: &str = "*";

/// A command that takes only a reason.
#[derive(Debug, clap::Args)]
pub struct ActionArgs {
    /// The reason, recorded in the journal.
    #[arg(long, short)]
    reason: Option<String>,
    #[command(flatten)]
    admin: AdminArg,
}

#[derive(Debug, clap::Args)]
pub struct ActionEverywhereArgs {
    /// Apply to every service.
    #[arg(long, conflicts_with = "service")]
    all: bool,
    #[command(flatten)]
    plain: ActionArgs,
}

#[derive(Debug, clap::Args)]
pub struct RollbackArgs {
    /// Go back to this version, which was deployed before, at the address it had then.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    #[command(flatten)]
    plain: ActionArgs,
}

#[derive(Debug, clap::Args)]
pub struct ShiftArgs {
    /// The candidate's share in percent, with up to two decimals.
    #[arg(value_parser = percentage)]
    percent: f64,
    /// Go through the steps of the plan instead of shifting at once.
    #[arg(long)]
    gradual: bool,
    /// Shift to a version although it was rolled back.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    plain: ActionArgs,
}

#[derive(Debug, clap::Args)]
pub struct FreezeArgs {
    /// The reason, shown to everyone the freeze blocks.
    #[arg(long, short)]
    reason: String,
    /// How long the freeze lasts: a duration ("2h") or a time ("2026-12-01T08:00:00Z"). Default: until someone lifts
    /// it.
    #[arg(long)]
    until: Option<String>,
    /// Apply to every service.
    #[arg(long, conflicts_with = "service")]
    all: bool,
    #[command(flatten)]
    admin: AdminArg,
}

#[derive(Debug, clap::Args)]
pub struct HoldArgs {
    /// When the hold ends by itself: a duration from 1s to 10m.
    #[arg(long = "for", value_name = "DURATION", required_unless_present = "release")]
    length: Option<String>,
    /// The most requests that wait at once; others get a 503. Default: 1000, which takes some 25 MB.
    #[arg(long, value_name = "NUMBER")]
    max: Option<u32>,
    /// Let the requests that wait go at once.
    #[arg(long, conflicts_with_all = ["length", "max"])]
    release: bool,
    #[command(flatten)]
    plain: ActionArgs,
}

pub fn hold(args: &HoldArgs) -> anyhow::Result<Exit> {
    let HoldArgs { length, max, release: _, plain } = args;
    let Some(length) = length else { return act(DeploymentPost::Release, plain) };
    let ActionArgs { reason, admin } = plain;
    let (service, length, reason) = (admin.service.clone(), length.clone(), reason.clone());
    send(admin, &DeploymentPost::Hold(Hold { service, length, max: *max, reason, initiator: None }))
}

/// Sends an action that takes only a reason.
pub fn act<B: RequestBody>(action: impl FnOnce(ActionBody) -> B, args: &ActionArgs) -> anyhow::Result<Exit> {
    let ActionArgs { reason, admin } = args;
    let body = ActionBody { service: admin.service.clone(), reason: reason.clone(), initiator: None };
    send(admin, &action(body))
}

/// The same for an action that can also be applied to every service.
pub fn act_everywhere<B: RequestBody>(
    action: impl FnOnce(ActionBody) -> B,
    args: &ActionEverywhereArgs,
) -> anyhow::Result<Exit> {
    let ActionEverywhereArgs { all, plain: ActionArgs { reason, admin } } = args;
    let body = ActionBody { service: service(*all, admin), reason: reason.clone(), initiator: None };
    send(admin, &action(body))
}

pub fn rollback(args: &RollbackArgs) -> anyhow::Result<Exit> {
    let RollbackArgs { to, plain: ActionArgs { reason, admin } } = args;
    let (service, to, reason) = (admin.service.clone(), to.clone(), reason.clone());
    send(admin, &RollbackPost::ManualRollback(Rollback { service, to, reason, initiator: None }))
}

pub fn shift(args: &ShiftArgs) -> anyhow::Result<Exit> {
    let ShiftArgs { percent, gradual, force, plain: ActionArgs { reason, admin } } = args;
    let (_, service) = match admin.client()?.service(admin.service.as_deref()) {
        Ok(shown) => shown,
        Err(error) => return failed(&error),
    };
    let shift = TrafficShift {
        service: Some(service.service),
        from_environment: Some(service.active),
        to_environment: service.candidate,
        percentage: *percent,
        gradual: *gradual,
        force: *force,
        reason: reason.clone(),
        initiator: None,
    };
    send(admin, &DeploymentPost::TrafficShift(shift))
}

pub fn freeze(args: &FreezeArgs) -> anyhow::Result<Exit> {
    let FreezeArgs { reason, until, all, admin } = args;
    let (service, reason, until) = (service(*all, admin), reason.clone(), until.clone());
    send(admin, &DeploymentPost::Freeze(Freeze { service, reason, until, initiator: None }))
}

fn service(all: bool, admin: &AdminArg) -> Option<String> {
    if all { Some(EVERY.to_owned()) } else { admin.service.clone() }
}

/// `25` or `25%`; the API judges the range.
fn percentage(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    number.parse().map_err(|_| "a share is a percentage such as 25 or 0.5".to_owned())
}

/// Sends an action, and prints the result.
fn send(admin: &AdminArg, body: &impl RequestBody) -> anyhow::Result<Exit> {
    match admin.client()?.post(body) {
        Ok(answer) => report(&answer, admin.output),
        Err(error) => failed(&error),
    }
}

/// Prints the response of a call, as JSON or in words.
pub fn answered<T: Serialize>(
    called: Result<T, CallError>,
    output: Output,
    words: impl FnOnce(&T) -> String,
) -> anyhow::Result<Exit> {
    match (called, output) {
        (Ok(answer), Output::Json) => crate::cli::output::json(&answer)?,
        (Ok(answer), Output::Text) => say!("{}", words(&answer)),
        (Err(error), _) => return failed(&error),
    }
    Ok(Exit::Ok)
}

/// Prints what was done: the whole response, or a line for each service.
pub fn report(answer: &ActionAnswer, output: Output) -> anyhow::Result<Exit> {
    if output == Output::Json {
        crate::cli::output::json(answer)?;
    }
    let mut exit = Exit::Ok;
    match answer {
        ActionAnswer::One(done) => report_one(done, output)?,
        ActionAnswer::All(all) => {
            for ServiceResult { service, done, error } in &all.results {
                if let Some(error) = error {
                    crate::cli::output::complain!("cutover: {service}: {}", error.message);
                    exit = Exit::Failed;
                }
                done.as_ref().map_or(Ok(()), |done| report_one(done, output))?;
            }
        }
    }
    Ok(exit)
}

fn report_one(done: &ActionResult, output: Output) -> anyhow::Result<()> {
    if !done.durable {
        crate::cli::output::complain!("cutover: the change is in force, but not on disk: a crash would lose it");
    }
    if output == Output::Text {
        let entry = done.entry.map_or(String::new(), |entry| format!(" (entry {entry})"));
        let weights = match (done.weight_before, done.weight_after) {
            (Some(before), Some(after)) => format!(" from {before} % to {after} %"),
            _ => String::new(),
        };
        say!("{}: {}{weights}{entry}", done.service, done.action.replace('_', " "));
    }
    Ok(())
}

/// Prints on stderr why a call failed.
pub fn failed(error: &CallError) -> anyhow::Result<Exit> {
    crate::cli::output::complain!("cutover: {error}");
    Ok(error.exit())
}
