//! `cutover deploy`: a version sets out, and with `--wait` it is followed to its end.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::client::{AdminArg, AdminClient, CallError, DEPLOYMENT};
use crate::cli::commands::{failed, report};
use crate::cli::output::say;
use crate::cli::{Exit, Output};
use judgement::guard::evidence::grouped;
use judgement::time::Millis;
use memory::clock;
use wire::{Rollout, Service};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The version: 1 to 128 printable characters without spaces.
    version: String,
    /// Deploy only this route. May be repeated.
    #[arg(long = "function", value_name = "ROUTE")]
    functions: Vec<String>,
    /// The version's URL, if it is not the one in the routing file.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Deploy it even if it was rolled back before.
    #[arg(long)]
    force: bool,
    /// The reason, kept in the journal.
    #[arg(long, short)]
    reason: Option<String>,
    /// Follow the rollout to its end. Exit codes: 0 promoted, 5 rolled back, 1 aborted, 6 undecided.
    #[arg(long, short)]
    wait: bool,
    /// With --wait: also wait for the watch after the promotion.
    #[arg(long, requires = "wait")]
    through_watch: bool,
    /// With --wait: stop waiting after this time; the rollout goes on.
    #[arg(long, default_value = "2h", value_parser = Millis::parse, requires = "wait")]
    timeout: Millis,
    #[command(flatten)]
    admin: AdminArg,
}

/// How often the status is asked for.
const LOOK: Duration = Duration::from_millis(500);
/// How long to wait for an admin API that restarts.
const GONE: Millis = Millis::seconds(30);
/// Without a terminal, a line is printed this often even if nothing has changed.
const SIGN_OF_LIFE: Millis = Millis::seconds(30);

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let client = args.admin.client()?;
    let mut body = json!({ "action": "deploy", "version": args.version, "functions": args.functions });
    if let Some(fields) = body.as_object_mut() {
        for (key, value) in [("service", &args.admin.service), ("origin", &args.origin), ("reason", &args.reason)] {
            fields.extend(value.as_ref().map(|value| (key.to_owned(), json!(value))));
        }
        if args.force {
            fields.insert("force".to_owned(), json!(true));
        }
    }
    let done: Value = match client.post(DEPLOYMENT, &body) {
        Ok(done) => done,
        Err(error) => return failed(&error),
    };
    if !args.wait {
        return report(&done, args.admin.output);
    }
    let service = done.get("service").and_then(Value::as_str).map(str::to_owned);
    follow(args, &client, service.as_deref())
}

/// Follows the rollout to its end.
fn follow(args: &Args, client: &AdminClient, service: Option<&str>) -> anyhow::Result<Exit> {
    let live = args.admin.output == Output::Text && std::io::stdout().is_terminal();
    let mut line = Line { live, said: String::new(), at: Millis::ZERO, width: 0 };
    let (began, mut heard) = (clock::now(), clock::now());
    loop {
        match client.service(service) {
            Ok((_, service)) => {
                heard = clock::now();
                let ended = service.rollout.as_ref().filter(|rollout| has_ended(rollout, args.through_watch));
                let ours = service.rollout.as_ref().is_some_and(|r| r.version.as_deref() == Some(&args.version));
                if !ours {
                    line.end()?;
                    eprintln!("cutover: another rollout has started");
                    return Ok(Exit::Inconclusive);
                }
                if let Some(rollout) = ended {
                    line.end()?;
                    return tell(args, &service, rollout);
                }
                if args.admin.output == Output::Text {
                    line.say(&progress(&service), &place(&service))?;
                }
            }
            Err(error @ CallError::Unreachable { .. }) if clock::now().since(heard) < GONE => {
                line.say(&format!("{error}: waiting"), "gone")?;
            }
            Err(error) => {
                line.end()?;
                return failed(&error);
            }
        }
        if clock::now().since(began) > args.timeout {
            line.end()?;
            eprintln!("cutover: still undecided after {}; the rollout goes on: see `cutover status`", args.timeout);
            return Ok(Exit::Inconclusive);
        }
        if !client.wait(LOOK) {
            line.end()?;
            eprintln!(
                "cutover: the rollout goes on; follow it with `cutover status --watch`, end it with `cutover abort`"
            );
            return Ok(Exit::Inconclusive);
        }
    }
}

fn has_ended(rollout: &Rollout, through_watch: bool) -> bool {
    match rollout.phase.as_str() {
        "promoted" => !(through_watch && rollout.watching),
        "rolled_back" | "aborted" => true,
        _ => false,
    }
}

/// The result, and its exit code.
fn tell(args: &Args, service: &Service, rollout: &Rollout) -> anyhow::Result<Exit> {
    let exit = match rollout.phase.as_str() {
        "promoted" => Exit::Ok,
        "rolled_back" => Exit::RolledBack,
        _ => Exit::Failed,
    };
    if args.admin.output == Output::Json {
        say!("{}", serde_json::to_string_pretty(service)?);
        return Ok(exit);
    }
    let why = rollout.why.as_deref().unwrap_or("");
    match rollout.phase.as_str() {
        "promoted" => {
            let active = judgement::traffic::Environment::from(service.active);
            say!("{} is promoted: {active} is active", args.version);
        }
        "rolled_back" => say!("{} was rolled back: {why}", args.version),
        _ => say!("{} was aborted: {why}", args.version),
    }
    if let Some(cost) = &service.ledger {
        let [requests, failed, rescued, hurt] = [cost.requests, cost.failed, cost.rescued, cost.hurt].map(grouped);
        say!("  {requests} requests, {failed} failed, {rescued} rescued, {hurt} seen by clients");
    }
    if let Some(latch) = service.latch.as_ref().filter(|_| exit == Exit::RolledBack) {
        say!("  for the evidence: cutover explain {}", latch.entry);
    }
    Ok(exit)
}

/// Where the rollout is, without what changes all the time.
fn place(service: &Service) -> String {
    let Some(rollout) = &service.rollout else { return String::new() };
    format!("{} {} {} {}", rollout.phase, rollout.step, service.weight, service.guard.caution)
}

/// `step 2 of 5, 25 %: 1,204 requests judged, evidence 0.2 : 1, 3m20s left; waits for 41s to bake`
pub fn progress(service: &Service) -> String {
    let Some(rollout) = &service.rollout else { return "no rollout".to_owned() };
    let version = rollout.version.as_deref().unwrap_or("the candidate");
    let left = Millis(rollout.left_ms);
    let waits = match rollout.waiting_for.as_slice() {
        [] => String::new(),
        all => format!("; waiting for {}", all.join(", ")),
    };
    let caution = if service.guard.caution { ", caution" } else { "" };
    match rollout.phase.as_str() {
        "preflight" => format!("{version}: preflight"),
        "promoted" if rollout.watching => format!("{version}: promoted, watched for {left} more"),
        phase @ ("promoted" | "rolled_back" | "aborted") => format!("{version}: {}", phase.replace('_', " ")),
        phase => format!(
            "{version}: {phase}, step {} of {}, {} %: {} requests judged, evidence {}{caution}, at least {left} left{waits}",
            rollout.step,
            rollout.steps.len(),
            service.weight,
            grouped(rollout.requests),
            judgement::guard::evidence::odds(service.guard.evidence),
        ),
    }
}

/// A line that is overwritten on a terminal, and printed anew elsewhere when something has happened.
struct Line {
    live: bool,
    said: String,
    at: Millis,
    width: usize,
}

impl Line {
    fn say(&mut self, text: &str, place: &str) -> anyhow::Result<()> {
        let now = clock::now();
        if self.live {
            let mut stdout = std::io::stdout().lock();
            let width = text.chars().count();
            write!(stdout, "\r{text}{}", " ".repeat(self.width.saturating_sub(width)))?;
            stdout.flush()?;
            self.width = width;
        } else if self.said != place || now.since(self.at) > SIGN_OF_LIFE {
            say!("{text}");
            (self.said, self.at) = (place.to_owned(), now);
        }
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.live && self.width > 0 {
            say!("");
        }
        Ok(())
    }
}
