//! `cutover status`: how the services stand, once or as it changes.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::cli::client::{AdminArg, CallError, DEPLOYMENT};
use crate::cli::commands::failed;
use crate::cli::output::{say, table, trimmed};
use crate::cli::{Exit, Output};
use judgement::guard::evidence::{grouped, odds};
use judgement::time::Millis;
use wire::{Service, Status};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Refresh every second until Ctrl-C.
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    admin: AdminArg,
}

const AGAIN: Duration = Duration::from_secs(1);

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let client = args.admin.client()?;
    let query: Vec<(&str, &str)> = args.admin.service.iter().map(|name| ("service", name.as_str())).collect();
    let in_place = args.watch && args.admin.output == Output::Text && std::io::stdout().is_terminal();
    loop {
        let text = match client.get::<Status>(DEPLOYMENT, &query) {
            Ok(status) if args.admin.output == Output::Json && args.watch => serde_json::to_string(&status)?,
            Ok(status) if args.admin.output == Output::Json => serde_json::to_string_pretty(&status)?,
            Ok(status) => show(&status),
            Err(error @ CallError::Unreachable { .. }) if args.watch => error.to_string(),
            Err(error) => return failed(&error),
        };
        if in_place {
            // From the top of a cleared screen.
            let mut stdout = std::io::stdout().lock();
            write!(stdout, "\x1b[H\x1b[2J")?;
        }
        say!("{text}");
        if !args.watch || !client.wait(AGAIN) {
            return Ok(Exit::Ok);
        }
    }
}

fn show(status: &Status) -> String {
    let mut table =
        table(["SERVICE", "ACTIVE", "CANDIDATE", "WEIGHT", "PHASE", "STEP", "GUARD", "EVIDENCE", "REQUESTS", "FAILED"]);
    let mut notes = Vec::new();
    for service in &status.services {
        table.add_row(row(service));
        notes.extend(remarks(service));
    }
    notes.insert(0, trimmed(&table));
    notes.join("\n")
}

fn row(service: &Service) -> Vec<String> {
    let of = |side: wire::Side| {
        let version = match side {
            wire::Side::Blue => &service.versions.blue,
            wire::Side::Green => &service.versions.green,
        };
        let name = judgement::traffic::Environment::from(side).name();
        version.as_ref().map_or(name.to_owned(), |version| format!("{name} {version}"))
    };
    let (phase, step) = match &service.rollout {
        Some(rollout) if rollout.left_ms > 0 || rollout.phase == "paused" => {
            (rollout.phase.clone(), format!("{} of {}", rollout.step, rollout.steps.len()))
        }
        Some(rollout) => (rollout.phase.replace('_', " "), String::new()),
        None => (String::new(), String::new()),
    };
    let guard =
        if service.guard.monitoring { service.guard.verdict.clone().unwrap_or_default() } else { "off".to_owned() };
    let cost = service.ledger.as_ref();
    let evidence = if service.guard.verdict.is_some() { odds(service.guard.evidence) } else { String::new() };
    vec![
        service.service.clone(),
        of(service.active),
        of(service.candidate),
        format!("{} %", service.weight),
        phase,
        step,
        guard,
        evidence,
        cost.map_or(String::new(), |cost| grouped(cost.requests)),
        cost.map_or(String::new(), |cost| grouped(cost.failed)),
    ]
}

/// What does not fit a table: why something holds, and the way on.
fn remarks(service: &Service) -> Vec<String> {
    let name = &service.service;
    let mut notes = Vec::new();
    if service.stopped {
        notes.push(format!("{name}: EMERGENCY STOP: everything goes to active; `cutover clear` ends it"));
    }
    if let Some(latch) = &service.latch {
        notes.push(format!("{name}: rolled back: {} (`cutover explain {}`)", latch.reason, latch.entry));
    }
    if let Some(freeze) = &service.freeze {
        let until = freeze.until.as_ref().map_or(String::new(), |until| format!(" until {until}"));
        notes.push(format!("{name}: frozen by {}{until}: {}", freeze.who, freeze.why));
    }
    if let Some(rollout) = &service.rollout {
        if !rollout.waiting_for.is_empty() {
            let left = Millis(rollout.left_ms);
            notes.push(format!("{name}: waiting for {}; at least {left} left", rollout.waiting_for.join(", ")));
        } else if rollout.watching {
            notes.push(format!("{name}: promoted, watched for {} more", Millis(rollout.left_ms)));
        }
        if let (Some(why), "paused" | "aborted") = (&rollout.why, rollout.phase.as_str()) {
            notes.push(format!("{name}: {}: {why}", rollout.phase));
        }
    }
    let laid = &service.overlay;
    let added: Vec<&String> = laid.rules.iter().chain(&laid.triggers).chain(&laid.health_off).collect();
    if !added.is_empty() {
        let added: Vec<&str> = added.iter().map(|name| name.as_str()).collect();
        notes.push(format!("{name}: set at run time: {} (`cutover overlay clear` removes it)", added.join(", ")));
    }
    if !service.alerting {
        notes.push(format!("{name}: notices are off"));
    }
    notes
}
