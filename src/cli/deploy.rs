//! `cutover deploy`: deploys a version, and with `--wait` follows the rollout to its end.

use std::time::Duration;

use crate::cli::client::{AdminArg, AdminClient, CallError};
use crate::cli::commands::{failed, report};
use crate::cli::output::say;
use crate::cli::plan;
use crate::cli::status::{tone_of, words_of};
use crate::cli::terminal::{LiveBlock, Terminal};
use crate::cli::{Exit, Output};
use judgement::guard::evidence::{grouped, odds};
use judgement::rollout::release::RolloutPhase;
use judgement::time::Millis;
use memory::clock;
use wire::{ActionAnswer, ActionResult, Deploy, DeploymentPost, Rollout, Service};

#[derive(Debug, clap::Args)]
pub struct DeployArgs {
    /// The version: 1 to 128 printable characters without spaces.
    version: String,
    /// Deploy only this route. May be repeated.
    #[arg(long = "function", value_name = "ROUTE")]
    functions: Vec<String>,
    /// The version's URL, if it is not the one in the routing file.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Deploy it even if it was rolled back before, or is active already.
    #[arg(long)]
    force: bool,
    /// End the rollout that is under way, and deploy this version in its place.
    #[arg(long)]
    replace: bool,
    /// Promote it as soon as it has passed its preflight, without the steps of the plan: active is broken, and this mends
    /// it.
    #[arg(long)]
    rescue: bool,
    /// Deploy although it is frozen, on record. Only for admins.
    #[arg(long)]
    pass_freeze: bool,
    /// The reason, recorded in the journal.
    #[arg(long, short)]
    reason: Option<String>,
    /// Follow the rollout to its end. Exit codes: 0 promoted, 5 rolled back, 1 aborted, 6 undecided.
    #[arg(long, short)]
    wait: bool,
    /// With --wait: also wait for the watch after the promotion.
    #[arg(long, requires = "wait")]
    through_watch: bool,
    /// With --wait: stop waiting after this time; the rollout continues.
    #[arg(long, default_value = "2h", value_parser = Millis::parse, requires = "wait")]
    timeout: Millis,
    #[command(flatten)]
    admin: AdminArg,
}

/// How often the status is fetched.
const LOOK: Duration = Duration::from_millis(500);
/// How long to wait for an admin API that is restarting.
const GONE: Millis = Millis::seconds(30);
/// Without a terminal, a line is printed at least this often, even if nothing has changed.
const SIGN_OF_LIFE: Millis = Millis::seconds(30);

pub fn run(args: &DeployArgs) -> anyhow::Result<Exit> {
    let client = args.admin.client()?;
    let deploy = Deploy {
        service: args.admin.service.clone(),
        version: args.version.clone(),
        functions: args.functions.clone(),
        origin: args.origin.clone(),
        force: args.force,
        replace: args.replace,
        rescue: args.rescue,
        pass_freeze: args.pass_freeze,
        reason: args.reason.clone(),
        initiator: None,
    };
    let done: ActionResult = match client.post(&DeploymentPost::Deploy(deploy)) {
        Ok(done) => done,
        Err(error) => return failed(&error),
    };
    if !args.rescue {
        warn(args, &client);
    }
    match args.wait {
        true => follow(args, &client, &done.service),
        false => report(&ActionAnswer::One(done), args.admin.output),
    }
}

/// Says in one line what the steps will not see, and which are longer than they look. It holds nothing up.
fn warn(args: &DeployArgs, client: &AdminClient) {
    let plan = plan::fetch(client, args.admin.service.as_deref(), Some(&args.version), &args.functions, None);
    if let Some(warning) = plan.ok().as_ref().and_then(plan::warning) {
        crate::cli::output::complain!("cutover: {warning}");
    }
}

/// Follows the rollout to its end.
fn follow(args: &DeployArgs, client: &AdminClient, service: &str) -> anyhow::Result<Exit> {
    let mut progress = Progress::new(args.admin.output);
    let (began, mut heard) = (clock::now(), clock::now());
    loop {
        match client.service(Some(service)) {
            Ok((_, service)) => {
                heard = clock::now();
                let Some(rollout) = service.rollout.as_ref().filter(|r| r.version.as_deref() == Some(&args.version))
                else {
                    crate::cli::output::complain!("cutover: another rollout has started");
                    return Ok(Exit::Inconclusive);
                };
                if has_ended(rollout, args.through_watch) {
                    progress.clear()?;
                    return print_result(args, &service, rollout);
                }
                progress.show(&lines(&service, rollout), &place(&service, rollout))?;
            }
            Err(error @ CallError::Unreachable { .. }) if clock::now().since(heard) < GONE => {
                progress.show(&[format!("{error}: trying again")], "gone")?;
            }
            Err(error) => return failed(&error),
        }
        if clock::now().since(began) > args.timeout {
            crate::cli::output::complain!(
                "cutover: still undecided after {}; the rollout continues: see `cutover status`",
                args.timeout
            );
            return Ok(Exit::Inconclusive);
        }
        if !client.wait(LOOK) {
            crate::cli::output::complain!(
                "cutover: the rollout continues; follow it with `cutover status --watch`, end it with `cutover abort`"
            );
            return Ok(Exit::Inconclusive);
        }
    }
}

fn has_ended(rollout: &Rollout, through_watch: bool) -> bool {
    match rollout.phase {
        RolloutPhase::Promoted => !(through_watch && rollout.watching),
        RolloutPhase::RolledBack | RolloutPhase::Aborted => true,
        _ => false,
    }
}

/// The result, and its exit code.
fn print_result(args: &DeployArgs, service: &Service, rollout: &Rollout) -> anyhow::Result<Exit> {
    let exit = match rollout.phase {
        RolloutPhase::Promoted => Exit::Ok,
        RolloutPhase::RolledBack => Exit::RolledBack,
        _ => Exit::Failed,
    };
    if args.admin.output == Output::Json {
        crate::cli::output::json(service)?;
        return Ok(exit);
    }
    let (version, why) = (&args.version, rollout.why.as_deref().unwrap_or(""));
    let text = match exit {
        Exit::Ok => format!("{version} is promoted: {} is active", service.active.name()),
        Exit::RolledBack => format!("{version} was rolled back: {why}"),
        _ => format!("{version} was aborted: {why}"),
    };
    let terminal = Terminal::stdout();
    say!("{}", terminal.tell(tone_of(rollout.phase), &text, 2));
    if let Some(cost) = &service.ledger {
        say!("  {}", cost.sentence());
    }
    if let Some(latch) = service.latch.as_ref().filter(|_| exit == Exit::RolledBack) {
        say!("  for the evidence: cutover explain {}", latch.entry);
    }
    Ok(exit)
}

/// Where the rollout is, without the figures that change all the time.
fn place(service: &Service, rollout: &Rollout) -> String {
    format!("{} {} {} {}", rollout.phase.name(), rollout.step, service.weight, service.guard.caution)
}

/// What is shown of a rollout: its progress, and what it is waiting for.
fn lines(service: &Service, rollout: &Rollout) -> Vec<String> {
    let version = rollout.version.as_deref().unwrap_or("the candidate");
    let (left, phase) = (Millis(rollout.left_ms), words_of(rollout.phase));
    match rollout.phase {
        RolloutPhase::Preflight => vec![format!("{version}: preflight")],
        RolloutPhase::Promoted if rollout.watching => vec![format!("{version}: promoted, watching for another {left}")],
        RolloutPhase::Promoted | RolloutPhase::RolledBack | RolloutPhase::Aborted => {
            vec![format!("{version}: {phase}")]
        }
        RolloutPhase::Shifting | RolloutPhase::Baking | RolloutPhase::Paused => {
            let (step, steps, weight) = (rollout.step, rollout.steps.len(), service.weight);
            let (requests, evidence) = (grouped(rollout.requests), odds(service.guard.evidence));
            let caution = if service.guard.caution { ", caution" } else { "" };
            let now = format!("{version}: {phase}, step {step} of {steps}, {weight} %");
            let judged = format!("{requests} requests judged, evidence {evidence}{caution}");
            let next = match rollout.waiting_for.as_slice() {
                [] => format!("at least {left} left"),
                all => format!("at least {left} left; waiting: {}", all.join(", ")),
            };
            vec![now, judged, next]
        }
    }
}

/// Progress: redrawn on a terminal; elsewhere a line whenever something happens.
struct Progress {
    output: Output,
    block: LiveBlock,
    said: String,
    at: Millis,
}

impl Progress {
    fn new(output: Output) -> Progress {
        Progress { output, block: LiveBlock::default(), said: String::new(), at: Millis::ZERO }
    }

    fn show(&mut self, lines: &[String], place: &str) -> anyhow::Result<()> {
        if self.output == Output::Json {
            return Ok(());
        }
        let (terminal, now) = (Terminal::stdout(), clock::now());
        if terminal.is_live() {
            let wrapped = lines.iter().enumerate().flat_map(|(at, line)| {
                let indent = if at == 0 { "" } else { "  " };
                let text = terminal.wrap(&format!("{indent}{line}"), 4);
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            });
            self.block.draw(terminal, &wrapped.collect::<Vec<_>>())?;
        } else if self.said != place || now.since(self.at) > SIGN_OF_LIFE {
            say!("{}", lines.join("; "));
            (self.said, self.at) = (place.to_owned(), now);
        }
        Ok(())
    }

    fn clear(&mut self) -> anyhow::Result<()> {
        Ok(self.block.clear(Terminal::stdout())?)
    }
}
