//! Suites and runs in a terminal, and the report files of a run.

use std::path::Path;

use anyhow::Context;

use crate::cli::table::Table;
use crate::cli::terminal::Terminal;
use crate::cli::{Exit, log};
use judgement::time::Millis;
use validation::report;
use wire::{Execution, ExecutionState, ExecutionSummary, SuiteSummary};

pub fn suites(suites: &[SuiteSummary]) -> String {
    let mut table =
        Table::new(&[("SUITE", 0), ("TITLE", 4), ("SERVICE", 3), ("HAS", 0), ("SCHEDULE", 2), ("LAST RUN", 1)]);
    let mut broken: Vec<String> = Vec::new();
    for suite in suites {
        let has =
            [(suite.cases, "case"), (suite.loads, "load"), (suite.parities, "parity"), (suite.data, "data check")];
        let has: Vec<String> =
            has.into_iter().filter(|(many, _)| *many > 0).map(|(many, what)| plural(many, what)).collect();
        let every = suite.every_ms.map(|every| format!("every {}", Millis(every)));
        let after = suite.after_rollback.then(|| "after rollbacks".to_owned());
        let itself: Vec<String> = every.into_iter().chain(after).collect();
        let last = suite.last.as_ref().map_or_else(String::new, |last| {
            format!("{} {} on {}", last.began_at.get(..16).unwrap_or(""), last.state.name(), last.target.name())
        });
        let has = match (&suite.broken, suite.enabled) {
            (Some(_), _) => "cannot run".to_owned(),
            (None, false) => "disabled".to_owned(),
            (None, true) => has.join(", "),
        };
        if let Some(why) = &suite.broken {
            broken.push(first_problem(why));
        }
        let service = suite.service.clone().unwrap_or_else(|| "?".to_owned());
        table.plain([suite.name.clone(), suite.title.clone(), service, has, itself.join(", "), last]);
    }
    let mut shown = table.render(Terminal::stdout());
    if !broken.is_empty() {
        shown.push_str(&format!("\n\n{}\n`cutover validate check` shows every problem", broken.join("\n")));
    }
    shown
}

/// `smoke.toml:3:1: unknown key `titel`, and 4 more`, summing up all problems of a file.
fn first_problem(problems: &str) -> String {
    let mut lines = problems.lines();
    let what = lines.next().unwrap_or_default().trim_start_matches("error: ");
    let place = lines.next().unwrap_or_default().trim().trim_start_matches("--> ");
    match problems.lines().filter(|line| line.starts_with("error: ")).count() {
        0 | 1 => format!("{place}: {what}"),
        all => format!("{place}: {what}, and {} more", all - 1),
    }
}

pub fn runs(runs: &[ExecutionSummary]) -> String {
    let mut table =
        Table::new(&[("RUN", 0), ("SUITE", 0), ("ON", 0), ("BY", 2), ("STATE", 0), ("TOOK", 1), ("VERDICT", 0)]);
    for run in runs {
        let took = Millis(run.took_ms).to_string();
        let verdict: String = run.verdict.chars().take(120).collect();
        let (on, state) = (run.target.name().to_owned(), run.state.name().to_owned());
        table.plain([run.id.clone(), run.suite.clone(), on, run.who.clone(), state, took, verdict]);
    }
    let lost = |run: &ExecutionSummary| {
        let why = run.not_kept.as_ref()?;
        Some(format!("\nrun {} could not be saved, and will be lost when Cutover exits: {why}", run.id))
    };
    let lost: String = runs.iter().filter_map(lost).collect();
    format!("{}{lost}", table.render(Terminal::stdout()))
}

pub fn execution(execution: &Execution) -> String {
    report::text(execution, log::colour_on_stdout(), width())
}

/// As wide as the terminal; without one, as COLUMNS says, or as most terminals are.
fn width() -> u16 {
    let shell = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = Terminal::stdout().width().and_then(|width| u16::try_from(width).ok());
    terminal.or_else(shell).unwrap_or(120)
}

/// NAME.html, NAME.xml and NAME.json.
pub fn write(folder: &Path, execution: &Execution, name: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let junit = report::junit(execution).map_err(anyhow::Error::msg)?;
    let json = serde_json::to_string_pretty(execution)?;
    for (ending, text) in [("html", report::html(execution)), ("xml", junit), ("json", json)] {
        let path = folder.join(format!("{name}.{ending}"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    crate::cli::output::complain!("report: {}", folder.join(format!("{name}.html")).display());
    Ok(())
}

pub fn exit_of(state: ExecutionState) -> Exit {
    match state {
        ExecutionState::Passed => Exit::Ok,
        ExecutionState::Failed => Exit::Failed,
        ExecutionState::Queued | ExecutionState::Running => Exit::Ok,
        ExecutionState::Cancelled | ExecutionState::Interrupted => Exit::Inconclusive,
    }
}

fn plural(many: usize, what: &str) -> String {
    match (many, what) {
        (1, what) => format!("1 {what}"),
        (many, "parity") => format!("{many} parities"),
        (many, what) => format!("{many} {what}s"),
    }
}
