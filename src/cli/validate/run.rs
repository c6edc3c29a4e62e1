//! Runs suites, shows their progress, and waits for them to end.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::client::{AdminClient, CallError};
use crate::cli::commands::failed;
use crate::cli::output::say;
use crate::cli::validate::render;
use crate::cli::{Exit, Output};
use config::read::did_you_mean;
use wire::{
    CancelRun, Execution, ExecutionDone, ExecutionState, ExecutionSummary, RunSuite, RunTarget, SuiteSummary, Suites,
    VALIDATION, ValidationPost,
};

/// How often a run's progress is fetched.
const AGAIN: Duration = Duration::from_millis(200);

/// Whether a run is waited for, and which reports are written.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunOptions {
    /// Show progress on stderr.
    #[arg(long, short)]
    pub watch: bool,
    /// Start the run, print its id, and do not wait.
    #[arg(long, conflicts_with = "watch")]
    pub detach: bool,
    /// Write SUITE.html, SUITE.xml (JUnit) and SUITE.json to this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "detach")]
    pub report: Option<PathBuf>,
}

pub fn run_one(
    client: &AdminClient,
    service: Option<&str>,
    suite: &str,
    target: RunTarget,
    how: &RunOptions,
    output: Output,
) -> anyhow::Result<Exit> {
    match whole(client, service, suite, target, how) {
        Ok(Ran::Begun(summary)) => {
            match output {
                Output::Json => crate::cli::output::json(&summary)?,
                Output::Text => say!("{}", summary.id),
            }
            Ok(Exit::Ok)
        }
        Ok(Ran::Over(execution)) => {
            match output {
                Output::Json => crate::cli::output::json(&execution)?,
                Output::Text => say!("{}", render::execution(&execution)),
            }
            if let Some(folder) = &how.report {
                render::write(folder, &execution, suite)?;
            }
            Ok(render::exit_of(execution.summary.state))
        }
        Err(error) => failed(&error),
    }
}

/// Which suites are run.
#[derive(Clone, Copy, Debug)]
pub struct SuiteFilter<'a> {
    pub service: Option<&'a str>,
    /// By name; empty means all.
    pub suites: &'a [String],
    /// With any of these tags; empty means all.
    pub tags: &'a [String],
}

/// Runs every suite that can run, one after another, so that none disturbs another's measurements.
pub fn run_all(
    client: &AdminClient,
    which: SuiteFilter<'_>,
    target: RunTarget,
    how: &RunOptions,
    output: Output,
) -> anyhow::Result<Exit> {
    let service = which.service;
    let all: Suites = match client.get(VALIDATION, &[("action", "suites")]) {
        Ok(all) => all,
        Err(error) => return failed(&error),
    };
    let suites = chosen(all.suites, which)?;
    let (mut runs, mut exit) = (Vec::new(), Exit::Ok);
    for suite in &suites {
        if output == Output::Text && !how.detach {
            say!("── {} · {}\n", suite.name, suite.title);
        }
        match whole(client, service, &suite.name, target, how) {
            Ok(Ran::Begun(summary)) => runs.push(*summary),
            Ok(Ran::Over(execution)) => {
                if output == Output::Text {
                    say!("{}\n", render::execution(&execution));
                }
                if let Some(folder) = &how.report {
                    render::write(folder, &execution, &suite.name)?;
                }
                exit = worse(exit, render::exit_of(execution.summary.state));
                let cancelled = execution.summary.state == ExecutionState::Cancelled;
                runs.push(execution.summary);
                if cancelled {
                    break;
                }
            }
            // Suites that compare both sides cannot run against one.
            Err(CallError::Refused(problem)) if problem.code == "needs_both" => {
                if output == Output::Text {
                    say!("left out: {}\n", problem.message);
                }
            }
            Err(error @ CallError::Refused(_)) => {
                crate::cli::output::complain!("cutover: {error}\n");
                exit = worse(exit, Exit::Failed);
            }
            Err(error) => return failed(&error),
        }
    }
    match output {
        Output::Json => crate::cli::output::json(&runs)?,
        Output::Text => say!("{}", render::runs(&runs)),
    }
    if runs.is_empty() && exit == Exit::Ok {
        crate::cli::output::complain!("cutover: nothing was run: suites that compare blue with green run against both");
        return Ok(Exit::Failed);
    }
    Ok(exit)
}

/// The suites that pass the filter.
fn chosen(all: Vec<SuiteSummary>, which: SuiteFilter<'_>) -> anyhow::Result<Vec<SuiteSummary>> {
    let SuiteFilter { service, suites: names, tags } = which;
    let known: Vec<&str> = all.iter().map(|suite| suite.name.as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        anyhow::bail!("there is no suite `{unknown}`: {}", did_you_mean(unknown, &known));
    }
    let wanted = |suite: &SuiteSummary| {
        // The tags of a broken suite are unknown. It is not left out, because running it reports what is wrong.
        let tagged = tags.is_empty() || suite.broken.is_some() || tags.iter().any(|tag| suite.tags.contains(tag));
        let named = names.is_empty() || names.contains(&suite.name);
        let of_service = service.is_none() || suite.service.is_none() || suite.service.as_deref() == service;
        named && tagged && suite.enabled && of_service
    };
    let suites: Vec<SuiteSummary> = all.into_iter().filter(wanted).collect();
    let tagged = if tags.is_empty() { String::new() } else { format!(" with the tag {}", tags.join(" or ")) };
    anyhow::ensure!(!suites.is_empty(), "there is no suite to run{tagged}: see `cutover validate list`");
    Ok(suites)
}

/// A failed run is worse than an interrupted one.
fn worse(a: Exit, b: Exit) -> Exit {
    match (a, b) {
        (Exit::Failed, _) | (_, Exit::Failed) => Exit::Failed,
        (Exit::Ok, other) => other,
        (other, _) => other,
    }
}

enum Ran {
    Begun(Box<ExecutionSummary>),
    Over(Box<Execution>),
}

/// Runs one suite from start to end; Ctrl-C cancels it.
fn whole(
    client: &AdminClient,
    service: Option<&str>,
    suite: &str,
    target: RunTarget,
    how: &RunOptions,
) -> Result<Ran, CallError> {
    let service = service.map(str::to_owned);
    let body = ValidationPost::Run(RunSuite { service, suite: suite.to_owned(), environment: target });
    let begun: ExecutionDone = client.post(&body)?;
    if how.detach {
        return Ok(Ran::Begun(Box::new(begun.execution)));
    }
    let id = begun.execution.id;
    let bar = how.watch.then(bar);
    let mut cancelled = false;
    loop {
        let query = [("action", "execution"), ("id", id.as_str()), ("format", "summary")];
        let now: ExecutionSummary = client.get(VALIDATION, &query)?;
        if let Some(bar) = &bar {
            draw(bar, &now);
        }
        if now.state.is_over() {
            break;
        }
        if !client.wait(AGAIN) && !cancelled {
            cancelled = true;
            let cancel = ValidationPost::Cancel(CancelRun { execution: id.clone() });
            match client.post::<_, ExecutionDone>(&cancel) {
                // It has ended in the meantime, and that counts.
                Err(CallError::Refused(problem)) if problem.code == "execution_over" => {}
                other => drop(other?),
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let execution = client.get(VALIDATION, &[("action", "execution"), ("id", &id)])?;
    Ok(Ran::Over(Box::new(execution)))
}

/// On stderr; hidden if that is not a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(1);
    let style = ProgressStyle::with_template("{spinner} {elapsed_precise} [{bar:32}] {pos}/{len} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▉▊▋▌▍▎▏ "));
    bar
}

fn draw(bar: &ProgressBar, now: &ExecutionSummary) {
    bar.set_length(now.progress.all.max(1));
    bar.set_position(now.progress.done);
    let failed = if now.counts.failed > 0 { format!("{} failed · ", now.counts.failed) } else { String::new() };
    bar.set_message(format!("{failed}{}", now.progress.doing));
}
