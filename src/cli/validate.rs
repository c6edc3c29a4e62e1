//! `cutover validate`: suites against blue, green or both, run by the serving process.

mod render;
mod run;
mod settings;

use std::path::PathBuf;

use crate::cli::client::AdminArg;
use crate::cli::commands::{answered, failed};
use crate::cli::output::say;
use crate::cli::{Exit, Output};
use wire::{
    AfterRollback, CancelRun, Execution, ExecutionDone, Executions, RunTarget, Suites, VALIDATION, ValidationPost,
};

pub use run::{RunOptions, SuiteFilter, run_all};

#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the suites.
    List {
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Run all suites, one after another.
    RunAll {
        /// blue, green or both.
        #[arg(value_parser = target)]
        environment: RunTarget,
        /// Run only suites with this tag. May be repeated.
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        #[command(flatten)]
        how: RunOptions,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Run one suite.
    RunSuite {
        /// The suite's name.
        name: String,
        /// blue, green or both.
        #[arg(value_parser = target)]
        environment: RunTarget,
        #[command(flatten)]
        how: RunOptions,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// List runs, latest first.
    History {
        /// Show only runs of this suite.
        #[arg(long)]
        suite: Option<String>,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Show the findings of a run.
    Show {
        /// The run's id. Default: the latest.
        id: Option<String>,
        /// Write ID.html, ID.xml (JUnit) and ID.json to this folder.
        #[arg(long, value_name = "FOLDER")]
        report: Option<PathBuf>,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Cancel a run.
    Cancel {
        /// The run's id.
        id: String,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Enable a suite.
    Enable {
        /// The suite's name.
        suite: String,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Disable a suite: it cannot run by hand, on a schedule or for a rollout.
    Disable {
        /// The suite's name.
        suite: String,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Set how often a suite runs on a schedule.
    Schedule {
        /// The suite's name.
        suite: String,
        /// A duration ("1h"), "off", or "file" to follow the suite file.
        every: String,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Set whether a suite runs after every rollback.
    AfterRollback {
        /// The suite's name.
        suite: String,
        /// "on", "off", or "file" to follow the suite file.
        #[arg(value_parser = after_rollback)]
        when: AfterRollback,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Check suite files without running them.
    Check {
        /// The suite files. Default: all suites in the folder that the main file names.
        files: Vec<PathBuf>,
        #[command(flatten)]
        config: crate::cli::ConfigArg,
    },
    /// Print the JSON Schema of suites.
    Schema {
        /// Print the schema of the JSON report instead.
        #[arg(long)]
        report: bool,
    },
}

fn target(text: &str) -> Result<RunTarget, String> {
    match text {
        "blue" => Ok(RunTarget::Blue),
        "green" => Ok(RunTarget::Green),
        "both" => Ok(RunTarget::Both),
        _ => Err("write blue, green or both".to_owned()),
    }
}

fn after_rollback(text: &str) -> Result<AfterRollback, String> {
    match text {
        "on" => Ok(AfterRollback::On),
        "off" => Ok(AfterRollback::Off),
        "file" => Ok(AfterRollback::File),
        _ => Err("write on, off or file".to_owned()),
    }
}

pub fn run(args: &ValidateArgs) -> anyhow::Result<Exit> {
    match &args.what {
        What::List { admin } => list(admin),
        What::RunAll { environment, tags, how, admin } => {
            let which = SuiteFilter { service: admin.service.as_deref(), suites: &[], tags };
            run_all(&admin.client()?, which, *environment, how, admin.output)
        }
        What::RunSuite { name, environment, how, admin } => {
            run::run_one(&admin.client()?, admin.service.as_deref(), name, *environment, how, admin.output)
        }
        What::History { suite, admin } => history(suite.as_deref(), admin),
        What::Show { id, report, admin } => show(id.as_deref(), report.as_ref(), admin),
        What::Cancel { id, admin } => cancel(id, admin),
        What::Enable { suite, admin } => settings::enable(suite, true, admin),
        What::Disable { suite, admin } => settings::enable(suite, false, admin),
        What::Schedule { suite, every, admin } => settings::schedule(suite, every, admin),
        What::AfterRollback { suite, when, admin } => settings::after_rollback(suite, *when, admin),
        What::Check { files, config } => check(files, config),
        What::Schema { report: true } => {
            crate::cli::output::json(&validation::report::schema())?;
            Ok(Exit::Ok)
        }
        What::Schema { report: false } => {
            crate::cli::output::json(&config::file::schema::suite())?;
            Ok(Exit::Ok)
        }
    }
}

fn list(admin: &AdminArg) -> anyhow::Result<Exit> {
    let service: Vec<(&str, &str)> = admin.service.iter().map(|name| ("service", name.as_str())).collect();
    let query = [&[("action", "suites")], service.as_slice()].concat();
    answered(admin.client()?.get(VALIDATION, &query), admin.output, |all: &Suites| match all.suites.as_slice() {
        [] => "there are no suites: put one into the folder that `suites` in cutover.toml names".to_owned(),
        suites => render::suites(suites),
    })
}

fn history(suite: Option<&str>, admin: &AdminArg) -> anyhow::Result<Exit> {
    let suite: Vec<(&str, &str)> = suite.iter().map(|name| ("suite", *name)).collect();
    let query = [&[("action", "executions")], suite.as_slice()].concat();
    answered(admin.client()?.get(VALIDATION, &query), admin.output, |all: &Executions| {
        match all.executions.as_slice() {
            [] => "there are no runs".to_owned(),
            runs => render::runs(runs),
        }
    })
}

fn show(id: Option<&str>, report: Option<&PathBuf>, admin: &AdminArg) -> anyhow::Result<Exit> {
    let client = admin.client()?;
    let id = match id {
        Some(id) => id.to_owned(),
        None => match client.get::<Executions>(VALIDATION, &[("action", "executions"), ("limit", "1")]) {
            Ok(runs) => match runs.executions.into_iter().next() {
                Some(run) => run.id,
                None => anyhow::bail!("there are no runs"),
            },
            Err(error) => return failed(&error),
        },
    };
    let execution: Execution = match client.get(VALIDATION, &[("action", "execution"), ("id", &id)]) {
        Ok(execution) => execution,
        Err(error) => return failed(&error),
    };
    match admin.output {
        Output::Json => crate::cli::output::json(&execution)?,
        Output::Text => say!("{}", render::execution(&execution)),
    }
    if let Some(folder) = report {
        render::write(folder, &execution, &execution.summary.id)?;
    }
    Ok(render::exit_of(execution.summary.state))
}

fn cancel(id: &str, admin: &AdminArg) -> anyhow::Result<Exit> {
    let body = ValidationPost::Cancel(CancelRun { execution: id.to_owned() });
    answered(admin.client()?.post(&body), admin.output, |done: &ExecutionDone| {
        format!("run {} of {} was cancelled", done.execution.id, done.execution.suite)
    })
}

fn check(files: &[PathBuf], config: &crate::cli::ConfigArg) -> anyhow::Result<Exit> {
    let read: Vec<_> = match files {
        [] => {
            let folder = config::load_main_with_suites(&config.config)?.suites;
            let all = validation::all_suites(&folder).map_err(anyhow::Error::msg)?;
            all.into_iter().map(|read| read.suite).collect()
        }
        files => files.iter().map(|file| config::load_suite(file)).collect(),
    };
    let mut bad = 0;
    for refused in read.iter().filter_map(|read| read.as_ref().err()) {
        bad += 1;
        say!("{}\n", refused.render(crate::cli::log::colour_on_stdout()));
    }
    match (bad, read.len()) {
        (0, 1) => say!("ok: 1 suite"),
        (0, all) => say!("ok: {all} suites"),
        (bad, all) => say!("{bad} of {all} suites cannot be run"),
    }
    Ok(if bad == 0 { Exit::Ok } else { Exit::BadConfig })
}
