//! The command line: what was typed, one command a file. Results go to stdout, logs to stderr.

mod check;
mod demo;
mod explain;
mod history;
mod log;
mod out;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    BadConfig = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A reverse proxy that ships your release, and takes it back by itself.
#[derive(Debug, Parser)]
#[command(name = "cutover", version, arg_required_else_help = true)]
struct Cli {
    /// Log lines on stderr as JSON.
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
    },
    /// Check both files, and say everything that is wrong with them.
    Check(check::Args),
    /// See it work: two toy origins, a release that breaks, and the rollback.
    Demo(demo::Args),
    /// What was changed, by whom, and why.
    History(history::Args),
    /// What the judge saw when it made an entry of the history, judged again.
    Explain(explain::Args),
}

#[derive(Clone, Debug, clap::Args)]
struct ConfigArg {
    /// The main file.
    #[arg(long, short, env = "CUTOVER_CONFIG", default_value = "cutover.toml")]
    config: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs what was typed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let quiet = matches!(cli.command, Command::Demo(_));
    log::start(cli.log_json, quiet);
    let done = match cli.command {
        Command::Run { config } => run::run(&config.config),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::History(args) => history::run(&args),
        Command::Explain(args) => explain::run(&args),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => match error.downcast_ref::<crate::config::Refused>() {
            Some(refused) => {
                eprintln!("{}", refused.render(log::colour_on_stderr()));
                Exit::BadConfig.into()
            }
            None if out::is_reader_gone(&error) => Exit::Failed.into(),
            None => {
                eprintln!("cutover: {error:#}");
                Exit::Failed.into()
            }
        },
    }
}

/// `2026-11-22 14:03:59.123` in UTC.
fn time_of_day(millis: u64) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}.{millis:03}")
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
