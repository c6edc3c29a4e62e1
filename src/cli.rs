//! The command line, with one file per command. Results go to stdout, logs to stderr.

mod chart;
mod check;
mod client;
mod commands;
mod completions;
mod demo;
mod deploy;
mod explain;
mod history;
mod log;
mod mirror;
mod notify;
mod obeyed;
mod output;
mod overlay;
mod plan;
mod run;
mod snapshot;
mod status;
mod table;
mod terminal;
mod token;
mod upgrade;
#[cfg(feature = "validation")]
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use wire::DeploymentPost;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    BadConfig = 3,
    /// The admin API cannot be reached.
    Unreachable = 4,
    RolledBack = 5,
    Inconclusive = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A reverse proxy that ships your release, and rolls it back when it fails.
#[derive(Debug, Parser)]
#[command(name = "cutover", version, arg_required_else_help = true)]
struct Cli {
    /// Write log lines as JSON.
    #[arg(long, global = true, env = "CUTOVER_LOG_JSON")]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy.
    Run {
        #[command(flatten)]
        config: ConfigArg,
        /// Take the place of the process at standard input: `upgrade` starts it so.
        #[arg(long, hide = true)]
        take_over: bool,
    },
    /// Start a new process in the place of the running one, without a failed request.
    Upgrade(upgrade::UpgradeArgs),
    /// Check the configuration files and report every problem.
    Check(check::CheckArgs),
    /// Watch a demo: two toy origins, a release that breaks, and its rollback.
    Demo(demo::DemoArgs),
    /// Show service status.
    Status(status::StatusArgs),
    /// Show how long a deploy would take, and what each step can see.
    Plan(plan::PlanArgs),
    /// Show how the candidate answers copies of clients' requests, before its first client.
    Mirror(mirror::MirrorArgs),
    /// Deploy a version: shift traffic to it step by step, then promote it or roll it back.
    Deploy(deploy::DeployArgs),
    /// Set the candidate's share of the traffic.
    Shift(commands::ShiftArgs),
    /// Pause the rollout.
    Pause(commands::ActionArgs),
    /// Resume a paused rollout.
    Resume(commands::ActionArgs),
    /// Approve the step that the rollout is waiting at.
    Approve(commands::ActionArgs),
    /// Make the candidate active now, skipping the rest of the plan.
    Promote(commands::ActionArgs),
    /// End the rollout and send all traffic to active; the version may be deployed again.
    Abort(commands::ActionArgs),
    /// Roll back the candidate or the last promotion, and quarantine the version.
    Rollback(commands::RollbackArgs),
    /// Emergency stop: send all traffic to active and turn all automation off.
    Stop(commands::ActionEverywhereArgs),
    /// End an emergency stop.
    Clear(commands::ActionEverywhereArgs),
    /// Freeze deploys and rollout steps; rollbacks still happen.
    Freeze(commands::FreezeArgs),
    /// Lift a freeze.
    Unfreeze(commands::ActionEverywhereArgs),
    /// Have new requests of a service wait for a while, or let those that wait go.
    Hold(commands::HoldArgs),
    /// Show or remove rules and triggers that were set at run time.
    Overlay(overlay::OverlayArgs),
    /// Show what changed, who changed it and why.
    History(history::HistoryArgs),
    /// Explain a history entry: show what the guard saw, and judge it again.
    Explain(explain::ExplainArgs),
    /// Run validation suites against blue, green or both.
    #[cfg(feature = "validation")]
    Validate(validate::ValidateArgs),
    /// Create, list, compare and delete named snapshots of a service and its data.
    Snapshot(snapshot::SnapshotArgs),
    /// Test the notification receivers.
    Notify(notify::NotifyArgs),
    /// Create tokens for the admin API.
    Token(token::TokenArgs),
    /// Print shell completions.
    Completions(completions::CompletionsArgs),
    /// Print the manual page.
    Man(completions::ManArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct ConfigArg {
    /// The main configuration file.
    #[arg(long, short, env = "CUTOVER_CONFIG", default_value = "cutover.toml")]
    config: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let quiet = matches!(cli.command, Command::Demo(_));
    log::start(cli.log_json, quiet);
    let done = match cli.command {
        Command::Run { config, take_over } => run::run(&config.config, cli.log_json, take_over),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Mirror(args) => mirror::run(&args),
        Command::Deploy(args) => deploy::run(&args),
        Command::Shift(args) => commands::shift(&args),
        Command::Pause(args) => commands::act(DeploymentPost::Pause, &args),
        Command::Resume(args) => commands::act(DeploymentPost::Resume, &args),
        Command::Approve(args) => commands::act(DeploymentPost::Approve, &args),
        Command::Promote(args) => commands::act(DeploymentPost::Promote, &args),
        Command::Abort(args) => commands::act(DeploymentPost::Abort, &args),
        Command::Rollback(args) => commands::rollback(&args),
        Command::Stop(args) => commands::act_everywhere(DeploymentPost::EmergencyStop, &args),
        Command::Clear(args) => commands::act_everywhere(DeploymentPost::EmergencyClear, &args),
        Command::Freeze(args) => commands::freeze(&args),
        Command::Unfreeze(args) => commands::act_everywhere(DeploymentPost::Unfreeze, &args),
        Command::Hold(args) => commands::hold(&args),
        Command::Overlay(args) => overlay::run(&args),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
        Command::History(args) => history::run(&args),
        Command::Explain(args) => explain::run(&args),
        #[cfg(feature = "validation")]
        Command::Validate(args) => validate::run(&args),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Notify(args) => notify::run(&args),
        Command::Token(args) => token::run(&args),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => match error.downcast_ref::<config::ConfigError>() {
            Some(refused) => {
                crate::cli::output::complain!("{}", refused.render(log::colour_on_stderr()));
                Exit::BadConfig.into()
            }
            None if output::is_reader_gone(&error) => Exit::Failed.into(),
            None => {
                crate::cli::output::complain!("cutover: {error:#}");
                Exit::Failed.into()
            }
        },
    }
}

/// `2026-11-22 14:03:59.123` in UTC.
fn time_of_day(millis: u64) -> String {
    let at = judgement::time::utc(millis);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, millis) = at.as_hms_milli();
    format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}", u8::from(month))
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_of_day_are_utc() {
        for (millis, text) in [
            (0, "1970-01-01 00:00:00.000"),
            (951_782_400_123, "2000-02-29 00:00:00.123"),
            (1_795_348_799_999, "2026-11-22 11:59:59.999"),
        ] {
            assert_eq!(super::time_of_day(millis), text);
        }
    }
}
